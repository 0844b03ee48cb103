"""The end of a login: who it was, what they agreed to, and that it happened, in one transaction.

What then carries the result to the portal, a code or a device's code, is the caller's. A login buys one result: that
is decided by a row (decision D11), and so is the one use of a pushed request.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session as Database

from idp import claims, consent, receipts, seal
from idp.clock import Clock
from idp.errors import AuthorizationError, LoginError
from idp.events import Event, record
from idp.login import Answer, AuthorizationRequest, Proof
from idp.models import AuditEvent, use_within, writing
from idp.oidc import session_end, verified_claims
from idp.oidc.pushed import take_pushed
from idp.oidc.records import Authorization, Released
from idp.portals import Registration
from idp.session import Session, Sessions
from idp.subject import Subjects

_LOGIN_S = 86_400  # longer than a login can live
_ACCEPTED = (
    select(AuditEvent.id)
    .where(
        AuditEvent.login_id == bindparam("login_id"),
        AuditEvent.name == Event.PRESENTATION_ACCEPTED.value,
        AuditEvent.at >= bindparam("earliest"),  # of its months, not of all of them
    )
    .limit(1)
)


@dataclass(frozen=True)
class FinishedLogin:
    """A login that came to an end.

    `consented` is what the holder ticked now, None where no page was due; `remember`: and not to be asked again.
    `session` is given when the login rests on it. `before` is the session that this browser had, out of the Store,
    when a new presentation takes its place. `began_at`: when the holder was first asked; None where nobody was.
    """

    portal: Registration
    request: AuthorizationRequest
    login_id: str
    answer: Answer
    proof: Proof
    consented: Collection[str] | None
    remember: bool = False
    session: Session | None = None
    before: Session | None = None
    began_at: int | None = None


@dataclass(frozen=True)
class Concluded:
    """What a login amounts to. `session_cookie` None: the browser has its session already."""

    authorization: Authorization
    released: Released
    session_cookie: str | None


class Conclusions:
    """Concludes logins."""

    def __init__(self, subjects: Subjects, sessions: Sessions, clock: Clock) -> None:
        self._subjects = subjects
        self._sessions = sessions
        self._clock = clock

    def conclude(self, finished: FinishedLogin) -> Concluded:
        """What is durable of a login, written; what a portal may learn of it, released.

        Raises AuthorizationError `login_required` when the portal expected somebody else, `invalid_request_uri` when
        its pushed request was used; LoginError `login_finished` when this login has bought its result already.
        """
        portal, request, answer = finished.portal, finished.request, finished.answer
        now = self._clock()
        cookie = None
        session = finished.session
        with writing() as database:
            _take_login(database, finished.login_id, now)
            _note_presentation(database, finished, now)
            take_pushed(database, request, now=now)
            subject_id = self._subjects.find_or_create(database, finished.proof.person_keys, now=now)
            self._check_expected(finished, subject_id)
            if session is None:
                session, cookie = self._sessions.start(
                    database, subject_id, answer, finished.proof, before=finished.before
                )
                session_end.replaced(database, finished.before, session, now=now)
            names, lasts = _agreed(database, finished, subject_id, session.id, now)
            self._sessions.introduce(
                database,
                session,
                client_id=portal.client_id,
                sector=portal.sector,
                is_held=cookie is not None,
            )
        return Concluded(
            Authorization(
                client_id=request.client_id,
                subject_id=subject_id,
                session_id=session.id,
                login_id=finished.login_id,
                auth_time=answer.presented_at,
                acr=answer.acr,
                amr=answer.amr,
                scopes=tuple(scope for scope in request.scopes if scope != consent.OFFLINE or lasts),
                claims=request.claims,
                claims_locales=request.claims_locales,
                resources=request.resources,
                nonce=request.nonce,
                asked_at=request.asked_at,
            ),
            Released(
                claims=claims.release(names, finished.proof.claims),
                verification=verified_claims.verification(
                    finished.proof.evidence, acr=answer.acr, transaction=finished.login_id
                ),
            ),
            cookie,
        )

    def _check_expected(self, finished: FinishedLogin, subject_id: str) -> None:
        expected = finished.request.expected_sub
        # Plain comparison: neither is a secret, and what a portal expects may be any text.
        known = self._subjects.known_as(subject_id, finished.portal, now=self._clock())
        if expected is not None and expected not in known:
            raise AuthorizationError(
                "login_required", "another person is signed in", check="other_person"
            ).to(finished.request.reply_to)


def _agreed(
    database: Database, finished: FinishedLogin, subject_id: str, session_id: str, now: int
) -> tuple[frozenset[str], bool]:
    """The claims to release, and whether the portal may come back on its own. The consent, the end and the receipt are
    recorded."""
    portal, consented = finished.portal, finished.consented
    known: dict[str, Any] = {
        "at": now,
        "client_id": portal.client_id,
        "subject_id": subject_id,
        "login_id": finished.login_id,
    }
    agreed = consent.agreement(portal, finished.request, subject_id, session_id)
    agreed = agreed.limited_to(finished.proof.claims)
    consent_id = agreed.consent_id
    if consented is not None:
        consent_id = consent.give(
            database,
            agreed,
            consented,
            subject_id=subject_id,
            client_id=portal.client_id,
            session_id=session_id,
            remembered=finished.remember,
            at=now,
        )
        given = {"claims": sorted(consented), "remembered": finished.remember}
        record(database, Event.CONSENT_GIVEN, **known, detail=given)
    # Never more than was on the page: the registration may have grown since the holder agreed.
    names = frozenset(agreed.within(consented) if consented is not None else agreed.standing())
    answer = finished.answer
    detail: dict[str, Any] = {"via": answer.via, "acr": answer.acr, "claims": sorted(names)}
    if finished.began_at is not None:
        detail["took_s"] = max(0, now - finished.began_at)
    record(database, Event.LOGIN_FINISHED, **known, detail=detail)
    lasts = agreed.lasts(consented)
    receipts.keep(
        database,
        portal,
        [claim for claim in agreed.asked if claim.name in names],
        subject_id=subject_id,
        login_id=finished.login_id,
        at=now,
        auth_time=answer.presented_at,
        acr=answer.acr,
        offline=lasts,
        consent_id=consent_id,
    )
    return names, lasts


def _note_presentation(database: Database, finished: FinishedLogin, now: int) -> None:
    """The audit says what was accepted, also where the process that accepted it died before its commit.

    `Logins.present` lays the answer into the Store inside its transaction: only there a race can be lost. What the
    Store has and the audit has not is made up for here, before anything comes of it (decision D10).
    """
    answer, portal = finished.answer, finished.portal
    if answer.via == "session":
        return
    which = {"login_id": finished.login_id, "earliest": answer.presented_at - _LOGIN_S}
    if database.connection().scalar(_ACCEPTED, which) is not None:
        return
    detail = {
        "via": answer.via,
        "credential_type": finished.proof.credential_type,
        "acr": answer.acr,
        "late": True,
    }
    record(
        database,
        Event.PRESENTATION_ACCEPTED,
        at=now,
        client_id=portal.client_id,
        login_id=finished.login_id,
        detail=detail,
    )


def _take_login(database: Database, login_id: str, now: int) -> None:
    """A login buys one result: the Store's word for it may be lost in a failover, this row's is not (D11)."""
    if not use_within(database, "login", seal.digest(login_id), now + _LOGIN_S):
        raise LoginError("login_finished", status=409)
