"""Mutants of mdocs that are made to cost much: lengths that are not there, deep nesting, colliding keys, and more."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import cbor2

from tests.credentials.issuing_mdoc import KR

if TYPE_CHECKING:
    from tests.credentials.mutants.mdoc import Mdocs as Lab


def _spliced(lab: Lab, chance: random.Random, bomb: bytes) -> bytes:
    """A response with a bomb in the place of some item of it."""
    response = chance.choice(lab.responses)
    return chance.choice(
        [
            bomb,
            b"\x81" + bomb,
            response[: chance.randrange(len(response))] + bomb,
            b"\xa4" + response[1:] + cbor2.dumps("x") + bomb,
            b"\xa4" + response[1:] + bomb + b"\x00",
            b"\xa4" + cbor2.dumps("documents") + bomb + response[1:],
        ]
    )


def _length_that_is_not_there(lab: Lab, chance: random.Random) -> bytes:
    major = chance.choice([2, 3, 4, 5])
    head = bytes((major << 5 | 27,)) + chance.getrandbits(chance.choice([20, 32, 40, 63, 64])).to_bytes(
        8, "big"
    )
    return _spliced(lab, chance, head * chance.randint(1, 30))


def _deep(lab: Lab, chance: random.Random) -> bytes:
    step = chance.choice([b"\x81", b"\xa1\x00", b"\xa1\x61a", b"\xd8\x18", b"\xc0", b"\x9f", b"\xbf\x00"])
    return _spliced(lab, chance, step * chance.randint(20, 100_000) + b"\x00")


def _many(lab: Lab, chance: random.Random) -> bytes:
    number = chance.randint(1000, 190_000)
    part = chance.choice(
        [b"\x80", b"\xa0", b"\x00", b"\x60", b"\xf6", b"\xa1\x00\x00", b"\xd8\x18\x40", b"\xf9\x00\x00"]
    )
    return _spliced(lab, chance, b"\x9a" + struct.pack(">I", number) + part * number)


def _keys(lab: Lab, chance: random.Random) -> bytes:
    number = chance.randint(100, 20_000)
    key = chance.choice(
        [
            lambda at: b"\x1b" + (at << 40).to_bytes(8, "big"),
            lambda at: b"\x82" + cbor2.dumps(at) + b"\x00",
            lambda at: b"\xfb" + struct.pack(">d", at * 2.0**61),
            lambda at: cbor2.dumps(str(at)),
            lambda at: b"\x81" * 8 + cbor2.dumps(at),
        ]
    )
    return _spliced(
        lab,
        chance,
        b"\xb9" + struct.pack(">H", number) + b"".join(key(at) + b"\x00" for at in range(number)),
    )


def _long_items(lab: Lab, chance: random.Random) -> bytes:
    """Many items, none of which is where it would be found quickly."""
    number = chance.randint(10, 300)
    content = bytes(chance.choice([(0,), (0xD8, 0x18), (0x58,)])) * chance.randint(24, 900)
    head = chance.choice([b"\xd8\x18\x59", b"\xd8\x18\x5a\x00\x00", b"\xd9\x00\x18\x59"]) + struct.pack(
        ">H", len(content)
    )
    items = b"\x99" + struct.pack(">H", number) + (head + content) * number
    structure = lab.issued.structure()
    structure["documents"][0]["issuerSigned"]["nameSpaces"] = {KR: "HERE"}
    return cbor2.dumps(structure).replace(cbor2.dumps("HERE"), items)[:560_000]


def _bignum(lab: Lab, chance: random.Random) -> bytes:
    size = chance.randint(1000, 500_000)
    tag = chance.choice([b"\xc2", b"\xc3", b"\xc4\x82\x00\xc2", b"\xc5\x82\x00\xc2", b"\xd8\x1e\x82\x00\xc2"])
    return _spliced(lab, chance, tag + b"\x5a" + struct.pack(">I", size) + b"\xff" * size)


def _text(lab: Lab, chance: random.Random) -> bytes:
    size = chance.randint(1000, 500_000)
    return _spliced(
        lab, chance, b"\x7a" + struct.pack(">I", size) + chance.choice([b"a", b"\xff", b"\xe0"]) * size
    )


HEAVY: Mapping[str, Callable[[Lab, random.Random], bytes]] = {
    f"heavy: {function.__name__.strip('_')}": function
    for function in (_length_that_is_not_there, _deep, _many, _keys, _long_items, _bignum, _text)
}
