"""Mutants of Open DID presentations that are good, and of which something around them is not: the registry, what was
asked and of whom, the key agreement."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from tests.credentials.issuing import ABSENT, NOW, changed, credential_type, p256
from tests.credentials.mutants.opendid_aimed import (
    key_urls,
    other_kinds,
    with_signature,
    wrong_created,
    wrong_signature,
)
from tests.credentials.open_did import (
    HOLDER,
    ISSUER,
    SCHEMA,
    VC_ID,
    Party,
    base58,
    base64,
    holder,
    issuer,
    proof_of,
    signed,
    time,
)

if TYPE_CHECKING:
    from tests.credentials.mutants.opendid import OpenDids as Lab

Around = Callable[["Lab", random.Random], Mapping[str, Any]]


# Aimed at what stands in the registry


def document_form(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """The holder's or the issuer's document with one thing wrong; every key is still in it."""
    party = chance.choice([lab.world.holder, lab.world.issuer])
    good = party.document()
    first, *rest = good["verificationMethod"]
    one = chance.choice(
        [
            {"id": chance.choice([ABSENT, party.did + "x", party.did.lower()[:-1], "", *other_kinds(str)])},
            {"versionId": chance.choice([ABSENT, "", "-1", "1.0", " 1", "１", "1" * 10, *other_kinds(str)])},
            {"verificationMethod": chance.choice([ABSENT, [], first, *other_kinds(list)])},
            {"verificationMethod": [first, *rest, chance.choice(other_kinds(dict))]},
            {"verificationMethod": [first, *rest, {**first, "id": chance.choice(NO_KEY_IDS)}]},
            {"verificationMethod": [*good["verificationMethod"], first]},
            {"verificationMethod": [{**first, "type": "RsaVerificationKey2018"}, first, *rest]},
            {"verificationMethod": [first, *rest, {**first, "type": "RsaVerificationKey2018"}]},
            {"verificationMethod": [first, *rest, *({**first, "id": f"k{number}"} for number in range(40))]},
            {"verificationMethod": [changed(first, {"authType": wrong_auth_type(chance)}), *rest]},
            {"verificationMethod": [changed(first, {"publicKeyMultibase": wrong_key(chance)}), *rest]},
            {
                chance.choice(["assertionMethod", "authentication", "keyAgreement", "capabilityInvocation"]):
                chance.choice(other_kinds(list))
            },
            {"proofs": chance.choice([*other_kinds(list), [*other_kinds(dict)], [{}]])},
            {"proof": chance.choice([{}, *other_kinds(dict)])},
            {"x": chance.choice([1.5, [float("nan")], {"x": float("inf")}])},
        ]
    )  # fmt: skip
    return {"expected": lab.asked({party.did: _resolved(changed(good, one))})}


NO_KEY_IDS = (ABSENT, "", "a b", "가", "k" * 65, *other_kinds(str))


def wrong_auth_type(chance: random.Random) -> Any:
    return chance.choice([ABSENT, "2", *other_kinds(int)])


def wrong_key(chance: random.Random) -> Any:
    point = b"\x02" + chance.randbytes(32)
    texts = [
        base58(one)
        for one in (b"", b"\x00", b"\x05" + point[1:], point[:-1], point + b"\x00", b"\x02" + b"\xff" * 32)
    ]
    return chance.choice([*texts, ABSENT, "", "z", "x", "z0", *other_kinds(str)])


def _resolved(document: dict[str, Any]) -> dict[str, Any]:
    """The same without members that were taken out deeper in it."""
    methods = document.get("verificationMethod")
    if isinstance(methods, list):
        document["verificationMethod"] = [
            changed(one, {}) if isinstance(one, dict) else one for one in methods
        ]
    return document


def deactivated(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    party = chance.choice([lab.world.holder, lab.world.issuer])
    stated = chance.choice([True, "true", "false", 0, 1, "", [], {}])
    return {"expected": lab.asked({party.did: party.document(deactivated=stated)})}


def document_not_there(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    return {
        "expected": chance.choice(
            [lab.asked({HOLDER: None}), lab.asked({ISSUER: None}), lab.asked(registry=None)]
        )
    }


def earlier_document(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """The issuer has a new document, and the one that it signed under is not there, not that one, or not active."""
    now, then = issuer(), f"{ISSUER}?versionId=1"
    earlier = lab.world.issuer.document
    pair = chance.choice(
        [
            (now.document(versionId="2"), None),
            (now.document(versionId="2"), earlier(versionId=chance.choice(["2", "0", "01", "3"]))),
            (now.document(versionId="2"), now.document()),
            (now.document(versionId="2"), earlier(id=lab.stranger.did)),
            (now.document(versionId="2"), earlier(deactivated=True)),
            (now.document(versionId="2", deactivated=True), earlier()),
            (now.document(versionId="0"), earlier()),
        ]
    )
    return {"expected": lab.asked({ISSUER: pair[0], then: pair[1]})}


def keys_changed(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """The keys that signed are not, or no longer, those of the document, or not for that."""
    own, made = chance.choice([(lab.world.holder, holder), (lab.world.issuer, issuer)])
    good = own.document()
    methods = good["verificationMethod"]
    other_type = [{**one, "type": chance.choice(["RsaVerificationKey2018", "", 1])} for one in methods]
    renamed = [{**one, "id": one["id"] + "2"} for one in methods]
    document = chance.choice(
        [
            made(own.did).document(),
            {**good, "verificationMethod": other_type},
            {**good, "verificationMethod": renamed},
            {**good, "assertionMethod": [], "authentication": []},
            {**good, "assertionMethod": ["auth", "keyagree"], "authentication": ["keyagree"]},
            changed(good, {"assertionMethod": ABSENT, "authentication": ABSENT}),
        ]
    )
    return {"expected": lab.asked({own.did: document})}


def owner_proofs(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """Of a holder's document that has its owner's proofs, one is wrong."""
    party: Party = lab.world.holder
    document = party.document()
    good = signed(document, party.keys["pin"], proof_of(HOLDER, "pin", "assertionMethod"))
    by_other = signed(document, lab.other.keys["pin"], proof_of(HOLDER, "pin", "assertionMethod"))
    as_other = signed(document, lab.other.keys["pin"], proof_of(lab.other.did, "pin", "assertionMethod"))
    purpose = chance.choice([ABSENT, "keyAgreement", "", *other_kinds(str)])
    for_other = signed(
        document, party.keys["pin"], proof_of(HOLDER, "pin", "assertionMethod", proofPurpose=purpose)
    )
    url = chance.choice(key_urls(HOLDER, "pin"))
    nobodys = signed(
        document, party.keys["pin"], proof_of(HOLDER, "pin", "assertionMethod", verificationMethod=url)
    )
    typed = signed(document, party.keys["pin"], proof_of(HOLDER, "pin", "assertionMethod", type="x"))
    wrong = chance.choice(
        [
            {**good, "updated": time(NOW)},
            by_other,
            as_other,
            for_other,
            nobodys,
            typed,
            with_signature(good, wrong_signature(chance, good["proof"]["proofValue"])),
        ]
    )
    if chance.random() < 0.4:
        wrong = {**wrong, "proofs": [good["proof"], wrong["proof"]]}
        del wrong["proof"]
    elif chance.random() < 0.1:
        wrong = {**document, "proofs": [good["proof"]] * chance.randint(9, 60)}
    return {"expected": lab.asked({HOLDER: wrong})}


def status(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """What the registry says of the credential is bad, of another one, or nothing."""
    wrong: dict[str, Any] = chance.choice(
        [
            {
                "status": chance.choice(
                    [ABSENT, "REVOKED", "INACTIVE", "PENDING", "active", "", *other_kinds(str)]
                )
            },
            {"id": chance.choice([ABSENT, "another", VC_ID.upper(), "", *other_kinds(str)])},
            {"subject": chance.choice([ABSENT, lab.other.did, "", [HOLDER], *other_kinds(str)])},
            {
                "issuer": chance.choice(
                    [ABSENT, ISSUER, {}, {"did": lab.stranger.did}, {"id": ISSUER}, *other_kinds(dict)]
                )
            },
            {
                "credentialSchema": chance.choice(
                    [ABSENT, SCHEMA, {}, {"id": SCHEMA + "/"}, *other_kinds(dict)]
                )
            },
        ]
    )
    meta = chance.choice([None, *[lab.world.meta(**wrong)] * 9])
    return {"expected": lab.asked(metas={VC_ID: meta}, status_fail_closed=chance.random() < 0.5)}


# Aimed at what was asked, and of whom


def question(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """An answer to another question."""
    return {
        "expected": chance.choice(
            [
                lab.asked(nonce=base64(chance.randbytes(16))),
                lab.asked(nonce=base58(bytes(16))),
                lab.asked(accepted_types=frozenset({"another"})),
                lab.asked(accepted_types=frozenset()),
            ]
        )
    }


def mission(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """A mission that does not issue this today, or a type that is not this."""
    good = lab.world.mission
    wrong = chance.choice(
        [
            {"credential_types": frozenset()},
            {"issuer_dids": frozenset({lab.stranger.did})},
            {"issuer_dids": frozenset()},
            {"active_from": date(2026, 11, chance.randint(24, 30))},
            {"active_until": date(2026, 11, chance.randint(1, 22))},
        ]
    )
    another = [credential_type()]
    return {
        "trust": chance.choice(
            [lab.world.trust(types=another), *[lab.world.trust(replace(good, **wrong))] * 5]
        )
    }


def at_another_time(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    return {"now": NOW + chance.choice([-1, 1]) * chance.randint(651, 10**8)}


def key_agreement(lab: Lab, chance: random.Random) -> Mapping[str, Any]:
    """An agreement that its holder did not sign, or not so."""
    world, good = lab.world, lab.acceptance
    thief = holder("did:omn:thief")
    theirs = f"{thief.did}?versionId=1#keyagree"
    change: dict[str, Any] = chance.choice(
        [
            {"type": chance.choice([ABSENT, "", "x", *other_kinds(str)])},
            {
                "proofPurpose": chance.choice(
                    [ABSENT, "", "assertionMethod", "authentication", *other_kinds(str)]
                )
            },
            {"verificationMethod": chance.choice(key_urls(HOLDER, "keyagree"))},
            {"verificationMethod": f"{HOLDER}?versionId=1#{chance.choice(['pin', 'bio'])}"},
            {"created": wrong_created(chance)},
        ]
    )
    fraction = {
        "publicKey": good["publicKey"],
        "iv": good["iv"],
        "x": chance.choice([1.5, [0.0], {"x": -1e300}]),
    }
    return {
        "acceptance": chance.choice(
            [
                world.acceptance(proof=change),
                world.acceptance(key=p256()),
                world.acceptance(key=world.holder.keys["pin"]),
                world.acceptance(key=thief.keys["keyagree"], proof={"verificationMethod": theirs}),
                changed(good, {"proof": ABSENT}),
                {**good, "proof": chance.choice([None, [good["proof"]], {}, *other_kinds(dict)])},
                {**good, chance.choice(["publicKey", "iv", "x"]): "z1111"},
                {"proof": good["proof"]},
                with_signature(good, wrong_signature(chance, good["proof"]["proofValue"])),
                signed(fraction, world.holder.keys["keyagree"], proof_of(HOLDER, "keyagree", "keyAgreement")),
            ]
        )
    }


AROUND: Mapping[str, Around] = {
    function.__name__: function
    for function in (
        document_form,
        deactivated,
        document_not_there,
        earlier_document,
        keys_changed,
        owner_proofs,
        status,
        question,
        mission,
        at_another_time,
        key_agreement,
    )
}
