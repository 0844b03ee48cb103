"""Private halves of our signing keys: sealed in their rows, or in an HSM, where the row says which it is.

What is sealed under the key-encryption key is a private JWK, or a public one with the key's id in the HSM. Either is
bound to the row's `kid`, so a row that somebody planted, or carried over from another, opens for nobody.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from joserfc.jwk import ECKey, KeyParameters, RSAKey, import_key

from idp import hsm as hsms
from idp.hsm import Hsm, HsmError
from idp.key_encryption import KeyEncryption
from idp.models import SigningKey
from idp.seal import CannotOpen

log = logging.getLogger("idp")

PrivateKey = ECKey | RSAKey

SIGNING_ALGORITHMS = ("ES256", "RS256", "PS256")
PUBLIC_MEMBERS = frozenset({"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"})
PURPOSE = "signing-keys"
"""What the key-encryption key is used for here."""
_RSA_BITS = 2048
_INSIDE = "hsm"  # the member that holds the id


class WrongKeyEncryptionKey(Exception):
    """A stored key does not open: the key-encryption key is another one, or the row was altered."""


class PrivateHalves:
    """Makes, opens and destroys them. With `in_hsm` new ones are made in the HSM."""

    def __init__(self, kek: KeyEncryption, hsm: Hsm | None, *, in_hsm: bool) -> None:
        self._sealing = kek.sealing(PURPOSE)
        self._hsm = hsm or hsms.WITHOUT
        self._in_hsm = in_hsm

    def make(self, alg: str) -> tuple[PrivateKey, str]:
        """A new key for one of SIGNING_ALGORITHMS, its `kid` set, and what its row keeps. Raises HsmError."""
        key, private = self._made_anywhere(alg)
        while key.thumbprint().startswith("-"):  # the commands would take its kid for an option
            if _INSIDE in private:
                self._hsm.destroy(bytes.fromhex(private[_INSIDE]))
            key, private = self._made_anywhere(alg)
        return key, self._sealing.seal(json.dumps(private).encode(), purpose(key.thumbprint()))

    def open(self, row: Any) -> tuple[PrivateKey, bytes | None]:
        """The key of a row, and its id in the HSM where it is there; that is not asked.

        Raises WrongKeyEncryptionKey.
        """
        private = self._unsealed(row)
        inside = private.pop(_INSIDE, None)
        key = import_key(private)
        if key.thumbprint() != row.kid or key.alg != row.alg or not isinstance(key, ECKey | RSAKey):
            raise WrongKeyEncryptionKey("a signing key in the database is not the one its row names")
        if inside is None:
            return key, None
        signs = hsms.private_key(self._hsm, ("id", bytes.fromhex(inside)), key.public_key)
        return type(key)(signs, private), bytes.fromhex(inside)  # type: ignore[arg-type]

    def check(self, inside: bytes) -> None:
        """That the HSM has this private half. Raises HsmError."""
        self._hsm.check(("id", inside))

    def place(self, row: Any) -> str:
        """ "database", or "hsm:" and the id there; empty where it is gone, or does not open."""
        if not row.sealed_private_jwk:
            return ""
        try:
            inside = self._unsealed(row).get(_INSIDE)
        except WrongKeyEncryptionKey:
            return ""
        return "database" if inside is None else f"hsm:{inside}"

    def is_in_hsm(self, row: Any) -> bool:
        return self.place(row).startswith("hsm:")

    def destroy(self, row: SigningKey) -> None:
        """Where it is, and in its row. One in an HSM that does not answer stays in both, to be tried again."""
        if self.is_in_hsm(row):
            try:
                self._hsm.destroy(bytes.fromhex(self._unsealed(row)[_INSIDE]))
            except HsmError as error:
                log.warning("the key %s is gone, but not out of the HSM yet: %s", row.kid, error)
                return
        row.sealed_private_jwk = ""

    def _unsealed(self, row: Any) -> dict[str, Any]:
        try:
            opened: dict[str, Any] = json.loads(self._sealing.open(row.sealed_private_jwk, purpose(row.kid)))
        except CannotOpen as error:
            raise WrongKeyEncryptionKey(
                "a signing key in the database does not open with this key-encryption key"
            ) from error
        return opened

    def _made_anywhere(self, alg: str) -> tuple[PrivateKey, dict[str, Any]]:
        if self._in_hsm:
            return self._made_there(alg)
        key = _made(alg)
        return key, dict(key.as_dict(private=True))

    def _made_there(self, alg: str) -> tuple[PrivateKey, dict[str, Any]]:
        inside, public = self._hsm.make("EC" if alg == "ES256" else "RSA", f"sinwon {alg}")
        native: Any = ECKey if alg == "ES256" else RSAKey
        key: PrivateKey = native.import_key(public, {"alg": alg, "use": "sig"})
        key.ensure_kid()
        return key, {**public_members(key), _INSIDE: inside.hex()}


def _made(alg: str) -> PrivateKey:
    use: KeyParameters = {"alg": alg, "use": "sig"}
    if alg == "ES256":
        return ECKey.generate_key("P-256", use, auto_kid=True)
    return RSAKey.generate_key(_RSA_BITS, use, auto_kid=True)


def public_members(key: PrivateKey) -> dict[str, Any]:
    """The members others may see, named one by one: a new private member in a library stays inside."""
    return {name: value for name, value in key.as_dict(private=False).items() if name in PUBLIC_MEMBERS}


def purpose(kid: str) -> str:
    """What a key's private half is bound to when it is sealed."""
    return f"signing-key:{kid}"
