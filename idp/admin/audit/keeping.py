"""How long the audit is kept: whole months, until the last of their days is older than `lifetimes.audit_days`.

On PostgreSQL a month is a partition (`audit_event_2026_11`), made some months ahead; what fits into none is caught by
`audit_event_other`. Retention drops partitions; on SQLite it deletes. What is taken is the beginning of the log, up to
a checkpoint, and a signed cut remembers what the tree needs to go on from there, so that the rest still verifies.

Changing partitions needs a lock on the table for an instant. Whoever cannot get it within seconds gives up (the worker
tries again in a minute): a sign-in must not wait behind a long search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from idp.admin.audit.merkle import Edge
from idp.admin.audit.sealing import BATCH, LogDamaged
from idp.admin.audit.signing import CUT, LogSigner
from idp.events import Event, record
from idp.models import AuditCheckpoint, AuditCut, AuditEvent, AuditSeal, db, writing
from idp.seal import b64

_DAY_S = 86_400
_MONTHS_AHEAD = 3
_LOCK_TIMEOUT = "2s"
_PARTITION = re.compile(r"audit_event_(\d{4})_(\d{2})")


@dataclass(frozen=True, order=True)
class Month:
    """A month of the calendar, in UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, at: int) -> Month:
        day = datetime.fromtimestamp(at, UTC)
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text_of_it: str) -> Month:
        """`2026-11`. Raises ValueError."""
        day = datetime.strptime(text_of_it, "%Y-%m").replace(tzinfo=UTC)
        return cls(day.year, day.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def since(self) -> int:
        """Its first second."""
        return int(datetime(self.year, self.number, 1, tzinfo=UTC).timestamp())

    @property
    def following(self) -> Month:
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def until(self) -> int:
        """The first second after it."""
        return self.following.since

    @property
    def partition(self) -> str:
        return f"audit_event_{self.year:04}_{self.number:02}"


def make_partitions(now: int) -> list[Month]:
    """On PostgreSQL: see to it that this month and the next three have their partitions; which were made.

    Rows of theirs that were caught by the partition for everything else move in.
    """
    if db.engine.dialect.name != "postgresql":
        return []
    made = []
    month = Month.of(now)
    for _ in range(_MONTHS_AHEAD + 1):
        with writing() as session:
            if month not in _partitions(session):
                _make(session, month)
                made.append(month)
        month = month.following
    return made


def cut(signer: LogSigner, now: int, audit_days: int) -> Month | None:
    """Take every month that is older than `audit_days`; the first one that is left, or None where nothing was taken.

    Only what is sealed is taken, and only where it still has the root that was signed. Raises LogDamaged.
    """
    first_left = Month.of(now - audit_days * _DAY_S)
    before = first_left.since
    last = db.session.scalar(select(AuditCut).order_by(AuditCut.size.desc()).limit(1))
    checkpoint = db.session.scalar(
        select(AuditCheckpoint)
        .where(AuditCheckpoint.until < before, AuditCheckpoint.size > (0 if last is None else last.size))
        .order_by(AuditCheckpoint.size.desc())
        .limit(1)
    )
    if checkpoint is None:
        return None
    edge = _edge_at(checkpoint, last)
    with writing() as session:
        claims = {"size": edge.size, "root": b64(edge.root()), "before": before, "at": now}
        signed = signer.sign(session, CUT, claims)
        session.add(AuditCut(size=edge.size, before=before, at=now, edge=edge.to_bytes(), signed=signed))
        record(session, Event.AUDIT_CUT, at=now, detail={"before": before, "leaves": edge.size})
        session.flush()
        if session.get_bind().dialect.name == "postgresql":
            _drop_partitions(session, first_left, edge.size)
        else:
            taken = select(AuditSeal.event_id).where(AuditSeal.seq < edge.size)
            session.execute(delete(AuditEvent).where(AuditEvent.id.in_(taken)), **_AS_IT_IS)
        session.execute(delete(AuditSeal).where(AuditSeal.seq < edge.size), **_AS_IT_IS)
        session.execute(delete(AuditCheckpoint).where(AuditCheckpoint.size < edge.size), **_AS_IT_IS)
        session.execute(delete(AuditCut).where(AuditCut.size < edge.size), **_AS_IT_IS)
    return first_left


_AS_IT_IS = {"execution_options": {"synchronize_session": False}}


def _edge_at(checkpoint: AuditCheckpoint, last: AuditCut | None) -> Edge:
    """The tree's edge at a checkpoint, from the leaves since the last cut."""
    edge = Edge() if last is None else Edge.from_bytes(last.size, last.edge)
    while edge.size < checkpoint.size:
        leaves = db.session.execute(
            select(AuditSeal.seq, AuditSeal.leaf)
            .where(AuditSeal.seq >= edge.size, AuditSeal.seq < checkpoint.size)
            .order_by(AuditSeal.seq)
            .limit(BATCH)
        ).all()
        if not leaves or [seq for seq, _ in leaves] != list(range(edge.size, edge.size + len(leaves))):
            raise LogDamaged(f"leaves after {edge.size} are missing")
        for _, leaf in leaves:
            edge.append(leaf)
    if edge.root() != checkpoint.root:
        raise LogDamaged(f"the checkpoint at {checkpoint.size} has another root than the leaves")
    return edge


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


def _partitions(session: Session) -> set[Month]:
    names = session.scalars(
        text(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = 'audit_event'::regclass"
        )
    )
    return {Month(int(found[1]), int(found[2])) for name in names if (found := _PARTITION.fullmatch(name))}


def _make(session: Session, month: Month) -> None:
    # Attached, not made in place: CREATE TABLE … PARTITION OF would lock the whole table against writers.
    session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
    session.execute(text("LOCK TABLE audit_event_other IN ACCESS EXCLUSIVE MODE"))
    session.execute(text(f"CREATE TABLE {month.partition} (LIKE audit_event INCLUDING DEFAULTS)"))
    span = {"since": month.since, "until": month.until}
    session.execute(
        text(
            "WITH moved AS (DELETE FROM audit_event_other WHERE at >= :since AND at < :until RETURNING *)"  # noqa: S608
            f" INSERT INTO {month.partition} SELECT * FROM moved"
        ),
        span,
    )
    session.execute(
        text(
            f"ALTER TABLE audit_event ATTACH PARTITION {month.partition}"
            f" FOR VALUES FROM ({month.since}) TO ({month.until})"
        )
    )


def _drop_partitions(session: Session, first_left: Month, size: int) -> None:
    """Drop the months before. Rows of theirs that are not among the leaves that go stay, in `audit_event_other`."""
    session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
    old = sorted(month for month in _partitions(session) if month < first_left)
    for month in old:
        session.execute(text(f"LOCK TABLE {month.partition} IN SHARE MODE"))
    session.execute(
        text(
            "CREATE TEMPORARY TABLE audit_event_staying ON COMMIT DROP AS SELECT * FROM audit_event"
            " WHERE at >= :since AND at < :before AND tableoid <> 'audit_event_other'::regclass AND NOT EXISTS"
            " (SELECT FROM audit_seal WHERE event_id = audit_event.id AND seq < :size)"
        ),
        {"size": size, "since": old[0].since if old else first_left.since, "before": first_left.since},
    )
    # What lies in no old partition and goes all the same: caught by the one for everything else, or ahead of its time.
    session.execute(
        text("DELETE FROM audit_event_other USING audit_seal WHERE seq < :size AND event_id = id"),
        {"size": size},
    )
    ahead = select(AuditSeal.event_id).where(AuditSeal.seq < size, AuditSeal.at >= first_left.since)
    if ids := session.scalars(ahead).all():
        session.execute(delete(AuditEvent).where(AuditEvent.id.in_(ids)), **_AS_IT_IS)
    # The lock on the whole table comes last, and is held for the rest of this transaction only.
    for month in old:
        session.execute(text(f"ALTER TABLE audit_event DETACH PARTITION {month.partition}"))
        session.execute(text(f"DROP TABLE {month.partition}"))
    session.execute(text("INSERT INTO audit_event SELECT * FROM audit_event_staying"))
