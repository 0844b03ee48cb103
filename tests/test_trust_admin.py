"""The trust registry as its operator lives with it: who changed what and why, what a change would do, what ends."""

from __future__ import annotations

import datetime
import logging
import threading
import tomllib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, event, select, text

from idp import schema
from idp.admin import expiry, seen, trust_record
from idp.admin import trust as trust_admin
from idp.admin.seen import SeenChains
from idp.admin.trust import Entry, UnknownEntry
from idp.credentials import TrustDocumentError
from idp.demo import pki
from idp.events import Origin, origin
from idp.login import Standing
from idp.models import CredentialType, Lease, SeenChain, TrustChange, db, writing
from idp.models import Mission as MissionRow
from idp.worker import Worker
from tests.presenting import Answer, request_object
from tests.rig import Rig, person

PEOPLE = count(9000)
HOUR_S, DAY_S = 3600, 86_400
LAX = Entry("mission", "LAX")


@pytest.fixture(scope="module")
def rig(rig_on_each_database: Rig) -> Rig:
    return rig_on_each_database


@pytest.fixture(autouse=True)
def clean(rig: Rig) -> Iterator[None]:
    """The demonstration's registry, without a history, and nothing seen."""
    with rig.app.app_context():
        with writing() as database:
            for table in (TrustChange, SeenChain, Lease, MissionRow, CredentialType):
                database.execute(delete(table))
        trust_admin.apply(rig.prepared.trust(), now=rig.clock())
        with writing() as database:
            database.execute(delete(TrustChange))
    rig.house.seen_chains._counts.clear()
    rig.clock.forward(trust_admin.RELOAD_S)
    with rig.app.app_context():
        yield
        db.session.rollback()
    rig.clock.offset_s = 0


def mission(rig: Rig, code: str = "LAX", **changes: Any) -> dict[str, Any]:
    """A mission of the demonstration with some members changed (None takes one out)."""
    known = next(one for one in rig.prepared.trust()["mission"] if one["code"] == code)
    return {name: value for name, value in {**known, **changes}.items() if value is not None}


def applied(rig: Rig, *missions: dict[str, Any], **given: Any) -> list[str]:
    changed = trust_admin.apply({"mission": list(missions)}, now=rig.clock(), **given)
    rig.clock.forward(trust_admin.RELOAD_S)
    return changed


def show(rig: Rig, persona: str | None = None) -> str:
    """A sign-in up to the wallet's answer; `accepted`, or what the audit says of the refusal."""
    portal = rig.portal("gov24")
    answer = Answer(rig, portal.link(portal.page(portal.begin())), persona or f"invented-{next(PEOPLE)}")
    last = rig.last_event()
    accepted = answer.send().status_code == 200
    return "accepted" if accepted else str(rig.events(after=last)[0].reason)


# -- changes ---------------------------------------------------------------------------------------------------


def test_a_change_has_a_version_who_when_and_why(rig: Rig) -> None:
    origin.set(Origin(actor="command line: kim"))
    try:
        applied(rig, mission(rig, active_until=datetime.date(2030, 1, 1)), reason="letter 2026-117")
        applied(rig, mission(rig, active_until=datetime.date(2031, 1, 1)))
    finally:
        origin.set(Origin())
    latest, earlier = trust_record.history("LAX")
    assert [one.version for one in (latest, earlier)] == [2, 1]
    assert (earlier.actor, earlier.reason) == ("command line: kim", "letter 2026-117")
    assert latest.reason is None
    assert earlier.change.verb == latest.change.verb == "changed"
    assert latest.change.members == ["active_until"]
    assert latest.change.before == earlier.change.after
    assert (latest.change.after or {})["active_until"] == "2031-01-01"
    assert rig.clock() - latest.at <= trust_admin.RELOAD_S + 2


def test_what_does_not_change_gets_no_version(rig: Rig) -> None:
    last = rig.last_event()
    assert applied(rig, mission(rig), reason="once more") == []
    assert trust_record.history() == []
    assert rig.last_event() == last


