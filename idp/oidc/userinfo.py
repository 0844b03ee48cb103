"""UserInfo: the claims that the portal's access token opens.

Spec: OpenID Connect Core 1.0, section 5.3; RFC 6750.
"""

from __future__ import annotations

from typing import Any

import msgspec

from idp import portals, seal
from idp.clock import Clock
from idp.events import Event, record_alone
from idp.oidc import verified_claims
from idp.oidc.code import TOKEN_PURPOSE, Released, Token, is_revoked, token_key
from idp.store import Store


class TokenRefused(Exception):
    """A bearer token that opens nothing; `error` is for `WWW-Authenticate` (RFC 6750, section 3.1)."""

    def __init__(self, error: str, description: str, status: int) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


class UserInfo:
    """Answers with what was released to the portal, and with nothing it did not ask for here."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def answer(self, access_token: str) -> dict[str, Any]:
        """The claims for a token. Raises TokenRefused `invalid_token`."""
        document = self._store.get(token_key(access_token)) if 0 < len(access_token) <= 256 else None
        try:
            token = msgspec.convert(document, Token) if document is not None else None
        except msgspec.ValidationError:
            token = None
        if token is None or is_revoked(token.code_digest) or portals.find(token.client_id) is None:
            raise TokenRefused("invalid_token", "The access token is unknown, expired or revoked.", 401)
        opened = seal.open_under(access_token, token.sealed, TOKEN_PURPOSE)
        released = msgspec.json.decode(opened, type=Released)
        # The access log of 안전성 확보조치: whose data was read, by whom, when.
        record_alone(
            Event.USERINFO_READ, at=self._clock(), client_id=token.client_id, subject_id=token.subject_id
        )
        claims = {name: released.claims[name] for name in token.names if name in released.claims}
        said = verified_claims.answer(
            token.asked.get("verified_claims"), released.verification, released.claims, now=self._clock()
        )
        if said is not None:
            claims["verified_claims"] = said
        return {**claims, "sub": token.sub}
