"""Processor time, of a signature check and of whole families of processes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bench.processes import TICKS_PER_S, Memory, memory

_CHECKS = 40
_SAMPLES = 15


class Unit:
    """V: one P-256 signature check over a short message, the key already read."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._key, self._scheme, self._signed = key.public_key(), ec.ECDSA(hashes.SHA256()), bytes(200)
        self._signature = key.sign(self._signed, self._scheme)

    def measure_s(self) -> float:
        """As it is at the moment, in seconds: the median of some samples."""
        return statistics.median(self._sample_s() for _ in range(_SAMPLES))

    def _sample_s(self) -> float:
        began = time.thread_time()
        for _ in range(_CHECKS):
            self._key.verify(self._signature, self._signed, self._scheme)
        return (time.thread_time() - began) / _CHECKS


def family(pid: int) -> list[int]:
    """A process and everything that descends from it."""
    found = [pid]
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # it has just ended
        return []
    for child in children:
        found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    """What a family has used, those that have ended included."""
    return sum(map(_with_the_dead, family(pid)))


def family_memory(pid: int) -> Memory:
    """What a family holds; RSS counts what is shared as often as it is shared."""
    each = [memory(one) for one in family(pid)]
    return Memory(sum(one.rss for one in each), sum(one.pss for one in each))


def _with_the_dead(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(fields[at]) for at in (11, 12, 13, 14)) / TICKS_PER_S


@dataclass
class Spent:
    """Of one turn, in seconds: what each family used, the time that went by, and one signature check meanwhile."""

    families: dict[str, float] = field(default_factory=dict)
    took_s: float = 0.0
    unit_s: float = 0.0


@contextmanager
def spending(families: Mapping[str, int], unit: Unit) -> Iterator[Spent]:
    """What is used until the context ends, by family."""
    spent = Spent()
    before_s = unit.measure_s()
    used = {name: cpu_s(pid) for name, pid in families.items()}
    began = time.perf_counter()
    yield spent
    spent.took_s = time.perf_counter() - began
    spent.families = {name: cpu_s(pid) - used[name] for name, pid in families.items()}
    spent.unit_s = (before_s + unit.measure_s()) / 2
