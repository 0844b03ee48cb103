"""The wallet asked by a browser refuses what OpenID4VP 1.0, appendix A, and HAIP forbid."""

import json
from typing import Any

import pytest
from cryptography import x509

from idp.demo import dc_api, request
from idp.demo.personas import PERSONAS
from idp.demo.wallet import Fault, Wallet

from .conftest import Guests

ORIGIN = "https://verifier.example"
LINKS_ONLY = ("state", "response_uri", "aud")


def claims(guests: Guests, *, signed: bool = True, **changes: Any) -> dict[str, Any]:
    """A good request through a browser with some members changed; None leaves one out."""
    made = guests.provider.request_claims(guests.provider.new_login())
    good = {**made, **dict.fromkeys(LINKS_ONLY), "response_mode": "dc_api.jwt"}
    good |= {"expected_origins": [ORIGIN]} if signed else dict.fromkeys(("client_id", "iss", "iat", "exp"))
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(guests: Guests, **changes: Any) -> dict[str, Any]:
    token = guests.provider.sign_request(claims(guests, **changes))
    return {"protocol": dc_api.SIGNED, "data": {"request": token}}


def plain(guests: Guests, **changes: Any) -> dict[str, Any]:
    return {"protocol": dc_api.UNSIGNED, "data": claims(guests, signed=False, **changes)}


def receive(guests: Guests, *requests: dict[str, Any], origin: str = ORIGIN) -> tuple[str, request.Request]:
    trusted = x509.load_pem_x509_certificate(guests.prepared.access_ca.read_bytes())
    return dc_api.receive(requests, origin, trusted)


def refused(guests: Guests, *requests: dict[str, Any], origin: str = ORIGIN) -> str:
    with pytest.raises(request.RequestRefused) as refusal:
        receive(guests, *requests, origin=origin)
    return refusal.value.reason


def test_the_first_request_in_a_known_protocol_is_read(guests: Guests) -> None:
    foreign = {"protocol": "org-iso-mdoc", "data": {"deviceRequest": ""}}
    protocol, asked = receive(guests, foreign, signed(guests), plain(guests))
    assert (protocol, asked.verifier) == (dc_api.SIGNED, "Sinwon demo provider")
    protocol, asked = receive(guests, foreign, plain(guests), signed(guests))
    assert (protocol, asked.verifier) == (dc_api.UNSIGNED, ORIGIN)


def test_an_answer_is_bound_to_the_page_that_asked_also_when_the_request_is_signed(guests: Guests) -> None:
    for one in (signed(guests), plain(guests)):
        assert receive(guests, one)[1].audience == f"origin:{ORIGIN}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expected_origins": None}, "expected_origins"),
        ({"expected_origins": []}, "expected_origins"),
        ({"expected_origins": ORIGIN}, "expected_origins"),
        ({"expected_origins": [f"{ORIGIN}/"]}, "expected_origins"),
        ({"expected_origins": ["https://evil.example"]}, "expected_origins"),
        ({"client_id": "x509_hash:other"}, "x509_hash"),
        ({"client_id": None}, "prefix"),
        ({"client_id": f"origin:{ORIGIN}"}, "prefix"),
        ({"exp": 1}, "expired"),
        ({"iat": None}, "iat"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_signed_request_that_is_not_in_order_is_refused(
    guests: Guests, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refused(guests, signed(guests, **changes))


@pytest.mark.parametrize("make", [signed, plain])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"response_mode": "dc_api"}, "response_mode"),
        ({"response_mode": "direct_post.jwt"}, "response_mode"),
        ({"response_type": "code"}, "response_type"),
        ({"state": "a"}, "state"),
        ({"response_uri": f"{ORIGIN}/response"}, "response_uri"),
        ({"nonce": "short"}, "nonce"),
        ({"client_metadata": None}, "client_metadata"),
        ({"dcql_query": None}, "dcql_query"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_request_with_a_wrong_parameter_is_refused(
    guests: Guests, make: Any, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refused(guests, make(guests, **changes))


def test_a_verifier_is_not_believed_who_it_is_without_a_signature(guests: Guests) -> None:
    assert "client_id" in refused(guests, plain(guests, client_id=guests.provider.client_id))


@pytest.mark.parametrize(
    "data", [{}, {"request": 1}, {"request": "a.b"}, {"request": "a.b.c", "client_id": "x"}], ids=json.dumps
)
def test_what_holds_no_signed_request_is_refused(guests: Guests, data: dict[str, Any]) -> None:
    refused(guests, {"protocol": dc_api.SIGNED, "data": data})


def test_nothing_to_answer_is_refused(guests: Guests) -> None:
    assert "no request" in refused(guests)
    assert "no request" in refused(guests, {"protocol": dc_api.SIGNED, "data": "x"})


def test_what_goes_back_is_encrypted_unless_it_is_to_be_wrong(guests: Guests) -> None:
    wallet: Wallet = guests.app.extensions["demo_wallet"]
    asked = [signed(guests)]
    right = dc_api.answer(wallet, asked, origin=ORIGIN, persona=PERSONAS[0])
    assert right["protocol"] == dc_api.SIGNED
    assert set(right["data"]) == {"response"}
    assert right["data"]["response"].count(".") == 4
    wrong = dc_api.answer(wallet, asked, origin=ORIGIN, persona=PERSONAS[0], fault=Fault.UNENCRYPTED)
    assert set(wrong["data"]) == {"vp_token"}


def test_a_refusal_holds_its_code_and_nothing_else(guests: Guests) -> None:
    assert dc_api.refuse([plain(guests)]) == {
        "protocol": dc_api.UNSIGNED,
        "data": {"error": "access_denied"},
    }
