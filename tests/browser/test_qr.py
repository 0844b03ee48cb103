"""A phone's camera reads the QR code off the screen, however small and dark the page is."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewVisitor


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width_px", [200, 248])
def test_the_code_on_the_screen_says_what_its_link_says(
    new_visitor: NewVisitor, colours: str, width_px: int
) -> None:
    visitor = new_visitor(color_scheme=colours)
    visitor.begin("gov24")
    visitor.page.evaluate(f"document.getElementById('qr').style.width = '{width_px}px'")
    assert visitor.qr_photographed() == visitor.qr_link()


def test_forced_colours_leave_the_code_readable(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(forced_colors="active", color_scheme="dark")
    visitor.begin("gov24")
    assert visitor.qr_photographed() == visitor.qr_link()
