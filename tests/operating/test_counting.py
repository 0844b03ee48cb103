"""Whoever counts events hears of each when it is in the audit for good, once, and of nothing that was undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idp.app import monitor_app
from idp.events import Event, Happened, listen, record
from idp.models import writing
from tests.rig import Rig


@pytest.fixture
def heard(rig: Rig) -> Iterator[list[Happened]]:
    told: list[Happened] = []
    stop = listen(told.append)
    with rig.app.app_context():
        yield told
    stop()


class Undone(Exception):
    """The transaction is given up."""


def test_an_event_is_told_once_it_is_committed(heard: list[Happened]) -> None:
    with writing() as session:
        record(session, Event.LOGIN_FINISHED, at=1, client_id="gov24", detail={"took_s": 7})
        assert heard == []
    assert heard == [Happened(Event.LOGIN_FINISHED, "gov24", None, 7)]


def test_what_is_rolled_back_is_not_told(heard: list[Happened]) -> None:
    with pytest.raises(Undone), writing() as session:
        record(session, Event.LOGIN_STARTED, at=1)
        raise Undone
    with writing() as session:
        record(session, Event.LOGIN_CANCELLED, at=1)
    assert [one.event for one in heard] == [Event.LOGIN_CANCELLED]


def test_a_savepoint_is_no_commit(heard: list[Happened]) -> None:
    with pytest.raises(Undone), writing() as session:
        record(session, Event.LOGIN_STARTED, at=1)
        with session.begin_nested():
            record(session, Event.CONSENT_GIVEN, at=1)
        raise Undone
    assert heard == []


def test_what_came_before_a_savepoint_is_told_though_that_was_undone(heard: list[Happened]) -> None:
    with writing() as session:
        record(session, Event.LOGIN_STARTED, at=1)
        with pytest.raises(Undone), session.begin_nested():
            raise Undone
        record(session, Event.LOGIN_FINISHED, at=1)
    assert [one.event for one in heard] == [Event.LOGIN_STARTED, Event.LOGIN_FINISHED]


def test_a_word_of_a_wallets_own_is_no_label(rig: Rig) -> None:
    monitor = monitor_app(rig.app)
    try:
        with rig.app.app_context(), writing() as session:
            for word in ("access_denied", "no_certificate", "made_up", "made_up_too"):
                record(session, Event.WALLET_REFUSED, at=1, reason=word)
        shown = monitor.test_client().get("/metrics").text
    finally:
        monitor.extensions["sinwon_metrics"].close()
    counted = 'sinwon_events_total{event="wallet.refused",portal="",reason="%s"} %s'
    for word, n in (("access_denied", 1.0), ("no_certificate", 1.0), ("(others)", 2.0)):
        assert counted % (word, n) in shown
    assert "made_up" not in shown
