"""What expired is forgotten in small steps, whatever else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, update

from idp import models
from idp.models import Consumed, db, sweep, writing
from tests.audit.keeping import kept

NOW = 1_800_000_000
BATCH_ROWS = 10
LIVE = {"live-0", "live-1", "live-2"}


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_BATCH_ROWS", BATCH_ROWS)


@contextmanager
def used_up(url: str) -> Iterator[None]:
    """A database with 25 things that were used and expired, and three that may still come a second time."""
    rows = [(f"old-{n:02}", NOW - 1) for n in range(25)] + [(digest, NOW) for digest in sorted(LIVE)]
    with kept(url):
        with writing() as session:
            values = [{"kind": "login", "digest": digest, "expires_at": at} for digest, at in rows]
            session.execute(insert(Consumed), values)
        yield


def left() -> set[str]:
    found = set(db.session.scalars(select(Consumed.digest)))
    db.session.rollback()
    return found


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_what_expired_goes_in_batches_and_the_rest_stays(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sqlite = f"sqlite:///{tmp_path / 'sinwon.db'}"
    url = sqlite if engine == "sqlite" else request.getfixturevalue("postgresql_database")
    with used_up(url):
        commits: list[object] = []
        event.listen(db.engine, "commit", commits.append)
        assert sweep(NOW) == 25
        assert left() == LIVE
        assert len(commits) >= 3
        assert sweep(NOW) == 0


@pytest.mark.postgresql
def test_a_row_that_somebody_holds_is_left_for_the_next_time(postgresql_database: str) -> None:
    with used_up(postgresql_database):
        with db.engine.connect() as another, another.begin() as held:
            another.execute(update(Consumed).where(Consumed.digest == "old-07").values(expires_at=NOW - 2))
            assert sweep(NOW) == 24
            held.rollback()
        assert left() == {*LIVE, "old-07"}
        assert sweep(NOW) == 1
        assert left() == LIVE
