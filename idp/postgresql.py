"""How a PostgreSQL is reached: its address, limits on waiting, and connections that outlive nothing.

    postgresql://user:password@host/name
    postgresql://user:password@host:port,host:port/name      of several, the one that takes writes

A connection whose server went away, or became a standby, leaves the pool before anything is asked of it, or with the
first statement that it fails; the next one looks for the primary anew. Nothing here leaves state in a session that a
pooler may give to somebody else: whether one is in between is seen when a connection is made.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DisconnectionError

if TYPE_CHECKING:  # settings are read without a driver, and SQLite needs none
    import psycopg
    from sqlalchemy.engine.interfaces import DBAPIConnection

DRIVER = "postgresql+psycopg"
CONNECT_S = 2
"""For each host; libpq knows no less."""
SILENCE_S = 5
"""How long a host may not acknowledge what was sent to it."""
POOL_S = 5
LOCK_S = 5
STATEMENT_S = 15
POOLED = "sinwon_pooled"
"""In a pooled connection's `info`: whether its session may be somebody else's a moment later."""

_READ_ONLY = "25006"


def read_url(text: str) -> URL:
    """A URL as SQLAlchemy has it; several hosts, with or without ports, become `host` in its query.

    Raises ArgumentError or ValueError for what is none.
    """
    scheme, mark, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    if "," not in hosts or not scheme.startswith("postgresql"):
        return make_url(text)
    url = make_url(f"{scheme}{mark}{login}{at}{slash}{path}")
    return url.update_query_dict({"host": [_host_and_port(host) for host in hosts.split(",")]})


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "5432"
    if not host or not port.isdecimal():
        raise ValueError("a list of servers is written host:port,host:port")
    return f"{host}:{port}"


def for_sqlalchemy(url: URL) -> URL:
    """With the driver; of several hosts the one that takes writes is looked for, unless the URL says otherwise."""
    url = url.set(drivername=DRIVER)
    if isinstance(url.query.get("host"), tuple) and "target_session_attrs" not in url.query:
        url = url.update_query_dict({"target_session_attrs": "read-write"})
    return url


def connect_arguments(url: URL) -> dict[str, Any]:
    """What the driver is told beside the URL, which may say otherwise: give up on hosts that do not answer."""
    ours = {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": SILENCE_S * 1000,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "application_name": "sinwon",
    }
    return {name: value for name, value in ours.items() if name not in url.query}


def pool_options(url: URL, size: int, more: int) -> dict[str, Any]:
    """Of an engine: `size` connections are kept, `more` may be added for a moment."""
    return {
        "pool_size": size,
        "max_overflow": more,
        "pool_timeout": POOL_S,
        "pool_use_lifo": True,
        # An error's text reaches the operator's log; the values of its statement have no business there.
        "hide_parameters": True,
        "connect_args": connect_arguments(url),
    }


def attend(engine: Engine, *, statement_s: int = 0, lock_s: int = LOCK_S) -> None:
    """Let connections of this engine give up in time and leave when their server is gone.

    statement_s, lock_s: how long a statement, and a wait for a lock, may take; 0 for ever. Through a pooler they are
    the pooler's or the role's to set.
    """

    limits = {"statement": f"{statement_s}s", "lock": f"{lock_s}s"}

    @event.listens_for(engine, "connect")
    def on_connect(connection: psycopg.Connection[Any], record: Any) -> None:
        # A pooler hands out process ids of its own making, so that it can tell whom a cancellation is for.
        own = connection.info.backend_pid
        row = connection.execute(_SETTLE, {"pid": own, **limits}).fetchone()
        connection.commit()
        pooled = record.info[POOLED] = row is None or row[0] != own
        if pooled:
            # The next statement may reach a session that was told of none.
            connection.prepare_threshold = None

    @event.listens_for(engine, "checkout")
    def on_checkout(connection: psycopg.Connection[Any], _record: Any, _proxy: Any) -> None:
        if _has_news(connection):
            try:
                engine.dialect.do_ping(cast("DBAPIConnection", connection))
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError("its server closed it") from error

    @event.listens_for(engine, "handle_error")
    def on_error(context: Any) -> None:
        # A standby: the connection is fine, and of no use. It leaves, and every other of its age with it.
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True


_SETTLE = """
SELECT pg_backend_pid(), CASE WHEN pg_backend_pid() = %(pid)s THEN
    set_config('statement_timeout', %(statement)s, false)
    || set_config('lock_timeout', %(lock)s, false)
END"""


def _has_news(connection: psycopg.Connection[Any]) -> bool:
    """Whether an idle connection has something to read. Nobody asked, so it is mostly its end.

    Looking costs two microseconds, asking the server each time a hundred, and there are thirty times in a sign-in.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
