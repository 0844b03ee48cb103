"""The first page: is all well, and what comes next. It reads figures, never the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, Response

from idp.admin import coming, figures, people
from idp.admin.coming import Coming
from idp.admin.figures import HOUR_S, Failure, Figures
from idp.admin.people import Act, Administrator
from idp.clock import KST, utc
from idp.events import Event
from idp.oidc import backchannel
from idp.views.console.desk import Desk
from idp.views.messages import N_, message_for, problem_for, spoken

_DAY_H, _WEEK_H = 24, 168
_N_FAILURES = 8
_SOON_S = 14 * 86_400

_OUTCOMES: Final[Mapping[Event, str]] = {
    Event.LOGIN_CANCELLED: N_("Cancelled by the holder"),
    Event.CONSENT_REFUSED: N_("The holder did not agree"),
    Event.LOGIN_REFUSED: N_("Answered to the portal with an error"),
    Event.PRESENTATION_REJECTED: N_("Certificate refused"),
    Event.WALLET_REFUSED: N_("The wallet refused"),
    Event.WRONG_BROWSER: N_("Answered in another browser"),
    Event.WRONG_NUMBER: N_("Wrong confirmation number"),
    Event.REQUEST_REFUSED: N_("Request refused"),
}
_COMING: Final[Mapping[str, str]] = {
    "issuer": N_("Issuer certificate of %(of)s ends"),
    "status": N_("Status certificate of %(of)s ends"),
    "pinned": N_("Pinned signer certificate of %(of)s ends"),
    "signer": N_("Certificate that signs for %(of)s ends"),
    "own": N_("Our certificate for wallets ends"),
    "key_active": N_("The next %(of)s key begins to sign"),
    "key_due": N_("The %(of)s key is replaced"),
    "key_gone": N_("The former %(of)s key goes"),
    "access_token": N_("Initial access token “%(of)s” ends"),
}
_LEADS_TO: Final[Mapping[str, str]] = {
    **dict.fromkeys(("issuer", "status", "pinned", "signer"), "/console/trust/missions/"),
    **dict.fromkeys(("key_active", "key_due", "key_gone"), "/console/keys"),
}


@dataclass(frozen=True)
class Told:
    """A failure in words. `code`: the message that the holder gets, "" where there is none."""

    what: str
    reason: str
    words: str
    code: str
    n: int


@dataclass(frozen=True)
class Next:
    """What comes next, in words, and the page about it."""

    at: int
    what: str
    path: str
    soon: bool


@dataclass(frozen=True)
class Bar:
    """An hour in the chart: heights of what finished and of what did not, in the chart's units."""

    x: float
    label: str
    n_begun: int
    n_finished: int
    finished: float
    other: float


@dataclass(frozen=True)
class Chart:
    """Sign-ins by the hour, drawn: `high` is what the top line stands for."""

    bars: tuple[Bar, ...]
    high: int
    day: str


class Home:
    """`/console`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        door.add_url_rule("", "home", self.desk.guarded(None, self.home))

    def home(self, admin: Administrator) -> Response:
        now = self.desk.clock()
        day, week = figures.read_each(now, (_DAY_H, _WEEK_H), organisation=admin.organisation)
        return self.desk.page(
            "home.html",
            day=day,
            week=week,
            failures=self._failures(week),
            chart=chart(day),
            per_cent=per_cent,
            n_waiting=coming.proposals_waiting(admin.organisation),
            undelivered=self._undelivered(admin),
            next=self._next(now) if admin.may(Act.SEE_SYSTEM) else None,
            now=now,
        )

    def _failures(self, read: Figures) -> list[Told]:
        return [self._told(failure) for failure in read.failures[:_N_FAILURES]]

    def _told(self, failure: Failure) -> Told:
        what, lang = self.desk.text(_OUTCOMES[failure.outcome]), self.desk.frame.lang()
        key = None
        if failure.outcome is Event.PRESENTATION_REJECTED:
            key = problem_for(failure.reason)
        elif failure.outcome is Event.REQUEST_REFUSED:
            key = message_for(failure.reason)
        # A reason without words of its own would be called an error of ours, which it is not.
        if key is None or (key == "internal" and failure.reason != "internal"):
            return Told(what, failure.reason, "", "", failure.n)
        message = spoken(key, lang)
        return Told(what, failure.reason, message.title, message.code, failure.n)

    def _undelivered(self, admin: Administrator) -> tuple[int, int]:
        """How many notices of logout are on their way, and how many were given up."""
        known = people.portals_of(admin)
        stand = backchannel.deliveries(known).values()
        return sum(one.n_waiting + one.n_retried for one in stand), sum(one.n_given_up for one in stand)

    def _next(self, now: int) -> list[Next]:
        house = self.desk.house
        found = coming.listed(
            house.trust.snapshot(),
            house.signer.chain,
            house.keys.listing(),
            rotate_s=house.settings.lifetimes.key_rotate_s,
            now=now,
        )
        return [*self._stale_lists(now), *(self._said(one, now) for one in found)]

    def _stale_lists(self, now: int) -> list[Next]:
        """Status lists whose host does not answer, one line an authority: from when on nobody of it can sign in."""
        ends: dict[str, int] = {}
        for one in self.desk.house.status_lists.kept():
            if one.failed:
                ends[one.mission] = min(
                    one.usable_until or now, ends.get(one.mission, one.usable_until or now)
                )
        what = self.desk.text(N_("The status list of %(of)s cannot be fetched: it is usable until then"))
        found = [
            Next(at, what % {"of": mission}, f"/console/trust/missions/{mission}", soon=True)
            for mission, at in ends.items()
        ]
        return sorted(found, key=lambda one: one.at)

    def _said(self, one: Coming, now: int) -> Next:
        path = _LEADS_TO.get(one.kind, "")
        if path.endswith("/"):
            path += one.of
        ends = one.kind not in {"key_active", "key_due", "key_gone"}
        what = self.desk.text(_COMING[one.kind]) % {"of": one.of}
        return Next(one.at, what, path, soon=ends and one.at <= now + _SOON_S)


def per_cent(part: float | None) -> str:
    """A part of 1, never rounded up to all of it."""
    if part is None:
        return "–"
    shown = int(part * 1000) / 10
    return f"{shown:.0f}%" if shown == int(shown) else f"{shown:.1f}%"


CHART_HEIGHT: Final = 120
_SLOT: Final = 30


def chart(read: Figures) -> Chart:
    """The hours as bars, 30 units wide each and 120 high at most."""
    high = _round_up(max((max(hour.n_begun, hour.n_finished) for hour in read.hours), default=0))
    bars = []
    for place, hour in enumerate(read.hours):
        # What was begun in one hour may finish in the next.
        finished, begun = hour.n_finished, max(hour.n_begun, hour.n_finished)
        bars.append(
            Bar(
                x=place * _SLOT,
                label=utc(hour.at).astimezone(KST).strftime("%H:%M"),
                n_begun=hour.n_begun,
                n_finished=hour.n_finished,
                finished=round(finished * CHART_HEIGHT / high, 1),
                other=round((begun - finished) * CHART_HEIGHT / high, 1),
            )
        )
    last = read.hours[-1].at + HOUR_S - 1
    return Chart(tuple(bars), high, utc(last).astimezone(KST).strftime("%Y-%m-%d"))


def _round_up(n: int) -> int:
    """The next number of one digit and noughts, or 15, 150, …"""
    if n < 10:
        return max(n, 1)
    step = 10
    while True:
        for factor in (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9):
            if n <= factor * step:
                return int(factor * step)
        step *= 10
