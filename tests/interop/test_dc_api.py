"""The Digital Credentials API with a wallet of npm libraries behind it: pages in a real Chromium, and by hand.

Chromium has no wallet here, so `navigator.credentials.get` of its pages is a relay to wallet.mjs. What a browser adds
is added by the test as a browser does: the origin of the page, as Chromium knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.interop.ministry import CLAIMS, LICENCES
from tests.interop.node_wallet import NodeWallet
from tests.interop.talking import PeerFailed
from tests.rig import Portal, Rig, callback_parameters
from tests.through_browser import Offered, offered

pytestmark = pytest.mark.node

SIGNED, UNSIGNED = "openid4vp-v1-signed", "openid4vp-v1-unsigned"
ELSEWHERE = "https://elsewhere.example"
each_format = pytest.mark.parametrize("format", ["dc+sd-jwt", "mso_mdoc"])
each_protocol = pytest.mark.parametrize("protocol", [SIGNED, UNSIGNED])

# A browser that speaks one of the protocols and hands the request to `relay`.
BROWSER = """
(protocol) => {
  class DigitalCredential {
    static userAgentAllowsProtocol(asked) { return asked === protocol; }
  }
  window.DigitalCredential = DigitalCredential;
  navigator.credentials.get = async ({ digital }) =>
    Object.assign(new DigitalCredential(), await window.relay(digital.requests));
}
"""


def shown(wallet: NodeWallet, page: Offered, protocol: str, origin: str, **changes: Any) -> dict[str, Any]:
    """What the page gets from a browser at this origin."""
    (request,) = page.requests(protocol)
    answered = wallet.asked_by_page(origin, protocol, request["data"], **changes)
    return {"protocol": protocol, "data": answered["data"]}


@each_format
@each_protocol
@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_the_libraries_read_the_request_and_their_answer_signs_in(
    licences: Portal, wallet: NodeWallet, format: str, protocol: str, enc: str
) -> None:
    page = offered(licences)
    (request,) = page.requests(protocol)
    answered = wallet.asked_by_page(page.rig.issuer, protocol, request["data"], pick=[format], enc=enc)
    assert answered["version"] == 100
    assert answered["client"]["prefix"] == ("x509_hash" if protocol == SIGNED else "origin")
    assert answered["jwe"]["enc"] == enc
    brought = page.bring({"protocol": protocol, "data": answered["data"]})
    callback = callback_parameters(licences.agree(page.resume(brought)))
    tokens = licences.token(callback["code"], page.begun.verifier).json()
    assert licences.userinfo(tokens["access_token"]).json()["birthdate"] == CLAIMS["birthdate"]


@each_format
def test_the_libraries_answer_no_signed_request_on_a_page_elsewhere(
    licences: Portal, wallet: NodeWallet, format: str
) -> None:
    with pytest.raises(PeerFailed, match="expected_origins"):
        shown(wallet, offered(licences), SIGNED, ELSEWHERE, pick=[format])


@pytest.mark.parametrize(
    ("format", "reason"), [("dc+sd-jwt", "key_binding_audience"), ("mso_mdoc", "device_signature")]
)
def test_what_was_answered_on_a_page_elsewhere_is_refused(
    licences: Portal, wallet: NodeWallet, format: str, reason: str
) -> None:
    page = offered(licences)
    relayed = page.bring(shown(wallet, page, UNSIGNED, ELSEWHERE, pick=[format]))
    assert relayed.status_code == 400
    assert page.rig.events()[-1].reason == reason


@pytest.mark.parametrize(
    ("format", "bent", "reason"),
    [
        ("dc+sd-jwt", {"kb": {"nonce": "A" * 43}}, "key_binding_nonce"),
        ("dc+sd-jwt", {"kb": {"aud": ELSEWHERE}}, "key_binding_audience"),
        ("mso_mdoc", {"transcript": {"nonce": "A" * 43}}, "device_signature"),
        ("mso_mdoc", {"transcript": {"jwkThumbprint": "A" * 43}}, "device_signature"),
        ("mso_mdoc", {"transcript": {"jwkThumbprint": None}}, "device_signature"),
        ("mso_mdoc", {"transcript": {"origin": f"{ELSEWHERE}/"}}, "device_signature"),
        # As if it were posted to us: the other transcript of the same request.
        ("mso_mdoc", {"transcript": {"origin": None, "responseUri": ELSEWHERE}}, "device_signature"),
    ],
    ids=str,
)
def test_an_answer_bound_to_something_else_is_refused(
    licences: Portal, wallet: NodeWallet, format: str, bent: dict[str, Any], reason: str
) -> None:
    page = offered(licences)
    relayed = page.bring(shown(wallet, page, SIGNED, page.rig.issuer, pick=[format], bent={format: bent}))
    assert relayed.status_code == 400
    assert page.rig.events()[-1].reason == reason
    honest = page.bring(shown(wallet, page, SIGNED, page.rig.issuer, pick=[format]))
    assert honest.status_code == 200


@pytest.mark.parametrize("refuse", ["plain", "encrypted"])
def test_a_refusal_is_told_to_the_page(licences: Portal, wallet: NodeWallet, refuse: str) -> None:
    page = offered(licences)
    response = page.bring(shown(wallet, page, SIGNED, page.rig.issuer, refuse=refuse))
    assert response.json()["state"] == "waiting.wallet_refused"
    assert (page.rig.events()[-1].name, page.rig.events()[-1].reason) == ("wallet.refused", "access_denied")


@pytest.fixture(scope="module")
def chromium(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium_path), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.browser
@each_format
@each_protocol
def test_a_person_at_a_page_signs_in_with_it(
    registered: Rig, wallet: NodeWallet, chromium: Browser, format: str, protocol: str
) -> None:
    # A portal that nobody agreed at yet, so that there is a consent page.
    portal = registered.variant("gov24", f"{protocol}-{format}".replace("+", "-"), **LICENCES)
    parameters, verifier = portal.parameters()

    def relay(source: Any, requests: list[Any]) -> dict[str, Any]:
        (request,) = requests
        at = urlsplit(source["frame"].url)
        answered = wallet.asked_by_page(
            f"{at.scheme}://{at.netloc}", request["protocol"], request["data"], pick=[format]
        )
        return {"protocol": request["protocol"], "data": answered["data"]}

    with chromium.new_context(locale="en-US") as context:
        context.set_default_timeout(10_000)
        context.expose_binding("relay", relay)
        context.add_init_script(f"({BROWSER})({protocol!r})")
        page = context.new_page()
        page.goto(f"{registered.issuer}/authorize?{urlencode(parameters)}")
        page.locator("#show").click()
        page.wait_for_url("**/consent")
        with page.expect_request(f"{portal.redirect_uri}?*") as back:
            page.locator("button[value=agree]").click()
        code = parse_qs(urlsplit(back.value.url).query)["code"][0]
    tokens = portal.token(code, verifier).json()
    assert portal.userinfo(tokens["access_token"]).json()["family_name"] == CLAIMS["family_name"]
    assert "qr" not in portal.id_token_claims(tokens["id_token"])["amr"]
