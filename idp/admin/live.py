"""Which sessions live, and whose: found by what a help desk is told or a log says, never by a name.

A session's holder is the random id that the audit has. What ends a session is `idp.oidc.session_end`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import func, or_, select

from idp.events import Event
from idp.models import AuditEvent, SessionPortal, SignedIn, db

By = Literal["session", "sid", "subject", "login", "correlation"]
WAYS: Final[tuple[By, ...]] = ("session", "sid", "subject", "login", "correlation")
_MAX = 100
_MAX_CHARS = 64


@dataclass(frozen=True)
class LiveSession:
    """A browser's session and the portals it was used at. `ended_at`: None while nobody has found it ended."""

    id: str
    subject_id: str
    started_at: int
    ends_at: int
    ended_at: int | None
    reason: str | None
    portals: tuple[str, ...]


def count() -> int:
    """How many sessions live, as far as the worker knows: it looks at each once a minute."""
    return db.session.scalar(select(func.count()).where(SignedIn.ended_at.is_(None))) or 0


def by_portal(limit: int = 50) -> list[tuple[str, int]]:
    """How many live sessions each portal was used in, the most first."""
    n = func.count().label("n")
    live = (
        select(SessionPortal.client_id, n)
        .join(SignedIn, SignedIn.id == SessionPortal.session_id)
        .where(SignedIn.ended_at.is_(None))
        .group_by(SessionPortal.client_id)
        .order_by(n.desc(), SessionPortal.client_id)
        .limit(limit)
    )
    return [(client_id, count) for client_id, count in db.session.execute(live)]


def find(text: str, *by: By) -> list[LiveSession]:
    """The sessions behind an id of one of these kinds, or of any: live ones first, then the latest; 100 at most.

    by: `session` (its own id), `sid` (a portal's name for it), `subject` (whose), `login` or `correlation` (of whom
    signed in with that).
    """
    if not 0 < len(text) <= _MAX_CHARS or "\0" in text:
        return []
    ways = by or WAYS
    wanted = []
    if "session" in ways:
        wanted.append(SignedIn.id == text)
    if "sid" in ways:
        wanted.append(SignedIn.id.in_(select(SessionPortal.session_id).where(SessionPortal.sid == text)))
    if subjects := _subjects(text, ways):
        wanted.append(SignedIn.subject_id.in_(subjects))
    if not wanted:
        return []
    found = select(SignedIn).where(or_(*wanted))
    found = found.order_by(SignedIn.ended_at.is_not(None), SignedIn.started_at.desc()).limit(_MAX)
    rows = db.session.scalars(found, execution_options={"populate_existing": True}).all()
    portals = _portals([row.id for row in rows])
    return [
        LiveSession(
            row.id,
            row.subject_id,
            row.started_at,
            row.ends_at,
            row.ended_at,
            row.reason,
            portals.get(row.id, ()),
        )
        for row in rows
    ]


def _subjects(text: str, ways: Sequence[str]) -> set[str]:
    found = {text} if "subject" in ways else set()
    logins = {text} if "login" in ways else set()
    if "correlation" in ways:
        about = select(AuditEvent.subject_id, AuditEvent.login_id).where(AuditEvent.correlation_id == text)
        for subject_id, login_id in db.session.execute(about.limit(_MAX)):
            found |= {subject_id} if subject_id is not None else set()
            logins |= {login_id} if login_id is not None else set()
    if logins:
        finished = select(AuditEvent.subject_id).where(
            AuditEvent.login_id.in_(logins),
            AuditEvent.name == Event.LOGIN_FINISHED,
            AuditEvent.subject_id.is_not(None),
        )
        found |= {one for one in db.session.scalars(finished) if one is not None}
    return found


def _portals(session_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    rows = db.session.execute(
        select(SessionPortal.session_id, SessionPortal.client_id)
        .where(SessionPortal.session_id.in_(session_ids))
        .order_by(SessionPortal.client_id)
    )
    found: dict[str, tuple[str, ...]] = {}
    for session_id, client_id in rows:
        found[session_id] = (*found.get(session_id, ()), client_id)
    return found
