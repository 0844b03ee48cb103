"""Events as text: JSON lines, or CSV that a spreadsheet shows and does not run.

CSV (RFC 4180) has a header, quotes every cell, and writes `detail` as JSON. A spreadsheet takes a cell that begins
with `=`, `+`, `-`, `@` or white space for a formula, or may: such a cell, and one that begins with an apostrophe, gets
an apostrophe in front. To read it back: an empty cell is null, and of every other one apostrophe at its beginning is
dropped.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from idp.admin.audit.merkle import entry_of
from idp.admin.audit.sealing import COLUMNS

Format = Literal["jsonl", "csv"]
_BEGINS_A_FORMULA = tuple("=+-@＝＋－＠|%'")


def written(events: Iterable[Mapping[str, Any]], format: Format) -> Iterator[str]:
    """The events as lines of text, each with its end."""
    return _json_lines(events) if format == "jsonl" else _csv(events)


def _json_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each line is the entry of the log's leaf, byte for byte: an auditor may hash it."""
    for event in events:
        yield entry_of(event).decode("utf-8", "surrogatepass") + "\n"


def _csv(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield _row(COLUMNS)
    for event in events:
        yield _row([_cell(event[name]) for name in COLUMNS])


def _row(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> str:
    """A cell that is text to a spreadsheet. Only null is empty."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    text = str(value)
    return f"'{text}" if not text or text[0].isspace() or text.startswith(_BEGINS_A_FORMULA) else text


def uncell(cell: str) -> str | None:
    """What stood in the row before `_cell` (of `detail`: its JSON)."""
    return None if not cell else cell.removeprefix("'")
