"""The QR code: a desk where the sign-in begins, a phone where it is approved."""

from __future__ import annotations

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, Visitor


def test_the_page_at_the_desk_moves_on_by_itself(new_visitor: NewVisitor) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    desk.page.locator("#fetched").wait_for()
    phone.show("park")
    desk.page.locator("#number").wait_for()
    assert "park" not in desk.page.content()
    desk.type_number(phone.number_on_the_phone())
    desk.agree_if_asked()
    assert desk.claims()["name"] == "박민수"
    assert phone.login_cookies() == []


def test_the_page_hears_by_the_event_stream_and_asks_no_more_than_that(new_visitor: NewVisitor) -> None:
    desk = new_visitor("ko")
    desk.open_portal("gov24")
    with desk.page.expect_response("**/events") as stream:
        desk.page.locator("#sign-in").click()
    assert stream.value.headers["content-type"] == "text/event-stream"
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    desk.page.wait_for_timeout(2_500)  # longer than the first look of a page without a stream
    assert asked == []


def test_the_number_field_has_the_focus_and_takes_digits_from_the_keyboard_alone(
    new_visitor: NewVisitor,
) -> None:
    desk, phone = new_visitor("en"), new_visitor("en", PHONE)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    phone.show("park")
    desk.page.locator("#number:focus").wait_for()
    desk.page.keyboard.type(phone.number_on_the_phone())
    with desk.page.expect_navigation():
        desk.page.keyboard.press("Enter")
    desk.agree_if_asked()
    assert desk.claims()["name"] == "박민수"


def test_a_wrong_number_can_be_typed_again(new_visitor: NewVisitor) -> None:
    desk, phone = at_the_number(new_visitor)
    desk.type_number(another(phone.number_on_the_phone()))
    assert desk.page.locator("#wrong").is_visible()
    assert desk.page.locator("#number").get_attribute("aria-invalid") == "true"
    desk.type_number(phone.number_on_the_phone())
    desk.agree_if_asked()
    assert desk.claims()["name"] == "박민수"


def test_three_wrong_numbers_end_the_sign_in_with_a_way_back_to_the_portal(new_visitor: NewVisitor) -> None:
    desk, phone = at_the_number(new_visitor)
    for _ in range(3):
        desk.type_number(another(phone.number_on_the_phone()))
    assert "SINWON-L007" in desk.page.locator("main").inner_text()
    desk.press("main a.button.main")
    assert desk.error_code() == "access_denied"


def test_a_number_that_is_not_four_digits_is_stopped_by_the_page(new_visitor: NewVisitor) -> None:
    desk, _ = at_the_number(new_visitor)
    desk.page.locator("#number").fill("12")
    desk.page.locator("#confirm button").click()
    assert desk.page.locator("#number:invalid").count() == 1
    assert desk.page.locator("#wrong").count() == 0


def test_a_reload_of_the_phones_page_shows_the_same_number(new_visitor: NewVisitor) -> None:
    _, phone = at_the_number(new_visitor)
    number = phone.number_on_the_phone()
    phone.page.reload()
    assert phone.number_on_the_phone() == number


def at_the_number(new_visitor: NewVisitor) -> tuple[Visitor, Visitor]:
    """A desk that asks for the number, and the phone that shows it."""
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    phone.show("park")
    desk.page.locator("#number").wait_for()
    return desk, phone


def another(number: str) -> str:
    return f"{(int(number) + 1) % 10_000:04}"
