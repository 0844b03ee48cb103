"""The end of a session, whoever brings it about: its tokens die and every portal in it will be told.

`end` is the one place where a session's row ends, in one transaction with what follows from it. The Store's record
goes first: where the second half does not happen, the session is found dead by the worker, which makes up for it.

What was granted with `offline_access` outlives the session (OpenID Connect Core 11, Back-Channel Logout 1.0 section
2.7); only `everything` ends that too, and `credential_watch`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, cast

from sqlalchemy import CursorResult, and_, func, select, update
from sqlalchemy.orm import Session as Database

from idp import portals
from idp.clock import Clock
from idp.events import Event, record
from idp.models import Grant, LogoutNotice, SessionPortal, SignedIn, db, forget, writing
from idp.oidc import grants
from idp.session import Session, Sessions

CHECK_EVERY_S = 60
_BATCH = 200
_KEPT_S = 30 * 86400
_CODES_COME_S = 3600
"""For so long after its end a code that was issued in a session may still be redeemed for what outlives it."""


class Reason(StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    EXPIRED = "expired"
    REPLACED = "replaced"
    """Somebody else signed in, in the same browser."""
    ADMIN = "admin"
    HOLDER = "holder"
    """From a list of the holder's own sessions."""
    PAGE = "page"
    """It belonged to a look at the holder's own page, which is no sign-in elsewhere."""
    CREDENTIAL = "credential"
    """The credential behind it was revoked or suspended, or its issuer is no longer trusted."""


_EVERYTHING = {Reason.ADMIN: Event.SESSIONS_ENDED, Reason.HOLDER: Event.HOLDER_SIGNED_OUT}
"""How the audit calls the end of everything that a person has open."""


def end(
    database: Database, session_id: str, *, subject_id: str, reason: Reason, now: int, why: str | None = None
) -> bool:
    """End a session in the caller's transaction; False when it had ended before, and everybody was told.

    Its tokens die with it. A portal is told that has a `backchannel_logout_uri` now and was introduced to the
    session; the worker sends it. `why`: an administrator's own words.
    """
    # The row first: two who end the same session queue here, and the second one finds it done.
    locked = select(SignedIn).where(SignedIn.id == session_id).with_for_update()
    row = database.scalar(locked, execution_options={"populate_existing": True})
    if row is not None and row.ended_at is not None:
        return False
    grants.end_session(database, session_id, now=now)
    told = []
    if row is not None:  # None: it began before sessions had rows
        row.ended_at, row.reason = now, reason.value
        told = _announce(database, row, now)
    detail: dict[str, Any] = {**({"told": told} if told else {}), **({"why": why} if why else {})}
    record(
        database,
        Event.LOGOUT,
        at=now,
        subject_id=subject_id,
        reason=None if reason is Reason.LOGOUT else reason.value,
        detail=detail or None,
    )
    return True


def replaced(database: Database, before: Session | None, session: Session, *, now: int) -> None:
    """End the session that this browser had before, unless it goes on as the new one (`Sessions.start`)."""
    if before is not None and before.id != session.id:
        end(database, before.id, subject_id=before.subject_id, reason=Reason.REPLACED, now=now)


def leave(database: Database, subject_id: str, client_id: str, *, now: int) -> list[str]:
    """A portal is out of a person's sessions, in the caller's transaction; the sessions it was in.

    The sessions go on, and this portal alone is told, as if each had ended: it must not go on serving somebody who has
    withdrawn. `hold` must have been called before, in the same transaction.
    """
    introduced = database.scalars(
        select(SessionPortal)
        .join(SignedIn, SignedIn.id == SessionPortal.session_id)
        .where(
            SignedIn.subject_id == subject_id,
            SignedIn.ended_at.is_(None),
            SessionPortal.client_id == client_id,
        )
    ).all()
    for seen in introduced:
        _tell(database, seen, subject_id, now)
        database.delete(seen)
    database.flush()
    return [seen.session_id for seen in introduced]


def hold(database: Database, subject_id: str) -> None:
    """Keep a person's sessions from ending, and new portals out of them, until the transaction is over.

    Whoever locks grants afterwards does so in the order in which `end` does.
    """
    live = select(SignedIn.id).where(SignedIn.subject_id == subject_id, SignedIn.ended_at.is_(None))
    database.execute(live.order_by(SignedIn.id).with_for_update())


def _announce(database: Database, row: SignedIn, now: int) -> list[str]:
    """A notice to every portal of the session that wants one; their client_ids."""
    introduced = database.scalars(
        select(SessionPortal).where(SessionPortal.session_id == row.id).order_by(SessionPortal.client_id)
    ).all()
    told = []
    for seen in introduced:
        if _tell(database, seen, row.subject_id, now):
            told.append(seen.client_id)
    database.flush()
    return told


def _tell(database: Database, seen: SessionPortal, subject_id: str, now: int) -> bool:
    """A notice to one portal, where it wants one."""
    portal = portals.find(seen.client_id)
    if portal is None or portal.backchannel_logout_uri is None:
        return False
    database.add(
        LogoutNotice(
            client_id=seen.client_id,
            subject_id=subject_id,
            sid=seen.sid,
            created_at=now,
            due_at=now,
            attempts=0,
        )
    )
    return True


