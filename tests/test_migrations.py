"""Migrations make exactly the tables of idp.models, on SQLite and PostgreSQL, there and back."""

import json
import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, insert, inspect, select, text

from idp import schema
from idp.credentials.trust import from_documents
from idp.models import Base, CredentialType, SchemaStep


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/directory/sinwon.db"
    url: str = request.getfixturevalue("postgresql_database")
    return url


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def partitions(connection: Connection) -> set[str]:
    """The parts of the tables that PostgreSQL keeps by month: rows of theirs, not tables of ours."""
    if connection.dialect.name != "postgresql":
        return set()
    return set(
        connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"))
    )


def tables(url: str) -> set[str]:
    with connected(url) as connection:
        return set(inspect(connection).get_table_names()) - partitions(connection)


def differences(url: str) -> list[Any]:
    with connected(url) as connection:
        parts = partitions(connection)
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _parents: kind != "table" or name not in parts,
            },
        )
        return list(compare_metadata(context, Base.metadata))


def test_the_migrations_make_the_tables_of_the_models(database: str) -> None:
    schema.upgrade(database)
    assert tables(database) == {*Base.metadata.tables, "alembic_version"}
    assert differences(database) == []


def test_a_table_that_differs_from_its_model_is_noticed(database: str) -> None:
    schema.upgrade(database)
    with connected(database) as connection:
        connection.execute(text("ALTER TABLE mission ADD COLUMN colour VARCHAR(9)"))
    assert [difference[0] for difference in differences(database)] == ["remove_column"]


def test_up_down_and_up_again(database: str) -> None:
    schema.upgrade(database)
    schema.downgrade(database, "base")
    assert tables(database) == {"alembic_version"}
    schema.upgrade(database)
    assert differences(database) == []


def test_upgrading_twice_changes_nothing(database: str) -> None:
    schema.upgrade(database)
    with connected(database) as connection:
        connection.execute(text("INSERT INTO subject (id, created_at) VALUES ('s', 1)"))
    schema.upgrade(database)
    with connected(database) as connection:
        assert connection.execute(text("SELECT id FROM subject")).scalars().all() == ["s"]


def test_what_is_pending_is_known_before_and_nothing_after(database: str) -> None:
    assert schema.pending(database)[-1] == schema.head()
    schema.upgrade(database)
    assert schema.pending(database) == []


def test_asking_what_is_pending_makes_no_file(tmp_path: Path) -> None:
    assert schema.pending(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def by_a_newer_release(database: str, *kinds: str) -> None:
    """As if one had upgraded it, by a migration of each kind."""
    with connected(database) as connection:
        for number, kind in enumerate(kinds):
            step = insert(SchemaStep).values(revision=f"999{number}", kind=kind, at=1)
            connection.execute(step)
        connection.execute(
            text("UPDATE alembic_version SET version_num = :it"), {"it": f"999{len(kinds) - 1}"}
        )


@pytest.mark.parametrize("kinds", [["contract"], ["stop"], ["expand", "contract", "expand"], ["of tomorrow"]])
def test_a_database_that_a_newer_release_took_something_from_is_refused(
    database: str, kinds: list[str]
) -> None:
    schema.upgrade(database)
    by_a_newer_release(database, *kinds)
    for refused in (schema.pending, schema.upgrade, schema.plan, schema.is_ahead):
        with pytest.raises(schema.NewerDatabase):
            refused(database)
    with connected(database) as connection:
        assert not schema.fits(connection)


def test_a_database_of_which_nobody_knows_what_a_newer_release_did_is_refused(database: str) -> None:
    schema.upgrade(database)
    with connected(database) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.NewerDatabase):
        schema.pending(database)
    with connected(database) as connection:
        connection.execute(text("DROP TABLE schema_step"))
    with pytest.raises(schema.NewerDatabase):
        schema.upgrade(database)


def test_a_database_that_a_newer_release_only_added_to_is_as_good_as_ones_own(database: str) -> None:
    schema.upgrade(database)
    assert not schema.is_ahead(database)
    by_a_newer_release(database, "expand", "backfill")
    assert schema.pending(database) == schema.plan(database) == []
    assert schema.is_ahead(database)
    schema.upgrade(database)
    with connected(database) as connection:
        assert schema.fits(connection)
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9991"


