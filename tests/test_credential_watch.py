"""Credentials behind live sessions: one that is revoked ends what rests on it, one that cannot be asked about not."""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from idp import seal
from idp.admin import trust as trust_admin
from idp.credentials import StatusLists, StatusUnavailable
from idp.credentials.status import TokenType
from idp.demo.authority import MDOC
from idp.demo.personas import Status
from idp.models import Grant, Lease, LogoutNotice, SignedIn, db, writing
from idp.oidc import session_end
from idp.oidc.credential_watch import CredentialWatch, Round
from idp.oidc.session_end import SessionEnds
from idp.worker import Worker
from tests.ears import Ear, claims_of, listening
from tests.rig import Portal, Rig, callback_parameters, parse_link, person

PEOPLE = count(8000)
ITEMS = ["name", "birthdate", "kr_overseas_registration_number", "offline_access"]
TTL_S = 61  # of the demonstration's status lists, and a second
HOUR_S = 3600


@pytest.fixture(scope="module")
def rig(rig_on_each_database: Rig) -> Rig:
    return rig_on_each_database


@pytest.fixture(autouse=True)
def clean(rig: Rig) -> Iterator[None]:
    """No session, notice or lease of another test; the registry and the clock as they were."""
    with rig.app.app_context(), writing() as database:
        for table in (LogoutNotice, Lease, SignedIn):
            database.execute(delete(table))
    yield
    rig.clock.offset_s = 0
    rig.house.status_lists._slots.clear()  # they would be from the future
    with rig.app.app_context():
        trust_admin.apply(rig.prepared.trust(), now=rig.clock())
    rig.clock.forward(trust_admin.RELOAD_S)


@pytest.fixture
def ear(rig: Rig) -> Iterator[Ear]:
    with listening(rig) as ear:
        rig.apply_portal("gov24", backchannel_logout_uri=ear.uri("gov24"))
        yield ear


def somebody() -> str:
    return f"invented-{next(PEOPLE)}"


def signed_in(rig: Rig, persona: str, **changes: Any) -> tuple[Portal, dict[str, Any]]:
    portal = rig.portal("gov24")
    return portal, portal.sign_in(persona, **changes)


def say(rig: Rig, persona: str, status: Status) -> None:
    """What the mission's status list says of a persona's credential from now on."""
    rig.wallet._authority.set_status(rig.wallet.held(person(persona)).entry, status)


def watched(rig: Rig, status: StatusLists | None = None, max_s: int = 60) -> Round:
    """One round of a watch of its own."""
    house = rig.house
    watch = CredentialWatch(
        sessions=house.sessions,
        trust=house.trust.snapshot,
        status=status or house.status_lists,
        registry=house.opendid.registry if house.opendid is not None else None,
        clock=rig.clock,
    )
    with rig.app.app_context():
        return watch.round(max_s)


def lists(fetch: Callable[[str, TokenType], bytes]) -> StatusLists:
    return StatusLists(fetch)


def no_answer(_uri: str, _token_type: TokenType) -> bytes:
    raise StatusUnavailable("no answer")


def lives(portal: Portal) -> bool:
    """Whether the browser's session answers a request without the wallet."""
    return "code" in callback_parameters(portal.begin(prompt="none").response)


def rows(rig: Rig) -> list[SignedIn]:
    with rig.app.app_context():
        return list(db.session.scalars(select(SignedIn)))


@pytest.mark.parametrize(
    ("status", "reason"), [(Status.REVOKED, "status_revoked"), (Status.SUSPENDED, "status_suspended")]
)
def test_a_credential_that_no_longer_holds_ends_its_session_and_the_portal_is_told(
    rig: Rig, ear: Ear, status: Status, reason: str
) -> None:
    persona, other = somebody(), somebody()
    portal, tokens = signed_in(rig, persona)
    bystander, _ = signed_in(rig, other)
    last = rig.last_event()
    say(rig, persona, status)
    rig.clock.forward(TTL_S)
    worker = Worker(rig.app)
    worker.jobs = [job for job in worker.jobs if job.name in {"credentials", "logout-notices"}]
    worker.run_once()
    worker.run_once()
    assert callback_parameters(portal.begin(prompt="none").response)["error"] == "login_required"
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert lives(bystander)
    (told,) = ear.told
    sid = portal.id_token_claims(tokens["id_token"])["sid"]
    assert claims_of(rig, told.token)["sid"] == sid
    ended = [
        event for event in rig.events(after=last) if event.name in {"credential.withdrawn", "session.ended"}
    ]
    assert [(event.name, event.reason) for event in ended] == [
        ("credential.withdrawn", reason),
        ("session.ended", "credential"),
    ]
    assert ended[0].detail == {"grants": 1}
    assert ended[1].detail == {"told": ["gov24"]}
    assert ended[0].subject_id == ended[1].subject_id is not None


