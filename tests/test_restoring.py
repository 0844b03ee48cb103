"""A database is backed up and put back while a thief has kept everything: nothing used since is good again.

The backup is made while everything in `Kept` is still good; then each of it is used; then the backup is put back, by
`idp restore` on SQLite and as docs/operations.md says on PostgreSQL.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url

from idp.admin.people import Role
from idp.models import AuditLog, SignInFiguresMark, db, writing
from tests import commands, servers
from tests.at_console import Admin
from tests.at_console import invited as invited_to_console
from tests.at_counter import Counter, Phone
from tests.conftest import ON_POSTGRESQL
from tests.harmless import as_json, page
from tests.registering import invited, register
from tests.rig import Begun, Portal, Rig, callback_parameters, started

GRANTS = ["authorization_code", "refresh_token"]
LEEWAY_S = 10
OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"


def idp(rig: Rig, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command line with the rig's settings."""
    settings = rig.house.settings
    given = {
        "mode": settings.mode,
        "issuer": settings.issuer,
        "database__url": str(settings.database_url),
        "store__url": str(settings.store_url),
        "secrets__key_encryption_key": settings.secrets.key_encryption_key.reveal().hex(),
        "secrets__pepper": settings.secrets.pepper.reveal().hex(),
        "wallet__certificate_file": settings.wallet.certificate_file,
        "wallet__private_key_file": settings.wallet.private_key_file,
        "wallet__link": settings.wallet.link,
        **more,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    return commands.idp(
        *arguments,
        directory=Path.cwd(),
        environ={**kept, **{f"IDP_{name.upper()}": value for name, value in given.items()}},
    )


@dataclass
class Kept:
    """What the thief has. Everything was good when the backup was made, and was used before it was put back."""

    code: tuple[str, Begun]
    access_token: str
    refresh_tokens: list[str]
    assertion: str
    pushed: str
    response_address: str
    device: dict[str, Any]
    invitation: str
    registration_token: str
    said: str


@pytest.fixture(scope="module", params=["sqlite", ON_POSTGRESQL])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("house")
    if request.param == "sqlite":
        with started(directory) as running:
            yield running
        return
    server = request.getfixturevalue("postgresql_url")
    with (
        servers.new_database(server) as database,
        servers.redis() as port,
        started(directory, {"database.url": database, "store.url": f"redis://127.0.0.1:{port}/0"}) as running,
    ):
        yield running
        servers.drop_database(server, f"{make_url(database).database}_replaced")


@pytest.fixture(scope="module")
def portal(rig: Rig) -> Portal:
    """A portal that refreshes its tokens and proves itself by a signed assertion."""
    return rig.variant("g4k", "lasting", grant_types=GRANTS)


@pytest.fixture(scope="module")
def desk(rig: Rig) -> Counter:
    return Counter(rig)


def backed_up(rig: Rig, directory: Path) -> Callable[[], str]:
    """Make a backup while the service goes on; what puts it back, and gives what the command said."""
    url = make_url(rig.house.settings.database_url)
    if url.drivername == "sqlite":
        file = directory / "sinwon.backup"
        made = idp(rig, "backup", str(file))
        assert made.returncode == 0, made.stderr
        assert "sound" in made.stdout
        assert "secrets" in made.stdout
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        put_back = ["restore", str(file)]
    else:
        run_recipe("back up", url, directory)
        put_back = ["restored"]

    def restore() -> str:
        with rig.app.app_context():
            db.session.remove()
            db.engine.dispose()  # as if every node were stopped
        if url.drivername != "sqlite":
            run_recipe("restore", url, directory)
        done = idp(rig, *put_back)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return restore


def run_recipe(name: str, url: URL, directory: Path) -> None:
    """Do what docs/operations.md says under `# name`, but for what `idp` does, with this database as `$DB`."""
    (lines,) = re.findall(rf"^# {name}\n(.*?)^```$", OPERATIONS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    script = "\n".join(line for line in lines.splitlines() if not line.startswith(("idp ", "DB=", "OWNER=")))
    assert "$DB" in script
    environ = {
        "PATH": f"{servers.postgresql_binaries()}:{os.environ['PATH']}",
        "PGHOST": str(url.host),
        "PGPORT": str(url.port),
        "PGUSER": str(url.username),
        "PGPASSWORD": str(url.password),
        "DB": str(url.database),
        "OWNER": str(url.username),
    }
    done = subprocess.run(
        ["/bin/sh", "-euc", script], cwd=directory, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def kept(rig: Rig, portal: Portal, desk: Counter, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    begun = portal.begin()
    address = portal.show(portal.link(portal.page(begun))).redirect_uri
    assert address is not None
    code, bought = callback_parameters(portal.agree(portal.browser.get(address)))["code"], begun
    first = portal.token(code, bought.verifier).json()
    other = portal.code()
    waiting = portal.begin(prompt="login")
    response_address = portal.show(portal.link(portal.page(waiting))).redirect_uri
    assert response_address is not None
    pushed = portal.push().json()["request_uri"]
    assertion = portal.assertion()
    device = desk.codes()
    Phone(rig).approve(device)
    invitation, registration_token = invited_to_console(rig, Role.OWNER), invited(rig)
    with rig.app.app_context(), writing() as database:
        database.merge(AuditLog(id=1, size=0, edge=b"", settled_id=0, noted_id=0, noted_xid=2**40))
        database.merge(
            SignInFiguresMark(id=1, counted_id=0, seen_id=0, seen_at=0, writers=["9/9"], counted_at=0)
        )
    restore = backed_up(rig, tmp_path_factory.mktemp("backup"))
    assert portal.token(other[0], other[1].verifier).status_code == 200
    second = portal.refresh(first["refresh_token"]).json()
    assert portal.userinfo(second["access_token"]).status_code == 200
    assert portal.push(client_assertion=assertion).status_code == 201
    assert "code" in callback_parameters(portal.open_pushed(pushed))
    assert "code" in callback_parameters(portal.agree(portal.browser.get(response_address)))
    assert desk.poll(device).status_code == 200
    assert Admin(rig).sign_in(invitation).headers["Location"] == "/console"
    assert register(rig, registration_token).status_code == 201
    return Kept(
        code=other,
        access_token=second["access_token"],
        refresh_tokens=[first["refresh_token"], second["refresh_token"]],
        assertion=assertion,
        pushed=pushed,
        response_address=response_address,
        device=device,
        invitation=invitation,
        registration_token=registration_token,
        said=restore(),
    )


@pytest.fixture(autouse=True)
def restored(rig: Rig, kept: Kept) -> Iterator[None]:
    """Assertions are believed again: what is refused below is refused for another reason."""
    rig.clock.offset_s = LEEWAY_S + 2
    yield
    rig.clock.offset_s = 0


def test_the_operator_hears_what_ended_and_what_to_look_at(rig: Rig, kept: Kept) -> None:
    assert "nothing of before is good" in kept.said
    assert "administrators can sign in" in kept.said
    (event,) = [event for event in rig.events() if event.name == "system.restored"]
    assert event.actor is not None
    assert event.actor.startswith("command line")
    assert event.detail is not None
    assert event.detail["grants"] >= 1
    assert (event.detail["invitations"], event.detail["registration_tokens"]) == (1, 1)
    assert event.detail["consents"] >= 1


def test_a_code_is_not_redeemed_again(portal: Portal, kept: Kept) -> None:
    as_json(portal.token(kept.code[0], kept.code[1].verifier), 400, "invalid_grant")


def test_no_token_opens_anything(portal: Portal, kept: Kept) -> None:
    assert portal.userinfo(kept.access_token).status_code == 401


def test_no_refresh_token_of_the_family_is_good(portal: Portal, kept: Kept) -> None:
    for token in kept.refresh_tokens:
        as_json(portal.refresh(token), 400, "invalid_grant")


def test_a_response_code_brings_nobody_in(portal: Portal, kept: Kept) -> None:
    answered = portal.browser.get(kept.response_address)
    assert answered.status_code >= 400
    assert portal.redirect_uri not in answered.text


def test_a_pushed_request_is_not_opened_again(portal: Portal, kept: Kept) -> None:
    page(portal.open_pushed(kept.pushed), 400, "SINWON-R005")


def test_a_device_code_is_not_redeemed_again(desk: Counter, kept: Kept) -> None:
    assert as_json(desk.poll(kept.device), 400, desk.poll(kept.device).json()["error"])["error"] in {
        "invalid_grant", "expired_token",
    }  # fmt: skip


def test_an_invitation_to_the_console_is_not_taken_up_again(rig: Rig, kept: Kept) -> None:
    assert Admin(rig, "park").get(kept.invitation).status_code >= 400


def test_an_invitation_to_register_is_not_used_again(rig: Rig, kept: Kept) -> None:
    assert register(rig, kept.registration_token).status_code == 401


def test_a_client_assertion_is_not_believed_again_and_a_new_one_is(
    rig: Rig, portal: Portal, kept: Kept
) -> None:
    last = rig.last_event()
    as_json(portal.push(client_assertion=kept.assertion), 401, "invalid_client")
    as_json(portal.push(client_assertion=portal.assertion(iat=None)), 401, "invalid_client")
    assert [event.reason for event in rig.events(last)] == ["assertion_before_restore"] * 2
    assert portal.push(client_assertion=portal.assertion()).status_code == 201


def test_two_hours_later_an_assertion_needs_no_iat_again(rig: Rig, portal: Portal) -> None:
    rig.clock.forward(2 * 3600)
    assert portal.push(client_assertion=portal.assertion(iat=None)).status_code == 201


def test_a_session_does_not_answer_and_the_holder_is_asked_again(portal: Portal) -> None:
    begun = portal.begin()
    assert "/consent" in portal.to_consent(begun).headers["Location"]


def test_what_counted_transactions_begins_anew(rig: Rig) -> None:
    """On another server the numbers of before may never come: the audit would not be sealed any more."""
    with rig.app.app_context():
        assert db.session.get_one(AuditLog, 1).noted_xid is None
        assert db.session.get_one(SignInFiguresMark, 1).writers == []
