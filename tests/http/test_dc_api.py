"""A sign-in through the browser (W3C Digital Credentials API): the answer that the page's script brings, and refusals.

Spec: OpenID4VP 1.0, appendix A; HAIP 1.0, section 5.2.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from idp.demo import dc_api
from idp.views.messages import MESSAGES, spoken
from tests.harmless import EVIL, decent, harmless, to_portal
from tests.presenting import Answer, b64
from tests.proving import Prover
from tests.rig import Portal, Rig, callback_parameters, person, started
from tests.through_browser import Brought, Offered, offered

REJECTED = "presentation.rejected"


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def refused(response: httpx2.Response, key: str, status: int = 400) -> dict[str, Any]:
    """JSON with the words of one key of MESSAGES in the holder's language, and nowhere to go."""
    if status < 500:
        decent(response)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    words = spoken(key, "ko")
    assert (body["code"], body["title"]) == (words.code, words.title)
    assert (body["message"], body["advice"]) == (words.message, words.advice)
    assert set(body) <= {"code", "title", "message", "advice", "state"}
    return body


def claims(portal: Portal, page: Offered, brought: httpx2.Response) -> dict[str, Any]:
    """The ID token of a sign-in that went on from an answer."""
    code = callback_parameters(portal.agree(page.resume(brought)))["code"]
    tokens = portal.token(code, page.begun.verifier).json()
    return portal.id_token_claims(tokens["id_token"])


# -- signing in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [dc_api.SIGNED, dc_api.UNSIGNED])
def test_a_holder_signs_in_through_the_browser(rig: Rig, portal: Portal, protocol: str) -> None:
    page = offered(portal)
    last = rig.last_event()
    brought = decent(page.bring(page.show("hong", protocol)))
    assert set(brought.json()) == {"location"}
    token = claims(portal, page, brought)
    assert token["acr"] == f"{rig.issuer}/acr/secure"
    assert "qr" not in token["amr"]
    assert "pop" in token["amr"]
    via = {event.name: (event.detail or {}).get("via") for event in rig.events(after=last)}
    assert via["presentation.accepted"] == via["login.finished"] == "dc_api"


def test_the_signed_request_is_offered_first(portal: Portal) -> None:
    assert [one["protocol"] for one in offered(portal).requests()] == [dc_api.SIGNED, dc_api.UNSIGNED]


