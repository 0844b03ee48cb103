"""Revocation: a portal gives a token back.

An access token dies alone; with a refresh token dies everything that was bought with it. Decided by rows (decision
D11). To revoke what is unknown is no error (RFC 7009, section 2.2), to revoke what is another portal's is one (2.1).
"""

from __future__ import annotations

from authlib.oauth2.rfc6749.errors import InvalidRequestError

from idp import seal
from idp.clock import Clock
from idp.events import Event, record
from idp.models import RefreshToken, db, writing
from idp.oidc import grants
from idp.oidc.access import AccessTokens
from idp.portals import Registration


class Revocation:
    """Revokes tokens."""

    def __init__(self, access_tokens: AccessTokens, clock: Clock) -> None:
        self._access_tokens = access_tokens
        self._clock = clock

    def revoke(self, token: str, portal: Registration) -> None:
        """Revoke this portal's token; `token_type_hint` is not needed to find it.

        Raises InvalidRequestError for another portal's.
        """
        now = self._clock()
        digest = seal.digest(token)
        row = db.session.get(RefreshToken, digest, populate_existing=True)
        if row is not None:
            _check_owner(row.client_id, portal)
            code_digest = row.code_digest
            with writing() as database:
                grants.revoke(database, code_digest, now=now)
                record(
                    database, Event.TOKEN_REVOKED, at=now, client_id=portal.client_id, reason="refresh_token"
                )
            return
        found = self._access_tokens.find(token)
        if found is None:
            return
        held, owner = found
        _check_owner(owner.client_id, portal)
        with writing() as database:
            grants.revoke_token(database, digest, expires_at=held.expires_at)
            record(
                database,
                Event.TOKEN_REVOKED,
                at=now,
                client_id=portal.client_id,
                subject_id=held.subject_id,
                reason="access_token",
            )


def _check_owner(client_id: str, portal: Registration) -> None:
    if client_id != portal.client_id:
        raise InvalidRequestError("The token was not issued to this client.")
