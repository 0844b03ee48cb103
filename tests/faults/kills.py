"""R5: processes are killed at random instants while people sign in, and the books must agree afterwards."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from tests.faults.crowd import Crowd
from tests.faults.house import House
from tests.faults.result import Result, quantile
from tests.waiting import eventually

WORKER, MASTER, SENDER, REDIS, POSTGRES = (
    "gunicorn worker",
    "gunicorn master",
    "idp worker",
    "Redis",
    "PostgreSQL",
)
SHARES = {WORKER: 70, MASTER: 10, SENDER: 10, REDIS: 10}
FINISHING, FINISHING_POSTGRES = 99.5, 99.0


@dataclass(frozen=True)
class Size:
    """pause_s: between two kills, at random around that."""

    kills: int = 1000
    postgres_kills: int = 100
    pause_s: float = 3.0
    at_once: int = 6
    seed: int = 5


def measure(house: House, size: Size, command: str) -> Result:
    """Both halves: everything but PostgreSQL, then PostgreSQL alone."""
    result = Result("R5", "`kill -9` at random instants", command, "")
    first, n_first = _under_fire(house, "kills", size, size.kills, SHARES)
    second, n_second = _under_fire(house, "kills-of-postgresql", size, size.postgres_kills, {POSTGRES: 1})
    house.await_ready()
    _say(result, first, n_first, FINISHING, "through kills of processes and of Redis")
    _say(result, second, n_second, FINISHING_POSTGRES, "through kills of PostgreSQL")
    books(result, house)
    n = len(first.ledger.sign_ins) + len(second.ledger.sign_ins)
    result.n = f"{sum(n_first.values()) + sum(n_second.values())} kills during {n} sign-ins"
    return result


def _under_fire(
    house: House, name: str, size: Size, kills: int, shares: dict[str, int]
) -> tuple[Crowd, Counter[str]]:
    """People sign in until so many kills were done; who was killed how often."""
    crowd = house.crowd(name)
    chance = random.Random(f"{size.seed}/{name}")
    hit: Counter[str] = Counter()

    def shoot() -> None:
        for _ in range(kills):
            time.sleep(size.pause_s * (0.5 + chance.random()))
            (target,) = chance.choices(list(shares), list(shares.values()))
            if kill(house, target, chance):
                hit[target] += 1
            if target == POSTGRES:  # it is the start of a recovery that is wanted, not its middle
                eventually(house.postgres.answers, 60)
        house.await_ready()

    crowd.beside(shoot, size.at_once, size.seed)
    return crowd, hit


def kill(house: House, target: str, chance: random.Random) -> bool:
    """SIGKILL to one of this kind; False where there is none at this moment."""
    if target == WORKER:
        pids = [pid for node in house.nodes for pid in node.children()]
        if not pids:
            return False
        with suppress(ProcessLookupError):
            os.kill(chance.choice(pids), signal.SIGKILL)
        return True
    machine = {
        MASTER: chance.choice(house.nodes),
        SENDER: house.worker,
        REDIS: house.redis,
        POSTGRES: house.postgres,
    }[target]
    machine.kill()
    return True


def _say(result: Result, crowd: Crowd, hit: Counter[str], goal: float, how: str) -> None:
    sign_ins = crowd.ledger.sign_ins
    result.say(
        f"killed {how.removeprefix('through kills ')}",
        ", ".join(f"{n} × {name}" for name, n in hit.most_common()),
    )
    result.at_least(
        f"sign-ins finished within 15 s {how}", goal, sum(one.finished for one in sign_ins), len(sign_ins)
    )
    result.say(
        "of them begun anew at the portal", sum(one.finished and len(one.entries) > 1 for one in sign_ins)
    )
    took = [one.took_s for one in sign_ins if one.finished]
    result.say("time of a sign-in", f"p50 {quantile(took, 0.5):.2f} s, p99 {quantile(took, 0.99):.2f} s")
    broke = Counter(one.entries[-1].broke for one in sign_ins if not one.finished)
    if broke:
        result.notes.append(
            f"Not finished {how}: " + ", ".join(f"{n} × {what}" for what, n in broke.most_common())
        )


def books(result: Result, house: House) -> None:
    """What every figure ends with: the ledger and the database, the answers, the logs, the sealed audit."""
    found, crowds = house.reconcile(), house.unread()
    result.say(
        "portals that were told, grants, logins finished",
        f"{found.n_told}, {found.n_grants}, {found.n_finished}",
    )
    result.say("grants whose answer was lost with a process", found.lost_answers)
    result.zero("consents, receipts, audit rows lost or doubled", found.wrong)
    bad = sum((crowd.ledger.bad for crowd in crowds), Counter[str]())
    # 502 and 504 are the proxy's own words for a node that died under a request.
    ours = [f"{n} × {what}" for what, n in bad.items() if not what.endswith((" 502", " 504"))]
    result.zero("answers with 5xx other than 503 with Retry-After", ours)
    result.say(
        "502 and 504 of the proxy", sum(n for what, n in bad.items() if what.endswith((" 502", " 504")))
    )
    result.zero("ID tokens by a key that is not published", sum(crowd.unknown_kids for crowd in crowds))
    result.zero("exceptions in the logs that nobody had thought of", house.bugs())
    eventually(lambda: house.command("audit", "verify").returncode == 0, 60)
    result.must("`idp audit verify`", "the log is whole", "whole", met=True)
