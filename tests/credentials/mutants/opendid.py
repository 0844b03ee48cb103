"""Mutants of Open DID presentations."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from idp.credentials import Expected, VerifiedCredential, verify
from idp.credentials.opendid import check_key_agreement
from tests.credentials import issuing
from tests.credentials.issuing import NOW
from tests.credentials.mutants import blind
from tests.credentials.mutants.opendid_aimed import AIMED, claims_shown
from tests.credentials.mutants.opendid_around import AROUND
from tests.credentials.mutants.opendid_heavy import HEAVY
from tests.credentials.mutants.running import Mutant
from tests.credentials.mutants.strange import json_strange
from tests.credentials.open_did import (
    Party,
    Registry,
    World,
    base58,
    base64,
    bytes_of,
    canonical,
    holder,
    issuer,
    proof_of,
)

_UNSIGNED = frozenset({"proofValue", "proofValueList"})


class OpenDids:
    """One mission, one holder, a few presentations; all keys are made once.

    What is verified is an answer as it comes: the presentation, and the key agreement that it came under.
    """

    format = "opendid"

    def __init__(self) -> None:
        self.world = World()
        self.other: Party = holder("did:omn:other")
        self.stranger: Party = issuer("did:omn:stranger")
        self.documents: dict[str, Mapping[str, Any]] = {
            **self.world.registry.documents,
            self.other.did: self.other.document(),
            self.stranger.did: self.stranger.document(),
        }
        self.metas: dict[str, Mapping[str, Any]] = {
            **self.world.registry.metas,
            "another": self.world.meta(id="another", subject=self.other.did),
        }
        self.trust = self.world.trust()
        self.status = issuing.World().status
        self.acceptance = self.world.acceptance()
        present, credential = self.world.presentation, self.world.credential
        self.credential = credential()
        self.presentations = [
            present(self.credential),
            present(credential(claims=claims_shown(photo=True)), keys=("pin", "bio")),
            present(credential(whole=True), keys=("bio",)),
            present(credential(claims=claims_shown()[:1]), proof={"proofPurpose": "authentication"}),
        ]
        theirs = self.world.credential(
            id="another", credentialSubject={"id": self.other.did, "claims": claims_shown()}
        )
        self.foreign = [
            present(theirs, by=self.other),
            present(theirs, by=self.other, keys=("bio", "pin")),
            present(self.of_stranger()),
        ]
        self.meanings = [_meaning(one) for one in (*self.presentations, *self.foreign[:2])]

    def of_stranger(self) -> dict[str, Any]:
        """A credential of the holder, everything as it should be, by somebody whom nobody believes."""
        return self.world.credential(
            issuer={"id": self.stranger.did},
            key=self.stranger.keys["assert"],
            proof=proof_of(self.stranger.did, "assert", "assertionMethod"),
        )

    def asked(
        self,
        documents: Mapping[str, Mapping[str, Any] | None] | None = None,
        metas: Mapping[str, Mapping[str, Any] | None] | None = None,
        **changes: Any,
    ) -> Expected:
        """The question, and a registry that says what it should but for these; None: it has no answer."""
        there = Registry(
            {did: one for did, one in {**self.documents, **(documents or {})}.items() if one is not None},
            {vc_id: one for vc_id, one in {**self.metas, **(metas or {})}.items() if one is not None},
        )
        return self.world.expected(**{"registry": there, **changes})

    def verify(self, presentation: str, **changes: Any) -> VerifiedCredential:
        acceptance = changes.pop("acceptance", self.acceptance)
        arguments: dict[str, Any] = {
            "expected": self.asked(),
            "trust": self.trust,
            "status": self.status,
            "now": NOW,
            **changes,
        }
        verified = verify(self.format, presentation, **arguments)
        registry, now = arguments["expected"].registry, arguments["now"]
        check_key_agreement(acceptance, presentation, registry=registry, now=now)
        return verified

    def valid(self) -> Iterator[str]:
        return iter(self.presentations)

    def mutant(self, chance: random.Random, aimed: str | None = None) -> Mutant:
        if aimed is not None:
            return self._aimed(chance, aimed)
        kind = chance.random()
        given, other = chance.choice(self.presentations), chance.choice(self.foreign)
        if kind < 0.15:
            return Mutant("text", blind.text(chance, given, other), blind=True)
        if kind < 0.25:
            return Mutant("parts", self._changed_parts(chance, given, other), blind=True)
        if kind < 0.35:
            return Mutant("bytes of a part", self._changed_bytes(chance, given, other), blind=True)
        if kind < 0.5:
            return Mutant("tree", self._changed_tree(chance, given, other), blind=True)
        if kind < 0.52:
            return Mutant("spelling", self._spelled(chance, given), blind=True)
        if kind < 0.55:
            name = chance.choice(list(HEAVY))
            presentation, around = HEAVY[name](self, chance)
            return Mutant(name, presentation, around, heavy=True)
        return self._aimed(chance, chance.choice([*AIMED, *AROUND]))

    def says_the_same(self, presentation: str) -> bool:
        """A presentation says the same as a valid one when it is one JSON object without repeated members and
        fractions, whose canonical text is that of the valid one, the credential with its proof and its signatures
        included, and which has nothing else of the holder's than one or more of the valid one's proofs.

        So these may differ: white space, the order of members, escapes, and members that are null, none of which is in
        the canonical text; and of the holder's proofs what no proof signs, since each signs the presentation as if it
        were the only one: how many there are, their order, whether one stands in `proof` or `proofs`, the base of
        `proofValue`, and a `proofValueList` beside it, which nobody reads there. Fewer proofs say less: a key that
        is not there has unlocked nothing. The signatures themselves are the same bytes: there is no (r, n - s).
        """
        try:
            document, proofs = _meaning(presentation)
        except (ValueError, TypeError, AttributeError, RecursionError):
            return False
        return any(document == there and proofs and proofs <= theirs for there, theirs in self.meanings)

    def _aimed(self, chance: random.Random, name: str) -> Mutant:
        if name in AROUND:
            return Mutant(name, chance.choice(self.presentations), AROUND[name](self, chance))
        return Mutant(name, AIMED[name](self, chance))

    def _changed_parts(self, chance: random.Random, given: str, other: str) -> str:
        """The holder's or the issuer's parts left out, repeated, moved, or taken from another presentation."""
        document, others = json.loads(given), json.loads(other)
        credential, theirs = document["verifiableCredential"][0], others["verifiableCredential"][0]
        kind = chance.randrange(6)
        if kind == 0:
            for name in ("proof", "proofs"):
                document.pop(name, None)
                if name in others:
                    document[name] = others[name]
        elif kind == 1:
            name = chance.choice(list(others))
            document[name] = others[name]
        elif kind == 2:
            name = chance.choice(list(theirs))
            credential[name] = theirs[name]
        elif kind == 3:
            proofs = document.pop("proofs", []) + [
                document.pop(name) for name in ("proof",) if name in document
            ]
            document["proofs"] = chance.choices(proofs, k=chance.randint(0, 6))
        elif kind == 4:
            claims = credential["credentialSubject"]["claims"]
            claims[:] = chance.choices(claims + theirs["credentialSubject"]["claims"], k=chance.randint(1, 4))
        else:
            credentials = document["verifiableCredential"] + others["verifiableCredential"]
            document["verifiableCredential"] = chance.sample(credentials, k=chance.randint(1, 2))[::-1]
        return json.dumps(document, ensure_ascii=False)

    def _changed_bytes(self, chance: random.Random, given: str, other: str) -> str:
        """What one of its multibase texts encodes changed, and encoded again, perhaps in another base."""
        tree = json.loads(given)
        container, key, data = chance.choice(list(_multibase(tree)))
        _container, _key, taken = chance.choice(list(_multibase(json.loads(other))))
        base: Callable[[bytes], str] = chance.choice([base58, base64])
        container[key] = base(blind.data(chance, data, taken) if chance.random() < 0.9 else data)
        return json.dumps(tree, ensure_ascii=False)

    def _changed_tree(self, chance: random.Random, given: str, other: str) -> str:
        while True:
            try:
                changed = blind.tree(
                    chance, [json.loads(given)], [json.loads(other)], lambda: json_strange(chance)
                )
                return json.dumps(changed[0] if changed else None, ensure_ascii=chance.random() < 0.5)
            except (ValueError, RecursionError, TypeError, IndexError):
                continue  # a tree that holds itself, or nothing

    def _spelled(self, chance: random.Random, given: str) -> str:
        """The same in another spelling."""
        tree = json.loads(given)
        for holder_of in (tree, tree["verifiableCredential"][0]):
            holder_of[chance.choice(["x", "proofs_", "가"])] = None
        turned = dict(chance.sample(list(tree.items()), k=len(tree)))
        return json.dumps(
            turned,
            ensure_ascii=chance.random() < 0.5,
            indent=chance.choice([None, 0, 3, "\t"]),
            sort_keys=chance.random() < 0.3,
        )


def _multibase(tree: Any) -> Iterator[tuple[Any, Any, bytes]]:
    """Every text in the tree that is data in a base: nonce, signatures, photo."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        value = tree[key]
        if isinstance(value, dict | list):
            yield from _multibase(value)
        elif isinstance(value, str) and (len(value) > 80 or key in ("verifierNonce", "value")):
            try:
                data = bytes_of(value)
            except ValueError:
                continue
            if data:
                yield tree, key, data


def _meaning(presentation: str) -> tuple[bytes, frozenset[bytes]]:
    """What decides about a presentation: its canonical text without the holder's proofs, and each of them."""
    document = _without_nulls(
        json.loads(presentation, object_pairs_hook=_unique, parse_float=_refused, parse_constant=_refused)
    )
    proofs = [*document.pop("proofs", []), *(document.pop(name) for name in ("proof",) if name in document)]
    return canonical(document), frozenset(_proof(proof) for proof in proofs)


def _proof(proof: Mapping[str, Any]) -> bytes:
    signed = {name: value for name, value in proof.items() if name not in _UNSIGNED}
    return canonical(signed) + b" " + bytes_of(proof["proofValue"]).hex().encode("ascii")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _refused(number: str) -> Any:
    raise ValueError(number)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(element) for element in value] if isinstance(value, list) else value
