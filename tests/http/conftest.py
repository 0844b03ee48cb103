"""What the tests over real HTTP share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import Rig, started

STORES = (
    "sqlite",
    pytest.param("postgresql+redis", marks=(pytest.mark.postgresql, pytest.mark.redis)),
)


@pytest.fixture(autouse=True)
def _time_goes_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that moves the clock of a shared rig puts it back."""
    yield
    for name in ("rig", "big_rig"):
        if name in request.fixturenames:
            request.getfixturevalue(name).clock.offset_s = 0


@pytest.fixture(params=STORES)
def big_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A rig on the embedded defaults, and one on PostgreSQL and Redis."""
    overrides = {}
    if request.param == "postgresql+redis":
        overrides = {
            "database.url": request.getfixturevalue("postgresql_database"),
            "store.url": request.getfixturevalue("redis_url"),
        }
    with started(tmp_path, overrides) as running:
        yield running
