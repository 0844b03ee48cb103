"""A request that broke off half way: what the next one finds, and that nothing is bought twice."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from idp.keys import Keys, NoSigningKey
from idp.login import State, logins
from idp.models import db
from idp.oidc.code import Codes, Issued
from idp.oidc.conclusion import FinishedLogin
from idp.store import StoreUnavailable
from tests.harmless import as_json, harmless, page, rows
from tests.presenting import Answer
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig, callback_parameters

ABANDONED_S = 5


@pytest.fixture(scope="module")
def rig(each_rig: Rig) -> Rig:
    """On every database and store."""
    return each_rig


def last_step(portal: Portal) -> tuple[Begun, str]:
    """A sign-in that has everything it needs; the address at which its code is made."""
    begun = portal.begin(prompt="consent")
    shown = portal.open(portal.to_consent(begun).headers["Location"])
    return begun, portal.absolute(portal.submit(shown, "consent", decision="agree").headers["Location"])


def cut_off(monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """The database goes away while the code is made: before anything is written, or after all of it."""
    issue = Codes.issue

    def broken(codes: Codes, finished: FinishedLogin) -> Issued:
        if after:
            issue(codes, finished)
        raise OperationalError("COMMIT", {}, Exception("the connection was lost"))

    monkeypatch.setattr(Codes, "issue", broken)


def test_a_code_that_could_not_be_made_is_made_by_the_next_request(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = rig.portal("gov24")
    begun, resume = last_step(portal)
    with monkeypatch.context() as patched:
        cut_off(patched, after=False)
        refused = portal.browser.get(resume)
    assert (refused.status_code, "SINWON-S002" in refused.text) == (503, True)
    assert refused.headers["Retry-After"] == str(ABANDONED_S)
    page(portal.browser.get(resume), 409, "SINWON-L008")  # the first may be at it still
    rig.clock.forward(ABANDONED_S)
    code = callback_parameters(portal.browser.get(resume))["code"]
    assert portal.token(code, begun.verifier).status_code == 200
    assert callback_parameters(portal.browser.get(resume))["code"] == code


def test_a_code_that_was_made_and_lost_is_not_made_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was agreed to is written, so the login has had its result; its holder is shown the way to begin anew."""
    portal = rig.portal("gov24")
    _, resume = last_step(portal)
    with monkeypatch.context() as patched:
        cut_off(patched, after=True)
        assert portal.browser.get(resume).status_code == 503
    rig.clock.forward(ABANDONED_S)
    before = rows(rig)
    told = page(portal.browser.get(resume), 410, "SINWON-L002")
    assert rows(rig) == before
    assert f'href="{portal.redirect_uri}?error=access_denied' in told.text


