"""`python -m tests.faults FIGURE… [--short]`: run figures of docs/reliability.md and print what they came to.

R5 takes `--kills N` and `--postgres-kills N`. Progress and what was missed go to standard error; the exit code is 1
where a goal was missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tests.faults import changes, kills, matrix, outages, races
from tests.faults.house import house
from tests.faults.result import Result

Asked = argparse.Namespace


def _kills(asked: Asked, directory: Path, command: str) -> Result:
    with house(directory) as running:
        return kills.measure(running, _sized(kills.Size(), asked), command)


def _races(asked: Asked, directory: Path, command: str) -> Result:
    with house(directory) as running:
        return races.measure(running, _sized(races.Size(), asked), command)


def _races_across_failures(asked: Asked, directory: Path, command: str) -> Result:
    with house(directory) as running:
        return races.measure_across_failures(running, _sized(races.Size(), asked), command)


def _changes(asked: Asked, directory: Path, command: str) -> Result:
    with house(directory, settings=changes.SETTINGS) as running:
        return changes.measure(running, _sized(changes.Size(), asked), command)


def _outages(asked: Asked, directory: Path, command: str) -> Result:
    with house(directory, wired=True) as running:
        return outages.measure(running, _sized(outages.Size(), asked), command)


def _matrix(asked: Asked, directory: Path, command: str) -> Result:
    with matrix.rig(directory) as (running, database):
        return matrix.measure(running, database, command, one_in=asked.one_in or 1)


def _sized(size: Any, asked: Asked) -> Any:
    """A size with what was asked for on the command line."""
    names = {one.name for one in fields(size)}
    given = {name: value for name, value in vars(asked).items() if name in names and value is not None}
    return replace(size, **given)


FIGURES: dict[str, Callable[[Asked, Path, str], Result]] = {
    "R3": _races,
    "R4": _races_across_failures,
    "R5": _kills,
    "R6": _changes,
    "R7": _outages,
    "R16": _matrix,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("figures", nargs="+", choices=sorted(FIGURES, key=lambda name: int(name[1:])))
    parser.add_argument("--short", action="store_true", help="as CI runs it")
    for name in (
        "kills",
        "postgres-kills",
        "attempts",
        "objects",
        "one-in",
        "restarts",
        "reloads",
        "rotations",
    ):
        parser.add_argument(f"--{name}", type=int)
    for name in ("outage-s", "redis-s"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave ledgers and logs there")
    asked = parser.parse_args()
    command = "python -m tests.faults " + " ".join(sys.argv[1:])
    missed = []
    for figure in asked.figures:
        print(f"{figure} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="sinwon-faults-") as temporary:
            directory = Path(temporary) if asked.keep is None else asked.keep / figure
            directory.mkdir(parents=True, exist_ok=True)
            result = FIGURES[figure](asked, directory, command)
        print(result.markdown(), flush=True)
        missed += result.missed
    for one in missed:
        print(f"missed: {one}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
