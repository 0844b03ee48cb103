"""Searching the audit and taking it out, both of which are themselves audited before anything is shown.

The newest come first, a page at a time. A page goes on after the last event of the one before (keyset), never by
counting: the ten-thousandth costs what the first one does, and rows that are written meanwhile move nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ARRAY, Select, String, cast, func, select, true, tuple_, union_all

from idp.admin.audit.sealing import COLUMNS, EVENTS
from idp.events import Event, record_alone
from idp.models import db

MAX_PAGE = 500
MAX_REASON_CHARS = 255
_MAX_PROBED_PORTALS = {"postgresql": 1000, "sqlite": 100}
_STREAMED = 1000
_ID = re.compile(r"[A-Za-z0-9_-]{1,43}")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CURSOR = re.compile(r"(-?\d{1,18})\.(-?\d{1,18})")


class BadSearch(ValueError):
    """What is searched for cannot be; the message names the field and never its value."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which events. Every field that is set must match.

    `since` is included, `until` not; both in seconds since the epoch. `client_ids`: only events of these portals, as
    an organisation may see them (then events without a portal are not found); None: everything. `actors`: done by one
    of these.
    """

    actor: str | None = None
    client_id: str | None = None
    name: str | None = None
    reason: str | None = None
    subject_id: str | None = None
    login_id: str | None = None
    correlation_id: str | None = None
    since: int | None = None
    until: int | None = None
    client_ids: frozenset[str] | None = None
    actors: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Raises BadSearch."""
        if self.name is not None and self.name not in set(Event):
            raise BadSearch("name: no such event")
        for field in ("subject_id", "login_id", "correlation_id"):
            if (value := getattr(self, field)) is not None and not _ID.fullmatch(value):
                raise BadSearch(f"{field}: 1 to 43 letters, digits, - and _")
        if self.reason is not None and not _WORD.fullmatch(self.reason):
            raise BadSearch("reason: 1 to 64 letters, digits, _ . : and -")
        for field in ("actor", "client_id"):
            if (value := getattr(self, field)) is not None and not (
                0 < len(value) <= 255 and "\0" not in value
            ):
                raise BadSearch(f"{field}: 1 to 255 characters")
        for field in ("since", "until"):
            if (value := getattr(self, field)) is not None and not -(2**53) < value < 2**53:
                raise BadSearch(f"{field}: not a time")

    def noted(self) -> dict[str, Any]:
        """What the audit keeps of it: what was asked for, but of what people type freely only that they did."""
        kept: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name == "client_ids":
                kept["n_portals"] = len(value)
            elif field.name == "actors":
                kept["actor"] = "(given)"
            else:
                kept[field.name] = "(given)" if field.name in {"actor", "client_id"} else value
        return kept


@dataclass(frozen=True)
class Page:
    """Events, the newest first, each with every column of `audit_event`. `next`: `after` of the next page, if any."""

    events: list[dict[str, Any]]
    next: str | None


def catalogue() -> list[str]:
    """The names of every event there can be."""
    return sorted(event.value for event in Event)


def search(filter: Filter, after: str | None = None, limit: int = 50, *, now: int) -> Page:
    """A page of what the filter finds; 1 to 500 events. Nothing is shown before `admin.audit_read` is written.

    Raises BadSearch, also for an `after` that is none.
    """
    limit = max(1, min(limit, MAX_PAGE))
    query = _newest_first(filter, None if after is None else _cursor(after), limit + 1)
    rows = [] if query is None else db.session.execute(query).all()
    found = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    # After looking, so that a page does not begin with its own reading; before anything of it is shown.
    record_alone(Event.AUDIT_READ, at=now, client_id=_portal(filter), detail={"filter": filter.noted()})
    if len(found) <= limit:
        return Page(found, None)
    last = found[limit - 1]
    return Page(found[:limit], f"{last['at']}.{last['id']}")


def export(filter: Filter, *, reason: str, now: int) -> Iterator[dict[str, Any]]:
    """Everything that the filter finds, the oldest first, in constant memory. `admin.audit_exported` comes first.

    `reason`: why, in 1 to 255 printable characters; it stays in the audit and names no person. Raises BadSearch, here
    and not while iterating.
    """
    if not reason.strip() or len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise BadSearch(f"the reason: 1 to {MAX_REASON_CHARS} printable characters")
    detail = {"filter": filter.noted(), "why": reason}
    record_alone(Event.AUDIT_EXPORTED, at=now, client_id=_portal(filter), detail=detail)
    return _stream(filter)


