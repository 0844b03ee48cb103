"""Published status lists: draft-ietf-oauth-status-list, encodings in JSON and CBOR, the token as JWT and as CWT."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest

from idp.credentials import CredentialRejected, Reason, cbor, jose
from idp.credentials.status import StatusList, TokenType, decode_list, parse_token_with_key

LONG = [f"status_list/encoding_{bits}bit.json" for bits in (1, 2, 4, 8)]


@pytest.fixture(params=LONG)
def long_list(request: pytest.FixtureRequest, vector: Callable[[str], bytes]) -> Mapping[str, Any]:
    return json.loads(vector(request.param))


@pytest.fixture(params=["jwt", "cwt", "cwt_untagged"])
def token(request: pytest.FixtureRequest, vector: Callable[[str], bytes]) -> Mapping[str, Any]:
    """A token, with its bytes and type beside what is published of it."""
    document = json.loads(vector(f"status_list/token_{request.param[:3]}.json"))
    if request.param == "jwt":
        return {**document, "bytes": document["jwt"].encode("ascii"), "type": TokenType.JWT}
    return {**document, "bytes": bytes.fromhex(document[f"{request.param}_hex"]), "type": TokenType.CWT}


def decoded(document: Mapping[str, Any], form: str) -> StatusList:
    if form == "json":
        listed = decode_list(document["json"], TokenType.JWT)
    else:
        listed = decode_list(cbor.loads(bytes.fromhex(document["cbor_hex"])), TokenType.CWT)
    return StatusList(*listed, issued_at=0, valid_until=None, ttl_s=None)


def parsed(token: Mapping[str, Any], **changes: Any) -> StatusList:
    arguments: dict[str, Any] = {
        "uri": token["uri"],
        "key": jose.public_key(token["public_jwk"]),
        "now": int(datetime.fromisoformat(token["verification_time"]).timestamp()),
        "token_type": token["type"],
    }
    return parse_token_with_key(token["bytes"], **{**arguments, **changes})


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_the_short_lists_of_the_draft_have_their_published_values(
    vector: Callable[[str], bytes], form: str
) -> None:
    document = json.loads(vector("status_list/encoding_small.json"))
    for given, expected in zip(document["lists"], document["expected"]["lists"], strict=True):
        listed = decoded(given, form)
        assert listed.entries.hex() == expected["byte_array_hex"]
        assert [listed.value(idx) for idx in range(len(expected["values"]))] == expected["values"]
        with pytest.raises(CredentialRejected) as refusal:
            listed.value(document["expected"]["out_of_range"][str(given["bits"])])
        assert refusal.value.reason is Reason.STATUS_INVALID


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_the_long_lists_of_the_draft_have_their_published_values(
    long_list: Mapping[str, Any], form: str
) -> None:
    listed = decoded(long_list, form)
    assert len(listed.entries) * 8 // listed.bits == long_list["entries"]
    values = {idx: listed.value(int(idx)) for idx in long_list["expected"]["values"]}
    assert values == long_list["expected"]["values"]


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_an_index_outside_the_long_lists_of_the_draft_is_refused(
    long_list: Mapping[str, Any], form: str
) -> None:
    listed = decoded(long_list, form)
    for idx in long_list["expected"]["out_of_range"]:
        with pytest.raises(CredentialRejected) as refusal:
            listed.value(idx)
        assert refusal.value.reason is Reason.STATUS_INVALID


def test_the_token_of_the_draft_verifies_to_its_published_values(token: Mapping[str, Any]) -> None:
    listed = parsed(token)
    expected = token["expected"]
    assert [listed.value(idx) for idx in range(len(expected["values"]))] == expected["values"]
    claims = expected["payload"] if token["type"] is TokenType.JWT else expected["claims"]
    assert (listed.issued_at, listed.valid_until) == (claims["iat"], claims["exp"])
    assert listed.ttl_s == claims["ttl"]


def test_a_token_of_the_draft_is_not_taken_for_one_of_the_other_type(token: Mapping[str, Any]) -> None:
    other = TokenType.CWT if token["type"] is TokenType.JWT else TokenType.JWT
    with pytest.raises(CredentialRejected) as refusal:
        parsed(token, token_type=other)
    assert refusal.value.reason is Reason.STATUS_TOKEN


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"uri": "https://example.com/statuslists/2"}, "sub"),
        ({"now": 2291720170}, "exp"),
        ({"now": 1686920170 - 61}, "iat"),
        (
            {
                "key": {
                    "kty": "EC",
                    "crv": "P-256",
                    "x": "TCAER19Zvu3OHF4j4W4vfSVoHIP1ILilDls7vCeGemc",
                    "y": "ZxjiWWbZMQGHVWKVQ4hbSIirsVfuecCE6t4jT9F2HZQ",
                }
            },
            "signature",
        ),
    ],
    ids=["another uri", "after its expiry", "before it was issued", "another key"],
)
def test_the_token_of_the_draft_is_refused(
    token: Mapping[str, Any], changes: dict[str, Any], detail: str
) -> None:
    if "key" in changes:
        changes = {"key": jose.public_key(changes["key"])}
    with pytest.raises(CredentialRejected) as refusal:
        parsed(token, **changes)
    assert refusal.value.reason is Reason.STATUS_TOKEN
    assert detail in refusal.value.detail
