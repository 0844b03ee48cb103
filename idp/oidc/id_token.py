"""The ID token: who signed in, signed by exactly one key.

Protocol claims go in last, so that no claim of a credential can ever stand in their place; a claim with a reserved
name is an error of ours. Spec: OpenID Connect Core 1.0, sections 2 and 3.1.3.6; RFC 7519.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from idp import seal, strict_json
from idp.clock import Clock
from idp.keys import Keys, UnknownKey
from idp.settings import Settings

RESERVED = frozenset({
    "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash",
    "acr", "amr", "auth_time", "azp", "sid", "events",
})  # fmt: skip
_ALGORITHMS = ("ES256", "RS256")
_MAX_HINT = 16_384


class IdTokens:
    """Mints ID tokens, and recognises its own."""

    def __init__(self, settings: Settings, keys: Keys, clock: Clock) -> None:
        self._issuer = settings.issuer
        self._ttl_s = settings.lifetimes.id_token_ttl_s
        self._keys = keys
        self._clock = clock

    def mint(
        self, protocol: Mapping[str, Any], holder_claims: Mapping[str, Any], *, alg: str, access_token: str
    ) -> str:
        """A signed ID token. `protocol` holds sub, aud, auth_time, acr, amr, sid, nonce.

        Raises ValueError when a holder's claim has a reserved name.
        """
        if reserved := RESERVED.intersection(holder_claims):
            raise ValueError(f"reserved claim names: {sorted(reserved)}")
        now = self._clock()
        claims = {
            **holder_claims,
            **{name: value for name, value in protocol.items() if value is not None},
            "iss": self._issuer,
            "iat": now,
            "exp": now + self._ttl_s,
            "at_hash": at_hash(access_token),
        }
        return self._keys.sign_jwt("JWT", claims, alg)

    def subject_of_hint(self, hint: str, client_id: str) -> str | None:
        """The `sub` of an ID token of ours for this client, expired or not; None for anything else."""
        claims = self.claims_of_hint(hint)
        if claims is None or claims.get("aud") != client_id:
            return None
        sub = claims.get("sub")
        return sub if isinstance(sub, str) else None

    def claims_of_hint(self, hint: str) -> dict[str, Any] | None:
        """The claims of an ID token of ours, expired or not (Core 3.1.2.1); None for anything else."""
        if len(hint) > _MAX_HINT or hint.count(".") != 2:
            return None
        try:
            header = strict_json.loads_object(seal.unb64(hint.split(".", 1)[0]))
            if header.get("alg") not in _ALGORITHMS:
                return None
            key = self._keys.verification_key(str(header.get("kid")))
            token = jws.deserialize_compact(hint, key, registry=_Registry(algorithms=[header["alg"]]))
            claims = strict_json.loads_object(token.payload)
        except (JoseError, ValueError, UnknownKey):
            return None
        return claims if claims.get("iss") == self._issuer else None


class _Registry(jws.JWSRegistry):
    max_header_length = 1024


def at_hash(access_token: str) -> str:
    """Left half of the SHA-256 of the access token (Core 3.1.3.6): ES256 and RS256 both hash with SHA-256."""
    return seal.b64(hashlib.sha256(access_token.encode("ascii")).digest()[:16])
