"""One sign-in for several portals: what an earlier presentation may answer, and when the wallet is asked again."""

from typing import Any

import pytest
from sqlalchemy import delete, select, text

from idp.models import SessionPortal, SignedIn, db, writing
from idp.oidc import session_end
from idp.oidc.session_end import SessionEnds
from tests.harmless import EVIL, harmless, kept, page, to_portal
from tests.rig import Begun, Portal, Rig, callback_parameters


@pytest.fixture(scope="module", autouse=True)
def agreements(rig: Rig) -> None:
    """hong has agreed to everything before, so that no consent page stands in between."""
    for client_id in ("gov24", "g4k", "efamily"):
        rig.portal(client_id).agree_for_good()


@pytest.fixture
def gov24(rig: Rig) -> Portal:
    """A portal whose browser is signed in."""
    portal = rig.portal("gov24")
    portal.sign_in()
    return portal


def in_the_browser_of(portal: Portal, client_id: str) -> Portal:
    other = portal.rig.portal(client_id)
    other.browser = portal.browser
    return other


def asks_the_wallet(begun: Begun) -> bool:
    return begun.location.startswith("/login/") and "/consent" not in begun.location


def claims_of(portal: Portal, begun: Begun) -> dict[str, Any]:
    code = callback_parameters(begun.response)["code"]
    return portal.id_token_claims(portal.token(code, begun.verifier).json()["id_token"])


def login_required(portal: Portal, begun: Begun) -> None:
    to_portal(begun.response, portal.redirect_uri, "login_required", begun.state, portal.rig.issuer)


def test_another_portal_needs_no_wallet(rig: Rig, gov24: Portal) -> None:
    first = claims_of(gov24, gov24.begin())
    rig.clock.forward(30)
    efamily = in_the_browser_of(gov24, "efamily")
    last = rig.last_event()
    second = claims_of(efamily, efamily.begin())
    assert second["auth_time"] == first["auth_time"]
    assert second["sub"] != first["sub"]
    assert second["sid"] != first["sid"]  # one session, and still nothing that links the two portals
    (finished,) = [event for event in rig.events(after=last) if event.name == "login.finished"]
    assert finished.detail["via"] == "session"


def test_prompt_none_without_a_session_is_told_to_log_in(rig: Rig) -> None:
    portal = rig.portal("gov24")
    with harmless(rig, ("login.refused", "login_required")):
        login_required(portal, portal.begin(prompt="none"))


def test_prompt_none_with_a_session_needs_no_page(gov24: Portal) -> None:
    before = claims_of(gov24, gov24.begin())
    silent = claims_of(gov24, gov24.begin(prompt="none"))
    assert (silent["sub"], silent["auth_time"]) == (before["sub"], before["auth_time"])


@pytest.mark.parametrize(
    "changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}], ids=str
)
def test_a_portal_may_have_the_wallet_asked_again(rig: Rig, gov24: Portal, changes: dict[str, Any]) -> None:
    before = claims_of(gov24, gov24.begin())
    rig.clock.forward(2)
    begun = gov24.begin(**changes)
    assert asks_the_wallet(begun)
    after = gov24.id_token_claims(
        gov24.token(gov24.callback(begun)["code"], begun.verifier).json()["id_token"]
    )
    assert after["auth_time"] > before["auth_time"]
    assert after["sub"] == before["sub"]


@pytest.mark.parametrize("max_age, age_s, again", [("1", 2, True), ("60", 59, False), ("10000", 800, False)])
def test_max_age_counts_from_the_presentation(
    rig: Rig, gov24: Portal, max_age: str, age_s: int, again: bool
) -> None:
    before = claims_of(gov24, gov24.begin())
    rig.clock.forward(age_s - (rig.clock() - before["auth_time"]))
    begun = gov24.begin(max_age=max_age)
    assert asks_the_wallet(begun) is again
    if not again:
        assert claims_of(gov24, begun)["auth_time"] == before["auth_time"]
    silent = gov24.begin(max_age=max_age, prompt="none")
    if again:
        login_required(gov24, silent)
    else:
        assert "code" in callback_parameters(silent.response)


