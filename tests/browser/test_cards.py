"""Choosing a card in the wallet's page, and seeing exactly what it would show."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, Visitor

LICENCE, RESIDENT = "hong:kr-driving-licence", "hong:kr-resident"


def would_show(visitor: Visitor) -> dict[str, str]:
    """What stands below the chosen card, and no other."""
    rows = visitor.page.locator(".pick .values dl > div:visible").all()
    return {row.locator("dt").inner_text(): row.locator("dd").inner_text() for row in rows}


def test_the_wallet_shows_what_the_chosen_card_would_show_and_that_is_what_the_portal_learns(
    visitor: Visitor,
) -> None:
    visitor.begin("gov24")
    visitor.open_wallet()
    assert set(would_show(visitor)) == {"이름", "생년월일", "재외국민등록번호", "연계정보 (CI)"}
    visitor.choose(LICENCE)
    shown = would_show(visitor)
    assert set(shown) == {"이름", "생년월일", "운전면허번호", "연계정보 (CI)"}
    assert (shown["이름"], shown["생년월일"]) == ("홍길동", "1985-03-14")
    visitor.press("#present button[value=show]")
    visitor.agree_if_asked()
    assert visitor.claims() == {"name": "홍길동", "birthdate": "1985-03-14"}
    assert visitor.page.locator("#card").inner_text() == "모바일 운전면허증"


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_card_is_chosen_on_a_phone_by_the_keyboard_too(new_visitor: NewVisitor, lang: str) -> None:
    holder = new_visitor(lang, PHONE)
    holder.begin("efamily")
    holder.open_wallet()
    holder.page.locator("input[name=persona][value=hong]").focus()
    holder.page.keyboard.press("ArrowDown")
    assert holder.page.locator(f"input[value='{RESIDENT}']").is_checked()
    holder.press("#present button[value=show]")
    holder.agree_if_asked()
    assert holder.claims()["name"] == "홍길동"
    name = {"ko": "모바일 주민등록증", "en": "Mobile Resident ID"}[lang]
    assert holder.page.locator("#card").inner_text() == name


def test_a_card_is_shown_in_the_format_that_was_chosen(visitor: Visitor) -> None:
    visitor.begin("bank")
    visitor.open_wallet()
    visitor.press(".formats a:last-child")
    visitor.choose(LICENCE)
    # Of an mdoc even how it is unlocked is shown only when it is asked for.
    assert would_show(visitor)["잠금 해제 방식"] == "기기에 든 키, PIN, 얼굴"
    visitor.press("#present button[value=show]")
    visitor.agree_if_asked()
    assert visitor.page.locator("#card").get_attribute("data-card") == "kr-driving-licence"


def test_a_portal_says_which_cards_it_takes(visitor: Visitor) -> None:
    counts = {}
    for portal in ("gov24", "apostille", "efamily", "bank"):
        visitor.open_portal(portal)
        counts[portal] = len(visitor.page.locator("#takes li").all())
    assert counts == {"gov24": 5, "apostille": 1, "efamily": 2, "bank": 3}


def test_the_wallet_lists_every_persons_cards(visitor: Visitor) -> None:
    visitor.page.goto(visitor.demo.wallet)
    cards = visitor.page.locator(".people .person", has_text="홍길동").locator(".cards li").all_inner_texts()
    assert cards == ["모바일 재외국민 신원확인증", "모바일 운전면허증", "모바일 주민등록증"]
    widths = visitor.page.locator(".people .who").evaluate_all("found => found.map(it => it.clientWidth)")
    assert min(widths) > 200
