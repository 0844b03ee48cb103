"""Searching finds what is asked for and nothing else, page after page; reading is written down before it happens."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from idp.admin import audit
from idp.admin.audit import Filter
from idp.admin.audit.formats import uncell
from idp.admin.audit.merkle import entry_of
from idp.events import Event, Origin, origin
from idp.models import AuditEvent, db
from tests.audit.keeping import NOON, Kept


def events_named(name: str) -> list[AuditEvent]:
    db.session.rollback()
    return list(db.session.query(AuditEvent).filter_by(name=name).order_by(AuditEvent.id))


def ids(page: audit.Page) -> list[int]:
    return [event["id"] for event in page.events]


def pages(filter: Filter, limit: int) -> Iterator[audit.Page]:
    after = None
    while True:
        page = audit.search(filter, after, limit, now=NOON)
        yield page
        if page.next is None:
            return
        after = page.next


@pytest.fixture
def varied(log: Kept) -> dict[str, list[int]]:
    """Rows that differ in one thing each from the ordinary ones; their ids."""
    ordinary = log.write(4)
    found = {
        "ordinary": ordinary,
        "client_id": log.write(2, client_id="efamily"),
        "name": log.write(2, event=Event.CODE_REPLAYED),
        "reason": log.write(2, reason="status_revoked"),
        "subject_id": log.write(2, subject_id="somebody"),
        "login_id": log.write(1, login_id="this-one"),
        "since": log.write(2, at=NOON + 3600),
        "until": log.write(2, at=NOON - 86_400),
    }
    for field, where in (
        ("actor", Origin(actor="administrator:7")),
        ("correlation_id", Origin(correlation_id="35bc7451b0bfd7ff")),
    ):
        before = origin.set(where)
        found[field] = log.write(2)
        origin.reset(before)
    return found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("client_id", "efamily"),
        ("name", "code.replayed"),
        ("reason", "status_revoked"),
        ("subject_id", "somebody"),
        ("login_id", "this-one"),
        ("correlation_id", "35bc7451b0bfd7ff"),
        ("since", NOON + 3600),
        ("until", NOON - 86_399),
        ("actor", "administrator:7"),
    ],
)
def test_each_field_finds_its_rows_and_no_others(
    varied: dict[str, list[int]], field: str, value: Any
) -> None:
    page = audit.search(Filter(**{field: value}), now=NOON)
    assert sorted(ids(page)) == varied[field]
    assert page.next is None


def test_every_field_that_is_set_must_match(log: Kept) -> None:
    [both] = log.write(1, reason="expired", subject_id="a")
    log.write(1, reason="expired", subject_id="b")
    log.write(1, reason="other", subject_id="a")
    assert ids(audit.search(Filter(reason="expired", subject_id="a"), now=NOON)) == [both]


@pytest.mark.parametrize("limit", [1, 3, 7, 50])
def test_pages_are_the_whole_once_each_newest_first_also_within_a_second(log: Kept, limit: int) -> None:
    written = log.write(9) + log.write(6, at=NOON - 3)
    found = [event for page in pages(Filter(client_id="gov24"), limit) for event in page.events]
    assert len(found) == len(written)
    assert [(event["at"], event["id"]) for event in found] == sorted(
        ((event["at"], event["id"]) for event in found), reverse=True
    )
    assert sorted(event["id"] for event in found) == written


def test_rows_that_are_written_meanwhile_move_nothing(log: Kept) -> None:
    written = log.write(6)
    first = audit.search(Filter(client_id="gov24"), limit=3, now=NOON)
    log.write(3, at=NOON + 5)
    rest = audit.search(Filter(client_id="gov24"), first.next, 3, now=NOON)
    assert ids(first) + ids(rest) == written[::-1]


def test_an_event_has_every_column(log: Kept) -> None:
    [row] = log.write(1, reason="expired")
    [event] = audit.search(Filter(client_id="gov24"), now=NOON).events
    assert event == {
        "id": row,
        "at": NOON - 1,
        "name": "login.started",
        "actor": None,
        "client_id": "gov24",
        "subject_id": None,
        "login_id": "login-0",
        "correlation_id": None,
        "ip": None,
        "reason": "expired",
        "detail": {"number": 0, "문자": "가나다", "list": ["b", "a"], "none": None},
    }


# -- an organisation sees its own portals --------------------------------------------------------------------------


@pytest.mark.parametrize("n_portals", [1, 2, 30, 150, 1001])
def test_an_organisation_sees_the_events_of_its_portals_only(log: Kept, n_portals: int) -> None:
    mine = frozenset({"mine", *(f"mine-{number}" for number in range(n_portals - 1))})
    written = log.write(3, client_id="mine")
    if n_portals > 1:
        written += log.write(2, client_id="mine-0")
    log.write(3, client_id="other")
    log.write(2, client_id=None)
    found = [event for page in pages(Filter(client_ids=mine), 2) for event in page.events]
    found = [event for event in found if event["name"] == "login.started"]
    assert sorted(event["id"] for event in found) == written
    assert [event["at"] for event in found] == sorted((event["at"] for event in found), reverse=True)


def test_another_portals_events_are_not_found_by_its_name_nor_exported(log: Kept) -> None:
    log.write(3, client_id="other", login_id="theirs")
    mine = frozenset({"mine"})
    for filter in (
        Filter(client_ids=mine, client_id="other"),
        Filter(client_ids=mine, login_id="theirs"),
        Filter(client_ids=frozenset()),
    ):
        assert audit.search(filter, now=NOON).events == []
        assert list(audit.export(filter, reason="case 7", now=NOON)) == []


# -- what cannot be searched for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "no.such"},
        {"login_id": "with space"},
        {"subject_id": "x" * 44},
        {"correlation_id": ""},
        {"reason": "홍길동"},
        {"client_id": ""},
        {"client_id": "a\0"},
        {"actor": "x" * 256},
        {"since": 2**60},
    ],
)
def test_what_cannot_be_is_refused_by_the_fields_name(bad: dict[str, Any]) -> None:
    [(field, value)] = bad.items()
    with pytest.raises(audit.BadSearch, match=field) as refused:
        Filter(**bad)
    assert not str(value).strip() or str(value) not in str(refused.value)


@pytest.mark.parametrize("after", ["", "1", "1.", "a.b", "1.2.3", "1.2 OR 1=1", f"{10**30}.1"])
def test_a_page_after_nothing_is_refused(log: Kept, after: str) -> None:
    with pytest.raises(audit.BadSearch):
        audit.search(Filter(), after, now=NOON)


# -- reading is audited --------------------------------------------------------------------------------------------


def test_reading_is_in_the_audit_with_what_was_asked_for(log: Kept) -> None:
    log.write(2, reason="expired")
    before = origin.set(Origin(actor="administrator:7", correlation_id="c7"))
    audit.search(Filter(reason="expired", client_id="gov24", since=NOON - 9), now=NOON)
    origin.reset(before)
    [read] = events_named("admin.audit_read")
    assert (read.at, read.actor, read.correlation_id, read.client_id) == (
        NOON,
        "administrator:7",
        "c7",
        "gov24",
    )
    assert read.detail == {"filter": {"reason": "expired", "client_id": "(given)", "since": NOON - 9}}


def test_what_people_type_freely_does_not_stay(log: Kept) -> None:
    audit.search(Filter(actor="홍길동", client_id="홍길동"), now=NOON)
    [read] = events_named("admin.audit_read")
    assert "홍길동" not in entry_of({"detail": read.detail, "client_id": read.client_id}).decode()


def test_where_the_reading_cannot_be_written_nothing_is_read(
    log: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr("idp.admin.audit.searching.record_alone", full)
    with pytest.raises(OSError):
        audit.search(Filter(), now=NOON)
    with pytest.raises(OSError):
        audit.export(Filter(), reason="case 7", now=NOON)


# -- exporting -----------------------------------------------------------------------------------------------------


def test_an_export_is_everything_oldest_first_and_says_why_in_the_audit(log: Kept) -> None:
    written = log.write(5) + log.write(2, at=NOON - 100)
    log.write(2, client_id="other")
    exported = list(audit.export(Filter(client_id="gov24"), reason="case 2026-17", now=NOON))
    assert sorted(event["id"] for event in exported if event["name"] == "login.started") == written
    assert [event["at"] for event in exported] == sorted(event["at"] for event in exported)
    [said] = events_named("admin.audit_exported")
    assert said.detail == {"filter": {"client_id": "(given)"}, "why": "case 2026-17"}


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "x" * 256])
def test_an_export_needs_a_reason(log: Kept, reason: str) -> None:
    with pytest.raises(audit.BadSearch, match="reason"):
        audit.export(Filter(), reason=reason, now=NOON)
    assert events_named("admin.audit_exported") == []


@pytest.mark.postgresql
def test_an_export_reads_some_rows_at_a_time(postgresql_log: Kept) -> None:
    """The first event is there while the server still holds the rest: a cursor, not the whole result."""
    postgresql_log.change(
        "INSERT INTO audit_event (at, name) SELECT n, 'login.started' FROM generate_series(1, 20000) AS n"
    )
    events = audit.export(Filter(), reason="case 7", now=NOON)
    assert next(events)["at"] == 1
    cursors = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE query LIKE 'FETCH FORWARD%' AND datname = current_database()"
    )
    assert threads_see(postgresql_log, cursors) == 1
    assert sum(1 for _ in events) == 20_000  # with admin.audit_exported


def threads_see(log: Kept, query: str) -> Any:
    """What another thread's session is told: one that is in no transaction of this one's."""
    found: list[Any] = []

    def look() -> None:
        with log.app.app_context():
            found.append(db.session.scalar(db.text(query)))
            db.session.remove()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(30)
    return found[0]


def test_a_json_line_is_what_was_sealed(log: Kept) -> None:
    log.write(2)
    exported = list(audit.export(Filter(client_id="gov24"), reason="case 7", now=NOON))
    lines = list(audit.written(exported, "jsonl"))
    assert lines[0].encode() == entry_of(exported[0]) + b"\n"
    assert json.loads(lines[0])["detail"]["문자"] == "가나다"


NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "＝1",
    "|x",
    "%0A=1",
    "'",
    "''=1",
    '",=1',
    "a\nb",
    "가",
]


@pytest.mark.parametrize("nasty", NASTY)
def test_no_cell_of_a_csv_is_a_formula_and_each_reads_back(nasty: str) -> None:
    event = dict.fromkeys(("id", "at", "name", "actor", "client_id", "subject_id", "login_id"), nasty)
    event |= dict.fromkeys(("correlation_id", "ip", "reason", "detail"))
    header, row = csv.reader(io.StringIO("".join(audit.written([event], "csv")), newline=""))
    cells = dict(zip(header, row, strict=True))
    assert not cells["actor"].lstrip(" \t\r\n").startswith(("=", "+", "-", "@", "＝"))
    assert {name: uncell(cell) for name, cell in cells.items()} == event


@given(some.none() | some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_csv_loses_nothing(value: str | None) -> None:
    event: dict[str, Any] = dict.fromkeys(
        ("id", "at", "name", "client_id", "subject_id", "login_id", "correlation_id", "ip", "reason"), value
    )
    event |= {"actor": None, "detail": {"a": [1, None, value]}}
    _, row = csv.reader(io.StringIO("".join(audit.written([event], "csv")), newline=""))
    assert uncell(row[0]) == value
    assert uncell(row[3]) is None
    assert json.loads(uncell(row[-1]) or "") == event["detail"]


def test_the_catalogue_is_every_event() -> None:
    assert audit.catalogue() == sorted(event.value for event in Event)
