"""Against people who pass a QR code on: one device at a time, so many codes a network, a warning from far away."""

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from idp.demo import check
from idp.errors import PresentationError
from tests.harmless import harmless
from tests.rig import Begun, Portal, Rig, parse_link, person, started
from tests.test_location import database

CODES = 5
STRANGER = "203.0.113.9"
REJECTED = "presentation.rejected"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A provider behind a proxy; the demonstration's wallet comes from this machine, in Korea by the database."""
    directory = tmp_path_factory.mktemp("relay")
    settings = {
        "server.trusted_proxies": 1,
        "holder.codes_per_hour_per_network": CODES,
        "holder.location_database": str(database(directory)),
    }
    with started(directory, settings) as running:
        yield running


@pytest.fixture
def portal(rig: Rig, request: pytest.FixtureRequest) -> Portal:
    """A portal of each test, so that none counts another's codes."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return rig.variant("gov24", f"relay-{name}")


def fetch(rig: Rig, link: str, address: str = STRANGER) -> httpx2.Response:
    """A device elsewhere opens what the code says."""
    return rig.http.get(parse_link(link).request_uri, headers={"X-Forwarded-For": address})


def seen_from(portal: Portal, begun: Begun, address: str) -> check.Page:
    """The sign-in page on a screen at this address."""
    url = portal.absolute(begun.location)
    return check.Page(portal.browser.get(url, headers={"X-Forwarded-For": address}))


def text(page: check.Page) -> str:
    return str(page.root.text)


def test_while_one_device_answers_a_code_no_other_network_gets_it(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    code = portal.qr(portal.page(begun))
    asked = rig.wallet.receive(parse_link(code))
    with harmless(rig, (REJECTED, "opened_elsewhere")):
        refused = fetch(rig, code)
    assert refused.status_code == 409
    assert set(refused.json()) == {"error", "error_description"}
    assert (
        rig.wallet.receive(parse_link(code)).nonce == asked.nonce
    )  # the first one as often as it likes (D9)


def test_of_two_networks_that_open_a_code_in_the_same_moment_one_is_refused(rig: Rig, portal: Portal) -> None:
    ask_id = parse_link(portal.qr(portal.page(portal.begin()))).request_uri.rpartition("/")[2]
    logins = rig.house.logins
    read = [logins.asked(ask_id) for _ in range(2)]  # each before the other has written
    logins.fetched(*read[0], network="203.0.113.0/24")
    with pytest.raises(PresentationError, match="opened_elsewhere"):
        logins.fetched(*read[1], network="198.51.100.0/24")


def test_the_page_says_so_and_has_a_new_code_and_the_first_answer_counts(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    code = portal.qr(portal.page(begun))
    asked = rig.wallet.receive(parse_link(code))
    fetch(rig, code)
    page = portal.page(begun)
    assert "SINWON-W006" in text(page)
    assert portal.qr(page) != code
    assert rig.wallet.show(asked, person("hong")).status == 200
    assert portal.page(begun).find("number") is not None


def test_the_new_code_is_for_whoever_scans_it(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    code = portal.qr(portal.page(begun))
    rig.wallet.receive(parse_link(code))
    fetch(rig, code)
    newer = portal.qr(portal.page(begun))
    assert fetch(rig, newer).status_code == 200
    assert "SINWON-W006" not in text(portal.page(begun))


def test_whoever_sees_every_code_cannot_push_out_the_one_that_is_being_answered(
    rig: Rig, portal: Portal
) -> None:
    begun = portal.begin()
    asked = rig.wallet.receive(parse_link(portal.qr(portal.page(begun))))
    for number in range(6):
        shown = portal.qr(portal.page(begun))
        for net in (number, number + 100):
            fetch(rig, shown, f"198.51.{net}.1")
    assert rig.wallet.show(asked, person("hong")).status == 200


def test_a_link_is_no_code(rig: Rig, portal: Portal) -> None:
    link = portal.link(portal.page(portal.begin()))
    rig.wallet.receive(parse_link(link))
    assert fetch(rig, link).status_code == 200


def test_one_network_is_one_device(rig: Rig, portal: Portal) -> None:
    code = portal.qr(portal.page(portal.begin()))
    assert fetch(rig, code, "203.0.113.9").status_code == 200
    assert fetch(rig, code, "203.0.113.200").status_code == 200
    assert fetch(rig, code, "203.0.114.9").status_code == 409


def test_a_device_that_gave_up_makes_room(rig: Rig, portal: Portal) -> None:
    code = portal.qr(portal.page(portal.begin()))
    rig.wallet.receive(parse_link(code))
    rig.clock.forward(rig.house.settings.lifetimes.fetched_extra_s - 1)
    assert fetch(rig, code).status_code == 409
    rig.clock.forward(1)
    # The fetch that was refused has shown another code, and the time of the first one is over.
    assert fetch(rig, code).status_code in {200, 410}
    rig.clock.offset_s = 0


def test_beyond_so_many_codes_a_network_has_the_other_ways(rig: Rig, portal: Portal) -> None:
    begun: list[Any] = [portal.begin() for _ in range(CODES + 1)]
    pages = [seen_from(portal, one, "198.51.100.7") for one in begun]
    assert [page.find("qr") is not None for page in pages] == [True] * CODES + [False]
    assert pages[-1].find("wallet-link") is not None
    assert "한 시간 뒤" in text(pages[-1])
    # A code that is there stays, another network has its own count, and so has another portal.
    assert seen_from(portal, begun[0], "198.51.100.7").find("qr") is not None
    assert seen_from(portal, portal.begin(), "192.0.2.7").find("qr") is not None
    other = rig.portal("g4k")
    assert seen_from(other, other.begin(), "198.51.100.7").find("qr") is not None


@pytest.mark.parametrize(
    ("screen", "warned"), [("203.0.113.9", True), ("127.0.0.1", False), ("8.8.8.8", False)]
)
def test_a_phone_that_is_far_from_the_screen_is_spoken_of(
    rig: Rig, portal: Portal, screen: str, warned: bool
) -> None:
    begun = portal.begin()
    asked = rig.wallet.receive(parse_link(portal.qr(seen_from(portal, begun, screen))))
    while_answering = seen_from(portal, begun, screen)
    rig.wallet.show(asked, person("hong"))
    at_the_number = seen_from(portal, begun, screen)
    assert at_the_number.find("number") is not None
    for page in (while_answering, at_the_number):
        assert (page.find("far") is not None) is warned
        assert ("베트남" in text(page)) is warned
