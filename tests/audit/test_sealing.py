"""Every row is sealed once, whatever order rows are committed in, and nothing is sealed on top of a break."""

from __future__ import annotations

import json
import threading

import pytest
from sqlalchemy import func, select, text

from idp.admin import audit
from idp.admin.audit import sealing
from idp.admin.audit.signing import CHECKPOINT
from idp.events import Event, record, record_alone
from idp.key_encryption import KeyEncryption
from idp.models import AuditCheckpoint, AuditLog, AuditSeal, db, writing
from tests.audit.keeping import KEK, Kept


def seals() -> list[tuple[int, int]]:
    db.session.rollback()
    return [
        tuple(row)
        for row in db.session.execute(select(AuditSeal.seq, AuditSeal.event_id).order_by(AuditSeal.seq))
    ]


def sizes() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(select(AuditCheckpoint.size).order_by(AuditCheckpoint.size)))


def log_row() -> AuditLog:
    db.session.rollback()
    return db.session.scalars(select(AuditLog).execution_options(populate_existing=True)).one()


def test_rows_become_leaves_in_their_order_and_each_batch_ends_with_a_checkpoint(log: Kept) -> None:
    ids = log.write(5)
    assert log.seal() == 5
    ids += log.write(3)
    assert log.seal() == 3
    assert seals() == list(enumerate(ids))
    assert sizes() == [5, 8]
    assert log.found() == []


def test_where_nothing_happened_nothing_is_signed(log: Kept) -> None:
    assert log.seal() == 0
    log.sealed(2)
    assert log.seal() == 0
    assert sizes() == [2]
    assert log.found() == []


def test_many_rows_are_sealed_batch_by_batch(log: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 7)
    ids = log.write(30)
    assert log.seal() == 30
    assert sizes() == [7, 14, 21, 28, 30]
    assert seals() == list(enumerate(ids))
    assert log.found() == []


def test_a_checkpoint_says_what_it_signs(log: Kept) -> None:
    log.sealed(3)
    row = db.session.scalars(select(AuditCheckpoint)).one()
    claims = audit.LogVerifier(KeyEncryption(KEK)).open(CHECKPOINT, row.signed)
    assert claims == {
        "iss": "https://idp.example",
        "size": 3,
        "root": claims["root"],
        "at": log.clock(),
        "until": log.clock() - 1,
    }


def test_the_sealer_signs_nothing_on_top_of_a_break(log: Kept) -> None:
    log.sealed(4)
    log.write(1)
    log.change("UPDATE audit_log SET edge = :edge", edge=bytes(32))
    with pytest.raises(audit.LogDamaged):
        log.seal()
    assert sizes() == [4]


def test_where_sealing_stands_is_found_again_from_the_seals(log: Kept) -> None:
    log.sealed(5, 6)
    log.change("DELETE FROM audit_log")
    assert log.found() == ["audit_log is empty: the next sealing makes it anew"]
    log.sealed(2)
    assert sizes() == [5, 11, 13]
    assert log.found() == []


def test_an_old_signature_verifies_after_its_key_is_gone_and_its_row_too(log: Kept) -> None:
    log.sealed(3)
    [old] = audit.public_keys()
    log.keys.rotate("ES256", at_once=True)
    log.sealed(3)
    log.clock.now += 3600
    assert old["kid"] not in json.dumps(log.keys.jwks())
    log.change("DELETE FROM signing_key WHERE kid = :kid", kid=old["kid"])
    assert len(audit.public_keys()) == 2
    assert log.found() == []


def test_the_id_of_a_deleted_row_is_not_used_again(log: Kept) -> None:
    """SQLite would do so, and the next row would never be sealed."""
    *_, last = log.sealed(3)
    log.change("DELETE FROM audit_event WHERE id = :id", id=last)
    [following] = log.write(1)
    assert following > last
    assert log.seal() == 1


# -- PostgreSQL: rows are committed in any order ------------------------------------------------------------------


@pytest.mark.postgresql
def test_a_row_that_is_committed_late_is_sealed_all_the_same(postgresql_log: Kept) -> None:
    log = postgresql_log
    with db.engine.connect() as slow:
        slow.execute(
            text("INSERT INTO audit_event (at, name) VALUES (:at, 'login.started')"), {"at": log.clock()}
        )
        late = slow.scalar(text("SELECT currval('audit_event_id_seq')"))
        ids = log.write(3)
        for _ in range(6):
            log.write(1)
            log.seal()
        assert late not in [event_id for _, event_id in seals()]
        assert log_row().settled_id < late < ids[0]
        slow.commit()
    assert log.seal() == 1
    assert seals()[-1] == (9, late)
    assert log.found() == []


@pytest.mark.postgresql
def test_an_id_is_settled_when_no_smaller_one_can_appear(postgresql_log: Kept) -> None:
    log = postgresql_log
    ids = log.write(3)
    for _ in range(5):
        log.seal()
    assert log_row().settled_id == ids[-1]
    with db.engine.connect() as given_up:
        given_up.execute(text("INSERT INTO audit_event (at, name) VALUES (1, 'login.started')"))
        given_up.rollback()
    ids = log.write(2)
    for _ in range(5):
        log.seal()
    assert log_row().settled_id == ids[-1]


@pytest.mark.postgresql
def test_what_many_write_at_once_is_sealed_once_each_while_they_write(postgresql_log: Kept) -> None:
    log = postgresql_log
    n_writers, n_each = 6, 40
    gate = threading.Barrier(n_writers + 1)

    def write(writer: int) -> None:
        with log.app.app_context():
            gate.wait(30)
            for number in range(n_each):
                if number % 7 == 3:
                    gives_up()
                record_alone(Event.LOGIN_STARTED, at=log.clock(), login_id=f"{writer}-{number}")
            db.session.remove()

    def gives_up() -> None:
        with pytest.raises(KeyError), writing() as session:
            record(session, Event.LOGIN_STARTED, at=log.clock())
            raise KeyError

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(n_writers)]
    for thread in threads:
        thread.start()
    gate.wait(30)
    while any(thread.is_alive() for thread in threads):
        log.seal()
    for thread in threads:
        thread.join(30)
    for _ in range(2):
        log.seal()
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(AuditSeal)) == n_writers * n_each
    assert sorted(event_id for _, event_id in seals()) == log.ids()
    assert log.found() == []
