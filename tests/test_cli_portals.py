"""`idp portals`: what it prints can be applied elsewhere, secrets are printed once, and nothing is half done."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_cli import Deployment, deployed

SECRET = re.compile(r"shown this once: ([A-Za-z0-9_-]{43})$", re.MULTILINE)
WORDS = ("--name-ko", "포털", "--name-en", "Portal", "--operator-ko", "기관", "--operator-en", "Agency")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment without portals: tests leave it so."""
    made = deployed(tmp_path_factory.mktemp("empty"))
    made.idp("migrate")
    return made


def copied(empty: Deployment, directory: Path) -> Deployment:
    made = deployed(directory)
    with (
        closing(sqlite3.connect(empty.directory / "sinwon.db")) as migrated,
        closing(sqlite3.connect(directory / "sinwon.db")) as database,
    ):
        migrated.backup(database)
    return made


@pytest.fixture
def house(empty: Deployment, tmp_path: Path) -> Deployment:
    return copied(empty, tmp_path)


def added(house: Deployment, client_id: str = "added") -> str:
    """A new portal; its secret."""
    done = house.idp("portals", "add", client_id, *WORDS, "--redirect-uri", "https://rp.example/cb")
    found = SECRET.search(done.stdout)
    assert found is not None, done.stdout + done.stderr
    return found[1]


def test_a_portal_is_added_and_its_secret_is_in_no_file(house: Deployment) -> None:
    secret = added(house)
    assert "added" in house.idp("portals", "list").stdout
    shown = house.idp("portals", "show", "added").stdout
    assert "name.ko = 포털" in shown
    assert secret not in shown
    assert secret.encode() not in (house.directory / "sinwon.db").read_bytes()
    again = house.idp("portals", "add", "added", *WORDS, "--redirect-uri", "https://rp.example/cb")
    assert (again.returncode, again.stderr) == (1, "There is a portal added already.\n")


def test_what_is_wrong_with_a_new_portal_is_said(house: Deployment) -> None:
    done = house.idp("portals", "add", "wrong", *WORDS, "--redirect-uri", "javascript:alert(1)")
    assert done.returncode == 1
    assert "wrong was not registered:" in done.stderr
    assert "must be an absolute https URI" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sandbox_is_promoted_to_production(empty: Deployment, tmp_path: Path) -> None:
    for name in ("sandbox", "production"):
        (tmp_path / name).mkdir()
    sandbox, production = copied(empty, tmp_path / "sandbox"), copied(empty, tmp_path / "production")
    secret = added(sandbox)
    exported = sandbox.idp("portals", "export", "added").stdout
    file = tmp_path / "promoted.toml"
    file.write_text(exported, "utf-8")
    shown = production.idp("portals", "apply", str(file), "--dry-run").stdout
    assert "added would be new:" in shown
    assert "+ redirect_uris = https://rp.example/cb" in shown
    assert production.idp("portals", "list").stdout == ""
    done = production.idp("portals", "apply", str(file), "--reason", "promoted")
    found = SECRET.search(done.stdout)
    assert found is not None
    assert found[1] != secret
    assert production.idp("portals", "apply", str(file)).stdout == "Changed: nothing\n"
    assert "promoted" in production.idp("portals", "history", "added").stdout


def test_a_change_is_previewed_made_and_taken_back(house: Deployment) -> None:
    added(house)
    file = house.directory / "changed.toml"
    exported = house.idp("portals", "export").stdout
    file.write_text(exported.replace("https://rp.example/cb", "https://rp.example/new"), "utf-8")
    shown = house.idp("portals", "apply", str(file), "--dry-run").stdout.splitlines()
    assert shown == [
        "added would be changed:",
        "  - redirect_uris = https://rp.example/cb",
        "  + redirect_uris = https://rp.example/new",
    ]
    house.idp("portals", "apply", str(file), "--reason", "a new address")
    assert (
        house.idp("portals", "rollback", "added", "1", "--reason", "too early").stdout == "Changed: added\n"
    )
    history = house.idp("portals", "history", "added", "--documents").stdout
    assert [line.split("  ")[0] for line in history.splitlines() if line.startswith("v")] == [
        "v3",
        "v2",
        "v1",
    ]
    assert "too early" in history.splitlines()[0]
    assert house.idp("portals", "rollback", "added", "9").returncode == 1


def test_a_secret_is_replaced_without_a_gap(house: Deployment) -> None:
    added(house)
    old = house.idp("portals", "secret", "list", "added").stdout.split()[1]
    new = house.idp("portals", "secret", "add", "added").stdout.strip()
    assert len(new) == 43
    assert "two secrets already" in house.idp("portals", "secret", "add", "added").stderr
    assert house.idp("portals", "secret", "retire", "added", old).stdout == f"Retired {old}\n"
    listed = house.idp("portals", "secret", "list", "added").stdout
    assert old not in listed
    assert "last used -" in listed
    left = listed.split()[1]
    assert (
        "the last secret cannot be retired" in house.idp("portals", "secret", "retire", "added", left).stderr
    )
    assert house.idp("portals", "secret", "retire", "added", old).returncode == 1


def test_a_contract_is_printed_for_people_and_for_programs(house: Deployment) -> None:
    house.idp("trust", "apply", str(house.prepared.trust_file))
    house.idp("portals", "apply", str(house.prepared.portals_file))
    text = house.idp("portals", "contract", "gov24", "--lang", "en").stdout
    assert "required" in text
    assert "kept for: " in text
    made = json.loads(house.idp("portals", "contract", "gov24", "--json").stdout)
    assert made["client_id"] == "gov24"
    assert {"ko", "en"} == set(made["items"][0]["retention"])


@pytest.mark.parametrize(
    "command",
    [
        ("show", "nobody"),
        ("export", "nobody"),
        ("rollback", "nobody", "1"),
        ("secret", "add", "nobody"),
        ("remove", "sinwon-console"),
    ],
)
def test_a_portal_that_is_not_there_is_named(empty: Deployment, command: tuple[str, ...]) -> None:
    done = empty.idp("portals", *command)
    assert done.returncode == 1
    assert (command[1] if command[0] != "secret" else command[2]) in done.stderr
    assert "Traceback" not in done.stderr
