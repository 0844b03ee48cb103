"""Organisations, trust, keys, wallets, sessions, the audit and figures, by the API."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from idp.admin.audit import Sealing
from idp.admin.people import Role
from idp.models import SignedIn, db
from tests.at_api import Program, token
from tests.rig import Rig

NAMES = {"ko": "법원", "en": "Court"}


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Program:
    return Program(rig, token(rig, Role.OWNER))


@pytest.fixture(scope="module")
def organisation(owner: Program) -> str:
    owner.post("/organisations", 201, id="court", name=NAMES, contact={"email": "help@court.example"})
    return "/organisations/court"


def why(rig: Rig, name: str) -> Any:
    """What the latest event of this name says of the reason, and who did it."""
    event = [event for event in rig.events() if event.name == name][-1]
    return event.actor.partition(":")[0], (event.detail or {}).get("why")


def code(answered: httpx2.Response) -> tuple[int, str]:
    return answered.status_code, answered.json()["code"]


# -- organisations ---------------------------------------------------------------------------------------------


def test_an_organisation_is_changed_as_it_was_read(owner: Program, organisation: str) -> None:
    owner.post("/organisations", 409, id="court", name=NAMES)
    read = owner.ask("GET", organisation)
    body = {"name": NAMES, "contact": {"phone": "+82-2-0000-0001"}}
    assert code(owner.ask("PUT", organisation, json=body)) == (428, "precondition_required")
    done = owner.ask("PUT", organisation, json=body, match=read.headers["ETag"])
    assert done.json()["contact"] == {"phone": "+82-2-0000-0001"}
    assert code(owner.ask("PUT", organisation, json=body, match=read.headers["ETag"])) == (412, "outdated")
    wrong = owner.ask("PUT", organisation, json={"name": {"ko": "x" * 10_000, "en": ""}}, match="*")
    assert {one["field"] for one in wrong.json()["findings"]} == {"name.ko", "name.en"}


def test_a_member_is_invited_by_a_link_that_can_be_withdrawn(
    rig: Rig, owner: Program, organisation: str
) -> None:
    said = owner.post(f"{organisation}/invitations", 201, label="court-1", hours=48)
    assert rig.http.get(said["link"]).status_code == 200
    [open_] = owner.get(f"{organisation}/invitations")["items"]
    assert (open_["label"], open_["expires_at"]) == ("court-1", said["expires_at"])
    gone = owner.ask("POST", f"{organisation}/invitations/{open_['id']}/withdraw")
    assert gone.json() == {"items": []}
    assert owner.ask("POST", f"{organisation}/invitations/{open_['id']}/withdraw").status_code == 404
    hidden = owner.ask("POST", f"{organisation}/invitations", json={"label": "a\u202eb"})
    assert hidden.json()["findings"][0]["field"] == "label"
    assert owner.get(f"{organisation}/members") == {"items": []}


# -- trust -----------------------------------------------------------------------------------------------------


def test_the_registry_is_changed_after_it_was_tried(rig: Rig, owner: Program) -> None:
    read = owner.ask("GET", "/trust")
    state = read.headers["ETag"]
    mission = next(one for one in read.json()["items"] if one["kind"] == "mission")
    changed = {**mission["document"], "active_until": "2030-01-01"}
    body = {"mission": [changed], "reason": "closes"}
    tried = owner.ask("POST", "/trust/changes?dry_run=true", json=body, match=state).json()
    [change] = tried["changes"]
    assert (tried["dry_run"], change["verb"], change["members"]) == (True, "changed", ["active_until"])
    assert owner.get(f"/trust/mission/{mission['id']}")["version"] == mission["version"]
    done = owner.ask("POST", "/trust/changes", json=body, match=state)
    assert done.headers["ETag"] != state
    assert code(owner.ask("POST", "/trust/changes", json=body, match=state)) == (412, "outdated")
    [latest] = owner.get("/trust/history?limit=1")["items"]
    assert (latest["id"], latest["reason"], latest["after"]) == (mission["id"], "closes", changed)
    assert 'active_until = "2030-01-01"' in owner.ask("GET", "/trust.toml").text


def test_a_registry_that_makes_no_sense_is_refused_whole(owner: Program) -> None:
    for body in (
        {"mission": [{"code": "x" * 100}]},
        {"credential_type": [{}]},
        {"remove": [{"kind": "mission", "id": "nobody"}]},
        {"remove": [{"kind": "mission", "id": "LAX"}], "mission": [{"code": "LAX"}]},
    ):
        answered = owner.ask("POST", "/trust/changes", json={**body, "reason": "r"}, match="*")
        assert code(answered) == (422, "invalid")
        assert answered.json()["findings"]


# -- keys ------------------------------------------------------------------------------------------------------


def test_the_next_key_is_published_and_one_that_was_stolen_is_removed(rig: Rig, owner: Program) -> None:
    kid = owner.post("/keys/rotate", alg="ES256", reason="yearly")["kid"]
    assert why(rig, "admin.key_rotated") == ("token", "yearly")
    assert code(owner.ask("POST", "/keys/rotate", json={"alg": "ES256", "reason": "r"})) == (409, "conflict")
    states = {key["kid"]: key["state"] for key in owner.get("/keys")["items"]}
    assert states[kid] == "published"
    left = owner.post(f"/keys/{kid}/remove", reason="it was on a laptop")["items"]
    assert next(key["state"] for key in left if key["kid"] == kid) == "gone"
    assert why(rig, "admin.key_removed") == ("token", "it was on a laptop")
    assert code(owner.ask("POST", f"/keys/{kid}/remove", json={"reason": "r"})) == (404, "not_found")
    assert code(owner.ask("POST", "/keys/rotate", json={"alg": "none", "reason": "r"})) == (422, "invalid")


# -- wallets ---------------------------------------------------------------------------------------------------


def test_a_wallet_is_offered_once_it_was_tried_or_somebody_says_not(owner: Program) -> None:
    profile = {"id": "court-wallet", "version": 1, "name": NAMES, "link": "court-wallet://"}
    made = owner.ask("POST", "/wallets", json={"profile": profile})
    assert (made.status_code, made.json()["enabled"]) == (201, False)
    assert owner.ask("POST", "/wallets", json={"profile": profile}).status_code == 409
    path = made.headers["Location"]
    assert code(owner.ask("POST", f"{path}/enable", json={"reason": "r"})) == (409, "conflict")
    assert owner.post(f"{path}/enable", reason="tried by hand", untested=True)["enabled"] is True
    newer = {"profile": {**profile, "version": 2}}
    assert owner.ask("PUT", path, json=newer, match='"x"').status_code == 412
    changed = owner.ask("PUT", path, json=newer, match=made.headers["ETag"])
    assert (changed.json()["profile"]["version"], changed.json()["enabled"]) == (2, False)
    assert code(owner.ask("PUT", path, json={"profile": {**profile, "id": "y"}}, match="*")) == (
        422,
        "invalid",
    )
    assert code(owner.ask("POST", "/wallets", json={"profile": {**profile, "link": ""}})) == (422, "invalid")
    owner.post(f"{path}/disable", reason="gone")


# -- sessions --------------------------------------------------------------------------------------------------


def test_a_session_is_found_by_its_ids_and_ended(rig: Rig, owner: Program) -> None:
    rig.portal("gov24").sign_in("hong")
    with rig.app.app_context():
        [(session_id, subject_id)] = db.session.query(SignedIn.id, SignedIn.subject_id).all()
    found = owner.get(f"/sessions?find={subject_id}&by=subject")
    assert (found["n_live"], found["by_portal"]) == (1, [{"client_id": "gov24", "n": 1}])
    assert [one["id"] for one in found["found"]] == [session_id]
    assert owner.get("/sessions?find=%ED%99%8D%EA%B8%B8%EB%8F%99")["found"] == []
    assert owner.post("/sessions/end", session=session_id, reason="lost phone") == {"n_ended": 1, "n_left": 0}
    assert owner.get("/sessions")["n_live"] == 0
    assert code(owner.ask("POST", "/sessions/end", json={"subject": "nobody", "reason": "r"})) == (
        404,
        "not_found",
    )
    both = {"subject": subject_id, "portal": "gov24", "reason": "r"}
    assert code(owner.ask("POST", "/sessions/end", json=both)) == (422, "invalid")
    assert owner.post("/sessions/end", portal="gov24", reason="incident") == {"n_ended": 0, "n_left": 0}
    assert why(rig, "admin.sessions_ended") == ("token", "incident")
    assert owner.post("/logout-notices/replay", portal="gov24", reason="r")["n"] == 0
    assert owner.get("/logout-notices?failed=true") == {"items": []}


# -- the audit -------------------------------------------------------------------------------------------------


def test_the_audit_is_searched_a_page_at_a_time_and_says_so(rig: Rig, owner: Program) -> None:
    first = owner.get("/audit/events?limit=2")
    second = owner.get(f"/audit/events?limit=2&after={first['next']}")
    ids = [one["id"] for page in (first, second) for one in page["items"]]
    assert ids == sorted(ids, reverse=True)
    mine = owner.get("/token")["id"]
    named = owner.get(f"/audit/events?actor=token:{mine}&name=admin.audit_read")["items"]
    assert {one["actor"] for one in named} == {f"token:{mine}"}
    for query in ("name=nothing", "subject_id=a+b", "after=x", "since=-1", "limit=501"):
        assert code(owner.ask("GET", f"/audit/events?{query}")) == (422, "invalid")


def test_the_audit_is_taken_out_with_a_reason(rig: Rig, owner: Program) -> None:
    body = {"why": "case 2026-17", "events": {"name": "admin.audit_read"}}
    taken = owner.ask("POST", "/audit/export", json=body)
    assert taken.headers["Content-Type"].startswith("application/jsonl")
    assert {json.loads(line)["name"] for line in taken.text.splitlines()} == {"admin.audit_read"}
    assert why(rig, "admin.audit_exported") == ("token", "case 2026-17")
    assert code(owner.ask("POST", "/audit/export", json={"events": {}})) == (422, "invalid")
    assert code(owner.ask("POST", "/audit/export", json={"why": "a\nb"})) == (422, "invalid")


def test_a_checkpoint_comes_with_the_keys_that_prove_it(rig: Rig, owner: Program) -> None:

    with rig.app.app_context():
        Sealing(rig.house.audit_signer, rig.clock).seal(60)
    said = owner.get("/audit/checkpoint")
    assert said["checkpoint"].count(".") == 2
    assert said["keys"]


def test_figures_and_the_month_are_read(rig: Rig, owner: Program) -> None:
    figures = owner.get("/figures?hours=2")
    assert len(figures["hours"]) == 2
    month = owner.get("/audit/report?month=2026-11")
    assert month["month"] == "2026-11"
    assert code(owner.ask("GET", "/audit/report?month=2026-13")) == (422, "invalid")


def test_the_status_says_whether_people_can_sign_in(rig: Rig, owner: Program) -> None:
    said = owner.get("/status")
    assert (said["able"], said["issuer"], said["mode"]) == (True, rig.issuer, "demo")
    assert all(said["parts"].values())
