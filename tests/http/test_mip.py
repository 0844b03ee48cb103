"""The national app's door over real HTTP: every message, in and out of order, and what becomes of the sign-in."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from idp.admin import wallets
from idp.demo.personas import PERSONAS
from idp.mip import errors
from idp.views.messages import MESSAGES
from tests.harmless import decent, harmless, to_portal
from tests.mip import stand_in
from tests.mip.app import App, b64, refusal, said
from tests.rig import Begun, Portal, Rig, callback_parameters, person, started
from tests.waiting import eventually

REJECTED = "presentation.rejected"
REFUSED = "wallet.refused"


def use(rig: Rig) -> None:
    """The wallets of the demonstration, the national app among them."""
    with rig.app.app_context():
        listed = rig.prepared.wallets(rig.prepared.wallet_link)
        for wallet in wallets.apply({"wallet": listed}, now=rig.clock()):
            wallets.switch(wallet, enabled=True, now=rig.clock())


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """With the simulator behind it."""
    with started(tmp_path_factory.mktemp("house"), {"mip.backend": "simulator"}) as running:
        use(running)
        yield running


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def asked(portal: Portal, via: str = "link", **changes: Any) -> tuple[Begun, App]:
    """A sign-in at whose page the holder chose the national app."""
    begun = portal.begin(**changes)
    page = portal.open(f"{begun.location}?wallet=mobile-id")
    return begun, App(portal.rig, portal.link(page) if via == "link" else portal.qr_code(page))


def confirm(portal: Portal, begun: Begun, persona: str = "hong", typed: str | None = None) -> httpx2.Response:
    """Type the end of the number that the certificate has."""
    end = "".join(filter(str.isalnum, person(persona).registration_number))[-4:]
    return portal.submit(portal.page(begun), "confirm", number=end if typed is None else typed)


def signed_in(portal: Portal, begun: Begun, persona: str = "hong") -> dict[str, Any]:
    """From an answer that was taken to the claims of the ID token."""
    confirmed = confirm(portal, begun, persona)
    resumed = portal.browser.get(portal.absolute(confirmed.headers["Location"]))
    code = callback_parameters(portal.agree(resumed))["code"]
    response = portal.token(code, begun.verifier)
    assert response.status_code == 200, response.text
    return portal.id_token_claims(response.json()["id_token"])


# -- what goes well --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("via", ["link", "qr"])
@pytest.mark.parametrize("client_id", ["gov24", "g4k", "apostille", "efamily"])
def test_a_holder_signs_in_with_the_national_app(rig: Rig, client_id: str, via: str) -> None:
    portal = rig.portal(client_id)
    begun, app = asked(portal, via)
    assert decent(app.show()).json() == {"result": True}
    assert app.status() == "0006"
    claims = signed_in(portal, begun)
    level = "secure" if client_id == "efamily" else "general"
    assert claims["acr"] == f"{rig.issuer}/acr/{level}"
    assert ("face" in claims["amr"]) == (level == "secure")
    assert "qr" in claims["amr"]


def test_the_person_is_the_same_as_with_another_wallet(rig: Rig) -> None:
    by_openid4vp = rig.portal().id_token_claims(rig.portal().sign_in()["id_token"])
    portal = rig.portal()
    begun, app = asked(portal)
    app.show()
    assert signed_in(portal, begun)["sub"] == by_openid4vp["sub"]


def test_the_code_carries_a_message_and_the_button_a_link(portal: Portal) -> None:
    begun = portal.begin()
    page = portal.open(f"{begun.location}?wallet=mobile-id")
    code = App(portal.rig, portal.qr_code(page)).m200
    assert (code["ifType"], code["ci"]) == ("QR-MPM", True)  # the deployment may ask for 연계정보
    link = portal.link(page)
    assert link.startswith(f"{portal.rig.prepared.mobileid_url}/verify?data_type=byte&mode=direct&data=")
    assert link.endswith("&clientScheme=")
    assert App(portal.rig, link).m200["ifType"] == "App2App"


def test_the_app_is_asked_for_what_the_portal_needs_and_nothing_else(portal: Portal) -> None:
    _, app = asked(portal)
    inner = app.profile()["profile"]
    assert sorted(inner["filter"]["requiredPrivacyList"]) == ["birth", "ci", "expatno", "name"]
    assert inner["svcCode"] == "mep.1"
    assert inner["name"] == "정부24"


def test_a_portal_that_requires_secure_asks_by_the_secure_service_code(rig: Rig) -> None:
    _, app = asked(rig.portal("efamily"))
    inner = app.profile()["profile"]
    assert inner["svcCode"] == "mep.2"
    assert inner["authType"] == ["pin", "face"]


def test_a_request_that_requires_secure_asks_by_the_secure_service_code(rig: Rig, portal: Portal) -> None:
    wanted = {"id_token": {"acr": {"essential": True, "value": f"{rig.issuer}/acr/secure"}}}
    _, app = asked(portal, claims=json.dumps(wanted))
    assert app.profile()["profile"]["svcCode"] == "mep.2"


def test_what_is_shown_beyond_what_was_asked_for_is_dropped(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    profile = app.profile()
    profile["profile"]["filter"]["requiredPrivacyList"] += ["passportno", "address"]
    app.m400(app.vp(profile=profile))
    confirmed = confirm(portal, begun)
    resumed = portal.browser.get(portal.absolute(confirmed.headers["Location"]))
    page = portal.open(resumed.headers["Location"])
    assert person("hong").passport_number not in page.root.text
    assert person("hong").address[:8] not in page.root.text


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_both_versions_of_the_messages_are_spoken(portal: Portal, version: str) -> None:
    _, app = asked(portal)
    app.version = version
    assert app.show().json() == {"result": True}


def test_the_picture_is_the_portals_or_ours(portal: Portal) -> None:
    _, app = asked(portal)
    answer = decent(app.m320()).json()
    picture = base64.urlsafe_b64decode(answer["data"] + "=" * (-len(answer["data"]) % 4))
    assert answer["result"] is True
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert app.status() == "0001"


def test_where_a_transaction_stands_is_told_and_nothing_else(portal: Portal) -> None:
    _, app = asked(portal)
    assert app.status() == "0001"
    app.profile()
    assert app.status() == "0002"
    app.show()
    assert said(app.post("trxsts", {"trxcode": app.trxcode})) == {
        "trxcode": app.trxcode,
        "trxStsCode": "0006",
        "vpVerifyResult": "Y",
    }


def test_the_page_hears_that_the_app_has_come_and_that_it_has_answered(portal: Portal) -> None:
    begun, app = asked(portal)
    state = f"{portal.absolute(begun.location)}/status"
    assert portal.browser.get(state).json() == {"state": "waiting"}
    profile = app.profile()
    assert portal.browser.get(state).json() == {"state": "fetched"}
    app.m400(app.vp(profile=profile))
    assert portal.browser.get(state).json() == {"state": "confirm"}


def test_an_accepted_answer_is_in_the_audit(rig: Rig, portal: Portal) -> None:
    _, app = asked(portal)
    last = rig.last_event()
    response = app.show()
    accepted = rig.events(after=last)[-1]
    assert (accepted.name, accepted.detail["via"]) == ("presentation.accepted", "qr")
    assert accepted.correlation_id == response.headers["X-Correlation-Id"]


# -- whose browser ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("via", ["link", "qr"])
def test_an_answer_alone_opens_nothing(portal: Portal, via: str) -> None:
    begun, app = asked(portal, via)
    app.show()
    resumed = portal.browser.get(
        f"{portal.rig.issuer}/authorize/resume?login={begun.location.rpartition('/')[2]}"
    )
    assert "code=" not in resumed.headers.get("Location", "")
    assert portal.page(begun).find("confirm") is not None


def test_the_number_may_be_typed_in_small_letters(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    app.show()
    assert confirm(portal, begun, typed=" 0017 ").status_code == 303


@pytest.mark.parametrize("typed", ["0018", "", "17", "000000017", "홍길동", "%", "LAX2"])
def test_something_else_than_its_end_is_refused_where_it_was_typed(portal: Portal, typed: str) -> None:
    begun, app = asked(portal)
    app.show()
    refused = confirm(portal, begun, typed=typed)
    assert refused.status_code == 403
    assert 'id="wrong"' in refused.text
    assert person("hong").registration_number not in refused.text
    assert confirm(portal, begun).status_code == 303


def test_three_wrong_ends_end_the_sign_in(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    app.show()
    for _ in range(2):
        assert confirm(portal, begun, typed="9999").status_code == 403
    assert "SINWON-L007" in confirm(portal, begun, typed="9999").text


def test_another_browser_cannot_confirm(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    app.show()
    other = rig.portal("gov24")
    assert other.browser.get(portal.absolute(begun.location)).status_code == 403


def test_a_portal_that_keeps_to_one_device_does_not_offer_it(rig: Rig) -> None:
    bank = rig.portal("bank")
    begun = bank.begin_pushed()
    page = bank.open(f"{begun.location}?wallet=mobile-id")
    assert "mobileid" not in bank.link(page)
    assert "mobile-id" not in str([item.attributes for item in bank.page(begun).root.below()])


def test_a_session_that_began_with_it_does_not_serve_such_a_portal(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    app.show()
    signed_in(portal, begun)
    narrow = rig.variant("gov24", "gov24-one-device", cross_device=False)
    narrow.browser = portal.browser
    assert "/login/" in narrow.begin().location


# -- the same again --------------------------------------------------------------------------------------------------


def test_a_profile_that_is_asked_for_again_is_the_same(portal: Portal) -> None:
    _, app = asked(portal)
    assert said(app.m310())["profile"] == said(app.m310())["profile"]


def test_the_same_presentation_again_is_taken_again_and_changes_nothing(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    vp = app.vp()
    assert app.m400(vp).json() == {"result": True}
    with harmless(rig):
        assert app.m400(vp).json() == {"result": True}
    signed_in(portal, begun)


def test_another_presentation_after_the_answer_is_10201(rig: Rig, portal: Portal) -> None:
    _, app = asked(portal)
    profile = app.profile()
    app.m400(app.vp(profile=profile))
    with harmless(rig, (REJECTED, "already_answered")):
        assert refusal(app.m400(app.vp("kim", profile=profile))) == errors.SEQUENCE


def test_after_the_answer_there_is_no_profile_and_no_picture(rig: Rig, portal: Portal) -> None:
    _, app = asked(portal)
    app.show()
    with harmless(rig):
        assert refusal(app.m310()) == errors.SEQUENCE
        assert refusal(app.m320()) == errors.SEQUENCE


def test_a_presentation_of_another_sign_in_is_refused(rig: Rig, portal: Portal) -> None:
    _, first = asked(portal)
    stolen = first.vp()
    _, second = asked(rig.portal("gov24"))
    inner = second.profile()["profile"]
    with harmless(rig, (REJECTED, "key_binding_nonce")):
        assert refusal(second.m400(stolen)) == errors.MISMATCHING_NONCE
    with harmless(rig, (REJECTED, "malformed")):
        assert refusal(second.m400({**stolen, "nonce": inner["nonce"]})) == errors.INVALID_DATA
    assert second.status() == "0002"


def test_the_trxcode_of_another_sign_in_leads_there(rig: Rig, portal: Portal) -> None:
    _, first = asked(portal)
    _, second = asked(rig.portal("g4k"))
    vp = first.vp()
    second.profile()
    first.trxcode = second.trxcode
    with harmless(rig, (REJECTED, "key_binding_nonce")):
        assert refusal(first.m400(vp)) == errors.MISMATCHING_NONCE


# -- out of order ----------------------------------------------------------------------------------------------------


def test_a_presentation_before_the_profile_is_10201(rig: Rig, portal: Portal) -> None:
    _, other = asked(portal)
    _, app = asked(rig.portal("gov24"))
    with harmless(rig):
        assert refusal(app.m400(other.vp())) == errors.SEQUENCE
    assert app.status() == "0001"


def test_a_sign_in_that_has_expired_is_10202(rig: Rig, portal: Portal) -> None:
    _, app = asked(portal)
    profile = app.profile()
    vp = app.vp(profile=profile)
    rig.clock.forward(4_000)
    with harmless(rig):
        assert refusal(app.m310()) == errors.TIMEOUT
        assert refusal(app.m320()) == errors.TIMEOUT
        assert refusal(app.m400(vp)) == errors.TIMEOUT
        assert refusal(app.m900()) == errors.TIMEOUT


@pytest.mark.parametrize("trxcode", ["0" * 40, "20211102162732145432176790", "x", "A" * 50, "../x", 7, None])
def test_a_trxcode_that_nobody_gave_is_10104(rig: Rig, portal: Portal, trxcode: Any) -> None:
    _, app = asked(portal)
    vp = app.vp()
    with harmless(rig):
        expected = (
            {errors.TRXCODE_NOT_FOUND}
            if isinstance(trxcode, str)
            else {errors.MISSING_ITEM, errors.TRXCODE_NOT_FOUND}
        )
        for response in (
            app.m310(trxcode=trxcode),
            app.m320(trxcode=trxcode),
            app.m400(vp, trxcode=trxcode),
            app.m900(trxcode=trxcode),
        ):
            assert refusal(decent(response)) in expected


def test_a_question_that_was_put_to_another_wallet_is_none_of_the_apps(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    link = portal.link(portal.open(f"{begun.location}?wallet=demo"))
    ask_id = link.rpartition("request%2F")[2]
    login_id, _, suffix = ask_id.partition(".")
    raw = base64.urlsafe_b64decode(login_id + "==")
    _, app = asked(rig.portal("gov24"))
    app.trxcode = (raw.hex() + suffix).upper()
    with harmless(rig):
        assert refusal(app.m310()) == errors.TRXCODE_NOT_FOUND


# -- messages that are none ------------------------------------------------------------------------------------------

DOORS = {"profile": "310", "image": "320", "vp": "400", "error": "900"}
BODIES: dict[str, tuple[dict[str, Any], int]] = {
    "nothing": ({"content": b""}, errors.UNEXPECTED_FORMAT),
    "a_form": ({"data": {"data": "e30"}}, errors.UNEXPECTED_FORMAT),
    "a_list": ({"json": []}, errors.UNEXPECTED_FORMAT),
    "no_data": ({"json": {}}, errors.MISSING_ITEM),
    "a_number": ({"json": {"data": 1}}, errors.NOT_BASE64),
    "not_base64url": ({"json": {"data": "a+/="}}, errors.NOT_BASE64),
    "not_json": ({"json": {"data": b64(b"x")}}, errors.UNEXPECTED_FORMAT),
    "markup": ({"json": {"data": '"><script>alert(1)</script>'}}, errors.NOT_BASE64),
    "deep": ({"json": {"data": b64(b"[" * 2000 + b"]" * 2000)}}, errors.UNEXPECTED_FORMAT),
    "binary": ({"content": b"\xff\x00\xfe"}, errors.UNEXPECTED_FORMAT),
    "an_empty_message": ({"json": {"data": b64({})}}, errors.MISSING_ITEM),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_no_message_is_refused_with_its_code(
    rig: Rig, portal: Portal, door: str, kind: str
) -> None:
    _, app = asked(portal)
    arguments, code = BODIES[kind]
    with harmless(rig):
        assert refusal(decent(app.post(door, None, **arguments))) == code


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": None}, errors.MISSING_ITEM),
        ({"version": None}, errors.MISSING_ITEM),
        ({"cmd": None}, errors.MISSING_ITEM),
        ({"type": "vc"}, errors.INVALID_TYPE),
        ({"version": "9.9.9"}, errors.UNSUPPORTED_VERSION),
        ({"cmd": "100"}, errors.INVALID_CMD),
    ],
)
def test_a_header_that_is_wrong_is_refused_with_its_code(
    rig: Rig, portal: Portal, door: str, changes: dict[str, Any], code: int
) -> None:
    _, app = asked(portal)
    good = {
        "profile": {"request": "profile"},
        "image": {"request": "image"},
        "vp": {"request": "presentation", "vp": app.vp()},
        "error": {"errcode": 20901},
    }[door]
    events = [(REJECTED, "malformed")] if door == "vp" else []
    with harmless(rig, *events):
        response = decent(app.post(door, app.message(DOORS[door], **{**good, **changes})))
        assert refusal(response) == code
    assert app.show().json() == {"result": True}


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"nonce": "0" * 64}, errors.MISMATCHING_NONCE, "key_binding_nonce"),
        ({"nonce": None}, errors.MISSING_ITEM, "malformed"),
        ({"presentType": 2}, errors.UNSUPPORTED_PRESENT_TYPE, "malformed"),
        ({"encryptType": 7}, errors.UNSUPPORTED_ENCRYPT_TYPE, "malformed"),
        ({"keyType": 7}, errors.UNSUPPORTED_KEY_TYPE, "malformed"),
        ({"type": "X"}, errors.UNSUPPORTED_VP_TYPE, "malformed"),
        ({"authType": ["iris"]}, errors.UNSUPPORTED_AUTH_TYPE, "malformed"),
        ({"did": None}, errors.MISSING_ITEM, "malformed"),
        ({"data": "zz"}, errors.INVALID_DATA, "malformed"),
        ({"data": b"not a JWE".hex()}, errors.INVALID_DATA, "malformed"),
        ({"data": b"a.b.c.d.e".hex()}, errors.INVALID_DATA, "malformed"),
        ({"data": b"eyJhbGciOiJkaXIifQ....".hex()}, errors.INVALID_DATA, "malformed"),
    ],
)
def test_a_presentation_that_is_wrong_is_refused_and_the_holder_may_try_again(
    rig: Rig, portal: Portal, changes: dict[str, Any], code: int, reason: str
) -> None:
    begun, app = asked(portal)
    with harmless(rig, (REJECTED, reason)):
        assert refusal(decent(app.m400(app.vp(**changes)))) == code
    assert app.status() == "0002"
    assert "SINWON-" in portal.page(begun).root.text
    assert app.show().json() == {"result": True}
    signed_in(portal, begun)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_only_post_is_there(rig: Rig, portal: Portal, door: str, method: str) -> None:
    with harmless(rig):
        response = decent(rig.http.request(method, f"{rig.issuer}/mip/{door}"))
    assert response.status_code == 405


@pytest.mark.parametrize("door", ["profile", "image", "error"])
def test_a_message_over_its_size_is_refused_unread(rig: Rig, portal: Portal, door: str) -> None:
    _, app = asked(portal)
    with harmless(rig):
        padded = app.message(DOORS[door], request="profile", errcode=1, pad="x" * 30_000)
        assert refusal(decent(app.post(door, padded))) == errors.UNEXPECTED_FORMAT
        assert app.post(door, app.message(DOORS[door], pad="x" * 200_000)).status_code == 413


def test_a_presentation_over_its_size_is_refused_unread(rig: Rig, portal: Portal) -> None:
    _, app = asked(portal)
    vp = app.vp()
    with harmless(rig):
        assert refusal(decent(app.m400({**vp, "data": "ab" * 365_000}))) in {
            errors.UNEXPECTED_FORMAT,
            errors.NOT_BASE64,
        }
        assert app.m400({**vp, "data": "ab" * 800_000}).status_code == 413
    assert app.m400(vp).json() == {"result": True}


# -- credentials that are not accepted -------------------------------------------------------------------------------

PEOPLE = {
    "lee": ("status_revoked", "SINWON-C003"),
    "jung": ("status_suspended", "SINWON-C004"),
    "yoon": ("expired", "SINWON-C002"),
    "shin": ("issuer_not_active", "SINWON-C006"),
}


@pytest.mark.parametrize("persona", PEOPLE)
def test_a_credential_that_does_not_hold_is_refused_without_a_word_why(
    rig: Rig, portal: Portal, persona: str
) -> None:
    reason, shown = PEOPLE[persona]
    begun, app = asked(portal)
    with harmless(rig, (REJECTED, reason)):
        assert refusal(decent(app.show(persona))) == errors.INVALID_DATA
    assert shown in portal.page(begun).root.text


def test_a_holder_without_face_is_not_taken_by_the_secure_service(rig: Rig) -> None:
    portal = rig.portal("efamily")
    begun, app = asked(portal)
    with harmless(rig, (REJECTED, "too_weak")):
        assert refusal(app.show("kim")) == errors.MISMATCHING_AUTH_TYPE
    assert "SINWON-C008" in portal.page(begun).root.text


def test_saying_face_does_not_make_it_one(rig: Rig) -> None:
    portal = rig.portal("efamily")
    _, app = asked(portal)
    with harmless(rig, (REJECTED, "too_weak")):
        assert refusal(app.m400(app.vp("kim", authType=["pin", "face"]))) == errors.INVALID_DATA
    assert app.status() == "0002"


def test_a_required_item_that_is_not_shown_is_missed(rig: Rig, portal: Portal) -> None:
    _, app = asked(portal)
    profile = app.profile()
    profile["profile"]["filter"]["requiredPrivacyList"].remove("birth")
    with harmless(rig, (REJECTED, "incomplete")):
        assert refusal(app.m400(app.vp(profile=profile))) == errors.INVALID_DATA
    assert app.status() == "0002"


# -- the app gives up ------------------------------------------------------------------------------------------------


def test_cancelling_on_this_device_goes_back_to_the_portal(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    app.profile()
    with harmless(rig, (REFUSED, "cancelled")):
        assert decent(app.m900()).json() == {"result": True}
    assert app.status() == "0005"
    resumed = portal.browser.get(
        portal.absolute(portal.browser.get(portal.absolute(begun.location)).headers["Location"])
    )
    to_portal(resumed, portal.redirect_uri, "access_denied", begun.state, rig.issuer)


def test_cancelling_at_a_code_is_shown_and_the_code_may_be_scanned_again(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal, "qr")
    app.profile()
    with harmless(rig, (REFUSED, "cancelled")):
        app.m900()
    assert "SINWON-W001" in portal.page(begun).root.text
    assert app.show().json() == {"result": True}
    signed_in(portal, begun)


@pytest.mark.parametrize("code", sorted({*errors.APP, 31337} - {20901}))
def test_every_error_of_the_app_has_its_place_in_audit_and_page(rig: Rig, portal: Portal, code: int) -> None:
    begun, app = asked(portal, "qr")
    meaning = errors.app_error(code)
    with harmless(rig, (REFUSED, meaning.reason)):
        assert app.m900(code).json() == {"result": True}
    assert MESSAGES[meaning.problem].code in portal.page(begun).root.text


def test_an_error_that_comes_after_the_answer_changes_nothing(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal)
    app.show()
    with harmless(rig):
        assert app.m900().json() == {"result": True}
    signed_in(portal, begun)


def test_an_error_of_the_app_is_shown_to_nobody(rig: Rig, portal: Portal) -> None:
    begun, app = asked(portal, "qr")
    app.m900(20100, errmsg='"><script>alert(1)</script>')
    assert "alert(1)" not in portal.page(begun).root.text


# -- who comes first -------------------------------------------------------------------------------------------------


def at_once(*calls: Any) -> list[httpx2.Response]:
    gate = threading.Barrier(len(calls))
    found: list[Any] = [None] * len(calls)

    def run(place: int, call: Any) -> None:
        gate.wait()
        found[place] = call()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_two_people_at_one_code_the_first_one_signs_in(rig: Rig, portal: Portal) -> None:
    _, app = asked(portal, "qr")
    profile = app.profile()
    shown = [app.vp(name, profile=profile) for name in ("hong", "kim", "park", "choi")]
    last = rig.last_event()
    answers = at_once(*[lambda vp=vp: app.m400(vp) for vp in shown])
    assert sum(answer.json()["result"] for answer in answers) == 1
    assert {refusal(answer) for answer in answers if not answer.json()["result"]} == {errors.SEQUENCE}
    accepted = [event for event in rig.events(after=last) if event.name == "presentation.accepted"]
    assert len(accepted) == 1
    assert app.status() == "0006"


def test_of_a_link_and_a_code_the_first_one_signs_in(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    page = portal.open(f"{begun.location}?wallet=mobile-id")
    link, code = App(rig, portal.link(page)), App(rig, portal.qr_code(page))
    ready = [(link, link.vp()), (code, code.vp("kim"))]
    answers = at_once(*[lambda app=app, vp=vp: app.m400(vp) for app, vp in ready])
    assert sum(answer.json()["result"] for answer in answers) == 1


# -- the operator's daemon -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operator() -> Iterator[stand_in.Daemon]:
    with stand_in.daemon() as running:
        yield running


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, operator: stand_in.Daemon) -> Iterator[Rig]:
    """With the operator's daemon behind it."""
    settings = {"mip.backend": "rest", "mip.daemon": operator.origin, "mip.daemon_timeout_s": 1.0}
    with started(tmp_path_factory.mktemp("house"), settings) as running:
        use(running)
        yield running


