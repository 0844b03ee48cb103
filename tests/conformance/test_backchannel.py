"""Back-Channel Logout OP (`oidcc-backchannel-...`): a test named after every module of the plan."""

from collections.abc import Iterator

import pytest

from idp.worker import WorkerThread
from tests.conformance.conftest import checked, silent
from tests.ears import Ear, claims_of, header_of, listening
from tests.rig import Portal, Rig
from tests.waiting import eventually

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
WAITS_S = 5  # the suite waits longer


@pytest.fixture
def ear(rig: Rig) -> Iterator[Ear]:
    with listening(rig) as ear:
        rig.apply_portal("gov24", backchannel_logout_uri=ear.uri("gov24"))
        yield ear


@pytest.fixture
def worker(rig: Rig, ear: Ear) -> Iterator[None]:
    """The worker, as the serving process runs it on SQLite."""
    thread = WorkerThread(rig.app)
    thread.start()
    yield
    thread.stop()


def test_oidcc_backchannel_logout_discovery_endpoint_verification(rig: Rig) -> None:
    document = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    assert document["end_session_endpoint"] == f"{rig.issuer}/logout"


def test_oidcc_backchannel_rp_initiated_logout(rig: Rig, portal: Portal, ear: Ear, worker: None) -> None:
    id_token = checked(portal, portal.begin())
    home = portal.registration["post_logout_redirect_uris"][0]
    response = portal.browser.get(
        f"{rig.issuer}/logout",
        params={
            "id_token_hint": id_token["_tokens"]["id_token"],
            "post_logout_redirect_uri": home,
            "state": "abc",
        },
    )
    assert response.headers["Location"] == f"{home}?state=abc"
    eventually(lambda: bool(ear.told), WAITS_S)
    (told,) = ear.told
    assert set(told.form) == {"logout_token"}
    assert header_of(told.token)["alg"] == "ES256"
    claims = claims_of(rig, told.token)
    assert claims["iss"] == rig.issuer
    assert claims["aud"] == "gov24"
    assert abs(claims["iat"] - rig.clock()) < 300
    assert claims["jti"]
    assert claims["events"] == {LOGOUT_EVENT: {}}
    assert "nonce" not in claims
    assert (claims["sub"], claims["sid"]) == (id_token["sub"], id_token["sid"])
    assert silent(portal)["error"] == "login_required"
