"""Mutants of mdocs."""

from __future__ import annotations

import hashlib
import random
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from idp.credentials import VerifiedCredential, verify
from tests.credentials.issuing import (
    AUDIENCE,
    NONCE,
    NOW,
    Authority,
    b64u,
    p256,
)
from tests.credentials.issuing_mdoc import (
    EXPECTED,
    ISO,
    KR,
    RESPONSE_URI,
    Issued,
    World,
    document_signer,
    issue,
)
from tests.credentials.mutants import blind
from tests.credentials.mutants.mdoc_aimed import AIMED
from tests.credentials.mutants.mdoc_heavy import HEAVY
from tests.credentials.mutants.running import Mutant
from tests.credentials.mutants.strange import ORDERS, strange


class Mdocs:
    """One mission, one holder, a few presentations; all keys are made once."""

    format = "mso_mdoc"

    def __init__(self) -> None:
        self.world = World()
        self.authority = self.world.authority
        self.key = p256()
        self.stranger = Authority("LAX")
        self.signer = document_signer(self.authority)
        stated = {"keyAuthorizations": {"nameSpaces": [KR], "dataElements": {ISO: ["sex"]}}}
        key384 = ec.generate_private_key(ec.SECP384R1())
        self.issued = self.issue()
        self.others = [self.issue(holder_key=key) for key in (p256(), p256(), key384)]
        self.allowed = self.issue(device_key_info=stated)
        few = {ISO: ["birth_date"], KR: ["name_ko", "overseas_registration_number"]}
        self.responses = [
            self.issued.response(),
            self.issued.response(shown=few),
            self.allowed.response(shown=few, stated={KR: {"a": 1}, ISO: {"sex": 2}}),
            self.others[2].response(shown=few),
        ]
        self.foreign = [one.response() for one in self.others[:2]] + [issue(self.stranger).response()]
        self.meanings = [_meaning(response) for response in (*self.responses, *self.foreign[:2])]

    def issue(self, **changes: Any) -> Issued:
        return issue(self.authority, **{"holder_key": self.key, "signer": self.signer, **changes})

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
        return map(b64u, self.responses)

    def mutant(self, chance: random.Random, aimed: str | None = None) -> Mutant:
        if aimed is not None:
            return Mutant(aimed, AIMED[aimed](self, chance))
        kind = chance.random()
        if kind < 0.1:
            given, other = (b64u(chance.choice(those)) for those in (self.responses, self.foreign))
            return self._blind("text", blind.text(chance, given, other))
        if kind < 0.3:
            given = blind.data(chance, chance.choice(self.responses), chance.choice(self.foreign))
            return self._blind("bytes", b64u(given))
        if kind < 0.5:
            return self._blind("tree", b64u(self._changed_tree(chance)))
        if kind < 0.53:
            return Mutant("a request that was not answered", *self._another_request(chance))
        if kind < 0.56:
            name = chance.choice(list(HEAVY))
            return Mutant(name, b64u(HEAVY[name](self, chance)), blind=True, heavy=True)
        name = chance.choice(list(AIMED))
        return Mutant(name, AIMED[name](self, chance))

    def says_the_same(self, presentation: str) -> bool:
        """A presentation says the same as a valid one when it is one whole item of CBOR, in definite lengths and
        without repeated keys, that has the same

        - version, status, docType and number of documents, and none of the members that must not be there,
        - elements, or fewer of them: an mdoc's holder signs nothing about which are shown,
        - protected header, payload and signature of issuer and device, and the same chain, byte by byte,
        - bytes of what the device states.

        So these may differ: the order of members and of elements; lengths in a longer form; labels of an unprotected
        header other than the chain's, as long as none stands in both headers or makes something critical; members that
        nobody knows; a chain of one as an array; and (r, n - s) for a signature (r, s), which whoever sees the one
        can make of it.
        """
        try:
            meaning = _meaning(urlsafe_b64decode(presentation + "=="))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, cbor2.CBORDecodeError):
            return False
        return any(_same_or_less(meaning, valid) for valid in self.meanings)

    def _blind(self, rule: str, presentation: str) -> Mutant:
        return Mutant(rule, presentation, blind=True)

    def _changed_tree(self, chance: random.Random) -> bytes:
        given, other = cbor2.loads(chance.choice(self.responses)), cbor2.loads(chance.choice(self.foreign))
        while True:
            try:
                changed = blind.tree(chance, given, other, lambda: strange(chance))
                if chance.random() < 0.2:
                    changed = blind.tree(chance, changed, other, lambda: strange(chance))
                return cbor2.dumps(changed)
            except (cbor2.CBOREncodeError, RecursionError, IndexError):
                continue  # a tree that holds itself, or nothing

    def _another_request(self, chance: random.Random) -> tuple[str, Mapping[str, Any]]:
        parts: list[Any] = [AUDIENCE, NONCE, bytes(32), RESPONSE_URI]
        at = chance.randrange(4)
        parts[at] = chance.choice([None, "", blind.text(chance, "abc", "xyz") + "!", chance.randbytes(32)])
        transcript = cbor2.dumps(
            [None, None, ["OpenID4VPHandover", hashlib.sha256(cbor2.dumps(parts)).digest()]]
        )
        expected = replace(EXPECTED, session_transcript=chance.choice([transcript, b""]))
        return b64u(chance.choice(self.responses)), {"expected": expected}


# What a presentation says


def _meaning(response: bytes) -> dict[str, Any]:
    """What decides about a response, read by cbor2 alone. Raises many things for what is no response."""
    whole = cbor2.loads(response, allow_duplicate_keys=False, allow_indefinite=False)
    forbidden = {"documentErrors", "encryptedDocuments", "zkDocuments"} & whole.keys()
    [document] = whole["documents"]
    issuer_signed, device_signed = document["issuerSigned"], document["deviceSigned"]
    issuer_auth = issuer_signed["issuerAuth"]
    device_auth = device_signed["deviceAuth"]
    chain = issuer_auth[1][33]
    stated = device_signed["nameSpaces"]
    return {
        "elements": {
            (name_space, one.value)
            for name_space, ones in issuer_signed.get("nameSpaces", {}).items()
            for one in ones
            if one.tag == 24
        },
        "rest": [
            (whole["version"], whole["status"], document["docType"], forbidden, "deviceMac" in device_auth),
            _signed(issuer_auth),
            _signed(device_auth["deviceSignature"]),
            chain if isinstance(chain, list) else [chain],
            (stated.tag, stated.value),
        ],
    }


def _signed(message: list[Any]) -> Any:
    protected, unprotected, payload, signature = message
    if {1, 2} & unprotected.keys():
        raise ValueError("a label that decides, unprotected")
    size = len(signature) // 2
    r, s = signature[:size], int.from_bytes(signature[size:], "big")
    return protected, payload, r, min(s, ORDERS["P-256" if size == 32 else "P-384"] - s)


def _same_or_less(meaning: dict[str, Any], valid: dict[str, Any]) -> bool:
    return bool(meaning["rest"] == valid["rest"] and meaning["elements"] <= valid["elements"])
