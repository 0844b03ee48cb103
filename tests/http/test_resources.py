"""Tokens for resource servers: asked for by `resource` (RFC 8707), opaque or JWTs (RFC 9068)."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from idp import portals
from idp.admin import portals as portal_admin
from idp.portals import RegistrationError
from tests.harmless import as_json, harmless, to_portal
from tests.http.resource_servers import ELSEWHERE, RECORDS, STAMPS, asking, header_of, records, stamps
from tests.proving import Prover
from tests.rig import Portal, Rig


@pytest.fixture(scope="module", autouse=True)
def servers(rig: Rig) -> dict[str, Portal]:
    return {RECORDS: records(rig), STAMPS: stamps(rig)}


@pytest.fixture(scope="module")
def portal(rig: Rig) -> Portal:
    return asking(rig)


def granted(portal: Portal, *resources: str, order: str | None, **changes: Any) -> httpx2.Response:
    """The answer to a code that was granted for `resources` and is redeemed for one of them."""
    code, begun = portal.code(resource=list(resources) or None, **changes)
    return portal.token(code, begun.verifier, resource=order)


def bought(portal: Portal, resource: str, **changes: Any) -> dict[str, Any]:
    response = granted(portal, resource, order=resource, **changes)
    assert response.status_code == 200, response.text
    return dict(response.json())


def validated(
    rig: Rig, token: str, audience: str, algorithms: tuple[str, ...] = ("RS256",)
) -> dict[str, Any]:
    """What a resource server that follows RFC 9068, section 4, makes of a token: its claims, or JoseError."""
    metadata = rig.http.get(f"{rig.issuer}/.well-known/oauth-authorization-server").json()
    keys = KeySet.import_key_set(rig.http.get(metadata["jwks_uri"]).json())
    found = jwt.decode(token, keys, algorithms=list(algorithms))
    assert found.header["typ"].lower() in {"at+jwt", "application/at+jwt"}
    rules: dict[str, Any] = {
        name: {"essential": True} for name in ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")
    }
    rules["iss"]["value"] = metadata["issuer"]
    rules["aud"]["value"] = audience
    JWTClaimsRegistry(now=rig.clock(), **rules).validate(found.claims)
    return dict(found.claims)


# -- asking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "resource",
    [
        "https://unknown.example/",
        RECORDS + "/",
        RECORDS + "#fragment",
        RECORDS.upper(),
        "records",
        [RECORDS, "https://unknown.example/"],
        [f"https://{n}.example/" for n in range(20)],
    ],
)
def test_a_resource_that_is_not_the_portals_is_told_to_it(rig: Rig, portal: Portal, resource: Any) -> None:
    with harmless(rig, ("login.refused", "invalid_target")):
        begun = portal.begin(method="POST", resource=resource)
        to_portal(begun.response, portal.redirect_uri, "invalid_target", begun.state, rig.issuer)
    with harmless(rig, ("request.refused", "invalid_target")):
        as_json(portal.push(resource=resource), 400, "invalid_target")


def test_several_resources_may_be_granted_and_a_token_is_for_one(portal: Portal) -> None:
    code, begun = portal.code(resource=[RECORDS, STAMPS])
    first = portal.token(code, begun.verifier, resource=RECORDS).json()
    second = portal.refresh(first["refresh_token"], resource=STAMPS).json()
    third = portal.refresh(second["refresh_token"]).json()
    assert first["access_token"].count(".") == 0
    assert second["access_token"].count(".") == 2
    assert "name" in portal.userinfo(third["access_token"]).json()


def test_pushed_resources_are_granted(rig: Rig, portal: Portal) -> None:
    begun = portal.begin_pushed(resource=[RECORDS, STAMPS])
    response = portal.token(portal.callback(begun)["code"], begun.verifier, resource=STAMPS)
    assert validated(rig, response.json()["access_token"], STAMPS)


@pytest.mark.parametrize(
    "order",
    [STAMPS, ELSEWHERE, "https://unknown.example/", [RECORDS, RECORDS], [RECORDS, STAMPS]],
)
def test_what_was_not_granted_is_not_sold_and_nothing_is_spent(rig: Rig, portal: Portal, order: Any) -> None:
    code, begun = portal.code(resource=[RECORDS, ELSEWHERE])
    with harmless(rig, ("token.refused", "invalid_target")):
        as_json(portal.token(code, begun.verifier, resource=order), 400, "invalid_target")
    tokens = portal.token(code, begun.verifier, resource=RECORDS).json()
    with harmless(rig, ("token.refused", "invalid_target")):
        as_json(portal.refresh(tokens["refresh_token"], resource=order), 400, "invalid_target")
    assert portal.refresh(tokens["refresh_token"], resource=RECORDS).status_code == 200


def test_a_server_that_was_switched_off_has_no_tokens_made_for_it(rig: Rig, portal: Portal) -> None:
    code, begun = portal.code(resource=RECORDS)
    rig.switch_portal("records", enabled=False)
    try:
        as_json(portal.token(code, begun.verifier, resource=RECORDS), 400, "invalid_target")
    finally:
        rig.switch_portal("records", enabled=True)
    assert portal.token(code, begun.verifier, resource=RECORDS).status_code == 200


def test_a_portal_without_resources_asks_for_none(rig: Rig) -> None:
    plain = rig.portal("gov24")
    begun = plain.begin(resource=RECORDS)
    to_portal(begun.response, plain.redirect_uri, "invalid_target", begun.state, rig.issuer)


def test_a_resource_server_alone_signs_nobody_in(rig: Rig, servers: dict[str, Portal]) -> None:
    server = servers[RECORDS]
    with harmless(rig, ("login.refused", "unauthorized_client")):
        begun = server.begin()
        to_portal(begun.response, server.redirect_uri, "unauthorized_client", begun.state, rig.issuer)
    with harmless(rig, ("request.refused", "unauthorized_client")):
        as_json(server.push(), 400, "unauthorized_client")
    with harmless(rig, ("token.refused", "grant_type")):
        as_json(server.token("x" * 43, "y" * 43), 400, "unauthorized_client")


# -- registering -------------------------------------------------------------------------------------------------


def test_a_resource_that_another_portal_serves_is_refused(rig: Rig, servers: dict[str, Portal]) -> None:
    last = rig.last_event()
    with pytest.raises(RegistrationError) as refused:
        rig.variant("apostille", "usurper", grant_types=[], serves_resources=[ELSEWHERE, RECORDS, STAMPS])
    assert refused.value.problems == [
        f"usurper: serves_resources: {RECORDS} is served by records",
        f"usurper: serves_resources: {STAMPS} is served by stamps",
    ]
    with rig.app.app_context():
        assert portals.find("usurper") is None
        assert portals.serving(ELSEWHERE) is None
    assert rig.events(after=last) == []


def test_two_portals_of_one_file_do_not_serve_the_same(rig: Rig) -> None:
    resource = "https://shared.example/"
    like = next(portal for portal in rig.prepared.portals() if portal["client_id"] == "apostille")
    entries = [{**like, "client_id": name, "serves_resources": [resource]} for name in ("one", "two")]
    with rig.app.app_context():
        with pytest.raises(RegistrationError) as refused:
            portal_admin.apply({"portal": entries}, now=rig.clock())
        assert refused.value.problems == [f"two: serves_resources: {resource} is served by one"]
        assert (portals.find("one"), portals.find("two")) == (None, None)


def test_a_server_may_be_registered_again_with_what_it_serves(rig: Rig, servers: dict[str, Portal]) -> None:
    changed = {name: f"https://{name}.example/" for name in ("policy_uri", "tos_uri")}
    assert records(rig, **changed).registration["serves_resources"] == [RECORDS]
    records(rig)


# -- what such a token is ----------------------------------------------------------------------------------------


def test_a_jwt_access_token_is_what_a_resource_server_expects(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal, STAMPS)
    claims = validated(rig, tokens["access_token"], STAMPS)
    id_token = portal.id_token_claims(tokens["id_token"])
    assert header_of(tokens["access_token"])["typ"] == "at+jwt"
    assert claims["client_id"] == portal.client_id
    assert claims["scope"] == tokens["scope"]
    assert claims["exp"] - claims["iat"] == tokens["expires_in"]
    assert (claims["auth_time"], claims["acr"]) == (id_token["auth_time"], id_token["acr"])
    # Nothing of the holder, and nothing that a browser or UserInfo would take for its own.
    assert set(claims) == {
        "iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "auth_time", "acr",
    }  # fmt: skip


def test_a_jwt_access_token_is_good_for_its_audience_and_its_time_alone(rig: Rig, portal: Portal) -> None:
    token = bought(portal, STAMPS)["access_token"]
    with pytest.raises(JoseError):
        validated(rig, token, RECORDS)
    with pytest.raises(JoseError):
        validated(rig, token[:-6] + "AAAAAA", STAMPS)
    rig.clock.forward(301)
    with pytest.raises(JoseError):
        validated(rig, token, STAMPS)


def test_an_id_token_is_no_access_token_for_a_server_that_looks_at_typ(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal, STAMPS)
    with pytest.raises(AssertionError):
        validated(rig, tokens["id_token"], STAMPS, ("ES256",))


def test_two_tokens_have_two_names(rig: Rig, portal: Portal) -> None:
    made = [validated(rig, bought(portal, STAMPS)["access_token"], STAMPS) for _ in range(2)]
    assert made[0]["jti"] != made[1]["jti"]
    assert made[0]["sub"] == made[1]["sub"]


def test_every_server_knows_a_person_by_a_name_of_its_own(
    rig: Rig, portal: Portal, servers: dict[str, Portal]
) -> None:
    other_portal = asking(rig, "apostille", "asking-too", sector_identifier="asking-too.example")
    subs = set()
    for asker in (portal, other_portal):
        tokens = bought(asker, STAMPS)
        subs.add(validated(rig, tokens["access_token"], STAMPS)["sub"])
        own = asker.id_token_claims(tokens["id_token"])["sub"]
        opaque = bought(asker, RECORDS)["access_token"]
        theirs = servers[RECORDS].post("/introspect", token=opaque).json()["sub"]
        assert len({own, theirs, *subs}) == 3
    assert len(subs) == 1  # one server knows one person as one


def test_neither_kind_opens_userinfo(rig: Rig, portal: Portal) -> None:
    for resource in (RECORDS, STAMPS):
        token = bought(portal, resource)["access_token"]
        with harmless(rig):
            response = portal.userinfo(token)
        assert response.status_code == 401
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_the_name_inside_a_token_is_no_token(rig: Rig, portal: Portal, servers: dict[str, Portal]) -> None:
    claims = validated(rig, bought(portal, STAMPS)["access_token"], STAMPS)
    assert servers[STAMPS].post("/introspect", token=claims["jti"]).json() == {"active": False}
    assert portal.userinfo(claims["jti"]).status_code == 401


def test_a_bound_token_says_so(rig: Rig) -> None:
    portal = asking(rig, "gov24", "asking-bound", dpop_bound_access_tokens=True)
    portal.prover = Prover()
    tokens = bought(portal, STAMPS)
    assert tokens["token_type"] == "DPoP"
    assert validated(rig, tokens["access_token"], STAMPS)["cnf"] == {"jkt": portal.prover.jkt}


def test_what_is_made_for_a_fapi2_portal_is_signed_as_its_profile_says(rig: Rig) -> None:
    """FAPI 2.0 Security Profile, section 5.4.1: PS256, ES256 or EdDSA, by whoever makes a JWT."""
    bank = asking(rig, "bank", "asking-bank")
    bank.prover = Prover()
    token = bought(bank, STAMPS)["access_token"]
    assert header_of(token)["alg"] in {"ES256", "PS256"}
    assert validated(rig, token, STAMPS, ("ES256", "PS256"))["cnf"] == {"jkt": bank.prover.jkt}


def test_a_jwt_that_was_revoked_is_known_to_whoever_asks(
    rig: Rig, portal: Portal, servers: dict[str, Portal]
) -> None:
    token = bought(portal, STAMPS)["access_token"]
    assert servers[STAMPS].post("/introspect", token=token).json()["active"] is True
    assert portal.post("/revoke", token=token).status_code == 200
    assert servers[STAMPS].post("/introspect", token=token).json() == {"active": False}
    assert int(time.time()) < validated(rig, token, STAMPS)["exp"]  # who does not ask cannot know
