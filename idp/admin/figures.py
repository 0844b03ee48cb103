"""How sign-ins go: counted from the audit, hour by hour, so that a page can say it without reading the audit.

A worker counts each row of the audit once, in the order of their ids. What is counted is in one transaction with how
far (`models.SignInFiguresMark`): a worker that dies between two batches has counted neither twice nor not at all.

On PostgreSQL a row with a smaller id may become visible after one with a larger, since ids are given out before
transactions end. Whoever inserts holds a lock on the table (RowExclusiveLock) from before it gets its id until it is
done. So: look at the newest id, then at who holds such a lock. When none of those holds it any more, every row up to
that id is there. (The sequence must give out ids in order: its cache is 1, which is the default.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import ColumnElement, CursorResult, func, select, text, update
from sqlalchemy.exc import IntegrityError

from idp.clock import Clock
from idp.events import Event
from idp.models import AuditEvent, Portal, SignInFigures, SignInFiguresMark, db, forget, writing

HOUR_S, DAY_S = 3600, 86_400
KEPT_S = 32 * DAY_S
COUNT_EVERY_S = 15
BOUNDS_S: Final = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 3600)
"""How long a sign-in took, at most. What took longer counts as an hour: no login lives so long."""
EVERY_PORTAL: Final = ""
AT_ONCE: Final = "at_once"
"""The reason of a sign-in that nobody had to begin: an earlier presentation answered the portal's request."""

_BATCH = 5000
_MARK = 1
ENDED: Final = frozenset(
    {
        Event.LOGIN_CANCELLED,
        Event.LOGIN_REFUSED,
        Event.CONSENT_REFUSED,
        Event.PRESENTATION_REJECTED,
        Event.WALLET_REFUSED,
        Event.WRONG_BROWSER,
        Event.WRONG_NUMBER,
        Event.REQUEST_REFUSED,
    }
)
"""What keeps people from getting in. Of these a refused presentation, a wallet's refusal and a wrong number may be
followed by a better try."""
_COUNTED = frozenset({Event.LOGIN_STARTED, Event.LOGIN_FINISHED, *ENDED})

# Understood by PostgreSQL and SQLite alike.
_ADD = text(
    """
    INSERT INTO sign_in_figures (client_id, hour, outcome, reason, within_s, n)
    VALUES (:client_id, :hour, :outcome, :reason, :within_s, :n)
    ON CONFLICT (client_id, hour, outcome, reason, within_s) DO UPDATE SET n = sign_in_figures.n + excluded.n
    """
)
_WRITERS = text(
    """
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation = 'audit_event'::regclass AND pid IS DISTINCT FROM pg_backend_pid()
    """
)


class _Key(NamedTuple):
    client_id: str
    hour: int
    outcome: str
    reason: str
    within_s: int


# -- counting --------------------------------------------------------------------------------------------------


