"""The versions of the peers are fixed, and the lock file says nothing about where it was written."""

import json
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLACES = pytest.mark.parametrize("place", [HERE, HERE.parent / "bench/peers"], ids=["interop", "bench"])


@PLACES
def test_every_dependency_is_pinned_to_one_version(place: Path) -> None:
    wanted = json.loads((place / "package.json").read_text("utf-8"))["dependencies"]
    assert wanted
    assert [name for name, version in wanted.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


@PLACES
def test_every_locked_package_has_a_digest_and_no_registry_address(place: Path) -> None:
    packages = json.loads((place / "package-lock.json").read_text("utf-8"))["packages"]
    packages.pop("")
    assert packages
    assert [name for name, entry in packages.items() if not entry["integrity"].startswith("sha512-")] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
