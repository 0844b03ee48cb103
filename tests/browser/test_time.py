"""Pages that wait, with a clock that can be moved, at a server that holds no stream: here the page asks by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Route

from tests.browser.visitor import DESK, LOCALES, Demo, Visitor
from tests.rig import Rig, parse_link

EXPIRED_S = 601
STALE_QR_S = 121

Arrive = Callable[..., Visitor]


@pytest.fixture
def arrive(rig: Rig, chromium: Browser) -> Iterator[Arrive]:
    """arrive(lang="ko", **more): a person with an empty browser at the rig's portals."""
    prepared = rig.prepared
    demo = Demo(
        prepared.issuer,
        f"{prepared.portals_url}/",
        f"{prepared.wallet_url}/",
        f"{prepared.issuer}/console",
        prepared.directory,
    )
    visitors: list[Visitor] = []

    def arrive(lang: str = "ko", **more: Any) -> Visitor:
        context = chromium.new_context(locale=LOCALES[lang], viewport=DESK, **more)
        visitors.append(Visitor(demo, context, lang))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.context.close()
    rig.clock.offset_s = 0
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


def time_passes(rig: Rig, visitor: Visitor, seconds: int) -> None:
    """Here and there."""
    rig.clock.forward(seconds)
    visitor.page.clock.run_for(seconds * 1000)


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_an_expired_login_says_so_by_itself_and_leads_back_to_the_portal(
    rig: Rig, arrive: Arrive, lang: str
) -> None:
    visitor = arrive(lang)
    visitor.begin("gov24")
    rig.clock.forward(EXPIRED_S)
    visitor.page.locator("text=SINWON-L003").wait_for()
    visitor.press("main a.button.main")
    assert visitor.error_code() == "access_denied"


def test_more_time_is_more_time(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive(java_script_enabled=False)
    visitor.begin("gov24")
    rig.clock.forward(EXPIRED_S - 60)
    visitor.press(".time button")
    rig.clock.forward(EXPIRED_S - 60)
    visitor.page.reload()
    assert visitor.page.locator("#wallet-link").is_visible()


def test_a_qr_code_is_replaced_where_it_stands_and_nobody_is_asked_for_it(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.page.clock.install()
    visitor.begin("gov24")
    before, code = visitor.qr_link(), visitor.qr_code()
    visitor.page.evaluate("document.title = 'the same page'")
    visitor.page.locator("#wallet-link").focus()
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    time_passes(rig, visitor, STALE_QR_S + 5)
    visitor.page.locator(f"#qr:not([data-link='{before}'])").wait_for()
    assert {path for path in asked if not path.endswith("/status")} == {"/static/qr.js"}
    assert visitor.page.title() == "the same page"
    assert visitor.page.locator("#wallet-link:focus").count() == 1
    assert visitor.qr_code() != code
    assert visitor.qr_photographed() == visitor.qr_link()
    assert visitor.page.locator("#qr-link").get_attribute("href") == visitor.qr_link()
    # What the page has drawn is a question of the provider's, and the one before it still is.
    assert [
        rig.http.get(parse_link(link).request_uri).status_code for link in (visitor.qr_link(), before)
    ] == [
        200,
        200,
    ]


def test_a_page_that_slept_shows_the_code_whose_turn_it_is(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.page.clock.install()
    visitor.page.route("**/status", lambda route: route.fulfill(json={"state": "waiting"}))
    visitor.begin("gov24")
    later = json.loads(visitor.page.locator("#qr").get_attribute("data-later") or "")
    rig.clock.forward(3 * STALE_QR_S)
    visitor.page.clock.fast_forward(3 * STALE_QR_S * 1000)  # no timer went off meanwhile, but each once now
    visitor.page.locator(f"#qr[data-link='{later[2][1]}']").wait_for()
    assert visitor.qr_photographed() == visitor.qr_link()


def test_a_code_that_could_not_be_drawn_is_drawn_when_the_connection_is_back(
    rig: Rig, arrive: Arrive
) -> None:
    visitor = arrive()
    visitor.page.clock.install()
    visitor.begin("gov24")
    before = visitor.qr_link()
    tries: list[str] = []

    def lost(route: Route) -> None:
        tries.append(route.request.url)
        route.abort() if len(tries) == 1 else route.continue_()

    visitor.page.route("**/static/qr.js*", lost)
    time_passes(rig, visitor, STALE_QR_S + 5)
    visitor.page.locator("#qr[data-draw$='&']").wait_for()
    assert visitor.qr_link() == before
    time_passes(rig, visitor, 10)
    visitor.page.locator(f"#qr:not([data-link='{before}'])").wait_for()
    assert visitor.complaints == ["console error: Failed to load resource: net::ERR_FAILED"]
    visitor.complaints.clear()


def test_the_page_moves_on_where_there_is_no_stream(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.begin("gov24")
    outcome = rig.portal("gov24").show(visitor.qr_link())
    assert outcome.status == 200
    visitor.page.locator("#number").wait_for()
