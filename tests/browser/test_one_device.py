"""Portal, wallet, consent and back on one device, clicked through."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import PHONE, PORTALS

PERSONAS = {"ko": "namgoong", "en": "choi"}
SHOWN = {
    ("gov24", "ko"): {"name": "남궁민", "birthdate": "1979-07-30"},
    ("g4k", "ko"): {
        "name": "남궁민",
        "family_name": "NAMGOONG",
        "given_name": "MIN",
        "birthdate": "1979-07-30",
        "kr_mission": "주중국 대한민국 대사관 (BJS)",
    },
    ("apostille", "ko"): {"name": "남궁민", "kr_passport": "번호: M000A0004\n종류: PM\n발급국: KOR"},
    ("efamily", "ko"): {"name": "남궁민", "birthdate": "1979-07-30"},
    ("bank", "ko"): {"name": "남궁민", "nationalities": "KR"},
    ("gov24", "en"): {"name": "최장", "birthdate": "1968-12-25"},
    ("g4k", "en"): {
        "name": "최장",
        "family_name": "CHOI",
        "given_name": "MARIA-FERNANDA D'ANGELO SEO-YEON ALEXANDRA-JOSEPHINE KI-HYEO",
        "birthdate": "1968-12-25",
        "kr_mission": "Embassy of the Republic of Korea in Belgium (BRU)",
    },
    ("apostille", "en"): {"name": "최장", "kr_passport": "Number: M000A0005\nType: PM\nIssuing country: KOR"},
    ("efamily", "en"): {"name": "최장", "birthdate": "1968-12-25"},
    ("bank", "en"): {"name": "최장", "nationalities": "KR"},
}

OPTIONAL = {"gov24": {"kr_overseas_registration_number"}, "g4k": {"address"}, "bank": {"kr_passport"}}


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("portal", PORTALS)
def test_a_holder_signs_in_and_the_portal_shows_what_was_verified(
    new_visitor: NewVisitor, portal: str, lang: str
) -> None:
    holder = new_visitor(lang, PHONE)
    holder.page.goto(holder.demo.portals)
    holder.page.locator(f".tile.portal-{portal} a").click()
    holder.press("#sign-in")
    assert holder.page.locator("html").get_attribute("lang") == lang
    holder.open_wallet()
    holder.show(PERSONAS[lang])
    assert holder.at_consent()
    holder.agree()
    claims = holder.claims()
    for name, value in SHOWN[portal, lang].items():
        assert claims[name].startswith(value), name
    assert not OPTIONAL.get(portal, set()) & set(claims)  # not ticked
    assert holder.page.locator("html").get_attribute("lang") == lang
