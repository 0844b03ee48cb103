"""What is written of an event and of an error, in both formats."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from idp import logs
from idp.events import Origin, origin

SECRET = "홍길동"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("idp")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def failing() -> None:
    try:
        raise ValueError(f"of {SECRET}")
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def written(format: str) -> str:
    stream = io.StringIO()
    logs.install(format, stream)  # type: ignore[arg-type]
    token = origin.set(Origin(correlation_id="5f0c"))
    try:
        logging.getLogger("library").info("GET /authorize/resume?response_code=%s", SECRET)
        logging.getLogger("idp").info("a line\nand %s", "another")
        try:
            failing()
        except RuntimeError as error:
            logging.getLogger("idp.store").error("bug", exc_info=error, extra={"claims": SECRET})
    finally:
        origin.reset(token)
    return stream.getvalue()


def test_json_is_one_object_a_line_with_the_fields_that_are_allowed() -> None:
    entries = [json.loads(line) for line in written("json").splitlines()]
    assert [(one["level"], one["logger"], one["message"]) for one in entries] == [
        ("INFO", "idp", "a line\nand another"),
        ("ERROR", "idp.store", "bug"),
    ]
    assert all(one["correlation_id"] == "5f0c" and one["time"].endswith("Z") for one in entries)
    assert set(entries[0]) == set(logs.FIELDS) - {"exception"}
    assert set(entries[1]) == set(logs.FIELDS)


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_exception_is_told_by_type_and_place_and_never_by_its_text(format: str) -> None:
    said = written(format)
    assert SECRET not in said
    for part in ("builtins.RuntimeError", "builtins.ValueError", "tests/operating/test_logs.py:", " failing"):
        assert part in said


def test_installing_again_does_not_write_twice() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.install("text", first)
    logs.install("json", second)
    logging.getLogger("idp").warning("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
