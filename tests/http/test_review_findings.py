"""What a reviewer who tried to break in found: each test fails without its fix."""

from __future__ import annotations

import json
import re
import threading
import tomllib
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from idp.admin import trust as trust_admin
from idp.credentials.trust import TrustDocumentError
from idp.fetch import FetchFailed
from idp.models import db, writing
from idp.oidc import grants
from idp.openid4vp.response import Responses
from idp.portals import RegistrationError
from idp.serve import Server
from tests.harmless import as_json, harmless, page, to_portal
from tests.presenting import Answer
from tests.rig import Begun, Portal, Rig, callback_parameters, parse_link

PURPOSE = {"ko": "시험", "en": "A test"}


def claim(name: str, *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "purpose": PURPOSE, "required": required, "basis": "consent"}


def login_id(begun: Begun) -> str:
    return begun.location.split("/")[2]


def answered(portal: Portal, begun: Begun, persona: str = "hong") -> str:
    """Where the wallet on this device sends the browser."""
    outcome = portal.show(portal.link(portal.page(begun)), persona)
    assert outcome.redirect_uri is not None
    return outcome.redirect_uri


def csrf(portal: Portal, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', portal.browser.get(portal.absolute(path)).text)
    assert found is not None
    return found[1]


# -- one login, one code ---------------------------------------------------------------------------------------


def test_a_slower_twin_of_the_last_step_buys_no_second_code(rig: Rig) -> None:
    """It had read the login before the first took it, and comes after the first has left the way back behind."""
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    page = portal.open(portal.to_consent(begun).headers["Location"])
    resume = portal.submit(page, "consent", decision="agree").headers["Location"]
    cookie = portal.browser.cookies[f"login-{login_id(begun)}"]
    with rig.app.app_context():
        seen_early = rig.house.logins.show(login_id(begun), cookie)
    location = portal.browser.get(portal.absolute(resume)).headers["Location"]
    with rig.app.app_context():
        assert rig.house.logins.finish(seen_early, cookie) is None
    assert portal.browser.get(portal.absolute(resume)).headers["Location"] == location


def test_a_login_that_the_store_remembers_wrongly_still_buys_one_code(rig: Rig) -> None:
    """Decision D11: a failover of the Store may bring back what was taken."""
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    page_ = portal.open(portal.to_consent(begun).headers["Location"])
    resume = portal.submit(page_, "consent", decision="agree").headers["Location"]
    key = f"login:{login_id(begun)}"
    before = rig.house.store.get(key)
    assert before is not None
    assert "code" in callback_parameters(portal.browser.get(portal.absolute(resume)))
    rig.house.store.put(key, before, 600)
    with harmless(rig):
        page(portal.browser.get(portal.absolute(resume)), 410, "SINWON-L002")


def test_the_wallets_way_back_loaded_twice_is_no_dead_end(rig: Rig) -> None:
    """A browser that loads ahead arrives twice; whichever comes second finds the login where the first brought it."""
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    url = answered(portal, begun)
    answers = [portal.browser.get(url) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {f"/login/{login_id(begun)}/consent"}


def test_parallel_last_steps_give_one_code(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    page_ = portal.open(portal.to_consent(begun).headers["Location"])
    resume = portal.absolute(portal.submit(page_, "consent", decision="agree").headers["Location"])
    cookies = dict(portal.browser.cookies.items())
    start, found = threading.Barrier(6), []

    def go() -> None:
        with rig.browser() as browser:
            start.wait()
            header = "; ".join(f"{name}={value}" for name, value in cookies.items())
            found.append(browser.get(resume, headers={"Cookie": header}).headers.get("Location"))

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({location for location in found if location is not None}) == 1


# -- consent ---------------------------------------------------------------------------------------------------


def test_what_became_required_after_the_page_was_shown_is_not_released(rig: Rig) -> None:
    full = [claim("name"), claim("birthdate")]
    portal = rig.variant("gov24", "growing", claims=full)
    begun = portal.begin(prompt="consent")
    resumed = portal.to_consent(begun)
    rig.apply_portal("gov24", client_id="growing", claims=full[:1])
    shown = portal.open(resumed.headers["Location"])
    agreed = portal.submit(shown, "consent", decision="agree")
    rig.apply_portal("gov24", client_id="growing", claims=full)
    code = callback_parameters(portal.browser.get(portal.absolute(agreed.headers["Location"])))["code"]
    token = portal.token(code, begun.verifier).json()["access_token"]
    assert portal.userinfo(token).json().keys() == {"name", "sub"}


def test_agreeing_to_a_page_without_a_required_item_shows_the_page_again(rig: Rig) -> None:
    full = [claim("name"), claim("birthdate")]
    portal = rig.variant("gov24", "growing-too", claims=full)
    resumed = portal.to_consent(portal.begin(prompt="consent"))
    rig.apply_portal("gov24", client_id="growing-too", claims=full[:1])
    shown = portal.open(resumed.headers["Location"])
    rig.apply_portal("gov24", client_id="growing-too", claims=full)
    again = portal.submit(shown, "consent", decision="agree")
    assert again.status_code == 400
    assert 'value="birthdate"' in again.text


def test_an_optional_item_that_was_refused_is_asked_for_again_once_it_is_required(rig: Rig) -> None:
    portal = rig.variant("g4k", "stricter", claims=[claim("name"), claim("address", required=False)])
    token = portal.sign_in()["access_token"]
    assert "address" not in portal.userinfo(token).json()
    rig.apply_portal("g4k", client_id="stricter", claims=[claim("name"), claim("address")])
    resumed = portal.to_consent(portal.begin(prompt="login"))
    assert resumed.headers["Location"].endswith("/consent")


# -- whose session ---------------------------------------------------------------------------------------------


def test_a_consent_page_left_open_does_not_answer_with_the_next_persons_session(rig: Rig) -> None:
    first = rig.portal("gov24")
    first.sign_in("hong")
    waiting = rig.portal("efamily")
    waiting.browser = first.browser
    begun = waiting.begin()
    shown = waiting.open(begun.location)
    first.sign_in("invented-1", prompt="login")  # somebody else, in another tab
    agreed = waiting.submit(shown, "consent", decision="agree")
    answer = waiting.browser.get(waiting.absolute(agreed.headers["Location"]))
    to_portal(answer, waiting.redirect_uri, "login_required", begun.state, rig.issuer)


def test_a_code_on_its_way_while_the_holder_signs_out_buys_nothing(rig: Rig) -> None:
    portal = rig.portal("gov24")
    hint = portal.sign_in()["id_token"]
    code, begun = portal.code(prompt="none")
    assert portal.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": hint}).status_code == 200
    with harmless(rig, ("code.refused", "session_ended")):
        as_json(portal.token(code, begun.verifier), 400, "invalid_grant")


def test_a_token_whose_grant_is_recorded_while_the_holder_signs_out_is_dead(rig: Rig) -> None:
    portal = rig.portal("gov24")
    tokens = portal.sign_in()
    with rig.app.app_context():
        ours = text('SELECT session_id FROM "grant" ORDER BY redeemed_at DESC, rowid DESC LIMIT 1')
        session_id = db.session.execute(ours).scalar_one()
        with writing() as database:
            grants.end_session(database, session_id, now=rig.clock())
        again = text('UPDATE "grant" SET revoked_at = NULL WHERE session_id = :id')
        db.session.execute(again, {"id": session_id})
        db.session.commit()
    assert portal.userinfo(tokens["access_token"]).status_code == 401


def test_a_session_ended_while_it_is_being_read_is_not_used(rig: Rig) -> None:
    portal = rig.portal("gov24")
    portal.sign_in()
    cookie = portal.browser.cookies["sinwon-session"]
    store, swap = rig.house.store, rig.house.store.swap

    def ended_first(*args: Any, **kwargs: Any) -> bool:
        rig.house.sessions.end(cookie)
        return swap(*args, **kwargs)

    store.swap = ended_first  # type: ignore[method-assign]
    try:
        assert rig.house.sessions.find(cookie) is None
    finally:
        store.swap = swap  # type: ignore[method-assign]


def test_max_age_zero_asks_the_wallet_also_within_the_same_second(rig: Rig, monkeypatch: Any) -> None:
    moment = rig.clock()
    monkeypatch.setattr(type(rig.clock), "__call__", lambda _clock: moment)
    portal = rig.portal("gov24")
    portal.sign_in()
    begun = portal.begin(max_age="0", prompt="none")
    to_portal(begun.response, portal.redirect_uri, "login_required", begun.state, rig.issuer)


def test_signing_out_twice_says_twice_that_one_is_signed_out(rig: Rig) -> None:
    portal = rig.portal("gov24")
    portal.sign_in()
    form = {"csrf": csrf(portal, "/logout")}
    assert portal.browser.post(f"{rig.issuer}/logout", data=form).status_code == 200
    assert portal.browser.post(f"{rig.issuer}/logout", data=form).status_code == 200


def test_a_session_whose_sid_is_lost_is_ended_by_its_cookie(rig: Rig) -> None:
    """Signing out was interrupted half way: the second try must not only say that it is done."""
    portal = rig.portal("gov24")
    hint = portal.sign_in()["id_token"]
    cookie = portal.browser.cookies["sinwon-session"]
    rig.house.store.take(f"sid:{portal.id_token_claims(hint)['sid']}")
    portal.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": hint})
    assert rig.house.sessions.find(cookie) is None


# -- how long ---------------------------------------------------------------------------------------------------


def test_a_wallet_that_keeps_fetching_does_not_keep_a_login_for_ever(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    times = rig.house.settings.lifetimes
    for _ in range((times.login_max_s + times.fetched_extra_s) // times.qr_offered_s + 2):
        shown = portal.browser.get(portal.absolute(begun.location))
        if shown.status_code == 410:
            break
        found = re.search(r'data-link="([^"]+)"', shown.text)
        assert found is not None
        request_uri = re.search(r"request_uri=([^&]+)", found[1].replace("&amp;", "&"))
        assert request_uri is not None
        rig.http.get(request_uri[1].replace("%3A", ":").replace("%2F", "/"))
        rig.clock.forward(times.qr_offered_s)
    page(portal.browser.get(portal.absolute(begun.location)), 410, "SINWON-L003")


def test_more_time_does_not_bring_back_a_code_that_has_expired(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    resumed = portal.to_consent(begun)
    form = {"csrf": csrf(portal, resumed.headers["Location"])}
    portal.agree(resumed)
    portal.browser.post(portal.absolute(f"{begun.location}/extend"), data=form)
    rig.clock.forward(rig.house.settings.lifetimes.code_ttl_s)
    again = portal.browser.get(f"{rig.issuer}/authorize/resume?login={login_id(begun)}")
    page(again, 410, "SINWON-L002")


def test_a_browser_that_begins_many_logins_keeps_the_latest_ones(rig: Rig) -> None:
    """A cookie each for 90 minutes would soon be a header that no server reads."""
    portal = rig.portal("gov24")
    begun = [portal.begin() for _ in range(40)]
    held = [name for name in portal.browser.cookies if name.startswith("login-")]
    assert len(held) == 24
    assert portal.browser.get(portal.absolute(begun[-1].location)).status_code == 200
    page(portal.browser.get(portal.absolute(begun[0].location)), 403)


# -- what a portal may and what it gets --------------------------------------------------------------------------


def test_a_portal_switched_off_reads_nothing_more(rig: Rig) -> None:
    portal = rig.variant("gov24", "switched-off")
    token = portal.sign_in()["access_token"]
    rig.switch_portal("switched-off", enabled=False)
    assert portal.userinfo(token).status_code == 401


def test_a_code_does_not_go_to_a_redirect_uri_taken_out_of_the_registration(rig: Rig) -> None:
    portal = rig.variant("gov24", "moved")
    begun = portal.begin(prompt="consent")
    shown = portal.open(portal.to_consent(begun).headers["Location"])
    agreed = portal.submit(shown, "consent", decision="agree")
    rig.apply_portal("gov24", client_id="moved", redirect_uris=["https://new.example/callback"])
    with harmless(rig, ("request.refused", "bad_request")):
        answer = page(portal.browser.get(portal.absolute(agreed.headers["Location"])), 400, "SINWON-R001")
    assert urlsplit(portal.redirect_uri).path not in answer.text


def test_what_is_asked_for_as_verified_is_not_also_said_unverified(rig: Rig) -> None:
    portal = rig.portal("gov24")
    asked = {
        "verification": {"trust_framework": None},
        "claims": {"birthdate": None, "name": {"value": "Nobody"}},
    }
    tokens = portal.sign_in(scope="openid", claims=json.dumps({"userinfo": {"verified_claims": asked}}))
    info = portal.userinfo(tokens["access_token"]).json()
    assert info.keys() == {"sub", "verified_claims"}
    assert info["verified_claims"]["claims"].keys() == {"birthdate"}


@pytest.mark.parametrize(
    ("verification", "claims"),
    [
        ({"trust_framework": {"values": 5}}, {"name": None}),
        ({"trust_framework": {"values": "kr_mobile_id"}}, {"name": None}),
        ({"trust_framework": {"max_age": "5"}}, {"name": None}),
        ({"trust_framework": None}, {"name": {"values": 5}}),
        ({"trust_framework": None}, {"kr_mission": {"values": "LAX"}}),
    ],
)
@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_a_condition_that_makes_no_sense_is_refused_before_anybody_is_asked(
    rig: Rig, verification: dict[str, Any], claims: dict[str, Any], place: str
) -> None:
    portal = rig.portal("g4k")
    asked = {"verified_claims": {"verification": verification, "claims": claims}}
    with harmless(rig, ("login.refused", "invalid_request")):
        begun = portal.begin(claims=json.dumps({place: asked}))
        to_portal(begun.response, portal.redirect_uri, "invalid_request", begun.state, rig.issuer)


@pytest.mark.parametrize("sub", ["홍길동", "é", "\u0000"])
def test_an_expected_subject_may_be_any_text(rig: Rig, sub: str) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin(claims=json.dumps({"id_token": {"sub": {"value": sub}}}))
    answer = portal.agree(portal.to_consent(begun))
    to_portal(answer, portal.redirect_uri, "login_required", begun.state, rig.issuer)


def test_a_status_that_is_not_known_now_does_not_make_a_secure_session(rig: Rig) -> None:
    """Decision D8. The portal at hand would take it; the next one, by single sign-on, must not."""
    portal = rig.portal("gov24")
    portal.sign_in()  # the list is held from now on
    status = rig.house.responses._status
    fetch = status._fetch  # type: ignore[attr-defined]

    def unreachable(_uri: str, _token_type: str) -> bytes:
        raise FetchFailed("network")

    status._fetch = unreachable  # type: ignore[attr-defined]
    try:
        rig.clock.forward(1800)
        begun = portal.begin(prompt="login")
        sent = Answer(rig, portal.link(portal.page(begun))).send()
        assert sent.status_code == 200
        answer = portal.agree(portal.browser.get(sent.json()["redirect_uri"]))
        tokens = portal.token(callback_parameters(answer)["code"], begun.verifier).json()
        assert portal.id_token_claims(tokens["id_token"])["acr"] == f"{rig.issuer}/acr/general"
        other = rig.portal("efamily")
        other.browser = portal.browser
        refused = other.begin(prompt="none")
        to_portal(refused.response, other.redirect_uri, "login_required", refused.state, rig.issuer)
    finally:
        status._fetch = fetch  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["client_uri", "policy_uri", "tos_uri"])
@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "http://x.example/"]
)
def test_a_link_of_a_portal_is_a_web_address(rig: Rig, name: str, uri: str) -> None:
    with pytest.raises(RegistrationError):
        rig.apply_portal("gov24", **{name: uri})


def test_a_portal_whose_credential_type_is_not_there_is_told_so(rig: Rig) -> None:
    portal = rig.variant("gov24", "too-early", credential_types=["not-issued-yet"])
    with harmless(rig, ("login.refused", "server_error")):
        begun = portal.begin()
        to_portal(begun.response, portal.redirect_uri, "server_error", begun.state, rig.issuer)


# -- odd bytes, odd addresses ------------------------------------------------------------------------------------


def test_basic_credentials_outside_ascii_are_refused_like_others(rig: Rig) -> None:
    with harmless(rig, ("client.refused", "basic_malformed")):
        answer = rig.http.post(
            f"{rig.issuer}/token",
            data={"grant_type": "authorization_code", "code": "x"},
            headers={b"Authorization": b"Basic \xe9\xe9"},
        )
        as_json(answer, 401, "invalid_client")


@pytest.mark.parametrize(
    "path", ["/%5Cevil.example/x", "/%5C%5Cevil.example", "/%3Fevil", "/%23evil", "/%0D%0Aevil"]
)
def test_the_language_switch_of_a_missing_page_stays_here(rig: Rig, path: str) -> None:
    shown = page(rig.http.get(rig.issuer + path), 404)
    links = re.findall(r'href="([^"]*lang=[^"]*)"', shown.text)
    assert links
    assert all(re.fullmatch(r"/[\w%.-]*(/[\w%.-]*)*\?lang=[\w-]+", link) for link in links)


def test_a_wallet_hears_json_when_the_login_goes_while_it_is_answered(rig: Rig, monkeypatch: Any) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    link = portal.link(portal.page(begun))
    read = Responses.read

    def cancelled_meanwhile(*args: Any, **kwargs: Any) -> Any:
        rig.house.store.take(f"login:{login_id(begun)}")
        return read(*args, **kwargs)

    monkeypatch.setattr(Responses, "read", cancelled_meanwhile)
    as_json(Answer(rig, link).send(), 400, "invalid_request")


@pytest.mark.parametrize("path", ["/authorize?client_id=nobody", "/logout?id_token_hint=x"])
def test_a_refusal_whose_audit_cannot_be_written_is_unavailable(rig: Rig, path: str) -> None:
    with rig.app.app_context():
        db.session.execute(text("ALTER TABLE audit_event RENAME TO audit_away"))
        db.session.commit()
    try:
        answer = rig.http.get(rig.issuer + path)
    finally:
        with rig.app.app_context():
            db.session.execute(text("ALTER TABLE audit_away RENAME TO audit_event"))
            db.session.commit()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_the_addresses_of_one_ipv6_network_are_counted_together(
    rig: Rig, one: str, other: str, together: bool
) -> None:
    rates = []
    store, count = rig.house.store, rig.house.store.count
    store.count = lambda key, window_s: rates.append(key) or count(key, window_s)  # type: ignore[method-assign,func-returns-value]
    try:
        for address in (one, other):
            rig.app.test_client().get("/authorize", environ_base={"REMOTE_ADDR": address})
    finally:
        store.count = count  # type: ignore[method-assign]
    assert (rates[0] == rates[1]) is together


def test_a_proxys_headers_give_no_path_a_second_spelling(rig: Rig) -> None:
    assert Server(rig.house.settings).cfg.forwarder_headers == []


def test_the_trust_registry_is_read_again_when_the_clock_is_set_back(rig: Rig) -> None:
    with rig.app.app_context():
        rig.house.trust.snapshot()
        before = rig.house.trust._read_at
        rig.clock.forward(-86_400)
        rig.house.trust.snapshot()
        assert before is not None
        assert rig.house.trust._read_at < before  # type: ignore[operator]


# -- what is remembered -------------------------------------------------------------------------------------------


def test_a_value_that_a_portal_expects_is_not_kept(rig: Rig) -> None:
    """Nothing about a holder is readable at rest, not even where the portal says it first."""
    portal = rig.portal("gov24")
    asked = {"name": {"value": "홍길동"}, "birthdate": {"values": ["1985-03-14"]}, "김영희": None}
    begun = portal.begin(claims=json.dumps({"userinfo": asked, "id_token": asked}))
    kept = json.dumps(rig.house.store.get(f"login:{login_id(begun)}"), ensure_ascii=False)
    assert not [value for value in ("홍길동", "1985-03-14", "김영희") if value in kept]
    tokens = portal.token(portal.callback(begun)["code"], begun.verifier).json()
    assert portal.id_token_claims(tokens["id_token"])["name"] == "홍길동"


def test_a_session_does_not_outlive_the_credential(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    answer = Answer(rig, portal.link(portal.page(begun)))
    answer.issuer_payload["exp"] = rig.clock() + 600
    resumed = portal.browser.get(answer.send().json()["redirect_uri"])
    assert "code" in callback_parameters(portal.agree(resumed))
    assert "code" in callback_parameters(portal.begin(prompt="none").response)
    rig.clock.forward(601)
    later = portal.begin(prompt="none")
    to_portal(later.response, portal.redirect_uri, "login_required", later.state, rig.issuer)


def test_a_presentation_that_could_not_be_recorded_is_not_accepted(rig: Rig, monkeypatch: Any) -> None:
    """Decision D10, when the database goes away between the record and its commit."""
    portal = rig.portal("gov24")
    begun = portal.begin()
    answer = Answer(rig, portal.link(portal.page(begun)))
    key = f"login:{login_id(begun)}"
    commit = Session.commit

    def failing(session: Session) -> None:
        login = rig.house.store.get(key)
        if login is not None and login["state"] == "presented":
            raise OperationalError("COMMIT", {}, Exception("gone"))
        commit(session)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", failing)
        response = answer.encrypted()
        sent = rig.http.post(answer.response_uri, data={"response": response})
    assert sent.status_code == 503
    login = rig.house.store.get(key)
    assert login is not None
    assert login["state"] == "waiting"
    assert rig.http.post(answer.response_uri, data={"response": response}).status_code == 200


def test_a_portal_does_not_change_its_sector_by_the_way(rig: Rig) -> None:
    """Every holder would be a stranger to it (OpenID Connect Core 8.1)."""
    with pytest.raises(RegistrationError, match=r"gov24\.example"):
        rig.apply_portal("gov24", sector_identifier="elsewhere.example")


@pytest.mark.parametrize("table", ["mission", "credential_type"])
def test_an_entry_that_stands_twice_in_a_trust_file_is_refused(rig: Rig, table: str) -> None:
    document = tomllib.loads(rig.prepared.trust_file.read_text("utf-8"))
    document[table].append(document[table][0])
    with rig.app.app_context(), pytest.raises(TrustDocumentError, match="stands twice"):
        trust_admin.apply(document, now=rig.clock())


def test_the_audit_of_a_refused_request_says_whose_it_was(rig: Rig) -> None:
    portal = rig.portal("gov24")
    last = rig.last_event()
    portal.begin(response_type="token")
    portal.begin(prompt="none")
    assert [(event.name, event.client_id) for event in rig.events(after=last)] == [
        ("login.refused", "gov24"),
        ("login.refused", "gov24"),
    ]


def test_a_bystander_who_refuses_a_qr_code_does_not_end_the_login(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    page_ = portal.page(begun)
    refused = rig.wallet.refuse(rig.wallet.receive(parse_link(portal.qr(page_))))
    assert refused.status == 200
    shown = portal.page(begun)
    assert "SINWON-W001" in portal.browser.get(portal.absolute(begun.location)).text
    outcome = portal.show(portal.link(shown))
    assert "/consent" in portal.browser.get(outcome.redirect_uri).headers["Location"]


def test_portals_cannot_link_a_person_by_the_session(rig: Rig) -> None:
    gov24, efamily = rig.portal("gov24"), rig.portal("efamily")
    efamily.browser = gov24.browser
    first = gov24.id_token_claims(gov24.sign_in()["id_token"])
    second = efamily.id_token_claims(efamily.sign_in()["id_token"])
    assert first["sid"] != second["sid"]
    assert first["sub"] != second["sub"]


def test_the_twin_of_a_last_step_is_sent_to_ask_again_and_gets_the_same_code(rig: Rig) -> None:
    """The second click of a double one arrives while the first is still making the code."""
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    page_ = portal.open(portal.to_consent(begun).headers["Location"])
    resume = portal.absolute(portal.submit(page_, "consent", decision="agree").headers["Location"])
    logins, twins = rig.house.logins, []
    remember = logins.remember

    def overtaken(login: Any, location: str) -> None:
        twins.append(portal.browser.get(resume))
        remember(login, location)

    logins.remember = overtaken  # type: ignore[method-assign]
    try:
        first = portal.browser.get(resume)
    finally:
        logins.remember = remember  # type: ignore[method-assign]
    (twin,) = twins
    page(twin, 409, "SINWON-L008")
    assert f'href="/authorize/resume?login={login_id(begun)}"' in twin.text
    assert portal.browser.get(resume).headers["Location"] == first.headers["Location"]


def test_cancelling_after_the_redirect_uri_was_taken_out_leads_nowhere(rig: Rig) -> None:
    portal = rig.variant("gov24", "moved-on")
    begun = portal.begin()
    (csrf,) = set(
        re.findall(r'name="csrf" value="([^"]+)"', portal.browser.get(portal.absolute(begun.location)).text)
    )
    elsewhere = portal.redirect_uri.replace("callback", "elsewhere")
    rig.apply_portal("gov24", client_id="moved-on", redirect_uris=[elsewhere])
    left = portal.browser.post(portal.absolute(f"{begun.location}/cancel"), data={"csrf": csrf})
    page(left, 400, "SINWON-R001")
