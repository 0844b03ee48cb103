"""Refresh tokens: a family of them under one grant (decision D3).

A `standard` portal's token is rotated at each use, without grace: a second use of one is a theft seen from one side
or the other, and revokes the whole grant. A `fapi2` portal's is bound to its holder by client authentication and is
not rotated. A public client's is bound to its DPoP key as well (RFC 9449, section 5).

Decided by the row alone (decision D11): `used_at` is set by one UPDATE that only one request can win.

Spec: RFC 6749, section 6; RFC 9700, section 4.14.2; OpenID Connect Core 1.0, sections 11 and 12.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session as Database

from idp import seal
from idp.clock import Clock
from idp.errors import Mismatch
from idp.events import Event, record, record_alone
from idp.models import RefreshToken, db, writing
from idp.oidc import grants
from idp.oidc.records import Authorization, Released
from idp.oidc.tokens import Bought, Order, Tokens, refused
from idp.portals import Registration
from idp.settings import Settings

_PURPOSE = "refresh-token"


class Kept(msgspec.Struct, frozen=True):
    """What a row's `authorization` holds: the authorization, and the key a public client must prove."""

    granted: Authorization
    jkt: str | None = None


class _LostRace(Exception):
    """Another request used the same token first."""


class RefreshTokens:
    """Issues and redeems refresh tokens."""

    def __init__(self, tokens: Tokens, settings: Settings, clock: Clock) -> None:
        self._tokens = tokens
        self._times = settings.lifetimes
        self._clock = clock

    def ttl_s(self, granted: Authorization) -> int:
        """How long the family lives: with the session, or as long as `offline_access` allows."""
        if granted.is_offline:
            return self._times.offline_refresh_token_ttl_s
        return min(self._times.refresh_token_ttl_s, self._times.session_max_s)

    def issue(self, bought: Bought, *, expires_at: int) -> str:
        """A refresh token for what was bought; none of the family outlives `expires_at`."""
        with writing() as database:
            token, row = self._make(bought, expires_at)
            database.add(row)
        return token

    def _make(self, bought: Bought, expires_at: int) -> tuple[str, RefreshToken]:
        token = seal.random_token()
        jkt = (bought.order.cnf or {}).get("jkt") if bought.portal.is_public else None
        return token, RefreshToken(
            digest=seal.digest(token),
            code_digest=bought.code_digest,
            client_id=bought.portal.client_id,
            authorization=msgspec.to_builtins(Kept(bought.granted, jkt)),
            sealed=seal.under(token, msgspec.json.encode(bought.released), _PURPOSE),
            issued_at=self._clock(),
            expires_at=expires_at,
        )

    def redeem(self, portal: Registration, token: str, order: Order) -> dict[str, Any]:
        """The token response for a refresh token.

        Raises InvalidGrantError: unknown, expired, used before (then the grant is revoked), another portal's, another
        key; InvalidScopeError, InvalidTargetError for what was not granted, and then nothing is spent.
        """
        digest = seal.digest(token)
        row, kept = self._find(portal, digest)
        if kept.jkt is not None and (order.cnf or {}).get("jkt") != kept.jkt:
            raise self._refuse(portal, "jkt")
        self._tokens.check(portal, kept.granted, order)
        released = msgspec.json.decode(seal.open_under(token, row.sealed, _PURPOSE), type=Released)
        bought = Bought(portal, kept.granted, _for_today(released, portal), row.code_digest, order)
        minted = self._tokens.mint(bought, first=False)
        following = self._spend(bought, row)
        response = self._tokens.keep(minted)
        if following is not None:
            response["refresh_token"] = following
        return response

    def _find(self, portal: Registration, digest: str) -> tuple[RefreshToken, Kept]:
        row = db.session.get(RefreshToken, digest, populate_existing=True)
        if row is None or row.client_id != portal.client_id or row.expires_at <= self._clock():
            raise self._refuse(portal, "unknown" if row is None else "other_client_or_expired")
        if row.used_at is not None:
            raise self._revoke(portal, row.code_digest, None)
        if not grants.holds(row.code_digest):
            raise self._refuse(portal, "revoked")
        try:
            return row, msgspec.convert(row.authorization, Kept)
        except msgspec.ValidationError:
            raise self._refuse(portal, "unreadable") from None

    def _spend(self, bought: Bought, row: RefreshToken) -> str | None:
        """The next token of the family; None where the same one goes on being used."""
        now = self._clock()
        digest, code_digest = row.digest, row.code_digest
        following, made = (None, None) if bought.portal.is_fapi2 else self._make(bought, row.expires_at)
        try:
            with writing() as database:
                if made is not None:
                    _claim(database, digest, now)
                    database.add(made)
                record(
                    database,
                    Event.TOKEN_REFRESHED,
                    at=now,
                    client_id=bought.portal.client_id,
                    subject_id=bought.granted.subject_id,
                )
        except _LostRace:
            raise self._revoke(bought.portal, code_digest, bought.granted.subject_id) from None
        return following

    def _revoke(self, portal: Registration, code_digest: str, subject_id: str | None) -> InvalidGrantError:
        now = self._clock()
        with writing() as database:
            grants.revoke(database, code_digest, now=now)
            record(
                database,
                Event.TOKEN_REPLAYED,
                at=now,
                client_id=portal.client_id,
                subject_id=subject_id,
                reason="refresh_token",
            )
        return refused()

    def _refuse(self, portal: Registration, reason: str) -> InvalidGrantError:
        record_alone(
            Event.TOKEN_REFUSED,
            at=self._clock(),
            client_id=portal.client_id,
            reason=reason,
            detail=Mismatch(f"refresh_{reason}").detail,
        )
        return refused()


def _for_today(released: Released, portal: Registration) -> Released:
    """What the portal is registered for still: a family lives for weeks, and a claim may have been taken away."""
    kept = {name: value for name, value in released.claims.items() if name in portal.claim_names}
    return msgspec.structs.replace(released, claims=kept)


def _claim(database: Database, digest: str, now: int) -> None:
    """This request is the one that uses the token. Raises _LostRace."""
    claimed = database.execute(
        update(RefreshToken)
        .where(RefreshToken.digest == digest, RefreshToken.used_at.is_(None))
        # What it stood for is in its successor now: a spent token opens nothing, and its row stays small.
        .values(used_at=now, sealed="", authorization={})
    )
    if cast("CursorResult[Any]", claimed).rowcount != 1:
        raise _LostRace