def test_a_mission_that_is_removed_and_comes_back_goes_on_counting(rig: Rig) -> None:
    last = rig.last_event()
    trust_admin.apply({}, now=rig.clock(), removing=[LAX], reason="closed")
    applied(rig, mission(rig), reason="open again")
    versions = [(one.version, one.change.verb) for one in trust_record.history("LAX")]
    assert versions == [(2, "added"), (1, "removed")]
    events = [(one.name, one.detail) for one in rig.events(after=last)]
    assert events == [
        ("admin.trust_removed", {"entry": "LAX", "version": 1}),
        ("admin.trust_applied", {"entry": "LAX", "version": 2}),
    ]


def test_a_type_that_missions_issue_stays(rig: Rig) -> None:
    kind = trust_admin.find("kr-overseas-national")
    assert kind == Entry("credential_type", "kr-overseas-national")
    with pytest.raises(TrustDocumentError) as refused:
        trust_admin.apply({}, now=rig.clock(), removing=[kind])
    missions = [one for one in rig.prepared.trust()["mission"] if kind.id in one["credential_types"]]
    assert len(refused.value.problems) == len(missions)
    assert trust_record.history() == []


def test_every_problem_is_named_and_nothing_is_written(rig: Rig) -> None:
    wrong = {
        "mission": [
            {**mission(rig), "code": "ONE", "country": "USA"},
            mission(rig, "AKL", active_from="soon"),
        ]
    }
    with pytest.raises(TrustDocumentError) as refused:
        trust_admin.apply(wrong, now=rig.clock(), removing=[LAX])
    assert {"country", "active_from"} <= {
        one.rpartition(".")[2].partition(":")[0] for one in refused.value.problems
    }
    for table in ({"mission": [mission(rig)] * 2}, {"misson": []}, {"mission": ["LAX"]}):
        with pytest.raises(TrustDocumentError):
            trust_admin.apply(table, now=rig.clock())
    with pytest.raises(TrustDocumentError, match="both given and removed"):
        trust_admin.apply({"mission": [mission(rig)]}, now=rig.clock(), removing=[LAX])
    assert trust_record.history() == []
    assert trust_admin.find("LAX") == LAX


def test_an_entry_is_found_by_its_id_and_where_there_are_two_by_its_kind(rig: Rig) -> None:
    certificates = [pki.make_ca("x").pem]
    changed = mission(rig, issuer_certificates=certificates, issuer_dids=None)
    same = {**changed, "code": "kr-overseas-national"}
    applied(rig, same)
    with pytest.raises(UnknownEntry) as twice:
        trust_admin.find("kr-overseas-national")
    assert twice.value.kinds == ("credential_type", "mission")
    assert trust_admin.find("kr-overseas-national", "mission").kind == "mission"
    with pytest.raises(UnknownEntry) as none:
        trust_admin.find("LAX", "credential_type")
    assert none.value.kinds == ()


