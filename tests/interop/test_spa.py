"""A single-page application by the npm library `oidc-client-ts`: a public client without any secret."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.conftest import Peers
from tests.interop.test_openid_client import agree, cancel
from tests.rig import Begun, Portal, Rig

pytestmark = pytest.mark.node


@pytest.fixture
def application(rig: Rig) -> Portal:
    """A public client like gov24 that may refresh."""
    return rig.variant(
        "gov24",
        "spa",
        token_endpoint_auth_method="none",
        client_secret_sha256=None,
        grant_types=["authorization_code", "refresh_token"],
    )


def sign_in(
    rig: Rig, peers: Peers, application: Portal, go: Callable[[Portal, Begun], str] = agree
) -> dict[str, Any]:
    """What the library makes of a sign-in. `go` is the browser's way from /authorize to the callback."""
    registration = application.registration
    given = {
        "issuer": rig.issuer,
        "client_id": application.client_id,
        "redirect_uri": application.redirect_uri,
        "post_logout_redirect_uri": registration["post_logout_redirect_uris"][0],
        "scope": " ".join(registration["scopes"]),
    }
    with peers.conversation("spa.mjs") as talk:
        response = application.browser.get(talk.say(given)["authorization_url"])
        return dict(talk.say(go(application, Begun(response, None, None, ""))))


def test_oidc_client_ts_signs_a_holder_in(rig: Rig, peers: Peers, application: Portal) -> None:
    result = sign_in(rig, peers, application)
    assert "error" not in result, result
    assert result["profile"]["name"] == "홍길동"
    assert application.id_token_claims(result["id_token"])["sub"] == result["profile"]["sub"]


def test_oidc_client_ts_refreshes_and_revokes(rig: Rig, peers: Peers, application: Portal) -> None:
    result = sign_in(rig, peers, application)
    assert result["refreshed"] is True
    assert result["after_revocation"] == 401


def test_oidc_client_ts_signs_out(rig: Rig, peers: Peers, application: Portal) -> None:
    result = sign_in(rig, peers, application)
    signed_out = application.browser.get(result["end_session_url"])
    back = application.registration["post_logout_redirect_uris"][0]
    assert signed_out.headers["Location"].startswith(back)


def test_oidc_client_ts_hears_a_refusal(rig: Rig, peers: Peers, application: Portal) -> None:
    assert sign_in(rig, peers, application, cancel)["error"] == "access_denied"
