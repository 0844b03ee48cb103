"""Every page a person can come to, in both languages, on a phone and at a desk: its frame, and a picture of it.

Korean ones are in light colours, English ones in dark ones: a page has both from one style sheet.

With IDP_TEST_SCREENSHOTS=directory the pictures are kept there, to be looked at; without it none are taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.album import Album
from tests.browser.conftest import NewVisitor, demonstration
from tests.browser.virtual_wallet import VirtualWallet
from tests.browser.visitor import PHONE, PORTALS, Demo, Visitor

HANGUL = re.compile("[가-힣]")
COLOURS = {"ko": "light", "en": "dark"}


@pytest.fixture(scope="module")
def demo(chromium_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demonstration where nobody has agreed to anything yet."""
    with demonstration(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(params=["ko", "en"])
def album(request: pytest.FixtureRequest, new_visitor: NewVisitor, axe: str) -> Album:
    return Album(new_visitor(request.param, color_scheme=COLOURS[request.param]), axe)


@pytest.fixture
def phones(album: Album, new_visitor: NewVisitor) -> Callable[[], Visitor]:
    """phones(): a person with a phone, who reads the same language."""
    lang = album.visitor.lang
    return lambda: new_visitor(lang, PHONE, color_scheme=COLOURS[lang])


def test_pages_of_one_device(album: Album) -> None:
    visitor = album.visitor
    visitor.page.goto(visitor.demo.portals)
    album.add("start")
    for portal in PORTALS:
        visitor.open_portal(portal)
        album.add(f"portal-{portal}")
        if portal == "bank":  # nobody can add to a pushed request, so each language has its own person
            visitor.press("#sign-in")
        else:
            visitor.begin_with(portal, prompt="consent")
        album.add(f"sign-in-{portal}")
        visitor.open_wallet()
        album.add(f"wallet-request-{portal}")
        visitor.show("park" if portal == "bank" and visitor.lang == "en" else "hong")
        album.add(f"consent-{portal}")
        if portal == "apostille":
            visitor.page.locator("#consent").evaluate("form => form.noValidate = true")
            visitor.press("#agree")
            album.add("consent-not-ticked")
        visitor.agree()
        visitor.claims()
        album.add(f"result-{portal}")
        visitor.page.locator("#logout button").click()
        visitor.page.locator("#signed-out").wait_for()
    album.add("portal-signed-out")


def test_pages_of_two_devices(album: Album, phones: Callable[[], Visitor]) -> None:
    desk, phone = album.visitor, phones()
    phone.page.goto(phone.demo.wallet)
    album.add("wallet", phone)
    desk.begin("efamily")
    wallet = VirtualWallet(desk)
    wallet.declines()
    desk.page.locator("#show").click()
    desk.page.locator("#digital-status p").wait_for()
    album.add("sign-in-closed")
    wallet.says("openid4vp-v1-signed", {"error": "access_denied"})
    desk.page.locator("#show").click()
    desk.page.locator("#digital-status p").nth(3).wait_for()
    album.add("sign-in-refused")
    desk.begin("efamily")
    phone.scan(desk.qr_link())
    desk.page.locator("#fetched").wait_for()
    album.add("fetched")
    desk.page.locator("main summary").click()
    album.add("fetched-details")
    phone.show("kim")
    album.add("wallet-rejected", phone)
    desk.page.locator("[role=alert]").wait_for()
    album.add("sign-in-problem")
    phone.scan(desk.qr_link())
    phone.show("hong")
    album.add("number-on-the-phone", phone)
    desk.page.locator("#number").wait_for()
    album.add("number")
    wrong = f"{(int(phone.number_on_the_phone()) + 1) % 10_000:04}"
    desk.type_number(wrong)
    album.add("number-wrong")
    desk.type_number(wrong)
    desk.type_number(wrong)
    album.add("number-limit")
    desk.press("main a.button.main")
    album.add("portal-error")


def test_pages_of_the_national_app(album: Album, phones: Callable[[], Visitor]) -> None:
    desk, phone = album.visitor, phones()
    phone.page.goto(f"{phone.demo.portals}mobileid/")
    album.add("mobileid", phone)
    desk.begin("apostille")
    desk.choose_app("mobile-id")
    album.add("sign-in-mobileid")
    phone.scan_with_mobileid(desk.qr_code())
    album.add("mobileid-request", phone)
    phone.press("#present button[value=cancel]")
    album.add("mobileid-cancelled", phone)
    desk.page.locator("[role=alert]").wait_for()
    album.add("sign-in-mobileid-cancelled")
    phone.scan_with_mobileid(desk.qr_code())
    phone.approve("hong")
    album.add("mobileid-submitted", phone)
    desk.page.locator("#number").wait_for()
    album.add("number-mobileid")
    desk.type_number("zzzz")
    album.add("number-mobileid-wrong")
    phone.page.goto(f"{phone.demo.portals}mobileid/verify?data=e30")
    album.add("mobileid-refused", phone)


def test_pages_of_the_open_did_wallet(album: Album, phones: Callable[[], Visitor]) -> None:
    desk, phone = album.visitor, phones()
    phone.page.goto(f"{phone.demo.portals}open-did/")
    album.add("open-did", phone)
    desk.begin("gov24")
    desk.choose_app("demo-open-did")
    album.add("sign-in-open-did")
    phone.page.locator("#link").fill(desk.qr_code())
    phone.press("#scan button")
    album.add("open-did-request", phone)
    phone.press("#present button[value=refuse]")
    album.add("open-did-refused", phone)


def test_pages_where_something_went_another_way(album: Album, phones: Callable[[], Visitor]) -> None:
    visitor, other = album.visitor, phones()
    visitor.begin("gov24")
    other.page.goto(visitor.page.locator("#wallet-link").get_attribute("href") or "")
    other.show_and_stay("hong")
    visitor.page.locator("#elsewhere").wait_for()
    album.add("elsewhere")
    visitor.cancel()
    visitor.begin("gov24")
    other = phones()
    other.page.goto(visitor.page.locator("#wallet-link").get_attribute("href") or "")
    other.show("hong")
    album.add("other-browser", other)
    visitor.page.locator("text=SINWON-L004").wait_for()
    album.add("other-browser-first")
    visitor.page.goto(f"{visitor.demo.wallet}open?client_id=nobody")
    album.add("wallet-refused")
    for persona, outcome in (("moon", "silent"), ("kang", "declined")):
        visitor.begin("gov24")
        other.scan(visitor.qr_link())
        other.show(persona)
        assert other.page.locator("#outcome").get_attribute("data-outcome") == outcome
        album.add(f"wallet-{outcome}", other)


def test_error_pages(album: Album) -> None:
    visitor = album.visitor
    issuer = visitor.demo.issuer
    for name, address, status in (
        ("unknown-portal", f"{issuer}/authorize?client_id=nobody&response_type=code", 400),
        (
            "unregistered-redirect",
            f"{issuer}/authorize?client_id=gov24&redirect_uri=https://evil.example/",
            400,
        ),
        ("repeated-parameter", f"{issuer}/authorize?client_id=gov24&client_id=gov24", 400),
        ("no-page", f"{issuer}/there/is/nothing", 404),
        ("wrong-method", f"{issuer}/login/{'a' * 22}/cancel", 405),
        ("unknown-login", f"{issuer}/login/{'a' * 22}", 404),
        ("unknown-number", f"{issuer}/wallet/done/{'a' * 22}.b", 404),
        ("logged-out", f"{issuer}/logout", 200),
        ("guests-no-page", f"{visitor.demo.portals}nobody/", 404),
        ("guests-wrong-method", f"{visitor.demo.wallet}scan", 405),
    ):
        answered = visitor.page.goto(address)
        assert answered is not None
        assert answered.status == status, name
        album.add(f"error-{name}" if status >= 400 else name)
        if visitor.lang == "en":
            assert not HANGUL.search(visitor.page.locator("main").inner_text()), name


def test_asking_before_signing_out(album: Album) -> None:
    album.visitor.sign_in("gov24", "hong")
    album.visitor.page.goto(f"{album.visitor.demo.issuer}/logout")
    album.add("logout")
    album.visitor.press("main button")
    album.add("signed-out")
