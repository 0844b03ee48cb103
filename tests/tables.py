"""This release's tables in a new database, copied from one that was migrated: many tests need them, and a migration
takes three times as long as a copy.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, make_url

from idp import schema
from tests import servers

_copies: dict[str, bytes] = {}
"""By kind of database: the file of SQLite's, the statements of PostgreSQL's."""


def make(database: str | URL) -> None:
    """Put the tables into a database that has none yet. A missing SQLite file, and the directory for it, is made."""
    url = make_url(database)
    kind = url.get_backend_name()
    if kind not in _copies:
        schema.upgrade(url)
        if (copy := Path(str(url.database)).read_bytes() if kind == "sqlite" else _dumped(url)) is not None:
            _copies[kind] = copy
    elif kind == "sqlite":
        file = Path(str(url.database))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as new:
            new.write(_copies[kind])
    else:
        with psycopg.connect(_conninfo(url), autocommit=True) as connection:
            connection.execute(_copies[kind])


def _dumped(url: URL) -> bytes | None:
    """None where the server is somebody else's, and its dumping program is not here."""
    try:
        program = servers.postgresql_binaries() / "pg_dump"
        command = [str(program), "--inserts", "--no-owner", f"--dbname={_conninfo(url)}"]
        dump = subprocess.run(command, capture_output=True, check=True)
    except (servers.Missing, subprocess.CalledProcessError):
        return None
    # Beside statements there are commands to psql, in lines of their own.
    return b"\n".join(line for line in dump.stdout.splitlines() if not line.startswith(b"\\"))


def _conninfo(url: URL) -> str:
    return make_conninfo(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database
    )
