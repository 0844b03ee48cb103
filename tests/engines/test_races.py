"""Many at once, on PostgreSQL with Redis behind Sentinels, and with a Redis Cluster."""

import pytest

from tests.http.test_races import *  # noqa: F403
from tests.rig import Rig


@pytest.fixture(scope="module")
def rig(rig: Rig) -> Rig:
    """This directory's, not the one of the tests that were taken over."""
    return rig
