"""Pages that wait, with a clock that can be moved, at a server that holds no stream: here the page asks by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.visitor import DESK, LOCALES, Demo, Visitor
from tests.rig import Rig

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


def test_a_qr_code_is_replaced_before_it_is_too_old(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.begin("gov24")
    before = visitor.qr_link()
    rig.clock.forward(STALE_QR_S)
    visitor.page.locator(f"#qr:not([data-link='{before}'])").wait_for()
    assert visitor.path.startswith("/login/")


def test_a_qr_code_is_replaced_where_it_stands(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.begin("gov24")
    before, code = visitor.qr_link(), visitor.qr_code()
    visitor.page.evaluate("document.title = 'the same page'")
    visitor.page.locator("#wallet-link").focus()
    rig.clock.forward(STALE_QR_S)
    visitor.page.locator(f"#qr:not([data-link='{before}'])").wait_for()
    assert visitor.page.title() == "the same page"
    assert visitor.page.locator("#wallet-link:focus").count() == 1
    assert visitor.qr_code() != code
    assert visitor.qr_photographed() == visitor.qr_link()
    assert visitor.page.locator("#qr-link").get_attribute("href") == visitor.qr_link()


def test_a_page_asks_for_a_fresh_code_though_nothing_tells_it_to(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.page.clock.install()
    visitor.page.route("**/status", lambda route: route.fulfill(json={"state": "waiting"}))
    visitor.begin("gov24")
    before = visitor.qr_link()
    rig.clock.forward(STALE_QR_S)
    visitor.page.clock.run_for((STALE_QR_S + 5) * 1000)
    visitor.page.locator(f"#qr:not([data-link='{before}'])").wait_for()


def test_a_qr_code_that_nobody_looks_at_stays_until_somebody_does(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.context.add_init_script(
        "Object.defineProperty(Document.prototype, 'hidden', { get: () => window.isHidden ?? false })"
    )
    visitor.page.clock.install()
    visitor.begin("gov24")
    before = visitor.qr_link()
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    turn = "isHidden = {}; document.dispatchEvent(new Event('visibilitychange'))"
    visitor.page.evaluate(turn.format("true"))
    rig.clock.forward(STALE_QR_S)
    visitor.page.clock.run_for(STALE_QR_S * 1000)
    assert [url for url in asked if url.endswith("/qr")] == []
    visitor.page.evaluate(turn.format("false"))
    visitor.page.locator(f"#qr:not([data-link='{before}'])").wait_for()


def test_the_page_moves_on_where_there_is_no_stream(rig: Rig, arrive: Arrive) -> None:
    visitor = arrive()
    visitor.begin("gov24")
    outcome = rig.portal("gov24").show(visitor.qr_link())
    assert outcome.status == 200
    visitor.page.locator("#number").wait_for()