def test_an_mdoc_is_watched_by_its_list_of_cwt(rig: Rig) -> None:
    persona = person(somebody())
    portal = rig.portal("gov24")
    begun = portal.begin()
    asked = rig.wallet.receive(parse_link(portal.link(portal.page(begun))))
    outcome = rig.wallet.show(asked, persona, format=MDOC)
    assert outcome.redirect_uri is not None, outcome
    code = callback_parameters(portal.agree(portal.browser.get(outcome.redirect_uri)))["code"]
    assert portal.token(code, begun.verifier).status_code == 200
    (row,) = rows(rig)
    standing = rig.house.sessions.standing(row.id, row.sealed_standing or "")
    assert (standing.format, standing.token_type) == ("mso_mdoc", "application/statuslist+cwt")
    assert watched(rig).n_withdrawn == 0
    rig.wallet._authority.set_status(rig.wallet.held(persona, format=MDOC).entry, Status.REVOKED)
    rig.clock.forward(TTL_S)
    assert watched(rig).n_withdrawn == 1
    assert not lives_at_all(portal)


def test_while_the_list_says_valid_nothing_happens(rig: Rig) -> None:
    portal, _ = signed_in(rig, somebody())
    last = rig.last_event()
    rig.clock.forward(TTL_S)
    assert (watched(rig).n_looked_at, watched(rig).n_withdrawn) == (1, 0)
    assert rig.last_event() == last
    assert lives(portal)


