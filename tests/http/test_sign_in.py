"""One sign-in, as a portal and a holder see it."""

import pytest

from tests.rig import Rig, callback_parameters


@pytest.fixture(scope="module")
def rig(each_rig: Rig) -> Rig:
    """On every database and store."""
    return each_rig


def test_a_holder_signs_in_on_one_device(rig: Rig) -> None:
    portal = rig.portal("gov24")
    tokens = portal.sign_in()
    claims = portal.id_token_claims(tokens["id_token"])
    assert claims["iss"] == rig.issuer
    assert claims["aud"] == "gov24"
    assert claims["acr"] == f"{rig.issuer}/acr/secure"
    assert "name" not in claims
    info = portal.userinfo(tokens["access_token"]).json()
    assert info["sub"] == claims["sub"]
    assert info["name"] == "홍길동"
    assert info["birthdate"] == "1985-03-14"


def test_a_holder_signs_in_across_two_devices(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    page = portal.page(begun)
    outcome = portal.show(portal.qr(page))
    phone = rig.browser().get(outcome.redirect_uri)
    number = phone.text.split('id="confirmation-number"')[1].split(">")[1].split("<")[0]
    confirmed = portal.submit(portal.page(begun), "confirm", number=number)
    resumed = portal.browser.get(portal.absolute(confirmed.headers["Location"]))
    callback = callback_parameters(portal.agree(resumed))
    assert callback["state"] == begun.state
    tokens = portal.token(callback["code"], begun.verifier).json()
    assert "qr" in portal.id_token_claims(tokens["id_token"])["amr"]


@pytest.mark.parametrize("client_id", ["gov24", "g4k", "apostille", "efamily"])
def test_every_portal_knows_the_same_person_by_another_sub(rig: Rig, client_id: str) -> None:
    first = rig.portal(client_id)
    sub = first.id_token_claims(first.sign_in()["id_token"])["sub"]
    again = rig.portal(client_id)
    assert again.id_token_claims(again.sign_in()["id_token"])["sub"] == sub
    others = {"gov24", "g4k", "apostille", "efamily"} - {client_id}
    for other_id in others:
        other = rig.portal(other_id)
        assert other.id_token_claims(other.sign_in()["id_token"])["sub"] != sub
