"""What both stores agree on: which keys can be, and how a value is written down."""

import json

from idp.store import Value

MAX_KEY_CHARS = 255

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def possible(key: str) -> bool:
    """Whether a key can name anything: 1 to 255 characters, no NUL, no lone surrogate.

    PostgreSQL takes no NUL in text, and a lone surrogate has no UTF-8 form.
    """
    return (
        0 < len(key) <= MAX_KEY_CHARS
        and (key.isascii() or not any("\ud800" <= character <= "\udfff" for character in key))
        and "\0" not in key
    )


def key_to_write(key: str) -> str:
    """The key, or ValueError."""
    if not possible(key):
        raise ValueError("not a key: 1 to 255 characters, no NUL, no lone surrogate")
    return key


def lifetime(ttl_s: int) -> int:
    """The lifetime, or ValueError. What has no second left to live is the caller's to refuse."""
    if ttl_s < 1:
        raise ValueError("a lifetime is at least one second")
    return ttl_s


def encode(value: Value) -> str:
    """Canonical JSON: keys sorted, no spaces, Hangul as it is. Equal values have equal text.

    Raises ValueError or TypeError for what JSON or UTF-8 cannot hold: NaN, bytes, a lone surrogate.
    """
    text = _encode(value)
    if not text.isascii():
        text.encode("utf-8")  # raises UnicodeEncodeError, a ValueError, here and not in a driver
    return text


def decode(text: str) -> Value:
    """What `encode` wrote."""
    value: Value = json.loads(text)
    return value
