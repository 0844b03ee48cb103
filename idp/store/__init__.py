"""What lives for minutes: logins, codes, tokens, replay marks, rate limits.

A `Store` is a waiting room: it may forget, it must never remember wrongly. Every verb is atomic and
touches a single key. Whatever must not happen twice is decided by a database row; the store only
makes the usual case fast and tidy.

    SQLite       one serving process with threads; nothing to install (`sql.py`)
    PostgreSQL   several processes, an unlogged table (`sql.py`)
    Redis        several processes; single server, Sentinel, Cluster, Valkey too (`redis.py`)

Keys are 1 to 255 characters without NUL. A key that cannot be one names nothing: `get` and `take`
find nothing, `swap` loses; `put`, `add` and `count` raise ValueError. Values are JSON objects. Lifetimes
are whole seconds, at least 1. Bearer values appear in keys as SHA-256 only; that is the caller's care.
"""

from collections.abc import Callable
from typing import Any, Protocol

from idp import clock
from idp.errors import Unavailable

Value = dict[str, Any]


class StoreUnavailable(Unavailable):
    """The store could not be asked: not reachable, closed, full or refusing. Says nothing about the key."""

    def __init__(self, detail: str) -> None:
        super().__init__("unavailable", detail)


class Store(Protocol):
    """Seven verbs on single keys, each atomic, one that empties it, and a way to wake whoever waits.

    All of them may be called from any thread and raise StoreUnavailable. Where a connection breaks in
    the middle of a verb it may be sent again: then a `take` may find nothing, an `add` or `swap` may
    lose to itself and a `count` may count twice, never the other way round.

    Values and counters are two drawers: `count("a", 60)` and `put("a", ...)` do not meet.
    """

    def put(self, key: str, value: Value, ttl_s: int) -> None:
        """Create or replace, with a fresh lifetime."""

    def get(self, key: str) -> Value | None:
        """The value, or None when it is absent or has expired."""

    def take(self, key: str) -> Value | None:
        """Look and remove. Of many takers one gets the value, the others None."""

    def add(self, key: str, value: Value, ttl_s: int) -> bool:
        """Create. True for the first writer only, until the entry expires or is taken."""

    def swap(self, key: str, old: Value, new: Value, ttl_s: int | None = None) -> bool:
        """Replace `old` by `new` if `old` is still there; False when it is not, or nothing is.

        Equality is that of the canonical JSON (keys sorted). The lifetime stays unless ttl_s is given.
        """

    def count(self, key: str, window_s: int) -> int:
        """Add one and say how many: 1 for the first in a window.

        A window opens with its first count and closes window_s later; counts in between do not extend it.
        """

    def clear(self) -> None:
        """Forget everything: for a restore, while nobody else is at it. Other programs' keys in a Redis stay."""

    def publish(self, channel: str) -> None:
        """Wake the subscribers, in every process that shares this store.

        A wake is a hint that may be lost or come twice: whoever waits looks again now and then. When the
        server cannot be told, the subscribers of this process are woken all the same and nothing is raised.
        """

    def subscribe(self, wake: Callable[[str], None]) -> Callable[[], None]:
        """Call wake(channel) for every publish from now on; returns what ends the subscription.

        wake is called from some thread of the store's or the publisher's: it must return at once.
        Every subscriber hears every channel. The first subscription may take some seconds while the
        server cannot be reached; it is made in any case and listens as soon as it can.
        """

    def ping(self) -> None:
        """Return when the store answers, raise StoreUnavailable when it does not."""

    def close(self) -> None:
        """Let go of connections and threads. Afterwards every verb raises StoreUnavailable."""


def open_store(url: str, now: clock.Clock = clock.now) -> Store:
    """The store that a URL names.

        sqlite:////var/lib/sinwon/store.db              a file of its own; one serving process
        postgresql+psycopg://user:password@host/name    several hosts: as `idp.postgresql.for_sqlalchemy` has them
        redis://[user:password@]host:port/0             rediss:// for TLS
        redis+sentinel://[user:password@]host:port,host:port/service[/0]
        redis+cluster://[user:password@]host:port,host:port

    Sentinel and Cluster take TLS as rediss+sentinel:// and rediss+cluster://. `now` is the clock of
    the SQL store; processes that share one keep their clocks together. Redis uses its own.

    Open after forking: connections and threads do not survive a fork.

    Raises ValueError for a URL that names no store, StoreUnavailable for a file that cannot be used. A server is
    first asked at the first verb, so a process may start while it is away.
    """
    scheme = url.partition("://")[0]
    if scheme in ("sqlite", "postgresql+psycopg"):
        from idp.store.sql import SqlStore  # noqa: PLC0415  # only the driver that is used is loaded

        return SqlStore(url, now)
    if scheme.partition("+")[0] in ("redis", "rediss"):
        from idp.store.redis import RedisStore  # noqa: PLC0415

        return RedisStore(url)
    raise ValueError("a store URL starts with sqlite://, postgresql+psycopg:// or redis://")
