"""Sign-ins that go on while something is lost, and what became of each."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException

from tests.crowd import STEPS, Holder, Unexpected
from tests.topology.house import Topology
from tests.waiting import eventually

AGAIN_AFTER_S = 0.3
"""A person reloads sooner than `Retry-After` says."""
PATIENCE_S = 40
_LATER = {502, 503, 504}


@dataclass
class Ledger:
    """Every sign-in of some time: `finished` read the holder's name, `failed` says at which step and how it ended.

    `again` counts what was sent again, by the status that asked for it (0: the connection broke).
    """

    started: int = 0
    finished: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    again: Counter[int] = field(default_factory=Counter)
    longest_silence_s: float = 0.0

    @property
    def n_failed(self) -> int:
        return sum(self.failed.values())

    def __str__(self) -> str:
        line = f"{self.started} started, {self.finished} finished, {self.n_failed} failed"
        if self.failed:
            line += f" ({', '.join(f'{n} × {what}' for what, n in sorted(self.failed.items()))})"
        if self.again:
            told = ", ".join(f"{n} × {status or 'cut'}" for status, n in sorted(self.again.items()))
            line += f"; sent again {told}"
        return f"{line}; at most {self.longest_silence_s:.1f} s without one"


class Load:
    """So many people at once who sign in one after the other, each a new one."""

    def __init__(self, house: Topology, at_once: int) -> None:
        self._house = house
        self._numbers = itertools.count(1000)  # nobody whom a test signs in by itself
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._ledger = Ledger()
        self._finished_at = time.monotonic()
        self._threads = [threading.Thread(target=self._sign_in_on_and_on) for _ in range(at_once)]
        for thread in self._threads:
            thread.start()

    def fresh(self) -> Ledger:
        """Count anew from now on: sign-ins are counted where they end."""
        with self._lock:
            self._ledger, self._finished_at = Ledger(), time.monotonic()
            return self._ledger

    def go_on(self, until_finished: int, within_s: float) -> None:
        """Return when so many have finished since counting began; fail when that takes longer."""
        ledger = self._ledger
        eventually(lambda: ledger.finished >= until_finished, within_s)

    def stop(self) -> None:
        """Nobody begins any more; returns when everybody is through."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _sign_in_on_and_on(self) -> None:
        while not self._stopping.is_set():
            holder = self._house.holder(next(self._numbers))
            holder.issue()
            again: Counter[int] = Counter()
            failure = ""
            for step in STEPS:
                if failure := self._do(holder, step, again):
                    break
            self._count(failure, again)

    def _do(self, holder: Holder, step: str, again: Counter[int]) -> str:
        """Do it, and again as long as that is what the answer asks for; what it failed with, empty when it did not."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                getattr(holder, step)()
                return ""
            except (Unexpected, OSError, HTTPException) as error:
                status = error.status if isinstance(error, Unexpected) else 0
                if isinstance(error, Unexpected) and status not in _LATER:
                    return f"{step}: {status or error}"
                again[status] += 1
                if time.monotonic() > give_up_at:
                    return f"{step}: patience"
                time.sleep(AGAIN_AFTER_S)

    def _count(self, failure: str, again: Counter[int]) -> None:
        with self._lock:
            ledger, now = self._ledger, time.monotonic()
            ledger.started += 1
            ledger.again.update(again)
            if failure:
                ledger.failed[failure] += 1
                return
            ledger.finished += 1
            ledger.longest_silence_s = max(ledger.longest_silence_s, now - self._finished_at)
            self._finished_at = now


@contextmanager
def load(house: Topology, at_once: int) -> Iterator[Load]:
    """People who sign in until the context ends."""
    running = Load(house, at_once)
    try:
        yield running
    finally:
        running.stop()
