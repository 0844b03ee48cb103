"""Tokens of programs, in the console: made with the own rights, shown once, ended by whoever may."""

from __future__ import annotations

import re

import pytest

from idp.admin.people import Role
from tests.at_api import Program, token
from tests.at_console import Admin
from tests.rig import Rig

_ID = re.compile(r"/console/tokens/([^/]+)/revoke")
_TEXT = re.compile(r"sinwon_admin_[A-Za-z0-9_-]{43}")


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Admin:
    return Admin(rig, "hong").join(Role.OWNER)


@pytest.fixture(scope="module")
def auditor(rig: Rig) -> Admin:
    return Admin(rig, "park").join(Role.AUDITOR)


def made(admin: Admin, label: str) -> str:
    """A token's text, out of the page that shows it."""
    answered = admin.send("/console/tokens", label=label, days="30")
    assert answered.status_code == 200
    [text] = set(_TEXT.findall(answered.text))
    return text


def test_a_token_has_the_rights_of_whoever_made_it_and_is_shown_once(rig: Rig, auditor: Admin) -> None:
    text = made(auditor, "dashboard")
    said = Program(rig, text).get("/token")
    assert (said["role"], said["label"], said["created_by"][:6]) == ("auditor", "dashboard", "admin:")
    assert 29 * 86_400 < said["expires_at"] - rig.clock() <= 30 * 86_400
    page = auditor.get("/console/tokens").text
    assert said["id"] in page
    assert text not in page


def test_the_own_token_is_ended_and_another_s_is_not_there(rig: Rig, owner: Admin, auditor: Admin) -> None:
    theirs, mine = made(owner, "pipeline"), made(auditor, "reports")
    ids = {text: Program(rig, text).get("/token")["id"] for text in (theirs, mine)}
    listed = set(_ID.findall(auditor.get("/console/tokens").text))
    assert ids[mine] in listed
    assert ids[theirs] not in listed
    assert auditor.send(f"/console/tokens/{ids[theirs]}/revoke").status_code == 404
    assert Program(rig, theirs).ask("GET", "/token").status_code == 200
    assert auditor.send(f"/console/tokens/{ids[mine]}/revoke").status_code == 303
    assert Program(rig, mine).ask("GET", "/token").json()["code"] == "token_revoked"


def test_an_owner_ends_every_token(rig: Rig, owner: Admin) -> None:
    given = token(rig, Role.OPERATOR)
    token_id = Program(rig, given).get("/token")["id"]
    assert token_id in _ID.findall(owner.get("/console/tokens").text)
    assert owner.send(f"/console/tokens/{token_id}/revoke").headers["Location"].endswith("done=token_revoked")
    assert Program(rig, given).ask("GET", "/token").status_code == 401


def test_a_token_has_a_name(auditor: Admin) -> None:
    for label in ("", " ", "x" * 65, "a\u202eb"):
        answered = auditor.send("/console/tokens", label=label, days="30")
        assert answered.status_code == 400
        assert not _TEXT.search(answered.text)
