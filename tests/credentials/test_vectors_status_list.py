"""Published status lists: draft-ietf-oauth-status-list, encodings and the token in JWT format."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest

from idp.credentials import CredentialRejected, Reason, jose
from idp.credentials.status import StatusList, decode_list, parse_token_with_key

LONG = [f"status_list/encoding_{bits}bit.json" for bits in (1, 2, 4, 8)]


@pytest.fixture(params=LONG)
def long_list(request: pytest.FixtureRequest, vector: Callable[[str], bytes]) -> Mapping[str, Any]:
    return json.loads(vector(request.param))


@pytest.fixture
def token(vector: Callable[[str], bytes]) -> Mapping[str, Any]:
    return json.loads(vector("status_list/token_jwt.json"))


def decoded(document: Mapping[str, Any]) -> StatusList:
    return StatusList(*decode_list(document["json"]), issued_at=0, valid_until=None, ttl_s=None)


def parsed(token: Mapping[str, Any], **changes: Any) -> StatusList:
    arguments: dict[str, Any] = {
        "uri": token["uri"],
        "key": jose.public_key(token["public_jwk"]),
        "now": int(datetime.fromisoformat(token["verification_time"]).timestamp()),
    }
    return parse_token_with_key(token["jwt"].encode("ascii"), **{**arguments, **changes})


def test_the_short_lists_of_the_draft_have_their_published_values(vector: Callable[[str], bytes]) -> None:
    document = json.loads(vector("status_list/encoding_small.json"))
    for given, expected in zip(document["lists"], document["expected"]["lists"], strict=True):
        listed = decoded(given)
        assert listed.entries.hex() == expected["byte_array_hex"]
        assert [listed.value(idx) for idx in range(len(expected["values"]))] == expected["values"]
        with pytest.raises(CredentialRejected) as refusal:
            listed.value(document["expected"]["out_of_range"][str(given["bits"])])
        assert refusal.value.reason is Reason.STATUS_INVALID


def test_the_long_lists_of_the_draft_have_their_published_values(long_list: Mapping[str, Any]) -> None:
    listed = decoded(long_list)
    assert len(listed.entries) * 8 // listed.bits == long_list["entries"]
    values = {idx: listed.value(int(idx)) for idx in long_list["expected"]["values"]}
    assert values == long_list["expected"]["values"]


def test_an_index_outside_the_long_lists_of_the_draft_is_refused(long_list: Mapping[str, Any]) -> None:
    listed = decoded(long_list)
    for idx in long_list["expected"]["out_of_range"]:
        with pytest.raises(CredentialRejected) as refusal:
            listed.value(idx)
        assert refusal.value.reason is Reason.STATUS_INVALID


def test_the_token_of_the_draft_verifies_to_its_published_values(token: Mapping[str, Any]) -> None:
    listed = parsed(token)
    expected = token["expected"]
    assert [listed.value(idx) for idx in range(len(expected["values"]))] == expected["values"]
    assert (listed.issued_at, listed.valid_until) == (expected["payload"]["iat"], expected["payload"]["exp"])
    assert listed.ttl_s == expected["payload"]["ttl"]


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
