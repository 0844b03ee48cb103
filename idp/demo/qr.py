"""A QR code as an image that a page can hold in itself (ISO/IEC 18004)."""

from base64 import b64encode

import zxingcpp


def data_uri(text: str) -> str:
    """An SVG, dark on white with its quiet zone, as a `data:` URI for `img`."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    svg: str = zxingcpp.write_barcode_to_svg(code)
    return "data:image/svg+xml;base64," + b64encode(svg.encode("utf-8")).decode("ascii")