class Counting:
    """Counts what the audit has that is not counted yet. Needs the application context."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def count(self, max_s: int) -> int:
        """Count for so many seconds at most; how many rows of the audit that were. The rest is for the next time."""
        began = self._clock()
        mark = _mark(began)
        n_counted = 0
        while 0 <= self._clock() - began < max_s:
            if mark.counted_id >= mark.seen_id:
                _look(mark, self._clock())
            if mark.counted_id >= mark.seen_id or not _all_there(mark):
                break
            n_rows = _count_some(mark)
            n_counted += n_rows or 0
            if n_rows is None:  # another worker is at it, whose lease did not run out after all
                break
        return n_counted


def _mark(now: int) -> SignInFiguresMark:
    """How far it is counted; at the first time, up to where what is kept begins."""
    found = db.session.get(SignInFiguresMark, _MARK, populate_existing=True)
    if found is not None:
        return found
    first = select(AuditEvent.id).where(AuditEvent.at >= now - KEPT_S).order_by(AuditEvent.at).limit(1)
    since = (db.session.scalar(first) or _newest() + 1) - 1
    try:
        with writing() as database:
            database.add(
                SignInFiguresMark(
                    id=_MARK, counted_id=since, seen_id=since, seen_at=now, writers=[], counted_at=0
                )
            )
    except IntegrityError:
        pass  # another worker's first time: its mark is as good
    return db.session.get_one(SignInFiguresMark, _MARK, populate_existing=True)


def _look(mark: SignInFiguresMark, now: int) -> None:
    """Note the newest row, and who is still writing: in this order."""
    db.session.rollback()  # the newest there is now, not in an old snapshot
    newest = _newest()
    writers = _writers()
    with writing() as database:
        values: dict[str, Any] = {"seen_id": newest, "seen_at": now, "writers": writers}
        if newest <= mark.counted_id:
            values["counted_at"] = now
        moved = (
            update(SignInFiguresMark)
            .where(SignInFiguresMark.id == _MARK, SignInFiguresMark.counted_id == mark.counted_id)
            .values(values)
        )
        database.execute(moved.execution_options(synchronize_session=False))
    db.session.refresh(mark)


def _newest() -> int:
    return db.session.scalar(select(func.max(AuditEvent.id))) or 0


def _writers() -> list[str]:
    """Who may have an id and not have written it. On SQLite one writes at a time: ids become visible in order."""
    if db.session.get_bind().dialect.name != "postgresql":
        return []
    return sorted(db.session.scalars(_WRITERS))


def _all_there(mark: SignInFiguresMark) -> bool:
    return not set(mark.writers).intersection(_writers() if mark.writers else ())


def _count_some(mark: SignInFiguresMark) -> int | None:
    """Count a batch; how many rows that were, None when somebody else counted them."""
    before = mark.counted_id
    db.session.rollback()
    rows = db.session.execute(
        select(
            AuditEvent.id,
            AuditEvent.at,
            AuditEvent.name,
            AuditEvent.client_id,
            AuditEvent.reason,
            AuditEvent.detail,
        )
        .where(AuditEvent.id > before, AuditEvent.id <= mark.seen_id)
        .order_by(AuditEvent.id)
        .limit(_BATCH)
    ).all()
    upto = rows[-1].id if len(rows) == _BATCH else mark.seen_id
    counts = Counter(key for row in rows for key in _keys(row))
    with writing() as database:
        values: dict[str, Any] = {"counted_id": upto}
        if upto == mark.seen_id:
            values["counted_at"] = mark.seen_at
        moved = (
            update(SignInFiguresMark)
            .where(SignInFiguresMark.id == _MARK, SignInFiguresMark.counted_id == before)
            .values(values)
        )
        done = database.execute(moved.execution_options(synchronize_session=False))
        if cast("CursorResult[Any]", done).rowcount != 1:
            return None
        if counts:
            database.execute(_ADD, [{**key._asdict(), "n": n} for key, n in sorted(counts.items())])
    db.session.refresh(mark)
    return len(rows)


def _keys(row: Any) -> Iterable[_Key]:
    if row.name not in _COUNTED:
        return
    hour, detail = row.at - row.at % HOUR_S, row.detail or {}
    for client_id in {EVERY_PORTAL, row.client_id or EVERY_PORTAL}:
        if row.name != Event.LOGIN_FINISHED:
            yield _Key(client_id, hour, row.name, row.reason or "", 0)
            continue
        took_s = detail.get("took_s")
        if took_s is None and detail.get("via") == "session":
            yield _Key(client_id, hour, Event.LOGIN_STARTED, AT_ONCE, 0)
        yield _Key(client_id, hour, row.name, "", 0 if took_s is None else within(took_s))


def within(took_s: int) -> int:
    """The bound that a sign-in of so many seconds took at most."""
    return next((bound for bound in BOUNDS_S if took_s <= bound), BOUNDS_S[-1])


def sweep(now: int) -> int:
    """Forget figures that are old; how many rows that were."""
    return forget(SignInFigures, SignInFigures.hour < now - KEPT_S)


# -- reading ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hour:
    """One hour, by its first second."""

    at: int
    n_begun: int
    n_finished: int


@dataclass(frozen=True)
class Failure:
    """Why people did not get in, and how often."""

    outcome: Event
    reason: str
    n: int


@dataclass(frozen=True)
class Figures:
    """The figures of a period. `counted_at`: what happened later is not in it; None: nothing was counted yet."""

    hours: tuple[Hour, ...]
    failures: tuple[Failure, ...]
    took: Mapping[int, int]
    counted_at: int | None

    @property
    def n_begun(self) -> int:
        return sum(hour.n_begun for hour in self.hours)

    @property
    def n_finished(self) -> int:
        return sum(hour.n_finished for hour in self.hours)

    @property
    def success(self) -> float | None:
        """The part of the sign-ins begun that finished; None where none was begun."""
        return min(1.0, self.n_finished / self.n_begun) if self.n_begun else None

    def took_s(self, part: float) -> int | None:
        """In how many seconds, at most, this part of the sign-ins was done; None where no holder was asked."""
        wanted, so_far = part * sum(self.took.values()), 0
        for bound in sorted(self.took):
            so_far += self.took[bound]
            if so_far >= wanted:
                return bound
        return None


def read(now: int, n_hours: int, *, organisation: str | None = None) -> Figures:
    """The last hours up to this one, of every portal or of an organisation's."""
    return read_each(now, (n_hours,), organisation=organisation)[0]


def read_each(now: int, n_hours: Sequence[int], *, organisation: str | None = None) -> list[Figures]:
    """Several periods that end now, asked for at once."""
    last = now - now % HOUR_S
    counted = select(
        SignInFigures.hour,
        SignInFigures.outcome,
        SignInFigures.reason,
        SignInFigures.within_s,
        func.sum(SignInFigures.n).label("n"),
    ).where(
        _of(organisation),
        SignInFigures.hour > last - max(n_hours) * HOUR_S,
        SignInFigures.hour <= last,
    )
    rows = db.session.execute(
        counted.group_by(
            SignInFigures.hour, SignInFigures.outcome, SignInFigures.reason, SignInFigures.within_s
        )
    ).all()
    counted_at = db.session.scalar(select(SignInFiguresMark.counted_at)) or None
    return [_figures(rows, last, n, counted_at) for n in n_hours]


def _figures(rows: Sequence[Any], last: int, n_hours: int, counted_at: int | None) -> Figures:
    first = last - (n_hours - 1) * HOUR_S
    begun, finished, took, failures = (
        Counter[int](),
        Counter[int](),
        Counter[int](),
        Counter[tuple[str, str]](),
    )
    for row in rows:
        if row.hour < first:
            continue
        if row.outcome == Event.LOGIN_STARTED:
            begun[row.hour] += row.n
        elif row.outcome == Event.LOGIN_FINISHED:
            finished[row.hour] += row.n
            if row.within_s:
                took[row.within_s] += row.n
        else:
            failures[row.outcome, row.reason] += row.n
    return Figures(
        hours=tuple(Hour(at, begun[at], finished[at]) for at in range(first, last + 1, HOUR_S)),
        failures=tuple(
            Failure(Event(outcome), reason, n)
            for (outcome, reason), n in sorted(failures.items(), key=lambda one: (-one[1], one[0]))
        ),
        took=took,
        counted_at=counted_at,
    )


def _of(organisation: str | None) -> ColumnElement[bool]:
    if organisation is None:
        return SignInFigures.client_id == EVERY_PORTAL
    return SignInFigures.client_id.in_(select(Portal.client_id).where(Portal.organisation_id == organisation))
