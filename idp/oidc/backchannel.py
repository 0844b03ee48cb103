"""Telling portals that a session has ended (OpenID Connect Back-Channel Logout 1.0).

`idp.oidc.session_end` writes a `models.LogoutNotice` with the end itself; here it is delivered, by whichever worker
leases it. A notice whose worker dies is sent again when the lease has run out: a portal may hear of an end twice,
never not at all. Each attempt has a token of its own: a portal that recorded a `jti` and then failed would refuse it
the second time.

The rows stay as a ledger: delivered (`delivered_at`), waiting (`due_at`) or given up (neither).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlencode

from sqlalchemy import CursorResult, func, or_, select, update

from idp import portals, seal
from idp.clock import Clock
from idp.events import Event, record
from idp.fetch import FetchError, FetchRefused, GuardedClient
from idp.hsm import HsmError
from idp.keys import NoSigningKey
from idp.models import LogoutNotice, db, forget, writing
from idp.oidc.portal_keys import NoUsableKey
from idp.oidc.wrapping import Wrapping
from idp.portals import Registration
from idp.settings import Settings
from idp.subject import Subjects

log = logging.getLogger("idp")

WAKE = "logout-notices"
"""The Store's channel on which the worker hears that there is something to send."""

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
TOKEN_TTL_S = 120
RETRY_S = (5, 30, 120, 600, *(3600,) * 23)
"""How long to wait after each failed attempt, give or take a fifth: given up after a day."""
REFUSED_ATTEMPTS = 3
"""How often to try what the portal, or our own rules for addresses, refuse."""

_FORM = "application/x-www-form-urlencoded"
_BATCH = 16
_THREADS = 8
_AT_ONCE_PER_PORTAL = 2  # one that does not answer holds up two of eight threads
_KEPT_S = 90 * 86400
_IDS_NOTED = 50

Post = Callable[[str, bytes, str], int]
State = Literal["waiting", "delivered", "given up"]


@dataclass(frozen=True)
class _Leased:
    """A notice that is this worker's until the lease runs out."""

    id: int
    client_id: str
    subject_id: str
    sid: str
    attempts: int
    leased_until: int


@dataclass(frozen=True)
class _Outcome:
    """How an attempt went: `problem` None means delivered. What was refused is tried REFUSED_ATTEMPTS times."""

    problem: str | None = None
    is_refused: bool = False
    is_final: bool = False


