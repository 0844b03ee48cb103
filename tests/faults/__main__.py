"""`python -m tests.faults FIGURE…`: run figures of docs/reliability.md in their long form, and print the outcome.

Progress and what was missed go to standard error; the exit code is 1 where a goal was missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tests.faults import clocks, matrix
from tests.faults.figures import FIGURES
from tests.faults.house import house
from tests.faults.result import Result

MATRIX, CLOCKS = "R16", "R15"
_ALL = sorted([*FIGURES, CLOCKS, MATRIX], key=lambda name: int(name[1:]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("figures", nargs="+", choices=_ALL)
    parser.add_argument("--one-in", type=int, default=1, help=f"of {MATRIX}: one fault in so many")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave ledgers and logs there")
    every = [figure.size for figure in FIGURES.values()] + [clocks.Size()]
    sizes = {one.name: type(getattr(size, one.name)) for size in every for one in fields(size)}
    for name, kind in sorted(sizes.items()):
        if kind in {int, float}:
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    asked = parser.parse_args()
    command = "python -m tests.faults " + " ".join(sys.argv[1:])
    missed = []
    for name in asked.figures:
        print(f"{name} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="sinwon-faults-") as temporary:
            directory = Path(temporary) if asked.keep is None else asked.keep / name
            directory.mkdir(parents=True, exist_ok=True)
            result = _run(name, asked, directory, command)
        print(result.markdown(), flush=True)
        missed += result.missed
    for one in missed:
        print(f"missed: {one}", file=sys.stderr)
    return 1 if missed else 0


def _run(name: str, asked: argparse.Namespace, directory: Path, command: str) -> Result:
    if name in {CLOCKS, MATRIX}:
        with matrix.rig(directory) as (running, database):
            if name == MATRIX:
                return matrix.measure(running, database, command, one_in=asked.one_in)
            return clocks.measure(running, database, _sized(clocks.Size(), asked), command)
    figure = FIGURES[name]
    with house(directory, **figure.wants) as deployed:
        return figure.measure(deployed, _sized(figure.size, asked), command)


def _sized(size: Any, asked: argparse.Namespace) -> Any:
    """A size with what was asked for on the command line."""
    given = {one.name: getattr(asked, one.name, None) for one in fields(size)}
    return replace(size, **{name: value for name, value in given.items() if value is not None})


if __name__ == "__main__":
    sys.exit(main())
