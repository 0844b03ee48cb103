"""`python -m tests.fuzzing --mutants 100000`: a long run. Ends with an error when any mutant got through."""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.credentials.mutants.__main__ import report as report_in_process
from tests.fuzzing.running import MAX_S, Tally
from tests.fuzzing.whole import ALL, Whole, stage, whole


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--mutants", type=int, default=100_000, help="of all species together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=ALL, action="append", help="this species; may be repeated")
    parser.add_argument(
        "--on", choices=["sqlite", "servers"], default="servers", help="PostgreSQL and Redis, or neither"
    )
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    # What cryptography says of certificates that it reads all the same.
    warnings.filterwarnings("ignore", category=UserWarning)
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as directory,
        stage(Path(directory), on_servers=asked.on == "servers") as at,
    ):
        found = whole(at, asked.mutants, asked.seed, asked.only or ALL, threads=asked.threads, said=progress)
    print(report(found, asked.seed, time.perf_counter() - began))
    sys.exit(bool(found.failures))


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def report(found: Whole, seed: int, took_s: float) -> str:
    lines = [f"{found.count:,} mutants, seed {seed}, {took_s:.0f} s: {len(found.failures)} failures"]
    lines += [
        f"  connections to the address that mutants name {found.visits}, workers ended {found.ended_workers},"
        f" hidden requests answered {found.smuggled}, the workers grew by {found.grown_kib:,} KiB,"
        f" an honest holder {'could not sign in' if found.honest else 'signed in'}"
    ]
    lines += [line for tally in found.tallies for line in of(tally)]
    lines += [report_in_process(tally) for tally in found.in_process]
    lines += [f"  FAILED {rule}: {what}: {request}" for rule, what, request in found.failures]
    return "\n".join(lines)


def of(tally: Tally) -> list[str]:
    slowest_s, slow = tally.slowest
    statuses = ", ".join(
        f"{status or 'none'} {number:,}" for status, number in sorted(tally.statuses.items())
    )
    return [
        f"{tally.name}: {tally.count:,} of {len(tally.rules)} rules in {tally.took_s:.0f} s,"
        f" failures {len(tally.failures)}",
        f"  allowed to pass and passed {tally.passed:,}",
        f"  slowest {1000 * slowest_s:.0f} ms ({slow}) of {1000 * MAX_S:.0f}",
        f"  answers: {statuses}",
    ]


if __name__ == "__main__":
    main()
