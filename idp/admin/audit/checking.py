"""Checking the log: everything is computed again, and what does not hold is said in words.

Found is any row that was changed, removed, put in or put elsewhere after it was sealed; any seal, checkpoint or cut
that was changed or is missing; a signature that fails. Not found, without a checkpoint kept elsewhere, is that the
newest rows were removed together with their seals and checkpoints: whoever keeps a checkpoint outside finds that too
(`kept`). A row that was changed before it was sealed is what was sealed.

Reads in constant memory and in one snapshot: sealing and sign-ins go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, select

from idp.admin.audit.merkle import Edge, entry_of, leaf_hash
from idp.admin.audit.sealing import COLUMNS, EVENTS, THE_LOG
from idp.admin.audit.signing import CHECKPOINT, CUT, BadSignature, LogVerifier
from idp.clock import iso
from idp.models import AuditCheckpoint, AuditCut, AuditLog, AuditSeal, db
from idp.seal import b64

UNSEALED_LEEWAY_S = 90
_FUTURE_LEEWAY_S = 300
_CHUNK = 2000
_MAX_UNSEALED_SAID = 20
_SEALS = AuditSeal.__table__
_CHECKPOINTS = AuditCheckpoint.__table__


@dataclass(frozen=True)
class Finding:
    """Something that does not hold. `leaves`: the first and the last leaf number concerned, where there are such.

    unsealed: rows without a seal, which may merely wait for one; everything else was changed by somebody.
    """

    text: str
    leaves: tuple[int, int] | None = None
    unsealed: bool = False


class _Claimed(NamedTuple):
    """What a kept checkpoint says."""

    size: int
    root: str


class Check:
    """One check of the whole log. `findings` goes through it; afterwards the other attributes say what was seen.

    `kept`: a checkpoint (compact JWS) that was kept elsewhere. The log must contain it, and rows before it are not
    read again: their leaves are.
    """

    def __init__(self, verifier: LogVerifier, now: int, kept: str | None = None) -> None:
        self._verifier = verifier
        self._now = now
        self._kept = kept
        self._edge: Edge | None = Edge()
        self.n_rows = 0
        self.n_checkpoints = 0
        self.size = 0
        self.first = 0
        self.cut_before: int | None = None
        self.last_checkpoint: str | None = None

    def findings(self) -> Iterator[Finding]:
        """Everything that does not hold, in the order of the log; nothing, when all is well."""
        with _snapshot() as connection:
            kept: _Claimed | None = None
            if self._kept is not None:
                try:
                    claims = self._verifier.open(CHECKPOINT, self._kept.strip())
                    kept = _Claimed(int(claims["size"]), str(claims["root"]))
                except (BadSignature, KeyError, ValueError) as error:
                    yield Finding(
                        f"the given checkpoint {error if isinstance(error, BadSignature) else 'is none'}"
                    )
            yield from self._begin(connection)
            if kept is not None:
                yield from self._up_to(connection, kept)
            yield from self._go_on(connection)
            yield from self._at_the_end(connection)
            yield from self._unsealed(connection)

    # -- where the log begins ------------------------------------------------------------------------------------

    def _begin(self, connection: Connection) -> Iterator[Finding]:
        """Begin at leaf 0, or where retention cut."""
        cut = connection.execute(
            select(AuditCut.__table__).order_by(AuditCut.size.desc()).limit(1)
        ).one_or_none()
        if cut is None:
            return
        what = f"the cut at leaf {cut.size}"
        self.size = self.first = cut.size
        self.cut_before = cut.before
        try:
            self._edge = Edge.from_bytes(cut.size, cut.edge)
        except ValueError:
            self._edge = None
            yield Finding(f"{what} has an edge that is none: roots cannot be computed")
        root = b64(self._edge.root()) if self._edge is not None else None
        try:
            claims = self._verifier.open(CUT, cut.signed)
        except BadSignature as error:
            yield Finding(f"{what} {error}")
        else:
            said = (claims.get("size"), claims.get("before"), claims.get("at"), claims.get("root"))
            if said != (cut.size, cut.before, cut.at, root):
                yield Finding(f"{what} is not what was signed")
        left = connection.execute(select(_SEALS.c.seq).where(_SEALS.c.seq < cut.size).limit(1)).first()
        if left is not None:
            yield Finding(f"{what} is not where the log begins: leaf {left.seq} is still there")

    # -- through it ----------------------------------------------------------------------------------------------

    def _up_to(self, connection: Connection, kept: _Claimed) -> Iterator[Finding]:
        """Compute the root at a checkpoint that was kept elsewhere, from the leaves alone."""
        if kept.size < self.first:
            yield Finding(f"the given checkpoint ends at leaf {kept.size}, before the cut at {self.first}")
            return
        for seals in _chunks(connection, select(_SEALS), _SEALS.c.seq, self.size, below=kept.size):
            for seal in seals:
                yield from self._append(seal)
        if self._edge is None:
            return
        if self.size < kept.size:
            yield Finding(
                f"the log ends at leaf {self.size}, the given checkpoint at {kept.size}: its end was removed",
                (self.size, kept.size - 1),
            )
        elif b64(self._edge.root()) != kept.root:
            yield Finding(
                "the log is not the one of the given checkpoint: something before it was changed",
                (self.first, kept.size - 1),
            )

    def _go_on(self, connection: Connection) -> Iterator[Finding]:
        """Every further leaf with its row; each checkpoint when the leaves have come to it."""
        checkpoints = _flat(_chunks(connection, select(_CHECKPOINTS), _CHECKPOINTS.c.size, self.size))
        checked, following = self.size, next(checkpoints, None)
        if self.first and (following is None or following.size != self.first) and self.size == self.first:
            yield Finding(f"the checkpoint of the cut at leaf {self.first} is missing")
        for seals in _chunks(connection, select(_SEALS), _SEALS.c.seq, self.size):
            rows = _rows_of(connection, seals)
            for seal in seals:
                while following is not None and following.size <= self.size:
                    yield from self._checkpoint(following, checked)
                    checked, following = following.size, next(checkpoints, None)
                yield from self._append(seal)
                yield from self._row(seal, rows.get(seal.event_id))
        while following is not None and following.size <= self.size:
            yield from self._checkpoint(following, checked)
            checked, following = following.size, next(checkpoints, None)
        if following is not None:
            yield Finding(
                f"the log ends at leaf {self.size}, a checkpoint at {following.size}: its end was removed",
                (self.size, following.size - 1),
            )
        elif checked < self.size:
            yield Finding(
                f"no checkpoint covers leaves {checked} to {self.size - 1}", (checked, self.size - 1)
            )

    def _append(self, seal: Row[Any]) -> Iterator[Finding]:
        if seal.seq != self.size:
            last = seal.seq - 1
            many = f"leaves {self.size} to {last} are" if last > self.size else f"leaf {last} is"
            yield Finding(f"{many} missing: no root after that can be computed", (self.size, last))
            self._edge, self.size = None, seal.seq
        if self._edge is not None:
            self._edge.append(bytes(seal.leaf))
        self.size += 1

    def _row(self, seal: Row[Any], row: dict[str, Any] | None) -> Iterator[Finding]:
        self.n_rows += 1
        where = (seal.seq, seal.seq)
        if row is None:
            yield Finding(f"row {seal.event_id} (leaf {seal.seq}, {iso(seal.at)}) was removed", where)
        elif leaf_hash(entry_of(row)) != bytes(seal.leaf):
            shown = f"{row['name']}, {_time(row['at'])}"
            yield Finding(
                f"row {seal.event_id} (leaf {seal.seq}, {shown}) is not what was sealed there", where
            )
        elif row["at"] != seal.at:
            yield Finding(
                f"the seal of row {seal.event_id} (leaf {seal.seq}) has another time than it", where
            )

    def _checkpoint(self, checkpoint: Row[Any], checked: int) -> Iterator[Finding]:
        """A checkpoint against its signature and against the leaves."""
        self.n_checkpoints += 1
        what = f"the checkpoint at leaf {checkpoint.size}"
        root = bytes(checkpoint.root)
        try:
            claims = self._verifier.open(CHECKPOINT, checkpoint.signed)
        except BadSignature as error:
            yield Finding(f"{what} {error}")
        else:
            said = (claims.get("size"), claims.get("root"), claims.get("at"), claims.get("until"))
            if said != (checkpoint.size, b64(root), checkpoint.at, checkpoint.until):
                yield Finding(f"{what} is not what was signed")
            self.last_checkpoint = checkpoint.signed
        if self._edge is None:
            return
        if self._edge.size != checkpoint.size:
            yield Finding(f"{what} does not follow the one before")
        elif self._edge.root() != root:
            yield Finding(
                f"{what} has another root than the leaves: leaves {checked} to {checkpoint.size - 1}, their order or"
                " the checkpoint were changed; no root after that can hold",
                (checked, checkpoint.size - 1),
            )
            self._edge = None

    # -- where it ends -------------------------------------------------------------------------------------------

    def _at_the_end(self, connection: Connection) -> Iterator[Finding]:
        log = connection.execute(select(AuditLog.__table__).where(AuditLog.id == THE_LOG)).one_or_none()
        if log is None:
            if self.size:
                yield Finding("audit_log is empty: the next sealing makes it anew")
        elif log.size != self.size or (self._edge is not None and bytes(log.edge) != self._edge.to_bytes()):
            yield Finding("audit_log is not where the log ends: nothing more can be sealed")

    def _unsealed(self, connection: Connection) -> Iterator[Finding]:
        """Rows without a seal that should have one: put in behind the log's back, or sealing does not run."""
        due = (EVENTS.c.at < self._now - UNSEALED_LEEWAY_S) | (EVENTS.c.at > self._now + _FUTURE_LEEWAY_S)
        query = (
            select(EVENTS.c.id, EVENTS.c.name, EVENTS.c.at)
            .outerjoin(_SEALS, _SEALS.c.event_id == EVENTS.c.id)
            .where(_SEALS.c.event_id.is_(None), due)
            .limit(_MAX_UNSEALED_SAID + 1)
        )
        for n_said, row in enumerate(connection.execute(query)):
            if n_said == _MAX_UNSEALED_SAID:
                yield Finding("further rows are not sealed either", unsealed=True)
                return
            what = f"row {row.id} ({row.name}, {_time(row.at)})"
            yield Finding(f"{what} is not sealed: put in later, or sealing does not run", unsealed=True)


