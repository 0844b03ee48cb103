"""Waiting for something that another thread, process or server does."""

import threading
import time
from collections.abc import Callable

LOOK_EVERY_S = 0.01


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Return as soon as condition() holds; fail when it does not hold within the time."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"did not come true within {within_s} s"
        pause.wait(LOOK_EVERY_S)
