"""Every figure of docs/reliability.md in its short form, on one deployment: what must never be, is not.

How quick things are, and how many sign-ins come through, is for a quiet machine (`python -m tests.faults`); here it
is enough that most do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import changes
from tests.faults.figures import FIGURES
from tests.faults.house import House, house

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]
MOST = 0.8


@pytest.fixture(scope="module")
def deployment(
    redis_program: Path, nginx_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), wired=True, settings=changes.SETTINGS) as running:
        yield running


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_lost_doubled_or_given_away(deployment: House, name: str) -> None:
    n_before = len(deployment.crowds)
    figure = FIGURES[name]
    result = figure.measure(deployment, figure.short, "")
    assert result.broken == [], result.markdown()
    sign_ins = [one for crowd in deployment.crowds[n_before:] for one in crowd.ledger.sign_ins]
    wanted = [one for one in sign_ins if one.entries[0].login_id is not None]
    assert sum(one.finished for one in wanted) >= MOST * len(wanted), result.markdown()
    assert deployment.ready()
