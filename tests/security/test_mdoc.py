"""MD: DeviceResponses that must not be believed, posted to the house as a wallet does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag

from tests.credentials.issuing import ABSENT, b64u, der, p256
from tests.credentials.issuing_mdoc import DOC_TYPE, ELEMENTS, ISO, KR, Issued, cose_key, item, sign1, tdate
from tests.presenting import stranger
from tests.rig import callback_parameters
from tests.security.judging import Case, Court
from tests.security.mission import CODE, SD_JWT, Asked, Make, Mission, answered, shown, with_mission


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """Its house trusts a mission of the test's own."""
    with with_mission(tmp_path_factory.mktemp("court")) as sitting:
        yield sitting


def issued(**changes: Any) -> Make:
    """Issued with something else in it, and presented as it should be."""
    return lambda mission, asked: mission.mdoc(**changes).present(transcript=asked.transcript())


def presented(**changes: Any) -> Make:
    """A good document, presented with something wrong."""
    return lambda mission, asked: mission.mdoc().present(**{"transcript": asked.transcript(), **changes})


def bound_to(change: Callable[[Asked], bytes]) -> Make:
    """Signed by the device for another request, or by another reading of this one."""
    return lambda mission, asked: mission.mdoc().present(transcript=change(asked))


def raw(change: Callable[[bytes], bytes]) -> Make:
    """The bytes of a good response changed."""
    return lambda mission, asked: b64u(change(mission.mdoc().response(transcript=asked.transcript())))


def spelt(change: Callable[[str], str]) -> Make:
    """A good response, its base64url changed."""
    return lambda mission, asked: change(mission.mdoc().present(transcript=asked.transcript()))


def made(change: Callable[[Mission, Issued], Mapping[str, Any]]) -> Make:
    """A good document that is taken apart before it is presented; what comes back are arguments of `present`."""

    def make(mission: Mission, asked: Asked) -> str:
        document = mission.mdoc()
        return document.present(**{"transcript": asked.transcript(), **change(mission, document)})

    return make


def auth(part: int, value: Any) -> Make:
    """A part of issuerAuth replaced."""

    def change(_mission: Mission, document: Issued) -> Mapping[str, Any]:
        document.issuer_auth[part] = value(document.issuer_auth[part]) if callable(value) else value
        return {}

    return made(change)


def element(name_space: str, name: str, value: Any) -> Make:
    """An element of another value, which its issuer has signed."""
    return issued(elements={name_space: {**ELEMENTS[name_space], name: value}})


def items(change: Callable[[list[bytes]], list[Any]], name_space: str = ISO) -> Make:
    """Other items of a namespace than those that were signed."""
    return made(
        lambda _, document: {"items": {**document.items, name_space: change(document.items[name_space])}}
    )


def altered(contents: list[bytes]) -> list[Any]:
    read = cbor2.loads(contents[0])
    return [cbor2.dumps({**read, "elementValue": "KIM"}), *contents[1:]]


def encoded_again(contents: list[bytes]) -> list[Any]:
    """The same members in another order: the same meaning, and other bytes."""
    read = cbor2.loads(contents[0])
    return [cbor2.dumps(dict(reversed(read.items()))), *contents[1:]]


def annex_b(asked: Asked, nonce: str = "made-by-the-mdoc") -> bytes:
    """The handover of ISO/IEC 18013-7, which this wallet's profile does not have."""
    digests = [
        hashlib.sha256(cbor2.dumps([value, nonce])).digest()
        for value in (asked.client_id, asked.response_uri)
    ]
    return cbor2.dumps([None, None, [*digests, asked.nonce]])


def stated(authorizations: Any) -> Make:
    def make(mission: Mission, asked: Asked) -> str:
        document = mission.mdoc(device_key_info={"keyAuthorizations": authorizations})
        return document.present(stated={KR: {"name_ko": "남궁민"}}, transcript=asked.transcript())

    return make


def forged_name_spaces(_mission: Mission, document: Issued) -> Mapping[str, Any]:
    """Another person's elements beside those that were signed."""
    return {"document": {"nameSpaces": {ISO: [CBORTag(24, item(0, "family_name", "KIM"))]}}, "items": {}}


def for_another_type(mission: Mission, asked: Asked) -> str:
    return mission.mdoc().present(transcript=asked.transcript(), doc_type="org.iso.18013.5.1.mDL")


def two_documents(mission: Mission, asked: Asked) -> str:
    structure = mission.mdoc().structure(transcript=asked.transcript())
    structure["documents"] *= 2
    return b64u(cbor2.dumps(structure))


def mac(_mission: Mission, _document: Issued) -> Mapping[str, Any]:
    return {
        "device_auth": {"deviceSignature": ABSENT, "deviceMac": [cbor2.dumps({1: 5}), {}, None, bytes(32)]}
    }


