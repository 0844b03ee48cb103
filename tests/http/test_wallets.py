"""The choice of a wallet on the sign-in page, and answers read by the profile that was asked."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from idp.admin import wallets
from idp.demo import check, request
from tests.harmless import harmless
from tests.presenting import request_object
from tests.rig import Portal, Rig, callback_parameters, started


def profile(rig: Rig, wallet_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": wallet_id,
        "version": 1,
        "name": {"ko": f"지갑 {wallet_id}", "en": f"Wallet {wallet_id}"},
        "link": rig.prepared.wallet_link,
        **changes,
    }


def use(rig: Rig, *profiles: dict[str, Any]) -> None:
    """These wallets and no others, from now on."""
    with rig.app.app_context():
        wallets.apply({"wallet": list(profiles)}, now=rig.clock())
        wanted = {entry["id"] for entry in profiles}
        for known, _ in wallets.listed():
            wallets.switch(known.id, enabled=known.id in wanted, now=rig.clock())
        rig.clock.forward(wallets.RELOAD_S)
        rig.house.wallets.in_use()
        rig.clock.offset_s = 0


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def portal(rig: Rig) -> Portal:
    use(rig, profile(rig, "a"), profile(rig, "b", request_uri_method="post"))
    return rig.portal()


def choices(page: check.Page) -> dict[str, bool]:
    """The wallets on offer by the end of their addresses, and which is chosen."""
    return {
        item.attributes["href"].rpartition("=")[2]: "aria-current" in item.attributes
        for item in page.root.below()
        if item.tag == "a" and re.search(r"\?wallet=[a-z]+\Z", item.attributes.get("href", ""))
    }


def signs_in(portal: Portal, begun: Any, link: str) -> None:
    outcome = portal.show(link)
    assert outcome.redirect_uri is not None, outcome
    callback = callback_parameters(portal.agree(portal.browser.get(outcome.redirect_uri)))
    assert portal.token(callback["code"], begun.verifier).status_code == 200


def test_with_one_wallet_there_is_nothing_to_choose(rig: Rig) -> None:
    use(rig, profile(rig, "a"))
    portal = rig.portal()
    begun = portal.begin()
    page = portal.page(begun)
    assert choices(page) == {}
    signs_in(portal, begun, portal.link(page))


def test_a_holder_chooses_among_several_and_the_choice_stays(portal: Portal) -> None:
    begun = portal.begin()
    assert choices(portal.page(begun)) == {"a": True, "b": False}
    chosen = portal.open(f"{begun.location}?wallet=b")
    assert choices(chosen) == {"a": False, "b": True}
    assert "request_uri_method=post" in portal.link(chosen)
    assert "request_uri_method=post" in portal.qr(chosen)
    again = portal.page(begun)
    assert choices(again) == {"a": False, "b": True}
    signs_in(portal, begun, portal.link(again))


def test_an_answer_of_the_wallet_that_was_chosen_before_still_counts(portal: Portal) -> None:
    begun = portal.begin()
    first = portal.link(portal.page(begun))
    portal.open(f"{begun.location}?wallet=b")
    signs_in(portal, begun, first)


@pytest.mark.parametrize("wanted", ["nobody", "default", "a&wallet=b" * 20, "%00"])
def test_a_wallet_that_is_not_on_offer_changes_nothing(rig: Rig, portal: Portal, wanted: str) -> None:
    begun = portal.begin()
    with harmless(rig):
        assert choices(portal.open(f"{begun.location}?wallet={wanted}")) == {"a": True, "b": False}


def test_a_wallet_that_is_switched_off_gets_no_answer_in(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    link = portal.link(portal.page(begun))
    asked = rig.wallet.receive(read(link))
    use(rig, profile(rig, "b", request_uri_method="post"))
    with harmless(rig):
        refused = rig.http.post(asked.response_uri, data={"response": "x"})
        assert refused.status_code == 400
        assert rig.http.get(read(link).request_uri).status_code == 404
    assert "request_uri_method=post" in portal.link(portal.page(begun))


def read(link: str) -> request.Link:
    """A link as the wallet reads it."""
    return request.read_link(link)


def test_a_wallet_that_does_not_encrypt_is_not_offered_at_a_fapi2_portal(rig: Rig) -> None:
    use(rig, profile(rig, "a"), profile(rig, "plain", response_mode="direct_post"))
    portal = rig.portal("gov24")
    assert set(choices(portal.page(portal.begin()))) == {"a", "plain"}
    bank = rig.portal("bank")
    bank_page = bank.page(bank.begin_pushed())
    assert choices(bank_page) == {}
    assert portal.link(bank_page)


def test_an_answer_in_another_envelope_than_the_profiles_is_refused(rig: Rig) -> None:
    use(rig, profile(rig, "plain", response_mode="direct_post"))
    portal = rig.portal()
    begun = portal.begin()
    uri = f"{rig.issuer}/wallet/response/{ask_of(portal.link(portal.page(begun)))}"
    for form, reason in (
        ({"response": "a.b.c.d.e"}, "malformed"),
        ({"vp_token": "{"}, "malformed"),
        ({"vp_token": json.dumps({"sd-kr-overseas-national": ["x~"]}), "response": "x"}, "malformed"),
        ({"vp_token": json.dumps({"sd-nothing": ["x~"]})}, "incomplete"),
    ):
        with harmless(rig, ("presentation.rejected", reason)):
            assert rig.http.post(uri, data=form).status_code == 400


def ask_of(link: str) -> str:
    return read(link).request_uri.rpartition("/")[2]


def test_a_wallet_that_stumbles_over_the_authorities_is_not_told_them(rig: Rig) -> None:
    use(rig, profile(rig, "a"), profile(rig, "b", trusted_authorities=False))
    portal = rig.portal()
    begun = portal.begin()
    told = []
    for page in (portal.page(begun), portal.open(f"{begun.location}?wallet=b")):
        _, claims = request_object(rig, portal.link(page))
        told.append({"trusted_authorities" in one for one in claims["dcql_query"]["credentials"]})
    assert told == [{True}, {False}]
