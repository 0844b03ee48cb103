"""What only the SQL store does: sweep, wait for SQLite's lock, outlive a lost connection."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from idp.store import StoreUnavailable, open_store
from idp.store.sql import SWEEP_EVERY_S, SWEEP_ROWS, SWEEP_WRITES
from tests.store.conftest import Ground, HandClock
from tests.waiting import eventually


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def on_sqlite(file: Path) -> Iterator[Ground]:
    with Ground(f"sqlite:///{file}", shared=False, clock=HandClock()) as ground:
        yield ground


@pytest.fixture
def on_postgresql(postgresql_database: str) -> Iterator[Ground]:
    with Ground(postgresql_database, shared=True, clock=HandClock()) as ground:
        yield ground


@pytest.fixture
def beside(postgresql_database: str) -> Iterator[Engine]:
    """Looks at the store's database from outside."""
    engine = create_engine(postgresql_database, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def rows(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        (n,) = connection.execute("SELECT count(*) FROM ephemeral").fetchone()
    finally:
        connection.close()
    return int(n)


def test_what_was_put_is_there_after_a_restart(on_sqlite: Ground) -> None:
    store = on_sqlite.open()
    store.put("k", {"name": "홍길동"}, 60)
    store.close()
    assert on_sqlite.open().get("k") == {"name": "홍길동"}


def test_expired_entries_are_swept_by_a_later_writer(on_sqlite: Ground, file: Path) -> None:
    store = on_sqlite.open()
    for i in range(20):
        store.put(f"old:{i}", {}, 10)
    store.put("young", {}, 10 * SWEEP_EVERY_S)
    assert on_sqlite.clock
    on_sqlite.clock.at += SWEEP_EVERY_S
    store.count("writer", 60)
    assert rows(file) == 2
    assert store.get("young") == {}


def test_a_sweep_keeps_up_with_any_number_of_writes(on_sqlite: Ground, file: Path) -> None:
    store = on_sqlite.open()
    assert on_sqlite.clock
    for i in range(6 * SWEEP_WRITES):
        store.put(f"k:{i}", {}, 1)
        on_sqlite.clock.at += i % 10 == 0
    assert rows(file) <= SWEEP_ROWS


@pytest.mark.postgresql
def test_expired_entries_are_swept_on_postgresql_while_others_write(
    on_postgresql: Ground, beside: Engine
) -> None:
    store = on_postgresql.open()
    assert on_postgresql.clock
    for i in range(50):
        store.put(f"old:{i}", {}, 10)
    on_postgresql.clock.at += SWEEP_EVERY_S
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda i: store.add(f"old:{i}", {"again": i}, 600), range(50)))
    # An entry that is renewed while the sweep looks at it is not swept away.
    assert added == [True] * 50
    assert [store.get(f"old:{i}") for i in range(50)] == [{"again": i} for i in range(50)]
    on_postgresql.clock.at += 600 + SWEEP_EVERY_S
    store.put("writer", {}, 60)
    with beside.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM ephemeral").scalar() == 1


def test_a_writer_waits_while_another_process_holds_the_file(on_sqlite: Ground, file: Path) -> None:
    store = on_sqlite.open()
    other = sqlite3.connect(file, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as threads:
            put = threads.submit(store.put, "k", {"n": 1}, 60)
            other.execute("COMMIT")
            put.result()
    finally:
        other.close()
    assert store.get("k") == {"n": 1}


def test_a_file_that_is_no_database_is_a_store_that_is_unavailable(on_sqlite: Ground, file: Path) -> None:
    file.write_bytes(b"this is a letter and not a database" * 100)
    with pytest.raises(StoreUnavailable):
        on_sqlite.open()


def test_a_file_in_no_directory_is_a_store_that_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'store.db'}")


@pytest.mark.postgresql
def test_a_dead_postgresql_is_a_store_that_is_unavailable(postgresql_url: str) -> None:
    nowhere = "postgresql+psycopg://nobody:secret-word@127.0.0.1:1/none"
    with closing(open_store(nowhere)) as store, pytest.raises(StoreUnavailable) as refusal:
        store.ping()
    assert "secret-word" not in str(refusal.value)


@pytest.mark.postgresql
def test_verbs_and_wakes_outlive_their_connections(on_postgresql: Ground, beside: Engine) -> None:
    store, other = on_postgresql.open(), on_postgresql.open()
    heard: list[str] = []
    store.subscribe(heard.append)
    store.put("k", {"n": 1}, 60)
    with beside.connect() as connection:
        killed = connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    assert len(killed) >= 2
    assert store.take("k") == {"n": 1}

    def woken() -> bool:
        other.publish("again")
        return "again" in heard

    eventually(woken)


@pytest.mark.postgresql
def test_several_processes_may_prepare_the_table_at_once(on_postgresql: Ground) -> None:
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(lambda _: on_postgresql.open(), range(8)))
    assert [store.count("k", 60) for store in stores] == list(range(1, 9))


@pytest.mark.postgresql
def test_the_table_is_unlogged(on_postgresql: Ground, beside: Engine) -> None:
    on_postgresql.open().ping()
    with beside.connect() as connection:
        kind = connection.exec_driver_sql(
            "SELECT relpersistence FROM pg_class WHERE relname = 'ephemeral'"
        ).scalar()
    assert kind in ("u", b"u")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_it_is_emptied(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql_database")
    with Ground(url, shared=False, clock=HandClock()) as ground:
        store = ground.open()
        store.put("value", {"n": 1}, 60)
        store.count("counter", 60)
        store.clear()
        assert store.get("value") is None
        assert store.count("counter", 60) == 1
