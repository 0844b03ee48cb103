"""The envelope of an answer: the form, the encryption, and whose question it answers (OpenID4VP 8.2, 8.3, HAIP 5)."""

import time
from typing import Any

import httpx2
import pytest

from tests import presenting
from tests.harmless import EVIL, as_json, decent, harmless, to_portal
from tests.pace import pace
from tests.presenting import Answer, Change, b64
from tests.rig import Begun, Portal, Rig, callback_parameters

REJECTED = "presentation.rejected"


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def asked(portal: Portal, via: str = "link") -> tuple[Begun, str]:
    begun = portal.begin()
    page = portal.page(begun)
    return begun, portal.link(page) if via == "link" else portal.qr(page)


# -- the form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH"])
def test_only_post_is_there(rig: Rig, portal: Portal, method: str) -> None:
    answer = Answer(rig, asked(portal)[1])
    with harmless(rig):
        response = decent(rig.http.request(method, answer.response_uri))
    assert response.status_code == 405
    assert response.headers["Allow"].replace(" ", "").split(",").count("POST") == 1


def test_a_body_over_the_limit_is_not_read(rig: Rig, portal: Portal) -> None:
    answer = Answer(rig, asked(portal)[1])
    answer.form = {"response": "x" * rig.house.settings.server.max_body_bytes}
    with harmless(rig):
        as_json(answer.send(), 413, "invalid_request")
    answer.form = {}
    assert answer.send().status_code == 200


