"""Every card of the family, in every format, at every portal that takes it; and whose it is."""

from __future__ import annotations

import json
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from idp.admin import trust
from idp.demo import tour
from idp.demo.answering import Fault
from idp.demo.authority import MDOC, SD_JWT
from idp.demo.personas import Persona
from idp.demo.wallet import CannotAnswer, Outcome
from tests.harmless import harmless
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig, callback_parameters, parse_link, person, started

OVERSEAS, LICENCE, RESIDENT = "kr-overseas-national", "kr-driving-licence", "kr-resident"
FORMATS = {
    OVERSEAS: (SD_JWT, MDOC),
    LICENCE: (SD_JWT, MDOC),
    RESIDENT: (SD_JWT,),
    "kr-civil-servant": (SD_JWT,),
    "kr-veteran": (SD_JWT,),
}
ACCEPTED = {
    "gov24": tuple(FORMATS),
    "g4k": (OVERSEAS,),
    "apostille": (OVERSEAS,),
    "efamily": (OVERSEAS, RESIDENT),
    "bank": (OVERSEAS, RESIDENT, LICENCE),
}
CARDS = [(card, format) for card in FORMATS for format in FORMATS[card]]
CASES = [
    (portal, card, format) for portal, cards in ACCEPTED.items() for card, format in CARDS if card in cards
]
HONG = person("hong")


def at(rig: Rig, client_id: str) -> Portal:
    portal = rig.portal(client_id)
    if portal.registration.get("dpop_bound_access_tokens"):
        portal.prover = Prover()
    return portal


def begun_at(portal: Portal, **changes: Any) -> Begun:
    begin = portal.begin_pushed if portal.registration.get("profile") == "fapi2" else portal.begin
    return begin(**changes)


def shown(
    portal: Portal,
    link: str,
    card: str,
    format: str,
    *,
    holder: Persona | None = None,
    fault: Fault = Fault.NONE,
) -> Outcome:
    """What the wallet hears when somebody shows a card."""
    asked = portal.rig.wallet.receive(parse_link(link))
    return portal.rig.wallet.show(asked, holder or tour.holder_of(card), fault, card=card, format=format)


def came_back(portal: Portal, begun: Begun, redirect_uri: str | None, **agreed: Any) -> dict[str, Any]:
    """The tokens, after the wallet has sent the browser on its way."""
    assert redirect_uri is not None
    resumed = portal.agree(portal.browser.get(portal.absolute(redirect_uri)), **agreed)
    tokens = portal.token(callback_parameters(resumed)["code"], begun.verifier)
    assert tokens.status_code == 200, tokens.text
    return dict(tokens.json())


def signed_in(
    portal: Portal, card: str, format: str, holder: Persona | None = None, **agreed: Any
) -> dict[str, Any]:
    """A whole sign-in on one device: the tokens."""
    begun = begun_at(portal)
    outcome = shown(portal, portal.link(portal.page(begun)), card, format, holder=holder)
    return came_back(portal, begun, outcome.redirect_uri, **agreed)


def asked_of_wallets(portal: Portal) -> set[tuple[str, str]]:
    """The cards that a wallet may answer with, and their formats."""
    asked = portal.rig.wallet.receive(parse_link(portal.link(portal.page(begun_at(portal)))))
    kinds = portal.rig.prepared.trust()["credential_type"]
    names = {
        (format, name): kind["id"]
        for kind in kinds
        for format, looks in kind["formats"].items()
        for name in looks["names"]
    }
    return {
        (names[query.format, name], query.format) for query in asked.query.credentials for name in query.names
    }


# -- where they are taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_id", ACCEPTED)
def test_a_portal_asks_for_the_cards_it_takes_and_for_no_other(rig: Rig, client_id: str) -> None:
    expected = {(card, format) for portal, card, format in CASES if portal == client_id}
    assert asked_of_wallets(at(rig, client_id)) == expected


@pytest.mark.parametrize(("client_id", "card", "format"), CASES)
def test_a_card_signs_in_where_it_is_taken(rig: Rig, client_id: str, card: str, format: str) -> None:
    portal = at(rig, client_id)
    said = portal.id_token_claims(signed_in(portal, card, format)["id_token"])
    assert said["acr"] == f"{rig.issuer}/acr/secure"
    assert {"pop", "pin", "face"} <= set(said["amr"])


