"""The file of a backup on SQLite: sound or refused, and never in the place of a database by accident."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from idp import backup, schema
from idp.models import db
from tests.rig import Rig
from tests.test_restoring import idp


@pytest.fixture
def file(rig: Rig, tmp_path: Path) -> Path:
    """A backup."""
    made = tmp_path / "sinwon.backup"
    backup.make(database_of(rig), made)
    return made


def database_of(rig: Rig) -> Path:
    return Path(make_url(rig.house.settings.database_url).database or "")


def test_a_database_in_use_is_not_replaced(rig: Rig, file: Path) -> None:
    with rig.app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        before = database_of(rig).stat().st_ino
        refused = idp(rig, "restore", str(file))
    assert refused.returncode == 1
    assert "stop `idp serve` first" in refused.stderr
    assert database_of(rig).stat().st_ino == before
    assert not list(database_of(rig).parent.glob("*.restoring*"))


def test_a_backup_that_was_copied_over_the_database_is_refused(rig: Rig, file: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.db"
    shutil.copy(file, copied)
    refused = idp(rig, "serve", database__url=f"sqlite:///{copied}")
    assert refused.returncode == 1
    assert "idp restore" in refused.stderr
    with pytest.raises(schema.NotRestored):
        schema.upgrade(f"sqlite:///{copied}")


def test_a_backup_goes_to_where_no_database_is(rig: Rig, file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new" / "sinwon.db"
    done = idp(rig, "restore", str(file), database__url=f"sqlite:///{new}", store__url="")
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(new)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (0,)
        assert database.execute("SELECT enabled FROM portal WHERE client_id = 'gov24'").fetchone() == (1,)


def test_another_key_encryption_key_is_noticed_before_anything_is_replaced(
    rig: Rig, file: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.db"
    other = {"database__url": f"sqlite:///{new}", "store__url": "", "secrets__key_encryption_key": "ab" * 32}
    refused = idp(rig, "restore", str(file), **other)
    assert refused.returncode == 1
    assert "key_encryption_key" in refused.stderr
    assert not new.exists()


def test_what_is_no_sound_backup_is_refused(rig: Rig, file: Path, tmp_path: Path) -> None:
    with pytest.raises(backup.BackupError, match="is there already"):
        backup.make(database_of(rig), file)
    damaged = tmp_path / "damaged"
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 40] = b"\xff" * (4096 * 37)
    damaged.write_bytes(content)
    text = tmp_path / "text"
    text.write_text("no database at all", "utf-8")
    empty = tmp_path / "empty"
    empty.touch()
    for wrong, why in ((damaged, "damaged"), (text, "not a database"), (empty, "was not made by")):
        with pytest.raises(backup.BackupError, match=why):
            backup.check(wrong)


def test_a_damaged_database_is_put_aside_with_all_its_parts(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    (tmp_path / "broken.db-wal").write_bytes(b"stale")
    with backup.restoring(file, broken) as restoring:
        replaced = restoring.put_in_place()
    assert replaced is not None
    assert replaced.read_bytes().startswith(b"SQLite format 3\0\xff")
    assert not (tmp_path / "broken.db-wal").exists()
    with closing(sqlite3.connect(broken)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
