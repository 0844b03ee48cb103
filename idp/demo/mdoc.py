"""Issuing and presenting mobile documents: the authority's and the wallet's side of ISO/IEC 18013-5.

Written with cbor2 and cryptography alone. What is hashed or signed is always the bytes that are sent.

Specs: ISO/IEC 18013-5, sections 8.3.2.1.2.2, 9.1.2 and 9.1.3; OpenID4VP 1.0, appendix B.2; RFC 9052.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import cbor2
from cbor2 import CBORTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from idp.demo import jose, pki

ES256 = -7
X5CHAIN = 33
_EMBEDDED, _DATE_TIME, _FULL_DATE = 24, 0, 1004
_SALT_BYTES = 32
_NO_DIGEST = 9_999
_ANY_ORDER = secrets.SystemRandom()


@dataclass(frozen=True)
class Item:
    """One element: where it is, what a person reads, and the IssuerSignedItem as it is sent."""

    name_space: str
    element: str
    shown: Any
    encoded: bytes


@dataclass(frozen=True)
class Document:
    """An issued mdoc as a wallet keeps it. `claims` is what it says, by namespace and element, as people read it."""

    doc_type: str
    items: tuple[Item, ...]
    issuer_auth: list[Any]
    holder_key: ec.EllipticCurvePrivateKey
    authority_key_ids: frozenset[str]

    @property
    def type_name(self) -> str:
        """What its type goes by in this format."""
        return self.doc_type

    @property
    def claims(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for item in self.items:
            found.setdefault(item.name_space, {})[item.element] = item.shown
        return found


@dataclass(frozen=True)
class Lies:
    """What a presentation gets wrong, for verifiers to notice.

    altered_element: the first one says something else than what was signed. unsigned_element: one that the issuer
    never signed stands beside the others.
    """

    doc_type: str | None = None
    mac: bool = False
    other_key: bool = False
    altered_signature: bool = False
    altered_element: bool = False
    repeated_element: bool = False
    unsigned_element: bool = False


HONEST = Lies()


def full_date(day: str) -> CBORTag:
    """`full-date` (ISO/IEC 18013-5, section 7.2.1; RFC 8943) from YYYY-MM-DD."""
    return CBORTag(_FULL_DATE, day)


def issue(
    doc_type: str,
    elements: Mapping[str, Mapping[str, tuple[Any, Any]]],
    *,
    signer: pki.Identity,
    holder_key: ec.EllipticCurvePrivateKey,
    issued_at: int,
    expires_at: int,
    status: Mapping[str, Any],
) -> Document:
    """A document under a signer's key.

    `elements`: by namespace and identifier, the value as CBOR has it and as a person reads it.
    """
    items: list[Item] = []
    digests: dict[str, dict[int, bytes]] = {}
    for name_space, members in elements.items():
        # In no order: the number of a digest that is not opened tells nothing of what it hides.
        numbers = _ANY_ORDER.sample(range(len(members)), len(members))
        for number, (element, (value, shown)) in zip(numbers, members.items(), strict=True):
            encoded = _item(number, element, value)
            items.append(Item(name_space, element, shown, encoded))
            digests.setdefault(name_space, {})[number] = hashlib.sha256(_embedded(encoded)).digest()
    security_object: dict[str, Any] = {
        "version": "1.0",
        "digestAlgorithm": "SHA-256",
        "docType": doc_type,
        "valueDigests": digests,
        "deviceKeyInfo": {"deviceKey": _cose_key(holder_key.public_key())},
        "validityInfo": {
            "signed": _moment(issued_at),
            "validFrom": _moment(issued_at),
            "validUntil": _moment(expires_at),
        },
        "status": {"status_list": dict(status)},
    }
    der = signer.certificate.public_bytes(Encoding.DER)
    payload = _embedded(cbor2.dumps(security_object))
    return Document(
        doc_type,
        tuple(items),
        sign1(payload, signer.key, unprotected={X5CHAIN: der}),
        holder_key,
        frozenset({pki.authority_key_id(signer.certificate)}),
    )


def present(
    document: Document, paths: Iterable[tuple[Any, ...]], transcript: list[Any], lies: Lies = HONEST
) -> str:
    """A DeviceResponse that shows these elements, each a namespace and an identifier; base64url.

    The device signs over `transcript`, the SessionTranscript as a list (OpenID4VP 1.0, appendix B.2.6).
    """
    wanted = set(paths)
    shown = [item for item in document.items if (item.name_space, item.element) in wanted]
    name_spaces: dict[str, list[CBORTag]] = {}
    for item in _told(shown, lies):
        name_spaces.setdefault(item.name_space, []).append(CBORTag(_EMBEDDED, item.encoded))
    issuer_auth = document.issuer_auth
    if lies.altered_signature:
        *others, signature = issuer_auth
        issuer_auth = [*others, signature[:-1] + bytes([signature[-1] ^ 1])]
    doc_type = lies.doc_type or document.doc_type
    stated = cbor2.dumps({})
    authentication = ["DeviceAuthentication", transcript, doc_type, CBORTag(_EMBEDDED, stated)]
    key = jose.generate() if lies.other_key else document.holder_key
    detached = _embedded(cbor2.dumps(authentication))
    proof = {"deviceMac": _mac0(detached)} if lies.mac else {"deviceSignature": sign1(None, key, detached)}
    response = {
        "version": "1.0",
        "documents": [
            {
                "docType": doc_type,
                "issuerSigned": {"nameSpaces": name_spaces, "issuerAuth": issuer_auth},
                "deviceSigned": {"nameSpaces": CBORTag(_EMBEDDED, stated), "deviceAuth": proof},
            }
        ],
        "status": 0,
    }
    return jose.encode(cbor2.dumps(response))


def sign1(
    payload: bytes | None,
    key: ec.EllipticCurvePrivateKey,
    detached: bytes = b"",
    *,
    protected: Mapping[int, Any] | None = None,
    unprotected: Mapping[int, Any] | None = None,
) -> list[Any]:
    """An untagged COSE_Sign1 with ES256 (RFC 9052, section 4.2). Without a payload it signs `detached`."""
    header = cbor2.dumps({1: ES256, **(protected or {})})
    signed = cbor2.dumps(["Signature1", header, b"", detached if payload is None else payload])
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return [header, dict(unprotected or {}), payload, r.to_bytes(32, "big") + s.to_bytes(32, "big")]


def _item(number: int, element: str, value: Any) -> bytes:
    """An IssuerSignedItem; the random salt keeps what is not opened from being guessed."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return cbor2.dumps(
        {"digestID": number, "random": salt, "elementIdentifier": element, "elementValue": value}
    )


