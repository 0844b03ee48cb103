"""`python -m tests.security.mutation`: switch each check off in a copy of the source, and see its rows turn red.

    python -m tests.security.mutation                    all switches; ends with 1 when less than 95 % turned red
    python -m tests.security.mutation --only WORD        those whose name or rows contain it
    python -m tests.security.mutation --part 1/2         every second one, from the first on
    python -m tests.security.mutation --table            their table for docs/security-cases.md as well

A row is red when one of its tests fails. It counts only where an honest holder can still sign in: a copy that does
not run at all would fail every exam.

What is not ours is imported once. Each switch is tried in a process that is forked off and imports our own from the
copy, with one house for all tables.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.security.switches import SWITCHES, Switch

ROOT = Path(__file__).parents[2]
CONTROL = "tests/security/test_control.py::test_an_honest_holder_signs_in"
SHARE = 0.95
ONE_COURT = "IDP_TEST_ONE_COURT"
"""Where this is set, all tables of `tests/security` share one house."""
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"
)
# None of ours: those are imported anew for each switch.
_IMPORTED_ONCE = (
    "alembic.command", "authlib.integrations.flask_oauth2", "babel", "cbor2", "cryptography.x509", "flask_sqlalchemy",
    "httpx2", "joserfc.jwt", "markdown_it", "msgspec", "prometheus_client", "pybase64", "redis", "zxingcpp",
)  # fmt: skip

Tests = Mapping[str, Sequence[str]]
"""The node ids of the tests of each row."""


@dataclass(frozen=True)
class Outcome:
    """What came of one switch: which of its rows turned red, and whether an honest holder came through."""

    switch: Switch
    red: tuple[str, ...]
    honest: bool
    took_s: float

    @property
    def green(self) -> list[str]:
        return [row for row in self.switch.rows if row not in self.red]


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Watching:
    """A plugin of pytest's that hears which tests fail, and spares those of rows that are red already."""

    rows: Tests
    red: set[str] = field(default_factory=set)
    honest: bool = False

    def rows_of(self, node: str) -> set[str]:
        """A node id without parameters stands for all of them."""
        return {row for row, nodes in self.rows.items() if node in nodes or node.partition("[")[0] in nodes}

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        rows = self.rows_of(item.nodeid)
        if rows and rows <= self.red:
            pytest.skip("its rows are red")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.red |= self.rows_of(report.nodeid)
        if report.nodeid == CONTROL and report.when == "call":
            self.honest = report.passed


class Copy:
    """A copy of the project, in which checks can be switched off."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT, root, ignore=_LEFT_OUT, dirs_exist_ok=True)

    @contextmanager
    def without(self, switch: Switch) -> Iterator[None]:
        """Meanwhile the check is off. Raises ValueError where a fragment is not there exactly once."""
        kept: dict[Path, str] = {}
        try:
            for edit in switch.edits:
                if edit.times_found(self.root / "idp") != 1:
                    raise ValueError(f"{switch.name}: not there exactly once: {edit.found}")
                path = self.root / "idp" / edit.file
                source = path.read_text("utf-8")
                kept.setdefault(path, source)
                _write(path, edit.applied(source))
            yield
        finally:
            for path, source in kept.items():
                _write(path, source)

    def tests(self) -> dict[str, list[str]]:
        """Asked of another process: the tables import what is to be switched off."""
        said = (
            "import json; from tests.security.rows import ROWS, tests_of; "
            "print(json.dumps({row: tests_of(row) for row in ROWS}))"
        )
        ran = subprocess.run([sys.executable, "-c", said], cwd=self.root, capture_output=True, check=True)
        found: dict[str, list[str]] = json.loads(ran.stdout)
        return found

    def run(self, rows: Tests) -> Watching:
        """Run the tests of these rows, and the honest holder's, in a process of their own."""
        told = self.root / "told.json"
        told.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _run(self.root, rows, told)
        os.waitpid(child, 0)
        watching = Watching(rows)
        if told.exists():
            said = json.loads(told.read_text("utf-8"))
            watching.red, watching.honest = set(said["red"]), said["honest"]
        return watching


def _run(root: Path, rows: Tests, told: Path) -> None:
    """In the child: pytest on the copy. Does not return."""
    try:
        os.chdir(root)
        sys.path[:] = [str(root), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
        for name in [name for name in sys.modules if name.partition(".")[0] in {"idp", "tests"}]:
            del sys.modules[name]
        os.environ[ONE_COURT] = "1"
        os.environ.pop("PYTEST_ADDOPTS", None)
        watching = Watching(rows)
        # On SQLite alone: a check is the same on every database, and servers take their time to start.
        options = ["-q", "-m", "not postgresql and not redis", "-p", "no:cacheprovider", "-p", "no:xdist"]
        nodes = sorted({node for nodes in rows.values() for node in nodes})
        with (root / "output.txt").open("w") as output, redirect_stdout(output), redirect_stderr(output):
            pytest.main([*options, CONTROL, *nodes], plugins=[watching])
        told.write_text(json.dumps({"red": sorted(watching.red), "honest": watching.honest}), "utf-8")
    finally:
        os._exit(0)


def _write(path: Path, source: str) -> None:
    """Without what was compiled of it: it is told by the second and the size, and an edit may leave both."""
    path.write_text(source, "utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def try_out(copy: Copy, switch: Switch, tests: Tests) -> Outcome:
    """Switch a check off and run the tests of its rows."""
    began = time.monotonic()
    with copy.without(switch):
        ran = copy.run({row: tests[row] for row in switch.rows})
    red = tuple(row for row in switch.rows if row in ran.red)
    return Outcome(switch, red, ran.honest or switch.for_all, time.monotonic() - began)


def chosen(word: str | None, part: str) -> list[Switch]:
    number, _, of = part.partition("/")
    found = [
        switch
        for switch in SWITCHES
        if word is None or word in switch.name or any(word in row for row in switch.rows)
    ]
    return found[int(number) - 1 :: int(of)]


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--only", metavar="WORD")
    options.add_argument("--part", metavar="K/N", default="1/1")
    options.add_argument("--table", action="store_true")
    given = options.parse_args()
    for name in _IMPORTED_ONCE:
        import_module(name)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="sinwon-mutation-") as directory:
        copy = Copy(Path(directory))
        tests = copy.tests()
        for switch in chosen(given.only, given.part):
            outcomes.append(try_out(copy, switch, tests))
            print(_line(outcomes[-1]), flush=True)
    return _report(outcomes, table=given.table)


def _line(outcome: Outcome) -> str:
    said: Any = "ok" if not outcome.green else f"GREEN {', '.join(outcome.green)}"
    return f"{outcome.took_s:5.1f} s  {outcome.switch.name}: {said if outcome.honest else 'BROKEN'}"


def _report(outcomes: list[Outcome], *, table: bool) -> int:
    rows = sum(len(outcome.switch.rows) for outcome in outcomes)
    red = sum(len(outcome.red) for outcome in outcomes if outcome.honest)
    if table:
        for outcome in outcomes:
            print(f"| {outcome.switch.name} | {', '.join(outcome.red)} | {', '.join(outcome.green)} |")
    print(
        f"{len(outcomes)} checks switched off, {red} of {rows} rows turned red ({red / rows if rows else 0:.1%})"
    )
    return 0 if rows and red / rows >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
