"""Everybody in turns: in each round each of them does each operation, so that what the machine does besides meets all
alike. Of the rounds the median counts.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.bench.figures import Times
from tests.bench.processes import Memory
from tests.bench.v import tally, wire
from tests.bench.v.candidates import Candidate, Place
from tests.bench.v.portals import Portal, Visitor
from tests.bench.v.tally import Spent, Unit
from tests.crowd import Unexpected

TOKEN, USERINFO, PAGE, SIGN_IN = "token", "userinfo", "page", "sign-in"
OPERATIONS = (TOKEN, USERINFO, PAGE, SIGN_IN)
AT_ONCE = 4
FIXED_AT_ONCE = 32


@dataclass(frozen=True)
class Size:
    """How many of each in a round; and requests to the token endpoint at a fixed rate, in a round of their own."""

    rounds: int = 5
    tokens: int = 300
    pages: int = 100
    sign_ins: int = 60
    fixed_per_s: float = 600
    fixed_s: float = 5

    @classmethod
    def quick(cls) -> Size:
        return cls(rounds=1, tokens=20, pages=5, sign_ins=3, fixed_per_s=50, fixed_s=0.5)


@dataclass(frozen=True)
class Cost:
    """One operation of one candidate: V of the server's own processes, of PostgreSQL and of Redis; what a round got
    done a second; milliseconds of processor time; and how long whoever asked had to wait.
    """

    v: float
    postgresql_v: float
    redis_v: float
    cpu_ms: float
    per_s: float
    times: Times


@dataclass
class Measured:
    """Of one candidate. fixed: its token endpoint at the fixed rate. idle, used: memory of all of its processes."""

    name: str
    ready_s: float
    costs: dict[str, Cost]
    fixed: Times | None
    idle: Memory
    used: Memory


@dataclass
class _Turns:
    spent: list[Spent] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def cost(self) -> Cost:
        def median(of: Callable[[Spent], float]) -> float:
            each = zip(self.spent, self.numbers, strict=True)
            return statistics.median(of(spent) / number for spent, number in each)

        return Cost(
            v=median(lambda spent: spent.families["server"] / spent.unit_s),
            postgresql_v=median(lambda spent: spent.families["postgresql"] / spent.unit_s),
            redis_v=median(lambda spent: spent.families["redis"] / spent.unit_s),
            cpu_ms=1000 * median(lambda spent: spent.families["server"]),
            per_s=1 / median(lambda spent: spent.took_s),
            times=Times.of(self.waits),
        )


def measure(
    candidates: Sequence[Candidate], place: Place, unit: Unit, size: Size, say: Callable[[str], None]
) -> list[Measured]:
    """All of them. Raises Unexpected when one answers anything but what it should."""
    idle = {one.name: tally.family_memory(one.pid) for one in candidates}
    turns: dict[str, dict[str, _Turns]] = defaultdict(lambda: defaultdict(_Turns))
    for number in range(-1, size.rounds):  # the first one warms up
        say(f"round {number + 1} of {size.rounds}")
        for one in candidates:
            _round(one, place, unit, size, turns[one.name])
        if number < 0:
            turns.clear()
    say(f"tokens, {size.fixed_per_s:.0f} a second")
    fixed = {one.name: _fixed(one.port, one.portal, size) for one in candidates if one.portal is not None}
    return [
        Measured(
            one.name,
            one.ready_s,
            {operation: those.cost() for operation, those in turns[one.name].items()},
            fixed.get(one.name),
            idle[one.name],
            tally.family_memory(one.pid),
        )
        for one in candidates
    ]


def _round(one: Candidate, place: Place, unit: Unit, size: Size, turns: Mapping[str, _Turns]) -> None:
    families = {"server": one.pid, "postgresql": place.postgresql, "redis": place.redis}

    def turn(operation: str, act: Callable[[], list[float]]) -> None:
        with tally.spending(families, unit) as spent:
            waits = act()
        turns[operation].spent.append(spent)
        turns[operation].numbers.append(len(waits))
        turns[operation].waits += waits

    if one.portal is None:
        asked = [
            wire.request("POST", "/token", {"Content-Type": "application/x-www-form-urlencoded"}, "code=x")
        ]
        turn(TOKEN, lambda: _waits(_sent(one.port, asked * size.tokens)))
        return
    portal, bought = one.portal, list[wire.Reply]()
    asked = [portal.token_request(code) for code in portal.codes(size.tokens)]

    def buy() -> list[float]:
        bought.extend(_sent(one.port, asked))
        return _waits(bought)

    turn(TOKEN, buy)
    tokens = [json.loads(reply.body)["access_token"] for reply in bought]
    read = [portal.userinfo_request(token) for token in tokens]
    turn(USERINFO, lambda: _waits(_sent(one.port, read)))
    lookers = portal.visitors(size.pages)
    turn(PAGE, lambda: _walked(lookers, lambda visitor: visitor.look()))
    visitors = portal.visitors(size.sign_ins)
    turn(SIGN_IN, lambda: _walked(visitors, lambda visitor: visitor.sign_in()))


def _fixed(port: int, portal: Portal, size: Size) -> Times:
    """The token endpoint's waits when requests come at a fixed rate."""
    asked = [portal.token_request(code) for code in portal.codes(round(size.fixed_per_s * size.fixed_s))]
    replies = wire.send(port, asked, at_once=FIXED_AT_ONCE, per_s=size.fixed_per_s)
    return Times.of(_waits(_good(replies)))


def _sent(port: int, requests: Sequence[bytes]) -> list[wire.Reply]:
    return _good(wire.send(port, requests, at_once=AT_ONCE))


def _good(replies: list[wire.Reply]) -> list[wire.Reply]:
    if bad := next((reply for reply in replies if reply.status != 200), None):
        raise Unexpected(f"{bad.status} instead of 200")
    return replies


def _waits(replies: Sequence[wire.Reply]) -> list[float]:
    return [reply.took_s for reply in replies]


def _walked(visitors: Sequence[Visitor], walk: Callable[[Visitor], None]) -> list[float]:
    def one(visitor: Visitor) -> float:
        began = time.perf_counter()
        walk(visitor)
        return time.perf_counter() - began

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, visitors))
