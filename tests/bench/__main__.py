"""`python -m tests.bench`: measure everything and print `docs/performance.md`. Progress goes to standard error."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import figures, peers, processes, report, verifying, waiting
from tests.bench.v import running as besides
from tests.bench.v.rounds import Size


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything: to see that it runs")
    parser.add_argument(
        "--peers", type=Path, metavar="DIRECTORY", help="compare with libraries installed there"
    )
    parser.add_argument("--growth", action="store_true", help="and with full tables: half an hour more")
    asked = parser.parse_args()
    few = 20 if asked.quick else 1
    load = processes.load()
    if load > 0.5:
        say(f"something else runs here (load {load:.1f}): the figures will be worse than the machine's own")
    say("start")
    start = figures.start(max(5 // few, 1))
    with figures.demo() as running, figures.place_of(running) as place:
        memory_new = processes.memory(running.worker)
        say("warming up")
        warm = figures.sign_ins(running, place, at_once=4, number=40)
        signed_in = []
        for at_once, number in ((1, 200), (4, 400), (16, 400)):
            say(f"sign-ins, {at_once} at once")
            signed_in.append(figures.sign_ins(running, place, at_once=at_once, number=number // few))
        memory_used = processes.memory(running.worker)
        say("presentations")
        presentation = figures.presentation(running, place, 300 // few)
        page = figures.sign_in_page(running, place)
    say("verification")
    costs, others = verifying.costs(verifying.ROUNDS // few), []
    if asked.peers is not None:
        peers.install(asked.peers)
        others = peers.measure(asked.peers, verifying.for_peers(verifying.ROUNDS // few, verifying.EACH))
    beside = besides.measure(Size.quick() if asked.quick else Size(), asked.peers, say)
    if asked.growth:
        plenty = besides.Plenty.quick() if asked.quick else besides.Plenty()
        beside = besides.with_growth(beside, plenty, say)
    waited = waiting.measure(waiting.Size.quick() if asked.quick else waiting.Size(), say)
    print(
        report.document(
            day=datetime.now(UTC).date(),
            machine=processes.machine(),
            load=load,
            start=start,
            presentation=presentation,
            costs=costs,
            others=others,
            beside=beside,
            sign_ins=signed_in,
            memory_new=memory_new,
            memory_used=memory_used,
            before_memory=warm.number + sum(one.number for one in signed_in),
            page=page,
            waited=waited,
        )
    )


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
