"""Dynamic OP (`oidcc-dynamic-certification-test-plan`): a test named after every module of the plan that applies here.

The suite's clients register themselves without an invitation and send no PKCE; the deployment is set up for that.
Left out: oidcc-idtoken-unsigned (skipped where `none` is not advertised, as here).
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from idp.seal import b64, unb64
from tests.conformance.conftest import checked
from tests.harmless import as_json, page, to_portal
from tests.registering import Registered, Site, png, public, register, site
from tests.rig import Rig, started

CALLBACK = "https://suite.example/test/a/sinwon/callback"


@pytest.fixture(scope="module")
def suite() -> Iterator[Site]:
    """What the suite serves: key sets, sector documents, pictures."""
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, suite: Site) -> Iterator[Rig]:
    settings = {
        "registration.open": True,
        "registration.require_pkce": False,
        "registration.per_minute_per_ip": 10_000,
        "requests.by_reference": True,
    }
    with started(tmp_path_factory.mktemp("house"), settings, allow=[suite.origin]) as running:
        yield running


def client(rig: Rig, key: ECKey | RSAKey | None = None, **changes: Any) -> Registered:
    """A client as the suite registers one; the checks on the answer are those of every module."""
    members = {
        "client_name": "OIDF Conformance Test",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "contacts": ["certification@suite.example"],
        **changes,
    }
    response = register(rig, None, **members)
    assert response.status_code == 201, response.text
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json()
    assert answer["client_id"]
    assert ("client_secret" in answer) == ("client_secret_expires_at" in answer)
    assert answer["registration_client_uri"].startswith(rig.issuer)
    return Registered(rig, answer, key)


def begin(portal: Registered, **changes: Any) -> Any:
    return portal.begin(
        **{"scope": "openid", "code_challenge": None, "code_challenge_method": None, **changes}
    )


def flow(portal: Registered, **changes: Any) -> dict[str, Any]:
    """A whole sign-in without PKCE, as the suite's; the ID token's claims."""
    begun = begin(portal, **changes)
    callback = portal.callback(begun)
    response = portal.token(
        callback["code"], begun.verifier, code_verifier=None, redirect_uri=portal.redirect_uri
    )
    assert response.status_code == 200, response.text
    return {**portal.id_token_claims(response.json()["id_token"]), "_tokens": response.json()}


def test_oidcc_server(rig: Rig) -> None:
    assert flow(client(rig))["sub"]


def test_oidcc_ensure_request_with_valid_pkce_succeeds(rig: Rig) -> None:
    portal = client(rig)
    assert checked(portal, portal.begin(scope="openid"))["sub"]


@pytest.mark.parametrize("changes", [{}, {"id_token_signed_response_alg": "RS256"}])
def test_oidcc_idtoken_rs256(rig: Rig, changes: dict[str, Any]) -> None:
    tokens = flow(client(rig, **changes))["_tokens"]
    header = json.loads(unb64(tokens["id_token"].split(".")[0]))
    assert header["alg"] == "RS256"
    assert header["kid"]


def test_oidcc_ensure_redirect_uri_in_authorization_request(rig: Rig) -> None:
    portal = client(rig, redirect_uris=[CALLBACK, CALLBACK + "?dummy1=lorem"])
    page(begin(portal, redirect_uri=None).response, 400, "SINWON-R001")


def test_oidcc_redirect_uri_query_ok(rig: Rig) -> None:
    portal = client(rig, redirect_uris=[CALLBACK + "?dummy1=lorem&dummy2=ipsum"])
    portal.redirect_uri = CALLBACK + "?dummy1=lorem&dummy2=ipsum"
    begun = begin(portal)
    callback = portal.callback(begun)
    assert (callback["dummy1"], callback["dummy2"]) == ("lorem", "ipsum")
    assert portal.token(callback["code"], begun.verifier, code_verifier=None).status_code == 200


def test_oidcc_redirect_uri_query_mismatch(rig: Rig) -> None:
    portal = client(rig, redirect_uris=[CALLBACK + "?dummy1=lorem"])
    page(begin(portal, redirect_uri=CALLBACK + "?dummy1=ipsum").response, 400, "SINWON-R001")


def test_oidcc_redirect_uri_query_added(rig: Rig) -> None:
    portal = client(rig)
    page(begin(portal, redirect_uri=CALLBACK + "?dummy1=lorem").response, 400, "SINWON-R001")


def test_oidcc_redirect_uri_regfrag(rig: Rig) -> None:
    refused = register(rig, None, redirect_uris=[CALLBACK + "#fragment"])
    as_json(refused, 400, "invalid_redirect_uri")


def login_page(portal: Registered) -> httpx2.Response:
    return portal.browser.get(portal.absolute(begin(portal).location))


def test_oidcc_registration_logo_uri(rig: Rig, suite: Site) -> None:
    portal = client(rig, logo_uri=suite.publish("/logo.png", png()))
    shown = login_page(portal).text
    assert f'src="/portals/{portal.client_id}/logo.png?v=' in shown
    assert 'alt="OIDF Conformance Test 로고"' in shown


@pytest.mark.parametrize("member", ["policy_uri", "tos_uri"])
def test_oidcc_registration_policy_uri_and_tos_uri(rig: Rig, member: str) -> None:
    portal = client(rig, **{member: f"https://suite.example/{member}"})
    assert f'href="https://suite.example/{member}"' in login_page(portal).text


def test_oidcc_registration_jwks_uri(rig: Rig, suite: Site) -> None:
    key = ECKey.generate_key("P-256")
    where = suite.publish("/jwks", {"keys": [public(key)]})
    portal = client(rig, key, token_endpoint_auth_method="private_key_jwt", jwks_uri=where)
    assert portal.answer["jwks_uri"] == where
    assert flow(portal)["sub"]


def test_oidcc_registration_sector_uri(rig: Rig, suite: Site) -> None:
    where = suite.publish("/sector", [CALLBACK, "https://other.example/callback"])
    portal = client(rig, sector_identifier_uri=where, subject_type="pairwise")
    claims = flow(portal)
    assert claims["sub"] != flow(client(rig))["sub"]
    with rig.app.app_context():
        subject = next(e.subject_id for e in reversed(rig.events()) if e.subject_id)
        assert claims["sub"] == rig.house.subjects.pairwise(subject, str(urlsplit(where).hostname))


def test_oidcc_registration_sector_bad(rig: Rig, suite: Site) -> None:
    where = suite.publish("/sector", ["https://other.example/callback"])
    refused = register(
        rig, None, redirect_uris=[CALLBACK], sector_identifier_uri=where, subject_type="pairwise"
    )
    as_json(refused, 400, "invalid_client_metadata")


def test_oidcc_server_rotate_keys(rig: Rig) -> None:
    portal = client(rig)
    first = flow(portal)["_tokens"]["id_token"]
    with rig.app.app_context():
        rig.house.keys.rotate("RS256", at_once=True)
    second = flow(portal)["_tokens"]["id_token"]
    kids = [json.loads(unb64(token.split(".")[0]))["kid"] for token in (first, second)]
    published = {key["kid"] for key in rig.http.get(f"{rig.issuer}/jwks").json()["keys"]}
    assert kids[0] != kids[1]
    assert set(kids) <= published


def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(rig: Rig) -> None:
    key = ECKey.generate_key("P-256")
    portal = client(rig, key, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public(key)]})
    assert flow(portal)["sub"]  # the rig's assertions name the issuer as their audience


def refreshed(portal: Registered, refresh_token: str) -> httpx2.Response:
    credentials, authorization = portal.credentials()
    return portal.rig.http.post(
        f"{portal.rig.issuer}/token",
        data={"grant_type": "refresh_token", "refresh_token": refresh_token, **credentials},
        headers={"Authorization": authorization} if authorization else {},
    )


def test_oidcc_userinfo_rs256(rig: Rig) -> None:
    portal = client(rig, userinfo_signed_response_alg="RS256")
    claims = flow(portal, scope="openid profile")
    response = portal.userinfo(claims["_tokens"]["access_token"])
    assert response.headers["Content-Type"] == "application/jwt"
    keys = KeySet.import_key_set(rig.http.get(f"{rig.issuer}/jwks").json())
    said = jwt.decode(response.text, keys, algorithms=["RS256"]).claims
    assert (said["sub"], said["iss"], said["aud"]) == (claims["sub"], rig.issuer, portal.client_id)


def test_oidcc_refresh_token(rig: Rig) -> None:
    portal = client(rig, grant_types=["authorization_code", "refresh_token"])
    first = flow(portal)
    other = client(rig, grant_types=["authorization_code", "refresh_token"])
    as_json(refreshed(other, first["_tokens"]["refresh_token"]), 400, "invalid_grant")
    second = refreshed(portal, first["_tokens"]["refresh_token"])
    assert second.status_code == 200, second.text
    assert second.headers["Cache-Control"] == "no-store"
    assert second.json()["access_token"] != first["_tokens"]["access_token"]
    assert portal.userinfo(second.json()["access_token"]).json()["sub"] == first["sub"]


def test_oidcc_refresh_token_rp_key_rotation(rig: Rig, suite: Site) -> None:
    old, new = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    where = suite.publish("/rotating", {"keys": [public(old)]})
    portal = client(
        rig,
        old,
        token_endpoint_auth_method="private_key_jwt",
        jwks_uri=where,
        grant_types=["authorization_code", "refresh_token"],
    )
    tokens = flow(portal)["_tokens"]
    suite.publish("/rotating", {"keys": [public(new)]})
    portal.key = new
    rig.clock.forward(61)
    response = refreshed(portal, tokens["refresh_token"])
    assert response.status_code == 200, response.text


def request_object(portal: Registered, key: RSAKey | None, **changes: Any) -> str:
    """A request object, signed with RS256 or, without a key, not at all."""
    parameters, _ = portal.parameters(
        scope="openid", code_challenge=None, code_challenge_method=None, **changes
    )
    claims = {
        **parameters,
        "iss": portal.client_id,
        "aud": portal.rig.issuer,
        "exp": portal.rig.clock() + 300,
    }
    if key is not None:
        return jwt.encode({"alg": "RS256", "kid": key.thumbprint()}, claims, key, algorithms=["RS256"])
    return ".".join((b64(b'{"alg":"none"}'), b64(json.dumps(claims).encode()), ""))


def test_oidcc_request_uri_signed_rs256(rig: Rig, suite: Site) -> None:
    key = RSAKey.generate_key(2048)
    where = suite.origin + "/request.jwt"
    portal = client(
        rig, request_uris=[where], jwks={"keys": [public(key)]}, request_object_signing_alg="RS256"
    )
    suite.publish("/request.jwt", request_object(portal, key, state="from-the-object").encode())
    assert portal.callback(begin(portal, request_uri=where))["state"] == "from-the-object"


def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(
    rig: Rig, suite: Site
) -> None:
    where = suite.origin + "/unsigned.jwt"
    portal = client(rig, request_uris=[where])
    suite.publish("/unsigned.jwt", request_object(portal, None).encode())
    begun = begin(portal, request_uri=where)
    to_portal(begun.response, CALLBACK, "request_uri_not_supported", begun.state, rig.issuer)


def test_oidcc_ensure_request_object_with_redirect_uri(rig: Rig) -> None:
    key = RSAKey.generate_key(2048)
    portal = client(rig, jwks={"keys": [public(key)]}, redirect_uris=[CALLBACK, CALLBACK + "2"])
    signed = request_object(portal, key, redirect_uri=CALLBACK + "2")
    begun = begin(portal, request=signed, redirect_uri=CALLBACK)
    answered = portal.agree(portal.to_consent(begun))
    assert answered.headers["Location"].partition("?")[0] == CALLBACK + "2"


def test_oidcc_3rdparty_init_login(rig: Rig) -> None:
    portal = client(rig, initiate_login_uri="https://suite.example/test/a/sinwon/login")
    assert portal.answer["initiate_login_uri"] == "https://suite.example/test/a/sinwon/login"
    assert flow(portal)["sub"]


def test_oidcc_3rdparty_init_login_without_https(rig: Rig) -> None:
    refused = register(rig, None, initiate_login_uri="http://suite.example/test/a/sinwon/login")
    as_json(refused, 400, "invalid_client_metadata")
