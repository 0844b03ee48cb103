"""`python -m tests.security.mutation`: switch each check off in a copy of the source, and see its rows turn red.

    python -m tests.security.mutation                    all switches; ends with 1 when less than 95 % turned red
    python -m tests.security.mutation --only WORD        those whose name or rows contain it
    python -m tests.security.mutation --table            the table for docs/security-cases.md as well

A row is red when one of its tests fails. It counts only where an honest holder can still sign in: a copy that does
not run at all would fail every exam.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.security.rows import tests_of
from tests.security.switches import SWITCHES, Switch

ROOT = Path(__file__).parents[2]
CONTROL = "tests/security/test_control.py::test_an_honest_holder_signs_in"
SHARE = 0.95
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"
)


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

    def run(self, nodes: Iterable[str]) -> list[tuple[str, bool]]:
        """Run these tests; of each that ran its node id, and whether it passed."""
        report = self.root / "report.xml"
        report.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(self.root)}
        environment.pop("PYTEST_ADDOPTS", None)
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            f"--junitxml={report}",
            "-o",
            "junit_family=xunit1",
        ]
        command = [sys.executable, "-m", "pytest", *options, *nodes]
        ran = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        if not report.exists():
            raise RuntimeError(ran.stdout[-3000:] + ran.stderr[-3000:])
        return [_read(case) for case in ElementTree.parse(report).iter("testcase")]


def _write(path: Path, source: str) -> None:
    """Without what was compiled of it: it is told by the second and the size, and an edit may leave both."""
    path.write_text(source, "utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def _read(case: ElementTree.Element) -> tuple[str, bool]:
    passed = case.find("failure") is None and case.find("error") is None
    return f"{case.get('file', '')}::{case.get('name', '')}", passed


def try_out(copy: Copy, switch: Switch) -> Outcome:
    """Switch a check off and run the tests of its rows, and the honest holder's."""
    began = time.monotonic()
    tests = {row: tests_of(row) for row in switch.rows}
    with copy.without(switch):
        ran = copy.run([CONTROL, *sorted({node for nodes in tests.values() for node in nodes})])
    failed = {node for node, passed in ran if not passed}
    red = tuple(row for row, nodes in tests.items() if any(_fell(node, failed) for node in nodes))
    honest = CONTROL in {node for node, _ in ran} and CONTROL not in failed
    return Outcome(switch, red, honest, time.monotonic() - began)


def _fell(node: str, failed: set[str]) -> bool:
    """A node id without parameters stands for all of them."""
    return node in failed or ("[" not in node and any(name.startswith(f"{node}[") for name in failed))


def chosen(word: str | None) -> list[Switch]:
    return [
        switch
        for switch in SWITCHES
        if word is None or word in switch.name or any(word in r for r in switch.rows)
    ]


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--only", metavar="WORD")
    options.add_argument("--table", action="store_true")
    given = options.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="sinwon-mutation-") as directory:
        copy = Copy(Path(directory))
        for switch in chosen(given.only):
            outcome = try_out(copy, switch)
            outcomes.append(outcome)
            said = "ok" if outcome.honest and not outcome.green else f"GREEN {outcome.green}"
            print(
                f"{outcome.took_s:5.1f} s  {switch.name}: {said if outcome.honest else 'BROKEN'}", flush=True
            )
    return _report(outcomes, table=given.table)


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