@pytest.mark.parametrize(("card", "format"), CARDS)
def test_a_card_signs_in_from_another_device(rig: Rig, card: str, format: str) -> None:
    portal = at(rig, "gov24")
    begun = portal.begin()
    outcome = shown(portal, portal.qr(portal.page(begun)), card, format)
    phone = rig.browser().get(outcome.redirect_uri or "").text.split('id="confirmation-number"')[1]
    number = phone.partition(">")[2].partition("<")[0]
    confirmed = portal.submit(portal.page(begun), "confirm", number=number)
    said = portal.id_token_claims(came_back(portal, begun, confirmed.headers["Location"])["id_token"])
    assert "qr" in said["amr"]


def test_a_card_that_lacks_what_a_portal_requires_is_not_asked_for(rig: Rig) -> None:
    number = {
        "name": "kr_overseas_registration_number",
        "purpose": {"ko": "시험", "en": "Test"},
        "required": True,
    }
    claims = [*rig.portal("gov24").registration["claims"][:2], number]
    portal = rig.variant("gov24", "choosy", claims=claims, sector_identifier="choosy.example")
    assert asked_of_wallets(portal) == {(OVERSEAS, SD_JWT), (OVERSEAS, MDOC)}


# -- what a portal gets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS[OVERSEAS])
def test_what_a_portal_gets_of_a_certificate_is_the_same_in_both_formats(rig: Rig, format: str) -> None:
    holder = replace(HONG, id=f"hong-{format[:2]}", registration_number=f"LAX-2026-{format}")
    received = {}
    for client_id in ("g4k", "apostille", "bank"):
        portal = at(rig, client_id)
        every = [claim["name"] for claim in portal.registration["claims"]]
        tokens = signed_in(portal, OVERSEAS, format, holder, item=every)
        said = portal.userinfo(tokens["access_token"]).json()
        received |= {name: value for name, value in said.items() if name in every}
    assert received == {
        "name": "홍길동",
        "family_name": "HONG",
        "given_name": "GILDONG",
        "birthdate": "1985-03-14",
        "nationalities": ["KR"],
        "kr_mission": {
            "code": "LAX",
            "name_ko": "주로스앤젤레스 대한민국 총영사관",
            "name_en": "Consulate General of the Republic of Korea in Los Angeles",
        },
        "address": {"formatted": "3243 Wilshire Blvd, Los Angeles, CA 90010, USA"},
        "kr_passport": {
            "number": "M000A0001",
            "type": "PM",
            "issuing_country": "KOR",
            "issuing_authority": "MINISTRY OF FOREIGN AFFAIRS",
            "issue_date": "2023-05-16",
            "expiry_date": "2033-05-16",
        },
    }


@pytest.mark.parametrize("format", FORMATS[LICENCE])
def test_what_only_another_card_has_is_left_out_though_it_was_agreed_to(rig: Rig, format: str) -> None:
    portal = at(rig, "bank")
    holder = replace(HONG, id=f"licensed-{format[:2]}", registration_number=f"LAX-2027-{format}")
    begun = begun_at(portal)
    outcome = shown(portal, portal.link(portal.page(begun)), LICENCE, format, holder=holder)
    tokens = came_back(
        portal, begun, outcome.redirect_uri, item=["name", "birthdate", "nationalities", "kr_passport"]
    )
    said = portal.userinfo(tokens["access_token"]).json()
    assert set(said) == {"sub", "name", "birthdate", "nationalities"}


def test_the_evidence_names_the_card_and_who_issued_it(rig: Rig) -> None:
    portal = at(rig, "gov24")
    record = {"type": {"value": "electronic_record"}, "record": None, "check_details": None}
    verification = {"trust_framework": None, "evidence": [record]}
    wanted = {"userinfo": {"verified_claims": {"verification": verification, "claims": {"name": None}}}}
    begun = portal.begin(claims=json.dumps(wanted))
    outcome = shown(portal, portal.link(portal.page(begun)), LICENCE, MDOC)
    tokens = came_back(portal, begun, outcome.redirect_uri)
    said = portal.userinfo(tokens["access_token"]).json()["verified_claims"]
    (evidence,) = said["verification"]["evidence"]
    assert evidence["record"]["type"] == LICENCE
    assert evidence["record"]["source"] == {"name": "경찰청", "country_code": "KR"}
    assert [check["check_method"] for check in evidence["check_details"]] == ["vcrypt", "data"]


