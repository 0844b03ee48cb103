import pytest

from tests.credentials.issuing import World


@pytest.fixture
def world() -> World:
    """One trusted mission and its status host, new for each test."""
    return World()
