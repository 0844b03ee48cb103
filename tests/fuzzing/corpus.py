"""The corpus: messages that mutants start from, one a file, and values that have been somebody's hole.

A file is a request as it stands on the wire, with LF for the ends of lines and `{…}` where a run puts in what only it
knows. In front of it, in lines that begin with `#`:

- `accepted: STATUS TEXT`: the answer that would mean that the provider took it; TEXT must stand in `Location` or the
  body. `2xx` is any such status, `never` that no answer means it.
- `keep: NAMES`: members of a document that must stay as they are, since they are what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.crowd import Answer

DIRECTORY = Path(__file__).parent / "corpus"
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Seed:
    """One message of the corpus."""

    name: str
    accepted: str
    keep: tuple[str, ...]
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: str

    def filled(self, known: Mapping[str, str]) -> Seed:
        """With what a run knows in its places. JSON has braces of its own: what nobody knows stays as it is."""

        def fill(text: str) -> str:
            return _PLACE.sub(lambda match: known.get(match[1], match[0]), text)

        headers = tuple((name, fill(value)) for name, value in self.headers)
        return Seed(
            self.name, self.accepted, self.keep, self.method, fill(self.path), headers, fill(self.body)
        )

    def is_accepted(self, answer: Answer) -> bool:
        status, _, wanted = self.accepted.partition(" ")
        if status == "never":
            return False
        if status == "2xx":
            return 200 <= answer.status < 300
        said = answer.headers.get("location", "").encode() + answer.body
        return answer.status == int(status) and wanted.encode() in said


@cache
def seeds(kind: str) -> tuple[Seed, ...]:
    """Every message of a directory, by name."""
    return tuple(_read(file) for file in sorted((DIRECTORY / kind).glob("*.http")))


def _read(file: Path) -> Seed:
    head, _, body = file.read_text("utf-8").partition("\n\n")
    lines = head.splitlines()
    said = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    first, *rest = [line for line in lines if not line.startswith("#")]
    method, path = first.split(" ", 1)
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in rest))
    keep = tuple(said.get("keep", "").split())
    return Seed(file.stem, said["accepted"], keep, method, path, headers, body.rstrip("\n"))


@cache
def values() -> tuple[str, ...]:
    """Values that have been somebody's hole, one a line, written as in Python."""
    lines = (DIRECTORY / "values.txt").read_text("utf-8").splitlines()
    return tuple(
        line.encode("latin-1", "backslashreplace").decode("unicode_escape")
        for line in lines
        if line and not line.startswith("# ")
    )