class SessionEnds:
    """Ends sessions in both places that know them. Needs the application context."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    def taken(self, session: Session, reason: Reason = Reason.LOGOUT) -> bool:
        """The rest of the end of a session that was just taken out of the Store. See `end`."""
        with writing() as database:
            return end(database, session.id, subject_id=session.subject_id, reason=reason, now=self._clock())

    def everything(self, subject_id: str, reason: Reason, *, why: str | None = None) -> int:
        """End every session of a person, and all they were granted, offline too; how many sessions that were."""
        ids = db.session.scalars(
            select(SignedIn.id).where(SignedIn.subject_id == subject_id, SignedIn.ended_at.is_(None))
        ).all()
        for session_id in ids:
            self._sessions.end_by_id(session_id)
        now = self._clock()
        with writing() as database:
            n_ended = sum(
                end(database, session_id, subject_id=subject_id, reason=reason, now=now, why=why)
                for session_id in ids
            )
            revoked = database.execute(
                update(Grant)
                .where(Grant.subject_id == subject_id, Grant.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            if reason in _EVERYTHING:
                n_grants = cast("CursorResult[Any]", revoked).rowcount
                detail = {"n": n_ended, "grants": n_grants, **({"why": why} if why else {})}
                record(database, _EVERYTHING[reason], at=now, subject_id=subject_id, detail=detail)
        return n_ended

    def one(self, session_id: str, reason: Reason, *, why: str | None = None) -> bool:
        """End one session by its id; False where there is none, or it had ended."""
        subject_id = db.session.scalar(select(SignedIn.subject_id).where(SignedIn.id == session_id))
        if subject_id is None:
            return False
        self._sessions.end_by_id(session_id)
        with writing() as database:
            return end(database, session_id, subject_id=subject_id, reason=reason, now=self._clock(), why=why)

    def at_portal(self, client_id: str, reason: Reason, *, why: str | None, max_s: int) -> tuple[int, int]:
        """End the sessions that this portal was used in, for so many seconds at most; how many, and how many remain.

        The other portals of those sessions are told too: a session is one browser's, not one portal's.
        """
        began, n_ended = self._clock(), 0
        live = (
            select(SignedIn.id)
            .join(SessionPortal, SessionPortal.session_id == SignedIn.id)
            .where(SessionPortal.client_id == client_id, SignedIn.ended_at.is_(None))
        )
        while 0 <= self._clock() - began < max_s:
            ids = db.session.scalars(live.limit(_BATCH)).all()
            n_ended += sum(self.one(session_id, reason, why=why) for session_id in ids)
            if len(ids) < _BATCH:
                break
        db.session.rollback()
        n_left = db.session.scalar(select(func.count()).select_from(live.subquery())) or 0
        with writing() as database:
            detail = {"n": n_ended, "left": n_left, **({"why": why} if why else {})}
            record(database, Event.SESSIONS_ENDED, at=self._clock(), client_id=client_id, detail=detail)
        return n_ended, n_left

    def dead(self, max_s: int = CHECK_EVERY_S) -> int:
        """End the rows of sessions that no longer live: idle, too old, or the Store was emptied; how many.

        A session is looked at every CHECK_EVERY_S; what is not done after `max_s` seconds is for the next time.
        Raises StoreUnavailable: of a Store that does not answer nothing is known.
        """
        began = self._clock()
        n_ended = 0
        while 0 <= self._clock() - began < max_s:
            n_looked_at, n_dead = self._look_at_some()
            n_ended += n_dead
            if n_looked_at < _BATCH:
                break
        return n_ended

    def _look_at_some(self) -> tuple[int, int]:
        """Look after a batch of sessions; how many those were, and how many of them had ended."""
        now = self._clock()
        due = db.session.execute(
            select(SignedIn.id, SignedIn.subject_id, SignedIn.ends_at, SignedIn.checked_at)
            .where(SignedIn.ended_at.is_(None), SignedIn.checked_at <= now - CHECK_EVERY_S)
            .order_by(SignedIn.checked_at)
            .limit(_BATCH)
        ).all()
        alive = [row.id for row in due if row.ends_at > now and self._sessions.lives(row.id)]
        gone = [row for row in due if row.id not in set(alive)]
        if alive:
            with writing() as database:
                database.execute(update(SignedIn).where(SignedIn.id.in_(alive)).values(checked_at=now))
        return len(due), sum(self._found_dead(row.id, row.subject_id, row.checked_at, now) for row in gone)

    def _found_dead(self, session_id: str, subject_id: str, checked_at: int, now: int) -> bool:
        with writing() as database:
            # A new presentation may have brought it back since it was looked at.
            untouched = select(SignedIn.checked_at).where(SignedIn.id == session_id).with_for_update()
            if database.scalar(untouched) != checked_at:
                return False
            return end(database, session_id, subject_id=subject_id, reason=Reason.EXPIRED, now=now)


def sweep(now: int) -> int:
    """Forget sessions that ended long ago; how many rows that were.

    Where its credential stands is forgotten once nothing rests on it: no session, and nothing that outlives one.
    """
    lasting = grants.outlives(SignedIn.id, now)
    with writing() as database:
        database.execute(
            update(SignedIn)
            .where(SignedIn.ended_at < now - _CODES_COME_S, SignedIn.sealed_standing.is_not(None), ~lasting)
            .values(sealed_standing=None)
            .execution_options(synchronize_session=False)
        )
    return forget(SignedIn, and_(SignedIn.ended_at < now - _KEPT_S, ~lasting))
