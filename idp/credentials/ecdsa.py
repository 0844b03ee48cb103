"""ECDSA on the curves that credentials use: what signatures of JOSE and of COSE have in common.

A signature is r and s side by side, each as long as a coordinate (RFC 7518, section 3.4; RFC 9053, section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

PublicKey = ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A hash, and the one curve that it is used on here. `size`: bytes of a coordinate."""

    curve: ec.EllipticCurve
    size: int
    scheme: ec.ECDSA

    def fits(self, key: PublicKey) -> bool:
        """Whether the key is on this curve."""
        return key.curve.name == self.curve.name

    def verifies(self, key: PublicKey, signature: bytes, signed: bytes) -> bool:
        """Whether this is the signature by a key on this curve."""
        size = self.size
        if len(signature) != 2 * size:
            return False
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        try:
            key.verify(encode_dss_signature(r, s), signed, self.scheme)
        except InvalidSignature:
            return False
        return True

    def public_key(self, x: bytes, y: bytes) -> PublicKey:
        """The key at these coordinates. Raises ValueError: not of this length, not on the curve."""
        if len(x) != self.size or len(y) != self.size:
            raise ValueError("not a coordinate of this curve")
        return PublicKey.from_encoded_point(self.curve, b"\x04" + x + y)


ES256 = Algorithm(ec.SECP256R1(), 32, ec.ECDSA(hashes.SHA256()))
ES384 = Algorithm(ec.SECP384R1(), 48, ec.ECDSA(hashes.SHA384()))
ES512 = Algorithm(ec.SECP521R1(), 66, ec.ECDSA(hashes.SHA512()))
_CURVES = frozenset(algorithm.curve.name for algorithm in (ES256, ES384, ES512))


def is_key(key: object) -> TypeGuard[PublicKey]:
    """Whether it is a public key on a curve we know."""
    return isinstance(key, PublicKey) and key.curve.name in _CURVES


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """The public key of a certificate. Raises ValueError when it is not on a curve we know."""
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm as error:
        raise ValueError("not a key we know") from error
    if not is_key(key):
        raise ValueError("not a key on a curve we know")
    return key
