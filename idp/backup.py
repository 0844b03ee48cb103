"""Backups of a database on SQLite: one file, made while the service goes on, and put back as a whole.

A backup is marked as one (`PRAGMA user_version`), and `schema` refuses to work on it: copied to where the database
was, it would bring back to life what was used up since (`idp.epoch`). `Restoring` takes the mark away, in a copy of
its own that becomes the database at the end or never.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, create_engine

from idp.schema import BACKUP_MARK

_PARTS = ("-wal", "-shm", "-journal")


class BackupError(Exception):
    """The backup cannot be made, read or put back; the text says why, and nothing was changed."""


def make(database: Path, file: Path) -> str:
    """Write a backup of this database, which may be in use; the revision it stands at.

    The file is readable by its owner alone, and is there whole or not at all. Raises BackupError.
    """
    if not database.is_file():
        raise BackupError(f"{database}: no database is there")
    if file.exists():
        raise BackupError(f"{file}: is there already")
    part = file.with_name(f"{file.name}.part")
    try:
        # Opened by ourselves, so that nobody else can read it at any time.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise BackupError(f"{part}: cannot be written: {error.strerror}") from error
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as source:
            source.execute("VACUUM INTO ?", (str(part),))
        with closing(sqlite3.connect(part)) as made:
            made.execute(f"PRAGMA user_version = {BACKUP_MARK}")
        revision = check(part)
        _sync(part)
        _place(part, file)
    except (sqlite3.Error, OSError) as error:
        raise BackupError(f"{file}: the backup failed: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return revision


def _place(part: Path, file: Path) -> None:
    try:
        os.link(part, file)  # unlike a rename, never over a file that somebody put there meanwhile
    except FileExistsError:
        raise
    except OSError:  # a network's share may know no links
        part.rename(file)
    _sync(file.absolute().parent)


def check(file: Path) -> str:
    """The revision of a backup that is sound. Raises BackupError."""
    if not file.is_file():
        raise BackupError(f"{file}: no file is there")
    # As it is: opened otherwise, SQLite would make files beside it.
    address = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            (mark,) = database.execute("PRAGMA user_version").fetchone()
            found = [row[0] for row in database.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as error:
        raise BackupError(f"{file}: is not a database of SQLite, or is damaged: {error}") from error
    if found != ["ok"]:
        raise BackupError(f"{file}: is damaged: {found[0]}")
    if mark != BACKUP_MARK:
        raise BackupError(f"{file}: was not made by `idp backup`")
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )
    with closing(engine.connect()) as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    if revision is None:
        raise BackupError(f"{file}: holds nothing of Sinwon's")
    return revision


class Restoring:
    """A backup on its way to become the database: `copy` is to be made ready, then `put_in_place`."""

    def __init__(self, database: Path, copy: Path) -> None:
        self.copy = copy
        self._database = database

    def put_in_place(self) -> Path | None:
        """Make the copy the database; where the one that was there is now, None if none was."""
        with closing(sqlite3.connect(self.copy, isolation_level=None)) as made:
            made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            made.execute("PRAGMA journal_mode = DELETE")  # one file again
        _sync(self.copy)
        replaced = None
        if self._database.exists():
            now = datetime.now(UTC)
            replaced = self._database.with_name(f"{self._database.name}.replaced-{now:%Y%m%dT%H%M%SZ}")
            for part in _PARTS:  # of one that is damaged: what is left would be read as the new one's
                rest = self._database.with_name(self._database.name + part)
                if rest.exists():
                    rest.rename(replaced.with_name(replaced.name + part))
            os.link(self._database, replaced)
        self.copy.rename(self._database)
        _sync(self._database.parent)
        return replaced


@contextmanager
def restoring(file: Path, database: Path) -> Iterator[Restoring]:
    """A copy of this backup beside the database, which nobody may have open. Raises BackupError."""
    check(file)
    database.parent.mkdir(parents=True, exist_ok=True)
    copy = database.with_name(f"{database.name}.restoring")
    _remove(copy)
    with _alone(database):
        try:
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            shutil.copyfile(file, copy)
            with closing(sqlite3.connect(copy)) as made:
                made.execute("PRAGMA user_version = 0")
            yield Restoring(database, copy)
        except OSError as error:
            raise BackupError(f"{copy}: cannot be written: {error.strerror}") from error
        finally:
            _remove(copy)


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Nobody else has the database open, nor can open it meanwhile. Raises BackupError.

    Leaving WAL mode needs every other connection to be gone; a process that serves holds some as long as it lives.
    """
    if not database.exists():
        yield
        return
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise BackupError(f"{database}: is in use; stop `idp serve` first") from error
        except sqlite3.DatabaseError:
            pass  # damaged, which is why there is a backup: it is put aside as it is
        yield


def _remove(copy: Path) -> None:
    for name in (copy.name, *(copy.name + part for part in _PARTS)):
        copy.with_name(name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
