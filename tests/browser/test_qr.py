"""A phone's camera reads the QR code off the screen, however small and dark the page is."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
import zxingcpp

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import Visitor

_RED_OF_EVERY_PIXEL = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes]));
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, picture.width, picture.height);
  let red = "";
  for (let at = 0; at < data.length; at += 4) red += String.fromCharCode(data[at]);
  return [btoa(red), picture.height, picture.width];
}"""


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width_px", [200, 248])
def test_the_code_on_the_screen_says_what_its_link_says(
    new_visitor: NewVisitor, colours: str, width_px: int
) -> None:
    visitor = new_visitor(color_scheme=colours)
    visitor.begin("gov24")
    visitor.page.evaluate(f"document.getElementById('qr').style.width = '{width_px}px'")
    assert photographed(visitor) == visitor.qr_link()


def test_forced_colours_leave_the_code_readable(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(forced_colors="active", color_scheme="dark")
    visitor.begin("gov24")
    assert photographed(visitor) == visitor.qr_link()


def photographed(visitor: Visitor) -> str:
    """What a camera reads in the picture that the browser has drawn of the code."""
    png = visitor.page.locator("#qr svg").screenshot()
    red, *shape = visitor.page.evaluate(_RED_OF_EVERY_PIXEL, b64encode(png).decode("ascii"))
    (code,) = zxingcpp.read_barcodes(memoryview(b64decode(red)).cast("B", shape=shape))
    return code.text
