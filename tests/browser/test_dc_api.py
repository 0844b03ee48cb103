"""Signing in through the browser's own Digital Credentials API, in Chromium."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Route

from idp.demo import dc_api
from tests.browser.conftest import NewVisitor
from tests.browser.virtual_wallet import VirtualWallet, demonstration
from tests.browser.visitor import PHONE, Visitor
from tests.waiting import eventually

RECORD = """() => {
    const get = navigator.credentials.get.bind(navigator.credentials);
    window.calls = [];
    navigator.credentials.get = (options) => { window.calls.push(options); return get(options); };
}"""
HEARD = """window.told = [];
    window.EventSource = class extends EventSource {
        constructor(url) {
            super(url);
            this.addEventListener("message", (event) => window.told.push(event.data));
        }
    };"""
ALLOWS = "DigitalCredential.userAgentAllowsProtocol = (protocol) => {}.includes(protocol)"
FAILS = "navigator.credentials.get = async () => {{ throw new DOMException('x', {!r}) }}"


def said(visitor: Visitor) -> str:
    """What the card says of its own doings."""
    return visitor.page.locator("#digital-status").inner_text()


def hears(visitor: Visitor, *words: str) -> None:
    """The card comes to say this."""
    eventually(lambda: all(word in said(visitor) for word in words))


def click(visitor: Visitor) -> None:
    visitor.page.locator("#show").click()


def mark(visitor: Visitor) -> None:
    """Something that a page which is loaded anew does not have."""
    visitor.page.evaluate("() => { document.body.dataset.mark = 'here' }")


def stays(visitor: Visitor) -> bool:
    return visitor.page.locator("body[data-mark=here]").count() == 1


def told(visitor: Visitor) -> list[str]:
    """What the event stream of the page has brought (HEARD)."""
    return list(visitor.page.evaluate("() => window.told"))


def begun(visitor: Visitor, portal: str = "gov24") -> VirtualWallet:
    """A sign-in page, and the wallet that its browser will find."""
    visitor.begin(portal)
    return VirtualWallet(visitor)


def signs_in(visitor: Visitor, wallet: VirtualWallet, persona: str = "park", name: str = "박민수") -> None:
    wallet.answers(demonstration(visitor.demo, persona))
    with visitor.page.expect_navigation():
        click(visitor)
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == name


def refused_with(visitor: Visitor, status: int) -> None:
    """The one complaint of this browser is that an answer was refused, as it was meant to be."""
    (complaint,) = visitor.complaints
    assert complaint.startswith(f"{status} for ")
    assert complaint.endswith("/digital-credential")
    visitor.complaints.clear()


# -- signing in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("protocol", [dc_api.SIGNED, dc_api.UNSIGNED])
def test_a_holder_signs_in_with_one_click(new_visitor: NewVisitor, lang: str, protocol: str) -> None:
    holder = new_visitor(lang, PHONE)
    wallet = begun(holder)
    wallet.answers(demonstration(holder.demo, "park"), protocol)
    with holder.page.expect_navigation():
        click(holder)
    holder.agree_if_asked()
    assert holder.claims()["name"] == "박민수"


@pytest.mark.parametrize("portal", ["g4k", "apostille", "efamily", "bank"])
def test_every_portal_can_be_signed_in_to_so(visitor: Visitor, portal: str) -> None:
    signs_in(visitor, begun(visitor, portal))


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    wallet = begun(visitor)
    wallet.answers(demonstration(visitor.demo, "park"))
    visitor.page.locator("#show").focus()
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("Enter")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "박민수"


def test_the_browser_is_asked_at_a_click_and_never_before(visitor: Visitor) -> None:
    visitor.page.add_init_script(f"({RECORD})()")
    wallet = begun(visitor)
    wallet.declines()
    visitor.page.wait_for_load_state("networkidle")
    assert visitor.page.evaluate("() => window.calls") == []
    click(visitor)
    hears(visitor, "제시되지 않았습니다")
    assert visitor.page.evaluate("() => window.calls") == [{"digital": {"requests": wallet.requests}}]


def test_a_second_click_does_not_ask_twice(visitor: Visitor) -> None:
    visitor.page.add_init_script(f"({RECORD})()")
    begun(visitor).waits()
    click(visitor)
    hears(visitor, "브라우저가 연 창")
    click(visitor)
    click(visitor)
    assert len(visitor.page.evaluate("() => window.calls")) == 1


# -- where it is offered -----------------------------------------------------------------------------------------


def test_it_is_the_first_of_the_ways_and_the_others_stay(visitor: Visitor) -> None:
    visitor.begin("gov24")
    places = [visitor.page.locator(name).bounding_box() for name in ("#show", "#wallet-link", "#qr")]
    assert all(places)
    tops = [place["y"] for place in places if place]
    assert tops[0] < min(tops[1:])
    assert visitor.page.locator(".button.main:visible").first.get_attribute("id") == "show"


@pytest.mark.parametrize("protocol", [dc_api.SIGNED, dc_api.UNSIGNED])
def test_only_what_the_browser_allows_is_asked(visitor: Visitor, protocol: str) -> None:
    visitor.page.add_init_script(f"{ALLOWS.format(json.dumps([protocol]))}; ({RECORD})()")
    wallet = begun(visitor)
    wallet.declines()
    click(visitor)
    hears(visitor, "제시되지 않았습니다")
    (call,) = visitor.page.evaluate("() => window.calls")
    assert [one["protocol"] for one in call["digital"]["requests"]] == [protocol]


@pytest.mark.parametrize(
    "script",
    [
        ALLOWS.format('["org-iso-mdoc"]'),
        "delete DigitalCredential.userAgentAllowsProtocol",
        "delete window.DigitalCredential",
    ],
)
def test_a_browser_that_cannot_ask_so_is_as_it_was(visitor: Visitor, script: str) -> None:
    visitor.page.add_init_script(script)
    visitor.begin("gov24")
    assert visitor.page.locator("#digital").is_hidden()
    visitor.open_wallet()
    visitor.show("park")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "박민수"


def test_a_page_without_script_is_as_it_was(new_visitor: NewVisitor) -> None:
    holder = new_visitor("ko", java_script_enabled=False)
    holder.begin("gov24")
    assert holder.page.locator("#digital").is_hidden()
    assert holder.page.locator("#wallet-link").is_visible()


# -- when nothing comes of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lang", "words"), [("ko", "제시되지 않았습니다"), ("en", "No certificate was shown")]
)
def test_a_window_that_was_closed_is_said_and_can_be_opened_again(
    new_visitor: NewVisitor, lang: str, words: str
) -> None:
    holder = new_visitor(lang)
    wallet = begun(holder)
    mark(holder)
    wallet.declines()
    click(holder)
    hears(holder, words)
    assert stays(holder)
    assert holder.page.locator("#show:focus").count() == 1
    signs_in(holder, wallet)


@pytest.mark.parametrize(
    "name", ["NotSupportedError", "SecurityError", "InvalidStateError", "OperationError"]
)
def test_a_browser_that_fails_is_said_and_the_other_ways_stay(visitor: Visitor, name: str) -> None:
    visitor.page.add_init_script(FAILS.format(name))
    begun(visitor)
    click(visitor)
    hears(visitor, "요청하지 못했습니다")
    visitor.open_wallet()
    visitor.show("park")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "박민수"


def test_a_wallet_that_refuses_is_said_and_the_sign_in_goes_on(visitor: Visitor) -> None:
    wallet = begun(visitor)
    mark(visitor)
    wallet.says(dc_api.SIGNED, {"error": "access_denied"})
    click(visitor)
    hears(visitor, "SINWON-W001")
    assert stays(visitor)
    signs_in(visitor, wallet)


def test_a_certificate_that_is_refused_is_said_on_the_same_page(visitor: Visitor) -> None:
    wallet = begun(visitor)
    mark(visitor)
    wallet.answers(demonstration(visitor.demo, "park", "revoked"))
    click(visitor)
    hears(visitor, "SINWON-C003")
    refused_with(visitor, 400)
    assert stays(visitor)
    signs_in(visitor, wallet)


def test_what_was_told_before_a_refusal_does_not_wipe_it_away(visitor: Visitor) -> None:
    wallet = begun(visitor)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    visitor.page.route("**/status", hold)
    mark(visitor)
    wallet.declines()
    click(visitor)
    eventually(lambda: stays(visitor) and bool(held))  # it asks how the login stands, and is not told yet
    wallet.says(dc_api.SIGNED, {"error": "access_denied"})
    click(visitor)
    hears(visitor, "SINWON-W001")
    held[0].fulfill(json={"state": "waiting"})
    visitor.page.unroute("**/status")
    visitor.page.wait_for_load_state("networkidle")
    assert stays(visitor)
    assert "SINWON-W001" in said(visitor)


# -- when the line breaks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("instead", [None, "<h1>Bad Gateway</h1>", "{}", "null"])
def test_an_answer_that_was_lost_on_its_way_can_be_given_again(visitor: Visitor, instead: str | None) -> None:
    wallet = begun(visitor)

    def lose(route: Route) -> None:
        if instead is None:
            route.abort()
        else:
            route.fulfill(status=502, body=instead)

    visitor.page.route("**/digital-credential", lose)
    wallet.answers(demonstration(visitor.demo, "park"))
    click(visitor)
    hears(visitor, "전달되지 않았습니다")
    visitor.page.unroute("**/digital-credential")
    visitor.complaints.clear()  # the browser notes the broken line
    signs_in(visitor, wallet)


def test_an_answer_whose_reply_was_lost_goes_on_by_itself(visitor: Visitor) -> None:
    wallet = begun(visitor)

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    visitor.page.route("**/digital-credential", lose)
    wallet.answers(demonstration(visitor.demo, "park"))
    with visitor.page.expect_navigation():
        click(visitor)
    visitor.complaints.clear()
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "박민수"


# -- while the window is open ------------------------------------------------------------------------------------


def test_while_the_window_is_open_only_a_finished_way_takes_the_page(new_visitor: NewVisitor) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.page.add_init_script(HEARD)
    begun(desk).waits()
    mark(desk)
    click(desk)
    hears(desk, "브라우저가 연 창")
    phone.scan(desk.qr_link())
    eventually(
        lambda: "fetched" in told(desk)[-1]
    )  # the stream says "changed", and comes again with what it is
    assert stays(desk)
    phone.show("park")
    desk.page.locator("#number").wait_for()
    desk.type_number(phone.number_on_the_phone())
    desk.agree_if_asked()
    assert desk.claims()["name"] == "박민수"