def by_the_issuer(mission: Mission, _document: Issued) -> Mapping[str, Any]:
    return {"key": mission.authority.signer_key}


def countersigned(mission: Mission, document: Issued) -> Mapping[str, Any]:
    """A signature of the right key, made for something else."""
    _, unprotected, payload, _ = document.issuer_auth
    document.issuer_auth = sign1(
        mission.authority.signer_key, payload, unprotected=unprotected, context="CounterSignature"
    )
    return {}


def chain(make: Callable[[Mission], Any]) -> Make:
    return lambda mission, asked: mission.mdoc(unprotected={33: make(mission)}).present(
        transcript=asked.transcript()
    )


def chain_in_the_protected_header(mission: Mission, asked: Asked) -> str:
    signer = der(mission.document_signer())
    document = mission.mdoc(protected={33: signer}, unprotected={33: ABSENT})
    return document.present(transcript=asked.transcript())


def under_another_authority(mission: Mission, asked: Asked) -> str:
    """A mission of the same name that nobody trusts."""
    other = Mission(mission.rig, mission.host, type(mission.authority)(code=CODE, now=mission.now))
    return other.mdoc().present(transcript=asked.transcript())


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def twice(name: str, value: bytes) -> Callable[[bytes], bytes]:
    """A member of the response itself once more."""
    return lambda response: b"\xa4" + response[1:] + cbor2.dumps(name) + value


def inside(name: str) -> Callable[[bytes], bytes]:
    """A member of the document once more: it has three, and then four."""

    def change(response: bytes) -> bytes:
        structure = cbor2.loads(response)
        documents = cbor2.dumps(structure["documents"])
        document = cbor2.dumps(structure["documents"][0])
        again = cbor2.dumps(name) + cbor2.dumps(structure["documents"][0][name])
        assert documents == b"\x81" + document and document[0] == 0xA3
        return response.replace(document, b"\xa4" + document[1:] + again)

    return change


def issuer_auth_twice(response: bytes) -> bytes:
    structure = cbor2.loads(response)
    signed = cbor2.dumps(structure["documents"][0]["issuerSigned"])
    again = cbor2.dumps("issuerAuth") + cbor2.dumps(structure["documents"][0]["issuerSigned"]["issuerAuth"])
    assert signed in response
    return response.replace(signed, b"\xa3" + signed[1:] + again)


BOMBS = {
    "array 2^32": b"\x9a\xff\xff\xff\xff",
    "array 2^63": b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "map 2^63": b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
    "bytes 2^63": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff0123456789",
    "bytes 2^64": b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff0123456789",
    "text 2^32": b"\x7a\xff\xff\xff\xff0123456789",
}


def keyed_by_maps(number: int) -> Make:
    """A map whose keys are maps, which cost more to compare the more there are."""
    pairs = b"".join(b"\xa1\x19" + key.to_bytes(2, "big") + b"\x00\x00" for key in range(number))
    return spelt(lambda _: b64u(b"\xa1\x61x\xb9" + number.to_bytes(2, "big") + pairs))


