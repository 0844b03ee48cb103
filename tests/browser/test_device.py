"""A counter's code on a phone: from the code to the end, as a person sees it.

With IDP_TEST_SCREENSHOTS=directory a picture of every page is kept there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.at_counter import Counter
from tests.browser.conftest import NewVisitor
from tests.browser.visitor import DESK, LOCALES, PHONE, Demo, Visitor
from tests.rig import Rig

OVERFLOW = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture
def desk(rig: Rig) -> Counter:
    registered = next(p for p in rig.prepared.portals() if p["client_id"] == "counter")
    members = ("name", "operator", "scopes", "claims", "credential_types", "retention", "client_uri")
    return Counter(rig, "screen", **{name: registered[name] for name in members})


@pytest.fixture(params=["ko", "en"])
def phone(rig: Rig, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    lang = request.param
    context = chromium.new_context(locale=LOCALES[lang], viewport=PHONE)  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    guests = rig.prepared.wallet_link.rpartition("/wallet")[0]
    visitor = Visitor(
        Demo(rig.issuer, f"{guests}/", f"{guests}/wallet/", f"{rig.issuer}/console", rig.prepared.directory),
        context,
        lang,
    )
    yield visitor
    context.close()
    assert visitor.complaints == []


def look(phone: Visitor, name: str) -> None:
    """The page fits the phone and speaks its language; its picture is kept where that is asked for."""
    assert phone.page.evaluate(OVERFLOW) <= 0, name
    assert phone.page.locator("html").get_attribute("lang") == phone.lang
    directory = os.environ.get("IDP_TEST_SCREENSHOTS")
    for size, viewport in (("phone", PHONE), ("desk", DESK)):
        if directory:
            phone.page.set_viewport_size(viewport)  # type: ignore[arg-type]
            path = Path(directory) / f"{name}.{phone.lang}.{size}.png"
            phone.page.screenshot(path=path, full_page=True)
    phone.page.set_viewport_size(PHONE)  # type: ignore[arg-type]


def test_a_code_is_typed_compared_and_answered(rig: Rig, desk: Counter, phone: Visitor) -> None:
    codes = desk.codes()
    phone.page.goto(codes["verification_uri"])
    look(phone, "device")
    phone.page.locator("#user-code:focus").wait_for()
    phone.page.keyboard.type("bcdf ghjk")
    with phone.page.expect_navigation():
        phone.page.keyboard.press("Enter")
    assert phone.page.locator("#wrong").is_visible()
    assert phone.page.locator("#user-code").get_attribute("aria-invalid") == "true"
    look(phone, "device-wrong")
    phone.page.locator("#user-code").fill(codes["user_code"].lower())
    phone.press("#device button")
    assert phone.page.locator("#shown-code").inner_text() == codes["user_code"]
    look(phone, "device-confirm")
    phone.press("#confirm")
    look(phone, "device-sign-in")
    phone.open_wallet()
    phone.show("park" if phone.lang == "ko" else "namgoong")
    look(phone, "device-consent")
    phone.agree()
    assert phone.path == "/device/done"
    look(phone, "device-done")
    assert [cookie["name"] for cookie in phone.cookies() if "session" in cookie["name"]] == []
    assert desk.poll(codes).status_code == 200


def test_a_stray_enter_key_confirms_nothing(desk: Counter, phone: Visitor) -> None:
    codes = desk.codes()
    phone.page.goto(codes["verification_uri_complete"])
    first = phone.page.locator("#decide button").first
    assert first.get_attribute("value") == "refuse"
    phone.press("#decide button[value=refuse]")
    assert phone.path == "/device/refused"
    look(phone, "device-refused")
    assert desk.poll(codes).json()["error"] == "access_denied"
    phone.page.goto(codes["verification_uri_complete"])
    look(phone, "device-used")


def test_a_second_phone_is_told_that_the_code_is_in_use(
    rig: Rig, desk: Counter, chromium: Browser, phone: Visitor
) -> None:
    codes = desk.codes()
    phone.page.goto(codes["verification_uri_complete"])
    phone.press("#confirm")
    with chromium.new_context(locale="ko-KR") as other:
        page = other.new_page()
        page.goto(codes["verification_uri_complete"])
        assert "SINWON-L010" in page.content()


def test_the_language_can_be_changed_without_losing_the_code(desk: Counter, phone: Visitor) -> None:
    codes = desk.codes()
    phone.page.goto(codes["verification_uri_complete"])
    other = "en" if phone.lang == "ko" else "ko"
    phone.speak(other)
    assert phone.page.locator("html").get_attribute("lang") == other
    assert phone.page.locator("#shown-code").inner_text() == codes["user_code"]
    phone.press("#confirm")
    assert phone.page.locator("html").get_attribute("lang") == other


def test_it_works_without_scripts(rig: Rig, desk: Counter, chromium: Browser) -> None:
    codes = desk.codes()
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(codes["verification_uri"])
        page.locator("#user-code").fill(codes["user_code"])
        with page.expect_navigation():
            page.locator("#device button").click()
        with page.expect_navigation():
            page.locator("#confirm").click()
        assert urlsplit(page.url).path.startswith("/login/")


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_visitor_of_the_demonstrations_counter_confirms_on_a_phone(
    new_visitor: NewVisitor, lang: str
) -> None:
    officer, phone = new_visitor("ko"), new_visitor(lang, PHONE)
    officer.page.goto(f"{officer.demo.portals}counter/")
    officer.press("#call button")
    phone.page.goto(officer.page.locator("#qr").get_attribute("data-link") or "")
    assert phone.page.locator("#shown-code").inner_text() == officer.page.locator("#user-code").inner_text()
    assert phone.page.locator("html").get_attribute("lang") == lang  # the officer's screen is in Korean
    phone.press("#confirm")
    phone.open_wallet()
    phone.show("hong")
    phone.agree_if_asked()
    assert phone.path == "/device/done"
    officer.page.locator("#person").wait_for(timeout=20_000)
    assert officer.page.locator("#person [data-claim=name]").inner_text() == "홍길동"
    assert officer.page.locator("#person img.photo").is_visible()


def test_an_officer_sees_that_the_visitor_refused(new_visitor: NewVisitor) -> None:
    officer, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    officer.page.goto(f"{officer.demo.portals}counter/")
    officer.press("#call button")
    phone.page.goto(officer.page.locator("#qr").get_attribute("data-link") or "")
    phone.press("#decide button[value=refuse]")
    officer.page.locator("#outcome").wait_for(timeout=20_000)
    assert officer.page.locator("#error-code").inner_text() == "access_denied"
