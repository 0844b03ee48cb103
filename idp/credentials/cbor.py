"""CBOR from outside, read strictly: one meaning a message, bounded work, one error.

cbor2 takes more than is safe here: duplicate keys, bytes after the end, shared references, numbers of any length,
arrays as keys (whose hashes a stranger can make collide). Each is refused, with everything that is not needed to
read a credential: indefinite lengths, keys other than text (and integers, where the caller expects them), tags other
than these.

- tag 0, `tdate`: `Moment`
- tag 24, encoded CBOR: `Embedded`, which is not read until somebody asks
- tag 1004, `full-date`: `Day`
- tag 18, COSE_Sign1: `Sign1`, where the caller takes one

Lengths that are not in their shortest form are read: wallets send them. What is signed or hashed is therefore never
encoded again but taken as it was received; `as_received` finds it.

A value that no credential has (`undefined`, a simple value, a float that is not a number) is passed on as cbor2 has
it: it is no str, int, bool, bytes, list or dict, and whoever asks for one of these refuses it.

Specs: RFC 8949, sections 3.4, 5.3 and 5.6; RFC 8943 (full-date); RFC 3339; ISO/IEC 18013-5, section 7.2.1.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import lru_cache
from io import BytesIO
from typing import Any

import cbor2

from idp.credentials.verdict import CredentialRejected, Reason, Unprinted

MAX_DEPTH = 16
MAX_ITEMS = 8_192
# A message this short holds too few items to cost anything. Longer ones carry a photo, and their items are counted.
_UNCOUNTED_BYTES = 16_384
_MAX_TOGETHER_BYTES = 4_096
# Arguments of 0 to 23 stand in the initial byte, 24 to 27 say how many bytes follow (RFC 8949, section 3).
_FOLLOWING = {24: 1, 25: 2, 26: 4, 27: 8}
# So much of an item tells it from the others: its number and a part of its random.
_TELLING_BYTES = 64
_TDATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,12})?Z")
_FULL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEYS = {str, int}
_STRINGS = (2, 3)  # major types with content of their own
# The length of an item by its initial byte, where that says it; 0 where it does not.
_SHORT_ITEMS = [
    0 if initial & 31 >= 24 else 1 + (initial & 31) * (initial >> 5 in _STRINGS) for initial in range(256)
]
_ARGUMENT_BYTES = [_FOLLOWING.get(initial & 31, 0) for initial in range(256)]
_SEPARATED = secrets.token_bytes(16)
_SEPARATOR = b"\x50" + _SEPARATED  # a byte string


class Moment(Unprinted, frozen=True):
    """A point in time. `seconds`: since the epoch, a fraction cut off. `text`: as it was written, in UTC."""

    text: str
    seconds: int


class Day(Unprinted, frozen=True):
    """A day of the calendar, `YYYY-MM-DD`."""

    text: str


class Embedded(Unprinted, frozen=True):
    """CBOR inside a byte string. `content`: those bytes, unread; without tag and length."""

    content: bytes


class Sign1(Unprinted, frozen=True):
    """What stands under COSE_Sign1's tag."""

    value: Any


def loads(data: bytes, *, max_bytes: int = 1_048_576, integer_keys: bool = False, sign1: bool = False) -> Any:
    """The value of exactly one data item.

    integer_keys: whether a map may have integers as keys beside text, as COSE's have.
    sign1: whether COSE_Sign1's tag is among those that may appear.

    Raises CredentialRejected: TOO_LARGE (bytes, items), MALFORMED (anything else).
    """
    if len(data) > max_bytes:
        raise CredentialRejected(Reason.TOO_LARGE, "CBOR is too long")
    if len(data) > _UNCOUNTED_BYTES:
        _count_items([data])
    stream = BytesIO(data)
    decoder = cbor2.CBORDecoder(
        stream,
        semantic_decoders=_WITH_SIGN1 if sign1 else _TAGS,
        object_hook=_checked_keys if integer_keys else None,
        max_depth=MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=not integer_keys,
    )
    try:
        value = decoder.decode()
    except cbor2.CBORError:
        # `from None`: the library's error repeats keys, which are input.
        raise CredentialRejected(Reason.MALFORMED, "not CBOR as credentials use it") from None
    if stream.tell() != len(data):
        raise CredentialRejected(Reason.MALFORMED, "something after the end of CBOR")
    return value


def loads_all(messages: Sequence[bytes]) -> list[Any]:
    """The values of many messages, each exactly one data item, read in one go.

    Raises CredentialRejected as `loads` does.
    """
    # A photo is read by itself: beside it the items of all the others would have to be counted.
    short = [message for message in messages if len(message) <= _MAX_TOGETHER_BYTES]
    together = _loads_together(short)
    if len(short) == len(messages):
        return together
    _count_items([message for message in messages if len(message) > _MAX_TOGETHER_BYTES])
    read = iter(together)
    return [next(read) if len(one) <= _MAX_TOGETHER_BYTES else loads(one) for one in messages]


def _loads_together(messages: list[bytes]) -> list[Any]:
    # Between them stands what nobody outside can know. A message that ends early or late shifts the rest, and then
    # something else is found where a separator must be.
    number = len(messages)
    read: list[Any] = loads(_head(4, 2 * number) + _SEPARATOR.join(messages) + _SEPARATOR * bool(messages))
    if read[1::2] != [_SEPARATED] * number:
        raise CredentialRejected(Reason.MALFORMED, "something after the end of CBOR, or too little")
    return read[0::2]


