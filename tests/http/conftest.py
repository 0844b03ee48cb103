"""What the tests over real HTTP share."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.rig import Rig, started

STORES = (
    "sqlite",
    pytest.param("postgresql+redis", marks=(pytest.mark.postgresql, pytest.mark.redis)),
)


@pytest.fixture(autouse=True)
def _time_goes_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that moves the clock of a shared rig puts it back."""
    yield
    if "rig" in request.fixturenames:
        request.getfixturevalue("rig").clock.offset_s = 0


@pytest.fixture(scope="module", params=STORES)
def each_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A rig on the embedded defaults, and one on PostgreSQL and Redis. A module takes it as its own `rig`."""
    directory = tmp_path_factory.mktemp("house")
    if request.param == "sqlite":
        with started(directory) as running:
            yield running
        return
    redis = request.getfixturevalue("redis_url")
    with (
        servers.new_database(request.getfixturevalue("postgresql_url")) as database,
        started(directory, {"database.url": database, "store.url": redis}) as running,
    ):
        yield running
