"""The parts that pytest-xdist's workers take, one after the other."""

from pathlib import Path

import pytest

from tests.side_by_side import BROWSER, LONGEST, OWN_DEMONSTRATION, part

PROJECT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("test", "belongs_to"),
    [
        ("tests/test_seal.py::test_it", "tests/test_seal.py"),
        ("tests/test_seal.py::test_it[a::b]", "tests/test_seal.py"),
        ("tests/browser/test_tabs.py::test_it[ko]", "tests/browser"),
        ("tests/browser/test_pages.py::test_it[ko]", "tests/browser/test_pages.py"),
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


def test_a_file_with_a_demonstration_of_its_own_is_a_part_of_its_own() -> None:
    files = (PROJECT / BROWSER).glob("test_*.py")
    own = {f"{BROWSER}/{file.name}" for file in files if "def demo(" in file.read_text("utf-8")}
    assert own == set(OWN_DEMONSTRATION)


@pytest.mark.parametrize("longest", LONGEST)
def test_what_is_begun_first_is_there(longest: str) -> None:
    assert (PROJECT / longest).exists()
