"""R12: the power fails. Every process is killed at once, and all of it comes back by itself."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.faults.house import House
from tests.faults.kills import books
from tests.faults.result import Result, quantile
from tests.waiting import eventually

READY_S = 30.0


@dataclass(frozen=True)
class Size:
    cuts: int = 20
    between_s: float = 8.0
    at_once: int = 4
    seed: int = 12


def measure(house: House, size: Size, command: str) -> Result:
    result = Result("R12", "power cuts", command, "")
    crowd = house.crowd("power-cuts")
    keys = _keys(house)
    chance = random.Random(size.seed)

    def cut() -> list[float]:
        ready_s = []
        for _ in range(size.cuts):
            time.sleep(size.between_s * (0.5 + chance.random()))
            cut_power(house)
            began = time.monotonic()
            eventually(house.ready, 4 * READY_S)
            ready_s.append(time.monotonic() - began)
        return ready_s

    ready_s = crowd.beside(cut, size.at_once, size.seed)
    result.n = f"{size.cuts} cuts, {len(crowd.ledger.sign_ins)} sign-ins"
    result.at_most("ready again, the slowest", READY_S, max(ready_s), "s")
    result.say("ready again, the median", f"{quantile(ready_s, 0.5):.1f} s")
    after = _keys(house)
    result.must("signing keys", "the same" if after == keys else "others", "the same", met=after == keys)
    finished = sum(one.finished for one in crowd.ledger.sign_ins)
    result.say("sign-ins finished within 15 s all the same", f"{finished} of {len(crowd.ledger.sign_ins)}")
    books(result, house)
    return result


def cut_power(house: House) -> None:
    """SIGKILL to every process of the house at once."""
    machines = (*house.machines, house.postgres, house.redis)
    for pid in [pid for machine in machines for pid in (*machine.children(), machine.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _keys(house: House) -> list[str]:
    def read() -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{house.ports[0]}/jwks", timeout=5) as answer:
            return json.load(answer)

    return sorted(str(key["kid"]) for key in read()["keys"])
