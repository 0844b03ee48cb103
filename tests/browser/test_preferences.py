"""Every page of the holders' for people who have set up their devices otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.preferences import MOVING, barriers, pale
from tests.browser.test_languages import STAY, Shown
from tests.browser.visitor import DESK
from tests.views.test_templates import page


@pytest.fixture(scope="module")
def shown(chromium: Browser) -> Iterator[Shown]:
    with chromium.new_context(viewport=DESK) as made:
        yield Shown(made.new_page())


@pytest.mark.parametrize("lang", ["ko", "ja"])
def test_forced_colours_400_percent_wide_spacing_and_no_motion_cost_nobody_a_page(
    shown: Shown, lang: str
) -> None:
    found = {}
    for template, changes in STAY:
        shown.show(page(template, lang, **changes))
        found[f"{template} {changes}"] = barriers(shown.page)
    assert {name: some for name, some in found.items() if some} == {}


def test_whoever_asks_for_more_contrast_gets_seven_to_one(shown: Shown, axe: str) -> None:
    found = {}
    for template, changes in STAY:
        shown.show(page(template, "ko", **changes))
        found[f"{template} {changes}"] = pale(shown.page, axe)
    assert {name: some for name, some in found.items() if some} == {}


def test_what_moves_for_others_is_still_for_those_who_asked(shown: Shown) -> None:
    shown.show(page("sign_in.html", "ko", phase="fetched"))
    assert shown.page.evaluate(MOVING) != []  # so there is something to be still
    assert barriers(shown.page) == []


@pytest.mark.parametrize(
    ("style", "barrier"),
    [
        (".button { border: 0 !important }", "no edge"),
        ("main { min-width: 330px }", "wider than the screen"),
        ("h1 { height: 1rem; overflow: hidden }", "cut"),
        ("main p a { text-decoration: none !important }", "a link like text"),
        (".top { position: sticky; top: 0; min-height: 12rem }", "stays over a third"),
        ("h1 { animation: spin 1s infinite } @keyframes spin { 50% { opacity: 0 } }", "moves"),
    ],
)
def test_a_barrier_would_be_found(shown: Shown, style: str, barrier: str) -> None:
    shown.show(page("sign_in.html", "ko"))
    shown.page.add_style_tag(content=style)
    assert any(one.startswith(barrier) for one in barriers(shown.page))
