"""Searching bytes for what must not be there: many values, in every form in which somebody might write them down.

A `Needle` is one value in one form. A `Search` keeps of each needle a window of eight bytes, reads a file as eight
rows of eight-byte numbers (one for each offset) and intersects both as sets; where a window occurs the whole needle
is compared. So a hundred megabytes against half a million needles take some seconds, and what is found is there.

What is searched, by rule: values of at least `MIN_BYTES` bytes (shorter ones, such as a sex or a country, occur by
chance, and so does a birthdate without its hyphens in the hexadecimal digits of a digest) that no more than one person
in `SHARED_BY` has in common (what many share, such as a mission's name or a passport's type, stands in the registries
too). Long values are cut into pieces of `PIECE`, since a database may lay them on several pages. What a database or a
store compresses is not searched: the tests tell both not to.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

WINDOW = 8
MIN_BYTES = 8
SHARED_BY = 50
PIECE = 24

Value = str | bytes


@dataclass(frozen=True, slots=True)
class Needle:
    """`what` says what the value is ("name of invented-7"), `form` how it is written."""

    what: str
    form: str
    data: bytes


# -- the forms ------------------------------------------------------------------------------------------------


def forms(value: Value) -> Iterator[tuple[str, bytes]]:
    """Every form of a value that is searched for, by name. One form may have several spellings."""
    for name, data in _texts(value):
        yield name, data
        yield f"{name}, hex", data.hex().encode()
        yield f"{name}, HEX", data.hex().upper().encode()
        for alphabet, encode in ALPHABETS.items():
            for offset in range(3):
                yield f"{name}, {alphabet} at offset {offset}", at_offset(data, offset, encode)
    yield from _digests(value.encode("utf-8") if isinstance(value, str) else value)


def _texts(value: Value) -> Iterator[tuple[str, bytes]]:
    if isinstance(value, bytes):
        yield "bytes", value
        return
    yield "UTF-8", value.encode("utf-8")
    if not value.isascii():
        yield "UTF-8 decomposed", unicodedata.normalize("NFD", value).encode("utf-8")
        yield "escaped", _escaped(value, "\\u{:04x}")
        yield "escaped upper case", _escaped(value, "\\u{:04X}")
        yield "escaped twice", _escaped(value, "\\\\u{:04x}")
    if quote(value, safe="") != value:
        yield "percent-encoded", quote(value, safe="").encode()
    yield "UTF-16 LE", value.encode("utf-16-le")
    yield "UTF-16 BE", value.encode("utf-16-be")


def _escaped(value: str, pattern: str) -> bytes:
    return "".join(char if char.isascii() else pattern.format(ord(char)) for char in value).encode()


def _digests(data: bytes) -> Iterator[tuple[str, bytes]]:
    """A bare SHA-256: whoever holds it can try all birthdates, or all registration numbers."""
    digest = hashlib.sha256(data).digest()
    yield "SHA-256", digest
    yield "SHA-256, hex", digest.hex().encode()
    yield "SHA-256, HEX", digest.hex().upper().encode()
    for alphabet, encode in ALPHABETS.items():
        yield f"SHA-256, {alphabet}", encode(digest).rstrip(b"=")


ALPHABETS: Mapping[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
}


def at_offset(data: bytes, offset: int, encode: Callable[[bytes], bytes]) -> bytes:
    """What base64 shows of the data whatever stands before (`offset` bytes, modulo 3) and behind it."""
    encoded = encode(bytes(offset) + data)
    return encoded[-(-8 * offset // 6) : 8 * (offset + len(data)) // 6]


# -- what to search for -----------------------------------------------------------------------------------------


def searchable(people: Iterable[Mapping[str, Value]]) -> dict[str, Value]:
    """The values of all these people that the rule lets through, each by what it is; long ones in pieces."""
    listed = list(people)
    pieces = [
        (f"{name} of person {number}", piece)
        for number, person in enumerate(listed)
        for name, value in person.items()
        for piece in _pieces(value)
    ]
    shared = Counter(piece for _, piece in pieces)
    limit = max(len(listed) // SHARED_BY, 1)
    kept: dict[str, Value] = {}
    for what, piece in pieces:
        if len(_bytes(piece)) >= MIN_BYTES and shared[piece] <= limit:
            kept[f"{what} ({len(kept)})"] = piece
    return kept


def _pieces(value: Value) -> Iterator[Value]:
    if len(value) <= PIECE:
        yield value
        return
    for start in range(0, len(value) - PIECE + 1, PIECE):
        yield value[start : start + PIECE]
    yield value[-PIECE:]


def needles(values: Mapping[str, Value]) -> list[Needle]:
    """Each value in each form, each spelling once."""
    found: dict[bytes, Needle] = {}
    for what, value in values.items():
        for form, data in forms(value):
            found.setdefault(data, Needle(what, form, data))
    return list(found.values())


def bearer_needles(secrets: Mapping[str, str]) -> list[Needle]:
    """Bearer secrets in every form but one: their SHA-256 is how the provider knows them again."""
    return [needle for needle in needles(secrets) if not needle.form.startswith("SHA-256")]


def _bytes(value: Value) -> bytes:
    return value.encode("utf-8") if isinstance(value, str) else value


# -- the search -------------------------------------------------------------------------------------------------


class Search:
    """Looks for all needles at once."""

    def __init__(self, wanted: Iterable[Needle]) -> None:
        # window → (bytes before the window, bytes in all) → the whole → the needle
        self._by_window: dict[int, dict[tuple[int, int], dict[bytes, Needle]]] = {}
        for needle in wanted:
            length = len(needle.data)
            if length < WINDOW:
                raise ValueError(f"{needle.form} of {needle.what} is too short to search for")
            before = (length - WINDOW) // 2
            window = memoryview(needle.data[before : before + WINDOW]).cast("Q")[0]
            self._by_window.setdefault(window, {}).setdefault((before, length), {})[needle.data] = needle
        self._windows = frozenset(self._by_window)

    def in_bytes(self, data: bytes) -> set[Needle]:
        """The needles that occur in the data."""
        view = memoryview(data)
        seen: set[int] = set()
        for shift in range(WINDOW):
            whole = (len(data) - shift) // WINDOW * WINDOW
            if whole <= 0:
                break
            seen |= self._windows.intersection(view[shift : shift + whole].cast("Q"))
        return {needle for window in seen for needle in self._around(window, data)}

    def _around(self, window: int, data: bytes) -> Iterator[Needle]:
        """The needles of which this window is not all that occurs."""
        at = -1
        while (at := data.find(window.to_bytes(WINDOW, sys.byteorder), at + 1)) >= 0:
            for (before, length), needles in self._by_window[window].items():
                needle = needles.get(data[max(at - before, 0) : at - before + length])
                if needle is not None:
                    yield needle

    def in_files(self, *places: Path) -> dict[Path, set[Needle]]:
        """The needles in each file at or below these places; files without any are left out."""
        found = {file: self.in_bytes(read(file)) for file in files(*places)}
        return {file: needles for file, needles in found.items() if needles}


def read(file: Path) -> bytes:
    """What the file holds: nothing where a running server has removed it since it was listed."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def files(*places: Path) -> list[Path]:
    """All regular files at or below these places, the big ones and those with strange names too."""
    below = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return [file for file in below if file.is_file()]