def test_a_body_just_under_the_limit_is_read_and_refused_quickly(rig: Rig, portal: Portal) -> None:
    answer = Answer(rig, asked(portal)[1])
    answer.form = {"response": "x." * (rig.house.settings.server.max_body_bytes // 2 - 100)}
    with harmless(rig, (REJECTED, "not_readable")):
        began = time.perf_counter()
        as_json(answer.send(), 400, "invalid_request")
        assert time.perf_counter() - began < 2 * pace()


# -- the encryption ----------------------------------------------------------------------------------------------


def header(**members: Any) -> Change:
    return lambda answer: answer.encryption_header.update(members)


def payload(**members: Any) -> Change:
    return lambda answer: answer.payload.update(members)


@pytest.mark.parametrize(
    "change",
    [
        header(enc="A256GCM"),
        header(kid=None),
        header(apu=b64(b"\x00\xff"), apv=b64(b"x" * 300)),
        payload(state=None),
        payload(id_token="x", presentation_submission={}, extra=[1]),
    ],
)
def test_what_the_specification_leaves_open_is_accepted(rig: Rig, portal: Portal, change: Change) -> None:
    answer = Answer(rig, asked(portal)[1])
    change(answer)
    assert decent(answer.send()).status_code == 200


# -- whose question ----------------------------------------------------------------------------------------------


def test_an_answer_for_another_login_is_refused(rig: Rig, portal: Portal) -> None:
    _, mine = asked(portal)
    _, other = asked(rig.portal("gov24"))
    answer, elsewhere = Answer(rig, mine), Answer(rig, other)
    answer.response_uri = elsewhere.response_uri
    with harmless(rig, (REJECTED, "not_this_login")):
        as_json(answer.send(), 400, "invalid_request")
    answer.encryption_header["kid"] = None
    with harmless(rig, (REJECTED, "not_readable")):
        as_json(answer.send(), 400, "invalid_request")
    answer.encryption_key = elsewhere.encryption_key
    with harmless(rig, (REJECTED, "not_this_login")):
        as_json(answer.send(), 400, "invalid_request")
    answer.payload["state"] = elsewhere.request["state"]
    with harmless(rig, (REJECTED, "key_binding_nonce")):
        as_json(answer.send(), 400, "invalid_request")


def test_the_answer_to_the_link_does_not_answer_the_qr_code_of_the_same_login(
    rig: Rig, portal: Portal
) -> None:
    page = portal.page(portal.begin())
    link, code = Answer(rig, portal.link(page)), Answer(rig, portal.qr(page))
    link.response_uri = code.response_uri
    with harmless(rig, (REJECTED, "not_this_login")):
        body = as_json(link.send(), 400, "invalid_request")
    assert "redirect_uri" not in body


def test_an_accepted_answer_is_told_where_to_go_and_nothing_of_the_holder(rig: Rig, portal: Portal) -> None:
    for via, path in (("link", "/authorize/resume"), ("qr", "/wallet/done/")):
        answer = Answer(rig, asked(portal, via)[1])
        body = decent(answer.send()).json()
        assert set(body) == {"redirect_uri"}
        assert body["redirect_uri"].startswith(rig.issuer + path)
        if via == "link":
            code = callback_parameters(httpx2.Response(303, headers={"Location": body["redirect_uri"]}))
            assert len(code["response_code"]) >= 22
        else:
            assert "response_code" not in body["redirect_uri"]


def test_the_same_message_again_gets_the_same_answer_and_one_event(rig: Rig, portal: Portal) -> None:
    answer = Answer(rig, asked(portal)[1])
    message = answer.encrypted()
    last = rig.last_event()
    answers = [rig.http.post(answer.response_uri, data={"response": message}) for _ in range(3)]
    assert {response.status_code for response in answers} == {200}
    assert len({response.text for response in answers}) == 1
    assert [event.name for event in rig.events(after=last)] == ["presentation.accepted"]


@pytest.mark.parametrize("persona", ["hong", "namgoong"])
def test_a_second_answer_changes_nothing(rig: Rig, portal: Portal, persona: str) -> None:
    begun, link = asked(portal)
    first, second = Answer(rig, link), Answer(rig, link, persona)
    resume = first.send().json()["redirect_uri"]
    with harmless(rig, (REJECTED, "already_answered")):
        as_json(second.send(), 400, "invalid_request")
    code = callback_parameters(portal.agree(portal.browser.get(resume)))["code"]
    token = portal.token(code, begun.verifier).json()["access_token"]
    assert portal.userinfo(token).json()["name"] == "홍길동"


def test_an_answer_after_the_end_is_refused(rig: Rig, portal: Portal) -> None:
    begun, link = asked(portal)
    late = Answer(rig, link)
    rig.clock.forward(1000)
    late.binding_payload["iat"] = rig.clock()
    with harmless(rig):
        as_json(late.send(), 400, "invalid_request")
    assert portal.browser.get(portal.absolute(begun.location)).status_code == 410


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form, reason",
    [
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "access_denied", "state": "STATE"}, "access_denied"),
        ({"error": "access_denied", "error_description": EVIL * 1000}, "access_denied"),
        ({"error": "wallet_unavailable"}, "wallet_unavailable"),
        ({"error": "no such code"}, "unknown"),
        ({"error": EVIL}, "unknown"),
        ({"error": "홍길동"}, "unknown"),
        ({"error": "x" * 5000}, "unknown"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wallet_that_refuses_ends_the_login_and_the_portal_hears_access_denied(
    rig: Rig, form: dict[str, str], reason: str
) -> None:
    portal = rig.portal("gov24")
    begun, link = asked(portal)
    answer = Answer(rig, link)
    answer.form = {
        name: answer.request["state"] if value == "STATE" else value for name, value in form.items()
    }
    with harmless(rig, ("wallet.refused", reason)):
        body = decent(answer.send()).json()
    with harmless(rig, ("login.refused", "access_denied")):
        back = portal.browser.get(body["redirect_uri"])
        to_portal(back, portal.redirect_uri, "access_denied", begun.state, rig.issuer)
    # One code is the holder's word, all others are the wallet's own trouble: who mends something reads which.
    told = "holder_refused" if reason == "access_denied" else "wallet_failed"
    assert rig.events()[-1].detail["check"] == told


def test_an_encrypted_refusal_counts_too(rig: Rig, portal: Portal) -> None:
    answer = Answer(rig, asked(portal)[1])
    answer.plaintext = presenting.as_json({"error": "access_denied", "state": answer.request["state"]})
    with harmless(rig, ("wallet.refused", "access_denied")):
        assert decent(answer.send()).status_code == 200


def test_a_refusal_comes_too_late_after_an_answer(rig: Rig, portal: Portal) -> None:
    _, link = asked(portal)
    answer = Answer(rig, link)
    resume = answer.send().json()["redirect_uri"]
    answer.form = {"error": "access_denied"}
    with harmless(rig, (REJECTED, "already_answered")):
        as_json(answer.send(), 400, "invalid_request")
    assert "code" in callback_parameters(portal.agree(portal.browser.get(resume)))
