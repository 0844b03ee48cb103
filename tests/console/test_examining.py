"""A credential is pasted and held against the registry: how far it holds, and nothing of it anywhere."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest

from idp.admin.people import Role
from idp.credentials import examining
from idp.demo import jose, mdoc, sd_jwt
from idp.demo.authority import OVERSEAS, SD_JWT, TTL_S, Authority, Status
from idp.demo.mdoc import Lies
from idp.views.console.examining import STEPS
from tests.at_console import Admin
from tests.at_rest.searching import Search, needles, searchable
from tests.rig import Rig, person, started

PERSON = "invented-91"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Admin:
    admin = Admin(rig, "invented-1").join(Role.OWNER)
    admin.get("/console?lang=en")
    return admin


@pytest.fixture(scope="module")
def authority(rig: Rig) -> Authority:
    return rig.wallet._authority


def sd_jwt_vc(authority: Authority, **order: Any) -> str:
    issued, _ = authority.issue(person(PERSON), jose.generate(), card=OVERSEAS, format=SD_JWT, **order)
    assert isinstance(issued, sd_jwt.Credential)
    return "~".join([issued.issuer_jwt, *(one.text for one in issued.disclosures), ""])


def document(authority: Authority, **order: Any) -> mdoc.Document:
    issued, _ = authority.issue(person(PERSON), jose.generate(), card=OVERSEAS, format="mso_mdoc", **order)
    assert isinstance(issued, mdoc.Document)
    return issued


def response(authority: Authority, lies: Lies = mdoc.HONEST, **order: Any) -> str:
    issued = document(authority, **order)
    paths = [(item.name_space, item.element) for item in issued.items]
    return mdoc.present(issued, paths, [None, None, []], lies)


def issuer_signed(authority: Authority) -> str:
    read = cbor2.loads(jose.decode(response(authority)))
    return jose.encode(cbor2.dumps(read["documents"][0]["issuerSigned"]))


def judged(admin: Admin, credential: str) -> tuple[dict[str, str], str]:
    """Each step with ✓, ✗ or –, and the page."""
    answered = admin.send("/console/trust/credential", credential=credential)
    assert answered.status_code == 200, answered.text[:1000]
    page = html.unescape(answered.text)
    marks = {words: mark for mark, words in re.findall(r"([✓✗–]) [^\n]*<th scope=\"row\">([^<]+)", page)}
    return {name: marks[words] for name, words in STEPS.items()}, page


def stops_at(steps: dict[str, str], step: str) -> None:
    at = examining.STEPS.index(step)
    assert [steps[name] for name in examining.STEPS] == ["✓"] * at + ["✗"] + ["–"] * (6 - at)


@pytest.mark.parametrize("made", [sd_jwt_vc, response, issuer_signed])
def test_a_good_credential_passes_and_its_values_are_not_shown(
    owner: Admin, authority: Authority, made: Any
) -> None:
    steps, page = judged(owner, made(authority))
    assert set(steps.values()) == {"✓"}
    assert "It would be accepted now" in page
    assert "birthdate" in page or "birth_date" in page
    who = person(PERSON)
    for value in (who.name, who.birthdate, who.registration_number):
        assert value not in page
    assert f"/console/trust/missions/{who.mission}" in page


WRONG: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "stranger": (sd_jwt_vc, {"from_stranger": True}, "issuer", "issuer_untrusted"),
    "mdoc_stranger": (response, {"from_stranger": True}, "issuer", "issuer_untrusted"),
    "typ": (sd_jwt_vc, {"typ": "JWT"}, "form", "header_type"),
    "revoked": (sd_jwt_vc, {"status": Status.REVOKED}, "status", "status_revoked"),
    "mdoc_suspended": (response, {"status": Status.SUSPENDED}, "status", "status_suspended"),
    "expired": (sd_jwt_vc, {"status": Status.EXPIRED}, "signature", "expired"),
    "mdoc_type": (response, {"lies": Lies(doc_type="org.example.other")}, "type", "type_not_accepted"),
    "mdoc_signature": (response, {"lies": Lies(altered_signature=True)}, "signature", "issuer_signature"),
    "mdoc_element": (response, {"lies": Lies(altered_element=True)}, "signature", "digest"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_hold_is_named(owner: Admin, authority: Authority, wrong: str) -> None:
    made, order, step, reason = WRONG[wrong]
    steps, page = judged(owner, made(authority, **order))
    stops_at(steps, step)
    assert reason in page
    assert "Its holder would read:" in page


@pytest.mark.parametrize("text", ["x", "a~b", "~", "{}", "AAAA", "<script>alert(1)</script>~", "é~é"])
def test_whatever_is_pasted_is_answered(owner: Admin, text: str) -> None:
    steps, page = judged(owner, text)
    stops_at(steps, "form")
    assert "<script>alert" not in page


def test_a_file_may_be_chosen(rig: Rig, owner: Admin, authority: Authority) -> None:
    text = response(authority)
    answered = owner.browser.post(
        f"{rig.issuer}/console/trust/credential",
        data={"csrf": owner.csrf(), "credential": ""},
        files={"file": ("credential.txt", f"{text[:70]}\n{text[70:]}\n".encode())},
    )
    assert "It would be accepted now" in answered.text


def test_nothing_of_it_rests_and_the_audit_has_that_it_was_done(
    rig: Rig, owner: Admin, authority: Authority
) -> None:
    who, before = person(PERSON), rig.last_event()
    for made in (sd_jwt_vc, response):
        judged(owner, made(authority))
        judged(owner, made(authority, from_stranger=True))
    found = [event for event in rig.events(before) if event.name == "admin.credential_tested"]
    assert len(found) == 4
    assert {(event.reason, json.dumps(event.detail), event.subject_id) for event in found} == {
        (None, "null", None)
    }
    values = {"name": who.name, "birthdate": who.birthdate, "number": who.registration_number}
    directory = Path(rig.house.settings.database_url.removeprefix("sqlite:///")).parent
    assert Search(needles(searchable([values]))).in_files(*directory.glob("sinwon.db*")) == {}


def test_only_who_may_change_the_registry_tests_against_it(rig: Rig) -> None:
    auditor = Admin(rig, "invented-2").join(Role.AUDITOR)
    assert auditor.get("/console/trust/credential").status_code == 403
    assert auditor.send("/console/trust/credential", credential="x").status_code == 403


def test_how_fresh_the_status_lists_are_is_shown(rig: Rig, owner: Admin, authority: Authority) -> None:
    judged(owner, sd_jwt_vc(authority))
    page = owner.get("/console/trust").text
    assert authority.status_uri(person(PERSON).mission) in page
    assert "up to date" in page


def test_a_list_whose_host_does_not_answer_is_on_the_first_page(
    rig: Rig, owner: Admin, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, lists = sd_jwt_vc(authority), rig.house.status_lists
    judged(owner, text)

    def gone(uri: str, token_type: object) -> bytes:
        raise lists._refusals[0]("gone")

    monkeypatch.setattr(lists, "_fetch", gone)
    rig.clock.forward(TTL_S + 1)
    steps, page = judged(owner, text)
    stops_at(steps, "status")
    assert "status_unknown" in page
    assert "out of date, and its host does not answer" in owner.get("/console/trust").text
    assert f"The status list of {person(PERSON).mission} cannot be fetched" in owner.get("/console").text