def _told(shown: list[Item], lies: Lies) -> list[Item]:
    """The items as they are sent."""
    told, first = list(shown), shown[:1]
    if lies.altered_element:
        told[:1] = [replace(item, encoded=_altered(item.encoded)) for item in first]
    if lies.repeated_element:
        told += first
    if lies.unsigned_element:
        more = _item(_NO_DIGEST, "role", "ambassador")
        told += [replace(item, element="role", encoded=more) for item in first]
    return told


def _altered(encoded: bytes) -> bytes:
    content = cbor2.loads(encoded)
    value = content["elementValue"]
    other = not value if isinstance(value, bool) else value + value if isinstance(value, str) else "other"
    return cbor2.dumps({**content, "elementValue": other})


def _mac0(detached: bytes) -> list[Any]:
    """A MAC under a key that only this device has: nobody can check it (ISO/IEC 18013-5, section 9.1.3.5)."""
    header = cbor2.dumps({1: 5})
    structure = cbor2.dumps(["MAC0", header, b"", detached])
    return [header, {}, None, hmac.digest(secrets.token_bytes(32), structure, "sha256")]


def _embedded(encoded: bytes) -> bytes:
    return cbor2.dumps(CBORTag(_EMBEDDED, encoded))


def _moment(seconds: int) -> CBORTag:
    return CBORTag(_DATE_TIME, datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _cose_key(key: ec.EllipticCurvePublicKey) -> dict[int, Any]:
    point = key.public_numbers()
    return {1: 2, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