@pytest.fixture(autouse=True)
def _as_on_its_first_day(request: pytest.FixtureRequest) -> None:
    if "operator" in request.fixturenames:
        request.getfixturevalue("operator").forget()


def real_vp(app: App, *ways: str) -> dict[str, Any]:
    """What the real app sends: nobody but the daemon can read it."""
    inner = app.profile()["profile"]
    return {
        "presentType": 1,
        "encryptType": 2,
        "keyType": 2,
        "authType": list(ways) or ["pin"],
        "did": "did:kr:mobileid:4VmgGJ3geNyyKRKupXDiCkw1kKw5",
        "nonce": inner["nonce"],
        "type": "VERIFY",
        "data": "01005666dd8098f6f825c2b7",
    }


@pytest.mark.parametrize("client_id", ["gov24", "g4k", "apostille", "efamily"])
def test_a_holder_signs_in_through_the_operators_daemon(
    deployed: Rig, operator: stand_in.Daemon, client_id: str
) -> None:
    portal = deployed.portal(client_id)
    begun, app = asked(portal)
    assert app.m400(real_vp(app, "pin", "face")).json() == {"result": True}
    claims = signed_in(portal, begun)
    level = "secure" if client_id == "efamily" else "general"
    assert claims["acr"].endswith(f"/acr/{level}")
    assert next(body for path, body in operator.asked if path == "/app2app/start")["svcCode"] == (
        "mep.2" if level == "secure" else "mep.1"
    )


