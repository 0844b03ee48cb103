"""WQ, XD: what a wallet is asked, and by whom it can be answered from another device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from idp.login import State
from tests.http.test_login_binding import across, confirmed
from tests.presenting import request_object
from tests.rig import Rig, callback_parameters, started

N_TRANSACTIONS = 1_000


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory: Path = tmp_path_factory.mktemp("house")
    with started(directory, {"holder.codes_per_hour_per_network": 100_000}) as running:
        yield running


def request_uri(link: str) -> str:
    return parse_qs(urlsplit(link).query)["request_uri"][0]


def test_no_two_of_a_thousand_questions_have_anything_in_common(rig: Rig) -> None:
    """WQ-01: asked of the hall itself, as every door does."""
    portal = rig.portal("gov24")
    portal.page(begun := portal.begin())
    with rig.app.test_request_context():
        logins = rig.house.logins
        asked = logins._load(begun.location.rpartition("/")[2]).request
        asks, ids = [], set()
        for _ in range(N_TRANSACTIONS // 2):
            login = logins.questions(logins.start(asked)[0], "", ways=("link", "qr"))
            asks += login.asks
            ids.add(login.id)
        keys = {logins.ask_secret(ask) for ask in asks}
    assert len(asks) == N_TRANSACTIONS
    assert len({ask.id for ask in asks}) == len({ask.nonce for ask in asks}) == len(keys) == N_TRANSACTIONS
    assert len(ids) == N_TRANSACTIONS // 2
    assert min(len(ask.nonce) for ask in asks) >= 22


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/oauth-authz-req+jwt"])
def test_a_browser_that_opens_the_request_uses_nothing_up(rig: Rig, accept: str) -> None:
    """WQ-13: it gets what a wallet gets, which is no page and runs nothing, and the wallet still does."""
    portal = rig.portal("gov24")
    begun = portal.begin()
    link = portal.link(portal.page(begun))
    opened = rig.browser().get(request_uri(link), headers={"Accept": accept})
    assert opened.status_code == 200
    assert opened.headers["Content-Type"] == "application/oauth-authz-req+jwt"
    assert opened.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in opened.headers
    assert portal.show(link).status == 200


def test_the_wallet_is_told_who_asks_and_what_for(rig: Rig) -> None:
    """XD-01: a holder who was sent somebody else's code can see in the wallet where it would sign in."""
    portal = rig.portal("gov24")
    _, claims = request_object(rig, portal.qr(portal.page(portal.begin())))
    told = str(claims["client_metadata"])
    assert portal.registration["name"]["ko"] in told or portal.registration["name"]["en"] in told


def test_a_code_lives_two_minutes_and_needs_a_number_in_the_browser_that_began(rig: Rig) -> None:
    """XD-01: whoever relays a code is asked for what the phone alone shows."""
    portal = rig.portal("gov24")
    begun = portal.begin()
    page = portal.page(begun)
    shown = page.find("qr")
    assert shown is not None
    assert int(shown.attributes["data-fresh"]) <= int(shown.attributes["data-each"]) == 120
    portal.show(portal.qr(page))
    assert portal.page(begun).find("number") is not None
    login = begun.location.rpartition("/")[2]
    resumed = portal.browser.get(f"{rig.issuer}/authorize/resume?login={login}")
    assert resumed.headers.get("Location", "") == begun.location
    with rig.app.test_request_context():
        assert rig.house.logins._load(login).state is State.PRESENTED


def test_a_session_from_another_device_serves_no_portal_that_refuses_them(rig: Rig) -> None:
    """XD-07, XD-08: the audit says by which way, and such a portal asks the wallet again, on this device."""
    portal = rig.portal("gov24")
    last = rig.last_event()
    begun = portal.begin(prompt="login")
    done = confirmed(portal, begun, across(portal, begun))
    callback = callback_parameters(
        portal.agree(portal.browser.get(portal.absolute(done.headers["Location"])))
    )
    assert portal.token(callback["code"], begun.verifier).status_code == 200
    told = [event.detail or {} for event in rig.events(after=last) if event.name == "presentation.accepted"]
    assert [detail["via"] for detail in told] == ["qr"]
    strict = rig.variant("gov24", "one-device", cross_device=False)
    strict.browser = portal.browser
    begun = strict.begin()
    assert begun.location.startswith("/login/")
    assert strict.page(begun).find("qr") is None
