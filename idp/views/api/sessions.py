"""Signed-in browsers, found by ids alone, their end, and what portals were told of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from idp import portals
from idp.admin import live
from idp.admin.people import Act
from idp.oidc import backchannel, session_end
from idp.views.api.operations import Answer, Area, Call, operation
from idp.views.api.portal_changes import Reason
from idp.views.api.portals import Asked
from idp.views.problems import ApiError, Wrong
from idp.wiring import House

END_MAX_S: Final = 10
Id = Annotated[str, Meta(min_length=1, max_length=64)]
ClientId = Annotated[str, Meta(min_length=1, max_length=255)]


class SessionsAsked(Asked, frozen=True):
    """Sessions behind an id of any kind, or of the kind that `by` says. A name finds nobody."""

    find: Id | None = None
    by: live.By | None = None


class Session(msgspec.Struct, frozen=True):
    """A browser's session. `subject_id` is the id that the audit has."""

    id: str
    subject_id: str
    started_at: int
    ends_at: int
    ended_at: int | None
    reason: str | None
    portals: list[str]


class AtPortal(msgspec.Struct, frozen=True):
    """How many live sessions a portal was used in."""

    client_id: str
    n: int


class Sessions(msgspec.Struct, frozen=True):
    """How many live, the portals with the most, and what was looked for: 100 at most, live ones first."""

    n_live: int
    by_portal: list[AtPortal]
    found: list[Session]


class Ending(Asked, frozen=True):
    """Exactly one of: a session; a person, with every token they gave; a portal, with all that were used there."""

    reason: Reason
    session: Id | None = None
    subject: Id | None = None
    portal: ClientId | None = None


class Ended(msgspec.Struct, frozen=True):
    """How many ended, and how many are left because there were too many for one request: ask again."""

    n_ended: int
    n_left: int


class NoticesAsked(Asked, frozen=True):
    """Notices of logout: of a portal; `failed`: only those that did not arrive."""

    portal: ClientId | None = None
    failed: bool = False
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class Notice(msgspec.Struct, frozen=True):
    """What a portal was told, and how that went."""

    id: int
    client_id: str
    state: Literal["waiting", "delivered", "given up"]
    attempts: int
    created_at: int
    due_at: int | None
    delivered_at: int | None
    last_problem: str | None


class Notices(msgspec.Struct, frozen=True):
    """The newest first."""

    items: list[Notice]


class Replay(Asked, frozen=True):
    """Which to send once more: these, delivered or not, or a portal's that did not arrive."""

    reason: Reason
    ids: Annotated[tuple[Annotated[int, Meta(ge=1, le=2**53)], ...], Meta(max_length=100)] = ()
    portal: ClientId | None = None


class Replayed(msgspec.Struct, frozen=True):
    """How many will be sent again."""

    n: int


class SessionArea(Area):
    """Sessions."""

    tag = "sessions"

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.ends = session_end.SessionEnds(house.sessions, house.clock)

    @operation("GET", "/sessions", Act.SEE_SYSTEM, Sessions, query=SessionsAsked)
    def list_sessions(self, call: Call) -> Answer:
        """How many sessions live, and those behind an id."""
        asked: SessionsAsked = call.query
        found = live.find(asked.find, *([asked.by] if asked.by else [])) if asked.find else []
        sessions = [
            Session(
                one.id,
                one.subject_id,
                one.started_at,
                one.ends_at,
                one.ended_at,
                one.reason,
                list(one.portals),
            )
            for one in found
        ]
        return Answer(Sessions(live.count(), [AtPortal(*one) for one in live.by_portal(20)], sessions))

    @operation("POST", "/sessions/end", Act.CHANGE_SYSTEM, Ended, body=Ending, missing=True)
    def end_sessions(self, call: Call) -> Answer:
        """End a session, a person's, or those at a portal. Portals that asked to be told hear of it at once."""
        given: Ending = call.body
        if sum(one is not None for one in (given.session, given.subject, given.portal)) != 1:
            raise ApiError("invalid", [Wrong("", "exactly one of session, subject and portal")])
        reason, n_left = session_end.Reason.ADMIN, 0
        if given.session is not None:
            _known(live.find(given.session, "session"))
            n_ended = int(self.ends.one(given.session, reason, why=given.reason))
        elif given.subject is not None:
            _known(live.find(given.subject, "subject"))
            n_ended = self.ends.everything(given.subject, reason, why=given.reason)
        else:
            _known(portals.find(given.portal or ""))
            n_ended, n_left = self.ends.at_portal(
                given.portal or "", reason, why=given.reason, max_s=END_MAX_S
            )
        self.house.store.publish(backchannel.WAKE)
        return Answer(Ended(n_ended, n_left))

    @operation("GET", "/logout-notices", Act.SEE_SYSTEM, Notices, query=NoticesAsked)
    def list_notices(self, call: Call) -> Answer:
        """What portals were told about the end of sessions."""
        asked: NoticesAsked = call.query
        found = backchannel.ledger(client_id=asked.portal, failed=asked.failed, limit=asked.limit)
        return Answer(
            Notices(
                [Notice(**{name: getattr(one, name) for name in Notice.__struct_fields__}) for one in found]
            )
        )

    @operation("POST", "/logout-notices/replay", Act.CHANGE_SYSTEM, Replayed, body=Replay)
    def replay_notices(self, call: Call) -> Answer:
        """Tell a portal again."""
        given: Replay = call.body
        if not given.ids and given.portal is None:
            raise ApiError("invalid", [Wrong("", "ids or portal")])
        n = backchannel.replay(given.ids, client_id=given.portal, now=self.clock(), reason=given.reason)
        self.house.store.publish(backchannel.WAKE)
        return Answer(Replayed(n))


def _known(found: object) -> None:
    if not found:
        raise ApiError("not_found")
