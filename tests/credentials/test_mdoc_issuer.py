"""What an mdoc's issuer signs: each thing that can be wrong with it has its name."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from idp.credentials import Reason
from tests.credentials.issuing import (
    ABSENT,
    LEAF_EXTENSIONS,
    NOW,
    Authority,
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
    PHOTO_ID,
    World,
    document_signer,
    full_date,
    issue,
    item,
    mdoc_format,
    sign1,
    tdate,
)
from tests.credentials.mdocs import (
    EU_PID,
    accept,
    changed_value,
    refuse,
    signed_item,
    tagged_sha256,
    under_an_intermediate,
)


@pytest.fixture
def world() -> World:
    """One mission that is trusted with mdocs, and its status host, new for each test."""
    return World()


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
