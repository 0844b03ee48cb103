"""`verify` on Open DID credentials of our own issuer: a good one is accepted, and each flaw has its name."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Reason, VerifiedCredential, data_proof, multibase, verify
from idp.credentials.opendid import check_key_agreement
from tests.credentials.issuing import ABSENT, NOW, TYPE_ID, credential_type, p256
from tests.credentials.issuing import World as OtherWorld
from tests.credentials.open_did import (
    CODES,
    HOLDER,
    ISSUER,
    NONCE,
    NONCE_BYTES,
    SCHEMA,
    VALUES,
    VC_ID,
    World,
    base58,
    base64,
    claim,
    compact,
    holder,
    issuer,
    proof_of,
    signed,
    time,
)


@pytest.fixture
def world() -> World:
    return World()


def accept(world: World, presentation: str, **changes: Any) -> VerifiedCredential:
    arguments: dict[str, Any] = {
        "expected": world.expected(),
        "trust": world.trust(),
        "status": OtherWorld().status,
        "now": NOW,
    }
    return verify("opendid", presentation, **{**arguments, **changes})


def refuse(world: World, presentation: str, **changes: Any) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        accept(world, presentation, **changes)
    for value in (*VALUES.values(), HOLDER, VC_ID, NONCE):
        assert value not in str(refusal.value)
    return refusal.value.reason


# What is accepted


def test_a_good_presentation_is_accepted(world: World) -> None:
    verified = accept(world, world.presentation())
    assert verified.claims == {
        "name": VALUES["kr.example.v1.name"],
        "birthdate": "1984-02-29",
        "overseas_registration_number": "LAX-2024-000123",
    }
    assert (verified.format, verified.type_id, verified.name) == ("opendid", TYPE_ID, SCHEMA)
    assert verified.mission.code == "LAX"
    assert (verified.issued_at, verified.expires_at) == (NOW - 3600, NOW + 86_400)
    assert verified.authentication == ("pin",)


def test_the_status_was_asked_for_now(world: World) -> None:
    verified = accept(world, world.presentation())
    assert verified.status is not None
    assert (verified.status.checked_at, verified.status.fresh) == (NOW, True)
    assert world.registry.asked[-1] == VC_ID


def test_both_keys_of_a_holder_say_how_each_was_unlocked(world: World) -> None:
    assert accept(world, world.presentation(keys=("bio", "pin"))).authentication == ("pin", "bio")


def test_a_holder_may_authenticate_instead_of_asserting(world: World) -> None:
    presentation = world.presentation(proof={"proofPurpose": "authentication"})
    assert accept(world, presentation).authentication == ("pin",)


def test_all_claims_may_be_signed_at_once(world: World) -> None:
    assert accept(world, world.presentation(world.credential(whole=True))).claims["birthdate"] == "1984-02-29"


def test_a_nonce_may_come_in_another_base(world: World) -> None:
    accept(world, world.presentation(verifierNonce=base58(NONCE_BYTES)))


def test_null_is_as_if_it_were_not_there(world: World) -> None:
    document = json.loads(world.presentation())
    document["proofs"] = None
    document["verifiableCredential"][0]["evidence_of_nothing"] = None
    accept(world, json.dumps(document))


def test_a_time_may_have_fractions_and_another_zone(world: World) -> None:
    accept(world, world.presentation(validFrom="2026-11-23T11:59:50.048519445+09:00"))


@pytest.mark.parametrize(
    ("element", "written", "read"),
    [
        (("birthdate",), "1984-02-29", "1984-02-29"),
        (("birthdate",), "1984.02.29", "1984-02-29"),
        (("birthdate",), "1984.02.29.", "1984-02-29"),
        (("birthdate",), "1984/02/29", "1984-02-29"),
        (("passport", "expiry_date"), "20330516", "2033-05-16"),
        (("sex",), "남", 1),
        (("sex",), "F", 2),
        (("sex",), "1", 1),
        (("age_equal_or_over", "19"), "true", True),
        (("age_equal_or_over", "19"), "N", False),
        (("nationalities",), "KOR, USA", ["KOR", "USA"]),
    ],
)
def test_a_text_becomes_an_element(world: World, element: tuple[str, ...], written: str, read: Any) -> None:
    shown = world.credential(claims=[claim(CODES[element], written)])
    found: Any = accept(world, world.presentation(shown)).claims
    for step in element:
        found = found[step]
    assert found == read


def test_a_photo_becomes_a_data_url(world: World) -> None:
    photo = claim(CODES["picture",], base64(b"\xff\xd8\xff\xe0"), type="image", format="jpg")
    verified = accept(world, world.presentation(world.credential(claims=[photo])))
    assert verified.claims == {"picture": "data:image/jpeg;base64,/9j/4A=="}


def test_a_claim_that_the_registry_does_not_name_is_not_passed_on(world: World) -> None:
    shown = [claim("kr.example.v1.pii", "0" * 88), claim(CODES["name",], "홍길동")]
    assert accept(world, world.presentation(world.credential(claims=shown))).claims == {"name": "홍길동"}


def test_an_issuers_earlier_key_still_counts(world: World) -> None:
    now = issuer()
    world.registry.documents[ISSUER] = now.document(versionId="2")
    world.registry.documents[f"{ISSUER}?versionId=1"] = world.issuer.document()
    accept(world, world.presentation())


def test_a_document_with_its_owners_proofs_is_accepted(world: World) -> None:
    world.registry.documents[HOLDER] = owned(world, ("pin", "bio"))
    accept(world, world.presentation())


def owned(world: World, keys: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    """An OwnerDidDoc of the holder."""
    document = world.holder.document()
    for key_id in keys:
        bare = proof_of(HOLDER, key_id, "assertionMethod")
        document = signed(document, world.holder.keys[key_id], bare, several=len(keys) > 1)
    return {**document, **changes}


# Form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"a":1',
        '{"type":["VerifiablePresentation"]}',
        '{"a":1.5}',
        "{}" * 2,
        '{"a":1,"a":2}',
    ],
)
def test_what_is_no_presentation_is_malformed(world: World, text: str) -> None:
    assert refuse(world, text) is Reason.MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        {"type": ["VerifiableCredential"]},
        {"type": "VerifiablePresentation"},
        {"holder": "홍길동"},
        {"holder": ABSENT},
        {"verifiableCredential": []},
        {"verifiableCredential": [1]},
        {"validUntil": ABSENT},
        {"validFrom": "2026-11-23T03:00:00"},
        {"validFrom": "2026-13-23T03:00:00Z"},
        {"proofs": "none"},
    ],
)
def test_a_presentation_of_another_form_is_malformed(world: World, change: Mapping[str, Any]) -> None:
    assert refuse(world, world.presentation(**change)) is Reason.MALFORMED


def test_two_credentials_are_one_too_many(world: World) -> None:
    both = [world.credential(), world.credential(id="f0a1b2c3-5df4-498e-befe-f49f1fbebe88")]
    assert refuse(world, world.presentation(verifiableCredential=both)) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["type", "issuer", "credentialSubject", "issuanceDate", "validUntil"])
def test_a_credential_without_a_part_is_malformed(world: World, name: str) -> None:
    shown = {key: value for key, value in world.credential().items() if key != name}
    assert refuse(world, world.presentation(shown)) is Reason.MALFORMED


def test_a_presentation_that_is_too_long_is_not_read(world: World) -> None:
    assert refuse(world, " " * 800_000 + world.presentation()) is Reason.TOO_LARGE


def test_a_presentation_of_very_many_values_is_not_read(world: World) -> None:
    """Its holder may sign whatever they like, four times, and each time costs by the value."""
    keys = ("pin", "bio", "pin", "bio")
    assert refuse(world, world.presentation(keys=keys, x=[[[]]] * 100_000)) is Reason.TOO_LARGE
    accept(world, world.presentation(keys=keys, x=[[[]]] * 2_000))


def test_more_claims_than_a_credential_has_are_not_read(world: World) -> None:
    document = json.loads(world.presentation())
    subject = document["verifiableCredential"][0]["credentialSubject"]
    subject["claims"] = [claim(f"code{number}", "x") for number in range(65)]
    assert refuse(world, json.dumps(document)) is Reason.TOO_LARGE


def test_a_claim_that_stands_there_twice_is_refused(world: World) -> None:
    both = [claim(CODES["name",], "홍길동"), claim(CODES["name",], "김영희")]
    shown = world.credential(claims=both)
    assert refuse(world, world.presentation(shown)) is Reason.DISCLOSURE_DUPLICATE


# Type and issuer


def test_a_schema_that_is_not_in_the_registry_is_refused(world: World) -> None:
    other = {"id": "https://issuer.example/schema/other", "type": "OsdSchemaCredential"}
    shown = world.credential(credentialSchema=other)
    assert refuse(world, world.presentation(shown)) is Reason.TYPE_NOT_ACCEPTED


def test_a_schema_of_another_kind_is_refused(world: World) -> None:
    shown = world.credential(credentialSchema={"id": SCHEMA, "type": "JsonSchema"})
    assert refuse(world, world.presentation(shown)) is Reason.TYPE_NOT_ACCEPTED


def test_a_type_that_was_not_asked_for_is_refused(world: World) -> None:
    expected = world.expected(accepted_types=frozenset({"another"}))
    assert refuse(world, world.presentation(), expected=expected) is Reason.TYPE_NOT_ACCEPTED


def test_a_name_of_another_format_is_no_name_here(world: World) -> None:
    trust = world.trust(types=[credential_type()])
    assert refuse(world, world.presentation(), trust=trust) is Reason.TYPE_NOT_ACCEPTED


def test_an_issuer_that_is_no_mission_is_refused(world: World) -> None:
    stranger = issuer("did:omn:stranger")
    world.registry.documents[stranger.did] = stranger.document()
    shown = world.credential(
        issuer={"id": stranger.did},
        key=stranger.keys["assert"],
        proof=proof_of(stranger.did, "assert", "assertionMethod"),
    )
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_UNTRUSTED


def test_a_mission_that_issues_other_types_is_refused(world: World) -> None:
    trust = world.trust(mission_of(world, credential_types=frozenset()))
    assert refuse(world, world.presentation(), trust=trust) is Reason.ISSUER_UNTRUSTED


def test_a_mission_that_does_not_issue_yet_is_refused(world: World) -> None:
    trust = world.trust(mission_of(world, active_from=date(2027, 1, 1)))
    assert refuse(world, world.presentation(), trust=trust) is Reason.ISSUER_NOT_ACTIVE


def mission_of(world: World, **changes: Any) -> Any:
    return replace(world.mission, **changes)


@pytest.mark.parametrize("whole", [False, True])
def test_a_changed_claim_is_noticed(world: World, whole: bool) -> None:
    shown = world.credential(whole=whole)
    shown["credentialSubject"]["claims"][1]["value"] = "20000101"
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


@pytest.mark.parametrize("name", ["id", "validUntil", "language"])
def test_a_changed_part_of_the_credential_is_noticed(world: World, name: str) -> None:
    changed = {"id": "another", "validUntil": time(NOW + 99_999_999), "language": "en"}
    shown = {**world.credential(), name: changed[name]}
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


def test_claims_do_not_change_their_places(world: World) -> None:
    shown = world.credential()
    shown["credentialSubject"]["claims"].reverse()
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


def test_a_claim_without_a_signature_is_refused(world: World) -> None:
    shown = world.credential()
    shown["credentialSubject"]["claims"].append(claim(CODES["sex",], "1"))
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


def test_a_claim_of_another_credential_does_not_fit(world: World) -> None:
    shown = world.credential()
    other = world.credential(id="another", claims=[claim(CODES["name",], "김영희")])
    shown["credentialSubject"]["claims"][0] = other["credentialSubject"]["claims"][0]
    shown["proof"]["proofValueList"][0] = other["proof"]["proofValueList"][0]
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


def test_a_list_that_is_right_does_not_outweigh_a_whole_that_is_wrong(world: World) -> None:
    shown = world.credential()
    shown["proof"]["proofValue"] = shown["proof"]["proofValueList"][0]
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


def test_a_credential_that_nobody_signed_is_refused(world: World) -> None:
    shown = world.credential()
    del shown["proof"]["proofValueList"]
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


def test_another_type_of_proof_is_refused(world: World) -> None:
    shown = world.credential(proof={"type": "Secp256k1Signature2018"})
    assert refuse(world, world.presentation(shown)) is Reason.ALGORITHM


@pytest.mark.parametrize(
    "proof",
    [
        {"proofPurpose": "authentication"},
        {"verificationMethod": f"{ISSUER}?versionId=1#auth"},
        {"verificationMethod": f"{ISSUER}?versionId=1#nobody"},
        {"verificationMethod": f"{HOLDER}?versionId=1#pin"},
        {"verificationMethod": f"{ISSUER}#assert"},
        {"verificationMethod": "assert"},
        {"verificationMethod": ABSENT},
    ],
)
def test_an_issuer_signs_with_its_key_for_that(world: World, proof: Mapping[str, Any]) -> None:
    shown = world.credential(proof=proof)
    assert refuse(world, world.presentation(shown)) is Reason.ISSUER_SIGNATURE


def test_a_key_that_the_issuer_no_longer_has_is_not_the_one_of_that_name(world: World) -> None:
    world.registry.documents[ISSUER] = issuer().document()
    assert refuse(world, world.presentation()) is Reason.ISSUER_SIGNATURE


# Times


def test_a_credential_that_has_ended_is_refused(world: World) -> None:
    shown = world.credential(validUntil=time(NOW - 60))
    assert refuse(world, world.presentation(shown)) is Reason.EXPIRED


@pytest.mark.parametrize("name", ["validFrom", "issuanceDate"])
def test_a_credential_of_tomorrow_is_refused(world: World, name: str) -> None:
    shown = world.credential(**{name: time(NOW + 61)})
    assert refuse(world, world.presentation(shown)) is Reason.NOT_YET_VALID


def test_a_signature_of_tomorrow_is_refused(world: World) -> None:
    shown = world.credential(proof={"created": time(NOW + 61)})
    assert refuse(world, world.presentation(shown)) is Reason.NOT_YET_VALID


def test_clocks_may_differ_by_a_minute(world: World) -> None:
    shown = world.credential(validUntil=time(NOW - 59), validFrom=time(NOW + 60))
    accept(world, world.presentation(shown, validFrom=time(NOW + 60)))


@pytest.mark.parametrize("change", [{"validUntil": time(NOW - 60)}, {"validFrom": time(NOW + 61)}])
def test_a_presentation_that_is_not_for_now_is_refused(world: World, change: Mapping[str, Any]) -> None:
    assert refuse(world, world.presentation(**change)) is Reason.KEY_BINDING_TIME


def test_a_holders_signature_of_tomorrow_is_refused(world: World) -> None:
    presentation = world.presentation(proof={"created": time(NOW + 61)})
    assert refuse(world, presentation) is Reason.KEY_BINDING_TIME


# The holder


def test_another_persons_credential_is_refused(world: World) -> None:
    thief = holder("did:omn:thief")
    world.registry.documents[thief.did] = thief.document()
    assert refuse(world, world.presentation(by=thief)) is Reason.HOLDER_MISMATCH


def test_an_answer_to_another_question_is_refused(world: World) -> None:
    presentation = world.presentation(verifierNonce=base64(bytes(16)))
    assert refuse(world, presentation) is Reason.KEY_BINDING_NONCE


@pytest.mark.parametrize("nonce", ["", "!", 7, base64(NONCE_BYTES[:8])])
def test_what_is_no_nonce_is_refused(world: World, nonce: Any) -> None:
    assert refuse(world, world.presentation(verifierNonce=nonce)) is Reason.KEY_BINDING_NONCE


def test_a_presentation_that_its_holder_did_not_sign_is_refused(world: World) -> None:
    assert refuse(world, world.presentation(keys=())) is Reason.KEY_BINDING_MISSING


def test_a_presentation_that_was_changed_after_signing_is_refused(world: World) -> None:
    document = {**json.loads(world.presentation()), "id": "another"}
    assert refuse(world, json.dumps(document)) is Reason.KEY_BINDING_SIGNATURE


def test_each_of_several_signatures_must_be_right(world: World) -> None:
    document = json.loads(world.presentation(keys=("pin", "bio")))
    document["proofs"][1]["proofValue"] = document["proofs"][0]["proofValue"]
    assert refuse(world, json.dumps(document)) is Reason.KEY_BINDING_SIGNATURE


def test_a_second_spelling_of_a_signature_is_refused(world: World) -> None:
    assert refuse(world, world.presentation(high_s=True)) is Reason.KEY_BINDING_SIGNATURE


def test_a_wrong_recovery_id_is_refused(world: World) -> None:
    document = json.loads(world.presentation())
    value = multibase.decode(document["proof"]["proofValue"])
    document["proof"]["proofValue"] = base58(bytes([63 - value[0]]) + value[1:])
    assert refuse(world, json.dumps(document)) is Reason.KEY_BINDING_SIGNATURE


@pytest.mark.parametrize("value", ["", "z", "zzz", 7, "x1234", ABSENT])
def test_what_is_no_signature_is_refused(world: World, value: Any) -> None:
    document = json.loads(world.presentation())
    document["proof"] = {
        name: part for name, part in {**document["proof"], "proofValue": value}.items() if part is not ABSENT
    }
    assert refuse(world, json.dumps(document)) is Reason.KEY_BINDING_SIGNATURE


@pytest.mark.parametrize("purpose", ["keyAgreement", "capabilityInvocation", "", None])
def test_a_holder_signs_for_a_purpose(world: World, purpose: Any) -> None:
    presentation = world.presentation(proof={"proofPurpose": purpose})
    assert refuse(world, presentation) is Reason.KEY_BINDING_TYPE


@pytest.mark.parametrize("key_id", ["keyagree", "nobody"])
def test_a_holder_signs_with_a_key_for_signing(world: World, key_id: str) -> None:
    presentation = world.presentation(proof={"verificationMethod": f"{HOLDER}?versionId=1#{key_id}"})
    assert refuse(world, presentation) is Reason.HOLDER_KEY


def test_somebody_elses_key_is_not_the_holders(world: World) -> None:
    thief = holder("did:omn:thief")
    world.registry.documents[thief.did] = thief.document()
    world.holder.keys["pin"] = thief.keys["pin"]
    presentation = world.presentation(proof={"verificationMethod": f"{thief.did}?versionId=1#pin"})
    assert refuse(world, presentation) is Reason.HOLDER_KEY


def test_a_holders_earlier_key_no_longer_counts(world: World) -> None:
    """Unlike an issuer's: what is signed today is signed with today's keys, whatever version a wallet names."""
    world.registry.documents[HOLDER] = holder().document(versionId="2")
    world.registry.documents[f"{HOLDER}?versionId=1"] = world.holder.document()
    assert refuse(world, world.presentation()) is Reason.KEY_BINDING_SIGNATURE


# Documents


@pytest.mark.parametrize("did", [HOLDER, ISSUER])
def test_a_document_that_cannot_be_had_is_no_refusal_of_the_holder(world: World, did: str) -> None:
    del world.registry.documents[did]
    assert refuse(world, world.presentation()) is Reason.DID_UNAVAILABLE


def test_without_a_registry_nothing_fits(world: World) -> None:
    expected = world.expected(registry=None)
    assert refuse(world, world.presentation(), expected=expected) is Reason.DID_UNAVAILABLE


@pytest.mark.parametrize("did", [HOLDER, ISSUER])
def test_a_deactivated_document_is_refused(world: World, did: str) -> None:
    world.registry.documents[did] = {**world.registry.documents[did], "deactivated": True}
    assert refuse(world, world.presentation()) is Reason.DID_DEACTIVATED


def test_an_issuer_that_was_deactivated_since_is_refused(world: World) -> None:
    world.registry.documents[ISSUER] = issuer().document(versionId="2", deactivated=True)
    world.registry.documents[f"{ISSUER}?versionId=1"] = world.issuer.document()
    assert refuse(world, world.presentation()) is Reason.DID_DEACTIVATED


def test_another_version_than_the_one_asked_for_is_refused(world: World) -> None:
    world.registry.documents[ISSUER] = issuer().document(versionId="2")
    world.registry.documents[f"{ISSUER}?versionId=1"] = world.issuer.document(versionId="3")
    assert refuse(world, world.presentation()) is Reason.DID_DOCUMENT


def test_a_version_that_is_not_there_yet_is_not_asked_for(world: World) -> None:
    shown = world.credential(proof={"verificationMethod": f"{ISSUER}?versionId=999999999#assert"})
    assert refuse(world, world.presentation(shown)) is Reason.DID_DOCUMENT
    assert world.registry.asked == [ISSUER]


def test_nobody_is_asked_for_before_the_issuer_is_known_to_have_signed(world: World) -> None:
    """Or whoever has a nonce of ours could have us ask for any DID they like."""
    shown = world.credential(key=p256(), credentialSubject={"id": "did:omn:any", "claims": [claim("x", "y")]})
    stranger = holder("did:omn:any")
    assert refuse(world, world.presentation(shown, by=stranger)) is Reason.ISSUER_SIGNATURE
    assert world.registry.asked == [ISSUER]


def test_the_document_of_another_did_is_refused(world: World) -> None:
    world.registry.documents[HOLDER] = world.holder.document(id="did:omn:other")
    assert refuse(world, world.presentation()) is Reason.DID_DOCUMENT


def _twice(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "verificationMethod": document["verificationMethod"] * 2}


def _twice_of_two_kinds(document: dict[str, Any]) -> dict[str, Any]:
    first, *rest = document["verificationMethod"]
    of_another_kind = {**first, "type": "Secp256k1VerificationKey2018"}
    return {**document, "verificationMethod": [of_another_kind, first, *rest]}


def _method(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        first, *rest = document["verificationMethod"]
        return {**document, "verificationMethod": [{**first, **changes}, *rest]}

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda document: {**document, "versionId": 1},
        lambda document: {**document, "verificationMethod": []},
        lambda document: {**document, "verificationMethod": "pin"},
        lambda document: {**document, "assertionMethod": "pin"},
        lambda document: {**document, "proofs": "none"},
        lambda document: {**document, "proofs": ["none"]},
        lambda document: {**document, "proof": {}},
        lambda document: {**document, "created": 1.5},
        _twice,
        _twice_of_two_kinds,
        _method(id=7),
        _method(publicKeyMultibase="z11111"),
        _method(publicKeyMultibase=None),
        _method(authType=True),
        _method(authType="2"),
    ],
)
def test_a_document_of_another_form_is_refused(
    world: World, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    world.registry.documents[HOLDER] = change(world.holder.document())
    assert refuse(world, world.presentation()) is Reason.DID_DOCUMENT


def test_a_key_of_another_kind_cannot_have_signed(world: World) -> None:
    world.registry.documents[HOLDER] = _method(type="Secp256k1VerificationKey2018")(world.holder.document())
    assert refuse(world, world.presentation()) is Reason.HOLDER_KEY


def test_an_owners_proof_that_is_wrong_is_not_ignored(world: World) -> None:
    world.registry.documents[HOLDER] = owned(world, ("pin",), updated=time(NOW))
    assert refuse(world, world.presentation()) is Reason.DID_DOCUMENT


def test_each_of_an_owners_proofs_must_be_right(world: World) -> None:
    document = owned(world, ("pin", "bio"))
    document["proofs"][1]["proofValue"] = document["proofs"][0]["proofValue"]
    world.registry.documents[HOLDER] = document
    assert refuse(world, world.presentation()) is Reason.DID_DOCUMENT


def test_an_owner_does_not_sign_very_often(world: World) -> None:
    world.registry.documents[HOLDER] = owned(world, ("pin", "bio") * 4)
    accept(world, world.presentation())
    world.registry.documents[HOLDER] = owned(world, ("pin", "bio", "pin") * 3)
    assert refuse(world, world.presentation()) is Reason.DID_DOCUMENT


# Claims


@pytest.mark.parametrize(
    ("element", "written"),
    [
        (("birthdate",), "29 February 1984"),
        (("birthdate",), "19840230"),
        (("birthdate",), "1984-02.29"),
        (("sex",), "3"),
        (("age_equal_or_over", "19"), "maybe"),
        (("nationalities",), "Korea"),
        (("name",), "<b>홍길동</b>"),
        (("name",), ""),
    ],
)
def test_a_value_of_another_shape_is_refused(world: World, element: tuple[str, ...], written: str) -> None:
    shown = world.credential(claims=[claim(CODES[element], written)])
    assert refuse(world, world.presentation(shown)) is Reason.CLAIM_INVALID


@pytest.mark.parametrize(
    "photo",
    [
        claim(CODES["picture",], base64(b"GIF89a"), type="image", format="gif"),
        claim(CODES["picture",], "not multibase", type="image", format="jpg"),
        claim(CODES["picture",], "https://photo.example/1", type="image", format="jpg", location="remote"),
        claim(CODES["picture",], "photo-1", type="image", format="jpg", location="attach"),
    ],
)
def test_a_photo_stands_in_the_credential(world: World, photo: dict[str, Any]) -> None:
    assert refuse(world, world.presentation(world.credential(claims=[photo]))) is Reason.CLAIM_INVALID


def test_a_value_that_is_no_text_is_refused(world: World) -> None:
    shown = world.credential(claims=[claim(CODES["sex",], 1)])
    assert refuse(world, world.presentation(shown)) is Reason.CLAIM_INVALID


def test_the_mission_in_the_credential_is_the_one_that_signed(world: World) -> None:
    shown = world.credential(claims=[claim(CODES["issuing_mission", "code"], "AKL")])
    assert refuse(world, world.presentation(shown)) is Reason.MISSION_MISMATCH


# Status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("REVOKED", Reason.STATUS_REVOKED),
        ("INACTIVE", Reason.STATUS_SUSPENDED),
        ("PENDING", Reason.STATUS_INVALID),
        (ABSENT, Reason.STATUS_INVALID),
    ],
)
def test_only_an_active_credential_is_accepted(world: World, status: Any, reason: Reason) -> None:
    world.registry.metas[VC_ID] = world.meta(status=status)
    assert refuse(world, world.presentation()) is reason


@pytest.mark.parametrize(
    "change",
    [
        {"id": "another"},
        {"subject": "did:omn:other"},
        {"issuer": {"did": "did:omn:other"}},
        {"issuer": ISSUER},
        {"credentialSchema": {"id": "https://issuer.example/schema/other"}},
    ],
)
def test_the_registry_speaks_of_this_credential(world: World, change: Mapping[str, Any]) -> None:
    world.registry.metas[VC_ID] = world.meta(**change)
    assert refuse(world, world.presentation()) is Reason.STATUS_INVALID


@pytest.mark.parametrize("fail_closed", [True, False])
@pytest.mark.parametrize("required", [True, False])
def test_a_status_that_cannot_be_asked_is_unknown_and_never_fine(
    world: World, fail_closed: bool, required: bool
) -> None:
    world.registry.metas.clear()
    expected = world.expected(status_fail_closed=fail_closed)
    (known,) = world.trust().types.values()
    trust = world.trust(types=[replace(known, status_required=required)])
    assert refuse(world, world.presentation(), expected=expected, trust=trust) is Reason.STATUS_UNKNOWN


def test_a_credential_without_an_id_has_no_status(world: World) -> None:
    shown = world.credential(id=ABSENT)
    assert refuse(world, world.presentation(shown)) is Reason.STATUS_MISSING


# The key agreement


def agreement(world: World, acceptance: Mapping[str, Any], presentation: str | None = None) -> Reason | None:
    try:
        check_key_agreement(
            acceptance, presentation or world.presentation(), registry=world.registry, now=NOW
        )
    except CredentialRejected as refusal:
        return refusal.reason
    return None


def test_a_key_agreement_that_the_holder_signed_is_accepted(world: World) -> None:
    assert agreement(world, world.acceptance()) is None


def test_a_holder_with_a_key_for_it_must_sign_the_agreement(world: World) -> None:
    acceptance = {name: value for name, value in world.acceptance().items() if name != "proof"}
    assert agreement(world, acceptance) is Reason.KEY_AGREEMENT


@pytest.mark.parametrize("name", ["publicKey", "iv"])
def test_an_agreement_that_was_changed_is_refused(world: World, name: str) -> None:
    assert agreement(world, {**world.acceptance(), name: "z1111"}) is Reason.KEY_AGREEMENT


def test_an_agreement_with_a_fraction_is_malformed(world: World) -> None:
    """As a presentation is: no member is one, and it has no canonical text."""
    document = {**world.acceptance(), "x": 1.5}
    acceptance = signed(document, world.holder.keys["keyagree"], proof_of(HOLDER, "keyagree", "keyAgreement"))
    assert agreement(world, acceptance) is Reason.MALFORMED


def test_an_agreement_of_very_many_values_is_not_read(world: World) -> None:
    document = {**world.acceptance(), "x": [[[]]] * 100_000}
    acceptance = signed(document, world.holder.keys["keyagree"], proof_of(HOLDER, "keyagree", "keyAgreement"))
    assert agreement(world, acceptance) is Reason.TOO_LARGE


def test_an_agreement_that_somebody_else_signed_is_refused(world: World) -> None:
    assert agreement(world, world.acceptance(key=p256())) is Reason.KEY_AGREEMENT


def test_an_agreement_of_another_holder_is_refused(world: World) -> None:
    thief = holder("did:omn:thief")
    method = f"{thief.did}?versionId=1#keyagree"
    acceptance = world.acceptance(key=thief.keys["keyagree"], proof={"verificationMethod": method})
    assert agreement(world, acceptance) is Reason.HOLDER_KEY


def test_an_agreement_is_signed_for_that(world: World) -> None:
    acceptance = world.acceptance(
        key=world.holder.keys["pin"],
        proof={"verificationMethod": f"{HOLDER}?versionId=1#pin", "proofPurpose": "assertionMethod"},
    )
    assert agreement(world, acceptance) is Reason.KEY_BINDING_TYPE


# Whatever comes


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_but_a_refusal_is_raised(world: World, data: st.DataObject) -> None:
    """Any member, at any depth, replaced by anything."""
    document = json.loads(world.presentation())
    target: Any = document
    while True:
        keys = sorted(target) if isinstance(target, dict) else range(len(target))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(target[key], dict | list) or not target[key] or data.draw(st.booleans()):
            break
        target = target[key]
    target[key] = data.draw(
        st.none() | st.booleans() | st.integers() | st.text() | st.just({}) | st.just([]) | st.just(1.5)
    )
    try:
        accept(world, json.dumps(document))
    except CredentialRejected:
        return


def test_a_signature_has_one_spelling() -> None:
    key = p256()
    for number in range(20):
        message = f"{number}".encode()
        assert data_proof.verifies(key.public_key(), compact(key, message), message)
        assert data_proof.verifies(key.public_key(), data_proof.sign(key, message), message)
        assert not data_proof.verifies(key.public_key(), compact(key, message), b"another")
        assert not data_proof.verifies(p256().public_key(), compact(key, message), message)
        assert not data_proof.verifies(key.public_key(), compact(key, message, high_s=True), message)
