"""Mutants of Open DID presentations that break one rule on purpose; whatever lies above it is signed again with the
right key."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.credentials.issuing import ABSENT, NOW, changed, p256
from tests.credentials.mutants.strange import ORDERS, json_kinds_but
from tests.credentials.open_did import (
    CODES,
    HOLDER,
    ISSUER,
    NONCE,
    NONCE_BYTES,
    SCHEMA,
    VALUES,
    VC_ID,
    base58,
    base64,
    bytes_of,
    claim,
    proof_of,
    signed,
    time,
)

if TYPE_CHECKING:
    from tests.credentials.mutants.opendid import OpenDids as Lab

Aimed = Callable[["Lab", random.Random], str]


def other_kinds(*types: type) -> list[Any]:
    """Values of every other type, but null, which is as if it were not there, and fractions, which have no place."""
    return json_kinds_but(*types, type(None), float)


def claims_shown(*, photo: bool = False) -> list[dict[str, Any]]:
    shown = [claim(code, value) for code, value in VALUES.items()]
    picture = claim(CODES["picture",], base64(b"\xff\xd8\xff\xe0" * 20), type="image", format="jpg")
    return [*shown, picture] if photo else shown


def dids(own: str) -> list[Any]:
    """What is no DID."""
    return [
        "",
        "홍길동",
        "did:",
        "did:omn:",
        "did::x",
        own + "#pin",
        own + "?versionId=1",
        own + "\n",
        own + " ",
        own.upper(),
        own[1:],
        own + "x" * 200,
        ABSENT,
        *other_kinds(str),
    ]


def key_urls(did: str, key_id: str) -> list[Any]:
    """What names no key of this DID's document."""
    good = f"{did}?versionId=1#{key_id}"
    return [
        ABSENT,
        "",
        key_id,
        f"#{key_id}",
        did,
        f"{did}#{key_id}",
        f"{did}?versionId=#{key_id}",
        f"{did}?versionId=-1#{key_id}",
        f"{did}?versionId=1",
        f"{did}?versionId=1#",
        f"{did}?versionId=1#nobody",
        f"{did}?versionId=1#{key_id.upper()}",
        f"{did}?versionId=1#{'k' * 65}",
        f"{did}?versionId={'1' * 10}#{key_id}",
        f"{did}?versionId=１#{key_id}",
        f"{did}?version=1#{key_id}",
        f"did:omn:nobody?versionId=1#{key_id}",
        good + "\n",
        " " + good,
        good.upper(),
        *other_kinds(str),
    ]


NO_TIMES = (
    "",
    "2026-11-23",
    "2026-11-23T03:00:00",
    "2026-11-23 03:00:00Z",
    "2026-13-23T03:00:00Z",
    "2026-02-29T03:00:00Z",
    "2026-11-23T25:00:00Z",
    "2026-11-23T03:00:60Z",
    "2026-11-23T03:00:00.Z",
    "2026-11-23T03:00:00.0000000000Z",
    "2026-11-23T03:00:00+99:00",
    "2026-11-23T03:00:00+0900",
    "2026-11-23T03:00:00z",
    "0000-11-23T03:00:00Z",
    "２０２６-11-23T03:00:00Z",
    "2026-11-23T03:00:00Z\n",
    NOW,
    ABSENT,
    *other_kinds(str),
)


def later(chance: random.Random) -> str:
    return time(NOW + 60 + chance.randint(1, 10**7))


def ended(chance: random.Random) -> str:
    return time(NOW - 59 - chance.randint(1, 10**7))


def wrong_created(chance: random.Random) -> Any:
    """When nobody has signed: later, or at no time."""
    return later(chance) if chance.random() < 0.5 else chance.choice(NO_TIMES)


