"""A portal's logo: somebody else's PNG, written anew (decision D23).

No image library reads what a stranger sends. A PNG's pixels are one zlib stream whose length follows from its
header: it is unpacked to exactly that length, packed again, and put between a header, a palette and an end of our
own making. Nothing else of the file is carried over: no text, no colour profile, no location, no animation, nothing
behind the end. JPEG has no such frame, and is refused by name.

Spec: PNG (W3C, third edition), sections 5, 7, 8, 9 and 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

MEDIA_TYPE = "image/png"
MAX_BYTES = 262_144
MAX_SIDE = 1024
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PIXEL_BYTES = 8 * 1024 * 1024
_MAX_FILTER = 4
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
# Adam7: first column, first row, and the steps between them, of each pass (section 8.1).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class LogoRefused(Exception):
    """Not a picture we show; the text says what one must be."""


def png(unverified: bytes) -> bytes:
    """The same picture as a PNG of our own making, at most some percent larger than the pixels need.

    Takes up to MAX_BYTES, MAX_SIDE pixels a side. Raises LogoRefused.
    """
    if unverified[:3] == b"\xff\xd8\xff":
        raise LogoRefused("is a JPEG; a logo must be a PNG")
    if len(unverified) > MAX_BYTES or not unverified.startswith(_SIGNATURE):
        raise LogoRefused(f"must be a PNG of at most {MAX_BYTES} bytes")
    header, chunks = b"", dict.fromkeys((b"PLTE", b"tRNS", b"IDAT"), b"")
    for number, (kind, data) in enumerate(_chunks(unverified)):
        if (kind == b"IHDR") != (number == 0):
            raise LogoRefused("is not a well-formed PNG")
        if kind == b"IHDR":
            header = data
        elif kind in chunks:
            if chunks[kind] and kind != b"IDAT":
                raise LogoRefused("is not a well-formed PNG")
            chunks[kind] += data
        elif not kind[0] & 0x20:  # a critical chunk that we do not know (section 5.4)
            raise LogoRefused("is not a well-formed PNG")
    rows = _rows(header)
    pixels = _pixels(chunks[b"IDAT"], rows)
    written = [_chunk(b"IHDR", header)]
    written += [_chunk(kind, data) for kind, data in _palette(header, chunks[b"PLTE"], chunks[b"tRNS"])]
    written += [_chunk(b"IDAT", zlib.compress(pixels, 9)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(written)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every chunk up to the end, its checksum held."""
    place = len(_SIGNATURE)
    while place + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        data = png[place + 8 : place + 8 + length]
        checksum = png[place + 8 + length : place + 12 + length]
        if len(checksum) != 4 or zlib.crc32(kind + data).to_bytes(4, "big") != checksum:
            break
        if kind == b"IEND":
            return
        yield kind, data
        place += 12 + length
    raise LogoRefused("is not a well-formed PNG")


def _rows(header: bytes) -> list[tuple[int, int]]:
    """The length in bytes of a row, without its filter byte, and how many of it there are, for each pass."""
    if len(header) != 13:
        raise LogoRefused("is not a well-formed PNG")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise LogoRefused("is not a well-formed PNG")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise LogoRefused(f"must be 1 to {MAX_SIDE} pixels wide and high")
    bits = depth * _CHANNELS[colour]
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    sizes = [
        (max(0, -(-(width - left) // across)), max(0, -(-(height - top) // down)))
        for left, top, across, down in passes
    ]
    return [((columns * bits + 7) // 8, lines) for columns, lines in sizes if columns and lines]


def _pixels(packed: bytes, rows: list[tuple[int, int]]) -> bytes:
    """The unpacked rows, exactly as many as the header says, each with a filter there is."""
    expected = sum((length + 1) * lines for length, lines in rows)
    if expected > _MAX_PIXEL_BYTES:
        raise LogoRefused("has too many pixels")
    unpacking = zlib.decompressobj()
    try:
        pixels = unpacking.decompress(packed, expected + 1)
    except zlib.error as error:
        raise LogoRefused("is not a well-formed PNG") from error
    if len(pixels) != expected or not unpacking.eof:
        raise LogoRefused("is not a well-formed PNG")
    place = 0
    for length, lines in rows:
        filters = pixels[place : place + (length + 1) * lines : length + 1]
        if max(filters) > _MAX_FILTER:
            raise LogoRefused("is not a well-formed PNG")
        place += (length + 1) * lines
    return pixels


def _palette(header: bytes, palette: bytes, transparency: bytes) -> Iterator[tuple[bytes, bytes]]:
    """PLTE and tRNS where the colour type has them (sections 11.2.2 and 11.3.1.1)."""
    depth, colour = header[8], header[9]
    if colour == 3:
        if not 0 < len(palette) <= 3 << depth or len(palette) % 3 or len(transparency) > len(palette) // 3:
            raise LogoRefused("is not a well-formed PNG")
        yield b"PLTE", palette
    if transparency:
        if colour != 3 and len(transparency) != {0: 2, 2: 6}.get(colour):
            raise LogoRefused("is not a well-formed PNG")
        yield b"tRNS", transparency


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
