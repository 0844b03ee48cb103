"""An Open DID wallet beside the sign-in page: by its button on one device, by its QR code on two."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, Visitor

ANSWERED = "#outcome, #result, #consent, #confirmation-number, [role=alert]"


def show_from_open_did(visitor: Visitor, persona: str) -> None:
    visitor.page.locator(f"input[name=persona][value={persona}]").check()
    visitor.press("#present button[value=show]")
    visitor.page.locator(ANSWERED).first.wait_for()


def scan_with_open_did(phone: Visitor, code: str) -> None:
    phone.page.goto(f"{phone.demo.portals}open-did/")
    phone.page.locator("#link").fill(code)
    phone.page.locator("#scan button").click()
    phone.page.locator("#present").wait_for()


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_holder_signs_in_on_one_device(new_visitor: NewVisitor, lang: str) -> None:
    holder = new_visitor(lang, PHONE)
    holder.begin("gov24")
    holder.choose_app("demo-open-did")
    holder.open_wallet()
    show_from_open_did(holder, "hong")
    holder.page.goto(holder.page.url)
    holder.agree_if_asked()
    assert holder.claims()["birthdate"] == "1985-03-14"


def test_a_holder_signs_in_on_two_devices(new_visitor: NewVisitor) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    desk.choose_app("demo-open-did")
    scan_with_open_did(phone, desk.qr_code())
    show_from_open_did(phone, "hong")
    desk.page.locator("#number").wait_for()
    desk.type_number(phone.number_on_the_phone())
    desk.agree_if_asked()
    assert desk.claims()["birthdate"] == "1985-03-14"
