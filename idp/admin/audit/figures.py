"""The figures of a month: sign-ins by portal and outcome, refusals by reason, what administrators did.

The worker adds each day to `audit_count` once it has been over for an hour; that it did is a row whose key decides.
A report adds up the month's counts and counts what is not among them, mostly today, by itself. Days and months are
UTC's. Counts outlive the rows that retention takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, Subquery, case, func, insert, select, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from idp.admin.audit.keeping import Month
from idp.admin.audit.sealing import EVENTS
from idp.events import Event
from idp.models import AuditCount, AuditCountedDay, db, writing

DAY_S = 86_400
_OVER_FOR_S = 3600
_CHUNK = 1000
SIGN_INS = {
    Event.LOGIN_STARTED: "started",
    Event.LOGIN_FINISHED: "finished",
    Event.LOGIN_CANCELLED: "cancelled",
    Event.LOGIN_REFUSED: "refused",
}
REFUSALS = (
    Event.LOGIN_REFUSED,
    Event.PRESENTATION_REJECTED,
    Event.WALLET_REFUSED,
    Event.WRONG_BROWSER,
    Event.WRONG_NUMBER,
    Event.CONSENT_REFUSED,
    Event.REQUEST_REFUSED,
    Event.CODE_REPLAYED,
    Event.CODE_WRONG_CLIENT,
    Event.CODE_REFUSED,
    Event.CLIENT_REFUSED,
    Event.TOKEN_REPLAYED,
    Event.TOKEN_REFUSED,
    Event.USERINFO_REFUSED,
    Event.REGISTRATION_REFUSED,
    Event.ADMIN_REFUSED,
)
ADMIN_ACTS = tuple(
    event for event in Event if event.startswith(("admin.", "portal.")) or event == Event.AUDIT_CUT
)
# Of each part of a report: which events, and by which column they are told apart.
_PARTS = {
    "sign_ins": (tuple(SIGN_INS), "client_id"),
    "refusals": (REFUSALS, "reason"),
    "admin_acts": (ADMIN_ACTS, "actor"),
}


class _Key(NamedTuple):
    part: str
    name: str
    of: str


@dataclass(frozen=True)
class SignIns:
    """Of one portal. What is neither finished, cancelled nor refused was left, or goes on."""

    client_id: str
    started: int
    finished: int
    cancelled: int
    refused: int


@dataclass(frozen=True)
class Count:
    """So many events of a name; `of`: the reason, or the actor; empty where there was none."""

    name: str
    of: str
    n: int


@dataclass(frozen=True)
class Report:
    """A month; the largest first. `over`: whether more can still happen in it. `n_portals`: how many had sign-ins."""

    month: str
    over: bool
    total: SignIns
    n_portals: int
    sign_ins: list[SignIns]
    refusals: list[Count]
    admin_acts: list[Count]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        """For a terminal."""
        outcomes = ("started", "finished", "cancelled", "refused")
        lines = [f"{self.month}{'' if self.over else ' (so far)'}", "", "Sign-ins"]
        lines.append("".join(f"{outcome:>11}" for outcome in outcomes) + "  portal")
        for line in (*self.sign_ins, self.total):
            lines.append(
                "".join(f"{getattr(line, outcome):>11,}" for outcome in outcomes) + f"  {line.client_id}"
            )
        for title, counts in (("Refusals", self.refusals), ("Administration", self.admin_acts)):
            lines += ["", title]
            lines += [f"{count.n:>11,}  {count.name}  {count.of or '-'}" for count in counts] or [
                "       none"
            ]
        return "\n".join(lines)


def report(
    month: Month, *, now: int, client_ids: frozenset[str] | None = None, n_shown: int | None = None
) -> Report:
    """The figures of a month. `client_ids`: sign-ins at these portals only, and nothing else, for an organisation.

    `n_shown`: of so many portals, those with most sign-ins; the total is of all.
    """
    times = list(_uncounted(month, now))
    sign_ins, total, n_portals = _sign_ins(month, times, client_ids, n_shown)
    whole = client_ids is None
    found = Report(
        month=str(month),
        over=now >= month.until,
        total=total,
        n_portals=n_portals,
        sign_ins=sign_ins,
        refusals=_counts(month, times, "refusals") if whole else [],
        admin_acts=_counts(month, times, "admin_acts") if whole else [],
    )
    db.session.rollback()  # let go of the snapshot
    return found


def count_days(now: int, within_days: int) -> int:
    """Add every day that is over to its month's counts, as far back as `within_days`; how many days that were."""
    first = now - within_days * DAY_S
    earliest = db.session.scalar(select(func.min(EVENTS.c.at)).where(EVENTS.c.at >= first))
    counted = set(db.session.scalars(select(AuditCountedDay.day).where(AuditCountedDay.day >= first - DAY_S)))
    db.session.rollback()
    if earliest is None:
        return 0
    days = [
        day
        for day in range(earliest - earliest % DAY_S, now - _OVER_FOR_S - DAY_S + 1, DAY_S)
        if day not in counted
    ]
    for day in days:
        with writing() as session:
            session.execute(insert(AuditCountedDay).values(day=day))
            _add(session, str(Month.of(day)), _count(session, day, day + DAY_S))
    return len(days)


