"""The court of each module."""

from collections.abc import Iterator

import pytest

from tests.security.judging import Court, in_session


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """A house of the module's own; the honest holder beside it comes through after the last case."""
    with in_session(tmp_path_factory.mktemp("court")) as sitting:
        yield sitting
