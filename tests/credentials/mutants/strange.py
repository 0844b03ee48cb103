"""Values for mutants: of every kind, and such as have been somebody's hole."""

from __future__ import annotations

import random
from typing import Any

import cbor2
from cbor2 import CBORTag

ORDERS = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "P-384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
KINDS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**64 - 1,
    1.5,
    "",
    "x",
    b"",
    b"x",
    [],
    [1],
    {},
    {"a": 1},
)


def strange(chance: random.Random) -> Any:
    """A value of any kind, often one that has been somebody's hole."""
    return chance.choice(
        [
            chance.choice(KINDS),
            chance.randbytes(chance.randrange(40)),
            chance.getrandbits(chance.choice([8, 31, 32, 63, 64])),
            float("nan"),
            cbor2.undefined,
            cbor2.CBORSimpleValue(chance.choice([0, 19, 32, 255])),
            CBORTag(
                chance.choice([0, 1, 2, 4, 18, 24, 28, 29, 30, 35, 61, 258, 1004, 55799]),
                chance.choice(KINDS),
            ),
            CBORTag(24, chance.randbytes(chance.randrange(20))),
            [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],
            {chance.choice([0, 1, -1, 1.0, True, None, "x", b"x", (1, 2)]): 0},
        ]
    )


def other_kind(chance: random.Random, *, but: tuple[type, ...]) -> Any:
    """A value of any other type than these."""
    return chance.choice([one for one in KINDS if type(one) not in but])


JSON_KINDS: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2**53, 1.5, "", "x", [], [1], {}, {"a": 1})


def json_kinds_but(*types: type) -> list[Any]:
    """Values of JSON, of every other type than these."""
    return [one for one in JSON_KINDS if type(one) not in types]


def json_other_kind(chance: random.Random, *, but: tuple[type, ...]) -> Any:
    """The same as `other_kind`, of JSON."""
    return chance.choice(json_kinds_but(*but))


def json_strange(chance: random.Random) -> Any:
    """The same as `strange`, of JSON."""
    return chance.choice(
        [
            chance.choice(JSON_KINDS),
            chance.getrandbits(chance.choice([8, 31, 32, 63, 64, 200])),
            "\ud800",
            "\x00",
            "x" * chance.randrange(300),
            [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],
            {chance.choice(["_sd", "...", "_sd_alg", "", "alg", "cnf"]): chance.choice(JSON_KINDS)},
        ]
    )
