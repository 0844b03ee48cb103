"""A release can be made again by anybody, and says what it is made of."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.test_dependencies import PROJECT, here, locked

EPOCH = 1_700_000_000


def _release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", PROJECT / "deploy/release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = _release()


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the project: those that git knows, where there is git."""
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout")
    done = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def wheels(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two wheels of these sources: other directories, other order, other times of the files, other umask."""
    made = []
    needed = [name for name in tracked if name.partition("/")[0] in {"idp", "migrations", "docs"}]
    needed += ["pyproject.toml", "README.md", "LICENSE", "config.example.toml"]
    for attempt, names in enumerate([needed, list(reversed(needed))]):
        place = tmp_path_factory.mktemp("sources") / ("deeper" * attempt)
        before = os.umask(0o077 if attempt else 0o022)
        try:
            for name in names:
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(PROJECT / name, place / name)
                os.utime(place / name, (EPOCH + attempt, EPOCH + attempt * 999))
            made.append(
                release.build_wheel(Path(sys.executable), place, tmp_path_factory.mktemp("dist"), EPOCH)
            )
        finally:
            os.umask(before)
    return made


def test_a_wheel_is_the_same_to_the_byte_whoever_builds_it(wheels: list[Path]) -> None:
    assert wheels[0].parent != wheels[1].parent
    assert release.sha256(wheels[0]) == release.sha256(wheels[1])
    with zipfile.ZipFile(wheels[0]) as packed:
        assert {entry.date_time for entry in packed.infolist()} == {(2023, 11, 14, 22, 13, 20)}


def test_a_wheel_holds_the_house_and_nothing_else(wheels: list[Path], tracked: list[str]) -> None:
    with zipfile.ZipFile(wheels[0]) as packed:
        held = {name for name in packed.namelist() if ".dist-info/" not in name}
    moved = {"migrations/": "idp/_migrations/", "docs/": "idp/_docs/"}
    expected = {name for name in tracked if name.startswith("idp/")} | {"idp/config.example.toml"}
    for old, new in moved.items():
        expected |= {name.replace(old, new, 1) for name in tracked if name.startswith(old)}
    assert held == expected


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of an environment in which exactly what the lock says is installed, as `release.py build` makes one."""
    environment = tmp_path_factory.mktemp("runtime")
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    for name in here("requirements.lock"):
        about = Path(str(distribution(name)._path))  # type: ignore[attr-defined]
        (packages / about.name).symlink_to(about)
    output = environment / "sbom.json"
    release.make_sbom(Path(sys.executable), environment, output, EPOCH)
    return dict(json.loads(output.read_text("utf-8")))


def test_the_sbom_names_everything_that_the_lock_does(sbom: dict[str, Any]) -> None:
    described = {canonicalize_name(one["name"]): one["version"] for one in sbom["components"]}
    assert described == here("requirements.lock")
    assert sbom["metadata"]["component"]["name"] == "sinwon"


def test_the_sbom_says_for_each_part_where_it_is_from_and_under_which_licence(sbom: dict[str, Any]) -> None:
    for component in sbom["components"]:
        assert component["purl"] == f"pkg:pypi/{canonicalize_name(component['name'])}@{component['version']}"
        assert component["licenses"], component["name"]


def test_the_sbom_says_who_asks_for_what(sbom: dict[str, Any]) -> None:
    graph = {one["ref"]: one.get("dependsOn", []) for one in sbom["dependencies"]}
    reached: set[str] = set()
    todo = [sbom["metadata"]["component"]["bom-ref"]]
    while todo:
        for ref in graph[todo.pop()]:
            if ref not in reached:
                reached.add(ref)
                todo.append(ref)
    assert reached == {component["bom-ref"] for component in sbom["components"]}


def test_the_sbom_knows_nothing_of_the_machine_it_was_made_on(sbom: dict[str, Any]) -> None:
    assert str(PROJECT) not in json.dumps(sbom)
    assert "file:" not in json.dumps(sbom)
    assert sbom["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")


def test_the_provenance_says_of_which_commit_and_with_which_locks(tmp_path: Path) -> None:
    file = tmp_path / "sinwon.whl"
    file.write_bytes(b"a wheel")
    said = release.provenance([file], builder="urn:example:builder", epoch=EPOCH, commit="c0ffee")
    assert said["subject"] == [{"name": "sinwon.whl", "digest": {"sha256": release.sha256(file)}}]
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    resolved = {
        one["uri"]: one["digest"] for one in said["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert resolved.pop("git+file:.") == {"gitCommit": "c0ffee"}
    for name in ("requirements.lock", "build.lock"):
        assert resolved.pop(f"file:deploy/{name}") == {"sha256": release.sha256(PROJECT / "deploy" / name)}
    assert resolved == {}
    assert said["predicate"]["runDetails"]["builder"] == {"id": "urn:example:builder"}


def test_a_release_is_made_with_what_the_tests_were_run_with() -> None:
    for name in ("hatchling", "cyclonedx-bom"):
        assert distribution(name).version == locked("build.lock")[name][0].version
        assert re.search(rf'"{name}>=', (PROJECT / "pyproject.toml").read_text("utf-8"))
