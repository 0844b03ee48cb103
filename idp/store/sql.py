"""The store in a table: SQLite for one process, PostgreSQL for several.

One table, `ephemeral(k, v, n, expires_at)`: a value has v, a counter has n, and their keys start with
another letter so that they never meet. Every verb is one statement and one transaction of its own, so
its atomicity is the database's. What has expired is invisible at once and swept in small batches by
whoever writes.

SQLite: a file of its own beside the main database, WAL, never synced. After a power failure it may have
forgotten; losing the file means that holders in the middle of a sign-in begin again. It serves one
process: `publish` wakes the subscribers of this process only (decision D21).

PostgreSQL 12 or later: an UNLOGGED table, empty after a crash and on a promoted standby. NOTIFY carries wakes
to the other processes, over a session of its own: a pooler in front must not share out sessions by transaction.
"""

import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from functools import cache
from typing import Any, Protocol, cast

import psycopg
from sqlalchemy import create_engine, exc, make_url
from sqlalchemy.engine import URL

from idp import clock, postgresql
from idp.store import StoreUnavailable, Value
from idp.store.entries import decode, encode, key_to_write, lifetime, possible
from idp.store.wakes import TICK_S, Listener, Wakes

log = logging.getLogger(__name__)

Row = tuple[Any, ...]

THREADS = 16
BUSY_S = 5
# A sweep removes more than can have been written since the last one, so expired rows never pile up.
SWEEP_WRITES = 500
SWEEP_EVERY_S = 60
SWEEP_ROWS = 2 * SWEEP_WRITES

TABLE = """
CREATE {kind} TABLE IF NOT EXISTS ephemeral (
    k text {collation} PRIMARY KEY,
    v text,
    n integer,
    expires_at bigint NOT NULL
)"""
INDEX = "CREATE INDEX IF NOT EXISTS ephemeral_expires_at ON ephemeral (expires_at)"

PUT = """
INSERT INTO ephemeral (k, v, expires_at) VALUES (:k, :v, :expires_at)
ON CONFLICT (k) DO UPDATE SET v = excluded.v, expires_at = excluded.expires_at"""

GET = "SELECT v FROM ephemeral WHERE k = :k AND expires_at > :now"

TAKE = "DELETE FROM ephemeral WHERE k = :k RETURNING v, expires_at"

# An expired entry is as good as none: the first writer after it is a first writer.
ADD = """
INSERT INTO ephemeral (k, v, expires_at) VALUES (:k, :v, :expires_at)
ON CONFLICT (k) DO UPDATE SET v = excluded.v, expires_at = excluded.expires_at
WHERE ephemeral.expires_at <= :now
RETURNING 1"""

SWAP = """
UPDATE ephemeral SET v = :new
WHERE k = :k AND v = :old AND expires_at > :now
RETURNING 1"""

SWAP_AND_PROLONG = """
UPDATE ephemeral SET v = :new, expires_at = :expires_at
WHERE k = :k AND v = :old AND expires_at > :now
RETURNING 1"""

COUNT = """
INSERT INTO ephemeral (k, n, expires_at) VALUES (:k, 1, :expires_at)
ON CONFLICT (k) DO UPDATE SET
    n = CASE WHEN ephemeral.expires_at > :now THEN ephemeral.n + 1 ELSE 1 END,
    expires_at = CASE WHEN ephemeral.expires_at > :now THEN ephemeral.expires_at ELSE excluded.expires_at END
RETURNING n"""

SWEEP = """
DELETE FROM ephemeral WHERE k IN
    (SELECT k FROM ephemeral WHERE expires_at <= :now LIMIT :rows {skip_locked})"""

CLEAR = "DELETE FROM ephemeral"

PING = "SELECT 1"

_THROUGH_POOLER = (
    "the Store's PostgreSQL is behind a pooler: unless that pools by session, waiting pages hear of a wallet's answer "
    "some seconds late. Use Redis as the Store, or an address that leads past the pooler"
)


