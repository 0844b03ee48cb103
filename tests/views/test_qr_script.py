"""The QR codes that a page draws itself are read like the server's."""

from __future__ import annotations

import json
import random
import re
import string
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
import zxingcpp

from idp.views import qr
from idp.views.frame import STATIC

pytestmark = pytest.mark.node
SCALE = 3
# The longest text of each version that changes how data is laid out, one more, and what our links have.
LENGTHS = (1, 17, 18, 53, 106, 154, 155, 230, 231, 271, 272, 367, 520, 1171, 1628, 1952, 2068, 2953)
ALPHABET = string.ascii_letters + string.digits + ":/?&=%.-_"


@pytest.fixture(scope="module")
def drawn(node_path: Path) -> dict[str, qr.Drawn]:
    chance = random.Random(7)
    texts = ["".join(chance.choice(ALPHABET) for _ in range(length)) for length in LENGTHS]
    texts.append("모바일 신분증 \u00e9")
    # By its text: what a file of this name is depends on the version of Node.js.
    module = b64encode((STATIC / "qr.js").read_bytes()).decode()
    script = f"""
        import {{ draw }} from "data:text/javascript;base64,{module}";
        let given = "";
        for await (const part of process.stdin) given += part;
        console.log(JSON.stringify(JSON.parse(given).map(draw)));
    """
    command = [str(node_path), "--input-type=module", "--eval", script]
    ran = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    made = [qr.Drawn(one["viewBox"], *one["paths"]) for one in json.loads(ran.stdout)]
    return dict(zip(texts, made, strict=True))


def photographed(drawn: qr.Drawn) -> list[str]:
    """What a reader finds in it, quiet zone included."""
    side = int(drawn.view_box.split()[2])
    rows = [bytearray(b"\xff" * side) for _ in range(side)]
    for y, row in enumerate(drawn.modules.split("M0 ")[1:], qr.QUIET_ZONE):
        x = qr.QUIET_ZONE
        for gap, run in re.findall(r"(?:m(\d+) 0)?h(\d+)", row):
            x += int(gap or 0)
            rows[y][x : x + int(run)] = bytes(int(run))
            x += int(run)
    pixels = b"".join(bytes(pixel for pixel in row for _ in range(SCALE)) * SCALE for row in rows)
    image = memoryview(pixels).cast("B", shape=[side * SCALE, side * SCALE])
    return [code.text for code in zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)]


def test_a_reader_reads_them(drawn: dict[str, qr.Drawn]) -> None:
    assert [text for text, code in drawn.items() if photographed(code) != [text]] == []


def test_a_link_like_ours_looks_as_the_server_draws_it(drawn: dict[str, qr.Drawn]) -> None:
    links = [text for text in drawn if 231 <= len(text) <= 520]
    assert [text for text in links if qr.draw(text) != drawn[text]] == []
