"""A deployment's audit alone, on each database: rows are written, sealed, and may be tampered with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.audit.keeping import Kept, kept


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """An empty audit, in an application context."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'sinwon.db'}"
    else:
        url = request.getfixturevalue("postgresql_database")
    with kept(url) as one:
        yield one


@pytest.fixture
def postgresql_log(postgresql_database: str) -> Iterator[Kept]:
    """The same on PostgreSQL alone: for what SQLite, with its one writer, does not have."""
    with kept(postgresql_database) as one:
        yield one


@pytest.fixture
def clock_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Move what the command line takes for the time."""

    def move(now: int) -> None:
        monkeypatch.setattr("idp.clock.now", lambda: now)

    return move
