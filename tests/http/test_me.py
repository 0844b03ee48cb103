"""The holder's own page: what it shows and does, and what thieves get of it."""

from __future__ import annotations

from itertools import count

import pytest
from sqlalchemy import select

from idp.admin import organisations
from idp.models import Portal as PortalRow
from idp.models import SignedIn, db
from tests.at_me import Me
from tests.harmless import as_json, decent
from tests.http.test_withdrawal import NUMBER, signed_in
from tests.rig import Rig

PEOPLE = count(8000)
PAGES = (
    "/me/service?id=gov24",
    "/me/withdraw?id=gov24",
    "/me/sign-ins",
    "/me/receipt?id=x",
    "/me/receipt.jwt?id=x",
)
FORMS = ("/me/withdraw", "/me/sessions/end", "/me/sessions/end-all", "/me/close")


@pytest.fixture
def person() -> str:
    return f"invented-{next(PEOPLE)}"


def names(rig: Rig, after: int) -> list[tuple[str, str | None]]:
    return [(event.name, event.reason) for event in rig.events(after)]


def closed(me: Me) -> bool:
    """Whether the page is not open in this browser."""
    return "open-page" in me.get("/me").text


# -- in and out ----------------------------------------------------------------------------------------------------


def test_it_is_opened_by_showing_the_credential(rig: Rig, person: str) -> None:
    before = rig.last_event()
    me = Me(rig, person).open()
    assert me.page().root.text.count("아직 이 신분증으로 로그인한 서비스가 없습니다") == 1
    [opened] = [event for event in rig.events(before) if event.name == "me.opened"]
    assert opened.subject_id is not None


