"""What pyproject.toml asks for leaves known faults out; deploy/ pins what it asks for, by version and by hash."""

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
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


LOCKS = ("requirements.lock", "build.lock")


@dataclass(frozen=True)
class Locked:
    """One line of a lock: a version, for whom, and the digests of its files."""

    version: str
    marker: Marker | None
    extras: frozenset[str]
    hashes: tuple[str, ...]


def _read(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))


def requirements() -> dict[str, Requirement]:
    project = pyproject()["project"]
    return _read([*project["dependencies"], *project["optional-dependencies"]["test"]])


def asked_of(lock: str) -> dict[str, Requirement]:
    """What a lock was made from."""
    project = pyproject()
    if lock == "build.lock":
        return _read(project["dependency-groups"]["build"])
    return _read(project["project"]["dependencies"])


def locked(lock: str) -> dict[str, list[Locked]]:
    """Every line of a lock, by name: one has several versions where systems differ."""
    found: dict[str, list[Locked]] = {}
    text = re.sub(r" *\\\n *", " ", (PROJECT / "deploy" / lock).read_text("utf-8"))
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        wanted, *hashes = line.split(" --hash=")
        one = Requirement(wanted)
        (pin,) = one.specifier
        assert pin.operator == "=="
        entry = Locked(pin.version, one.marker, frozenset(one.extras), tuple(hashes))
        found.setdefault(canonicalize_name(one.name), []).append(entry)
    return found


def here(lock: str) -> dict[str, str]:
    """Name and version of what a lock installs on this system."""
    return {
        name: entry.version
        for name, entries in locked(lock).items()
        for entry in entries
        if entry.marker is None or entry.marker.evaluate()
    }


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


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_says_what_the_constraints_say(lock: str) -> None:
    assert {
        name: entry.version
        for name, entries in locked(lock).items()
        for entry in entries
        if entry.version != pins()[name]
    } == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_file_that_a_lock_allows_has_its_digest(lock: str) -> None:
    for entries in locked(lock).values():
        for entry in entries:
            assert entry.hashes
            assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in entry.hashes)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_is_asked_for_and_whatever_that_asks_for_and_no_more(lock: str) -> None:
    wanted = asked_of(lock)
    for name, requirement in wanted.items():
        assert all(requirement.specifier.contains(entry.version) for entry in locked(lock)[name])
    reached: set[str] = set()
    todo = [(name, frozenset(requirement.extras)) for name, requirement in wanted.items()]
    while todo:
        name, extras = todo.pop()
        reached.add(name)
        extras |= {extra for entry in locked(lock)[name] for extra in entry.extras}
        for line in distribution(name).requires or []:
            one = Requirement(line)
            needed = one.marker is None or any(one.marker.evaluate({"extra": e}) for e in ("", *extras))
            if needed and canonicalize_name(one.name) not in reached:
                todo.append((canonicalize_name(one.name), frozenset(one.extras)))
    assert reached == here(lock).keys()


def test_the_locks_name_no_place_to_fetch_from() -> None:
    for lock in LOCKS:
        assert "://" not in (PROJECT / "deploy" / lock).read_text("utf-8")


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
