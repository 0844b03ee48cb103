"""Changes that know nothing of what they change: of text, of bytes, and of trees."""

from __future__ import annotations

import random
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from typing import Any

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ODD = "=+/~. \n\x00가"


def unb64(encoded: str) -> bytes:
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def _cut(chance: random.Random, length: int, most: int = 40) -> tuple[int, int]:
    start = chance.randrange(length + 1)
    return start, min(length, start + chance.randint(1, most))


def text(chance: random.Random, given: str, other: str) -> str:
    """The text with one thing changed; `other` is one to take from."""
    start, end = _cut(chance, len(given))
    taken, ended = _cut(chance, len(other))
    return chance.choice(
        [
            given[:start] + chance.choice(BASE64URL) + given[start + 1 :],
            given[:start] + chance.choice(BASE64URL + ODD) + given[start:],
            given[:start] + given[end:],
            given[:end] + given[start:],
            given[:start],
            given[start:],
            given + other[taken:ended],
            given[:start] + other[taken:ended] + given[end:],
            given[:start] + given[start:end].swapcase() + given[end:],
            given[:start] + given[start:end][::-1] + given[end:],
        ]
    )


def data(chance: random.Random, given: bytes, other: bytes) -> bytes:
    """The same, for bytes."""
    start, end = _cut(chance, len(given))
    taken, ended = _cut(chance, len(other))
    at = chance.randrange(len(given))
    return chance.choice(
        [
            given[:at] + bytes((given[at] ^ 1 << chance.randrange(8),)) + given[at + 1 :],
            given[:at] + bytes((chance.randrange(256),)) + given[at + 1 :],
            given[:at] + bytes((given[at] + 1 & 255,)) + given[at + 1 :],
            given[:start] + chance.randbytes(end - start) + given[end:],
            given[:start] + chance.randbytes(chance.randint(1, 9)) + given[start:],
            given[:start] + given[end:],
            given[:end] + given[start:],
            given[:start],
            given + chance.randbytes(chance.randint(1, 9)),
            given[:start] + other[taken:ended] + given[end:],
            other[:start] + given[start:],
        ]
    )


def tree(chance: random.Random, given: Any, other: Any, strange: Callable[[], Any]) -> Any:
    """The tree of dicts and lists with one place in it changed.

    other: a tree of the same kind to take from. strange: makes a value of any kind.
    """
    changed = copied(given)
    places = list(_places(changed))
    holder, key = chance.choice(places)
    kind = chance.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = strange()
    elif kind == 2:
        around, there = chance.choice(places)
        if key in _keys(holder) and there in _keys(around):
            holder[key], around[there] = around[there], holder[key]
    elif kind == 3:
        around, there = chance.choice(list(_places(other)))
        holder[key] = copied(around[there])
    elif kind == 4:
        holder[key] = [holder[key]] if chance.random() < 0.5 else {"x": holder[key]}
    elif kind == 5 and isinstance(holder, list):
        holder.insert(key, copied(chance.choice(holder)))
    elif kind == 6 and isinstance(holder, dict):
        holder[chance.choice([*_all_names(given), "x"])] = copied(holder[key])
    elif isinstance(holder, dict):
        holder[chance.choice([*_all_names(given), "x"])] = holder.pop(key)
    else:
        holder.reverse()
    return changed


def copied(given: Any) -> Any:
    """A copy of the tree; its leaves are not copied."""
    if isinstance(given, dict):
        return {key: copied(value) for key, value in given.items()}
    return [copied(value) for value in given] if isinstance(given, list) else given


def _places(given: Any) -> Any:
    for key in _keys(given):
        yield given, key
        yield from _places(given[key])


def _keys(given: Any) -> Sequence[Any]:
    if isinstance(given, dict):
        return list(given)
    return range(len(given)) if isinstance(given, list) else ()


def _all_names(given: Any) -> list[Any]:
    return [key for holder, key in _places(given) if isinstance(holder, dict)]
