"""Every row of the list of inputs and faults that the house must withstand, and what proves it.

`ROWS` names each row in a few words. A row is proved by the cases of its id in the tables of
`tests/security/test_*.py`, by the tests that `PROVED_BY` names (a node id without its parameters stands for all of
them), or it has a reason in `NOT_APPLICABLE`. `tests/security/test_rows.py` looks that none is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tests.security.judging import Case
from tests.security.rows import portal_side, wallet_side

TABLES = Path(__file__).parent.parent
THE_TEST = "test_the_row_holds"
"""What every table calls its one test, which takes a `case`."""

_SIDES: tuple[ModuleType, ...] = (portal_side, wallet_side)
ROWS: Mapping[str, str] = {row: title for side in _SIDES for row, title in side.ROWS.items()}
PROVED_BY: Mapping[str, tuple[str, ...]] = {
    row: tests for side in _SIDES for row, tests in side.PROVED_BY.items()
}
NOT_APPLICABLE: Mapping[str, str] = {
    row: reason for side in _SIDES for row, reason in side.NOT_APPLICABLE.items()
}


def tables() -> dict[str, tuple[Case, ...]]:
    """The cases of every table, by the path of its module from the project's root."""
    found = {}
    for path in sorted(TABLES.glob("test_*.py")):
        cases = getattr(import_module(f"tests.security.{path.stem}"), "CASES", ())
        if cases:
            found[f"tests/security/{path.name}"] = tuple(cases)
    return found


def tests_of(row: str) -> list[str]:
    """The node ids of all tests that prove a row."""
    by_table = [
        f"{path}::{THE_TEST}[{case}]" for path, cases in tables().items() for case in cases if case.row == row
    ]
    return by_table + list(PROVED_BY.get(row, ()))