def wrong_proof(
    chance: random.Random, *, types: list[Any], purposes: list[Any], keys: list[Any]
) -> dict[str, Any]:
    """Members of a proof, one of them wrong: these, and what is none of its kind."""
    wrong: dict[str, Any] = chance.choice(
        [
            {"type": chance.choice([ABSENT, "", *types, *other_kinds(str)])},
            {"proofPurpose": chance.choice([ABSENT, "", *purposes, *other_kinds(str)])},
            {"verificationMethod": chance.choice(keys)},
            {"created": wrong_created(chance)},
        ]
    )
    return wrong


def wrong_signature(chance: random.Random, signature: str) -> Any:
    """No signature, or one of the same bytes but for something."""
    data = bytes_of(signature)
    head, r, s = data[:1], data[1:33], data[33:]
    order = ORDERS["P-256"]
    at = chance.randrange(65)
    twin = (order - int.from_bytes(s, "big")).to_bytes(32, "big")
    wrong = [
        data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :],
        bytes((chance.choice([one for one in range(256) if one != data[0]]),)) + data[1:],
        bytes((31 + 32 - data[0],)) + r + twin,
        head + r + twin,
        data[:at],
        data[1:],
        data + b"\x00",
        head + s + r,
        head + bytes(64),
        head + r + bytes(32),
        head + bytes(32) + s,
        head + order.to_bytes(32, "big") * 2,
        head + r + (int.from_bytes(s, "big") + order).to_bytes(33, "big"),
        bytes(65),
    ]
    return chance.choice(
        [
            *map(base58, wrong),
            *map(base64, wrong),
            "",
            "z",
            "m",
            signature[1:],
            "u" + signature[1:-1] + "+",
            "z" + signature[1:-1] + "0",
            "z" + signature[1:-1] + "가",
            "m" + signature[1:] + "=",
            "x" + signature[1:],
            signature + " ",
            signature + "1" * 200,
            ABSENT,
            *other_kinds(str),
        ]
    )