def test_a_weak_session_does_not_serve_a_portal_that_needs_a_strong_one(rig: Rig) -> None:
    gov24 = rig.portal("gov24")
    gov24.sign_in("kim")
    assert claims_of(gov24, gov24.begin())["acr"] == f"{rig.issuer}/acr/general"
    efamily = in_the_browser_of(gov24, "efamily")
    with harmless(rig, ("login.refused", "login_required")):
        login_required(efamily, efamily.begin(prompt="none"))
    assert asks_the_wallet(efamily.begin())


@pytest.mark.parametrize(
    "level, essential, again",
    [("secure", True, True), ("secure", False, False), ("general", True, False), ("unknown", True, True)],
)
def test_an_acr_that_is_asked_for(rig: Rig, level: str, essential: bool, again: bool) -> None:
    gov24 = rig.portal("gov24")
    gov24.sign_in("kim")
    wanted = f"{rig.issuer}/acr/{level}"
    claims = f'{{"id_token":{{"acr":{{"essential":{str(essential).lower()},"value":"{wanted}"}}}}}}'
    assert asks_the_wallet(gov24.begin(claims=claims)) is again
    assert not asks_the_wallet(gov24.begin(acr_values=wanted))


# -- whose session -----------------------------------------------------------------------------------------------


def test_a_hint_of_the_same_person_is_served_silently_even_when_it_has_expired(
    rig: Rig, gov24: Portal
) -> None:
    hint = gov24.sign_in()["id_token"]
    rig.clock.forward(600)
    begun = gov24.begin(prompt="none", id_token_hint=hint)
    assert claims_of(gov24, begun)["sub"] == gov24.id_token_claims(hint)["sub"]


def test_a_hint_of_somebody_else_is_not_served(rig: Rig, gov24: Portal) -> None:
    hint = rig.portal("gov24").sign_in("namgoong")["id_token"]
    with harmless(rig, ("login.refused", "login_required")):
        login_required(gov24, gov24.begin(prompt="none", id_token_hint=hint))
    assert asks_the_wallet(gov24.begin(id_token_hint=hint))


def test_another_person_than_the_expected_one_gets_nothing(rig: Rig) -> None:
    hint = rig.portal("gov24").sign_in("namgoong")["id_token"]
    portal = rig.portal("gov24")
    begun = portal.begin(id_token_hint=hint)
    with harmless(rig, ("presentation.accepted", None), ("login.refused", "login_required")):
        response = portal.to_consent(begun, "hong")
        to_portal(response, portal.redirect_uri, "login_required", begun.state, rig.issuer)


def test_a_sub_in_the_claims_parameter_is_held_to(rig: Rig, gov24: Portal) -> None:
    sub = claims_of(gov24, gov24.begin())["sub"]
    other = '{"id_token":{"sub":{"value":"somebody"}}}'
    with harmless(rig, ("login.refused", "login_required")):
        login_required(gov24, gov24.begin(prompt="none", claims=other))
    begun = gov24.begin(prompt="none", claims=other.replace("somebody", sub))
    assert claims_of(gov24, begun)["sub"] == sub


def test_a_hint_for_another_client_is_refused(rig: Rig, gov24: Portal) -> None:
    hint = in_the_browser_of(gov24, "efamily").sign_in()["id_token"]
    with harmless(rig, ("login.refused", "invalid_request")):
        begun = gov24.begin(prompt="none", id_token_hint=hint)
        to_portal(begun.response, gov24.redirect_uri, "invalid_request", begun.state, rig.issuer)


def test_a_portal_may_opt_out_of_single_sign_on(rig: Rig, gov24: Portal) -> None:
    alone = rig.variant("gov24", "alone", single_sign_on=False)
    alone.browser = gov24.browser
    assert asks_the_wallet(alone.begin())
    with harmless(rig, ("login.refused", "login_required")):
        login_required(alone, alone.begin(prompt="none"))


# -- the end of a session ----------------------------------------------------------------------------------------


def test_a_session_ends_when_it_is_not_used(rig: Rig, gov24: Portal) -> None:
    rig.clock.forward(897)
    assert "code" in callback_parameters(gov24.begin(prompt="none").response)
    rig.clock.forward(897)
    assert "code" in callback_parameters(gov24.begin(prompt="none").response)
    rig.clock.forward(900)
    with harmless(rig, ("login.refused", "login_required")):
        login_required(gov24, gov24.begin(prompt="none"))


