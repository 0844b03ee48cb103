"""The ID token: who signed in, signed by exactly one key; and JWT access tokens, by the same keys.

Protocol claims go in last, so that no claim of a credential can ever stand in their place; a claim with a reserved
name is an error of ours. Spec: OpenID Connect Core 1.0, sections 2 and 3.1.3.6; RFC 7519; RFC 9068, section 2.
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
from idp.oidc.records import Token
from idp.oidc.wrapping import Wrapping
from idp.portals import Registration
from idp.settings import Settings

RESERVED = frozenset({
    "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash",
    "acr", "amr", "auth_time", "azp", "sid", "events",
    "previous_sub",
})  # fmt: skip
SIGNING_ALGORITHMS = ("ES256", "RS256", "PS256")
_ACCESS_TOKEN_ALGORITHM = "RS256"  # what every resource server must know (RFC 9068, section 2.1)
_FAPI2_ACCESS_TOKEN_ALGORITHM = "ES256"  # FAPI 2.0 Security Profile, section 5.4.1
_MAX_HINT = 16_384
_TYP = "JWT"


class IdTokens:
    """Mints ID tokens, and recognises its own."""

    def __init__(self, settings: Settings, keys: Keys, wrapping: Wrapping, clock: Clock) -> None:
        self._issuer = settings.issuer
        self._ttl_s = settings.lifetimes.id_token_ttl_s
        self._keys = keys
        self._wrapping = wrapping
        self._clock = clock

    def check(self, portal: Registration) -> None:
        """That an ID token for this portal can be made, before anything is spent.

        Raises NoUsableKey, NoSigningKey, HsmError.
        """
        self._keys.check([portal.id_token_signed_response_alg])
        self._wrapping.check(portal, portal.id_token_encrypted_response_alg)

    def mint(
        self,
        protocol: Mapping[str, Any],
        holder_claims: Mapping[str, Any],
        *,
        portal: Registration,
        access_token: str | None,
    ) -> str:
        """An ID token as this portal registered it: signed, and encrypted where it asked for that.

        It says what `claims` does; raises ValueError like it.
        """
        return self._wrapping.jwt(
            self.claims(protocol, holder_claims, access_token),
            typ=_TYP,
            registration=portal,
            alg=portal.id_token_signed_response_alg,
            encryption_alg=portal.id_token_encrypted_response_alg,
            encryption_enc=portal.id_token_encrypted_response_enc,
        )

    def claims(
        self, protocol: Mapping[str, Any], holder_claims: Mapping[str, Any], access_token: str | None
    ) -> dict[str, Any]:
        """What an ID token made now says.

        `protocol` holds sub, previous_sub, aud, auth_time, acr, amr, sid, nonce. `access_token` None: without one.

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
        }
        if access_token is not None:
            claims["at_hash"] = at_hash(access_token)
        return claims

    def sign_access_token(self, token: Token, *, jti: str, fapi2: bool) -> str:
        """The JWT form of an access token for a resource server (RFC 9068, section 2.2).

        `fapi2`: whether the portal or the server is held to FAPI 2.0.
        """
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": token.sub,
            "aud": token.audience,
            "exp": token.expires_at,
            "iat": token.issued_at,
            "jti": jti,
            "client_id": token.client_id,
            "scope": " ".join(token.scopes),
            "auth_time": token.auth_time,
            "acr": token.acr,
        }
        if token.cnf is not None:
            claims["cnf"] = token.cnf
        alg = _FAPI2_ACCESS_TOKEN_ALGORITHM if fapi2 else _ACCESS_TOKEN_ALGORITHM
        return self._keys.sign_jwt("at+jwt", claims, alg)

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
            # What else we sign says who somebody is too: logout tokens, access tokens, UserInfo (RFC 8725, 3.11).
            if header.get("alg") not in SIGNING_ALGORITHMS or header.get("typ") != _TYP:
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