def test_each_migration_is_noted_with_its_kind_and_forgotten_when_it_is_taken_back(database: str) -> None:
    def noted() -> dict[str, str]:
        with connected(database) as connection:
            if not inspect(connection).has_table("schema_step"):
                return {}
            return {row.revision: row.kind for row in connection.execute(select(SchemaStep))}

    schema.upgrade(database, "0006")  # before there was a table for it
    assert noted() == {}
    schema.upgrade(database)
    assert set(noted()) == {one for one in schema.revisions() if one > "0006"}
    schema.downgrade(database, schema.revisions()[-2])
    assert schema.head() not in noted()
    schema.downgrade(database, "base")
    schema.upgrade(database)
    assert set(noted()) == set(schema.revisions())
    assert (noted()["0006"], noted()["0011"]) == ("stop", "expand")


def test_a_credential_type_of_an_earlier_release_gets_its_formats(database: str) -> None:
    schema.upgrade(database)
    schema.downgrade(database, "0002")
    earlier = {
        "id": "old",
        "name": {"ko": "옛 증명서", "en": "Old certificate"},
        "trust_domain": "old",
        "person_key": "overseas_registration_number",
        "format": "dc+sd-jwt",
        "vct": ["urn:old"],
        "authentication_claim": "unlocked_by",
        "issuer_ekus": ["1.2.3"],
    }
    with connected(database) as connection:
        connection.execute(
            insert(CredentialType).values(id="old", document=earlier, updated_at=0),
        )
    schema.upgrade(database)
    with connected(database) as connection:
        document = connection.scalar(select(CredentialType.document))
    known, looks = from_documents([document], []).type_named("dc+sd-jwt", "urn:old")
    assert (known.id, looks.authentication, looks.issuer_ekus) == ("old", ("unlocked_by",), {"1.2.3"})
    assert looks.paths[known.person_key] == ("overseas_registration_number",)
    schema.downgrade(database, "0002")
    with connected(database) as connection:
        assert connection.scalar(select(CredentialType.document)) == earlier


def test_the_audit_survives_its_new_table_and_the_way_back(database: str) -> None:
    schema.upgrade(database)
    schema.downgrade(database, "0005")
    columns = "id, at, name, actor, client_id, subject_id, login_id, correlation_id, ip, reason, detail"
    november = 1_795_435_200  # 2026-11-23T12:00:00Z
    rows = [
        (
            7,
            november,
            "login.started",
            None,
            "gov24",
            None,
            "l",
            "c",
            "192.0.2.1",
            None,
            '{"b": 1, "a": [2]}',
        ),
        (9, november - 400 * 86_400, "login.finished", "a", None, "s", None, None, None, "r", None),
        (11, 1, "login.started", None, None, None, None, None, None, None, None),
        (12, november + 90_000 * 86_400, "login.started", None, None, None, None, None, None, None, None),
    ]
    insertion = text(f"INSERT INTO audit_event ({columns}) VALUES (:{columns.replace(', ', ', :')})")
    with connected(database) as connection:
        connection.execute(insertion, [dict(zip(columns.split(", "), row, strict=True)) for row in rows])
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('audit_event_id_seq', 12)"))

    def kept() -> list[Any]:
        with connected(database) as connection:
            found = connection.execute(text(f"SELECT {columns} FROM audit_event ORDER BY id")).all()
        return [(*row[:-1], json.loads(row[-1]) if isinstance(row[-1], str) else row[-1]) for row in found]

    def next_id() -> int:
        with connected(database) as connection:
            added = text("INSERT INTO audit_event (at, name) VALUES (1, 'login.started') RETURNING id")
            new = int(connection.execute(added).scalar_one())
            connection.execute(text("DELETE FROM audit_event WHERE id = :id"), {"id": new})
        return new

    before = kept()
    assert len(before) == len(rows)
    for move in (schema.upgrade, lambda url: schema.downgrade(url, "0005"), schema.upgrade):
        move(database)
        assert kept() == before
        assert next_id() > 12
    assert differences(database) == []
    with connected(database) as connection:
        if connection.dialect.name == "postgresql":
            where = "SELECT id, tableoid::regclass::text FROM audit_event ORDER BY id"
            assert {row.id: row.tableoid for row in connection.execute(text(where))} == {
                7: "audit_event_2026_11",
                9: "audit_event_2025_10",
                11: "audit_event_other",
                12: "audit_event_other",
            }


