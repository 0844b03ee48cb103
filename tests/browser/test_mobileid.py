"""The national app beside the other wallet: chosen on the sign-in page, its code scanned or its link opened."""

from __future__ import annotations

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, Visitor

HONG, KIM = "LAX-2024-0000017", "AKL-2024-0000023"


def at_the_end_of_the_number(new_visitor: NewVisitor, persona: str = "hong", **more: bool) -> Visitor:
    desk, phone = new_visitor("ko", **more), new_visitor("ko", PHONE, **more)
    desk.begin("gov24")
    desk.choose_app("mobile-id")
    phone.scan_with_mobileid(desk.qr_code())
    phone.approve(persona)
    return desk


def test_a_holder_signs_in_across_two_devices(new_visitor: NewVisitor) -> None:
    desk = at_the_end_of_the_number(new_visitor)
    desk.page.locator("#number:focus").wait_for()
    assert "홍길동" not in desk.page.content()
    desk.type_number(HONG[-4:])
    desk.agree_if_asked()
    assert desk.claims()["birthdate"] == "1985-03-14"


def test_a_holder_signs_in_on_one_device_where_the_app_opens_beside_the_page(new_visitor: NewVisitor) -> None:
    holder = new_visitor("en", PHONE)
    holder.begin("gov24")
    holder.choose_app("mobile-id")
    with holder.context.expect_page() as opened:
        holder.page.locator("#wallet-link").click()
    browser, holder.page = holder.page, opened.value
    holder.approve("kim")
    holder.page.close()
    holder.page = browser
    holder.page.locator("#number").wait_for()
    holder.type_number(KIM[-4:])
    holder.agree_if_asked()
    assert holder.claims()["name"] == "김영희"


def test_the_number_of_somebody_else_is_not_taken(new_visitor: NewVisitor) -> None:
    desk = at_the_end_of_the_number(new_visitor)
    desk.page.locator("#number").wait_for()
    desk.type_number(KIM[-4:])
    assert desk.page.locator("#wrong").is_visible()
    desk.type_number(HONG[-4:])
    desk.agree_if_asked()
    assert desk.claims()["name"] == "홍길동"


def test_who_cancels_in_the_app_reads_so_at_the_desk_and_may_use_the_other_wallet(
    new_visitor: NewVisitor,
) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    desk.choose_app("mobile-id")
    phone.scan_with_mobileid(desk.qr_code())
    desk.page.locator("#fetched").wait_for()
    phone.press("#present button[value=cancel]")
    assert "SINWON-W001" in desk.page.locator("[role=alert]").inner_text()
    desk.choose_app("demo")
    desk.open_wallet()
    desk.show("hong")
    desk.agree_if_asked()
    assert desk.claims()["name"] == "홍길동"


def test_a_holder_signs_in_where_no_script_runs(new_visitor: NewVisitor) -> None:
    desk = at_the_end_of_the_number(new_visitor, java_script_enabled=False)
    desk.page.reload()
    desk.type_number(HONG[-4:].lower())
    desk.agree_if_asked()
    assert desk.claims()["name"] == "홍길동"


def test_a_portal_that_keeps_to_one_device_does_not_offer_it(new_visitor: NewVisitor) -> None:
    holder = new_visitor("ko", PHONE)
    holder.begin("bank")
    assert holder.page.locator("a[href*='wallet=mobile-id']").count() == 0
    holder.begin("gov24")
    assert holder.page.locator("a[href*='wallet=mobile-id']").count() == 1
