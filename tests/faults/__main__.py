"""`python -m tests.faults FIGURE… [--short]`: run figures of docs/reliability.md and print what they came to.

R5 takes `--kills N` and `--postgres-kills N`. Progress and what was missed go to standard error; the exit code is 1
where a goal was missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.faults import kills
from tests.faults.house import house
from tests.faults.result import Result

Asked = argparse.Namespace


def _kills(asked: Asked, directory: Path, command: str) -> Result:
    size = kills.Size()
    size = replace(size, kills=asked.kills or size.kills, postgres_kills=asked.postgres_kills or size.postgres_kills)
    with house(directory) as running:
        return kills.measure(running, size, command)


FIGURES: dict[str, Callable[[Asked, Path, str], Result]] = {"R5": _kills}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("figures", nargs="+", choices=sorted(FIGURES, key=lambda name: int(name[1:])))
    parser.add_argument("--short", action="store_true", help="as CI runs it")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--postgres-kills", type=int)
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
