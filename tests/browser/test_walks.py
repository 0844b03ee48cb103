"""Holders on their way through a sign-in and through all that can come between, in every language, size and colour.

Each walk meets each language, and every other pair of values meets at least once; IDP_TEST_WALKS=all makes it every
combination, which is the long run. A page that a walk comes to must fit its screen, keep WCAG 2.2 A and AA as far as
axe-core sees, and leave nothing in the browser's console.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import pytest
from playwright.sync_api import Browser, Error

from idp.views.language import LANGUAGES
from tests.browser.album import AXE
from tests.browser.pairs import pairs
from tests.browser.test_leaving import PROBLEMS
from tests.browser.virtual_wallet import VirtualWallet, demonstration
from tests.browser.visitor import DESK, LOCALES, Demo, Visitor
from tests.rig import Rig

NARROW = {"width": 320, "height": 640}
SIZES = {"desk": DESK, "narrow": NARROW}
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
STALE_QR_S, OFFLINE_S, NEARLY_OVER_S, OVER_S = 121, 30, 545, 601
LAST_S = 6  # seconds of the page's own clock in which it must have spoken
WAKE = "document.dispatchEvent(new Event('visibilitychange'))"


@dataclass
class Walk:
    """One combination: who walks, and what every page on the way is held to."""

    rig: Rig
    demo: Demo
    chromium: Browser
    axe: str
    lang: str
    size: str
    colours: str
    looked_at: set[tuple[str, ...]]
    visitors: list[Visitor]

    def visitor(self, **more: object) -> Visitor:
        """Somebody with an empty browser of this kind."""
        context = self.chromium.new_context(
            locale=LOCALES.get(self.lang, self.lang),
            viewport=SIZES[self.size],  # type: ignore[arg-type]
            color_scheme=self.colours,  # type: ignore[arg-type]
            **more,  # type: ignore[arg-type]
        )
        context.set_default_timeout(20_000)
        self.visitors.append(Visitor(self.demo, context, self.lang))
        return self.visitors[-1]

    def look(self, visitor: Visitor, name: str, *, spoken: bool = True) -> None:
        """The page in front of the visitor is in order; `spoken`: and in the language of this walk."""
        page = visitor.page
        page.wait_for_load_state("load")
        if spoken:
            assert page.locator("html").get_attribute("lang") == self.lang
        assert page.evaluate(TOO_WIDE) <= 0, f"{name} scrolls sideways"
        if (name, self.size, self.colours) in self.looked_at:
            return  # the rules of axe know no language
        self.looked_at.add((name, self.size, self.colours))
        page.evaluate(self.axe)
        assert page.evaluate(AXE) == [], name

    def show(self, link: str, persona: str = "hong") -> str:
        """A phone somewhere answers the link; the number that it then shows, or nothing."""
        outcome = self.rig.portal().show(link, persona)
        if outcome.redirect_uri is None:
            return ""
        phone = self.visitor()
        phone.page.goto(outcome.redirect_uri)
        self.look(phone, "number-on-the-phone", spoken=False)
        return phone.number_on_the_phone()


def wake(visitor: Visitor) -> None:
    """The person comes back from another app, to a page that looks at once or is on its way already."""
    try:
        visitor.page.evaluate(WAKE)
    except Error as error:
        if "context was destroyed" not in str(error):
            raise


def begin(walk: Walk, portal: str = "apostille", **more: object) -> Visitor:
    """Somebody at the sign-in page who will be asked for consent."""
    visitor = walk.visitor(**more)
    start(walk, visitor, portal)
    walk.look(visitor, "sign-in")
    return visitor


def start(walk: Walk, visitor: Visitor, portal: str = "apostille") -> None:
    """The sign-in page; the demonstration's portals do not speak every language, and the holder chooses it here."""
    visitor.begin_with(portal, prompt="consent")
    if walk.lang not in ("ko", "en"):
        visitor.page.goto(f"{visitor.page.url}?lang={walk.lang}")


def agree(walk: Walk, visitor: Visitor) -> None:
    """Consent, and the portal knows who it is."""
    assert visitor.at_consent()
    walk.look(visitor, "consent")
    visitor.agree()
    assert visitor.claims()["name"] == "홍길동"