def test_two_operators_at_once_leave_a_registry_that_makes_sense(rig: Rig) -> None:
    """Each alone would be fine; together they would give one certificate to two missions."""
    certificate = pki.make_ca("wanted twice").pem
    gate = threading.Barrier(2)
    refused: list[str] = []

    def change(code: str) -> None:
        with rig.app.app_context():
            gate.wait(30)
            try:
                applied(rig, mission(rig, code, issuer_certificates=[certificate]))
            except TrustDocumentError as error:
                refused.extend(error.problems)

    threads = [threading.Thread(target=change, args=(code,)) for code in ("LAX", "AKL")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(refused) == 1
    assert "issuer_certificates: one is" in refused[0]
    assert len(trust_record.history()) == 1


# -- reading ---------------------------------------------------------------------------------------------------


def test_the_list_says_what_there_is_and_since_when(rig: Rig) -> None:
    applied(rig, mission(rig, active_until=datetime.date(2030, 1, 1)))
    lines = {line.entry: line for line in trust_record.listed(rig.clock())}
    assert lines[LAX].state == "until 2030-01-01"
    assert lines[LAX].version == 1
    assert lines[Entry("mission", "AKL")].state == "issues"
    assert lines[Entry("mission", "NEW")].state == "from 2099-01-01"
    assert lines[Entry("credential_type", "kr-overseas-national")].name.startswith("Mobile")
    assert next(iter(lines)).kind == "credential_type"


def test_what_is_exported_is_a_file_that_changes_nothing(rig: Rig) -> None:
    exported = trust_record.as_toml(
        [(line.entry.kind, line.document) for line in trust_record.listed(rig.clock())]
    )
    assert "주로스앤젤레스" in exported
    assert "-----BEGIN CERTIFICATE-----\n" in exported  # as an operator can read it
    assert trust_admin.apply(tomllib.loads(exported), now=rig.clock()) == []


# -- seen chains -----------------------------------------------------------------------------------------------


def chains() -> list[SeenChain]:
    db.session.rollback()
    return list(db.session.scalars(select(SeenChain).order_by(SeenChain.mission)))


def test_a_chain_is_written_down_once_an_hour_and_counted_in_between(rig: Rig) -> None:
    rig.clock.offset_s += HOUR_S - rig.clock() % HOUR_S  # not across two days' border
    statements: list[str] = []

    def noted(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "seen_chain" in statement:
            statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", noted)
    try:
        for _ in range(5):
            assert show(rig, "hong") == "accepted"
        assert len(statements) == 1
    finally:
        event.remove(db.engine, "before_cursor_execute", noted)
    (chain,) = chains()
    assert (chain.mission, chain.credential_type, chain.format) == (
        "LAX",
        "kr-overseas-national",
        "dc+sd-jwt",
    )
    assert chain.n_that_day == 1
    assert chain.last_seen_at % HOUR_S == 0
    rig.house.seen_chains.flush()
    assert [one.n_that_day for one in chains()] == [5]
    assert [one.digest for one in chains()] == [chain.digest]


def test_what_was_refused_is_not_seen(rig: Rig) -> None:
    for persona in ("lee", "shin"):
        assert show(rig, persona) != "accepted"
    rig.house.seen_chains.flush()
    assert chains() == []


def standing(**changes: Any) -> Standing:
    good = {"credential_type": "t", "format": "mso_mdoc", "mission": "LAX", "chain": ("MII=",)}
    return Standing(**{**good, **changes})


def test_days_are_counted_each_by_itself(rig: Rig) -> None:
    at = 20_000 * DAY_S
    counting = SeenChains(lambda: at)
    for _ in range(3):
        counting.note(standing())
    counting.flush()
    assert [(one.n_that_day, one.day) for one in chains()] == [(3, at)]
    at += DAY_S + 5
    counting.note(standing())
    counting.note(standing(format="dc+sd-jwt"))
    assert [(one.n_that_day, one.day, one.first_seen_at) for one in chains() if one.format == "mso_mdoc"] == [
        (1, 20_001 * DAY_S, 20_000 * DAY_S)
    ]
    assert len(chains()) == 2


def test_processes_count_into_one_row(rig: Rig) -> None:
    counting = [SeenChains(rig.clock) for _ in range(6)]
    gate = threading.Barrier(len(counting))

    def see(one: SeenChains) -> None:
        with rig.app.app_context():
            gate.wait(30)
            for _ in range(10):
                one.note(standing())
            one.flush()

    threads = [threading.Thread(target=see, args=(one,)) for one in counting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [one.n_that_day for one in chains()] == [60]


def test_a_credential_without_a_chain_is_not_seen(rig: Rig) -> None:
    counting = SeenChains(rig.clock)
    counting.note(None)
    counting.note(standing(chain=()))
    counting.flush()
    assert chains() == []


def test_a_table_that_cannot_be_written_costs_no_sign_in_and_no_count(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    def rename(name: str, other: str) -> None:
        with writing() as database:
            database.execute(text(f"ALTER TABLE {name} RENAME TO {other}"))

    now = rig.clock()
    counting = SeenChains(lambda: now)
    rename("seen_chain", "elsewhere")
    try:
        with caplog.at_level(logging.WARNING, "idp"):
            assert show(rig, "hong") == "accepted"
            counting.note(standing())
    finally:
        rename("elsewhere", "seen_chain")
    assert caplog.text.count("seen chains were not written") == 2
    counting.note(standing())
    assert chains() == []  # not before the next hour
    now += HOUR_S
    counting.note(standing())
    assert [one.n_that_day for one in chains()] == [3]


def test_what_was_not_seen_for_long_is_forgotten(rig: Rig) -> None:
    show(rig, "hong")
    worker = Worker(rig.app)
    worker.jobs = [job for job in worker.jobs if job.name == "sweep"]
    worker.run_once()
    assert len(chains()) == 1
    rig.clock.forward(seen.KEPT_S + HOUR_S)
    worker.run_once()
    assert chains() == []


# -- what a change would do ------------------------------------------------------------------------------------


def test_a_preview_says_which_chains_would_fail_and_changes_nothing(rig: Rig) -> None:
    for persona in ("hong", "kim"):
        show(rig, persona)
    last = rig.last_event()
    document = {"mission": [mission(rig, issuer_certificates=[pki.make_ca("new CA").pem])]}
    preview = trust_admin.preview(document, now=rig.clock())
    assert [(one.entry, one.verb, one.members) for one in preview.changes] == [
        (LAX, "changed", ["issuer_certificates"])
    ]
    assert [(one.seen.mission, one.reason.value) for one in preview.failing] == [("LAX", "issuer_untrusted")]
    assert preview.n_tried == 2
    assert rig.last_event() == last
    assert trust_record.history() == []
    assert show(rig, "hong") == "accepted"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"active_until": datetime.date(2025, 1, 1)}, "issuer_not_active"),
        ({"active_from": datetime.date(2090, 1, 1)}, "issuer_not_active"),
        ({"status_ekus": ["1.2.3"]}, None),
        ({"active_until": datetime.date(2090, 1, 1)}, None),
        ({"name": {"ko": "가", "en": "A"}}, None),
    ],
)
def test_closing_a_mission_fails_its_chains_and_renaming_it_does_not(
    rig: Rig, change: dict[str, Any], reason: str | None
) -> None:
    show(rig, "hong")
    preview = trust_admin.preview({"mission": [mission(rig, **change)]}, now=rig.clock())
    assert [one.reason.value for one in preview.failing] == ([reason] if reason else [])