def as_received(message: bytes, items: Sequence[Embedded], *, at_the_end: bool = False) -> list[bytes]:
    """The bytes of embedded items, tag and length included, as they stand in the message that they were read from.

    items: in the order in which they stand there; some may be left out. at_the_end: where to look first.

    Raises CredentialRejected(MALFORMED): a tag that is not in its shortest form.
    """
    # cbor2 does not say where something stood. Content is nearly always under the shortest length, and one item after
    # the other; where the same bytes stand there earlier by chance, it does not matter which are found.
    shortest = [embedded(item.content) for item in items]
    together = b"".join(shortest)
    telling = together[:_TELLING_BYTES]
    if message.startswith(together, message.rfind(telling) if at_the_end else message.find(telling)):
        return shortest
    found = []
    at = 0
    for item, encoded in zip(items, shortest, strict=True):
        start, received = message.find(encoded, at), encoded
        if start < 0:
            start, received = _under_longer_head(message, item.content, at)
        at = start + len(received)
        found.append(received)
    return found


def embedded_content(data: bytes) -> bytes:
    """The content of exactly one embedded item, unread. Raises CredentialRejected as `loads` does."""
    # Tag and length of 256 to 65,535 bytes, nearly always in their shortest form, take five.
    content = data[5:]
    if data[:5] == _embedded_head(len(content)):
        return content
    item = loads(data)
    if not isinstance(item, Embedded):
        raise CredentialRejected(Reason.MALFORMED, "not embedded CBOR")
    return item.content


def byte_string(content: bytes) -> bytes:
    """A byte string with its length in the shortest form, for the structures that a verifier makes itself."""
    return _head(2, len(content)) + content


def text_string(text: str) -> bytes:
    """The same, for text."""
    content = text.encode("utf-8")
    return _head(3, len(content)) + content


def embedded(content: bytes) -> bytes:
    """The same, for CBOR inside a byte string (tag 24)."""
    return _embedded_head(len(content)) + content


@lru_cache(maxsize=1024)
def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    size = 1 if argument < 0x100 else 2 if argument < 0x10000 else 4 if argument < 0x1_0000_0000 else 8
    return bytes((major << 5 | 23 + size.bit_length(),)) + argument.to_bytes(size, "big")


@lru_cache(maxsize=1024)
def _embedded_head(length: int) -> bytes:
    return b"\xd8\x18" + _head(2, length)


def _under_longer_head(message: bytes, content: bytes, start: int) -> tuple[int, bytes]:
    length = len(content)
    for info, size in _FOLLOWING.items():
        if length >> 8 * size == 0:
            encoded = b"\xd8\x18" + bytes((2 << 5 | info,)) + length.to_bytes(size, "big") + content
            at = message.find(encoded, start)
            if at >= 0:
                return at, encoded
    raise CredentialRejected(Reason.MALFORMED, "the tag of embedded CBOR is not in its shortest form")


def _count_items(messages: Sequence[bytes]) -> None:
    """Items stand one after the other, so counting them needs no tree and no memory.

    Raises CredentialRejected: TOO_LARGE above MAX_ITEMS in all, MALFORMED where a length cannot be read.
    """
    left = MAX_ITEMS
    for data in messages:
        at, end = 0, len(data)
        while at < end:
            if left == 0:
                raise CredentialRejected(Reason.TOO_LARGE, "too many items of CBOR")
            left -= 1
            initial = data[at]
            length = _SHORT_ITEMS[initial]
            if length:
                at += length
                continue
            size = _ARGUMENT_BYTES[initial]
            if not size:
                raise CredentialRejected(Reason.MALFORMED, "not a length of CBOR")
            at += 1 + size
            if initial >> 5 in _STRINGS:
                at += int.from_bytes(data[at - size : at], "big")


def _checked_keys(members: Any, _immutable: bool) -> Any:
    # True and 1.0 would be found under 1. Where integers may be keys, arrays were hashed before they come here, which
    # is one reason why items are counted.
    if not _KEYS.issuperset(map(type, members)):
        raise ValueError("a key that is neither text nor an integer")
    return members


def _moment(value: Any) -> Moment:
    match = _TDATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a tdate in UTC")
    # Raises ValueError for a day that is not in the calendar, and for the 61st second.
    moment = datetime.fromisoformat(match[1] + "+00:00")
    return Moment(value, int(moment.timestamp()))


def _day(value: Any) -> Day:
    if not isinstance(value, str) or not _FULL_DATE.fullmatch(value):
        raise ValueError("not a full-date")
    date.fromisoformat(value)
    return Day(value)


def _embedded(value: Any) -> Embedded:
    if not isinstance(value, bytes):
        raise ValueError("not a byte string")
    return Embedded(value)


def _refused(_value: Any) -> Any:
    raise ValueError("a tag that no credential needs")


_Reader = Callable[[bool], tuple[None, Callable[[Any], Any]]]


def _reader(read: Callable[[Any], Any]) -> _Reader:
    """What cbor2 calls for a tag, in two stages: it is asked first, and then reads the value.

    In one stage it would take three times as long, since cbor2 looks for the mark of two on every tag it meets.
    """
    stages = (None, read)

    @cbor2.shareable_decoder
    def asked(_immutable: bool) -> tuple[None, Callable[[Any], Any]]:
        return stages

    return asked


class _Tags(dict[int, _Reader]):
    """What is made of a tag: also of those that cbor2 would read by itself, whichever they are."""

    def __missing__(self, tag: int) -> _Reader:
        return _NONE


_NONE = _reader(_refused)
_TAGS = _Tags({0: _reader(_moment), 24: _reader(_embedded), 1004: _reader(_day)})
_WITH_SIGN1 = _Tags({**_TAGS, 18: _reader(Sign1)})
