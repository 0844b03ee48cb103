"""What a limit in seconds means on a machine that is slower, or busier, than the one it was written for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

_TIMES = 4
_USUAL_S = 0.010
"""What `_work` takes on an unhurried machine of 2026."""


def too_long(took_s: float, limit_s: float, again: Callable[[], float]) -> bool:
    """Whether something takes longer than it may, by the quickest of up to three times and the machine's pace.

    took_s: the first time, again: does it once more and says how long that took. Whatever has its own reason to be
    slow is slow each time; memory that was paged out, a collection of garbage or a neighbour are not.
    """
    for _ in range(2):
        if took_s <= limit_s:
            return False
        took_s = min(took_s, again())
    return took_s > limit_s * pace()


def pace() -> float:
    """How many times as long as usual this machine takes at this moment; at least 1."""
    began = time.perf_counter()
    for _ in range(_TIMES):
        _work()
    return max(1.0, (time.perf_counter() - began) / _TIMES / _USUAL_S)


def _work() -> None:
    numbers = [{"n": number, "t": str(number)} for number in range(8_000)]
    assert json.loads(json.dumps(numbers)) == numbers
