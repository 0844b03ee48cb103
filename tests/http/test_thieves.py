"""What a thief would try against tokens, registrations, counters and logout, on every database and store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from idp import portals
from idp.models import LogoutNotice, RefreshToken, db, writing
from idp.models import Portal as Row
from idp.oidc import backchannel
from idp.oidc.backchannel import Notices
from idp.portals import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from tests import servers
from tests.ears import listening
from tests.harmless import as_json, decent
from tests.http.conftest import STORES
from tests.registering import NO_KEYS, REDIRECT_URI, Site, invited, register, registered, site
from tests.rig import Portal, Rig, started

GRANTS = [AUTHORIZATION_CODE, REFRESH_TOKEN]
ELSEWHERE = "https://elsewhere.example/out"


@pytest.fixture(scope="module")
def documents() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module", params=STORES)
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, documents: Site
) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("house")
    settings: dict[str, Any] = {"registration.per_minute_per_ip": 100_000}
    if request.param == "sqlite":
        with started(directory, settings, allow=[documents.origin]) as running:
            yield running
        return
    redis = request.getfixturevalue("redis_url")
    with (
        servers.new_database(request.getfixturevalue("postgresql_url")) as database,
        started(
            directory, {**settings, "database.url": database, "store.url": redis}, allow=[documents.origin]
        ) as running,
    ):
        yield running


# -- a sector is joined by whoever can be shown to belong to it (Core 8.1) ----------------------------------------


def sector_of(rig: Rig, answer: dict[str, Any]) -> str:
    with rig.app.app_context():
        found = portals.find(answer["client_id"])
        assert found is not None
        return found.sector


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_types": [DEVICE_CODE]},
        {"grant_types": [AUTHORIZATION_CODE, DEVICE_CODE]},
        {"backchannel_logout_uri": ELSEWHERE},
    ],
)
def test_somebody_elses_address_gives_no_sub_to_whoever_hears_it_elsewhere(
    rig: Rig, changes: dict[str, Any]
) -> None:
    """A `sub` that reaches a device, or a logout address, was never shown to belong to the host that it names."""
    theirs = registered(rig)
    assert sector_of(rig, theirs) == "portal.example"
    mine = registered(rig, **changes)
    assert sector_of(rig, mine) == mine["client_id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_types": [DEVICE_CODE], "redirect_uris": []},
        {"grant_types": [AUTHORIZATION_CODE, DEVICE_CODE]},
        {"backchannel_logout_uri": ELSEWHERE},
    ],
)
def test_somebody_elses_sector_document_opens_no_sector(
    rig: Rig, documents: Site, changes: dict[str, Any]
) -> None:
    where = documents.publish("/sector.json", [REDIRECT_URI])
    response = register(rig, invited(rig), sector_identifier_uri=where, **changes)
    body = as_json(response, 400, "invalid_client_metadata")
    assert "sector_identifier_uri" in str(body["error_description"])


def test_a_portal_that_hears_of_logouts_at_its_own_host_stays_in_its_sector(rig: Rig) -> None:
    answer = registered(rig, backchannel_logout_uri="https://portal.example/out")
    assert sector_of(rig, answer) == "portal.example"


# -- the back channel ---------------------------------------------------------------------------------------------


def test_a_public_client_cannot_push_without_end(tmp_path: Path) -> None:
    """Anybody can name it: `/authorize` has a limit for one address, and its back door has the same."""
    with started(tmp_path, {"holder.logins_per_minute_per_ip": 3}) as rig:
        public = rig.variant("gov24", "pusher", token_endpoint_auth_method="none", client_secret_sha256=None)
        assert [public.push().status_code for _ in range(3)] == [201] * 3
        as_json(public.push(), 429, "temporarily_unavailable")


@pytest.fixture(scope="module")
def lasting(rig: Rig) -> Portal:
    return rig.variant("gov24", "lasting-review", grant_types=GRANTS)


def test_a_used_refresh_token_opens_nothing_any_more(rig: Rig, lasting: Portal) -> None:
    """Its row stays, so that a second use is seen; what it stood for does not."""
    tokens = lasting.sign_in()
    assert lasting.refresh(tokens["refresh_token"]).status_code == 200
    with rig.app.app_context():
        used = db.session.scalars(select(RefreshToken).where(RefreshToken.used_at.is_not(None))).all()
        assert used
        assert [(row.sealed, row.authorization) for row in used] == [("", {})] * len(used)
    as_json(lasting.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_a_portal_is_given_no_more_at_a_refresh_than_it_is_registered_for_now(rig: Rig) -> None:
    portal = rig.variant("gov24", "shrinking", grant_types=GRANTS)
    tokens = portal.sign_in()
    assert "birthdate" in portal.userinfo(tokens["access_token"]).json()
    claims = [claim for claim in portal.registration["claims"] if claim["name"] != "birthdate"]
    rig.apply_portal("gov24", client_id="shrinking", grant_types=GRANTS, claims=claims)
    fresh = portal.refresh(tokens["refresh_token"]).json()
    said = portal.userinfo(fresh["access_token"]).json()
    assert "birthdate" not in said
    assert "name" in said


# -- answers ------------------------------------------------------------------------------------------------------


def test_an_error_that_cannot_be_encrypted_is_a_503_too(rig: Rig) -> None:
    """The portal's key is missing: that is no bug of ours, and nothing goes out in clear."""
    portal = rig.variant(
        "gov24",
        "unreadable",
        jwks={"keys": [NO_KEYS["ECDH-ES"]]},
        authorization_encrypted_response_alg="ECDH-ES",
    )
    begun = portal.begin(response_mode="jwt", scope="openid nonsense profile kr_passport")
    assert begun.response.status_code == 503, begun.response.status_code
    assert begun.response.headers["Retry-After"] == "5"
    assert "Location" not in begun.response.headers


