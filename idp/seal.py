"""Sealing: how a holder's claims rest where nobody can read them.

Two ways, each bound to a purpose so that a sealed value cannot be carried from one place to another:

- `to_browser` / `open_with_browser`: to a public key, opened with the private key that only a cookie
  holds. HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
- `under` / `open_under`: under a key derived (HKDF-SHA256) from a bearer secret of at least 128 bits,
  such as an authorization code or an access token, whose SHA-256 is all that is stored.

Who has no cookie, code or token has no claims. Nothing here keeps a key.
"""

import hashlib
import hmac
import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pybase64 import b64decode, b64encode_as_string

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_NONCE_BYTES = 12
_URL_SAFE = b"-_"
_PADDING = ("", "===", "==", "=")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# By how many bytes the last group has, where it is not whole: its last character, whose spare bits are zero.
_LAST = (frozenset[str](), frozenset(_ALPHABET[::16]), frozenset(_ALPHABET[::4]))


class CannotOpen(Exception):
    """The secret does not open the sealed value, or the value is not one of ours."""


def b64(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return b64encode_as_string(data, _URL_SAFE).rstrip("=")


def unb64(text: str) -> bytes:
    """Strict base64url without padding; raises ValueError for anything else, also for a second spelling."""
    # The library takes "+" and "/" for what they are in plain base64, and padding where there should be none.
    if "+" in text or "/" in text or "=" in text:
        raise ValueError("not base64url")
    try:
        data = b64decode(text + _PADDING[len(text) & 3], _URL_SAFE, True)
    except ValueError as error:
        raise ValueError("not base64url") from error
    spare = len(data) % 3
    if spare and text[-1] not in _LAST[spare]:
        raise ValueError("not canonical base64url")
    return data


def random_token(n_bytes: int = 32) -> str:
    """A fresh bearer value of `n_bytes` random bytes, base64url."""
    return secrets.token_urlsafe(n_bytes)


def random_id() -> str:
    """A fresh id of 22 hex digits, for a command line too: one in base64url may begin like an option."""
    return secrets.token_hex(11)


def digest(token: str) -> str:
    """SHA-256 of a bearer value, hex: the only form in which one is stored."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def derive(secret: bytes, purpose: str, length: int = 32) -> bytes:
    """A key for one purpose, from a secret of full entropy (HKDF-SHA256, RFC 5869)."""
    return HKDF(hashes.SHA256(), length, salt=None, info=b"sinwon:" + purpose.encode("utf-8")).derive(secret)


def mac(key: bytes, *parts: str) -> str:
    """HMAC-SHA256 over length-prefixed parts, base64url: no two lists of parts collide."""
    message = b"".join(len(p := part.encode("utf-8")).to_bytes(4, "big") + p for part in parts)
    return b64(hmac.digest(key, message, "sha256"))


def browser_secret() -> str:
    """A fresh X25519 private key for a cookie, base64url (43 characters)."""
    return b64(os.urandom(32))


def browser_key(secret: str) -> str:
    """The public half of a browser's secret. Raises ValueError when the cookie is not one of ours."""
    return b64(_private(secret).public_key().public_bytes_raw())


def to_browser(public_key: str, plaintext: bytes, purpose: str) -> str:
    """Seal for the browser whose public key this is."""
    key = X25519PublicKey.from_public_bytes(unb64(public_key))
    return b64(_SUITE.encrypt(plaintext, key, purpose.encode("utf-8")))


def open_with_browser(secret: str, sealed: str, purpose: str) -> bytes:
    """Open with the browser's secret. Raises CannotOpen."""
    try:
        return bytes(_SUITE.decrypt(unb64(sealed), _private(secret), purpose.encode("utf-8")))
    except (InvalidTag, ValueError) as error:
        raise CannotOpen(purpose) from error


def under(secret: str, plaintext: bytes, purpose: str) -> str:
    """Seal under a bearer secret (an authorization code, an access token)."""
    return seal_bytes(derive(secret.encode("utf-8"), purpose), plaintext, purpose)


def open_under(secret: str, sealed: str, purpose: str) -> bytes:
    """Open with the bearer secret. Raises CannotOpen."""
    return open_bytes(derive(secret.encode("utf-8"), purpose), sealed, purpose)


def seal_bytes(key: bytes, plaintext: bytes, purpose: str) -> str:
    """AES-256-GCM under a 32-byte key, the purpose as associated data; nonce first, base64url."""
    nonce = os.urandom(_NONCE_BYTES)
    return b64(nonce + AESGCM(key).encrypt(nonce, plaintext, purpose.encode("utf-8")))


def open_bytes(key: bytes, sealed: str, purpose: str) -> bytes:
    """Open what `seal_bytes` made. Raises CannotOpen."""
    try:
        data = unb64(sealed)
        return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], purpose.encode("utf-8"))
    except (InvalidTag, ValueError) as error:
        raise CannotOpen(purpose) from error


def _private(secret: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(unb64(secret))
