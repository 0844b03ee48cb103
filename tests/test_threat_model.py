"""docs/threat-model.md: every threat has a control and a test, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/threat-model.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
TABLES = re.split(r"^## ", PAGE, flags=re.MULTILINE)
WITH_TESTS = [section for section in TABLES if "| control | test |" in section]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def rows(section: str) -> list[list[str]]:
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert name in names_in(file)


@pytest.mark.parametrize("section", WITH_TESTS, ids=lambda section: section.partition("\n")[0])
def test_every_threat_has_a_control_and_a_test(section: str) -> None:
    for row in rows(section):
        assert len(row) == 3, row
        assert row[1], row
        assert NAMED.search(row[2]), row


def test_the_page_has_all_its_parts() -> None:
    assert len(WITH_TESTS) == 6
    assert sum(len(rows(section)) for section in WITH_TESTS) > 50
    for part in ("Assets", "Actors", "What is accepted, and why", "What we accept beyond the specification"):
        assert f"## {part}\n" in PAGE