# -- single sign-on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "client_id", "serves"),
    [
        (LICENCE, "efamily", False),  # does not take the card
        (LICENCE, "g4k", False),  # requires what the card does not have
        (RESIDENT, "efamily", True),
        (OVERSEAS, "efamily", True),
    ],
)
def test_a_session_serves_the_next_portal_where_that_takes_the_card(
    rig: Rig, card: str, client_id: str, *, serves: bool
) -> None:
    first = at(rig, "gov24")
    signed_in(first, card, SD_JWT)
    second = at(rig, client_id)
    second.browser = first.browser
    begun = second.begin()
    on_the_page = "/login/" in begun.location and not begun.location.endswith("/consent")
    assert on_the_page is not serves


# -- what goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.WRONG_NONCE, "device_signature"),
        (Fault.WRONG_AUDIENCE, "device_signature"),
        (Fault.WRONG_TRANSCRIPT, "device_signature"),
        (Fault.OTHER_HOLDER_KEY, "device_signature"),
        (Fault.DEVICE_MAC, "device_mac"),
        (Fault.WRONG_DOCTYPE, "type_not_accepted"),
        (Fault.ALTERED_ELEMENT, "digest"),
        (Fault.UNREFERENCED_DISCLOSURE, "disclosure_unreferenced"),
        (Fault.REPEATED_DISCLOSURE, "disclosure_duplicate"),
        (Fault.TAMPERED_SIGNATURE, "issuer_signature"),
        (Fault.UNKNOWN_ISSUER, "issuer_untrusted"),
        (Fault.EXPIRED, "expired"),
        (Fault.REVOKED, "status_revoked"),
        (Fault.SUSPENDED, "status_suspended"),
        (Fault.UNENCRYPTED, "not_encrypted"),
    ],
    ids=str,
)
@pytest.mark.parametrize("card", [OVERSEAS, LICENCE])
def test_an_mdoc_that_is_wrong_is_refused_for_what_is_wrong(
    rig: Rig, card: str, fault: Fault, reason: str
) -> None:
    portal = at(rig, "gov24")
    link = portal.link(portal.page(portal.begin()))
    with harmless(rig, ("presentation.rejected", reason)):
        assert shown(portal, link, card, MDOC, fault=fault).status == 400


# -- whose they are ----------------------------------------------------------------------------------------------


