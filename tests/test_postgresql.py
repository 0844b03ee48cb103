"""How a PostgreSQL is reached: several hosts, connections that are cut, a standby, and limits on waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, InternalError, OperationalError

from idp import postgresql
from idp.models import db, writing
from tests.audit.keeping import kept

needs_postgresql = pytest.mark.postgresql


@contextmanager
def attended(url: str, **limits: int) -> Iterator[Engine]:
    """An engine as a node has it, with two connections."""
    parsed = make_url(url)
    engine = create_engine(parsed, **postgresql.pool_options(parsed, 2, 0))
    postgresql.attend(engine, **limits)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def beside(postgresql_database: str) -> Iterator[Engine]:
    """Somebody else at the same database."""
    engine = create_engine(postgresql_database, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def cut_all(beside: Engine) -> int:
    with beside.connect() as connection:
        return len(
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            ).all()
        )


@pytest.mark.parametrize(
    ("written", "hosts"),
    [
        ("postgresql://u:p%2C@a:5432,b:5433/sinwon", ("a:5432", "b:5433")),
        ("postgresql://u:p@a,b:5433/sinwon", ("a:5432", "b:5433")),
        ("postgresql+psycopg://u:p@a,b,c/sinwon?sslmode=require", ("a:5432", "b:5432", "c:5432")),
    ],
)
def test_of_several_hosts_the_one_that_takes_writes_is_looked_for(
    written: str, hosts: tuple[str, ...]
) -> None:
    url = postgresql.for_sqlalchemy(postgresql.read_url(written))
    assert url.query["host"] == hosts
    assert url.query["target_session_attrs"] == "read-write"
    again = make_url(url.render_as_string(hide_password=False))
    assert (again.username, again.database, again.query) == ("u", "sinwon", url.query)


def test_what_the_url_says_is_not_overruled() -> None:
    written = "postgresql://u@a,b/sinwon?target_session_attrs=any&connect_timeout=9"
    url = postgresql.for_sqlalchemy(postgresql.read_url(written))
    assert url.query["target_session_attrs"] == "any"
    assert "connect_timeout" not in postgresql.connect_arguments(url)


def test_one_host_is_taken_as_it_is() -> None:
    url = postgresql.for_sqlalchemy(postgresql.read_url("postgresql://u@a:5433/sinwon"))
    assert (url.host, url.port, url.query) == ("a", 5433, {})


@pytest.mark.parametrize("written", ["postgresql://u@a,/d", "postgresql://u@a:x,b/d", "postgresql://u@,b/d"])
def test_a_list_of_hosts_with_a_gap_is_none(written: str) -> None:
    with pytest.raises((ArgumentError, ValueError)):
        postgresql.read_url(written)


@needs_postgresql
def test_a_connection_that_was_cut_is_not_handed_out(postgresql_database: str, beside: Engine) -> None:
    with attended(postgresql_database) as engine:
        with engine.connect() as one, engine.connect() as other:
            assert one.scalar(text("SELECT 1")) == other.scalar(text("SELECT 1")) == 1
        assert cut_all(beside) == 2
        for _ in range(3):
            with engine.connect() as one, engine.connect() as other:
                assert one.scalar(text("SELECT 1")) == other.scalar(text("SELECT 1")) == 1


@needs_postgresql
def test_a_connection_to_a_standby_leaves_with_the_first_write_it_refuses(
    postgresql_database: str, beside: Engine
) -> None:
    """As after a failover behind one address: the session is alive, and takes no rows."""
    name = make_url(postgresql_database).database
    with beside.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with attended(postgresql_database) as engine:
        with pytest.raises(InternalError), engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (n int)")
        with beside.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (n int)")


@needs_postgresql
def test_a_statement_gives_up(postgresql_database: str) -> None:
    with attended(postgresql_database, statement_s=1) as engine:
        with engine.connect() as connection, pytest.raises(OperationalError):
            connection.exec_driver_sql("SELECT pg_sleep(60)")
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1


@needs_postgresql
def test_a_wait_for_a_lock_gives_up(postgresql_database: str) -> None:
    with attended(postgresql_database, lock_s=1) as engine, engine.begin() as holder:
        holder.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
        with engine.begin() as other, pytest.raises(OperationalError):
            other.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")


@needs_postgresql
def test_limits_are_the_sessions_where_it_is_ours_alone(postgresql_database: str) -> None:
    with attended(postgresql_database, statement_s=15, lock_s=5) as engine:
        for _ in range(2):
            with engine.connect() as connection:
                assert not connection.connection.info[postgresql.POOLED]
                assert connection.scalar(text("SHOW statement_timeout")) == "15s"
                assert connection.scalar(text("SHOW lock_timeout")) == "5s"


@needs_postgresql
def test_a_transaction_whose_server_goes_before_it_begins_is_a_database_that_is_away(
    postgresql_database: str, beside: Engine
) -> None:
    """The connection was good when it was handed out; the driver's own error would be a bug of ours."""
    with kept(postgresql_database):
        db.session.remove()

        cuts: list[int] = []

        def cut_once(_connection: object, _record: object, _proxy: object) -> None:
            if not cuts:
                cuts.append(cut_all(beside))

        event.listen(db.engine, "checkout", cut_once)
        with pytest.raises(OperationalError), writing():
            pytest.fail("it began")
        assert cuts == [1]
        with writing() as session:
            assert session.scalar(text("SELECT 1")) == 1
