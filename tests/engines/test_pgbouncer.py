"""Through PgBouncer, which gives each transaction whatever session is free: sign-ins at once, and no state left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from idp import postgresql, schema
from idp.store import open_store
from tests import servers
from tests.at_once import at_once
from tests.rig import Rig, started
from tests.servers import free_port

SESSIONS = 3


@contextmanager
def pgbouncer(program: Path, behind: str) -> Iterator[str]:
    """PgBouncer by transaction, with few sessions, in front of a database; yields the URL through it."""
    url = make_url(behind)
    with servers.private_directory("nobody" if servers.postgresql_user() else None) as directory:
        port = free_port()
        users = directory / "users.txt"
        users.write_text(f'"{url.username}" "{url.password}"\n')
        file = directory / "pgbouncer.ini"
        file.write_text(
            f"[databases]\n{url.database} = host={url.host} port={url.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {users}\n"
            f"pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nmax_client_conn = 200\n"
        )
        for path in (users, file):
            path.chmod(0o644)
        user = "nobody" if servers.postgresql_user() else None
        with servers.running([program, file], "process up", user=user):
            yield url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def through(pgbouncer_program: Path, postgresql_url: str) -> Iterator[str]:
    with servers.new_database(postgresql_url) as database, pgbouncer(pgbouncer_program, database) as url:
        schema.upgrade(url)  # through the pooler: its locks are the transaction's
        yield url


def asked(url: str, statement: str) -> set[object]:
    """What eight threads are told, each of which asks more often than psycopg waits before it prepares a statement."""
    parsed = make_url(url)
    engine = create_engine(parsed, **postgresql.pool_options(parsed, 8, 0))
    postgresql.attend(engine, statement_s=15)

    def often() -> list[object]:
        told: list[object] = []
        for _ in range(30):
            with engine.connect() as connection:
                told.append(connection.scalar(text(statement)))
        return told

    try:
        return {one for told in at_once(*[often] * 8) for one in told}
    finally:
        engine.dispose()


def test_that_a_pooler_is_there_is_seen(through: str) -> None:
    engine = create_engine(through)
    postgresql.attend(engine)
    with engine.connect() as connection:
        assert connection.connection.info[postgresql.POOLED]
    engine.dispose()


def test_no_statement_is_prepared_and_no_session_is_changed(through: str) -> None:
    assert asked(through, "SELECT 1") == {1}
    assert asked(through, "SELECT count(*) FROM pg_prepared_statements") == {0}
    assert asked(through, "SHOW statement_timeout") == {"0"}


def test_sign_ins_at_once_through_few_sessions(through: str, redis_url: str, tmp_path: Path) -> None:
    with started(tmp_path, {"database.url": through, "store.url": redis_url}) as rig:
        signed_in = at_once(*[lambda: _name(rig)] * 6)
    assert all(signed_in)


def test_a_store_behind_it_works_and_says_what_it_cannot_do(
    through: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_store(through)) as store:
        store.subscribe(lambda channel: None)
        store.put("pooled", {"n": 1}, 60)
        assert store.take("pooled") == {"n": 1}
    assert "behind a pooler" in caplog.text


def test_a_server_that_goes_away_behind_it_comes_back(through: str, postgresql_url: str) -> None:
    parsed = make_url(through)
    engine = create_engine(parsed, **postgresql.pool_options(parsed, 1, 0))
    postgresql.attend(engine)
    beside = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        with beside.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"),
                {"name": parsed.database},
            )
        try:
            with engine.connect() as connection:
                connection.scalar(text("SELECT 1"))
        except OperationalError:
            pass  # PgBouncer may not have noticed yet, and tells one client
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
    finally:
        engine.dispose()
        beside.dispose()


def _name(rig: Rig) -> str:
    portal = rig.portal("gov24")
    tokens = portal.sign_in()
    return str(portal.userinfo(tokens["access_token"]).json()["name"])
