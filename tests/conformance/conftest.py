"""The suite's own way: a provider, clients, and what every flow checks."""

import re
from typing import Any

import pytest

from tests.rig import Begun, Portal, Rig, callback_parameters

_TEXT = re.compile(r"[\x20-\x7e]+\Z")


@pytest.fixture(autouse=True)
def _time_goes_back(request: pytest.FixtureRequest) -> Any:
    yield
    if "rig" in request.fixturenames:
        request.getfixturevalue("rig").clock.offset_s = 0


@pytest.fixture
def portal(rig: Rig) -> Portal:
    """A client with a browser of its own."""
    return rig.portal("gov24")


def checked(portal: Portal, begun: Begun, persona: str = "hong") -> dict[str, Any]:
    """Complete a flow and check what the suite checks in every one; the ID token's claims, tokens under `_tokens`."""
    callback = portal.callback(begun, persona)
    assert set(callback) <= {"code", "state", "iss"}
    assert callback.get("state") == begun.state
    assert callback["iss"] == portal.rig.issuer
    assert len(callback["code"]) >= 22
    tokens = portal.token(callback["code"], begun.verifier).json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] > 0
    assert _TEXT.match(tokens["access_token"])
    claims = portal.id_token_claims(tokens["id_token"])
    now = portal.rig.clock()
    assert claims["iss"] == portal.rig.issuer
    assert claims["aud"] == portal.client_id
    assert claims["exp"] > now >= claims["iat"] - 1
    assert claims.get("nonce") == begun.nonce
    assert 0 < len(claims["sub"]) <= 255
    assert claims["sub"].isascii()
    assert "name" not in claims or "id_token" in str(begun.response.request.url)
    return {**claims, "_tokens": tokens}


def silent(portal: Portal, **changes: Any) -> dict[str, str]:
    """What prompt=none answers at once."""
    return callback_parameters(portal.begin(prompt="none", **changes).response)