def test_a_removed_mission_and_a_certificate_that_changes_hands_are_seen_before(rig: Rig) -> None:
    show(rig, "hong")
    gone = trust_admin.preview({}, now=rig.clock(), removing=[LAX])
    assert [one.reason.value for one in gone.failing] == ["issuer_untrusted"]
    moved = mission(rig, "AKL", issuer_certificates=mission(rig)["issuer_certificates"])
    handed = trust_admin.preview({"mission": [moved]}, now=rig.clock(), removing=[LAX])
    assert [one.reason.value for one in handed.failing] == ["mission_mismatch"]


def test_a_type_that_loses_its_format_is_seen_before(rig: Rig) -> None:
    show(rig, "hong")
    (kind,) = rig.prepared.trust()["credential_type"][:1]
    looks = kind["formats"]["dc+sd-jwt"]
    paths = {name: ["ns", name] for name in ("overseas_registration_number", "name")}
    only_mdoc = {**kind, "formats": {"mso_mdoc": {"names": ["doc"], "elements": paths}}}
    stricter = {**kind, "formats": {"dc+sd-jwt": {**looks, "issuer_ekus": ["1.2.3"]}}}
    for changed, reason in ((only_mdoc, "type_not_accepted"), (stricter, "issuer_certificate")):
        preview = trust_admin.preview({"credential_type": [changed]}, now=rig.clock())
        assert [one.reason.value for one in preview.failing] == [reason]


def test_what_fails_already_or_was_seen_long_ago_is_not_put_down_to_the_change(rig: Rig) -> None:
    show(rig, "hong")
    applied(rig, mission(rig, active_until=datetime.date(2025, 1, 1)))
    assert trust_admin.preview({}, now=rig.clock(), removing=[LAX]).failing == ()
    applied(rig, mission(rig))
    assert len(trust_admin.preview({}, now=rig.clock(), removing=[LAX]).failing) == 1
    rig.clock.forward(DAY_S + 2 * HOUR_S)
    preview = trust_admin.preview({}, now=rig.clock(), removing=[LAX])
    assert (preview.failing, preview.n_tried) == ((), 0)


def test_a_preview_is_refused_as_the_change_would_be(rig: Rig) -> None:
    with pytest.raises(TrustDocumentError):
        trust_admin.preview({"mission": [mission(rig, country="USA")]}, now=rig.clock())


