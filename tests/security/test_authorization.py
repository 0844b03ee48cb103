"""AZ: the authorization endpoint. Who may be redirected to, and what parameters it takes."""

from typing import Any

import pytest

from tests.harmless import EVIL, Named
from tests.security.answers import Answer, Page, ToPortal
from tests.security.judging import Case, Court

UNKNOWN = ("request.refused", "unknown_portal")
BAD = ("request.refused", "bad_request")


def asks(row: str, name: str, answer: Answer, *events: Named, **changes: Any) -> Case:
    """A request of gov24's, good but for the changes."""
    return Case(row, name, lambda court, _: court.portal().begin(**changes).response, answer, events)


CASES = [
    *(
        asks("AZ-01", name, Page(400, "SINWON-R002"), UNKNOWN, client_id=value)
        for name, value in {"missing": None, "empty": "", "unknown": "nobody", "markup": EVIL}.items()
    ),
    asks("AZ-04", "not registered", Page(400, "SINWON-R001"), BAD, redirect_uri="https://evil.example/cb"),
    asks(
        "AZ-09",
        "missing",
        ToPortal("invalid_request"),
        ("login.refused", "invalid_request"),
        response_type=None,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