def test_a_login_that_is_not_brought_to_its_end_expires_with_its_code(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = rig.portal("gov24")
    _, resume = last_step(portal)
    with monkeypatch.context() as patched:
        cut_off(patched, after=False)
        portal.browser.get(resume)
    rig.clock.forward(rig.house.settings.lifetimes.code_ttl_s)
    with harmless(rig):
        page(portal.browser.get(resume), 410, "SINWON-L002")


@pytest.mark.parametrize("member", ["taken_at", "of_the_next_release"])
def test_a_sign_in_goes_on_at_a_node_that_writes_its_record_with_other_members(rig: Rig, member: str) -> None:
    """Two releases side by side: what one node wrote the other one changes."""
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    outcome = portal.show(portal.link(portal.page(begun)))
    key = f"login:{begun.location.split('/')[2]}"
    written: dict[str, Any] | None = rig.house.store.get(key)
    assert written is not None
    assert written["state"] == State.PRESENTED.value
    rig.house.store.put(key, {**written, member: None}, 600)
    assert outcome.redirect_uri is not None
    assert "code" in callback_parameters(portal.agree(portal.browser.get(outcome.redirect_uri)))


@pytest.mark.postgresql
def test_a_connection_that_breaks_after_the_last_statement_takes_no_answer_away(
    postgresql_database: str,
) -> None:
    """The transaction of a request is closed when its answer is made already."""
    app, admin = Flask("idp"), create_engine(postgresql_database, isolation_level="AUTOCOMMIT")
    app.config["SQLALCHEMY_DATABASE_URI"] = postgresql_database
    db.init_app(app)

    @app.get("/")
    def answer() -> str:
        pid = db.session.scalar(text("SELECT pg_backend_pid()"))
        with admin.connect() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        return "done"

    app.testing = True
    assert [app.test_client().get("/").text for _ in range(2)] == ["done"] * 2
    admin.dispose()
    with app.app_context():
        db.engine.dispose()


def test_tokens_that_were_bought_arrive_although_no_nonce_can_be_offered(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is spent by then: an answer lost for the sake of a header would cost a whole sign-in."""
    portal = rig.portal("gov24")
    code, begun = portal.code()
    portal.prover = Prover()

    def unreachable() -> str:
        raise StoreUnavailable("away")

    proofs = [portal.proof("/token")]
    with monkeypatch.context() as patched:
        patched.setattr(rig.house.bindings, "nonce", unreachable)
        bought = portal.token(code, begun.verifier, dpop=proofs)
    assert bought.status_code == 200
    assert "DPoP-Nonce" not in bought.headers


def test_a_presentation_whose_process_died_before_its_commit_is_in_the_audit_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Store has the answer, the wallet repeats itself, and nobody has written that it was accepted."""
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    last = rig.last_event()
    link = portal.link(portal.page(begun))
    with monkeypatch.context() as patched:
        patched.setattr(logins, "record", lambda *_, **__: None)
        outcome = portal.show(link)
    assert outcome.redirect_uri is not None
    assert "code" in callback_parameters(portal.agree(portal.browser.get(outcome.redirect_uri)))
    accepted = [event for event in rig.events(after=last) if event.name == "presentation.accepted"]
    assert [event.login_id for event in accepted] == [begun.location.split("/")[2]]
    detail = accepted[0].detail or {}
    assert (detail["via"], detail["late"]) == ("link", True)


def test_a_store_that_lost_its_last_second_takes_no_second_answer_to_a_question(rig: Rig) -> None:
    """The question is open again there, and closed in the database; the message that answered it is laid anew."""
    portal = rig.portal("gov24")
    begun = portal.begin(prompt="consent")
    link = portal.link(portal.page(begun))
    first, second = Answer(rig, link), Answer(rig, link)
    message = first.encrypted()
    key = f"login:{begun.location.split('/')[2]}"
    waiting = rig.house.store.get(key)
    assert waiting is not None
    last = rig.last_event()
    assert rig.http.post(first.response_uri, data={"response": message}).status_code == 200
    rig.house.store.put(key, waiting, 600)
    with harmless(rig, ("presentation.rejected", "already_answered")):
        as_json(second.send(), 400, "invalid_request")
    again = rig.http.post(first.response_uri, data={"response": message})
    assert "code" in callback_parameters(portal.agree(portal.browser.get(again.json()["redirect_uri"])))
    accepted = [event for event in rig.events(after=last) if event.name == "presentation.accepted"]
    assert len(accepted) == 1


def test_a_key_that_is_away_for_a_moment_spends_no_code(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looked before: it shows when the ID token is to be signed, and then nothing is written."""
    portal = rig.portal("gov24")
    code, begun = portal.code()
    before = rows(rig)

    def away(*_: Any) -> str:
        raise NoSigningKey

    with monkeypatch.context() as patched:
        patched.setattr(Keys, "sign_jwt", away)
        assert portal.token(code, begun.verifier).status_code == 503
    assert rows(rig) == before
    bought = portal.token(code, begun.verifier)
    assert bought.status_code == 200
    assert portal.userinfo(bought.json()["access_token"]).status_code == 200
