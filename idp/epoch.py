"""A new epoch: what was good before a restore is good for nothing after it.

A backup does not know what was used up after it was made: codes that were redeemed, refresh tokens that were rotated,
links that were followed. Whoever kept one could use it again. So a restore ends all of it: the Store is emptied, which
holds codes, sessions, access tokens, pushed requests, device codes and wallets' answers; `begin` ends what the
database holds; and for as long as an assertion of before could live, client assertions must have been made after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Update, func, select, update
from sqlalchemy.orm import Session

from idp.events import Event, record
from idp.models import (
    ApiToken,
    AuditLog,
    Consent,
    Consumed,
    Grant,
    InitialAccessToken,
    Invitation,
    SignInFiguresMark,
)

_KIND = "epoch"
_REMEMBERED_S = 2 * 3600
"""Longer than any client assertion lives (`idp.oidc.client_auth`)."""


@dataclass(frozen=True)
class Ended:
    """How many of each a new epoch ended."""

    grants: int
    invitations: int
    registration_tokens: int
    consents: int
    api_tokens: int


def begin(database: Session, now: int) -> Ended:
    """End what is alive, in the caller's transaction. The Store is the caller's to empty, before and after.

    Consents are among it: one that was withdrawn since would count again. Sessions are ended by the worker, which
    finds that the Store has none of them and tells their portals.
    """
    ended = Ended(
        grants=_changed(
            database,
            update(Grant).where(Grant.revoked_at.is_(None), Grant.expires_at > now).values(revoked_at=now),
        ),
        invitations=_changed(
            database,
            update(Invitation)
            .where(Invitation.used_at.is_(None), Invitation.expires_at > now)
            .values(expires_at=now),
        ),
        registration_tokens=_changed(
            database,
            update(InitialAccessToken)
            .where(InitialAccessToken.uses_left > 0, InitialAccessToken.expires_at > now)
            .values(expires_at=now),
        ),
        consents=_changed(
            database, update(Consent).where(Consent.withdrawn_at.is_(None)).values(withdrawn_at=now)
        ),
        api_tokens=_changed(
            database,
            update(ApiToken)
            .where(ApiToken.revoked_at.is_(None), ApiToken.expires_at > now)
            .values(revoked_at=now),
        ),
    )
    # Numbers of transactions of the server that the backup was made on: on another one they mean nothing.
    _changed(database, update(AuditLog).values(noted_xid=None))
    _changed(database, update(SignInFiguresMark).values(writers=[]))
    database.merge(Consumed(kind=_KIND, digest=str(now), expires_at=now + _REMEMBERED_S))
    record(
        database,
        Event.RESTORED,
        at=now,
        detail={
            "grants": ended.grants,
            "invitations": ended.invitations,
            "registration_tokens": ended.registration_tokens,
            "consents": ended.consents,
            "api_tokens": ended.api_tokens,
        },
    )
    return ended


def begun_at(database: Session, now: int) -> int | None:
    """When the epoch began (seconds), as long as something of before it could still come; None after that."""
    lately = select(func.max(Consumed.digest)).where(Consumed.kind == _KIND, Consumed.expires_at > now)
    digest = database.scalar(lately)
    return None if digest is None else int(digest)


def _changed(database: Session, change: Update) -> int:
    changed = database.execute(change.execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", changed).rowcount
