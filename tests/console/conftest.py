"""What the console's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _time_goes_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that moves the clock of a shared rig puts it back."""
    yield
    if "rig" in request.fixturenames:
        request.getfixturevalue("rig").clock.offset_s = 0
