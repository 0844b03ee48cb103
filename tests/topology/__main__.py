"""`python -m tests.topology`: start the deployment, lose its processes one by one, and count the sign-ins.

Needs PostgreSQL, Redis and nginx. Ends with 1 where something did not come back, or a sign-in failed that had not to.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.deployed import PROJECT
from tests.topology import upgrade
from tests.topology.house import topology
from tests.topology.load import Ledger, load
from tests.topology.losses import ALL_LOSSES, LOSSES, Loss, nodes_are_ready, suffer

AT_ONCE = 3
AFTERWARDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.topology", description=__doc__)
    parser.add_argument("--long", action="store_true", help="lose each process, not only some")
    parser.add_argument(
        "--upgrade", action="store_true", help="migrate under load instead, from the release before"
    )
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="people who sign in at the same time")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sinwon-topology-") as directory:
        if asked.upgrade:
            sys.exit(_upgrade(Path(directory), asked.at_once))
        sys.exit(_lose(Path(directory), asked.at_once, ALL_LOSSES if asked.long else LOSSES))


def _lose(directory: Path, at_once: int, losses: tuple[Loss, ...]) -> int:
    failed = False
    with topology(directory) as house:
        with load(house, at_once) as running:
            running.go_on(at_once, 30)
            for loss in losses:
                ledger = suffer(house, running, loss, AFTERWARDS)
                # What a killed process had in its hands may be lost: that is one sign-in for each who signs in.
                too_many = ledger.n_failed > (0 if loss.unnoticed else at_once)
                failed = failed or too_many
                _say(f"without {loss.name}", ledger, too_many)
        nodes_are_ready(house)
    return int(failed)


def _upgrade(directory: Path, at_once: int) -> int:
    failed = False
    before, after = (directory / name for name in ("before", "after"))
    pairs = ((upgrade.release_before(before), PROJECT, False), (PROJECT, upgrade.next_release(after), True))
    for number, (old, new, crash) in enumerate(pairs):
        place = directory / f"house{number}"
        place.mkdir()
        with topology(place, old) as house, load(house, at_once) as running:
            ledger = upgrade.roll_out(house, running, old, new, crash=crash)
            nodes_are_ready(house)
        failed = failed or ledger.n_failed > 0
        what = "from the release before to this one" if new == PROJECT else "from this release to a next one"
        _say(what, ledger, ledger.n_failed > 0)
    return int(failed)


def _say(what: str, ledger: Ledger, too_many: bool) -> None:
    print(f"{'FAILED ' if too_many else ''}{what}: {ledger}", flush=True)


if __name__ == "__main__":
    main()
