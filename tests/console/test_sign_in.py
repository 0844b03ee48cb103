"""Into the console: by an invitation and a mobile credential, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from idp.admin import people
from idp.admin.console import CLIENT_ID
from idp.admin.people import Role
from tests.at_console import Admin, invited
from tests.rig import Rig, parse_link, started

AREAS = ("/console", "/console/people", "/console/organisations")


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Admin:
    return Admin(rig, "hong").join(Role.OWNER, "ops-1")


def refused(rig: Rig, after: int) -> list[str | None]:
    """The reasons for which the console refused somebody since that row of the audit."""
    return [event.reason for event in rig.events(after) if event.name == "admin.refused"]


def test_an_invited_person_signs_in_and_is_an_administrator(rig: Rig, owner: Admin) -> None:
    assert "ops-1" in owner.page("/console/people").root.text
    assert {"admin.invited", "admin.joined", "admin.signed_in"} <= set(rig.event_names())


def test_what_an_administrator_does_is_recorded_as_theirs(rig: Rig, owner: Admin) -> None:
    before = rig.last_event()
    owner.send("/console/organisations/new", id="mofa", **{"name.ko": "외교부", "name.en": "MOFA"})
    [done] = [event for event in rig.events(before) if event.name == "admin.organisation_applied"]
    with rig.app.app_context():
        assert done.actor in {one.actor for one in people.listed(organisation=None)}


def test_the_same_person_comes_back_without_an_invitation(rig: Rig, owner: Admin) -> None:
    again = Admin(rig, owner.persona)
    assert again.sign_in().headers["Location"] == "/console"
    again.page("/console")


def test_somebody_who_was_not_invited_is_not_let_in(rig: Rig, owner: Admin) -> None:
    before = rig.last_event()
    stranger = Admin(rig, "park")
    answered = stranger.sign_in()
    assert answered.status_code == 403
    assert stranger.get("/console").status_code == 303
    assert refused(rig, before) == ["not_invited"]


def test_an_invitation_is_for_one_person(rig: Rig, owner: Admin) -> None:
    path = invited(rig, Role.AUDITOR)
    first, second = Admin(rig, "invented-1"), Admin(rig, "invented-2")
    begun = second.to_callback(path)  # opened before the first one has used it up
    assert first.sign_in(path).headers["Location"] == "/console"
    assert second.get(begun).status_code == 404
    assert second.get("/console").status_code == 303
    assert first.get(path).status_code == 404


def test_an_invitation_ends(rig: Rig) -> None:
    path = invited(rig, Role.OWNER)
    rig.clock.forward(3601)
    assert Admin(rig).get(path).status_code == 404


def test_an_administrator_cannot_take_up_another_role(rig: Rig, owner: Admin) -> None:
    before = rig.last_event()
    path = invited(rig, Role.OWNER)
    assert Admin(rig, owner.persona).sign_in(path).status_code == 403
    assert refused(rig, before) == ["already_joined"]
    assert Admin(rig).get(path).status_code == 200


def test_an_answer_that_another_browser_asked_for_counts_nothing(rig: Rig, owner: Admin) -> None:
    """Login CSRF: a thief's own finished sign-in is opened in somebody else's browser."""
    before = rig.last_event()
    callback = Admin(rig, owner.persona).to_callback()
    victim = Admin(rig)
    assert victim.get(callback).status_code == 403
    assert victim.get("/console").status_code == 303
    assert refused(rig, before) == ["state"]


@pytest.mark.parametrize("change", ["state", "iss", "code"])
def test_an_answer_that_was_changed_on_the_way_counts_nothing(rig: Rig, owner: Admin, change: str) -> None:
    admin = Admin(rig, owner.persona)
    callback = admin.to_callback().replace(f"{change}=", f"{change}=x", 1)
    assert admin.get(callback).status_code == 403
    assert admin.get("/console").status_code == 303


def test_a_callback_works_once(rig: Rig, owner: Admin) -> None:
    admin = Admin(rig, owner.persona)
    callback = admin.to_callback()
    assert admin.get(callback).status_code == 303
    assert admin.get(callback).status_code == 403


def test_the_code_is_worth_nothing_at_the_token_endpoint(rig: Rig, owner: Admin) -> None:
    """The console is a public client; what protects its codes is the verifier, which never leaves the Store."""
    admin = Admin(rig, owner.persona)
    callback = admin.to_callback()
    code = callback.split("code=")[1].split("&")[0]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": CLIENT_ID,
        "redirect_uri": f"{rig.issuer}/console/callback",
    }
    for verifier in (None, "a" * 43):
        sent = form if verifier is None else {**form, "code_verifier": verifier}
        assert rig.http.post(f"{rig.issuer}/token", data=sent).status_code == 400


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/login",
        "/consolex",
        "javascript:alert(1)",
    ],
)
def test_the_way_on_leads_into_the_console_alone(rig: Rig, owner: Admin, to: str) -> None:
    assert Admin(rig, owner.persona).sign_in(to=to).headers["Location"] == "/console"


def test_the_way_on_is_where_one_wanted_to_go(rig: Rig, owner: Admin) -> None:
    admin = Admin(rig, owner.persona)
    sent_away = admin.get("/console/people?lang=en").headers["Location"]
    assert sent_away == "/console/sign-in?to=%2Fconsole%2Fpeople%3Flang%3Den"
    assert admin.sign_in(to="/console/people?lang=en").headers["Location"] == "/console/people?lang=en"


def test_a_session_ends_when_it_is_not_used(rig: Rig, owner: Admin) -> None:
    admin = Admin(rig, owner.persona)
    admin.sign_in()
    for _ in range(3):
        rig.clock.forward(550)
        assert admin.get("/console").status_code == 200
    rig.clock.forward(601)
    assert admin.get("/console").status_code == 303


def test_a_session_ends_in_any_case(rig: Rig, owner: Admin) -> None:
    admin = Admin(rig, owner.persona)
    admin.sign_in()
    for _ in range(8 * 3600 // 590):
        rig.clock.forward(590)
        admin.get("/console")
    rig.clock.forward(590)
    assert admin.get("/console").status_code == 303


def test_somebody_who_was_shut_out_is_out_at_once_and_can_be_invited_anew(rig: Rig, owner: Admin) -> None:
    owner.sign_in()
    admin = Admin(rig, "invented-7").join(Role.OPERATOR, "night shift")
    with rig.app.app_context():
        [known] = [one for one in people.listed(organisation=None) if one.label == "night shift"]
    assert owner.send(f"/console/people/{known.id}/disable").status_code == 303
    assert admin.get("/console").status_code == 303
    assert Admin(rig, "invented-7").sign_in().status_code == 403
    Admin(rig, "invented-7").join(Role.AUDITOR, "day shift").page("/console")


def test_signing_out_ends_the_session(rig: Rig, owner: Admin) -> None:
    admin = Admin(rig, owner.persona)
    admin.sign_in()
    kept = dict(admin.browser.cookies)
    assert admin.send("/console/sign-out").status_code == 303
    admin.browser.cookies.update(kept)
    assert admin.get("/console").status_code == 303


def test_signing_out_leaves_no_session_behind_that_a_portal_could_use(rig: Rig, owner: Admin) -> None:
    rig.variant("gov24", "asks-nothing", claims=None, scopes=["openid"])
    asks_nothing = rig.portal("gov24")
    asks_nothing.client_id = "asks-nothing"
    for signs_out in (False, True):
        admin = Admin(rig, owner.persona)
        admin.sign_in()
        if signs_out:
            admin.send("/console/sign-out")
        asks_nothing.browser = admin.browser
        location = asks_nothing.begin(scope="openid", prompt="none").location
        assert ("error=login_required" in location) == signs_out, location


def test_a_sign_in_begins_with_a_button_and_never_with_a_link(rig: Rig) -> None:
    admin = Admin(rig)
    assert "console-sign-in" not in admin.get("/console/sign-in").cookies
    assert "console-sign-in" not in admin.get(invited(rig, Role.OWNER)).cookies


def test_sign_ins_of_one_address_have_an_end(tmp_path: Path) -> None:
    with started(tmp_path, {"holder.logins_per_minute_per_ip": 3}) as rig:
        answers = [rig.browser().post(f"{rig.issuer}/console/sign-in") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [303, 303, 303, 429]


def test_a_deployment_may_have_no_console(tmp_path: Path) -> None:
    with started(tmp_path, {"console.enabled": False}) as rig:
        assert [rig.http.get(f"{rig.issuer}{path}").status_code for path in AREAS] == [404] * len(AREAS)


def test_only_the_cards_that_are_set_open_the_console(tmp_path: Path) -> None:
    with started(tmp_path, {"console.credential_types": ["kr-civil-servant"]}) as rig:
        admin = Admin(rig, "hong")
        begun = admin.browser.post(f"{rig.issuer}{invited(rig, Role.OWNER)}")
        page = admin.holder.open(admin.get(begun.headers["Location"]).headers["Location"])
        asked = rig.wallet.receive(parse_link(admin.holder.link(page)))
        assert {query.id for query in asked.query.credentials} == {"sd-kr-civil-servant"}
