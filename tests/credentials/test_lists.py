"""Lists that others keep: what a VICAL and a LoTE say, once it is clear who signed them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from idp.credentials import lote, vical
from idp.credentials.lists import AuthorityList, ListRefused
from tests.credentials import listing
from tests.credentials.issuing import ABSENT, NOW, p256
from tests.credentials.listing import ISSUANCE, MDL, REVOCATION, Keeper, entity, iaca, info, service

US, KR = iaca("Utah IACA", "US", "UT"), iaca("Korea IACA", "KR")


def refused(read: Callable[[], AuthorityList]) -> tuple[str, ...]:
    with pytest.raises(ListRefused) as refusal:
        read()
    return refusal.value.problems


# -- VICAL -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keeper() -> Keeper:
    return listing.vical_keeper()


def vical_of(
    keeper: Keeper, *infos: Any, signers: list[x509.Certificate] | None = None, **changes: Any
) -> AuthorityList:
    data = listing.vical(keeper, infos or [info(US), info(KR)], at=NOW, **changes)
    return vical.read(data, signers=[keeper.ca] if signers is None else signers, now=NOW)


@pytest.mark.parametrize("tagged", [False, True])
def test_a_vical_says_who_issues_what(keeper: Keeper, tagged: bool) -> None:
    listed = vical_of(keeper, tagged=tagged)
    assert (listed.source, listed.number) == ("vical:Test provider", 7)
    assert (listed.issued_at, listed.next_update) == (NOW - 3600, NOW + 86_400)
    first, second = listed.authorities
    assert (first.country, first.region, first.names) == ("US", "UT", {"en": "Utah IACA"})
    assert first.services[0].kinds == {MDL}
    assert first.services[0].certificates == (US,)
    assert (second.country, second.region) == ("KR", None)
    assert listed.unusable == ()


def test_what_a_vical_says_of_an_authority_goes_before_its_certificate(keeper: Keeper) -> None:
    entry = info(US, issuingAuthority="Utah DLD", issuingCountry="US-UT", stateOrProvinceName="Utah")
    (one,) = vical_of(keeper, entry).authorities
    assert (one.names, one.country, one.region) == ({"en": "Utah DLD"}, "US", "UT")


def test_a_vical_may_be_signed_by_a_certificate_that_was_named_itself(keeper: Keeper) -> None:
    assert vical_of(keeper, signers=[keeper.signer]).number == 7
    assert vical_of(keeper, signers=[keeper.ca], chain=[keeper.signer, keeper.ca]).number == 7


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tamper": True}, "issuer_signature"),
        ({"chain": []}, "x5chain"),
        ({"alg": -8}, "algorithm"),
        ({"signers": []}, "issuer_untrusted"),
        ({"signers": [Keeper("Somebody else").ca]}, "issuer_untrusted"),
    ],
)
def test_a_vical_that_is_not_signed_by_whom_it_should_be_is_not_read(
    keeper: Keeper, changes: dict[str, Any], problem: str
) -> None:
    (said,) = refused(lambda: vical_of(keeper, **changes))
    assert problem in said
    assert said.startswith("not a VICAL of this signer")


def test_a_certificate_for_another_purpose_signs_no_vical(keeper: Keeper) -> None:
    key = p256()
    other = Keeper("Test VICAL", eku="1.0.18013.5.1.2", key=key, ca_key=keeper.ca_key)
    other.ca = keeper.ca
    assert "not for such lists" in refused(lambda: vical_of(other, signers=[keeper.ca]))[0]


def test_a_signer_is_valid_when_the_list_is_taken(keeper: Keeper) -> None:
    data = listing.vical(keeper, [info(US)], at=NOW)
    late = int(listing.END.timestamp()) + 1
    for signers in ([keeper.ca], [keeper.signer]):
        assert "not valid now" in refused(lambda s=signers: vical.read(data, signers=s, now=late))[0]  # type: ignore[misc]


@pytest.mark.parametrize(
    "data", [b"", b"\x84", b"no CBOR at all", cbor2.dumps({}), cbor2.dumps([1, 2, 3, 4]), b"\xd2\x80"]
)
def test_what_is_no_cose_is_no_vical(keeper: Keeper, data: bytes) -> None:
    assert refused(lambda: vical.read(data, signers=[keeper.ca], now=NOW))


def test_every_problem_of_a_vical_is_named_at_once(keeper: Keeper) -> None:
    wrong = {
        "version": 1,
        "vicalProvider": None,
        "date": "today",
        "certificateInfos": {},
        "vicalIssueID": True,
    }
    problems = refused(lambda: vical_of(keeper, nextUpdate="soon", **wrong))
    assert {problem.partition(":")[0] for problem in problems} == {*wrong, "nextUpdate"}


@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": b"none"},
        {"certificate": ABSENT},
        {"serialNumber": 5},
        {"ski": b"another"},
        {"docType": []},
        {"docType": ABSENT},
    ],
)
def test_an_entry_that_cannot_be_used_is_named_and_the_others_are_read(
    keeper: Keeper, changes: dict[str, Any]
) -> None:
    listed = vical_of(keeper, info(US, **changes), info(KR))
    assert [one.country for one in listed.authorities] == ["KR"]
    (said,) = listed.unusable
    assert said.startswith("certificateInfos[0]: ")


def test_an_entry_that_is_no_map_is_named(keeper: Keeper) -> None:
    assert vical_of(keeper, "entry", 5, info(KR)).unusable != ()


# -- LoTE ------------------------------------------------------------------------------------------------------

LEGAL = entity("Utah", service(ISSUANCE, US), service(REVOCATION, KR), ko="유타")


@pytest.fixture(scope="module")
def operator() -> Keeper:
    return Keeper("Test operator")


def lote_of(
    keeper: Keeper, *entities: Any, signers: list[x509.Certificate] | None = None, **changes: Any
) -> AuthorityList:
    text = listing.lote(keeper, entities or [LEGAL], at=NOW, **changes)
    return lote.read(text, signers=[keeper.ca] if signers is None else signers, now=NOW)


def test_a_lote_says_who_is_trusted_for_which_service(operator: Keeper) -> None:
    listed = lote_of(operator)
    assert (listed.source, listed.number) == ("etsi:Test operator: Test scheme", 3)
    assert (listed.issued_at, listed.next_update) == (NOW - 3600, NOW + 86_400)
    (one,) = listed.authorities
    assert (one.names, one.country, one.region) == ({"en": "Utah", "ko": "유타"}, "US", "UT")
    assert [(service.kinds, service.certificates) for service in one.services] == [
        (frozenset({ISSUANCE}), (US,)),
        (frozenset({REVOCATION}), (KR,)),
    ]


@pytest.mark.parametrize("alg", ["ES256", "PS256", "RS256", "PS512"])
def test_a_lote_is_signed_with_either_kind_of_key(alg: str) -> None:
    key = p256() if alg == "ES256" else rsa.generate_private_key(65537, 2048)
    operator = Keeper("Test operator", key=key)
    assert lote_of(operator, alg=alg).number == 3


@pytest.mark.filterwarnings("ignore:Key size")
def test_a_short_rsa_key_signs_no_lote() -> None:
    operator = Keeper("Test operator", key=rsa.generate_private_key(65537, 1024))
    assert "algorithm" in refused(lambda: lote_of(operator, alg="RS256"))[0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"key": p256()}, "issuer_signature"),
        ({"header": {"x5c": ABSENT}}, "x5c"),
        ({"header": {"alg": "none"}}, "algorithm"),
        ({"header": {"alg": "ES384"}}, "algorithm"),
        ({"header": {"alg": "RS256"}}, "algorithm"),
        ({"header": {"crit": ["sigT", "sigPId"]}}, "critical_header"),
        ({"header": {"crit": "sigT"}}, "critical_header"),
        ({"header": {"b64": False}}, "critical_header"),
        ({"header": {"x5t#S256": "AAAA"}}, "x5t#S256"),
        ({"signers": []}, "issuer_untrusted"),
        ({"signers": [Keeper("Test operator").ca]}, "issuer_untrusted"),
    ],
)
def test_a_lote_that_is_not_signed_by_whom_it_should_be_is_not_read(
    operator: Keeper, changes: dict[str, Any], problem: str
) -> None:
    (said,) = refused(lambda: lote_of(operator, **changes))
    assert problem in said
    assert said.startswith("not a LoTE of this signer")


def test_another_certificate_of_the_same_authority_signs_no_lote(operator: Keeper) -> None:
    """Clause 6.8: the authority above the signer may certify many, and only the operator speaks for the scheme."""
    stranger = Keeper("Test operator", ca_key=operator.ca_key)
    stranger.ca = operator.ca
    stranger.signer = stranger.sign_certificate(stranger.key, org="A bakery")
    problems = refused(lambda: lote_of(stranger, signers=[operator.ca]))
    assert "clause 6.8" in problems[0]
    assert (
        lote_of(stranger, signers=[stranger.signer]).number == 3
    )  # who was named himself needs no such name


def test_the_signer_is_of_the_schemes_territory(operator: Keeper) -> None:
    assert "SchemeTerritory" in refused(lambda: lote_of(operator, SchemeTerritory="FR"))[0]


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "...", "e30.e30.", "한글.한글.한글"])
def test_what_is_no_jws_is_no_lote(operator: Keeper, text: str) -> None:
    assert refused(lambda: lote.read(text, signers=[operator.ca], now=NOW))


@pytest.mark.parametrize("root", [{}, {"LoTE": []}, {"LoTE": {}}, {"ListAndSchemeInformation": {}}, []])
def test_what_is_signed_must_be_a_lote(operator: Keeper, root: Any) -> None:
    assert refused(lambda: lote_of(operator, root=root))


def test_every_problem_of_a_scheme_is_named_at_once(operator: Keeper) -> None:
    wrong = {
        "LoTEVersionIdentifier": 2,
        "LoTESequenceNumber": "3",
        "ListIssueDateTime": "today",
        "NextUpdate": 5,
        "SchemeExtensions": [{"critical": True}],
    }
    problems = refused(lambda: lote_of(operator, **wrong))
    assert {problem.partition(":")[0] for problem in problems} == set(wrong)


def test_a_closed_list_is_refused(operator: Keeper) -> None:
    assert refused(lambda: lote_of(operator, NextUpdate=None)) == (
        "NextUpdate: the list is closed (clause 6.3.15)",
    )


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        {},
        {"TrustedEntityInformation": {"TEName": []}, "TrustedEntityServices": []},
        entity("Critical", service(ISSUANCE, US), TEInformationExtensions=[{"critical": True}]),
        entity("No service", {"ServiceInformation": 5}),
    ],
)
def test_an_entity_that_cannot_be_used_is_named_and_the_others_are_read(operator: Keeper, entry: Any) -> None:
    listed = lote_of(operator, entry, LEGAL)
    assert [one.names["en"] for one in listed.authorities] == ["Utah"]
    (said,) = listed.unusable
    assert said.startswith("TrustedEntitiesList[0]")


def test_a_certificate_that_cannot_be_read_is_named_and_the_others_are_taken(operator: Keeper) -> None:
    broken = service(ISSUANCE, US)
    broken["ServiceInformation"]["ServiceDigitalIdentity"]["X509Certificates"] += [{"val": "MIIB"}, {}]
    critical = service(ISSUANCE, KR, ServiceInformationExtensions=[{"Critical": True}])
    listed = lote_of(operator, entity("Utah", broken, critical))
    assert [one.certificates for one in listed.authorities[0].services] == [(US,)]
    assert len(listed.unusable) == 3


@pytest.mark.parametrize(
    ("address", "territory", "country"),
    [("FR", "KR", "FR"), ("Germany", "KR", "KR"), (None, "EU", None), (None, ABSENT, None)],
)
def test_where_no_certificate_says_a_country_address_and_territory_do(
    address: str | None, territory: Any, country: str | None
) -> None:
    operator = Keeper("Test operator", country="EU" if territory == "EU" else "KR")
    key = p256()
    subject = listing.named("No country")
    nameless = listing.certificate(subject, key, subject, key, listing.CA_EXTENSIONS)
    postal = [{"Country": address}] if address else []
    entry = entity("One", service(ISSUANCE, nameless), TEAddress={"TEPostalAddress": postal})
    (one,) = lote_of(operator, entry, SchemeTerritory=territory).authorities
    assert one.country == country
