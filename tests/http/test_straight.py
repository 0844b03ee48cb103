"""What is answered in front of the framework (`idp.views.straight`) is answered as the application would."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from idp import portals
from idp.events import Event
from idp.models import db
from idp.store import StoreUnavailable
from idp.views.straight import Straight
from tests.rig import Rig

_OF_THIS_ANSWER = {"content-length", "date", "x-correlation-id", "pragma"}


@pytest.fixture(scope="module")
def rig(each_rig: Rig) -> Rig:
    return each_rig


def _answers(rig: Rig) -> list[tuple[int, dict[str, str], list[str]]]:
    """Status, headers and members of what a portal hears for a code and for its token."""
    portal = rig.portal("gov24")
    code, begun = portal.code()
    bought = portal.token(code, begun.verifier)
    said = portal.userinfo(bought.json()["access_token"])
    return [
        (
            answer.status_code,
            {name: value for name, value in answer.headers.items() if name not in _OF_THIS_ANSWER},
            sorted(answer.json()),
        )
        for answer in (bought, said)
    ]


def test_the_answers_are_those_of_the_framework(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = _answers(rig)
    monkeypatch.setattr(Straight, "__call__", lambda self, environ, start: self._wsgi(environ, start))
    usual = _answers(rig)
    for one, other in zip(straight, usual, strict=True):
        assert one == other


def test_what_is_handed_on_is_refused_and_reported_once(rig: Rig) -> None:
    portal = rig.portal("gov24")
    code, begun = portal.code()
    last = rig.last_event()
    refused = portal.token(code, "x" * 64)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert [event.name for event in rig.events(last)] == [Event.CODE_REFUSED]
    assert portal.token(code, begun.verifier).status_code == 200


def test_a_parameter_without_a_value_is_left_out_and_still_there_twice(rig: Rig) -> None:
    portal = rig.portal("gov24")
    code, begun = portal.code()
    twice = portal.token(code, begun.verifier, code=[code, ""])
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
    assert portal.token(code, begun.verifier, client_secret="", client_id="").status_code == 200


def test_an_error_that_was_met_in_front_is_told_by_the_application(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_token: str) -> None:
        raise StoreUnavailable("gone")

    portal = rig.portal("gov24")
    token = portal.sign_in()["access_token"]
    monkeypatch.setattr(rig.house.userinfo, "straight", gone)
    answer = portal.userinfo(token)
    assert answer.status_code == 503
    assert answer.headers["X-Correlation-Id"]


def test_a_change_by_another_process_is_seen_within_a_second(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig.app.app_context():
        portals.forget()
        assert portals.find("gov24") is not None
        with db.engine.begin() as connection:
            connection.execute(
                text("UPDATE portal SET enabled = :no WHERE client_id = 'gov24'"), {"no": False}
            )
        try:
            assert portals.find("gov24") is not None
            db.session.rollback()  # another request
            later = time.monotonic() + portals.KNOWN_S
            monkeypatch.setattr(time, "monotonic", lambda: later)
            assert portals.find("gov24") is None
        finally:
            with db.engine.begin() as connection:
                connection.execute(
                    text("UPDATE portal SET enabled = :yes WHERE client_id = 'gov24'"), {"yes": True}
                )
            portals.forget()


def test_a_change_of_ones_own_is_seen_at_once(rig: Rig) -> None:
    def is_found() -> bool:
        with rig.app.app_context():
            return portals.find("gov24") is not None

    assert is_found()
    rig.switch_portal("gov24", enabled=False)
    switched_off = is_found()
    rig.switch_portal("gov24", enabled=True)
    assert (switched_off, is_found()) == (False, True)
