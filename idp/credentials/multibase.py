"""Multibase: binary data as text whose first character names its alphabet.

The five encodings of Open DID, Data Specification 2.1.5. Its table says that base64 and base64url come without
padding and its examples show them with it, so both are read; what is written has none.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Literal

from idp.seal import b64

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {character: value for value, character in enumerate(_BASE58)}
# A number of base 58 costs more than linear time to read; what is long comes in base64.
MAX_BASE58_CHARS = 65_536


def decode(text: str, *, max_chars: int = 1_500_000) -> bytes:
    """The data in a multibase text. Raises ValueError: another encoding, not of its alphabet, too long."""
    if not 1 <= len(text) <= max_chars:
        raise ValueError("not a multibase text of the right length")
    decoder = _DECODERS.get(text[0])
    if decoder is None:
        raise ValueError("not an encoding we know")
    return decoder(text[1:])


def encode(data: bytes, base: Literal["z", "u", "m"] = "z") -> str:
    """The data as base58btc (`z`), base64url (`u`) or base64 (`m`)."""
    match base:
        case "z":
            return "z" + _to_base58(data)
        case "u":
            return "u" + b64(data)
        case "m":
            return "m" + b64encode(data).rstrip(b"=").decode("ascii")


def _base16(text: str, pattern: str) -> bytes:
    if not re.fullmatch(pattern, text):
        raise ValueError("not base16")
    return bytes.fromhex(text)


def _base64(text: str, altchars: bytes) -> bytes:
    bare = text.rstrip("=")
    if len(text) - len(bare) not in {0, -len(bare) % 4}:
        raise ValueError("not base64")
    try:
        data = b64decode(bare + "=" * (-len(bare) % 4), altchars=altchars, validate=True)
    except ValueError as error:
        raise ValueError("not base64") from error
    if b64encode(data, altchars).rstrip(b"=") != bare.encode("utf-8"):
        raise ValueError("not canonical base64")  # a second spelling, or the other alphabet
    return data


def _base58(text: str) -> bytes:
    if len(text) > MAX_BASE58_CHARS:
        raise ValueError("too long for base58")
    try:
        number = _number([_DIGIT[character] for character in text])
    except KeyError:
        raise ValueError("not base58") from None
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _number(digits: list[int]) -> int:
    """Halves, so that most of the work is few multiplications of large numbers."""
    if len(digits) <= 64:
        number = 0
        for digit in digits:
            number = number * 58 + digit
        return number
    middle = len(digits) // 2
    shifted: int = _number(digits[:middle]) * 58 ** (len(digits) - middle)
    return shifted + _number(digits[middle:])


def _to_base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    characters = []
    while number:
        number, digit = divmod(number, 58)
        characters.append(_BASE58[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(characters))


_DECODERS: Mapping[str, Callable[[str], bytes]] = {
    "f": lambda text: _base16(text, r"(?:[0-9a-f]{2})*"),
    "F": lambda text: _base16(text, r"(?:[0-9A-F]{2})*"),
    "z": _base58,
    "m": lambda text: _base64(text, b"+/"),
    "u": lambda text: _base64(text, b"-_"),
}
