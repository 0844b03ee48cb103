"""Holders' pages in every language, and in one that is longer than any, on the narrowest screen there is.

The templates are rendered here and shown by Chromium from memory: no server, no sign-in, and many pages a second.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route

from idp.views import language
from idp.views.language import LANGUAGES, NAMES, Said
from tests.browser.album import AXE
from tests.views.test_templates import PAGES, STATIC, context, page

NARROW = {"width": 320, "height": 640}
OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
FAR = OVERRIDE + "evil.example"
STAY = [(template, changes) for template, changes in PAGES if template != "form_post.html"]
# What is as long as people write it, without a place to break.
LONG = "Verwaltungsgemeinschaftsangelegenheitenüberwachungszuständigkeit"

WIDE = """() => [document.documentElement.scrollWidth - innerWidth,
    ...[...document.querySelectorAll("h1, h2, p, li, dt, dd, .button, .tag, summary, label")]
        .filter(item => item.checkVisibility() && !item.matches(".heard, .languages *"))
        .filter(item => item.scrollWidth > item.clientWidth + 1 && getComputedStyle(item).display !== "inline"
            || item.getBoundingClientRect().right > innerWidth + 1)
        .map(item => item.outerHTML.slice(0, 200))]"""


class Shown:
    """A page of a browser in which each address is what the test says."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.html = ""
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        file = STATIC / address.path.rpartition("/")[2]
        if address.path.startswith("/static/"):
            kind = {".css": "text/css", ".js": "text/javascript"}[file.suffix]
            route.fulfill(path=file, content_type=kind)
        elif route.request.resource_type == "document":
            route.fulfill(body=self.html, content_type="text/html; charset=utf-8")
        else:
            route.fulfill(status=204, body="")

    def show(self, html: str) -> None:
        self.html = html
        self.page.goto("https://sinwon.example/shown")
        self.page.wait_for_load_state("load")


@pytest.fixture(scope="module")
def shown(chromium: Browser) -> Iterator[Shown]:
    with chromium.new_context(viewport=NARROW) as made:
        yield Shown(made.new_page())


class Lengthened(gettext.NullTranslations):
    """English, 60 % longer and with marks on it: [!! Šîgñ în ~~~ !!]. What is said in it went through a catalogue."""

    ACCENTS = str.maketrans("AaCcEeGgIiLlNnOoSsUuYyZz", "ÂâÇçÊêĜĝÎîĻļÑñÔôŠšÛûŶŷŽž")

    def gettext(self, message: str) -> str:
        parts = re.split(r"(%\(\w+\)s)", message)
        accented = "".join(part if part.startswith("%(") else part.translate(self.ACCENTS) for part in parts)
        return f"[!! {accented} {'wörd ' * (len(message) * 6 // 50 + 1)}!!]"


@pytest.fixture
def lengthened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "translations", lambda lang: Lengthened())


@pytest.mark.usefixtures("lengthened")
@pytest.mark.parametrize(("template", "changes"), STAY, ids=lambda value: str(value)[:40])
def test_sentences_much_longer_than_ours_fit_the_narrowest_screen(
    shown: Shown, template: str, changes: dict[str, Any]
) -> None:
    shown.show(page(template, "vi", **changes))
    assert shown.page.evaluate(WIDE) == [0]
    assert "[!! " in shown.page.locator("main").inner_text()


LOOKED_AT = ("sign_in.html", "consent.html", "error.html", "device_confirm.html", "wallet_done.html")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_fits_the_narrowest_screen_and_its_menu_opens(
    shown: Shown, lang: str, axe: str
) -> None:
    for template in LOOKED_AT:
        shown.show(page(template, lang))
        assert shown.page.evaluate(WIDE) == [0], template
    shown.show(page("sign_in.html", lang))
    shown.page.evaluate(axe)
    assert shown.page.evaluate(AXE) == []
    menu = shown.page.locator(".languages")
    menu.locator("summary").focus()
    shown.page.keyboard.press("Enter")
    links = menu.locator("a")
    assert links.all_inner_texts() == list(NAMES.values())
    boxes = [box for link in links.all() if (box := link.bounding_box())]
    assert len(boxes) == len(LANGUAGES)
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= NARROW["width"] for box in boxes)
    assert all(box["height"] >= 44 for box in boxes)
    assert shown.page.evaluate(WIDE) == [0]
    assert menu.locator("[aria-current]").inner_text() == NAMES[lang]
    shown.page.keyboard.press("Tab")
    with shown.page.expect_navigation():
        shown.page.keyboard.press("Enter")
    assert parse_qs(urlsplit(shown.page.url).query) == {"lang": ["ko"]}


def theirs(template: str, text: str) -> Mapping[str, Any]:
    """The page's context with everything that a portal or an operator wrote replaced by `text`."""
    made = context(template, "en")
    del made["lang"]
    for name, value in made.items():
        if isinstance(value, Said):
            made[name] = Said(text, value.lang)
        elif isinstance(value, list) and name != "languages":
            made[name] = [_replaced(one, text) for one in value]
    return made | {"portal": made["portal"] | {"name": Said(text, "en"), "operator": Said(text, "en")}}


def _replaced(one: Any, text: str) -> Any:
    if isinstance(one, Said):
        return Said(text, one.lang)
    if isinstance(one, dict):
        return {
            key: Said(text, value.lang) if isinstance(value, Said) else value for key, value in one.items()
        }
    return one


@pytest.mark.parametrize("template", LOOKED_AT)
def test_a_long_word_of_a_portals_does_not_widen_the_page(shown: Shown, template: str) -> None:
    shown.show(page(template, "en", **theirs(template, LONG)))
    assert shown.page.evaluate(WIDE) == [0]


ORDER = """() => [...document.querySelectorAll("bdi")].map(bdi => {
    const box = node => { const range = document.createRange(); range.selectNodeContents(node);
        return range.getClientRects()[0]; };
    const next = bdi.nextSibling;
    if (!next || next.nodeType !== Node.TEXT_NODE || !next.data.trim()) return true;
    const mine = box(bdi), its = box(next);
    return its.top > mine.top + 2 || its.left >= mine.left;
})"""


@pytest.mark.parametrize("template", LOOKED_AT)
def test_a_text_that_turns_the_direction_of_writing_turns_only_itself(shown: Shown, template: str) -> None:
    shown.page.set_viewport_size({"width": 1280, "height": 900})
    shown.show(page(template, "en", **theirs(template, FAR)))
    order = shown.page.evaluate(ORDER)
    shown.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert order
    assert all(order)
    shown_bare = re.sub(r"<bdi[^>]*>.*?</bdi>|<[^>]*>", "", shown.html.partition("<body>")[2])
    assert OVERRIDE not in shown_bare
