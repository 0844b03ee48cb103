"""A store whose verbs are steps of a trace. Keys and values stay out of it: some keys name a login."""

from __future__ import annotations

from collections.abc import Callable

from idp import tracing
from idp.store import Store, Value

_SYSTEM = "store"


class TracedStore:
    """Another store, watched."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.clear = store.clear
        self.ping = store.ping
        self.close = store.close

    def put(self, key: str, value: Value, ttl_s: int) -> None:
        with tracing.within("store", system=_SYSTEM, operation="put"):
            self._store.put(key, value, ttl_s)

    def get(self, key: str) -> Value | None:
        with tracing.within("store", system=_SYSTEM, operation="get"):
            return self._store.get(key)

    def take(self, key: str) -> Value | None:
        with tracing.within("store", system=_SYSTEM, operation="take"):
            return self._store.take(key)

    def add(self, key: str, value: Value, ttl_s: int) -> bool:
        with tracing.within("store", system=_SYSTEM, operation="add"):
            return self._store.add(key, value, ttl_s)

    def swap(self, key: str, old: Value, new: Value, ttl_s: int | None = None) -> bool:
        with tracing.within("store", system=_SYSTEM, operation="swap"):
            return self._store.swap(key, old, new, ttl_s)

    def count(self, key: str, window_s: int) -> int:
        with tracing.within("store", system=_SYSTEM, operation="count"):
            return self._store.count(key, window_s)

    def publish(self, channel: str) -> None:
        with tracing.within("store", system=_SYSTEM, operation="publish"):
            self._store.publish(channel)

    def subscribe(self, wake: Callable[[str], None]) -> Callable[[], None]:
        return self._store.subscribe(wake)