def test_a_session_ends_after_eight_hours_however_often_it_is_used(rig: Rig, gov24: Portal) -> None:
    for _ in range(35):
        rig.clock.forward(820)
        assert "code" in callback_parameters(gov24.begin(prompt="none").response)
    rig.clock.forward(820)
    with harmless(rig, ("login.refused", "login_required")):
        login_required(gov24, gov24.begin(prompt="none"))


def test_a_sign_in_gets_a_new_cookie_and_ends_the_session_before(rig: Rig, gov24: Portal) -> None:
    old = gov24.browser.cookies["sinwon-session"]
    begun = gov24.begin(prompt="login")
    gov24.callback(begun)
    assert gov24.browser.cookies["sinwon-session"] != old
    fixated = rig.portal("gov24")
    fixated.browser.cookies.set("sinwon-session", old, domain="127.0.0.1")
    with harmless(rig, ("login.refused", "login_required")):
        login_required(fixated, fixated.begin(prompt="none"))


def test_a_cookie_that_somebody_else_chose_is_not_kept(rig: Rig) -> None:
    portal = rig.portal("gov24")
    portal.browser.cookies.set("sinwon-session", "chosen-by-an-attacker", domain="127.0.0.1")
    portal.sign_in()
    mine = [cookie.value for cookie in portal.browser.cookies.jar if cookie.name == "sinwon-session"]
    victim = rig.portal("gov24")
    victim.browser.cookies.set("sinwon-session", "chosen-by-an-attacker", domain="127.0.0.1")
    with harmless(rig, ("login.refused", "login_required")):
        login_required(victim, victim.begin(prompt="none"))
    assert any(value != "chosen-by-an-attacker" for value in mine)


@pytest.mark.parametrize(
    "value", ["x", "x" * 9000, EVIL.replace('"', ""), "' OR 1=1", "a=b; sinwon-session=c"]
)
def test_a_cookie_that_is_none_of_ours_counts_as_none(rig: Rig, value: str) -> None:
    portal = rig.portal("gov24")
    parameters, _ = portal.parameters(prompt="none")
    with harmless(rig, ("login.refused", "login_required")):
        response = portal.browser.get(
            f"{rig.issuer}/authorize", params=parameters, headers={"Cookie": f"sinwon-session={value}"}
        )
        to_portal(response, portal.redirect_uri, "login_required", parameters["state"], rig.issuer)


def test_neither_the_sid_nor_an_id_token_opens_a_session(rig: Rig, gov24: Portal) -> None:
    tokens = gov24.sign_in()
    sid = gov24.id_token_claims(tokens["id_token"])["sid"]
    for value in (sid, tokens["id_token"], tokens["access_token"]):
        other = rig.portal("gov24")
        other.browser.cookies.set("sinwon-session", value, domain="127.0.0.1")
        login_required(other, other.begin(prompt="none"))


