"""Access tokens, looked up: what is stored of one, and whether it still holds."""

from __future__ import annotations

import msgspec

from idp import portals, seal
from idp.clock import Clock
from idp.oidc import grants
from idp.oidc.records import Token
from idp.oidc.tokens import token_key
from idp.portals import Registration
from idp.store import Store

_MAX_TOKEN = 4096  # a JWT for a resource server


class AccessTokens:
    """Finds access tokens by their value."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def find(self, access_token: str) -> tuple[Token, Registration] | None:
        """The record of a token that holds, and its portal: known, in time, the grant standing, the portal enabled."""
        token = self.stored(access_token)
        if token is None or token.expires_at <= self._clock():
            return None
        stands = grants.holds(token.code_digest, seal.digest(access_token))
        portal = portals.find(token.client_id) if stands else None
        return (token, portal) if portal is not None else None

    def stored(self, access_token: str) -> Token | None:
        """The record of a token that was issued, whether it still holds or not; None for what never was one of ours,
        and for one that is long gone."""
        if not 0 < len(access_token) <= _MAX_TOKEN:
            return None
        document = self._store.get(token_key(seal.digest(access_token)))
        try:
            return msgspec.convert(document, Token) if document is not None else None
        except msgspec.ValidationError:
            return None
