"""What an operator watches that no request knows: queues, jobs, sizes, and what ends when.

Read from the tables at the moment somebody asks; each question is one statement on an index, or on PostgreSQL's own
statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from sqlalchemy import func, select, text

from idp.admin import expiry, seen
from idp.admin.expiry import Ending
from idp.credentials import TrustSnapshot
from idp.models import AuditEvent, AuditLog, Lease, LogoutNotice, db

_ANY_TIME_S = 100 * 366 * 86_400
_MAX_COUNTED = 100_000


@dataclass(frozen=True)
class Queue:
    """What waits for the worker: how many, and for how long the first of them, in seconds."""

    n: int
    oldest_s: int


@dataclass(frozen=True)
class Measures:
    """`jobs`: when each was done last, seconds since the epoch; None: never. `tables`: bytes with their indexes."""

    logout_notices: Queue
    notices_given_up: int
    unsealed: Queue
    jobs: dict[str, int | None]
    tables: dict[str, int]


def measures(now: int) -> Measures:
    """Where the worker stands. `unsealed` counts 100,000 rows at most."""
    waiting, since = db.session.execute(
        select(func.count(), func.min(LogoutNotice.created_at)).where(LogoutNotice.due_at.is_not(None))
    ).one()
    given_up = db.session.scalar(
        select(func.count()).where(LogoutNotice.due_at.is_(None), LogoutNotice.delivered_at.is_(None))
    )
    jobs = db.session.execute(select(Lease.name, Lease.done_at)).all()
    return Measures(
        logout_notices=_queue(waiting, since, now),
        notices_given_up=given_up or 0,
        unsealed=_unsealed(now),
        jobs={row.name: row.done_at for row in jobs},
        tables=_sizes(),
    )


def endings(trust: TrustSnapshot, own: Sequence[x509.Certificate], now: int) -> list[Ending]:
    """Every certificate that signing in rests on, and when it ends."""
    return expiry.endings(trust, seen.lately(now, seen.KEPT_S), own, now=now, within_s=_ANY_TIME_S)


def _queue(n: int, since: int | None, now: int) -> Queue:
    return Queue(n, max(0, now - since) if since is not None else 0)


def _unsealed(now: int) -> Queue:
    """Rows after the last that sealing has settled; a few of them may be sealed already."""
    settled_id = db.session.scalar(select(AuditLog.settled_id)) or 0
    newer = select(AuditEvent.at).where(AuditEvent.id > settled_id).limit(_MAX_COUNTED).subquery()
    n, since = db.session.execute(select(func.count(), func.min(newer.c.at))).one()
    return _queue(n, since, now)


def _sizes() -> dict[str, int]:
    if db.engine.dialect.name == "sqlite":
        file = Path(db.engine.url.database or "")
        return {"all": file.stat().st_size}
    # A partition counts for its table.
    rows = db.session.execute(
        text(
            "SELECT coalesce(parent.relname, child.relname) AS name,"
            " sum(pg_total_relation_size(child.oid))::bigint AS size"
            " FROM pg_class child LEFT JOIN pg_inherits i ON i.inhrelid = child.oid"
            " LEFT JOIN pg_class parent ON parent.oid = i.inhparent"
            " WHERE child.relnamespace = current_schema()::regnamespace AND child.relkind = 'r' GROUP BY 1"
        )
    )
    return {row.name: row.size for row in rows}
