"""Refresh tokens (decision D3; RFC 6749 6, RFC 9700 4.14.2, OpenID Connect Core 11 and 12): a family under a grant."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, text

from idp.models import SignedIn, db, sweep, writing
from idp.oidc import grants
from idp.oidc.id_token import at_hash
from tests.harmless import as_json, harmless
from tests.proving import Prover
from tests.rig import Portal, Rig, callback_parameters, started

GRANTS = ["authorization_code", "refresh_token"]
ITEMS = ["name", "birthdate", "kr_overseas_registration_number"]
REPLAYED = ("token.replayed", "refresh_token")
HOUR, DAY = 3600, 86400
PEOPLE = count(3000)


@pytest.fixture(scope="module")
def lasting(rig: Rig) -> Portal:
    """A portal that may refresh, and come back on its own where the holder agrees."""
    scopes = [*rig.portal("gov24").registration["scopes"], "offline_access"]
    return rig.variant("gov24", "lasting", grant_types=GRANTS, scopes=scopes)


@pytest.fixture(scope="module")
def other(rig: Rig) -> Portal:
    return rig.variant("apostille", "other", grant_types=GRANTS)


@pytest.fixture
def portal(rig: Rig, lasting: Portal) -> Portal:
    """The same in a browser of its own, where somebody who agreed to everything but `offline_access` signs in."""
    fresh = rig.portal("gov24")
    fresh.client_id, fresh.registration = lasting.client_id, lasting.registration
    return fresh


def bought(portal: Portal, **changes: Any) -> dict[str, Any]:
    """Tokens without `offline_access`."""
    return portal.sign_in(scope="openid profile kr_overseas", **changes)


def refreshed(portal: Portal, refresh_token: str, **changes: Any) -> dict[str, Any]:
    response = portal.refresh(refresh_token, **changes)
    assert response.status_code == 200, response.text
    return dict(response.json())


def works(portal: Portal, tokens: dict[str, Any]) -> bool:
    status = portal.userinfo(tokens["access_token"]).status_code
    assert status in {200, 401}
    return status == 200


def agreed_to_last(portal: Portal, *, ticked: bool) -> dict[str, Any]:
    """Tokens of a newcomer who is asked about `offline_access`."""
    begun = portal.begin()
    resumed = portal.to_consent(begun, f"invented-{next(PEOPLE)}")
    assert resumed.headers["Location"].endswith("/consent")
    page = portal.open(resumed.headers["Location"])
    items = [*ITEMS, *(["offline_access"] if ticked else [])]
    answered = portal.submit(page, "consent", decision="agree", item=items)
    back = portal.browser.get(portal.absolute(answered.headers["Location"]))
    response = portal.token(callback_parameters(back)["code"], begun.verifier)
    assert response.status_code == 200, response.text
    return dict(response.json())


def log_out(portal: Portal, tokens: dict[str, Any]) -> httpx2.Response:
    hint = {"id_token_hint": tokens["id_token"]}
    response = portal.browser.get(f"{portal.rig.issuer}/logout", params=hint)
    assert response.status_code == 200, response.text
    return response


# -- a family ----------------------------------------------------------------------------------------------------


def test_a_refresh_buys_fresh_tokens_and_the_family_goes_on(rig: Rig, portal: Portal) -> None:
    tokens = [bought(portal)]
    for _ in range(3):
        last = rig.last_event()
        tokens.append(refreshed(portal, tokens[-1]["refresh_token"]))
        assert [(event.name, event.client_id) for event in rig.events(after=last)] == [
            ("token.refreshed", portal.client_id)
        ]
    for name in ("access_token", "refresh_token", "id_token"):
        assert len({given[name] for given in tokens}) == 4
    assert all(works(portal, given) for given in tokens)
    assert {given["token_type"] for given in tokens} == {"Bearer"}
    assert {given["scope"] for given in tokens} == {"openid profile kr_overseas"}
    assert {given["expires_in"] for given in tokens} == {300}


def test_what_a_refreshed_token_opens_is_what_was_agreed_to(portal: Portal) -> None:
    tokens = bought(portal)
    fresh = refreshed(portal, tokens["refresh_token"])
    said = portal.userinfo(tokens["access_token"]).json()
    assert set(said) == {"sub", "name", "birthdate"}  # the number is optional, and nobody ticked it
    assert portal.userinfo(fresh["access_token"]).json() == said


def test_a_refreshed_token_lives_when_the_first_one_is_long_dead(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    rig.clock.forward(HOUR)
    assert not works(portal, tokens)
    assert works(portal, refreshed(portal, tokens["refresh_token"]))


def test_the_answer_is_json_that_is_kept_nowhere(portal: Portal) -> None:
    response = portal.refresh(bought(portal)["refresh_token"])
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"


def test_the_id_token_of_a_refresh_tells_of_the_same_sign_in(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal, nonce="n-1", claims='{"id_token":{"name":null}}')
    first = portal.id_token_claims(tokens["id_token"])
    rig.clock.forward(600)
    fresh = refreshed(portal, tokens["refresh_token"])
    second = portal.id_token_claims(fresh["id_token"])
    same = {"iss", "sub", "aud", "auth_time", "acr", "amr", "sid", "name"}
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert first["nonce"] == "n-1"
    assert "nonce" not in second
    assert second["iat"] >= first["iat"] + 600
    assert second["exp"] > second["iat"]
    assert second["at_hash"] == at_hash(fresh["access_token"])


def test_tokens_of_a_silent_sign_in_are_refreshed_as_the_sign_in_was(rig: Rig, portal: Portal) -> None:
    first = portal.id_token_claims(bought(portal)["id_token"])
    rig.clock.forward(300)
    silent = bought(portal, prompt="none")
    rig.clock.forward(300)
    fresh = refreshed(portal, silent["refresh_token"])
    claims = portal.id_token_claims(fresh["id_token"])
    assert (claims["auth_time"], claims["sid"]) == (first["auth_time"], first["sid"])
    log_out(portal, silent)
    as_json(portal.refresh(fresh["refresh_token"]), 400, "invalid_grant")


# -- a second use ------------------------------------------------------------------------------------------------


def test_a_second_use_revokes_the_whole_family_with_its_access_tokens(rig: Rig, portal: Portal) -> None:
    first = bought(portal)
    second = refreshed(portal, first["refresh_token"])
    third = refreshed(portal, second["refresh_token"])
    with harmless(rig, REPLAYED):
        as_json(portal.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert not any(works(portal, tokens) for tokens in (first, second, third))
    with harmless(rig, ("token.refused", "revoked")):
        as_json(portal.refresh(third["refresh_token"]), 400, "invalid_grant")
    assert "code" in portal.callback(
        portal.begin(prompt="none", scope="openid")
    )  # the session is not to blame


def test_another_family_of_the_same_person_is_not_touched(portal: Portal) -> None:
    stolen, kept = bought(portal), bought(portal)
    refreshed(portal, stolen["refresh_token"])
    portal.refresh(stolen["refresh_token"])
    assert works(portal, kept)
    assert works(portal, refreshed(portal, kept["refresh_token"]))


def test_a_replayed_code_revokes_what_was_refreshed_since(rig: Rig, portal: Portal) -> None:
    code, begun = portal.code(scope="openid")
    tokens = portal.token(code, begun.verifier).json()
    fresh = refreshed(portal, tokens["refresh_token"])
    rig.clock.forward(120)
    with harmless(rig, ("code.replayed", "same_client")):
        as_json(portal.token(code, begun.verifier), 400, "invalid_grant")
    assert not works(portal, fresh)
    with harmless(rig, ("token.refused", "revoked")):
        as_json(portal.refresh(fresh["refresh_token"]), 400, "invalid_grant")


# -- who may -----------------------------------------------------------------------------------------------------


def test_another_client_gets_nothing_and_the_owners_token_is_kept(
    rig: Rig, portal: Portal, other: Portal
) -> None:
    tokens = bought(portal)
    with harmless(rig, ("token.refused", "other_client_or_expired")):
        as_json(other.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    fresh = refreshed(portal, tokens["refresh_token"])
    # Nor does another client's second use revoke what is the owner's.
    with harmless(rig, ("token.refused", "other_client_or_expired")):
        as_json(other.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert works(portal, fresh)


def test_without_proof_of_the_client_nothing_is_spent(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    with harmless(rig, *[("client.refused", "no_credentials")] * 2):
        named = rig.http.post(f"{rig.issuer}/token", data={**form, "client_id": portal.client_id})
        as_json(named, 401, "invalid_client")
        as_json(rig.http.post(f"{rig.issuer}/token", data=form), 401, "invalid_client")
    assert works(portal, refreshed(portal, tokens["refresh_token"]))


def test_a_portal_that_did_not_register_to_refresh_gets_no_refresh_token_and_may_not_use_one(
    rig: Rig, portal: Portal
) -> None:
    plain = rig.portal("gov24")
    assert "refresh_token" not in plain.sign_in()
    tokens = bought(portal)
    with harmless(rig, ("token.refused", "grant_type")):
        as_json(plain.refresh(tokens["refresh_token"]), 400, "unauthorized_client")


def test_a_portal_that_may_no_longer_refresh_does_not(rig: Rig) -> None:
    portal = rig.variant("gov24", "curbed", grant_types=GRANTS)
    tokens = portal.sign_in()
    rig.variant("gov24", "curbed", grant_types=["authorization_code"])
    as_json(portal.refresh(tokens["refresh_token"]), 400, "unauthorized_client")
    rig.variant("gov24", "curbed", grant_types=GRANTS)
    rig.switch_portal("curbed", enabled=False)
    as_json(portal.refresh(tokens["refresh_token"]), 401, "invalid_client")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, "invalid_request"),
        ("", "invalid_request"),
        ("x" * 43, "invalid_grant"),
        ("x" * 5000, "invalid_grant"),
        ("토큰", "invalid_grant"),
        ("a\0b", "invalid_grant"),
        (["a", "a"], "invalid_request"),
    ],
)
def test_what_is_no_refresh_token_buys_nothing(rig: Rig, portal: Portal, value: Any, error: str) -> None:
    reason = "unknown" if value in ("x" * 43, "a\0b") else error
    with harmless(rig, ("token.refused", reason)):
        as_json(portal.refresh(value), 400, error)


def test_codes_access_tokens_and_refresh_tokens_are_not_taken_for_each_other(
    rig: Rig, portal: Portal
) -> None:
    code, begun = portal.code(scope="openid")
    tokens = bought(portal)
    with harmless(rig, *[("token.refused", "unknown")] * 2):
        as_json(portal.refresh(code), 400, "invalid_grant")
        as_json(portal.refresh(tokens["access_token"]), 400, "invalid_grant")
    with harmless(rig, ("code.refused", "unknown")):
        as_json(portal.token(tokens["refresh_token"], begun.verifier), 400, "invalid_grant")
    assert portal.userinfo(tokens["refresh_token"]).status_code == 401


# -- less than was granted ---------------------------------------------------------------------------------------


def test_a_narrower_scope_is_for_that_access_token_alone(portal: Portal) -> None:
    tokens = bought(portal)
    narrow = refreshed(portal, tokens["refresh_token"], scope="openid")
    assert narrow["scope"] == "openid"
    assert set(portal.userinfo(narrow["access_token"]).json()) == {"sub"}
    wide = refreshed(portal, narrow["refresh_token"])
    assert wide["scope"] == "openid profile kr_overseas"
    assert "name" in portal.userinfo(wide["access_token"]).json()


@pytest.mark.parametrize(
    "scope", ["openid profile kr_passport", "offline_access openid", "nobody knows", "openid 한"]
)
def test_a_wider_scope_is_refused_and_spends_nothing(rig: Rig, portal: Portal, scope: str) -> None:
    tokens = bought(portal)
    with harmless(rig, ("token.refused", "invalid_scope")):
        as_json(portal.refresh(tokens["refresh_token"], scope=scope), 400, "invalid_scope")
    assert works(portal, refreshed(portal, tokens["refresh_token"]))


def test_without_openid_there_is_no_id_token_and_userinfo_says_nothing(portal: Portal) -> None:
    tokens = refreshed(portal, bought(portal)["refresh_token"], scope="profile")
    assert "id_token" not in tokens
    response = portal.userinfo(tokens["access_token"])
    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


# -- how long ----------------------------------------------------------------------------------------------------


def test_a_family_lives_eight_hours_however_often_it_is_refreshed(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    for _ in range(7):
        rig.clock.forward(HOUR)
        tokens = refreshed(portal, tokens["refresh_token"])
    rig.clock.forward(HOUR - 30)
    tokens = refreshed(portal, tokens["refresh_token"])
    rig.clock.forward(31)
    with harmless(rig, ("token.refused", "other_client_or_expired")):
        as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_what_expired_and_was_swept_is_still_refused(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    used = tokens["refresh_token"]
    fresh = refreshed(portal, used)
    rig.clock.forward(9 * HOUR)
    with rig.app.app_context():
        assert sweep(rig.clock()) >= 3
    with harmless(rig, *[("token.refused", "unknown")] * 2):
        as_json(portal.refresh(used), 400, "invalid_grant")
        as_json(portal.refresh(fresh["refresh_token"]), 400, "invalid_grant")


def test_with_offline_access_it_lives_thirty_days(rig: Rig, portal: Portal) -> None:
    tokens = agreed_to_last(portal, ticked=True)
    assert "offline_access" in tokens["scope"].split()
    for _ in range(29):
        rig.clock.forward(DAY)
        tokens = refreshed(portal, tokens["refresh_token"])
        assert "offline_access" in tokens["scope"].split()
    assert works(portal, tokens)
    rig.clock.forward(DAY + 1)
    as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_the_box_is_the_holders_to_tick(rig: Rig, portal: Portal) -> None:
    tokens = agreed_to_last(portal, ticked=False)
    assert "offline_access" not in tokens["scope"].split()
    assert works(portal, tokens)
    rig.clock.forward(8 * HOUR + 1)
    as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_what_was_agreed_once_is_not_asked_again_and_what_was_not_is_not_given(
    rig: Rig, portal: Portal
) -> None:
    for ticked in (True, False):
        persona = f"invented-{next(PEOPLE)}"
        portal.browser = rig.browser()
        begun = portal.begin()
        page = portal.open(portal.to_consent(begun, persona).headers["Location"])
        items = [*ITEMS, *(["offline_access"] if ticked else [])]
        portal.submit(page, "consent", decision="agree", item=items)
        portal.browser.get(f"{rig.issuer}/authorize/resume?login={begun.location.rpartition('/')[2]}")
        again = portal.begin()
        assert "code=" in again.location  # by the session, and no page
        tokens = portal.token(callback_parameters(again.response)["code"], again.verifier).json()
        assert ("offline_access" in tokens["scope"].split()) is ticked


def test_who_may_not_refresh_is_not_given_what_would_need_it(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin(scope="openid offline_access")
    assert "error=invalid_scope" in begun.location


# -- the end of the session --------------------------------------------------------------------------------------


def test_it_ends_with_the_session(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    fresh = refreshed(portal, tokens["refresh_token"])
    log_out(portal, tokens)
    with harmless(rig, ("token.refused", "revoked")):
        as_json(portal.refresh(fresh["refresh_token"]), 400, "invalid_grant")
    assert not works(portal, fresh)


def test_with_offline_access_it_outlives_the_session(portal: Portal) -> None:
    tokens = agreed_to_last(portal, ticked=True)
    log_out(portal, tokens)
    fresh = refreshed(portal, tokens["refresh_token"])
    assert works(portal, fresh)
    assert (
        portal.id_token_claims(fresh["id_token"])["sub"] == portal.id_token_claims(tokens["id_token"])["sub"]
    )


@pytest.mark.parametrize("left_s", [HOUR, 100])
def test_what_is_bought_late_in_a_session_is_refreshed_until_its_end_and_no_longer(
    tmp_path: Path, left_s: int
) -> None:
    with started(tmp_path, {"lifetimes.session_idle_s": 8 * HOUR}) as rig:
        portal = rig.variant("gov24", "lasting", grant_types=GRANTS)
        portal.sign_in()
        with rig.app.app_context():
            ends_at = db.session.scalars(select(SignedIn.ends_at)).one()
        rig.clock.offset_s += ends_at - left_s - rig.clock()
        tokens = portal.sign_in(prompt="none")
        for _ in range(2):
            said = portal.post("/introspect", token=tokens["refresh_token"]).json()
            assert said["exp"] == ends_at
            tokens = refreshed(portal, tokens["refresh_token"])
        rig.clock.offset_s += ends_at - rig.clock()
        with harmless(rig, ("token.refused", "other_client_or_expired")):
            as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_a_grant_recorded_while_the_holder_signs_out_is_dead_for_as_long_as_it_could_be_refreshed(
    rig: Rig, portal: Portal
) -> None:
    tokens = bought(portal)
    with rig.app.app_context():
        newest = text('SELECT session_id FROM "grant" ORDER BY redeemed_at DESC, rowid DESC LIMIT 1')
        session_id = db.session.execute(newest).scalar_one()
        with writing() as database:
            grants.end_session(database, session_id, now=rig.clock())
        # As if its row had been written a moment after the session's end.
        unseen = text('UPDATE "grant" SET revoked_at = NULL WHERE session_id = :id')
        db.session.execute(unseen, {"id": session_id})
        db.session.commit()
    for _ in range(4):
        rig.clock.forward(2 * HOUR - 60)
        with rig.app.app_context():
            sweep(rig.clock())
        as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


# -- bound to a key ----------------------------------------------------------------------------------------------


@pytest.fixture
def bank(rig: Rig) -> Portal:
    """A `fapi2` portal that may refresh."""
    made = rig.variant("bank", "lasting-bank", grant_types=GRANTS)
    made.prover = Prover()
    return made


def test_a_fapi2_portals_token_is_not_rotated(rig: Rig, bank: Portal) -> None:
    tokens = bank.sign_in()
    assert tokens["token_type"] == "DPoP"
    for _ in range(3):
        fresh = refreshed(bank, tokens["refresh_token"])
        assert "refresh_token" not in fresh
        assert fresh["token_type"] == "DPoP"
        assert bank.userinfo(fresh["access_token"]).status_code == 200
        claims = bank.id_token_claims(fresh["id_token"])
        assert claims["auth_time"] == bank.id_token_claims(tokens["id_token"])["auth_time"]


def test_a_fapi2_portal_is_bound_by_its_own_proof_and_each_token_by_its_key(rig: Rig, bank: Portal) -> None:
    tokens = bank.sign_in()
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": bank.client_id,
    }
    with harmless(rig, ("client.refused", "no_credentials")):
        bare = rig.http.post(f"{rig.issuer}/token", data=form, headers={"DPoP": bank.proof("/token")})
        as_json(bare, 401, "invalid_client")
    with harmless(rig, ("token.refused", "dpop_missing")):
        as_json(bank.refresh(tokens["refresh_token"], dpop=()), 400, "invalid_dpop_proof")
    # A confidential client may change its key (RFC 9449, section 5); the token is the new key's then.
    new = Prover()
    fresh = refreshed(bank, tokens["refresh_token"], dpop=new)
    assert bank.userinfo(fresh["access_token"]).status_code == 401
    assert bank.userinfo(fresh["access_token"], dpop=new).status_code == 200


def test_a_fapi2_portals_family_ends_after_eight_hours(rig: Rig, bank: Portal) -> None:
    tokens = bank.sign_in()
    rig.clock.forward(8 * HOUR - 60)
    refreshed(bank, tokens["refresh_token"])
    rig.clock.forward(61)
    as_json(bank.refresh(tokens["refresh_token"]), 400, "invalid_grant")


@pytest.fixture
def public(rig: Rig) -> Portal:
    return rig.variant(
        "gov24",
        "lasting-public",
        grant_types=GRANTS,
        token_endpoint_auth_method="none",
        client_secret_sha256=None,
    )


def test_a_public_clients_token_is_rotated_and_a_second_use_revokes_it(rig: Rig, public: Portal) -> None:
    first = public.sign_in()
    second = refreshed(public, first["refresh_token"])
    with harmless(rig, REPLAYED):
        as_json(public.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert not works(public, second)


def test_a_public_clients_token_is_bound_to_its_key(rig: Rig, public: Portal) -> None:
    public.prover = Prover()
    tokens = public.sign_in()
    assert tokens["token_type"] == "DPoP"
    for thief in (Prover(), ()):
        with harmless(rig, ("token.refused", "jkt")):
            as_json(public.refresh(tokens["refresh_token"], dpop=thief), 400, "invalid_grant")
    fresh = refreshed(public, tokens["refresh_token"])  # nothing was spent on the thief
    with harmless(rig, ("token.refused", "jkt")):
        as_json(public.refresh(fresh["refresh_token"], dpop=Prover()), 400, "invalid_grant")
    assert public.userinfo(refreshed(public, fresh["refresh_token"])["access_token"]).status_code == 200


def test_a_code_bound_to_a_key_is_not_refreshed_by_its_thief(rig: Rig, public: Portal) -> None:
    public.prover = Prover()
    code, begun = public.code(dpop_jkt=public.prover.jkt)
    with harmless(rig, ("code.refused", "dpop_jkt")):
        as_json(public.token(code, begun.verifier, dpop=Prover()), 400, "invalid_grant")
    tokens = public.token(code, begun.verifier).json()
    assert refreshed(public, tokens["refresh_token"])["token_type"] == "DPoP"
