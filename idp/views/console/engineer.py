"""For a portal's engineer: why sign-ins failed, and what of the client could be kept better.

Whoever may not know of a portal finds nothing at any of these addresses.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

from flask import Blueprint, Response, request

from idp.admin import conformance, people, portal_events, trials
from idp.admin.people import Act, Administrator
from idp.admin.portal_events import Seen
from idp.portals import Registration
from idp.views import reasons
from idp.views.console.desk import Desk, NotFound
from idp.views.messages import N_

LATELY_S = 7 * 86_400
_LATELY_ROWS = 5_000
_ALIKE = 0.5
LEVELS = {
    "must": N_("must be mended"),
    "should": N_("should be mended"),
    "may": N_("could be better"),
}
_SHOWN = {"problems": N_("What failed"), "all": N_("Everything")}


def known(admin: Administrator, client_id: str) -> Registration:
    """The portal, if this administrator may know of it. Raises NotFound."""
    visible = people.portals_of(admin)
    found = trials.registered(client_id)
    if found is None or (visible is not None and client_id not in visible):
        raise NotFound
    return found


class EngineerPages:
    """`/console/portals/<client_id>/events` and `…/report`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/portals/<client_id>/events", "portal_events", guarded(Act.SEE_PORTALS, self.events))
        rule("/portals/<client_id>/report", "portal_report", guarded(Act.SEE_PORTALS, self.report))

    def events(self, admin: Administrator, client_id: str) -> Response:
        """The latest first, fifty a page; by the reference that an error page shows, where one is given."""
        portal = known(admin, client_id)
        reference = request.args.get("reference", "").strip().lower()[:32]
        shown = request.args.get("show", "") if request.args.get("show") in _SHOWN else "problems"
        names = reasons.EVENTS if reference or shown == "all" else reasons.REFUSALS
        found = portal_events.of(
            client_id,
            names=[str(name) for name in names],
            correlation_id=reference or None,
            before=request.args.get("before"),
            limit=portal_events.PAGE + 1,
        )
        rows = found[: portal_events.PAGE]
        return self.desk.page(
            "portal_events.html",
            portal=portal,
            rows=[self._row(seen) for seen in rows],
            next_place=rows[-1].place if len(found) > len(rows) else None,
            reference=reference,
            show=shown,
            choices=self.desk.choices(_SHOWN),
        )

    def _row(self, seen: Seen) -> dict[str, Any]:
        key, words = reasons.words(seen.name, seen.reason, seen.detail)
        expected, received = (_texts(seen.detail.get(side)) for side in ("expected", "received"))
        return {
            "seen": seen,
            "event": reasons.EVENTS.get(seen.name, seen.name),
            "failed": seen.name in reasons.REFUSALS,
            "key": key or seen.reason,
            "words": words,
            "expected": expected,
            "received": received,
            "parts": differing(expected[0], received[0]) if _alike(expected, received) else None,
        }

    def report(self, admin: Administrator, client_id: str) -> Response:
        """What the registration says, and what the client was seen to do in a week."""
        portal = known(admin, client_id)
        now = self.desk.clock()
        lately = portal_events.of(
            client_id,
            names=[str(name) for name in reasons.EVENTS],
            since=now - LATELY_S,
            limit=_LATELY_ROWS,
        )
        case = conformance.Case(
            portal,
            production=self.desk.frame.settings.mode == "production",
            now=now,
            reachable=self.desk.house.outside.check,
            lately=lately,
        )
        return self.desk.page(
            "portal_report.html",
            portal=portal,
            findings=[
                (finding, reasons.RULES[finding.rule], LEVELS[finding.level])
                for finding in conformance.findings(case)
            ],
            refusals=_counted(lately),
            days=LATELY_S // 86_400,
        )


def _counted(lately: list[Seen]) -> list[dict[str, Any]]:
    """The portal's own mistakes by kind, the most frequent first. `lately` has the newest first."""
    kinds: dict[str, dict[str, Any]] = {}
    for seen in lately:
        key = reasons.key_of(seen.name, seen.reason, seen.detail)
        if key is None or seen.name not in reasons.REFUSALS or key in reasons.NO_FAULT:
            continue
        kind = kinds.setdefault(key, {"key": key, "words": reasons.REASONS[key], "n": 0, "seen": seen})
        kind["n"] += 1
    return sorted(kinds.values(), key=lambda kind: -kind["n"])


def _alike(expected: list[str], received: list[str]) -> bool:
    """Whether both sides are one text each, so near to one another that the difference is what matters."""
    if len(expected) != 1 or len(received) != 1:
        return False
    return SequenceMatcher(None, expected[0], received[0], autojunk=False).ratio() > _ALIKE


def _texts(side: Any) -> list[str]:
    return [str(text) for text in side] if isinstance(side, list) else []


def differing(expected: str, received: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Both texts in pieces; True marks a piece that the other one does not have at this place."""
    here: list[tuple[str, bool]] = []
    there: list[tuple[str, bool]] = []
    for kind, a, b, c, d in SequenceMatcher(None, expected, received, autojunk=False).get_opcodes():
        if b > a:
            here.append((expected[a:b], kind != "equal"))
        if d > c:
            there.append((received[c:d], kind != "equal"))
    return here, there
