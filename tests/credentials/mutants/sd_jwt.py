"""Mutants of SD-JWT VCs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from idp.credentials import VerifiedCredential, verify
from tests.credentials.issuing import (
    AUDIENCE,
    EXPECTED,
    NONCE,
    NOW,
    Authority,
    Issued,
    World,
    b64u,
    issue,
    p256,
    public_jwk,
)
from tests.credentials.mutants import blind
from tests.credentials.mutants.running import Mutant
from tests.credentials.mutants.sd_jwt_aimed import AIMED
from tests.credentials.mutants.sd_jwt_heavy import HEAVY
from tests.credentials.mutants.strange import ORDERS, json_strange


class SdJwts:
    """One mission, one holder, a few presentations; all keys are made once."""

    format = "dc+sd-jwt"

    def __init__(self) -> None:
        self.world = World()
        self.authority = self.world.authority
        self.key = p256()
        self.stranger = Authority("LAX")
        self.issued = self.issue()
        self.others = [issue(self.authority), issue(self.authority)]
        few = self.issued.disclosures[:4]
        self.presentations = [self.issued.present(), self.issued.present(disclosures=few)]
        self.foreign = [*(one.present() for one in self.others), issue(self.stranger).present()]
        self.meanings = [_meaning(one) for one in (*self.presentations, *self.foreign[:2])]

    def issue(self, *, payload: Mapping[str, Any] | None = None, **changes: Any) -> Issued:
        """A credential of the holder. A change of `cnf` stays; otherwise it is the holder's key."""
        bound = {"cnf": {"jwk": public_jwk(self.key)}, **(payload or {})}
        return replace(issue(self.authority, payload=bound, **changes), holder_key=self.key)

    def verify(self, presentation: str, **changes: Any) -> VerifiedCredential:
        arguments: dict[str, Any] = {
            "expected": EXPECTED,
            "trust": self.world.trust,
            "status": self.world.status,
            "now": NOW,
            **changes,
        }
        return verify(self.format, presentation, **arguments)

    def valid(self) -> Iterator[str]:
        return iter(self.presentations)

    def mutant(self, chance: random.Random, aimed: str | None = None) -> Mutant:
        if aimed is not None:
            return Mutant(aimed, AIMED[aimed](self, chance))
        kind = chance.random()
        given, other = chance.choice(self.presentations), chance.choice(self.foreign)
        if kind < 0.2:
            return Mutant("text", blind.text(chance, given, other), blind=True)
        if kind < 0.3:
            return Mutant("parts", self._changed_parts(chance, given, other), blind=True)
        if kind < 0.4:
            return Mutant("bytes of a part", self._changed_bytes(chance, given, other), blind=True)
        if kind < 0.5:
            return Mutant("tree of a part", self._changed_tree(chance, given, other), blind=True)
        if kind < 0.53:
            name, value = chance.choice([("audience", AUDIENCE), ("nonce", NONCE)])
            expected = replace(EXPECTED, **{name: blind.text(chance, value, "xyz") + "!"})
            return Mutant("a request that was not answered", given, {"expected": expected})
        if kind < 0.56:
            name = chance.choice(list(HEAVY))
            return Mutant(name, HEAVY[name](self, chance), heavy=True)
        name = chance.choice(list(AIMED))
        return Mutant(name, AIMED[name](self, chance))

    def says_the_same(self, presentation: str) -> bool:
        """A presentation says the same as a valid one when it is the same text, but for (r, n - s) in place of (r, s)
        in the Key Binding JWT's signature, which whoever sees the one can make of it.

        Nothing else may differ: the holder signs a hash of everything before the Key Binding JWT, the issuer's
        signature included.
        """
        try:
            return _meaning(presentation) in self.meanings
        except ValueError:
            return False

    def _changed_parts(self, chance: random.Random, given: str, other: str) -> str:
        """Disclosures and JWTs left out, repeated, moved, or taken from another presentation."""
        parts, others = given.split("~"), other.split("~")
        at, there = chance.randrange(len(parts)), chance.randrange(len(parts))
        kind = chance.randrange(6)
        if kind == 0:
            del parts[at]
        elif kind == 1:
            parts.insert(there, parts[at])
        elif kind == 2:
            parts[at], parts[there] = parts[there], parts[at]
        elif kind == 3:
            parts[at] = chance.choice(others)
        elif kind == 4:
            parts[-1] = others[-1]
        else:
            parts.insert(at, chance.choice([*others, ""]))
        return "~".join(parts)

    def _changed_bytes(self, chance: random.Random, given: str, other: str) -> str:
        return _with_part(chance, given, other, lambda data, taken: blind.data(chance, data, taken))

    def _changed_tree(self, chance: random.Random, given: str, other: str) -> str:
        def change(data: bytes, taken: bytes) -> bytes:
            try:
                tree, from_other = [json.loads(data)], [json.loads(taken)]
            except ValueError:
                return blind.data(chance, data, taken)  # a signature
            changed = blind.tree(chance, tree, from_other, lambda: json_strange(chance))
            return json.dumps(changed[0] if changed else None).encode()

        while True:
            try:
                return _with_part(chance, given, other, change)
            except (ValueError, RecursionError, TypeError, IndexError):
                continue  # a tree that holds itself, or nothing


def _with_part(chance: random.Random, given: str, other: str, change: Callable[[bytes, bytes], bytes]) -> str:
    """The presentation with what one of its parts encodes changed, and encoded again."""
    parts, others = ([one.split(".") for one in whole.split("~")] for whole in (given, other))
    at = chance.randrange(len(parts))
    inner = chance.randrange(len(parts[at]))
    taken = chance.choice([one for one in others if len(one) == len(parts[at])])[inner]
    parts[at][inner] = b64u(change(blind.unb64(parts[at][inner]), blind.unb64(taken)))
    return "~".join(".".join(one) for one in parts)


def _meaning(presentation: str) -> tuple[str, bytes, int]:
    signed, _, signature = presentation.rpartition(".")
    raw = blind.unb64(signature)
    if len(raw) != 64 or b64u(raw) != signature:
        raise ValueError("not a signature")
    s = int.from_bytes(raw[32:], "big")
    return signed, raw[:32], min(s, ORDERS["P-256"] - s)
