"""A counter by the npm library `openid-client`: it asks for a code, a holder confirms on a phone, it collects."""

from collections.abc import Iterator
from typing import Any

import pytest

from idp.demo import check
from idp.demo.seeds import signing_jwk
from tests.interop.conftest import Peers
from tests.interop.talking import Conversation, private_jwk
from tests.rig import Rig, started

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A provider that lets devices ask every second."""
    with started(tmp_path_factory.mktemp("house"), {"lifetimes.device_interval_s": 1}) as running:
        yield running


@pytest.fixture
def counter(rig: Rig, peers: Peers) -> Iterator[Conversation]:
    with peers.conversation("device.mjs") as talk:
        yield talk


def begin(rig: Rig, counter: Conversation) -> dict[str, Any]:
    """The device authorization response, as the library read it."""
    registration = next(item for item in rig.prepared.portals() if item["client_id"] == "counter")
    key = rig.prepared.portal_key("counter")
    given = {
        "issuer": rig.issuer,
        "client_id": "counter",
        "key": {**signing_jwk(key.public_key()), **private_jwk(key)},
        "scope": " ".join(registration["scopes"]),
    }
    return dict(counter.say(given))


def decide(code: dict[str, Any], decision: str) -> None:
    """A holder opens the link of the QR code on a phone; who confirms shows a credential and agrees."""
    with check.Browser("en") as phone:
        page = phone.open(code["verification_uri_complete"], "code on the phone")
        page = phone.submit(page, "decide", "deciding", decision=decision)
        if decision != "confirm":
            return
        page = phone.follow(page, "wallet-link", "wallet")
        page = phone.submit(page, "present", "showing", persona="hong", fault="", action="show")
        if page.find("consent"):
            page = phone.submit(page, "consent", "consent")
        assert page.status == 200


def test_openid_client_collects_what_a_holder_confirmed(rig: Rig, counter: Conversation) -> None:
    code = begin(rig, counter)
    assert code["interval"] == 1
    assert code["verification_uri_complete"].endswith(f"user_code={code['user_code']}")
    decide(code, "confirm")
    result = counter.say(None)
    assert "error" not in result, result
    assert result["claims"]["aud"] == "counter"
    assert result["userinfo"]["sub"] == result["claims"]["sub"]
    assert result["userinfo"]["name"] == "홍길동"
    assert result["userinfo"]["picture"].startswith("data:image/png;base64,")
    assert result["again"] == "invalid_grant"


def test_openid_client_hears_that_a_holder_refused(rig: Rig, counter: Conversation) -> None:
    decide(begin(rig, counter), "refuse")
    assert counter.say(None)["error"] == "access_denied"
