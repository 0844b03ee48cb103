"""The wallet's and the authority's own ES256, written on `cryptography` alone (RFC 7515, RFC 7518 3.4)."""

import base64
import binascii
import hashlib
import json
import os
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

_HASH = ec.ECDSA(hashes.SHA256())
_COORDINATE_BYTES = 32


class BadJws(Exception):
    """Not a compact JWS, or not signed by the key it should be signed by."""


def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The bytes behind base64url without padding. Raises BadJws."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadJws("not base64url") from error


def sha256(data: bytes) -> str:
    """SHA-256, base64url."""
    return encode(hashlib.sha256(data).digest())


def random_text(n_bytes: int = 16) -> str:
    """`n_bytes` random bytes, base64url: salts, nonces."""
    return encode(os.urandom(n_bytes))


def compact_json(value: Any) -> bytes:
    """JSON as UTF-8 without white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def generate() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """The key as a JWK with `kty`, `crv`, `x`, `y` and nothing else."""
    numbers = key.public_numbers()
    x, y = (number.to_bytes(_COORDINATE_BYTES, "big") for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)}


def private_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """A P-256 key with its private half, as a JWK (RFC 7518, section 6.2.2)."""
    number = key.private_numbers().private_value.to_bytes(32, "big")
    return {**public_jwk(key.public_key()), "d": encode(number)}


def sign(header: dict[str, Any], payload: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> str:
    """A compact JWS, ES256; `alg` is added to the header."""
    signing_input = f"{encode(compact_json({'alg': 'ES256', **header}))}.{encode(compact_json(payload))}"
    r, s = decode_dss_signature(key.sign(signing_input.encode("ascii"), _HASH))
    signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
    return f"{signing_input}.{encode(signature)}"


def read_unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a compact JWS, the signature not looked at. Raises BadJws."""
    parts = token.split(".")
    if len(parts) != 3:
        raise BadJws("not three parts")
    try:
        header, payload = (json.loads(decode(part)) for part in parts[:2])
    except ValueError as error:
        raise BadJws("not JSON") from error
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise BadJws("not JSON objects")
    return header, payload


def check_signature(token: str, key: ec.EllipticCurvePublicKey) -> None:
    """Raises BadJws unless the compact JWS is signed by `key` with ES256."""
    signing_input, _, signature_text = token.rpartition(".")
    signature = decode(signature_text)
    if len(signature) != 2 * _COORDINATE_BYTES:
        raise BadJws("wrong length of signature")
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), signing_input.encode("ascii"), _HASH)
    except InvalidSignature as error:
        raise BadJws("signature does not verify") from error


def x5c(certificates: list[Certificate]) -> list[str]:
    """The `x5c` header: standard base64 of DER, leaf first, no trust anchor (RFC 7515, section 4.1.6)."""
    return [base64.b64encode(c.public_bytes(Encoding.DER)).decode("ascii") for c in certificates]
