"""Introspection: what a token is, told to those it concerns.

A portal may ask about its own tokens, and a resource server about those for the resources it serves; to everybody
else, and of everything that does not hold, the answer is `active: false` alone (RFC 7662, section 2.2). No claim of
the holder is in it.

Spec: RFC 7662; RFC 9701 (the answer as a JWT); RFC 8705, section 3.2; RFC 9449, section 6.2.
"""

from __future__ import annotations

from typing import Any

import msgspec

from idp import seal
from idp.clock import Clock
from idp.events import Event, record_alone
from idp.models import RefreshToken, db
from idp.oidc import grants
from idp.oidc.access import AccessTokens
from idp.oidc.records import Token
from idp.oidc.refresh import Kept
from idp.oidc.wrapping import Wrapping
from idp.portals import Registration
from idp.subject import Subjects

MEDIA_TYPE = "application/token-introspection+jwt"
_TYP = "token-introspection+jwt"


class Introspection:
    """Answers what a token is."""

    def __init__(
        self,
        *,
        access_tokens: AccessTokens,
        subjects: Subjects,
        wrapping: Wrapping,
        issuer: str,
        clock: Clock,
    ) -> None:
        self._access_tokens = access_tokens
        self._subjects = subjects
        self._wrapping = wrapping
        self._issuer = issuer
        self._clock = clock

    def answer(self, token: str, asker: Registration) -> dict[str, Any]:
        """The introspection of a token for this portal or resource server."""
        found = self._access_token(token, asker) or self._refresh_token(token, asker)
        record_alone(
            Event.TOKEN_INTROSPECTED,
            at=self._clock(),
            client_id=asker.client_id,
            reason="active" if found else "inactive",
        )
        return {"active": True, **found} if found else {"active": False}

    def signed(self, answer: dict[str, Any], asker: Registration) -> str:
        """The same as a JWT for the asker (RFC 9701, section 5)."""
        claims = {
            "iss": self._issuer,
            "aud": asker.client_id,
            "iat": self._clock(),
            "token_introspection": answer,
        }
        return self._wrapping.jwt(
            claims,
            typ=_TYP,
            registration=asker,
            alg=asker.introspection_signed_response_alg,
            encryption_alg=asker.introspection_encrypted_response_alg,
            encryption_enc=asker.introspection_encrypted_response_enc,
        )

    def _access_token(self, value: str, asker: Registration) -> dict[str, Any] | None:
        found = self._access_tokens.find(value)
        if found is None or not _concerns(found[0], asker):
            return None
        token, _ = found
        said: dict[str, Any] = {
            "iss": self._issuer,
            "client_id": token.client_id,
            # The asker's own name for the holder: a portal must not learn the one that a resource server uses.
            "sub": self._subjects.pairwise(token.subject_id, asker.sector),
            "aud": token.audience or self._issuer,
            "scope": " ".join(token.scopes),
            "iat": token.issued_at,
            "exp": token.expires_at,
            "auth_time": token.auth_time,
            "acr": token.acr,
            "token_type": "DPoP" if "jkt" in (token.cnf or {}) else "Bearer",
        }
        return {**said, "cnf": token.cnf} if token.cnf else said

    def _refresh_token(self, value: str, asker: Registration) -> dict[str, Any] | None:
        row = db.session.get(RefreshToken, seal.digest(value), populate_existing=True)
        if row is None or row.client_id != asker.client_id or row.used_at is not None:
            return None
        if row.expires_at <= self._clock() or not grants.holds(row.code_digest):
            return None
        try:
            granted = msgspec.convert(row.authorization, Kept).granted
        except msgspec.ValidationError:
            return None
        return {
            "iss": self._issuer,
            "client_id": row.client_id,
            "sub": self._subjects.pairwise(granted.subject_id, asker.sector),
            "aud": self._issuer,
            "scope": " ".join(granted.scopes),
            "iat": row.issued_at,
            "exp": row.expires_at,
        }


def _concerns(token: Token, asker: Registration) -> bool:
    return token.client_id == asker.client_id or token.audience in asker.serves_resources
