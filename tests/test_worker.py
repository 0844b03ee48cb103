"""The worker: each notice once, each job by one, and nothing lost when it dies or fails."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, delete, func, select, update

from idp.errors import LoginError
from idp.events import Event, record_alone
from idp.keys import Listed
from idp.models import (
    AuditCheckpoint,
    AuditCountedDay,
    AuditCut,
    AuditEvent,
    AuditLog,
    Consumed,
    Lease,
    LogoutNotice,
    SigningKey,
    db,
    writing,
)
from idp.oidc import backchannel
from idp.oidc.session_end import Reason, SessionEnds
from idp.worker import Job, Worker, WorkerThread
from tests.deployed import deployed
from tests.ears import Ear, claims_of, listening, status
from tests.rig import Rig
from tests.waiting import eventually

PS256 = {"id_token_signed_response_alg": "PS256"}


@pytest.fixture(scope="module")
def rig(rig_on_each_database: Rig) -> Rig:
    return rig_on_each_database


@pytest.fixture
def ear(rig: Rig) -> Iterator[Ear]:
    with listening(rig) as ear:
        for client_id in ("gov24", "efamily"):
            rig.apply_portal(client_id, backchannel_logout_uri=ear.uri(client_id))
        with rig.app.app_context(), writing() as database:
            for table in (LogoutNotice, Lease):
                database.execute(delete(table))
        yield ear
    rig.clock.offset_s = 0


def put(rig: Rig, n: int, client_id: str = "gov24") -> None:
    now = rig.clock()
    with rig.app.app_context(), writing() as database:
        for number in range(n):
            database.add(
                LogoutNotice(
                    client_id=client_id,
                    subject_id="somebody",
                    sid=f"{client_id}-{number}",
                    created_at=now,
                    due_at=now,
                    attempts=0,
                )
            )


def states(rig: Rig) -> Counter[str]:
    with rig.app.app_context():
        return Counter(entry.state for entry in backchannel.ledger())


def keys(rig: Rig) -> list[Listed]:
    with rig.app.app_context():
        return rig.house.keys.listing()


def only(worker: Worker, name: str) -> Job:
    """A worker with one job; the job."""
    worker.jobs = [job for job in worker.jobs if job.name == name]
    return worker.jobs[0]


# -- notices ---------------------------------------------------------------------------------------------------


def test_several_workers_send_every_notice_once(rig: Rig, ear: Ear) -> None:
    put(rig, 30, "gov24")
    put(rig, 30, "efamily")
    workers = [Worker(rig.app) for _ in range(4)]
    gate = threading.Barrier(len(workers))

    def work(worker: Worker) -> None:
        only(worker, "logout-notices")
        gate.wait(30)
        worker.run_once()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # A worker that found every notice leased by the others may have been done too soon for what came after.
    workers[0].run_once()
    heard = Counter(claims_of(rig, told.token)["sid"] for told in ear.told)
    assert len(heard) == 60
    assert set(heard.values()) == {1}
    assert states(rig) == {"delivered": 60}


def test_a_wake_is_enough(rig: Rig, ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process announces by the store is sent at once, not at the next second."""
    monkeypatch.setattr("idp.worker._POLL_S", 600.0)
    thread = WorkerThread(rig.app)
    only(thread.worker, "logout-notices")
    looked = threading.Event()
    look = thread.worker._notices.deliver

    def seen() -> int:
        n_notices = look()
        looked.set()
        return n_notices

    thread.worker._notices.deliver = seen  # type: ignore[method-assign]
    thread.start()
    try:
        assert looked.wait(30)
        put(rig, 1)

        def told() -> bool:
            rig.house.store.publish(backchannel.WAKE)
            return len(ear.told) == 1

        eventually(told)
    finally:
        thread.stop()
    assert not thread.is_alive()


