"""The audit in the console: found, taken out with a reason, counted, and never another organisation's."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator

import pytest

from idp.admin import organisations
from idp.admin.figures import Counting
from idp.admin.people import Role
from tests.at_console import Admin
from tests.rig import Rig, started


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        names = {"ko": "기관", "en": "Organisation"}
        document = {
            "organisation": [{"id": "mois", "name": names}, {"id": "oka", "name": names}],
            "portals": {"gov24": "mois", "g4k": "oka"},
        }
        with running.app.app_context():
            organisations.apply(document, now=running.clock())
        for client_id in ("gov24", "g4k"):
            running.portal(client_id).sign_in("hong")
        yield running


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Admin:
    return Admin(rig, "invented-1").join(Role.OWNER)


@pytest.fixture(scope="module")
def member(rig: Rig) -> Admin:
    return Admin(rig, "invented-2").join(Role.MEMBER, "of mois", "mois")


def exported(admin: Admin, **fields: str) -> list[dict[str, object]]:
    answered = admin.send("/console/audit/export", **{"why": "a test", "format": "jsonl", **fields})
    assert answered.status_code == 200
    return [json.loads(line) for line in answered.text.splitlines()]


def test_an_event_is_found_by_its_reference(rig: Rig, owner: Admin) -> None:
    [finished] = [
        event for event in rig.events() if event.name == "login.finished" and event.client_id == "g4k"
    ]
    shown = owner.get(f"/console/audit?correlation_id={finished.correlation_id}").text
    assert "login.finished" in shown
    assert finished.login_id is not None
    assert finished.login_id in shown


def test_pages_follow_one_another(rig: Rig, owner: Admin) -> None:
    with rig.app.app_context():
        from idp.events import Event, record_alone  # noqa: PLC0415

        for number in range(60):
            record_alone(Event.CLIENT_REFUSED, at=rig.clock(), reason=f"reason_{number}")
    first = owner.get("/console/audit?name=client.refused").text
    assert "reason_59" in first
    assert "reason_3<" not in first
    address = first.split('<p class="pages"><a class="button quiet small" href="')[1].split('"')[0]
    second = owner.get(address.replace("&amp;", "&")).text
    assert "reason_3<" in second
    assert "reason_59" not in second


def test_reading_is_recorded_as_the_administrators(rig: Rig, owner: Admin) -> None:
    before = rig.last_event()
    owner.get("/console/audit?client_id=gov24")
    [read] = [event for event in rig.events(before) if event.name == "admin.audit_read"]
    assert str(read.actor).startswith("admin:")


@pytest.mark.parametrize(
    "query",
    [
        "name=no.such.event",
        "correlation_id=%00",
        "after=x",
        "since=yesterday",
        "reason=%3Cb%3E",
        "since=9999999-01-01",
    ],
)
def test_what_cannot_be_searched_for_is_said(owner: Admin, query: str) -> None:
    assert owner.get(f"/console/audit?{query}").status_code == 400


def test_a_member_finds_what_the_own_portals_did_and_nothing_else(rig: Rig, member: Admin) -> None:
    everything = member.get("/console/audit").text
    assert "gov24" in everything
    assert "g4k" not in everything
    for query in ("client_id=g4k", "name=admin.joined", "actor=worker"):
        assert "Nothing was found" in member.get(f"/console/audit?{query}&lang=en").text
    events = exported(member)
    assert events
    assert {event["client_id"] for event in events} == {"gov24"}
    assert exported(member, client_id="g4k") == []
    report = member.get("/console/audit/report").text
    assert "gov24" in report
    assert "g4k" not in report
    assert "admin.joined" not in report


def test_taking_out_needs_a_reason_and_leaves_one(rig: Rig, owner: Admin) -> None:
    before = rig.last_event()
    assert owner.send("/console/audit/export", why="", format="csv").status_code == 400
    assert "admin.audit_exported" not in {event.name for event in rig.events(before)}
    answered = owner.send(
        "/console/audit/export", why="the yearly review", format="csv", name="login.finished"
    )
    assert answered.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answered.headers["Content-Disposition"].startswith('attachment; filename="sinwon-audit-')
    rows = list(csv.DictReader(io.StringIO(answered.text)))
    assert {row["name"] for row in rows} == {"login.finished"}
    assert len(rows) >= 2
    [taken] = [event for event in rig.events(before) if event.name == "admin.audit_exported"]
    assert (taken.detail or {})["why"] == "the yearly review"


def test_an_export_without_this_sessions_token_takes_nothing_out(rig: Rig, owner: Admin) -> None:
    before = rig.last_event()
    answered = owner.send("/console/audit/export", csrf=None, why="because", format="csv")
    assert answered.status_code == 403
    assert "admin.audit_exported" not in {event.name for event in rig.events(before)}


def test_a_month_is_counted(rig: Rig, owner: Admin) -> None:
    shown = owner.page("/console/audit/report?lang=en").root.text
    assert "Figures of" in shown
    assert "admin.joined" in shown
    assert owner.get("/console/audit/report?month=2026-13").status_code == 200


def test_an_actor_is_called_by_the_label_and_found_by_it(rig: Rig, owner: Admin, member: Admin) -> None:
    owner.get("/console/audit?client_id=gov24")
    shown = owner.get("/console/audit?name=admin.audit_read").text
    assert re.search(r"<td>owner<br><span[^>]*>admin:[\w-]+</span>", shown)
    found = owner.get("/console/audit?actor=OWNER&name=admin.audit_read").text
    assert "<td>owner<br>" in found
    assert "of mois<br>" not in found
    [read] = [event for event in rig.events() if event.name == "admin.audit_read"][-1:]
    assert read.detail == {"filter": {"actor": "(given)", "name": "admin.audit_read"}}
    assert "Nothing was found." in owner.get("/console/audit?actor=nobody&lang=en").text


def test_a_member_finds_by_the_labels_of_the_own_people_only(rig: Rig, owner: Admin, member: Admin) -> None:
    """The owner's reading of this portal's audit is in it, and the owner's label is not theirs to look up."""
    owner.get("/console/audit?client_id=gov24")
    assert "Nothing was found." in member.get("/console/audit?actor=owner&lang=en").text
    assert "Nothing was found." not in member.get("/console/audit?actor=of%20mois").text


def test_the_report_of_an_organisation_says_what_happened_to_its_portals(
    rig: Rig, owner: Admin, member: Admin
) -> None:
    rig.apply_portal("gov24", contacts=["help@gov24.example"])
    rig.apply_portal("g4k", contacts=["help@g4k.example"])
    rig.portal("gov24").begin(scope="profile")
    with rig.app.app_context():
        Counting(rig.clock).count(10)
    exported(owner, client_id="gov24", why="asked by gov24's auditor")
    exported(owner, client_id="g4k", why="asked by g4k's auditor")
    exported(member, why="our own review")
    shown = member.get("/console/audit/report?lang=en").text
    for heading in ("Refusals", "Changes of portals", "Client secrets last used", "Taken out of the audit"):
        assert heading in shown, heading
    assert "asked by gov24&#39;s auditor" in shown
    assert "our own review" in shown
    assert "g4k" not in shown
    whole = owner.get("/console/audit/report?lang=en").text
    assert "asked by g4k&#39;s auditor" in whole
    long_ago = member.get("/console/audit/report?month=2020-01&lang=en").text
    assert "of this month it is not known any more" in long_ago