def test_pin_and_face_are_worth_nothing_where_the_service_did_not_ask_for_them(
    deployed: Rig, operator: stand_in.Daemon
) -> None:
    portal = deployed.portal("gov24")
    begun, app = asked(portal)
    app.m400(real_vp(app, "pin", "face"))
    claims = signed_in(portal, begun)
    assert claims["acr"].endswith("/acr/general")
    assert "face" not in claims["amr"]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (False, "verifier_refused"),
        ((19003, "SP certification error"), "verifier_refused"),
        ((99999, "제출불가 상태 : REMOVE"), "status_revoked"),
        ((99999, "제출불가 상태 : PAUSE"), "status_suspended"),
    ],
)
def test_what_the_daemon_says_is_not_valid_is_refused(
    deployed: Rig, operator: stand_in.Daemon, verdict: Any, reason: str
) -> None:
    _begun, app = asked(deployed.portal("gov24"))
    vp = real_vp(app)
    operator.verdict = verdict
    with harmless(deployed, (REJECTED, reason)):
        assert refusal(decent(app.m400(vp))) == errors.INVALID_DATA
    operator.verdict = True
    assert app.m400(real_vp(app)).json() == {"result": True}


@pytest.mark.parametrize("path", ["/app2app/start", "/mip/profile"])
@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), (200, b'{"result":false}')])
def test_a_daemon_that_gives_no_profile_is_503_and_no_refusal(
    deployed: Rig, operator: stand_in.Daemon, path: str, answer: tuple[int, bytes]
) -> None:
    _begun, app = asked(deployed.portal("gov24"))
    operator.instead[path] = answer
    with harmless(deployed):
        response = app.m310()
        assert refusal(response, 503) == errors.UNKNOWN
    assert response.headers["Retry-After"]
    operator.instead.clear()
    assert app.m400(real_vp(app)).json() == {"result": True}


