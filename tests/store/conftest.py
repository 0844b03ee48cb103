"""The stores under contract: each kind on its real server, with what the contract needs to know of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from idp.store import Store, open_store
from tests import servers
from tests.waiting import eventually


class HandClock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.at = 1_800_000_000

    def __call__(self) -> int:
        return self.at


@dataclass
class Ground:
    """One server, on which a test opens as many store objects as it likes."""

    url: str
    shared: bool
    """Whether several processes, here: several store objects, may use it at once."""
    clock: HandClock | None = None
    """Moves the time of a SQL store; Redis keeps its own."""
    opened: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Ground":
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.close()

    def open(self) -> Store:
        store = open_store(self.url, self.clock) if self.clock else open_store(self.url)
        self.opened.callback(store.close)
        return store

    def after(self, seconds: int, condition: Callable[[], bool]) -> None:
        """Let the time pass; fail if condition() does not hold then (on Redis: up to 5 s later)."""
        if self.clock:
            self.clock.at += seconds
            assert condition()
        else:
            eventually(condition, within_s=seconds + 5)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("redis", marks=pytest.mark.redis),
    ]
)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """Each server that a store can stand on, in turn."""
    clock = HandClock()
    if request.param == "sqlite":
        ground = Ground(f"sqlite:///{tmp_path / 'store.db'}", shared=False, clock=clock)
    elif request.param == "postgresql":
        ground = Ground(request.getfixturevalue("contract_database"), shared=True, clock=clock)
    else:
        ground = Ground(request.getfixturevalue("redis_url"), shared=True)
    with ground:
        yield ground


@pytest.fixture(scope="session")
def contract_database(postgresql_url: str) -> Iterator[str]:
    """One database for the whole contract: its tests choose keys of their own."""
    with servers.new_database(postgresql_url) as url:
        yield url


@pytest.fixture
def store(ground: Ground) -> Store:
    return ground.open()


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"test:{uuid4().hex}"
