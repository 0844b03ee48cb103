"""Logout notices: what a portal is told, how often it is tried, and what the ledger says (Back-Channel Logout 1.0)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey
from sqlalchemy import delete, update

from idp.fetch import GuardedClient
from idp.models import LogoutNotice, SigningKey, db, writing
from idp.oidc import backchannel
from idp.oidc.backchannel import LOGOUT_EVENT, RETRY_S, TOKEN_TTL_S, Notices
from tests.ears import Ear, claims_of, header_of, listening, status
from tests.rig import Rig

DAY_S = 86400


@pytest.fixture
def ear(rig: Rig) -> Iterator[Ear]:
    with listening(rig) as ear:
        rig.apply_portal("gov24", backchannel_logout_uri=ear.uri("gov24"))
        yield ear


@pytest.fixture
def notices(rig: Rig, ear: Ear) -> Iterator[Notices]:
    """What delivers, with an empty outbox."""
    house = rig.house
    made = Notices(
        settings=house.settings,
        subjects=house.subjects,
        wrapping=house.wrapping,
        outside=house.outside,
        clock=rig.clock,
    )
    with rig.app.app_context():
        with writing() as database:
            database.execute(delete(LogoutNotice))
        yield made
        made.close()
    rig.clock.offset_s = 0


def put(rig: Rig, client_id: str = "gov24", n: int = 1) -> None:
    """Notices into the outbox, due now."""
    now = rig.clock()
    with writing() as database:
        for number in range(n):
            database.add(
                LogoutNotice(
                    client_id=client_id,
                    subject_id="somebody",
                    sid=f"sid-{number}",
                    created_at=now,
                    due_at=now,
                    attempts=0,
                )
            )


def row() -> backchannel.Entry:
    """The only line of the ledger."""
    db.session.rollback()
    (entry,) = backchannel.ledger()
    return entry


# -- the token -------------------------------------------------------------------------------------------------


def test_a_logout_token_says_who_and_which_session_and_nothing_else(
    rig: Rig, ear: Ear, notices: Notices
) -> None:
    put(rig)
    assert notices.deliver() == 1
    (told,) = ear.told
    assert told.content_type == "application/x-www-form-urlencoded"
    assert set(told.form) == {"logout_token"}
    claims = claims_of(rig, told.token)
    jti, iat = claims.pop("jti"), claims.pop("iat")
    assert len(jti) >= 20
    assert abs(iat - rig.clock()) <= 2
    assert claims == {
        "iss": rig.issuer,
        "aud": "gov24",
        "exp": iat + TOKEN_TTL_S,
        "events": {LOGOUT_EVENT: {}},
        "sub": rig.house.subjects.pairwise("somebody", "gov24.example"),
        "sid": "sid-0",
    }


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_it_is_signed_as_the_portals_id_tokens_are(rig: Rig, ear: Ear, notices: Notices, alg: str) -> None:
    rig.apply_portal("gov24", id_token_signed_response_alg=alg, backchannel_logout_uri=ear.uri("gov24"))
    rig.house.keys.ensure([alg])
    put(rig)
    notices.deliver()
    header = header_of(ear.told[0].token)
    assert (header["typ"], header["alg"]) == ("logout+jwt", alg)
    assert set(header) == {"typ", "alg", "kid"}
    assert claims_of(rig, ear.told[0].token)["sid"] == "sid-0"
    rig.apply_portal("gov24", backchannel_logout_uri=ear.uri("gov24"))


def test_a_portal_with_encrypted_id_tokens_gets_it_encrypted(rig: Rig, ear: Ear, notices: Notices) -> None:
    key = ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES"}, auto_kid=True)
    rig.apply_portal(
        "gov24",
        jwks={"keys": [key.as_dict(private=False)]},
        id_token_encrypted_response_alg="ECDH-ES",
        id_token_encrypted_response_enc="A256GCM",
        backchannel_logout_uri=ear.uri("gov24"),
    )
    put(rig)
    notices.deliver()
    opened = jwe.decrypt_compact(ear.told[0].token, key, algorithms=["ECDH-ES", "A256GCM"])
    assert opened.plaintext is not None
    assert claims_of(rig, opened.plaintext.decode("ascii"))["sid"] == "sid-0"


def test_every_attempt_has_a_token_of_its_own(rig: Rig, ear: Ear, notices: Notices) -> None:
    ear.answer = status(500)
    put(rig)
    notices.deliver()
    rig.clock.forward(60)
    notices.deliver()
    first, second = (claims_of(rig, told.token) for told in ear.told)
    assert first["jti"] != second["jti"]
    assert second["iat"] >= first["iat"] + 60


# -- how it goes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 204])
def test_a_portal_that_says_yes_has_been_told(rig: Rig, ear: Ear, notices: Notices, code: int) -> None:
    ear.answer = status(code)
    put(rig)
    notices.deliver()
    rig.clock.forward(2 * DAY_S)
    assert notices.deliver() == 0
    assert len(ear.told) == 1
    assert (row().state, row().attempts, row().last_problem, row().due_at) == ("delivered", 1, None, None)


def test_a_long_answer_is_not_read_and_counts(rig: Rig, ear: Ear, notices: Notices) -> None:
    ear.answer = status(200, b"x" * 200_000)
    put(rig)
    notices.deliver()
    assert row().state == "delivered"


def test_a_portal_that_refuses_is_asked_three_times(rig: Rig, ear: Ear, notices: Notices) -> None:
    ear.answer = status(400)
    put(rig)
    for _ in range(10):
        notices.deliver()
        rig.clock.forward(DAY_S)
    assert len(ear.told) == 3
    assert (row().state, row().last_problem) == ("given up", "status 400")


@pytest.mark.parametrize("code", [201, 302, 307, 404, 500, 501, 503])
def test_another_answer_is_tried_again_and_no_redirect_is_followed(
    rig: Rig, ear: Ear, notices: Notices, code: int
) -> None:
    ear.answer = status(code, Location=f"{ear.origin}/elsewhere")
    put(rig)
    notices.deliver()
    assert notices.deliver() == 0  # not at once
    assert (row().state, row().last_problem) == ("waiting", f"status {code}")
    ear.answer = status(200)
    rig.clock.forward(round(RETRY_S[0] * 1.3))
    notices.deliver()
    assert [told.path for told in ear.told] == ["/gov24", "/gov24"]
    assert (row().state, row().attempts, row().last_problem) == ("delivered", 2, None)


def test_the_pauses_grow_from_seconds_to_an_hour_and_end_after_a_day(
    rig: Rig, ear: Ear, notices: Notices
) -> None:
    ear.answer = status(503)
    put(rig)
    began = rig.clock()
    pauses = []
    while True:
        now = rig.clock()
        notices.deliver()
        due = row().due_at
        if due is None:
            break
        pauses.append(due - now)
        rig.clock.forward(due - rig.clock())
    for pause, meant in zip(pauses, RETRY_S, strict=True):
        assert 0.8 * meant - 2 <= pause <= 1.2 * meant + 2
    assert len(set(pauses[4:])) > 1  # a portal that was down is not met by everybody at once
    assert 0.8 * DAY_S < rig.clock() - began < 1.2 * DAY_S
    assert (row().state, row().attempts) == ("given up", len(RETRY_S) + 1)


def test_a_portal_nobody_answers_at_is_tried_again(rig: Rig, ear: Ear, notices: Notices) -> None:
    rig.apply_portal("gov24", backchannel_logout_uri="http://127.0.0.1:9/gov24")
    with GuardedClient(["http://127.0.0.1:9"], allow_loopback=True, timeout_s=2.0, max_bytes=1000) as outside:
        notices._post = outside.post
        put(rig)
        notices.deliver()
    assert (row().state, row().last_problem) == ("waiting", "network")


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9/gov24", "https://127.0.0.1:9/gov24", "https://169.254.169.254/latest"]
)
def test_an_address_that_one_may_not_go_to_is_given_up_soon(
    rig: Rig, ear: Ear, notices: Notices, uri: str
) -> None:
    rig.apply_portal("gov24", backchannel_logout_uri=uri)
    put(rig)
    for _ in range(5):
        notices.deliver()
        rig.clock.forward(DAY_S)
    assert ear.told == []
    assert (row().state, row().attempts) == ("given up", 3)
    assert row().last_problem in {"https only", "address not public"}


@pytest.mark.parametrize("change", ["disabled", "without an address", "unknown"])
def test_a_portal_that_is_no_longer_told_anything_ends_the_notice(
    rig: Rig, ear: Ear, notices: Notices, change: str
) -> None:
    put(rig, "nobody" if change == "unknown" else "gov24")
    if change == "disabled":
        rig.switch_portal("gov24", enabled=False)
    elif change == "without an address":
        rig.apply_portal("gov24")
    try:
        notices.deliver()
    finally:
        rig.switch_portal("gov24", enabled=True)
    assert ear.told == []
    assert (row().state, row().last_problem) == ("given up", "not registered")


def test_without_a_key_of_its_algorithm_a_notice_waits(rig: Rig, ear: Ear, notices: Notices) -> None:
    rig.apply_portal("gov24", id_token_signed_response_alg="PS256", backchannel_logout_uri=ear.uri("gov24"))
    with writing() as database:
        database.execute(update(SigningKey).where(SigningKey.alg == "PS256").values(retiring_at=0, gone_at=0))
    rig.house.keys.ensure()  # looks at the table again
    put(rig)
    notices.deliver()
    assert (row().state, row().last_problem) == ("waiting", "no signing key")


def test_a_notice_that_was_just_written_does_not_queue_behind_old_trouble(
    rig: Rig, ear: Ear, notices: Notices
) -> None:
    rig.apply_portal("efamily", backchannel_logout_uri=ear.uri("efamily"))
    ear.answer = status(503)
    put(rig, "gov24", 40)
    while notices.deliver():
        continue
    rig.clock.forward(60)
    ear.told.clear()
    put(rig, "efamily")
    notices.deliver()
    assert [told.path for told in ear.told].count("/efamily") == 1
    assert len(ear.told) <= 3  # of the portal in trouble two at a time


# -- leases ----------------------------------------------------------------------------------------------------


def test_a_notice_whose_worker_died_is_sent_when_its_lease_has_run_out(
    rig: Rig, ear: Ear, notices: Notices
) -> None:
    put(rig)
    assert len(notices._lease()) == 1  # and nothing more comes of it
    assert notices.deliver() == 0
    rig.clock.forward(notices._lease_s + 1)
    assert notices.deliver() == 1
    assert (row().state, row().attempts) == ("delivered", 2)


def test_a_worker_that_was_away_too_long_does_not_overwrite_what_another_wrote(
    rig: Rig, ear: Ear, notices: Notices
) -> None:
    put(rig)
    (stale,) = notices._lease()
    rig.clock.forward(notices._lease_s + 1)
    notices.deliver()
    notices._settle(stale, backchannel._Outcome("too slow"))
    assert row().state == "delivered"


# -- the ledger ------------------------------------------------------------------------------------------------


def test_the_ledger_tells_one_portals_and_those_that_failed(rig: Rig, ear: Ear, notices: Notices) -> None:
    rig.apply_portal("efamily", backchannel_logout_uri=ear.uri("efamily"))
    put(rig, "gov24")
    put(rig, "efamily")
    ear.answer = lambda request: status(200 if request.path == "/gov24" else 500)(request)
    notices.deliver()
    db.session.rollback()
    assert [entry.client_id for entry in backchannel.ledger()] == ["efamily", "gov24"]
    assert [entry.state for entry in backchannel.ledger(client_id="gov24")] == ["delivered"]
    assert [entry.client_id for entry in backchannel.ledger(failed=True)] == ["efamily"]


def test_a_notice_can_be_sent_again_whatever_became_of_it(rig: Rig, ear: Ear, notices: Notices) -> None:
    put(rig)
    notices.deliver()
    assert backchannel.replay([row().id], now=rig.clock()) == 1
    notices.deliver()
    assert len(ear.told) == 2
    assert (row().state, row().attempts) == ("delivered", 1)


def test_a_portals_notices_that_did_not_arrive_are_sent_again_and_tried_for_another_day(
    rig: Rig, ear: Ear, notices: Notices
) -> None:
    put(rig)
    notices.deliver()
    ear.answer = status(400)
    put(rig, n=2)
    for _ in range(3):
        while notices.deliver():
            continue
        rig.clock.forward(DAY_S)
    assert len(backchannel.ledger(failed=True)) == 2
    ear.told.clear()
    ear.answer = status(503)
    assert backchannel.replay(client_id="gov24", now=rig.clock()) == 2
    notices.deliver()
    db.session.rollback()
    assert len(ear.told) == 2
    assert [entry.state for entry in backchannel.ledger(failed=True)] == ["waiting", "waiting"]


def test_what_is_settled_is_forgotten_after_a_season_and_what_waits_is_not(
    rig: Rig, ear: Ear, notices: Notices
) -> None:
    put(rig)
    notices.deliver()
    put(rig, "efamily")
    for days, left in ((89, 2), (2, 1)):
        rig.clock.forward(days * DAY_S)
        backchannel.sweep(rig.clock())
        assert len(backchannel.ledger()) == left
