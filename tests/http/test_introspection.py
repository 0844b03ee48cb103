"""Introspection (RFC 7662), and its answer as a JWT (RFC 9701): told to those whom a token concerns."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from sqlalchemy import select

from idp import seal
from idp.models import Grant, RefreshToken, SignedIn, db
from tests.harmless import as_json, decent, harmless
from tests.http.resource_servers import RECORDS, STAMPS, asking, header_of, records, stamps
from tests.proving import Prover
from tests.registering import NO_KEYS
from tests.rig import Portal, Rig

MEDIA_TYPE = "application/token-introspection+jwt"
INACTIVE = {"active": False}


@pytest.fixture(scope="module")
def server(rig: Rig) -> Portal:
    stamps(rig)
    return records(rig)


@pytest.fixture(scope="module")
def portal(rig: Rig, server: Portal) -> Portal:
    return asking(rig)


@pytest.fixture(scope="module")
def stranger(rig: Rig) -> Portal:
    return rig.portal("efamily")


def bought(portal: Portal, resource: str | None = None) -> dict[str, Any]:
    code, begun = portal.code(resource=resource)
    response = portal.token(code, begun.verifier, resource=resource)
    assert response.status_code == 200, response.text
    return dict(response.json())


def asked(asker: Portal, token: str | None, **form: Any) -> dict[str, Any]:
    response = decent(asker.post("/introspect", token=token, **form))
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return dict(response.json())


def signed(asker: Portal, token: str, accept: str = MEDIA_TYPE) -> httpx2.Response:
    asker.headers = {"Accept": accept}
    try:
        return decent(asker.post("/introspect", token=token))
    finally:
        asker.headers = {}


def verified(rig: Rig, text: str, alg: str = "ES256") -> dict[str, Any]:
    keys = KeySet.import_key_set(rig.http.get(f"{rig.issuer}/jwks").json())
    assert header_of(text)["typ"] == "token-introspection+jwt"
    return dict(jwt.decode(text, keys, algorithms=[alg]).claims)


# -- who hears what ----------------------------------------------------------------------------------------------


def test_a_portal_hears_of_its_own_token(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    claims = portal.id_token_claims(tokens["id_token"])
    with harmless(rig, ("token.introspected", "active")):
        said = asked(portal, tokens["access_token"])
    assert said == {
        "active": True,
        "iss": rig.issuer,
        "client_id": portal.client_id,
        "sub": claims["sub"],
        "aud": rig.issuer,
        "scope": tokens["scope"],
        "iat": said["iat"],
        "exp": said["iat"] + 300,
        "auth_time": claims["auth_time"],
        "acr": claims["acr"],
        "token_type": "Bearer",
    }


def session_ends_at(rig: Rig, refresh_token: str) -> int:
    """When the session ends that this was bought in."""
    bought_in = (
        select(SignedIn.ends_at)
        .join(Grant, Grant.session_id == SignedIn.id)
        .join(RefreshToken, RefreshToken.code_digest == Grant.code_digest)
        .where(RefreshToken.digest == seal.digest(refresh_token))
    )
    with rig.app.app_context():
        return db.session.scalars(bought_in).one()


def test_a_portal_hears_of_its_refresh_token_until_it_is_used(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    said = asked(portal, tokens["refresh_token"], token_type_hint="access_token")  # a wrong hint is no matter
    assert said["active"] is True
    assert said["client_id"] == portal.client_id
    assert said["sub"] == portal.id_token_claims(tokens["id_token"])["sub"]
    assert said["exp"] == session_ends_at(rig, tokens["refresh_token"])
    assert "token_type" not in said
    fresh = portal.refresh(tokens["refresh_token"]).json()
    assert asked(portal, tokens["refresh_token"]) == INACTIVE
    assert asked(portal, fresh["refresh_token"])["active"] is True


def test_a_resource_server_hears_of_the_tokens_for_it_and_of_no_others(
    portal: Portal, server: Portal
) -> None:
    tokens = bought(portal, RECORDS)
    said = asked(server, tokens["access_token"])
    assert (said["active"], said["aud"], said["client_id"]) == (True, RECORDS, portal.client_id)
    for other in (
        bought(portal, STAMPS)["access_token"],
        bought(portal)["access_token"],
        tokens["refresh_token"],
    ):
        assert asked(server, other) == INACTIVE


def test_a_portal_does_not_learn_by_what_name_a_server_knows_the_holder(
    portal: Portal, server: Portal
) -> None:
    tokens = bought(portal, RECORDS)
    own = portal.id_token_claims(tokens["id_token"])["sub"]
    assert asked(portal, tokens["access_token"])["sub"] == own
    assert asked(server, tokens["access_token"])["sub"] != own


def test_a_stranger_hears_nothing_but_that_it_is_not_active(
    rig: Rig, portal: Portal, stranger: Portal
) -> None:
    tokens = bought(portal, RECORDS)
    for name in ("access_token", "refresh_token", "id_token"):
        with harmless(rig, ("token.introspected", "inactive")):
            assert asked(stranger, tokens[name]) == INACTIVE


def test_no_claim_of_the_holder_is_in_it(portal: Portal, server: Portal) -> None:
    for resource, asker in ((None, portal), (RECORDS, server)):
        said = asked(asker, bought(portal, resource)["access_token"])
        assert not {"name", "birthdate", "username", "kr_overseas_registration_number"} & set(said)


def test_a_bound_token_is_told_with_its_key(rig: Rig, server: Portal) -> None:
    bound = asking(rig, "gov24", "asking-with-key")
    bound.prover = Prover()
    said = asked(server, bought(bound, RECORDS)["access_token"])
    assert said["token_type"] == "DPoP"
    assert said["cnf"] == {"jkt": bound.prover.jkt}


# -- what is not active ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["x", "x" * 43, "x" * 10_000, "토큰\0", "a.b.c", "'--", "🗝" * 50])
def test_what_nobody_gave_out_is_not_active(rig: Rig, portal: Portal, token: str) -> None:
    with harmless(rig, ("token.introspected", "inactive")):
        assert asked(portal, token) == INACTIVE


def test_what_expired_is_not_active(rig: Rig, portal: Portal) -> None:
    tokens = bought(portal)
    rig.clock.forward(301)
    assert asked(portal, tokens["access_token"]) == INACTIVE
    rig.clock.forward(8 * 3600)
    assert asked(portal, tokens["refresh_token"]) == INACTIVE


def test_what_was_revoked_is_not_active(portal: Portal) -> None:
    tokens = bought(portal)
    portal.post("/revoke", token=tokens["access_token"])
    assert asked(portal, tokens["access_token"]) == INACTIVE
    assert asked(portal, tokens["refresh_token"])["active"] is True
    portal.post("/revoke", token=tokens["refresh_token"])
    assert asked(portal, tokens["refresh_token"]) == INACTIVE


def test_after_the_end_of_the_session_nothing_is_active(rig: Rig, portal: Portal, server: Portal) -> None:
    asker = asking(rig, client_id="asking-and-leaving")
    tokens = bought(asker, RECORDS)
    asker.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": tokens["id_token"]})
    assert asked(server, tokens["access_token"]) == INACTIVE
    assert asked(asker, tokens["refresh_token"]) == INACTIVE


def test_tokens_of_a_portal_that_was_switched_off_are_not_active(rig: Rig, server: Portal) -> None:
    asker = asking(rig, client_id="asking-and-gone")
    tokens = bought(asker, RECORDS)
    rig.switch_portal("asking-and-gone", enabled=False)
    assert asked(server, tokens["access_token"]) == INACTIVE


# -- who may ask -------------------------------------------------------------------------------------------------


def test_who_does_not_prove_itself_is_told_nothing(rig: Rig, portal: Portal) -> None:
    token = bought(portal)["access_token"]
    with harmless(rig, ("client.refused", "wrong_secret"), ("client.refused", "no_credentials")):
        wrong = ("Authorization", "Basic YXNraW5nOndyb25n")  # asking:wrong
        refused = rig.http.post(f"{rig.issuer}/introspect", data={"token": token}, headers=[wrong])
        as_json(refused, 401, "invalid_client")
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        named = rig.http.post(f"{rig.issuer}/introspect", data={"token": token, "client_id": "asking"})
        as_json(named, 401, "invalid_client")


def test_a_public_client_may_not_ask(rig: Rig) -> None:
    public = rig.variant(
        "gov24", "public-asker", token_endpoint_auth_method="none", client_secret_sha256=None
    )
    token = public.sign_in()["access_token"]
    with harmless(rig, ("client.refused", "no_credentials")):
        as_json(public.post("/introspect", token=token), 401, "invalid_client")
    document = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert "none" not in document["introspection_endpoint_auth_methods_supported"]


@pytest.mark.parametrize("form", [{"token": ""}, {"token_type_hint": "access_token"}])
def test_a_question_without_a_token_is_refused(rig: Rig, portal: Portal, form: dict[str, Any]) -> None:
    with harmless(rig, ("request.refused", "invalid_request")):
        as_json(portal.post("/introspect", **form), 400, "invalid_request")


@pytest.mark.parametrize("form", [{}, {"token": ["a", "b"]}])
def test_what_is_no_form_of_ours_is_refused_before_anybody_proves_itself(
    rig: Rig, portal: Portal, form: dict[str, Any]
) -> None:
    with harmless(rig, ("request.refused", "invalid_request")):
        as_json(portal.post("/introspect", **form), 400, "invalid_request")


def test_a_token_in_the_query_is_refused(rig: Rig, portal: Portal) -> None:
    with harmless(rig, ("request.refused", "invalid_request")):
        as_json(portal.post("/introspect?token=x", token="y"), 400, "invalid_request")
        assert rig.http.get(f"{rig.issuer}/introspect", params={"token": "x"}).status_code == 405


# -- as a JWT ----------------------------------------------------------------------------------------------------


def test_who_asks_for_a_jwt_gets_the_same_signed(rig: Rig, portal: Portal, server: Portal) -> None:
    token = bought(portal, RECORDS)["access_token"]
    response = signed(server, token)
    assert response.headers["Content-Type"] == MEDIA_TYPE
    claims = verified(rig, response.text)
    assert claims["token_introspection"] == asked(server, token)
    assert (claims["iss"], claims["aud"]) == (rig.issuer, server.client_id)
    assert abs(claims["iat"] - rig.clock()) < 10
    # RFC 9701, section 5: nothing by which it could be taken for an access token or an ID token.
    assert set(claims) == {"iss", "aud", "iat", "token_introspection"}


def test_also_what_is_not_active_is_signed(rig: Rig, server: Portal) -> None:
    claims = verified(rig, signed(server, "x" * 43).text)
    assert claims["token_introspection"] == INACTIVE


@pytest.mark.parametrize(
    ("accept", "is_jwt"),
    [
        (MEDIA_TYPE, True),
        (f"{MEDIA_TYPE}, application/json;q=0.5", True),
        (f"application/json;q=0.9, {MEDIA_TYPE};q=0.1", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("text/html", False),
    ],
)
def test_json_unless_a_jwt_is_asked_for(server: Portal, accept: str, is_jwt: bool) -> None:
    assert (signed(server, "x", accept).headers["Content-Type"] == MEDIA_TYPE) is is_jwt


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_it_is_signed_with_what_the_server_registered(rig: Rig, alg: str) -> None:
    with rig.app.app_context():
        rig.house.keys.ensure([alg])
    asker = rig.variant("apostille", f"signing-{alg}", introspection_signed_response_alg=alg)
    text = signed(asker, "x").text
    assert header_of(text)["alg"] == alg
    assert verified(rig, text, alg)["aud"] == asker.client_id


@pytest.mark.parametrize(
    ("alg", "enc", "key"),
    [
        ("ECDH-ES", "A256GCM", ECKey.generate_key("P-256", {"kid": "e", "use": "enc"})),
        ("RSA-OAEP-256", None, RSAKey.generate_key(2048, {"kid": "r", "use": "enc"})),
    ],
)
def test_it_is_encrypted_to_who_registered_that(
    rig: Rig, alg: str, enc: str | None, key: ECKey | RSAKey
) -> None:
    asker = rig.variant(
        "apostille",
        f"secretive-{key.kid}",
        jwks={"keys": [key.as_dict(private=False)]},
        introspection_encrypted_response_alg=alg,
        introspection_encrypted_response_enc=enc,
    )
    response = signed(asker, "x")
    assert response.headers["Content-Type"] == MEDIA_TYPE
    enc = enc or "A128CBC-HS256"
    header = header_of(response.text)
    assert {name: header[name] for name in ("alg", "enc", "cty", "kid")} == {
        "alg": alg, "enc": enc, "cty": "JWT", "kid": key.kid,
    }  # fmt: skip
    opened = jwe.decrypt_compact(response.text, key, algorithms=[alg, enc]).plaintext
    assert verified(rig, (opened or b"").decode())["token_introspection"] == INACTIVE


def test_without_a_key_to_encrypt_to_nothing_is_said_in_clear(rig: Rig) -> None:
    asker = rig.variant(
        "apostille",
        "without-key",
        jwks={"keys": [NO_KEYS["ECDH-ES"]]},
        introspection_encrypted_response_alg="ECDH-ES",
    )
    asker.headers = {"Accept": MEDIA_TYPE}
    response = asker.post("/introspect", token="x")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert set(response.json()) == {"error", "correlation_id"}
    assert response.json()["error"] == "temporarily_unavailable"
