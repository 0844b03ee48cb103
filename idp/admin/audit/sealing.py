"""Sealing: every row of the audit becomes a leaf of the log, and each batch ends with a signed checkpoint.

Rows are written by many at once, so ids may be committed out of order: a row with a smaller id may appear after one
with a larger. On PostgreSQL the sealer therefore looks again at every id above `settled_id`, for rows that have no
seal. `settled_id` moves up to an id only when every transaction that ran when that id had been seen has ended
(`_settle`): no smaller one can appear then. On SQLite, which has one writer at a time, it is the last id.

What was sealed is never looked at again here; whether it still holds is `checking`'s question. One sealer at a time
works (the row of `audit_log` is locked); a batch costs what is in it, however long the log is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, insert, select
from sqlalchemy.orm import Session

from idp.admin.audit.merkle import Edge, entry_of, leaf_hash
from idp.admin.audit.signing import CHECKPOINT, LogSigner
from idp.clock import Clock
from idp.models import AuditCheckpoint, AuditCut, AuditEvent, AuditLog, AuditSeal, writing
from idp.seal import b64

BATCH = 1000
SEAL_EVERY_S = 30
EVENTS = AuditEvent.__table__
COLUMNS = tuple(column.name for column in EVENTS.columns)
THE_LOG = 1


class LogDamaged(Exception):
    """The log does not continue from its last checkpoint: `idp audit verify` says what is wrong. Nothing is sealed
    on top of it."""


@dataclass(frozen=True)
class _Horizon:
    """Of PostgreSQL's transactions: those before `oldest` have ended, those from `next` on have not begun."""

    oldest: int
    next: int


class Sealing:
    """Seals what was written. Needs the application context."""

    def __init__(self, signer: LogSigner, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock

    def seal(self, max_s: float = 60.0) -> int:
        """Seal every row that is there, a batch at a time, for `max_s` seconds or a little more; how many it were.

        Raises LogDamaged.
        """
        until = time.monotonic() + max_s
        n_sealed = 0
        while True:
            n_batch = self._batch()
            n_sealed += n_batch
            if n_batch < BATCH or time.monotonic() > until:
                return n_sealed

    def _batch(self) -> int:
        with writing() as session:
            log = locked_log(session)
            last = session.scalar(select(AuditCheckpoint).order_by(AuditCheckpoint.size.desc()).limit(1))
            edge = _edge(log, last)
            horizon = _horizon(session)
            rows = _unsealed(session, log.settled_id)
            if rows:
                self._add(session, edge, rows, 0 if last is None else last.until)
                log.size, log.edge = edge.size, edge.to_bytes()
            _settle(log, horizon, rows)
            return len(rows)

    def _add(self, session: Session, edge: Edge, rows: Sequence[Mapping[str, Any]], until: int) -> None:
        """Append the rows to the tree, note where each stands, and sign the new root."""
        seals = []
        for row in rows:
            leaf = leaf_hash(entry_of(row))
            seals.append({"seq": edge.size, "event_id": row["id"], "at": row["at"], "leaf": leaf})
            edge.append(leaf)
        session.execute(insert(AuditSeal), seals)
        now = self._clock()
        # A row that claims to be of the future must not keep the log from being cut for ever.
        until = max(until, min(now, max(row["at"] for row in rows)))
        root = edge.root()
        claims = {"size": edge.size, "root": b64(root), "at": now, "until": until}
        signed = self._signer.sign(session, CHECKPOINT, claims)
        session.add(AuditCheckpoint(size=edge.size, root=root, at=now, until=until, signed=signed))


def locked_log(session: Session) -> AuditLog:
    """The row that says where sealing stands, locked; made again from the seals where there is none."""
    found = session.scalar(
        select(AuditLog)
        .where(AuditLog.id == THE_LOG)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is not None:
        return found
    cut = session.scalar(select(AuditCut).order_by(AuditCut.size.desc()).limit(1))
    edge = Edge() if cut is None else Edge.from_bytes(cut.size, cut.edge)
    for leaf in session.scalars(
        select(AuditSeal.leaf).where(AuditSeal.seq >= edge.size).order_by(AuditSeal.seq),
        execution_options={"yield_per": BATCH},
    ):
        edge.append(leaf)
    last_id = session.scalar(select(func.max(AuditSeal.event_id))) or 0
    log = AuditLog(
        id=THE_LOG, size=edge.size, edge=edge.to_bytes(), settled_id=last_id, noted_id=last_id, noted_xid=None
    )
    session.add(log)
    session.flush()
    return log


def _edge(log: AuditLog, last: AuditCheckpoint | None) -> Edge:
    """Where the tree goes on. Raises LogDamaged where that is not what the last checkpoint says."""
    try:
        edge = Edge.from_bytes(log.size, log.edge)
    except ValueError as error:
        raise LogDamaged("audit_log") from error
    if (edge.size, edge.root()) != (
        0 if last is None else last.size,
        Edge().root() if last is None else last.root,
    ):
        raise LogDamaged("audit_log is not at the last checkpoint")
    return edge


def _unsealed(session: Session, settled_id: int) -> list[dict[str, Any]]:
    """The next rows without a seal, by id, a batch at most."""
    its_seal = and_(AuditSeal.event_id == EVENTS.c.id, AuditSeal.event_id > settled_id)
    query = (
        select(EVENTS)
        .outerjoin(AuditSeal, its_seal)
        .where(EVENTS.c.id > settled_id, AuditSeal.event_id.is_(None))
        .order_by(EVENTS.c.id)
        .limit(BATCH)
    )
    return [dict(zip(COLUMNS, row, strict=True)) for row in session.execute(query)]


def _horizon(session: Session) -> _Horizon | None:
    if session.get_bind().dialect.name != "postgresql":
        return None
    snapshot = func.txid_current_snapshot()
    oldest, following = session.execute(
        select(func.txid_snapshot_xmin(snapshot), func.txid_snapshot_xmax(snapshot))
    ).one()
    return _Horizon(oldest, following)


def _settle(log: AuditLog, horizon: _Horizon | None, rows: Sequence[Mapping[str, Any]]) -> None:
    """Move `settled_id` as far as no row can appear below it any more.

    In three rounds at least: an id was seen (`noted_id`); a round later the next transaction's number is noted, since
    whoever drew a smaller id has a number by then; when all before that number have ended, and a look round after
    that found nothing unsealed below, the id is settled.
    """
    newest = rows[-1]["id"] if rows else log.noted_id
    if horizon is None:
        log.settled_id = log.noted_id = max(log.noted_id, newest)
    elif log.noted_id == log.settled_id:
        log.noted_id = max(log.noted_id, newest)
    elif log.noted_xid is None:
        log.noted_xid = horizon.next
    elif horizon.oldest >= log.noted_xid and (len(rows) < BATCH or newest >= log.noted_id):
        log.settled_id, log.noted_id, log.noted_xid = log.noted_id, max(log.noted_id, newest), None
