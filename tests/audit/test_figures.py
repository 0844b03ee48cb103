"""A month's figures are what happened in it, whether the worker counted its days or not."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from idp.admin import audit
from idp.admin.audit import Month
from idp.admin.audit.figures import Count, SignIns
from idp.events import Event, Origin, origin
from idp.models import AuditCount, AuditCountedDay, db
from tests.audit.keeping import Kept, at

NOVEMBER = Month(2026, 11)


@pytest.fixture
def busy(log: Kept) -> Kept:
    """Three days of November, and some of the months around it."""
    for day in (at(2026, 11, 1), at(2026, 11, 2), at(2026, 11, 30) + 86_399):
        log.write(3, at=day)
        log.write(2, at=day, event=Event.LOGIN_FINISHED)
        log.write(1, at=day, event=Event.LOGIN_REFUSED, reason="access_denied")
        log.write(1, at=day, client_id="efamily")
        log.write(1, at=day, client_id="efamily", event=Event.LOGIN_CANCELLED)
        log.write(2, at=day, event=Event.PRESENTATION_REJECTED, reason="expired")
        log.write(1, at=day, event=Event.WRONG_NUMBER)
        before = origin.set(Origin(actor="administrator:7"))
        log.write(2, at=day, event=Event.PORTAL_DISABLED)
        origin.reset(before)
    log.write(9, at=at(2026, 11) - 1)
    log.write(9, at=at(2026, 12))
    log.clock.now = at(2026, 12, 9)
    return log


def check(report: audit.Report) -> None:
    assert report.sign_ins == [SignIns("gov24", 9, 6, 0, 3), SignIns("efamily", 3, 0, 3, 0)]
    assert report.total == SignIns("(all)", 12, 6, 3, 3)
    assert report.refusals == [
        Count("presentation.rejected", "expired", 6),
        Count("login.refused", "access_denied", 3),
        Count("login.wrong_number", "", 3),
    ]
    assert report.admin_acts == [Count("portal.disabled", "administrator:7", 6)]


def test_a_month_that_nobody_counted(busy: Kept) -> None:
    check(audit.report(NOVEMBER, now=busy.clock()))


def test_a_month_that_is_counted(busy: Kept) -> None:
    assert audit.count_days(busy.clock(), 60) == 38
    assert audit.count_days(busy.clock(), 60) == 0
    check(audit.report(NOVEMBER, now=busy.clock()))


def test_a_month_some_days_of_which_are_counted(busy: Kept) -> None:
    audit.count_days(at(2026, 11, 5), 60)
    assert db.session.scalar(select(func.max(AuditCountedDay.day))) == at(2026, 11, 4) - 86_400
    check(audit.report(NOVEMBER, now=busy.clock()))
    audit.count_days(busy.clock(), 60)
    check(audit.report(NOVEMBER, now=busy.clock()))


def test_a_day_is_counted_when_it_is_over_for_an_hour(log: Kept) -> None:
    log.write(2, at=at(2026, 11, 5))
    assert audit.count_days(at(2026, 11, 6) + 3599, 60) == 0
    assert audit.count_days(at(2026, 11, 6) + 3600, 60) == 1


def test_figures_outlive_the_rows(busy: Kept) -> None:
    audit.count_days(busy.clock(), 60)
    busy.change("DELETE FROM audit_event")
    check(audit.report(NOVEMBER, now=busy.clock()))
    db.session.rollback()
    assert set(db.session.scalars(select(AuditCount.month))) == {"2026-10", "2026-11", "2026-12"}


def test_an_organisation_sees_the_sign_ins_at_its_portals_and_nothing_else(busy: Kept) -> None:
    report = audit.report(NOVEMBER, now=busy.clock(), client_ids=frozenset({"efamily", "another"}))
    assert report.sign_ins == [SignIns("efamily", 3, 0, 3, 0)]
    assert report.total.started == 3
    assert (report.refusals, report.admin_acts) == ([], [])


def test_the_busiest_portals_are_shown_and_the_sum_is_of_all(busy: Kept) -> None:
    for _ in ("uncounted", "counted"):
        report = audit.report(NOVEMBER, now=busy.clock(), n_shown=1)
        assert report.sign_ins == [SignIns("gov24", 9, 6, 0, 3)]
        assert (report.total, report.n_portals) == (SignIns("(all)", 12, 6, 3, 3), 2)
        audit.count_days(busy.clock(), 60)


def test_a_month_says_whether_it_is_over(busy: Kept) -> None:
    assert audit.report(NOVEMBER, now=busy.clock()).over
    assert not audit.report(Month(2026, 12), now=busy.clock()).over
    empty = audit.report(Month(2027, 3), now=busy.clock())
    assert (empty.over, empty.sign_ins, empty.total.started) == (False, [], 0)


def test_as_text_it_says_the_same(busy: Kept) -> None:
    text = audit.report(NOVEMBER, now=busy.clock()).as_text()
    assert text.splitlines()[:5] == [
        "2026-11",
        "",
        "Sign-ins",
        "    started   finished  cancelled    refused  portal",
        "          9          6          0          3  gov24",
    ]
    assert "          6  presentation.rejected  expired" in text
    assert "          6  portal.disabled  administrator:7" in text