@pytest.mark.parametrize("path", ["/mip/vp", "/mip/privacy"])
@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), (200, b'{"result":1}')])
def test_a_daemon_that_gives_no_verdict_is_503_and_no_refusal(
    deployed: Rig, operator: stand_in.Daemon, path: str, answer: tuple[int, bytes]
) -> None:
    portal = deployed.portal("gov24")
    begun, app = asked(portal)
    vp = real_vp(app)
    operator.instead[path] = answer
    with harmless(deployed):
        assert refusal(app.m400(vp), 503) == errors.UNKNOWN
    assert "SINWON-" not in portal.page(begun).root.text
    operator.instead.clear()
    assert app.m400(real_vp(app)).json() == {"result": True}


def test_a_slow_daemon_is_503_and_no_refusal(deployed: Rig, operator: stand_in.Daemon) -> None:
    _, app = asked(deployed.portal("gov24"))
    vp = real_vp(app)
    operator.wait.clear()
    with harmless(deployed):
        assert refusal(app.m400(vp), 503) == errors.UNKNOWN
    operator.wait.set()


def test_a_daemon_whose_profile_leads_elsewhere_is_503(deployed: Rig, operator: stand_in.Daemon) -> None:
    _, app = asked(deployed.portal("gov24"))
    operator.profile = {"callBackUrl": "https://elsewhere.example/mip/vp"}
    with harmless(deployed):
        assert refusal(app.m310(), 503) == errors.UNKNOWN


