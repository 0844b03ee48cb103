"""What people do with browsers: two tabs, reload, back, another language, another browser, a double click."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, Visitor


def test_two_logins_in_one_browser_do_not_disturb_each_other(visitor: Visitor) -> None:
    first = visitor.page
    visitor.begin("gov24")
    second = visitor.page = visitor.context.new_page()
    visitor.begin("g4k")
    assert len(visitor.login_cookies()) == 2
    visitor.page = first
    visitor.open_wallet()
    visitor.page = second
    visitor.open_wallet()
    visitor.show("kim")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "김영희"
    visitor.page = first
    visitor.show("hong")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "홍길동"
    visitor.page = second
    visitor.page.reload()
    assert visitor.claims()["name"] == "김영희"


def test_cancelling_one_of_two_logins_leaves_the_other(visitor: Visitor) -> None:
    first = visitor.page
    visitor.begin("gov24")
    visitor.page = visitor.context.new_page()
    visitor.begin("gov24")
    visitor.cancel()
    assert visitor.error_code() == "access_denied"
    visitor.page = first
    visitor.open_wallet()
    visitor.show("hong")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "홍길동"


def test_after_one_sign_in_the_next_portal_asks_for_consent_alone(visitor: Visitor) -> None:
    visitor.sign_in("gov24", "hong")
    visitor.begin_with("efamily", prompt="consent")
    assert visitor.at_consent()
    visitor.agree()
    assert visitor.claims()["name"] == "홍길동"


def test_every_page_survives_a_reload(visitor: Visitor) -> None:
    visitor.begin_with("gov24", prompt="consent")
    visitor.page.reload()
    visitor.open_wallet()
    visitor.page.reload()
    visitor.show("hong")
    heading = visitor.heading
    visitor.page.reload()
    assert visitor.at_consent()
    assert visitor.heading == heading
    visitor.agree()
    assert visitor.claims()["name"] == "홍길동"
    visitor.page.reload()
    assert visitor.claims()["name"] == "홍길동"


def test_back_from_the_wallet_shows_the_login_and_the_wallet_can_be_opened_again(visitor: Visitor) -> None:
    visitor.begin("gov24")
    visitor.open_wallet()
    visitor.page.go_back()
    assert visitor.path.startswith("/login/")
    visitor.page.locator("#fetched").wait_for()
    visitor.open_wallet()
    visitor.show("hong")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "홍길동"


def test_back_from_consent_and_forward_again_loses_nothing(visitor: Visitor) -> None:
    visitor.begin_with("gov24", prompt="consent")
    visitor.open_wallet()
    visitor.show("hong")
    visitor.page.go_back()
    visitor.page.go_forward()
    assert visitor.at_consent()
    visitor.agree()
    assert visitor.claims()["name"] == "홍길동"


def test_back_after_signing_in_brings_the_browser_forward_again(visitor: Visitor) -> None:
    visitor.begin("gov24")
    login = visitor.page.url
    visitor.open_wallet()
    visitor.show("hong")
    visitor.agree_if_asked()
    visitor.claims()
    visitor.page.goto(login)
    # The code has been used: the portal says so, or shows who is signed in. Either way nobody is stuck.
    assert visitor.page.url.startswith(visitor.demo.portals)
    assert visitor.page.locator("main a.button, #result").count() > 0


def test_changing_the_language_keeps_the_login(visitor: Visitor) -> None:
    visitor.begin_with("gov24", prompt="consent")
    login = visitor.path
    visitor.speak("en")
    assert visitor.path == login
    assert visitor.heading == "Sign in to Government24"
    visitor.open_wallet()
    visitor.show("hong")
    assert visitor.page.locator("html").get_attribute("lang") == "en"
    visitor.speak("ko")
    assert visitor.at_consent()
    assert "정부24" in visitor.heading
    visitor.agree()
    assert visitor.claims()["name"] == "홍길동"


def test_the_number_page_keeps_its_login_in_another_language(new_visitor: NewVisitor) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    phone.show("park")
    desk.page.locator("#number").wait_for()
    desk.speak("en")
    desk.type_number(phone.number_on_the_phone())
    desk.agree_if_asked()
    assert desk.claims()["name"] == "박민수"


def test_a_wrong_number_page_can_be_read_in_another_language(new_visitor: NewVisitor) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    phone.show("park")
    desk.page.locator("#number").wait_for()
    desk.type_number(f"{(int(phone.number_on_the_phone()) + 1) % 10_000:04}")
    desk.speak("en")
    assert desk.page.locator("html").get_attribute("lang") == "en"
    assert desk.page.locator("#number").is_visible()


def test_the_wallets_answer_in_another_browser_signs_nobody_in(new_visitor: NewVisitor) -> None:
    thief, victim = new_visitor("ko"), new_visitor("ko", PHONE)
    thief.begin("gov24")
    link = thief.page.locator("#wallet-link").get_attribute("href") or ""
    victim.page.goto(link)
    victim.show("hong")
    assert victim.path == "/authorize/resume"
    assert victim.heading == "처음 시작한 브라우저에서 계속해 주세요"
    begin = victim.page.locator("#begin").get_attribute("href") or ""
    assert begin.startswith(f"{victim.demo.portals}gov24/")
    assert victim.login_cookies() == []
    thief.page.locator("text=SINWON-L004").wait_for()
    assert "홍길동" not in thief.page.content()
    thief.press("main a.button.main")
    assert thief.error_code() == "access_denied"


def test_somebody_elses_login_page_shows_nothing_of_the_login(new_visitor: NewVisitor) -> None:
    owner, stranger = new_visitor("ko"), new_visitor("ko")
    owner.begin("gov24")
    stranger.page.goto(owner.page.url)
    assert stranger.page.locator("#wallet-link").count() == 0
    assert "정부24" not in stranger.page.content()


@pytest.mark.parametrize("button", ["#agree", "form.back button"])
def test_a_double_click_is_one_click(visitor: Visitor, button: str) -> None:
    visitor.begin_with("gov24", prompt="consent")
    if button == "#agree":
        visitor.open_wallet()
        visitor.show("hong")
    visitor.page.locator(button).dblclick()
    visitor.page.wait_for_url(f"{visitor.demo.portals}gov24/**")
    if button == "#agree":
        assert visitor.claims()["name"] == "홍길동"
    else:
        assert visitor.error_code() == "access_denied"


def test_cookies_are_out_of_reach_of_scripts_and_named_after_their_login(visitor: Visitor) -> None:
    visitor.begin("gov24")
    login_id = visitor.path.removeprefix("/login/")
    [cookie] = visitor.login_cookies()
    assert cookie["name"] == f"login-{login_id}"
    visitor.open_wallet()
    visitor.show("hong")
    visitor.agree_if_asked()
    visitor.claims()
    names = {cookie["name"] for cookie in visitor.cookies()}
    assert {"sinwon-session", "gov24_session"} < names
    for cookie in visitor.cookies():
        assert cookie["httpOnly"], cookie["name"]
        assert cookie["sameSite"] == "Lax", cookie["name"]
    assert visitor.page.evaluate("document.cookie") == ""