def with_signature(document: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """The document with another signature in its proof."""
    return {**document, "proof": changed(document["proof"], {"proofValue": value})}


# Aimed at the form


def presentation_form(lab: Lab, chance: random.Random) -> str:
    """A text that is not strict JSON, or has a fraction in it; what a lenient parser makes of it is signed."""
    deep: Any = "x"
    for _ in range(chance.randint(33, 60)):
        deep = [deep]
    signed_so = chance.choice(
        [1.5, 0.0, 10.0**300, float("nan"), float("inf"), int("9" * chance.randint(21, 99)), deep]
    )
    good = lab.world.presentation(lab.credential)
    return chance.choice(
        [
            lab.world.presentation(lab.credential, x=signed_so),
            '{"holder":"did:omn:other",' + good[1:],
            '{"proof":null,' + good[1:],
            good.replace('"type": "text"', '"type": "text", "type": "text"', 1),
            good.replace('"hideValue": false', '"hideValue": false, "hideValue": false'),
            good + "x",
            good + good,
            f"[{good}]",
            good[: chance.randrange(len(good))],
            "\ufeff" + good,
            good.replace("홍", "\\ud800", 1),
            good.replace("홍", "\ud800", 1),
            good.replace("{", "{,", 1),
            good.replace('"', "'"),
            good[:-1] + ",}",
        ]
    )


def presentation_type(lab: Lab, chance: random.Random) -> str:
    wrong = [ABSENT, [], ["VerifiableCredential"], ["verifiablePresentation"], [["VerifiablePresentation"]]]
    return lab.world.presentation(
        lab.credential, type=chance.choice([*wrong, "VerifiablePresentation", *other_kinds(list)])
    )


def credential_kind(lab: Lab, chance: random.Random) -> str:
    wrong = [ABSENT, [], ["VerifiablePresentation"], ["verifiableCredential"], [{"VerifiableCredential": 1}]]
    shown = lab.world.credential(type=chance.choice([*wrong, "VerifiableCredential", *other_kinds(list)]))
    return lab.world.presentation(shown)


def credentials(lab: Lab, chance: random.Random) -> str:
    """Not one credential."""
    one = lab.credential
    another = lab.world.credential(id="another")
    wrong = [ABSENT, [], [[one]], [one] * chance.randint(2, 20), [one, another], [one, None], one]
    return lab.world.presentation(
        verifiableCredential=chance.choice(
            [*wrong, *([kind] for kind in other_kinds(dict)), *other_kinds(list)]
        )
    )


def holder_form(lab: Lab, chance: random.Random) -> str:
    """Presentation and credential agree on a holder who has no DID."""
    wrong = chance.choice(dids(HOLDER))
    shown = lab.world.credential(credentialSubject=changed({"claims": claims_shown()}, {"id": wrong}))
    return lab.world.presentation(shown, holder=wrong)


def issuer_form(lab: Lab, chance: random.Random) -> str:
    wrong = chance.choice([*(changed({}, {"id": one}) for one in dids(ISSUER)), ABSENT, ISSUER, [ISSUER]])
    return lab.world.presentation(lab.world.credential(issuer=wrong))


def credential_schema(lab: Lab, chance: random.Random) -> str:
    good = {"id": SCHEMA, "type": "OsdSchemaCredential"}
    wrong = chance.choice(
        [
            ABSENT,
            SCHEMA,
            [good],
            {},
            {
                **good,
                "id": chance.choice([SCHEMA + "/", SCHEMA[:-1], SCHEMA.upper(), "", *other_kinds(str)]),
            },
            {**good, "type": chance.choice(["JsonSchema", "", "osdSchemaCredential", *other_kinds(str)])},
            {"id": SCHEMA},
            {"type": "OsdSchemaCredential"},
        ]
    )
    return lab.world.presentation(lab.world.credential(credentialSchema=wrong))


def claims_form(lab: Lab, chance: random.Random) -> str:
    """Claims that are none; the issuer signed all of it at once."""
    good = claims_shown()
    wrong = chance.choice(
        [
            ABSENT,
            [],
            {"0": good[0]},
            [good],
            [*good, chance.choice(other_kinds(dict))],
            [*good, {}],
            [*good, claim(ABSENT, "x")],
            [*good, claim(chance.choice(other_kinds(str)), "x")],
            *other_kinds(list),
        ]
    )
    subject = changed({"id": HOLDER}, {"claims": wrong})
    return lab.world.presentation(lab.world.credential(whole=True, claims=[], credentialSubject=subject))


def too_many_claims(lab: Lab, chance: random.Random) -> str:
    more = [claim(f"code{number}", "x") for number in range(chance.randint(62, 99))]
    return lab.world.presentation(
        lab.world.credential(claims=[*claims_shown(), *more], whole=chance.random() < 0.9)
    )


def claim_twice(lab: Lab, chance: random.Random) -> str:
    first = chance.choice(claims_shown())
    second = {**first, "value": chance.choice([first["value"], "x"])}
    shown = lab.world.credential(claims=[first, second], whole=chance.random() < 0.5)
    return lab.world.presentation(shown)


def size(lab: Lab, chance: random.Random) -> str:
    """Longer than a presentation may be, or of more values; all of it is signed."""
    more: list[Any] = [["x" * chance.randint(790_000, 900_000)], ["x"] * chance.randint(8_200, 9_000)]
    return lab.world.presentation(
        lab.credential, x=chance.choice([*more, [[[]]] * chance.randint(2_800, 4_000)])
    )


# Aimed at who issued it, and to whom


def untrusted_issuer(lab: Lab, chance: random.Random) -> str:
    return lab.world.presentation(lab.of_stranger())


def subject(lab: Lab, chance: random.Random) -> str:
    """Somebody presents a credential that was issued to somebody else, or to nobody."""
    if chance.random() < 0.3:
        return lab.world.presentation(
            lab.credential, by=lab.other, keys=chance.choice([("pin",), ("pin", "bio")])
        )
    wrong = chance.choice(
        [ABSENT, lab.other.did, ISSUER, HOLDER + "x", HOLDER.lower(), [HOLDER], *other_kinds(str)]
    )
    shown = lab.world.credential(credentialSubject=changed({"claims": claims_shown()}, {"id": wrong}))
    return lab.world.presentation(shown)


def validity(lab: Lab, chance: random.Random) -> str:
    wrong = chance.choice(
        [
            {"validUntil": ended(chance)},
            {"validFrom": later(chance)},
            {"issuanceDate": later(chance)},
            {chance.choice(["validUntil", "validFrom", "issuanceDate"]): chance.choice(NO_TIMES)},
        ]
    )
    return lab.world.presentation(lab.world.credential(**wrong))


def credential_id(lab: Lab, chance: random.Random) -> str:
    """A credential of which the registry cannot be asked, or knows nothing."""
    wrong = chance.choice(
        [ABSENT, "", VC_ID + " ", VC_ID + "\n", "가", "x" * 201, VC_ID.upper(), *other_kinds(str)]
    )
    return lab.world.presentation(lab.world.credential(id=wrong))


# Aimed at what the issuer signs


def issuer_proof(lab: Lab, chance: random.Random) -> str:
    versions = [f"{ISSUER}?versionId={version}#assert" for version in ("0", "01", "2", "999999999")]
    wrong = wrong_proof(
        chance,
        types=["Secp256k1Signature2018", "secp256r1signature2018"],
        purposes=["authentication", "keyAgreement", "AssertionMethod"],
        keys=[*key_urls(ISSUER, "assert"), *versions],
    )
    return lab.world.presentation(lab.world.credential(proof=wrong, whole=chance.random() < 0.5))


def issuer_proof_form(lab: Lab, chance: random.Random) -> str:
    good = lab.credential["proof"]
    wrong = chance.choice([ABSENT, [good], {}, *other_kinds(dict)])
    return lab.world.presentation(changed(lab.credential, {"proof": wrong}))


def issuer_key(lab: Lab, chance: random.Random) -> str:
    keys = [p256(), lab.world.issuer.keys["auth"], lab.world.holder.keys["pin"], lab.stranger.keys["assert"]]
    shown = lab.world.credential(key=chance.choice(keys), whole=chance.random() < 0.5)
    return lab.world.presentation(shown)


def issuer_key_use(lab: Lab, chance: random.Random) -> str:
    """A key of the issuer's that is for something else."""
    url = f"{ISSUER}?versionId=1#auth"
    shown = lab.world.credential(
        key=lab.world.issuer.keys["auth"], proof={"verificationMethod": url}, whole=chance.random() < 0.5
    )
    return lab.world.presentation(shown)


def issuer_key_of_another(lab: Lab, chance: random.Random) -> str:
    """Signed by somebody else, who says so."""
    party, key_id = chance.choice([(lab.stranger, "assert"), (lab.other, "pin"), (lab.world.holder, "pin")])
    url = f"{party.did}?versionId=1#{key_id}"
    shown = lab.world.credential(
        key=party.keys[key_id], proof={"verificationMethod": url}, whole=chance.random() < 0.5
    )
    return lab.world.presentation(shown)


def issuer_signature(lab: Lab, chance: random.Random) -> str:
    if chance.random() < 0.5:
        shown = lab.world.credential(whole=True)
        value = wrong_signature(chance, shown["proof"]["proofValue"])
        return lab.world.presentation(with_signature(shown, value))
    shown = lab.world.credential()
    values = shown["proof"]["proofValueList"]
    at = chance.randrange(len(values))
    wrong = wrong_signature(chance, values[at])
    values[at : at + 1] = [] if wrong is ABSENT else [wrong]
    return lab.world.presentation(shown)


def issuer_signatures(lab: Lab, chance: random.Random) -> str:
    """Not a signature for each claim, or a wrong whole beside right ones, or the other way round."""
    shown = lab.world.credential()
    proof, claims = shown["proof"], shown["credentialSubject"]["claims"]
    values = proof["proofValueList"]
    whole = lab.world.credential(whole=True)["proof"]["proofValue"]
    foreign = lab.world.credential(id="another")["proof"]["proofValueList"]
    change: dict[str, Any] = chance.choice(
        [
            {"proofValueList": ABSENT},
            {"proofValueList": []},
            {"proofValueList": values[:-1]},
            {"proofValueList": [*values, values[0]]},
            {"proofValueList": values[::-1]},
            {"proofValueList": values[:1] * len(claims)},
            {"proofValueList": foreign},
            {"proofValueList": [*foreign[:1], *values[1:]]},
            {"proofValueList": [whole] * len(claims)},
            {"proofValueList": values[0]},
            {"proofValueList": dict.fromkeys(values, 1)},
            {"proofValue": values[0]},
            {"proofValue": wrong_whole(chance, whole)},
            {"proofValue": whole, "proofValueList": foreign},
            {"proofValue": whole, "proofValueList": []},
            {"proofValue": values, "proofValueList": ABSENT},
        ]
    )
    return lab.world.presentation({**shown, "proof": changed(proof, change)})


def wrong_whole(chance: random.Random, whole: str) -> Any:
    wrong = ABSENT
    while wrong is ABSENT:
        wrong = wrong_signature(chance, whole)
    return wrong


def changed_credential(lab: Lab, chance: random.Random) -> str:
    """Something else than what the issuer signed; the holder signed this."""
    shown = json.loads(json.dumps(lab.world.credential(whole=chance.random() < 0.5)))
    claims = shown["credentialSubject"]["claims"]
    change: dict[str, Any] = chance.choice(
        [
            {"validUntil": time(NOW + 99_999_999)},
            {"validFrom": time(NOW - 99_999)},
            {"language": "en"},
            {"issuer": {"id": ISSUER, "name": "x"}},
            {"evidence": ABSENT},
            {"x": "x"},
            {"credentialSubject": {"id": HOLDER, "claims": claims[::-1]}},
            {"credentialSubject": {"id": HOLDER, "claims": [*claims, claim(CODES["sex",], "1")]}},
            {"credentialSubject": {"id": HOLDER, "claims": [claims[0]]}},
            {"credentialSubject": {"id": HOLDER, "claims": claims, "x": 1}},
            {
                "credentialSubject": {
                    "id": HOLDER,
                    "claims": [
                        {**claims[0], chance.choice(["value", "caption", "type", "x"]): "x"},
                        *claims[1:],
                    ],
                }
            },
            {"proof": {**shown["proof"], "created": time(NOW - 3601)}},
            {"proof": {**shown["proof"], "x": 1}},
        ]
    )
    return lab.world.presentation(changed(shown, change))


WRONG: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("name",): ("", "x" * 201, "<b>홍길동</b>", "a\u202eb", "a\x00b"),
    ("family_name",): ("", "x" * 201, "a\nb"),
    ("birthdate",): ("", "29 February 1984", "19840230", "1984-02.29", "20270101", "1984", "１９８４0229", "1984229"),
    ("sex",): ("", "3", "-1", "x", "01", "여자"),
    ("nationalities",): ("", "Korea", "kor", "KOR,", "KOR;USA", ",".join(["KOR"] * 11), "K"),
    ("age_equal_or_over", "19"): ("", "maybe", "2", "yes!", "19"),
    ("overseas_registration_number",): ("", "x" * 65, "<1>"),
    ("passport", "expiry_date"): ("", "20330230", "x", "2033-5-16"),
    ("issuing_mission", "code"): ("", "AKL", "LAX ", "lax", "x" * 33),
    ("picture",): ("", "x", "data:image/svg+xml;base64,AAAA", "data:image/png;base64,A A"),
}  # fmt: skip


