"""When there is more to do than can be done: who begins a sign-in is told to come later, who has begun one goes on.

One process looks at itself alone: at how long a request waited until a thread took it. A burst makes a few of them
wait, and passes. Where all have waited for a while there is a queue that does not get shorter, and everybody who joins
it makes it longer for those who are half way through. A machine that is merely slow makes each of them wait and has no
queue: whoever comes finds nobody waiting.

Once a queue has stood, the process is wary for a while: newcomers are looked at before they join anything, and are let
in as long as nobody waits. So as many begin as can be served, those who cannot know at once, and no time is idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from idp.errors import Busy

STANDING_S = 1.0
"""There has been somebody waiting for so long: that is no burst."""
WARY_S = 30.0
"""So long after that a queue is believed as soon as there is one."""
_STALE_S = 0.5
"""Nobody was taken out of the queue for so long: nothing is known of it any more."""
_TOO_LATE_S = 5.0
"""Whoever asked so long ago has asked again since, or gone: no time is spent on it that others need."""
BEGINNINGS = {
    "portal.authorize": "/authorize",
    "back_channel.push": "/par",
    "back_channel.device_authorization": "/device_authorization",
}
"""Where a sign-in begins: endpoints and their paths."""
_PATHS = frozenset(BEGINNINGS.values())
FOR_MONITORING = frozenset({"health.alive", "health.ready", "metrics"})


class Shedding:
    """Of one process. busy_s: what counts as waiting; 0: everybody waits as long as it takes."""

    def __init__(self, busy_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._busy_s = busy_s
        self._now = now
        self._taken_at = self._queue_since = now()
        self._wary_until = self._queue_until = 0.0

    @property
    def is_wary(self) -> bool:
        """Whether newcomers are to be looked at before they join anything."""
        return self._now() < self._wary_until

    def turns_away(self, path: str, n_waiting: int) -> bool:
        """Whether this newcomer would join a queue, of so many at this moment, and need not."""
        return path in _PATHS and n_waiting > 0 and self._now() < self._queue_until

    def check(self, endpoint: str | None, waited_s: float | None, *, let_in: bool = False) -> None:
        """Whether this request is to be served, having waited so long. None: it was turned away. let_in: it was not,
        so it has begun. Raises Busy."""
        if waited_s is None:
            raise Busy
        # Threads write here without a lock: what one overwrites of another's is a few milliseconds old.
        now = self._now()
        others_were_waiting = now - waited_s < self._taken_at
        self._taken_at = now
        if not self._busy_s:
            return
        if waited_s <= self._busy_s or not others_were_waiting:
            self._queue_since, self._queue_until = now, 0.0
        elif now < self._wary_until or now - self._queue_since > STANDING_S:
            self._wary_until, self._queue_until = now + WARY_S, now + _STALE_S
            if endpoint in BEGINNINGS and not let_in:
                raise Busy
        if waited_s > _TOO_LATE_S and endpoint not in FOR_MONITORING:
            raise Busy
