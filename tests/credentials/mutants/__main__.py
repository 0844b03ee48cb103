"""`python -m tests.credentials.mutants`: a long run. Ends with an error when any mutant got through."""

import argparse
import sys

from tests.credentials.mutants.mdoc import Mdocs
from tests.credentials.mutants.opendid import OpenDids
from tests.credentials.mutants.running import MAX_BYTES, MAX_S, Tally, run
from tests.credentials.mutants.sd_jwt import SdJwts

ALL = (Mdocs, SdJwts, OpenDids)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.credentials.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="mutants of each format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=[one.format for one in ALL], help="this one only")
    asked = parser.parse_args()
    tallies = [
        run(species(), asked.count, asked.seed, said=progress)
        for species in ALL
        if asked.format in (None, species.format)
    ]
    for tally in tallies:
        print(report(tally))
    sys.exit(any(tally.failures for tally in tallies))


def progress(tally: Tally) -> None:
    print(f"{tally.format}: {tally.count}, {len(tally.failures)} failures", file=sys.stderr, flush=True)


def report(tally: Tally) -> str:
    slowest_s, slow = tally.slowest
    heaviest, heavy = tally.heaviest
    lines = [
        f"{tally.format}: {tally.count:,} mutants of {len(tally.rules)} kinds, seed {tally.seed}",
        f"  made and verified in {tally.took_s:.0f} s",
        f"  refused {sum(tally.refused.values()):,}, said the same {tally.same:,}, failures {len(tally.failures):,}",
        f"  slowest {1000 * slowest_s:.0f} ms ({slow}), of {1000 * MAX_S:.0f}",
        f"  heaviest {heaviest / 1024:,.0f} KiB ({heavy}; {tally.weighed:,} were weighed), of {MAX_BYTES / 1024:,.0f}",
        f"  the process grew by {tally.grown_kib:,} KiB",
        "  " + ", ".join(f"{reason} {number}" for reason, number in tally.refused.most_common()),
    ]
    lines += [
        f"  FAILED {rule}: {what}: {presentation[:20_000]}" for rule, what, presentation in tally.failures
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
