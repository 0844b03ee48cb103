"""Every card of the family, in every format, at every portal that takes it; and whose it is."""

import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idp.admin import trust
from idp.demo.personas import Persona
from idp.demo.wallet import Fault, Wallet
from tests.harmless import harmless
from tests.proving import Prover
from tests.rig import Portal, Rig, callback_parameters, parse_link, person, started

HOLDERS = {
    "kr-overseas-national": "hong",
    "kr-driving-licence": "hong",
    "kr-resident": "hong",
    "kr-civil-servant": "choi",
    "kr-veteran": "namgoong",
}
FORMATS = {
    "kr-overseas-national": ("dc+sd-jwt", "mso_mdoc"),
    "kr-driving-licence": ("dc+sd-jwt", "mso_mdoc"),
    "kr-resident": ("dc+sd-jwt",),
    "kr-civil-servant": ("dc+sd-jwt",),
    "kr-veteran": ("dc+sd-jwt",),
}
ACCEPTED = {
    "gov24": ("kr-overseas-national",),
    "g4k": ("kr-overseas-national",),
    "apostille": ("kr-overseas-national",),
    "efamily": tuple(HOLDERS),
    "bank": ("kr-overseas-national",),
}
CASES = [
    (portal, card, format) for portal, cards in ACCEPTED.items() for card in cards for format in FORMATS[card]
]


def answered(
    portal: Portal,
    link: str,
    card: str,
    format: str,
    *,
    holder: Persona | None = None,
    fault: Fault = Fault.NONE,
) -> Any:
    """What the wallet hears."""
    asked = portal.rig.wallet.receive(parse_link(link))
    return portal.rig.wallet.show(asked, holder or person(HOLDERS[card]), fault, card=card, format=format)


def begin(portal: Portal) -> Any:
    return portal.begin_pushed() if portal.registration.get("profile") == "fapi2" else portal.begin()


def id_token(portal: Portal, card: str, format: str, holder: Persona | None = None) -> dict[str, Any]:
    """A whole sign-in on one device; the claims of the ID token."""
    begun = begin(portal)
    outcome = answered(portal, portal.link(portal.page(begun)), card, format, holder=holder)
    assert outcome.redirect_uri is not None, outcome
    callback = callback_parameters(portal.agree(portal.browser.get(outcome.redirect_uri)))
    tokens = portal.token(callback["code"], begun.verifier).json()
    return portal.id_token_claims(tokens["id_token"])


@pytest.mark.parametrize(("portal_id", "card", "format"), CASES)
def test_every_card_signs_in_at_every_portal_that_accepts_it(
    rig: Rig, portal_id: str, card: str, format: str
) -> None:
    portal = rig.portal(portal_id)
    if portal_id == "bank":
        portal.prover = Prover()
    claims = id_token(portal, card, format)
    assert claims["acr"] == f"{rig.issuer}/acr/secure"
    assert {"pop", "pin", "face"} <= set(claims["amr"])


@pytest.mark.parametrize(("card", "format"), [(card, one) for card in HOLDERS for one in FORMATS[card]])
def test_every_card_signs_in_across_two_devices(rig: Rig, card: str, format: str) -> None:
    portal = rig.portal("efamily")
    begun = portal.begin()
    outcome = answered(portal, portal.qr(portal.page(begun)), card, format)
    number = rig.browser().get(outcome.redirect_uri).text.split('id="confirmation-number"')[1]
    confirmed = portal.submit(portal.page(begun), "confirm", number=number.split(">")[1].split("<")[0])
    callback = callback_parameters(
        portal.agree(portal.browser.get(portal.absolute(confirmed.headers["Location"])))
    )
    assert portal.token(callback["code"], begun.verifier).status_code == 200


@pytest.mark.parametrize("format", ["dc+sd-jwt", "mso_mdoc"])
def test_what_a_portal_gets_is_the_same_in_every_format(rig: Rig, format: str) -> None:
    portal = rig.portal("g4k")
    begun = portal.begin(prompt="consent")
    outcome = answered(portal, portal.link(portal.page(begun)), "kr-overseas-national", format)
    every = [claim["name"] for claim in portal.registration["claims"]]
    agreed = portal.agree(portal.browser.get(outcome.redirect_uri), item=every)
    tokens = portal.token(callback_parameters(agreed)["code"], begun.verifier).json()
    said = portal.userinfo(tokens["access_token"]).json()
    assert said.pop("sub")
    assert said == {
        "name": "홍길동",
        "family_name": "HONG",
        "given_name": "GILDONG",
        "birthdate": "1985-03-14",
        "kr_mission": {
            "code": "LAX",
            "name_ko": "주로스앤젤레스 대한민국 총영사관",
            "name_en": "Consulate General of the Republic of Korea in Los Angeles",
        },
        "address": {"formatted": "3243 Wilshire Blvd, Los Angeles, CA 90010, USA"},
    }


