"""The figures of a month: sign-ins by portal and outcome, refusals by reason, what administrators did.

The worker adds each day to `audit_count` once it has been over for an hour; that it did is a row whose key decides.
A report adds up the month's counts and counts what is not among them, mostly today, by itself. Days and months are
UTC's. Counts outlive the rows that retention takes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select
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
_PARTS = (
    ("sign_ins", tuple(SIGN_INS), "client_id"),
    ("refusals", REFUSALS, "reason"),
    ("admin_acts", ADMIN_ACTS, "actor"),
)


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
    """A month; the largest first. `over`: whether more can still happen in it."""

    month: str
    over: bool
    total: SignIns
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


def report(month: Month, *, now: int, client_ids: frozenset[str] | None = None) -> Report:
    """The figures of a month. `client_ids`: sign-ins at these portals only, and nothing else, for an organisation."""
    counts = _counted(month)
    for since, until in _uncounted(month, now):
        counts.update(_count(db.session(), since, until))
    db.session.rollback()  # let go of the snapshot
    portals: dict[str, dict[str, int]] = defaultdict(dict)
    for key, n in counts.items():
        if key.part == "sign_ins" and (client_ids is None or key.of in client_ids):
            portals[key.of][SIGN_INS[Event(key.name)]] = n
    lines = [_sign_ins(client_id, of_it) for client_id, of_it in portals.items()]
    total: Counter[str] = Counter()
    for of_it in portals.values():
        total.update(of_it)
    whole = client_ids is None
    return Report(
        month=str(month),
        over=now >= month.until,
        total=_sign_ins("(all)", total),
        sign_ins=sorted(lines, key=lambda line: (-line.started, line.client_id)),
        refusals=_listed(counts, "refusals") if whole else [],
        admin_acts=_listed(counts, "admin_acts") if whole else [],
    )


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
    for part, events, column in _PARTS:
        of = func.coalesce(EVENTS.c[column], "")
        query = (
            select(EVENTS.c.name, of, func.count())
            .where(EVENTS.c.at >= since, EVENTS.c.at < until)
            .where(EVENTS.c.name.in_([event.value for event in events]))
            .group_by(EVENTS.c.name, of)
        )
        counts.update({_Key(part, name, value): n for name, value, n in session.execute(query)})
    return counts


def _counted(month: Month) -> Counter[_Key]:
    query = select(AuditCount.part, AuditCount.name, AuditCount.of, AuditCount.n)
    rows = db.session.execute(query.where(AuditCount.month == str(month)))
    return Counter({_Key(part, name, of): n for part, name, of, n in rows})


def _uncounted(month: Month, now: int) -> Iterator[tuple[int, int]]:
    """The times of a month, until now, that are not in its counts: from, until."""
    days = select(AuditCountedDay.day).where(
        AuditCountedDay.day >= month.since, AuditCountedDay.day < month.until
    )
    counted = set(db.session.scalars(days))
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


def _sign_ins(client_id: str, of_it: dict[str, int]) -> SignIns:
    return SignIns(client_id, **{outcome: of_it.get(outcome, 0) for outcome in SIGN_INS.values()})


def _listed(counts: Counter[_Key], part: str) -> list[Count]:
    found: Iterable[Count] = (Count(key.name, key.of, n) for key, n in counts.items() if key.part == part)
    return sorted(found, key=lambda count: (-count.n, count.name, count.of))
