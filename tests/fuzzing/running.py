"""What a run does with each mutant, and what it adds up to."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Lock
from typing import Protocol

from tests.crowd import Answer, Line

MAX_S = 30.0
"""Until the answer is there: a hang, not a speed. Others may want the cores; what it took is `Tally.slowest`."""

ALWAYS = {
    "x-content-type-options": ("nosniff",),
    "referrer-policy": ("no-referrer", "same-origin"),  # decision D24
    "cache-control": ("no-store",),
}
INSIDES = (b"Traceback", b"sqlalchemy", b"site-packages", b"SELECT ", b"joserfc", b'File "', b"<script>alert")


@dataclass(frozen=True)
class Request:
    """One HTTP request, to be sent by a client that says what it is told."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Mutant:
    """A request, the rule that it breaks, and whether it may be accepted all the same."""

    rule: str
    request: Request
    may_pass: bool = False


class Species(Protocol):
    """A kind of message. Each thread has one of its own."""

    name: str
    rules: Sequence[str]
    """What can be broken on purpose."""

    def mutant(self, chance: random.Random, rule: str | None = None) -> Mutant:
        """Any mutant, or one that breaks this rule."""

    def accepted(self, answer: Answer) -> bool:
        """Whether the provider took it."""


@dataclass
class Tally:
    """What a run has seen. failures: (number and rule, what happened, the request), none where all is well."""

    name: str
    rules: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    passed: int = 0
    slowest: tuple[float, str] = (0.0, "")
    took_s: float = 0.0
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def count(self) -> int:
        return sum(self.rules.values())

    def add(self, name: str, mutant: Mutant, status: int, wrong: str, took_s: float, *, passed: bool) -> None:
        """`status` 0: no answer."""
        with self.lock:
            self.rules[mutant.rule] += 1
            self.slowest = max(self.slowest, (took_s, mutant.rule))
            self.statuses[status] += 1
            self.passed += passed
            if wrong:
                self.failures.append((name, wrong, repr(mutant.request)[:4000]))


def run(
    make: Callable[[], Species],
    line: Line,
    count: int,
    seed: int,
    *,
    threads: int = 2,
    rule: str | None = None,
) -> Tally:
    """Make so many mutants of a species, each from a seed of its own, and send them."""
    first = make()
    tally = Tally(first.name)
    began = time.perf_counter()

    def some(part: int) -> None:
        species = first if part == 0 else make()
        for number in range(part, count, threads):
            mutant = species.mutant(random.Random(f"{seed}/{first.name}/{number}"), rule)
            _one(species, line, mutant, tally, f"{number} {mutant.rule}")

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(some, range(threads)):
            pass
    tally.took_s = time.perf_counter() - began
    return tally


def _one(species: Species, line: Line, mutant: Mutant, tally: Tally, name: str) -> None:
    asked = mutant.request
    began = time.perf_counter()
    try:
        answer = line.send(asked.method, asked.path, asked.body, dict(asked.headers))
    except (OSError, HTTPException) as error:
        wrong = f"no answer: {error!r}"
        tally.add(name, mutant, 0, wrong, time.perf_counter() - began, passed=False)
        return
    took_s = time.perf_counter() - began
    passed = species.accepted(answer)
    tally.add(name, mutant, answer.status, fault(mutant, answer, took_s, passed), took_s, passed=passed)


def fault(mutant: Mutant, answer: Answer, took_s: float, passed: bool) -> str:
    """What is wrong with this answer, "" where nothing is."""
    if answer.status >= 500:
        return f"{answer.status}"
    if took_s > MAX_S:
        return f"{took_s:.1f} s"
    inside = [word for word in INSIDES if word in answer.body]
    if inside:
        return f"it shows {inside}"
    missing = [name for name, values in ALWAYS.items() if answer.headers.get(name) not in values]
    if missing and not before_the_house(answer):
        return f"{answer.status} without {missing}"
    if passed and not mutant.may_pass:
        return f"accepted ({answer.status})"
    return ""


def before_the_house(answer: Answer) -> bool:
    """Whether it is the server's own word that this is no request that it hands on."""
    return answer.status in {400, 414, 431} and "x-correlation-id" not in answer.headers
