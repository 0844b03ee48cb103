"""Names as people have them, on a screen of 320 px: nothing is cut, and nothing scrolls sideways."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Browser

from tests.browser.visitor import Demo, Visitor
from tests.rig import Rig, parse_link, person

NARROW = {"width": 320, "height": 640}
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
LATIN = "WOLFESCHLEGELSTEINHAUSENBERGERDORFFVORALTERNWARENGEWISSENHAF"
NAMES = {
    "a surname of two syllables": {"name": "남궁민", "family_name": "NAMGOONG", "given_name": "MIN"},
    "seventeen syllables": {
        "name": "박하늘별님구름햇님보다사랑스러우리야"[:17],
        "given_name": "HANEULBYEOLNIM",
    },
    "sixty letters without a gap": {"name": "최장", "family_name": "CHOI", "given_name": LATIN},
}


@pytest.mark.parametrize("names", NAMES.values(), ids=list(NAMES))
def test_a_name_fits_every_page_that_shows_it(rig: Rig, chromium: Browser, names: dict[str, str]) -> None:
    assert len(LATIN) == 60
    prepared = rig.prepared
    demo = Demo(
        prepared.issuer, f"{prepared.portals_url}/", f"{prepared.wallet_url}/", "", prepared.directory
    )
    visitor = Visitor(demo, chromium.new_context(locale="ko-KR", viewport=NARROW), "ko")  # type: ignore[arg-type]
    try:
        visitor.begin("g4k")
        somebody = replace(person("hong"), **names)
        phone = rig.wallet.show(rig.wallet.receive(parse_link(visitor.qr_link())), somebody)
        digits = rig.http.get(phone.redirect_uri or "").text.partition('id="confirmation-number"')[2]
        visitor.page.locator("#number").wait_for()
        visitor.type_number(digits.partition(">")[2][:4])
        assert visitor.at_consent()
        assert visitor.page.evaluate(TOO_WIDE) <= 0
        hidden = visitor.page.locator("li:has(input[value=name]) .preview").inner_text()
        assert names["name"] not in hidden
        assert hidden.startswith(names["name"][0])
        visitor.agree()
        shown = visitor.claims()
        assert {name: shown[name] for name in names} == names
        assert visitor.page.evaluate(TOO_WIDE) <= 0
    finally:
        visitor.context.close()
    assert visitor.complaints == []


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f"], ids=["override", "isolate", "mark"])
def test_a_name_that_turns_text_round_comes_to_no_page(rig: Rig, mark: str) -> None:
    portal = rig.portal("g4k")
    begun = portal.begin()
    asked = rig.wallet.receive(parse_link(portal.qr(portal.page(begun))))
    refused = rig.wallet.show(asked, replace(person("hong"), name=f"홍{mark}길동"))
    assert refused.status == 400
    assert mark not in portal.browser.get(portal.absolute(begun.location)).text
