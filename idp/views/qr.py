"""A QR code as inline SVG: dark on white whatever the page looks like, quiet zone of four modules (ISO/IEC 18004)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import starmap

import zxingcpp

QUIET_ZONE = 4
# Trying all eight masks for the one that is easiest to read is twenty times the work of the code itself. For links
# like ours this one is the best or hardly worse by the penalties of ISO/IEC 18004, 7.8.3; every reader takes any.
_MASK = 2
_GAP_AND_RUN = re.compile(rb"(\xff*)(\x00+)")


@dataclass(frozen=True)
class Drawn:
    """The parts of an SVG, in modules. ground: a path to be filled white. modules: one to be stroked black."""

    view_box: str
    ground: str
    modules: str


def svg(text: str) -> str:
    """One inline element; no text from outside stands in it."""
    drawn = draw(text)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{drawn.view_box}" shape-rendering="crispEdges" '
        f'aria-hidden="true"><path fill="#fff" d="{drawn.ground}"/><path stroke="#000" d="{drawn.modules}"/></svg>'
    )


def draw(text: str) -> Drawn:
    """The QR code of a text: a stroke for each run of dark modules."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="L", data_mask=_MASK)
    modules = zxingcpp.write_barcode_to_image(code, scale=1, add_quiet_zones=False)
    height, width = modules.shape
    data = bytes(modules)  # type: ignore[call-overload]  # a buffer, which its stub does not say
    rows = "".join(_row(data[y * width : (y + 1) * width], y) for y in range(height))
    size, edge = width + 2 * QUIET_ZONE, -QUIET_ZONE
    return Drawn(f"{edge} {edge} {size} {size}", f"M{edge} {edge}h{size}v{size}h-{size}z", rows)


def _row(modules: bytes, y: int) -> str:
    """Strokes one module high along the middle of the row."""
    return f"M0 {y}.5" + "".join(starmap(_stroke, _GAP_AND_RUN.findall(modules)))


@cache
def _stroke(gap: bytes, run: bytes) -> str:
    """Over a gap, if there is one, and along a run: few are different, and a code has hundreds."""
    return f"m{len(gap)} 0h{len(run)}" if gap else f"h{len(run)}"
