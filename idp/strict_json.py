"""JSON from outside, read strictly: one meaning a text, bounded work, one error.

Python's parser takes duplicate members (the last wins), NaN, integers of any length and lone surrogates, and
raises RecursionError on deep nesting. Each has been somebody's hole; here each is a `ValueError`.
RFC 8259 leaves duplicate names to the reader; RFC 7519, section 4, and RFC 8725 ask to refuse them.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import msgspec

MAX_DEPTH = 32
_MAX_INTEGER_DIGITS = 20
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)
_WHITE_SPACE = " \t\n\r"  # the empty text is in it too
# Without members nothing stands twice, and of numbers there are only whole ones that are no longer than others take.
_WHOLE = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_WITHOUT_MEMBERS = msgspec.json.Decoder(list[str | _WHOLE | bool | list[str] | None])
_FAST, _AGAIN = msgspec.json.Decoder(), msgspec.json.Encoder()
# MessagePack has integers of 64 bits; its encoder raises OverflowError for longer ones.
_NO_LONG_INTEGERS = msgspec.msgpack.Encoder()
_DOUBTED = object()
_COUNTED_BYTES = 4_096
_BRACKETS = re.compile(rb"[\[\]{}]")


def loads(text: str | bytes, *, max_bytes: int = 1_048_576, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text. Raises ValueError, and nothing else, for anything doubtful."""
    if isinstance(text, str):
        text = text.encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    if len(text) > max_bytes:
        raise ValueError("too large")
    _check_depth(text, max_depth)
    value = _read_back(text)
    if value is not _DOUBTED:
        return value
    value = _decoded(text.decode("utf-8"))
    if b"\\u" in text:
        _check_strings(value)
    return value


def loads_array(text: bytes) -> list[Any]:
    """The same, for an array of few parts; nearly all of these are read by one decoder that doubts nothing.

    How long it may be is the caller's. Raises ValueError as `loads` does.
    """
    if b"{" not in text:
        try:
            return _WITHOUT_MEMBERS.decode(text)
        except ValueError:
            pass  # and the careful reader says what it is, if anything
    value = loads(text, max_bytes=len(text))
    if not isinstance(value, list):
        raise ValueError("not an array")
    return value


def loads_object(
    text: str | bytes, *, max_bytes: int = 1_048_576, max_depth: int = MAX_DEPTH
) -> dict[str, Any]:
    """The same, for a text that must be an object."""
    value = loads(text, max_bytes=max_bytes, max_depth=max_depth)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _check_depth(text: bytes, max_depth: int) -> None:
    # Counts brackets outside strings before the recursive parser sees them, if there are as many at all.
    if not _brackets_exceed(text, max_depth):
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            raise ValueError("nested too deeply")


def _brackets_exceed(text: bytes, number: int) -> bool:
    if len(text) <= _COUNTED_BYTES:
        return text.count(b"[") + text.count(b"{") > number
    # `find` skips over a photo fifty times as fast, and few texts have many brackets.
    for bracket in (b"[", b"{"):
        at = text.find(bracket)
        while at >= 0:
            if number == 0:
                return True
            number -= 1
            at = text.find(bracket, at + 1)
    return False


def _read_back(text: bytes) -> Any:
    """The value, where msgspec writes it as the same text again but for white space: then the text says nothing else.

    It does of most texts, and all this is faster than Python's parser with the checks below. A member that stands
    twice comes back once, so its text is not the same; `_DOUBTED` leaves that, and whatever else, to them.
    """
    try:
        value = _FAST.decode(text)
        written = _AGAIN.encode(value)
        if written != text and written != msgspec.json.format(text, indent=-1):
            return _DOUBTED
        _NO_LONG_INTEGERS.encode(value)
    except (ValueError, RecursionError, OverflowError):
        return _DOUBTED
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a member is there twice")
    return value


def _refuse_constant(_name: str) -> Any:
    raise ValueError("not a JSON number")


def _bounded_int(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise ValueError("number too long")
    return int(digits)


def _finite_float(digits: str) -> float:
    if len(digits) > 64:
        raise ValueError("number too long")
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("number too large")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_refuse_constant,
    parse_int=_bounded_int,
    parse_float=_finite_float,
)


def _decoded(text: str) -> Any:
    # `decode` does the same and skips white space at both ends, which few texts have.
    if text[:1] not in _WHITE_SPACE:
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    return _DECODER.decode(text)


def _check_strings(value: Any) -> None:
    # An escaped lone surrogate ("\ud800") parses, and fails later wherever the string is encoded.
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, dict):
        for name, member in value.items():
            name.encode("utf-8")
            _check_strings(member)
    elif isinstance(value, list):
        for element in value:
            _check_strings(element)