def _stream(filter: Filter) -> Iterator[dict[str, Any]]:
    query = (
        select(EVENTS).where(*_conditions(filter), *_of_portals(filter)).order_by(EVENTS.c.at, EVENTS.c.id)
    )
    with db.engine.connect() as connection:
        # A cursor at the server on PostgreSQL; SQLite steps through its rows anyway.
        streaming = connection.execution_options(stream_results=True, yield_per=_STREAMED)
        for row in streaming.execute(query):
            yield dict(zip(COLUMNS, row, strict=True))


def _newest_first(filter: Filter, after: tuple[int, int] | None, limit: int) -> Select[Any] | None:
    """The query of a page; None where nothing can be found.

    Few portals are asked one by one, each by its own index, and what they have is merged: taken together, a database
    would read all that they ever did, or all that everybody did lately.
    """
    conditions = _conditions(filter)
    if after is not None:
        # The first condition is implied by the second; it spares PostgreSQL the partitions of later months.
        conditions += [EVENTS.c.at <= after[0], tuple_(EVENTS.c.at, EVENTS.c.id) < tuple_(*after)]
    portals = _portals(filter)
    database = db.engine.dialect.name
    if portals is None or len(portals) > _MAX_PROBED_PORTALS[database]:
        return _ordered(EVENTS, [*conditions, *_of_portals(filter)], limit)
    if not portals:
        return None
    if len(portals) == 1:
        return _ordered(EVENTS, [*conditions, EVENTS.c.client_id == next(iter(portals))], limit)
    if database == "postgresql":
        asked = (
            func.unnest(cast(sorted(portals), ARRAY(String)))
            .table_valued("client_id", name="asked")
            .render_derived()
        )
        of_one = _ordered(EVENTS, [*conditions, EVENTS.c.client_id == asked.c.client_id], limit).lateral()
        found = select(of_one).select_from(asked.join(of_one, true())).subquery()
        return _ordered(found, [], limit)
    parts = [
        select(_ordered(EVENTS, [*conditions, EVENTS.c.client_id == portal], limit).subquery())
        for portal in sorted(portals)
    ]
    return _ordered(union_all(*parts).subquery(), [], limit)


def _ordered(table: Any, conditions: list[Any], limit: int) -> Select[Any]:
    return select(table).where(*conditions).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)


def _conditions(filter: Filter) -> list[Any]:
    """All but the portals."""
    equal = ("actor", "name", "reason", "subject_id", "login_id", "correlation_id")
    conditions: list[Any] = [
        EVENTS.c[field] == value for field in equal if (value := getattr(filter, field)) is not None
    ]
    if filter.actors is not None:
        conditions.append(EVENTS.c.actor.in_(sorted(filter.actors)))
    if filter.since is not None:
        conditions.append(EVENTS.c.at >= filter.since)
    if filter.until is not None:
        conditions.append(EVENTS.c.at < filter.until)
    return conditions


def _portals(filter: Filter) -> frozenset[str] | None:
    """The portals whose events are asked for and may be seen; None: everything."""
    if filter.client_id is None:
        return filter.client_ids
    asked = frozenset({filter.client_id})
    return asked if filter.client_ids is None else asked & filter.client_ids


def _of_portals(filter: Filter) -> list[Any]:
    portals = _portals(filter)
    return [] if portals is None else [EVENTS.c.client_id.in_(sorted(portals))]


def _portal(filter: Filter) -> str | None:
    """The one portal that was asked about, where it is one of ours: an auditor finds the reading there."""
    portals = _portals(filter)
    if portals is None or len(portals) != 1:
        return None
    [client_id] = portals
    return client_id if _is_known(client_id) else None


def _is_known(client_id: str) -> bool:
    seen = select(EVENTS.c.id).where(EVENTS.c.client_id == client_id).limit(1)
    return db.session.execute(seen).first() is not None


def _cursor(after: str) -> tuple[int, int]:
    found = _CURSOR.fullmatch(after)
    if found is None:
        raise BadSearch("after: not a place in the audit")
    return int(found[1]), int(found[2])