def test_a_missing_signing_key_costs_no_code(rig: Rig) -> None:
    """A registration of PS256 that was applied a moment ago: the key is made within a minute, and the code waits."""
    portal = rig.variant("gov24", "early", id_token_signed_response_alg="PS256")
    code, begun = portal.code()
    assert portal.token(code, begun.verifier).status_code == 503
    with rig.app.app_context():
        rig.house.keys.ensure(["PS256"])
    assert portal.token(code, begun.verifier).status_code == 200


def test_a_jwt_of_another_kind_is_no_id_token_hint(rig: Rig) -> None:
    """RFC 8725, section 3.11: a logout token has `sub`, `aud` and `sid` too."""
    portal = rig.portal("gov24")
    id_token = portal.sign_in()["id_token"]
    claims = portal.id_token_claims(id_token)
    with rig.app.app_context():
        other = rig.house.keys.sign_jwt("logout+jwt", claims, "ES256")
        same = rig.house.keys.sign_jwt("JWT", claims, "ES256")
    assert "code" in portal.callback(portal.begin(prompt="none", id_token_hint=same))
    answered = portal.begin(prompt="none", id_token_hint=other)
    assert "error=invalid_request" in answered.location


# -- what only an operator decides --------------------------------------------------------------------------------


def test_an_update_does_not_bring_the_qr_code_back(rig: Rig) -> None:
    """DC-14: an operator took it away (`cross_device = false`)."""
    answer = registered(rig)
    with rig.app.app_context(), writing() as database:
        row = database.get_one(Row, answer["client_id"])
        row.registration = {**row.registration, "cross_device": False}
    kept = {
        name: value
        for name, value in answer.items()
        if name
        not in {
            "registration_access_token",
            "registration_client_uri",
            "client_secret_expires_at",
            "client_id_issued_at",
        }
    }
    response = rig.http.put(
        answer["registration_client_uri"],
        json=kept,
        headers={"Authorization": f"Bearer {answer['registration_access_token']}"},
    )
    assert decent(response).status_code == 200, response.text
    with rig.app.app_context():
        found = portals.find(answer["client_id"])
        assert found is not None
        assert not found.cross_device


