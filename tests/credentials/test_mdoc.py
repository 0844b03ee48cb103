"""`verify` on mdocs of our own issuer: a good one is accepted, and each thing that can be wrong has its name."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Reason, VerifiedCredential, schema, verify
from idp.credentials.mdoc import MAX_PRESENTATION_CHARS
from tests.credentials.issuing import (
    ABSENT,
    CLAIMS,
    LEAF_EXTENSIONS,
    NONCE,
    NOW,
    STATUS_URI,
    TYPE_ID,
    Authority,
    b64u,
    certificate,
    credential_type,
    der,
    p256,
    registry,
    usage,
)
from tests.credentials.issuing_mdoc import (
    DOC_TYPE,
    DOCUMENT_SIGNER,
    ELEMENTS,
    EXPECTED,
    ISO,
    KR,
    PATHS,
    PHOTO_ID,
    TRANSCRIPT,
    Issued,
    World,
    cose_key,
    document_signer,
    full_date,
    issue,
    item,
    mdoc_format,
    sign1,
    status_cwt,
    tdate,
)

EU_PID = "eu.europa.ec.eudi.pid.1"


@pytest.fixture
def world() -> World:
    """One mission that is trusted with mdocs, and its status host, new for each test."""
    return World()


def accept(world: World, presentation: str, **changes: Any) -> VerifiedCredential:
    arguments: dict[str, Any] = {
        "expected": EXPECTED,
        "trust": world.trust,
        "status": world.status,
        "now": NOW,
    }
    return verify("mso_mdoc", presentation, **{**arguments, **changes})


def refuse(world: World, presentation: str, **changes: Any) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        accept(world, presentation, **changes)
    for value in ("홍길동", "GILDONG", "M12345678", NONCE):
        assert value not in str(refusal.value)
    return refusal.value.reason


def changed_value(name_space: str, name: str, value: Any) -> dict[str, dict[str, Any]]:
    """The elements of a namespace with one of another value."""
    return {name_space: {**ELEMENTS[name_space], name: value}}


# What is accepted


def test_a_good_presentation_says_what_was_disclosed_and_by_whom(world: World) -> None:
    verified = accept(world, issue(world.authority).present())
    assert dict(verified.claims) == dict(CLAIMS)
    assert (verified.format, verified.type_id, verified.name) == ("mso_mdoc", TYPE_ID, DOC_TYPE)
    assert (verified.issued_at, verified.expires_at) == (NOW - 3600, NOW + 86_400)
    assert verified.authentication == ("pin", "face")
    assert verified.mission is world.mission
    assert verified.status is not None
    assert (verified.status.uri, verified.status.checked_at, verified.status.fresh) == (STATUS_URI, NOW, True)
    assert verified.status.organisation is world.mission


def test_every_element_is_tried_here() -> None:
    assert PATHS.keys() == schema.element_paths()


def test_only_what_was_disclosed_is_there(world: World) -> None:
    presentation = issue(world.authority).present(shown={ISO: ["birth_date"]})
    verified = accept(world, presentation)
    assert (dict(verified.claims), verified.authentication) == ({"birthdate": "1984-02-29"}, ())


def test_nothing_need_be_disclosed(world: World) -> None:
    issued = issue(world.authority)
    assert dict(accept(world, issued.present(issuer_signed={"nameSpaces": ABSENT})).claims) == {}
    assert dict(accept(world, issued.present(shown={})).claims) == {}


def test_an_element_that_nobody_reads_is_not_passed_on(world: World) -> None:
    elements = {
        ISO: {**ELEMENTS[ISO], "personal_administrative_number": "8402291234567"},
        EU_PID: {"name": 1},
    }
    assert dict(accept(world, issue(world.authority, elements=elements).present()).claims) == dict(CLAIMS)


def test_claims_are_not_printed_with_the_credential(world: World) -> None:
    assert "GILDONG" not in repr(accept(world, issue(world.authority).present()))


@pytest.mark.parametrize("hash_algorithm", ["sha256", "sha384", "sha512"])
def test_the_digests_of_the_standard_are_accepted(world: World, hash_algorithm: str) -> None:
    assert accept(world, issue(world.authority, hash_algorithm=hash_algorithm).present()).claims


@pytest.mark.parametrize(
    ("curve", "algorithm"),
    [
        (ec.SECP256R1(), -7),
        (ec.SECP256R1(), -9),
        (ec.SECP384R1(), -35),
        (ec.SECP384R1(), -51),
        (ec.SECP521R1(), -36),
    ],
    ids=["ES256", "ESP256", "ES384", "ESP384", "ES512"],
)
@pytest.mark.parametrize("who", ["issuer", "device"])
def test_each_algorithm_is_accepted_on_its_curve(
    world: World, curve: ec.EllipticCurve, algorithm: int, who: str
) -> None:
    key = ec.generate_private_key(curve)
    if who == "issuer":
        signer = document_signer(world.authority, key=key)
        issued = issue(world.authority, key=key, signer=signer, protected={1: algorithm})
        assert accept(world, issued.present())
    else:
        assert accept(world, issue(world.authority, holder_key=key).present(protected={1: algorithm}))


def test_a_chain_with_an_intermediate_is_accepted(world: World) -> None:
    presentation, _ = under_an_intermediate(world)
    assert accept(world, presentation)


@pytest.mark.parametrize("number", [1, 2])
def test_a_chain_may_come_as_an_array(world: World, number: int) -> None:
    if number == 1:
        issued = issue(world.authority, unprotected={33: [der(document_signer(world.authority))]})
        assert accept(world, issued.present())
    else:
        assert accept(world, under_an_intermediate(world)[0])


def under_an_intermediate(world: World) -> tuple[str, list[bytes]]:
    middle, leaf = p256(), p256()
    ca = (x509.BasicConstraints(ca=True, path_length=0), True), (usage(key_cert_sign=True), True)
    middle_certificate = certificate("middle", middle, "LAX CA", world.authority.key, ca)
    purpose = (x509.ExtendedKeyUsage([x509.ObjectIdentifier(DOCUMENT_SIGNER)]), True)
    country = [(x509.NameOID.COUNTRY_NAME, "KR")]
    leaf_certificate = certificate(
        "signer", leaf, "middle", middle, [*LEAF_EXTENSIONS, purpose], further=country
    )
    chain = [der(leaf_certificate), der(middle_certificate)]
    return issue(world.authority, key=leaf, unprotected={33: chain}).present(), chain


def test_a_signer_that_is_pinned_is_accepted_without_a_path(world: World) -> None:
    stranger = Authority("XXX")
    signer = document_signer(stranger)
    mission = world.authority.mission(pinned_signers=(signer,))
    trust = registry(mission, types=[credential_type(formats={"mso_mdoc": mdoc_format()})])
    status = world.status
    presentation = issue(stranger, signer=signer).present()
    for _ in range(2):  # and from the memory of what was validated
        assert accept(world, presentation, trust=trust, status=status).mission is mission
    late = NOW + 31 * 86_400
    issued = issue(stranger, signer=signer, validity={"validUntil": tdate(NOW + 99 * 86_400)})
    assert refuse(world, issued.present(), trust=trust, now=late) is Reason.ISSUER_CERTIFICATE


def test_lengths_that_are_not_in_their_shortest_form_are_read(world: World) -> None:
    response = issue(world.authority).response()
    assert response.startswith(b"\xa3")
    for longer in (b"\xb8\x03", b"\xb9\x00\x03", b"\xba\x00\x00\x00\x03", b"\xbb" + bytes(7) + b"\x03"):
        assert accept(world, b64u(longer + response[1:]))


def test_what_the_issuer_hashed_under_a_longer_length_is_read_as_it_was_received(world: World) -> None:
    content = item(0, "birth_date", full_date("1984-02-29"))
    assert len(content) < 256
    longer = b"\xd8\x18\x59" + len(content).to_bytes(2, "big") + content
    issued = issue(world.authority, digests=lambda _: {ISO: {0: sha256(longer)}})
    response = issued.response(items={ISO: [content]})
    shorter = cbor2.dumps(CBORTag(24, content))
    assert response.count(shorter) == 1
    assert refuse(world, b64u(response)) is Reason.DIGEST
    assert accept(world, b64u(response.replace(shorter, longer))).claims == {"birthdate": "1984-02-29"}


def test_a_member_that_we_do_not_know_is_not_looked_at(world: World) -> None:
    issued = issue(world.authority, mso={"future": 1}, device_key_info={"keyInfo": {1: 2}})
    extra = {
        "response": {"future": 1},
        "document": {"errors": {ISO: {"x": 0}}},
        "device_signed": {"future": 1},
    }
    assert accept(world, issued.present(**extra))


def test_an_empty_protected_header_beside_is_not_needed(world: World) -> None:
    assert accept(world, issue(world.authority, unprotected={4: b"1"}).present(unprotected={4: b"2"}))


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# Form


@pytest.mark.parametrize(
    "presentation",
    ["", "x", "=", "AA==", "A A", "Ä", "~", "+/+/", "oA", "gA", "AA", "9g", "\ud800"],
    ids=repr,
)
def test_what_is_no_response_is_refused(world: World, presentation: str) -> None:
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("rest", [1, 2])
def test_a_second_spelling_of_the_same_base64url_is_refused(world: World, rest: int) -> None:
    issued = issue(world.authority)
    response = next(
        response
        for size in range(24)
        if len(response := issued.response(response={"padding": bytes(size)})) % 3 == rest
    )
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    presentation = b64u(response)
    other = alphabet[alphabet.index(presentation[-1]) + 1]
    assert accept(world, presentation)
    assert refuse(world, presentation[:-1] + other) is Reason.MALFORMED


def test_a_presentation_that_is_too_long_is_refused_unread(world: World) -> None:
    assert refuse(world, "A" * (MAX_PRESENTATION_CHARS + 1)) is Reason.TOO_LARGE


@pytest.mark.parametrize("after", [b"\x00", b"\xf6", b"\xa0"])
def test_something_after_the_response_is_refused(world: World, after: bytes) -> None:
    assert refuse(world, b64u(issue(world.authority).response() + after)) is Reason.MALFORMED


def test_a_response_that_is_cut_off_is_refused_everywhere(world: World) -> None:
    response = issue(world.authority).response()
    for length in range(0, len(response), 97):
        assert refuse(world, b64u(response[:length])) is Reason.MALFORMED


def test_a_member_that_is_there_twice_is_refused(world: World) -> None:
    response = issue(world.authority).response()
    assert refuse(world, b64u(b"\xa4" + response[1:] + cbor2.dumps("status") + b"\x00")) is Reason.MALFORMED


def test_an_indefinite_length_is_refused(world: World) -> None:
    response = issue(world.authority).response()
    assert refuse(world, b64u(b"\xbf" + response[1:] + b"\xff")) is Reason.MALFORMED


@pytest.mark.parametrize("version", [ABSENT, "1.1", "2.0", "", 1.0, 1, None])
def test_a_response_of_another_version_is_refused(world: World, version: Any) -> None:
    reason = refuse(world, issue(world.authority).present(response={"version": version}))
    assert reason is (Reason.VERSION if isinstance(version, str) else Reason.MALFORMED)


@pytest.mark.parametrize("status", [10, 11, 12, 20, -1])
def test_a_response_with_an_error_status_is_refused(world: World, status: int) -> None:
    assert (
        refuse(world, issue(world.authority).present(response={"status": status})) is Reason.RESPONSE_STATUS
    )


@pytest.mark.parametrize("status", [ABSENT, False, None, "0", 0.0])
def test_a_response_without_a_status_is_refused(world: World, status: Any) -> None:
    assert refuse(world, issue(world.authority).present(response={"status": status})) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["documentErrors", "encryptedDocuments", "zkDocuments"])
@pytest.mark.parametrize("value", [[], [{DOC_TYPE: 0}], None])
def test_a_response_with_something_beside_documents_is_refused(world: World, name: str, value: Any) -> None:
    assert refuse(world, issue(world.authority).present(response={name: value})) is Reason.RESPONSE_STATUS


def test_no_document_is_refused(world: World) -> None:
    issued = issue(world.authority)
    for documents in (ABSENT, [], {}, None, "x", [None], [[]]):
        assert refuse(world, issued.present(response={"documents": documents})) is Reason.MALFORMED


def test_two_documents_are_refused(world: World) -> None:
    first = issue(world.authority).structure()["documents"][0]
    other = issue(world.authority).structure()["documents"][0]
    for documents in ([first, first], [first, other]):
        assert (
            refuse(world, issue(world.authority).present(response={"documents": documents}))
            is Reason.MALFORMED
        )


@pytest.mark.parametrize("wrong", [ABSENT, None, [], "x", 1, b""])
def test_issuer_signed_must_be_there(world: World, wrong: Any) -> None:
    assert refuse(world, issue(world.authority).present(document={"issuerSigned": wrong})) is Reason.MALFORMED


@pytest.mark.parametrize(
    "wrong", [None, [], "x", {ISO: []}, {ISO: {}}, {ISO: None}, {1: [CBORTag(24, b"\xa0")]}]
)
def test_name_spaces_must_be_lists_of_items(world: World, wrong: Any) -> None:
    presentation = issue(world.authority).present(issuer_signed={"nameSpaces": wrong})
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("wrong", [b"\xa0", {}, None, 1, "x", []], ids=repr)
def test_an_item_must_be_embedded(world: World, wrong: Any) -> None:
    name_spaces = {ISO: [wrong]}
    presentation = issue(world.authority).present(issuer_signed={"nameSpaces": name_spaces})
    assert refuse(world, presentation) is Reason.MALFORMED


def test_too_many_elements_are_refused(world: World) -> None:
    elements = {EU_PID: {f"element_{number}": number for number in range(257)}}
    presentation = issue(world.authority, elements=elements).present(shown={EU_PID: list(elements[EU_PID])})
    assert refuse(world, presentation) is Reason.TOO_LARGE


# The issuer's signature


@pytest.mark.parametrize(
    "wrong", [ABSENT, None, {}, b"", "x", [], [b"", {}, b""], [b"", {}, b"", b"", b""]], ids=repr
)
def test_an_issuer_auth_that_is_no_cose_sign1_is_refused(world: World, wrong: Any) -> None:
    presentation = issue(world.authority).present(issuer_signed={"issuerAuth": wrong})
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("tag", [18, 61, 98])
def test_an_issuer_auth_under_a_tag_is_refused(world: World, tag: int) -> None:
    issued = issue(world.authority)
    presentation = issued.present(issuer_signed={"issuerAuth": CBORTag(tag, issued.issuer_auth)})
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("part", range(4))
def test_a_part_of_the_issuer_auth_of_another_kind_is_refused(world: World, part: int) -> None:
    for wrong in (1, "x", [], True):
        issued = issue(world.authority)
        issued.issuer_auth[part] = wrong
        assert refuse(world, issued.present()) is Reason.MALFORMED


@pytest.mark.parametrize("part", [0, 2, 3])
def test_an_issuer_auth_that_was_changed_after_signing_is_refused(world: World, part: int) -> None:
    issued = issue(world.authority)
    other = issue(world.authority, protected={4: b"1"}, mso={"future": 1})
    issued.issuer_auth[part] = other.issuer_auth[part]
    assert refuse(world, issued.present()) is Reason.ISSUER_SIGNATURE


def test_an_issuer_signature_of_another_key_is_refused(world: World) -> None:
    assert refuse(world, issue(world.authority, key=p256()).present()) is Reason.ISSUER_SIGNATURE


@pytest.mark.parametrize("length", [0, 1, 63, 65, 96, 128, 132])
def test_an_issuer_signature_of_another_length_is_refused(world: World, length: int) -> None:
    issued = issue(world.authority)
    issued.issuer_auth[3] = (issued.issuer_auth[3] + bytes(132))[:length]
    assert refuse(world, issued.present()) is Reason.ISSUER_SIGNATURE


def test_an_issuer_signature_in_der_is_refused(world: World) -> None:
    issued = issue(world.authority)
    raw = issued.issuer_auth[3]
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    issued.issuer_auth[3] = encode_dss_signature(r, s)
    assert refuse(world, issued.present()) is Reason.ISSUER_SIGNATURE


@pytest.mark.parametrize("r_and_s", [bytes(64), b"\xff" * 64, bytes(31) + b"\x01" + bytes(32)])
def test_an_issuer_signature_of_numbers_that_are_none_is_refused(world: World, r_and_s: bytes) -> None:
    issued = issue(world.authority)
    issued.issuer_auth[3] = r_and_s
    assert refuse(world, issued.present()) is Reason.ISSUER_SIGNATURE


def test_an_issuer_signature_made_for_something_else_is_refused(world: World) -> None:
    issued = issue(world.authority)
    payload = issued.issuer_auth[2]
    chain = issued.issuer_auth[1]
    issued.issuer_auth = sign1(
        world.authority.signer_key, payload, unprotected=chain, context="CounterSignature"
    )
    assert refuse(world, issued.present()) is Reason.ISSUER_SIGNATURE


def test_an_issuer_auth_with_a_detached_payload_is_refused(world: World) -> None:
    issued = issue(world.authority)
    issued.issuer_auth[2] = None
    assert refuse(world, issued.present()) is Reason.MALFORMED


@pytest.mark.parametrize(
    "algorithm", [ABSENT, 0, -8, -37, -52, 5, -65535, -65537, "ES256", None, -7.0, [-7], True]
)
def test_an_algorithm_that_is_not_accepted_is_refused(world: World, algorithm: Any) -> None:
    assert refuse(world, issue(world.authority, protected={1: algorithm}).present()) is Reason.ALGORITHM


@pytest.mark.parametrize("algorithm", [-35, -51, -36])
def test_an_algorithm_of_another_curve_is_refused(world: World, algorithm: int) -> None:
    assert refuse(world, issue(world.authority, protected={1: algorithm}).present()) is Reason.ALGORITHM


def test_an_algorithm_that_is_not_protected_is_refused(world: World) -> None:
    for protected in ({1: ABSENT}, b"", b"\xa0"):
        issued = issue(world.authority, protected=protected, unprotected={1: -7})
        assert refuse(world, issued.present()) is Reason.ALGORITHM


def test_a_label_in_both_headers_is_refused(world: World) -> None:
    assert refuse(world, issue(world.authority, unprotected={1: -7}).present()) is Reason.MALFORMED


@pytest.mark.parametrize("where", ["protected", "unprotected"])
def test_a_critical_header_is_refused(world: World, where: str) -> None:
    issued = issue(world.authority, **{where: {2: [1]}})
    assert refuse(world, issued.present()) is Reason.CRITICAL_HEADER


@pytest.mark.parametrize(
    "protected",
    [
        b"\x80",
        b"\x01",
        b"\xf6",
        b"\xa1\x01",
        b"\xa1\x01\x26\x00",
        b"\xa2\x01\x26\x01\x26",
        b"\xbf\x01\x26\xff",
        cbor2.dumps(dict.fromkeys(range(40), 0)),
    ],
)
def test_a_protected_header_that_is_no_map_is_refused(world: World, protected: bytes) -> None:
    issued = issue(world.authority)
    issued.issuer_auth[0] = protected
    assert refuse(world, issued.present()) is Reason.MALFORMED


# The issuer's chain


@pytest.mark.parametrize("chain", [ABSENT, None, [], "x", 1, [1], [b"", 1], {}, [[]]], ids=repr)
def test_a_chain_that_is_none_is_refused(world: World, chain: Any) -> None:
    assert (
        refuse(world, issue(world.authority, unprotected={33: chain}).present()) is Reason.ISSUER_CERTIFICATE
    )


def test_a_chain_that_is_protected_is_not_looked_at(world: World) -> None:
    chain = der(document_signer(world.authority))
    issued = issue(world.authority, protected={33: chain}, unprotected={33: ABSENT})
    assert refuse(world, issued.present()) is Reason.ISSUER_CERTIFICATE


def test_a_chain_that_is_too_long_is_refused(world: World) -> None:
    chain = [der(document_signer(world.authority))] * 6
    assert (
        refuse(world, issue(world.authority, unprotected={33: chain}).present()) is Reason.ISSUER_CERTIFICATE
    )


def test_a_certificate_that_is_too_large_is_refused(world: World) -> None:
    presentation = issue(world.authority, unprotected={33: bytes(8193)}).present()
    assert refuse(world, presentation) is Reason.ISSUER_CERTIFICATE


@pytest.mark.parametrize("junk", [b"", b"0", b"0\x82", bytes(100)])
def test_a_certificate_that_is_none_is_refused(world: World, junk: bytes) -> None:
    assert (
        refuse(world, issue(world.authority, unprotected={33: junk}).present()) is Reason.ISSUER_CERTIFICATE
    )


def test_something_after_a_certificate_is_refused(world: World) -> None:
    chain = der(document_signer(world.authority)) + b"\x00"
    assert (
        refuse(world, issue(world.authority, unprotected={33: chain}).present()) is Reason.ISSUER_CERTIFICATE
    )


def test_a_chain_with_the_anchor_is_refused(world: World) -> None:
    chain = [der(document_signer(world.authority)), der(world.authority.ca)]
    assert (
        refuse(world, issue(world.authority, unprotected={33: chain}).present()) is Reason.ISSUER_CERTIFICATE
    )


def test_a_chain_out_of_order_is_refused(world: World) -> None:
    presentation, chain = under_an_intermediate(world)
    issued = issue(world.authority, unprotected={33: chain[::-1]})
    assert refuse(world, issued.present()) is Reason.ISSUER_CERTIFICATE
    assert accept(world, presentation)


def test_an_issuer_under_no_mission_is_refused(world: World) -> None:
    assert refuse(world, issue(Authority("LAX")).present()) is Reason.ISSUER_UNTRUSTED


def test_an_issuer_who_may_not_issue_this_type_is_refused(world: World) -> None:
    mission = world.authority.mission(credential_types=frozenset({"other"}))
    formats = {"mso_mdoc": mdoc_format()}
    other = {"mso_mdoc": mdoc_format(names=frozenset({"other"}))}
    types = [credential_type(formats=formats), credential_type(id="other", formats=other)]
    trust = registry(mission, types=types)
    assert refuse(world, issue(world.authority).present(), trust=trust) is Reason.ISSUER_UNTRUSTED


def test_an_issuer_who_is_not_active_is_refused(world: World) -> None:
    mission = world.authority.mission(active_until=date(2026, 11, 22))
    trust = registry(mission, types=[credential_type(formats={"mso_mdoc": mdoc_format()})])
    assert refuse(world, issue(world.authority).present(), trust=trust) is Reason.ISSUER_NOT_ACTIVE


@pytest.mark.parametrize("extensions", [LEAF_EXTENSIONS, ()], ids=["no purpose", "nothing"])
def test_a_certificate_without_the_types_purpose_is_refused(world: World, extensions: Any) -> None:
    issued = issue(world.authority, signer=document_signer(world.authority, extensions=extensions))
    assert refuse(world, issued.present()) is Reason.ISSUER_CERTIFICATE


def test_a_certificate_of_another_purpose_is_refused(world: World) -> None:
    reader = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.0.18013.5.1.6")])
    signer = document_signer(world.authority, extensions=[*LEAF_EXTENSIONS, (reader, True)])
    assert refuse(world, issue(world.authority, signer=signer).present()) is Reason.ISSUER_CERTIFICATE


def test_a_certificate_that_is_not_for_signatures_is_refused(world: World) -> None:
    purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier(DOCUMENT_SIGNER)])
    signer = document_signer(world.authority, extensions=[(usage(key_agreement=True), True), (purpose, True)])
    assert refuse(world, issue(world.authority, signer=signer).present()) is Reason.ISSUER_CERTIFICATE


def test_a_certificate_that_is_not_valid_now_is_refused(world: World) -> None:
    for times in ({"not_after": NOW - 1}, {"not_before": NOW + 1}):
        issued = issue(world.authority, signer=document_signer(world.authority, **times))
        assert refuse(world, issued.present()) is Reason.ISSUER_CERTIFICATE


def test_a_certificate_of_a_key_we_do_not_know_is_refused(world: World) -> None:
    key: Any = ed25519.Ed25519PrivateKey.generate()
    issued = issue(world.authority, signer=document_signer(world.authority, key=key))
    assert refuse(world, issued.present()) is Reason.ALGORITHM


def test_a_key_of_the_status_list_does_not_sign_credentials(world: World) -> None:
    issued = issue(world.authority, signer=world.authority.status_signer, key=world.authority.status_key)
    assert refuse(world, issued.present()) is Reason.ISSUER_CERTIFICATE


# Which type


@pytest.mark.parametrize("doc_type", ["org.iso.18013.5.1.mDL", "", DOC_TYPE.upper(), DOC_TYPE + ".1"])
def test_a_type_that_is_not_in_the_registry_is_refused(world: World, doc_type: str) -> None:
    issued = issue(world.authority, doc_type=doc_type)
    assert refuse(world, issued.present()) is Reason.TYPE_NOT_ACCEPTED


def test_a_type_that_was_not_asked_for_is_refused(world: World) -> None:
    other = replace(EXPECTED, accepted_types=frozenset({"other"}))
    assert refuse(world, issue(world.authority).present(), expected=other) is Reason.TYPE_NOT_ACCEPTED


def test_a_type_is_known_in_this_format_only(world: World) -> None:
    # Its name as SD-JWT VC is no docType.
    issued = issue(world.authority, doc_type="https://idp.example/vct/kr-overseas-national/v1")
    assert refuse(world, issued.present()) is Reason.TYPE_NOT_ACCEPTED


def test_a_document_that_calls_itself_something_else_than_its_mso_is_refused(world: World) -> None:
    trust = world.registry(names=frozenset({DOC_TYPE, "other"}))
    for signed_doc_type in (None, DOC_TYPE):
        presentation = issue(world.authority).present(doc_type="other", signed_doc_type=signed_doc_type)
        assert refuse(world, presentation, trust=trust) is Reason.DOCTYPE


@pytest.mark.parametrize("doc_type", [ABSENT, None, 1, b"x", ["x"]])
def test_a_document_without_a_type_is_refused(world: World, doc_type: Any) -> None:
    assert refuse(world, issue(world.authority).present(document={"docType": doc_type})) is Reason.MALFORMED


# The MSO


def raw(content: bytes) -> Callable[[bytes], bytes]:
    return lambda _mso: content


@pytest.mark.parametrize(
    "payload",
    [
        lambda mso: mso,
        cbor2.dumps,
        lambda mso: cbor2.dumps(CBORTag(24, mso)) + b"\x00",
        lambda mso: cbor2.dumps(CBORTag(24, mso + b"\x00")),
        lambda mso: cbor2.dumps(CBORTag(24, mso[:-1])),
        lambda mso: cbor2.dumps(CBORTag(24, cbor2.dumps(CBORTag(24, mso)))),
        raw(cbor2.dumps(CBORTag(24, b"\x80"))),
        raw(cbor2.dumps(CBORTag(24, b""))),
        raw(b""),
        raw(b"\xf6"),
    ],
    ids=["bare", "bytes", "after", "after within", "cut off", "twice", "array", "empty", "nothing", "null"],
)
def test_a_payload_that_is_not_an_embedded_mso_is_refused(
    world: World, payload: Callable[[bytes], bytes]
) -> None:
    assert refuse(world, issue(world.authority, payload=payload).present()) is Reason.MALFORMED


@pytest.mark.parametrize("version", [ABSENT, "1.1", "0.9", "", 1.0, None])
def test_an_mso_of_another_version_is_refused(world: World, version: Any) -> None:
    reason = refuse(world, issue(world.authority, mso={"version": version}).present())
    assert reason is (Reason.VERSION if isinstance(version, str) else Reason.MALFORMED)


@pytest.mark.parametrize("name", ["SHA-1", "sha-256", "SHA256", "MD5", "SHA3-256", ""])
def test_a_digest_algorithm_that_is_not_accepted_is_refused(world: World, name: str) -> None:
    assert refuse(world, issue(world.authority, mso={"digestAlgorithm": name}).present()) is Reason.ALGORITHM


@pytest.mark.parametrize(
    "name", ["digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo"]
)
@pytest.mark.parametrize("wrong", [ABSENT, None, 1, [], b""], ids=repr)
def test_a_member_of_the_mso_that_is_missing_or_of_another_kind_is_refused(
    world: World, name: str, wrong: Any
) -> None:
    assert refuse(world, issue(world.authority, mso={name: wrong}).present()) is Reason.MALFORMED


# Times


@pytest.mark.parametrize("name", ["signed", "validFrom", "validUntil"])
@pytest.mark.parametrize(
    "wrong",
    [
        ABSENT,
        None,
        NOW,
        "2026-11-23T03:00:00Z",
        CBORTag(1, NOW),
        full_date("2026-11-23"),
        tdate("2026-11-23"),
        tdate("2026-11-23T03:00:00"),
        tdate("2026-11-23T03:00:00+00:00"),
        tdate("2026-11-23T03:00:00z"),
        tdate("2026-02-30T03:00:00Z"),
        tdate("2026-11-23T24:00:00Z"),
        tdate("2026-11-23T03:00:60Z"),
        tdate("2026-11-23T03:00:00.Z"),
        CBORTag(0, b"2026-11-23T03:00:00Z"),
    ],
    ids=repr,
)
def test_a_time_that_is_no_tdate_is_refused(world: World, name: str, wrong: Any) -> None:
    assert refuse(world, issue(world.authority, validity={name: wrong}).present()) is Reason.MALFORMED


def test_a_time_may_have_fractions_of_a_second(world: World) -> None:
    validity = {
        "signed": tdate("2026-11-22T00:00:00.5Z"),
        "validFrom": tdate("2026-11-22T00:00:00.123456789Z"),
        "validUntil": tdate("2026-12-01T00:00:00.999Z"),
    }
    verified = accept(world, issue(world.authority, validity=validity).present())
    assert (verified.issued_at, verified.expires_at) == (1795305600, 1796083200)


def test_an_mso_is_valid_from_its_first_second_to_the_one_before_its_last(world: World) -> None:
    validity = {"validFrom": tdate(NOW - 60), "validUntil": tdate(NOW + 60)}
    presentation = issue(world.authority, validity=validity).present()
    assert refuse(world, presentation, now=NOW - 121) is Reason.NOT_YET_VALID
    assert accept(world, presentation, now=NOW - 120)
    assert accept(world, presentation, now=NOW + 119)
    assert refuse(world, presentation, now=NOW + 120) is Reason.EXPIRED


@pytest.mark.parametrize(
    "validity",
    [
        {"signed": tdate(NOW - 3599)},
        {"validFrom": tdate(NOW + 86_400)},
        {"validUntil": tdate(NOW - 3600)},
        {"validUntil": tdate(NOW - 3601)},
        {"expectedUpdate": tdate(NOW - 3600)},
    ],
    ids=["signed after validFrom", "never valid", "empty", "turned round", "updated before it was signed"],
)
def test_times_that_contradict_each_other_are_refused(world: World, validity: Mapping[str, Any]) -> None:
    assert refuse(world, issue(world.authority, validity=validity).present()) is Reason.VALIDITY


def test_an_mso_signed_while_its_certificate_was_not_valid_is_refused(world: World) -> None:
    signer = document_signer(world.authority, not_before=NOW - 1800)
    assert refuse(world, issue(world.authority, signer=signer).present()) is Reason.ISSUER_CERTIFICATE
    validity = {"signed": tdate(NOW - 1800), "validFrom": tdate(NOW - 1800)}
    assert accept(world, issue(world.authority, signer=signer, validity=validity).present())
    late = document_signer(world.authority, not_after=NOW + 1800)
    validity = {"signed": tdate(NOW + 1801), "validFrom": tdate(NOW + 1801)}
    issued = issue(world.authority, signer=late, validity=validity)
    assert refuse(world, issued.present()) is Reason.ISSUER_CERTIFICATE


# Digests


def test_an_element_whose_value_was_changed_is_refused(world: World) -> None:
    issued = issue(world.authority)
    number = list(ELEMENTS[ISO]).index("age_over_19")
    members = cbor2.loads(issued.items[ISO][number])
    issued.items[ISO][number] = cbor2.dumps({**members, "elementValue": False})
    assert refuse(world, issued.present()) is Reason.DIGEST


@pytest.mark.parametrize("name", ["random", "elementIdentifier"])
def test_an_element_of_which_anything_was_changed_is_refused(world: World, name: str) -> None:
    issued = issue(world.authority)
    members = cbor2.loads(issued.items[KR][0])
    issued.items[KR][0] = cbor2.dumps(
        {**members, name: {"random": bytes(32), "elementIdentifier": "x"}[name]}
    )
    assert refuse(world, issued.present()) is Reason.DIGEST


def test_an_element_that_was_encoded_again_in_another_order_is_refused(world: World) -> None:
    issued = issue(world.authority)
    members = cbor2.loads(issued.items[KR][0])
    issued.items[KR][0] = cbor2.dumps(dict(reversed(members.items())))
    assert refuse(world, issued.present()) is Reason.DIGEST


def test_an_element_of_somebody_else_is_refused(world: World) -> None:
    issued, other = issue(world.authority), issue(world.authority)
    issued.items[KR][0] = other.items[KR][0]
    assert refuse(world, issued.present()) is Reason.DIGEST


def test_an_element_under_the_digest_of_another_is_refused(world: World) -> None:
    issued = issue(world.authority)
    presentation = issued.present(items={KR: [item(1, "name_ko", "홍길동")]})
    assert refuse(world, presentation) is Reason.DIGEST


def test_an_element_without_a_digest_is_refused(world: World) -> None:
    issued = issue(world.authority)
    foreign = item(999, "name_ko", "홍길동")
    assert refuse(world, issued.present(items={KR: [foreign]})) is Reason.DISCLOSURE_UNREFERENCED


def test_a_namespace_without_digests_is_refused(world: World) -> None:
    issued = issue(world.authority)
    presentation = issued.present(items={EU_PID: issued.items[KR]})
    assert refuse(world, presentation) is Reason.DISCLOSURE_UNREFERENCED


def test_an_element_moved_to_another_namespace_is_refused(world: World) -> None:
    issued = issue(world.authority)
    assert refuse(world, issued.present(items={PHOTO_ID: issued.items[KR][:1]})) is Reason.DIGEST


def test_an_element_that_is_shown_twice_is_refused(world: World) -> None:
    issued = issue(world.authority)
    presentation = issued.present(items={KR: [issued.items[KR][0], issued.items[KR][0]]})
    assert refuse(world, presentation) is Reason.DISCLOSURE_DUPLICATE


def test_one_name_for_two_elements_is_refused(world: World) -> None:
    issued = issue(world.authority, items={"mission_code": {"elementIdentifier": "name_ko"}})
    assert refuse(world, issued.present()) is Reason.DISCLOSURE_DUPLICATE


def test_one_digest_for_two_elements_is_refused(world: World) -> None:
    first, second = item(0, "a", 1), item(0, "b", 2)
    issued = issue(world.authority, digests=lambda _: {KR: {0: tagged_sha256(first)}})
    assert refuse(world, issued.present(items={KR: [first, second]})) is Reason.DISCLOSURE_DUPLICATE


def tagged_sha256(content: bytes) -> bytes:
    return sha256(cbor2.dumps(CBORTag(24, content)))


@pytest.mark.parametrize("wrong", [bytes(31), b"", "x", None, 1, [bytes(32)]], ids=repr)
def test_a_digest_of_another_kind_is_refused(world: World, wrong: Any) -> None:
    def put(digests: dict[str, dict[int, Any]]) -> Any:
        digests[KR][0] = wrong
        return digests

    assert refuse(world, issue(world.authority, digests=put).present()) is Reason.DIGEST


@pytest.mark.parametrize("wrong", [None, [], b"", 1], ids=repr)
def test_digests_that_are_no_map_are_refused(world: World, wrong: Any) -> None:
    issued = issue(world.authority, digests=lambda digests: {**digests, "x": wrong})
    assert refuse(world, issued.present()) is Reason.MALFORMED


def test_a_digest_of_another_length_of_hash_is_refused(world: World) -> None:
    issued = issue(world.authority, hash_algorithm="sha384", mso={"digestAlgorithm": "SHA-256"})
    assert refuse(world, issued.present()) is Reason.DIGEST


def signed_item(world: World, content: bytes) -> str:
    """A presentation of one item that the issuer signed, whatever it is."""
    issued = issue(world.authority, digests=lambda _: {KR: {0: tagged_sha256(content)}})
    return issued.present(items={KR: [content]})


@pytest.mark.parametrize("name", ["digestID", "random", "elementIdentifier", "elementValue"])
def test_an_item_that_lacks_a_member_is_refused(world: World, name: str) -> None:
    assert refuse(world, signed_item(world, item(0, "a", 1, **{name: ABSENT}))) is Reason.DISCLOSURE_MALFORMED


def test_an_item_with_a_further_member_is_refused(world: World) -> None:
    assert refuse(world, signed_item(world, item(0, "a", 1, more=1))) is Reason.DISCLOSURE_MALFORMED


@pytest.mark.parametrize("content", [b"\x80", b"\x00", b"\xf6", b"\x40", cbor2.dumps(CBORTag(24, b"\xa0"))])
def test_an_item_that_is_no_map_is_refused(world: World, content: bytes) -> None:
    assert refuse(world, signed_item(world, content)) is Reason.DISCLOSURE_MALFORMED


@pytest.mark.parametrize("length", [0, 1, 15])
def test_an_item_with_too_little_random_is_refused(world: World, length: int) -> None:
    content = item(0, "a", 1, random=secrets.token_bytes(length))
    assert refuse(world, signed_item(world, content)) is Reason.DISCLOSURE_MALFORMED
    assert accept(world, signed_item(world, item(0, "a", 1, random=secrets.token_bytes(16))))


@pytest.mark.parametrize(
    "changes",
    [
        {"random": "0123456789abcdef"},
        {"digestID": -1},
        {"digestID": 1 << 32},
        {"digestID": "0"},
        {"digestID": False},
        {"digestID": 0.0},
        {"digestID": None},
        {"elementIdentifier": b"a"},
        {"elementIdentifier": 1},
        {"elementIdentifier": None},
    ],
    ids=repr,
)
def test_a_member_of_an_item_of_another_kind_is_refused(world: World, changes: Any) -> None:
    assert refuse(world, signed_item(world, item(0, "a", 1, **changes))) is Reason.DISCLOSURE_MALFORMED


@pytest.mark.parametrize("after", [b"\x00", b"\xa0", b"\xf6"])
def test_something_after_an_item_is_refused(world: World, after: bytes) -> None:
    assert refuse(world, signed_item(world, item(0, "a", 1) + after)) is Reason.MALFORMED


def test_an_item_that_is_cut_off_is_refused(world: World) -> None:
    for content in (b"", item(0, "a", 1)[:-1], b"\xa4", b"\x58\x20"):
        assert refuse(world, signed_item(world, content)) is Reason.MALFORMED


def test_an_item_that_would_swallow_the_next_one_is_refused(world: World) -> None:
    # A byte string that is longer than its item, and the rest of it where the next item is.
    whole = item(0, "a", bytes(200))
    first, second = whole[:-100], item(1, "b", 2)
    digests = {KR: {0: tagged_sha256(first), 1: tagged_sha256(second)}}
    issued = issue(world.authority, digests=lambda _: digests)
    assert refuse(world, issued.present(items={KR: [first, second]})) is Reason.MALFORMED


def test_two_items_in_one_and_none_in_the_next_are_refused(world: World) -> None:
    both = item(0, "a", 1) + item(1, "b", 2)
    digests = {KR: {0: tagged_sha256(both), 1: tagged_sha256(b"")}}
    issued = issue(world.authority, digests=lambda _: digests)
    assert refuse(world, issued.present(items={KR: [both, b""]})) is Reason.MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        CBORTag(2, b"\x01"),
        CBORTag(28, [CBORTag(29, 0)]),
        CBORTag(1, 0),
        CBORTag(30, [1, 2]),
        CBORTag(35, "("),
        CBORTag(258, [1]),
        CBORTag(55799, 1),
        CBORTag(99999, 1),
        CBORTag(18, []),
        {1: 2},
        {(1, 2): 3},
    ],
    ids=repr,
)
def test_a_value_that_no_element_has_is_refused(world: World, value: Any) -> None:
    assert refuse(world, signed_item(world, item(0, "a", value))) is Reason.MALFORMED


def test_a_value_nested_too_deeply_is_refused(world: World) -> None:
    value: Any = 1
    for _ in range(20):
        value = [value]
    assert refuse(world, signed_item(world, item(0, "a", value))) is Reason.MALFORMED


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


# Who a document says has issued it


def test_an_issuing_country_that_is_not_the_certificates_is_refused(world: World) -> None:
    for country in ("US", "kr", "KOR", 1, None):
        issued = issue(world.authority, elements=changed_value(ISO, "issuing_country", country))
        assert refuse(world, issued.present()) is Reason.ISSUER_COUNTRY


@pytest.mark.parametrize(
    "subject",
    [[], [(x509.NameOID.COUNTRY_NAME, "KR"), (x509.NameOID.COUNTRY_NAME, "US")]],
    ids=["none", "two"],
)
def test_an_issuing_country_needs_a_certificate_that_names_one(world: World, subject: Any) -> None:
    issued = issue(world.authority, signer=document_signer(world.authority, subject=subject))
    assert refuse(world, issued.present()) is Reason.ISSUER_COUNTRY
    assert accept(world, issued.present(shown={ISO: ["sex"]}))


def test_an_issuing_jurisdiction_is_compared_where_the_certificate_names_one(world: World) -> None:
    elements = {ISO: {**ELEMENTS[ISO], "issuing_jurisdiction": "KR-11"}}
    country = (x509.NameOID.COUNTRY_NAME, "KR")
    for region, reason in ((None, None), ("KR-11", None), ("KR-26", Reason.ISSUER_COUNTRY)):
        subject = [country, (x509.NameOID.STATE_OR_PROVINCE_NAME, region)] if region else [country]
        signer = document_signer(world.authority, subject=subject)
        presentation = issue(world.authority, signer=signer, elements=elements).present()
        assert (refuse(world, presentation) if reason else accept(world, presentation) and None) is reason


# From mdoc to our elements


@pytest.mark.parametrize(
    "value", [full_date("1984-02-29"), tdate("1984-02-29T23:59:59Z"), "1984-02-29"], ids=repr
)
def test_a_day_may_be_written_in_each_of_its_ways(world: World, value: Any) -> None:
    issued = issue(world.authority, elements=changed_value(ISO, "birth_date", value))
    assert accept(world, issued.present()).claims["birthdate"] == "1984-02-29"


@pytest.mark.parametrize("value", ["KR", ["KR"], ["KR", "US"]], ids=repr)
def test_a_nationality_may_be_one_text_or_a_list(world: World, value: Any) -> None:
    issued = issue(world.authority, elements=changed_value(ISO, "nationality", value))
    nationalities = value if isinstance(value, list) else [value]
    assert accept(world, issued.present()).claims["nationalities"] == nationalities


@pytest.mark.parametrize(
    ("picture", "kind"),
    [(b"\xff\xd8\xff\xe0", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp")],
)
def test_a_portrait_becomes_a_data_url_of_its_kind(world: World, picture: bytes, kind: str) -> None:
    issued = issue(world.authority, elements=changed_value(ISO, "portrait", picture))
    assert accept(world, issued.present()).claims["picture"].startswith(f"data:image/{kind};base64,")


def test_a_photo_of_some_hundred_kilobytes_fits(world: World) -> None:
    picture = b"\xff\xd8\xff" + secrets.token_bytes(290_000)
    issued = issue(world.authority, elements=changed_value(ISO, "portrait", picture))
    assert len(accept(world, issued.present()).claims["picture"]) > 380_000


@pytest.mark.parametrize(
    ("name_space", "name", "value"),
    [
        (ISO, "portrait", b""),
        (ISO, "portrait", b"<svg/>"),
        (ISO, "portrait", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),  # JPEG 2000
        (ISO, "portrait", b"RIFF\x00\x00\x00\x00AVI "),
        (ISO, "portrait", b"\xff\xd8\xff" + bytes(300_000)),
        (ISO, "portrait", None),
        (ISO, "birth_date", full_date("2026-11-24")),
        (ISO, "birth_date", full_date("2026-02-30")),
        (ISO, "birth_date", b"1984-02-29"),
        (ISO, "birth_date", 19840229),
        (ISO, "birth_date", [1984, 2, 29]),
        (ISO, "age_over_19", 1),
        (ISO, "age_over_19", "true"),
        (ISO, "age_over_19", None),
        (ISO, "sex", True),
        (ISO, "sex", 3),
        (ISO, "sex", 1.0),
        (ISO, "sex", "1"),
        (ISO, "nationality", b"KR"),
        (ISO, "nationality", ["kr"]),
        (ISO, "nationality", {"KR": 1}),
        (ISO, "family_name", b"\xff\xd8\xff\xe0"),
        (ISO, "family_name", full_date("1984-02-29")),
        (ISO, "family_name", ""),
        (ISO, "family_name", "x" * 201),
        (ISO, "family_name", "<b>"),
        (KR, "name_ko", ["홍길동"]),
        (KR, "name_ko", 1.5),
        (KR, "user_authentication", "pin"),
        (KR, "user_authentication", [b"pin"]),
        (KR, "user_authentication", {"pin": 1}),
        (PHOTO_ID, "travel_document_number", 12345678),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_element_of_another_shape_is_refused(world: World, name_space: str, name: str, value: Any) -> None:
    issued = issue(world.authority, elements=changed_value(name_space, name, value))
    reason = refuse(world, issued.present())
    bad_day = value == full_date("2026-02-30")
    assert reason is (Reason.MALFORMED if bad_day else Reason.CLAIM_INVALID)


def test_an_undefined_or_simple_value_is_no_element(world: World) -> None:
    for value in (cbor2.undefined, cbor2.CBORSimpleValue(32), float("nan")):
        issued = issue(world.authority, elements=changed_value(ISO, "sex", value))
        assert refuse(world, issued.present()) is Reason.CLAIM_INVALID


def test_the_mission_that_signed_is_the_one_that_is_named(world: World) -> None:
    issued = issue(world.authority, elements=changed_value(KR, "mission_code", "AKL"))
    assert refuse(world, issued.present()) is Reason.MISSION_MISMATCH


def test_a_type_that_does_not_say_how_it_is_unlocked_says_nothing(world: World) -> None:
    trust = world.registry(authentication=None)
    assert accept(world, issue(world.authority).present(), trust=trust).authentication == ()


# Status


def test_the_status_list_is_asked_for_as_cwt(world: World) -> None:
    accept(world, issue(world.authority).present())
    assert world.host.asked_as == ["application/statuslist+cwt"]


@pytest.mark.parametrize(
    ("idx", "reason"),
    [
        (1, Reason.STATUS_REVOKED),
        (2, Reason.STATUS_SUSPENDED),
        (3, Reason.STATUS_INVALID),
        (4, Reason.STATUS_INVALID),
    ],
)
def test_an_mdoc_that_does_not_hold_any_more_is_refused(world: World, idx: int, reason: Reason) -> None:
    issued = issue(world.authority, mso={"status": {"status_list": {"idx": idx, "uri": STATUS_URI}}})
    assert refuse(world, issued.present()) is reason


def test_a_status_that_cannot_be_asked_is_unknown(world: World) -> None:
    world.host.served.clear()
    assert refuse(world, issue(world.authority).present()) is Reason.STATUS_UNKNOWN


def test_a_status_list_under_another_authority_is_unknown(world: World) -> None:
    world.host.served[STATUS_URI] = status_cwt(Authority("LAX"))
    assert refuse(world, issue(world.authority).present()) is Reason.STATUS_UNKNOWN


def test_a_type_that_requires_a_status_is_refused_without_one(world: World) -> None:
    assert refuse(world, issue(world.authority, mso={"status": ABSENT}).present()) is Reason.STATUS_MISSING


def test_a_type_that_requires_no_status_is_accepted_without_one(world: World) -> None:
    kind = credential_type(formats={"mso_mdoc": mdoc_format()}, status_required=False)
    trust = registry(world.mission, types=[kind])
    issued = issue(world.authority, mso={"status": ABSENT})
    assert accept(world, issued.present(), trust=trust).status is None
    broken = issue(world.authority, mso={"status": None}).present()
    assert refuse(world, broken, trust=trust) is Reason.STATUS_INVALID


REFERENCE: Mapping[str, Any] = {"idx": 0, "uri": STATUS_URI}
IDENTIFIERS: Mapping[str, Any] = {"id": b"1", "uri": "https://status.example/identifiers"}


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        {},
        "x",
        {"status_list": None},
        {"status_list": {}},
        {"status_list": {**REFERENCE, "idx": -1}},
        {"status_list": {**REFERENCE, "idx": True}},
        {"status_list": {**REFERENCE, "idx": "0"}},
        {"status_list": {**REFERENCE, "idx": 0.0}},
        {"status_list": {**REFERENCE, "uri": "ftp://status.example"}},
        {"status_list": {**REFERENCE, "uri": "https://" + "x" * 2048}},
        {"status_list": {**REFERENCE, "uri": b"https://status.example"}},
        {"identifier_list": IDENTIFIERS},
        {"status_list": REFERENCE, "identifier_list": IDENTIFIERS},
        {"status_list": REFERENCE, "future": {}},
    ],
    ids=repr,
)
def test_a_status_that_we_cannot_check_is_refused(world: World, status: Any) -> None:
    assert refuse(world, issue(world.authority, mso={"status": status}).present()) is Reason.STATUS_INVALID
    assert world.host.asked == []


def test_a_status_list_may_name_its_authority_when_it_is_the_missions(world: World) -> None:
    for named, reason in (
        (der(world.authority.ca), None),
        (der(Authority("LAX").ca), Reason.STATUS_INVALID),
        (der(world.authority.status_signer), Reason.STATUS_INVALID),
        (b"", Reason.STATUS_INVALID),
        (None, Reason.STATUS_INVALID),
    ):
        issued = issue(world.authority, mso={"status": {"status_list": {**REFERENCE, "certificate": named}}})
        presentation = issued.present()
        assert (refuse(world, presentation) if reason else accept(world, presentation) and None) is reason


def test_nobody_is_asked_about_a_credential_that_is_refused_anyway(world: World) -> None:
    issued = issue(world.authority)
    refuse(world, issued.present(key=p256()))
    refuse(world, issue(world.authority, elements=changed_value(ISO, "sex", 3)).present())
    refuse(world, issue(world.authority, validity={"validUntil": tdate(NOW - 100)}).present())
    assert world.host.asked == []


# The whole


def test_the_same_input_has_the_same_outcome_again(world: World) -> None:
    good, bad = issue(world.authority).present(), issue(world.authority).present(key=p256())
    for _ in range(3):
        assert accept(world, good)
        assert refuse(world, bad) is Reason.DEVICE_SIGNATURE


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_but_a_refusal_comes_of_any_structure(data: st.DataObject) -> None:
    world = WORLD
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary() | st.floats()
    names = (
        st.sampled_from(["version", "documents", "status", "docType", "issuerSigned", "nameSpaces"])
        | st.text()
    )
    anything = st.recursive(
        scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=20
    )
    presentation = ISSUED.present(
        response=data.draw(st.dictionaries(names, anything, max_size=2)),
        document=data.draw(st.dictionaries(names, anything, max_size=2)),
    )
    with suppress(CredentialRejected):
        accept(world, presentation)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    assert refuse(WORLD, b64u(data))


WORLD = World()
ISSUED: Issued = issue(WORLD.authority)
