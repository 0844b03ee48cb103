"""`idp audit`: what an auditor types, and what it ends with."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from idp.clock import iso
from tests.test_cli import Deployment, deployed


@pytest.fixture
def written(tmp_path: Path) -> Deployment:
    """A deployment with seven events: an invitation, and six of yesterday."""
    deployment = deployed(tmp_path)
    assert deployment.idp("migrate").returncode == 0
    assert deployment.idp("portals", "invite").returncode == 0
    yesterday = int(time.time()) - 86_400
    rows = [(yesterday + number, "login.started", "gov24", f"login-{number}") for number in range(5)]
    rows.append((yesterday + 5, "login.finished", "gov24", "login-0"))
    change(deployment, "INSERT INTO audit_event (at, name, client_id, login_id) VALUES (?, ?, ?, ?)", *rows)
    return deployment


def change(deployment: Deployment, statement: str, *rows: tuple[object, ...]) -> None:
    with closing(sqlite3.connect(deployment.directory / "sinwon.db")) as database, database:
        database.executemany(statement, rows or [()])


def events(deployment: Deployment, name: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(deployment.directory / "sinwon.db")) as database:
        query = "SELECT actor, detail FROM audit_event WHERE name = ?"
        return database.execute(query, (name,)).fetchall()


def test_what_is_sealed_verifies_and_what_was_changed_does_not(written: Deployment) -> None:
    waiting = written.idp("audit", "verify")
    assert waiting.returncode == 1
    assert waiting.stdout.count("is not sealed") == 6  # the invitation is of this minute
    assert waiting.stderr.startswith("What is sealed holds. Rows wait for a seal")
    sealed = written.idp("audit", "seal")
    assert sealed.stdout == "Sealed 7 rows.\n", sealed.stderr
    fine = written.idp("audit", "verify")
    assert (fine.returncode, fine.stdout.splitlines()) == (
        0,
        ["7 rows and 1 checkpoints were checked; the log has 7 leaves.", "All of it holds."],
    ), fine.stderr
    change(written, "UPDATE audit_event SET client_id = 'other' WHERE login_id = 'login-3'")
    broken = written.idp("audit", "verify")
    assert broken.returncode == 1
    assert "(leaf 4, login.started, " in broken.stdout.splitlines()[0]
    assert "All of it holds" not in broken.stdout
    assert "1 finding: this is not what was written" in broken.stderr


def test_a_kept_checkpoint_and_kept_keys_are_believed(written: Deployment, tmp_path: Path) -> None:
    assert written.idp("audit", "checkpoint").returncode == 1
    written.idp("audit", "seal")
    kept, keys = tmp_path / "checkpoint", tmp_path / "keys.json"
    kept.write_text(written.idp("audit", "checkpoint").stdout)
    keys.write_text(written.idp("audit", "keys").stdout)
    written.idp("portals", "invite")
    written.idp("audit", "seal")
    verify = ("audit", "verify", "--from-checkpoint", str(kept), "--keys", str(keys))
    fine = written.idp(*verify)
    assert fine.returncode == 0, fine.stdout
    assert fine.stdout.startswith("1 rows and ")
    change(written, "UPDATE audit_seal SET leaf = zeroblob(32) WHERE seq = 0")
    broken = written.idp(*verify)
    assert broken.returncode == 1
    assert broken.stdout.startswith("the log is not the one of the given checkpoint")
    keys.write_text('{"keys": [{"kty": "RSA"}]}')
    refused = written.idp(*verify)
    assert (refused.returncode, "is not a JWK Set" in refused.stderr) == (1, True)


def test_a_search_goes_on_where_the_last_one_ended(written: Deployment) -> None:
    first = written.idp("audit", "search", "--portal", "gov24", "--event", "login.started", "--limit", "3")
    assert first.returncode == 0, first.stderr
    found = [json.loads(line) for line in first.stdout.splitlines()]
    assert [event["login_id"] for event in found] == ["login-4", "login-3", "login-2"]
    [after] = [line.split()[-1] for line in first.stderr.splitlines()]
    rest = written.idp("audit", "search", "--portal", "gov24", "--event", "login.started", "--after", after)
    assert [json.loads(line)["login_id"] for line in rest.stdout.splitlines()] == ["login-1", "login-0"]
    assert rest.stderr == ""
    read = events(written, "admin.audit_read")
    assert len(read) == 2
    assert all(actor.startswith("command line: ") for actor, _ in read)


@pytest.mark.parametrize(
    "bad",
    [
        ("search", "--from", "yesterday"),
        ("search", "--login", "a b"),
        ("search", "--event", "no.such"),
        ("search", "--after", "x"),
        ("search", "--limit", "0"),
        ("export",),
        ("export", "--reason", " "),
        ("export", "--reason", "case 7", "--format", "xml"),
        ("report", "--month", "11/2026"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(written: Deployment, bad: tuple[str, ...]) -> None:
    refused = written.idp("audit", *bad)
    assert refused.returncode != 0
    assert refused.stderr
    assert "Traceback" not in refused.stderr
    assert events(written, "admin.audit_read") == events(written, "admin.audit_exported") == []


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_has_the_rows_of_its_time_and_says_why_in_the_audit(written: Deployment, form: str) -> None:
    since = iso(int(time.time()) - 86_400 - 3600)
    until = iso(int(time.time()) - 3600)
    asked = ("--from", since, "--until", until, "--format", form, "--reason", "case 2026-17")
    exported = written.idp("audit", "export", *asked)
    assert exported.returncode == 0, exported.stderr
    if form == "csv":
        read = [row["login_id"] for row in csv.DictReader(io.StringIO(exported.stdout))]
    else:
        read = [json.loads(line)["login_id"] for line in exported.stdout.splitlines()]
    assert read == ["login-0", "login-1", "login-2", "login-3", "login-4", "login-0"]
    [(_, detail)] = events(written, "admin.audit_exported")
    assert json.loads(detail)["why"] == "case 2026-17"


def test_a_report_is_text_or_json(written: Deployment) -> None:
    month = iso(int(time.time()) - 86_400)[:7]
    text = written.idp("audit", "report", "--month", month)
    assert text.returncode == 0, text.stderr
    assert "          5          1          0          0  gov24" in text.stdout.splitlines()
    document = json.loads(written.idp("audit", "report", "--month", month, "--format", "json").stdout)
    assert document["month"] == month
    assert document["sign_ins"] == [
        {"client_id": "gov24", "started": 5, "finished": 1, "cancelled": 0, "refused": 0}
    ]