def test_a_list_that_cannot_be_had_keeps_the_session_and_the_log_says_so(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    persona = somebody()
    portal, tokens = signed_in(rig, persona)
    say(rig, persona, Status.REVOKED)
    rig.clock.forward(TTL_S)
    with caplog.at_level(logging.WARNING, "idp"):
        done = watched(rig, lists(no_answer))
    mission = person(persona).mission
    assert (done.n_looked_at, done.n_withdrawn, done.unknown) == (1, 0, {mission: 1})
    assert f"of 1 credentials 1 could not be asked about ({mission})" in caplog.text
    assert lives(portal)
    assert portal.userinfo(tokens["access_token"]).status_code == 200
    assert watched(rig).n_withdrawn == 1


def test_an_entry_that_a_list_does_not_have_is_no_revocation(rig: Rig) -> None:
    portal, _ = signed_in(rig, somebody())
    (row,) = rows(rig)
    house = rig.house
    standing = house.sessions.standing(row.id, row.sealed_standing or "")
    elsewhere = type(standing)(**{**as_members(standing), "idx": 10**9})
    with rig.app.app_context(), writing() as database:
        sealed = house.sessions._sealed(row.id, elsewhere)
        database.execute(update(SignedIn).values(sealed_standing=sealed))
    done = watched(rig)
    assert (done.n_withdrawn, sum(done.unknown.values())) == (0, 1)
    assert lives(portal)


def as_members(standing: Any) -> dict[str, Any]:
    return {name: getattr(standing, name) for name in standing.__struct_fields__}


def test_a_list_is_fetched_once_in_a_round_whoever_stands_on_it(rig: Rig) -> None:
    people = [somebody() for _ in range(5)]
    for persona in people:
        signed_in(rig, persona)
    fetched: Counter[str] = Counter()
    real = rig.house.status_lists._fetch

    def counting(uri: str, token_type: TokenType) -> bytes:
        fetched[uri] += 1
        rig.clock.forward(TTL_S)  # a slow host: by the next session the list would be stale again
        return real(uri, token_type)

    def failing(uri: str, _token_type: TokenType) -> bytes:
        fetched[uri] += 1
        rig.clock.forward(TTL_S)
        raise StatusUnavailable("no answer")

    missions = {person(persona).mission for persona in people}
    for fetch in (counting, failing):
        fetched.clear()
        assert watched(rig, lists(fetch), max_s=10**6).n_looked_at == 5
        assert len(fetched) == len(missions)
        assert set(fetched.values()) == {1}


def test_a_round_that_has_no_time_left_goes_on_where_it_stopped(rig: Rig) -> None:
    people = [somebody() for _ in range(6)]
    portals = [signed_in(rig, persona)[0] for persona in people]
    for persona in people:
        say(rig, persona, Status.REVOKED)
    rig.clock.forward(TTL_S)
    real = rig.house.status_lists._fetch

    def slow(uri: str, token_type: TokenType) -> bytes:
        rig.clock.forward(10)
        return real(uri, token_type)

    house = rig.house
    watch = CredentialWatch(
        sessions=house.sessions,
        trust=house.trust.snapshot,
        status=lists(slow),
        registry=None,
        clock=rig.clock,
    )
    withdrawn = []
    with rig.app.app_context():
        for _ in range(20):
            withdrawn.append(watch.round(1).n_withdrawn)
            if sum(withdrawn) == 6:
                break
    assert sum(withdrawn) == 6
    assert len(withdrawn) > 1
    assert not any("code" in callback_parameters(p.begin(prompt="none").response) for p in portals)


def test_another_workers_round_is_left_to_it(rig: Rig) -> None:
    persona = somebody()
    portal, _ = signed_in(rig, persona)
    say(rig, persona, Status.REVOKED)
    rig.clock.forward(TTL_S)
    with rig.app.app_context(), writing() as database:
        database.add(Lease(name="credentials", owner="somebody else", until=rig.clock() + 200))
    worker = Worker(rig.app)
    worker.jobs = [job for job in worker.jobs if job.name == "credentials"]
    worker.run_once()
    assert lives(portal)


def test_a_deployment_may_do_without(rig: Rig) -> None:
    assert "credentials" in {job.name for job in Worker(rig.app).jobs}
    settings = rig.house.settings
    never = type(settings.lifetimes)(credential_watch_s=0)
    house = rig.app.extensions["sinwon"]
    rig.app.extensions["sinwon"] = type(house)(
        **{**vars(house), "settings": type(settings)(**{**struct(settings), "lifetimes": never})}
    )
    try:
        assert "credentials" not in {job.name for job in Worker(rig.app).jobs}
    finally:
        rig.app.extensions["sinwon"] = house


def struct(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


# -- a credential in place of another --------------------------------------------------------------------------


def test_a_session_rests_on_what_was_shown_last(rig: Rig) -> None:
    """A certificate that was renewed is revoked: the session that goes on with the new one goes on."""
    persona = somebody()
    portal, _ = signed_in(rig, persona)
    (before,) = rows(rig)
    renewed_from = rig.wallet.held(person(persona)).entry
    rig.wallet.forget(person(persona))
    portal.sign_in(persona, prompt="login")
    (after,) = rows(rig)
    assert after.id == before.id
    assert after.sealed_standing != before.sealed_standing
    rig.wallet._authority.set_status(renewed_from, Status.REVOKED)
    rig.clock.forward(TTL_S)
    assert (watched(rig).n_looked_at, watched(rig).n_withdrawn) == (1, 0)
    assert lives(portal)
    say(rig, persona, Status.REVOKED)
    rig.clock.forward(TTL_S)
    assert watched(rig).n_withdrawn == 1


def test_a_session_that_was_renewed_while_its_credential_was_asked_about_is_left_alone(rig: Rig) -> None:
    persona = somebody()
    portal, _ = signed_in(rig, persona)
    say(rig, persona, Status.REVOKED)
    real = rig.house.status_lists._fetch

    def renewing(uri: str, token_type: TokenType) -> bytes:
        portal.sign_in(persona, prompt="login")  # the doors still hold the list of before
        return real(uri, token_type)

    assert watched(rig, lists(renewing)).n_withdrawn == 0
    assert lives(portal)


# -- what was granted beyond the session -----------------------------------------------------------------------


@pytest.fixture
def lasting(rig: Rig) -> Portal:
    scopes = [*rig.portal("gov24").registration["scopes"], "offline_access"]
    grants = ["authorization_code", "refresh_token"]
    return rig.variant("gov24", "lasting", grant_types=grants, scopes=scopes)


def granted_beyond(portal: Portal, persona: str) -> dict[str, Any]:
    begun = portal.begin()
    page = portal.open(portal.to_consent(begun, persona).headers["Location"])
    answered = portal.submit(page, "consent", decision="agree", item=ITEMS)
    back = portal.browser.get(portal.absolute(answered.headers["Location"]))
    return dict(portal.token(callback_parameters(back)["code"], begun.verifier).json())


def refreshes(portal: Portal, tokens: dict[str, Any]) -> bool:
    response = portal.refresh(tokens["refresh_token"])
    tokens.update(response.json() if response.status_code == 200 else {})
    return response.status_code == 200


@pytest.mark.parametrize("ended", [False, True])
def test_an_offline_grant_ends_with_its_credential_also_after_the_session(
    rig: Rig, lasting: Portal, ended: bool
) -> None:
    persona = somebody()
    tokens = granted_beyond(lasting, persona)
    if ended:
        lasting.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": tokens["id_token"]})
        rig.clock.forward(20 * HOUR_S)
        with rig.app.app_context():
            session_end.sweep(rig.clock())
    assert refreshes(lasting, tokens)
    say(rig, persona, Status.REVOKED)
    last = rig.last_event()
    rig.clock.forward(TTL_S)
    assert watched(rig).n_withdrawn == 1
    assert not refreshes(lasting, tokens)
    named = [event.name for event in rig.events(after=last)]
    assert named[: 1 if ended else 2] == ["credential.withdrawn", *([] if ended else ["session.ended"])]
    assert watched(rig).n_withdrawn == 0


def test_a_code_that_was_on_its_way_buys_nothing_lasting(rig: Rig, lasting: Portal) -> None:
    persona = somebody()
    begun = lasting.begin()
    page = lasting.open(lasting.to_consent(begun, persona).headers["Location"])
    answered = lasting.submit(page, "consent", decision="agree", item=ITEMS)
    back = lasting.browser.get(lasting.absolute(answered.headers["Location"]))
    say(rig, persona, Status.REVOKED)
    rig.house.status_lists._slots.clear()
    assert watched(rig).n_withdrawn == 1
    tokens = lasting.token(callback_parameters(back)["code"], begun.verifier).json()
    if "refresh_token" in tokens:
        assert watched(rig).n_withdrawn == 1
        assert not refreshes(lasting, tokens)


def test_where_a_credential_stands_is_forgotten_when_nothing_rests_on_it(rig: Rig, lasting: Portal) -> None:
    tokens = granted_beyond(lasting, somebody())
    signed_in(rig, somebody())
    with rig.app.app_context():
        ends = SessionEnds(rig.house.sessions, rig.clock)
        rig.clock.forward(9 * HOUR_S)
        assert ends.dead() == 2

    def kept(forward_s: int) -> list[bool]:
        rig.clock.forward(forward_s)
        with rig.app.app_context():
            session_end.sweep(rig.clock())
        return [row.sealed_standing is not None for row in rows(rig)]

    assert kept(60) == [True, True]  # a code may still come
    assert sorted(kept(HOUR_S)) == [False, True]
    assert refreshes(lasting, tokens)
    assert sorted(kept(29 * 24 * HOUR_S)) == [False, True]
    assert kept(24 * HOUR_S) == []  # the grant has run out
    with rig.app.app_context():
        assert db.session.scalars(select(Grant.code_digest).where(Grant.expires_at > rig.clock())).all() == []


# -- an issuer that is no longer trusted -----------------------------------------------------------------------


def changed(rig: Rig, code: str, **changes: Any) -> None:
    """The registry with one mission changed, as every process sees it."""
    (mission,) = [one for one in rig.prepared.trust()["mission"] if one["code"] == code]
    with rig.app.app_context():
        trust_admin.apply({"mission": [{**mission, **changes}]}, now=rig.clock())
    rig.clock.forward(trust_admin.RELOAD_S)


def test_a_mission_that_is_closed_ends_the_sessions_of_its_credentials(rig: Rig) -> None:
    portal, _ = signed_in(rig, "hong")
    other, _ = signed_in(rig, "kim")
    last = rig.last_event()
    changed(rig, "LAX", active_until=datetime.date(2024, 12, 31))
    assert watched(rig).n_withdrawn == 1
    assert not lives_at_all(portal)
    assert lives(other)
    assert "issuer_not_active" in {event.reason for event in rig.events(after=last)}


def test_a_mission_whose_certificate_is_replaced_ends_the_sessions_under_the_old_one(rig: Rig) -> None:
    portal, _ = signed_in(rig, "hong")
    replaced = next(one for one in rig.prepared.trust()["mission"] if one["code"] == "NEW")
    with rig.app.app_context():
        trust_admin.apply({}, now=rig.clock(), removing=[trust_admin.Entry("mission", "NEW")])
    changed(rig, "LAX", issuer_certificates=replaced["issuer_certificates"])
    assert watched(rig).n_withdrawn == 1
    assert not lives_at_all(portal)
    changed(rig, "LAX")  # so that NEW may have its certificate again


def lives_at_all(portal: Portal) -> bool:
    return "code" in callback_parameters(portal.begin(prompt="none").response)


# -- at rest ---------------------------------------------------------------------------------------------------


def test_where_a_credential_stands_cannot_be_read_or_told_apart_at_rest(rig: Rig) -> None:
    for persona in ("hong", "hong", "kim", somebody()):
        signed_in(rig, persona)
    kept = [(row.id, row.sealed_standing or "") for row in rows(rig)]
    assert len({sealed for _, sealed in kept}) == 4
    assert len({len(sealed) for _, sealed in kept}) == 1
    (first, sealed), (second, _), *_ = kept
    assert rig.house.sessions.standing(first, sealed).uri.startswith("http")
    with pytest.raises(seal.CannotOpen):
        rig.house.sessions.standing(second, sealed)


def test_a_standing_that_does_not_open_is_counted_and_changes_nothing(rig: Rig) -> None:
    portal, _ = signed_in(rig, somebody())
    with rig.app.app_context(), writing() as database:
        database.execute(update(SignedIn).values(sealed_standing="AAAA"))
    assert watched(rig).unknown == {"": 1}
    assert lives(portal)