def test_nothing_of_the_holder_is_at_rest(deployed: Rig, operator: stand_in.Daemon) -> None:
    portal = deployed.portal("apostille")
    _begun, app = asked(portal)
    operator.items |= {"name": "제갈공명", "expatno": "LAX-2031-7654321", "passportno": "M777Z7777"}
    vp = real_vp(app) | {"data": "c0ffee" * 20}
    app.m400(vp)
    directory = Path(deployed.house.settings.database_url.partition(":///")[2]).parent
    kept = b"".join(file.read_bytes() for file in directory.glob("sinwon*.db*"))
    for value in ("제갈공명", "LAX-2031-7654321", "M777Z7777", "c0ffee" * 20, vp["did"]):
        assert value.encode() not in kept
        assert base64.b64encode(value.encode())[:-4] not in kept


# -- a counter -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def relay() -> Iterator[stand_in.Relay]:
    with stand_in.relay() as running:
        yield running


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory, relay: stand_in.Relay) -> Iterator[Rig]:
    """With the simulator and a relay."""
    settings = {"mip.backend": "simulator", "mip.relay": relay.url, "mip.relay_timeout_s": 3.0}
    with started(tmp_path_factory.mktemp("house"), settings) as running:
        use(running)
        yield running


@pytest.fixture(autouse=True)
def _an_empty_relay(request: pytest.FixtureRequest) -> None:
    if "relay" in request.fixturenames:
        relay = request.getfixturevalue("relay")
        relay.turns, relay.heard = {}, []