@contextmanager
def _snapshot() -> Iterator[Connection]:
    """A connection that sees the database as it is now, until the end."""
    with db.engine.execution_options(sinwon_snapshot=True).connect() as connection:
        yield connection


def _chunks(
    connection: Connection, query: Select[Any], key: Any, start: int, below: int | None = None
) -> Iterator[list[Row[Any]]]:
    """The rows from this key on, in its order, some at a time."""
    while True:
        some = query.where(key >= start).order_by(key).limit(_CHUNK)
        rows = list(connection.execute(some if below is None else some.where(key < below)))
        if rows:
            yield rows
        if len(rows) < _CHUNK:
            return
        start = rows[-1]._mapping[key] + 1


def _flat(chunks: Iterable[list[Row[Any]]]) -> Iterator[Row[Any]]:
    for chunk in chunks:
        yield from chunk


def _rows_of(connection: Connection, seals: list[Row[Any]]) -> dict[int, dict[str, Any]]:
    """The rows that these seals are of, by id. The times are for PostgreSQL, to look into few partitions."""
    ids = [seal.event_id for seal in seals]
    times = [seal.at for seal in seals]
    near = EVENTS.c.at.between(min(times), max(times))
    found = {
        row.id: dict(zip(COLUMNS, row, strict=True))
        for row in connection.execute(select(EVENTS).where(EVENTS.c.id.in_(ids), near))
    }
    if missing := [event_id for event_id in ids if event_id not in found]:
        # A row whose time was changed is a changed row, not a removed one.
        for row in connection.execute(select(EVENTS).where(EVENTS.c.id.in_(missing))):
            found[row.id] = dict(zip(COLUMNS, row, strict=True))
    return found


def _time(at: int) -> str:
    try:
        return iso(at)
    except (OverflowError, ValueError, OSError):
        return f"at {at}"
