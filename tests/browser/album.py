"""Looking at pages: the frame of each, what axe-core says of it, what other preferences make of it, and a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.browser.preferences import barriers
from tests.browser.visitor import DESK, PHONE, Visitor

SIZES = {"phone": PHONE, "desk": DESK}
FRAME = """() => ({
    lang: document.documentElement.lang,
    title: document.title,
    headings: [...document.querySelectorAll("h1")].map(h => h.innerText.trim()),
    mains: document.querySelectorAll("main").length,
    unlabelled: [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
        .filter(field => !field.labels.length && !field.ariaLabel).map(field => field.outerHTML),
    unnamed: [...document.querySelectorAll("a, button")]
        .filter(item => !item.textContent.trim() && !item.ariaLabel).map(item => item.outerHTML),
    undescribed: [...document.querySelectorAll("img:not([alt])")].map(item => item.outerHTML),
    ids: [...document.querySelectorAll("[id]")].map(item => item.id),
    too_wide: document.documentElement.scrollWidth - innerWidth,
    inline: [...document.querySelectorAll("[onclick], [onload], [style]:not([style='']), script:not([src])")]
        .map(item => item.outerHTML),
})"""


AXE = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"], runOnly: {
        type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(" ")}`);
}"""


class Album:
    """Looks at a visitor's page and keeps its picture in every size."""

    def __init__(self, visitor: Visitor, axe: str) -> None:
        self.visitor = visitor
        self.axe = axe
        wanted = os.environ.get("IDP_TEST_SCREENSHOTS")
        self.directory = Path(wanted) if wanted else None
        if self.directory is not None:
            self.directory.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, visitor: Visitor | None = None) -> None:
        visitor = visitor or self.visitor
        page = visitor.page
        page.wait_for_load_state("load")  # with its style: without it everything is as wide as it likes
        before = page.viewport_size
        for size, viewport in SIZES.items():
            page.set_viewport_size(viewport)  # type: ignore[arg-type]
            self._inspect(name, page.evaluate(FRAME), visitor.lang)
            if self.directory is not None:
                picture = self.directory / f"{name}.{visitor.lang}.{size}.png"
                page.screenshot(path=picture, full_page=True)
        found = barriers(page)
        assert found == [], (name, found)
        violations = self._violations(visitor)
        assert violations == [], (name, violations)
        if before is not None:
            page.set_viewport_size(before)

    def _violations(self, visitor: Visitor) -> list[str]:
        """What breaks WCAG 2.2 A or AA, as far as a program can see it: rule and elements."""
        visitor.page.evaluate(self.axe)
        found: list[str] = visitor.page.evaluate(AXE)
        return found

    def _inspect(self, name: str, frame: dict[str, Any], lang: str) -> None:
        assert frame["lang"] == lang, name
        assert frame["title"].strip(), name
        assert len(frame["headings"]) == 1, (name, frame["headings"])
        assert frame["mains"] == 1, name
        assert frame["unlabelled"] == [], name
        assert frame["unnamed"] == [], name
        assert frame["undescribed"] == [], name
        assert len(frame["ids"]) == len(set(frame["ids"])), (name, frame["ids"])
        assert frame["too_wide"] <= 0, f"{name} scrolls sideways"
        assert frame["inline"] == [], name
