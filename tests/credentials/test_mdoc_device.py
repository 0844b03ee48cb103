"""What an mdoc's device signs: each thing that can be wrong with it has its name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag

from idp.credentials import Reason
from tests.credentials.issuing import (
    ABSENT,
    p256,
)
from tests.credentials.issuing_mdoc import (
    EXPECTED,
    ISO,
    KR,
    TRANSCRIPT,
    World,
    cose_key,
    issue,
)
from tests.credentials.mdocs import accept, refuse, sha256


@pytest.fixture
def world() -> World:
    """One mission that is trusted with mdocs, and its status host, new for each test."""
    return World()


# The device


@pytest.mark.parametrize("name", ["client_id", "nonce", "response_uri", "thumbprint"])
def test_an_answer_to_another_request_is_refused(world: World, name: str) -> None:
    parts = {"client_id": "x509_hash:a", "nonce": "b", "thumbprint": bytes(32), "response_uri": "https://c"}

    def transcript(**changes: Any) -> bytes:
        info = cbor2.dumps(list({**parts, **changes}.values()))
        return cbor2.dumps([None, None, ["OpenID4VPHandover", sha256(info)]])

    presentation = issue(world.authority).present(transcript=transcript())
    assert accept(world, presentation, expected=replace(EXPECTED, session_transcript=transcript()))
    for value in ("x", None):
        other = replace(EXPECTED, session_transcript=transcript(**{name: value}))
        assert refuse(world, presentation, expected=other) is Reason.DEVICE_SIGNATURE


def test_where_no_transcript_was_made_nothing_fits(world: World) -> None:
    expected = replace(EXPECTED, session_transcript=b"")
    for transcript in (TRANSCRIPT, b""):
        presentation = issue(world.authority).present(transcript=transcript)
        assert refuse(world, presentation, expected=expected) is Reason.DEVICE_SIGNATURE


def test_a_device_signature_of_another_key_is_refused(world: World) -> None:
    assert refuse(world, issue(world.authority).present(key=p256())) is Reason.DEVICE_SIGNATURE


def test_the_issuer_cannot_sign_for_the_device(world: World) -> None:
    presentation = issue(world.authority).present(key=world.authority.signer_key)
    assert refuse(world, presentation) is Reason.DEVICE_SIGNATURE


def test_a_device_signature_for_another_type_is_refused(world: World) -> None:
    presentation = issue(world.authority).present(signed_doc_type="org.iso.18013.5.1.mDL")
    assert refuse(world, presentation) is Reason.DEVICE_SIGNATURE


def test_a_device_signature_over_other_device_elements_is_refused(world: World) -> None:
    issued = issue(world.authority, device_key_info={"keyAuthorizations": {"nameSpaces": [KR]}})
    other = {"nameSpaces": CBORTag(24, cbor2.dumps({KR: {"a": 2}}))}
    presentation = issued.present(stated={KR: {"a": 1}}, device_signed=other)
    assert refuse(world, presentation) is Reason.DEVICE_SIGNATURE


def test_a_device_signature_with_its_payload_inside_is_refused(world: World) -> None:
    presentation = issue(world.authority).present(payload=b"\xa0")
    assert refuse(world, presentation) is Reason.MALFORMED


def test_a_device_mac_is_refused(world: World) -> None:
    mac = [cbor2.dumps({1: 5}), {}, None, bytes(32)]
    issued = issue(world.authority)
    for device_auth in (
        {"deviceSignature": ABSENT, "deviceMac": mac},
        {"deviceMac": mac},
        {"deviceMac": None},
    ):
        assert refuse(world, issued.present(device_auth=device_auth)) is Reason.DEVICE_MAC


def test_an_answer_without_a_device_signature_is_refused(world: World) -> None:
    issued = issue(world.authority)
    assert (
        refuse(world, issued.present(device_auth={"deviceSignature": ABSENT})) is Reason.KEY_BINDING_MISSING
    )
    for absent in (ABSENT, None):
        assert refuse(world, issued.present(document={"deviceSigned": absent})) is Reason.KEY_BINDING_MISSING


@pytest.mark.parametrize("wrong", [ABSENT, None, [], "x", b""], ids=repr)
def test_a_device_auth_that_is_none_is_refused(world: World, wrong: Any) -> None:
    presentation = issue(world.authority).present(device_signed={"deviceAuth": wrong})
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("wrong", [None, {}, b"", [b"", {}, None]], ids=repr)
def test_a_device_signature_that_is_no_cose_sign1_is_refused(world: World, wrong: Any) -> None:
    presentation = issue(world.authority).present(device_auth={"deviceSignature": wrong})
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("wrong", [ABSENT, None, {}, b"\xa0", "x", []], ids=repr)
def test_device_name_spaces_must_be_embedded(world: World, wrong: Any) -> None:
    presentation = issue(world.authority).present(device_signed={"nameSpaces": wrong})
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("algorithm", [ABSENT, -8, 5, -65537, "ES256", None])
def test_a_device_algorithm_that_is_not_accepted_is_refused(world: World, algorithm: Any) -> None:
    assert refuse(world, issue(world.authority).present(protected={1: algorithm})) is Reason.ALGORITHM


@pytest.mark.parametrize("algorithm", [-35, -51, -36])
def test_a_device_algorithm_of_another_curve_is_refused(world: World, algorithm: int) -> None:
    assert refuse(world, issue(world.authority).present(protected={1: algorithm})) is Reason.ALGORITHM


def test_a_critical_header_of_the_device_is_refused(world: World) -> None:
    assert refuse(world, issue(world.authority).present(protected={2: [1]})) is Reason.CRITICAL_HEADER


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": 1},
        {"kty": 3},
        {"kty": "EC2"},
        {"kty": True},
        {"kty": ABSENT},
        {"crv": 4},
        {"crv": 8},
        {"crv": "P-256"},
        {"crv": True},
        {"crv": 2},
        {"crv": ABSENT},
        {"x": ABSENT},
        {"y": ABSENT},
        {"x": bytes(31)},
        {"x": bytes(33)},
        {"x": b""},
        {"y": bytes(32)},
        {"y": True},
        {"y": False},
        {"x": "x" * 32},
        {"d": bytes(32)},
        {"d": None},
        {"alg": -8},
        {"alg": -35},
        {"alg": None},
        {"alg": [-7]},
        {"key_ops": []},
        {"key_ops": [1]},
        {"key_ops": 2},
        {"key_ops": None},
    ],
    ids=repr,
)
def test_a_device_key_that_is_none_is_refused(world: World, changes: Mapping[str, Any]) -> None:
    key = p256()
    issued = issue(world.authority, holder_key=key, device_key_info={"deviceKey": cose_key(key, **changes)})
    assert refuse(world, issued.present()) is Reason.HOLDER_KEY


@pytest.mark.parametrize(
    "changes", [{"alg": -7}, {"alg": -9}, {"key_ops": [2]}, {"key_ops": [1, 2]}, {"kid": b"1"}], ids=repr
)
def test_a_device_key_that_says_what_it_is_for_is_accepted(world: World, changes: Mapping[str, Any]) -> None:
    key = p256()
    issued = issue(world.authority, holder_key=key, device_key_info={"deviceKey": cose_key(key, **changes)})
    assert accept(world, issued.present())


@pytest.mark.parametrize("wrong", [ABSENT, None, b"", [], "x", {}], ids=repr)
def test_a_device_key_of_another_kind_is_refused(world: World, wrong: Any) -> None:
    issued = issue(world.authority, device_key_info={"deviceKey": wrong})
    assert refuse(world, issued.present()) is Reason.HOLDER_KEY


# What the device states by itself


@pytest.mark.parametrize(
    "authorizations",
    [
        {"nameSpaces": [KR]},
        {"dataElements": {KR: ["a", "b"]}},
        {"nameSpaces": ["x", KR], "dataElements": {}},
    ],
    ids=repr,
)
def test_what_the_device_may_state_is_accepted_and_is_no_claim(world: World, authorizations: Any) -> None:
    issued = issue(world.authority, device_key_info={"keyAuthorizations": authorizations})
    presentation = issued.present(stated={KR: {"a": 1, "b": "x"}}, shown={ISO: ["sex"]})
    assert dict(accept(world, presentation).claims) == {"sex": 1}


def test_the_device_cannot_state_what_the_issuer_says(world: World) -> None:
    issued = issue(world.authority, device_key_info={"keyAuthorizations": {"nameSpaces": [KR]}})
    presentation = issued.present(stated={KR: {"name_ko": "남궁민"}}, shown={KR: ["name_ko"]})
    assert dict(accept(world, presentation).claims) == {"name": "홍길동"}
    assert dict(accept(world, issued.present(stated={KR: {"name_ko": "남궁민"}}, shown={})).claims) == {}


@pytest.mark.parametrize(
    "authorizations",
    [
        ABSENT,
        {},
        {"nameSpaces": []},
        {"nameSpaces": [ISO]},
        {"dataElements": {KR: ["b"]}},
        {"dataElements": {ISO: ["a"]}},
        {"dataElements": {KR: []}},
    ],
    ids=repr,
)
def test_what_the_device_may_not_state_is_refused(world: World, authorizations: Any) -> None:
    issued = issue(world.authority, device_key_info={"keyAuthorizations": authorizations})
    assert refuse(world, issued.present(stated={KR: {"a": 1}})) is Reason.DEVICE_ELEMENTS


def test_an_empty_namespace_of_the_device_is_refused(world: World) -> None:
    issued = issue(world.authority, device_key_info={"keyAuthorizations": {"nameSpaces": [KR]}})
    assert refuse(world, issued.present(stated={KR: {}})) is Reason.DEVICE_ELEMENTS


@pytest.mark.parametrize(
    "stated", [b"\x80", b"\xf6", b"", b"\xa0\x00", cbor2.dumps({KR: []}), b"\xa1\x01\xa0"]
)
def test_what_the_device_states_must_be_a_map(world: World, stated: bytes) -> None:
    assert refuse(world, issue(world.authority).present(stated=stated)) is Reason.MALFORMED


@pytest.mark.parametrize(
    "authorizations",
    [None, [], {"nameSpaces": KR}, {"nameSpaces": [1]}, {"dataElements": []}, {"dataElements": {KR: "a"}}],
)
def test_authorizations_of_another_kind_are_refused(world: World, authorizations: Any) -> None:
    issued = issue(world.authority, device_key_info={"keyAuthorizations": authorizations})
    assert refuse(world, issued.present()) is Reason.MALFORMED
