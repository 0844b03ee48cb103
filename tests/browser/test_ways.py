"""The way that fits: what stands first, what leads out of an app's own browser, and what waits for the connection."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.album import Album
from tests.browser.conftest import NewVisitor
from tests.browser.visitor import DESK, PHONE, Visitor

TABLET = {"width": 1180, "height": 820}
NARROW = {"width": 320, "height": 640}
TOUCH = {"has_touch": True, "is_mobile": True}
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
GALAXY = "Mozilla/5.0 (Linux; Android 14; SM-S911N; wv) AppleWebKit/537.36 Mobile Safari/537.36"
KAKAO = {"user_agent": f"{GALAXY} KAKAOTALK 10.8.5"}
NAVER = {"user_agent": f"{IPHONE} NAVER(inapp; search; 1000; 12.0.0)"}


def first(visitor: Visitor) -> str:
    """Which way stands higher on the screen."""
    tops = {way: visitor.page.locator(f".{way}").bounding_box() for way in ("way-link", "way-qr")}
    return min(tops, key=lambda way: (tops[way] or {"y": 0})["y"])


@pytest.mark.parametrize(
    ("viewport", "more", "way"),
    [
        (DESK, {}, "way-qr"),
        (NARROW, {}, "way-link"),
        (PHONE, TOUCH, "way-link"),
        (TABLET, TOUCH, "way-link"),
    ],
    ids=["desk", "narrow", "phone", "tablet"],
)
def test_the_way_that_fits_stands_first_and_the_other_one_is_there(
    new_visitor: NewVisitor, viewport: dict[str, int], more: dict[str, Any], way: str
) -> None:
    visitor = new_visitor("ko", viewport, **more)
    visitor.begin("gov24")
    assert first(visitor) == way
    assert visitor.page.locator("#wallet-link").is_visible()
    assert visitor.page.locator("#qr").is_visible()


@pytest.mark.parametrize(("hint", "order"), [("?1", ["link", "qr"]), ("?0", ["qr", "link"])])
def test_the_document_follows_what_the_browser_says(visitor: Visitor, hint: str, order: list[str]) -> None:
    visitor.begin("gov24")
    page = visitor.context.request.get(visitor.page.url, headers={"Sec-CH-UA-Mobile": hint}).text()
    assert re.findall(r'class="card way-(link|qr)', page) == order


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_an_apps_own_browser_gets_the_way_out(new_visitor: NewVisitor, axe: str, lang: str) -> None:
    kakao, naver = new_visitor(lang, NARROW, **KAKAO), new_visitor(lang, NARROW, **NAVER)
    for visitor in (kakao, naver):
        visitor.begin("gov24")
        address = visitor.page.locator("#front-door").input_value()
        assert address.startswith(visitor.demo.portals)
        assert "/login/" not in address
    link = kakao.page.locator("#leave-app").get_attribute("href") or ""
    assert link.startswith("kakaotalk://web/openExternal?url=http%3A%2F%2F")
    assert naver.page.locator("#leave-app").count() == 0
    Album(kakao, axe).add("sign-in-in-app")


def test_another_browser_has_no_such_notice(visitor: Visitor) -> None:
    visitor.begin("gov24")
    assert visitor.page.locator(".in-app").count() == 0


def test_the_link_of_the_code_can_be_copied(new_visitor: NewVisitor) -> None:
    visitor = new_visitor("en", permissions=["clipboard-read", "clipboard-write"])
    visitor.begin("gov24")
    visitor.page.locator("main summary").click()
    visitor.page.locator("[data-copy=qr-copy]").click()
    visitor.page.get_by_text("Copied.").wait_for()
    assert visitor.page.evaluate("navigator.clipboard.readText()") == visitor.qr_link()


def test_a_page_with_a_stream_goes_on_by_itself_when_the_connection_is_back(new_visitor: NewVisitor) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    code = desk.qr_link()
    desk.context.set_offline(True)
    desk.page.locator("#offline:not(:empty)").wait_for()
    phone.scan(code)
    phone.show("park")
    desk.context.set_offline(False)
    desk.page.locator("#number").wait_for()
    desk.type_number(phone.number_on_the_phone())
    desk.agree_if_asked()
    assert desk.claims()["name"] == "박민수"


def test_a_consent_that_cannot_be_sent_is_not_lost(visitor: Visitor) -> None:
    visitor.begin_with("gov24", prompt="consent")
    visitor.open_wallet()
    visitor.show("hong")
    visitor.page.locator("#remember").check()
    visitor.context.set_offline(True)
    visitor.page.locator("#offline:not(:empty)").wait_for()
    visitor.page.locator("#agree").click()
    assert visitor.at_consent()
    assert visitor.page.locator("#remember").is_checked()
    visitor.context.set_offline(False)
    visitor.page.locator("#offline:empty").wait_for(state="attached")
    visitor.agree()
    assert visitor.claims()["name"] == "홍길동"


def test_time_is_korean_and_whoever_lives_elsewhere_reads_their_own_beside_it(
    new_visitor: NewVisitor,
) -> None:
    abroad = new_visitor("en", timezone_id="America/Los_Angeles")
    abroad.begin("gov24")
    assert "Korean time" in abroad.page.locator(".time").inner_text()
    assert "where you are" in abroad.page.locator(".time").inner_text()
    home = new_visitor("en", timezone_id="Asia/Seoul")
    home.begin("gov24")
    assert "Korean time" in home.page.locator(".time").inner_text()
    assert "where you are" not in home.page.locator(".time").inner_text()