def claim_value(lab: Lab, chance: random.Random) -> str:
    element = chance.choice(list(WRONG))
    code, good = CODES[element], VALUES.get(CODES[element], "x")
    wrong = chance.choice(
        [
            *(claim(code, value) for value in WRONG[element]),
            claim(code, chance.choice([*other_kinds(str), ABSENT])),
            claim(code, good, location=chance.choice(["remote", "attach", "", *other_kinds(str)])),
        ]
    )
    return lab.world.presentation(lab.world.credential(claims=[wrong], whole=chance.random() < 0.5))


def picture(lab: Lab, chance: random.Random) -> str:
    good = base64(b"\xff\xd8\xff\xe0")
    wrong = chance.choice(
        [
            {"format": chance.choice(["gif", "svg", "JPG", "", ABSENT, *other_kinds(str)])},
            {
                "value": chance.choice(
                    ["", "m", "z", "x", good[1:], good + "=", good + "B", "m%%%%", "F" + "0a"]
                )
            },
            {"value": base64(bytes(400_000))},
            {"location": chance.choice(["remote", "attach"])},
        ]
    )
    photo = claim(CODES["picture",], **{"value": good, "type": "image", "format": "jpg", **wrong})
    return lab.world.presentation(lab.world.credential(claims=[photo]))


