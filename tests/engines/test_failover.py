"""A server is lost: what the Store says meanwhile, and that it goes on with the one that takes its place."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from idp.store import Store, StoreUnavailable, open_store
from tests.topology.engines import FAILOVER_S, ClusterRedis, SentinelRedis, started
from tests.waiting import eventually

_KEYS = [f"failover:{number}" for number in range(30)]


@pytest.fixture
def behind_sentinels(redis_program: object) -> Iterator[SentinelRedis]:
    with started(SentinelRedis) as group:
        yield group


@pytest.fixture
def on_a_cluster(redis_program: object) -> Iterator[ClusterRedis]:
    with started(ClusterRedis) as group:
        yield group


def works(store: Store, key: str) -> bool:
    """Whether it writes and reads. Anything but StoreUnavailable is a failure of its own."""
    try:
        store.put(key, {"n": 1}, 60)
        return store.get(key) == {"n": 1}
    except StoreUnavailable:
        return False


def test_when_the_primary_is_lost_the_sentinels_next_one_is_found(behind_sentinels: SentinelRedis) -> None:
    with (
        closing(open_store(behind_sentinels.url())) as store,
        closing(open_store(behind_sentinels.url())) as other,
    ):
        heard: list[str] = []
        store.subscribe(heard.append)
        assert all(works(store, key) for key in _KEYS)
        lost = behind_sentinels.lose_primary()
        eventually(lambda: works(store, _KEYS[0]), FAILOVER_S)
        assert all(works(store, key) for key in _KEYS)
        behind_sentinels.bring_back(lost)
        assert behind_sentinels.lose_primary() != lost
        eventually(lambda: works(store, _KEYS[0]), FAILOVER_S)

        def woken() -> bool:
            other.publish("again")
            return "again" in heard

        eventually(woken, FAILOVER_S)


def test_a_primary_that_is_silent_is_replaced_and_left(behind_sentinels: SentinelRedis) -> None:
    """Not dead, but stopped: connections to it stay open, and it comes back believing that it is the primary."""
    silent = behind_sentinels.servers[0]
    with closing(open_store(behind_sentinels.url())) as store:
        assert works(store, _KEYS[0])
        os.kill(silent.pid, signal.SIGSTOP)
        try:
            eventually(lambda: works(store, _KEYS[0]), FAILOVER_S)
        finally:
            os.kill(silent.pid, signal.SIGCONT)
        store.put(_KEYS[1], {"n": 2}, 60)
        eventually(lambda: behind_sentinels.role(0) == "slave", FAILOVER_S)
        assert all(works(store, key) for key in _KEYS)


def test_without_any_sentinel_the_primary_that_is_known_goes_on(behind_sentinels: SentinelRedis) -> None:
    with closing(open_store(behind_sentinels.url())) as store:
        assert works(store, _KEYS[0])
        for sentinel in behind_sentinels.sentinels:
            sentinel.kill()
        assert all(works(store, key) for key in _KEYS)


def test_a_lost_node_of_a_cluster_takes_no_more_than_its_slots_with_it_until_its_replica_has_them(
    on_a_cluster: ClusterRedis,
) -> None:
    with closing(open_store(on_a_cluster.url)) as store:
        assert all(works(store, key) for key in _KEYS)
        on_a_cluster.servers[0].kill()
        kept = [key for key in _KEYS if works(store, key)]
        assert len(kept) > 0
        eventually(lambda: all(works(store, key) for key in _KEYS), FAILOVER_S)


def test_slots_that_move_are_followed(on_a_cluster: ClusterRedis) -> None:
    with closing(open_store(on_a_cluster.url)) as store:
        store.put("moving", {"n": 1}, 60)
        on_a_cluster.move("sinwon:v:moving")
        assert store.get("moving") == {"n": 1}
        assert store.swap("moving", {"n": 1}, {"n": 2})
        assert store.take("moving") == {"n": 2}


def test_a_node_of_a_cluster_is_no_single_server(on_a_cluster: ClusterRedis) -> None:
    one = f"redis://127.0.0.1:{on_a_cluster.ports[0]}/0"
    with closing(open_store(one)) as store, pytest.raises(StoreUnavailable, match=r"redis\+cluster"):
        for key in _KEYS:
            store.put(key, {"n": 1}, 60)


def test_one_server_that_evicts_is_enough_to_be_told(on_a_cluster: ClusterRedis) -> None:
    with closing(open_store(on_a_cluster.url)) as store, Redis(port=on_a_cluster.ports[2]) as node:
        assert not store.facts().evicts  # type: ignore[attr-defined]
        node.config_set("maxmemory-policy", "volatile-ttl")
        assert store.facts().policy == "volatile-ttl"  # type: ignore[attr-defined]
