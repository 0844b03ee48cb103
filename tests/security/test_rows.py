"""The list of rows is complete, and every switch still finds what it takes out."""

import ast
from pathlib import Path

import pytest

from tests.security.rows import NOT_APPLICABLE, PROVED_BY, ROWS, tables
from tests.security.rows.__main__ import DOCUMENT, updated
from tests.security.switches import SWITCHES, Edit

ROOT = Path(__file__).parents[2]
IN_TABLES = {case.row for cases in tables().values() for case in cases}


def test_every_row_is_proved_or_has_a_reason_why_not() -> None:
    proved = IN_TABLES | set(PROVED_BY)
    assert sorted(proved - set(ROWS)) == []
    assert sorted(set(ROWS) - proved - set(NOT_APPLICABLE)) == []
    assert sorted(proved & set(NOT_APPLICABLE)) == []


def test_what_proves_a_row_elsewhere_is_there() -> None:
    for node in {node for nodes in PROVED_BY.values() for node in nodes}:
        file, _, rest = node.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert rest.partition("[")[0] in {
            item.name for item in tree.body if isinstance(item, ast.FunctionDef)
        }


@pytest.mark.parametrize("path", tables())
def test_the_cases_of_a_table_have_names_of_their_own(path: str) -> None:
    names = [str(case) for case in tables()[path]]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    "edit", [edit for switch in SWITCHES for edit in switch.edits], ids=lambda edit: edit.file
)
def test_a_switch_finds_what_it_takes_out(edit: Edit) -> None:
    assert edit.times_found() == 1, edit.found
    assert edit.instead != edit.found


def test_a_switch_is_known_by_its_name_and_names_rows() -> None:
    assert len({switch.name for switch in SWITCHES}) == len(SWITCHES)
    assert [switch.name for switch in SWITCHES if not switch.rows or set(switch.rows) - set(ROWS)] == []


def test_the_list_in_the_documentation_is_the_code_s() -> None:
    written = DOCUMENT.read_text("utf-8")
    assert updated(written) == written, "python -m tests.security.rows"