def test_a_portal_is_not_offered_a_card_that_lacks_what_it_requires(rig: Rig) -> None:
    portal = rig.variant(
        "gov24", "choosy", credential_types=list(HOLDERS), sector_identifier="choosy.example"
    )
    asked = rig.wallet.receive(parse_link(portal.link(portal.page(portal.begin()))))
    assert {entry.id for entry in asked.query.credentials} == {
        "sd-kr-overseas-national",
        "mdoc-kr-overseas-national",
    }


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.WRONG_NONCE, "device_signature"),
        (Fault.WRONG_AUDIENCE, "device_signature"),
        (Fault.WRONG_TRANSCRIPT, "device_signature"),
        (Fault.OTHER_HOLDER_KEY, "device_signature"),
        (Fault.WRONG_DOCTYPE, "type_not_accepted"),
        (Fault.ALTERED_ELEMENT, "digest"),
        (Fault.DEVICE_MAC, "device_mac"),
        (Fault.TAMPERED_SIGNATURE, "issuer_signature"),
        (Fault.UNKNOWN_ISSUER, "issuer_untrusted"),
        (Fault.EXPIRED, "expired"),
        (Fault.REVOKED, "status_revoked"),
        (Fault.SUSPENDED, "status_suspended"),
        (Fault.UNENCRYPTED, "not_encrypted"),
    ],
    ids=str,
)
def test_an_mdoc_that_is_wrong_is_refused(rig: Rig, fault: Fault, reason: str) -> None:
    portal = rig.portal("g4k")
    link = portal.link(portal.page(portal.begin()))
    with harmless(rig, ("presentation.rejected", reason)):
        outcome = answered(portal, link, "kr-overseas-national", "mso_mdoc", fault=fault)
        assert outcome.status == 400


# Whose they are


def sub(rig: Rig, holder: Persona, card: str = "kr-overseas-national", format: str = "dc+sd-jwt") -> Any:
    return id_token(rig.portal("efamily"), card, format, holder)["sub"]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A deployment that may not read 연계정보."""
    with started(tmp_path_factory.mktemp("apart"), {"holder.with_ci": False}) as running:
        yield running


def forget(wallet: Wallet) -> None:
    """Take every card out of the wallet: what is shown next was issued anew."""
    wallet._held.clear()
    wallet._documents.clear()


def test_one_persons_cards_are_one_person_by_their_linking_information(rig: Rig) -> None:
    hong = person("hong")
    found = {
        sub(rig, hong, card, format)
        for card in ("kr-overseas-national", "kr-driving-licence", "kr-resident")
        for format in FORMATS[card]
    }
    assert len(found) == 1
    assert sub(rig, person("choi"), "kr-resident") not in found


def test_without_an_approval_for_it_two_cards_are_two_people_and_some_are_not_taken(apart: Rig) -> None:
    hong = person("hong")
    licence = {sub(apart, hong, "kr-driving-licence", one) for one in FORMATS["kr-driving-licence"]}
    overseas = {sub(apart, hong, "kr-overseas-national", one) for one in FORMATS["kr-overseas-national"]}
    assert (len(licence), len(overseas), len(licence | overseas)) == (1, 1, 2)
    portal = apart.portal("efamily")
    asked = apart.wallet.receive(parse_link(portal.link(portal.page(portal.begin()))))
    assert not any("resident" in entry.id for entry in asked.query.credentials)
    assert "kr_ci" not in str(asked.query)


CHANGES: dict[str, Callable[[Persona], Persona]] = {
    "re-issue": lambda holder: holder,
    "renewed passport": lambda holder: replace(holder, passport_number="M777B7777"),
    "change of name": lambda holder: replace(holder, name="홍새롬", given_name="SAEROM"),
    "another mission": lambda holder: replace(holder, mission="SAO"),
    "decomposed": lambda holder: replace(
        holder, registration_number=unicodedata.normalize("NFD", holder.registration_number)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("format", ["dc+sd-jwt", "mso_mdoc"])
def test_a_person_stays_the_same(apart: Rig, change: str, format: str) -> None:
    before = replace(person("hong"), registration_number="LAX-가-0001")
    forget(apart.wallet)
    first = sub(apart, before, format=format)
    forget(apart.wallet)
    assert sub(apart, CHANGES[change](before), format=format) == first
    forget(apart.wallet)


def test_a_mission_that_joins_while_a_sign_in_is_under_way_may_issue_at_once(rig: Rig) -> None:
    portal = rig.portal("efamily")
    begun = portal.begin()
    link = portal.link(portal.page(begun))
    newcomer = replace(person("shin"), mission="NEW")
    with harmless(rig, ("presentation.rejected", "issuer_not_active")):
        assert answered(portal, link, "kr-overseas-national", "mso_mdoc", holder=newcomer).status == 400
    document = tomllib.loads(Path(rig.prepared.trust_file).read_text("utf-8"))
    opened = next(mission for mission in document["mission"] if mission["code"] == "NEW")
    with rig.app.app_context():
        trust.apply({"mission": [{**opened, "active_from": "2024-01-01"}]}, now=rig.clock())
        rig.clock.forward(trust.RELOAD_S)
        rig.house.trust.snapshot()
    rig.clock.offset_s = 0
    outcome = answered(portal, link, "kr-overseas-national", "mso_mdoc", holder=newcomer)
    assert outcome.redirect_uri is not None, outcome
    agreed = portal.agree(portal.browser.get(outcome.redirect_uri))
    assert portal.token(callback_parameters(agreed)["code"], begun.verifier).status_code == 200
