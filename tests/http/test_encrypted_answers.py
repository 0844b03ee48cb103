"""ID tokens and UserInfo as a portal registered them: signed, and encrypted on top of it (Core 2, 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from idp.oidc.id_token import at_hash
from tests.harmless import decent, harmless
from tests.http.resource_servers import header_of
from tests.oidc.portal_side import PortalSite
from tests.registering import NO_KEYS
from tests.rig import Portal, Rig, started

SIGNING = ("ES256", "RS256", "PS256")
DecryptingKey = ECKey | RSAKey | OKPKey
KEYS: dict[str, DecryptingKey] = {
    "ECDH-ES": ECKey.generate_key("P-256", {"kid": "enc-p256", "use": "enc"}),
    "ECDH-ES+A256KW": OKPKey.generate_key("X25519", {"kid": "enc-x25519", "use": "enc"}),
    "RSA-OAEP-256": RSAKey.generate_key(2048, {"kid": "enc-rsa", "use": "enc"}),
}
ENCODINGS = ("A256GCM", "A128GCM", "A128CBC-HS256", "A256CBC-HS512", None)


@pytest.fixture(scope="module")
def site() -> Iterator[PortalSite]:
    with PortalSite() as made:
        yield made


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, site: PortalSite) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house"), allow=[site.origin]) as running:
        with running.app.app_context():
            running.house.keys.ensure(SIGNING)
        yield running


def registered(rig: Rig, client_id: str, **changes: Any) -> Portal:
    keys = {"keys": [key.as_dict(private=False) for key in KEYS.values()]}
    return rig.variant("gov24", client_id, **{"jwks": keys, **changes})


def opened(token: str, alg: str, enc: str | None) -> str:
    """The signed JWT inside a JWE, decrypted with the portal's key."""
    header = header_of(token)
    key = KEYS[alg]
    assert token.count(".") == 4
    assert (header["alg"], header["enc"]) == (alg, enc or "A128CBC-HS256")
    assert (header["cty"], header["kid"]) == ("JWT", key.kid)
    found = jwe.decrypt_compact(token, key, algorithms=[alg, header["enc"]])
    return (found.plaintext or b"").decode()


def verified(rig: Rig, token: str, alg: str) -> dict[str, Any]:
    """The claims of a JWT that one published key of ours signed with this algorithm."""
    jwks = rig.http.get(f"{rig.issuer}/jwks").json()
    header = header_of(token)
    assert header["alg"] == alg
    (named,) = [key for key in jwks["keys"] if key["kid"] == header["kid"]]
    assert named["alg"] == alg
    return dict(jwt.decode(token, KeySet.import_key_set({"keys": [named]}), algorithms=[alg]).claims)


def checked_id_token(portal: Portal, claims: dict[str, Any], tokens: dict[str, Any]) -> None:
    assert (claims["iss"], claims["aud"]) == (portal.rig.issuer, portal.client_id)
    assert claims["at_hash"] == at_hash(tokens["access_token"])
    assert claims["name"] == "홍길동"


def as_jwt(response: httpx2.Response) -> str:
    assert decent(response).status_code == 200
    assert response.headers["Content-Type"] == "application/jwt"
    return response.text


def asked(portal: Portal) -> dict[str, Any]:
    return portal.sign_in(claims='{"id_token":{"name":null}}')


# -- signed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", SIGNING)
def test_an_id_token_is_signed_as_registered(rig: Rig, alg: str) -> None:
    portal = registered(rig, f"id-{alg}", id_token_signed_response_alg=alg)
    tokens = asked(portal)
    checked_id_token(portal, verified(rig, tokens["id_token"], alg), tokens)


@pytest.mark.parametrize("alg", SIGNING)
def test_userinfo_is_signed_as_registered(rig: Rig, alg: str) -> None:
    portal = registered(rig, f"userinfo-{alg}", userinfo_signed_response_alg=alg)
    tokens = asked(portal)
    claims = verified(rig, as_jwt(portal.userinfo(tokens["access_token"])), alg)
    assert (claims["iss"], claims["aud"]) == (rig.issuer, portal.client_id)
    assert claims["sub"] == portal.id_token_claims(tokens["id_token"])["sub"]
    assert claims["name"] == "홍길동"
    assert not {"nonce", "at_hash", "sid", "events"} & set(claims)


def test_the_two_are_registered_apart(rig: Rig) -> None:
    portal = registered(
        rig, "apart", id_token_signed_response_alg="RS256", userinfo_signed_response_alg="ES256"
    )
    tokens = asked(portal)
    assert header_of(tokens["id_token"])["alg"] == "RS256"
    assert header_of(as_jwt(portal.userinfo(tokens["access_token"])))["alg"] == "ES256"


def test_without_a_registration_userinfo_is_json(rig: Rig) -> None:
    portal = rig.portal("gov24")
    response = portal.userinfo(portal.sign_in()["access_token"])
    assert response.headers["Content-Type"] == "application/json"


