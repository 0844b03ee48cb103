"""The database's tables, brought to this release's shape and never by surprise.

`upgrade` is for the command line and the demo; a server that starts only asks `pending`. A database that a newer
release upgraded is as good to this one as its own, as long as that only added to it (`SchemaStep`, `Kind`).
Processes that upgrade at once queue: PostgreSQL by an advisory lock, SQLite by its write lock. Each upgrade is one
transaction: it happens whole or not at all.

On PostgreSQL a change of a table waits for whoever uses it, and everybody else waits behind the change. So it waits
for a moment only, gives up and begins again; a long query holds up the upgrade and nobody's sign-in.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, delete, event, insert, inspect, select, text
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import OperationalError

from idp import clock, postgresql
from idp.models import SchemaStep, prepare_sqlite

BACKUP_MARK = 0x5342  # "SB", in SQLite's user_version: a backup (`idp.backup`)
_LOCK_NOT_AVAILABLE = "55P03"
_ADVISORY_LOCK = 0x736368656D61  # "schema"


_LOCK_TIMEOUT_MS = 2000
_ATTEMPTS = 15
_PAUSE_S = 2.0


class Kind(StrEnum):
    """What a migration means for nodes that run while it is made; `KIND` in its module."""

    EXPAND = "expand"
    """It adds what the release before does not know, and takes nothing away: its nodes go on beside it."""
    BACKFILL = "backfill"
    """It only begins to fill what was added: the worker does that, in batches."""
    CONTRACT = "contract"
    """It takes away or reshapes what the release before uses: its nodes must be gone."""
    STOP = "stop"
    """It locks what every sign-in writes for as long as it takes: nothing may run."""


@dataclass(frozen=True)
class Pending:
    """A revision that an upgrade would apply. One that does not say its kind is taken for the worst."""

    revision: str
    kind: Kind
    title: str


class Locked(Exception):
    """Somebody kept on using a table that had to be changed; nothing was."""


class NewerDatabase(Exception):
    """The database was upgraded by a newer release, which took away or reshaped what this one uses."""


class NotRestored(Exception):
    """The file is a backup that was copied to where the database was: `idp restore` has not made it one."""


class BrokenReferences(Exception):
    """A migration left rows in SQLite that refer to nothing; it was rolled back."""


def upgrade(database: Engine | URL | str, revision: str = "head") -> None:
    """Bring the tables to a revision, this release's newest by default. Does nothing where it stands already.

    A missing SQLite file, and the directory for it, is made. Raises NewerDatabase, NotRestored, Locked.
    """
    if not pending(database):
        return
    for attempt in range(_ATTEMPTS):
        try:
            with _changing(database) as (config, connection):
                before = _current(connection)
                command.upgrade(config, revision)
                _note(connection, before)
            return
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_PAUSE_S)
    raise Locked("somebody kept on using a table that must be changed; end long queries, or stop the nodes")


def downgrade(database: Engine | URL | str, revision: str) -> None:
    """Go back to a revision; `base` drops every table and what is in it."""
    with _changing(database) as (config, connection):
        command.downgrade(config, revision)
        if _has_steps(connection):
            connection.execute(
                delete(SchemaStep).where(SchemaStep.revision.in_(_after(_current(connection))))
            )


def head() -> str:
    """This release's newest revision."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise RuntimeError("no migrations are installed")
    return revision


def revisions() -> list[str]:
    """Every revision of this release, the oldest first."""
    return list(_revisions_in(directory()))


def pending(database: Engine | URL | str) -> list[str]:
    """The revisions that `upgrade` would apply, in order: empty when all is well, also where a newer release upgraded
    this database and only added to it. Changes nothing.

    Raises NewerDatabase, NotRestored.
    """
    url = _url(database)
    if url.drivername == "sqlite" and not Path(url.database or "").exists():  # connecting would make the file
        return _after(None)
    with _engine(url) as engine, engine.connect() as connection:
        if url.drivername == "sqlite":
            _refuse_backup(connection)
        return _pending_on(connection)


def is_ahead(database: Engine | URL | str) -> bool:
    """Whether a newer release upgraded this database, and this one may go on beside it.

    Raises NewerDatabase, NotRestored.
    """
    url = _url(database)
    if pending(url):
        return False
    with _engine(url) as engine, engine.connect() as connection:
        return _current(connection) not in revisions()