MALFORMED, SIGNATURE, CERTIFICATE = "malformed", "device_signature", "issuer_certificate"
ROWS: dict[str, dict[str, tuple[Make, str]]] = {
    "MD-01": {
        "nonce": (bound_to(lambda asked: asked.transcript(nonce="x" * 43)), SIGNATURE),
        "client": (bound_to(lambda asked: asked.transcript(client_id=asked.client_id.partition(":")[2])), SIGNATURE),
        "response_uri": (bound_to(lambda asked: asked.transcript(response_uri=asked.response_uri + "/")), SIGNATURE),
        "key": (bound_to(lambda asked: asked.transcript(thumbprint=bytes(32))), SIGNATURE),
        "no key": (bound_to(lambda asked: asked.transcript(thumbprint=None)), SIGNATURE),
    },
    "MD-03": {"annex B": (bound_to(annex_b), SIGNATURE)},
    "MD-04": {
        "engagement": (bound_to(lambda asked: asked.transcript(engagement=b"x")), SIGNATURE),
        "reader key": (bound_to(lambda asked: asked.transcript(reader_key=CBORTag(24, b"\xa0"))), SIGNATURE),
    },
    "MD-05": {"value": (items(altered), "digest")},
    "MD-06": {
        "digestID": (items(lambda contents: [*contents, item(999, "x", 1)]), "disclosure_unreferenced"),
        "namespace": (
            made(lambda _, document: {"items": {"org.iso.23220.2": document.items[ISO]}}), "disclosure_unreferenced"
        ),
        "digestID twice": (items(lambda contents: [*contents, contents[0]]), "disclosure_duplicate"),
        "name twice": (
            issued(items={"family_name": {"elementIdentifier": "given_name"}}), "disclosure_duplicate"
        ),
        "moved": (
            made(lambda _, document: {"items": {KR: [*document.items[KR], document.items[ISO][-1]]}}),
            "digest",
        ),
    },
    "MD-07": {"other order": (items(encoded_again), "digest")},
    "MD-09": {
        "of the document": (for_another_type, "type_not_accepted"),
        "of the MSO": (issued(mso={"docType": "org.iso.18013.5.1.mDL"}), "doctype"),
        "upper case": (presented(doc_type=DOC_TYPE.upper()), "type_not_accepted"),
        "missing": (presented(document={"docType": ABSENT}), MALFORMED),
    },
    "MD-10": {
        "flipped": (auth(3, lambda signature: bytes(1) + signature[1:]), "issuer_signature"),
        "by a stranger": (issued(key=p256()), "issuer_signature"),
        "empty": (auth(3, b""), "issuer_signature"),
        "zeros": (auth(3, bytes(64)), "issuer_signature"),
        "for something else": (made(countersigned), "issuer_signature"),
        "detached": (auth(2, None), MALFORMED),
        "alg unprotected": (issued(protected={1: ABSENT}, unprotected={1: -7}), "algorithm"),
        "alg in both": (issued(unprotected={1: -7}), MALFORMED),
        "no alg": (issued(protected={1: ABSENT}), "algorithm"),
        "alg none": (issued(protected={1: 0}), "algorithm"),
        "alg of another curve": (issued(protected={1: -35}), "algorithm"),
        "HMAC": (issued(protected={1: 5}), "algorithm"),
        "crit": (issued(protected={2: [1]}), "critical_header"),
    },
    "MD-11": {
        "missing": (chain(lambda _: ABSENT), CERTIFICATE),
        "protected": (chain_in_the_protected_header, CERTIFICATE),
        "text": (chain(lambda _: "x"), CERTIFICATE),
        "anchor first": (
            chain(lambda mission: [der(mission.authority.ca), der(mission.document_signer())]), CERTIFICATE
        ),
        "of the status list": (chain(lambda mission: der(mission.authority.status_signer)), CERTIFICATE),
        "of another authority": (under_another_authority, "issuer_untrusted"),
    },
    "MD-12": {
        "missing": (presented(document={"deviceSigned": ABSENT}), "key_binding_missing"),
        "no signature": (presented(device_auth={"deviceSignature": ABSENT}), "key_binding_missing"),
        "a MAC": (made(mac), "device_mac"),
    },
    "MD-15": {
        "by another": (presented(key=stranger()), SIGNATURE),
        "by the issuer": (made(by_the_issuer), SIGNATURE),
        "other docType": (presented(signed_doc_type="org.iso.18013.5.1.mDL"), SIGNATURE),
        "payload": (presented(payload=b"\xa0"), MALFORMED),
        "other namespaces": (
            presented(stated={KR: {"a": 1}}, device_signed={"nameSpaces": CBORTag(24, b"\xa0")}), SIGNATURE
        ),
        "alg of another curve": (presented(protected={1: -35}), "algorithm"),
        "key with its private part": (
            issued(device_key_info={"deviceKey": cose_key(stranger(), d=bytes(32))}), "holder_key"
        ),
        "key off the curve": (issued(device_key_info={"deviceKey": cose_key(stranger(), y=bytes(32))}), "holder_key"),
    },
    "MD-16": {
        "none": (stated(ABSENT), "device_elements"),
        "others": (stated({"dataElements": {KR: ["a"]}}), "device_elements"),
        "other namespace": (stated({"nameSpaces": [ISO]}), "device_elements"),
    },
    "MD-21": {
        "status": (presented(response={"status": 10}), "response_status"),
        "status missing": (presented(response={"status": ABSENT}), MALFORMED),
        "no documents": (presented(response={"documents": []}), MALFORMED),
        "documents missing": (presented(response={"documents": ABSENT}), MALFORMED),
        "two documents": (two_documents, MALFORMED),
        "documentErrors": (presented(response={"documentErrors": [{DOC_TYPE: 0}]}), "response_status"),
        "version": (presented(response={"version": "2.0"}), "version"),
        "version of the MSO": (issued(mso={"version": "2.0"}), "version"),
    },
    "MD-22": {
        "status": (raw(twice("status", b"\x00")), MALFORMED),
        "docType": (raw(inside("docType")), MALFORMED),
        "issuerAuth": (raw(issuer_auth_twice), MALFORMED),
        "in a header": (auth(0, b"\xa2\x01\x26\x01\x26"), MALFORMED),
        "in an item": (
            items(lambda contents: [b"\xa5" + contents[0][1:] + cbor2.dumps("digestID") + b"\x00", *contents[1:]]),
            MALFORMED,
        ),
    },
    "MD-23": {
        "map": (raw(lambda response: b"\xbf" + response[1:] + b"\xff"), MALFORMED),
        "break alone": (spelt(lambda _: b64u(b"\xff")), MALFORMED),
        "text": (spelt(lambda _: b64u(b"\xa1\x7f\x61a\xff\x00")), MALFORMED),
    },
    "MD-24": {
        "a byte": (raw(lambda response: response + b"\x00"), MALFORMED),
        "two responses": (raw(lambda response: response * 2), MALFORMED),
        "empty": (spelt(lambda _: ""), MALFORMED),
        "cut off": (raw(lambda response: response[:-1]), MALFORMED),
        "after an item": (items(lambda contents: [contents[0] + b"\x00", *contents[1:]]), MALFORMED),
    },
    "MD-26": {name: (spelt(lambda _, bomb=bomb: b64u(bomb)), MALFORMED) for name, bomb in BOMBS.items()},
    "MD-28": {
        "not UTF-8": (spelt(lambda _: b64u(b"\xa1\x62\xff\xfe\x00")), MALFORMED),
        "NaN": (element(ISO, "sex", float("nan")), "claim_invalid"),
        "infinity": (element(ISO, "sex", float("inf")), "claim_invalid"),
        "negative zero": (element(ISO, "sex", -0.0), "claim_invalid"),
        "undefined": (element(ISO, "sex", cbor2.undefined), "claim_invalid"),
        "simple value": (element(ISO, "sex", cbor2.CBORSimpleValue(32)), "claim_invalid"),
        "birth date as a number": (element(ISO, "birth_date", CBORTag(1, 447_000_000.5)), MALFORMED),
        "birth date of no day": (element(ISO, "birth_date", CBORTag(1004, "2026-02-30")), MALFORMED),
        "valid until a number": (issued(validity={"validUntil": 2_000_000_000.5}), MALFORMED),
        "expired": (issued(validity={"signed": tdate(1_700_000_000), "validFrom": tdate(1_700_000_000),
                                     "validUntil": tdate(1_700_000_001)}), CERTIFICATE),
        "a big number": (element(ISO, "sex", 2**70), MALFORMED),
        "shared": (element(ISO, "sex", CBORTag(28, 1)), MALFORMED),
    },
    "MD-29": {
        "100,000 keys": (spelt(lambda _: b64u(cbor2.dumps(dict.fromkeys(range(100_000), 0)))), "too_large"),
        "keyed by maps": (keyed_by_maps(8_000), "too_large"),
        "keyed by some maps": (keyed_by_maps(2_000), MALFORMED),
        "deep": (element(ISO, "sex", deep(40)), MALFORMED),
        "very deep": (spelt(lambda _: b64u(b"\x81" * 300_000 + b"\x00")), "too_large"),
    },
    "MD-30": {
        "padded": (spelt(lambda text: text + "=" * (-len(text) % 4 or 4)), MALFORMED),
        "other alphabet": (spelt(lambda text: text.replace("-", "+").replace("_", "/")), MALFORMED),
        "white space": (spelt(lambda text: text[:8] + "\n" + text[8:]), MALFORMED),
        "not ASCII": (spelt(lambda text: text[:8] + "가" + text[9:]), MALFORMED),
        "odd length": (spelt(lambda text: text[: (len(text) - 1) // 4 * 4 + 1]), MALFORMED),
    },
}  # fmt: skip

CASES = [
    *(
        shown(row, name, make, reason)
        for row, inputs in ROWS.items()
        for name, (make, reason) in inputs.items()
    ),
    shown("MD-17", "beside", made(forged_name_spaces), "incomplete", fetches=True),
    shown("WP-17", "an mdoc under the name of an SD-JWT VC", issued(), MALFORMED, under=SD_JWT),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)


def test_a_good_document_of_this_mission_is_accepted(court: Court) -> None:
    """What the rows change one thing of."""
    portal = court.rig.portal("gov24")
    begun = portal.begin(prompt="login")
    told = answered(court, portal.link(portal.page(begun)), issued()).json()
    back = portal.agree(portal.browser.get(told["redirect_uri"]))
    bought = portal.token(callback_parameters(back)["code"], begun.verifier).json()
    assert portal.userinfo(bought["access_token"]).json()["name"] == "홍길동"


def test_what_a_device_states_by_itself_is_no_claim(court: Court) -> None:
    """MD-16: allowed by the issuer, and still not the name of the person."""
    portal = court.rig.portal("gov24")
    begun = portal.begin(prompt="login")
    told = answered(court, portal.link(portal.page(begun)), stated({"nameSpaces": [KR]})).json()
    back = portal.agree(portal.browser.get(told["redirect_uri"]))
    bought = portal.token(callback_parameters(back)["code"], begun.verifier).json()
    assert portal.userinfo(bought["access_token"]).json()["name"] == "홍길동"