# -- the walks ---------------------------------------------------------------------------------------------------


def one_device_and_everything_that_comes_between(walk: Walk) -> None:
    """App-switch, reload, back, and a second tab."""
    holder = begin(walk)
    login, first = holder.path, holder.page
    wake(holder)
    first.reload()
    holder.open_wallet()
    first.go_back()
    first.locator("#fetched").wait_for()
    walk.look(holder, "fetched")
    holder.page = holder.context.new_page()
    holder.page.goto(f"{walk.demo.issuer}{login}")
    holder.open_wallet()
    holder.show("hong")
    agree(walk, holder)
    with suppress(Error):  # it may be on its way by itself
        first.reload()
    first.wait_for_url(f"{walk.demo.portals}**")  # the same answer again; the portal says that it has had it


def two_devices_a_code_replaced_and_the_connection_lost(walk: Walk) -> None:
    desk = walk.visitor()
    desk.page.clock.install()
    start(walk, desk)
    walk.look(desk, "sign-in")
    code = desk.qr_link()
    walk.rig.clock.forward(STALE_QR_S)
    desk.page.clock.fast_forward(STALE_QR_S * 1000)
    desk.page.locator(f"#qr:not([data-link='{code}'])").wait_for()
    walk.rig.clock.offset_s = 0  # the wallet has a clock of its own
    desk.context.set_offline(True)
    desk.page.locator("#offline:not(:empty)").wait_for()
    walk.look(desk, "offline")
    desk.page.locator("form.back button").click()  # nothing is lost by a step that cannot be made
    number = walk.show(code)
    walk.rig.clock.forward(OFFLINE_S)
    assert desk.page.locator("#number").count() == 0
    desk.context.set_offline(False)
    desk.page.locator("#number").wait_for()
    walk.look(desk, "number")
    desk.type_number(number)
    agree(walk, desk)


def two_devices_and_another_language_in_the_middle(walk: Walk) -> None:
    desk = begin(walk)
    other = next(lang for lang in LANGUAGES if lang != walk.lang)
    desk.page.goto(f"{walk.demo.issuer}{desk.path}?lang={other}")
    number = walk.show(desk.qr_link())
    wake(desk)
    desk.page.locator("#number").wait_for()
    assert desk.page.locator("html").get_attribute("lang") == other
    desk.page.goto(f"{walk.demo.issuer}{desk.path}?lang={walk.lang}")
    walk.look(desk, "number")
    desk.type_number(number)
    agree(walk, desk)


def without_javascript(walk: Walk) -> None:
    desk = walk.visitor(java_script_enabled=False)
    start(walk, desk)
    number = walk.show(desk.qr_link())
    desk.press(".time a")
    desk.type_number(number)
    assert desk.at_consent()
    desk.agree()
    assert desk.claims()["name"] == "홍길동"


def cancelling_at_every_step(walk: Walk) -> None:
    desk = begin(walk)
    desk.cancel()
    assert desk.error_code() == "access_denied"
    start(walk, desk)
    desk.open_wallet()
    desk.page.go_back()
    desk.cancel()
    assert desk.error_code() == "access_denied"
    start(walk, desk)
    number = walk.show(desk.qr_link())
    wake(desk)
    desk.page.locator("#number").wait_for()
    desk.cancel()
    assert desk.error_code() == "access_denied"
    start(walk, desk)
    number = walk.show(desk.qr_link())
    wake(desk)
    desk.page.locator("#number").wait_for()
    desk.type_number(number)
    desk.refuse_consent()
    assert desk.error_code() == "access_denied"


def every_certificate_that_is_not_accepted(walk: Walk) -> None:
    desk = begin(walk, "gov24")
    for persona, code in PROBLEMS.items():
        assert walk.show(desk.qr_link(), persona) == ""
        wake(desk)
        desk.page.locator(f"[role=alert]:has-text('{code}')").wait_for()
        walk.look(desk, "problem")
    desk.cancel()
    assert desk.error_code() == "access_denied"


