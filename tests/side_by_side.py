"""How `pytest -n` (pytest-xdist) shares the tests out among its workers.

What is shared out are parts, and a worker takes one after the other. A part is a file, because most files share one
running house; a file that asks the same of several servers is a part for PostgreSQL and one for the others; and the
tests in a browser are one part, with one demonstration and one Chromium, but for the files that start a demonstration
of their own. Each worker starts the PostgreSQL and the Redis that it needs (a second).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

BROWSER = "tests/browser"
OWN_DEMONSTRATION = tuple(
    f"{BROWSER}/{name}.py" for name in ("test_console", "test_console_portals", "test_me", "test_pages")
)
# These take a minute and more each. Begun last, they would keep one worker busy while the others have nothing to do.
LONGEST = (BROWSER, "tests/at_rest/test_nothing_readable.py", "tests/test_cli.py", *OWN_DEMONSTRATION)


def part(test: str) -> str:
    """The part that a test, by its node id, belongs to."""
    file, _, name = test.partition("::")
    if file.startswith(f"{BROWSER}/") and file not in OWN_DEMONSTRATION:
        return BROWSER
    _, _, parameters = name.partition("[")
    return f"{file} on PostgreSQL" if parameters.startswith("postgresql") else file


def longest_first(tests: list[pytest.Item]) -> None:
    """Put the longest parts in front; otherwise everything stays in order."""
    places = {file: place for place, file in enumerate(LONGEST)}
    tests.sort(key=lambda test: places.get(part(test.nodeid).removesuffix(" on PostgreSQL"), len(places)))


def scheduler(config: pytest.Config, log: Any) -> Any:
    """What hands the parts out, in the order of the tests."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  only where it is installed

    class PartByPart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return part(nodeid)

    config.option.loadscopereorder = (
        False  # its own order is by the number of tests, not by how long they take
    )
    return PartByPart(config, log)
