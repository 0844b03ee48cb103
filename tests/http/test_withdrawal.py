"""What a holder takes back is gone at once: every kind of token, what is on its way, and the session at the portal."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from idp.models import Consent, LogoutNotice, db
from tests.at_counter import Counter, Phone
from tests.at_me import Me
from tests.harmless import as_json
from tests.http.resource_servers import RECORDS, STAMPS, asking, records, stamps
from tests.rig import Portal, Rig

PEOPLE = count(7000)
NUMBER = "kr_overseas_registration_number"
GRANTS = ["authorization_code", "refresh_token"]


@pytest.fixture(scope="module")
def away(rig: Rig) -> str:
    """A portal that may come back on its own, and is told of logouts."""
    scopes = [*rig.portal("gov24").registration["scopes"], "offline_access"]
    rig.variant(
        "gov24", "away", scopes=scopes, grant_types=GRANTS, backchannel_logout_uri=f"{rig.issuer}/none"
    )
    return "away"


@pytest.fixture
def person() -> str:
    return f"invented-{next(PEOPLE)}"


def at(rig: Rig, client_id: str) -> Portal:
    """This portal, with a browser of its own."""
    registered = {"away": "gov24", "asking": "gov24"}
    if client_id not in registered:
        return rig.portal(client_id)
    portal = rig.portal(registered[client_id])
    portal.client_id = client_id
    if client_id == "away":
        portal.registration = {
            **portal.registration,
            "scopes": [*portal.registration["scopes"], "offline_access"],
        }
    return portal


def signed_in(portal: Portal, person: str, *items: str, **changes: Any) -> dict[str, Any]:
    """Tokens for a newcomer who ticks these items beside what is required."""
    begun = portal.begin(**changes)
    resumed = portal.to_consent(begun, person)
    ticked = ["name", "birthdate", *items]
    location = portal.agree(resumed, item=ticked).headers["Location"]
    code = location.partition("code=")[2].partition("&")[0]
    answered = portal.token(code, begun.verifier, resource=changes.get("resource"))
    assert answered.status_code == 200, answered.text
    return dict(answered.json())


def refused(rig: Rig, after: int) -> list[str | None]:
    return [event.reason for event in rig.events(after) if event.name == "code.refused"]


# -- tokens --------------------------------------------------------------------------------------------------------


def test_an_access_token_reads_nothing_any_more(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    token = signed_in(portal, person)["access_token"]
    assert portal.userinfo(token).status_code == 200
    Me(rig, person).open().withdraw("gov24")
    as_json(portal.userinfo(token), 401, "invalid_token")
    assert portal.post("/introspect", token=token).json() == {"active": False}


@pytest.mark.parametrize("resource", [RECORDS, STAMPS], ids=["opaque", "jwt"])
def test_a_token_for_a_resource_server_is_inactive(rig: Rig, person: str, resource: str) -> None:
    server = {RECORDS: records(rig), STAMPS: stamps(rig)}[resource]
    portal = asking(rig)
    token = signed_in(portal, person, resource=resource)["access_token"]
    assert server.post("/introspect", token=token).json()["active"] is True
    Me(rig, person).open().withdraw("asking")
    assert server.post("/introspect", token=token).json() == {"active": False}


@pytest.mark.parametrize("offline", [False, True], ids=["with the session", "offline"])
def test_a_refresh_token_buys_nothing_any_more(rig: Rig, person: str, away: str, offline: bool) -> None:
    portal = at(rig, away)
    tokens = signed_in(portal, person, *(["offline_access"] if offline else []))
    assert ("offline_access" in tokens["scope"].split()) is offline
    Me(rig, person).open().withdraw(away)
    as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    as_json(portal.userinfo(tokens["access_token"]), 401, "invalid_token")


def test_a_code_on_its_way_buys_nothing(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    code, begun = portal.code(person)
    me = Me(rig, person).open()
    before = rig.last_event()
    me.withdraw("gov24")
    as_json(portal.token(code, begun.verifier), 400, "invalid_grant")
    assert refused(rig, before) == ["consent_withdrawn"]


def test_a_counters_code_that_was_approved_buys_nothing(rig: Rig) -> None:
    desk, phone = Counter(rig, "withdrawn-desk"), Phone(rig)
    codes = desk.codes()
    phone.approve(codes)
    before = rig.last_event()
    Me(rig, "hong").open().withdraw("withdrawn-desk")
    as_json(desk.poll(codes), 400, "invalid_grant")
    assert refused(rig, before) == ["consent_withdrawn"]


def test_other_portals_tokens_go_on(rig: Rig, person: str) -> None:
    gov24, efamily = rig.portal("gov24"), rig.portal("efamily")
    signed_in(gov24, person)
    kept = signed_in(efamily, person)["access_token"]
    Me(rig, person).open().withdraw("gov24")
    assert efamily.userinfo(kept).status_code == 200


def test_another_persons_tokens_go_on(rig: Rig, person: str) -> None:
    portal, other = rig.portal("gov24"), rig.portal("gov24")
    signed_in(portal, person)
    kept = signed_in(other, f"invented-{next(PEOPLE)}")["access_token"]
    Me(rig, person).open().withdraw("gov24")
    assert other.userinfo(kept).status_code == 200


# -- what follows --------------------------------------------------------------------------------------------------


def test_the_next_sign_in_asks_again(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    signed_in(portal, person)
    again = portal.begin(prompt="login")
    assert "/consent" not in portal.to_consent(again, person).headers["Location"]
    Me(rig, person).open().withdraw("gov24")
    begun = portal.begin(prompt="login")
    assert "/consent" in portal.to_consent(begun, person).headers["Location"]


def test_single_sign_on_asks_again_too(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    signed_in(portal, person)
    assert "code=" in portal.begin().location
    Me(rig, person).open().withdraw("gov24")
    assert portal.begin().location.endswith("/consent")
    assert "error=consent_required" in portal.begin(prompt="none").location


def test_an_item_taken_back_is_not_given_and_not_asked_for_again(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    tokens = signed_in(portal, person, NUMBER)
    assert NUMBER in portal.userinfo(tokens["access_token"]).json()
    Me(rig, person).open().withdraw("gov24", NUMBER)
    as_json(portal.userinfo(tokens["access_token"]), 401, "invalid_token")
    tokens = portal.sign_in(person)
    said = portal.userinfo(tokens["access_token"]).json()
    assert "name" in said
    assert NUMBER not in said


@pytest.mark.parametrize("item", ["name", "address", "nonsense", "offline_access", "../name"])
def test_what_is_required_or_was_not_given_cannot_be_taken_back_alone(
    rig: Rig, person: str, item: str
) -> None:
    portal = rig.portal("gov24")
    token = signed_in(portal, person)["access_token"]
    me = Me(rig, person).open()
    assert me.withdraw("gov24", item).status_code == 404
    assert portal.userinfo(token).status_code == 200


def test_the_portal_is_told_and_others_are_not(rig: Rig, person: str, away: str) -> None:
    portal = at(rig, away)
    sid = portal.id_token_claims(signed_in(portal, person)["id_token"])["sid"]
    me = Me(rig, person)
    me.holder.browser = portal.browser  # the same browser: its session goes on
    me.open().withdraw(away)
    with rig.app.app_context():
        notices = db.session.scalars(select(LogoutNotice).where(LogoutNotice.sid == sid)).all()
        assert [notice.client_id for notice in notices] == [away]


def test_a_second_withdrawal_finds_nothing_left(rig: Rig, person: str) -> None:
    signed_in(rig.portal("gov24"), person)
    me = Me(rig, person).open()
    assert me.withdraw("gov24").headers["Location"].endswith("done=withdrawn")
    before = rig.last_event()
    assert me.withdraw("gov24").headers["Location"].endswith("done=nothing")
    assert [event.name for event in rig.events(before)] == []


def test_it_is_recorded_by_names_and_numbers(rig: Rig, person: str) -> None:
    signed_in(rig.portal("gov24"), person, NUMBER)
    me = Me(rig, person).open()
    before = rig.last_event()
    me.withdraw("gov24", NUMBER)
    me.withdraw("gov24")
    item, rest = [event for event in rig.events(before) if event.name == "consent.withdrawn"]
    assert (item.client_id, item.reason, item.detail["claims"]) == ("gov24", "item", [NUMBER])
    assert (rest.client_id, rest.reason, rest.detail["claims"]) == ("gov24", None, ["birthdate", "name"])
    assert item.subject_id == rest.subject_id is not None


def test_a_consent_that_ended_stays_on_record(rig: Rig, person: str) -> None:
    signed_in(rig.portal("gov24"), person)
    Me(rig, person).open().withdraw("gov24")
    with rig.app.app_context():
        latest = db.session.scalars(select(Consent).order_by(Consent.id.desc()).limit(1)).one()
        assert latest.claims == ["birthdate", "name"]
        assert latest.withdrawn_at is not None
