"""Whether the credentials still hold that sessions rest on, and what was granted beyond them.

At a sign-in a credential is checked once; the session and its tokens go on from there for hours, an offline grant for
weeks. Whoever is asked to stop trusting a credential must not wait for that: its issuer revokes or suspends it, or the
trust registry lets go of the issuer. Then the session ends as it does at a logout, its portals are told, and offline
grants of that session end with it: what they release was believed on the word of that credential alone.

"We could not ask" is never "revoked": a list that cannot be had changes nothing, and neither does an entry that says
neither. A round asks for each list once, however many sessions stand on it, and a registry of DIDs for each credential
until it does not answer; when a round has no time left, the next one goes on from there.

Where a session's credential stands is sealed in its row (`Sessions.standing`).
"""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import and_, or_, select

from idp import seal
from idp.clock import Clock
from idp.credentials import (
    CredentialRejected,
    Mission,
    Reason,
    Registry,
    RegistryUnavailable,
    StatusLists,
    TrustSnapshot,
    opendid,
)
from idp.credentials.status import StatusList, StatusValue, TokenType
from idp.events import Event, record
from idp.login import Standing
from idp.models import SignedIn, db, writing
from idp.oidc import grants, session_end
from idp.session import Sessions

log = logging.getLogger("idp")

_BATCH = 200
_WITHDRAWN = {StatusValue.REVOKED: Reason.STATUS_REVOKED, StatusValue.SUSPENDED: Reason.STATUS_SUSPENDED}
_SAYS_NOTHING = {Reason.STATUS_UNKNOWN, Reason.STATUS_INVALID, Reason.STATUS_TOKEN}


@dataclass(frozen=True)
class Watched:
    """A session, or what it left behind, with the sealed standing of its credential as it was read."""

    id: str
    subject_id: str
    sealed_standing: str


@dataclass
class Round:
    """How a round went. `unknown`: how many credentials could not be asked about, by mission; "" where it is not
    known either."""

    n_looked_at: int = 0
    n_withdrawn: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    lists: dict[tuple[str, str, str], StatusList | None] = field(default_factory=dict, repr=False)
    registry_is_away: bool = False


class CredentialWatch:
    """Looks after the credentials behind sessions and offline grants. Needs the application context."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        trust: Callable[[], TrustSnapshot],
        status: StatusLists,
        registry: Registry | None,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._trust = trust
        self._status = status
        self._registry = registry
        self._clock = clock
        self._after = ""

    def round(self, max_s: int) -> Round:
        """Look at each credential once, for `max_s` seconds at most and one fetch of a list.

        Raises TrustDocumentError, StoreUnavailable: then of no further one anything is known.
        """
        done = Round()
        until = self._clock() + max_s
        while batch := self._batch():
            for watched in batch:
                if self._clock() >= until:
                    self._say(done)
                    return done
                self._look_at(watched, done)
                self._after = watched.id
            if len(batch) < _BATCH:
                break
        self._after = ""
        self._say(done)
        return done

    def _batch(self) -> Sequence[Watched]:
        now = self._clock()
        lives = and_(SignedIn.ended_at.is_(None), SignedIn.ends_at > now)
        rows = db.session.execute(
            select(SignedIn.id, SignedIn.subject_id, SignedIn.sealed_standing)
            .where(SignedIn.sealed_standing.is_not(None), SignedIn.id > self._after)
            .where(or_(lives, grants.outlives(SignedIn.id, now)))
            .order_by(SignedIn.id)
            .limit(_BATCH)
        ).all()
        db.session.rollback()  # no snapshot of the database is held while lists are fetched
        return [Watched(row.id, row.subject_id, row.sealed_standing or "") for row in rows]

    def _look_at(self, watched: Watched, done: Round) -> None:
        done.n_looked_at += 1
        mission = ""
        try:
            standing = self._sessions.standing(watched.id, watched.sealed_standing)
            mission = standing.mission
            self._check(standing, done)
        except (seal.CannotOpen, msgspec.DecodeError):
            done.unknown[mission] = done.unknown.get(mission, 0) + 1
        except CredentialRejected as error:
            if error.reason in _SAYS_NOTHING:
                done.unknown[mission] = done.unknown.get(mission, 0) + 1
            elif self._withdraw(watched, error.reason):
                done.n_withdrawn += 1

    def _check(self, standing: Standing, done: Round) -> None:
        """Raises CredentialRejected where the credential would be refused today, or nothing can be said."""
        chain = tuple(b64decode(text) for text in standing.chain)
        now = self._clock()
        mission = self._trust().check_standing(
            standing.credential_type, standing.format, standing.mission, chain, now
        )
        if not standing.uri:
            return
        if not standing.token_type:
            opendid.check_active(self._meta(standing.uri, done))
            return
        value = self._list(standing, mission, done).value(standing.idx)
        if value in _WITHDRAWN:
            raise CredentialRejected(_WITHDRAWN[StatusValue(value)])
        if value != StatusValue.VALID:
            raise CredentialRejected(Reason.STATUS_INVALID, "a value we do not know")

    def _meta(self, vc_id: str, done: Round) -> Mapping[str, Any]:
        if self._registry is None or done.registry_is_away:
            raise CredentialRejected(Reason.STATUS_UNKNOWN)
        try:
            meta = self._registry.vc_meta(vc_id)
        except RegistryUnavailable:
            done.registry_is_away = True
            raise CredentialRejected(Reason.STATUS_UNKNOWN) from None
        if meta.get("id") != vc_id:
            raise CredentialRejected(Reason.STATUS_INVALID, "the registry speaks of another credential")
        return meta

    def _list(self, standing: Standing, mission: Mission, done: Round) -> StatusList:
        key = (standing.uri, standing.token_type, mission.code)
        if key not in done.lists:
            done.lists[key] = self._fetched(standing, mission)
        found = done.lists[key]
        if found is None:
            raise CredentialRejected(Reason.STATUS_UNKNOWN)
        return found

    def _fetched(self, standing: Standing, mission: Mission) -> StatusList | None:
        try:
            token_type = TokenType(standing.token_type)
            return self._status.current(standing.uri, mission, self._clock(), token_type=token_type)
        except (CredentialRejected, ValueError):  # a ValueError: a newer release's type of token
            return None

    def _withdraw(self, watched: Watched, reason: Reason) -> bool:
        """End what rests on a credential; False where nothing does any more."""
        with writing() as database:
            now = self._clock()
            locked = select(SignedIn).where(SignedIn.id == watched.id).with_for_update()
            row = database.scalar(locked, execution_options={"populate_existing": True})
            # A new presentation may have taken its place since it was looked at.
            if row is None or row.sealed_standing != watched.sealed_standing:
                return False
            lived = row.ended_at is None
            n_grants = grants.revoke_session(database, watched.id, now=now)
            if not lived and not n_grants:
                return False
            record(
                database,
                Event.CREDENTIAL_WITHDRAWN,
                at=now,
                subject_id=watched.subject_id,
                reason=reason.value,
                detail={"grants": n_grants},
            )
            if lived:
                self._sessions.end_by_id(watched.id)
                session_end.end(
                    database,
                    watched.id,
                    subject_id=watched.subject_id,
                    reason=session_end.Reason.CREDENTIAL,
                    now=now,
                )
        return True

    @staticmethod
    def _say(done: Round) -> None:
        if done.unknown:
            missions = ", ".join(sorted(code or "unreadable" for code in done.unknown))
            n_unknown = sum(done.unknown.values())
            log.warning(
                "credential watch: of %s credentials %s could not be asked about (%s); they count as before",
                done.n_looked_at,
                n_unknown,
                missions,
            )