def test_single_sign_on_does_not_open_it(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    signed_in(portal, person)
    me = Me(rig, person)
    me.holder.browser = portal.browser
    begun = me.browser.post(me.holder.absolute("/me/sign-in"))
    assert me.get(begun.headers["Location"]).headers["Location"].startswith("/login/")


def test_a_look_at_it_signs_nobody_in_elsewhere(rig: Rig, person: str) -> None:
    me = Me(rig, person).open()
    assert me.session_handles() == []
    me.holder.client_id = "gov24"
    assert me.holder.begin().location.startswith("/login/")  # the wallet is asked


def test_a_session_that_was_there_goes_on(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    signed_in(portal, person)
    me = Me(rig, person)
    me.holder.browser = portal.browser
    assert len(me.open().session_handles()) == 1
    assert "code=" in portal.begin().location


def test_closing_it_leaves_sign_ins_alone(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    token = signed_in(portal, person)["access_token"]
    me = Me(rig, person).open()
    assert me.send("/me/close").status_code == 303
    assert closed(me)
    assert portal.userinfo(token).status_code == 200


@pytest.mark.parametrize("seconds", [[601], [300] * 6], ids=["unused", "in all"])
def test_it_closes_by_itself(rig: Rig, person: str, seconds: list[int]) -> None:
    me = Me(rig, person).open()
    for step in seconds:
        assert not closed(me)
        rig.clock.forward(step)
    assert closed(me)
    late = me.send("/me/withdraw", csrf="x", id="gov24")
    assert late.status_code == 401
    assert 'role="alert"' in late.text


def test_nothing_of_it_is_kept_by_a_browser(rig: Rig, person: str) -> None:
    me = Me(rig, person).open()
    answered = decent(me.get("/me"))
    assert answered.headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in answered.headers["Content-Security-Policy"]


# -- what it shows -------------------------------------------------------------------------------------------------


def test_it_shows_each_service_with_what_was_given_and_why(rig: Rig, person: str) -> None:
    signed_in(rig.portal("gov24"), person, NUMBER)
    signed_in(rig.portal("efamily"), person)
    me = Me(rig, person).open()
    shown = me.get("/me").text
    assert shown.count("정부24") >= 1
    assert shown.count("전자가족관계등록시스템") >= 1
    service = me.service("gov24")
    registered = rig.portal("gov24").registration
    for claim in registered["claims"]:
        if claim["name"] in {"name", "birthdate", NUMBER}:
            assert claim["purpose"]["ko"] in service
    assert registered["operator"]["ko"] in service
    assert "재외국민등록번호" in service


def test_it_names_whom_to_ask(rig: Rig, person: str) -> None:
    signed_in(rig.portal("gov24"), person)
    with rig.app.app_context():
        entry = {
            "id": "desk",
            "name": {"ko": "도움센터", "en": "Help desk"},
            "contact": {"phone": "+82 2 3210 0404"},
        }
        organisations.apply({"organisation": [entry], "portals": {"gov24": "desk"}}, now=rig.clock())
    assert "tel:+82232100404" in Me(rig, person).open().service("gov24")


def test_a_service_that_is_gone_is_still_shown(rig: Rig, person: str) -> None:
    variant = rig.variant("gov24", "short-lived")
    signed_in(variant, person)
    me = Me(rig, person).open()
    rig.switch_portal("short-lived", enabled=False)
    assert "더 이상 로그인을 받지 않습니다" in me.service("short-lived")
    with rig.app.app_context():
        db.session.delete(db.session.get_one(PortalRow, "short-lived"))
        db.session.commit()
    assert "정부24" in me.service("short-lived")
    assert me.withdraw("short-lived").headers["Location"].endswith("done=withdrawn")


def test_what_a_law_gives_cannot_be_taken_back_and_the_page_says_why(rig: Rig, person: str) -> None:
    law = {"ko": "주민등록법(예시)", "en": "Act (example)"}
    claims = [
        {**claim, "basis": "statute", "statute": law} if claim["name"] == "birthdate" else claim
        for claim in rig.portal("gov24").registration["claims"]
    ]
    signed_in(rig.variant("gov24", "by-law", claims=claims), person)
    me = Me(rig, person).open()
    shown = me.service("by-law")
    assert law["ko"] in shown
    assert "법령에 따라 제공되므로" in shown
    assert me.withdraw("by-law", "birthdate").status_code == 404
    assert me.withdraw("by-law").headers["Location"].endswith("done=withdrawn")


def test_sign_ins_come_a_page_at_a_time(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    signed_in(portal, person)
    for _ in range(22):
        assert "code=" in portal.begin().location
    me = Me(rig, person).open()
    first = me.get("/me/sign-ins?id=gov24")
    older = (
        first.text.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    )
    seen = [*me.receipt_ids("/me/sign-ins?id=gov24"), *me.receipt_ids(older)]
    assert len(seen) == len(set(seen)) == 23
    assert me.receipt_ids("/me/sign-ins?id=efamily") == []
    for odd in ("x", "1", "1.", "-1.x", "99999999999999999999.x", "1.x\0", "٣.x"):
        assert me.get("/me/sign-ins", params={"before": odd}).status_code == 200


def test_every_page_speaks_english_too(rig: Rig, person: str) -> None:
    signed_in(rig.portal("gov24"), person, NUMBER)
    me = Me(rig, person).open()
    receipt = me.receipt_ids()[0]
    for path in ("/me", "/me/service?id=gov24", "/me/withdraw?id=gov24", f"/me/receipt?id={receipt}"):
        shown = me.get(path, headers={"Accept-Language": "en"}).text
        assert 'lang="en"' in shown
        assert "Government24" in shown


# -- open sessions -------------------------------------------------------------------------------------------------


def test_a_session_is_ended_from_another_browser(rig: Rig, person: str) -> None:
    portal = rig.portal("gov24")
    token = signed_in(portal, person)["access_token"]
    me = Me(rig, person).open()
    [handle] = me.session_handles()
    before = rig.last_event()
    assert me.send("/me/sessions/end", session=handle).status_code == 303
    assert ("session.ended", "holder") in names(rig, before)
    as_json(portal.userinfo(token), 401, "invalid_token")
    assert portal.begin().location.startswith("/login/")
    assert me.session_handles() == []


def test_the_page_does_not_say_how_a_session_is_called(rig: Rig, person: str) -> None:
    """From its id every portal's `sid` could be made."""
    signed_in(rig.portal("gov24"), person)
    shown = Me(rig, person).open().get("/me").text
    with rig.app.app_context():
        ids = db.session.scalars(select(SignedIn.id)).all()
    assert ids
    assert not [session_id for session_id in ids if session_id in shown]


def test_signing_out_everywhere_ends_everything(rig: Rig, person: str) -> None:
    gov24, efamily = rig.portal("gov24"), rig.portal("efamily")
    tokens = [signed_in(portal, person)["access_token"] for portal in (gov24, efamily)]
    other = Me(rig, person).open()
    rig.clock.forward(1)
    me = Me(rig, person).open()
    rig.clock.forward(1)
    before = rig.last_event()
    assert me.send("/me/sessions/end-all").status_code == 303
    [done] = [event for event in rig.events(before) if event.name == "holder.signed_out"]
    assert done.detail == {"n": 2, "grants": 0}  # those of a session die with it
    for portal, token in zip((gov24, efamily), tokens, strict=True):
        as_json(portal.userinfo(token), 401, "invalid_token")
        assert portal.begin().location.startswith("/login/")
    assert closed(me)
    assert closed(other)
    rig.clock.forward(1)
    assert not closed(Me(rig, person).open())


# -- thieves -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def victim(rig: Rig) -> Me:
    """Somebody whose page is open, with a sign-in and a session."""
    signed_in(rig.portal("gov24"), "invented-8999", NUMBER)
    return Me(rig, "invented-8999").open()


def test_without_a_session_there_is_nothing_to_see(rig: Rig) -> None:
    stranger = Me(rig)
    for path in PAGES:
        assert stranger.get(path).headers["Location"] == "/me", path
    for path in FORMS:
        answered = stranger.send(path, csrf="x", id="gov24")
        assert answered.status_code in {401}, path


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("csrf", [None, "", "x"])
def test_a_form_without_the_pages_token_does_nothing(victim: Me, path: str, csrf: str | None) -> None:
    handles = victim.session_handles()
    assert victim.send(path, csrf=csrf, id="gov24", session=handles[0]).status_code == 403
    assert victim.session_handles() == handles


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_that_another_site_sends_does_nothing(victim: Me, site: str) -> None:
    answered = victim.send("/me/withdraw", headers={"Sec-Fetch-Site": site}, id="gov24")
    assert answered.status_code == 403
    assert "name" in victim.service("gov24")


def test_the_token_of_ones_own_page_does_nothing_on_anothers(rig: Rig, victim: Me, person: str) -> None:
    thief = Me(rig, person).open()
    assert victim.send("/me/sessions/end-all", csrf=thief.csrf()).status_code == 403


def test_another_persons_things_are_not_there(rig: Rig, victim: Me, person: str) -> None:
    thief = Me(rig, person).open()
    [receipt, *_] = victim.receipt_ids()
    [handle] = victim.session_handles()
    for path in (f"/me/receipt?id={receipt}", f"/me/receipt.jwt?id={receipt}", *PAGES[:2]):
        assert thief.get(path).status_code == 404, path
    assert thief.withdraw("gov24").status_code == 404
    assert thief.send("/me/sessions/end", session=handle).status_code == 404
    assert victim.session_handles() == [handle]


@pytest.mark.parametrize("client_id", ["", "nobody", "sinwon-console", "sinwon-me", "gov24\0", "x" * 5000])
def test_what_was_never_used_is_not_there(victim: Me, client_id: str) -> None:
    assert victim.get("/me/service", params={"id": client_id}).status_code == 404
    assert victim.withdraw(client_id).status_code == 404


def test_an_answer_that_another_browser_asked_for_opens_nothing(rig: Rig, person: str) -> None:
    callback = Me(rig, person).to_callback()
    before = rig.last_event()
    elsewhere = Me(rig)
    assert elsewhere.get(callback).status_code == 403
    assert closed(elsewhere)
    assert ("me.refused", "state") in names(rig, before)


@pytest.mark.parametrize("change", ["state", "iss", "code"])
def test_an_answer_that_was_changed_on_the_way_opens_nothing(rig: Rig, person: str, change: str) -> None:
    me = Me(rig, person)
    callback = me.to_callback().replace(f"{change}=", f"{change}=x", 1)
    assert me.get(callback).status_code == 403
    assert closed(me)


def test_a_callback_works_once_and_its_code_nowhere_else(rig: Rig, person: str) -> None:
    me = Me(rig, person)
    callback = me.to_callback()
    code = callback.partition("code=")[2].partition("&")[0]
    form = {
        "grant_type": "authorization_code",
        "client_id": "sinwon-me",
        "code": code,
        "code_verifier": "v" * 43,
    }
    as_json(rig.http.post(f"{rig.issuer}/token", data=form), 400, "invalid_grant")
    assert me.get(callback).status_code == 303
    assert me.get(callback).status_code == 403


def test_a_cookie_that_somebody_planted_is_not_what_opens_the_page(rig: Rig, person: str) -> None:
    me = Me(rig, person)
    me.browser.cookies.set("me", "planted", domain="127.0.0.1")
    me.open()
    assert closed(planted(rig, "planted"))


def planted(rig: Rig, cookie: str) -> Me:
    """A browser with that cookie."""
    thief = Me(rig)
    thief.browser.cookies.set("me", cookie, domain="127.0.0.1")
    return thief


def test_opening_it_again_ends_what_was_open_before(rig: Rig, person: str) -> None:
    me = Me(rig, person).open()
    before = me.browser.cookies.get("me")
    me.open()
    assert me.browser.cookies.get("me") != before
    assert closed(planted(rig, before or ""))


def test_nobody_registers_as_the_page(rig: Rig) -> None:
    for changes in ({"client_id": "sinwon-me"}, {"client_id": "twin", "sector_identifier": "sinwon-me"}):
        with pytest.raises(Exception, match="house"):
            rig.variant("gov24", **changes)
