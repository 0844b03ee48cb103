"""R6: what an operator changes while people sign in: nodes one after the other, reloads, signing keys."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import partial

from tests.faults.house import House
from tests.faults.kills import books
from tests.faults.result import Result, quantile
from tests.waiting import eventually

PUBLISH_S = 4
SETTINGS = {"lifetimes.key_publish_s": str(PUBLISH_S)}
"""A new key is published for so long before it signs; an hour of that is not waited for here."""


@dataclass(frozen=True)
class Size:
    restarts: int = 50
    reloads: int = 20
    rotations: int = 10
    at_once: int = 4
    seed: int = 6


def measure(house: House, size: Size, command: str) -> Result:
    """All three, one after the other, beside one crowd."""
    result = Result("R6", "changes while people sign in", command, "")
    crowd = house.crowd("changes")
    failed: list[str] = []
    codes: list[int] = []

    def change() -> None:
        for _ in range(size.restarts):
            for number, node in enumerate(house.nodes):
                codes.append(node.restart())
                eventually(partial(house.ready, number), 60)
        for number in range(size.reloads):
            _reload(house, number % len(house.nodes))
        for number in range(size.rotations):
            rotated = house.command("keys", "rotate", ("ES256", "RS256")[number % 2])
            if rotated.returncode != 0:
                failed.append(f"idp keys rotate: {rotated.stderr[-200:]}")
            time.sleep(PUBLISH_S + 1)

    crowd.beside(change, size.at_once, size.seed)
    sign_ins = crowd.ledger.sign_ins
    result.n = (
        f"{size.restarts} rolling restarts of {len(house.nodes)} nodes, {size.reloads} reloads, "
        f"{size.rotations} rotations, {len(sign_ins)} sign-ins"
    )
    result.zero("sign-ins that failed", sum(not one.finished for one in sign_ins))
    result.zero("sign-ins begun anew", sum(len(one.entries) > 1 for one in sign_ins))
    result.zero("connections that ended without an answer", crowd.ledger.answers["none"])
    result.say("answers 503 with Retry-After", crowd.ledger.answers["503"])
    result.zero("nodes that did not end in good order", sum(code != 0 for code in codes))
    result.zero("commands that failed", failed)
    took = [one.took_s for one in sign_ins if one.finished]
    result.say("time of a sign-in", f"p50 {quantile(took, 0.5):.2f} s, p99 {quantile(took, 0.99):.2f} s")
    books(result, house)
    return result


def _reload(house: House, number: int) -> None:
    """SIGHUP: gunicorn starts new processes and lets the old ones finish."""
    node = house.nodes[number]
    before = set(node.children())
    node.send(signal.SIGHUP)

    def replaced() -> bool:
        return not before & set(node.children())

    eventually(replaced, 60)
    eventually(partial(house.ready, number), 60)