# -- encrypted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signing", SIGNING)
@pytest.mark.parametrize("alg", KEYS)
def test_an_id_token_is_signed_and_then_encrypted(rig: Rig, alg: str, signing: str) -> None:
    portal = registered(
        rig,
        f"id-{KEYS[alg].kid}-{signing}",
        jwks={"keys": [KEYS[alg].as_dict(private=False)]},
        id_token_signed_response_alg=signing,
        id_token_encrypted_response_alg=alg,
        id_token_encrypted_response_enc="A256GCM",
    )
    tokens = asked(portal)
    inside = opened(tokens["id_token"], alg, "A256GCM")
    checked_id_token(portal, verified(rig, inside, signing), tokens)


@pytest.mark.parametrize("signing", SIGNING)
@pytest.mark.parametrize("alg", KEYS)
def test_userinfo_is_signed_and_then_encrypted(rig: Rig, alg: str, signing: str) -> None:
    portal = registered(
        rig,
        f"userinfo-{KEYS[alg].kid}-{signing}",
        jwks={"keys": [KEYS[alg].as_dict(private=False)]},
        userinfo_signed_response_alg=signing,
        userinfo_encrypted_response_alg=alg,
    )
    response = as_jwt(portal.userinfo(asked(portal)["access_token"]))
    assert verified(rig, opened(response, alg, None), signing)["name"] == "홍길동"


@pytest.mark.parametrize("enc", ENCODINGS)
def test_the_content_is_encrypted_as_registered(rig: Rig, enc: str | None) -> None:
    portal = registered(
        rig,
        f"enc-{enc}",
        id_token_encrypted_response_alg="ECDH-ES",
        id_token_encrypted_response_enc=enc,
        userinfo_signed_response_alg="ES256",
        userinfo_encrypted_response_alg="ECDH-ES",
        userinfo_encrypted_response_enc=enc,
    )
    tokens = asked(portal)
    checked_id_token(portal, verified(rig, opened(tokens["id_token"], "ECDH-ES", enc), "ES256"), tokens)
    response = as_jwt(portal.userinfo(tokens["access_token"]))
    assert verified(rig, opened(response, "ECDH-ES", enc), "ES256")["name"] == "홍길동"


def test_a_refreshed_id_token_is_encrypted_too(rig: Rig) -> None:
    portal = registered(
        rig,
        "refreshing",
        grant_types=["authorization_code", "refresh_token"],
        id_token_encrypted_response_alg="RSA-OAEP-256",
    )
    tokens = asked(portal)
    fresh = portal.refresh(tokens["refresh_token"]).json()
    claims = verified(rig, opened(fresh["id_token"], "RSA-OAEP-256", None), "ES256")
    checked_id_token(portal, claims, fresh)
    assert "nonce" not in claims


# -- where the key is --------------------------------------------------------------------------------------------


def test_it_is_encrypted_to_the_key_that_the_portal_publishes_now(rig: Rig, site: PortalSite) -> None:
    first, second = (ECKey.generate_key("P-256", {"kid": kid, "use": "enc"}) for kid in ("one", "two"))
    site.publish(first)
    portal = registered(
        rig, "publishing", jwks=None, jwks_uri=site.jwks_uri, id_token_encrypted_response_alg="ECDH-ES"
    )
    assert header_of(asked(portal)["id_token"])["kid"] == "one"
    site.publish(second)
    rig.clock.forward(301)
    token = asked(portal)["id_token"]
    assert header_of(token)["kid"] == "two"
    assert jwe.decrypt_compact(token, second, algorithms=["ECDH-ES", "A128CBC-HS256"]).plaintext


def test_without_a_key_to_encrypt_to_nothing_is_sent_in_clear_and_the_code_is_kept(rig: Rig) -> None:
    portal = registered(
        rig, "lacking", jwks={"keys": [NO_KEYS["ECDH-ES"]]}, id_token_encrypted_response_alg="ECDH-ES"
    )
    code, begun = portal.code()
    with harmless(rig, ("token.refused", "no_encryption_key")):
        response = portal.token(code, begun.verifier)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert set(response.json()) == {"error", "correlation_id"}
    assert response.json()["error"] == "temporarily_unavailable"
    registered(rig, "lacking", id_token_encrypted_response_alg="ECDH-ES")
    assert opened(portal.token(code, begun.verifier).json()["id_token"], "ECDH-ES", None)


def test_without_a_key_to_encrypt_to_userinfo_says_nothing(rig: Rig) -> None:
    portal = registered(
        rig, "silent", jwks={"keys": [NO_KEYS["ECDH-ES"]]}, userinfo_encrypted_response_alg="ECDH-ES"
    )
    token = asked(portal)["access_token"]
    with harmless(rig):  # nothing was read, and nothing says so
        response = portal.userinfo(token)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert set(response.json()) == {"error", "correlation_id"}
    assert response.json()["error"] == "temporarily_unavailable"
