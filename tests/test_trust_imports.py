"""Missions out of signed lists: by which rule, what is refused, and that nobody's sign-in is disturbed by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from idp.admin import imports
from idp.admin import trust as trust_admin
from idp.admin.imports import Imported, Rule
from idp.admin.trust import Entry
from idp.credentials import CredentialTypeTrust, lote, vical
from idp.credentials.lists import ListRefused
from idp.credentials.trust import from_documents
from tests import servers
from tests.credentials import listing
from tests.credentials.issuing import NOW, p256
from tests.credentials.listing import ISSUANCE, MDL, REVOCATION, SVC, Keeper, entity, iaca, info, service
from tests.presenting import Answer
from tests.rig import Rig, callback_parameters, started

PEOPLE = count(9500)
TYPE = {
    "id": "mdl",
    "name": {"ko": "면허", "en": "Licence"},
    "trust_domain": "mdl",
    "person_key": "license_number",
    "formats": {
        "mso_mdoc": {"names": [MDL], "elements": {"license_number": ["org.iso.18013.5.1", "document_number"]}}
    },
}
KEEPER, OPERATOR = listing.vical_keeper(), Keeper("Test operator")
UTAH, OHIO, KOREA = iaca("Utah IACA", "US", "UT"), iaca("Ohio IACA", "US", "OH"), iaca("한국 IACA", "KR")


def kind() -> CredentialTypeTrust:
    return from_documents([TYPE], []).types["mdl"]


def from_vical(
    *infos: Any, rule: Rule | None = None, known: Mapping[str, Any] | None = None, **changes: Any
) -> Imported:
    data = listing.vical(KEEPER, infos or [info(UTAH), info(OHIO), info(KOREA)], at=NOW, **changes)
    listed = vical.read(data, signers=[KEEPER.ca], now=NOW)
    return imports.from_vical(listed, kind(), known or {}, rule or Rule(), now=NOW)


def from_lote(
    *entities: Any, rule: Rule | None = None, known: Mapping[str, Any] | None = None, **changes: Any
) -> Imported:
    text = listing.lote(OPERATOR, entities, at=NOW, **changes)
    listed = lote.read(text, signers=[OPERATOR.ca], now=NOW)
    return imports.from_lote(listed, kind(), known or {}, rule or Rule(), now=NOW)


def made(imported: Imported) -> dict[str, dict[str, Any]]:
    """The missions by code, each of which the registry takes."""
    missions = {mission["code"]: mission for mission in imported.document["mission"]}
    assert set(from_documents([TYPE], list(missions.values())).missions) == set(missions)
    return missions


def refused(**given: Any) -> tuple[str, ...]:
    with pytest.raises(ListRefused) as refusal:
        from_vical(*given.pop("infos", ()), **given)
    return refusal.value.problems


def holds(
    mission: Mapping[str, Any], *certificates: x509.Certificate, of: str = "issuer_certificates"
) -> bool:
    return mission[of] == [listing.pem(one) for one in certificates]


# -- the rule --------------------------------------------------------------------------------------------------


def test_a_mission_for_each_country() -> None:
    missions = made(from_vical())
    assert set(missions) == {"US", "KR"}
    assert holds(missions["US"], UTAH, OHIO)
    assert holds(missions["KR"], KOREA)
    assert missions["KR"] == {
        "code": "KR",
        "name": {"ko": "한국 IACA", "en": "한국 IACA"},
        "country": "KR",
        "credential_types": ["mdl"],
        "active_from": "2026-11-23",
        "source": "vical:Test provider",
        "issuer_certificates": [listing.pem(KOREA)],
    }
    assert missions["US"]["name"] == {"ko": "US", "en": "US"}  # two authorities in one


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        (Rule(by="region"), {"US-UT", "US-OH", "KR"}),
        (Rule(by="subject"), {"Utah-IACA", "Ohio-IACA", "IACA"}),
        (Rule(by="name", prefix="mdl-"), {"mdl-Utah-IACA", "mdl-Ohio-IACA", "mdl-IACA"}),
        (Rule(mission="MDL", country="US"), {"MDL"}),
        (Rule(country="AU"), {"AU"}),
    ],
)
def test_the_rule_says_which_missions(rule: Rule, codes: set[str]) -> None:
    assert set(made(from_vical(rule=rule))) == codes


def test_new_missions_begin_when_they_are_told_to() -> None:
    mission = made(from_vical(rule=Rule(active_from="2027-01-01")))["KR"]
    assert mission["active_from"] == "2027-01-01"


def test_of_a_vical_only_this_types_entries_are_taken() -> None:
    missions = made(from_vical(info(UTAH), info(KOREA, docType=["org.iso.23220.photoid.1"])))
    assert set(missions) == {"US"}
    assert refused(infos=[info(UTAH, docType=["another"])]) == (f"no entry for {MDL}",)


def test_what_stands_twice_is_taken_once_and_a_renewed_certificate_beside_the_old() -> None:
    renewed = iaca("Utah IACA", "US", "UT")
    mission = made(from_vical(info(UTAH), info(UTAH), info(renewed)))["US"]
    assert holds(mission, UTAH, renewed)


def test_a_certificate_that_has_ended_is_left_out_and_said_so() -> None:
    ended = iaca("Ended IACA", "US", "NV", end=datetime(2026, 1, 1, tzinfo=UTC))
    imported = from_vical(info(ended), info(KOREA))
    assert set(made(imported)) == {"KR"}
    (note,) = imported.notes
    assert "ended on 2026-01-01" in note
    assert note.startswith("certificateInfos[0]: ")


def test_a_list_whose_successor_should_be_out_is_refused_unless_told() -> None:
    overdue = {"nextUpdate": listing.cbor2.CBORTag(0, "2026-11-01T00:00:00Z")}
    assert "overdue" in refused(**overdue)[0]
    assert made(from_vical(rule=Rule(even_if_overdue=True), **overdue))


def test_every_problem_is_named_at_once_and_may_be_left_out() -> None:
    leaf = KEEPER.signer
    nowhere = p256()
    subject = listing.named("No country")
    nameless = listing.certificate(subject, nowhere, subject, nowhere, listing.CA_EXTENSIONS)
    infos = [info(UTAH), info(leaf), info(OHIO, ski=b"x"), info(nameless)]
    problems = refused(infos=infos, known={"US": {"code": "US", "credential_types": ["mdl"]}})
    assert [problem.partition(":")[0] for problem in problems] == [
        "certificateInfos[2]",
        "certificateInfos[1]",
        "certificateInfos[3]",
        "US",
    ]
    assert "is not a CA certificate" in problems[1] or "has no basicConstraints" in problems[1]
    assert "--country" in problems[2]
    imported = from_vical(*infos, rule=Rule(leave_out_unusable=True))
    assert set(made(imported)) == {"US"}
    assert len(imported.notes) == 3


def test_a_mission_of_several_countries_is_refused() -> None:
    assert "several countries (KR, US)" in refused(rule=Rule(mission="ALL"))[0]


def test_a_type_without_a_doctype_takes_no_vical() -> None:
    listed = vical.read(listing.vical(KEEPER, [info(UTAH)], at=NOW), signers=[KEEPER.ca], now=NOW)
    looks = {"dc+sd-jwt": {"names": ["urn:mdl"], "elements": ["license_number"]}}
    other = from_documents([{**TYPE, "formats": looks}], []).types["mdl"]
    with pytest.raises(ListRefused, match="no mso_mdoc format"):
        imports.from_vical(listed, other, {}, Rule(), now=NOW)


# -- the next issue of a list ----------------------------------------------------------------------------------


def test_the_next_issue_changes_certificates_and_nothing_else() -> None:
    known = made(from_vical())
    edited = {"name": {"ko": "유타주", "en": "Utah"}, "active_until": "2030-01-01"}
    known["US"] = {**known["US"], **edited}
    assert made(from_vical(known=known)) == {**known}
    renewed = iaca("Utah IACA", "US", "UT")
    mission = made(from_vical(info(renewed), info(KOREA), known=known))["US"]
    assert holds(mission, renewed)
    assert {name: mission[name] for name in edited} == edited


def test_a_mission_that_is_in_the_list_no_more_is_named() -> None:
    known = made(from_vical())
    imported = from_vical(info(KOREA), known={**known, "LAX": {"code": "LAX", "credential_types": ["mdl"]}})
    assert imported.missing == (Entry("mission", "US"),)


@pytest.mark.parametrize(
    "changes", [{"source": None}, {"source": "vical:another"}, {"credential_types": ["mdl", "pid"]}]
)
def test_a_list_does_not_touch_a_mission_that_was_not_its_own(changes: dict[str, Any]) -> None:
    known = {"US": {**made(from_vical())["US"], **changes}}
    (problem,) = refused(known=known)
    assert problem.startswith("US: a mission of this code is there")
    assert from_vical(info(KOREA), known=known).missing == ()


def test_the_history_hears_which_issue_it_was() -> None:
    assert from_vical().reason == "vical:Test provider no. 7 of 2026-11-23"
    assert from_vical(vicalIssueID=listing.ABSENT).reason == "vical:Test provider of 2026-11-23"


# -- LoTE ------------------------------------------------------------------------------------------------------


def test_of_an_entity_who_issues_and_who_keeps_status_lists_are_two() -> None:
    status = iaca("Status CA", "US")
    legal = entity("Utah", service(ISSUANCE, UTAH), service(REVOCATION, status), ko="유타")
    mission = made(from_lote(legal, rule=Rule(by="name")))["Utah"]
    assert mission["name"] == {"ko": "유타", "en": "Utah"}
    assert holds(mission, UTAH)
    assert holds(mission, status, of="status_certificates")
    assert mission["source"] == "etsi:Test operator: Test scheme"


def test_a_service_that_was_withdrawn_is_left_out() -> None:
    status = "http://uri.etsi.org/19602/PubEAAProvidersList/SvcStatus/"
    imported = from_lote(
        entity("Utah", service(ISSUANCE, UTAH, ServiceStatus=f"{status}withdrawn")),
        entity("Korea", service(ISSUANCE, KOREA, ServiceStatus=f"{status}notified")),
    )
    assert set(made(imported)) == {"KR"}
    assert imported.notes == (f"TrustedEntitiesList[0]: its status is {status}withdrawn",)


def test_where_several_services_issue_one_is_named() -> None:
    pid = f"{SVC}/PID/Issuance"
    both = [entity("Utah", service(ISSUANCE, UTAH)), entity("Korea", service(pid, KOREA))]
    with pytest.raises(ListRefused, match="--service-type"):
        from_lote(*both)
    assert set(made(from_lote(*both, rule=Rule(service_type=pid)))) == {"KR"}


@pytest.mark.parametrize(
    "services", [[], [service(f"{SVC}/WalletSolution/Other", UTAH)], [service(None, UTAH)]]
)
def test_a_list_in_which_nobody_issues_is_refused(services: list[Any]) -> None:
    with pytest.raises(ListRefused, match="no service that issues"):
        from_lote(entity("Utah", *services))


# -- while people sign in --------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param == "sqlite":
        with started(tmp_path) as running:
            yield running
        return
    with (
        servers.new_database(request.getfixturevalue("postgresql_url")) as database,
        started(tmp_path, {"database.url": database, "store.url": database}) as running,
    ):
        yield running


def test_missions_come_by_a_list_while_people_sign_in_and_nothing_is_restarted(rig: Rig) -> None:
    """A sign-in that began before its mission was known goes through after it came; others notice nothing."""
    document = rig.prepared.trust()
    missions = {one["code"]: one for one in document["mission"]}
    lax = missions.pop("LAX")
    kind = from_documents(document["credential_type"], []).types["kr-overseas-national"]
    with rig.app.app_context():
        trust_admin.apply({}, now=rig.clock(), removing=[Entry("mission", "LAX")])
    rig.clock.forward(trust_admin.RELOAD_S)

    portal = rig.portal("gov24")
    begun = portal.begin()
    link = portal.link(portal.page(begun))
    assert Answer(rig, link, "hong").send().status_code == 400

    stop = threading.Event()
    gone_wrong: list[str] = []
    went_well: list[str] = []

    def others(persona: str) -> None:
        while not stop.is_set():
            try:
                rig.portal("g4k").sign_in(persona)
                went_well.append(persona)
            except AssertionError as error:
                gone_wrong.append(str(error)[:200])

    threads = [threading.Thread(target=others, args=(persona,)) for persona in ("kim", "park")]
    for thread in threads:
        thread.start()
    try:
        (anchor,) = x509.load_pem_x509_certificates(lax["issuer_certificates"][0].encode())
        crowd = [
            entity(f"Mission {number}", service(ISSUANCE, iaca(f"CA {number}", "US"))) for number in range(40)
        ]
        operator = Keeper("Foreign ministry")
        now = rig.clock()
        text = listing.lote(operator, [*crowd, entity("LAX", service(ISSUANCE, anchor))], at=now)
        listed = lote.read(text, signers=[operator.ca], now=now)
        rule = Rule(by="name", country="US", active_from="2024-07-03")
        imported = imports.from_lote(listed, kind, missions, rule, now=now)
        with rig.app.app_context():
            changed = trust_admin.apply(imported.document, now=now, reason=imported.reason)
        assert len(changed) == 41
        rig.clock.forward(trust_admin.RELOAD_S)
        answered = Answer(rig, link, "hong").send()
        assert answered.status_code == 200, answered.text
        resumed = portal.browser.get(answered.json()["redirect_uri"])
        code = callback_parameters(portal.agree(resumed))["code"]
        assert portal.token(code, begun.verifier).status_code == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert gone_wrong == []
    assert set(went_well) == {"kim", "park"}
