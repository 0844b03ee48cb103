"""Presentations that must not be believed: each is refused by name in the audit, and by no name to the wallet.

After every refusal the login is where it was: the same wrong answer is refused again, and an honest one accepted.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import OctKey

from idp.demo import pki
from tests import presenting
from tests.harmless import as_json, harmless
from tests.presenting import (
    Answer,
    Change,
    b64,
    der,
    digest,
    disclosure,
    public_jwk,
    stranger,
    unb64,
    with_signature,
)
from tests.rig import Portal, Rig

YEAR_S = 365 * 86_400


def setting(place: str, **members: Any) -> Change:
    """Change members of a header or payload; None leaves one out."""
    return lambda answer: getattr(answer, place).update(members)


def at(place: str, name: str, seconds: int | float) -> Change:
    """A time relative to now."""
    return lambda answer: getattr(answer, place).update({name: answer.rig.clock() + seconds})


def putting(**attributes: Any) -> Change:
    def change(answer: Answer) -> None:
        for name, value in attributes.items():
            setattr(answer, name, value() if callable(value) and name.endswith("_key") else value)

    return change


def flipped(token: str) -> str:
    signature = bytearray(unb64(token.rpartition(".")[2]))
    signature[10] ^= 1
    return with_signature(token, bytes(signature))


def hiding(name: str, value: Any) -> Change:
    return lambda answer: answer.hide(name, value)


def adding(*texts: str) -> Change:
    """Disclose what the issuer signed the digest of."""

    def change(answer: Answer) -> None:
        for text in texts:
            answer.add(text)

    return change


def sending(*texts: str) -> Change:
    """Disclose what no digest stands for."""
    return lambda answer: answer.disclosures.extend(texts)


def raw_payload(extra: str) -> Change:
    """Members put in front of the issuer's own, as text: the same names again."""

    def change(answer: Answer) -> None:
        answer.issuer_payload = (
            "{" + extra + "," + presenting.as_json(answer.issuer_payload).decode()[1:]
        ).encode()

    return change


def binding(alter: Any) -> Change:
    return lambda answer: setattr(answer, "alter_binding", alter)


def hs256_binding(answer: Answer) -> None:
    """As if the holder's public key were a shared secret."""
    answer.binding_header["alg"] = "HS256"
    answer.holder_key = OctKey.import_key(json.dumps(public_jwk(answer.credential.holder_key)))


def own_jwk_binding(answer: Answer) -> None:
    key = stranger()
    answer.binding_header["jwk"] = public_jwk(key)
    answer.holder_key = key


def anchored(answer: Answer) -> None:
    """The trust anchor itself among the certificates."""
    ca = pki.load(answer.rig.prepared.directory / "missions" / "LAX-ca")
    answer.issuer_header["x5c"] = [*answer.issuer_header["x5c"], der(ca.certificate)]


def self_signed(answer: Answer) -> None:
    ca = pki.make_ca("Demo mission CA LAX")
    answer.issuer_header["x5c"], answer.issuer_key = [der(ca.certificate)], ca.key


def strangers_leaf(answer: Answer) -> None:
    """A leaf by a CA of the right name that nobody trusts."""
    leaf = pki.make_leaf("Demo document signer LAX", pki.make_ca("Demo mission CA LAX"))
    answer.issuer_header["x5c"], answer.issuer_key = [der(leaf.certificate)], leaf.key


def other_missions_leaf(answer: Answer) -> None:
    """Signed by a mission that is trusted, while the credential says that another issued it."""
    leaf = answer.rig.prepared.mission_signer("AKL")
    answer.issuer_header["x5c"], answer.issuer_key = [der(leaf.certificate)], leaf.key
    answer.hide("issuing_mission", {"code": "LAX", "name_ko": "가", "name_en": "a"})


def certificates(*x5c: Any) -> Change:
    return lambda answer: answer.issuer_header.update(x5c=list(x5c) or None)