class Notices:
    """Delivers logout notices. Needs the application context; `close` it at the end."""

    def __init__(
        self,
        *,
        settings: Settings,
        subjects: Subjects,
        wrapping: Wrapping,
        outside: GuardedClient,
        clock: Clock,
    ) -> None:
        self._subjects = subjects
        self._issuer = settings.issuer
        self._wrapping = wrapping
        self._post: Post = outside.post
        self._clock = clock
        # Two rounds of a whole fetch each, and time to write down what came of them. A portal waits no longer than
        # half a minute for what a worker had in hand that died.
        self._lease_s = int(2 * settings.fetch.timeout_s * _BATCH / _THREADS) + 12
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="logout-notice")

    def close(self) -> None:
        """Wait for what is being sent, and let go of the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def deliver(self) -> int:
        """Send a batch of what is due; how many notices that were. Call again until it is 0."""
        leased = self._lease()
        sending = [(notice, self._send(notice)) for notice in leased]
        db.session.rollback()  # no snapshot of the database is held while portals are waited for
        for notice, sent in sending:
            self._settle(notice, _outcome(sent))
        return len(leased)

    def _lease(self) -> list[_Leased]:
        """Take what is due, the fewest attempts first: what has just happened does not queue behind old trouble."""
        now = self._clock()
        due = (LogoutNotice.due_at <= now) & or_(
            LogoutNotice.leased_until.is_(None), LogoutNotice.leased_until <= now
        )
        order = (LogoutNotice.attempts, LogoutNotice.due_at, LogoutNotice.id)
        place = func.row_number().over(partition_by=LogoutNotice.client_id, order_by=order)
        ranked = select(LogoutNotice.id, place.label("place")).where(due).subquery()
        fair = select(ranked.c.id).where(ranked.c.place <= _AT_ONCE_PER_PORTAL)
        if db.session.execute(select(LogoutNotice.id).where(due).limit(1)).first() is None:
            return []
        with writing() as database:
            # PostgreSQL looks at `due` again once it holds a row: what another worker leased meanwhile is left out.
            rows = database.scalars(
                select(LogoutNotice)
                .where(LogoutNotice.id.in_(fair), due)
                .order_by(*order)
                .limit(_BATCH)
                .with_for_update(skip_locked=True),
                execution_options={"populate_existing": True},
            ).all()
            leased = []
            for row in rows:
                row.leased_until = now + self._lease_s
                row.attempts += 1
                leased.append(
                    _Leased(row.id, row.client_id, row.subject_id, row.sid, row.attempts, row.leased_until)
                )
        return leased

    def _send(self, notice: _Leased) -> Future[int] | _Outcome:
        """An attempt under way, or why there is none."""
        portal = portals.find(notice.client_id)
        if portal is None or portal.backchannel_logout_uri is None:
            return _Outcome("not registered", is_final=True)
        try:
            sub = self._subjects.pairwise(notice.subject_id, portal.sector)
            token = self.token(portal, sub=sub, sid=notice.sid)
        except NoSigningKey:
            return _Outcome("no signing key")
        except HsmError:
            return _Outcome("the HSM does not sign")
        except NoUsableKey:
            return _Outcome("no key to encrypt to")
        except Exception as error:  # whatever is wrong with one portal must not keep the others waiting
            log.error("logout notice %d: %s", notice.id, type(error).__name__, exc_info=error)
            return _Outcome("internal error")
        body = urlencode({"logout_token": token}).encode("ascii")
        return self._threads.submit(self._post, portal.backchannel_logout_uri, body, _FORM)

    def token(self, portal: Registration, *, sub: str, sid: str) -> str:
        """A logout token for this portal: signed, and encrypted where it has its ID tokens encrypted.

        Raises NoSigningKey, NoUsableKey. Spec: Back-Channel Logout 1.0, section 2.4.
        """
        now = self._clock()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": portal.client_id,
            "iat": now,
            "exp": now + TOKEN_TTL_S,
            "jti": seal.random_token(16),
            "events": {LOGOUT_EVENT: {}},
            "sub": sub,
            "sid": sid,
        }
        return self._wrapping.jwt(
            claims,
            typ="logout+jwt",
            registration=portal,
            alg=portal.id_token_signed_response_alg,
            encryption_alg=portal.id_token_encrypted_response_alg,
            encryption_enc=portal.id_token_encrypted_response_enc,
        )

    def _settle(self, notice: _Leased, outcome: _Outcome) -> None:
        """Write down how it went, unless the lease ran out and the notice is another worker's by now."""
        now = self._clock()
        wait_s = _wait_s(notice.attempts, outcome)
        with writing() as database:
            database.execute(
                update(LogoutNotice)
                .where(LogoutNotice.id == notice.id, LogoutNotice.leased_until == notice.leased_until)
                .values(
                    leased_until=None,
                    due_at=None if wait_s is None else now + wait_s,
                    delivered_at=now if outcome.problem is None else None,
                    last_problem=outcome.problem,
                )
            )
        if outcome.problem is not None and wait_s is None:
            log.warning("logout notice %d given up: %s", notice.id, outcome.problem)


def _outcome(sent: Future[int] | _Outcome) -> _Outcome:
    if isinstance(sent, _Outcome):
        return sent
    try:
        status = sent.result()
    except FetchRefused as error:
        return _Outcome(error.reason, is_refused=True)
    except FetchError as error:
        return _Outcome(error.reason)
    if status in {200, 204}:
        return _Outcome()
    return _Outcome(f"status {status}", is_refused=status == 400)


