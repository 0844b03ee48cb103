"""Mutants of mdocs that break one rule on purpose; whatever lies above it is signed again with the right key."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import cbor2
from cbor2 import CBORTag
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.credentials.issuing import (
    ABSENT,
    AUDIENCE,
    LEAF_EXTENSIONS,
    NONCE,
    NOW,
    STATUS_URI,
    b64u,
    certificate,
    der,
    p256,
    usage,
)
from tests.credentials.issuing_mdoc import (
    DOC_TYPE,
    DOCUMENT_SIGNER,
    ELEMENTS,
    ISO,
    KR,
    PHOTO_ID,
    RESPONSE_URI,
    cose_key,
    full_date,
    issue,
    item,
    sign1,
    tdate,
)
from tests.credentials.mutants import blind
from tests.credentials.mutants.strange import KINDS, ORDERS, other_kind

if TYPE_CHECKING:
    from tests.credentials.mutants.mdoc import Mdocs as Lab

Aimed = Callable[["Lab", random.Random], str]


# Aimed at what the issuer signs


def mso_member(lab: Lab, chance: random.Random) -> str:
    name, kind = chance.choice(
        [
            ("version", str),
            ("digestAlgorithm", str),
            ("valueDigests", dict),
            ("deviceKeyInfo", dict),
            ("docType", str),
            ("validityInfo", CBORTag),
        ]
    )
    wrong = chance.choice([ABSENT, other_kind(chance, but=(kind,))])
    return lab.issue(mso={name: wrong}).present()


def mso_word(lab: Lab, chance: random.Random) -> str:
    name, words = chance.choice(
        [
            ("version", ["", "1", "1.1", "1.0 ", "2.0", "１.0"]),
            (
                "digestAlgorithm",
                ["", "SHA-1", "sha-256", "SHA256", "SHA-224", "SHA-256 ", "SHA-384", "SHA-512"],
            ),
            ("docType", ["", DOC_TYPE + " ", DOC_TYPE.upper(), "org.iso.18013.5.1.mDL"]),
        ]
    )
    return lab.issue(mso={name: chance.choice(words)}).present()


def mso_payload(lab: Lab, chance: random.Random) -> str:
    def payload(mso: bytes) -> Any:
        tagged = cbor2.dumps(CBORTag(24, mso))
        return chance.choice(
            [
                mso,
                cbor2.dumps(mso),
                tagged + chance.randbytes(1),
                cbor2.dumps(CBORTag(24, mso + chance.randbytes(1))),
                cbor2.dumps(CBORTag(24, mso[: chance.randrange(len(mso))])),
                tagged[: chance.randrange(len(tagged))],
                cbor2.dumps(CBORTag(chance.choice([23, 25, 61]), mso)),
                None,
            ]
        )

    return lab.issue(payload=payload).present()


def times(lab: Lab, chance: random.Random) -> str:
    away = chance.randint(1, 10**7)
    return lab.issue(
        validity=chance.choice(
            [
                {"validUntil": tdate(NOW - 60 - min(away, 3000))},
                {"validFrom": tdate(NOW + 60 + away), "validUntil": tdate(NOW + 60 + 2 * away)},
                {"validUntil": tdate(NOW - 3600 - away)},
                {"signed": tdate(NOW - 3600 + away)},
                {"signed": tdate(NOW - 8 * 86_400 - away)},
                {"expectedUpdate": tdate(NOW - 3600 - away)},
            ]
        )
    ).present()


def time_form(lab: Lab, chance: random.Random) -> str:
    name = chance.choice(["signed", "validFrom", "validUntil"])
    year = {"signed": 2026, "validFrom": 2026, "validUntil": 2027}[name]
    wrong: Any = chance.choice(
        [
            ABSENT,
            f"{year}-11-22T00:00:00Z",
            tdate(f"{year}-11-22T00:00:00"),
            tdate(f"{year}-11-22T00:00:00+0{chance.randrange(9)}:00"),
            tdate(f"{year}-11-{chance.randint(31, 99)}T00:00:00Z"),
            tdate(f"{year}-11-22T{chance.randint(24, 99)}:00:00Z"),
            tdate(f"{year}-11-22 00:00:00Z"),
            tdate(f"{year}-11-22t00:00:00z"),
            tdate(f"{year}1122T000000Z"),
            full_date(f"{year}-11-22"),
            CBORTag(1, NOW),
            CBORTag(0, NOW),
            chance.choice(KINDS),
        ]
    )
    return lab.issue(validity={name: wrong}).present()


def device_key(lab: Lab, chance: random.Random) -> str:
    point = lab.key.public_key().public_numbers()
    x, y = (number.to_bytes(32, "big") for number in (point.x, point.y))
    bit = 1 << chance.randrange(8)
    turned = bytes((x[0] ^ bit,)) + x[1:]
    changes: dict[str, Any] = chance.choice(
        [
            {"kty": chance.choice([1, 3, 4, "EC2", None, 2.0, ABSENT])},
            {"crv": chance.choice([0, 2, 3, 4, 6, 8, "P-256", None, 1.0, True, ABSENT])},
            {"x": turned},
            {"x": y, "y": x},
            {"x": x[: chance.randrange(32)]},
            {"x": b"\x00" + x},
            {"y": chance.choice([True, False, ABSENT, y[:-1], y + b"\x00", bytes(32), "y" * 32])},
            {"d": chance.choice([bytes(32), None, b""])},
            {"alg": chance.choice([-8, -35, -36, -51, 5, None, "ES256", -7.0])},
            {"key_ops": chance.choice([[], [1], [1, 3], 2, None, ["verify"], [2.0], [True]])},
        ]
    )
    return lab.issue(device_key_info={"deviceKey": cose_key(lab.key, **changes)}).present()


def another_device_key(lab: Lab, chance: random.Random) -> str:
    key = chance.choice([lab.authority.signer_key, p256(), ec.generate_private_key(ec.SECP384R1())])
    return lab.issue(device_key_info={"deviceKey": cose_key(key)}).present()


def authorizations(lab: Lab, chance: random.Random) -> str:
    wrong = chance.choice(
        [
            other_kind(chance, but=(dict,)),
            {"nameSpaces": chance.choice([None, KR, [1], {KR: 1}, [[KR]]])},
            {"dataElements": chance.choice([None, [KR], {KR: None}, {KR: "a"}, {KR: [1]}])},
        ]
    )
    return lab.issue(device_key_info={"keyAuthorizations": wrong}).present()


def digests(lab: Lab, chance: random.Random) -> str:
    name_space = chance.choice([ISO, PHOTO_ID, KR])

    def change(digests: dict[str, dict[int, bytes]]) -> Any:
        inner = digests[name_space]
        number, other = chance.sample(range(len(ELEMENTS[name_space])), 2)
        whole = inner[number]
        at = chance.randrange(32)
        kind = chance.randrange(7)
        if kind == 0:
            del inner[number]
        elif kind == 1:
            inner[number] = whole[:at] + bytes((whole[at] ^ 1 << chance.randrange(8),)) + whole[at + 1 :]
        elif kind == 2:
            inner[number], inner[other] = inner[other], whole
        elif kind == 3:
            inner[number] = chance.choice(
                [whole[:at], whole + b"\x00", bytes(32), whole.hex(), None, [whole]]
            )  # type: ignore[assignment]
        elif kind == 4:
            del digests[name_space]
        elif kind == 5:
            digests[name_space + chance.choice([" ", "."])] = digests.pop(name_space)
        else:
            digests[name_space] = chance.choice([None, [], b"", [*inner.values()], "x"])  # type: ignore[assignment]
        return digests

    return lab.issue(digests=change).present()


def _tagged(content: bytes, algorithm: str = "sha256") -> bytes:
    return hashlib.new(algorithm, cbor2.dumps(CBORTag(24, content))).digest()


def signed_item(lab: Lab, chance: random.Random) -> str:
    good = item(0, "a", 1)
    content: bytes = chance.choice(
        [
            item(
                0,
                "a",
                1,
                **{chance.choice(["digestID", "random", "elementIdentifier", "elementValue"]): ABSENT},
            ),
            item(0, "a", 1, **{chance.choice(["more", "digestId", ""]): chance.choice(KINDS)}),
            item(
                0,
                "a",
                1,
                random=chance.choice([chance.randbytes(chance.randrange(16)), None, "x" * 32, [0] * 32]),
            ),
            item(
                0, "a", 1, digestID=chance.choice([-1, 2**32, 2**64 - 1, 0.0, False, None, "0", b"\x00", [0]])
            ),
            item(0, "a", 1, elementIdentifier=chance.choice([None, 1, True, b"a", ["a"], {"a": 1}])),
            item(
                0, "a", CBORTag(chance.choice([1, 2, 3, 4, 5, 18, 25, 28, 29, 30, 35, 36, 37, 100, 258]), 0)
            ),
            item(0, "a", {chance.choice([1, 1.0, True, None, (1, 2)]): 0}),
            good[: chance.randrange(len(good))],
            good + chance.randbytes(1),
            good + item(1, "b", 2),
            cbor2.dumps(chance.choice([[], None, 1, "x", [0, b"", "a", 1]])),
            b"\xbf" + good[1:] + b"\xff",
            b"\xa5" + good[1:] + cbor2.dumps("digestID") + b"\x00",
            b"\xd9\xd9\xf7" + good,
        ]
    )
    issued = lab.issue(digests=lambda _: {KR: {0: _tagged(content)}})
    return issued.present(items={KR: [content]})


def items_that_run_into_each_other(lab: Lab, chance: random.Random) -> str:
    whole = [item(number, f"a{number}", chance.randbytes(60)) for number in range(3)]
    joined = b"".join(whole)
    first, second = sorted(chance.sample(range(len(joined) + 1), 2))
    contents = [joined[:first], joined[first:second], joined[second:]]
    if contents == whole:
        contents.reverse()
    issued = lab.issue(digests=lambda _: {KR: {number: _tagged(one) for number, one in enumerate(contents)}})
    return issued.present(items={KR: contents})


def duplicates(lab: Lab, chance: random.Random) -> str:
    name_space = chance.choice([ISO, PHOTO_ID, KR])
    shown = list(lab.issued.items[name_space])
    one = chance.randrange(len(shown))
    if chance.random() < 0.5:
        shown.insert(chance.randrange(len(shown) + 1), shown[one])
        return lab.issued.present(items={name_space: shown})
    names = chance.sample(list(ELEMENTS[name_space]), 2)
    return lab.issue(items={names[0]: {"elementIdentifier": names[1]}}).present()


def foreign_item(lab: Lab, chance: random.Random) -> str:
    name_space = chance.choice([ISO, PHOTO_ID, KR])
    shown = list(lab.issued.items[name_space])
    at = chance.randrange(len(shown))
    foreign = chance.choice(lab.others).items[chance.choice([ISO, PHOTO_ID, KR])]
    made = item(at, list(ELEMENTS[name_space])[at], chance.choice(KINDS))
    new = chance.choice([*foreign, made, item(chance.randrange(10**6), "x", 1)])
    if chance.random() < 0.5:
        shown[at] = new
    else:
        shown.append(new)
    return lab.issued.present(items={name_space: shown})


def moved_item(lab: Lab, chance: random.Random) -> str:
    here, there = chance.sample([ISO, PHOTO_ID, KR], 2)
    shown = {name_space: list(items) for name_space, items in lab.issued.items.items()}
    shown[there].append(shown[here].pop(chance.randrange(len(shown[here]))))
    return lab.issued.present(items=shown)


WRONG: Mapping[tuple[str, str], tuple[Any, ...]] = {
    (ISO, "family_name"): (1, True, None, b"HONG", [], {}, "", "x" * 201, "<b>", "a\u202eb", full_date("2000-01-01")),
    (ISO, "birth_date"): (20000101, None, b"2000-01-01", "2000-1-1", "01.01.2000", full_date("2027-01-01"), ["x"]),
    (ISO, "age_over_19"): (0, 1, None, "true", b"\x01", [], {"a": True}, 1.0),
    (ISO, "sex"): (True, 3, -1, "1", 1.0, None, [1]),
    (ISO, "nationality"): (1, None, b"KR", [1], [None], ["kr"], "korea", "K", {"KR": 1}, ["KR"] * 11),
    (ISO, "resident_address"): ("", "x" * 1001, "\x00", 1, ["x"], b"x"),
    (ISO, "portrait"): (b"", b"GIF89a", b"<svg/>", b"\xff\xd8", "x", None, 1, [b"\xff\xd8\xff"], b"RIFF\0\0\0\0AVI "),
    (ISO, "issuing_country"): ("US", "kr", "KOR", "", 1, None, ["KR"]),
    (PHOTO_ID, "travel_document_number"): (1, "m123", "", "M" * 21, None, b"M1"),
    (PHOTO_ID, "travel_document_issue_date"): (1, None, "2023-02-29", b"x", [], True),
    (KR, "mission_code"): ("AKL", "lax", "", 1, None, ["LAX"]),
    (KR, "overseas_registration_number"): (1, "", None, b"x", "x" * 65),
    (KR, "ci"): ("A" * 87, "A" * 88 + "=", 1, b"A" * 88, None),
    (KR, "user_authentication"): ("pin", ["PIN"], [1], {}, None, ["x"] * 17, [""], b"pin"),
}  # fmt: skip


def element(lab: Lab, chance: random.Random) -> str:
    name_space, name = chance.choice(list(WRONG))
    wrong = chance.choice(WRONG[name_space, name])
    return lab.issue(elements={name_space: {**ELEMENTS[name_space], name: wrong}}).present()


def status(lab: Lab, chance: random.Random) -> str:
    reference = {"idx": 0, "uri": STATUS_URI}
    wrong = chance.choice(
        [
            ABSENT,
            other_kind(chance, but=(dict,)),
            {},
            {"identifier_list": {"id": b"1", "uri": STATUS_URI}},
            {"status_list": reference, "identifier_list": {"id": b"1", "uri": STATUS_URI}},
            {"status_list": reference, chance.choice(["x", "", 1]): {}},
            {
                "status_list": {
                    **reference,
                    "idx": chance.choice([1, 2, 3, 4, 2**64 - 1, -1, True, None, "0", 0.0]),
                }
            },
            {
                "status_list": {
                    **reference,
                    "uri": chance.choice([STATUS_URI + "/", "", None, 1, "file:///x", b"https"]),
                }
            },
            {
                "status_list": {
                    **reference,
                    "certificate": chance.choice([None, b"", der(lab.stranger.ca), "x"]),
                }
            },
            {"status_list": other_kind(chance, but=(dict,))},
        ]
    )
    return lab.issue(mso={"status": wrong}).present()


def issuer_header(lab: Lab, chance: random.Random) -> str:
    chain = der(lab.signer)
    return lab.issue(
        **chance.choice(
            [
                {
                    "protected": {
                        1: chance.choice([ABSENT, 0, 5, -8, -35, -36, -37, -51, -65535, None, "ES256", -7.0])
                    }
                },
                {"protected": {2: chance.choice([[], [1], [33], None])}},
                {"unprotected": {2: chance.choice([[], [1], None])}},
                {"unprotected": {1: -7}},
                {"protected": {33: chain}},
                {"protected": {33: chain}, "unprotected": {33: ABSENT}},
                {
                    "protected": chance.choice(
                        [b"", b"\xa0", b"\x80", b"\xf6", b"\xa1\x01\x26\x00", b"\xbf\x01\x26\xff"]
                    )
                },
                {"protected": b"\xa2\x01\x26\x01\x26"},
                {"protected": b"\xa1\xf9\x3c\x00\x26"},
                {"protected": b"\xa1\xf5\x26"},
            ]
        )
    ).present()


def issuer_signature(lab: Lab, chance: random.Random) -> str:
    issued = lab.issue()
    protected, unprotected, payload, signature = issued.issuer_auth
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    order = ORDERS["P-256"]
    at, bit = chance.randrange(64), 1 << chance.randrange(8)
    wrong = chance.choice(
        [
            signature[:at] + bytes((signature[at] ^ bit,)) + signature[at + 1 :],
            signature[:at],
            signature + b"\x00",
            b"\x00" + signature,
            signature[32:] + signature[:32],
            encode_dss_signature(r, s),
            bytes(64),
            (r % order).to_bytes(32, "big") + bytes(32),
            bytes(32) + signature[32:],
            order.to_bytes(32, "big") * 2,
            signature[:32] + ((s + order) % 2**256).to_bytes(32, "big"),
            ((order - r) % order).to_bytes(32, "big") + signature[32:],
        ]
    )
    issued.issuer_auth = [protected, unprotected, payload, wrong]
    return issued.present()


def issuer_key(lab: Lab, chance: random.Random) -> str:
    key = chance.choice(
        [p256(), lab.key, lab.authority.status_key, lab.authority.key, lab.stranger.signer_key]
    )
    return lab.issue(key=key).present()


def issuer_context(lab: Lab, chance: random.Random) -> str:
    issued = lab.issue()
    _protected, unprotected, payload, _ = issued.issuer_auth
    context = chance.choice(["Signature", "Signature0", "CounterSignature", "MAC0", "", "signature1"])
    issued.issuer_auth = sign1(lab.authority.signer_key, payload, unprotected=unprotected, context=context)
    return issued.present()


def certificates(lab: Lab, chance: random.Random) -> str:
    """A leaf or a chain with one thing wrong; the document is signed with the key that it names."""
    authority, own = lab.authority, lab.authority.signer_key
    purpose = (x509.ExtendedKeyUsage([x509.ObjectIdentifier(DOCUMENT_SIGNER)]), True)
    other = (
        x509.ExtendedKeyUsage(
            [x509.ObjectIdentifier(chance.choice(["1.0.18013.5.1.6", "1.3.6.1.5.5.7.3.1"]))]
        ),
        True,
    )
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    critical = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), True)
    signing = LEAF_EXTENSIONS[0]
    country = [(x509.NameOID.COUNTRY_NAME, "KR")]
    away = chance.randint(1, 500_000)

    def leaf(
        issuer: str = "LAX CA", key: Any = authority.key, extensions: Any = (signing, purpose), **more: Any
    ) -> bytes:
        subject = more.pop("subject", "document signer")
        times = {"not_before": NOW - 7 * 86_400, "not_after": NOW + 86_400, **more}
        return der(certificate(subject, own, issuer, key, extensions, further=country, **times))

    good = leaf()
    at = chance.randrange(len(good))
    middle = p256()
    middle_ca = der(
        certificate("middle", middle, "LAX CA", authority.key, (ca, (usage(key_cert_sign=True), True)))
    )
    no_ca = der(certificate("middle", middle, "LAX CA", authority.key, LEAF_EXTENSIONS))
    under = leaf("middle", middle)
    chain: Any = chance.choice(
        [
            leaf(not_after=NOW - away),
            leaf(not_before=NOW + away, not_after=NOW + 2 * away),
            leaf(extensions=(signing,)),
            leaf(extensions=(signing, other)),
            leaf(extensions=(purpose,)),
            leaf(extensions=((usage(key_agreement=True), True), purpose)),
            leaf(extensions=((usage(digital_signature=True, key_cert_sign=True), True), purpose)),
            leaf(extensions=(ca, signing, purpose)),
            leaf(extensions=(signing, purpose, critical)),
            leaf(key=p256()),
            leaf("AKL CA"),
            leaf("XXX CA", lab.stranger.key),
            leaf("document signer", own),
            good[:at],
            good + b"\x00",
            good[:at] + bytes((good[at] ^ 1 << chance.randrange(8),)) + good[at + 1 :],
            [good, der(authority.ca)],
            [good, der(authority.status_signer)],
            [good, good],
            [under],
            [middle_ca, under],
            [under, no_ca],
            [under, middle_ca, der(authority.ca)],
            [under, der(lab.stranger.ca)],
            [good] * chance.randint(2, 9),
            [],
            ABSENT,
            other_kind(chance, but=(bytes, list)),
            [other_kind(chance, but=(bytes,))],
            der(lab.authority.status_signer),
        ]
    )  # fmt: skip
    return lab.issue(unprotected={33: chain}).present()


# Aimed at what the device signs


def device_transcript(lab: Lab, chance: random.Random) -> str:
    """The device signs for another request, or by another reading of this one."""
    client, nonce, thumbprint, uri = AUDIENCE, NONCE, bytes(32), RESPONSE_URI
    made = "".join(chance.choices(blind.BASE64URL, k=16))

    def handover(name: str, *info: Any) -> list[Any]:
        return [name, hashlib.sha256(cbor2.dumps(list(info))).digest()]

    def hashed(*info: Any) -> bytes:
        return hashlib.sha256(cbor2.dumps(list(info))).digest()

    transcripts = [
        [None, None, handover("OpenID4VPHandover", client + made, nonce, thumbprint, uri)],
        [None, None, handover("OpenID4VPHandover", client.partition(":")[2], nonce, thumbprint, uri)],
        [None, None, handover("OpenID4VPHandover", client, made, thumbprint, uri)],
        [None, None, handover("OpenID4VPHandover", client, nonce, None, uri)],
        [None, None, handover("OpenID4VPHandover", client, nonce, chance.randbytes(32), uri)],
        [None, None, handover("OpenID4VPHandover", client, nonce, thumbprint, uri + made)],
        [None, None, handover("OpenID4VPDCAPIHandover", "https://idp.example", nonce, thumbprint)],
        [None, None, [hashed(client, made), hashed(uri, made), nonce]],
        [None, None, handover("OpenID4VPHandover", client, nonce, thumbprint, uri), None],
        [b"", None, handover("OpenID4VPHandover", client, nonce, thumbprint, uri)],
        [
            None,
            CBORTag(24, cbor2.dumps(cose_key(lab.key))),
            handover("OpenID4VPHandover", client, nonce, thumbprint, uri),
        ],
        [handover("OpenID4VPHandover", client, nonce, thumbprint, uri)],
        None,
    ]
    return lab.issued.present(transcript=cbor2.dumps(chance.choice(transcripts)))


def device_signed_otherwise(lab: Lab, chance: random.Random) -> str:
    return lab.issued.present(
        **chance.choice(
            [
                {"signed_doc_type": chance.choice(["", "org.iso.18013.5.1.mDL", DOC_TYPE + " "])},
                {"key": chance.choice([p256(), lab.authority.signer_key, lab.others[1].holder_key])},
                {"key": ec.generate_private_key(ec.SECP384R1())},
                {"payload": chance.choice([b"", b"\xa0", b"\xf6", chance.randbytes(8)])},
                {"protected": {1: chance.choice([ABSENT, 0, 5, -8, -35, -36, -51, -65537, None, "ES256"])}},
                {"protected": {2: [1]}},
                {"unprotected": {2: [1]}},
                {"unprotected": {1: -7}},
                {"device_signed": {"nameSpaces": CBORTag(24, cbor2.dumps({KR: {"a": 1}}))}},
                {"device_signed": {"nameSpaces": CBORTag(24, b"\xb8\x00")}},
            ]
        )
    )


def device_states(lab: Lab, chance: random.Random) -> str:
    """What the device may not state, properly signed."""
    stated = chance.choice(
        [
            {PHOTO_ID: {"a": 1}},
            {ISO: {"birth_date": 1}},
            {KR: {"a": 1}, ISO: {"sex": 1, "x": 2}},
            {KR: {}},
            {"": {"a": 1}},
            b"\x80",
            b"\xf6",
            b"",
            b"\xa0" + chance.randbytes(1),
            cbor2.dumps({KR: chance.choice([None, [], 1, "x"])}),
            cbor2.dumps({1: {"a": 1}}),
            b"\xa2" + cbor2.dumps({KR: {"a": 1}})[1:] * 2,
        ]
    )
    return lab.allowed.present(stated=stated)


def device_auth(lab: Lab, chance: random.Random) -> str:
    mac = [cbor2.dumps({1: 5}), {}, None, chance.randbytes(32)]
    foreign = chance.choice(lab.others).structure()["documents"][0]["deviceSigned"]["deviceAuth"][
        "deviceSignature"
    ]
    return lab.issued.present(
        device_auth=chance.choice(
            [
                {"deviceMac": mac},
                {"deviceMac": None},
                {"deviceMac": mac, "deviceSignature": ABSENT},
                {"deviceSignature": ABSENT},
                {"deviceSignature": mac},
                {"deviceSignature": foreign},
                {"deviceSignature": lab.issued.issuer_auth},
                {"deviceSignature": other_kind(chance, but=())},
            ]
        )
    )


# Aimed at what nobody signs


def response_member(lab: Lab, chance: random.Random) -> str:
    document = lab.issued.structure()["documents"][0]
    return lab.issued.present(
        response=chance.choice(
            [
                {"version": chance.choice([ABSENT, "", "1.1", "1", 1.0, None, "2.0"])},
                {"status": chance.choice([ABSENT, 1, 10, 11, 12, -1, None, False, "0", 0.0])},
                {
                    chance.choice(["documentErrors", "encryptedDocuments", "zkDocuments"]): chance.choice(
                        KINDS
                    )
                },
                {"documents": chance.choice([ABSENT, [], [document] * chance.randint(2, 9), document, None])},
                {"documents": [document, chance.choice(KINDS)]},
            ]
        )
    )


def response_document(lab: Lab, chance: random.Random) -> str:
    name = chance.choice(["docType", "issuerSigned", "deviceSigned"])
    wrong = chance.choice([ABSENT, other_kind(chance, but=())])
    return lab.issued.present(document={name: wrong})


def response_form(lab: Lab, chance: random.Random) -> str:
    response = chance.choice(lab.responses)
    wrong = chance.choice(
        [
            b"\xbf" + response[1:] + b"\xff",
            b"\xd9\xd9\xf7" + response,
            response + chance.randbytes(chance.randint(1, 9)),
            response[: chance.randrange(len(response))],
            bytes((response[0] + 1,)) + response[1:] + cbor2.dumps("version") + cbor2.dumps("1.0"),
            bytes((response[0] - 1,)) + response[1:],
            b"\x81" + response,
            cbor2.dumps(response),
            cbor2.dumps(CBORTag(24, response)),
        ]
    )
    return b64u(wrong)


def twice_wrapped(lab: Lab, chance: random.Random) -> str:
    presentation = b64u(chance.choice(lab.responses))
    return chance.choice(
        [
            presentation + "=" * chance.randint(1, 3),
            b64u(presentation.encode()),
            " " + presentation,
            presentation + "\n",
            presentation.replace("-", "+").replace("_", "/") + "=",
            chance.choice(lab.responses).hex(),
            f'["{presentation}"]',
            presentation + "~",
        ]
    )


def other_presentation(lab: Lab, chance: random.Random) -> str:
    """A valid device signature of one credential under the issuer's signature of another."""
    one, other = chance.sample([lab.issued, *lab.others[:2]], 2)
    whole, taken = one.structure(), other.structure()
    document, from_other = whole["documents"][0], taken["documents"][0]
    kind = chance.randrange(3)
    if kind == 0:
        document["deviceSigned"] = from_other["deviceSigned"]
    elif kind == 1:
        document["issuerSigned"]["nameSpaces"] = from_other["issuerSigned"]["nameSpaces"]
    else:
        document["issuerSigned"]["issuerAuth"] = from_other["issuerSigned"]["issuerAuth"]
    return b64u(cbor2.dumps(whole))


def authority(lab: Lab, chance: random.Random) -> str:
    """Everything as it should be, of somebody whom nobody believes."""
    return issue(lab.stranger, holder_key=lab.key).present()


AIMED: Mapping[str, Aimed] = {
    function.__name__: function
    for function in (
        mso_member,
        mso_word,
        mso_payload,
        times,
        time_form,
        device_key,
        another_device_key,
        authorizations,
        digests,
        signed_item,
        items_that_run_into_each_other,
        duplicates,
        foreign_item,
        moved_item,
        element,
        status,
        issuer_header,
        issuer_signature,
        issuer_key,
        issuer_context,
        certificates,
        device_transcript,
        device_signed_otherwise,
        device_states,
        device_auth,
        response_member,
        response_document,
        response_form,
        twice_wrapped,
        other_presentation,
        authority,
    )
}
