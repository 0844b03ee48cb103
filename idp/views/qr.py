"""A QR code as inline SVG: dark on white whatever the page looks like, quiet zone of four modules (ISO/IEC 18004)."""

from __future__ import annotations

import zxingcpp

QUIET_ZONE = 4


def svg(text: str) -> str:
    """One path, a run of dark modules each; no text from outside stands in it."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="L")
    modules = zxingcpp.write_barcode_to_image(code, scale=1, add_quiet_zones=False)
    height, width = modules.shape
    data = bytes(modules)  # type: ignore[call-overload]  # a buffer, which its stub does not say
    runs = []
    for y in range(height):
        row = data[y * width : (y + 1) * width]
        x = 0
        while x < width:
            if row[x]:
                x += 1
                continue
            start = x
            while x < width and not row[x]:
                x += 1
            runs.append(f"M{start} {y}h{x - start}v1H{start}z")
    size = width + 2 * QUIET_ZONE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-{QUIET_ZONE} -{QUIET_ZONE} {size} {size}" '
        f'shape-rendering="crispEdges" aria-hidden="true"><path fill="#fff" d="M-{QUIET_ZONE}-{QUIET_ZONE}'
        f'h{size}v{size}h-{size}z"/><path fill="#000" d="{"".join(runs)}"/></svg>'
    )
