"""What pyproject.toml asks for leaves known faults out, and deploy/constraints.txt pins what it asks for."""

import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parent.parent
LAST_FAULTY = {  # the newest version with a fault that matters here
    "authlib": "1.9.0",  # CVE-2026-116672: client configuration of another client
    "joserfc": "1.7.3",  # CVE-2026-102946: an empty list of signatures counts as verified
    "cryptography": "48.0.0",  # GHSA-m2h6-j472-rp4c: escapes from X.509 name constraints
    "cbor2": "6.1.3",  # maps that take quadratic time
    "gunicorn": "26.0.0",  # request smuggling, hardened up to 26.1
    "flask": "3.1.2",  # CVE-2026-27205: missing Vary: Cookie
    "redis": "4.5.4",  # CVE-2023-28859: another request's answer on the connection
}


def requirements() -> dict[str, Requirement]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def pins() -> dict[str, str]:
    lines = (PROJECT / "deploy/constraints.txt").read_text("utf-8").splitlines()
    pinned = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): number for name, number in pinned}


@pytest.mark.parametrize(("name", "faulty"), LAST_FAULTY.items())
def test_a_version_with_a_known_fault_is_not_taken(name: str, faulty: str) -> None:
    wanted = requirements()[name].specifier
    assert not wanted.contains(faulty)
    assert not wanted.contains("0.1")
    assert wanted.contains(version(name))


@pytest.mark.parametrize("name", requirements())
def test_what_is_asked_for_is_pinned_within_its_bounds(name: str) -> None:
    assert requirements()[name].specifier.contains(pins()[name])


def test_what_the_libraries_ask_for_is_pinned_too() -> None:
    # What is asked for on other systems only, or by an extra nobody asked for, is left out.
    missing = {
        f"{name} (for {asking})" for asking in pins() for name in _asked_by(asking) if name not in pins()
    }
    assert missing == set()


def _asked_by(name: str) -> set[str]:
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return set()  # the build backend, which lives in an environment of its own
    wanted = requirements()[name].extras if name in requirements() else set()
    return {
        canonicalize_name(one.name)
        for one in map(Requirement, lines)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *wanted))
    }
