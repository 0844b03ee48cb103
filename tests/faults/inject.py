"""A fault at one place where the provider asks something of PostgreSQL, Redis or the outside.

The seams are wrapped from here, nothing of the product knows: SQLAlchemy's dialect, the Redis client, the guarded
HTTP client. A place is named by the line of the product that asked.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg
import redis

from idp.fetch import FetchFailed
from idp.models import db
from idp.store.redis import RedisStore
from tests.rig import Rig

_IDP = str(Path(__file__).parents[2] / "idp") + "/"
_SEAMS = ("models.py", "events.py", "fetch.py", "store/", "page_session.py")


class Kind(StrEnum):
    STATEMENT = "SQL"
    COMMIT = "COMMIT"
    STORE = "Redis"
    HTTP = "HTTP"


class Mode(StrEnum):
    """It cannot be asked; it did nothing in time; it did what was asked, and the answer is lost."""

    RAISE = "raise"
    TIME_OUT = "time out"
    LOSE = "lose the answer"


@dataclass(frozen=True, order=True)
class Site:
    """Where something is asked: `what` is the statement's or command's first word."""

    kind: Kind
    what: str
    line: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what} at {self.line}"

    @property
    def changes(self) -> bool:
        """Whether something is different afterwards, so that its answer can be lost."""
        return self.kind in {Kind.COMMIT, Kind.HTTP} or (
            self.kind is Kind.STORE and self.what not in {"GET", "PING"}
        )


class Injector:
    """Notes every place, or breaks one, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seen: dict[Site, int] = {}
        self._armed: tuple[Site, Mode] | None = None
        self.fired = False

    def arm(self, site: Site, mode: Mode) -> None:
        """The next time that this is asked, it goes wrong like this."""
        with self._lock:
            self._armed, self.fired = (site, mode), False

    def _pass(self, kind: Kind, what: str) -> Mode | None:
        """What is to go wrong here and now."""
        line = _asked_at()
        if line is None:
            return None
        site = Site(kind, what, line)
        with self._lock:
            self.seen[site] = self.seen.get(site, 0) + 1
            if self._armed is None or self._armed[0] != site or self.fired:
                return None
            self.fired = True
            return self._armed[1]

    @contextmanager
    def installed(self, rig: Rig) -> Iterator[Injector]:
        """Wrap the seams of a rig on PostgreSQL and Redis until the context ends."""
        store = rig.house.store
        assert isinstance(store, RedisStore)
        with rig.app.app_context():
            dialect: Any = db.engine.dialect
        client: Any = store._client()
        outside: Any = rig.house.outside
        seams: list[tuple[Any, str, Callable[..., Any]]] = [
            (dialect, "do_execute", self._executing(dialect.do_execute)),
            (dialect, "do_commit", self._committing(dialect.do_commit)),
            (client, "execute_command", self._commanding(client.execute_command)),
            *(
                (outside, name, self._going_out(name, getattr(outside, name)))
                for name in ("get", "post", "exchange")
            ),
        ]
        for owner, name, wrapped in seams:
            setattr(owner, name, wrapped)
        try:
            yield self
        finally:
            for owner, name, _ in seams:
                delattr(owner, name)

    # -- the seams -----------------------------------------------------------------------------------------------

    def _executing(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            words = statement.split()
            mode = self._pass(Kind.STATEMENT, " ".join(words[:1] if words[0] != "INSERT" else words[:3]))
            if mode is not None:
                _break(cursor.connection, mode)
            return execute(cursor, statement, parameters, context)

        return wrapped

    def _committing(self, commit: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(connection: Any) -> Any:
            mode = self._pass(Kind.COMMIT, "")
            if mode is Mode.LOSE:
                commit(connection)
            if mode is not None:
                _break(getattr(connection, "driver_connection", connection), mode)
            return commit(connection)

        return wrapped

    def _commanding(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*command: Any, **options: Any) -> Any:
            mode = self._pass(Kind.STORE, str(command[0]))
            if mode is Mode.LOSE:
                with suppress(redis.RedisError):
                    execute(*command, **options)
            if mode is Mode.TIME_OUT:
                raise redis.TimeoutError("Timeout reading from socket")
            if mode is not None:
                raise redis.ConnectionError("Connection closed by server.")
            return execute(*command, **options)

        return wrapped

    def _going_out(self, name: str, go: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            mode = self._pass(Kind.HTTP, name)
            if mode is Mode.LOSE:
                go(*arguments, **options)
            if mode is not None:
                raise FetchFailed("too slow" if mode is Mode.TIME_OUT else "network")
            return go(*arguments, **options)

        return wrapped


def _break(connection: Any, mode: Mode) -> None:
    """As PostgreSQL breaks: it cancels what takes too long, or the connection is gone and what was not committed."""
    if mode is Mode.TIME_OUT:
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")
    connection.close()
    raise psycopg.OperationalError("server closed the connection unexpectedly")


def _asked_at() -> str | None:
    """The line of the product that asks; None for what nobody of it asked."""
    frame = sys._getframe(3)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_IDP) and not file.removeprefix(_IDP).startswith(_SEAMS):
            return f"{file.removeprefix(_IDP)}:{frame.f_lineno}"
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None