def at_counter(rig: Rig, relay: stand_in.Relay, persona: str = "hong") -> tuple[Portal, Begun]:
    """A sign-in at a counter's screen, and a visitor's phone at the relay."""
    portal = rig.portal("gov24")
    begun, app = asked(portal, "qr")
    relay.present = lambda profile: app.vp(persona, profile=profile)
    return portal, begun


def state(portal: Portal, begun: Begun) -> str:
    return str(portal.browser.get(f"{portal.absolute(begun.location)}/status").json()["state"])


def scan(portal: Portal, begun: Begun, code: str) -> httpx2.Response:
    return portal.submit(portal.page(begun), "scan", code=code)


def test_a_code_that_the_app_shows_is_read_at_the_counter(counter: Rig, relay: stand_in.Relay) -> None:
    portal, begun = at_counter(counter, relay)
    assert scan(portal, begun, relay.m120()).headers["Location"] == begun.location
    eventually(lambda: state(portal, begun) == "confirm")
    assert [told["msg"] for told in relay.all_heard()] == ["join", "verify_verifier", "profile", "finish"]
    signed_in(portal, begun)


@pytest.mark.parametrize(
    ("code", "reason", "problem"),
    [(9001, "cancelled", "wallet_refused"), (20301, "no_certificate", "no_certificate")],
)
def test_a_visitor_whose_app_gives_up_at_the_relay_is_heard(
    counter: Rig, relay: stand_in.Relay, code: int, reason: str, problem: str
) -> None:
    portal, begun = at_counter(counter, relay)
    relay.turns["vp"] = {"msg": "error", "trxcode": relay.trxcode, "errcode": code, "errmsg": "x"}
    with harmless(counter, (REFUSED, reason)):
        scan(portal, begun, relay.m120())
        eventually(lambda: state(portal, begun) == f"waiting.{problem}")
    assert MESSAGES[problem].code in portal.page(begun).root.text