# -- without a restart -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["removed", "closed"])
def test_a_mission_is_out_at_every_door_without_a_restart_and_in_again(rig: Rig, how: str) -> None:
    assert show(rig, "hong") == "accepted"
    if how == "removed":
        applied(rig, removing=[LAX], reason="its key was stolen")
    else:
        applied(rig, mission(rig, active_until=datetime.date(2025, 1, 1)), reason="it has moved")
    assert show(rig, "hong") == ("issuer_untrusted" if how == "removed" else "issuer_not_active")
    applied(rig, mission(rig), reason="a mistake")
    assert show(rig, "hong") == "accepted"


def test_a_question_names_the_authorities_of_today(rig: Rig) -> None:
    def named() -> set[str]:
        portal = rig.portal("gov24")
        _, request = request_object(rig, portal.link(portal.page(portal.begin())))
        asked = {one["id"]: one for one in request["dcql_query"]["credentials"]}
        (authorities,) = asked["sd-kr-overseas-national"]["trusted_authorities"]
        assert authorities["type"] == "aki"
        return set(authorities["values"])

    before = named()
    assert rig.wallet.held(person("hong")).credential.authority_key_ids <= before
    applied(rig, removing=[LAX], reason="gone")
    assert before - named() == rig.wallet.held(person("hong")).credential.authority_key_ids


# -- what ends soon --------------------------------------------------------------------------------------------


def endings(rig: Rig, days: int) -> list[expiry.Ending]:
    now = rig.clock()
    return expiry.endings(
        rig.house.trust.snapshot(),
        seen.lately(now, seen.KEPT_S),
        rig.house.signer.chain,
        now=now,
        within_s=days * DAY_S,
    )


def test_certificates_that_end_are_named_in_their_order(rig: Rig) -> None:
    show(rig, "hong")
    assert endings(rig, 90) == []
    found = {one.what for one in endings(rig, 9000)}
    assert "issuer certificate of LAX" in found
    assert "signer of LAX for kr-overseas-national (dc+sd-jwt)" in found
    assert "our certificate for wallets" in found
    times = [one.at for one in endings(rig, 9000)]
    assert times == sorted(times)
    applied(rig, mission(rig, active_until=datetime.date(2025, 1, 1)))
    assert "issuer certificate of LAX" not in {one.what for one in endings(rig, 9000)}


def test_the_worker_warns_once_a_day_of_what_ends_within_a_month(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(rig.app)
    worker.jobs = [job for job in worker.jobs if job.name == "endings"]
    with caplog.at_level(logging.WARNING, "idp"):
        worker.run_once()
    assert caplog.text == ""
    ends = rig.house.signer.chain[0].not_valid_after_utc
    rig.clock.offset_s += int(ends.timestamp()) - rig.clock() - 20 * DAY_S
    for _ in range(2):
        with caplog.at_level(logging.WARNING, "idp"):
            worker.run_once()
            rig.clock.forward(HOUR_S)
    said = [line for line in caplog.text.splitlines() if "our certificate for wallets ends" in line]
    assert len(said) == 1
    assert f"{ends:%Y-%m-%d}, in 20 days" in said[0]
    rig.clock.forward(DAY_S)
    with caplog.at_level(logging.WARNING, "idp"):
        worker.run_once()
    assert caplog.text.count("our certificate for wallets ends") == 2


def test_what_has_ended_is_said_so(rig: Rig) -> None:
    now = rig.clock()
    ended = expiry.Ending(now - 5, "ours", "CN=x", "00")
    assert expiry.in_days(ended, now).endswith("it has ended")


# -- before there was a history --------------------------------------------------------------------------------


def test_a_registry_from_before_gets_its_first_versions(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sinwon.db"
    schema.upgrade(url, "0004")
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO mission VALUES ('LAX', '{\"code\": \"LAX\"}', 5)"))
        schema.upgrade(url)
        with engine.begin() as connection:
            row = connection.execute(select(TrustChange)).mappings().one()
    finally:
        engine.dispose()
    assert (row["kind"], row["entry"], row["version"], row["at"]) == ("mission", "LAX", 1, 5)
    assert (row["before"], row["after"]) == (None, {"code": "LAX"})
    assert row["reason"]