@pytest.mark.parametrize(
    "uri",
    [
        "https://127.0.0.1/out",
        "http://127.0.0.1:1/out",
        "https://[::1]/out",
        "https://[::ffff:10.0.0.1]/out",
        "https://169.254.169.254/out",
        "https://10.1.2.3/out",
        "http://localhost:1/out",
    ],
)
def test_an_address_that_we_never_post_to_is_refused_at_registration(rig: Rig, uri: str) -> None:
    """BL-04: refused where the portal hears of it, not only when a session ends."""
    response = register(rig, invited(rig), backchannel_logout_uri=uri)
    body = as_json(response, 400, "invalid_client_metadata")
    assert "backchannel_logout_uri" in str(body["error_description"])


# -- what evidence says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {"record": {"source": {"country_code": {"value": "US"}}}},
        {"record": {"source": {"country_code": {"value": "FR"}}}},
        {"record": {"date_of_expiry": {"max_age": 0}}},
        {"record": {"created_at": {"max_age": 1}}},
        {"check_details": [{"check_method": None, "organization": {"values": ["a", "b"]}}]},
    ],
)
def test_a_portal_learns_nothing_of_the_evidence_by_guessing_at_it(rig: Rig, asked: dict[str, Any]) -> None:
    """Without a claim that the holder agreed to, an answer or none must not say whether the guess was right."""
    evidence = [{"type": {"value": "electronic_record"}, **asked}]
    wanted = {"verification": {"trust_framework": None, "evidence": evidence}, "claims": None}
    tokens = rig.portal("gov24").sign_in(claims=json.dumps({"userinfo": {"verified_claims": wanted}}))
    assert "verified_claims" not in rig.portal("gov24").userinfo(tokens["access_token"]).json()


# -- keys that cannot be encrypted to -----------------------------------------------------------------------------


@pytest.mark.parametrize("alg", NO_KEYS)
def test_a_key_that_cannot_be_encrypted_to_is_no_key(rig: Rig, alg: str) -> None:
    portal = rig.variant(
        "gov24", "keyless", jwks={"keys": [NO_KEYS[alg]]}, id_token_encrypted_response_alg=alg
    )
    code, begun = portal.code()
    response = portal.token(code, begun.verifier)
    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")


@pytest.mark.parametrize("alg", NO_KEYS)
def test_a_portal_without_a_usable_key_stops_nobody_elses_logout(rig: Rig, alg: str) -> None:
    """Notices go out in batches: one that cannot be made must not take the others with it."""
    with listening(rig) as ear, rig.app.app_context():
        rig.variant(
            "gov24",
            "keyless",
            jwks={"keys": [NO_KEYS[alg]]},
            id_token_encrypted_response_alg=alg,
            backchannel_logout_uri=ear.uri("keyless"),
        )
        rig.apply_portal("efamily", backchannel_logout_uri=ear.uri("efamily"))
        now = rig.clock()
        with writing() as database:
            database.execute(delete(LogoutNotice))
            for client_id in ("keyless", "efamily"):
                database.add(
                    LogoutNotice(client_id=client_id, subject_id="x", sid="sid", created_at=now, due_at=now)
                )
        house = rig.house
        notices = Notices(
            settings=house.settings,
            subjects=house.subjects,
            wrapping=house.wrapping,
            outside=house.outside,
            clock=rig.clock,
        )
        try:
            notices.deliver()
        finally:
            notices.close()
        assert [told.path for told in ear.told] == ["/efamily"]
        assert {entry.client_id: entry.state for entry in backchannel.ledger()} == {
            "keyless": "waiting",
            "efamily": "delivered",
        }