def repeated(answer: Answer) -> None:
    answer.disclosures.append(answer.disclosures[0])


def digest_twice(answer: Answer) -> None:
    answer.issuer_payload["_sd"].append(digest(answer.disclosures[0]))


def digest_in_two_places(answer: Answer) -> None:
    answer.issuer_payload["other"] = {"_sd": [digest(answer.disclosures[0])]}


def digest_in_an_array(answer: Answer) -> None:
    text = disclosure("salt", "x")
    answer.disclosures.append(text)
    answer.issuer_payload["list"] = [{"...": digest(text)}, {"...": digest(text)}]


def element_as_claim(answer: Answer) -> None:
    text = disclosure("salt", "name", "x")
    answer.disclosures.append(text)
    answer.issuer_payload["list"] = [{"...": digest(text)}]


def withheld(name: str) -> Change:
    """Everything but one claim."""

    def change(answer: Answer) -> None:
        answer.disclosures = [text for text in answer.disclosures if json.loads(unb64(text))[1:2] != [name]]

    return change


def swapped_disclosures(answer: Answer) -> None:
    """The hash of other disclosures than those that are sent."""
    answer.binding_payload["sd_hash"] = digest("~".join([answer.issuer_jwt(), *answer.disclosures[:1], ""]))


def nonce_of_another_login(answer: Answer) -> None:
    other = answer.rig.portal("gov24")
    page = other.page(other.begin())
    answer.binding_payload["nonce"] = Answer(answer.rig, other.link(page)).request["nonce"]


def status_at(**members: Any) -> Change:
    def change(answer: Answer) -> None:
        known = answer.issuer_payload["status"]["status_list"]
        listed = {name: value for name, value in {**known, **members}.items() if value is not None}
        answer.issuer_payload["status"] = {"status_list": listed}

    return change


PUBLIC = public_jwk(stranger())