def test_a_worker_stops_though_there_is_more_to_do(rig: Rig, ear: Ear) -> None:
    put(rig, 40)
    thread = WorkerThread(rig.app)
    only(thread.worker, "logout-notices")

    def stop_then_answer(request: object) -> None:
        thread.worker.stop()
        status(200)(request)  # type: ignore[arg-type]

    ear.answer = stop_then_answer
    thread.start()
    thread.stop()
    assert not thread.is_alive()
    left = states(rig)
    assert left["waiting"] > 0
    ear.answer = status(200)
    rig.clock.forward(3600)
    worker = Worker(rig.app)
    only(worker, "logout-notices")
    worker.run_once()
    assert states(rig) == {"delivered": 40}


def test_a_session_ended_by_many_at_once_is_told_of_once(rig: Rig, ear: Ear) -> None:
    """Two clicks, an admin and the worker: one end, one notice to each portal, one line in the audit."""
    portal = rig.portal("gov24")
    portal.sign_in()
    session = rig.house.sessions.find(portal.browser.cookies["sinwon-session"])
    assert session is not None
    last = rig.last_event()
    gate = threading.Barrier(8)
    ended: list[bool] = []

    def end(reason: Reason) -> None:
        with rig.app.app_context():
            ends = SessionEnds(rig.house.sessions, rig.clock)
            gate.wait(30)
            ended.append(ends.taken(session, reason))

    threads = [threading.Thread(target=end, args=(reason,)) for reason in [*Reason, *Reason][:8]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(ended) == {True: 1, False: 7}
    assert [event.name for event in rig.events(after=last)] == ["session.ended"]
    assert states(rig) == {"waiting": 1}


@pytest.mark.parametrize("attempt", range(8))
def test_a_portal_that_comes_while_the_session_ends_is_told_or_is_not_let_in(
    rig: Rig, ear: Ear, attempt: int
) -> None:
    portal = rig.portal("gov24")
    hint = portal.sign_in()["id_token"]
    session = rig.house.sessions.find(portal.browser.cookies["sinwon-session"])
    assert session is not None
    gate = threading.Barrier(2)
    let_in: list[bool] = []

    def come() -> None:
        with rig.app.app_context():
            gate.wait(30)
            try:
                with writing() as database:
                    rig.house.sessions.introduce(database, session, client_id="efamily", sector="s")
                let_in.append(True)
            except LoginError:
                let_in.append(False)

    thread = threading.Thread(target=come)
    thread.start()
    gate.wait(30)
    portal.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": hint})
    thread.join(60)
    with rig.app.app_context():
        told = [entry.client_id for entry in backchannel.ledger()]
    assert sorted(told) == (["efamily", "gov24"] if let_in == [True] else ["gov24"])


# -- jobs that one should do -----------------------------------------------------------------------------------


def counting(rig: Rig, done: list[str], name: str = "counted", every_s: int = 100) -> Worker:
    """A worker whose only job is to count."""
    worker = Worker(rig.app)
    worker.jobs = [Job(name, every_s, lambda: done.append(worker._owner), lease_s=50)]
    return worker


def test_of_many_workers_one_does_a_periodic_job(rig: Rig, ear: Ear) -> None:
    done: list[str] = []
    workers = [counting(rig, done) for _ in range(6)]
    gate = threading.Barrier(len(workers))

    def work(worker: Worker) -> None:
        gate.wait(30)
        worker.run_once()

    for attempt in range(1, 4):
        threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(done) == attempt
        rig.clock.forward(101)


def test_a_job_is_done_again_only_when_its_time_has_come(rig: Rig, ear: Ear) -> None:
    done: list[str] = []
    worker = counting(rig, done)
    for passing_s, times in ((0, 1), (50, 1), (49, 1), (3, 2)):
        rig.clock.forward(passing_s)
        worker.run_once()
        assert len(done) == times


def test_a_job_whose_worker_died_is_another_workers_when_the_lease_has_run_out(rig: Rig, ear: Ear) -> None:
    now = rig.clock()
    with rig.app.app_context(), writing() as database:
        database.add(Lease(name="counted", owner="somebody who died", until=now + 40))
    done: list[str] = []
    counting(rig, done).run_once()
    assert done == []
    rig.clock.forward(42)
    counting(rig, done).run_once()
    assert len(done) == 1


def test_a_lease_from_a_clock_that_was_far_ahead_is_no_obstacle(rig: Rig, ear: Ear) -> None:
    with rig.app.app_context(), writing() as database:
        ahead = rig.clock() + 10**6
        database.add(Lease(name="counted", owner="somebody", until=ahead, done_at=ahead))
    done: list[str] = []
    counting(rig, done).run_once()
    assert len(done) == 1


class Private(Exception):
    """Carries what no log may show."""


def test_a_job_that_fails_is_logged_by_type_and_tried_again_and_the_others_go_on(
    rig: Rig, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    worker = counting(rig, done)
    failures = [Private("hunter2"), None]

    def fail_first() -> None:
        if (failure := failures.pop(0)) is not None:
            raise failure
        done.append("at last")

    worker.jobs.insert(0, Job("fails", 3600, fail_first, lease_s=50))
    with caplog.at_level(logging.ERROR, "idp"):
        worker.run_once()
    assert done == [worker._owner]
    assert "worker: fails failed: Private" in caplog.text
    assert "hunter2" not in caplog.text
    rig.clock.forward(61)
    worker.run_once()
    assert done[-1] == "at last"


# -- what it sees to -------------------------------------------------------------------------------------------


def test_what_expired_is_swept(rig: Rig, ear: Ear) -> None:
    with rig.app.app_context(), writing() as database:
        database.add(Consumed(kind="login", digest="a" * 64, expires_at=1))
    worker = Worker(rig.app)
    only(worker, "sweep")
    worker.run_once()
    with rig.app.app_context():
        assert db.session.get(Consumed, ("login", "a" * 64)) is None


def test_a_portals_algorithm_gets_its_key(rig: Rig, ear: Ear) -> None:
    rig.variant("gov24", "ps256", **PS256)
    worker = Worker(rig.app)
    only(worker, "keys")
    worker.run_once()
    assert "PS256" in {key.alg for key in keys(rig) if key.state == "active"}


def test_keys_are_rotated_in_time_by_themselves_and_once(rig: Rig, ear: Ear) -> None:
    times = rig.house.settings.lifetimes
    worker = Worker(rig.app)
    only(worker, "keys")
    worker.run_once()
    with rig.app.app_context():
        before = set(db.session.scalars(select(SigningKey.kid)))
    last = rig.last_event()
    rig.clock.forward(times.key_rotate_s - times.key_publish_s - 3600)
    worker.run_once()
    assert rig.last_event() == last
    rig.clock.forward(2 * 3600)
    worker.run_once()
    rig.clock.forward(61)
    worker.run_once()
    following = [listed for listed in keys(rig) if listed.kid not in before]
    assert {listed.alg for listed in following} >= {"ES256", "RS256"}
    assert len({listed.alg for listed in following}) == len(following)
    assert {listed.state for listed in following} == {"published"}
    assert [event.name for event in rig.events(after=last)] == ["admin.key_rotated"] * len(following)


def test_a_worker_asked_not_to_rotate_does_not(rig: Rig, ear: Ear) -> None:
    worker = Worker(rig.app)
    worker._rotate_s = 0
    only(worker, "keys")
    last = rig.last_event()
    rig.clock.forward(10 * 365 * 86400)
    worker.run_once()
    assert [event.name for event in rig.events(after=last)] == []


def test_the_audit_is_sealed_every_half_minute_by_one_worker(rig: Rig, ear: Ear) -> None:
    def sizes() -> list[int]:
        with rig.app.app_context():
            return list(db.session.scalars(select(AuditCheckpoint.size).order_by(AuditCheckpoint.size)))

    def happens() -> None:
        with rig.app.app_context():
            record_alone(Event.LOGIN_STARTED, at=rig.clock())

    workers = [Worker(rig.app) for _ in range(2)]
    for worker in workers:
        only(worker, "audit-seal")
    happens()
    for worker in workers:
        worker.run_once()
    before = sizes()
    assert before[-1] == rig_rows(rig)
    happens()
    rig.clock.forward(29)
    for worker in workers:
        worker.run_once()
    assert sizes() == before
    rig.clock.forward(1)
    for worker in workers:
        worker.run_once()
    assert sizes() == [*before, before[-1] + 1]


def rig_rows(rig: Rig) -> int:
    with rig.app.app_context():
        return db.session.scalar(select(func.count()).select_from(AuditEvent)) or 0


def test_a_broken_log_is_said_to_the_operator_and_not_sealed_on(
    rig: Rig, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(rig.app)
    only(worker, "audit-seal")
    worker.run_once()
    with rig.app.app_context():
        edge = db.session.scalars(select(AuditLog.edge)).one()
        db.session.execute(update(AuditLog).values(edge=bytes(len(edge))))
        db.session.commit()
    try:
        rig.clock.forward(31)
        with caplog.at_level(logging.ERROR, "idp"):
            worker.run_once()
    finally:
        with rig.app.app_context():
            db.session.execute(update(AuditLog).values(edge=edge))
            db.session.commit()
    said = [line.getMessage() for line in caplog.records]
    assert said[0].startswith("the audit is not sealed any more, see `idp audit verify`")
    assert said[1] == "worker: audit-seal failed: LogDamaged"


def test_the_audit_is_counted_and_cut_once_a_day(rig: Rig, ear: Ear) -> None:
    worker = Worker(rig.app)
    sealer = Worker(rig.app)
    only(sealer, "audit-seal")
    only(worker, "audit-keep")
    sealer.run_once()
    worker.run_once()
    with rig.app.app_context():
        first = db.session.scalar(select(func.min(AuditEvent.id)))
    rig.clock.forward((rig.house.settings.lifetimes.audit_days + 62) * 86_400)
    worker.run_once()
    with rig.app.app_context():
        [cut] = db.session.scalars(select(AuditCut))
        assert db.session.scalar(select(AuditEvent).where(AuditEvent.id == first)) is None
        assert db.session.scalar(select(func.count()).select_from(AuditCountedDay))
    assert [event.name for event in rig.events(after=first or 0)][-1] == "audit.cut"
    assert cut.size > 0


# -- as a process ----------------------------------------------------------------------------------------------


def environment(rig: Rig, ear: Ear) -> dict[str, str]:
    """The rig's deployment for a process beside it, which may speak to the ear."""
    settings = rig.house.settings
    given = {
        "mode": "demo",
        "issuer": settings.issuer,
        "database.url": settings.database.url,
        "store.url": settings.store.url,
        "secrets.key_encryption_key": settings.secrets.key_encryption_key.reveal().hex(),
        "secrets.pepper": settings.secrets.pepper.reveal().hex(),
        "wallet.certificate_file": settings.wallet.certificate_file,
        "wallet.private_key_file": settings.wallet.private_key_file,
        "fetch.allow": ear.origin,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    return {**inherited, **{f"IDP_{name.upper().replace('.', '__')}": value for name, value in given.items()}}


def test_idp_worker_delivers_and_stops_when_it_is_asked_to(rig: Rig, ear: Ear) -> None:
    with rig.app.app_context():
        on_sqlite = db.engine.dialect.name == "sqlite"
    put(rig, 5)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "idp.cli", "worker"],
        env=environment(rig, ear),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        if not on_sqlite:
            eventually(lambda: states(rig) == {"delivered": 5}, 60)
            process.terminate()
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    if on_sqlite:
        assert process.returncode == 1
        assert "On SQLite the worker is a thread of `idp serve`" in output
        assert states(rig) == {"waiting": 5}
    else:
        assert (process.returncode, output) == (0, "")


def test_the_one_process_on_sqlite_runs_the_worker_itself(tmp_path: Path) -> None:
    """`idp serve` without anything beside it: what expires is swept soon after the start."""
    with deployed(tmp_path, {}, []) as running:
        engine = create_engine(running.settings.database_url)
        try:

            def swept() -> bool:
                with engine.connect() as connection:
                    done = connection.execute(select(Lease.done_at).where(Lease.name == "sweep")).scalar()
                return done is not None

            eventually(swept, 30)
        finally:
            engine.dispose()
    assert "worker" not in running.log.read_text("utf-8")
