"""`python -m tests.bench.v`: print the section of `docs/performance.md`. Progress goes to standard error."""

import argparse
import sys
from pathlib import Path

from tests.bench import v


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.v", description=v.__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything: to see that it runs")
    parser.add_argument(
        "--peers", type=Path, metavar="DIRECTORY", help="and other providers, installed there"
    )
    parser.add_argument("--only", metavar="NAME", help="ours alone, or whoever's name begins like this")
    asked = parser.parse_args()
    from tests.bench.v import running, section  # noqa: PLC0415 - `--help` needs no servers

    measured = running.measure(running.size(quick=asked.quick), asked.peers, say, only=asked.only)
    print(section.text(measured))


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