# Aimed at what the holder signs


def nonce(lab: Lab, chance: random.Random) -> str:
    data = NONCE_BYTES
    at = chance.randrange(16)
    wrong = [
        data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :],
        data[:at],
        data + b"\x00",
        bytes(16),
        chance.randbytes(16),
        b"\x00" + data,
    ]
    texts = [
        "",
        "m",
        "z",
        NONCE[1:],
        "x" + NONCE[1:],
        NONCE + "=",
        NONCE + " ",
        NONCE + "A" * 60,
        "u" + NONCE[1:] + "=",
    ]
    spelled = chance.choice(
        [*map(base58, wrong), *map(base64, wrong), *texts, ABSENT, [NONCE], *other_kinds(str)]
    )
    return lab.world.presentation(lab.credential, verifierNonce=spelled)


def presentation_validity(lab: Lab, chance: random.Random) -> str:
    wrong = chance.choice(
        [
            {"validUntil": ended(chance)},
            {"validFrom": later(chance)},
            {chance.choice(["validUntil", "validFrom"]): chance.choice(NO_TIMES)},
        ]
    )
    return lab.world.presentation(lab.credential, **wrong)


def holder_proof(lab: Lab, chance: random.Random) -> str:
    wrong = wrong_proof(
        chance,
        types=["Secp256k1Signature2018", "Ed25519Signature2018"],
        purposes=["keyAgreement", "capabilityInvocation", "assertionmethod"],
        keys=key_urls(HOLDER, "pin"),
    )
    keys = chance.choice([("pin",), ("pin", "bio")])
    return lab.world.presentation(lab.credential, keys=keys, proof=wrong)


