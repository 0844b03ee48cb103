"""When each signing key was or will be published, active, retiring and gone: what portals may plan by.

What stands in the table is certain. What follows from `lifetimes.key_rotate_s` alone is planned: the worker makes the
next key then, unless somebody rotates by hand before. Nothing here is secret; kid and state can be told from the JWKS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from idp.keys import Listed

What = Literal["published", "active", "retiring", "gone"]
STEPS: tuple[What, ...] = ("published", "active", "retiring", "gone")
REMEMBERED_S = 30 * 86_400
"""How long a key that is gone is still shown."""


@dataclass(frozen=True)
class Step:
    """A moment in a key's life, in seconds since the epoch."""

    what: What
    at: int
    planned: bool


@dataclass(frozen=True)
class KeyDates:
    """One key. `kid` is None for one that is still to be made; `name` is stable, and the same for nobody else."""

    name: str
    kid: str | None
    alg: str
    state: str
    steps: tuple[Step, ...]


def calendar(keys: list[Listed], *, now: int, rotate_s: int, publish_s: int, retire_s: int) -> list[KeyDates]:
    """Every key that is not long gone, and of each algorithm the next one that is planned. `rotate_s` 0: none is."""
    found = []
    for key in keys:
        if key.gone_at is not None and key.gone_at < now - REMEMBERED_S:
            continue
        found.append(_dates(key, now, rotate_s, publish_s, retire_s))
        if key.state == "active" and key.retiring_at is None and rotate_s:
            found.append(_next(key, now, rotate_s, publish_s))
    return found


def _dates(key: Listed, now: int, rotate_s: int, publish_s: int, retire_s: int) -> KeyDates:
    steps = [Step("published", key.published_at, False), Step("active", key.active_at, False)]
    if key.retiring_at is not None:
        steps.append(Step("retiring", key.retiring_at, False))
    elif rotate_s:
        steps.append(Step("retiring", _due(key, now, rotate_s, publish_s), True))
    if key.gone_at is not None:
        steps.append(Step("gone", key.gone_at, False))
    elif rotate_s:
        steps.append(Step("gone", steps[-1].at + retire_s, True))
    return KeyDates(key.kid, key.kid, key.alg, key.state, tuple(steps))


def _due(key: Listed, now: int, rotate_s: int, publish_s: int) -> int:
    """When the next key takes over; one that is late is published now."""
    return max(key.active_at + rotate_s, now + publish_s)


def _next(key: Listed, now: int, rotate_s: int, publish_s: int) -> KeyDates:
    due = _due(key, now, rotate_s, publish_s)
    steps = (Step("published", due - publish_s, True), Step("active", due, True))
    return KeyDates(f"{key.kid}-next", None, key.alg, "planned", steps)


def moments(found: list[KeyDates]) -> Iterator[tuple[KeyDates, Step]]:
    """All of them, the earliest first."""
    pairs = [(key, step) for key in found for step in key.steps]
    yield from sorted(pairs, key=lambda pair: (pair[1].at, pair[0].name, STEPS.index(pair[1].what)))
