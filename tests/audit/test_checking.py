"""Whatever is done to the log with the database in hand is found and named; a log that nobody touched passes."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import select

from idp.admin import audit
from idp.admin.audit.merkle import Edge, entry_of, leaf_hash
from idp.admin.audit.sealing import COLUMNS, EVENTS
from idp.key_encryption import KeyEncryption
from idp.models import AuditCheckpoint, AuditKey, AuditLog, AuditSeal, db
from idp.seal import b64
from tests.audit.keeping import KEK, Kept

SIZES = (4, 7, 5)  # checkpoints at 4, 11 and 16
POSITIONS = [
    0,
    3,
    4,
    9,
    15,
]  # of a leaf: first, the last of a checkpoint, the first after one, the middle, the last


def ids_of(log: Kept) -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(select(AuditSeal.event_id).order_by(AuditSeal.seq)))


def test_a_log_that_nobody_touched_passes(log: Kept) -> None:
    log.sealed(*SIZES)
    assert log.found() == []


@pytest.mark.parametrize(
    "assignment",
    [
        "reason = 'other'",
        "at = at + 1",
        "at = at - 40000000",  # on PostgreSQL it moves to another partition
        "name = 'login.finished'",
        "client_id = 'other'",
        "client_id = NULL",
        "actor = ''",
        "ip = '192.0.2.1'",
        "subject_id = 's'",
        "login_id = 'another'",
        "correlation_id = 'c'",
        "detail = '{}'",
        """detail = '{"number": 1000}'""",
    ],
)
def test_every_changed_row_is_found_wherever_it_stands(log: Kept, assignment: str) -> None:
    log.sealed(*SIZES)
    ids = ids_of(log)
    for n_changed, position in enumerate(POSITIONS, 1):
        log.change(f"UPDATE audit_event SET {assignment} WHERE id = :id", id=ids[position])
        found = log.found()
        assert len(found) == n_changed
        assert found[-1].startswith(f"row {ids[position]} (leaf {position}, ")
        assert found[-1].endswith("is not what was sealed there")


@pytest.mark.parametrize("position", POSITIONS)
def test_a_removed_row_is_found(log: Kept, position: int) -> None:
    log.sealed(*SIZES)
    row = ids_of(log)[position]
    log.change("DELETE FROM audit_event WHERE id = :id", id=row)
    [found] = log.found()
    assert found.startswith(f"row {row} (leaf {position}, ")
    assert found.endswith("was removed")


@pytest.mark.parametrize("position", POSITIONS)
def test_a_leaf_that_was_given_to_another_row_is_found(log: Kept, position: int) -> None:
    log.sealed(*SIZES)
    row = ids_of(log)[position]
    [new] = log.write(1)
    log.change("UPDATE audit_seal SET event_id = :new WHERE event_id = :row", new=new, row=row)
    found = log.found()
    assert len(found) == 2
    assert found[0].startswith(f"row {new} (leaf {position}, ")
    assert found[1].startswith(f"row {row} ")
    assert "is not sealed" in found[1]


@pytest.mark.parametrize("offset", [-1, -400])
def test_a_row_with_an_id_of_the_past_is_found_and_never_sealed(log: Kept, offset: int) -> None:
    if not str(db.engine.url).startswith("sqlite"):
        log.change("SELECT setval('audit_event_id_seq', 5000)")
    else:
        log.change(
            "INSERT INTO audit_event (id, at, name) VALUES (5000, :at, 'login.started')", at=log.clock() - 9
        )
    log.sealed(*SIZES)
    for _ in range(5):
        log.seal()
    new = min(ids_of(log)) + offset
    log.change(
        "INSERT INTO audit_event (id, at, name) VALUES (:id, :at, 'login.started')", id=new, at=log.clock()
    )
    assert log.seal() == 0
    [found] = log.found()
    assert found.startswith(f"row {new} (login.started, ")
    assert "is not sealed" in found


@pytest.mark.parametrize("position", POSITIONS)
def test_a_row_changed_together_with_its_seal_is_found_at_the_checkpoint(log: Kept, position: int) -> None:
    log.sealed(*SIZES)
    row = ids_of(log)[position]
    log.change("UPDATE audit_event SET reason = 'other' WHERE id = :id", id=row)
    event = db.session.execute(select(EVENTS).where(EVENTS.c.id == row)).one()
    leaf = leaf_hash(entry_of(dict(zip(COLUMNS, event, strict=True))))
    log.change("UPDATE audit_seal SET leaf = :leaf WHERE event_id = :id", leaf=leaf, id=row)
    [found] = log.found()
    first, last = next((a, b) for a, b in ((0, 3), (4, 10), (11, 15)) if a <= position <= b)
    assert found.startswith(
        f"the checkpoint at leaf {last + 1} has another root than the leaves: leaves {first} to"
    )


@pytest.mark.parametrize("position", POSITIONS)
def test_a_row_removed_together_with_its_seal_is_found(log: Kept, position: int) -> None:
    log.sealed(*SIZES)
    row = ids_of(log)[position]
    log.change("DELETE FROM audit_event WHERE id = :id", id=row)
    log.change("DELETE FROM audit_seal WHERE event_id = :id", id=row)
    found = log.found()
    if position == 15:
        assert found[0] == "the log ends at leaf 15, a checkpoint at 16: its end was removed"
    else:
        assert found[0] == f"leaf {position} is missing: no root after that can be computed"


@pytest.mark.parametrize(("one", "other"), [(0, 1), (3, 4), (2, 14), (14, 15)])
def test_rows_that_changed_places_are_found(log: Kept, one: int, other: int) -> None:
    log.sealed(*SIZES)
    ids = ids_of(log)
    log.change("UPDATE audit_seal SET seq = -1 WHERE seq = :one", one=one)
    log.change("UPDATE audit_seal SET seq = :one WHERE seq = :other", one=one, other=other)
    log.change("UPDATE audit_seal SET seq = :other WHERE seq = -1", other=other)
    assert ids_of(log) != ids
    found = log.found()
    assert len(found) == 1
    assert "has another root than the leaves" in found[0]


@pytest.mark.parametrize("size", [4, 11, 16])
@pytest.mark.parametrize("assignment", ["at = at + 1", "until = until - 1", "root = :other"])
def test_a_changed_checkpoint_is_found(log: Kept, size: int, assignment: str) -> None:
    log.sealed(*SIZES)
    values = {"other": bytes(32)} if ":other" in assignment else {}
    log.change(f"UPDATE audit_checkpoint SET {assignment} WHERE size = :size", size=size, **values)
    assert log.found()[0] == f"the checkpoint at leaf {size} is not what was signed"


@pytest.mark.parametrize("size", [4, 11, 16])
def test_a_checkpoint_whose_signature_fails_is_found(log: Kept, size: int) -> None:
    log.sealed(*SIZES)
    other = "4" if size == 16 else "16"
    signed = signed_at(int(other))
    log.change("UPDATE audit_checkpoint SET signed = :signed WHERE size = :size", signed=signed, size=size)
    assert log.found() == [f"the checkpoint at leaf {size} is not what was signed"]
    head, _, tail = signed.rpartition(".")
    broken = f"{head}.{tail[:10]}{'A' if tail[10] != 'A' else 'B'}{tail[11:]}"
    for signature in (broken, "", "no JWS", f"{head}."):
        log.change(
            "UPDATE audit_checkpoint SET signed = :signed WHERE size = :size", signed=signature, size=size
        )
        assert log.found() == [f"the checkpoint at leaf {size} has a signature that fails"]


def signed_at(size: int) -> str:
    db.session.rollback()
    return db.session.scalars(select(AuditCheckpoint.signed).where(AuditCheckpoint.size == size)).one()


@pytest.mark.parametrize("size", [4, 11])
def test_a_removed_checkpoint_costs_only_where_a_change_is_found(log: Kept, size: int) -> None:
    """The next one covers its leaves as well; nothing that was sealed is less sure."""
    log.sealed(*SIZES)
    row = ids_of(log)[size - 1]
    log.change("DELETE FROM audit_checkpoint WHERE size = :size", size=size)
    log.change("UPDATE audit_seal SET leaf = :leaf WHERE event_id = :id", leaf=bytes(32), id=row)
    assert len(log.found()) == 2


def test_a_removed_last_checkpoint_is_found(log: Kept) -> None:
    log.sealed(*SIZES)
    log.change("DELETE FROM audit_checkpoint WHERE size = 16")
    assert "no checkpoint covers leaves 11 to 15" in log.found()


def test_a_planted_key_signs_nothing(log: Kept) -> None:
    """Whoever can write to the database alone makes a log of their own, with a key of their own."""
    ids = log.sealed(3)
    key = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
    log.change("UPDATE audit_event SET reason = 'other' WHERE id = :id", id=ids[0])
    edge = Edge()
    for row in db.session.execute(select(EVENTS).order_by(EVENTS.c.id)).all():
        leaf = leaf_hash(entry_of(dict(zip(COLUMNS, row, strict=True))))
        edge.append(leaf)
        log.change("UPDATE audit_seal SET leaf = :leaf WHERE event_id = :id", leaf=leaf, id=row.id)
    claims = {"size": 3, "root": b64(edge.root()), "at": log.clock(), "until": log.clock() - 1}
    header = {"typ": "sinwon-audit-checkpoint+jwt", "alg": "ES256", "kid": key.kid}
    signed = jwt.encode(header, claims, key, algorithms=["ES256"], default_type=None)
    log.change("UPDATE audit_checkpoint SET root = :root, signed = :signed", root=edge.root(), signed=signed)
    log.change("UPDATE audit_log SET edge = :edge", edge=edge.to_bytes())
    assert log.found() == [
        f"the checkpoint at leaf 3 is signed by the key {key.kid}, which is not known here"
    ]
    public = key.as_dict(private=False)
    jwk = {name: public[name] for name in ("crv", "kty", "x", "y")}
    db.session.add(AuditKey(kid=key.kid, public_jwk=jwk, vouched="x" * 43))
    db.session.commit()
    [found] = log.found()
    assert found.endswith("which the key-encryption key does not vouch for")


def test_keys_that_an_auditor_kept_take_the_place_of_the_databases(log: Kept) -> None:
    log.sealed(3)
    keys = audit.public_keys()
    log.change("DELETE FROM audit_key")
    assert log.found(keys=keys) == []
    assert "is not among the given ones" in log.found(keys=[])[0]


def test_rows_that_nobody_seals_are_reported_once_they_are_old_enough(log: Kept) -> None:
    log.sealed(2)
    old = log.write(1, at=log.clock() - 1)
    found = log.found()
    assert found == [
        f"row {old[0]} (login.started, 2026-11-23T11:59:59Z) is not sealed: put in later, or sealing does not run"
    ]
    log.seal()
    log.write(1, at=log.clock() + 100)  # of this moment, when the check runs
    assert log.found() == []


def test_many_rows_that_nobody_sealed_are_not_all_named(log: Kept) -> None:
    log.write(30)
    found = log.found()
    assert len(found) == 21
    assert found[-1] == "further rows are not sealed either"


# -- with a checkpoint that was kept elsewhere -----------------------------------------------------------------


def test_a_removed_end_is_found_with_a_kept_checkpoint_alone(log: Kept) -> None:
    ids = log.sealed(4, 7)
    before = where_sealing_stands()
    log.sealed(5)
    kept = audit.latest_checkpoint()
    log.change("DELETE FROM audit_event WHERE id > :id", id=ids[-1])
    log.change("DELETE FROM audit_seal WHERE seq >= 11")
    log.change("DELETE FROM audit_checkpoint WHERE size > 11")
    log.change("UPDATE audit_log SET size = :size, edge = :edge", **before)
    assert log.found() == []
    assert log.found(kept=kept)[0] == (
        "the log ends at leaf 11, the given checkpoint at 16: its end was removed"
    )


def where_sealing_stands() -> dict[str, Any]:
    db.session.rollback()
    row = db.session.scalars(select(AuditLog)).one()
    return {"size": row.size, "edge": row.edge}


def test_a_kept_checkpoint_spares_the_rows_before_it_and_checks_their_leaves(log: Kept) -> None:
    log.sealed(4, 7)
    kept = audit.latest_checkpoint()
    log.sealed(5)
    check = audit.Check(audit.LogVerifier(KeyEncryption(KEK)), log.clock() + 120, kept)
    assert list(check.findings()) == []
    assert (check.n_rows, check.size) == (5, 16)
    log.change("UPDATE audit_seal SET leaf = :leaf WHERE seq = 2", leaf=bytes(32))
    assert log.found(kept=kept)[0] == (
        "the log is not the one of the given checkpoint: something before it was changed"
    )


def test_a_kept_text_that_is_no_checkpoint_is_said_so(log: Kept) -> None:
    log.sealed(4)
    assert log.found(kept="something") == ["the given checkpoint has a signature that fails"]
