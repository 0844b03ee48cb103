"""The guests come in by the doors: they import nothing of the house."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import idp.demo

DEMO = Path(idp.demo.__file__).parent
SOURCES = sorted(DEMO.rglob("*.py"))
LIBRARIES = {"flask", "joserfc", "cbor2", "cryptography", "httpx2", "werkzeug", "zxingcpp"}


def imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(DEMO)))
def test_a_guest_imports_only_guests_and_libraries(source: Path) -> None:
    for name in imported(source):
        inside = name == "idp.demo" or name.startswith("idp.demo.")
        assert inside or name.partition(".")[0] in LIBRARIES | sys.stdlib_module_names, name


def test_the_test_above_reads_every_module() -> None:
    assert {"seeds/__init__.py", "wallet.py", "authority.py", "portals.py", "check.py"} <= {
        path.relative_to(DEMO).as_posix() for path in SOURCES
    }
