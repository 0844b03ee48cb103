"""Mutants of Open DID presentations that are made to cost much.

Those that are signed are signed with the right keys, and nothing is wrong with them but that the key agreement has no
proof, which is looked at last: so all that there is to do is done.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.credentials.open_did import CODES, HOLDER, base58, base64, claim, proof_of, signed

if TYPE_CHECKING:
    from tests.credentials.mutants.opendid import OpenDids as Lab

Heavy = tuple[str, Mapping[str, Any]]
ROOM = 760_000
"""Characters that a presentation may have, without those of an ordinary one."""
NOTHING_ELSE: Mapping[str, Any] = {}
KEYS = (("pin",), ("pin", "bio"), ("pin", "bio", "pin", "bio"))
PARTS = (
    "[]",
    "{}",
    "1",
    '""',
    "true",
    '{"":0}',
    "[0]",
    "[[]]",
    '{"":{}}',
    '"\\u0000"',
    "[[],[]]",
    "12345678901234567890",
)


def _to_the_end(lab: Lab) -> Mapping[str, Any]:
    return {"acceptance": {name: value for name, value in lab.acceptance.items() if name != "proof"}}


def _spliced(lab: Lab, member: str) -> Heavy:
    """A presentation with one member more, which nobody signed."""
    return lab.presentations[0][:-1] + f',"x":{member}}}', NOTHING_ELSE


def _many_parts(chance: random.Random) -> list[Any]:
    """As many as there may be, or as there is room for."""
    part = chance.choice(PARTS)
    room, marks = ROOM // (len(part) + 1), 1 + sum(map(part.count, ",[{"))
    return [json.loads(part) for _ in range(chance.choice([8_000 // marks, chance.randint(1_000, room)]))]


def _tight(presentation: str) -> str:
    return json.dumps(json.loads(presentation), separators=(",", ":"), ensure_ascii=False)


def _deep(lab: Lab, chance: random.Random) -> Heavy:
    step, end = chance.choice([("[", "]"), ('{"a":', "}")])
    depth = chance.randint(30, 60_000)
    return _spliced(lab, step * depth + "1" + end * chance.choice([depth, 0]))


def _long_number(lab: Lab, chance: random.Random) -> Heavy:
    return _spliced(lab, chance.choice(["", "-", "1.", "1e"]) + "9" * chance.randint(100, ROOM))


def _members(lab: Lab, chance: random.Random) -> Heavy:
    members = ",".join(f'"{chance.getrandbits(32):x}":0' for _ in range(chance.randint(1000, 60_000)))
    return _spliced(lab, "{" + members + "}")


def _quotes(lab: Lab, chance: random.Random) -> Heavy:
    part = chance.choice(['"', '\\"', "\\", '"\\', "[", "\\u0000", "가"])
    return _spliced(lab, '"' + part * chance.randint(1000, 120_000))


def _long_text(lab: Lab, chance: random.Random) -> Heavy:
    return chance.choice(["[", "{", '{"', "z", " ", "가", '{"a":"']) * chance.randint(
        1000, 700_000
    ), NOTHING_ELSE


def _many_signed(lab: Lab, chance: random.Random) -> Heavy:
    """A holder may add whatever they like; each proof is over all of it."""
    presentation = lab.world.presentation(lab.credential, keys=chance.choice(KEYS), x=_many_parts(chance))
    return _tight(presentation), _to_the_end(lab)


def _many_proofs(lab: Lab, chance: random.Random) -> Heavy:
    document = json.loads(lab.presentations[0])
    document["proofs"] = [document.pop("proof")] * chance.randint(100, 2_500)
    return _tight(json.dumps(document)), NOTHING_ELSE


def _many_credentials(lab: Lab, chance: random.Random) -> Heavy:
    shown = [lab.credential] * chance.randint(2, 400)
    return _tight(lab.world.presentation(verifiableCredential=shown)), NOTHING_ELSE


def _many_claims(lab: Lab, chance: random.Random) -> Heavy:
    """As many claims as there may be, or more, each signed, and whatever stands beside them with each of them."""
    number = chance.choice([64, 64, 65, 1_000])
    claims = [claim(f"code{at}", "x" * chance.randint(1, 100)) for at in range(number)]
    beside: Any = chance.choice([[], "x" * 300_000, ["x"] * 7_000, [[[]]] * 2_300, [{"a": 1}] * 20_000])
    whole = number > 65
    shown = lab.world.credential(claims=claims, whole=whole, evidence=beside)
    return _tight(lab.world.presentation(shown, keys=chance.choice(KEYS))), _to_the_end(lab)


def _long_values(lab: Lab, chance: random.Random) -> Heavy:
    """Values of every element, as long as a presentation may be."""
    data = chance.choice([b"\x00", b"\xff", b"a"]) * chance.randint(1_000, 500_000)
    value = chance.choice(
        [base64(data), base58(data[:6_000]), "z" + "z" * 65_535, "f" + data.hex()[:600_000]]
    )
    element = chance.choice(list(CODES))
    value = chance.choice([value, "," * chance.choice([8_000, 300_000]), " " * len(value), "Y" * len(value)])
    kind = {"type": "image", "format": "jpg"} if chance.random() < 0.5 else {}
    shown = lab.world.credential(claims=[claim(CODES[element], value, **kind)])
    return lab.world.presentation(shown), _to_the_end(lab)


def _long_names(lab: Lab, chance: random.Random) -> Heavy:
    """What is matched against a pattern, as long as it may be."""
    long = chance.choice(["a", "0", "did:", "%", "-", "가", "T"]) * chance.randint(10_000, 180_000)
    changes: Mapping[str, Any] = chance.choice(
        [
            {"holder": "did:omn:" + long},
            {"validFrom": "2026-11-23T03:00:00." + long},
            {"verifierNonce": chance.choice(["z", "m", "f", "u"]) + long},
            {"proof": {"verificationMethod": f"{HOLDER}?versionId=1#{long}"}},
            {"proof": {"proofPurpose": long}},
        ]
    )
    return lab.world.presentation(lab.credential, **changes), NOTHING_ELSE


def _document(lab: Lab, chance: random.Random) -> Heavy:
    """A holder's document, as large as the registry's answers may be, with as many of its owner's proofs as it may."""
    part = chance.choice(PARTS)
    junk = [json.loads(part) for _ in range(54_000 // (len(part) + 1) // chance.choice([1, 2]))]
    party = lab.world.holder
    document: dict[str, Any] = party.document(x=junk)
    proof = proof_of(HOLDER, "pin", "assertionMethod")
    for _ in range(chance.choice([1, 8])):
        document = signed(document, party.keys["pin"], proof, several=True)
    return lab.presentations[0], {"expected": lab.asked({HOLDER: document}), **_to_the_end(lab)}


def _agreement(lab: Lab, chance: random.Random) -> Heavy:
    """A key agreement as large as a request may be, signed by the holder, but for something else."""
    part = chance.choice(PARTS)
    agreed = {**lab.acceptance, "x": [json.loads(part) for _ in range(1_000_000 // (len(part) + 1))]}
    agreed = signed(agreed, lab.world.holder.keys["keyagree"], proof_of(HOLDER, "keyagree", "keyAgreement"))
    return lab.presentations[0], {"acceptance": {**agreed, "iv": base58(bytes(16))}}


HEAVY: Mapping[str, Callable[[Lab, random.Random], Heavy]] = {
    f"heavy: {function.__name__.strip('_')}": function
    for function in (
        _deep,
        _long_number,
        _members,
        _quotes,
        _long_text,
        _many_signed,
        _many_proofs,
        _many_credentials,
        _many_claims,
        _long_values,
        _long_names,
        _document,
        _agreement,
    )
}