def holder_proofs(lab: Lab, chance: random.Random) -> str:
    """No proof, too many, one that is none, or a list that is none."""
    document = json.loads(lab.world.presentation(lab.credential))
    proof = document.pop("proof")
    change: dict[str, Any] = chance.choice(
        [
            {},
            {"proofs": []},
            {"proofs": [proof] * chance.randint(5, 40)},
            {"proof": proof, "proofs": [proof] * chance.randint(4, 40)},
            {"proof": chance.choice([[proof], *other_kinds(dict)])},
            {"proof": proof, "proofs": chance.choice([proof, *other_kinds(list)])},
            {"proofs": [proof, chance.choice([[proof], None, *other_kinds(dict)])]},
            {"proof": {}, "proofs": [proof]},
        ]
    )
    return json.dumps({**document, **change})


def holder_key(lab: Lab, chance: random.Random) -> str:
    """Signed with another key than the one that it names."""
    keys = [p256(), lab.world.holder.keys["bio"], lab.other.keys["pin"], lab.world.issuer.keys["assert"]]
    document = json.loads(lab.world.presentation(lab.credential, keys=()))
    proof = proof_of(HOLDER, "pin", "assertionMethod")
    return json.dumps(signed(document, chance.choice(keys), proof))


def holder_key_use(lab: Lab, chance: random.Random) -> str:
    """A key of the holder's that is for key agreements."""
    proof = {"proofPurpose": chance.choice(["assertionMethod", "authentication"])}
    keys = chance.choice([("keyagree",), ("pin", "keyagree"), ("keyagree", "pin")])
    return lab.world.presentation(lab.credential, keys=keys, proof=proof)


