"""Whom we believe: chains, missions and their days, and the documents a registry is made of."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Reason, TrustDocumentError
from idp.credentials.trust import Issuer, TrustSnapshot, from_documents, status_signer
from tests.credentials.issuing import (
    CA_EXTENSIONS,
    LEAF_EXTENSIONS,
    NOW,
    TYPE_ID,
    VCT,
    Authority,
    certificate,
    credential_type,
    der,
    p256,
    registry,
    sd_jwt_format,
    usage,
)

Extensions = Sequence[tuple[x509.ExtensionType, bool]]


@pytest.fixture
def authority() -> Authority:
    return Authority()


def believe(trust: TrustSnapshot, *chain: x509.Certificate, now: int = NOW) -> Issuer:
    return trust.issuer_for_chain(TYPE_ID, "dc+sd-jwt", tuple(map(der, chain)), now)


def refuse(trust: TrustSnapshot, *chain: x509.Certificate, now: int = NOW) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        believe(trust, *chain, now=now)
    return refusal.value.reason


# Chains


def test_a_chain_leads_to_its_mission(authority: Authority) -> None:
    other = Authority("HAN")
    trust = registry(authority.mission(), other.mission())
    assert believe(trust, authority.signer).mission.code == "LAX"
    assert believe(trust, other.signer).mission.code == "HAN"
    assert believe(trust, other.signer).mission.code == "HAN"  # and so it does from the cache


def test_missions_whose_cas_share_a_name_are_told_apart_by_their_keys() -> None:
    first, second = Authority("SAME"), Authority("SAME")
    trust = registry(first.mission(code="ONE"), second.mission(code="TWO"))
    assert believe(trust, first.signer).mission.code == "ONE"
    assert believe(trust, second.signer).mission.code == "TWO"


def intermediate(
    authority: Authority, extensions: Extensions = CA_EXTENSIONS
) -> tuple[Any, x509.Certificate]:
    key = p256()
    return key, authority.leaf(key, extensions, subject="intermediate")


def below(key: Any, extensions: Extensions = LEAF_EXTENSIONS) -> x509.Certificate:
    return certificate("deep signer", p256(), "intermediate", key, extensions)


def test_a_chain_over_an_intermediate_is_accepted_in_order_only(authority: Authority) -> None:
    trust = registry(authority.mission())
    key, middle = intermediate(authority)
    leaf = below(key)
    assert believe(trust, leaf, middle).mission.code == "LAX"
    assert refuse(trust, middle, leaf) is Reason.ISSUER_CERTIFICATE
    assert refuse(trust, leaf) is Reason.ISSUER_UNTRUSTED


def test_a_chain_with_its_anchor_is_refused(authority: Authority) -> None:
    assert refuse(registry(authority.mission()), authority.signer, authority.ca) is Reason.ISSUER_CERTIFICATE


def test_a_chain_with_a_stranger_is_refused(authority: Authority) -> None:
    trust = registry(authority.mission())
    stranger = certificate("LAX CA", p256(), "LAX CA 2", p256(), CA_EXTENSIONS)
    assert refuse(trust, authority.signer, Authority("HAN").signer) is Reason.ISSUER_CERTIFICATE
    assert refuse(trust, authority.signer, stranger) is Reason.ISSUER_UNTRUSTED


def test_a_chain_over_a_cross_certificate_leads_to_the_anchor_above_it(authority: Authority) -> None:
    root = Authority("ROOT")
    cross = root.leaf(authority.key, CA_EXTENSIONS, subject="LAX CA")
    assert (
        believe(registry(authority.mission(), root.mission()), authority.signer, cross).mission.code == "ROOT"
    )
    assert believe(registry(authority.mission(), root.mission()), authority.signer).mission.code == "LAX"


def test_a_chain_that_holds_more_than_its_path_is_refused(authority: Authority) -> None:
    # leaf, then a way around that comes back to the anchor which signed the leaf itself.
    key = p256()
    first = certificate("LAX CA", authority.key, "around", key, CA_EXTENSIONS)
    second = authority.leaf(key, CA_EXTENSIONS, subject="around")
    assert refuse(registry(authority.mission()), authority.signer, first, second) is Reason.ISSUER_CERTIFICATE


def test_a_self_signed_leaf_is_refused_even_when_it_is_an_anchor() -> None:
    key = p256()
    leaf = certificate("alone", key, "alone", key, LEAF_EXTENSIONS)
    trust = registry(Authority().mission(issuer_anchors=(leaf,)))
    assert refuse(trust, leaf) is Reason.ISSUER_CERTIFICATE


def test_a_leaf_that_calls_itself_what_its_ca_is_called_is_refused(authority: Authority) -> None:
    leaf = authority.leaf(p256(), LEAF_EXTENSIONS, subject="LAX CA")
    assert refuse(registry(authority.mission()), leaf) is Reason.ISSUER_CERTIFICATE


def test_a_leaf_with_the_key_of_its_ca_is_refused(authority: Authority) -> None:
    leaf = authority.leaf(authority.key, LEAF_EXTENSIONS, subject="LAX")
    assert refuse(registry(authority.mission()), leaf) is Reason.ISSUER_CERTIFICATE


def test_another_key_under_a_trusted_name_is_refused(authority: Authority) -> None:
    assert refuse(registry(authority.mission()), Authority("LAX").signer) is Reason.ISSUER_UNTRUSTED


def test_an_empty_registry_believes_nobody(authority: Authority) -> None:
    assert refuse(registry(), authority.signer) is Reason.ISSUER_UNTRUSTED
    assert refuse(TrustSnapshot({}, {}), authority.signer) is Reason.ISSUER_UNTRUSTED


def test_a_mission_is_believed_for_its_own_types_only(authority: Authority) -> None:
    licence = credential_type(
        id="licence", formats={"dc+sd-jwt": sd_jwt_format(names=frozenset({"urn:licence"}))}
    )
    mission = authority.mission(credential_types=frozenset({"licence"}))
    trust = registry(mission, types=[credential_type(), licence])
    assert refuse(trust, authority.signer) is Reason.ISSUER_UNTRUSTED
    assert trust.issuer_for_chain("licence", "dc+sd-jwt", (der(authority.signer),), NOW).mission is mission
    # A chain validated for one type is not thereby valid for another.
    assert refuse(trust, authority.signer) is Reason.ISSUER_UNTRUSTED


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [(usage(key_agreement=True), True)],
        [(usage(digital_signature=True, key_cert_sign=True), True)],
        [*LEAF_EXTENSIONS, (x509.BasicConstraints(ca=True, path_length=None), True)],
        [*LEAF_EXTENSIONS, (x509.ExtendedKeyUsage([Eku.SERVER_AUTH]), False)],
        [*LEAF_EXTENSIONS, (x509.ExtendedKeyUsage([Eku.CODE_SIGNING, Eku.CLIENT_AUTH]), True)],
    ],
    ids=["no key usage", "key agreement", "signs certificates", "a CA", "TLS server", "code and TLS client"],
)
def test_a_leaf_made_for_something_else_is_refused(authority: Authority, extensions: Extensions) -> None:
    leaf = authority.leaf(p256(), extensions)
    assert refuse(registry(authority.mission()), leaf) is Reason.ISSUER_CERTIFICATE


MDL_SIGNER = x509.ObjectIdentifier("1.0.18013.5.1.2")


@pytest.mark.parametrize(
    "purposes", [[MDL_SIGNER], [Eku.SERVER_AUTH, MDL_SIGNER], [Eku.ANY_EXTENDED_KEY_USAGE]]
)
def test_a_leaf_with_a_purpose_of_its_own_is_accepted(authority: Authority, purposes: list[Any]) -> None:
    leaf = authority.leaf(p256(), [*LEAF_EXTENSIONS, (x509.ExtendedKeyUsage(purposes), True)])
    assert believe(registry(authority.mission()), leaf)


def test_a_type_may_demand_a_purpose(authority: Authority) -> None:
    known = credential_type(
        formats={"dc+sd-jwt": sd_jwt_format(issuer_ekus=frozenset({MDL_SIGNER.dotted_string}))}
    )
    trust = registry(authority.mission(), types=[known])
    good = authority.leaf(p256(), [*LEAF_EXTENSIONS, (x509.ExtendedKeyUsage([MDL_SIGNER]), True)])
    assert believe(trust, good)
    assert refuse(trust, authority.signer) is Reason.ISSUER_CERTIFICATE


no_ca = pytest.mark.parametrize(
    "extensions",
    [
        LEAF_EXTENSIONS,
        [(x509.BasicConstraints(ca=False, path_length=None), True), (usage(key_cert_sign=True), True)],
        [(x509.BasicConstraints(ca=True, path_length=None), True), (usage(digital_signature=True), True)],
        [(x509.BasicConstraints(ca=True, path_length=None), False), (usage(key_cert_sign=True), True)],
        [(x509.BasicConstraints(ca=True, path_length=None), True)],
    ],
    ids=["a leaf", "not a CA", "no keyCertSign", "not critical", "no key usage"],
)


@no_ca
def test_an_intermediate_that_is_no_ca_is_refused(authority: Authority, extensions: Extensions) -> None:
    key, middle = intermediate(authority, extensions)
    assert refuse(registry(authority.mission()), below(key), middle) is Reason.ISSUER_UNTRUSTED


@no_ca
def test_an_anchor_that_is_no_ca_vouches_for_nobody(extensions: Extensions) -> None:
    # Documents with such an anchor are refused; this one was built by hand.
    unfit, fit = Authority("UNFIT", ca_extensions=extensions), Authority("FIT")
    trust = registry(unfit.mission(), fit.mission())
    assert refuse(trust, unfit.signer) is Reason.ISSUER_UNTRUSTED
    assert believe(trust, fit.signer).mission.code == "FIT"
    key, middle = intermediate(unfit)
    assert refuse(trust, below(key), middle) is Reason.ISSUER_UNTRUSTED


def test_a_path_longer_than_its_ca_allows_is_refused() -> None:
    short = (x509.BasicConstraints(ca=True, path_length=0), True)
    authority = Authority(ca_extensions=[short, (usage(key_cert_sign=True), True)])
    key, middle = intermediate(authority)
    trust = registry(authority.mission())
    assert believe(trust, authority.signer)
    assert refuse(trust, below(key), middle) is Reason.ISSUER_UNTRUSTED


def test_an_unknown_critical_extension_is_refused(authority: Authority) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    trust = registry(authority.mission())
    assert believe(trust, authority.leaf(p256(), [*LEAF_EXTENSIONS, (unknown, False)]))
    assert (
        refuse(trust, authority.leaf(p256(), [*LEAF_EXTENSIONS, (unknown, True)])) is Reason.ISSUER_UNTRUSTED
    )


@pytest.mark.parametrize(
    ("permitted", "excluded", "name", "good"),
    [
        (["mofa.example"], None, "lax.mofa.example", True),
        (["mofa.example"], None, "attacker.example", False),
        (["mofa.example"], None, "*.example", False),
        (None, ["bad.example"], "x.bad.example", False),
        (None, ["bad.example"], "*.bad.example", False),
        (None, ["bad.example"], "good.example", True),
    ],
)
def test_name_constraints_hold(permitted: Any, excluded: Any, name: str, good: bool) -> None:
    def subtrees(names: list[str] | None) -> list[x509.GeneralName] | None:
        return [x509.DNSName(one) for one in names] if names else None

    constraints = x509.NameConstraints(subtrees(permitted), subtrees(excluded))
    authority = Authority(ca_extensions=[*CA_EXTENSIONS, (constraints, True)])
    alternative = (x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    leaf = authority.leaf(p256(), [*LEAF_EXTENSIONS, alternative])
    trust = registry(authority.mission())
    if good:
        assert believe(trust, leaf)
    else:
        assert refuse(trust, leaf) is Reason.ISSUER_UNTRUSTED


def test_a_leafs_times_are_checked_also_when_its_chain_is_remembered(authority: Authority) -> None:
    trust = registry(authority.mission())
    leaf = authority.leaf(p256(), not_before=NOW, not_after=NOW + 100)
    assert refuse(trust, leaf, now=NOW - 1) is Reason.ISSUER_CERTIFICATE
    assert believe(trust, leaf, now=NOW)
    assert believe(trust, leaf, now=NOW + 100)
    assert refuse(trust, leaf, now=NOW + 101) is Reason.ISSUER_CERTIFICATE
    assert refuse(trust, leaf, now=NOW - 1) is Reason.ISSUER_CERTIFICATE


def test_an_expired_anchor_vouches_for_nobody_also_when_its_chain_is_remembered(authority: Authority) -> None:
    old = certificate("LAX CA", authority.key, "LAX CA", authority.key, CA_EXTENSIONS, not_after=NOW + 10)
    trust = registry(authority.mission(issuer_anchors=(old,)))
    assert refuse(registry(authority.mission(issuer_anchors=(old,))), authority.signer, now=NOW + 11) is (
        Reason.ISSUER_UNTRUSTED
    )
    assert believe(trust, authority.signer)
    assert refuse(trust, authority.signer, now=NOW + 11) is Reason.ISSUER_CERTIFICATE


def test_a_mission_that_is_taken_out_is_out_at_once(authority: Authority) -> None:
    trust = registry(authority.mission())
    assert believe(trust, authority.signer)
    assert refuse(replace(trust, missions={}), authority.signer) is Reason.ISSUER_UNTRUSTED


@pytest.mark.parametrize(
    "key", [lambda: ec.generate_private_key(ec.SECP256K1()), lambda: rsa.generate_private_key(65537, 2048)]
)
def test_a_leaf_with_a_key_of_another_kind_is_refused(authority: Authority, key: Callable[[], Any]) -> None:
    reason = refuse(registry(authority.mission()), authority.leaf(key()))
    assert reason in {Reason.ALGORITHM, Reason.ISSUER_UNTRUSTED}


@pytest.mark.parametrize("garbage", [b"", b"x", b"\x30\x00", b"\x30\x84\xff\xff\xff\xff", b"\x00" * 8000])
def test_what_is_no_certificate_is_refused(authority: Authority, garbage: bytes) -> None:
    with pytest.raises(CredentialRejected) as refusal:
        registry(authority.mission()).issuer_for_chain(TYPE_ID, "dc+sd-jwt", (garbage,), NOW)
    assert refusal.value.reason is Reason.ISSUER_CERTIFICATE


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_negative_serial_number_is_refused(authority: Authority) -> None:
    good = der(authority.signer)
    at = good.index(b"\x02\x14")  # the serial number, an INTEGER of 20 octets
    bad = good[: at + 2] + bytes([good[at + 2] | 0x80]) + good[at + 3 :]
    with pytest.raises(CredentialRejected) as refusal:
        registry(authority.mission()).issuer_for_chain(TYPE_ID, "dc+sd-jwt", (bad,), NOW)
    assert refusal.value.reason in {Reason.ISSUER_UNTRUSTED, Reason.ISSUER_CERTIFICATE}


def test_odd_names_in_a_certificate_do_no_harm(authority: Authority) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("xn--9n2bp8q.example"), x509.RFC822Name("a@b.example")])
    leaf = authority.leaf(p256(), [*LEAF_EXTENSIONS, (names, False)], subject="nul\x00l and 한글")
    assert believe(registry(authority.mission()), leaf).mission.code == "LAX"


FUZZED = Authority()
FUZZED_DER = der(FUZZED.signer)
COMMON_NAME = (
    FUZZED_DER.index(bytes.fromhex("550403")) + 2
)  # the last octet of 2.5.4.3; with 6 for 3 it is a country


@settings(max_examples=1500)
@given(st.integers(0, len(FUZZED_DER) - 1), st.integers(1, 255))
@example(COMMON_NAME, 3 ^ 6)
def test_no_altered_certificate_is_accepted_or_raises_anything_but_a_refusal(at: int, mask: int) -> None:
    altered = bytearray(FUZZED_DER)
    altered[at] ^= mask
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        # So says the library of a country whose name has not two letters.
        warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning)
        try:
            registry(FUZZED.mission()).issuer_for_chain(TYPE_ID, "dc+sd-jwt", (bytes(altered),), NOW)
        except CredentialRejected:
            return
        # The library lets the signature's bit string claim unused bits, where they are zero: nothing signed differs.
        accepted = x509.load_der_x509_certificate(bytes(altered))
    assert accepted.tbs_certificate_bytes == FUZZED.signer.tbs_certificate_bytes
    assert accepted.signature == FUZZED.signer.signature


# Days


def seoul_midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 9 * 3600


def test_a_mission_issues_from_its_first_to_its_last_day_in_seoul(authority: Authority) -> None:
    trust = registry(authority.mission(active_from=date(2026, 11, 23), active_until=date(2026, 11, 24)))
    begin, end = seoul_midnight(date(2026, 11, 23)), seoul_midnight(date(2026, 11, 25))
    assert refuse(trust, authority.signer, now=begin - 1) is Reason.ISSUER_NOT_ACTIVE
    assert believe(trust, authority.signer, now=begin)
    assert believe(trust, authority.signer, now=end - 1)
    assert refuse(trust, authority.signer, now=end) is Reason.ISSUER_NOT_ACTIVE


# Pinned signers


def test_a_pinned_signer_needs_no_path(authority: Authority) -> None:
    trust = registry(authority.mission(issuer_anchors=(), pinned_signers=(authority.signer,)))
    assert believe(trust, authority.signer).mission is trust.missions["LAX"]
    stranger = Authority()
    assert refuse(trust, stranger.signer) is Reason.ISSUER_UNTRUSTED
    assert refuse(trust, authority.signer, authority.ca) is Reason.ISSUER_CERTIFICATE


def test_a_pinned_signer_may_be_certified_by_itself_and_for_anything(authority: Authority) -> None:
    trust = registry(authority.mission(issuer_anchors=(), pinned_signers=(authority.ca,)))
    assert believe(trust, authority.ca).mission.code == "LAX"
    assert refuse(trust, authority.signer) is Reason.ISSUER_UNTRUSTED


def test_a_pinned_signer_is_believed_while_it_is_valid_and_its_mission_issues(authority: Authority) -> None:
    trust = registry(authority.mission(issuer_anchors=(), pinned_signers=(authority.signer,)))
    end = int(authority.signer.not_valid_after_utc.timestamp())
    assert refuse(trust, authority.signer, now=end + 1) is Reason.ISSUER_CERTIFICATE
    closed = replace(trust.missions["LAX"], active_until=date(2025, 1, 1))
    assert refuse(registry(closed), authority.signer) is Reason.ISSUER_NOT_ACTIVE


def test_a_pinned_signer_is_pinned_for_the_types_of_its_mission(authority: Authority) -> None:
    licence = credential_type(id="licence", formats={"dc+sd-jwt": sd_jwt_format(names=frozenset({"urn:l"}))})
    mission = authority.mission(issuer_anchors=(), pinned_signers=(authority.signer,))
    trust = registry(mission, types=[credential_type(), licence])
    with pytest.raises(CredentialRejected) as refusal:
        trust.issuer_for_chain("licence", "dc+sd-jwt", (der(authority.signer),), NOW)
    assert refusal.value.reason is Reason.ISSUER_UNTRUSTED


# Status signers


def test_a_status_signer_is_under_its_missions_ca(authority: Authority) -> None:
    chain = (der(authority.status_signer),)
    assert status_signer(authority.mission(), chain, NOW).anchor.certificate == authority.ca
    with pytest.raises(CredentialRejected):
        status_signer(Authority().mission(), chain, NOW)


def test_a_mission_may_name_other_anchors_for_its_status_lists(authority: Authority) -> None:
    other = Authority("STATUS")
    mission = authority.mission(status_anchors=(other.ca,))
    assert status_signer(mission, (der(other.status_signer),), NOW)
    with pytest.raises(CredentialRejected):
        status_signer(mission, (der(authority.status_signer),), NOW)


# Documents


def pem(one: x509.Certificate) -> str:
    return one.public_bytes(Encoding.PEM).decode("ascii")


CA = Authority().ca
SD_JWT: dict[str, Any] = {
    "names": [VCT],
    "elements": ["name", "passport.number", "overseas_registration_number"],
    "authentication": ["user_authentication"],
}
MDOC: dict[str, Any] = {
    "names": ["org.iso.23220.photoid.1"],
    "elements": {
        "name": ["example.idp", "name_ko"],
        "overseas_registration_number": ["example.idp", "registration_number"],
    },
    "issuer_ekus": ["1.0.18013.5.1.2"],
}
TYPE_DOCUMENT: dict[str, Any] = {
    "id": TYPE_ID,
    "name": {"ko": "모바일 재외국민 신원확인증", "en": "Mobile Overseas Korean Identity Certificate"},
    "trust_domain": "kr-overseas",
    "person_key": "overseas_registration_number",
    "status_required": True,
    "formats": {"dc+sd-jwt": SD_JWT, "mso_mdoc": MDOC},
    "secure_authentication": [["pin", "face"], ["pin", "fpt"]],
}
MISSION_DOCUMENT: dict[str, Any] = {
    "code": "LAX",
    "name": {"ko": "주로스앤젤레스 대한민국 총영사관", "en": "Consulate General in Los Angeles"},
    "country": "US",
    "credential_types": [TYPE_ID],
    "active_from": date(2024, 7, 3),
    "issuer_certificates": [pem(CA)],
    "status_certificates": [],
}


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def problems(types: Any, missions: Any) -> tuple[str, ...]:
    with pytest.raises(TrustDocumentError) as refusal:
        from_documents(types, missions)
    return refusal.value.problems


def elements(*names: Any) -> dict[str, Any]:
    """The formats of a type that shows these elements."""
    return {"formats": {"dc+sd-jwt": {**SD_JWT, "elements": list(names)}}}


def mdoc_paths(**paths: Any) -> dict[str, Any]:
    return {"formats": {"mso_mdoc": {**MDOC, "elements": {**MDOC["elements"], **paths}}}}


def mdoc_authentication(*path: str) -> dict[str, Any]:
    return {"formats": {"mso_mdoc": {**MDOC, "authentication": list(path)}}}


def test_a_snapshot_is_built_from_documents() -> None:
    trust = from_documents([TYPE_DOCUMENT], [MISSION_DOCUMENT])
    known, mission = trust.types[TYPE_ID], trust.missions["LAX"]
    assert trust.type_named("dc+sd-jwt", VCT) == (known, known.formats["dc+sd-jwt"])
    assert trust.type_named("mso_mdoc", "org.iso.23220.photoid.1") == (known, known.formats["mso_mdoc"])
    assert known.formats["mso_mdoc"].paths[("name",)] == ("example.idp", "name_ko")
    assert known.formats["dc+sd-jwt"].paths[("passport", "number")] == ("passport", "number")
    assert known.elements == {("name",), ("passport", "number"), ("overseas_registration_number",)}
    assert known.secure_authentication == (frozenset({"pin", "face"}), frozenset({"pin", "fpt"}))
    assert (mission.active_from, mission.active_until) == (date(2024, 7, 3), None)
    assert mission.issuer_anchors == (CA,)
    assert mission.name["ko"] == MISSION_DOCUMENT["name"]["ko"]


def test_documents_that_were_stored_as_json_are_read_alike() -> None:
    stored = {**MISSION_DOCUMENT, "active_from": "2024-07-03", "active_until": "2030-12-31"}
    mission = from_documents([TYPE_DOCUMENT], [stored]).missions["LAX"]
    assert (mission.active_from, mission.active_until) == (date(2024, 7, 3), date(2030, 12, 31))
    assert from_documents([TYPE_DOCUMENT], [{**MISSION_DOCUMENT, "active_until": None}])


def test_what_may_be_left_out_has_a_safe_value() -> None:
    bare = without(TYPE_DOCUMENT, "status_required", "secure_authentication", "person_key")
    bare["formats"] = {"dc+sd-jwt": without(SD_JWT, "authentication")}
    known = from_documents([bare], [without(MISSION_DOCUMENT, "status_certificates")]).types[TYPE_ID]
    assert (known.status_required, known.formats["dc+sd-jwt"].authentication) == (True, None)
    assert known.person_key is None
    assert known.secure_authentication == ()


def test_no_documents_make_a_registry_that_believes_nobody() -> None:
    assert from_documents([], []) == TrustSnapshot({}, {})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "a b"}, "credential_type[0] (a b).id: not of the form"),
        ({"id": None}, "credential_type[0].id: not a text"),
        ({"id": "a.b"}, "credential_type[0] (a.b).id: not of the form"),
        ({"formats": {}}, "formats: not a table of tables"),
        ({"formats": {"dc+sdjwt": SD_JWT}}, "formats.dc+sdjwt: not one of dc+sd-jwt"),
        ({"formats": {"dc+sd-jwt": "x"}}, "formats.dc+sd-jwt: not a table"),
        ({"formats": {"dc+sd-jwt": {**SD_JWT, "names": []}}}, "names: not a list of texts"),
        ({"formats": {"dc+sd-jwt": {**SD_JWT, "names": VCT}}}, "names: not a list of texts"),
        (
            elements("overseas_registration_number", "nickname"),
            "elements: not elements that we know: nickname",
        ),
        (elements("name"), "formats.dc+sd-jwt.elements: lacks the person_key"),
        (elements(7), "elements: an item is not a text"),
        ({"formats": {"mso_mdoc": {**MDOC, "elements": {"name": "name_ko"}}}}, "elements: neither a list"),
        (mdoc_paths(name=["a", "b", "c"]), "elements: a path into an mdoc is a namespace and an element"),
        (mdoc_authentication("user_authentication"), "elements: a path into an mdoc is"),
        ({"person_key": "nickname"}, "lacks the person_key"),
        ({"status_required": "yes"}, "status_required: not true or false"),
        ({"secure_authentication": [[]]}, "secure_authentication: not a list of lists"),
        ({"secure_authentication": ["pin"]}, "secure_authentication: not a list of lists"),
        ({"name": {"ko": "이름"}}, "name: not a table of texts by language"),
        ({"name": "x"}, "name: not a table of texts by language"),
        ({"name": {"ko": "이름", "en": "Name", "name_ko": "x"}}, "name: not a language: name_ko"),
        (
            {"formats": {"dc+sd-jwt": {**SD_JWT, "issuer_ekus": ["serverAuth"]}}},
            "issuer_ekus: an item is not",
        ),
        ({"formats": {"dc+sd-jwt": {**SD_JWT, "colour": "red"}}}, "formats.dc+sd-jwt.colour: unknown"),
        ({"colour": "red"}, "colour: unknown"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_credential_type_that_cannot_be_used_is_refused(change: dict[str, Any], problem: str) -> None:
    found = problems([{**TYPE_DOCUMENT, **change}], [])
    assert any(problem in one for one in found)
    assert len(found) <= 2


@pytest.mark.parametrize("name", ["id", "name", "formats", "trust_domain"])
def test_a_credential_type_lacks_nothing(name: str) -> None:
    assert any(f".{name}: missing" in problem for problem in problems([without(TYPE_DOCUMENT, name)], []))


LEAF = Authority().signer


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"code": "../LAX"}, "mission[0] (../LAX).code: not of the form"),
        ({"country": "USA"}, "country: not of the form"),
        ({"credential_types": ["other"]}, "credential_types: not a credential type: other"),
        ({"active_from": "2024-02-30"}, "active_from: not a day"),
        ({"active_from": datetime(2024, 7, 3, tzinfo=UTC)}, "active_from: not a day"),
        ({"active_from": 20240703}, "active_from: not a day"),
        ({"active_until": date(2024, 7, 2)}, "active_until: before active_from"),
        ({"issuer_certificates": []}, "issuer_certificates: missing, and neither pinned_signers nor"),
        ({"issuer_dids": ["omn:1"]}, "issuer_dids: an item is not a text of the form did:"),
        ({"issuer_certificates": ["PEM"]}, "issuer_certificates[0]: not one PEM certificate"),
        ({"issuer_certificates": [pem(CA) * 2]}, "issuer_certificates[0]: not one PEM certificate"),
        ({"issuer_certificates": [pem(CA), pem(LEAF)]}, "issuer_certificates[1]: has no basicConstraints"),
        ({"pinned_signers": ["PEM"]}, "pinned_signers[0]: not one PEM certificate"),
        ({"status_certificates": [pem(LEAF)]}, "status_certificates[0]: has no basicConstraints"),
        ({"issuer_certificate": pem(CA)}, "issuer_certificate: unknown"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mission_that_cannot_be_used_is_refused(change: dict[str, Any], problem: str) -> None:
    found = problems([TYPE_DOCUMENT], [{**MISSION_DOCUMENT, **change}])
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    "name", ["code", "name", "country", "credential_types", "active_from", "issuer_certificates"]
)
def test_a_mission_lacks_nothing(name: str) -> None:
    found = problems([TYPE_DOCUMENT], [without(MISSION_DOCUMENT, name)])
    assert any(f".{name}: missing" in problem for problem in found)


def test_every_problem_is_named_at_once() -> None:
    found = problems(
        [{**TYPE_DOCUMENT, "id": "a b", "formats": {"x": SD_JWT}}, "no table"],
        [{**MISSION_DOCUMENT, "country": "usa"}, {**MISSION_DOCUMENT, "code": "HAN", "active_from": "soon"}],
    )
    text = "\n".join(found)
    for part in (
        ".id:",
        "formats.x:",
        "credential_type[1]: not a table",
        "country:",
        "mission[1] (HAN).active_from:",
    ):
        assert part in text


def test_a_mission_may_sign_by_identifier_alone() -> None:
    stored = {**without(MISSION_DOCUMENT, "issuer_certificates"), "issuer_dids": ["did:omn:issuer"]}
    trust = from_documents([TYPE_DOCUMENT], [stored])
    assert trust.issuer_for_did(TYPE_ID, "did:omn:issuer", NOW) is trust.missions["LAX"]
    for did, moment, reason in (
        ("did:omn:other", NOW, Reason.ISSUER_UNTRUSTED),
        ("did:omn:issuer", 0, Reason.ISSUER_NOT_ACTIVE),
    ):
        with pytest.raises(CredentialRejected) as refusal:
            trust.issuer_for_did(TYPE_ID, did, moment)
        assert refusal.value.reason is reason
    assert problems([TYPE_DOCUMENT], [stored, {**stored, "code": "HAN"}]) == (
        "mission[1] (HAN).issuer_dids: one is LAX's too",
    )


def test_what_stands_twice_is_refused() -> None:
    again = {**TYPE_DOCUMENT, "id": "again"}
    assert problems([TYPE_DOCUMENT, again], []) == (
        "credential_type[1] (again).formats.dc+sd-jwt.names: shared with kr-overseas-national",
        "credential_type[1] (again).formats.mso_mdoc.names: shared with kr-overseas-national",
    )
    assert "credential_type[1] (kr-overseas-national).id: stands twice" in problems(
        [TYPE_DOCUMENT, TYPE_DOCUMENT], []
    )
    other = {**MISSION_DOCUMENT, "code": "HAN"}
    assert problems([TYPE_DOCUMENT], [MISSION_DOCUMENT, other]) == (
        "mission[1] (HAN).issuer_certificates: one is LAX's too",
    )
    assert "mission[1] (LAX).code: stands twice" in problems(
        [TYPE_DOCUMENT], [MISSION_DOCUMENT, MISSION_DOCUMENT]
    )


def test_a_snapshot_built_by_hand_refuses_a_shared_anchor_too(authority: Authority) -> None:
    trust = registry(authority.mission(), authority.mission(code="HAN"))
    with pytest.raises(TrustDocumentError, match="share"):
        believe(trust, authority.signer)
