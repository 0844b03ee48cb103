"""What axe-core (the npm library) says of the pages for engineers; of the others `Album` asks it.

The rules are those of WCAG 2.2 A and AA. Findings that axe calls serious or critical fail the test.
"""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import DESK, PHONE, Visitor

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (rules) => (await axe.run(document, {runOnly: rules, resultTypes: ["violations"]})).violations
    .filter(found => ["serious", "critical"].includes(found.impact))
    .map(found => [found.id, found.nodes.map(node => node.html)])"""


def violations(visitor: Visitor, axe: str) -> list[object]:
    """What is wrong with the page the visitor looks at."""
    if not visitor.page.evaluate("typeof axe === 'object'"):
        visitor.page.evaluate(axe)
    found: list[object] = visitor.page.evaluate(RUN, RULES)
    return found


@pytest.mark.node
@pytest.mark.parametrize(("lang", "colours"), [("ko", "light"), ("en", "dark")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_no_page_for_engineers_has_a_serious_barrier_or_is_too_wide(
    new_visitor: NewVisitor, axe: str, lang: str, colours: str, viewport: dict[str, int]
) -> None:
    visitor = new_visitor(lang, viewport, color_scheme=colours)
    found: dict[str, list[object]] = {}
    for path in ("/keys", "/status", "/docs/", "/docs/quickstart", "/docs/portals", "/docs/errors"):
        visitor.page.goto(f"{visitor.demo.issuer}{path}")
        found[path] = violations(visitor, axe)
        if visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[path].append("wider than the screen")
    assert {path: barriers for path, barriers in found.items() if barriers} == {}


@pytest.mark.node
def test_a_barrier_would_be_found(visitor: Visitor, axe: str) -> None:
    visitor.page.goto(f"{visitor.demo.issuer}/logout")
    visitor.page.evaluate("() => document.querySelector('main').append(document.createElement('input'))")
    assert [name for name, _ in violations(visitor, axe)] == ["label"]