def holder_key_of_another(lab: Lab, chance: random.Random) -> str:
    """Signed by somebody else, who says so."""
    party, key_id = chance.choice(
        [(lab.other, "pin"), (lab.stranger, "assert"), (lab.world.issuer, "assert")]
    )
    document = json.loads(lab.world.presentation(lab.credential, keys=chance.choice([(), ("pin", "bio")])))
    proof = proof_of(party.did, key_id, "assertionMethod")
    return json.dumps(signed(document, party.keys[key_id], proof, several="proofs" in document))


def holder_signature(lab: Lab, chance: random.Random) -> str:
    """A signature that is wrong, alone or beside one that is right."""
    if chance.random() < 0.2:
        return lab.world.presentation(lab.credential, high_s=True)
    document = json.loads(lab.world.presentation(lab.credential))
    wrong = with_signature(document, wrong_signature(chance, document["proof"]["proofValue"]))
    if chance.random() < 0.5:
        proofs = [document["proof"], wrong.pop("proof")]
        wrong["proofs"] = chance.sample(proofs, k=2)
    return json.dumps(wrong)


def changed_presentation(lab: Lab, chance: random.Random) -> str:
    """Something else than what the holder signed."""
    document = json.loads(lab.world.presentation(lab.credential))
    proof = document["proof"]
    fewer = lab.world.credential(claims=claims_shown()[:1])
    change: dict[str, Any] = chance.choice(
        [
            {"id": "another"},
            {"x": "x"},
            {"@context": []},
            {"validUntil": time(NOW + 591)},
            {"validFrom": ABSENT, "validfrom": document["validFrom"]},
            {"verifierNonce": base58(NONCE_BYTES)},
            {"verifiableCredential": [fewer]},
            {"type": ["x", "VerifiablePresentation"]},
            {"proof": {**proof, "created": time(NOW - 1)}},
            {"proof": {**proof, "proofPurpose": "authentication"}},
            {"proof": {**proof, "verificationMethod": f"{HOLDER}?versionId=2#pin"}},
            {"proof": {**proof, "x": 1}},
        ]
    )
    return json.dumps(changed(document, change))


def proof_of_another_presentation(lab: Lab, chance: random.Random) -> str:
    """A proof of this holder or of another, over something else than what is presented."""
    document = json.loads(lab.world.presentation(lab.credential, id="another"))
    taken = json.loads(chance.choice([*lab.presentations, *lab.foreign]))
    for name in ("proof", "proofs"):
        document.pop(name, None)
        if name in taken:
            document[name] = taken[name]
    return json.dumps(document)


AIMED: Mapping[str, Aimed] = {
    function.__name__: function
    for function in (
        presentation_form,
        presentation_type,
        credential_kind,
        credentials,
        holder_form,
        issuer_form,
        credential_schema,
        claims_form,
        too_many_claims,
        claim_twice,
        size,
        untrusted_issuer,
        subject,
        validity,
        credential_id,
        issuer_proof,
        issuer_proof_form,
        issuer_key,
        issuer_key_use,
        issuer_key_of_another,
        issuer_signature,
        issuer_signatures,
        changed_credential,
        claim_value,
        picture,
        nonce,
        presentation_validity,
        holder_proof,
        holder_proofs,
        holder_key,
        holder_key_use,
        holder_key_of_another,
        holder_signature,
        changed_presentation,
        proof_of_another_presentation,
    )
}
