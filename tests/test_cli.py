"""The command line: every problem named, nothing half done."""

import base64
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import tomllib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from idp import schema
from idp.admin.trust_record import as_toml
from idp.demo import seeds
from tests import commands
from tests.credentials import listing


@dataclass
class Deployment:
    """A sandbox deployment's files, and `idp` run on them as an operator runs it."""

    directory: Path
    prepared: seeds.Prepared
    environ: dict[str, str]

    @property
    def config(self) -> Path:
        return self.directory / "sinwon.toml"

    def idp(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return commands.idp(*arguments, directory=self.directory, environ={**self.environ, **environ})


def deployed(directory: Path) -> Deployment:
    issuer = "http://127.0.0.1:18999"
    prepared = seeds.prepare(
        directory / "guests",
        issuer=issuer,
        portals_url="http://127.0.0.1:18998",
        wallet_url="http://127.0.0.1:18998/wallet",
        authority_url="http://127.0.0.1:18998/authority",
    )
    settings = f"""
mode = "sandbox"
issuer = "{issuer}"
[database]
url = "sqlite:///{directory / "sinwon.db"}"
[secrets]
key_encryption_key = "{"1f" * 31}aa"
pepper = "{"2e" * 31}bb"
[wallet]
certificate_file = "{prepared.request_signer_certificates}"
private_key_file = "{prepared.request_signer_key}"
"""
    (directory / "sinwon.toml").write_text(settings, "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    environ = {**kept, "PYTHONPATH": str(Path.cwd()), "IDP_CONFIG": str(directory / "sinwon.toml")}
    return Deployment(directory, prepared, environ)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return deployed(tmp_path)


@pytest.fixture(scope="module")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as `idp migrate` leaves it. The command takes most of a second, and many tests begin after it."""
    deployment = deployed(tmp_path_factory.mktemp("migrated"))
    done = deployment.idp("migrate")
    assert done.returncode == 0, done.stderr
    return deployment.directory / "sinwon.db"


@pytest.fixture
def migrated(deployment: Deployment, migrated_database: Path) -> Deployment:
    """The deployment after `idp migrate`."""
    with (
        closing(sqlite3.connect(migrated_database)) as made,
        closing(sqlite3.connect(deployment.directory / "sinwon.db")) as database,
    ):
        made.backup(database)
    return deployment


def test_good_settings_are_called_fine(deployment: Deployment) -> None:
    done = deployment.idp("check-config")
    assert done.returncode == 0, done.stderr
    assert "x509_hash:" in done.stdout


def test_how_the_national_app_is_answered_is_said(deployment: Deployment) -> None:
    daemon = {"IDP_MIP__BACKEND": "rest", "IDP_MIP__DAEMON": "https://daemon.internal"}
    assert "https://daemon.internal" in deployment.idp("check-config", **daemon).stdout
    assert "simulated" in deployment.idp("check-config", IDP_MIP__BACKEND="simulator").stdout


def test_every_problem_of_the_settings_is_named_and_no_secret(deployment: Deployment) -> None:
    text = deployment.config.read_text("utf-8")
    deployment.config.write_text(
        text.replace('mode = "sandbox"', 'mode = "sandbx"').replace("[wallet]", "[wallet]\nqr = 1"), "utf-8"
    )
    done = deployment.idp("check-config")
    assert done.returncode == 1
    assert "mode" in done.stderr
    assert "wallet.qr" in done.stderr
    assert "1f1f" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_key_that_is_not_the_certificates_is_a_problem(deployment: Deployment) -> None:
    other = deployment.prepared.directory / "missions" / "LAX-signer.key"
    candidates = [other, *deployment.prepared.directory.rglob("*.key")]
    key = next(
        file for file in candidates if file.is_file() and file != deployment.prepared.request_signer_key
    )
    done = deployment.idp("check-config", IDP_WALLET__PRIVATE_KEY_FILE=str(key))
    assert done.returncode == 1
    assert "wallet.private_key_file" in done.stderr


def test_a_token_of_the_admin_api_is_made_listed_and_revoked(migrated: Deployment) -> None:
    made = migrated.idp("admin", "token", "create", "--role", "auditor", "--label", "dashboard")
    assert made.stdout.startswith("sinwon_admin_")
    token_id = made.stderr.partition(",")[0]
    assert migrated.idp("admin", "token", "revoke", token_id).returncode == 0
    [line] = migrated.idp("admin", "token", "list").stdout.splitlines()
    assert line.split()[:4] == [token_id, "auditor", "-", "revoked"]
    assert made.stdout.strip() not in line
    assert migrated.idp("admin", "token", "revoke", "nobody").returncode == 1
    member = migrated.idp("admin", "token", "create", "--role", "member", "--label", "ci")
    assert (member.returncode, member.stdout) == (1, "")


def test_commands_on_an_old_database_say_what_to_do(deployment: Deployment) -> None:
    done = deployment.idp("keys", "list")
    assert done.returncode == 1
    assert "idp migrate" in done.stderr


def test_an_upgrade_is_explained_before_it_is_done(deployment: Deployment) -> None:
    assert "new: nothing runs" in deployment.idp("upgrade", "--check").stdout
    assert not (deployment.directory / "sinwon.db").exists()
    schema.upgrade(f"sqlite:///{deployment.directory}/sinwon.db", "0005")
    tried = deployment.idp("upgrade", "--check")
    assert tried.returncode == 0, tried.stderr
    assert "0006  stop" in tried.stdout
    assert "Stop every node and worker first" in tried.stdout
    assert "revisions applied" in deployment.idp("upgrade").stdout
    assert "nothing to do" in deployment.idp("upgrade", "--check").stdout


def test_a_deployment_is_set_up_from_files_and_twice_changes_nothing(deployment: Deployment) -> None:
    assert deployment.idp("migrate").returncode == 0
    trust = deployment.idp("trust", "apply", str(deployment.prepared.trust_file))
    assert trust.returncode == 0, trust.stderr
    assert "LAX" in trust.stdout
    portals = deployment.idp("portals", "apply", str(deployment.prepared.portals_file))
    assert "gov24" in portals.stdout
    for command in (("trust", deployment.prepared.trust_file), ("portals", deployment.prepared.portals_file)):
        again = deployment.idp(command[0], "apply", str(command[1]))
        assert again.stdout.strip() == "Changed: nothing"


def test_a_wrong_portal_stops_the_whole_file(migrated: Deployment) -> None:
    text = migrated.prepared.portals_file.read_text("utf-8")
    wrong = migrated.directory / "wrong.toml"
    wrong.write_text(
        text.replace('"client_secret_basic"', '"magic"').replace("kr_passport", "kr_pasport"), "utf-8"
    )
    done = migrated.idp("portals", "apply", str(wrong))
    assert done.returncode == 1
    assert "gov24" in done.stderr
    assert "kr_pasport" in done.stderr
    assert migrated.idp("portals", "apply", str(migrated.prepared.portals_file)).stdout.count("gov24") == 1


@pytest.mark.parametrize(
    ("file", "text"), [("portals", "[[portal"), ("trust", "\xff"), ("trust", '[[mission]]\ncode = "LAX"')]
)
def test_a_file_that_cannot_be_read_is_named(migrated: Deployment, file: str, text: str) -> None:
    broken = migrated.directory / "broken.toml"
    broken.write_bytes(text.encode("latin-1"))
    done = migrated.idp(file, "apply", str(broken))
    assert done.returncode == 1
    assert "broken.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rotated_key_is_published_before_it_signs(migrated: Deployment) -> None:
    first = migrated.idp("keys", "rotate", "ES256", "--at-once")
    assert first.returncode == 0, first.stderr
    second = migrated.idp("keys", "rotate", "ES256")
    assert second.returncode == 0, second.stderr
    listed = migrated.idp("keys", "list").stdout.splitlines()
    states = {line.split()[0]: line.split()[2] for line in listed if " ES256 " in line}
    assert states[first.stdout.split()[-1]] == "active"
    assert states[second.stdout.split()[-1]] == "published"
    assert migrated.idp("keys", "remove", first.stdout.split()[-1]).returncode == 0
    after = migrated.idp("keys", "list").stdout
    assert [line.split()[2] for line in after.splitlines() if second.stdout.split()[-1] in line] == ["active"]
    unknown = migrated.idp("keys", "remove", "nobody")
    assert unknown.returncode == 1
    assert "nobody" in unknown.stderr


@pytest.mark.parametrize("name", ["IDP_CONFIG", "IDP_MODE"])
def test_the_demo_does_not_run_on_a_deployments_settings(deployment: Deployment, name: str) -> None:
    environ = {key: value for key, value in deployment.environ.items() if key != "IDP_CONFIG"}
    deployment.environ = {**environ, name: "production"}
    done = deployment.idp("demo", "--check")
    assert done.returncode == 1
    assert "Unset" in done.stderr
    assert not (deployment.directory / "var").exists()


def test_the_demo_signs_in_with_every_card_at_every_portal_that_takes_it(deployment: Deployment) -> None:
    deployment.environ.pop("IDP_CONFIG")
    done = deployment.idp("demo", "--check")
    assert done.returncode == 0, done.stderr
    assert all(": signed in; the portal shows " in line for line in done.stdout.splitlines())
    told = [line.partition(",")[0] for line in done.stdout.splitlines()]
    assert {line.partition(":")[0] for line in told} == {
        "gov24", "g4k", "apostille", "efamily", "bank", "counter",
    }  # fmt: skip
    assert {line.partition(": ")[2] for line in told} == {
        "kr-overseas-national as dc+sd-jwt", "kr-overseas-national as mso_mdoc",
        "kr-driving-licence as dc+sd-jwt", "kr-driving-licence as mso_mdoc",
        "kr-resident as dc+sd-jwt", "kr-civil-servant as dc+sd-jwt", "kr-veteran as dc+sd-jwt",
        "kr-overseas-national as opendid", "kr-overseas-national as mip",
    }  # fmt: skip
    assert len(told) == 53
    assert done.stderr == ""


def test_the_demo_tells_machines_where_everything_is(deployment: Deployment) -> None:
    deployment.environ.pop("IDP_CONFIG")
    command = [sys.executable, "-m", "idp.cli", "demo", "--port", "0", "--print-json", "--directory", "demo"]
    process = subprocess.Popen(
        command, cwd=deployment.directory, env=deployment.environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        assert where["discovery"].startswith(where["issuer"])
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_what_expired_is_swept_and_nothing_else(migrated: Deployment) -> None:
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database, database:
        rows = [("login", "a" * 64, 1), ("login", "b" * 64, 2**40)]
        database.executemany("INSERT INTO consumed (kind, digest, expires_at) VALUES (?, ?, ?)", rows)
    done = migrated.idp("sweep")
    assert done.stdout == "Deleted 1 rows.\n", done.stderr
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database:
        assert database.execute("SELECT digest FROM consumed").fetchall() == [("b" * 64,)]


def test_an_invitation_is_shown_once_and_kept_as_a_digest(migrated: Deployment) -> None:
    made = migrated.idp("portals", "invite", "--uses", "2", "--profile", "fapi2", "--note", "for the bank")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert len(token) >= 43
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database:
        [row] = database.execute("SELECT * FROM initial_access_token").fetchall()
        [event] = database.execute("SELECT name, actor FROM audit_event").fetchall()
    assert hashlib.sha256(token.encode()).hexdigest() in row
    assert {"fapi2", 2, "for the bank"} <= set(row)
    assert token not in row
    assert event[0] == "portal.invited"
    assert event[1].startswith("command line")


@pytest.mark.parametrize(
    "option", [("--expires", "0"), ("--uses", "0"), ("--profile", "x"), ("--note", "a\nb")]
)
def test_an_invitation_has_bounds(migrated: Deployment, option: tuple[str, str]) -> None:
    refused = migrated.idp("portals", "invite", *option)
    assert refused.returncode != 0
    assert option[0] in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_portal_is_disabled_enabled_and_removed(migrated: Deployment) -> None:
    migrated.idp("portals", "apply", str(migrated.prepared.portals_file))
    seen = []
    for command in ("disable", "enable", "remove"):
        done = migrated.idp("portals", command, "gov24")
        assert done.returncode == 0, done.stderr
        with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database:
            seen.append(database.execute("SELECT enabled FROM portal WHERE client_id = 'gov24'").fetchone())
            events = database.execute("SELECT name FROM audit_event ORDER BY id DESC LIMIT 3").fetchall()
    assert seen == [(0,), (1,), None]
    assert [name for (name,) in reversed(events)] == ["portal.disabled", "portal.enabled", "portal.removed"]


@pytest.mark.parametrize("command", ["disable", "enable", "remove"])
def test_a_portal_that_is_not_there_is_said_so(migrated: Deployment, command: str) -> None:
    done = migrated.idp("portals", command, "nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_where_a_sign_in_is_tried_is_printed(migrated: Deployment) -> None:
    migrated.idp("portals", "apply", str(migrated.prepared.portals_file))
    done = migrated.idp("try", "gov24")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("/console/portals/gov24/try")
    refused = migrated.idp("try", "nobody")
    assert refused.returncode == 1
    assert "nobody" in refused.stderr


# -- sessions, logout notices, keys that portals know --------------------------------------------------------------


NOTICES = """INSERT INTO logout_notice
    (id, client_id, subject_id, sid, created_at, due_at, attempts, delivered_at, last_problem)
    VALUES (?, ?, 'subject', 'sid', 1, ?, ?, ?, ?)"""


def test_logout_notices_are_listed_and_sent_again(migrated: Deployment) -> None:
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database, database:
        rows = [
            (1, "gov24", None, 1, 5, None),
            (2, "gov24", None, 28, None, "status 503"),
            (3, "efamily", 9, 1, None, "too slow"),
        ]
        database.executemany(NOTICES, rows)
    listed = migrated.idp("logout-notices", "list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split("  ")[:3] for line in listed.stdout.splitlines()] == [
        ["3", "efamily", "waiting"],
        ["2", "gov24", "given up"],
        ["1", "gov24", "delivered"],
    ]
    assert "status 503" in listed.stdout
    assert "subject" not in listed.stdout
    failed = migrated.idp("logout-notices", "list", "--failed", "--portal", "gov24").stdout
    assert [line.split()[0] for line in failed.splitlines()] == ["2"]
    assert "2 notices" in migrated.idp("logout-notices", "replay", "1", "2").stdout
    assert "1 notice will" in migrated.idp("logout-notices", "replay", "--portal", "efamily").stdout
    waiting = migrated.idp("logout-notices", "list").stdout
    assert waiting.count("waiting") == 3


def test_a_replay_names_what_it_is_of(migrated: Deployment) -> None:
    beyond = migrated.idp("logout-notices", "replay", "99")
    assert (beyond.returncode, beyond.stdout) == (1, "0 notices will be sent again.\n")
    for command in ("list", "replay"):
        unknown = migrated.idp("logout-notices", command, "--portal", "gov42")
        assert (unknown.returncode, unknown.stderr) == (1, "There is no portal gov42.\n")
    refused = migrated.idp("logout-notices", "replay")
    assert refused.returncode == 1
    assert "--portal" in refused.stderr


SIGNED_IN = """INSERT INTO signed_in (id, subject_id, started_at, ends_at, checked_at, ended_at)
    VALUES (?, ?, 1, 2, 1, ?)"""


def test_sessions_are_counted_found_by_ids_and_ended_one_by_one(migrated: Deployment) -> None:
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database, database:
        database.executemany(SIGNED_IN, [("one", "kim", None), ("two", "kim", 5), ("three", "lee", None)])
        database.execute("INSERT INTO session_portal VALUES ('one', 'gov24', 'the-sid', 1)")
        database.execute(
            "INSERT INTO audit_event (at, name, subject_id, login_id, correlation_id)"
            " VALUES (1, 'login.finished', 'kim', 'the-login', 'the-reference')"
        )
    assert migrated.idp("sessions", "list").stdout == "2 sessions live.\n"
    assert [
        line.split()[0] for line in migrated.idp("sessions", "list", "--sid", "the-sid").stdout.splitlines()
    ] == ["one"]
    for option, value in (("--login", "the-login"), ("--correlation", "the-reference"), ("--subject", "kim")):
        found = migrated.idp("sessions", "list", option, value).stdout.splitlines()
        assert [line.split()[0] for line in found] == ["one", "two"]
        assert "gov24" in found[0]
    assert migrated.idp("sessions", "list", "--sid", "a", "--login", "b").returncode == 1
    assert (
        migrated.idp("sessions", "end", "--session", "one", "--reason", "lost").stdout == "Ended 1 session.\n"
    )
    assert migrated.idp("sessions", "end", "--session", "one").stdout == "Ended 0 sessions.\n"
    unknown = migrated.idp("sessions", "end", "--portal", "gov42")
    assert (unknown.returncode, unknown.stdout, unknown.stderr) == (1, "", "There is no portal gov42.\n")
    migrated.idp("portals", "apply", str(migrated.prepared.portals_file))
    assert migrated.idp("sessions", "end", "--portal", "gov24").stdout == "Ended 0 sessions.\n"
    for wrong in ((), ("--subject", "kim", "--portal", "gov24")):
        assert migrated.idp("sessions", "end", *wrong).returncode == 1


def test_a_persons_sessions_are_ended(migrated: Deployment) -> None:
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database, database:
        rows = [("one", "kim", None), ("two", "kim", 5), ("three", "lee", None)]
        database.executemany(
            "INSERT INTO signed_in (id, subject_id, started_at, ends_at, checked_at, ended_at)"
            " VALUES (?, ?, 1, 2, 1, ?)",
            rows,
        )
    done = migrated.idp("sessions", "end", "--subject", "kim")
    assert (done.stdout, done.stderr) == ("Ended 1 session.\n", "")
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database:
        ended = database.execute("SELECT id FROM signed_in WHERE reason = 'admin'").fetchall()
        events = database.execute("SELECT name, actor, reason FROM audit_event").fetchall()
    assert ended == [("one",)]
    assert [(name, reason) for name, _, reason in events] == [
        ("session.ended", "admin"),
        ("admin.sessions_ended", None),
    ]
    assert all(actor.startswith("command line") for _, actor, _ in events)


def test_the_next_keys_line_says_which_portals_know_it(migrated: Deployment) -> None:
    migrated.idp("portals", "apply", str(migrated.prepared.portals_file))
    migrated.idp("keys", "rotate", "ES256", "--at-once")
    following = migrated.idp("keys", "rotate", "ES256").stdout.split()[-1]
    with closing(sqlite3.connect(migrated.directory / "sinwon.db")) as database, database:
        database.execute("INSERT INTO key_fetch (kid, client_id, at) VALUES (?, 'gov24', 1)", (following,))
        (n_portals,) = database.execute("SELECT count(*) FROM portal").fetchone()
    plain = migrated.idp("keys", "list").stdout.splitlines()
    [line] = [line for line in plain if following in line]
    assert line.endswith(f"fetched by 1 of {n_portals} portals")
    assert [line for line in plain if "fetched" in line] == [line]
    named = migrated.idp("keys", "list", "--portals").stdout
    assert "efamily" in named
    assert "gov24" not in named


def test_a_key_for_a_further_algorithm_is_made_by_hand_too(migrated: Deployment) -> None:
    done = migrated.idp("keys", "rotate", "PS256")
    assert done.returncode == 0, done.stderr
    assert migrated.idp("keys", "list").stdout.count(" PS256 ") == 2


def test_on_sqlite_there_is_no_worker_to_start(migrated: Deployment) -> None:
    refused = migrated.idp("worker")
    assert refused.returncode == 1
    assert "idp serve" in refused.stderr


def test_a_portal_brings_the_key_that_its_algorithm_needs(migrated: Deployment) -> None:
    text = migrated.prepared.portals_file.read_text("utf-8")
    applied = migrated.directory / "ps256.toml"
    applied.write_text(
        text.replace('alg = "ES256"', 'alg = "PS256"', 1),
        "utf-8",
    )
    done = migrated.idp("portals", "apply", str(applied))
    assert done.returncode == 0, done.stderr
    assert migrated.idp("keys", "list").stdout.count(" PS256  active") == 1


# -- the trust registry ----------------------------------------------------------------------------------------


@pytest.fixture
def registry(migrated: Deployment) -> Deployment:
    """A deployment that believes the demonstration's missions."""
    done = migrated.idp("trust", "apply", str(migrated.prepared.trust_file), "--reason", "to begin with")
    assert done.returncode == 0, done.stderr
    return migrated


def closed(registry: Deployment, code: str = "LAX") -> Path:
    """A trust file that closes a mission."""
    (mission,) = [one for one in registry.prepared.trust()["mission"] if one["code"] == code]
    file = registry.directory / "closed.toml"
    file.write_text(as_toml([("mission", {**mission, "active_until": "2025-01-01"})]), "utf-8")
    return file


def test_a_trust_file_is_tried_before_it_is_applied(registry: Deployment) -> None:
    signer = registry.prepared.mission_signer("LAX").certificate
    now = int(time.time())
    chain = json.dumps([base64.b64encode(signer.public_bytes(Encoding.DER)).decode()])
    with closing(sqlite3.connect(registry.directory / "sinwon.db")) as database, database:
        row = ("d" * 64, "kr-overseas-national", "dc+sd-jwt", "LAX", chain, now, now, now - now % 86400, 12)
        database.execute(f"INSERT INTO seen_chain VALUES ({', '.join('?' * 9)})", row)
    tried = registry.idp("trust", "apply", str(closed(registry)), "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "mission LAX would be changed: active_until" in tried.stdout
    assert (
        "WOULD FAIL  issuer_not_active  kr-overseas-national (dc+sd-jwt) of LAX, about 12 times"
        in tried.stdout
    )
    assert "Of 1 chains that were accepted within the last day 1 would fail." in tried.stdout
    assert "v1" in registry.idp("trust", "history", "LAX").stdout
    assert "v2" not in registry.idp("trust", "history", "LAX").stdout
    nothing = registry.idp("trust", "apply", str(registry.prepared.trust_file), "--dry-run").stdout
    assert nothing.startswith("Nothing would change.")


def test_the_history_says_who_changed_what_when_and_why(registry: Deployment) -> None:
    assert registry.idp("trust", "apply", str(closed(registry))).stdout == "Changed: LAX\n"
    assert registry.idp("trust", "remove", "LAX", "--reason", "letter 2026-117", LOGNAME="kim").stdout == (
        "Changed: LAX\n"
    )
    lines = registry.idp("trust", "history", "LAX").stdout.splitlines()
    assert [line.split("  ")[3:5] for line in lines] == [
        ["v3", "removed"],
        ["v2", "changed (active_until)"],
        ["v1", "added"],
    ]
    assert lines[0].split("  ")[5] == "command line: kim"
    assert lines[1].split("  ")[5] not in ("command line: ", "command line: unknown")
    assert lines[0].endswith("  letter 2026-117")
    assert lines[1].endswith("  -")
    assert lines[2].endswith("  to begin with")
    documents = registry.idp("trust", "history", "LAX", "--documents").stdout
    assert '"active_until": "2025-01-01"' in documents
    assert "after null" in documents


def test_what_is_there_is_listed_shown_and_exported(registry: Deployment) -> None:
    listed = registry.idp("trust", "list").stdout
    assert {"kr-overseas-national", "AKL"} <= {line.split()[1] for line in listed.splitlines()}
    assert "from 2099-01-01" in listed
    shown = registry.idp("trust", "show", "LAX").stdout
    assert tomllib.loads(shown)["mission"][0]["code"] == "LAX"
    exported = registry.directory / "exported.toml"
    exported.write_text(registry.idp("trust", "export").stdout, "utf-8")
    assert registry.idp("trust", "apply", str(exported)).stdout == "Changed: nothing\n"
    unknown = registry.idp("trust", "show", "nowhere")
    assert unknown.returncode == 1
    assert "nowhere" in unknown.stderr


def test_what_is_removed_needs_a_reason_and_must_be_there(registry: Deployment) -> None:
    assert "--reason" in registry.idp("trust", "remove", "LAX").stderr
    for reason in ("", "a\nb", "x" * 256):
        refused = registry.idp("trust", "remove", "LAX", "--reason", reason)
        assert refused.returncode == 1
        assert "--reason" in refused.stderr
    missing = registry.idp("trust", "apply", "nowhere.toml")
    assert (missing.returncode, missing.stderr) == (
        1,
        "nowhere.toml: cannot be read: No such file or directory\n",
    )
    needed = registry.idp("trust", "remove", "kr-overseas-national", "--reason", "old")
    assert needed.returncode == 1
    assert needed.stderr.startswith("kr-overseas-national was not removed:")
    assert needed.stderr.count("not a credential type: kr-overseas-national") > 5
    assert registry.idp("trust", "remove", "nowhere", "--reason", "x").returncode == 1
    assert "nothing is known" in registry.idp("trust", "history", "nowhere").stderr.lower()


def test_certificates_that_end_soon_are_named(registry: Deployment) -> None:
    assert registry.idp("trust", "expiring").stdout == "Certificates that end within 90 days: 0.\n"
    soon = registry.idp("trust", "expiring", "--days", "3650")
    assert soon.returncode == 0
    assert "issuer certificate of LAX  CN=Demo mission CA LAX" in soon.stdout
    assert "our certificate for wallets" in soon.stdout
    ends = registry.idp("trust", "expiring", "--days", "3650", "--exit-code")
    # The days that are left are counted anew by each: the second may be the next day's.
    days = re.compile(r"in \d+ days")
    assert (ends.returncode, days.sub("", ends.stdout)) == (1, days.sub("", soon.stdout))
    assert registry.idp("trust", "expiring", "--exit-code").returncode == 0


def test_missions_are_taken_out_of_a_signed_list(registry: Deployment) -> None:
    now = int(time.time())
    operator = listing.Keeper("Foreign ministry")
    certificates = [listing.iaca(f"CA {number}", "US") for number in range(3)]
    entities = [
        listing.entity(f"Mission {number}", listing.service(listing.ISSUANCE, one))
        for number, one in enumerate(certificates)
    ]
    file, ca = registry.directory / "list.jwt", registry.directory / "ca.pem"
    file.write_text(listing.lote(operator, entities, at=now) + "\n", "utf-8")
    ca.write_text(listing.pem(operator.ca), "utf-8")
    command = ("trust", "import-etsi", str(file), "--type", "kr-overseas-national", "--signer-ca", str(ca))
    tried = registry.idp(*command, "--by", "name", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.count("would be added") == 3
    done = registry.idp(*command, "--by", "name")
    assert done.stdout == "Changed: Mission-0, Mission-1, Mission-2\n"
    assert registry.idp(*command, "--by", "name").stdout == "Changed: nothing\n"
    history = registry.idp("trust", "history", "Mission-1").stdout
    assert "etsi:Foreign ministry: Test scheme no. 3 of " in history
    file.write_text(listing.lote(operator, entities[:2], at=now), "utf-8")
    shorter = registry.idp(*command, "--by", "name").stdout
    assert shorter == "Not in the list any more: Mission-2 (--remove-missing removes it)\nChanged: nothing\n"
    removed = registry.idp(*command, "--by", "name", "--remove-missing", "--reason", "struck off")
    assert removed.stdout == "Changed: Mission-2\n"
    assert "removed" in registry.idp("trust", "history", "Mission-2").stdout


def test_a_vical_is_taken_in(registry: Deployment) -> None:
    now = int(time.time())
    keeper = listing.vical_keeper()
    file, ca = registry.directory / "vical.cbor", registry.directory / "ca.pem"
    infos = [listing.info(listing.iaca("Utah IACA", "US", "UT")), listing.info(listing.iaca("Korea", "KR"))]
    file.write_bytes(listing.vical(keeper, infos, at=now))
    ca.write_text(listing.pem(keeper.ca), "utf-8")
    command = ("trust", "import-vical", str(file), "--type", "kr-driving-licence", "--signer-ca", str(ca))
    command += ("--by", "region")
    assert registry.idp(*command).stdout == "Changed: KR, US-UT\n"
    file.write_bytes(listing.vical(keeper, infos, at=now, tamper=True))
    refused = registry.idp(*command)
    assert refused.returncode == 1
    assert "issuer_signature" in refused.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--type", "nothing"), "--type"),
        (("--signer-ca", "sinwon.toml"), "--signer-ca"),
        (("--active-from", "soon"), "--active-from"),
        (("--by", "magic"), "--by"),
        ((), "not a LoTE"),
    ],
)
def test_a_list_that_cannot_be_taken_in_says_why(
    registry: Deployment, change: tuple[str, ...], said: str
) -> None:
    file, ca = registry.directory / "list.jwt", registry.directory / "ca.pem"
    file.write_text("no list", "utf-8")
    ca.write_text(listing.pem(listing.Keeper().ca), "utf-8")
    command = ["trust", "import-etsi", str(file), "--type", "kr-overseas-national", "--signer-ca", str(ca)]
    refused = registry.idp(*command, *change)
    assert refused.returncode != 0
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
