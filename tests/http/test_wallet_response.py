"""The envelope of an answer: the form, the encryption, and whose question it answers (OpenID4VP 8.2, 8.3, HAIP 5)."""

import json
import time
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests import presenting
from tests.harmless import EVIL, as_json, decent, harmless, to_portal
from tests.presenting import Answer, Change, b64, unb64
from tests.rig import Begun, Portal, Rig, callback_parameters

REJECTED = "presentation.rejected"


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def asked(portal: Portal, via: str = "link") -> tuple[Begun, str]:
    begun = portal.begin()
    page = portal.page(begun)
    return begun, portal.link(page) if via == "link" else portal.qr(page)


# -- the form ----------------------------------------------------------------------------------------------------

FORMS: dict[str, tuple[Any, str]] = {
    "nothing": ({}, "malformed"),
    "state_alone": ({"state": "x"}, "malformed"),
    "empty": ({"response": ""}, "not_readable"),
    "not_encrypted": ({"vp_token": '{"kr-overseas-national":["PRESENTED"]}', "state": "STATE"}, "not_encrypted"),
    "both": ({"response": "RESPONSE", "vp_token": "{}"}, "not_encrypted"),
    "twice": ({"response": ["RESPONSE", "RESPONSE"]}, "malformed"),
    "twice_state": ({"response": "RESPONSE", "state": ["a", "b"]}, "malformed"),
    "error_and_vp_token": ({"error": "access_denied", "vp_token": "{}"}, "malformed"),
    "error_twice": ({"error": ["a", "b"]}, "malformed"),
    "error_for_another": ({"error": "access_denied", "state": "other"}, "not_this_login"),
    "garbage": ({"response": "\0\x01"}, "not_readable"),
    "hangul": ({"response": "가.나.다.라.마"}, "not_readable"),
    "dots": ({"response": "." * 5000}, "not_readable"),
    "a_jws": ({"response": "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"}, "not_readable"),
    "markup": ({"response": EVIL}, "not_readable"),
    "many_fields": ({f"f{n}": "x" for n in range(50_000)}, "malformed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_that_is_no_answer_is_refused(rig: Rig, portal: Portal, kind: str) -> None:
    form, reason = FORMS[kind]
    answer = Answer(rig, asked(portal)[1])
    made = {
        "RESPONSE": answer.encrypted(),
        "STATE": answer.request["state"],
        '{"kr-overseas-national":["PRESENTED"]}': json.dumps({answer.query_id: [answer.presented()]}),
    }
    filled = {
        name: [made.get(item, item) for item in value] if isinstance(value, list) else made.get(value, value)
        for name, value in form.items()
    }
    with harmless(rig, (REJECTED, reason)):
        began, computed = time.perf_counter(), time.process_time()
        as_json(rig.http.post(answer.response_uri, data=filled), 400, "invalid_request")
        # Both sides of it run in this process. Where others want the same core it takes longer, but costs no more.
        assert time.process_time() - computed < 2
        assert time.perf_counter() - began < 10
    assert answer.send().status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        {"json": {"response": "x"}},
        {"files": {"response": (None, "x")}},
        {"content": b"response=x"},
        {"content": b"response=x", "headers": {"Content-Type": "text/plain"}},
        {"content": b"\xff\xfe", "headers": {"Content-Type": "application/octet-stream"}},
    ],
    ids="-".join,
)
def test_a_body_that_is_no_form_is_refused(rig: Rig, portal: Portal, arguments: dict[str, Any]) -> None:
    answer = Answer(rig, asked(portal)[1])
    with harmless(rig, (REJECTED, "malformed")):
        as_json(rig.http.post(answer.response_uri, **arguments), 400, "invalid_request")


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
        assert time.perf_counter() - began < 2


# -- the encryption ----------------------------------------------------------------------------------------------


def header(**members: Any) -> Change:
    return lambda answer: answer.encryption_header.update(members)


def rewritten(**members: Any) -> Change:
    """The header of a finished answer replaced: what must be seen before any key is touched."""

    def alter(token: str) -> str:
        head, _, rest = token.partition(".")
        changed = {**json.loads(unb64(head)), **members}
        return b64(json.dumps({k: v for k, v in changed.items() if v is not None}).encode()) + "." + rest

    return lambda answer: setattr(answer, "alter_response", alter)


def part(index: int, alter: Any) -> Change:
    def change(token: str) -> str:
        pieces = token.split(".")
        pieces[index] = alter(pieces[index])
        return ".".join(pieces)

    return lambda answer: setattr(answer, "alter_response", change)


