"""Proofs inside JSON, as Open DID makes them: canonical text, SHA-256, a compact P-256 signature.

The same form stands in credentials, presentations, profiles, key agreements and DID documents.

Specs: Open DID, "JSON Serialization" and Data Specification 4.1.1. The form of the signature is that of its SDKs:
65 bytes, `27 + 4 + recovery id`, r, s, with s in the lower half of the group's order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

PROOF_TYPE = "Secp256r1Signature2018"
SIGNATURE_BYTES = 65
_HEADER = 27 + 4  # of a signature whose public key is a compressed one
_VALUES = frozenset({"proofValue", "proofValueList"})

# SEC 2, secp256r1.
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def without_nulls(value: Any) -> Any:
    """The value without members that are null: what Open DID's serialisers leave out is as if it were not there.

    Raises ValueError for a fraction: no member is one, and its text would not be the same everywhere.
    """
    if isinstance(value, float):
        raise ValueError("a fraction")
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(element) for element in value]
    return value


def canonical(value: Any) -> bytes:
    """The one text of a JSON value: members sorted at every level, no white space between tokens, UTF-8."""
    text = json.dumps(
        without_nulls(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def signing_input(document: Mapping[str, Any], proof: Mapping[str, Any]) -> bytes:
    """What a proof in a document signs: the document, with this proof in its place but without its values.

    One of several in `proofs` is signed as if it were the only one, in `proof`.
    """
    bare = {name: member for name, member in proof.items() if name not in _VALUES}
    rest = {name: member for name, member in document.items() if name not in {"proof", "proofs"}}
    return canonical({**rest, "proof": bare})


def verifies(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """Whether this is the key's compact signature over the message, in the one spelling that it has.

    The key that is recovered from signature and message must be this key. That is what checking with the key says,
    and that the recovery id is the right one.
    """
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[1:33], "big"), int.from_bytes(signature[33:], "big")
    if not (0 < r < _N and 0 < s <= _N // 2):
        return False
    digest = hashlib.sha256(message).digest()
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return signature[0] - _HEADER == _recovery_id(key, r, s, digest)


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """The key's compact signature over the message."""
    digest = hashlib.sha256(message).digest()
    r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(SHA256()))))
    s = min(s, _N - s)
    recovery_id = _recovery_id(key.public_key(), r, s, digest)
    if recovery_id is None:
        return sign(key, message)  # once in 2^256: another random number will do
    return bytes([_HEADER + recovery_id]) + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _recovery_id(key: ec.EllipticCurvePublicKey, r: int, s: int, digest: bytes) -> int | None:
    """Which of the points with this r the signature was made with: bit 0 its y is odd, bit 1 its x was reduced.

    R = u1·G + u2·Q (SEC 1, section 4.1.4). The library gives u1·G whole and only the x of u2·Q; of its two y, one
    leads to r. None where the sum is none of two different points, which no honest signer meets.
    """
    inverse = pow(s, -1, _N)
    u1, u2 = int.from_bytes(digest, "big") * inverse % _N, r * inverse % _N
    if u1 == 0:
        return None
    first = ec.derive_private_key(u1, ec.SECP256R1()).public_key().public_numbers()
    x2 = int.from_bytes(ec.derive_private_key(u2, ec.SECP256R1()).exchange(ec.ECDH(), key), "big")
    if first.x == x2:
        return None
    y2 = pow(x2**3 - 3 * x2 + _B, (_P + 1) // 4, _P)
    for y in (y2, _P - y2):
        slope = (y - first.y) * pow(x2 - first.x, -1, _P) % _P
        x_sum = (slope * slope - first.x - x2) % _P
        if x_sum % _N == r:
            y_sum = (slope * (first.x - x_sum) - first.y) % _P
            return (y_sum & 1) | (2 if x_sum >= _N else 0)
    return None
