"""The worker: what happens without anybody asking.

It sends logout notices, ends sessions that no longer live or whose credential no longer holds, sweeps, says which
certificates are about to end, sees to the signing keys, counts sign-ins for the console, and seals, counts and cuts
the audit. On PostgreSQL it is a process, `idp worker`, of which there may be several; on SQLite a thread of the one
process that serves (decision D21). A job that only one of them should do takes a `models.Lease`; a notice is leased by
itself.

A job that fails is logged, by the error's type, and tried again within a minute. Nothing is lost by stopping: what
was under way is found again.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from idp import models, receipts, seal
from idp.admin import audit, expiry, figures, seen, trials
from idp.admin.rewrapping import Rewrapping
from idp.app import house_of
from idp.clock import Clock
from idp.events import Event, Origin, origin, record_alone
from idp.models import Lease, writing
from idp.oidc import backchannel, key_use, session_end
from idp.oidc.backchannel import Notices
from idp.oidc.credential_watch import CredentialWatch
from idp.oidc.session_end import SessionEnds

log = logging.getLogger("idp")

_POLL_S = 1.0
_RETRY_S = 60
_STOP_S = 15.0
_HOUR_S = 3600
_DAY_S = 86_400
_WARN_S = 30 * _DAY_S
_SESSIONS_LEASE_S = 120
_CREDENTIALS_LEASE_S = 300
_CREDENTIALS_MAX_S = 120
_SEALING_LEASE_S = 120
_SEALING_MAX_S = 10
_FIGURES_LEASE_S = 120
_FIGURES_MAX_S = 20


@dataclass
class Job:
    """Something to do every so often. `lease_s`: one worker at a time does it, for so long at most."""

    name: str
    every_s: int
    do: Callable[[], object]
    lease_s: int | None = None
    tried_at: int | None = field(default=None, init=False)

    def is_due(self, now: int) -> bool:
        # A clock set back makes the last time one from the future: do it now.
        return self.tried_at is None or not 0 <= now - self.tried_at < self.every_s


class Worker:
    """Does the jobs of one application, in the thread that calls `run`, until `stop`."""

    def __init__(self, app: Flask, waiting: threading.Event | None = None) -> None:
        house = house_of(app)
        self._app = app
        self._house = house
        self._clock: Clock = house.clock
        self._store = house.store
        self._keys = house.keys
        self._rotate_s = house.settings.lifetimes.key_rotate_s
        self._audit_days = house.settings.lifetimes.audit_days
        self._sealing = audit.Sealing(house.audit_signer, house.clock)
        self._waiting = waiting or threading.Event()
        self._stopped = threading.Event()
        self._owner = f"{socket.gethostname()[:32]}:{os.getpid()}:{seal.random_token(8)}"
        self._notices = Notices(
            settings=house.settings,
            subjects=house.subjects,
            wrapping=house.wrapping,
            outside=house.outside,
            clock=house.clock,
        )
        self._figures = figures.Counting(house.clock)
        self._ends = SessionEnds(house.sessions, house.clock)
        self._watch = CredentialWatch(
            sessions=house.sessions,
            trust=house.trust.snapshot,
            status=house.status_lists,
            registry=house.opendid.registry if house.opendid is not None else None,
            clock=house.clock,
        )
        self.jobs = [
            Job("logout-notices", 0, self._deliver),
            Job("sessions", 10, self._end_dead_sessions, lease_s=_SESSIONS_LEASE_S),
            Job("keys", 60, self._see_to_keys, lease_s=120),
            Job("sweep", _HOUR_S, self._sweep, lease_s=600),
            Job("figures", figures.COUNT_EVERY_S, self._count_sign_ins, lease_s=_FIGURES_LEASE_S),
            Job("endings", _DAY_S, self._warn_of_endings, lease_s=120),
            Job("audit-seal", audit.SEAL_EVERY_S, self._seal_audit, lease_s=_SEALING_LEASE_S),
            Job("audit-keep", _DAY_S, self._keep_audit, lease_s=3600),
        ]
        if house.kek.is_changing:
            self.jobs.append(Job("rewrap", _HOUR_S, self._rewrap, lease_s=3600))
        if watch_s := house.settings.lifetimes.credential_watch_s:
            self.jobs.append(
                Job("credentials", watch_s, self._watch_credentials, lease_s=_CREDENTIALS_LEASE_S)
            )

    # -- the loop --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Do what is due, wait a second or until woken, and again, until `stop`."""
        origin.set(Origin(actor="worker"))
        unsubscribe = self._store.subscribe(self._heard)
        try:
            while not self._stopped.is_set():
                self.run_once()
                self._waiting.wait(_POLL_S)
                self._waiting.clear()
        finally:
            unsubscribe()
            self._notices.close()

    def run_once(self) -> None:
        """Do every job that is due, once."""
        for job in self.jobs:
            if self._stopped.is_set():
                return
            if job.is_due(self._clock()):
                self._try(job)

    def wake(self) -> None:
        """There is something to do: do not wait any longer."""
        self._waiting.set()

    def stop(self) -> None:
        """Let `run` return after the step it is at."""
        self._stopped.set()
        self._waiting.set()

    def _heard(self, channel: str) -> None:
        if channel == backchannel.WAKE:
            self.wake()

    def _try(self, job: Job) -> None:
        job.tried_at = self._clock()
        with self._app.app_context():
            try:
                if job.lease_s is None:
                    job.do()
                    return
                lease = _Leasing(job.name, self._owner, self._clock)
                if lease.take(job.every_s, job.lease_s):
                    done = False
                    try:
                        job.do()
                        done = True
                    finally:
                        lease.give_back(done=done)
            except Exception as error:
                log.error("worker: %s failed: %s", job.name, type(error).__name__)
                job.tried_at -= job.every_s - min(job.every_s, _RETRY_S)

    # -- the jobs --------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        while not self._stopped.is_set() and self._notices.deliver():
            pass

    def _end_dead_sessions(self) -> None:
        if self._ends.dead(_SESSIONS_LEASE_S // 2):
            self.wake()  # their portals are to be told

    def _watch_credentials(self) -> None:
        if self._watch.round(_CREDENTIALS_MAX_S).n_withdrawn:
            self.wake()  # their portals are to be told

    def _count_sign_ins(self) -> None:
        self._figures.count(_FIGURES_MAX_S)

    def _see_to_keys(self) -> None:
        self._keys.ensure(key_use.algorithms_in_use())
        if self._rotate_s:
            for kid in self._keys.rotate_old(self._rotate_s):
                record_alone(Event.KEY_ROTATED, at=self._clock(), detail={"kid": kid})

    def _rewrap(self) -> None:
        """What was sealed under the old key after `idp keys rewrap` had gone by."""
        rewrapping = Rewrapping(self._house.kek, self._clock)
        if not rewrapping.is_begun():
            return
        counts: Counter[str] = Counter()
        for batch in rewrapping.batches():
            counts[batch.table] += batch.n_changed
            if self._stopped.is_set():
                return
        rewrapping.end(dict(counts))

    def _sweep(self) -> None:
        now = self._clock()
        for sweep in (models.sweep, backchannel.sweep, session_end.sweep, seen.sweep, figures.sweep):
            sweep(now)
        receipts.sweep(now, self._audit_days)
        with writing() as database:
            trials.sweep(database, now)

    def _seal_audit(self) -> None:
        try:
            self._sealing.seal(_SEALING_MAX_S)
        except audit.LogDamaged as error:
            log.error("the audit is not sealed any more, see `idp audit verify`: %s", error)
            raise

    def _keep_audit(self) -> None:
        now = self._clock()
        audit.make_partitions(now)
        audit.count_days(now, self._audit_days)
        audit.cut(self._house.audit_signer, now, self._audit_days)

    def _warn_of_endings(self) -> None:
        now = self._clock()
        trust, chains = self._house.trust.snapshot(), seen.lately(now, seen.KEPT_S)
        own = self._house.signer.chain
        for ending in expiry.endings(trust, chains, own, now=now, within_s=_WARN_S):
            when = expiry.in_days(ending, now)
            log.warning("%s ends %s (sha256 %s)", ending.what, when, ending.sha256)


class _Leasing:
    """One periodic job, done by one worker of many."""

    def __init__(self, name: str, owner: str, clock: Clock) -> None:
        self._name = name
        self._owner = owner
        self._clock = clock

    def take(self, every_s: int, lease_s: int) -> bool:
        """Whether the job is ours to do now: nobody is at it, and nobody did it within `every_s`."""
        try:
            with writing() as database:
                now = self._clock()
                row = database.scalar(
                    select(Lease).where(Lease.name == self._name).with_for_update(),
                    execution_options={"populate_existing": True},
                )
                if row is None:
                    database.add(Lease(name=self._name, owner=self._owner, until=now + lease_s))
                    return True
                if now < row.until <= now + lease_s:  # a later end was set by a clock that has been put right
                    return False
                if row.done_at is not None and 0 <= now - row.done_at < every_s:
                    return False
                row.owner, row.until = self._owner, now + lease_s
                return True
        except IntegrityError:
            # Two workers' first time: the other one has it.
            return False

    def give_back(self, *, done: bool) -> None:
        """Let the next one have it; `done` says that it need not be soon."""
        with writing() as database:
            row = database.get(Lease, self._name, populate_existing=True)
            if row is not None and row.owner == self._owner:
                row.until = self._clock()
                if done:
                    row.done_at = row.until


class WorkerThread:
    """A worker in a thread of this process."""

    def __init__(self, app: Flask) -> None:
        self.worker = Worker(app)
        self._thread = threading.Thread(target=self.worker.run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to stop, and wait until it has, though not for ever."""
        self.worker.stop()
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            log.warning("worker: still at work after %s s", _STOP_S)


def run_until_signalled(app: Flask) -> None:
    """Run a worker in this process until SIGTERM or SIGINT asks it to stop."""
    # Signals are waited for, not handled: a handler would run in the middle of whatever the main thread holds.
    asked_to_stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, asked_to_stop)
    thread = WorkerThread(app)
    thread.start()
    while thread.is_alive() and signal.sigtimedwait(asked_to_stop, _POLL_S) is None:
        continue
    thread.stop()
