"""`python -m tests.bench.v`: print the section of `docs/performance.md`. Progress goes to standard error."""

import argparse
import sys
from pathlib import Path

from tests.bench import v
from tests.bench.v import running, section
from tests.bench.v.rounds import Size


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.v", description=v.__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything: to see that it runs")
    parser.add_argument(
        "--peers", type=Path, metavar="DIRECTORY", help="and other providers, installed there"
    )
    parser.add_argument("--only", metavar="NAME", help="ours alone, or whoever's name begins like this")
    parser.add_argument(
        "--growth", action="store_true", help="and ours again with full tables: half an hour more"
    )
    asked = parser.parse_args()
    size = Size.quick() if asked.quick else Size()
    run = running.measure(size, asked.peers, say, only=asked.only)
    if asked.growth:
        run = running.with_growth(run, running.Plenty.quick() if asked.quick else running.Plenty(), say)
    print(section.text(run))


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