def _add(session: Session, month: str, counts: Counter[_Key]) -> None:
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    adding = make(AuditCount)
    adding = adding.on_conflict_do_update(
        index_elements=["month", "part", "name", "of"], set_={"n": AuditCount.n + adding.excluded.n}
    )
    rows = [{"month": month, **key._asdict(), "n": n} for key, n in sorted(counts.items())]
    for at in range(0, len(rows), _CHUNK):
        session.execute(adding, rows[at : at + _CHUNK])


def _count(session: Session, since: int, until: int) -> Counter[_Key]:
    """The events of this time, read from the audit itself."""
    counts: Counter[_Key] = Counter()
    for part in _PARTS:
        for name, of, n in session.execute(_read(part, since, until)):
            counts[_Key(part, name, of)] = n
    return counts


def _read(part: str, since: int, until: int) -> Select[str, str, int]:
    """By name and portal, reason or actor, from the audit itself."""
    events, column = _PARTS[part]
    of = func.coalesce(EVENTS.c[column], "")
    return (
        select(EVENTS.c.name, of.label("of"), func.count().label("n"))
        .where(EVENTS.c.at >= since, EVENTS.c.at < until)
        .where(EVENTS.c.name.in_([event.value for event in events]))
        .group_by(EVENTS.c.name, of)
    )


def _rows(month: Month, times: Iterable[tuple[int, int]], part: str) -> Subquery:
    """A month's counts, and what of the audit is not among them: name, of, n.

    A day that the worker counts meanwhile is in one of both, since one statement sees one state of the database.
    """
    counted = select(AuditCount.name, AuditCount.of.label("of"), AuditCount.n)
    day = EVENTS.c.at - EVENTS.c.at % DAY_S
    not_counted = day.not_in(_counted_days(month))
    others = (_read(part, since, until).where(not_counted) for since, until in times)
    return union_all(
        counted.where(AuditCount.month == str(month), AuditCount.part == part), *others
    ).subquery()


def _sign_ins(
    month: Month, times: list[tuple[int, int]], client_ids: frozenset[str] | None, n_shown: int | None
) -> tuple[list[SignIns], SignIns, int]:
    """The portals with most sign-ins, the sum of all, and how many portals those are."""
    rows = _rows(month, times, "sign_ins")
    sums = [func.sum(case((rows.c.name == event.value, rows.c.n), else_=0)) for event in SIGN_INS]
    totals = [func.sum(of_one).over() for of_one in sums]
    query = select(rows.c.of, *sums, *totals, func.count().over()).group_by(rows.c.of)
    if client_ids is not None:
        query = query.where(rows.c.of.in_(sorted(client_ids)))
    found = db.session.execute(query.order_by(sums[0].desc(), rows.c.of).limit(n_shown)).all()
    n = len(SIGN_INS)
    lines = [SignIns(row[0], *map(int, row[1 : n + 1])) for row in found]
    total = map(int, found[0][n + 1 : -1]) if found else [0] * n
    lines.sort(key=lambda line: (-line.started, line.client_id))
    return lines, SignIns("(all)", *total), found[0][-1] if found else 0


def _counts(month: Month, times: list[tuple[int, int]], part: str) -> list[Count]:
    rows = _rows(month, times, part)
    found = db.session.execute(
        select(rows.c.name, rows.c.of, func.sum(rows.c.n)).group_by(rows.c.name, rows.c.of)
    )
    counts = [Count(name, of, int(n)) for name, of, n in found]
    return sorted(counts, key=lambda count: (-count.n, count.name, count.of))


def _counted_days(month: Month) -> Select[int]:
    return select(AuditCountedDay.day).where(
        AuditCountedDay.day >= month.since, AuditCountedDay.day < month.until
    )


def _uncounted(month: Month, now: int) -> Iterator[tuple[int, int]]:
    """The times of a month, until now, that are not in its counts: from, until."""
    counted = set(db.session.scalars(_counted_days(month)))
    since: int | None = None
    for day in range(month.since, month.until, DAY_S):
        if day in counted or day > now:
            if since is not None:
                yield since, day
            since = None
        elif since is None:
            since = day
    if since is not None:
        yield since, month.until