def sub(
    rig: Rig, holder: Persona, card: str = OVERSEAS, format: str = SD_JWT, client_id: str = "gov24"
) -> str:
    portal = at(rig, client_id)
    return str(portal.id_token_claims(signed_in(portal, card, format, holder)["id_token"])["sub"])


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A deployment that may not read 연계정보."""
    with started(tmp_path_factory.mktemp("apart"), {"holder.with_ci": False}) as running:
        yield running


@pytest.mark.parametrize("client_id", ["gov24", "bank"])
def test_one_persons_cards_are_one_person_by_their_linking_information(rig: Rig, client_id: str) -> None:
    found = {
        sub(rig, HONG, card, format, client_id)
        for card in (OVERSEAS, LICENCE, RESIDENT)
        for format in FORMATS[card]
    }
    assert len(found) == 1
    assert sub(rig, person("choi"), RESIDENT, client_id=client_id) not in found


def test_whichever_card_came_first(rig: Rig) -> None:
    for number, order in enumerate(((LICENCE, OVERSEAS, RESIDENT), (RESIDENT, LICENCE, OVERSEAS))):
        newcomer = replace(HONG, id=f"newcomer-{number}", registration_number=f"LAX-2026-000{number}")
        assert len({sub(rig, newcomer, card) for card in order}) == 1


def test_with_linking_information_another_number_is_still_the_same_person(rig: Rig) -> None:
    moved = replace(HONG, registration_number="AKL-2026-0000099", mission="AKL")
    assert sub(rig, moved) == sub(rig, HONG)


def test_without_an_approval_for_it_two_cards_are_two_people(apart: Rig) -> None:
    licence = {sub(apart, HONG, LICENCE, format) for format in FORMATS[LICENCE]}
    overseas = {sub(apart, HONG, OVERSEAS, format) for format in FORMATS[OVERSEAS]}
    assert (len(licence), len(overseas), len(licence | overseas)) == (1, 1, 2)


def test_without_an_approval_for_it_linking_information_is_not_asked_for(apart: Rig) -> None:
    portal = at(apart, "gov24")
    asked = apart.wallet.receive(parse_link(portal.link(portal.page(portal.begin()))))
    assert not {"kr_ci", "ci"} & {step for path in asked.query.asked() for step in path}
    # The resident card has no number of its own that could be asked for.
    assert {card for card, _ in asked_of_wallets(portal)} == set(FORMATS) - {RESIDENT}


CHANGES: dict[str, Callable[[Persona], Persona]] = {
    "renewed passport": lambda holder: replace(holder, passport_number="M777B7777"),
    "change of name": lambda holder: replace(holder, name="홍새롬", given_name="SAEROM"),
    "another mission": lambda holder: replace(holder, mission="SAO"),
    "another spelling of Unicode": lambda holder: replace(
        holder, registration_number=unicodedata.normalize("NFD", holder.registration_number)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("format", FORMATS[OVERSEAS])
def test_a_person_stays_the_same_person(apart: Rig, change: str, format: str) -> None:
    before = replace(HONG, registration_number="LAX-가-0001")
    after = CHANGES[change](before)
    assert after != before
    assert sub(apart, before, format=format) == sub(apart, after, format=format)


@pytest.mark.parametrize(("card", "format"), [(OVERSEAS, SD_JWT), (OVERSEAS, MDOC), (LICENCE, MDOC)])
def test_a_person_whose_card_is_issued_anew_stays_the_same_person(apart: Rig, card: str, format: str) -> None:
    first = sub(apart, HONG, card, format)
    keys = [apart.wallet.held(HONG, card, format).credential.holder_key.public_key()]
    apart.wallet.forget(HONG)
    assert sub(apart, HONG, card, format) == first
    keys.append(apart.wallet.held(HONG, card, format).credential.holder_key.public_key())
    assert keys[0] != keys[1]


@pytest.mark.parametrize("format", FORMATS[LICENCE])
def test_two_people_with_one_name_and_birthday_are_two_people(apart: Rig, format: str) -> None:
    namesake = replace(HONG, id="namesake", registration_number="LAX-2024-0000018")
    for card in (OVERSEAS, LICENCE):
        assert sub(apart, namesake, card, format) != sub(apart, HONG, card, format)


# -- missions join while sign-ins run ------------------------------------------------------------------------------


@contextmanager
def others_sign_in(rig: Rig, format: str) -> Iterator[None]:
    """Two people who sign in again and again meanwhile; none of their sign-ins may fail."""
    done = Event()

    def again_and_again(persona: str) -> int:
        count = 0
        while not done.is_set():
            assert sub(rig, person(persona), format=format)
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(again_and_again, persona) for persona in ("hong", "kim")]
        try:
            yield
        finally:
            done.set()
        assert all(future.result() > 0 for future in running)


@pytest.mark.parametrize("format", FORMATS[OVERSEAS])
def test_the_remaining_missions_join_while_sign_ins_run(
    tmp_path_factory: pytest.TempPathFactory, format: str
) -> None:
    newcomer = person("baek")
    with started(tmp_path_factory.mktemp("joining")) as rig, others_sign_in(rig, format):
        portal = at(rig, "gov24")
        begun = portal.begin()
        link = portal.link(portal.page(begun))
        with pytest.raises(CannotAnswer):  # the request names the authorities that are believed
            shown(portal, link, OVERSEAS, format, holder=newcomer)
        more = tomllib.loads(rig.prepared.more_missions_file.read_text("utf-8"))
        with rig.app.app_context():
            assert len(trust.apply(more, now=rig.clock())) == len(more["mission"]) == 24
        rig.clock.forward(trust.RELOAD_S)
        outcome = shown(portal, link, OVERSEAS, format, holder=newcomer)
        assert came_back(portal, begun, outcome.redirect_uri)
