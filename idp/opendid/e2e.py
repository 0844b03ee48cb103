"""The key agreement under which a presentation comes, and opening what was encrypted under it.

ECDH on P-256, AES key = SHA-256(X ‖ nonce), AES-256-CBC with PKCS#5 padding. The cipher has no authentication of its
own: what proves that nothing was changed is the holder's signatures inside, so everything that is wrong before they
are checked is one refusal, and nobody learns from it how a block was padded.

Specs: Open DID, Data Specification 4.6.2 (ReqE2e, AccE2e); the derivation of the key is that of its SDKs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idp import seal
from idp.credentials import multibase
from idp.errors import PresentationError

CURVE = "Secp256r1"
CIPHER = "AES-256-CBC"
PADDING = "PKCS5"
_BLOCK_BYTES = 16
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class KeyAgreement:
    """Our half of one key agreement: a private key, and the nonce that goes into the key with the shared secret."""

    def __init__(self, private: ec.EllipticCurvePrivateKey, nonce: bytes) -> None:
        self._private = private
        self._nonce = nonce

    @classmethod
    def of(cls, secret: bytes, nonce: bytes) -> KeyAgreement:
        """The one that belongs to a secret of full entropy."""
        # 384 bits reduced into the group's order leave no bias (FIPS 186-5, appendix A.2.1).
        number = int.from_bytes(seal.derive(secret, "opendid e2e", 48), "big") % (_P256_ORDER - 1) + 1
        return cls(ec.derive_private_key(number, ec.SECP256R1()), nonce)

    def request(self) -> dict[str, str]:
        """`ReqE2e`, without a proof of its own: the profile around it is signed."""
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        return {
            "nonce": multibase.encode(self._nonce, "m"),
            "curve": CURVE,
            "publicKey": multibase.encode(point),
            "cipher": CIPHER,
            "padding": PADDING,
        }

    def open(self, acceptance: Mapping[str, Any], encrypted: str) -> str:
        """The text that was encrypted to us. acceptance: `AccE2e`, not checked.

        The shared secret is taken with its 32 bytes and, where it begins with zeros, without them: the specification
        does not say which, and the project's own sides differ.

        Raises PresentationError `not_readable`, whatever the reason.
        """
        try:
            point = multibase.decode(str(acceptance.get("publicKey")), max_chars=200)
            iv = multibase.decode(str(acceptance.get("iv")), max_chars=64)
            data = multibase.decode(encrypted)
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError as error:
            raise PresentationError("not_readable", "accE2e or encVp") from error
        if len(iv) != _BLOCK_BYTES or not data or len(data) % _BLOCK_BYTES:
            raise PresentationError("not_readable", "length")
        shared = self._private.exchange(ec.ECDH(), public)
        for secret in dict.fromkeys((shared, shared.lstrip(b"\0"))):
            text = _decrypted(hashlib.sha256(secret + self._nonce).digest(), iv, data)
            if text is not None:
                return text
        raise PresentationError("not_readable", "decryption")


def _decrypted(key: bytes, iv: bytes, data: bytes) -> str | None:
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK_BYTES * 8).unpadder()
    try:
        text = (unpadder.update(padded) + unpadder.finalize()).decode("utf-8")
    except ValueError:
        return None
    return text if text.startswith("{") and text.endswith("}") else None
