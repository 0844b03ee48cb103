"""The audit is kept for its time and no longer, and what is left still verifies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, inspect, select, text

from idp.admin import audit
from idp.admin.audit import Month, keeping
from idp.events import Event, record_alone
from idp.key_encryption import KeyEncryption
from idp.models import AuditCheckpoint, AuditCut, AuditEvent, AuditSeal, db
from tests.audit.keeping import NOON, Kept, at
from tests.waiting import eventually

DAYS = 31


def partitions() -> set[str]:
    db.session.rollback()
    return set(
        db.session.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"))
    )


def cut(log: Kept) -> str | None:
    """Cut, and seal that it was done; the first month that is left."""
    left = audit.cut(log.signer, log.clock(), DAYS)
    log.seal()
    return None if left is None else str(left)


def two_months(log: Kept) -> tuple[list[int], list[int]]:
    """Events of two months, each sealed in its own; the ids of either. The clock is in the month after."""
    log.clock.now = at(2026, 9, 20)
    september = log.sealed(5, 6)
    log.clock.now = at(2026, 10, 20)
    october = log.sealed(4, 3)
    log.clock.now = at(2026, 11, 5)
    return september, october


def test_a_month_is() -> None:
    assert Month.of(NOON) == Month.parse("2026-11")
    assert (Month(2026, 12).since, Month(2026, 12).until) == (at(2026, 12), at(2027, 1))
    assert str(Month(2026, 3)) == "2026-03"
    assert Month(2026, 3).partition == "audit_event_2026_03"


def test_whole_months_are_taken_when_their_last_day_is_old_enough(log: Kept) -> None:
    september, october = two_months(log)
    log.clock.now = at(2026, 10, 1) + DAYS * 86_400 - 1
    assert cut(log) is None
    assert log.ids() == september + october
    log.clock.now += 1
    assert cut(log) == "2026-10"
    assert log.ids()[:-1] == october  # the last one says what was taken
    assert log.found() == []


def test_a_cut_is_in_the_audit_and_in_what_the_check_says(log: Kept) -> None:
    two_months(log)
    cut(log)
    db.session.rollback()
    said = db.session.query(AuditEvent).filter_by(name=Event.AUDIT_CUT.value).one()
    assert said.detail == {"before": at(2026, 10), "leaves": 11}
    log.seal()
    check = audit.Check(audit.LogVerifier(KeyEncryption(b"\x11" * 31 + b"\xaa")), log.clock() + 120)
    assert list(check.findings()) == []
    assert (check.first, check.size, check.n_rows, check.cut_before) == (11, 19, 8, at(2026, 10))


def test_the_log_goes_on_after_a_cut_and_is_cut_again(log: Kept) -> None:
    two_months(log)
    cut(log)
    log.sealed(5)
    log.clock.now = at(2026, 12, 5)
    assert cut(log) == "2026-11"
    log.sealed(3)
    assert log.found() == []
    assert cut(log) is None
    db.session.rollback()
    assert db.session.scalars(select(AuditCut.size)).all() == [18]
    assert db.session.scalar(select(func.min(AuditSeal.seq))) == 18
    assert db.session.scalar(select(func.min(AuditCheckpoint.size))) == 18


def test_a_changed_row_after_a_cut_is_found(log: Kept) -> None:
    _, october = two_months(log)
    cut(log)
    log.change("UPDATE audit_event SET reason = 'other' WHERE id = :id", id=october[2])
    [found] = log.found()
    assert found.startswith(f"row {october[2]} (leaf 13, ")


@pytest.mark.parametrize(
    ("change", "values", "said"),
    [
        ("UPDATE audit_cut SET before = before + 1", {}, "the cut at leaf 11 is not what was signed"),
        (
            "UPDATE audit_cut SET edge = :edge",
            {"edge": bytes(96)},
            "the cut at leaf 11 is not what was signed",
        ),
        ("UPDATE audit_cut SET edge = :edge", {"edge": b""}, "the cut at leaf 11 has an edge that is none"),
        ("UPDATE audit_cut SET signed = 'x'", {}, "the cut at leaf 11 has a signature that fails"),
        ("DELETE FROM audit_cut", {}, "leaves 0 to 10 are missing"),
        (
            "DELETE FROM audit_checkpoint WHERE size = 11",
            {},
            "the checkpoint of the cut at leaf 11 is missing",
        ),
        ("DELETE FROM audit_seal WHERE seq = 11", {}, "leaf 11 is missing"),
    ],
)
def test_a_cut_that_was_tampered_with_is_found(
    log: Kept, change: str, values: dict[str, Any], said: str
) -> None:
    two_months(log)
    cut(log)
    log.change(change, **values)
    assert any(found.startswith(said) for found in log.found())


def test_a_row_of_the_past_that_was_sealed_after_the_cut_stays_until_the_next(log: Kept) -> None:
    """Written in the last second of a month, sealed in the next: it is no leaf of those that go."""
    log.clock.now = at(2026, 9, 20)
    log.sealed(3)
    log.clock.now = at(2026, 10, 1) + 20
    late = log.write(1, at=at(2026, 10) - 1)
    late += log.write(1, at=at(2026, 10) + 1)
    log.seal()
    log.clock.now = at(2026, 11, 5)
    assert cut(log) == "2026-10"
    assert log.ids()[:-1] == late
    assert log.found() == []
    log.seal()
    log.clock.now = at(2026, 12, 5)
    assert cut(log) == "2026-11"
    assert not set(late) & set(log.ids())
    assert log.found() == []


def test_a_row_that_claims_to_be_of_the_future_does_not_keep_the_log(log: Kept) -> None:
    log.clock.now = at(2026, 9, 20)
    log.sealed(2)
    ahead = log.write(1, at=at(2031, 1))
    log.seal()
    log.clock.now = at(2026, 10, 20)
    left = log.sealed(2)
    log.clock.now = at(2026, 11, 5)
    assert cut(log) == "2026-10"
    assert log.ids()[:-1] == left
    assert ahead not in log.ids()
    assert log.found() == []


def test_nothing_is_taken_that_has_not_the_root_that_was_signed(log: Kept) -> None:
    september, october = two_months(log)
    log.change("UPDATE audit_seal SET leaf = :leaf WHERE seq = 2", leaf=bytes(32))
    with pytest.raises(audit.LogDamaged):
        cut(log)
    assert log.ids() == september + october


def test_what_is_not_sealed_is_not_taken(log: Kept) -> None:
    log.clock.now = at(2026, 9, 20)
    log.write(5)
    log.clock.now = at(2026, 11, 5)
    assert cut(log) is None
    assert len(log.ids()) == 5


# -- partitions ----------------------------------------------------------------------------------------------------


@pytest.mark.postgresql
def test_partitions_are_made_three_months_ahead_and_once(postgresql_log: Kept) -> None:
    log = postgresql_log
    log.clock.now = at(2031, 11, 23)
    assert [str(month) for month in keeping.make_partitions(log.clock())] == [
        "2031-11",
        "2031-12",
        "2032-01",
        "2032-02",
    ]
    assert keeping.make_partitions(log.clock()) == []
    assert "audit_event_2032_02" in partitions()


@pytest.mark.postgresql
def test_a_partition_has_the_indexes_of_the_table_and_takes_its_rows(postgresql_log: Kept) -> None:
    log = postgresql_log
    log.clock.now = at(2031, 11, 23)
    caught = log.write(3)
    assert where(caught) == {"audit_event_other"}
    log.seal()
    keeping.make_partitions(log.clock())
    assert where(caught) == {"audit_event_2031_11"}
    assert where(log.write(2)) == {"audit_event_2031_11"}
    log.seal()
    assert log.found() == []
    columns = {
        tuple(index["column_names"]) for index in inspect(db.engine).get_indexes("audit_event_2031_11")
    }
    assert columns == {
        tuple(index["column_names"]) for index in inspect(db.engine).get_indexes("audit_event")
    }
    assert inspect(db.engine).get_pk_constraint("audit_event_2031_11")["constrained_columns"] == ["id", "at"]


def where(ids: list[int]) -> set[str]:
    db.session.rollback()
    return set(
        db.session.scalars(
            text("SELECT DISTINCT tableoid::regclass::text FROM audit_event WHERE id = ANY(:ids)"),
            {"ids": ids},
        )
    )


@pytest.mark.postgresql
def test_retention_drops_partitions(postgresql_log: Kept) -> None:
    log = postgresql_log
    log.clock.now = at(2031, 9, 1)
    keeping.make_partitions(log.clock())
    log.clock.now = at(2031, 9, 20)
    log.sealed(3)
    log.clock.now = at(2031, 10, 20)
    left = log.sealed(3)
    log.clock.now = at(2031, 11, 5)
    assert cut(log) == "2031-10"
    assert "audit_event_2031_09" not in partitions()
    assert "audit_event_2031_10" in partitions()
    assert log.ids()[:-1] == left
    assert log.found() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("act", [cut, lambda log: keeping.make_partitions(log.clock())])
def test_who_cannot_get_the_lock_gives_up_and_changes_nothing(
    postgresql_log: Kept, act: Callable[[Kept], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = postgresql_log
    monkeypatch.setattr(keeping, "_LOCK_TIMEOUT", "100ms")
    two_months(log)
    log.clock.now = at(2031, 1)
    log.seal()
    before = log.ids()
    with db.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM audit_event"))
        with pytest.raises(Exception, match="lock timeout"):
            act(log)
        db.session.rollback()
        assert log.ids() == before
    act(log)
    assert log.found() == []


@pytest.mark.postgresql
def test_a_sign_in_is_recorded_while_a_partition_is_made_and_read(postgresql_log: Kept) -> None:
    """Making a partition holds up no writer, though a long search holds up the making."""
    log = postgresql_log
    log.clock.now = at(2026, 11, 23)
    with db.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM audit_event_other"))

        def make() -> None:
            with log.app.app_context():
                keeping.make_partitions(at(2031, 1))
                db.session.remove()

        thread = threading.Thread(target=make)
        thread.start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit_event_other'::regclass"
        eventually(lambda: db.session.scalar(text(waits)) == 1 or db.session.rollback())
        db.session.rollback()
        record_alone(Event.LOGIN_STARTED, at=log.clock())
    thread.join(30)
    assert "audit_event_2031_01" in partitions()
