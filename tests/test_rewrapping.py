"""The key-encryption key is changed while nodes run, and whoever changes it is killed midway."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import create_engine, func, select, text

from idp import key_encryption, schema
from idp.admin import audit
from idp.admin.audit.signing import CHECKPOINT
from idp.admin.rewrapping import Batch, Rewrapping, needed_until
from idp.cli import cli
from idp.demo import personas
from idp.key_encryption import LOOK_EVERY_S, KeyEncryption
from idp.keys import Keys, WrongKeyEncryptionKey
from idp.login import Standing
from idp.models import AuditEvent, AuditKey, SignedIn, SigningKey, db, writing
from idp.models import KeyEncryption as Row
from idp.seal import CannotOpen
from idp.session import STANDING, standing_purpose
from idp.worker import Worker
from tests.crowd import STEPS, Holder, Place, client_of
from tests.deployed import PROJECT
from tests.rig import Rig, started
from tests.test_cli import Deployment, deployed
from tests.test_keys import PUBLISH_S, RETIRE_S, MovingClock, application
from tests.waiting import eventually

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
HOLDS = Standing("kr-overseas", "dc+sd-jwt", "LAX")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = application(f"sqlite:///{tmp_path}/sinwon.db")
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


class Node:
    """A process that knows these keys: what it seals and opens."""

    def __init__(self, clock: MovingClock, key: bytes, following: bytes | None = None) -> None:
        self.kek = KeyEncryption(key, following, clock)
        self.keys = Keys(self.kek, clock, PUBLISH_S, RETIRE_S, algs=("ES256",))
        self.standings = self.kek.sealing(STANDING)

    def works(self) -> None:
        """A signing key, a word for a key of the audit, and two sessions."""
        self.keys.ensure()
        self.seals()
        with writing() as database:
            signer = audit.LogSigner(self.keys, self.kek, "https://idp.example")
            signer.sign(database, CHECKPOINT, {"size": 1})

    def seals(self, n: int = 2) -> None:
        with writing() as database:
            for _ in range(n):
                key = secrets.token_hex(8)
                sealed = self.standings.seal(msgspec.json.encode(HOLDS), standing_purpose(key))
                row = SignedIn(id=key, subject_id="s", started_at=1, ends_at=2, checked_at=1)
                row.sealed_standing = sealed
                database.add(row)

    def opens_all(self) -> None:
        """Everything in the database. Raises what a node would."""
        self.keys.check()
        signer = audit.LogSigner(self.keys, self.kek, "https://idp.example")
        assert len(signer.vouched_keys()) == db.session.scalar(select(func.count()).select_from(AuditKey))
        for row in db.session.scalars(select(SignedIn)):
            opened = self.standings.open(row.sealed_standing or "", standing_purpose(row.id))
            assert msgspec.json.decode(opened, type=Standing) == HOLDS
        db.session.rollback()


def rewrapped(rewrapping: Rewrapping) -> int:
    """The whole of it; how many rows were sealed anew."""
    rewrapping.begin()
    counts: Counter[str] = Counter()
    for batch in rewrapping.batches():
        assert batch.n_strange == 0
        counts[batch.table] += batch.n_changed
    rewrapping.end(dict(counts))
    return counts.total()


def test_with_one_key_the_database_is_not_asked() -> None:
    sealing = KeyEncryption(OLD).sealing("anything")  # without an application
    assert sealing.open(sealing.seal(b"text", "what"), "what") == b"text"
    assert sealing.macs("a", "b") == (sealing.mac("a", "b"),)


def test_everything_is_under_the_next_key_afterwards(app: Flask, clock: MovingClock) -> None:
    Node(clock, OLD).works()
    both = Node(clock, OLD, NEW)
    assert rewrapped(Rewrapping(both.kek, clock, batch=1)) == 4
    Node(clock, NEW).opens_all()
    both.opens_all()
    with pytest.raises(WrongKeyEncryptionKey):
        Node(clock, OLD).opens_all()
    assert rewrapped(Rewrapping(both.kek, clock)) == 0
    row = db.session.scalars(select(Row)).one()
    assert (row.since, row.done_at) == (clock(), clock())
    events = db.session.scalars(select(AuditEvent).where(AuditEvent.name == "admin.keys_rewrapped")).all()
    counts = {"signing_key": 1, "audit_key": 1, "signed_in": 2}
    assert [event.detail for event in events] == [{"key": both.kek.following, **counts}]


def test_both_keys_open_all_the_time(app: Flask, clock: MovingClock) -> None:
    Node(clock, OLD).works()
    nodes = [Node(clock, OLD, NEW), Node(clock, OLD, NEW)]
    rewrapping = Rewrapping(Node(clock, OLD, NEW).kek, clock, batch=1)
    rewrapping.begin()
    for _ in rewrapping.batches():
        for node in nodes:
            node.opens_all()
        Node(clock, OLD, NEW).opens_all()  # one that starts meanwhile


def test_every_node_seals_under_the_next_key_once_it_has_looked(app: Flask, clock: MovingClock) -> None:
    node, only_new = Node(clock, OLD, NEW), KeyEncryption(NEW).sealing(STANDING)
    node.seals()
    Rewrapping(Node(clock, OLD, NEW).kek, clock).begin()
    with pytest.raises(CannotOpen):
        only_new.open(node.standings.seal(b"text", "what"), "what")
    clock.pass_(LOOK_EVERY_S)
    assert only_new.open(node.standings.seal(b"text", "what"), "what") == b"text"


def test_a_new_signing_key_is_under_the_next_key_at_once(app: Flask, clock: MovingClock) -> None:
    node = Node(clock, OLD, NEW)
    node.works()
    rewrapping = Rewrapping(Node(clock, OLD, NEW).kek, clock)
    rewrapping.begin()
    kid = node.keys.rotate("ES256")  # it has not looked since
    assert {batch.table: batch.n_changed for batch in rewrapping.batches()}["signing_key"] == 1
    assert kid in {jwk["kid"] for jwk in Node(clock, NEW).keys.jwks()["keys"]}


def test_what_a_node_sealed_before_it_looked_is_found_by_the_next_run(app: Flask, clock: MovingClock) -> None:
    late = Node(clock, OLD, NEW)
    late.works()
    rewrapping = Rewrapping(Node(clock, OLD, NEW).kek, clock)
    rewrapped(rewrapping)
    late.seals(3)
    assert rewrapped(rewrapping) == 3
    Node(clock, NEW).opens_all()


def test_a_key_that_is_removed_meanwhile_stays_so(app: Flask, clock: MovingClock) -> None:
    node = Node(clock, OLD, NEW)
    node.works()
    kid = node.keys.rotate("ES256")
    rewrapping = Rewrapping(Node(clock, OLD, NEW).kek, clock)
    rewrapping.begin()
    table = rewrapping.tables[0]
    rows = rewrapping.rows(table, "")
    node.keys.remove(kid)
    assert rewrapping.anew(table, rows) == Batch("signing_key", 2, 1, 0)
    assert db.session.get_one(SigningKey, kid).sealed_private_jwk == ""


def test_what_neither_key_opens_is_counted_and_left(app: Flask, clock: MovingClock) -> None:
    Node(clock, secrets.token_bytes(32)).seals(1)
    before = db.session.scalars(select(SignedIn.sealed_standing)).all()
    rewrapping = Rewrapping(Node(clock, OLD, NEW).kek, clock)
    rewrapping.begin()
    assert list(rewrapping.batches()) == [Batch("signed_in", 1, 0, 1)]
    assert db.session.scalars(select(SignedIn.sealed_standing)).all() == before


def test_the_way_back_is_the_same_way(app: Flask, clock: MovingClock) -> None:
    Node(clock, OLD).works()
    rewrapped(Rewrapping(Node(clock, OLD, NEW).kek, clock))
    assert rewrapped(Rewrapping(Node(clock, NEW, OLD).kek, clock)) == 4
    Node(clock, OLD).opens_all()


# On a running house


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    given = {"secrets.key_encryption_key": OLD, "secrets.next_key_encryption_key": NEW}
    with started(tmp_path_factory.mktemp("house"), given) as running:
        yield running


def test_a_sign_in_goes_on_across_the_change_and_the_worker_has_the_last_word(rig: Rig) -> None:
    place = Place.of(rig.prepared)
    with closing(place.line):
        before = Holder(place, client_of(rig.prepared), personas.invented(1)).go("look")
        Holder(place, client_of(rig.prepared), personas.invented(2)).go()
        with rig.app.app_context():
            another = key_encryption.of(rig.house.settings, None, rig.clock)
            assert rewrapped(Rewrapping(another, rig.clock)) >= 3
        late = Holder(place, client_of(rig.prepared), personas.invented(3)).go()  # nobody has looked yet
        rig.clock.forward(LOOK_EVERY_S)
        for step in STEPS[STEPS.index("look") + 1 :]:
            getattr(before, step)()
        assert late.claims["sub"] != before.claims["sub"]
        worker = Worker(rig.app)
        worker.jobs = [job for job in worker.jobs if job.name == "rewrap"]
        worker.run_once()
        sealing = KeyEncryption(NEW).sealing(STANDING)
        with rig.app.app_context():
            for row in db.session.scalars(select(SignedIn).where(SignedIn.sealed_standing.is_not(None))):
                assert sealing.open(row.sealed_standing or "", standing_purpose(row.id))
            assert needed_until(rig.house.settings) is not None


def test_a_house_with_one_key_has_no_such_job(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "rewrap" in {job.name for job in Worker(rig.app).jobs}
    monkeypatch.setitem(rig.app.extensions, "sinwon", replace(rig.house, kek=KeyEncryption(OLD)))
    assert "rewrap" not in {job.name for job in Worker(rig.app).jobs}


# The command


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    made = deployed(tmp_path_factory.mktemp("deployment"))
    schema.upgrade(f"sqlite:///{made.directory / 'sinwon.db'}")
    return made


def run(deployment: Deployment, *arguments: str, **environ: str) -> Result:
    given: dict[str, str | None] = {name: None for name in os.environ if name.startswith("IDP_")}
    return CliRunner().invoke(cli, arguments, env={**given, **deployment.environ, **environ})


def test_the_command_says_what_it_needs_what_it_does_and_what_comes_next(deployment: Deployment) -> None:
    first = run(deployment, "keys", "rewrap")
    assert first.exit_code == 1
    assert "secrets.next_key_encryption_key_file" in first.output
    both = {"IDP_SECRETS__NEXT_KEY_ENCRYPTION_KEY": NEW.hex()}
    assert "idp keys rewrap" in run(deployment, "doctor", **both).output
    run(deployment, "audit", "seal")  # makes the first keys
    done = run(deployment, "keys", "rewrap", **both)
    assert done.exit_code == 0, done.output
    assert "signing_key: 2 of 2 rows sealed anew" in done.output
    again = run(deployment, "keys", "rewrap", **both)
    assert "0 rows were sealed anew" in again.output
    assert "both are known still" in run(deployment, "doctor", **both).output
    without = run(deployment, "doctor")
    assert "sealed under another key-encryption key" in without.output
    only = run(deployment, "doctor", IDP_SECRETS__KEY_ENCRYPTION_KEY=NEW.hex())
    assert "ES256, RS256 can sign" in only.output
    assert NEW.hex() not in done.output + again.output + without.output


def test_nothing_is_begun_where_a_signing_key_opens_with_neither(tmp_path: Path) -> None:
    made = deployed(tmp_path)
    url = f"sqlite:///{made.directory / 'sinwon.db'}"
    schema.upgrade(url)
    run(made, "audit", "seal")
    wrong = {
        "IDP_SECRETS__KEY_ENCRYPTION_KEY": OLD.hex(),
        "IDP_SECRETS__NEXT_KEY_ENCRYPTION_KEY": NEW.hex(),
    }
    done = run(made, "keys", "rewrap", **wrong)
    assert done.exit_code == 1
    assert "Nothing was changed" in done.output
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Row)) == 0
    engine.dispose()


@pytest.mark.postgresql
def test_killed_midway_it_is_gone_on_with(postgresql_database: str, tmp_path: Path) -> None:
    made = deployed(tmp_path)
    schema.upgrade(postgresql_database)
    old = bytes.fromhex("1f" * 31 + "aa")
    clock = MovingClock()
    environment = {
        **made.environ,
        "IDP_DATABASE__URL": postgresql_database,
        "IDP_SECRETS__NEXT_KEY_ENCRYPTION_KEY": NEW.hex(),
    }
    app = application(postgresql_database)
    with app.app_context():
        node = Node(clock, old)
        node.works()
        node.seals(500)
        in_the_way = db.session.scalars(select(SignedIn.id).order_by(SignedIn.id).offset(300).limit(1)).one()
        db.session.rollback()
        with db.engine.connect() as other, db.engine.connect() as watching:
            other.execute(select(SignedIn.id).where(SignedIn.id == in_the_way).with_for_update())
            command = subprocess.Popen(
                [sys.executable, "-m", "idp.cli", "keys", "rewrap"],
                cwd=PROJECT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

            def is_stuck() -> bool:
                watching.rollback()
                return bool(watching.scalar(waits))

            eventually(is_stuck, 60)
            command.send_signal(signal.SIGKILL)
            said, _ = command.communicate()
            other.rollback()
        assert b"signed_in: 200 of 200 rows sealed anew" in said
        assert b"opens is under the key" not in said
        Node(clock, old, NEW).opens_all()
        with pytest.raises((WrongKeyEncryptionKey, CannotOpen)):
            Node(clock, NEW).opens_all()
        assert db.session.scalars(select(Row)).one().done_at is None
        db.session.rollback()
        done = subprocess.run(
            [sys.executable, "-m", "idp.cli", "keys", "rewrap"],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "302 rows were sealed anew" in done.stdout
        Node(clock, NEW).opens_all()
        db.session.remove()
        db.engine.dispose()
