"""Figures of sign-ins: each row of the audit is counted once, whoever counts and whenever it becomes visible."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select

from idp.admin import figures, organisations
from idp.admin.figures import AT_ONCE, Counting
from idp.events import Event, record
from idp.models import AuditEvent, Lease, SignInFigures, SignInFiguresMark, db, writing
from idp.worker import Worker
from tests.conftest import ON_POSTGRESQL
from tests.rig import Rig

several_write = pytest.mark.parametrize("rig_on_each_database", [ON_POSTGRESQL], indirect=True)
"""On SQLite one writes at a time."""


@pytest.fixture(scope="module")
def rig(rig_on_each_database: Rig) -> Rig:
    return rig_on_each_database


@pytest.fixture(autouse=True)
def clean(rig: Rig) -> Iterator[None]:
    with rig.app.app_context():
        with writing() as database:
            for table in (AuditEvent, SignInFigures, SignInFiguresMark, Lease):
                database.execute(delete(table))
        yield
        db.session.rollback()
    rig.clock.offset_s = 0


def count(rig: Rig) -> int:
    return Counting(rig.clock).count(60)


def put(rig: Rig, event: Event, n: int = 1, **fields: Any) -> None:
    with writing() as database:
        for _ in range(n):
            record(database, event, **{"at": rig.clock(), **fields})


def put_many(rig: Rig, n: int) -> None:
    row = {"at": rig.clock(), "name": Event.LOGIN_STARTED.value, "client_id": "gov24"}
    with writing() as database:
        database.execute(insert(AuditEvent), [row] * n)


def test_the_figures_are_those_of_what_happened(rig: Rig) -> None:
    count(rig)
    portal = rig.portal("gov24")
    portal.sign_in("hong")
    portal.sign_in("hong")  # the session answers: nobody is asked
    other = rig.portal("gov24")
    begun = other.begin()
    page = other.page(begun)
    other.show(other.link(page), "hong", fault="wrong_nonce")
    csrf = re.search(r'name="csrf" value="([^"]+)"', other.browser.get(other.absolute(begun.location)).text)
    assert csrf is not None
    other.browser.post(other.absolute(f"{begun.location}/cancel"), data={"csrf": csrf[1]})
    count(rig)
    read = figures.read(rig.clock(), 24)
    assert (read.n_begun, read.n_finished) == (3, 2)
    assert read.success == pytest.approx(2 / 3)
    assert sum(read.took.values()) == 1
    assert read.took_s(0.95) in figures.BOUNDS_S
    assert {(one.outcome, one.n) for one in read.failures} == {
        (Event.PRESENTATION_REJECTED, 1),
        (Event.LOGIN_CANCELLED, 1),
    }
    assert next(one.reason for one in read.failures if one.outcome is Event.PRESENTATION_REJECTED) == (
        "key_binding_nonce"
    )


def test_the_time_to_sign_in_is_recorded_with_its_end(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    rig.clock.forward(42)
    portal.callback(begun)
    [finished] = [event for event in rig.events() if event.name == Event.LOGIN_FINISHED]
    assert finished.detail is not None
    assert 42 <= finished.detail["took_s"] < 60
    count(rig)
    assert figures.read(rig.clock(), 24).took_s(0.5) in {45, 60}


def test_counting_twice_changes_nothing(rig: Rig) -> None:
    count(rig)
    put(rig, Event.LOGIN_STARTED, 3, client_id="gov24")
    assert count(rig) == 3
    assert count(rig) == 0
    assert figures.read(rig.clock(), 24).n_begun == 3


def test_what_is_long_past_is_not_counted_at_the_first_time(rig: Rig) -> None:
    put(rig, Event.LOGIN_STARTED, at=rig.clock() - figures.KEPT_S - 60)
    put(rig, Event.LOGIN_STARTED)
    assert count(rig) == 1


def test_more_than_a_batch_is_counted_in_several(rig: Rig) -> None:
    count(rig)
    put_many(rig, 11_000)
    assert count(rig) == 11_000
    assert figures.read(rig.clock(), 24).n_begun == 11_000


def test_several_who_count_at_once_count_each_row_once(rig: Rig) -> None:
    count(rig)
    put_many(rig, 12_000)
    gate = threading.Barrier(4)

    def counting() -> None:
        with rig.app.app_context():
            gate.wait(30)
            count(rig)

    threads = [threading.Thread(target=counting) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    count(rig)
    assert figures.read(rig.clock(), 24).n_begun == 12_000


@several_write
def test_a_row_that_becomes_visible_late_is_counted(rig: Rig) -> None:
    count(rig)
    row = {"at": rig.clock(), "name": Event.LOGIN_STARTED.value}
    with db.engine.connect() as slow:
        late = slow.execute(insert(AuditEvent).returning(AuditEvent.id), row).scalar_one()
        put(rig, Event.LOGIN_STARTED)
        newest = db.session.scalar(select(func.max(AuditEvent.id)))
        assert newest is not None
        assert newest > late
        for _ in range(3):
            assert count(rig) == 0  # not the later one either: it would have been left behind
        slow.commit()
    assert count(rig) == 2
    assert figures.read(rig.clock(), 24).n_begun == 2


@several_write
def test_a_row_that_was_taken_back_holds_up_nobody(rig: Rig) -> None:
    count(rig)
    with db.engine.connect() as gone:
        gone.execute(insert(AuditEvent), {"at": rig.clock(), "name": Event.LOGIN_STARTED.value})
        put(rig, Event.LOGIN_STARTED)
        assert count(rig) == 0
        gone.rollback()
    assert count(rig) == 1


def test_the_worker_counts_and_is_alone_at_it(rig: Rig) -> None:
    workers = [Worker(rig.app), Worker(rig.app)]
    put(rig, Event.LOGIN_STARTED, 2)
    for worker in workers:
        worker.jobs = [job for job in worker.jobs if job.name == "figures"]
        worker.run_once()
    assert figures.read(rig.clock(), 24).n_begun == 2
    db.session.rollback()
    lease = db.session.get_one(Lease, "figures", populate_existing=True)
    assert lease.done_at is not None


def test_an_organisation_sees_the_figures_of_its_own_portals(rig: Rig) -> None:
    count(rig)
    name = {"ko": "기관", "en": "Office"}
    organisations.apply({"organisation": [{"id": "office", "name": name}]}, now=rig.clock())
    organisations.transfer("gov24", "office", reason="theirs", now=rig.clock())
    put(rig, Event.LOGIN_STARTED, 2, client_id="gov24")
    put(rig, Event.LOGIN_STARTED, 5, client_id="efamily")
    count(rig)
    assert figures.read(rig.clock(), 24).n_begun == 7
    assert figures.read(rig.clock(), 24, organisation="office").n_begun == 2
    assert figures.read(rig.clock(), 24, organisation="elsewhere").n_begun == 0


def test_what_an_earlier_presentation_answered_was_begun_too(rig: Rig) -> None:
    count(rig)
    put(rig, Event.LOGIN_FINISHED, client_id="gov24", detail={"via": "session"})
    count(rig)
    read = figures.read(rig.clock(), 24)
    assert (read.n_begun, read.n_finished, read.took) == (1, 1, {})
    reasons = db.session.scalars(select(SignInFigures.reason).distinct())
    assert AT_ONCE in set(reasons)


def test_figures_stand_in_the_hour_in_which_it_happened_and_are_forgotten_after_a_month(rig: Rig) -> None:
    count(rig)
    put(rig, Event.LOGIN_STARTED, at=rig.clock() - 3 * figures.HOUR_S)
    count(rig)
    assert [hour.n_begun for hour in figures.read(rig.clock(), 4).hours] == [1, 0, 0, 0]
    assert figures.read(rig.clock(), 3).n_begun == 0
    assert figures.sweep(rig.clock() + figures.KEPT_S) > 0
    assert figures.read(rig.clock(), 24).n_begun == 0


@pytest.mark.parametrize(("took_s", "bound"), [(0, 5), (5, 5), (6, 10), (3600, 3600), (9000, 3600)])
def test_a_time_is_counted_under_the_bound_it_kept(took_s: int, bound: int) -> None:
    assert figures.within(took_s) == bound


def test_nothing_is_said_of_nothing(rig: Rig) -> None:
    read = figures.read(rig.clock(), 24)
    assert (read.success, read.took_s(0.5), read.counted_at) == (None, None, None)
