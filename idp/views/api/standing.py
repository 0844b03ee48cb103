"""How things stand: the deployment, its sign-ins, and the token that asks."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from idp import __version__
from idp.admin import coming, figures
from idp.admin.condition import condition
from idp.admin.people import MAY, Role
from idp.admin.portals.changes import PortalChanges
from idp.admin.tokens import find
from idp.views.api.operations import Answer, Area, Call, operation


class Standing(msgspec.Struct, frozen=True):
    """Whether people can sign in, part by part; whether a change of a portal takes two people here."""

    version: str
    mode: str
    issuer: str
    able: bool
    parts: dict[str, bool]
    two_people: bool


class TokenShown(msgspec.Struct, frozen=True):
    """The token that asks, without its text. `may`: what its role allows."""

    id: str
    label: str
    role: Role
    organisation: str | None
    created_at: int
    created_by: str | None
    expires_at: int
    may: list[str]


class FiguresAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of how many hours, up to this one."""

    hours: Annotated[int, Meta(ge=1, le=768)] = 24


class HourLine(msgspec.Struct, frozen=True):
    """One hour, by its first second."""

    at: int
    n_begun: int
    n_finished: int


class FailureLine(msgspec.Struct, frozen=True):
    """Why people did not get in, and how often."""

    outcome: str
    reason: str
    n: int


class Figures(msgspec.Struct, frozen=True):
    """Sign-ins of every portal, or of an organisation's. Times are at most so many seconds; null: nobody was asked.

    `counted_at`: what happened later is not in it; null: nothing was counted yet.
    """

    n_begun: int
    n_finished: int
    success: float | None
    p50_s: int | None
    p95_s: int | None
    hours: list[HourLine]
    failures: list[FailureLine]
    n_proposals_waiting: int
    counted_at: int | None


class StandingArea(Area):
    """How things stand."""

    tag = "standing"

    @operation("GET", "/status", None, Standing)
    def show_status(self, call: Call) -> Answer:
        """Whether people can sign in."""
        house = self.house
        now = condition(house.store, house.keys, house.trust)
        settings = house.settings
        return Answer(
            Standing(
                version=__version__,
                mode=settings.mode,
                issuer=settings.issuer,
                able=now.able,
                parts=now.parts,
                two_people=PortalChanges(settings, house.clock).two_people,
            )
        )

    @operation("GET", "/token", None, TokenShown)
    def show_token(self, call: Call) -> Answer:
        """Which token this is, and what it may do."""
        token, admin = find(call.admin.id), call.admin
        return Answer(
            TokenShown(
                id=token.id,
                label=token.label,
                role=token.role,
                organisation=token.organisation,
                created_at=token.created_at,
                created_by=token.created_by,
                expires_at=token.expires_at,
                may=sorted(act.value for act in MAY[admin.role]),
            )
        )

    @operation("GET", "/figures", None, Figures, query=FiguresAsked)
    def show_figures(self, call: Call) -> Answer:
        """How sign-ins go: success, time, failures by reason; and how many changes wait."""
        organisation = call.admin.organisation
        read = figures.read(self.clock(), call.query.hours, organisation=organisation)
        return Answer(
            Figures(
                n_begun=read.n_begun,
                n_finished=read.n_finished,
                success=read.success,
                p50_s=read.took_s(0.5),
                p95_s=read.took_s(0.95),
                hours=[HourLine(one.at, one.n_begun, one.n_finished) for one in read.hours],
                failures=[FailureLine(one.outcome.value, one.reason, one.n) for one in read.failures],
                n_proposals_waiting=coming.proposals_waiting(organisation),
                counted_at=read.counted_at,
            )
        )
