"""The parts that pytest-xdist's workers take, one after the other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.side_by_side import LONGEST, part

PROJECT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("test", "belongs_to"),
    [
        ("tests/test_seal.py::test_it", "tests/test_seal.py"),
        ("tests/test_seal.py::test_it[a::b]", "tests/test_seal.py"),
        ("tests/browser/test_tabs.py::test_it[ko]", "tests/browser"),
        ("tests/http/test_races.py::test_it[sqlite-link-0]", "tests/http/test_races.py"),
        (
            "tests/http/test_races.py::test_it[postgresql+redis-link-0]",
            "tests/http/test_races.py on PostgreSQL",
        ),
        ("tests/test_settings.py::test_postgresql[mysql]", "tests/test_settings.py"),
    ],
)
def test_what_shares_a_running_house_is_one_part(test: str, belongs_to: str) -> None:
    assert part(test) == belongs_to


@pytest.mark.parametrize("longest", LONGEST)
def test_what_is_begun_first_is_there(longest: str) -> None:
    assert (PROJECT / longest).exists()


def test_the_tests_are_the_same_wherever_and_whenever_they_are_collected(
    request: pytest.FixtureRequest,
) -> None:
    """Each worker collects them for itself: no name has random bytes, an address or the time of day in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=PROJECT,
        env={**kept, "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        check=True,
    )
    elsewhere = set(done.stdout.splitlines())
    assert [test.nodeid for test in request.session.items if test.nodeid not in elsewhere] == []
