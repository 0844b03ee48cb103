"""What every store promises, asked of each on its real server, races included."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from idp.store import Store, StoreUnavailable
from tests.store.conftest import Ground
from tests.waiting import eventually

HONG = {
    "name": "홍길동",
    "mission": {"code": "LAX"},
    "n": 1,
    "emoji": "🪪",
    "none": None,
    "list": [1, 2.5, True],
}


def all_at_once(n: int, act: Callable[[int], object]) -> list[object]:
    """What act(0) … act(n - 1) return when n threads start together."""
    start = threading.Barrier(n)

    def run(i: int) -> object:
        start.wait()
        return act(i)

    with ThreadPoolExecutor(n) as threads:
        return list(threads.map(run, range(n)))


def test_what_is_put_can_be_read_as_often_as_one_likes(store: Store, key: str) -> None:
    store.put(key, HONG, 60)
    assert [store.get(key), store.get(key)] == [HONG, HONG]


def test_an_unknown_key_holds_nothing(store: Store, key: str) -> None:
    assert store.get(key) is None
    assert store.take(key) is None
    assert store.swap(key, {}, {}) is False


def test_putting_again_replaces_the_value_and_the_lifetime(ground: Ground, store: Store, key: str) -> None:
    store.put(key, {"n": 1}, 600)
    store.put(key, {"n": 2}, 1)
    assert store.get(key) == {"n": 2}
    ground.after(1, lambda: store.get(key) is None)


def test_a_value_expires(ground: Ground, store: Store, key: str) -> None:
    store.put(key, HONG, 1)
    ground.after(1, lambda: store.get(key) is None)
    assert store.take(key) is None
    assert store.swap(key, HONG, {}) is False


def test_an_expired_value_cannot_be_taken(ground: Ground, store: Store, key: str) -> None:
    yardstick = key + ":later"
    store.put(key, HONG, 1)
    store.put(yardstick, HONG, 1)
    ground.after(1, lambda: store.get(yardstick) is None)
    assert store.take(key) is None


def test_a_value_is_taken_once(store: Store, key: str) -> None:
    store.put(key, HONG, 60)
    assert store.take(key) == HONG
    assert store.take(key) is None
    assert store.get(key) is None


def test_only_the_first_adds(store: Store, key: str) -> None:
    assert store.add(key, {"by": 1}, 60) is True
    assert store.add(key, {"by": 2}, 60) is False
    assert store.get(key) == {"by": 1}


def test_adding_is_open_again_after_expiry(ground: Ground, store: Store, key: str) -> None:
    store.add(key, {"by": 1}, 1)
    ground.after(1, lambda: store.add(key, {"by": 2}, 600))
    assert store.get(key) == {"by": 2}


def test_adding_in_vain_prolongs_nothing(ground: Ground, store: Store, key: str) -> None:
    store.add(key, {"by": 1}, 1)
    store.add(key, {"by": 2}, 600)
    ground.after(1, lambda: store.get(key) is None)


def test_adding_is_open_again_after_a_take(store: Store, key: str) -> None:
    store.add(key, {"by": 1}, 60)
    store.take(key)
    assert store.add(key, {"by": 2}, 60) is True


def test_a_swap_needs_the_old_value(store: Store, key: str) -> None:
    store.put(key, {"state": "WAITING"}, 60)
    assert store.swap(key, {"state": "PRESENTED"}, {"state": "DONE"}) is False
    assert store.swap(key, {"state": "WAITING"}, {"state": "PRESENTED"}) is True
    assert store.get(key) == {"state": "PRESENTED"}


def test_a_swap_compares_values_and_not_their_order(store: Store, key: str) -> None:
    store.put(key, {"a": 1, "b": {"c": "가", "d": 2}}, 60)
    assert store.swap(key, {"b": {"d": 2, "c": "가"}, "a": 1}, {"n": 2}) is True


def test_what_was_read_can_be_swapped(store: Store, key: str) -> None:
    store.put(key, HONG, 60)
    read = store.get(key)
    assert read is not None
    assert store.swap(key, read, {"done": True}) is True


def test_a_swap_keeps_the_lifetime(ground: Ground, store: Store, key: str) -> None:
    store.put(key, {"n": 1}, 1)
    assert store.swap(key, {"n": 1}, {"n": 2}) is True
    ground.after(1, lambda: store.get(key) is None)


def test_a_swap_may_prolong(ground: Ground, store: Store, key: str) -> None:
    yardstick = key + ":later"
    store.put(key, {"n": 1}, 1)
    assert store.swap(key, {"n": 1}, {"n": 2}, ttl_s=600) is True
    store.put(yardstick, {}, 1)
    ground.after(1, lambda: store.get(yardstick) is None)
    assert store.get(key) == {"n": 2}


def test_a_swap_may_shorten(ground: Ground, store: Store, key: str) -> None:
    store.put(key, {"n": 1}, 600)
    assert store.swap(key, {"n": 1}, {"n": 2}, ttl_s=1) is True
    ground.after(1, lambda: store.get(key) is None)


def test_counting_starts_at_one(store: Store, key: str) -> None:
    assert [store.count(key, 60) for _ in range(3)] == [1, 2, 3]


def test_a_window_is_not_prolonged_by_counting(ground: Ground, store: Store, key: str) -> None:
    assert [store.count(key, 1), store.count(key, 600)] == [1, 2]
    ground.after(1, lambda: store.count(key, 1) == 1)


def test_a_counter_and_a_value_of_one_name_do_not_meet(store: Store, key: str) -> None:
    store.put(key, HONG, 60)
    assert store.count(key, 60) == 1
    assert store.take(key) == HONG
    assert store.count(key, 60) == 2
    assert store.get(key) is None


ODD_KEYS = [
    "a b",
    "한글:열쇠",
    "%s%(k)s:k",
    "'; DROP TABLE ephemeral; --",
    "{tag}*?[x]",
    "\x01\x7f\n",
    "é",
    "e\u0301",
    "🪪" * 20,
    "k" * 219,
]


@pytest.mark.parametrize("odd", ODD_KEYS, ids=range(len(ODD_KEYS)))
def test_any_text_is_a_key(store: Store, odd: str) -> None:
    key = f"{uuid4().hex}:{odd}"
    store.put(key, HONG, 60)
    assert store.get(key) == HONG
    assert store.count(key, 60) == 1
    assert store.take(key) == HONG


def test_keys_that_look_alike_are_different(store: Store, key: str) -> None:
    for n, tail in enumerate(["é", "e\u0301", "É", "E", "e", "e "]):
        assert store.add(key + tail, {"n": n}, 60) is True


NOT_KEYS = {"empty": "", "NUL": "a\0b", "too long": "k" * 256, "lone surrogate": "a\ud800"}


@pytest.mark.parametrize("bad", NOT_KEYS.values(), ids=NOT_KEYS)
def test_what_cannot_be_a_key_names_nothing(store: Store, bad: str) -> None:
    assert store.get(bad) is None
    assert store.take(bad) is None
    assert store.swap(bad, {}, {}) is False


@pytest.mark.parametrize("bad", NOT_KEYS.values(), ids=NOT_KEYS)
def test_what_cannot_be_a_key_is_not_written(store: Store, bad: str) -> None:
    for write in (
        lambda: store.put(bad, {}, 60),
        lambda: store.add(bad, {}, 60),
        lambda: store.count(bad, 60),
        lambda: store.publish(bad),
    ):
        with pytest.raises(ValueError, match="not a key"):
            write()


@pytest.mark.parametrize("ttl_s", [0, -1])
def test_nothing_is_stored_without_a_lifetime(store: Store, key: str, ttl_s: int) -> None:
    for write in (
        lambda: store.put(key, {}, ttl_s),
        lambda: store.add(key, {}, ttl_s),
        lambda: store.swap(key, {}, {}, ttl_s),
        lambda: store.count(key, ttl_s),
    ):
        with pytest.raises(ValueError, match="at least one second"):
            write()
    assert store.get(key) is None


@pytest.mark.parametrize("value", [{"x": float("nan")}, {"x": "\ud800"}], ids=["NaN", "lone surrogate"])
def test_what_json_cannot_hold_is_not_stored(store: Store, key: str, value: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        store.put(key, value, 60)
    assert store.get(key) is None


def test_a_value_may_hold_nul_and_quotes(store: Store, key: str) -> None:
    value = {"\0": "a\0b", "'": "\"\\'", "%s": ":v %(v)s"}
    store.put(key, value, 60)
    assert store.get(key) == value
    assert store.swap(key, value, {"n": 1}) is True


def test_a_value_may_be_big(store: Store, key: str) -> None:
    value = {"picture": "가나다라" * 250_000}
    store.put(key, value, 60)
    assert store.swap(key, value, {**value, "n": 1}) is True
    assert store.take(key) == {**value, "n": 1}


def test_of_sixteen_takers_one_wins_each_key(store: Store, key: str) -> None:
    for i in range(200):
        store.put(f"{key}:{i}", {"i": i}, 60)
    taken = all_at_once(16, lambda _: [store.take(f"{key}:{i}") for i in range(200)])
    for i in range(200):
        won = [one[i] for one in taken if one[i] is not None]  # type: ignore[index]
        assert won == [{"i": i}]


def test_of_fifty_adders_one_is_first(store: Store, key: str) -> None:
    first = all_at_once(50, lambda i: store.add(key, {"by": i}, 60))
    assert first.count(True) == 1
    assert store.get(key) == {"by": first.index(True)}


def test_of_fifty_swappers_one_wins(store: Store, key: str) -> None:
    store.put(key, {"state": "WAITING"}, 60)
    won = all_at_once(50, lambda i: store.swap(key, {"state": "WAITING"}, {"state": "PRESENTED", "by": i}))
    assert won.count(True) == 1
    assert store.get(key) == {"state": "PRESENTED", "by": won.index(True)}


def test_a_take_and_a_swap_do_not_both_win(store: Store, key: str) -> None:
    for i in range(50):
        name = f"{key}:{i}"
        store.put(name, {"n": 1}, 60)
        acts = [lambda name=name: store.take(name), lambda name=name: store.swap(name, {"n": 1}, {"n": 2})]
        taken, swapped = all_at_once(2, lambda j, acts=acts: acts[j]())
        # Whichever came first: a swap before the take hands the new value to the taker.
        assert taken == ({"n": 2} if swapped else {"n": 1})
        assert store.get(name) is None


def test_no_count_is_lost_between_threads(store: Store, key: str) -> None:
    counted = all_at_once(16, lambda _: [store.count(key, 60) for _ in range(25)])
    numbers = [n for one in counted for n in one]  # type: ignore[attr-defined]
    assert sorted(numbers) == list(range(1, 401))


def test_two_stores_on_one_server_share_what_is_in_it(ground: Ground, store: Store, key: str) -> None:
    # SQLite too: beside the one serving process a command may open the file.
    other = ground.open()
    store.put(key, HONG, 60)
    assert other.take(key) == HONG
    assert store.get(key) is None
    assert [store.count(key, 60), other.count(key, 60)] == [1, 2]


def test_two_stores_on_one_server_have_one_winner(ground: Ground, store: Store, key: str) -> None:
    stores = [store, ground.open()]
    for i in range(50):
        store.put(f"{key}:{i}", {"i": i}, 60)
    taken = all_at_once(8, lambda t: [stores[t % 2].take(f"{key}:{i}") is not None for i in range(50)])
    assert [sum(one[i] for one in taken) for i in range(50)] == [1] * 50  # type: ignore[index]


def test_publishing_wakes_every_subscriber(store: Store, key: str) -> None:
    heard: list[str] = []
    store.subscribe(heard.append)
    store.subscribe(heard.append)
    store.publish(key)
    eventually(lambda: heard == [key, key])


def test_one_who_unsubscribed_sleeps_on(store: Store, key: str) -> None:
    gone: list[str] = []
    here: list[str] = []
    unsubscribe = store.subscribe(gone.append)
    store.subscribe(here.append)
    unsubscribe()
    unsubscribe()
    store.publish(key)
    eventually(lambda: here == [key])
    assert gone == []


def test_a_subscriber_that_fails_keeps_nobody_asleep(
    store: Store, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("no")

    heard: list[str] = []
    store.subscribe(fail)
    store.subscribe(heard.append)
    store.publish(key)
    eventually(lambda: heard == [key])
    assert "a subscriber of the store failed" in caplog.text
    assert key not in caplog.text


def test_publishing_wakes_subscribers_of_other_processes(ground: Ground, store: Store, key: str) -> None:
    mine: list[str] = []
    theirs: list[str] = []
    other = ground.open()
    store.subscribe(mine.append)
    other.subscribe(theirs.append)
    store.publish(key)
    if not ground.shared:  # SQLite serves one process, and says so
        assert (mine, theirs) == ([key], [])
        return
    store.publish(key + ":한글")
    eventually(lambda: theirs == [key, key + ":한글"])
    other.publish("back")
    eventually(lambda: mine[-1] == "back")
    # Our own publications come once, not again by way of the server.
    assert mine == [key, key + ":한글", "back"]


def test_a_store_that_is_there_answers_a_ping(store: Store) -> None:
    store.ping()


def test_a_closed_store_is_unavailable(ground: Ground, key: str) -> None:
    store = ground.open()
    store.put(key, {}, 60)
    store.subscribe(lambda _: None)
    store.close()
    for verb in (
        lambda: store.put(key, {}, 60),
        lambda: store.get(key),
        lambda: store.take(key),
        lambda: store.add(key, {}, 60),
        lambda: store.swap(key, {}, {}),
        lambda: store.count(key, 60),
        store.ping,
    ):
        with pytest.raises(StoreUnavailable):
            verb()
