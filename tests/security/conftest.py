"""The court of each module."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.security.judging import Court, in_session


def _scope(fixture_name: str, config: Any) -> str:
    """One for a whole run where every second counts (`tests.security.mutation`)."""
    return "session" if os.environ.get("IDP_TEST_ONE_COURT") else "module"


@pytest.fixture(scope=_scope)
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """A house of the module's own; the honest holder beside it comes through after the last case."""
    with in_session(tmp_path_factory.mktemp("court")) as sitting:
        yield sitting