def test_the_page_says_the_same_question_by_every_way(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    by_link = Answer(rig, portal.link(page.page)).request
    header, signed = page.signed()
    plain = page.plain()
    assert header["typ"] == "oauth-authz-req+jwt"
    assert signed["expected_origins"] == [rig.issuer]
    assert signed["dcql_query"] == plain["dcql_query"] == by_link["dcql_query"]
    assert signed["client_id"] == by_link["client_id"]
    assert signed["nonce"] == plain["nonce"] != by_link["nonce"]
    assert signed["client_metadata"] == plain["client_metadata"]
    key, other = (asked["client_metadata"]["jwks"]["keys"][0] for asked in (plain, by_link))
    assert key["x"] != other["x"]
    assert plain["client_metadata"]["client_name#ko"] == by_link["client_metadata"]["client_name#ko"]


def test_a_page_that_comes_again_asks_the_same(portal: Portal) -> None:
    begun = portal.begin()
    first, second = offered(portal, begun), offered(portal, begun)
    assert first.plain() == second.plain()
    assert second.bring(first.show()).status_code == 200


def test_every_login_asks_with_a_nonce_and_a_key_of_its_own(rig: Rig) -> None:
    pages = [offered(rig.portal("gov24")).plain() for _ in range(3)]
    assert len({page["nonce"] for page in pages}) == 3
    assert len({page["client_metadata"]["jwks"]["keys"][0]["x"] for page in pages}) == 3


def test_an_answer_whose_reply_was_lost_leads_on_all_the_same(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    assert page.bring(page.show()).status_code == 200
    status = portal.browser.get(portal.absolute(f"{page.begun.location}/status")).json()
    assert status == {"state": "resume"}
    onward = portal.browser.get(portal.absolute(page.begun.location))
    assert onward.headers["Location"].startswith("/authorize/resume?login=")
    assert "code" in callback_parameters(
        portal.agree(portal.browser.get(portal.absolute(onward.headers["Location"])))
    )


def test_the_same_message_again_gets_the_same_answer_and_one_event(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    message = page.show()
    last = rig.last_event()
    answers = [page.bring(message) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert [event.name for event in rig.events(after=last)] == ["presentation.accepted"]


def test_a_portal_that_refuses_qr_codes_takes_it(rig: Rig) -> None:
    portal = rig.variant("gov24", "here-only", cross_device=False)
    page = offered(portal)
    assert page.page.find("qr") is None
    assert "qr" not in claims(portal, page, page.bring(page.show()))["amr"]


def test_a_fapi2_portal_that_refuses_qr_codes_takes_it(rig: Rig) -> None:
    rig.apply_portal("bank", cross_device=False)
    bank = rig.portal("bank")
    bank.prover = Prover()
    page = offered(bank, bank.begin_pushed())
    code = callback_parameters(bank.agree(page.resume(page.bring(page.show()))))["code"]
    assert bank.token(code, page.begun.verifier).status_code == 200


def test_a_session_that_began_so_serves_portals_that_refuse_qr_codes(rig: Rig, portal: Portal) -> None:
    first = rig.variant("gov24", "sso-first")
    alone = rig.variant("gov24", "sso-alone", cross_device=False)
    for one in (first, alone):  # so that neither asks for consent again
        one.agree_for_good()
        one.browser = rig.browser()
    page = offered(first)
    claims(first, page, page.bring(page.show()))
    alone.browser = first.browser
    assert "code" in callback_parameters(alone.begin(prompt="none").response)


# -- whose browser, whose page -----------------------------------------------------------------------------------


def test_another_browser_cannot_bring_the_answer(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    with harmless(rig, ("request.refused", "other_browser")), rig.browser() as other:
        refused(page.bring(page.show(), browser=other), "login_unknown", 403)
    assert page.bring(page.show()).status_code == 200


def test_the_browser_of_another_login_cannot_bring_the_answer(rig: Rig, portal: Portal) -> None:
    page, other = offered(portal), offered(rig.portal("gov24"))
    with harmless(rig, ("request.refused", "other_browser")):
        refused(page.bring(page.show(), browser=other.portal.browser), "login_unknown", 403)


@pytest.mark.parametrize("token", [None, "", "x", EVIL.replace('"', ""), "other"])
def test_only_a_page_of_this_login_can_bring_an_answer(rig: Rig, portal: Portal, token: str | None) -> None:
    page = offered(portal)
    given = offered(rig.portal("gov24")).csrf if token == "other" else token
    with harmless(rig, ("request.refused", "form_expired")):
        refused(page.bring(page.show(), headers={"X-CSRF-Token": given}), "form_expired", 403)
    assert page.bring(page.show()).status_code == 200


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"]
)
def test_only_json_is_read(rig: Rig, portal: Portal, kind: str | None) -> None:
    page = offered(portal)
    with harmless(rig, ("request.refused", "form_expired")):
        refused(page.bring(page.show(), headers={"Content-Type": kind}), "form_expired", 403)


def test_there_is_no_such_login(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    with harmless(rig):
        for login_id in ("a" * 22, "x", "a" * 70):
            address = f"{rig.issuer}/login/{login_id}/digital-credential"
            refused(page.bring(page.show(), address=address), "login_unknown", 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH"])
def test_only_post_is_there(rig: Rig, portal: Portal, method: str) -> None:
    page = offered(portal)
    with harmless(rig):
        assert decent(portal.browser.request(method, page.address)).status_code == 405


def test_a_login_that_never_asked_this_way_takes_no_answer(rig: Rig, portal: Portal) -> None:
    page, unseen = offered(portal), portal.begin()
    address = f"{rig.issuer}{unseen.location}/digital-credential"
    with harmless(rig, ("request.refused", "form_expired")):
        # Its page was never loaded: no token of its forms is known, and the question was not made.
        refused(page.bring(page.show(), address=address), "form_expired", 403)


# -- the message -------------------------------------------------------------------------------------------------

BODIES: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "malformed"),
    "no_json": (b"{", "malformed"),
    "not_utf8": (b'{"protocol":"\xff"}', "malformed"),
    "array": (b"[]", "malformed"),
    "null": (b"null", "malformed"),
    "deep": (b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed"),
    "twice": (b'{"protocol":"openid4vp-v1-signed","data":{},"data":{}}', "malformed"),
    "surrogate": (b'{"protocol":"openid4vp-v1-signed","data":{"error":"\\ud800"}}', "malformed"),
    "empty": ({}, "malformed"),
    "no_protocol": ({"data": {"response": "RESPONSE"}}, "malformed"),
    "protocol_not_offered": ({"protocol": "openid4vp-v1-multisigned", "data": {"response": "RESPONSE"}}, "malformed"),
    "protocol_of_a_draft": ({"protocol": "openid4vp", "data": {"response": "RESPONSE"}}, "malformed"),
    "protocol_of_iso": ({"protocol": "org-iso-mdoc", "data": {"response": "RESPONSE"}}, "malformed"),
    "protocol_number": ({"protocol": 1, "data": {"response": "RESPONSE"}}, "malformed"),
    "protocol_list": ({"protocol": ["openid4vp-v1-signed"], "data": {"response": "RESPONSE"}}, "malformed"),
    "no_data": ({"protocol": "openid4vp-v1-signed"}, "malformed"),
    "data_text": ({"protocol": "openid4vp-v1-signed", "data": "RESPONSE"}, "malformed"),
    "data_list": ({"protocol": "openid4vp-v1-signed", "data": ["RESPONSE"]}, "malformed"),
    "data_empty": ({"protocol": "openid4vp-v1-signed", "data": {}}, "malformed"),
    "response_null": ({"protocol": "openid4vp-v1-signed", "data": {"response": None}}, "malformed"),
    "response_list": ({"protocol": "openid4vp-v1-signed", "data": {"response": ["RESPONSE"]}}, "malformed"),
    "response_garbage": ({"protocol": "openid4vp-v1-signed", "data": {"response": EVIL}}, "not_readable"),
    "unencrypted": ({"protocol": "openid4vp-v1-unsigned", "data": {"vp_token": "VP_TOKEN"}}, "not_encrypted"),
    "both": (
        {"protocol": "openid4vp-v1-unsigned", "data": {"vp_token": "VP_TOKEN", "response": "RESPONSE"}},
        "not_encrypted",
    ),
    "error_and_response": (
        {"protocol": "openid4vp-v1-unsigned", "data": {"error": "access_denied", "response": "RESPONSE"}},
        "malformed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BODIES)
def test_a_message_that_is_no_answer_is_refused_and_the_login_goes_on(
    rig: Rig, portal: Portal, kind: str
) -> None:
    body, reason = BODIES[kind]
    page = offered(portal)
    answer = Brought(page)
    if isinstance(body, dict):
        text = json.dumps(body).replace('"RESPONSE"', json.dumps(answer.encrypted()))
        body = text.replace('"VP_TOKEN"', json.dumps({answer.query_id: [answer.presented()]}))
    with harmless(rig, (REJECTED, reason)):
        said = refused(page.bring(None, content=body), "credential_invalid")
    assert said["state"] == "waiting.credential_invalid"
    assert answer.send().status_code == 200


def test_a_body_over_the_limit_is_not_read(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    limit = rig.house.settings.server.max_body_bytes
    with harmless(rig):
        refused(page.bring(None, content=b" " * (limit + 1)), "too_large", 413)
    assert page.bring(page.show()).status_code == 200


def test_an_answer_larger_than_any_form_is_read(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    answer = Brought(page)
    answer.payload["padding"] = "x" * rig.house.settings.server.max_form_bytes * 2
    assert answer.send().status_code == 200


# -- what is in it -----------------------------------------------------------------------------------------------


def at_origin(origin: str) -> Callable[[Brought], Any]:
    return lambda answer: answer.binding_payload.update(aud=origin)


WRONG: dict[str, tuple[Callable[[Brought], Any], str, str]] = {
    "another_origin": (at_origin("origin:https://evil.example"), "key_binding_audience", "not_this_login"),
    "no_prefix": (
        lambda answer: at_origin(answer.rig.issuer)(answer), "key_binding_audience", "not_this_login"
    ),
    "a_slash": (
        lambda answer: at_origin(f"origin:{answer.rig.issuer}/")(answer), "key_binding_audience", "not_this_login"
    ),
    "our_client_id": (
        lambda answer: at_origin(answer.offered.signed()[1]["client_id"])(answer),
        "key_binding_audience",
        "not_this_login",
    ),
    "both_in_a_list": (
        lambda answer: answer.binding_payload.update(aud=[f"origin:{answer.rig.issuer}"]),
        "key_binding_audience",
        "not_this_login",
    ),
    "no_audience": (lambda answer: answer.binding_payload.update(aud=None), "key_binding_audience", "not_this_login"),
    "another_nonce": (
        lambda answer: answer.binding_payload.update(nonce="another"), "key_binding_nonce", "not_this_login"
    ),
    "no_key_binding": (lambda answer: setattr(answer, "bound", False), "key_binding_missing", "credential_invalid"),
    "kid_of_nobody": (
        lambda answer: answer.encryption_header.update(kid="x"), "not_this_login", "not_this_login"
    ),
    "for_another_key": (
        lambda answer: setattr(answer, "encryption_key", ECKey.generate_key("P-256")),
        "not_readable",
        "credential_invalid",
    ),
    "no_vp_token": (lambda answer: setattr(answer, "plaintext", {}), "malformed", "credential_invalid"),
    "an_unknown_query": (
        lambda answer: answer.payload.update(vp_token={"pid": ["x"]}), "incomplete", "incomplete"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_an_answer_that_is_not_for_this_page_is_refused_and_the_login_goes_on(
    rig: Rig, portal: Portal, kind: str
) -> None:
    change, reason, words = WRONG[kind]
    page = offered(portal)
    answer = Brought(page)
    change(answer)
    with harmless(rig, (REJECTED, reason)):
        said = refused(answer.send(), words)
    assert said["state"] == f"waiting.{words}"
    assert Brought(page).send().status_code == 200


def test_a_page_elsewhere_gets_nothing_signed_and_nothing_that_helps_it(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    with pytest.raises(dc_api.RequestRefused, match="expected_origins"):
        page.show("hong", dc_api.SIGNED, origin="https://evil.example")
    relayed = page.show("hong", dc_api.UNSIGNED, origin="https://evil.example")
    with harmless(rig, (REJECTED, "key_binding_audience")):
        refused(page.bring(relayed), "not_this_login")


def test_what_a_message_says_of_its_origin_counts_for_nothing(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    relayed = page.show("hong", dc_api.UNSIGNED, origin="https://evil.example")
    with harmless(rig, (REJECTED, "key_binding_audience")):
        refused(
            page.bring(
                {**relayed, "origin": "https://evil.example"}, headers={"Origin": "https://evil.example"}
            ),
            "not_this_login",
        )


def test_the_answer_of_another_login_is_refused(rig: Rig, portal: Portal) -> None:
    page, other = offered(portal), offered(rig.portal("gov24"))
    stolen = other.show()
    with harmless(rig, (REJECTED, "not_this_login")):
        refused(page.bring(stolen), "not_this_login")
    answer = Brought(other)
    answer.offered = page
    answer.encryption_header["kid"] = None
    with harmless(rig, (REJECTED, "not_readable")):
        refused(answer.send(), "credential_invalid")
    answer.encryption_key = Brought(page).encryption_key
    with harmless(rig, (REJECTED, "key_binding_nonce")):
        refused(answer.send(), "not_this_login")


def test_an_answer_that_was_brought_once_does_not_serve_another_login(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    message = page.show()
    assert page.bring(message).status_code == 200
    replay = offered(rig.portal("gov24"))
    with harmless(rig, (REJECTED, "not_this_login")):
        refused(replay.bring(message), "not_this_login")


def test_a_second_answer_changes_nothing(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    brought = page.bring(page.show())
    with harmless(rig, (REJECTED, "already_answered")):
        said = refused(page.bring(page.show("namgoong")), "login_finished")
    assert said["state"] == "resume"
    code = callback_parameters(portal.agree(page.resume(brought)))["code"]
    token = portal.token(code, page.begun.verifier).json()["access_token"]
    assert portal.userinfo(token).json()["name"] == "홍길동"


def test_after_the_phone_has_answered_the_browser_comes_too_late(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    portal.show(portal.qr(page.page))
    with harmless(rig, (REJECTED, "already_answered")):
        assert refused(page.bring(page.show()), "login_finished")["state"] == "confirm"


def test_an_answer_after_the_end_is_refused(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    answer = Brought(page)
    rig.clock.forward(1000)
    answer.binding_payload["iat"] = rig.clock()
    with harmless(rig):
        refused(answer.send(), "expired", 410)


def test_a_finished_sign_in_takes_no_answer(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    message = page.show()
    callback_parameters(portal.agree(page.resume(page.bring(message))))
    with harmless(rig, ("request.refused", "form_expired")):
        refused(page.bring(message), "form_expired", 409)  # its questions went with it


# -- an mdoc -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [dc_api.SIGNED, dc_api.UNSIGNED])
def test_a_holder_signs_in_with_an_mdoc(rig: Rig, portal: Portal, protocol: str) -> None:
    page = offered(portal)
    token = claims(portal, page, page.bring(page.show("hong", protocol, format="mso_mdoc")))
    assert "qr" not in token["amr"]


@pytest.mark.parametrize("fault", ["wrong_transcript", "wrong_audience", "wrong_nonce", "other_holder_key"])
def test_an_mdoc_whose_device_signed_for_something_else_is_refused(
    rig: Rig, portal: Portal, fault: str
) -> None:
    page = offered(portal)
    with harmless(rig, (REJECTED, "device_signature")):
        refused(page.bring(page.show(fault=fault, format="mso_mdoc")), "credential_invalid")
    assert page.bring(page.show(format="mso_mdoc")).status_code == 200


def test_an_mdoc_that_was_shown_to_another_page_is_refused(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    relayed = page.show("hong", dc_api.UNSIGNED, origin="https://evil.example", format="mso_mdoc")
    with harmless(rig, (REJECTED, "device_signature")):
        refused(page.bring(relayed), "credential_invalid")


# -- other doors -------------------------------------------------------------------------------------------------


def test_the_wallets_door_knows_nothing_of_this_question(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    ask_id = page.plain()["client_metadata"]["jwks"]["keys"][0]["kid"]
    with harmless(rig):
        assert decent(rig.http.get(f"{rig.issuer}/wallet/request/{ask_id}")).status_code == 404
        posted = rig.http.post(
            f"{rig.issuer}/wallet/response/{ask_id}", data={"response": page.show()["data"]["response"]}
        )
        assert decent(posted).status_code == 400
    assert page.bring(page.show()).status_code == 200


def test_the_answer_to_a_link_is_none_to_the_browser(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    by_link = Answer(rig, portal.link(page.page))
    message = {"protocol": dc_api.SIGNED, "data": {"response": by_link.encrypted()}}
    with harmless(rig, (REJECTED, "not_this_login")):
        refused(page.bring(message), "not_this_login")


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "invalid_request", "error_description": EVIL}, "invalid_request"),
        ({"error": EVIL}, "unknown"),
        ({"error": 7}, "unknown"),
        ({"error": None}, "unknown"),
        ({"error": {"a": "b"}}, "unknown"),
    ],
    ids=str,
)
def test_a_wallet_that_refuses_is_told_to_the_page_and_the_login_goes_on(
    rig: Rig, portal: Portal, data: dict[str, Any], reason: str
) -> None:
    page = offered(portal)
    key = "wallet_refused" if reason == "access_denied" else "wallet_failed"
    with harmless(rig, ("wallet.refused", reason)):
        said = refused(page.bring({"protocol": dc_api.SIGNED, "data": data}), key, 200)
    assert said["state"] == f"waiting.{key}"
    assert page.bring(page.show()).status_code == 200


def test_an_encrypted_refusal_counts_too(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    answer = Brought(page)
    answer.plaintext = {"error": "access_denied"}
    with harmless(rig, ("wallet.refused", "access_denied")):
        refused(answer.send(), "wallet_refused", 200)


def test_a_holder_who_gives_up_after_a_refusal_comes_back_with_access_denied(
    rig: Rig, portal: Portal
) -> None:
    page = offered(portal)
    page.bring(dc_api.refuse(page.requests()))
    with harmless(rig, ("login.cancelled", None)):
        back = portal.browser.post(portal.absolute(f"{page.begun.location}/cancel"), data={"csrf": page.csrf})
        to_portal(back, portal.redirect_uri, "access_denied", page.begun.state, rig.issuer)


def test_a_revoked_certificate_is_told_in_the_holders_language(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    portal.open(f"{page.begun.location}?lang=en")
    response = page.bring(page.show("lee"))
    assert response.json()["title"] == spoken("revoked", "en").title
    assert response.json()["code"] == MESSAGES["revoked"].code
    again = portal.page(page.begun)
    alert = next(element for element in again.root.below() if element.attributes.get("role") == "alert")
    assert MESSAGES["revoked"].code in alert.text  # a page that is loaded anew says it too


def test_a_status_that_cannot_be_asked_is_unavailable_and_not_wrong(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    answer = Brought(page)
    listed = {"idx": 1, "uri": "http://127.0.0.1:1/status"}
    answer.issuer_payload["status"] = {"status_list": listed}
    with harmless(rig, (REJECTED, "status_unknown")):
        response = answer.send()
        assert refused(response, "status_unknown", 503)["state"] == "waiting.status_unknown"
    assert response.headers["Retry-After"] == "5"


def test_nothing_that_is_brought_comes_back(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    message = page.show("kim", fault="wrong_nonce")
    response = page.bring(message)
    assert message["data"]["response"][:40] not in response.text
    assert person("kim").name not in response.text


# -- where it is not offered -------------------------------------------------------------------------------------


def test_a_page_that_waits_for_a_wallet_offers_it_no_more(rig: Rig, portal: Portal) -> None:
    page = offered(portal)
    rig.http.get(portal_request_uri(portal.link(page.page)))
    assert portal.page(page.begun).find("digital") is None
    assert page.bring(page.show()).status_code == 200  # the window may be open all the same


def portal_request_uri(link: str) -> str:
    found = re.search(r"request_uri=([^&]+)", link)
    assert found is not None
    return str(httpx2.URL(f"http://x/?u={found[1]}").params["u"])


def test_nothing_on_the_page_is_shown_without_its_script(portal: Portal) -> None:
    section = offered(portal).page.find("digital")
    assert section is not None
    assert "hidden" in section.attributes


def test_the_browser_may_be_asked_by_our_pages_alone(portal: Portal) -> None:
    response = portal.browser.get(portal.absolute(portal.begin().location))
    policy = [entry.strip() for entry in response.headers["Permissions-Policy"].split(",")]
    assert "digital-credentials-get=(self)" in policy
    assert "digital-credentials-create=()" in policy


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A deployment that has switched it off."""
    with started(tmp_path_factory.mktemp("without"), {"wallet.dc_api": False}) as running:
        yield running


def test_a_deployment_may_switch_it_off(without: Rig) -> None:
    portal = without.portal("gov24")
    begun = portal.begin()
    page = portal.page(begun)
    assert page.find("digital") is None
    assert portal.link(page)
    csrf = next(e.attributes["value"] for e in page.root.below() if e.attributes.get("name") == "csrf")
    posted = portal.browser.post(
        portal.absolute(f"{begun.location}/digital-credential"),
        json={"protocol": dc_api.SIGNED, "data": {"response": b64(b"x")}},
        headers={"X-CSRF-Token": csrf},
    )
    with harmless(without):
        refused(posted, "form_expired", 409)