def _wait_s(attempts: int, outcome: _Outcome) -> int | None:
    """Seconds to the next attempt; None when there is none."""
    most = REFUSED_ATTEMPTS if outcome.is_refused else len(RETRY_S) + 1
    if outcome.problem is None or outcome.is_final or attempts >= most:
        return None
    return max(1, round(RETRY_S[attempts - 1] * random.uniform(0.8, 1.2)))  # noqa: S311 - spreads, hides nothing


# -- the ledger ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A line of the ledger."""

    id: int
    client_id: str
    state: State
    attempts: int
    created_at: int
    due_at: int | None
    delivered_at: int | None
    last_problem: str | None


def ledger(*, client_id: str | None = None, failed: bool = False, limit: int = 1000) -> list[Entry]:
    """The latest notices, the newest first; of one portal, or those that did not arrive: given up or being retried."""
    wanted = select(LogoutNotice).order_by(LogoutNotice.id.desc()).limit(limit)
    if client_id is not None:
        wanted = wanted.where(LogoutNotice.client_id == client_id)
    if failed:
        wanted = wanted.where(LogoutNotice.delivered_at.is_(None), LogoutNotice.last_problem.is_not(None))
    return [_entry(row) for row in db.session.scalars(wanted)]


def _entry(row: LogoutNotice) -> Entry:
    state: State = "given up"
    if row.delivered_at is not None:
        state = "delivered"
    elif row.due_at is not None:
        state = "waiting"
    return Entry(
        row.id,
        row.client_id,
        state,
        row.attempts,
        row.created_at,
        row.due_at,
        row.delivered_at,
        row.last_problem,
    )


def replay(
    ids: Iterable[int] = (), *, client_id: str | None = None, now: int, reason: str | None = None
) -> int:
    """Send these notices once more, delivered or not, or all of a portal's that did not arrive; how many.

    `reason`: why, for the audit.
    """
    wanted = list(ids)
    missed = (LogoutNotice.client_id == client_id) & LogoutNotice.delivered_at.is_(None)
    with writing() as database:
        done = database.execute(
            update(LogoutNotice)
            .where(or_(LogoutNotice.id.in_(wanted), missed))
            .values(due_at=now, attempts=0, leased_until=None, delivered_at=None)
        )
        n_notices = cast("CursorResult[Any]", done).rowcount
        detail = {"n": n_notices, "ids": wanted[:_IDS_NOTED], **({"why": reason} if reason else {})}
        record(database, Event.NOTICES_REPLAYED, at=now, client_id=client_id, detail=detail)
    return n_notices


@dataclass(frozen=True)
class Deliveries:
    """How the outbox of one portal, or of all, stands: waiting for the first time, being retried, given up."""

    n_waiting: int
    n_retried: int
    n_given_up: int


def deliveries(client_ids: Collection[str] | None = None) -> dict[str, Deliveries]:
    """What did not arrive yet, by portal, of these or of all; those that everything reached are left out."""
    of_portal = LogoutNotice.client_id
    open_ = select(of_portal, LogoutNotice.last_problem.is_not(None).label("retried"), func.count())
    open_ = open_.where(LogoutNotice.due_at.is_not(None)).group_by(of_portal, "retried")
    lost = select(of_portal, func.count()).where(
        LogoutNotice.due_at.is_(None), LogoutNotice.delivered_at.is_(None)
    )
    lost = lost.group_by(of_portal)
    if client_ids is not None:
        open_, lost = open_.where(of_portal.in_(client_ids)), lost.where(of_portal.in_(client_ids))
    counts: dict[str, list[int]] = {}
    for client_id, retried, n in db.session.execute(open_):
        counts.setdefault(client_id, [0, 0, 0])[1 if retried else 0] += n
    for client_id, n in db.session.execute(lost):
        counts.setdefault(client_id, [0, 0, 0])[2] += n
    return {client_id: Deliveries(*three) for client_id, three in sorted(counts.items())}


def sweep(now: int) -> int:
    """Forget notices that are settled and old; how many rows that were."""
    return forget(LogoutNotice, LogoutNotice.due_at.is_(None) & (LogoutNotice.created_at < now - _KEPT_S))
