"""The versions of the peers are fixed, and the lock file says nothing about where it was written."""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_dependency_is_pinned_to_one_version() -> None:
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    assert wanted
    assert [name for name, version in wanted.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_every_locked_package_has_a_digest_and_no_registry_address() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]
    packages.pop("")
    assert packages
    assert [name for name, entry in packages.items() if not entry["integrity"].startswith("sha512-")] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
