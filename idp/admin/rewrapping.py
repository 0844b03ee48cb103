"""Changing the key-encryption key while nodes run: everything that is sealed under it is sealed under the next one.

First every node and worker knows both keys (`secrets.next_key_encryption_key`). Then `begin` writes into the database
that the next one seals, and `batches` seals anew what is there. It may be stopped anywhere and run again: under which
key something is sealed is found by opening it, and a row that changed meanwhile is left for the next time. A process
may go on sealing under the old key for the few seconds until it looks, so a second run has the last word.

What lives in the Store is left to end by itself; until then (`needed_until`) nodes must know the old key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, select, update
from sqlalchemy.orm import InstrumentedAttribute

from idp import key_encryption, private_halves, session
from idp.admin.audit import signing
from idp.clock import Clock
from idp.events import Event, record
from idp.key_encryption import KeyEncryption, Sealing
from idp.models import AuditKey, SignedIn, SigningKey, db, writing
from idp.models import KeyEncryption as Row
from idp.seal import CannotOpen
from idp.settings import Settings

BATCH = 200
_ROW = 1


@dataclass(frozen=True)
class Batch:
    """Some rows of a table: how many were looked at and sealed anew, and how many no key opens."""

    table: str
    n_rows: int
    n_changed: int
    n_strange: int


@dataclass(frozen=True)
class _Table:
    """A column that holds what is sealed. `anew` gives it under the key in force, None where it is already."""

    id: InstrumentedAttribute[str]
    sealed: InstrumentedAttribute[Any]
    purpose: str
    anew: Callable[[Sealing, Any], str | None]
    beside: tuple[InstrumentedAttribute[Any], ...] = ()

    @property
    def name(self) -> str:
        return str(self.id.class_.__tablename__)


_TABLES = (
    _Table(
        SigningKey.kid,
        SigningKey.sealed_private_jwk,
        private_halves.PURPOSE,
        lambda sealing, row: sealing.rewrapped(row.sealed_private_jwk, private_halves.purpose(row.kid)),
    ),
    _Table(
        AuditKey.kid,
        AuditKey.vouched,
        signing.PURPOSE,
        lambda vouching, row: signing.vouched_anew(vouching, row.public_jwk, row.vouched),
        beside=(AuditKey.public_jwk,),
    ),
    _Table(
        SignedIn.id,
        SignedIn.sealed_standing,
        session.STANDING,
        lambda sealing, row: sealing.rewrapped(row.sealed_standing, session.standing_purpose(row.id)),
    ),
)


class Rewrapping:
    """Seals anew for one deployment. `kek` must know two keys. Its methods need the application context."""

    tables = _TABLES

    def __init__(self, kek: KeyEncryption, clock: Clock, batch: int = BATCH) -> None:
        self._kek = kek
        self._clock = clock
        self._batch = batch

    def begin(self) -> bool:
        """From now on the next key seals. Whether all was sealed under it once before."""
        with writing() as database:
            key_encryption.lock(database)
            row = database.get(Row, _ROW, populate_existing=True)
            if row is None:
                row = Row(id=_ROW)
                database.add(row)
            if row.fingerprint != self._kek.following:
                row.fingerprint, row.since, row.done_at = self._kek.following, self._clock(), None
            database.flush()
            self._kek.look(database)
            return row.done_at is not None

    def is_begun(self) -> bool:
        """Whether the next key seals."""
        return db.session.scalar(select(Row.fingerprint)) == self._kek.following

    def batches(self) -> Iterator[Batch]:
        """Seal anew, a transaction for each batch; it is committed when it is yielded."""
        for table in self.tables:
            after = ""
            while rows := self.rows(table, after):
                yield self.anew(table, rows)
                after = str(rows[-1][0])

    def end(self, counts: dict[str, int]) -> None:
        """All of it is sealed under the next key: say so in the database and the audit; rows sealed anew, by table."""
        with writing() as database:
            row = database.get_one(Row, _ROW, populate_existing=True)
            first, row.done_at = row.done_at is None, row.done_at or self._clock()
            if first or any(counts.values()):
                detail = {"key": self._kek.following, **counts}
                record(database, Event.KEYS_REWRAPPED, at=self._clock(), detail=detail)

    def rows(self, table: _Table, after: str) -> list[Any]:
        """The next batch of a table, by their ids."""
        there: ColumnElement[bool] = table.sealed.is_not(None) & (table.sealed != "")
        query = select(table.id, table.sealed, *table.beside).where(there, table.id > after)
        rows = list(db.session.execute(query.order_by(table.id).limit(self._batch)).all())
        db.session.rollback()  # no snapshot is held while they are sealed
        return rows

    def anew(self, table: _Table, rows: list[Any]) -> Batch:
        """Seal these anew, in one transaction."""
        sealing = self._kek.sealing(table.purpose)
        changes, n_strange = [], 0
        for row in rows:
            try:
                anew = table.anew(sealing, row)
            except CannotOpen:
                n_strange += 1
            else:
                if anew is not None:
                    changes.append((row[0], row[1], anew))
        if not changes:
            return Batch(table.name, len(rows), 0, n_strange)
        with writing() as database:
            n_changed = 0
            for key, before, anew in changes:
                # Only if it is still what was opened: a key may have been removed meanwhile, a session gone on.
                change = update(table.id.class_).where(table.id == key, table.sealed == before)
                done = database.execute(change.values({table.sealed.key: anew}))
                n_changed += cast("CursorResult[Any]", done).rowcount
        return Batch(table.name, len(rows), n_changed, n_strange)


def needed_until(settings: Settings) -> int | None:
    """Until when nodes must know the key of before, since what is in the Store may be sealed under it; None where no
    change of the key is known."""
    row = db.session.get(Row, _ROW, populate_existing=True)
    if row is None:
        return None
    times = settings.lifetimes
    return row.since + key_encryption.LOOK_EVERY_S + max(times.login_max_s, times.device_code_ttl_s)
