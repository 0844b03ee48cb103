"""Sign-ins that do not succeed: each page says why and has a way on, and the portal hears the right error."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, Visitor

PROBLEMS = {
    "lee": "SINWON-C003",
    "jung": "SINWON-C004",
    "yoon": "SINWON-C002",
    "shin": "SINWON-C006",
    "oh": "SINWON-L005",
}


def test_cancel_returns_to_the_portal_with_access_denied(visitor: Visitor) -> None:
    visitor.begin("gov24")
    visitor.cancel()
    assert visitor.path == "/gov24/callback"
    assert visitor.error_code() == "access_denied"
    assert visitor.query["iss"] == visitor.demo.issuer


def test_a_refusal_in_the_wallet_returns_to_the_portal_with_access_denied(visitor: Visitor) -> None:
    visitor.begin("gov24")
    visitor.open_wallet()
    visitor.refuse_in_wallet()
    assert visitor.path == "/gov24/callback"
    assert visitor.error_code() == "access_denied"


def test_a_refusal_on_the_phone_is_shown_at_the_desk_which_decides(new_visitor: NewVisitor) -> None:
    """Whoever sees the code can refuse it: only the holder at the page ends the sign-in."""
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    phone.refuse_in_wallet()
    assert phone.page.locator("#outcome").get_attribute("data-outcome") == "declined"
    desk.page.get_by_text("SINWON-W001").wait_for()
    desk.cancel()
    assert desk.path == "/gov24/callback"
    assert desk.error_code() == "access_denied"


def test_a_refused_consent_returns_to_the_portal_with_access_denied(visitor: Visitor) -> None:
    visitor.begin_with("gov24", prompt="consent")
    visitor.open_wallet()
    visitor.show("hong")
    assert visitor.at_consent()
    visitor.refuse_consent()
    assert visitor.path == "/gov24/callback"
    assert visitor.error_code() == "access_denied"


def test_agreeing_without_a_required_tick_is_stopped_and_nothing_is_given(new_visitor: NewVisitor) -> None:
    holder = new_visitor("ko", java_script_enabled=False)
    holder.begin_with("apostille", prompt="consent")
    holder.open_wallet()
    holder.show("hong")
    holder.page.locator("#agree").click()
    assert holder.at_consent()  # the browser's own check
    holder.page.locator("#consent").evaluate("form => form.noValidate = true")
    holder.press("#agree")
    alert = holder.page.locator("[role=alert]")
    assert alert.is_visible()
    alert.locator("a").click()
    assert holder.page.url.endswith("#item-kr_passport")
    holder.agree()
    assert holder.claims()["name"] == "홍길동"


@pytest.mark.parametrize("persona", PROBLEMS)
def test_a_certificate_that_is_not_accepted_is_explained_and_another_can_be_shown(
    visitor: Visitor, persona: str
) -> None:
    visitor.begin("gov24")
    visitor.open_wallet()
    visitor.show(persona)
    assert visitor.path.startswith("/login/")
    alert = visitor.page.locator("[role=alert]")
    assert PROBLEMS[persona] in alert.inner_text()
    visitor.open_wallet()
    visitor.show("hong")
    visitor.agree_if_asked()
    assert visitor.claims()["name"] == "홍길동"


def test_the_portal_hears_access_denied_and_not_what_is_wrong_with_the_certificate(visitor: Visitor) -> None:
    visitor.begin("gov24")
    visitor.open_wallet()
    visitor.show("lee")
    visitor.cancel()
    assert visitor.error_code() == "access_denied"
    assert "revoked" not in visitor.page.url


def test_a_desk_is_told_what_is_wrong_with_the_certificate_on_the_phone(new_visitor: NewVisitor) -> None:
    desk, phone = new_visitor("ko"), new_visitor("ko", PHONE)
    desk.begin("gov24")
    phone.scan(desk.qr_link())
    phone.show("lee")
    assert phone.page.locator("#outcome").get_attribute("data-outcome") == "rejected"
    alert = desk.page.locator("[role=alert]")
    alert.wait_for()
    assert PROBLEMS["lee"] in alert.inner_text()


def test_a_holder_whose_wallet_confirms_too_weakly_gives_up_and_the_portal_hears_why(
    visitor: Visitor,
) -> None:
    visitor.begin("efamily")
    visitor.open_wallet()
    visitor.show("kim")
    assert "SINWON-C008" in visitor.page.locator("[role=alert]").inner_text()
    visitor.cancel()
    assert visitor.error_code() == "unmet_authentication_requirements"


def test_the_same_holder_is_welcome_where_less_is_enough(visitor: Visitor) -> None:
    assert visitor.sign_in("gov24", "kim")["name"] == "김영희"
    assert "일반" in visitor.page.locator(".facts").inner_text()


def test_a_wallet_that_never_answers_leaves_a_page_that_can_be_left(visitor: Visitor) -> None:
    visitor.begin("gov24")
    page = visitor.page.url
    visitor.open_wallet()
    visitor.show("moon")
    assert visitor.page.locator("#outcome").get_attribute("data-outcome") == "silent"
    visitor.page.goto(page)
    assert visitor.page.locator("#fetched").is_visible()
    visitor.cancel()
    assert visitor.error_code() == "access_denied"


def test_signing_out_at_the_portal_ends_the_session_at_the_provider_too(visitor: Visitor) -> None:
    visitor.sign_in("gov24", "hong")
    visitor.page.locator("#logout button").click()
    visitor.page.locator("#signed-out").wait_for()
    visitor.begin("gov24")
    assert visitor.page.locator("#wallet-link").is_visible()
