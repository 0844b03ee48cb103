"""What a run does with each mutant, and what it adds up to."""

from __future__ import annotations

import random
import resource
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from idp.credentials import CredentialRejected, VerifiedCredential
from tests.pace import too_long

MAX_S = 1.0
"""Of processor time: a machine that has other things to do is no fault of the verifier."""
MAX_BYTES = 64 * 1024 * 1024
WEIGHED_EVERY = 50
"""Memory is traced for one mutant of so many (tracing takes time), and for every one that is made to be heavy."""


@dataclass(frozen=True)
class Mutant:
    """A presentation, the rule that it breaks, and what else it is verified with.

    blind: nothing was signed again, so it may turn out to say the same. heavy: made to cost much.
    """

    rule: str
    presentation: str
    verified_with: Mapping[str, Any] = field(default_factory=dict)
    blind: bool = False
    heavy: bool = False


class Species(Protocol):
    """A format: its valid presentations and their mutants."""

    format: str

    def verify(self, presentation: str, **changes: Any) -> VerifiedCredential: ...

    def valid(self) -> Iterator[str]:
        """What the mutants are made from; each is accepted."""

    def mutant(self, chance: random.Random, aimed: str | None = None) -> Mutant:
        """Any mutant, or one that breaks the rule of this name."""

    def says_the_same(self, presentation: str) -> bool:
        """Whether an accepted presentation says what one of `valid` says."""


@dataclass
class Tally:
    """What a run has seen. failures: (number and rule, what happened, presentation), none where all is well."""

    format: str
    seed: int
    refused: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    same: int = 0
    weighed: int = 0
    slowest: tuple[float, str] = (0.0, "")
    heaviest: tuple[int, str] = (0, "")
    grown_kib: int = 0
    took_s: float = 0.0
    failures: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.rules.values())


def run(
    species: Species,
    count: int,
    seed: int,
    *,
    aimed: str | None = None,
    said: Callable[[Tally], None] | None = None,
) -> Tally:
    """Make and verify so many mutants, of every kind or aimed at one rule."""
    tally = Tally(species.format, seed)
    for presentation in species.valid():
        species.verify(presentation)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    for number in range(count):
        # A seed for each, so that one mutant can be made again without those before it.
        mutant = species.mutant(random.Random(f"{seed}/{number}"), aimed)
        tally.rules[mutant.rule] += 1
        weigh = mutant.heavy or number % WEIGHED_EVERY == 0
        _one(species, mutant, tally, f"{number} {mutant.rule}", weigh)
        if said is not None and number % 5000 == 4999:
            said(tally)
    tally.took_s = time.perf_counter() - began
    tally.grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    return tally


def _one(species: Species, mutant: Mutant, tally: Tally, name: str, weigh: bool) -> None:
    outcome, took_s = _timed(species, mutant)
    tally.slowest = max(tally.slowest, (took_s, mutant.rule))
    if too_long(took_s, MAX_S, lambda: _timed(species, mutant)[1]):
        tally.failures.append((name, f"{took_s:.2f} s", mutant.presentation))
    if weigh:
        _weigh(species, mutant, tally, name)
    if isinstance(outcome, CredentialRejected):
        tally.refused[outcome.reason.value] += 1
    elif isinstance(outcome, Exception):
        tally.failures.append((name, repr(outcome), mutant.presentation))
    elif mutant.blind and species.says_the_same(mutant.presentation):
        tally.same += 1
    else:
        tally.failures.append((name, "accepted", mutant.presentation))


def _weigh(species: Species, mutant: Mutant, tally: Tally, name: str) -> None:
    """Verify it again, with its memory traced, which takes several times as long."""
    tracemalloc.start()
    _outcome(species, mutant)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tally.weighed += 1
    tally.heaviest = max(tally.heaviest, (peak, mutant.rule))
    if peak > MAX_BYTES:
        tally.failures.append((name, f"{peak} bytes", mutant.presentation))


def _timed(species: Species, mutant: Mutant) -> tuple[VerifiedCredential | Exception, float]:
    began = time.thread_time()
    outcome = _outcome(species, mutant)
    return outcome, time.thread_time() - began


def _outcome(species: Species, mutant: Mutant) -> VerifiedCredential | Exception:
    try:
        return species.verify(mutant.presentation, **mutant.verified_with)
    except Exception as error:
        return error