def test_an_engine_is_taken_in_place_of_a_url(database: str) -> None:
    if database.startswith("sqlite:"):
        Path(database.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(database)
    try:
        schema.upgrade(engine)
        assert schema.pending(engine) == []
    finally:
        engine.dispose()


def _upgrade(url: str, start: Any) -> None:
    start.wait(30)
    schema.upgrade(url)


def test_processes_that_upgrade_at_once_queue(database: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(4)
    processes = [spawn.Process(target=_upgrade, args=(database, start)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert differences(database) == []


def test_a_failed_upgrade_leaves_nothing(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        (versions.parent / name).write_text((schema.directory() / name).read_text("utf-8"), "utf-8")
    (versions / "broken.py").write_text(
        "from alembic import op\nrevision, down_revision = 'b', None\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (id INTEGER)')\n    op.execute('no SQL')\n",
        "utf-8",
    )
    monkeypatch.setattr(schema, "directory", lambda: versions.parent)
    with pytest.raises(Exception, match="syntax error"):
        schema.upgrade(database)
    assert tables(database) <= {"alembic_version"}
    assert schema.pending(database) == ["b"]


def test_a_migration_that_orphans_rows_is_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/sinwon.db"
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    for path in (*schema.directory().glob("*.*"), *schema.directory().glob("versions/*.py")):
        target = versions.parent / path.relative_to(schema.directory())
        target.write_text(path.read_text("utf-8"), "utf-8")
    schema.upgrade(url)
    with connected(url) as connection:
        connection.execute(text("INSERT INTO subject (id, created_at) VALUES ('s', 1)"))
        connection.execute(
            text("INSERT INTO subject_key (digest, subject_id, created_at) VALUES ('d', 's', 1)")
        )
    (versions / "orphans.py").write_text(
        f"from alembic import op\nrevision, down_revision = 'o', '{schema.head()}'\n"
        "def upgrade():\n    op.execute('DELETE FROM subject')\n",
        "utf-8",
    )
    monkeypatch.setattr(schema, "directory", lambda: versions.parent)
    with pytest.raises(schema.BrokenReferences, match="subject_key"):
        schema.upgrade(url)
    with sqlite3.connect(tmp_path / "sinwon.db") as connection:
        assert connection.execute("SELECT id FROM subject").fetchall() == [("s",)]
    connection.close()
    assert schema.pending(url) == ["o"]


def test_there_is_one_line_of_revisions() -> None:
    heads = ScriptDirectory(str(schema.directory())).get_heads()
    assert heads == [schema.head()]


# -- beside nodes that run -----------------------------------------------------------------------------------------


def test_every_migration_says_what_it_means_for_nodes_that_run() -> None:
    scripts = ScriptDirectory(str(schema.directory())).walk_revisions()
    kinds = {script.revision: getattr(script.module, "KIND", None) for script in scripts}
    assert {revision for revision, kind in kinds.items() if kind not in set(schema.Kind)} == set()


def test_what_an_upgrade_would_do_is_known_before(database: str) -> None:
    schema.upgrade(database, "0005")
    first, second, *_ = schema.plan(database)
    assert (first.revision, first.kind) == ("0006", schema.Kind.STOP)
    assert (second.revision, second.kind) == ("0007", schema.Kind.EXPAND)
    assert second.title.startswith("Administrators")
    schema.upgrade(database)
    assert schema.plan(database) == []


@pytest.mark.postgresql
def test_an_upgrade_waits_for_a_long_query_and_nobody_waits_for_the_upgrade(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.upgrade(postgresql_database, "0006")
    monkeypatch.setattr(schema, "_LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(schema, "_ATTEMPTS", 2)
    monkeypatch.setattr(schema, "_PAUSE_S", 0.01)
    with connected(postgresql_database) as reader:
        reader.execute(text("SELECT count(*) FROM portal"))  # holds its lock until the transaction ends
        with pytest.raises(schema.Locked):
            schema.upgrade(postgresql_database)
        assert schema.pending(postgresql_database)[0] == "0007"
        with connected(postgresql_database) as other:
            other.execute(text("SET LOCAL lock_timeout = 1"))
            other.execute(text("SELECT count(*) FROM portal"))
    schema.upgrade(postgresql_database)
    assert schema.pending(postgresql_database) == []
