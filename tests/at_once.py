"""Many at once: deeds in threads of their own, let go together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import httpx2

from tests.rig import Rig

Result = TypeVar("Result")
MANY = 50


def at_once(*deeds: Callable[[], Result]) -> list[Result]:
    """Every deed in a thread of its own, let go together; their results in order."""
    gate = Barrier(len(deeds))

    def do(deed: Callable[[], Result]) -> Result:
        gate.wait(30)
        return deed()

    with ThreadPoolExecutor(len(deeds)) as threads:
        return list(threads.map(do, deeds))


def statuses(responses: list[httpx2.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def names(rig: Rig, after: int) -> Counter[str]:
    """The names of all events since that one."""
    return Counter(event.name for event in rig.events(after=after))