class Database(Protocol):
    """Runs one statement as one transaction. Parameters are written `:name`."""

    sweep: str

    def run(self, sql: str, **parameters: object) -> Row | None:
        """The first row, or None. Raises StoreUnavailable."""

    def tell(self, letter: str) -> None:
        """Pass a letter to the other processes. Raises StoreUnavailable."""

    def hear(self) -> Generator[str | None]:
        """The letters of the other processes, for `Listener`."""

    def close(self) -> None: ...


class SqlStore:
    """A `Store` on SQLite or PostgreSQL."""

    def __init__(self, url: str, now: clock.Clock = clock.now) -> None:
        """Open; a missing table is made, on PostgreSQL at the first verb. Raises ValueError, StoreUnavailable."""
        parsed = make_url(url)
        self._now = now
        self._wakes = Wakes()
        self._database: Database = _SQLite(parsed) if parsed.drivername == "sqlite" else _PostgreSQL(parsed)
        self._listener: Listener | None = None
        if isinstance(self._database, _PostgreSQL):
            self._listener = Listener(self._database.hear, self._wakes.open_letter)
        self._sweeping = threading.Lock()
        self._writes = 0
        self._swept_at = now()

    def put(self, key: str, value: Value, ttl_s: int) -> None:
        now = self._now()
        self._write(PUT, k=_value(key), v=encode(value), expires_at=now + lifetime(ttl_s))

    def get(self, key: str) -> Value | None:
        if not possible(key):
            return None
        row = self._database.run(GET, k=_value(key), now=self._now())
        return decode(row[0]) if row else None

    def take(self, key: str) -> Value | None:
        if not possible(key):
            return None
        row = self._write(TAKE, k=_value(key))
        return decode(row[0]) if row and row[1] > self._now() else None

    def add(self, key: str, value: Value, ttl_s: int) -> bool:
        now = self._now()
        expires_at = now + lifetime(ttl_s)
        return self._write(ADD, k=_value(key), v=encode(value), expires_at=expires_at, now=now) is not None

    def swap(self, key: str, old: Value, new: Value, ttl_s: int | None = None) -> bool:
        if not possible(key):
            return False
        now = self._now()
        entry = {"k": _value(key), "old": encode(old), "new": encode(new), "now": now}
        if ttl_s is None:
            return self._write(SWAP, **entry) is not None
        return self._write(SWAP_AND_PROLONG, **entry, expires_at=now + lifetime(ttl_s)) is not None

    def count(self, key: str, window_s: int) -> int:
        now = self._now()
        row = self._write(COUNT, k=_counter(key), expires_at=now + lifetime(window_s), now=now)
        if row is None:
            raise StoreUnavailable("a counter was not answered")
        return int(row[0])

    def clear(self) -> None:
        self._database.run(CLEAR)

    def publish(self, channel: str) -> None:
        letter = self._wakes.letter(key_to_write(channel))
        self._wakes.wake(channel)
        try:
            self._database.tell(letter)
        except StoreUnavailable:
            log.warning("the other processes could not be woken; waiting pages fall back to asking")

    def subscribe(self, wake: Callable[[str], None]) -> Callable[[], None]:
        unsubscribe = self._wakes.subscribe(wake)
        if self._listener is not None:
            self._listener.ensure()
        return unsubscribe

    def ping(self) -> None:
        self._database.run(PING)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._database.close()

    def _write(self, sql: str, **parameters: object) -> Row | None:
        row = self._database.run(sql, **parameters)
        if self._sweep_is_due():
            try:
                self._database.run(self._database.sweep, now=self._now(), rows=SWEEP_ROWS)
            except StoreUnavailable:
                # The write itself is done and must not look as if it were not.
                log.warning("expired entries could not be swept; the next sweep takes them along")
        return row

    def _sweep_is_due(self) -> bool:
        with self._sweeping:
            self._writes += 1
            now = self._now()
            if self._writes < SWEEP_WRITES and now - self._swept_at < SWEEP_EVERY_S:
                return False
            self._writes, self._swept_at = 0, now
            return True


def _value(key: str) -> str:
    return "v:" + key_to_write(key)


