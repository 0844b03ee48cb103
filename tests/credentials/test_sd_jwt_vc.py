"""`verify` on credentials of our own issuer: a good one is accepted, and each thing that can be wrong has its name."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Expected, Reason, VerifiedCredential, verify
from idp.credentials.schema import ELEMENTS
from tests.credentials.issuing import (
    ABSENT,
    AUDIENCE,
    CLAIMS,
    EXPECTED,
    NONCE,
    NOW,
    STATUS_URI,
    TYPE_ID,
    VCT,
    Authority,
    Issued,
    World,
    b64u,
    credential_type,
    digest,
    disclosure,
    issue,
    p256,
    private_jwk,
    public_jwk,
    registry,
    sign,
    status_token,
    x5c,
)
from tests.pace import too_long


def accept(world: World, presentation: str, **changes: Any) -> VerifiedCredential:
    arguments: dict[str, Any] = {
        "expected": EXPECTED,
        "trust": world.trust,
        "status": world.status,
        "now": NOW,
    }
    return verify("dc+sd-jwt", presentation, **{**arguments, **changes})


def refuse(world: World, presentation: str, **changes: Any) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        accept(world, presentation, **changes)
    for value in ("홍길동", "GILDONG", "M12345678", NONCE):
        assert value not in str(refusal.value)
    return refusal.value.reason


# What is accepted


def test_a_good_presentation_says_what_was_disclosed_and_by_whom(world: World) -> None:
    verified = accept(world, issue(world.authority).present())
    assert dict(verified.claims) == dict(CLAIMS)
    assert (verified.format, verified.type_id, verified.name) == ("dc+sd-jwt", TYPE_ID, VCT)
    assert (verified.issued_at, verified.expires_at) == (NOW - 3600, NOW + 86_400)
    assert verified.authentication == ("pin", "face")
    assert verified.mission is world.mission
    assert verified.status is not None
    assert (verified.status.uri, verified.status.checked_at, verified.status.fresh) == (STATUS_URI, NOW, True)
    assert verified.status.organisation is world.mission


def test_only_what_was_disclosed_is_there(world: World) -> None:
    issued = issue(world.authority)
    names = list(CLAIMS)
    shown = [issued.disclosures[names.index("birthdate")]]
    assert dict(accept(world, issued.present(disclosures=shown)).claims) == {"birthdate": "1984-02-29"}


def test_nothing_need_be_disclosed(world: World) -> None:
    assert dict(accept(world, issue(world.authority).present(disclosures=[])).claims) == {}


def test_what_no_portal_may_have_is_not_passed_on(world: World) -> None:
    issued = issue(world.authority, claims={"personal_administrative_number": "8402291234567", "unknown": 1})
    assert dict(accept(world, issued.present()).claims) == dict(CLAIMS)


def test_claims_are_not_printed_with_the_credential(world: World) -> None:
    assert "GILDONG" not in repr(accept(world, issue(world.authority).present()))


def test_disclosures_within_disclosures_and_arrays_are_put_together(world: World) -> None:
    code = disclosure("code", "LAX")
    mission = disclosure("issuing_mission", {"name_ko": "공관", "_sd": [digest(code)]})
    second = disclosure("KR")
    nationalities = disclosure("nationalities", ["US", {"...": digest(second)}, {"...": digest("hidden")}])
    issued = issue(
        world.authority,
        payload={"_sd": [digest(mission), digest(nationalities)]},
        claims=dict.fromkeys(CLAIMS, ABSENT),
        disclosures=[second, nationalities, mission, code],
    )
    assert dict(accept(world, issued.present()).claims) == {
        "issuing_mission": {"name_ko": "공관", "code": "LAX"},
        "nationalities": ["US", "KR"],
    }


@pytest.mark.parametrize(("name", "algorithm"), [("sha-384", "sha384"), ("sha-512", "sha512")])
def test_other_hashes_of_the_registry_are_accepted(world: World, name: str, algorithm: str) -> None:
    text = disclosure("birthdate", "2000-02-29")
    issued = issue(
        world.authority,
        payload={"_sd_alg": name, "_sd": [digest(text, algorithm)]},
        claims=dict.fromkeys(CLAIMS, ABSENT),
        disclosures=[text],
    )
    assert accept(world, issued.present(hash_algorithm=algorithm)).claims == {"birthdate": "2000-02-29"}
    assert refuse(world, issued.present()) is Reason.KEY_BINDING_HASH


def test_sha_256_is_meant_where_no_hash_is_named(world: World) -> None:
    assert accept(world, issue(world.authority, payload={"_sd_alg": ABSENT}).present())


@pytest.mark.parametrize("extra", [{}, {"kid": "1"}, {"use": "sig"}, {"alg": "ES256"}], ids=str)
def test_a_holder_key_with_few_or_further_members_is_accepted(world: World, extra: dict[str, str]) -> None:
    key = p256()
    issued = replace(
        issue(world.authority, payload={"cnf": {"jwk": {**public_jwk(key), **extra}}}), holder_key=key
    )
    assert accept(world, issued.present())


@pytest.mark.parametrize(
    "name", ["정", "남궁민", "가" * 17, "O'NEIL-SMITH " * 4, "최장" + "x" * 60, "홍길동"]
)
def test_names_pass_unchanged(world: World, name: str) -> None:
    assert accept(world, issue(world.authority, claims={"name": name}).present()).claims["name"] == name


@pytest.mark.parametrize(
    "changes", [{"iat": ABSENT}, {"exp": ABSENT}, {"nbf": NOW}, {"exp": NOW + 0.5}, {"iss": ABSENT}]
)
def test_times_and_issuer_are_optional(world: World, changes: dict[str, Any]) -> None:
    assert accept(world, issue(world.authority, payload=changes).present())


def test_a_credential_without_status_is_accepted_where_its_type_needs_none(world: World) -> None:
    trust = registry(world.mission, types=[credential_type(status_required=False)])
    assert (
        accept(world, issue(world.authority, payload={"status": ABSENT}).present(), trust=trust).status
        is None
    )


# Form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "a.b.c~",
        "{}",
        '{"payload":"","signatures":[]}~',
        "a.b~c~",
        "....~",
        "é~~",
        "\ud800~",
        "~" * 20,
    ],
)
def test_what_is_not_a_compact_sd_jwt_is_refused(world: World, text: str) -> None:
    assert refuse(world, text) is Reason.MALFORMED


def test_a_plain_jwt_is_no_sd_jwt(world: World) -> None:
    assert refuse(world, issue(world.authority).jwt) is Reason.MALFORMED


def signed_raw(world: World, payload: bytes) -> str:
    header = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": x5c(world.authority.signer)}
    return sign(header, payload, world.authority.signer_key) + "~"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"vct":"%s","vct":"%s"}' % (VCT.encode(), VCT.encode()),
        b'{"vct":"%s","cnf":{"jwk":{},"jwk":{}}}' % VCT.encode(),
        b'{"exp":NaN}',
        b'{"exp":-Infinity}',
        b'{"exp":1e999}',
        b'{"exp":%s}' % (b"9" * 5000),
        b'{"name":"\\ud800"}',
        b'{"name":"\xff"}',
        b"[" * 100_000,
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
        b"[]",
        b"null",
        b"",
        b"\xef\xbb\xbf{}",
        b"{} {}",
    ],
    ids=lambda payload: payload[:24].decode("latin-1"),
)
def test_a_payload_that_is_not_strict_json_is_refused(world: World, payload: bytes) -> None:
    assert refuse(world, signed_raw(world, payload)) is Reason.MALFORMED


def respelled(text: str, part: int, change: Callable[[str], str]) -> str:
    parts = text.split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda s: s + "=",
        lambda s: s + "A" * ((1 - len(s)) % 4),
        lambda s: "+" + s[1:],
        lambda s: "/" + s[1:],
        lambda s: s + "\n",
        lambda s: " " + s,
    ],
    ids=["padding", "impossible length", "plus", "slash", "newline", "space"],
)
def test_a_jwt_in_another_base64_is_refused(world: World, part: int, change: Callable[[str], str]) -> None:
    issued = issue(world.authority)
    assert (
        refuse(world, replace(issued, jwt=respelled(issued.jwt, part, change)).present()) is Reason.MALFORMED
    )


def test_a_second_spelling_of_a_signature_is_refused(world: World) -> None:
    issued = issue(world.authority)
    # 64 bytes are 86 characters; the last one has four bits that mean nothing.
    last = issued.jwt[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(last) ^ 1]
    assert refuse(world, replace(issued, jwt=issued.jwt[:-1] + other).present()) is Reason.MALFORMED


def with_long_header(good: str) -> str:
    header = b64u(json.dumps({"alg": "ES256", "typ": "dc+sd-jwt", "x": "A" * 25_000}).encode())
    return respelled(good, 0, lambda _: header)


@pytest.mark.parametrize(
    "enlarge",
    [
        lambda good: "A" * 1_000_000,
        with_long_header,
        lambda good: respelled(good, 1, lambda payload: payload + "A" * 300_000),
        lambda good: good.replace("~", "~" + "~".join(disclosure("x", i) for i in range(5000)) + "~", 1),
        lambda good: good + "A" * 9_000,
        lambda good: good.replace("~", "~" + "A" * 800_000 + "~", 1),
    ],
    ids=["1 MB", "header", "payload", "5,000 disclosures", "key binding", "disclosure"],
)
def test_what_is_too_large_is_refused_quickly(world: World, enlarge: Callable[[str], str]) -> None:
    text = enlarge(issue(world.authority).present())

    def took_s() -> float:
        began = time.process_time()
        assert refuse(world, text) is Reason.TOO_LARGE
        return time.process_time() - began

    assert not too_long(took_s(), 0.1, took_s)


@pytest.mark.parametrize(
    "change",
    [
        lambda jwt: jwt + ".",
        lambda jwt: jwt + ".AAAA",
        lambda jwt: jwt.rsplit(".", 1)[0],
        lambda jwt: "." + jwt,
    ],
    ids=["empty fourth", "fourth", "two", "empty first"],
)
def test_a_jwt_of_more_or_less_than_three_parts_is_refused(
    world: World, change: Callable[[str], str]
) -> None:
    issued = issue(world.authority)
    assert refuse(world, replace(issued, jwt=change(issued.jwt)).present()) is Reason.MALFORMED


def test_disclosures_nested_too_deeply_are_refused(world: World) -> None:
    text = disclosure("x", 1)
    texts = [text]
    for _ in range(40):
        text = disclosure("x", {"_sd": [digest(text)]})
        texts.append(text)
    issued = issue(
        world.authority,
        payload={"_sd": [digest(text)]},
        claims=dict.fromkeys(CLAIMS, ABSENT),
        disclosures=texts,
    )
    assert refuse(world, issued.present()) is Reason.TOO_LARGE


def test_so_many_disclosures_and_no_more_are_read(world: World) -> None:
    texts = [disclosure(f"x{i}", i) for i in range(257)]
    payload = {"_sd": [digest(text) for text in texts]}
    issued = issue(world.authority, payload=payload, claims=dict.fromkeys(CLAIMS, ABSENT))
    assert accept(world, issued.present(disclosures=texts[:256]))
    assert refuse(world, issued.present(disclosures=texts)) is Reason.TOO_LARGE


# Header


@pytest.mark.parametrize(
    "typ",
    [ABSENT, "vc+sd-jwt", "JWT", "example+sd-jwt", "DC+SD-JWT", "application/dc+sd-jwt", 1, ["dc+sd-jwt"]],
)
def test_only_the_one_typ_is_accepted(world: World, typ: Any) -> None:
    assert refuse(world, reheaded(world, {"typ": typ})) is Reason.HEADER_TYPE


def reheaded(world: World, header: Mapping[str, Any], signature: bytes = b"\0" * 64) -> str:
    """A presentation whose issuer JWT has this header; the signature over it is not reached."""
    issued = issue(world.authority)
    whole = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": x5c(world.authority.signer), **header}
    text = json.dumps({name: value for name, value in whole.items() if value is not ABSENT})
    payload = issued.jwt.split(".")[1]
    return replace(issued, jwt=f"{b64u(text.encode())}.{payload}.{b64u(signature)}").present()


@pytest.mark.parametrize(
    "alg", ["none", "None", "nOnE", "HS256", "RS256", "ES384", "EdDSA", "", ABSENT, 1, None]
)
def test_other_algorithms_are_refused(world: World, alg: Any) -> None:
    assert refuse(world, reheaded(world, {"alg": alg}, signature=b"")) is Reason.ALGORITHM


def test_an_empty_signature_is_refused(world: World) -> None:
    assert refuse(world, reheaded(world, {}, signature=b"")) is Reason.ISSUER_SIGNATURE


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\xff" * 64, b"\1" * 63, b"\1" * 65])
def test_a_signature_of_no_meaning_is_refused(world: World, signature: bytes) -> None:
    assert refuse(world, reheaded(world, {}, signature=signature)) is Reason.ISSUER_SIGNATURE


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": True}], ids=str
)
def test_an_extension_we_do_not_understand_is_refused(world: World, header: dict[str, Any]) -> None:
    assert refuse(world, reheaded(world, header)) is Reason.CRITICAL_HEADER


def test_a_key_in_the_header_is_not_looked_at(world: World) -> None:
    stranger = p256()
    issued = issue(world.authority, header={"jwk": public_jwk(stranger), "kid": "x"}, key=stranger)
    assert refuse(world, issued.present()) is Reason.ISSUER_SIGNATURE


# Type and issuer


@pytest.mark.parametrize(
    "vct", [ABSENT, 1, None, [VCT], VCT + "/", VCT.upper(), VCT[:-1], "https://idp.example/vct/가", ""]
)
def test_only_an_exact_type_is_accepted(world: World, vct: Any) -> None:
    assert refuse(world, issue(world.authority, payload={"vct": vct}).present()) is Reason.TYPE_NOT_ACCEPTED


def test_a_type_is_not_accepted_because_it_claims_to_be_another(world: World) -> None:
    payload = {"vct": "urn:attacker", "aka_vcts": [VCT], "extends": VCT}
    assert refuse(world, issue(world.authority, payload=payload).present()) is Reason.TYPE_NOT_ACCEPTED


def test_a_known_type_that_was_not_asked_for_is_refused(world: World) -> None:
    expected = replace(EXPECTED, accepted_types=frozenset({"driving-licence"}))
    assert refuse(world, issue(world.authority).present(), expected=expected) is Reason.TYPE_NOT_ACCEPTED


def test_a_mission_may_not_sign_another_missions_credential(world: World) -> None:
    issued = issue(world.authority, claims={"issuing_mission": {"code": "HAN"}})
    assert refuse(world, issued.present()) is Reason.MISSION_MISMATCH


def test_an_authority_we_do_not_know_is_refused(world: World) -> None:
    assert refuse(world, issue(Authority()).present()) is Reason.ISSUER_UNTRUSTED


@pytest.mark.parametrize("chain", [ABSENT, [], "x", [1], ["!"], ["AAAA"], ["A" * 20_000], ["AAAA"] * 6, {}])
def test_a_header_without_a_chain_is_refused(world: World, chain: Any) -> None:
    assert refuse(world, reheaded(world, {"x5c": chain})) is Reason.ISSUER_CERTIFICATE


def test_another_spelling_of_a_certificate_is_refused(world: World) -> None:
    (text,) = x5c(world.authority.signer)
    der = base64.b64decode(text)
    for spelling in (text + "\n", text.rstrip("=") + "====", b64u(der), "\n" + text):
        assert refuse(world, reheaded(world, {"x5c": [spelling]})) is Reason.ISSUER_CERTIFICATE


def test_another_key_than_the_certificates_is_refused(world: World) -> None:
    assert refuse(world, issue(world.authority, key=p256()).present()) is Reason.ISSUER_SIGNATURE


def test_a_payload_altered_after_signing_is_refused(world: World) -> None:
    issued = issue(world.authority)
    other = issue(world.authority)
    jwt = ".".join([issued.jwt.split(".")[0], other.jwt.split(".")[1], issued.jwt.split(".")[2]])
    assert refuse(world, replace(other, jwt=jwt).present()) is Reason.ISSUER_SIGNATURE


def test_a_certificate_of_another_curve_does_not_fit_the_algorithm(world: World) -> None:
    leaf = world.authority.leaf(ec.generate_private_key(ec.SECP384R1()))
    assert refuse(world, reheaded(world, {"x5c": x5c(leaf)})) is Reason.ALGORITHM


# Times


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"exp": NOW - 60}, Reason.EXPIRED),
        ({"exp": 0}, Reason.EXPIRED),
        ({"nbf": NOW + 61}, Reason.NOT_YET_VALID),
        ({"iat": NOW + 61}, Reason.NOT_YET_VALID),
        *(({"exp": bad}, Reason.MALFORMED) for bad in ("1", -1, 1e30, True, None, [], 10**19)),
        *(({"nbf": bad}, Reason.MALFORMED) for bad in ("0", False, {})),
        ({"iat": "0"}, Reason.MALFORMED),
    ],
    ids=str,
)
def test_times_are_checked(world: World, payload: dict[str, Any], reason: Reason) -> None:
    assert refuse(world, issue(world.authority, payload=payload).present()) is reason


@pytest.mark.parametrize("payload", [{"exp": NOW - 59}, {"nbf": NOW + 60}, {"iat": NOW + 60}], ids=str)
def test_a_minute_of_skew_is_allowed(world: World, payload: dict[str, Any]) -> None:
    assert accept(world, issue(world.authority, payload=payload).present())


# Disclosures


def with_digests(world: World, texts: list[str], payload: Mapping[str, Any]) -> str:
    """A presentation of exactly these disclosures, over a payload that the caller has put digests in."""
    bare = dict.fromkeys(CLAIMS, ABSENT)
    return issue(world.authority, payload={"_sd": [], **payload}, claims=bare, disclosures=texts).present()


def test_a_disclosure_that_nobody_signed_is_refused(world: World) -> None:
    issued = issue(world.authority)
    texts = [*issued.disclosures, disclosure("name", "x")]
    assert refuse(world, issued.present(disclosures=texts)) is Reason.DISCLOSURE_UNREFERENCED


def test_a_disclosure_whose_parent_is_not_shown_is_refused(world: World) -> None:
    inner = disclosure("code", "LAX")
    outer = disclosure("issuing_mission", {"_sd": [digest(inner)]})
    assert (
        refuse(world, with_digests(world, [inner], {"_sd": [digest(outer)]}))
        is Reason.DISCLOSURE_UNREFERENCED
    )


def test_a_disclosure_sent_twice_is_refused(world: World) -> None:
    issued = issue(world.authority)
    texts = [*issued.disclosures, issued.disclosures[0]]
    assert refuse(world, issued.present(disclosures=texts)) is Reason.DISCLOSURE_DUPLICATE


TEXT = disclosure("name", "x")
ELEMENT = disclosure("KR")
NESTED = disclosure("address", {"_sd": [digest(TEXT)]})


@pytest.mark.parametrize(
    ("texts", "payload"),
    [
        ([TEXT], {"_sd": [digest(TEXT), digest(TEXT)]}),
        ([], {"_sd": [digest(TEXT), digest(TEXT)]}),
        ([TEXT], {"_sd": [digest(TEXT)], "address": {"_sd": [digest(TEXT)]}}),
        ([TEXT, NESTED], {"_sd": [digest(TEXT), digest(NESTED)]}),
        ([ELEMENT], {"nationalities": [{"...": digest(ELEMENT)}, {"...": digest(ELEMENT)}]}),
        ([ELEMENT], {"nationalities": [{"...": digest(ELEMENT)}], "_sd": [digest(ELEMENT)]}),
    ],
    ids=["in _sd", "undisclosed", "two objects", "nested", "array", "array and _sd"],
)
def test_a_digest_in_two_places_is_refused(world: World, texts: list[str], payload: dict[str, Any]) -> None:
    assert refuse(world, with_digests(world, texts, payload)) in {
        Reason.DISCLOSURE_DUPLICATE,
        # An element's disclosure under `_sd` is wrong before its digest is met a second time.
        *([Reason.DISCLOSURE_MALFORMED] if ELEMENT in texts and payload.get("_sd") else []),
    }


@pytest.mark.parametrize("name", ["_sd", "...", "_sd_alg"])
def test_a_reserved_name_is_refused(world: World, name: str) -> None:
    text = disclosure(name, ["x"])
    assert refuse(world, with_digests(world, [text], {"_sd": [digest(text)]})) is Reason.DISCLOSURE_FORBIDDEN


@pytest.mark.parametrize("name", ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"])
def test_a_claim_that_decides_cannot_be_disclosed(world: World, name: str) -> None:
    text = disclosure(name, "x")
    assert refuse(world, with_digests(world, [text], {"_sd": [digest(text)]})) is Reason.DISCLOSURE_FORBIDDEN


@pytest.mark.parametrize(
    ("name", "reason"), [("cnf", Reason.HOLDER_KEY), ("status", Reason.DISCLOSURE_FORBIDDEN)]
)
def test_a_claim_that_decides_cannot_be_disclosed_in_part(world: World, name: str, reason: Reason) -> None:
    text = disclosure("jwk", public_jwk(p256()))
    presentation = with_digests(world, [text], {name: {"_sd": [digest(text)]}})
    assert refuse(world, presentation) is reason


def test_beside_the_holders_key_nothing_is_disclosed(world: World) -> None:
    holder_key, text = p256(), disclosure("kid", "x")
    confirmation = {"jwk": {**public_jwk(holder_key), "_sd": [digest(text)]}}
    issued = issue(world.authority, payload={"cnf": confirmation}, disclosures=[text])
    presentation = replace(issued, holder_key=holder_key).present()
    assert refuse(world, presentation) is Reason.DISCLOSURE_FORBIDDEN


def test_such_a_name_deeper_down_is_an_ordinary_one(world: World) -> None:
    text = disclosure("status", "x")
    assert accept(
        world, with_digests(world, [text], {"address": {"formatted": "Seoul", "_sd": [digest(text)]}})
    )


@pytest.mark.parametrize("payload", [{"birthdate": "2000-01-01"}, {}], ids=["signed", "disclosed"])
def test_a_claim_that_is_there_already_is_refused(world: World, payload: dict[str, Any]) -> None:
    texts = [disclosure("birthdate", "1999-01-01")] + (
        [] if payload else [disclosure("birthdate", "2000-01-01")]
    )
    presentation = with_digests(world, texts, {**payload, "_sd": [digest(text) for text in texts]})
    assert refuse(world, presentation) is Reason.DISCLOSURE_COLLISION


def encoded(text: str | bytes) -> str:
    return b64u(text if isinstance(text, bytes) else text.encode("utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        encoded('["s","name"]'),
        encoded('["s","name","x","y"]'),
        encoded('["s"]'),
        encoded("[]"),
        encoded('{"s":"name"}'),
        encoded("1"),
        encoded('"s"'),
        encoded('[1,"name","x"]'),
        encoded('["s",1,"x"]'),
        encoded('["s","name",NaN]'),
        encoded('["s","name",{"a":1,"a":2}]'),
        encoded('["s","name","\\ud800"]'),
        encoded(b'["s","name","\xff"]'),
        encoded('["s","name","x"'),
        encoded('["s","name",' + "[" * 5000),
        pytest.param(TEXT + "=", id="padding"),
        pytest.param("+" + TEXT[1:], id="plus"),
        "!",
        "é",
        "\ud800",
        "",
    ],
)
def test_a_disclosure_that_is_none_is_refused(world: World, text: str) -> None:
    # Over ASCII there is a digest to refer to, so that only its form can be what is wrong.
    payload = {"_sd": [digest(text)]} if text.isascii() else {}
    issued = issue(world.authority, payload=payload, claims=dict.fromkeys(CLAIMS, ABSENT))
    presentation = f"{issued.jwt}~{text}~" + issued.present(disclosures=[]).rsplit("~", 1)[1]
    assert refuse(world, presentation) is Reason.DISCLOSURE_MALFORMED


def test_a_claim_in_an_array_is_refused(world: World) -> None:
    presentation = with_digests(world, [TEXT], {"nationalities": [{"...": digest(TEXT)}]})
    assert refuse(world, presentation) is Reason.DISCLOSURE_MALFORMED


@pytest.mark.parametrize(
    "payload",
    [
        {"_sd": "x"},
        {"_sd": {}},
        {"_sd": [1]},
        {"_sd": [["x"]]},
        {"...": "x"},
        {"address": {"...": "x"}},
        {"address": {"_sd_alg": "sha-256"}},
        {"nationalities": [{"...": "x", "y": 1}]},
        {"nationalities": [{"...": 1}]},
    ],
    ids=str,
)
def test_digests_outside_their_place_are_refused(world: World, payload: dict[str, Any]) -> None:
    assert refuse(world, with_digests(world, [], payload)) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["sha-1", "md5", "SHA-256", "sha3-256", "", 1, None, ["sha-256"]])
def test_a_hash_we_do_not_accept_is_refused(world: World, name: Any) -> None:
    assert refuse(world, issue(world.authority, payload={"_sd_alg": name}).present()) is Reason.ALGORITHM


# The shape of claims


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("name", bad)
            for bad in (
                ["홍"],
                {"a": 1},
                1,
                None,
                True,
                "",
                "x" * 201,
                "a\x00",
                "a\nb",
                "<b>x</b>",
                "\u202ex",
            )
        ),
        *(
            ("birthdate", bad)
            for bad in ("2000-02-30", "00-01-01", "2000/01/01", "2000-1-1", "2000-01-01T00:00:00Z")
        ),
        *(
            ("birthdate", bad)
            for bad in ("2000-01-01Z", "20000101", "2000-W01-1", "٢٠٠٠-01-01", "0000-01-01", {}, 20000101)
        ),
        *(("birthdate", bad) for bad in (" 2000-01-01", "2000-01-01\n", "2026-11-24")),
        *(("sex", bad) for bad in ("1", True, 3, 1.0, -1, None)),
        *(("nationalities", bad) for bad in ("KR", ["kr"], ["KOREA"], [1], ["KR"] * 11, {})),
        *(("age_equal_or_over", bad) for bad in ({"19": "true"}, {"14": 1}, True, [19])),
        *(
            ("address", bad)
            for bad in ("Seoul", {"formatted": 1}, {"formatted": "<script>"}, {"formatted": "x" * 1001})
        ),
        *(("issuing_mission", bad) for bad in ("LAX", {"code": 1}, {"name_ko": []})),
        *(("overseas_registration_number", bad) for bad in (1, "", "x" * 65, ["1"])),
        *(
            ("passport", bad)
            for bad in ("M1", {"number": 1}, {"number": "m1"}, {"expiry_date": "2033-13-01"}, [])
        ),
        *(
            ("picture", bad)
            for bad in ("x", 1, "javascript:alert(1)", "data:image/svg+xml;base64,AAAA", "https://x/y.jpg")
        ),
        *(
            ("picture", bad)
            for bad in (
                *(
                    f"data:image/png;base64,{data}"
                    for data in ("", "==", "AA\nAA", "AA===", "A=A=", "A-_A", "AAA가", "A" * 400_000)
                ),
                "data:image/png;base64",
                "data:image/gif;base64,AAAA",
                "data:image/png,AAAA",
            )
        ),
        *(("kr_ci", bad) for bad in ("A" * 87, "A" * 89, "A" * 87 + "!", 88)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_claim_of_the_wrong_shape_is_refused(world: World, name: str, value: Any) -> None:
    assert refuse(world, issue(world.authority, claims={name: value}).present()) is Reason.CLAIM_INVALID


@pytest.mark.parametrize("value", ["pin", [1], ["x" * 40], ["pin face"], [["pin"]], {}, ["pin"] * 17])
def test_authentication_of_the_wrong_shape_is_refused(world: World, value: Any) -> None:
    assert (
        refuse(world, issue(world.authority, payload={"user_authentication": value}).present())
        is Reason.CLAIM_INVALID
    )


def test_a_credential_that_says_nothing_of_authentication_has_none(world: World) -> None:
    issued = issue(world.authority, payload={"user_authentication": ABSENT})
    assert accept(world, issued.present()).authentication == ()


def test_the_day_is_that_of_seoul(world: World) -> None:
    # 15:30 UTC on the 23rd is the 24th in Seoul.
    late = int(datetime(2026, 11, 23, 15, 30, tzinfo=UTC).timestamp())
    issued = issue(world.authority, claims={"birthdate": "2026-11-24"})
    assert accept(world, issued.present(payload={"iat": late}), now=late).claims["birthdate"] == "2026-11-24"


def test_names_of_objects_python_knows_are_only_names(world: World) -> None:
    issued = issue(world.authority, claims={"__proto__": {"x": 1}, "__class__": "x"})
    assert dict(accept(world, issued.present()).claims) == dict(CLAIMS)


# Key binding


def test_a_presentation_without_key_binding_is_refused(world: World) -> None:
    assert refuse(world, issue(world.authority).present(key_binding=False)) is Reason.KEY_BINDING_MISSING


@pytest.mark.parametrize("typ", [ABSENT, "JWT", "dc+sd-jwt", "KB+JWT", 1])
def test_a_key_binding_of_another_type_is_refused(world: World, typ: Any) -> None:
    issued = issue(world.authority)
    if typ == 1:  # joserfc would not sign it
        body, proof = issued.present().rsplit("~", 1)
        header = b64u(json.dumps({"alg": "ES256", "typ": 1}).encode())
        presentation = f"{body}~{respelled(proof, 0, lambda _: header)}"
    else:
        presentation = issued.present(header={"typ": typ})
    assert refuse(world, presentation) is Reason.KEY_BINDING_TYPE


def rebound(issued: Issued, header: Mapping[str, Any], signature: bytes) -> str:
    body, proof = issued.present().rsplit("~", 1)
    return f"{body}~{b64u(json.dumps(header).encode())}.{proof.split('.')[1]}.{b64u(signature)}"


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384"])
def test_a_key_binding_of_another_algorithm_is_refused(world: World, alg: str) -> None:
    presentation = rebound(issue(world.authority), {"alg": alg, "typ": "kb+jwt"}, b"")
    assert refuse(world, presentation) is Reason.ALGORITHM


def test_a_key_binding_with_crit_is_refused(world: World) -> None:
    header = {"alg": "ES256", "typ": "kb+jwt", "crit": ["x"], "x": 1}
    assert refuse(world, rebound(issue(world.authority), header, b"\0" * 64)) is Reason.CRITICAL_HEADER


def test_a_key_binding_by_another_key_is_refused(world: World) -> None:
    assert refuse(world, issue(world.authority).present(key=p256())) is Reason.KEY_BINDING_SIGNATURE


def test_a_key_in_the_key_bindings_own_header_is_ignored(world: World) -> None:
    thief = p256()
    presentation = issue(world.authority).present(key=thief, header={"jwk": public_jwk(thief)})
    assert refuse(world, presentation) is Reason.KEY_BINDING_SIGNATURE


@pytest.mark.parametrize(
    "audience",
    [ABSENT, AUDIENCE.removeprefix("x509_hash:"), AUDIENCE + "/", AUDIENCE.upper(), [AUDIENCE], {"a": AUDIENCE}, None,
     "https://idp.example/wallet/response/1"],
    ids=str,
)  # fmt: skip
def test_a_key_binding_for_another_audience_is_refused(world: World, audience: Any) -> None:
    assert (
        refuse(world, issue(world.authority).present(payload={"aud": audience}))
        is Reason.KEY_BINDING_AUDIENCE
    )


@pytest.mark.parametrize("nonce", [ABSENT, NONCE.lower(), NONCE + " ", "", 1, None, [NONCE], True], ids=str)
def test_a_key_binding_for_another_nonce_is_refused(world: World, nonce: Any) -> None:
    assert refuse(world, issue(world.authority).present(payload={"nonce": nonce})) is Reason.KEY_BINDING_NONCE


@pytest.mark.parametrize(
    "issued_at",
    [
        ABSENT,
        str(NOW),
        float(NOW),
        True,
        None,
        NOW - 361,
        NOW + 361,
        NOW - 31_536_000,
        NOW + 31_536_000,
        -1,
        10**18,
    ],
    ids=str,
)
def test_a_key_binding_of_another_time_is_refused(world: World, issued_at: Any) -> None:
    assert (
        refuse(world, issue(world.authority).present(payload={"iat": issued_at})) is Reason.KEY_BINDING_TIME
    )


@pytest.mark.parametrize("issued_at", [NOW - 360, NOW + 360])
def test_a_key_binding_within_the_window_is_accepted(world: World, issued_at: int) -> None:
    assert accept(world, issue(world.authority).present(payload={"iat": issued_at}))


@pytest.mark.parametrize("sd_hash", [ABSENT, "", digest("other"), 1, None], ids=str)
def test_a_key_binding_over_something_else_is_refused(world: World, sd_hash: Any) -> None:
    assert (
        refuse(world, issue(world.authority).present(payload={"sd_hash": sd_hash})) is Reason.KEY_BINDING_HASH
    )


def test_a_key_binding_over_other_disclosures_is_refused(world: World) -> None:
    issued = issue(world.authority)
    proof = issued.present(disclosures=issued.disclosures[:2]).rsplit("~", 1)[1]
    whole = "~".join([issued.jwt, *issued.disclosures[:3], proof])
    assert refuse(world, whole) is Reason.KEY_BINDING_HASH


def test_the_same_disclosures_in_another_order_need_another_key_binding(world: World) -> None:
    issued = issue(world.authority)
    proof = issued.present().rsplit("~", 1)[1]
    turned = "~".join([issued.jwt, *reversed(issued.disclosures), proof])
    assert refuse(world, turned) is Reason.KEY_BINDING_HASH


def test_an_expectation_of_nothing_is_an_error_of_ours(world: World) -> None:
    for empty in (
        Expected("", NONCE, EXPECTED.accepted_types),
        Expected(AUDIENCE, "", EXPECTED.accepted_types),
    ):
        with pytest.raises(ValueError, match="binds nothing"):
            accept(world, issue(world.authority).present(), expected=empty)


GOOD_KEY = p256()
GOOD_JWK = public_jwk(GOOD_KEY)


@pytest.mark.parametrize(
    "confirmation",
    [
        ABSENT,
        {},
        "key",
        {"kid": "1"},
        {"jku": "https://attacker.example/jwks"},
        {"x5u": "https://attacker.example/cert"},
        {"jwk": GOOD_JWK, "jku": "https://attacker.example/jwks"},
        {"jwk": private_jwk(GOOD_KEY)},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": {**GOOD_JWK, "k": "AAAA"}},
        {"jwk": {**GOOD_JWK, "kty": "RSA"}},
        {"jwk": {**GOOD_JWK, "kty": "OKP", "crv": "Ed25519"}},
        {"jwk": {**GOOD_JWK, "crv": "secp256k1"}},
        {"jwk": {**GOOD_JWK, "crv": ["P-256"]}},
        {"jwk": {**GOOD_JWK, "y": GOOD_JWK["x"]}},
        {"jwk": {**GOOD_JWK, "x": "AAAA"}},
        {"jwk": {**GOOD_JWK, "x": GOOD_JWK["x"] + "="}},
        {"jwk": {**GOOD_JWK, "x": "A" * 43, "y": "A" * 43}},
        {"jwk": {**GOOD_JWK, "x": "_" * 42 + "8", "y": "_" * 42 + "8"}},
        {"jwk": {**GOOD_JWK, "x": 1}},
        {"jwk": {**GOOD_JWK, "use": "enc"}},
        {"jwk": [GOOD_JWK]},
        {"jwk": None},
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_holder_key_that_is_not_one_is_refused(world: World, confirmation: Any) -> None:
    issued = replace(issue(world.authority, payload={"cnf": confirmation}), holder_key=GOOD_KEY)
    assert refuse(world, issued.present()) is Reason.HOLDER_KEY


def test_a_holder_key_of_another_curve_does_not_fit_the_algorithm(world: World) -> None:
    jwk = public_jwk(ec.generate_private_key(ec.SECP384R1()))
    assert refuse(world, issue(world.authority, payload={"cnf": {"jwk": jwk}}).present()) is Reason.ALGORITHM


# Status


def test_a_credential_without_status_is_refused_where_its_type_needs_one(world: World) -> None:
    assert (
        refuse(world, issue(world.authority, payload={"status": ABSENT}).present()) is Reason.STATUS_MISSING
    )


@pytest.mark.parametrize(
    "reference",
    [
        *({"idx": bad, "uri": STATUS_URI} for bad in (-1, 4, 2**63, 1.5, "0", True, None, [])),
        {"uri": STATUS_URI},
        {"idx": 0},
        *(
            {"idx": 0, "uri": bad}
            for bad in ("", "ftp://x", "file:///etc/passwd", 1, "https://" + "x" * 3000)
        ),
        "x",
        [],
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_status_reference_that_leads_nowhere_is_refused(world: World, reference: Any) -> None:
    issued = issue(world.authority, payload={"status": {"status_list": reference}})
    assert refuse(world, issued.present()) is Reason.STATUS_INVALID


@pytest.mark.parametrize("status", ["x", [], {}, None, {"identifier_list": {}}], ids=str)
def test_a_status_of_another_mechanism_is_refused_even_where_none_is_needed(
    world: World, status: Any
) -> None:
    trust = registry(world.mission, types=[credential_type(status_required=False)])
    presentation = issue(world.authority, payload={"status": status}).present()
    assert refuse(world, presentation, trust=trust) is Reason.STATUS_INVALID


@pytest.mark.parametrize(
    ("idx", "reason"), [(1, Reason.STATUS_REVOKED), (2, Reason.STATUS_SUSPENDED), (3, Reason.STATUS_INVALID)]
)
def test_a_credential_that_no_longer_holds_is_refused(world: World, idx: int, reason: Reason) -> None:
    payload = {"status": {"status_list": {"idx": idx, "uri": STATUS_URI}}}
    assert refuse(world, issue(world.authority, payload=payload).present()) is reason


def test_a_status_nobody_can_tell_is_unknown_and_not_revoked(world: World) -> None:
    world.host.served.clear()
    assert refuse(world, issue(world.authority).present()) is Reason.STATUS_UNKNOWN


def test_another_missions_status_list_is_no_evidence(world: World) -> None:
    world.host.served[STATUS_URI] = status_token(Authority())
    assert refuse(world, issue(world.authority).present()) is Reason.STATUS_UNKNOWN


def test_no_status_is_asked_for_what_is_refused_anyway(world: World) -> None:
    issued = issue(world.authority)
    refuse(world, issued.present(payload={"nonce": "other"}))
    refuse(world, issue(world.authority, payload={"exp": NOW - 100}).present())
    refuse(world, issue(world.authority, claims={"sex": 3}).present())
    assert world.host.asked == []


# The whole


def test_an_unknown_format_is_refused(world: World) -> None:
    for name in ("vc+sd-jwt", "mdoc", "", "DC+SD-JWT"):
        with pytest.raises(CredentialRejected) as refusal:
            verify(name, "x", expected=EXPECTED, trust=world.trust, status=world.status, now=NOW)
        assert refusal.value.reason is Reason.FORMAT_UNKNOWN


def test_every_element_is_tried_here() -> None:
    assert CLAIMS.keys() == ELEMENTS.keys()


def test_the_same_input_has_the_same_outcome_again(world: World) -> None:
    good, bad = issue(world.authority).present(), issue(world.authority, payload={"exp": 1}).present()
    for _ in range(3):
        assert accept(world, good)
        assert refuse(world, bad) is Reason.EXPIRED


SHARED = World()
PRESENTED = issue(SHARED.authority).present()


@settings(max_examples=300)
@given(st.text(max_size=400))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    refuse(SHARED, text)


@settings(max_examples=400)
@given(st.integers(0, len(PRESENTED) - 1), st.characters(), st.booleans())
def test_no_single_change_is_accepted_or_raises_anything_but_a_refusal(
    at: int, character: str, insert: bool
) -> None:
    text = PRESENTED[:at] + character + PRESENTED[at if insert else at + 1 :]
    if text != PRESENTED:
        refuse(SHARED, text)


TEXTS = st.text(max_size=12)
MEMBERS = st.text(max_size=6) | st.sampled_from(["_sd", "..."])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
SIGNED = st.sampled_from(
    ["vct", "cnf", "status", "exp", "nbf", "iat", "_sd", "_sd_alg", "...", "user_authentication", "address"]
)


@settings(max_examples=300)
@given(st.dictionaries(SIGNED, JSON, min_size=1, max_size=3))
def test_no_signed_payload_raises_anything_but_a_refusal(payload: dict[str, Any]) -> None:
    presentation = issue(SHARED.authority, payload=payload, claims=dict.fromkeys(CLAIMS, ABSENT)).present()
    try:
        accept(SHARED, presentation)
    except CredentialRejected as refusal:
        assert refusal.reason in Reason  # either outcome is right; any other exception is not


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["aud", "nonce", "iat", "sd_hash"]), JSON, min_size=1))
def test_no_key_binding_raises_anything_but_a_refusal(payload: dict[str, Any]) -> None:
    refuse(SHARED, issue(SHARED.authority).present(payload=payload))


@settings(max_examples=300)
@given(st.sampled_from(sorted(CLAIMS)), JSON)
def test_no_claim_raises_anything_but_a_refusal(name: str, value: Any) -> None:
    presentation = issue(SHARED.authority, claims={name: value}).present()
    try:
        accept(SHARED, presentation)
    except CredentialRejected as refusal:
        assert refusal.reason in Reason
