"""Status List Tokens as CWT: what a token must be, and that each type is asked for by itself."""

import zlib
from collections.abc import Mapping
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Reason, StatusEvidence, StatusLists
from idp.credentials.status import MAX_LIST_BYTES, MAX_TOKEN_BYTES, TokenType, parse_token
from tests.credentials.issuing import (
    ABSENT,
    LEAF_EXTENSIONS,
    NOW,
    STATUS_URI,
    Authority,
    StatusHost,
    b64u,
    certificate,
    der,
    p256,
    packed,
    status_token,
    usage,
)
from tests.credentials.issuing_mdoc import World, status_cwt

CWT = TokenType.CWT


@pytest.fixture
def world() -> World:
    """One trusted mission and its status host, new for each test."""
    return World()


def look(world: World, idx: int = 0, *, now: int = NOW, token_type: TokenType = CWT) -> StatusEvidence:
    return world.status.lookup(STATUS_URI, idx, world.mission, now, fail_closed=True, token_type=token_type)


def refuse(world: World, idx: int = 0, **arguments: Any) -> CredentialRejected:
    with pytest.raises(CredentialRejected) as refusal:
        look(world, idx, **arguments)
    return refusal.value


def refused_token(world: World, token: bytes) -> str:
    """Why this token is refused; it is unknown, then, whether the credential holds."""
    with pytest.raises(CredentialRejected) as refusal:
        parse_token(token, uri=STATUS_URI, mission=world.mission, now=NOW, token_type=CWT)
    assert refusal.value.reason is Reason.STATUS_TOKEN
    world.host.served[STATUS_URI] = token
    assert refuse(world).reason is Reason.STATUS_UNKNOWN
    return refusal.value.detail


def test_zero_is_valid_one_is_revoked_two_is_suspended(world: World) -> None:
    assert look(world, 0).organisation is world.mission
    assert refuse(world, 1).reason is Reason.STATUS_REVOKED
    assert refuse(world, 2).reason is Reason.STATUS_SUSPENDED
    assert refuse(world, 3).reason is Reason.STATUS_INVALID
    assert refuse(world, 4).reason is Reason.STATUS_INVALID


@pytest.mark.parametrize("tagged", [True, False])
def test_a_token_is_read_with_its_tag_and_without(world: World, tagged: bool) -> None:
    world.host.served[STATUS_URI] = status_cwt(world.authority, tagged=tagged)
    assert look(world)


def test_the_chain_may_stand_in_either_header(world: World) -> None:
    chain = der(world.authority.status_signer)
    token = status_cwt(world.authority, protected={33: ABSENT}, unprotected={33: chain})
    world.host.served[STATUS_URI] = token
    assert look(world)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@given(data=st.data())
@settings(max_examples=25)
def test_any_list_reads_as_it_was_packed(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=40))
    token = status_cwt(AUTHORITY, values, bits)
    listed = parse_token(token, uri=STATUS_URI, mission=AUTHORITY.mission(), now=NOW, token_type=CWT)
    assert (listed.bits, listed.entries) == (bits, packed(values, bits))


def test_a_list_is_kept_as_long_as_its_token_says(world: World) -> None:
    world.host.served[STATUS_URI] = status_cwt(world.authority, payload={65534: 100})
    for now in (NOW, NOW + 99):
        assert look(world, now=now).checked_at == NOW
    assert look(world, now=NOW + 100).checked_at == NOW + 100


LIST: Mapping[str, Any] = {"bits": 1, "lst": zlib.compress(b"\x00")}


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        *(({"protected": {16: bad}}, "typ") for bad in (ABSENT, TokenType.JWT.value, "statuslist+cwt", 0, None)),
        *(({"payload": {2: bad}}, "sub") for bad in (ABSENT, STATUS_URI + "/", [STATUS_URI], STATUS_URI.encode())),
        *(({"payload": {6: bad}}, "iat") for bad in (ABSENT, NOW + 61, "1", True, CBORTag(0, "2026-11-23T03:00:00Z"))),
        *(({"payload": {4: bad}}, "exp") for bad in (NOW, NOW - 1, 0, "1", -1, float("nan"), float("inf"))),
        *(({"payload": {65533: bad}}, "status_list") for bad in (ABSENT, [], {}, {"bits": 1}, {"lst": b"x"}, b"x")),
        *(({"payload": {65533: {**LIST, "bits": bad}}}, "bits") for bad in (0, 3, 16, -1, True, "1", 1.0, [1])),
        *(({"payload": {65533: {**LIST, "lst": bad}}}, "lst") for bad in (b"", b"x", None, [], LIST["lst"][:-1])),
        ({"payload": {65533: {**LIST, "lst": LIST["lst"] + b"\x00"}}}, "lst"),
        ({"payload": {65533: {**LIST, "lst": b64u(LIST["lst"])}}}, "lst"),
        *(({"protected": {33: bad}}, "x5chain") for bad in (ABSENT, None, [], "x", [1])),
        *(({"protected": {1: bad}}, "algorithm") for bad in (ABSENT, -8, 5, "ES256", -35)),
        ({"protected": {2: [16]}}, "critical_header"),
        ({"unprotected": {2: [16]}}, "critical_header"),
        ({"unprotected": {16: "application/statuslist+cwt"}}, "both"),
        ({"payload": b"\x80"}, "map"),
        ({"payload": b"\xa0\x00"}, "malformed"),
        ({"payload": b""}, "malformed"),
    ],
)  # fmt: skip
def test_a_token_with_one_thing_wrong_is_refused(world: World, changes: dict[str, Any], detail: str) -> None:
    assert detail in refused_token(world, status_cwt(world.authority, **changes))


