"""JSON documents: members of every kind and shape, and text that is nearly JSON.

What is wrong with each stays wrong: it comes without a right, by a token that may read and not write, or with a member
that must not be registered (`keep`), which no change beside it may help.
"""

from __future__ import annotations

import json
import random
from typing import Any

from tests.credentials.mutants import blind
from tests.credentials.mutants.strange import json_strange
from tests.fuzzing.corpus import Seed, values
from tests.fuzzing.forms import Seeded
from tests.fuzzing.running import Mutant, Request

NEARLY_JSON = (
    b"",
    b" ",
    b"null",
    b"[]",
    b"{",
    b'{"a":}',
    b"{'a':1}",
    b'{"a":1,}',
    b'{"a":1}x',
    b'{"a":1}{"a":2}',
    b"\xff",
    b'{"a":"\xff"}',
    b'{"a":"\\ud800"}',
    b'{"a":NaN}',
    b'{"a":1e999}',
    b"\xef\xbb\xbf{}",
    b"{}" + b" " * 70_000,
    b"[" * 5000 + b"]" * 5000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b'{"a":' + b"9" * 5000 + b"}",
    b"//\n{}",
    "{}".encode("utf-16"),
    b'{"a":1,"a":2}',
)
TYPES = (
    "application/json; charset=utf-16",
    "text/json",
    "application/x-www-form-urlencoded",
    "",
    "application/toml",
)


class Documents(Seeded):
    name = kind = "documents"

    def mutant(self, chance: random.Random, rule: str | None = None) -> Mutant:
        name = rule or chance.choice(self.rules)
        seed = self.seed(name)
        headers = dict(seed.headers)
        if chance.random() < 0.05:
            headers["Content-Type"] = chance.choice(TYPES)
        if chance.random() < 0.05 and "If-Match" in headers:
            headers["If-Match"] = chance.choice(['"0"', "x", '"1", "2"', "W/*", ""])
        body = (
            self._text(chance, seed) if not seed.keep and chance.random() < 0.3 else self._tree(chance, seed)
        )
        return Mutant(name, Request(seed.method, seed.path, body, tuple(headers.items())))

    def _tree(self, chance: random.Random, seed: Seed) -> bytes:
        good: dict[str, Any] = json.loads(seed.body)
        others = [json.loads(one.body.replace("{csrf}", "")) for one in self.seeds.values()]
        made: Any = good
        for _ in range(chance.choice([0, 1, 1, 2, 5])):
            try:
                made = blind.tree(chance, [made], [chance.choice(others)], lambda: strange(chance))
                made = made[0] if made else {}
                json.dumps(made)
            except (ValueError, RecursionError, TypeError, IndexError):
                made = good  # a tree that holds itself, or nothing
        if seed.keep:
            made = {**(made if isinstance(made, dict) else good), **{name: good[name] for name in seed.keep}}
        return json.dumps(made, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")

    def _text(self, chance: random.Random, seed: Seed) -> bytes:
        if chance.random() < 0.5:
            return chance.choice(NEARLY_JSON)
        return blind.data(chance, seed.body.encode(), b'{"a":[1,2,{"b":null}],"c":"\\u0000","d":1e5}' * 3)


def strange(chance: random.Random) -> Any:
    return chance.choice(values()) if chance.random() < 0.5 else json_strange(chance)
