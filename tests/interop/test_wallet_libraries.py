"""A wallet made of the npm libraries `@openid4vc/openid4vp`, `dcql` and `@sd-jwt/sd-jwt-vc` shows a credential.

The libraries fetch and verify the request, evaluate the query, select the disclosures, bind the key, encrypt the
answer and post it. The credential is the demonstration's authority's; its holder key is handed to the wallet.
"""

from __future__ import annotations

import json
import re

import pytest

from idp.demo import jose
from tests.interop.node_wallet import NodeWallet, of_the_demonstration
from tests.interop.talking import Conversation, PeerFailed
from tests.rig import Rig, callback_parameters

pytestmark = pytest.mark.node


def wallet(rig: Rig, phone: Conversation, persona: str = "hong") -> NodeWallet:
    """A phone with a persona's credential on it."""
    return NodeWallet(rig, phone, [of_the_demonstration(rig, persona)])


@pytest.mark.parametrize(
    ("client_id", "enc"),
    [("gov24", "A128GCM"), ("g4k", "A256GCM"), ("apostille", "A128GCM"), ("efamily", "A256GCM")],
)
def test_the_libraries_sign_a_holder_in_on_one_device(
    rig: Rig, phone: Conversation, client_id: str, enc: str
) -> None:
    portal = rig.portal(client_id)
    begun = portal.begin()
    shown = wallet(rig, phone).open(portal.link(portal.page(begun)), enc=enc)
    assert shown["status"] == 200, shown["body"]
    assert shown["client"]["prefix"] == "x509_hash"
    assert shown["version"] == 100  # OpenID4VP 1.0, as the library infers it from the request
    assert shown["jwe"]["enc"] == enc
    assert "apv" in shown["jwe"]  # the library names the nonce as the recipient's party information
    callback = callback_parameters(portal.agree(portal.browser.get(shown["body"]["redirect_uri"])))
    assert callback["state"] == begun.state
    tokens = portal.token(callback["code"], begun.verifier).json()
    info = portal.userinfo(tokens["access_token"]).json()
    assert info["name"] == "홍길동"
    assert info["birthdate"] == "1985-03-14"


def test_the_libraries_disclose_what_is_asked_and_no_more(rig: Rig, phone: Conversation) -> None:
    portal = rig.portal("apostille")
    shown = wallet(rig, phone).open(portal.link(portal.page(portal.begin())))
    (answer,) = shown["answers"]
    asked = next(entry for entry in shown["query"]["credentials"] if entry["id"] == answer["id"])
    opened = [json.loads(jose.decode(text)) for text in answer["presentation"].split("~")[1:-1]]
    disclosed = {disclosure[1] for disclosure in opened if len(disclosure) == 3}
    assert disclosed == {step for claim in asked["claims"] for step in claim["path"]}
    assert not disclosed & {"address", "picture", "sex"}


def test_the_libraries_sign_a_holder_in_across_two_devices(rig: Rig, phone: Conversation) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    shown = wallet(rig, phone).open(portal.qr(portal.page(begun)))
    with rig.browser() as other_browser:
        page = other_browser.get(shown["body"]["redirect_uri"])
    found = re.search(r'id="confirmation-number"[^>]*>(\d{4})<', page.text)
    assert found is not None
    confirmed = portal.submit(portal.page(begun), "confirm", number=found[1])
    resumed = portal.browser.get(portal.absolute(confirmed.headers["Location"]))
    callback = callback_parameters(portal.agree(resumed))
    tokens = portal.token(callback["code"], begun.verifier).json()
    assert "qr" in portal.id_token_claims(tokens["id_token"])["amr"]


def test_the_library_fetches_by_post_without_naming_what_it_posts(rig: Rig, phone: Conversation) -> None:
    # @openid4vc/openid4vp up to 0.5 posts the members of wallet_metadata side by side and no wallet_nonce.
    portal = rig.portal("gov24")
    shown = wallet(rig, phone).open(portal.link(portal.page(portal.begin())), post="library")
    assert shown["status"] == 200, shown["body"]
    assert not shown["wallet_nonce_echoed"]


def test_the_library_finds_its_wallet_nonce_in_a_request_fetched_by_post(
    rig: Rig, phone: Conversation
) -> None:
    portal = rig.portal("gov24")
    shown = wallet(rig, phone).open(portal.link(portal.page(portal.begin())), post="standard")
    assert shown["status"] == 200, shown["body"]
    assert shown["wallet_nonce_echoed"]


@pytest.mark.parametrize("persona", ["lee", "jung", "yoon"])
def test_the_library_itself_finds_the_status_and_the_dates_of_a_credential_out_of_order(
    rig: Rig, phone: Conversation, persona: str
) -> None:
    portal = rig.portal("gov24")
    link = portal.link(portal.page(portal.begin()))
    with pytest.raises(PeerFailed, match=r"Status is not valid|JWT is expired"):
        wallet(rig, phone, persona).open(link)


@pytest.mark.parametrize("refuse", ["plain", "encrypted"])
def test_a_refusal_by_the_library_brings_the_holder_back_with_access_denied(
    rig: Rig, phone: Conversation, refuse: str
) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    shown = wallet(rig, phone).open(portal.link(portal.page(begun)), refuse=refuse)
    assert shown["status"] == 200, shown["body"]
    callback = callback_parameters(portal.browser.get(shown["body"]["redirect_uri"]))
    assert callback["error"] == "access_denied"
    assert callback["state"] == begun.state
