"""A check of the house, and the change of its source that switches it off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "idp"


@dataclass(frozen=True)
class Edit:
    """In a file of the package (`oidc/checks.py`) the fragment, which is there exactly once, becomes another."""

    file: str
    found: str
    instead: str

    def times_found(self, package: Path = PACKAGE) -> int:
        return (package / self.file).read_text("utf-8").count(self.found)

    def applied(self, source: str) -> str:
        return source.replace(self.found, self.instead)


@dataclass(frozen=True)
class Switch:
    """A check by name, the edits that take it out, and the ids of the rows that must fail without it.

    `for_all`: without it nobody can sign in, who means well neither.
    """

    name: str
    edits: tuple[Edit, ...]
    rows: tuple[str, ...]
    for_all: bool = False


def off(name: str, file: str, found: str, instead: str, *rows: str) -> Switch:
    """A check that one edit takes out."""
    return Switch(name, (Edit(file, found, instead),), rows)
