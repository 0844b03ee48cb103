"""JWTs for one portal: signed by us and, where it registered that, encrypted to it (signed first, then encrypted).

One way for ID tokens (Core 2), UserInfo (Core 5.3.2), authorization responses (JARM 2.2) and introspection (RFC 9701,
section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwe

from idp.keys import Keys
from idp.oidc.portal_keys import NoUsableKey, PortalKeys
from idp.portals import Registration
from idp.portals.rules import ENCRYPTION_ENCODINGS

DEFAULT_ENCODING = "A128CBC-HS256"
"""What a portal means that registers an `_alg` without an `_enc` (Dynamic Client Registration 1.0, section 2)."""


class Wrapping:
    """Makes JWTs in the form a portal registered."""

    def __init__(self, keys: Keys, portal_keys: PortalKeys) -> None:
        self._keys = keys
        self._portal_keys = portal_keys

    def check(self, registration: Registration, encryption_alg: str | None) -> None:
        """That there is a key to encrypt to, where one is needed. Raises NoUsableKey."""
        if encryption_alg is not None:
            self._encrypted("", registration, encryption_alg, DEFAULT_ENCODING)

    def recipient(self, registration: Registration, encryption_alg: str) -> str | None:
        """The kid of the portal's key that is encrypted to with this `alg`. Raises NoUsableKey."""
        return self._portal_keys.encrypting(registration, alg=encryption_alg).kid

    def jwt(
        self,
        claims: Mapping[str, Any],
        *,
        typ: str,
        registration: Registration,
        alg: str,
        encryption_alg: str | None = None,
        encryption_enc: str | None = None,
    ) -> str:
        """A JWT signed with `alg`; with `encryption_alg`, inside a JWE to the portal's key (RFC 7519, 5.2).

        `typ` stands in the header of the signed one. Raises NoSigningKey, and NoUsableKey when the portal has no
        key that fits: nothing is ever sent unencrypted to a portal that registered encryption.
        """
        signed = self._keys.sign_jwt(typ, claims, alg)
        if encryption_alg is None:
            if encryption_enc is not None:
                raise NoUsableKey("an encoding without an encryption algorithm")
            return signed
        enc = encryption_enc or DEFAULT_ENCODING
        if enc not in ENCRYPTION_ENCODINGS:
            raise NoUsableKey("not a content encryption of ours")
        return self._encrypted(signed, registration, encryption_alg, enc)

    def _encrypted(self, text: str, registration: Registration, alg: str, enc: str) -> str:
        key = self._portal_keys.encrypting(registration, alg=alg)
        header = {"alg": alg, "enc": enc, "cty": "JWT"}
        if key.kid is not None:  # Core 10.2: the portal may have several
            header["kid"] = key.kid
        try:
            return jwe.encrypt_compact(header, text, key, algorithms=[alg, enc])
        except ValueError:
            # A key in form only: a point of small order (RFC 7748, section 6.1), a modulus that is even.
            raise NoUsableKey("the portal's key cannot be encrypted to", registration.client_id) from None
