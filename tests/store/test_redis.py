"""The Redis store on a Cluster and behind a Sentinel, and when its server goes away."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from idp.store import StoreUnavailable, open_store
from tests import servers
from tests.store.conftest import Ground

# The contract's tests that need no waiting, asked again of this file's `ground`.
from tests.store.test_contract import (  # noqa: F401
    test_a_counter_and_a_value_of_one_name_do_not_meet,
    test_a_store_that_is_there_answers_a_ping,
    test_a_swap_needs_the_old_value,
    test_a_value_may_be_big,
    test_any_text_is_a_key,
    test_counting_starts_at_one,
    test_no_count_is_lost_between_threads,
    test_of_fifty_swappers_one_wins,
    test_of_sixteen_takers_one_wins_each_key,
    test_only_the_first_adds,
    test_publishing_wakes_subscribers_of_other_processes,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("redis_program")]


@pytest.fixture(scope="session")
def redis_cluster_url(redis_program: Path) -> Iterator[str]:
    """A Redis Cluster of one node: it knows all slots and refuses what spans two of them."""
    # Without a port of its own the cluster bus takes port + 10000, which may not exist.
    options = ["--cluster-enabled", "yes", "--cluster-port", str(servers.free_port())]
    with servers.redis(*options) as port, Redis(port=port) as node:
        node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        eventually(lambda: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield f"redis+cluster://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def redis_sentinel_url(redis_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server watched by one Sentinel."""
    configuration = tmp_path_factory.mktemp("sentinel") / "sentinel.conf"
    with servers.redis() as port:
        configuration.write_text(f"sentinel monitor sinwon-test 127.0.0.1 {port} 1\n")
        with servers.sentinel(configuration) as sentinel_port:
            yield f"redis+sentinel://127.0.0.1:{sentinel_port}/sinwon-test/0"


@pytest.fixture(params=["redis_cluster_url", "redis_sentinel_url"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    with Ground(request.getfixturevalue(request.param), shared=True) as ground:
        yield ground


def test_a_subscriber_is_woken_again_when_the_server_has_come_back(key: str) -> None:
    port = servers.free_port()
    heard: list[str] = []
    with Ground(f"redis://127.0.0.1:{port}/0", shared=True) as ground:
        store = ground.open()
        with servers.redis(port=port):
            store.subscribe(heard.append)
        with pytest.raises(StoreUnavailable):
            store.get(key)
        with servers.redis(port=port):
            other = ground.open()

            def woken() -> bool:
                other.publish(key)
                return key in heard

            eventually(woken)
            store.put(key, {"n": 1}, 60)
            assert store.swap(key, {"n": 1}, {"n": 2}) is True


def test_publishing_without_a_server_wakes_this_process_and_is_logged(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Ground(f"redis://127.0.0.1:{servers.free_port()}/0", shared=True) as ground:
        store = ground.open()
        heard: list[str] = []
        store.subscribe(heard.append)
        store.publish(key)
        assert heard == [key]
    assert "could not be woken" in caplog.text
    assert key not in caplog.text


def test_no_server_is_a_store_that_is_unavailable(key: str) -> None:
    with Ground(f"redis://127.0.0.1:{servers.free_port()}/0", shared=True) as ground:
        with pytest.raises(StoreUnavailable) as refusal:
            ground.open().put(key, {"name": "홍길동"}, 60)
        assert key not in str(refusal.value)


def test_a_server_that_became_a_replica_is_left_and_found_again(key: str) -> None:
    """As behind one address that a failover moves: the connection is alive, and of no use."""
    with (
        servers.redis() as port,
        servers.redis() as other,
        Redis(port=port) as server,
        Ground(f"redis://127.0.0.1:{port}/0", shared=True) as ground,
    ):
        store = ground.open()
        store.put(key, {"n": 1}, 60)
        server.execute_command("REPLICAOF", "127.0.0.1", other)
        with pytest.raises(StoreUnavailable, match="is a replica"):
            store.put(key, {"n": 2}, 60)
        server.execute_command("REPLICAOF", "NO", "ONE")
        store.put(key, {"n": 3}, 60)
        assert store.get(key) == {"n": 3}


def test_a_server_that_is_silent_is_given_up_soon(key: str, redis_program: Path, tmp_path: Path) -> None:
    port = servers.free_port()
    command = [redis_program, "--port", str(port), "--bind", "127.0.0.1", "--dir", tmp_path, "--save", ""]
    with (
        servers.running(command, "Ready to accept connections") as pid,
        Ground(f"redis://127.0.0.1:{port}/0", shared=True) as ground,
    ):
        store = ground.open()
        store.put(key, {"n": 1}, 60)
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                store.get(key)
            took_s = time.monotonic() - began
        finally:
            os.kill(pid, signal.SIGCONT)
        assert took_s < 2
        assert store.get(key) == {"n": 1}


def test_a_cluster_that_is_away_when_the_store_is_opened_is_found_when_it_is_there(key: str) -> None:
    port = servers.free_port()
    with Ground(f"redis+cluster://127.0.0.1:{port}", shared=True) as ground:
        store = ground.open()
        with pytest.raises(StoreUnavailable):
            store.get(key)
        options = ["--cluster-enabled", "yes", "--cluster-port", str(servers.free_port())]
        with servers.redis(*options, port=port), Redis(port=port) as node:
            node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            eventually(lambda: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
            store.put(key, {"n": 1}, 60)
            assert store.get(key) == {"n": 1}


def test_a_server_that_wants_a_password_and_gets_none_is_unavailable() -> None:
    with (
        servers.redis("--requirepass", "sesame") as port,
        Ground(f"redis://127.0.0.1:{port}/0", shared=True) as without,
        Ground(f"redis://:sesame@127.0.0.1:{port}/0", shared=True) as with_it,
    ):
        with_it.open().ping()
        with pytest.raises(StoreUnavailable):
            without.open().ping()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "redis+elsewhere://127.0.0.1/",
        "redis+sentinel://127.0.0.1:26379",
        "redis+sentinel://127.0.0.1:26379/service?socket_timeout=0",
        "redis+cluster://",
        "redis+cluster://127.0.0.1:6379/1",
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        open_store(url)


def test_it_is_emptied_of_its_own_keys_and_counters_alone(ground: Ground, key: str) -> None:
    store = ground.open()
    for number in range(1500):  # more than are asked for at once
        store.put(f"{key}:{number}", {}, 60)
    store.count(key, 60)
    store._ask("SET", "others:own", "kept")  # type: ignore[attr-defined]
    store.clear()
    assert store.get(f"{key}:0") is None
    assert store.get(f"{key}:1499") is None
    assert store.count(key, 60) == 1
    assert store._ask("GETDEL", "others:own") == "kept"  # type: ignore[attr-defined]


def test_a_store_that_cannot_be_emptied_says_so() -> None:
    with Ground(f"redis://127.0.0.1:{servers.free_port()}/0", shared=True) as ground:
        store = ground.open()
        with pytest.raises(StoreUnavailable):
            store.clear()
