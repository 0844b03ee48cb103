"""Private keys that sign in an HSM and are otherwise as `cryptography` has them.

Each says what it is not able to do: nothing brings its numbers out. The first signature of a session is checked with
the public half: an object that somebody put in the key's place would else sign for us unnoticed.
"""

from __future__ import annotations

import hashlib
from typing import Any, NoReturn, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from idp.hsm.token import Filter, Hsm, HsmError

_HALF_BYTES = 32  # r and s of P-256


def private_key(
    hsm: Hsm, which: Filter, public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """The private key `which` of the HSM, whose public half is known. The HSM is asked when something is signed."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _EcKey(hsm, which, public)
    return _RsaKey(hsm, which, public)


class _Inside:
    """What both kinds have in common."""

    def __init__(self, hsm: Hsm, which: Filter) -> None:
        self._hsm = hsm
        self._which = which
        self._proven: int | None = None

    def _is_proven(self) -> bool:
        return self._proven == self._hsm.generation

    def _is_another(self) -> HsmError:
        fix = "somebody put another in its place: find out who, and make a new one"
        return HsmError("a key in the token is not the one that its public half says", fix)

    def private_numbers(self) -> NoReturn:
        raise TypeError("this key does not leave its HSM")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:
        raise TypeError("this key does not leave its HSM")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class _EcKey(_Inside, ec.EllipticCurvePrivateKey):
    def __init__(self, hsm: Hsm, which: Filter, public: ec.EllipticCurvePublicKey) -> None:
        super().__init__(hsm, which)
        self._public = public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA over SHA-256, in DER. Raises HsmError."""
        digest = _sha256(signature_algorithm.algorithm, bytes(data))
        made = self._hsm.sign(self._which, "ECDSA", digest)
        r, s = (int.from_bytes(half, "big") for half in (made[:_HALF_BYTES], made[_HALF_BYTES:]))
        signature = encode_dss_signature(r, s)
        if not self._is_proven():
            try:
                self._public.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
            except InvalidSignature:
                raise self._is_another() from None
            self._proven = self._hsm.generation
        return signature

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        raise TypeError("this key signs, and does nothing else")

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size


class _RsaKey(_Inside, rsa.RSAPrivateKey):
    def __init__(self, hsm: Hsm, which: Filter, public: rsa.RSAPublicKey) -> None:
        super().__init__(hsm, which)
        self._public = public

    def sign(self, data: Any, padding: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        """PKCS #1 1.5, or PSS with a salt as long as the digest, over SHA-256. Raises HsmError."""
        mechanism, parameter = _mechanism(padding, algorithm)
        signature = self._hsm.sign(self._which, mechanism, bytes(data), parameter)
        if not self._is_proven():
            try:
                self._public.verify(signature, bytes(data), padding, algorithm)
            except InvalidSignature:
                raise self._is_another() from None
            self._proven = self._hsm.generation
        return signature

    def decrypt(self, ciphertext: Any, padding: padding.AsymmetricPadding) -> NoReturn:
        raise TypeError("this key signs, and does nothing else")

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    @property
    def key_size(self) -> int:
        return self._public.key_size


def _sha256(algorithm: Any, data: bytes) -> bytes:
    if isinstance(algorithm, Prehashed):
        if len(data) != hashes.SHA256.digest_size:
            raise ValueError("only SHA-256 is signed")
        return data
    if not isinstance(algorithm, hashes.SHA256):
        raise ValueError("only SHA-256 is signed")
    return hashlib.sha256(data).digest()


def _mechanism(chosen: padding.AsymmetricPadding, algorithm: Any) -> tuple[str, Any]:
    if not isinstance(algorithm, hashes.SHA256):
        raise ValueError("only SHA-256 is signed")
    if isinstance(chosen, padding.PSS):
        import pkcs11  # noqa: PLC0415  # of the extra `hsm`

        salted = (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, hashes.SHA256.digest_size)
        return "SHA256_RSA_PKCS_PSS", salted
    return "SHA256_RSA_PKCS", None