def the_end_of_time_announced_put_off_and_reached(walk: Walk) -> None:
    desk = walk.visitor()
    desk.page.clock.install()
    start(walk, desk, "gov24")
    walk.rig.clock.forward(NEARLY_OVER_S)
    desk.page.reload()
    assert desk.page.locator("#notice").inner_text() == ""
    desk.page.clock.run_for(LAST_S * 1000)
    assert desk.page.locator("#notice").inner_text() != ""
    walk.look(desk, "last-minute")
    desk.press(".time button")
    assert desk.page.locator("#minutes").inner_text() == "10"
    walk.rig.clock.forward(OVER_S)
    desk.page.reload()
    desk.page.locator("text=SINWON-L003").wait_for()
    walk.look(desk, "expired")
    desk.press("#return")
    assert desk.error_code() == "access_denied"


def the_wallet_comes_back_to_another_browser(walk: Walk) -> None:
    first, other = begin(walk, "gov24"), walk.visitor()
    outcome = walk.rig.portal().show(first.page.locator("#wallet-link").get_attribute("href") or "")
    wake(first)
    first.page.locator("#elsewhere").wait_for()
    walk.look(first, "elsewhere")
    other.page.goto(outcome.redirect_uri or "")
    walk.look(other, "other-browser")
    assert other.page.locator("#begin").is_visible()
    assert other.login_cookies() == []
    first.page.reload()
    first.page.locator("text=SINWON-L004").wait_for()
    walk.look(first, "ended-elsewhere")


def the_browsers_own_way(walk: Walk) -> None:
    holder = begin(walk)
    wallet = VirtualWallet(holder)
    wallet.declines()
    holder.page.locator("#show").click()
    holder.page.locator("#digital-status p").wait_for()
    walk.look(holder, "sign-in-closed")
    wallet.answers(demonstration(walk.demo))
    holder.press("#show")
    agree(walk, holder)


WALKS: dict[str, Callable[[Walk], None]] = {
    walk.__name__: walk
    for walk in (
        one_device_and_everything_that_comes_between,
        two_devices_a_code_replaced_and_the_connection_lost,
        two_devices_and_another_language_in_the_middle,
        without_javascript,
        cancelling_at_every_step,
        every_certificate_that_is_not_accepted,
        the_end_of_time_announced_put_off_and_reached,
        the_wallet_comes_back_to_another_browser,
        the_browsers_own_way,
    )
}
FACTORS = {
    "walk": tuple(WALKS),
    "lang": ("ko", "en", *LANGUAGES[2:3]),
    "size": tuple(SIZES),
    "colours": ("light", "dark"),
}
ROWS = list(product(*FACTORS.values())) if os.environ.get("IDP_TEST_WALKS") == "all" else pairs(FACTORS)


@pytest.fixture(scope="module")
def looked_at() -> set[tuple[str, ...]]:
    """Pages that axe has seen."""
    return set()


@pytest.fixture
def visitors(rig: Rig) -> Iterator[list[Visitor]]:
    """Everybody with a browser in a walk: at its end nothing is left to complain about."""
    visitors: list[Visitor] = []
    yield visitors
    for visitor in visitors:
        visitor.context.close()
    rig.clock.offset_s = 0
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


@pytest.mark.node
@pytest.mark.parametrize(("walk", "lang", "size", "colours"), ROWS)
def test_a_walk(  # noqa: PLR0917
    rig: Rig,
    chromium: Browser,
    axe: str,
    looked_at: set[tuple[str, ...]],
    visitors: list[Visitor],
    walk: str,
    lang: str,
    size: str,
    colours: str,
) -> None:
    prepared = rig.prepared
    demo = Demo(
        prepared.issuer,
        f"{prepared.portals_url}/",
        f"{prepared.wallet_url}/",
        f"{prepared.issuer}/console",
        prepared.directory,
    )
    WALKS[walk](Walk(rig, demo, chromium, axe, lang, size, colours, looked_at, visitors))


def test_every_value_meets_every_other_one() -> None:
    met = {
        ((one, row[one]), (other, row[other]))
        for row in ROWS
        for one in range(len(row))
        for other in range(one + 1, len(row))
    }
    values = list(FACTORS.values())
    wanted = {
        ((one, first), (other, second))
        for one in range(len(values))
        for other in range(one + 1, len(values))
        for first in values[one]
        for second in values[other]
    }
    assert met == wanted
    assert len(pairs(FACTORS)) <= len(WALKS) * len(FACTORS["lang"]) + 2