def _counter(key: str) -> str:
    return "n:" + key_to_write(key)


class _SQLite:
    """One connection behind one lock.

    SQLite writes one at a time anyway, and its own waiting is a sleep of up to 100 ms. A lock hands over
    at once, and one connection costs less than a pool of them: a statement takes some 10 µs.
    """

    sweep = SWEEP.format(skip_locked="")

    def __init__(self, url: URL) -> None:
        self._lock = threading.Lock()
        if sqlite3.sqlite_version_info < (3, 35):
            raise StoreUnavailable("SQLite 3.35 or later is needed (RETURNING)")
        try:
            self._connection = sqlite3.connect(
                url.database or ":memory:", timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreUnavailable("the store's file cannot be opened") from error
        try:
            self._prepare()
        except StoreUnavailable:
            self.close()
            raise

    def _prepare(self) -> None:
        self.run("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = OFF")
        self.run(TABLE.format(kind="", collation=""))
        self.run(INDEX)

    def run(self, sql: str, **parameters: object) -> Row | None:
        try:
            with self._lock:
                # All rows are read: only then is the statement over and its transaction committed.
                rows = self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable("the store's file could not be used") from error
        return rows[0] if rows else None

    def tell(self, letter: str) -> None:
        """There are no other processes."""

    def hear(self) -> Generator[str | None]:
        yield from ()

    def close(self) -> None:
        with self._lock:
            self._connection.close()


@cache
def _for_psycopg(sql: str) -> str:
    return re.sub(r":([a-z_]+)", r"%(\1)s", sql)


class _PostgreSQL:
    """A pool of connections, each statement committed by itself."""

    sweep = SWEEP.format(skip_locked="FOR UPDATE SKIP LOCKED")

    def __init__(self, url: URL) -> None:
        self._closed = False
        self._prepared = False
        options = postgresql.pool_options(url, THREADS, THREADS)
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", **options)
        postgresql.attend(self._engine, statement_s=postgresql.STATEMENT_S)

    def _prepare(self) -> None:
        with self._engine.connect() as connection:
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                # Two processes that start together: CREATE ... IF NOT EXISTS alone can still collide.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('ephemeral'))")
                connection.exec_driver_sql(TABLE.format(kind="UNLOGGED", collation='COLLATE "C"'))
                connection.exec_driver_sql(INDEX)
        self._prepared = True

    def run(self, sql: str, **parameters: object) -> Row | None:
        try:
            return self._run(sql, parameters)
        except exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise StoreUnavailable("the store's database refused a statement") from error
        # The server went away (a restart, a failover) under a statement. Sending again is safe in the sense
        # of `Store`: at worst we lose to ourselves.
        try:
            return self._run(sql, parameters)
        except exc.DBAPIError as error:
            raise StoreUnavailable("the store's database cannot be reached") from error

    def _run(self, sql: str, parameters: Mapping[str, object]) -> Row | None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            if (
                not self._prepared
            ):  # not when it is opened: a process that starts while the server is away serves later
                self._prepare()
            with self._engine.connect() as connection:
                result = connection.exec_driver_sql(_for_psycopg(sql), dict(parameters))
                row = result.fetchone() if result.returns_rows else None
        except exc.TimeoutError as error:
            raise StoreUnavailable("all connections to the store's database are busy") from error
        return tuple(row) if row is not None else None

    def tell(self, letter: str) -> None:
        self.run("SELECT pg_notify('sinwon_wake', :letter)", letter=letter)

    def hear(self) -> Generator[str | None]:
        pooled = self._engine.raw_connection()
        connection = cast("psycopg.Connection[Any]", pooled.driver_connection)
        if pooled.info[postgresql.POOLED]:
            log.warning(_THROUGH_POOLER)
        pooled.detach()  # a listener keeps its connection; the pool's are for the verbs
        with closing(connection):
            connection.execute("LISTEN sinwon_wake")
            while True:
                yield None
                for notify in connection.notifies(timeout=TICK_S):
                    yield notify.payload

    def close(self) -> None:
        self._closed = True
        self._engine.dispose()