def flip(text: str) -> str:
    data = bytearray(unb64(text))
    data[len(data) // 2] ^= 1
    return b64(bytes(data))


def whole(alter: Any) -> Change:
    return lambda answer: setattr(answer, "alter_response", alter)


def plain(value: Any) -> Change:
    return lambda answer: setattr(answer, "plaintext", value)


def with_key(key: Any, **members: Any) -> Change:
    def change(answer: Answer) -> None:
        answer.encryption_key = key
        answer.encryption_header.update(members)

    return change


def token_of(make: Any) -> Change:
    """Another vp_token, made from the query's id and the good presentation."""
    return lambda answer: answer.payload.update(vp_token=make(answer.query_id, answer.presented()))


def payload(**members: Any) -> Change:
    return lambda answer: answer.payload.update(members)


ENVELOPES: dict[str, tuple[Change, str]] = {
    "alg_with_wrapping": (header(alg="ECDH-ES+A128KW"), "not_readable"),
    "alg_rsa": (with_key(RSAKey.generate_key(2048), alg="RSA-OAEP"), "not_readable"),
    "alg_dir": (with_key(OctKey.generate_key(128), alg="dir"), "not_readable"),
    "alg_kw": (with_key(OctKey.generate_key(128), alg="A128KW"), "not_readable"),
    "alg_rsa1_5": (rewritten(alg="RSA1_5"), "not_readable"),
    "alg_pbes2": (rewritten(alg="PBES2-HS256+A128KW", p2c=2**31, p2s="AAAA"), "not_readable"),
    "alg_none": (rewritten(alg="none"), "not_readable"),
    "alg_missing": (rewritten(alg=None), "not_readable"),
    "alg_number": (rewritten(alg=1), "not_readable"),
    "alg_list": (rewritten(alg=["ECDH-ES"]), "not_readable"),
    "enc_cbc": (header(enc="A128CBC-HS256"), "not_readable"),
    "enc_192": (header(enc="A192GCM"), "not_readable"),
    "enc_missing": (rewritten(enc=None), "not_readable"),
    "enc_list": (rewritten(enc=["A128GCM"]), "not_readable"),
    "zip": (header(zip="DEF"), "not_readable"),
    "zip_rewritten": (rewritten(zip="DEF"), "not_readable"),
    "crit": (rewritten(crit=["x"], x=1), "not_readable"),
    "header_long": (rewritten(x="x" * 20_000), "not_readable"),
    "header_no_object": (part(0, lambda _: b64(b"[]")), "not_readable"),
    "header_flipped": (part(0, lambda text: text[:-2] + "!!"), "not_readable"),
    "key_in_the_second_part": (part(1, lambda _: "AAAA"), "not_readable"),
    "iv_flipped": (part(2, flip), "not_readable"),
    "iv_empty": (part(2, lambda _: ""), "not_readable"),
    "iv_long": (part(2, lambda text: text * 3), "not_readable"),
    "ciphertext_flipped": (part(3, flip), "not_readable"),
    "ciphertext_empty": (part(3, lambda _: ""), "not_readable"),
    "tag_flipped": (part(4, flip), "not_readable"),
    "tag_short": (part(4, lambda text: text[:-6]), "not_readable"),
    "tag_empty": (part(4, lambda _: ""), "not_readable"),
    "four_parts": (whole(lambda token: token.rpartition(".")[0]), "not_readable"),
    "six_parts": (whole(lambda token: token + ".AAAA"), "not_readable"),
    "padded": (whole(lambda token: token + "="), "not_readable"),
    "json": (whole(lambda token: json.dumps({"protected": token.split(".")[0], "recipients": []})), "not_readable"),
    "epk_missing": (rewritten(epk=None), "not_readable"),
    "epk_text": (rewritten(epk="x"), "not_readable"),
    "epk_p384": (rewritten(epk={"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}), "not_readable"),
    "epk_off_curve": (
        rewritten(epk={"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32))}), "not_readable"
    ),
    "epk_short": (rewritten(epk={"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), "not_readable"),
    "epk_oct": (rewritten(epk={"kty": "oct", "crv": "P-256", "k": "AAAA"}), "not_readable"),
    "for_another_key": (with_key(ECKey.generate_key("P-256")), "not_readable"),
    "kid_of_nobody": (header(kid="x"), "not_this_login"),
    "kid_number": (rewritten(kid=7), "not_this_login"),
    # what is inside
    "array": (plain([]), "not_readable"),
    "text": (plain(b"hello"), "not_readable"),
    "empty": (plain(b" "), "not_readable"),
    "a_jws_inside": (plain(b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA"), "not_readable"),
    "deep": (plain(b'{"vp_token":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not_readable"),
    "twice": (plain(b'{"vp_token":{},"vp_token":{}}'), "not_readable"),
    "nan": (plain(b'{"vp_token":NaN}'), "not_readable"),
    "long_number": (plain(b'{"state":' + b"9" * 5000 + b"}"), "not_readable"),
    "surrogate": (plain(b'{"state":"\\ud800"}'), "not_readable"),
    "not_utf8": (plain(b'{"state":"\xff"}'), "not_readable"),
    "nothing_in_it": (plain({}), "malformed"),
    "state_other": (payload(state="x"), "not_this_login"),
    "state_number": (payload(state=7), "not_this_login"),
    "state_object": (payload(state={"a": 1}), "not_this_login"),
    "vp_token_text": (token_of(lambda name, shown: shown), "malformed"),
    "vp_token_list": (token_of(lambda name, shown: [shown]), "malformed"),
    "vp_token_empty": (token_of(lambda name, shown: {}), "incomplete"),
    "unknown_id": (token_of(lambda name, shown: {"pid": [shown]}), "incomplete"),
    "one_more_id": (token_of(lambda name, shown: {name: [shown], "pid": [shown]}), "incomplete"),
    "not_a_list": (token_of(lambda name, shown: {name: shown}), "malformed"),
    "empty_list": (token_of(lambda name, shown: {name: []}), "malformed"),
    "two_presentations": (token_of(lambda name, shown: {name: [shown, shown]}), "malformed"),
    "a_null": (token_of(lambda name, shown: {name: [None]}), "malformed"),
    "an_object": (token_of(lambda name, shown: {name: [{"jwt": shown}]}), "malformed"),
    "nested": (token_of(lambda name, shown: {name: [[shown]]}), "malformed"),
    "an_mdoc": (token_of(lambda name, shown: {name: [b64(b"\xa3gversion")]}), "malformed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENVELOPES)
def test_an_envelope_that_is_not_ours_is_refused_and_the_login_goes_on(
    rig: Rig, portal: Portal, kind: str
) -> None:
    change, reason = ENVELOPES[kind]
    link = asked(portal)[1]
    answer = Answer(rig, link)
    change(answer)
    with harmless(rig, (REJECTED, reason)):
        as_json(answer.send(), 400, "invalid_request")
    assert Answer(rig, link).send().status_code == 200


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