def test_every_cookie_is_http_only_lax_and_bound_to_its_path(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    finished = portal.agree(portal.to_consent(begun))
    cookies = begun.response.headers.get_list("set-cookie") + finished.headers.get_list("set-cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


def test_the_store_knows_the_cookie_by_its_digest_only(rig: Rig, gov24: Portal) -> None:
    cookie = gov24.browser.cookies["sinwon-session"]
    assert not [key for key in kept(rig, "session", "sid") if cookie in key]


# -- the row that remembers it -----------------------------------------------------------------------------------


def row_of(rig: Rig, portal: Portal) -> SignedIn:
    """The row of the session that this portal's browser had last."""
    cookie = portal.browser.cookies["sinwon-session"]
    session = rig.house.sessions.find(cookie)
    assert session is not None
    with rig.app.app_context():
        return db.session.get_one(SignedIn, session.id)


def again(rig: Rig, row: SignedIn) -> SignedIn:
    """The row as it is now."""
    with rig.app.app_context():
        return db.session.get_one(SignedIn, row.id, populate_existing=True)


def portals_in(rig: Rig, row: SignedIn) -> dict[str, SessionPortal]:
    with rig.app.app_context():
        found = db.session.scalars(select(SessionPortal).where(SessionPortal.session_id == row.id))
        return {portal.client_id: portal for portal in found}


def end_dead(rig: Rig) -> int:
    """What the worker does every so often."""
    with rig.app.app_context():
        return SessionEnds(rig.house.sessions, rig.clock).dead()


@pytest.fixture
def no_row_is_due(rig: Rig) -> None:
    """Rows that earlier tests left behind are dealt with."""
    rig.clock.forward(10 * 86400)
    while end_dead(rig):
        continue
    rig.clock.offset_s = 0


def test_a_session_remembers_which_portals_know_it_and_how(rig: Rig, gov24: Portal) -> None:
    efamily = in_the_browser_of(gov24, "efamily")
    known = {portal.client_id: claims_of(portal, portal.begin(prompt="none")) for portal in (gov24, efamily)}
    claims_of(efamily, efamily.begin(prompt="none"))
    row = row_of(rig, gov24)
    assert row.ended_at is None
    assert row.ends_at == row.started_at + rig.house.settings.lifetimes.session_max_s
    introduced = portals_in(rig, row)
    assert {name: portal.sid for name, portal in introduced.items()} == {
        name: claims["sid"] for name, claims in known.items()
    }


def test_the_same_person_shown_again_goes_on_in_the_same_session(
    rig: Rig, gov24: Portal, no_row_is_due: None
) -> None:
    """A portal that asks for the wallet again must not sign the holder out of the others, or of itself."""
    gov24.sign_in(prompt="login")
    row, before = row_of(rig, gov24), claims_of(gov24, gov24.begin(prompt="none"))
    rig.clock.forward(30)
    begun = gov24.begin(prompt="login")
    after = gov24.id_token_claims(
        gov24.token(gov24.callback(begun)["code"], begun.verifier).json()["id_token"]
    )
    assert after["sid"] == before["sid"]
    assert after["auth_time"] >= before["auth_time"] + 30
    now = again(rig, row)
    assert (now.id, now.ended_at) == (row_of(rig, gov24).id, None)
    assert now.ends_at >= row.ends_at + 30
    rig.clock.forward(session_end.CHECK_EVERY_S + 1)
    end_dead(rig)
    assert again(rig, row).ended_at is None


def test_somebody_elses_sign_in_in_the_same_browser_ends_the_session_and_its_tokens(
    rig: Rig, gov24: Portal
) -> None:
    row = row_of(rig, gov24)
    code, begun = gov24.code(prompt="none")
    token = gov24.token(code, begun.verifier).json()["access_token"]
    last = rig.last_event()
    gov24.sign_in("namgoong", prompt="login")
    assert again(rig, row).reason == "replaced"
    assert row_of(rig, gov24).id != row.id
    assert gov24.userinfo(token).status_code == 401
    assert [(e.name, e.reason) for e in rig.events(after=last) if e.name == "session.ended"] == [
        ("session.ended", "replaced")
    ]


@pytest.mark.parametrize("end", ["idle", "too old", "store emptied"])
def test_a_session_that_no_longer_lives_is_ended_and_its_tokens_with_it(
    rig: Rig, gov24: Portal, no_row_is_due: None, end: str
) -> None:
    tokens, row = gov24.sign_in(prompt="login"), row_of(rig, gov24)
    times = rig.house.settings.lifetimes
    if end == "idle":
        rig.clock.forward(times.session_idle_s + 1)
    elif end == "too old":
        rig.clock.forward(times.session_max_s + 1)
    else:
        for key in kept(rig, "session"):
            rig.house.store.take(key)
        rig.clock.forward(session_end.CHECK_EVERY_S + 1)
    last = rig.last_event()
    assert end_dead(rig) >= 1
    assert again(rig, row).reason == "expired"
    mine = [event for event in rig.events(after=last) if event.subject_id == row.subject_id]
    assert ("session.ended", "expired") in [(event.name, event.reason) for event in mine]
    rig.clock.offset_s = 0
    assert gov24.userinfo(tokens["access_token"]).status_code == 401


def test_looking_after_a_session_neither_ends_it_nor_keeps_it_alive(
    rig: Rig, gov24: Portal, no_row_is_due: None
) -> None:
    gov24.sign_in(prompt="login")
    row = row_of(rig, gov24)
    for _ in range(14):
        rig.clock.forward(session_end.CHECK_EVERY_S + 1)
        end_dead(rig)
        assert again(rig, row).ended_at is None
    rig.clock.forward(2 * session_end.CHECK_EVERY_S)
    assert end_dead(rig) == 1
    assert again(rig, row).reason == "expired"


def test_what_was_granted_beyond_the_session_outlives_it(rig: Rig, gov24: Portal) -> None:
    tokens, row = gov24.sign_in(prompt="login"), row_of(rig, gov24)
    with rig.app.app_context():
        offline = {"id": row.id}
        db.session.execute(text('UPDATE "grant" SET offline = true WHERE session_id = :id'), offline)
        db.session.commit()
        ends = SessionEnds(rig.house.sessions, rig.clock)
        assert gov24.userinfo(tokens["access_token"]).status_code == 200
        session = rig.house.sessions.end(gov24.browser.cookies["sinwon-session"])
        assert session is not None
        ends.taken(session)
        stands = text('SELECT count(*) FROM "grant" WHERE session_id = :id AND revoked_at IS NULL')
        assert db.session.execute(stands, offline).scalar_one() > 0
        ends.everything(row.subject_id, session_end.Reason.ADMIN)
        assert db.session.execute(stands, offline).scalar_one() == 0


def test_every_session_of_a_person_can_be_ended_from_outside(rig: Rig) -> None:
    browsers = [rig.portal("gov24"), rig.portal("efamily")]
    tokens = [portal.sign_in() for portal in browsers]
    other = rig.portal("gov24")
    others = other.sign_in("namgoong")
    subject_id = row_of(rig, browsers[0]).subject_id
    with rig.app.app_context():
        ended = SessionEnds(rig.house.sessions, rig.clock).everything(subject_id, session_end.Reason.ADMIN)
    assert ended >= 2
    for portal, answer in zip(browsers, tokens, strict=True):
        login_required(portal, portal.begin(prompt="none"))
        assert portal.userinfo(answer["access_token"]).status_code == 401
    assert other.userinfo(others["access_token"]).status_code == 200
    assert "code" in callback_parameters(other.begin(prompt="none").response)


def test_a_session_that_ends_while_a_portal_comes_to_it_takes_no_portal_in(rig: Rig, gov24: Portal) -> None:
    """Whoever ended it has told its portals already, and would never tell this one."""
    row = row_of(rig, gov24)
    with rig.app.app_context(), writing() as database:
        session_end.end(
            database,
            row.id,
            subject_id=row.subject_id,
            reason=session_end.Reason.LOGOUT,
            now=rig.clock(),
        )
    efamily = in_the_browser_of(gov24, "efamily")
    page(efamily.begin().response, 410)
    assert "efamily" not in portals_in(rig, row)


def test_a_session_from_before_there_were_rows_gets_one(rig: Rig, gov24: Portal) -> None:
    row = row_of(rig, gov24)
    with rig.app.app_context(), writing() as database:
        database.execute(delete(SessionPortal).where(SessionPortal.session_id == row.id))
        database.execute(delete(SignedIn).where(SignedIn.id == row.id))
    assert "code" in callback_parameters(gov24.begin(prompt="none").response)
    assert row_of(rig, gov24).started_at == row.started_at
    assert set(portals_in(rig, row)) == {"gov24"}


def test_what_ended_long_ago_is_forgotten(rig: Rig, gov24: Portal) -> None:
    row = row_of(rig, gov24)
    with rig.app.app_context():
        session = rig.house.sessions.end(gov24.browser.cookies["sinwon-session"])
        assert session is not None
        SessionEnds(rig.house.sessions, rig.clock).taken(session)
        for days, stays in ((29, True), (31, False)):
            session_end.sweep(rig.clock() + days * 86400)
            assert (db.session.get(SignedIn, row.id, populate_existing=True) is not None) is stays
    assert portals_in(rig, row) == {}