def test_a_visitor_whose_credential_is_revoked_is_refused(counter: Rig, relay: stand_in.Relay) -> None:
    portal, begun = at_counter(counter, relay, "lee")
    with harmless(counter, (REJECTED, "status_revoked")):
        scan(portal, begun, relay.m120())
        eventually(lambda: state(portal, begun) == "waiting.revoked")
    assert relay.all_heard()[-1]["errcode"] == 9999


def test_a_visitor_who_does_not_come_is_not_waited_for(counter: Rig, relay: stand_in.Relay) -> None:
    portal, begun = at_counter(counter, relay)
    relay.turns["wait_profile"] = None
    with harmless(counter, (REJECTED, "relay_failed")):
        scan(portal, begun, relay.m120())
        eventually(lambda: state(portal, begun) == "waiting.relay_failed")
    relay.turns.clear()
    scan(portal, begun, relay.m120())
    eventually(lambda: state(portal, begun) == "confirm")


@pytest.mark.parametrize("code", ["x", "https://example.org/", b64({"type": "mip"}), b64({}), "a" * 4_000])
def test_a_code_that_is_none_of_the_apps_is_said_so(counter: Rig, relay: stand_in.Relay, code: str) -> None:
    portal, begun = at_counter(counter, relay)
    with harmless(counter, (REJECTED, "code_not_read")):
        assert scan(portal, begun, code).status_code == 303
    assert "SINWON-W004" in portal.page(begun).root.text
    assert relay.heard == []


