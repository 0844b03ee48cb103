"""Pages as people have set up their devices: forced colours, more contrast, large type, wide spacing, no motion.

`barriers` looks at the page a browser shows now and says what is wrong with it. What the page was is left as it was.
"""

from __future__ import annotations

from playwright.sync_api import Page

ZOOMED = {"width": 320, "height": 256}
"""1280 by 1024 at 400 % (WCAG 2.2, 1.4.10)."""

# With the colours of the system a ground of its own colour is gone, and with it the shape of whatever had no edge.
EDGELESS = """() => [...document.querySelectorAll(
        "main :is(.button, .card, .alert, .notice, .digits, input:not([type=hidden], [type=checkbox], [type=radio]),"
        + " select, textarea)")]
    .filter(item => item.checkVisibility())
    .filter(item => !["Top", "Left", "Bottom", "Right"].some(side => {
        const style = getComputedStyle(item);
        return parseFloat(style[`border${side}Width`]) > 0 && style[`border${side}Style`] !== "none";
    }))
    .map(item => `no edge: ${item.outerHTML.slice(0, 120)}`)"""
# What cannot be told from what surrounds it but by its colour: a link in a sentence.
UNMARKED = """() => [...document.querySelectorAll("main p a, main li a:not(.button)")]
    .filter(item => item.checkVisibility())
    .filter(item => !getComputedStyle(item).textDecorationLine.includes("underline")
        && parseFloat(getComputedStyle(item).borderBottomWidth) === 0)
    .map(item => `a link like text: ${item.outerHTML.slice(0, 120)}`)"""
MOVING = """() => document.getAnimations().filter(one => one.playState === "running")
    .map(one => `moves: ${one.effect?.target?.outerHTML.slice(0, 120)}`)"""
# WCAG 2.2, 1.4.12. A sheet of the document's own: an element would be refused by the page's policy.
SPACED = """spaced => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important;"
        + " word-spacing: .16em !important } p { margin-block-end: 2em !important }");
    document.adoptedStyleSheets = spaced ? [sheet] : [];
}"""
CROWDED = """() => [
    ...(document.documentElement.scrollWidth > innerWidth ? ["wider than the screen"] : []),
    ...[...document.querySelectorAll("h1, h2, p, li, dt, dd, label, .button, .tag")]
        .filter(item => item.checkVisibility() && !item.closest(".heard, .unseen, .skip, pre"))
        .filter(item => {
            const style = getComputedStyle(item), cut = ["hidden", "clip"];
            return cut.includes(style.overflowX) && item.scrollWidth > item.clientWidth + 1
                || cut.includes(style.overflowY) && item.scrollHeight > item.clientHeight + 1;
        })
        .map(item => `cut: ${item.outerHTML.slice(0, 120)}`),
    ...[...document.querySelectorAll("body *")]
        .filter(item => ["fixed", "sticky"].includes(getComputedStyle(item).position) && item.checkVisibility())
        .filter(item => item.getBoundingClientRect().height > innerHeight / 3)
        .map(item => `stays over a third of the screen: ${item.outerHTML.slice(0, 120)}`),
]"""
CONTRAST = """async () => {
    const { violations } = await axe.run(document, {
        resultTypes: ["violations"], runOnly: ["color-contrast-enhanced"],
        rules: { "color-contrast-enhanced": { enabled: true } } });
    return violations.flatMap(({ nodes }) => nodes.map(node => `contrast: ${node.html} ${node.any[0]?.message}`));
}"""


def barriers(page: Page) -> list[str]:
    """With forced colours, without motion, at 400 %, and with wide spacing."""
    before = page.viewport_size
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    found: list[str] = [*page.evaluate(EDGELESS), *page.evaluate(UNMARKED), *page.evaluate(MOVING)]
    page.emulate_media(forced_colors="null", reduced_motion="null")
    page.set_viewport_size(ZOOMED)  # type: ignore[arg-type]
    found += page.evaluate(CROWDED)
    page.evaluate(SPACED, True)
    found += [f"spaced: {one}" for one in page.evaluate(CROWDED)]
    page.evaluate(SPACED, False)
    if before is not None:
        page.set_viewport_size(before)
    return found


def pale(page: Page, axe: str) -> list[str]:
    """Text below 7:1 (WCAG 2.2, 1.4.6) for somebody who asked for more contrast, in both schemes."""
    found: list[str] = []
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(contrast="more", color_scheme=scheme)  # type: ignore[arg-type]
        found += [f"{scheme}: {one}" for one in page.evaluate(CONTRAST)]
    page.emulate_media(contrast="null", color_scheme="null")
    return found
