"""The database's tables, brought to this release's shape and never by surprise.

`upgrade` is for the command line and the demo; a server that starts only asks `pending`. Processes that
upgrade at once queue: PostgreSQL by an advisory lock, SQLite by its write lock. Each upgrade is one
transaction: it happens whole or not at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, event, text
from sqlalchemy.engine import URL, Connection, Engine, make_url

from idp.models import prepare_sqlite

BACKUP_MARK = 0x5342  # "SB", in SQLite's user_version: a backup (`idp.backup`)
_ADVISORY_LOCK = 0x736368656D61  # "schema"


class NewerDatabase(Exception):
    """The database was upgraded by a newer release than this one."""


class NotRestored(Exception):
    """The file is a backup that was copied to where the database was: `idp restore` has not made it one."""


class BrokenReferences(Exception):
    """A migration left rows in SQLite that refer to nothing; it was rolled back."""


def upgrade(database: Engine | URL | str, revision: str = "head") -> None:
    """Bring the tables to a revision, this release's newest by default. Does nothing where it stands already.

    A missing SQLite file, and the directory for it, is made. Raises NewerDatabase.
    """
    pending(database)
    with _changing(database) as config:
        command.upgrade(config, revision)


def downgrade(database: Engine | URL | str, revision: str) -> None:
    """Go back to a revision; `base` drops every table and what is in it."""
    with _changing(database) as config:
        command.downgrade(config, revision)


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
    """The revisions that `upgrade` would apply, in order: empty when all is well. Changes nothing.

    Raises NewerDatabase, NotRestored.
    """
    url = _url(database)
    if url.drivername == "sqlite" and not Path(url.database or "").exists():  # connecting would make the file
        return _after(None)
    with _engine(url) as engine, engine.connect() as connection:
        if url.drivername == "sqlite":
            _refuse_backup(connection)
        return _after(MigrationContext.configure(connection).get_current_revision())


def is_behind(connection: Connection) -> bool:
    """Whether this database lacks a revision of this release. One that a newer release upgraded does not: the two
    run side by side while it is rolled out."""
    try:
        return bool(_after(MigrationContext.configure(connection).get_current_revision()))
    except NewerDatabase:
        return False


def _after(current: str | None) -> list[str]:
    """The revisions that follow this one. Raises NewerDatabase."""
    known = revisions()
    if current is None:
        return known
    if current not in known:
        raise NewerDatabase("the database was upgraded by a newer release; run that one, or restore a backup")
    return known[known.index(current) + 1 :]


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
    engine = create_engine(url, poolclass=NullPool)
    if url.drivername == "sqlite":
        prepare_sqlite(engine)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _changing(database: Engine | URL | str) -> Iterator[Config]:
    """Alembic's configuration, bound to a connection inside the one transaction that changes tables."""
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
            config = _config()
            config.attributes["connection"] = connection
            yield config
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
