"""What a figure came to: rows of a Markdown table, and whether each goal was met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

PERCENT = 100.0


@dataclass(frozen=True)
class Line:
    """One measured thing. `goal` in words; met None: stated without one. `safety`: it holds on any machine, however
    busy; the others want a quiet one."""

    what: str
    goal: str
    measured: str
    met: bool | None = None
    safety: bool = False


@dataclass
class Result:
    """One figure. command: what reproduces it; n: of how many of what; notes: what the reader should know."""

    figure: str
    title: str
    command: str
    n: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def say(self, what: str, measured: object, goal: str = "", met: bool | None = None) -> None:
        self.lines.append(Line(what, goal, str(measured), met))

    def must(self, what: str, measured: object, goal: str, *, met: bool) -> None:
        """Something that holds whatever happens."""
        self.lines.append(Line(what, goal, str(measured), met, safety=True))

    def zero(self, what: str, found: int | list[str]) -> None:
        """Something of which there must be none."""
        n = found if isinstance(found, int) else len(found)
        self.must(what, n, "0", met=n == 0)
        if isinstance(found, list) and found:
            self.notes.append(f"{what}: " + "; ".join(found[:5]))

    def at_least(self, what: str, percent: float, part: int, whole: int) -> None:
        """So many per cent of `whole` must be in `part`."""
        share = PERCENT * part / whole if whole else 0.0
        self.say(
            what, f"{part} of {whole} ({share:.2f} %)", f"≥ {percent:g} %", whole > 0 and share >= percent
        )

    def at_most(self, what: str, limit: float, measured: float, unit: str) -> None:
        self.say(what, f"{measured:.2f} {unit}", f"≤ {limit:g} {unit}", measured <= limit)

    @property
    def missed(self) -> list[str]:
        return self._missed(self.lines)

    @property
    def broken(self) -> list[str]:
        """What was missed that holds on any machine."""
        return self._missed([line for line in self.lines if line.safety])

    def _missed(self, lines: list[Line]) -> list[str]:
        said = [f"{line.what}: {line.measured}, goal {line.goal}" for line in lines if line.met is False]
        return [f"{self.figure} {one}" for one in said]

    def markdown(self) -> str:
        rows = [f"## {self.figure}: {self.title}", "", "```sh", self.command, "```", "", f"N: {self.n}.", ""]
        rows += ["| | goal | measured | |", "|---|---|---|---|"]
        marks = {True: "met", False: "**missed**", None: ""}
        rows += [
            f"| {line.what} | {line.goal} | {line.measured} | {marks[line.met]} |" for line in self.lines
        ]
        return "\n".join([*rows, *(["", *self.notes] if self.notes else []), ""])


def quantile(values: Iterable[float], share: float) -> float:
    """What that share of the values does not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