def test_a_code_that_names_another_relay_leads_nowhere(counter: Rig, relay: stand_in.Relay) -> None:
    portal, begun = at_counter(counter, relay)
    with stand_in.relay() as other, harmless(counter, (REJECTED, "code_not_read")):
        scan(portal, begun, relay.m120(host=other.url))
        assert "SINWON-W004" in portal.page(begun).root.text
        assert other.heard == []


def test_a_scan_from_elsewhere_is_refused(counter: Rig, relay: stand_in.Relay) -> None:
    portal, begun = at_counter(counter, relay)
    assert portal.submit(portal.page(begun), "scan", csrf="x", code=relay.m120()).status_code == 403
    assert relay.heard == []


def test_without_a_relay_nothing_is_scanned(rig: Rig, portal: Portal) -> None:
    begun, _ = asked(portal)
    page = portal.page(begun)
    assert page.find("scan") is None
    csrf = next(i.attributes["value"] for i in page.root.below() if i.attributes.get("name") == "csrf")
    url = f"{portal.absolute(begun.location)}/scan"
    assert portal.browser.post(url, data={"csrf": csrf, "code": "x"}).status_code == 409


# -- switched off ----------------------------------------------------------------------------------------------------


def test_where_it_is_switched_off_it_is_not_there(tmp_path: Path) -> None:
    with started(tmp_path) as off:
        use(off)
        portal = off.portal("gov24")
        begun = portal.begin()
        page = portal.open(f"{begun.location}?wallet=mobile-id")
        assert "mobileid" not in portal.link(page)
        assert off.http.post(f"{off.issuer}/mip/profile", json={"data": "e30"}).status_code == 404


def test_the_people_of_the_demonstration_are_told_apart(rig: Rig) -> None:
    ends = ["".join(filter(str.isalnum, persona.registration_number))[-4:] for persona in PERSONAS]
    assert len(set(ends)) > 10
