"""The audit: searching it, taking it out with a reason, a month's figures. Reading is itself recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request, stream_with_context

from idp.admin import audit as log
from idp.admin import people
from idp.admin.month import MAX_LINES, particulars
from idp.admin.people import Act, Administrator
from idp.clock import KST, utc
from idp.views.console.desk import Desk, field
from idp.views.messages import N_

PATH = "/console/audit"
_FIELDS = ("client_id", "name", "reason", "actor", "login_id", "correlation_id", "since", "until")
_SHOWN_PORTALS = 100
_MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/jsonl"}
_NOT_FOUND_SO = N_("This cannot be searched for. Check what you typed.")
_NO_REASON = N_(
    "Say why you take it out, in 1 to 255 visible characters. It stays in the audit: name no person."
)


class AuditPages:
    """`/console/audit`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/audit", "audit", guarded(Act.SEE_AUDIT, self.search))
        rule("/audit/export", "export", guarded(Act.SEE_AUDIT, self.export), methods=["POST"])
        rule("/audit/report", "report", guarded(Act.SEE_AUDIT, self.report))

    def search(self, admin: Administrator) -> Response:
        given = {name: request.args.get(name, "").strip() for name in _FIELDS}
        try:
            asked = _filter(given, admin)
            page = log.search(asked, request.args.get("after") or None, now=self.desk.clock())
        except log.BadSearch:
            return self._page(given, log.Page([], None), problem=_NOT_FOUND_SO)
        return self._page(given, page)

    def export(self, admin: Administrator) -> Response:
        given = {name: field(name) for name in _FIELDS}
        form: log.Format = "jsonl" if field("format") == "jsonl" else "csv"
        try:
            asked = _filter(given, admin)
        except log.BadSearch:
            return self._page(given, log.Page([], None), problem=_NOT_FOUND_SO)
        try:
            events = log.export(asked, reason=field("why"), now=self.desk.clock())
        except log.BadSearch:
            return self._page(given, log.Page([], None), problem=_NO_REASON)
        response = Response(
            stream_with_context(_encoded(log.written(events, form))), mimetype=_MEDIA_TYPES[form]
        )
        day = utc(self.desk.clock()).strftime("%Y-%m-%d")
        response.headers["Content-Disposition"] = f'attachment; filename="sinwon-audit-{day}.{form}"'
        return response

    def report(self, admin: Administrator) -> Response:
        now = self.desk.clock()
        try:
            month = log.Month.parse(request.args.get("month", ""))
        except ValueError:
            month = log.Month.of(now)
        figures = log.report(month, now=now, client_ids=people.portals_of(admin), n_shown=_SHOWN_PORTALS)
        more = particulars(month, admin, now=now)
        return self.desk.page(
            "audit_report.html",
            figures=figures,
            n_more=figures.n_portals - len(figures.sign_ins),
            months=_months(now),
            more=more,
            max_lines=MAX_LINES,
            called=self.desk.called([*more.actors, *(count.of for count in figures.admin_acts)]),
        )

    def _page(self, given: dict[str, str], page: log.Page, *, problem: str | None = None) -> Response:
        after = None
        if page.next is not None:
            kept = {name: value for name, value in given.items() if value}
            after = f"{PATH}?{urlencode({**kept, 'after': page.next})}"
        return self.desk.page(
            "audit.html",
            status=400 if problem else 200,
            given=given,
            events=page.events,
            called=self.desk.called(event["actor"] for event in page.events),
            after=after,
            names=log.catalogue(),
            searched=any(given.values()),
            problem=self.desk.text(problem) if problem else None,
        )


def _filter(given: dict[str, str], admin: Administrator) -> log.Filter:
    """Raises log.BadSearch."""
    asked: dict[str, Any] = {name: value for name, value in given.items() if value}
    if "actor" in asked and (actors := people.called(asked["actor"], organisation=admin.organisation)):
        del asked["actor"]
        asked["actors"] = actors
    for name in ("since", "until"):
        if name in asked:
            asked[name] = _moment(asked[name])
    return log.Filter(**asked, client_ids=people.portals_of(admin))


def _moment(text: str) -> int:
    """A time as a browser's field sends it, in Korea's time. Raises log.BadSearch."""
    try:
        found = datetime.fromisoformat(text)
        return int((found if found.tzinfo else found.replace(tzinfo=KST)).timestamp())
    except (ValueError, OverflowError) as error:
        raise log.BadSearch("not a time") from error


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    for line in lines:
        yield line.encode("utf-8", "surrogatepass")


def _months(now: int) -> list[str]:
    """This one and the two years before it, the newest first."""
    this = utc(now)
    numbers = range(this.year * 12 + this.month - 1, this.year * 12 + this.month - 26, -1)
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in numbers]