ROWS: dict[str, tuple[Change, str]] = {
    # the issuer's part
    "signature_flipped": (putting(alter_issuer_jwt=flipped), "issuer_signature"),
    "signature_empty": (putting(alter_issuer_jwt=lambda token: with_signature(token, b"")), "issuer_signature"),
    "signature_of_zeros": (putting(alter_issuer_jwt=lambda t: with_signature(t, bytes(64))), "issuer_signature"),
    "signature_padded": (putting(alter_issuer_jwt=lambda token: token + "=="), "malformed"),
    "signed_by_a_stranger": (putting(issuer_key=stranger), "issuer_signature"),
    "alg_none": (setting("issuer_header", alg="none"), "algorithm"),
    "alg_None": (setting("issuer_header", alg="None"), "algorithm"),
    "alg_nOnE": (setting("issuer_header", alg="nOnE"), "algorithm"),
    "typ_missing": (setting("issuer_header", typ=None), "header_type"),
    "typ_vc": (setting("issuer_header", typ="vc+sd-jwt"), "header_type"),
    "typ_JWT": (setting("issuer_header", typ="JWT"), "header_type"),
    "typ_example": (setting("issuer_header", typ="example+sd-jwt"), "header_type"),
    "typ_number": (setting("issuer_header", typ=1), "header_type"),
    "crit": (setting("issuer_header", crit=["x"], x=1), "critical_header"),
    "kb_jwt_as_issuer": (setting("issuer_header", typ="kb+jwt"), "header_type"),
    "vct_missing": (setting("issuer_payload", vct=None), "type_not_accepted"),
    "vct_number": (setting("issuer_payload", vct=7), "type_not_accepted"),
    "vct_other": (setting("issuer_payload", vct="https://evil.example/vct"), "type_not_accepted"),
    "vct_slash": (lambda a: a.issuer_payload.update(vct=a.issuer_payload["vct"] + "/"), "type_not_accepted"),
    "vct_case": (lambda a: a.issuer_payload.update(vct=a.issuer_payload["vct"].upper()), "type_not_accepted"),
    "vct_extends": (
        lambda a: a.issuer_payload.update(aka_vcts=[a.issuer_payload["vct"]], vct="https://evil.example/vct"),
        "type_not_accepted",
    ),
    "expired": (at("issuer_payload", "exp", -61), "expired"),
    "not_yet": (at("issuer_payload", "nbf", 120), "not_yet_valid"),
    "issued_tomorrow": (at("issuer_payload", "iat", 86_400), "not_yet_valid"),
    "exp_text": (setting("issuer_payload", exp="1"), "malformed"),
    "exp_true": (setting("issuer_payload", exp=True), "malformed"),
    "exp_negative": (setting("issuer_payload", exp=-1), "malformed"),
    "exp_1e30": (setting("issuer_payload", exp=1e30), "malformed"),
    "payload_twice_vct": (raw_payload('"vct":"x"'), "malformed"),
    "payload_twice_cnf": (raw_payload('"cnf":{}'), "malformed"),
    "payload_nan": (raw_payload('"a":NaN'), "malformed"),
    "payload_deep": (raw_payload('"a":' + "[" * 1000 + "]" * 1000), "malformed"),
    "payload_20_deep": (setting("issuer_payload", a=json.loads("[" * 20 + "]" * 20)), "too_large"),
    "payload_long_number": (raw_payload('"a":' + "9" * 5000), "malformed"),
    "header_200kB": (setting("issuer_header", x="x" * 200_000), "too_large"),
    "payload_300kB": (setting("issuer_payload", x="x" * 300_000), "too_large"),
    "json_serialisation": (putting(presentation='{"payload":"e30","signatures":[]}'), "malformed"),
    "no_tilde": (putting(presentation="a.b.c"), "malformed"),
    "nothing": (putting(presentation=""), "malformed"),
    "tildes": (putting(presentation="~" * 500), "too_large"),
    "hangul": (putting(presentation="가~나~다"), "malformed"),
    # whom we believe
    "x5c_missing": (certificates(), "issuer_certificate"),
    "x5c_garbage": (certificates("AAAA"), "issuer_certificate"),
    "x5c_numbers": (certificates(1), "issuer_certificate"),
    "x5c_no_base64": (certificates("*" * 100), "issuer_certificate"),
    "x5c_six": (lambda a: a.issuer_header.update(x5c=a.issuer_header["x5c"] * 6), "issuer_certificate"),
    "x5c_fifty": (lambda a: a.issuer_header.update(x5c=a.issuer_header["x5c"] * 50), "too_large"),
    "x5c_twice": (lambda a: a.issuer_header.update(x5c=a.issuer_header["x5c"] * 2), "issuer_certificate"),
    "x5c_with_anchor": (anchored, "issuer_certificate"),
    "x5c_self_signed": (self_signed, "issuer_certificate"),
    "x5c_of_a_stranger": (strangers_leaf, "issuer_untrusted"),
    "another_mission": (other_missions_leaf, "mission_mismatch"),
    # what is disclosed
    "unreferenced": (sending(disclosure("salt", "role", "ambassador")), "disclosure_unreferenced"),
    "altered_value": (sending(disclosure("altered", "name", "다른사람")), "disclosure_unreferenced"),
    "repeated": (repeated, "disclosure_duplicate"),
    "digest_twice": (digest_twice, "disclosure_duplicate"),
    "digest_in_two_places": (digest_in_two_places, "disclosure_duplicate"),
    "digest_twice_in_an_array": (digest_in_an_array, "disclosure_duplicate"),
    "element_as_claim": (element_as_claim, "disclosure_malformed"),
    "name__sd": (adding(disclosure("salt", "_sd", [])), "disclosure_forbidden"),
    "name_dots": (adding(disclosure("salt", "...", "x")), "disclosure_forbidden"),
    "hidden_exp": (
        lambda a: a.add(disclosure("s", "exp", a.issuer_payload.pop("exp"))), "disclosure_forbidden"
    ),
    "hidden_status": (
        lambda a: a.add(disclosure("s", "status", a.issuer_payload.pop("status"))), "disclosure_forbidden"
    ),
    "collision": (adding(disclosure("salt", "iss", "x")), "disclosure_forbidden"),
    "collision_of_a_claim": (adding(disclosure("salt", "name", "x")), "disclosure_collision"),
    "two_elements": (adding(disclosure("salt", "x")), "disclosure_malformed"),
    "four_elements": (adding(disclosure("salt", "a", "b", "c")), "disclosure_malformed"),
    "no_elements": (adding(disclosure()), "disclosure_malformed"),
    "a_number": (adding(b64(b"42")), "disclosure_malformed"),
    "an_object": (adding(b64(b"{}")), "disclosure_malformed"),
    "name_number": (adding(disclosure("salt", 1, "x")), "disclosure_malformed"),
    "not_utf8": (adding(b64(b'["s","a","\xff"]')), "disclosure_malformed"),
    "surrogate": (adding(b64(b'["s","a","\\ud800"]')), "disclosure_malformed"),
    "padded": (adding(b64(b'["s","a","b"]') + "="), "disclosure_malformed"),
    "not_base64": (adding("***"), "disclosure_malformed"),
    "empty_text": (sending(""), "disclosure_malformed"),
    "sd_alg_md5": (setting("issuer_payload", _sd_alg="md5"), "algorithm"),
    "sd_no_list": (setting("issuer_payload", _sd="x"), "malformed"),
    "many": (sending(*[disclosure(str(n), "a", "b") for n in range(5000)]), "too_large"),
    "withheld_name": (withheld("name"), "incomplete"),
    "withheld_person_key": (withheld("overseas_registration_number"), "incomplete"),
    "name_list": (hiding("name", ["a"]), "claim_invalid"),
    "name_html": (hiding("name", "<script>alert(1)</script>"), "claim_invalid"),
    "name_empty": (hiding("name", ""), "claim_invalid"),
    "name_10kB": (hiding("name", "가" * 10_000), "claim_invalid"),
    "name_turned_round": (hiding("name", "홍\u202e길동"), "claim_invalid"),
    **{
        f"birthdate_{date}": (hiding("birthdate", date), "claim_invalid")
        for date in ("2000-02-30", "00-01-01", "2000/01/01", "2000-01-01T00:00:00Z", "2999-01-01", "２０００-01-01")
    },
    "birthdate_object": (hiding("birthdate", {"a": 1}), "claim_invalid"),
    "person_key_number": (hiding("overseas_registration_number", 7), "claim_invalid"),
    # who shows it
    "cnf_missing": (setting("issuer_payload", cnf=None), "holder_key"),
    "cnf_kid": (setting("issuer_payload", cnf={"kid": "x"}), "holder_key"),
    "cnf_jku": (setting("issuer_payload", cnf={"jku": "http://127.0.0.1:1/jwks", "kid": "x"}), "holder_key"),
    "cnf_private": (setting("issuer_payload", cnf={"jwk": {**PUBLIC, "d": "AA"}}), "holder_key"),
    "cnf_oct": (setting("issuer_payload", cnf={"jwk": {"kty": "oct", "k": "AAAA"}}), "holder_key"),
    "cnf_off_curve": (setting("issuer_payload", cnf={"jwk": {**PUBLIC, "x": b64(bytes(32))}}), "holder_key"),
    "cnf_short": (setting("issuer_payload", cnf={"jwk": {**PUBLIC, "x": "AA"}}), "holder_key"),
    "cnf_text": (setting("issuer_payload", cnf="x"), "holder_key"),
    "unbound": (putting(bound=False), "key_binding_missing"),
    "other_holder_key": (putting(holder_key=stranger), "key_binding_signature"),
    "binding_flipped": (binding(flipped), "key_binding_signature"),
    "binding_none": (setting("binding_header", alg="none"), "algorithm"),
    "binding_hs256": (hs256_binding, "algorithm"),
    "binding_own_jwk": (own_jwk_binding, "key_binding_signature"),
    "binding_typ": (setting("binding_header", typ="JWT"), "key_binding_type"),
    "binding_no_typ": (setting("binding_header", typ=None), "key_binding_type"),
    "binding_garbage": (binding(lambda _: "a.b"), "malformed"),
    "aud_without_prefix": (
        lambda a: a.binding_payload.update(aud=a.request["client_id"].partition(":")[2]), "key_binding_audience"
    ),
    "aud_response_uri": (lambda a: a.binding_payload.update(aud=a.response_uri), "key_binding_audience"),
    "aud_issuer": (lambda a: a.binding_payload.update(aud=a.rig.issuer), "key_binding_audience"),
    "aud_list": (lambda a: a.binding_payload.update(aud=[a.request["client_id"]]), "key_binding_audience"),
    "aud_missing": (setting("binding_payload", aud=None), "key_binding_audience"),
    "nonce_wrong": (setting("binding_payload", nonce="x" * 43), "key_binding_nonce"),
    "nonce_missing": (setting("binding_payload", nonce=None), "key_binding_nonce"),
    "nonce_number": (setting("binding_payload", nonce=7), "key_binding_nonce"),
    "nonce_case": (lambda a: a.binding_payload.update(nonce=a.request["nonce"].swapcase()), "key_binding_nonce"),
    "nonce_of_another_login": (nonce_of_another_login, "key_binding_nonce"),
    "sd_hash_wrong": (setting("binding_payload", sd_hash=digest("x")), "key_binding_hash"),
    "sd_hash_missing": (setting("binding_payload", sd_hash=None), "key_binding_hash"),
    "sd_hash_of_others": (swapped_disclosures, "key_binding_hash"),
    "iat_last_year": (at("binding_payload", "iat", -YEAR_S), "key_binding_time"),
    "iat_next_year": (at("binding_payload", "iat", YEAR_S), "key_binding_time"),
    "iat_missing": (setting("binding_payload", iat=None), "key_binding_time"),
    "iat_text": (setting("binding_payload", iat="now"), "key_binding_time"),
    "iat_float": (at("binding_payload", "iat", 0.5), "key_binding_time"),
    # whether it still holds
    "status_missing": (setting("issuer_payload", status=None), "status_missing"),
    "status_text": (setting("issuer_payload", status="valid"), "status_invalid"),
    "status_other_kind": (setting("issuer_payload", status={"crl": {}}), "status_invalid"),
    **{
        f"idx_{idx}": (status_at(idx=idx), "status_invalid")
        for idx in (65_536, 65_537, -1, 2**63, 1.5, "7", True)
    },
    "idx_missing": (status_at(idx=None), "status_invalid"),
    "uri_missing": (status_at(uri=None), "status_invalid"),
    "uri_file": (status_at(uri="file:///etc/passwd"), "status_invalid"),
    "uri_long": (status_at(uri="https://a.example/" + "x" * 3000), "status_invalid"),
}  # fmt: skip


@pytest.fixture(scope="module")
def portal(rig: Rig) -> Iterator[Portal]:
    yield rig.portal("gov24")


def link_of(portal: Portal) -> str:
    return portal.link(portal.page(portal.begin()))


@pytest.mark.parametrize("kind", ROWS)
def test_it_is_refused_and_the_login_goes_on(rig: Rig, portal: Portal, kind: str) -> None:
    change, reason = ROWS[kind]
    link = link_of(portal)
    answer = Answer(rig, link)
    change(answer)
    with harmless(rig, *[("presentation.rejected", reason)] * 2):
        for _again in range(2):
            body = as_json(answer.send(), 400, "invalid_request")
    login = answer.request["state"].partition(".")[0]
    assert body == {
        "error": "invalid_request",
        "error_description": "The response was not accepted.",
        "redirect_uri": f"{rig.issuer}/authorize/resume?login={login}",
    }
    assert Answer(rig, link).send().status_code == 200
