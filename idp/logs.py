"""What processes write to standard error: lines for people, or one JSON object a line for a collector.

An entry holds what stands in `FIELDS` and nothing else. Of an exception it has the type and where it was raised,
never its text: that may quote a statement, a token, or a value from somebody's credential.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from idp.events import origin

FIELDS = ("time", "level", "logger", "message", "correlation_id", "exception")

_PACKAGE = Path(__file__).parent.parent


def install(format: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Write warnings of every library and what this product says, in place of what was installed before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if format == "json" else Lines())
    root = logging.getLogger()
    for installed in [one for one in root.handlers if isinstance(one.formatter, Lines | JsonLines)]:
        root.removeHandler(installed)
    root.addHandler(handler)
    # Libraries speak up only when something is wrong: some log whole URLs, and ours carry codes.
    root.setLevel(logging.WARNING)
    logging.getLogger("idp").setLevel(logging.INFO)


class Lines(logging.Formatter):
    """`2026-11-29T06:23:35.120Z WARNING idp the message`, and the frames of an exception below it."""

    def format(self, record: logging.LogRecord) -> str:
        said = f"{_time(record)} {record.levelname} {record.name} {record.getMessage()}"
        return "\n  ".join([said, *_raised(record)])


class JsonLines(logging.Formatter):
    """An object with FIELDS; `exception` is a list of lines, left out where there is none."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": origin.get().correlation_id,
            "exception": _raised(record),
        }
        return json.dumps({name: entry[name] for name in FIELDS if entry[name]}, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _raised(record: logging.LogRecord) -> list[str]:
    """The exception and what caused it, the outermost first: type, then `file:line function`, the innermost last."""
    told: list[str] = []
    error = (record.exc_info or (None, None, None))[1]
    while error is not None and len(told) < 200:
        kind = type(error)
        told.append(f"{kind.__module__}.{kind.__qualname__}")
        for frame in traceback.extract_tb(error.__traceback__):
            told.append(f"  {_place(frame.filename)}:{frame.lineno} {frame.name}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told


def _place(file: str) -> str:
    """Within this package, or the library's own part of its path."""
    path = Path(file)
    if path.is_relative_to(_PACKAGE) and "site-packages" not in path.parts:
        return str(path.relative_to(_PACKAGE))
    return "/".join(path.parts[-3:])
