"""Open DID's data: canonical JSON, multibase, compact signatures, proofs, DID documents.

Specs: Open DID, Data Specification 2.1.5, 4.1.1, 4.2; "JSON Serialization".
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PROOF_TYPE = "Secp256r1Signature2018"
KEY_TYPE = "Secp256r1VerificationKey2018"
PIN, BIO, FREE = 2, 4, 1
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Document = dict[str, Any]


class BadData(Exception):
    """Not what the specification says it should be; the text says what."""


def canonical(value: Any) -> bytes:
    """Members sorted at every level, no white space between tokens, UTF-8, members that are null left out."""
    return json.dumps(_bare(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(member) for name, member in value.items() if member is not None}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def base64_text(data: bytes) -> str:
    """Multibase `m`: base64 without padding."""
    return "m" + base64.b64encode(data).decode("ascii").rstrip("=")


def base58_text(data: bytes) -> str:
    """Multibase `z`: base58btc."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "z" + "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def from_text(text: Any) -> bytes:
    """The bytes of a multibase text in one of `m`, `u` and `z`. Raises BadData."""
    if not isinstance(text, str) or not text:
        raise BadData("not multibase")
    kind, body = text[0], text[1:]
    try:
        if kind == "m":
            return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        if kind == "u":
            return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        if kind == "z":
            number = 0
            for character in body:
                number = number * 58 + _ALPHABET.index(character)
            return bytes(len(body) - len(body.lstrip("1"))) + number.to_bytes(
                -(-number.bit_length() // 8), "big"
            )
    except ValueError as error:
        raise BadData("not multibase") from error
    raise BadData("an encoding this wallet does not read")


def time_text(seconds: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def point_text(key: ec.EllipticCurvePublicKey) -> str:
    """A public key as documents and key agreements carry it: compressed, base58."""
    return base58_text(key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint))


def point(text: Any) -> ec.EllipticCurvePublicKey:
    """The public key in a multibase text. Raises BadData."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), from_text(text))
    except ValueError as error:
        raise BadData("not a point of the curve") from error


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> str:
    """A compact signature, base58: 27 + 4 + recovery id, r, s.

    Made by hand (SEC 1, section 4.1.3), since a library keeps the point to itself that the recovery id is of.
    """
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    while True:
        once = secrets.randbelow(_ORDER - 1) + 1
        made_with = ec.derive_private_key(once, ec.SECP256R1()).public_key().public_numbers()
        r = made_with.x % _ORDER
        s = (digest + r * key.private_numbers().private_value) * pow(once, -1, _ORDER) % _ORDER
        if r and s and made_with.x < _ORDER:
            break
    recovery_id = made_with.y % 2
    if s > _ORDER // 2:
        s, recovery_id = _ORDER - s, 1 - recovery_id
    return base58_text(bytes([27 + 4 + recovery_id]) + r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def check_signature(key: ec.EllipticCurvePublicKey, value: Any, message: bytes) -> None:
    """Raises BadData when it is not the key's signature over the message."""
    signature = from_text(value)
    r, s = int.from_bytes(signature[1:33], "big"), int.from_bytes(signature[33:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise BadData("the signature does not verify") from error


def key_url(did: str, key_id: str) -> str:
    """The URL of a key in the first version of a document."""
    return f"{did}?versionId=1#{key_id}"


def proof(did: str, key_id: str, purpose: str, created: float) -> Document:
    """A proof without its value."""
    return {
        "type": PROOF_TYPE,
        "created": time_text(created),
        "verificationMethod": key_url(did, key_id),
        "proofPurpose": purpose,
    }


def signed_text(document: Mapping[str, Any], bare: Mapping[str, Any]) -> bytes:
    """What a proof signs: the document with the proof, its values left out."""
    rest = {name: member for name, member in document.items() if name not in ("proof", "proofs")}
    unsigned = {name: member for name, member in bare.items() if name not in ("proofValue", "proofValueList")}
    return canonical({**rest, "proof": unsigned})


def with_proof(document: Document, bare: Document, key: ec.EllipticCurvePrivateKey) -> Document:
    """The document with one proof."""
    return {**document, "proof": {**bare, "proofValue": sign(key, signed_text(document, bare))}}


def with_proofs(document: Document, signers: list[tuple[Document, ec.EllipticCurvePrivateKey]]) -> Document:
    """The document with several proofs, each over the document as if it were alone."""
    made = [{**bare, "proofValue": sign(key, signed_text(document, bare))} for bare, key in signers]
    return {**document, "proofs": made}


def did_document(
    did: str,
    keys: Mapping[str, tuple[ec.EllipticCurvePublicKey, int, tuple[str, ...]]],
    controller: str,
    created: float,
) -> Document:
    """A DID document; of each key: the key, what unlocks it, what it is for."""
    purposes = {purpose for _, _, listed in keys.values() for purpose in listed}
    return {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": did,
        "controller": controller,
        "created": time_text(created),
        "updated": time_text(created),
        "versionId": "1",
        "deactivated": False,
        "verificationMethod": [
            {
                "id": key_id,
                "type": KEY_TYPE,
                "controller": controller,
                "publicKeyMultibase": point_text(key),
                "authType": auth_type,
            }
            for key_id, (key, auth_type, _) in keys.items()
        ],
        **{
            purpose: [key_id for key_id, (_, _, listed) in keys.items() if purpose in listed]
            for purpose in sorted(purposes)
        },
    }
