"""The database or Redis refuses for a while: every step of a sign-in is answered with 503, and goes on afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, make_url, text

from idp.demo import personas
from tests import servers
from tests.crowd import STEPS, Holder, Place, Unexpected, client_of
from tests.rig import Rig, started

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]


_ABANDONED_S = 5
"""Until a request that broke off at the end of a login is taken for dead (`Retry-After` says as much)."""


@pytest.fixture(scope="module")
def redis_port(redis_program: Path) -> Iterator[int]:
    with servers.redis() as port:
        yield port


@pytest.fixture(scope="module")
def database(postgresql_url: str) -> Iterator[str]:
    with servers.new_database(postgresql_url) as url:
        yield url


@pytest.fixture(scope="module")
def rig(database: str, redis_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    given = {"database.url": database, "store.url": f"redis://127.0.0.1:{redis_port}/0"}
    with started(tmp_path_factory.mktemp("house"), given) as running:
        yield running


@contextmanager
def read_only(database: str) -> Iterator[None]:
    """As on a primary that was demoted: connections are cut, and new ones reach a server that takes no rows."""
    engine = create_engine(database, isolation_level="AUTOCOMMIT")
    name = make_url(database).database

    def become(state: str) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")

    become("on")
    with engine.connect() as connection:
        cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name AND pid <> "
        connection.execute(text(cut + "pg_backend_pid()"), {"name": name})
    try:
        yield
    finally:
        become("off")
        engine.dispose()


@contextmanager
def full(port: int) -> Iterator[None]:
    """Redis has no room left, and takes no writes."""
    with closing(redis.Redis(port=port)) as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


def walk(
    rig: Rig, number: int, away: Callable[[], AbstractContextManager[None]], until: str = STEPS[-1]
) -> dict[str, int]:
    """A sign-in of which each step up to `until` is first tried while something is away; what each was answered."""
    place = Place.of(rig.prepared)
    holder = Holder(place, client_of(rig.prepared), personas.invented(number))
    holder.issue()
    answered: dict[str, int] = {}
    try:
        for step in STEPS:
            with away() if STEPS.index(step) <= STEPS.index(until) else nullcontext():
                try:
                    getattr(holder, step)()
                    answered[step] = 200
                    continue
                except Unexpected as unexpected:
                    answered[step] = unexpected.status
            if step == "finish":
                rig.clock.forward(_ABANDONED_S)
            getattr(holder, step)()
    finally:
        place.line.close()
    assert holder.claims["name"] == holder.persona.name
    return answered


def test_a_database_that_takes_no_rows_stops_a_sign_in_where_it_writes_and_loses_none(
    rig: Rig, database: str
) -> None:
    answered = walk(rig, 1, lambda: read_only(database))
    assert set(answered.values()) <= {200, 503}
    assert {"begin", "show", "finish", "redeem"} <= {
        step for step, status in answered.items() if status == 503
    }


def test_a_redis_that_is_full_stops_a_sign_in_where_it_writes_and_loses_none(
    rig: Rig, redis_port: int
) -> None:
    """But for one whose code is bought just then: it is spent before its tokens are made."""
    answered = walk(rig, 2, lambda: full(redis_port), until="finish")
    assert set(answered.values()) <= {200, 503}
    assert {"begin", "show"} <= {step for step, status in answered.items() if status == 503}


def test_whoever_is_answered_503_is_told_when_to_come_again(rig: Rig, database: str) -> None:
    with read_only(database):
        page = rig.portal("gov24").begin().response
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "SINWON-" in page.text
