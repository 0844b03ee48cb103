"""A portal by Authlib's own client, the parts that its web framework integrations share: discovery to sign-out.

Our token endpoint rests on Authlib's server side; its client was written apart from that, and reads tokens itself.
"""

import asyncio
import time
from typing import Any

import pytest
from authlib.integrations.base_client import BaseApp, OAuthError
from authlib.integrations.base_client.async_app import AsyncOAuth2Mixin
from authlib.integrations.base_client.async_openid import AsyncOpenIDMixin
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.errors import InvalidClaimError
from joserfc.jwk import ECKey

from idp.demo.seeds import signing_jwk
from tests.interop.talking import private_jwk
from tests.rig import Begun, Portal, Rig, callback_parameters


class AuthlibPortal(AsyncOAuth2Mixin, AsyncOpenIDMixin, BaseApp):  # type: ignore[misc]
    """The library's application class, without a web framework around it."""

    client_cls = AsyncOAuth2Client


def library(rig: Rig, client_id: str) -> AuthlibPortal:
    """A registered portal whose every word to the provider is the library's."""
    registration = rig.portal(client_id).registration
    method = registration["token_endpoint_auth_method"]
    credentials: dict[str, Any] = {}
    if method == "private_key_jwt":
        key = rig.prepared.portal_key(client_id)
        credentials["client_secret"] = ECKey.import_key(private_jwk(key))
        kid = signing_jwk(key.public_key())["kid"]
        credentials["client_auth_methods"] = [
            PrivateKeyJWT(
                token_endpoint=f"{rig.issuer}/token",
                headers={"kid": kid},
                alg="ES256",
                # The library's own hour is longer than the provider lets an assertion live.
                claims={"exp": int(time.time()) + 300},
            )
        ]
    else:
        credentials["client_secret"] = rig.prepared.portal_secret(client_id)
    return AuthlibPortal(
        None,
        name="sinwon",
        client_id=client_id,
        server_metadata_url=f"{rig.issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": " ".join(registration["scopes"]),
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": method,
            "trust_env": False,
        },
        **credentials,
    )


async def redeem(app: AuthlibPortal, driver: Portal, persona: str = "hong") -> dict[str, Any]:
    """What the library makes of a whole sign-in."""
    asked = await app.create_authorization_url(driver.redirect_uri)
    begun = Begun(driver.browser.get(asked["url"]), asked["state"], asked["nonce"], asked["code_verifier"])
    answer = callback_parameters(driver.agree(driver.to_consent(begun, persona)))
    assert answer["state"] == asked["state"]
    token = await app.fetch_access_token(
        redirect_uri=driver.redirect_uri, code=answer["code"], code_verifier=asked["code_verifier"]
    )
    return {"token": token, "asked": asked, "code": answer["code"]}


@pytest.mark.parametrize(
    ("client_id", "method"),
    [("gov24", "client_secret_basic"), ("apostille", "client_secret_post"), ("efamily", "private_key_jwt")],
)
def test_authlib_signs_a_holder_in(rig: Rig, client_id: str, method: str) -> None:
    driver = rig.portal(client_id)
    assert driver.registration["token_endpoint_auth_method"] == method

    async def conversation() -> tuple[dict[str, Any], dict[str, Any]]:
        app = library(rig, client_id)
        got = await redeem(app, driver)
        claims = await app.parse_id_token(got["token"], nonce=got["asked"]["nonce"])
        return dict(claims), dict(await app.userinfo(token=got["token"]))

    claims, userinfo = asyncio.run(conversation())
    assert claims["iss"] == rig.issuer
    assert claims["aud"] == client_id
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["name"] == "홍길동"


def test_authlib_finds_another_nonce_refused(rig: Rig) -> None:
    async def conversation() -> None:
        app = library(rig, "gov24")
        got = await redeem(app, rig.portal("gov24"))
        await app.parse_id_token(got["token"], nonce="another")

    with pytest.raises(InvalidClaimError):
        asyncio.run(conversation())


def test_authlib_hears_that_a_code_was_used(rig: Rig) -> None:
    driver = rig.portal("gov24")

    async def conversation() -> None:
        app = library(rig, "gov24")
        got = await redeem(app, driver)
        verifier = got["asked"]["code_verifier"]
        await app.fetch_access_token(
            redirect_uri=driver.redirect_uri, code=got["code"], code_verifier=verifier
        )

    with pytest.raises(OAuthError) as refused:
        asyncio.run(conversation())
    assert refused.value.error == "invalid_grant"


def test_authlib_hears_of_a_verifier_that_does_not_fit(rig: Rig) -> None:
    driver = rig.portal("gov24")

    async def conversation() -> None:
        app = library(rig, "gov24")
        asked = await app.create_authorization_url(driver.redirect_uri)
        begun = Begun(driver.browser.get(asked["url"]), asked["state"], asked["nonce"], "")
        code = callback_parameters(driver.agree(driver.to_consent(begun)))["code"]
        await app.fetch_access_token(redirect_uri=driver.redirect_uri, code=code, code_verifier="x" * 43)

    with pytest.raises(OAuthError) as refused:
        asyncio.run(conversation())
    assert refused.value.error == "invalid_grant"


def test_authlib_signs_out(rig: Rig) -> None:
    driver = rig.portal("gov24")
    back = driver.registration["post_logout_redirect_uris"][0]

    async def conversation() -> dict[str, str]:
        app = library(rig, "gov24")
        got = await redeem(app, driver)
        hint = got["token"]["id_token"]
        return dict(await app.create_logout_url(post_logout_redirect_uri=back, id_token_hint=hint))

    asked = asyncio.run(conversation())
    signed_out = driver.browser.get(asked["url"])
    assert signed_out.headers["Location"] == f"{back}?state={asked['state']}"