def test_a_token_without_exp_ends_with_its_signers_certificate(world: World) -> None:
    token = status_cwt(world.authority, payload={4: ABSENT, 65534: ABSENT})
    listed = parse_token(token, uri=STATUS_URI, mission=world.mission, now=NOW, token_type=CWT)
    ends = int(world.authority.status_signer.not_valid_after_utc.timestamp())
    assert (listed.valid_until, listed.ttl_s) == (ends, None)


@pytest.mark.parametrize("tag", [61, 17, 24, 98, 55799])
def test_a_token_under_another_tag_is_refused(world: World, tag: int) -> None:
    token = cbor2.loads(status_cwt(world.authority, tagged=False))
    refused_token(world, cbor2.dumps(CBORTag(tag, token)))
    refused_token(world, cbor2.dumps(CBORTag(tag, CBORTag(18, token))))


def test_a_token_that_is_tagged_twice_is_refused(world: World) -> None:
    token = cbor2.loads(status_cwt(world.authority, tagged=False))
    refused_token(world, cbor2.dumps(CBORTag(18, CBORTag(18, token))))


def test_a_token_with_a_detached_payload_is_refused(world: World) -> None:
    token = cbor2.loads(status_cwt(world.authority, tagged=False))
    token[2] = None
    refused_token(world, cbor2.dumps(CBORTag(18, token)))


@pytest.mark.parametrize(
    "token", [b"", b"\xff", b"\xd2", b"\xa0", b"\x84\x40\xa0\x40\x40", bytes(100)], ids=bytes.hex
)
def test_what_is_no_token_is_refused(world: World, token: bytes) -> None:
    refused_token(world, token)


def test_a_token_with_something_after_it_is_refused(world: World) -> None:
    refused_token(world, status_cwt(world.authority) + b"\x00")


def test_a_token_that_is_too_large_is_refused(world: World) -> None:
    assert "too_large" in refused_token(world, bytes(MAX_TOKEN_BYTES + 1))


def test_a_list_that_is_too_large_is_refused(world: World) -> None:
    bomb = zlib.compress(bytes(MAX_LIST_BYTES + 1), 9)
    assert "too large" in refused_token(world, status_cwt(world.authority, lst=bomb))


def test_a_token_of_another_signature_is_refused(world: World) -> None:
    assert "issuer_signature" in refused_token(world, status_cwt(world.authority, key=p256()))


def test_a_token_under_another_authority_is_refused(world: World) -> None:
    assert "issuer_untrusted" in refused_token(world, status_cwt(Authority("LAX")))


def test_a_token_of_a_signer_of_another_purpose_is_refused(world: World) -> None:
    key = p256()
    signer = certificate("status", key, "LAX CA", world.authority.key, [(usage(key_agreement=True), True)])
    token = status_cwt(world.authority, key=key, protected={33: der(signer)})
    assert "issuer_certificate" in refused_token(world, token)


def test_the_chain_leads_to_the_authority_and_not_to_the_document_signer(world: World) -> None:
    key = p256()
    signer = certificate("status", key, "document signer", world.authority.signer_key, LEAF_EXTENSIONS)
    chain = [der(signer), der(world.authority.signer)]
    token = status_cwt(world.authority, key=key, protected={33: chain})
    assert "issuer_untrusted" in refused_token(world, token)


# Which type


def test_each_type_of_token_is_asked_for_and_kept_by_itself(world: World) -> None:
    tokens = {TokenType.JWT: status_token(world.authority), CWT: status_cwt(world.authority)}

    class Host(StatusHost):
        def fetch(self, uri: str, token_type: TokenType = TokenType.JWT) -> bytes:
            super().fetch(uri, token_type)
            return tokens[token_type]

    host = Host({STATUS_URI: b""})
    world.status = StatusLists(host.fetch)
    for _ in range(2):
        for token_type in TokenType:
            assert look(world, token_type=token_type)
    assert host.asked_as == [token_type.value for token_type in TokenType]


@pytest.mark.parametrize("token_type", TokenType)
def test_a_token_of_the_other_type_is_none(world: World, token_type: TokenType) -> None:
    token = status_cwt(world.authority) if token_type is TokenType.JWT else status_token(world.authority)
    world.host.served[STATUS_URI] = token
    assert refuse(world, token_type=token_type).reason is Reason.STATUS_UNKNOWN


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    with pytest.raises(CredentialRejected):
        parse_token(data, uri=STATUS_URI, mission=AUTHORITY.mission(), now=NOW, token_type=CWT)


AUTHORITY = Authority()
