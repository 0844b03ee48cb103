"""A QR code as inline SVG: dark on white whatever the page looks like, quiet zone of four modules (ISO/IEC 18004)."""

from __future__ import annotations

import re

import zxingcpp

QUIET_ZONE = 4
_DARK_RUN = re.compile(rb"\x00+")


def svg(text: str) -> str:
    """White ground and one path, whose strokes are runs of dark modules; no text from outside stands in it."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="L")
    modules = zxingcpp.write_barcode_to_image(code, scale=1, add_quiet_zones=False)
    height, width = modules.shape
    data = bytes(modules)  # type: ignore[call-overload]  # a buffer, which its stub does not say
    rows = "".join(_row(data[y * width : (y + 1) * width], y) for y in range(height))
    size = width + 2 * QUIET_ZONE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-{QUIET_ZONE} -{QUIET_ZONE} {size} {size}" '
        f'shape-rendering="crispEdges" aria-hidden="true"><path fill="#fff" d="M-{QUIET_ZONE}-{QUIET_ZONE}'
        f'h{size}v{size}h-{size}z"/><path stroke="#000" d="{rows}"/></svg>'
    )


def _row(modules: bytes, y: int) -> str:
    """A stroke one module high along the middle of the row. Gaps are steps from one run to the next: that is short."""
    drawn: list[str] = []
    x = 0
    for run in _DARK_RUN.finditer(modules):
        start, end = run.span()
        drawn.append(f"m{start - x} 0h{end - start}" if drawn else f"M{start} {y}.5h{end - start}")
        x = end
    return "".join(drawn)
