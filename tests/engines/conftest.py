"""Servers that stand in for each other, each group started once; every test is asked of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import found
from tests.http.conftest import _time_goes_back  # noqa: F401
from tests.rig import Rig
from tests.rig import started as house_started
from tests.store.conftest import Ground, key, store  # noqa: F401
from tests.topology.engines import ClusterRedis, SentinelRedis, started

GROUPS = ["sentinel", "cluster"]


@pytest.fixture(scope="session")
def sentinel_redis(redis_program: Path) -> Iterator[SentinelRedis]:
    with started(SentinelRedis) as group:
        yield group


@pytest.fixture(scope="session")
def cluster_redis(redis_program: Path) -> Iterator[ClusterRedis]:
    with started(ClusterRedis) as group:
        yield group


@pytest.fixture(scope="session")
def sentinel_url(sentinel_redis: SentinelRedis) -> str:
    return sentinel_redis.url()


@pytest.fixture(scope="session")
def cluster_url(cluster_redis: ClusterRedis) -> str:
    return cluster_redis.url


@pytest.fixture(params=GROUPS)
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    with Ground(request.getfixturevalue(f"{request.param}_url"), shared=True) as ground:
        yield ground


@pytest.fixture(scope="module", params=GROUPS)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A house on PostgreSQL and each group."""
    redis = request.getfixturevalue(f"{request.param}_url")
    with (
        servers.new_database(request.getfixturevalue("postgresql_url")) as database,
        house_started(
            tmp_path_factory.mktemp("house"), {"database.url": database, "store.url": redis}
        ) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def pgbouncer_program() -> Path:
    return found("pgbouncer", servers.pgbouncer_binary)