def fits(connection: Connection) -> bool:
    """Whether this release can work on this database: nothing that it needs is missing or was taken away."""
    try:
        return not _pending_on(connection)
    except NewerDatabase:
        return False


def _pending_on(connection: Connection) -> list[str]:
    current = _current(connection)
    if current is None or current in revisions():
        return _after(current)
    if not _only_added(connection, current):
        raise NewerDatabase(
            "a newer release upgraded this database and changed what this one uses; run that one, or restore a backup"
        )
    return []


def _after(current: str | None) -> list[str]:
    """The revisions of this release that follow this one of its own."""
    known = revisions()
    return known if current is None else known[known.index(current) + 1 :]


def _only_added(connection: Connection, current: str) -> bool:
    """Whether everything that newer releases did up to `current` is known to have taken nothing away."""
    if not _has_steps(connection):
        return False
    unknown = SchemaStep.revision.not_in(revisions())
    newer = {row.revision: row.kind for row in connection.execute(select(SchemaStep).where(unknown))}
    return current in newer and set(newer.values()) <= {Kind.EXPAND, Kind.BACKFILL}


def _note(connection: Connection, before: str | None) -> None:
    """Write down what was just applied, for releases that do not know it."""
    if not _has_steps(connection):  # brought to a revision that is older than the table
        return
    left = set(_after(_current(connection)))
    steps = [one for one in _described(_after(before)) if one.revision not in left]
    if steps:
        now = clock.now()
        rows = [{"revision": one.revision, "kind": one.kind, "at": now} for one in steps]
        connection.execute(insert(SchemaStep), rows)


def _has_steps(connection: Connection) -> bool:
    return inspect(connection).has_table(SchemaStep.__tablename__)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def plan(database: Engine | URL | str) -> list[Pending]:
    """What `upgrade` would do, in order. Changes nothing. Raises NewerDatabase, NotRestored."""
    return _described(pending(database))


def _described(revisions: list[str]) -> list[Pending]:
    scripts = _scripts()
    found = [scripts.get_revision(revision) for revision in revisions]
    return [
        Pending(
            script.revision,
            Kind(getattr(script.module, "KIND", Kind.STOP)),
            (script.doc or "").partition("\n")[0],
        )
        for script in found
    ]


def is_new(planned: list[Pending]) -> bool:
    """Whether these are all revisions that there are: the database has no tables yet."""
    return [one.revision for one in planned] == revisions()


def directory() -> Path:
    """Where the migrations are: in the package when it was installed from a wheel, beside it otherwise."""
    installed = Path(__file__).parent / "_migrations"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _revisions_in(_directory: Path) -> tuple[str, ...]:
    """Kept, since every question whether a node is ready would read them all again."""
    return tuple(script.revision for script in _scripts().walk_revisions())[::-1]


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _url(database: Engine | URL | str) -> URL:
    return database.url if isinstance(database, Engine) else make_url(database)


@contextmanager
def _engine(url: URL) -> Iterator[Engine]:
    """An engine of our own, without a pool: the caller's may hold a connection that would block us."""
    if url.drivername == "sqlite":
        engine = create_engine(url, poolclass=NullPool)
        prepare_sqlite(engine)
    else:
        arguments = postgresql.connect_arguments(url)
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
        postgresql.attend(engine)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _changing(database: Engine | URL | str) -> Iterator[tuple[Config, Connection]]:
    """Alembic's configuration, and the connection it is bound to, inside the one transaction that changes tables."""
    url = _url(database)
    if url.drivername == "sqlite":
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    with _engine(url) as engine:
        if url.drivername == "sqlite":
            # SQLite changes a table by copying it and dropping the old one, which enforced foreign keys
            # forbid; they cannot be switched off inside a transaction, so they are checked at its end.
            event.listen(engine, "connect", _without_foreign_keys)
        with engine.execution_options(sinwon_writes=True).begin() as connection:
            if url.drivername != "sqlite":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
                connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
                # A pooler's or a role's limit on statements is meant for requests, not for this.
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            config = _config()
            config.attributes["connection"] = connection
            yield config, connection
            _check_references(connection)


def _without_foreign_keys(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys=OFF").close()


def _refuse_backup(connection: Connection) -> None:
    if connection.exec_driver_sql("PRAGMA user_version").scalar() == BACKUP_MARK:
        raise NotRestored("this file is a backup: move it elsewhere and run `idp restore` with it")


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = {row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}
        if broken:
            raise BrokenReferences(f"tables with rows that refer to nothing: {', '.join(sorted(broken))}")
