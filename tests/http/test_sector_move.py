"""A portal moves to another sector: while it does, its holders' tokens carry both names. And: how secrets are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from idp.admin import portals as portal_admin
from idp.models import PortalSecret, db
from idp.portals.secret_use import HOUR_S
from idp.worker import Worker
from tests.ears import claims_of, listening
from tests.rig import Portal, Rig

DAY_S = 86_400


def moving(rig: Rig, name: str, **changes: Any) -> Portal:
    """A portal of sector old.example."""
    return rig.variant("gov24", name, sector_identifier="old.example", **changes)


def move(rig: Rig, portal: Portal, **changes: Any) -> None:
    moved = {
        **portal.registration,
        "sector_identifier": "new.example",
        "previous_sector_identifier": "old.example",
        "previous_sector_until": rig.clock() + DAY_S,
        **changes,
    }
    document = {name: value for name, value in moved.items() if value is not None}
    with rig.app.app_context():
        portal_admin.apply({"portal": [document]}, now=rig.clock())
    portal.registration = document


def names(portal: Portal, tokens: dict[str, Any]) -> list[tuple[Any, Any]]:
    """(sub, previous_sub) of the ID token, and of UserInfo."""
    said = portal.id_token_claims(tokens["id_token"]), portal.userinfo(tokens["access_token"]).json()
    return [(claims["sub"], claims.get("previous_sub")) for claims in said]


def test_in_a_move_both_names_are_given_and_then_the_new_one_alone(rig: Rig) -> None:
    portal = moving(rig, "mover")
    before = names(portal, portal.sign_in())
    old = before[0][0]
    assert before == [(old, None)] * 2
    move(rig, portal)
    within = names(portal, portal.sign_in())
    new = within[0][0]
    assert new != old
    assert within == [(new, old)] * 2
    move(rig, portal, previous_sector_until=rig.clock())
    assert names(portal, portal.sign_in()) == [(new, None)] * 2


def test_a_token_of_before_the_move_keeps_its_name(rig: Rig) -> None:
    portal = moving(rig, "mover-token")
    tokens = portal.sign_in()
    before = names(portal, tokens)
    move(rig, portal)
    assert names(portal, tokens) == before


def test_in_a_move_a_portal_may_expect_somebody_by_either_name(rig: Rig) -> None:
    portal = moving(rig, "mover-hint")
    hint = portal.sign_in()["id_token"]
    move(rig, portal)
    again = portal.sign_in(id_token_hint=hint, prompt="login")
    assert again["id_token"]
    quiet = portal.sign_in(id_token_hint=hint, prompt="none")
    assert portal.id_token_claims(quiet["id_token"])["previous_sub"] == portal.id_token_claims(hint)["sub"]
    move(rig, portal, previous_sector_until=rig.clock())
    begun = portal.begin(id_token_hint=hint, prompt="login")
    assert "error=login_required" in portal.to_consent(begun).headers["Location"]


def test_the_notice_of_a_logout_has_the_new_name_alone(rig: Rig) -> None:
    with listening(rig) as ear:
        portal = moving(rig, "mover-logout", backchannel_logout_uri=ear.uri("mover-logout"))
        portal.sign_in()
        move(rig, portal)
        said = portal.id_token_claims(portal.sign_in(prompt="login")["id_token"])
        with rig.app.app_context():
            worker = Worker(rig.app)
            worker.jobs = worker.jobs[:1]
        hint = portal.sign_in()["id_token"]
        portal.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": hint})
        worker.run_once()
        told = [claims_of(rig, message.token) for message in ear.told]
    assert said["sub"] in {claims["sub"] for claims in told}
    assert all("previous_sub" not in claims for claims in told)
    assert said["previous_sub"] not in {claims["sub"] for claims in told}


# -- secrets -----------------------------------------------------------------------------------------------------


def last_used(rig: Rig, client_id: str) -> list[int | None]:
    with rig.app.app_context():
        rows = db.session.query(PortalSecret).where(PortalSecret.client_id == client_id)
        return [row.last_used_at for row in rows.execution_options(populate_existing=True)]


@contextmanager
def counted(rig: Rig, beginning: str) -> Iterator[list[str]]:
    """The statements that begin so."""
    seen: list[str] = []

    def heard(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lower().startswith(beginning):
            seen.append(statement)

    with rig.app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", heard)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", heard)


def test_the_use_of_a_secret_is_noted_to_the_hour_and_costs_one_write_an_hour(rig: Rig) -> None:
    portal = moving(rig, "secretive")
    portal.post("/token", grant_type="refresh_token", refresh_token="none")
    hour = rig.clock() - rig.clock() % HOUR_S
    assert last_used(rig, "secretive") == [hour]
    with counted(rig, "update portal_secret") as written:
        for _ in range(3):
            portal.post("/token", grant_type="refresh_token", refresh_token="none")
        assert written == []
        rig.clock.forward(HOUR_S)
        portal.post("/token", grant_type="refresh_token", refresh_token="none")
        assert len(written) == 1
    assert last_used(rig, "secretive") == [hour + HOUR_S]


def test_a_wrong_secret_is_no_use_of_it(rig: Rig) -> None:
    moving(rig, "guessed")
    form = {"grant_type": "refresh_token", "refresh_token": "none"}
    rig.http.post(f"{rig.issuer}/token", data=form, auth=("guessed", "wrong"))
    assert last_used(rig, "guessed") == [None]
