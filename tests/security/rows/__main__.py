"""`python -m tests.security.rows`: the list of docs/security-cases.md, brought up to date.

With `--check` nothing is written, and it ends with 1 where the list is not what the code says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.security.rows import NOT_APPLICABLE, PROVED_BY, ROWS, tables
from tests.security.switches import SWITCHES

DOCUMENT = Path(__file__).parents[3] / "docs" / "security-cases.md"
BEGINS, ENDS = "<!-- the list begins -->\n", "<!-- the list ends -->\n"


def lines() -> Iterator[str]:
    """The rows of the table: what comes, the tests that prove it, and the checks without which they fail."""
    yield "| row | what comes | proved by | red without |"
    yield "|---|---|---|---|"
    for row, title in sorted(ROWS.items()):
        checks = "; ".join(switch.name for switch in SWITCHES if row in switch.rows)
        yield f"| {row} | {title} | {_proof(row)} | {checks or '–'} |"


def _proof(row: str) -> str:
    if row in NOT_APPLICABLE:
        return f"not applicable: {NOT_APPLICABLE[row]}"
    found = []
    for path, cases in tables().items():
        if n := sum(case.row == row for case in cases):
            found.append(f"`{_short(path)}` ({n})")
    for test in PROVED_BY.get(row, ()):
        path, _, name = test.partition("::")
        found.append(f"`{_short(path)}` `{name.replace('test_', '', 1)}`")
    return ", ".join(found)


def _short(path: str) -> str:
    return path.removeprefix("tests/").replace("test_", "").removesuffix(".py")


def updated(document: str) -> str:
    """A document with the list as it is now."""
    head, _, rest = document.partition(BEGINS)
    _, _, tail = rest.partition(ENDS)
    return "".join([head, BEGINS, "\n", *(f"{line}\n" for line in lines()), "\n", ENDS, tail])


def main() -> int:
    written = DOCUMENT.read_text("utf-8")
    now = updated(written)
    if "--check" in sys.argv[1:]:
        return 0 if now == written else 1
    DOCUMENT.write_text(now, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
