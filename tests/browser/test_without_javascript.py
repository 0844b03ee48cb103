"""The same pages where no script runs."""

from __future__ import annotations

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, Visitor


def test_a_holder_signs_in_on_one_device(new_visitor: NewVisitor) -> None:
    holder = new_visitor("ko", PHONE, java_script_enabled=False)
    holder.begin("apostille")
    holder.open_wallet()
    holder.show("park")
    holder.agree_if_asked()
    assert holder.claims()["name"] == "박민수"


def test_a_holder_signs_in_across_two_devices_by_refreshing(new_visitor: NewVisitor) -> None:
    desk = new_visitor("en", java_script_enabled=False)
    phone = new_visitor("en", PHONE, java_script_enabled=False)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    refresh(desk)
    assert desk.page.locator("#fetched").is_visible()
    phone.show("park")
    refresh(desk)
    desk.type_number(phone.number_on_the_phone())
    desk.agree_if_asked()
    assert desk.claims()["name"] == "박민수"


def test_the_page_refreshes_itself_but_not_while_a_number_is_typed(new_visitor: NewVisitor) -> None:
    desk = new_visitor("ko", java_script_enabled=False)
    phone = new_visitor("ko", PHONE, java_script_enabled=False)
    desk.begin("gov24")
    assert desk.page.locator("meta[http-equiv=refresh]").count() == 1
    phone.scan(desk.qr_link())
    phone.show("park")
    refresh(desk)
    assert desk.page.locator("#number").is_visible()
    assert desk.page.locator("meta[http-equiv=refresh]").count() == 0


def refresh(desk: Visitor) -> None:
    """The link that every waiting page has."""
    desk.press(".time a")
