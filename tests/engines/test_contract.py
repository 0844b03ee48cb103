"""What every store promises, asked of Redis behind Sentinels and of a Redis Cluster."""

from tests.store.test_contract import *  # noqa: F403
