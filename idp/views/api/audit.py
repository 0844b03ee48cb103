"""The audit: searching it, taking it out with a reason, a month's figures, the newest checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from flask import stream_with_context
from msgspec import Meta

from idp.admin import audit as log
from idp.admin import people
from idp.admin.people import Act, Administrator
from idp.views.api.operations import JSON_LINES, Answer, Area, Call, operation
from idp.views.api.portal_changes import Reason
from idp.views.api.portals import Asked
from idp.views.problems import ApiError

Text = Annotated[str, Meta(min_length=1, max_length=255)]
Moment = Annotated[int, Meta(ge=0, le=2**52)]


class Events(Asked, frozen=True):
    """Which events: each member that is there must match. Times are seconds since 1970, `until` not included."""

    client_id: Text | None = None
    name: Text | None = None
    reason: Text | None = None
    actor: Text | None = None
    subject_id: Text | None = None
    login_id: Text | None = None
    correlation_id: Text | None = None
    since: Moment | None = None
    until: Moment | None = None


class EventsAsked(Events, frozen=True):
    """With the page: `after` is the `next` of the one before."""

    after: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class EventsExported(Asked, frozen=True):
    """What to take out, and why, which stays in the audit: name no person."""

    why: Reason
    events: Events = Events()


class EventLine(msgspec.Struct, frozen=True):
    """One event, every column of it."""

    id: int
    at: int
    name: str
    actor: str | None
    client_id: str | None
    subject_id: str | None
    login_id: str | None
    correlation_id: str | None
    ip: str | None
    reason: str | None
    detail: Any


class EventPage(msgspec.Struct, frozen=True):
    """The newest first. `next`: `after` of the next page, null at the end."""

    items: list[EventLine]
    next: str | None


class MonthAsked(Asked, frozen=True):
    """Such as `2026-11` (UTC)."""

    month: Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


class Checkpoint(msgspec.Struct, frozen=True):
    """The newest signed checkpoint of the sealed log (a compact JWS), null before the first one; and the keys.

    Keep it where nobody can change it who can change the database: `idp audit verify --from-checkpoint` proves that
    the log still contains it.
    """

    checkpoint: str | None
    keys: list[dict[str, Any]]


class AuditArea(Area):
    """The audit."""

    tag = "audit"

    @operation("GET", "/audit/events", Act.SEE_AUDIT, EventPage, query=EventsAsked)
    def search_audit(self, call: Call) -> Answer:
        """Events, a page at a time. The audit keeps that they were read."""
        asked: EventsAsked = call.query
        page = log.search(_filter(asked, call.admin), asked.after, asked.limit, now=self.clock())
        return Answer(EventPage([EventLine(**event) for event in page.events], page.next))

    @operation("POST", "/audit/export", Act.SEE_AUDIT, None, media_type=JSON_LINES, body=EventsExported)
    def export_audit(self, call: Call) -> Answer:
        """Everything that matches, the oldest first, a line each. The audit keeps that it was taken out, and why."""
        given: EventsExported = call.body
        events = log.export(_filter(given.events, call.admin), reason=given.why, now=self.clock())
        return Answer(stream_with_context(_encoded(log.written(events, "jsonl"))))

    @operation("GET", "/audit/report", Act.SEE_AUDIT, log.Report, query=MonthAsked)
    def report_month(self, call: Call) -> Answer:
        """Figures of a month: sign-ins by portal and outcome, refusals by reason, administration."""
        try:
            month = log.Month.parse(call.query.month)
        except ValueError as error:
            raise ApiError("invalid") from error
        return Answer(log.report(month, now=self.clock(), client_ids=people.portals_of(call.admin)))

    @operation("GET", "/audit/checkpoint", Act.SEE_SYSTEM, Checkpoint)
    def show_checkpoint(self, call: Call) -> Answer:
        """How far the audit is sealed, signed, and the keys to check that with."""
        return Answer(Checkpoint(log.latest_checkpoint(), log.public_keys()))


def _filter(asked: Events, admin: Administrator) -> log.Filter:
    """Raises log.BadSearch."""
    given = {name: getattr(asked, name) for name in Events.__struct_fields__}
    return log.Filter(**given, client_ids=people.portals_of(admin))


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    for line in lines:
        yield line.encode("utf-8", "surrogatepass")
