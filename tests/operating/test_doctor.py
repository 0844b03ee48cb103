"""`idp doctor` on deployments that are well and on such as are not: what it says, and what to do."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, make_url, text

from idp.cli import cli
from idp.cli.deployment import ensure_store
from idp.settings import Settings, load
from tests import servers
from tests.servers import free_port
from tests.test_cli import Deployment, deployed


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Migrated, with a trust registry, on SQLite; nobody serves it."""
    made = deployed(tmp_path_factory.mktemp("looked_at"))
    for arguments in (("migrate",), ("trust", "apply", str(made.prepared.trust_file))):
        done = made.idp(*arguments)
        assert done.returncode == 0, done.stderr
    return made


def looked(deployment: Deployment, **environ: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and what was found by part."""
    done = doctor(deployment, "--json", **environ)
    parts: dict[str, list[dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        found = json.loads(line)
        parts.setdefault(found["part"], []).append(found)
    assert parts, done.output
    return done.exit_code, parts


def doctor(deployment: Deployment, *arguments: str, **environ: str) -> Result:
    """In this process: a dozen starts of Python would take most of the tests' time."""
    given: dict[str, str | None] = {name: None for name in os.environ if name.startswith("IDP_")}
    return CliRunner().invoke(cli, ["doctor", *arguments], env={**given, **deployment.environ, **environ})


def test_what_is_well_is_called_so_and_a_missing_worker_is_a_problem(deployment: Deployment) -> None:
    code, parts = looked(deployment)
    assert code == 1
    for part in ("database", "schema", "store", "wallets", "trust"):
        assert [found["level"] for found in parts[part]] == ["ok"], parts[part]
    assert [(found["level"], found["fix"]) for found in parts["worker"]] == [("problem", "start `idp serve`")]
    assert [(found["level"], found["fix"]) for found in parts["portals"]] == [
        ("warning", "idp portals apply FILE")
    ]


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    empty = deployed(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, parts = looked(empty)
    assert (code, parts["database"][0]["fix"]) == (1, "idp migrate; or correct database.url")
    assert set(parts) <= {"database", "wallets", "machine"}
    assert sorted(tmp_path.rglob("*")) == before


def test_lines_for_people_say_what_to_do_below(deployment: Deployment) -> None:
    shown = doctor(deployment).stdout
    assert (
        "warning  portals      none is registered\n                      → idp portals apply FILE\n" in shown
    )


def test_a_deployment_that_works_has_no_problem(deployment: Deployment) -> None:
    with _rows(
        deployment, "INSERT INTO lease VALUES ('audit-seal', 'here', 0, unixepoch())", "DELETE FROM lease"
    ):
        code, parts = looked(deployment)
    assert (code, parts["worker"][0]["level"]) == (0, "ok")


def test_a_schema_that_is_behind_or_ahead(deployment: Deployment) -> None:
    head = "UPDATE alembic_version SET version_num = (SELECT version_num FROM was)"
    with _rows(deployment, "CREATE TABLE was AS SELECT * FROM alembic_version", "DROP TABLE was"):
        with _rows(deployment, "UPDATE alembic_version SET version_num = '0001'", head):
            code, parts = looked(deployment)
            assert (code, parts["schema"][0]["fix"]) == (1, "idp migrate")
        with _rows(deployment, "UPDATE alembic_version SET version_num = '9999'", head):
            assert looked(deployment)[1]["schema"][0]["level"] == "problem"
            added = "INSERT INTO schema_step (revision, kind, at) VALUES ('9999', 'expand', 1)"
            with _rows(deployment, added, "DELETE FROM schema_step WHERE revision = '9999'"):
                assert looked(deployment)[1]["schema"][0]["level"] == "warning"


def test_a_key_encryption_key_that_does_not_open_the_keys(deployment: Deployment) -> None:
    done = deployment.idp("portals", "apply", str(deployment.prepared.portals_file))  # makes the first keys
    assert done.returncode == 0, done.stderr
    with _rows(deployment, "SELECT 1", "DELETE FROM portal"):
        _, parts = looked(deployment)
        assert parts["keys"][0] == {"part": "keys", "level": "ok", "said": "ES256, RS256 can sign", "fix": ""}
        _, parts = looked(deployment, IDP_SECRETS__KEY_ENCRYPTION_KEY="3d" * 31 + "cc")
        assert parts["keys"][0]["level"] == "problem"


def test_what_does_not_answer(deployment: Deployment) -> None:
    port = free_port()
    _, parts = looked(deployment, IDP_STORE__URL=f"redis://:geheim@127.0.0.1:{port}/0")
    assert parts["store"][0]["level"] == "problem"
    code, parts = looked(deployment, IDP_DATABASE__URL=f"postgresql://idp:geheim@127.0.0.1:{port}/idp")
    assert code == 1
    assert parts["database"][0]["level"] == "problem"
    assert {parts[part][0]["fix"] for part in ("worker", "portals")} == {"see database"}
    assert "geheim" not in json.dumps(parts)


@pytest.mark.redis
@pytest.mark.usefixtures("redis_program")
def test_a_redis_that_throws_entries_away(deployment: Deployment) -> None:
    with servers.redis() as port, closing(redis.Redis(port=port)) as client:
        url = f"redis://127.0.0.1:{port}/0"
        client.config_set("maxmemory-policy", "allkeys-lru")
        _, parts = looked(deployment, IDP_STORE__URL=url)
        assert [(found["level"], "allkeys-lru" in found["said"]) for found in parts["store"]] == [
            ("problem", True)
        ]
        client.config_set("maxmemory-policy", "noeviction")
        _, parts = looked(deployment, IDP_STORE__URL=url)
        assert [found["level"] for found in parts["store"]] == ["ok"]


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_command_says_in_words_that_the_database_does_not_answer(
    deployment: Deployment, command: str
) -> None:
    environ = {
        **deployment.environ,
        "IDP_DATABASE__URL": f"postgresql://idp:geheim@127.0.0.1:{free_port()}/idp",
    }
    done = CliRunner().invoke(cli, [command], env=environ)
    assert done.exit_code == 1
    assert done.stderr.startswith("database.url: the database does not answer:\n  ")
    assert "geheim" not in done.output


@pytest.mark.redis
@pytest.mark.usefixtures("redis_program")
def test_in_production_nothing_serves_on_a_redis_that_throws_entries_away(
    deployment: Deployment, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    evicting = ("--maxmemory-policy", "allkeys-lru")
    with servers.redis(*evicting) as port:
        settings = settings_of(deployment, f"redis://127.0.0.1:{port}/0")
        with pytest.raises(SystemExit):
            ensure_store(msgspec.structs.replace(settings, mode="production"))
        assert "noeviction" in capsys.readouterr().err
        ensure_store(settings)
        assert "allkeys-lru" in caplog.text


def test_a_redis_that_is_away_keeps_nobody_from_starting(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_store(settings_of(deployment, f"redis://127.0.0.1:{free_port()}/0"))
    assert "store.url: unavailable: Redis cannot be reached" in caplog.text


def settings_of(deployment: Deployment, store: str) -> Settings:
    return load(None, {**deployment.environ, "IDP_STORE__URL": store})


@pytest.mark.postgresql
def test_a_postgresql_that_is_empty_or_too_small(deployment: Deployment, postgresql_database: str) -> None:
    environ = {"IDP_DATABASE__URL": postgresql_database, "IDP_STORE__URL": postgresql_database}
    code, parts = looked(deployment, IDP_SERVER__WORKERS="32", **environ)
    assert code == 1
    assert [found["level"] for found in parts["database"]] == ["ok", "warning"]
    assert parts["schema"][0]["fix"] == "idp migrate"
    engine = create_engine(postgresql_database)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_tables WHERE tablename = 'portal'")) == 0
    engine.dispose()


@pytest.mark.postgresql
def test_a_role_that_may_make_no_tables(deployment: Deployment, postgresql_database: str) -> None:
    """As after a restore into a database that somebody else owns."""
    role = f"stranger_{secrets.token_hex(8)}"
    engine = create_engine(postgresql_database)
    with engine.begin() as connection:
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'unowned'"))
    url = make_url(postgresql_database).set(username=role, password="unowned")
    try:
        given = url.render_as_string(hide_password=False)
        _, parts = looked(deployment, IDP_DATABASE__URL=given, IDP_STORE__URL=given)
        assert ["may make no tables" in found["said"] for found in parts["database"]] == [False, True]
        _, owned = looked(
            deployment, IDP_DATABASE__URL=postgresql_database, IDP_STORE__URL=postgresql_database
        )
        assert not any("tables" in found["said"] for found in owned["database"])
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {role}"))
        engine.dispose()


def test_an_address_that_nobody_answers(deployment: Deployment) -> None:
    assert "problem  issuer " in doctor(deployment, "--online").stdout


@contextmanager
def _rows(deployment: Deployment, before: str, after: str) -> Iterator[None]:
    with closing(sqlite3.connect(deployment.directory / "sinwon.db")) as database:
        with database:
            database.execute(before)
        try:
            yield
        finally:
            with database:
                database.execute(after)
