"""Grants: what a redeemed code (or device code) bought, and how it ends.

A `models.Grant` row is the root of everything bought with one code: its access tokens and its family of refresh
tokens. Whoever asks whether a token still holds asks here. Decided by database rows alone (decision D11).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Executable,
    Table,
    bindparam,
    exists,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import Session as Database

from idp import models, receipts, seal
from idp.models import AuditEvent, Consumed, Grant, Receipt, db

_ENDED_SESSION = "ended_session"
# Longer than what is bought in a session can live, whatever the settings say: a code, then a family of refresh tokens
# for as long as a session may last, then an access token.
_ENDED_SESSION_S = 86_400 + 7200
_REVOKED_TOKEN = "revoked_token"


class TakenBack(Exception):
    """The holder has taken back what this sign-in gave."""


def begin_at_once(columns: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Record what a code bought, and the event of it, in one statement where the database can.

    columns: of the grant. event: `events.row` of the same sign-in. False where nothing was written: on SQLite; where
    the code was redeemed before, its session has ended, or the holder has taken back what this sign-in gave. Then
    `begin` says which.
    """
    if db.engine.dialect.name != "postgresql":
        return False
    given = {f"grant_{name}": value for name, value in columns.items()}
    ended = {"ended": _ENDED_SESSION, "session_digest": seal.digest(columns["session_id"])}
    return models.at_once(_BEGIN, {**given, **ended, **event}) is not None


def read_at_once(code_digest: str, token_digest: str, session_digest: str, event: Mapping[str, Any]) -> bool:
    """Record the event of a token that is used, in one statement with the question whether it holds.

    session_digest: SHA-256 of the session it was bought in. event: `events.row`. False, and nothing is recorded, where
    the token does not hold.
    """
    given = {
        "code_digest": code_digest,
        "revoked": _REVOKED_TOKEN,
        "token_digest": token_digest,
        "ended": _ENDED_SESSION,
        "session_digest": session_digest,
    }
    return models.at_once(_READ, {**given, **event}) is not None


def _consumed(kind: str, digest: str) -> ColumnElement[bool]:
    return exists().where(Consumed.kind == bindparam(kind), Consumed.digest == bindparam(digest))


def _given(table: Table, names: Collection[str], prefix: str = "") -> list[Any]:
    """Parameters for these columns, each of its column's type."""
    return [bindparam(prefix + name, type_=table.c[name].type) for name in names]


def _reading() -> Executable:
    events: Table = AuditEvent.__table__  # type: ignore[assignment]
    holds = exists().where(
        Grant.code_digest == bindparam("code_digest"),
        Grant.revoked_at.is_(None),
        or_(Grant.offline, ~_consumed("ended", "session_digest")),
    )
    revoked = _consumed("revoked", "token_digest")
    values = select(*_given(events, _EVENT)).where(holds, ~revoked)
    return insert(events).from_select(_EVENT, values, include_defaults=False).returning(events.c.id)


def _beginning() -> Executable:
    grants: Table = Grant.__table__  # type: ignore[assignment]
    events: Table = AuditEvent.__table__  # type: ignore[assignment]
    # Whoever withdraws meanwhile waits for this row, or this statement for them.
    receipt = (
        select(Receipt.revoked_at)
        .where(Receipt.login_id == bindparam("login_id"))
        .with_for_update()
        .cte("receipt_now")
    )
    taken_back = exists().select_from(receipt).where(receipt.c.revoked_at.is_not(None))
    values = select(*_given(grants, _GRANT, "grant_")).where(
        ~taken_back, ~_consumed("ended", "session_digest")
    )
    begun = (
        postgresql.insert(grants)
        .from_select(_GRANT, values, include_defaults=False)
        .on_conflict_do_nothing()
        .returning(literal_column("1"))
        .cte("begun")
    )
    return (
        insert(events)
        .from_select(_EVENT, select(*_given(events, _EVENT)).select_from(begun), include_defaults=False)
        .returning(events.c.id)
    )


_GRANT = ("code_digest", "client_id", "subject_id", "session_id", "offline", "redeemed_at", "expires_at")
_EVENT = (
    "at", "name", "actor", "client_id", "subject_id", "login_id", "correlation_id", "ip", "reason",
)  # fmt: skip
_READ = _reading()
_BEGIN = _beginning()


def begin(database: Database, grant: Grant, login_id: str) -> None:
    """Record what a code, or a sign-in, bought, in the caller's transaction.

    Raises TakenBack when the holder withdrew while the code was on its way; IntegrityError for a code redeemed before.
    """
    if receipts.is_revoked(database, login_id):
        raise TakenBack
    database.add(grant)
    database.flush()


def end_session(database: Database, session_id: str, *, now: int) -> None:
    """Every token bought in this session dies, also one whose code is still on its way to the portal.

    What was granted with `offline_access` is meant to outlive it (OpenID Connect Core 11). In the caller's
    transaction.
    """
    models.use_within(database, _ENDED_SESSION, seal.digest(session_id), now + _ENDED_SESSION_S)
    database.execute(
        update(Grant)
        .where(Grant.session_id == session_id, Grant.revoked_at.is_(None), Grant.offline.is_(False))
        .values(revoked_at=now)
    )


def revoke(database: Database, code_digest: str, *, now: int) -> None:
    """Everything this grant bought dies. In the caller's transaction."""
    database.execute(
        update(Grant)
        .where(Grant.code_digest == code_digest, Grant.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def revoke_portal(database: Database, subject_id: str, client_id: str, *, now: int) -> int:
    """Everything a portal bought of a person dies, offline too; how many grants that were.

    In the caller's transaction, after `receipts.revoke`: what is bought at this moment is found.
    """
    revoked = database.execute(
        update(Grant)
        .where(Grant.subject_id == subject_id, Grant.client_id == client_id, Grant.revoked_at.is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", revoked).rowcount


def revoke_session(database: Database, session_id: str, *, now: int) -> int:
    """Everything bought in this session dies, what was to outlive it too; how many grants that were."""
    revoked = database.execute(
        update(Grant).where(Grant.session_id == session_id, Grant.revoked_at.is_(None)).values(revoked_at=now)
    )
    return cast("CursorResult[Any]", revoked).rowcount


def outlives(session_id: InstrumentedAttribute[str], now: int) -> ColumnElement[bool]:
    """For a query: whether something granted in this session is meant to outlive it, and holds."""
    return exists().where(
        Grant.session_id == session_id, Grant.offline, Grant.revoked_at.is_(None), Grant.expires_at > now
    )


def revoke_token(database: Database, token_digest: str, *, expires_at: int) -> None:
    """One access token dies (RFC 7009). In the caller's transaction."""
    models.use_within(database, _REVOKED_TOKEN, token_digest, expires_at + 1)


def holds(code_digest: str, token_digest: str | None = None) -> bool:
    """Whether the grant stands, the session it belongs to has not ended, and the token was not revoked by itself."""
    grant = db.session.get(Grant, code_digest, populate_existing=True)
    if grant is None or grant.revoked_at is not None:
        return False
    if not grant.offline and has_ended(grant.session_id):
        return False
    return token_digest is None or db.session.get(Consumed, (_REVOKED_TOKEN, token_digest)) is None


def has_ended(session_id: str) -> bool:
    """Whether this session has ended within the time in which one of its codes may still come."""
    return db.session.get(Consumed, (_ENDED_SESSION, seal.digest(session_id))) is not None
