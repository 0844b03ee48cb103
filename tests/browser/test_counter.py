"""The consular counter in Chromium: an officer's screen, visitors' phones, and both languages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.test_pages import HANGUL, Album, album, phones
from tests.browser.visitor import PHONE, Visitor

__all__ = ["album", "phones"]

CONFIRMED = {"ko": "대조할 차례", "en": "compare now"}


def open_counter(officer: Visitor) -> None:
    officer.page.goto(f"{officer.demo.portals}counter/")


def call(officer: Visitor, matter: str = "passport") -> str:
    """The next visitor: what the QR code on the screen says."""
    officer.page.locator("#matter").select_option(matter)
    officer.press("#call button")
    return officer.qr_link()


def identify(phone: Visitor, link: str, persona: str) -> None:
    """Scan, compare the code, show a certificate, agree."""
    phone.page.goto(link)
    phone.press("#confirm")
    phone.open_wallet()
    phone.show(persona)
    phone.agree_if_asked()
    phone.page.wait_for_url(re.compile(r"/device/done"))


@pytest.mark.parametrize(("lang", "persona", "name"), [("ko", "hong", "홍길동"), ("en", "choi", "최장")])
def test_an_officer_compares_face_and_photograph(
    new_visitor: NewVisitor, lang: str, persona: str, name: str
) -> None:
    officer, phone = new_visitor(lang), new_visitor(lang, PHONE)
    open_counter(officer)
    link = call(officer)
    shown = officer.page.locator("#user-code").inner_text()
    phone.page.goto(link)
    assert phone.page.locator("#shown-code").inner_text() == shown
    identify(phone, link, persona)
    # The screen changes by itself, and says so to a screen reader.
    officer.page.locator("#person").wait_for(timeout=20_000)
    assert CONFIRMED[lang] in officer.page.locator("#news").inner_text()
    assert officer.page.locator("dd[data-claim=name]").inner_text() == name
    photo = officer.page.locator("img.photo")
    assert photo.evaluate("image => image.complete && image.naturalWidth") > 0
    officer.press("#decide button[value=finish]")
    assert officer.page.locator("#outcome").is_visible()
    assert name not in officer.page.content()
    officer.press("#clear button")
    assert officer.page.locator(".ticket-row").count() == 0


def test_several_visitors_wait_at_once(new_visitor: NewVisitor) -> None:
    officer, first, second = new_visitor("en"), new_visitor("en", PHONE), new_visitor("en", PHONE)
    open_counter(officer)
    links = [call(officer, matter) for matter in ("passport", "notary", "family")]
    assert len(set(links)) == 3
    identify(second, links[1], "namgoong")
    first.page.goto(links[0])
    first.press("#decide button[value=refuse]")
    rows = officer.page.locator(".ticket-row")
    # The newest ticket stands first.
    for state in ("confirmed", "denied"):
        officer.page.locator(f".ticket-row[data-state={state}]").wait_for(timeout=20_000)
    states = [row.get_attribute("data-state") for row in rows.all()]
    assert states == ["waiting", "confirmed", "denied"]
    rows.nth(1).click()
    assert officer.page.locator("dd[data-claim=name]").inner_text() == "남궁민"


def test_pages_of_the_counter(album: Album, phones: Callable[[], Visitor]) -> None:
    officer, phone = album.visitor, phones()
    open_counter(officer)
    album.add("counter")
    refused = call(officer, "notary")
    album.add("counter-waiting")
    phone.page.goto(refused)
    album.add("device-confirm", phone)
    phone.press("#decide button[value=refuse]")
    album.add("device-refused", phone)
    officer.page.locator("#outcome").wait_for(timeout=20_000)
    album.add("counter-denied")
    identify(phone, call(officer), {"ko": "namgoong", "en": "park"}[officer.lang])
    album.add("device-done", phone)
    officer.page.locator("#person").wait_for(timeout=20_000)
    album.add("counter-person")
    officer.press("#decide button[value=mismatch]")
    album.add("counter-mismatch")
    if officer.lang == "en":
        assert not HANGUL.search(officer.page.locator("main").inner_text())
