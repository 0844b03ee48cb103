"""The device flow: a counter asks, a phone answers (RFC 8628)."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter as Count
from typing import Any

import httpx2
import pytest

from idp.demo import check
from idp.oidc.session_end import Reason, SessionEnds
from idp.oidc.user_code import ALPHABET
from idp.portals import DEVICE_CODE, REFRESH_TOKEN
from tests.at_counter import Counter, Phone
from tests.harmless import EVIL, as_json, decent, harmless, kept, page
from tests.http.test_races import MANY, at_once, names, statuses
from tests.proving import Prover
from tests.rig import Rig

DONE = "/device/done"
REFUSED = "/device/refused"


@pytest.fixture(scope="module")
def rig(each_rig: Rig) -> Rig:
    """On every database and store."""
    return each_rig


@pytest.fixture
def desk(rig: Rig) -> Counter:
    return Counter(rig)


@pytest.fixture
def phone(rig: Rig) -> Phone:
    return Phone(rig)


def error(response: httpx2.Response) -> str:
    return str(as_json(response, 400, response.json()["error"])["error"])


# -- the counter asks --------------------------------------------------------------------------------------------


def test_a_counter_gets_a_code_to_keep_and_a_code_to_show(rig: Rig, desk: Counter) -> None:
    answered = decent(desk.ask())
    codes = answered.json()
    assert answered.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(f"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", codes["user_code"])
    assert len(codes["device_code"]) == 43
    assert codes["verification_uri"] == f"{rig.issuer}/device"
    assert codes["verification_uri_complete"] == f"{rig.issuer}/device?user_code={codes['user_code']}"
    assert (codes["expires_in"], codes["interval"]) == (600, 5)


def test_neither_code_stands_in_the_store(rig: Rig, desk: Counter) -> None:
    codes = desk.codes()
    keys = json.dumps(sorted(kept(rig, "device", "user-code", "device-pace")))
    assert codes["device_code"] not in keys
    assert codes["user_code"].replace("-", "") not in keys


def test_discovery_names_the_endpoint_and_the_grant(rig: Rig) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert said["device_authorization_endpoint"] == f"{rig.issuer}/device_authorization"
    assert DEVICE_CODE in said["grant_types_supported"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": None, "nonce": "n"}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"claims": "{"}, "invalid_request"),
        ({"nonce": "n" * 2000}, "invalid_request"),
        ({"resource": "https://unknown.example/"}, "invalid_target"),
        ({"prompt": "none"}, "invalid_request"),
        ({"request": "eyJ"}, "invalid_request"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
    ],
)
def test_a_request_is_checked_as_an_authorization_request_is(
    rig: Rig, desk: Counter, changes: dict[str, Any], expected: str
) -> None:
    with harmless(rig, ("request.refused", expected)):
        as_json(desk.ask(**changes), 400, expected)


def test_a_portal_that_did_not_register_the_grant_gets_no_code(rig: Rig) -> None:
    plain = Counter(rig, "plain", grant_types=["authorization_code"])
    with harmless(rig, ("request.refused", "unauthorized_client"), ("token.refused", "grant_type")):
        as_json(plain.ask(), 400, "unauthorized_client")
        as_json(plain.poll({"device_code": "x" * 43}), 400, "unauthorized_client")


def test_a_portal_must_prove_itself(rig: Rig, desk: Counter) -> None:
    wrong = {"Authorization": f"Basic {base64.b64encode(b'desk:wrong').decode()}"}
    with harmless(rig, ("client.refused", "wrong_secret")):
        refused = desk.ask(headers=wrong)
        assert refused.status_code == 401
        assert refused.json()["error"] == "invalid_client"


def test_a_request_in_the_query_is_refused(rig: Rig) -> None:
    with harmless(rig, ("request.refused", "invalid_request")):
        answered = rig.http.post(f"{rig.issuer}/device_authorization?scope=openid", data={})
        as_json(answered, 400, "invalid_request")


# -- the whole way -----------------------------------------------------------------------------------------------


def test_a_holder_confirms_on_the_phone_and_the_counter_learns_who_it_is(
    rig: Rig, desk: Counter, phone: Phone
) -> None:
    codes = desk.codes(nonce="n-1")
    assert error(desk.poll(codes)) == "authorization_pending"
    ended = phone.approve(codes)
    assert ended.url.path == DONE
    tokens = desk.poll(codes).json()
    claims = desk.portal.id_token_claims(tokens["id_token"])
    assert claims["nonce"] == "n-1"
    assert claims["aud"] == "desk"
    assert "sid" in claims
    assert desk.portal.userinfo(tokens["access_token"]).json()["name"] == "홍길동"
    assert "refresh_token" not in tokens


def test_the_demonstrations_counter_gets_a_portrait(rig: Rig, phone: Phone) -> None:
    registered = next(p for p in rig.prepared.portals() if p["client_id"] == "counter")
    assert registered["grant_types"] == [DEVICE_CODE]
    desk = Counter(
        rig,
        "counter-like",
        **{name: registered[name] for name in ("scopes", "claims", "credential_types", "sector_identifier")},
    )
    codes = desk.codes(claims=json.dumps({"userinfo": {"picture": {"essential": True}}}))
    assert phone.approve(codes).url.path == DONE
    token = desk.poll(codes).json()["access_token"]
    assert "picture" in desk.portal.userinfo(token).json()


@pytest.mark.parametrize("typed", ["{0}", "{1}", " {1} ", "{0}.", "{2}"])
def test_a_code_may_be_typed_in_any_way(rig: Rig, desk: Counter, phone: Phone, typed: str) -> None:
    code = desk.codes()["user_code"]
    wide = "".join(chr(ord(char) + 0xFEE0) for char in code.replace("-", ""))
    shown = phone.type(typed.format(code, code.replace("-", "").lower(), wide))
    assert check.required(check.Page(shown), "shown-code", "page").text == code


def test_the_page_names_the_counter_what_it_asks_for_and_the_code(desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    shown = page(phone.open(codes["user_code"]), 200)
    registered = desk.portal.registration
    assert registered["name"]["ko"] in shown.text
    assert registered["operator"]["ko"] in shown.text
    for claim in registered["claims"]:
        assert claim["purpose"]["ko"] in shown.text
    assert codes["user_code"] in shown.text
    assert codes["device_code"] not in shown.text


@pytest.mark.parametrize(
    ("language", "words"), [("ko", "창구 화면의 코드와 같은가요?"), ("en", "Is this the code")]
)
def test_the_pages_speak_the_phones_language_whatever_the_counter_speaks(
    rig: Rig, desk: Counter, language: str, words: str
) -> None:
    phone = Phone(rig, language)
    codes = desk.codes(ui_locales="en" if language == "ko" else "ko")
    shown = phone.open(codes["user_code"])
    assert words in shown.text
    assert shown.headers["Content-Language"] == language
    sign_in = phone.browser.get(phone.hand.absolute(phone.decide(shown).headers["Location"]))
    assert sign_in.headers["Content-Language"] == language


def test_the_wallet_is_asked_even_where_the_phone_is_signed_in(rig: Rig, desk: Counter) -> None:
    phone = Phone(rig)
    phone.hand.sign_in("hong")
    codes = desk.codes()
    confirmed = phone.confirm(codes)
    assert confirmed.headers["Location"].startswith("/login/")
    assert phone.hand.open(confirmed.headers["Location"]).find("wallet-link") is not None
    assert error(desk.poll(codes)) == "authorization_pending"


def test_a_visit_to_a_counter_leaves_the_phones_session_as_it_was(rig: Rig, desk: Counter) -> None:
    signed_in, fresh = Phone(rig), Phone(rig)
    signed_in.hand.sign_in("hong")
    before = signed_in.browser.cookies["sinwon-session"]
    signed_in.approve(desk.codes(), "park")
    assert signed_in.browser.cookies["sinwon-session"] == before
    assert "code=" in signed_in.hand.begin().location  # still the one who signed in there
    fresh.approve(desk.codes())
    assert "sinwon-session" not in fresh.browser.cookies


def test_a_logout_reaches_what_the_counter_got(rig: Rig, desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    phone.approve(codes)
    tokens = desk.poll(codes).json()
    assert desk.portal.userinfo(tokens["access_token"]).status_code == 200
    rig.browser().get(f"{rig.issuer}/logout", params={"id_token_hint": tokens["id_token"]})
    assert desk.portal.userinfo(tokens["access_token"]).status_code == 401


def test_a_logout_before_the_counter_asks_leaves_it_nothing(rig: Rig, desk: Counter, phone: Phone) -> None:
    first, codes = desk.codes(), desk.codes()
    last = rig.last_event()
    phone.approve(codes)
    with rig.app.app_context():
        subject_id = next(e.subject_id for e in rig.events(after=last) if e.name == "device.ended")
        SessionEnds(rig.house.sessions, rig.clock).everything(subject_id or "", Reason.HOLDER)
    assert error(desk.poll(codes)) == "invalid_grant"
    assert error(desk.poll(first)) == "authorization_pending"


def test_a_counter_with_a_key_gets_tokens_for_that_key_alone(rig: Rig, phone: Phone) -> None:
    desk = Counter(rig, "keyed", dpop_bound_access_tokens=True)
    codes = desk.codes()
    phone.approve(codes)
    assert error(desk.poll(codes)) == "invalid_dpop_proof"
    prover, url = Prover(), f"{rig.issuer}/token"
    asked = desk.poll(codes, headers={"DPoP": prover.proof(url)})
    assert error(asked) == "use_dpop_nonce"
    nonce = asked.headers["DPoP-Nonce"]
    tokens = desk.poll(codes, headers={"DPoP": prover.proof(url, nonce=nonce)}).json()
    assert tokens["token_type"] == "DPoP"
    assert desk.portal.userinfo(tokens["access_token"]).status_code == 401


def test_a_counter_with_refresh_tokens_refreshes(rig: Rig, phone: Phone) -> None:
    desk = Counter(rig, "refreshing", grant_types=[DEVICE_CODE, REFRESH_TOKEN])
    codes = desk.codes()
    phone.approve(codes)
    tokens = desk.poll(codes).json()
    again = desk.refresh(tokens["refresh_token"])
    assert again.status_code == 200, again.text
    assert desk.portal.userinfo(again.json()["access_token"]).json()["name"] == "홍길동"


# -- while nobody has decided, and when it came to nothing ---------------------------------------------------------


def test_who_asks_too_often_is_told_to_slow_down_and_must(rig: Rig, desk: Counter) -> None:
    codes = desk.codes()
    assert error(desk.poll(codes)) == "authorization_pending"
    assert error(desk.poll(codes)) == "slow_down"
    rig.clock.forward(6)  # the old interval
    assert error(desk.poll(codes)) == "slow_down"
    rig.clock.forward(16)
    assert error(desk.poll(codes)) == "authorization_pending"
    rig.clock.forward(11)
    assert error(desk.poll(codes)) == "slow_down"


def test_an_answer_is_given_at_once_however_often_was_asked(rig: Rig, desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    desk.poll(codes)
    desk.poll(codes)
    phone.approve(codes)
    assert desk.poll(codes).status_code == 200


def refused_on_the_page(phone: Phone, codes: dict[str, Any]) -> httpx2.Response:
    return phone.decide(phone.open(codes["user_code"]), "refuse")


def cancelled(phone: Phone, codes: dict[str, Any]) -> httpx2.Response:
    sign_in = phone.hand.open(phone.confirm(codes).headers["Location"])
    form = next(e for e in sign_in.root.below() if e.attributes.get("class") == "back")
    token = dict(check.form_fields(form))["csrf"]
    return phone.browser.post(phone.hand.absolute(form.attributes["action"]), data={"csrf": token})


def refused_consent(phone: Phone, codes: dict[str, Any]) -> httpx2.Response:
    consent = phone.hand.open(phone.show(phone.confirm(codes), "invented-91").headers["Location"])
    return phone.hand.submit(consent, "consent", decision="refuse")


@pytest.mark.parametrize("refuse", [refused_on_the_page, cancelled, refused_consent])
def test_a_refusal_is_told_to_the_counter_and_said_to_the_holder(
    rig: Rig, desk: Counter, phone: Phone, refuse: Any
) -> None:
    codes = desk.codes()
    answered = refuse(phone, codes)
    assert answered.status_code == 303
    shown = phone.browser.get(phone.hand.absolute(answered.headers["Location"]))
    assert shown.url.path == REFUSED
    assert "제공된 정보는 없습니다" in shown.text
    assert error(desk.poll(codes)) == "access_denied"
    assert error(desk.poll(codes)) == "access_denied"
    page(phone.open(codes["user_code"]), 409, "SINWON-L010")


def test_an_expired_code_is_called_expired_on_both_sides(rig: Rig, desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    rig.clock.forward(601)
    assert error(desk.poll(codes)) == "expired_token"
    page(phone.open(codes["user_code"]), 410, "SINWON-L011")


def test_a_code_that_expires_while_the_wallet_is_asked_gives_nothing(
    rig: Rig, desk: Counter, phone: Phone
) -> None:
    rig.clock.forward(-400)
    codes = desk.codes()
    rig.clock.forward(400)
    consent = phone.show(phone.confirm(codes), "invented-92")
    rig.clock.forward(300)
    resumed = phone.hand.agree(consent)
    page(resumed, 410, "SINWON-L011")
    assert error(desk.poll(codes)) == "expired_token"


def test_a_sign_in_that_ran_out_of_time_ends_the_code(rig: Rig, phone: Phone) -> None:
    desk = Counter(rig)
    codes = desk.codes()
    confirmed = phone.confirm(codes)
    rig.clock.forward(590)
    login = phone.browser.get(phone.hand.absolute(confirmed.headers["Location"]))
    assert login.status_code == 200
    # The code runs out with it, and what the counter hears is that.
    rig.clock.forward(20)
    ended = page(phone.browser.get(phone.hand.absolute(confirmed.headers["Location"])), 410, "SINWON-L003")
    assert REFUSED not in ended.text
    assert error(desk.poll(codes)) == "expired_token"


def test_too_many_wrong_numbers_are_told_to_the_counter(rig: Rig, desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    sign_in = phone.hand.open(phone.confirm(codes).headers["Location"])
    outcome = phone.hand.show(phone.hand.qr(sign_in))
    shown = check.Page(rig.browser().get(outcome.redirect_uri or ""))
    number = int(check.required(shown, "confirmation-number", "phone").text)
    numbers = phone.hand.open(sign_in.url)
    for _ in range(3):
        answered = phone.hand.submit(numbers, "confirm", number=f"{(number + 1) % 10_000:04}")
    page(answered, 410, "SINWON-L007")
    assert error(desk.poll(codes)) == "access_denied"


def test_a_double_click_at_the_end_shows_the_end_again(desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    confirmed = phone.confirm(codes)
    phone.finish(confirmed)
    login = confirmed.headers["Location"].rpartition("/")[2]
    again = phone.browser.get(phone.hand.absolute(f"/authorize/resume?login={login}"))
    assert again.headers["Location"].endswith(DONE)


# -- one phone, one counter, once ----------------------------------------------------------------------------------


def test_a_code_that_one_phone_confirmed_is_in_use_for_another(rig: Rig, desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    other = Phone(rig)
    seen_before = other.open(codes["user_code"])
    confirmed = phone.confirm(codes)
    page(other.decide(seen_before), 409, "SINWON-L010")
    page(other.decide(seen_before, "refuse"), 409, "SINWON-L010")
    page(other.open(codes["user_code"]), 409, "SINWON-L010")
    assert phone.finish(confirmed).url.path == DONE
    assert desk.poll(codes).status_code == 200


def test_a_second_click_on_the_same_phone_goes_on(desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    shown = phone.open(codes["user_code"])
    phone.decide(shown)
    second = phone.decide(shown)
    assert second.headers["Location"].startswith("/login/")
    assert phone.finish(second).url.path == DONE


def test_of_many_phones_at_once_one_gets_the_code(rig: Rig, desk: Counter) -> None:
    codes = desk.codes()
    phones = [Phone(rig) for _ in range(10)]
    pages = [phone.open(codes["user_code"]) for phone in phones]
    last = rig.last_event()
    responses = at_once(
        *[
            lambda phone=phone, shown=shown: phone.decide(shown)
            for phone, shown in zip(phones, pages, strict=True)
        ]
    )
    assert statuses(responses) == {303: 1, 409: 9}
    assert names(rig, last) == {"device.confirmed": 1, "login.started": 1}


def test_a_device_code_polled_by_fifty_at_once_is_redeemed_once(
    rig: Rig, desk: Counter, phone: Phone
) -> None:
    codes = desk.codes()
    phone.approve(codes)
    last = rig.last_event()
    responses = at_once(*[lambda: desk.poll(codes)] * MANY)
    assert statuses(responses) == {200: 1, 400: MANY - 1}
    assert {r.json()["error"] for r in responses if r.status_code == 400} == {"invalid_grant"}
    assert names(rig, last) == {"code.redeemed": 1, "code.replayed": MANY - 1}
    (winner,) = [response.json() for response in responses if response.status_code == 200]
    assert desk.portal.userinfo(winner["access_token"]).status_code == 401


def test_of_many_polls_at_once_one_is_in_time(desk: Counter) -> None:
    codes = desk.codes()
    said = Count(error(response) for response in at_once(*[lambda: desk.poll(codes)] * 10))
    assert said["authorization_pending"] == 1
    assert said["slow_down"] == 9


def test_another_portals_device_code_is_refused_kept_for_its_owner_and_reported(
    rig: Rig, desk: Counter, phone: Phone
) -> None:
    codes = desk.codes()
    phone.approve(codes)
    thief = Counter(rig, "thief")
    with harmless(rig, ("code.wrong_client", "device")):
        assert error(thief.poll(codes)) == "invalid_grant"
    assert desk.poll(codes).status_code == 200


@pytest.mark.parametrize("device_code", ["x" * 43, "x", "한글", "x" * 300, EVIL])
def test_an_unknown_device_code_is_an_invalid_grant(rig: Rig, desk: Counter, device_code: str) -> None:
    possible = device_code.isascii() and len(device_code) < 256
    with harmless(rig, ("code.refused", "unknown") if possible else ("token.refused", "invalid_grant")):
        assert error(desk.poll({"device_code": device_code})) == "invalid_grant"


def test_a_poll_without_a_code_is_an_invalid_request(rig: Rig, desk: Counter) -> None:
    with harmless(rig, ("token.refused", "invalid_request")):
        assert error(desk.poll({"device_code": None})) == "invalid_request"


def test_a_resource_that_was_not_granted_does_not_spend_the_code(desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    phone.approve(codes)
    assert error(desk.poll(codes, resource="https://other.example/")) == "invalid_target"
    assert desk.poll(codes).status_code == 200


# -- who may use a form, and who guesses ---------------------------------------------------------------------------


@pytest.mark.parametrize("spoiled", [{"csrf": "x"}, {"csrf": None}])
def test_a_form_of_another_page_changes_nothing(
    rig: Rig, desk: Counter, phone: Phone, spoiled: dict[str, Any]
) -> None:
    codes = desk.codes()
    shown = phone.open(codes["user_code"])
    with harmless(rig, ("request.refused", "form_expired")):
        page(phone.decide(shown, **spoiled), 403, "SINWON-L008")
    assert error(desk.poll(codes)) == "authorization_pending"


def test_a_form_made_for_one_code_does_not_confirm_another(desk: Counter, phone: Phone) -> None:
    mine, other = desk.codes(), desk.codes()
    shown = phone.open(mine["user_code"])
    page(phone.decide(shown, user_code=other["user_code"]), 403, "SINWON-L008")


def test_a_form_of_one_browser_is_no_use_in_another(rig: Rig, desk: Counter, phone: Phone) -> None:
    codes = desk.codes()
    shown = phone.open(codes["user_code"])
    victim = Phone(rig)
    page(victim.decide(shown), 403, "SINWON-L008")
    victim.open(codes["user_code"])
    page(victim.decide(shown), 403, "SINWON-L008")


@pytest.mark.parametrize("cookie", ["", "x", "x" * 43, "한글".encode().hex()])
def test_a_cookie_that_is_not_ours_is_replaced(rig: Rig, phone: Phone, cookie: str) -> None:
    phone.browser.cookies.set("device", cookie)
    page(phone.browser.get(f"{rig.issuer}/device"), 200)


def test_the_pages_cookie_is_out_of_reach_of_scripts_and_other_sites(rig: Rig, phone: Phone) -> None:
    cookie = phone.browser.get(f"{rig.issuer}/device").headers["Set-Cookie"]
    assert cookie.startswith("device=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("typed", ["BCDF-GHJK", "ABCD-EFGH", "B", "12345678", EVIL, "비밀번호여덟글자"])
def test_an_unknown_code_is_said_on_the_page_where_it_can_be_typed_again(
    rig: Rig, phone: Phone, typed: str
) -> None:
    with harmless(rig):
        shown = page(phone.open(typed), 404, "SINWON-L009")
    assert check.Page(shown).find("device") is not None


# -- what the audit says -------------------------------------------------------------------------------------------


def test_the_audit_says_who_asked_who_confirmed_and_how_it_ended(
    rig: Rig, desk: Counter, phone: Phone
) -> None:
    last = rig.last_event()
    codes = desk.codes()
    phone.approve(codes)
    desk.poll(codes)
    events = {event.name: event for event in rig.events(after=last)}
    assert next(iter(events)) == "device.started"
    assert events["device.confirmed"].ip == "127.0.0.1"
    assert (events["device.confirmed"].detail or {}).keys() == {"after_s"}
    # The same request confirmed and began the sign-in.
    assert events["device.confirmed"].correlation_id == events["login.started"].correlation_id
    assert events["device.ended"].reason == "approved"
    assert events["device.ended"].login_id == events["login.started"].login_id
    assert events["code.redeemed"].reason == "device"
    said = json.dumps([[e.reason, e.detail] for e in rig.events(after=last)])
    assert codes["user_code"] not in said
    assert codes["device_code"] not in said
