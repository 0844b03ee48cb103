"""The store in Redis (6.2 or later) or Valkey: a single server, Sentinel or Cluster.

Every verb touches one key, so each works on a Cluster; what Redis has no command for (compare and set, a
counter that keeps its window) is a script of one key. Values are `sinwon:v:<key>`, counters
`sinwon:n:<key>`, wakes travel on the channel `sinwon:wake`. Redis keeps the time of expiry.

Replication is asynchronous: a failover may lose the last writes. That is forgetting, except that a lost
`take` remembers; decision D11 therefore has a database row decide whatever must not happen twice.
Set `maxmemory-policy noeviction`: an evicted login is a sign-in that fails for no visible reason.

A server that is silent is given up after 0.4 seconds; once a verb is sent again, over a new connection, and whoever
waits hears of it within a second. Behind a Sentinel that asks who is primary now, on a Cluster the map of nodes is
read anew (MOVED, a node that is gone), and a server that became a replica (READONLY) or is still loading is left in
the same way.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from idp.store import StoreUnavailable, Value
from idp.store.entries import decode, encode, key_to_write, lifetime, possible
from idp.store.wakes import TICK_S, Listener, Wakes

log = logging.getLogger(__name__)

CONNECT_S = 0.4
ANSWER_S = 0.4
CHANNEL = "sinwon:wake"
_CLEAR_KEYS = 1000

SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
return 1"""

COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return n"""

_SHA1 = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (SWAP, COUNT)}


_REFUSALS = {
    ReadOnlyError: "Redis is a replica, which takes no writes",
    MovedError: "this Redis is a node of a Cluster: write redis+cluster://",
    OutOfMemoryError: "Redis is full",
}


@dataclass(frozen=True)
class Connected:
    """A client of the library, and what closes it."""

    client: Any
    close: Callable[[], None]


@dataclass(frozen=True)
class Facts:
    """What the servers say of themselves: maxmemory-policy, of several the worst, None where it may not be asked;
    the time of one in seconds."""

    version: tuple[int, ...]
    policy: str | None
    time: float

    @property
    def evicts(self) -> bool:
        """Whether it throws entries away when it is full: an evicted login fails for no reason anybody sees."""
        return self.policy not in (None, "noeviction")


class RedisStore:
    """A `Store` on Redis. Connects at the first verb."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a URL that names no Redis."""
        self._connect = _way_to(url)
        self._connected: Connected | None = None
        self._connecting = threading.Lock()
        self._closed = False
        self._wakes = Wakes()
        self._listener = Listener(self._hear, self._wakes.open_letter)

    def put(self, key: str, value: Value, ttl_s: int) -> None:
        self._ask("SET", _value(key), encode(value), "EX", lifetime(ttl_s))

    def get(self, key: str) -> Value | None:
        return _decoded(self._ask("GET", _value(key))) if possible(key) else None

    def take(self, key: str) -> Value | None:
        return _decoded(self._ask("GETDEL", _value(key))) if possible(key) else None

    def add(self, key: str, value: Value, ttl_s: int) -> bool:
        return self._ask("SET", _value(key), encode(value), "NX", "EX", lifetime(ttl_s)) is not None

    def swap(self, key: str, old: Value, new: Value, ttl_s: int | None = None) -> bool:
        if not possible(key):
            return False
        ttl = "" if ttl_s is None else lifetime(ttl_s)
        return bool(self._run(SWAP, _value(key), encode(old), encode(new), ttl))

    def count(self, key: str, window_s: int) -> int:
        return int(self._run(COUNT, _counter(key), lifetime(window_s)))

    def clear(self) -> None:
        try:
            client = self._client()
            keys = client.scan_iter(match="sinwon:*", count=_CLEAR_KEYS)
            while some := list(islice(keys, _CLEAR_KEYS)):
                # One command a key: on a Cluster keys that are named together must live together.
                pipeline = client.pipeline(transaction=False)
                for key in some:
                    pipeline.delete(key)
                pipeline.execute()
        except (redis.RedisError, RedisClusterException, OSError) as error:
            raise StoreUnavailable("Redis could not be emptied") from error

    def publish(self, channel: str) -> None:
        letter = self._wakes.letter(key_to_write(channel))
        self._wakes.wake(channel)
        try:
            self._ask("PUBLISH", CHANNEL, letter)
        except StoreUnavailable:
            log.warning("the other processes could not be woken; waiting pages fall back to asking")

    def subscribe(self, wake: Callable[[str], None]) -> Callable[[], None]:
        unsubscribe = self._wakes.subscribe(wake)
        self._listener.ensure()
        return unsubscribe

    def ping(self) -> None:
        self._ask("PING")

    def facts(self) -> Facts:
        """What an operator should know. Of a Cluster each primary is asked, replicas are not."""
        of_a_cluster = isinstance(self._client(), RedisCluster)
        told = self._ask("INFO", **({"target_nodes": RedisCluster.PRIMARIES} if of_a_cluster else {}))
        servers = list(told.values()) if "redis_version" not in told else [told]
        policies = {one.get("maxmemory_policy") for one in servers}
        versions = [tuple(int(part) for part in one["redis_version"].split(".")[:2]) for one in servers]
        time = self._ask("TIME", **({"target_nodes": RedisCluster.RANDOM} if of_a_cluster else {}))
        seconds, microseconds = next(iter(time.values())) if isinstance(time, dict) else time
        evicting = sorted(policy for policy in policies if policy not in (None, "noeviction"))
        policy = evicting[0] if evicting else None if None in policies else "noeviction"
        return Facts(min(versions), policy, seconds + microseconds / 1_000_000)

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        with self._connecting:
            if self._connected is not None:
                self._connected.close()

    def _client(self) -> Any:
        """The client of the library, made when it is first needed: a Cluster's asks for the map of its nodes."""
        if self._connected is None:
            connected = self._connect()
            with self._connecting:
                if self._connected is not None or self._closed:
                    connected.close()
                else:
                    self._connected = connected
        if self._closed or self._connected is None:  # the client would connect again
            raise StoreUnavailable("the store is closed")
        return self._connected.client

    def _ask(self, *command: str | int, **options: Any) -> Any:
        """One command. What a server says in refusing may quote the command, so it is not chained."""
        try:
            try:
                return self._client().execute_command(*command, **options)
            except ReadOnlyError:
                # Behind one address another server may be the primary by now; whoever is connected is not told.
                self._client().connection_pool.disconnect(inuse_connections=False)
                return self._client().execute_command(*command, **options)
        except NoScriptError:
            raise
        # ValueError: the client reads on in a buffer that it has closed, when a connection breaks.
        except (redis.ConnectionError, redis.TimeoutError, OSError, ValueError) as error:
            raise StoreUnavailable("Redis cannot be reached") from error
        except (RedisError, RedisClusterException) as error:
            raise StoreUnavailable(_REFUSALS.get(type(error)) or _refused(error)) from None

    def _run(self, script: str, key: str, *arguments: str | int) -> Any:
        try:
            return self._ask("EVALSHA", _SHA1[script], 1, key, *arguments)
        except NoScriptError:  # a fresh server, or one after a failover, has not seen it yet
            return self._ask("EVAL", script, 1, key, *arguments)

    def _hear(self) -> Generator[str | None]:
        # The pubsub object reconnects silently by itself on the next read; what it cannot mend is raised.
        with closing(self._client().pubsub(ignore_subscribe_messages=True)) as pubsub:
            pubsub.subscribe(CHANNEL)
            pubsub.get_message(timeout=ANSWER_S)  # the server's word that it listens
            while True:
                message = pubsub.get_message(timeout=TICK_S)
                yield message["data"] if message is not None else None


def _value(key: str) -> str:
    return "sinwon:v:" + key_to_write(key)


def _counter(key: str) -> str:
    return "sinwon:n:" + key_to_write(key)


def _decoded(text: str | None) -> Value | None:
    return None if text is None else decode(text)


def _refused(error: Exception) -> str:
    return f"Redis refused a command ({type(error).__name__})"


def _way_to(url: str) -> Callable[[], Connected]:
    """What connects. Raises ValueError for a URL that names no Redis.

    Sentinels are asked with the credentials in the query, `sentinel_username` and `sentinel_password`.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": ANSWER_S,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.1), retries=1),
    }
    parts = urlsplit(url)
    transport, _, topology = parts.scheme.partition("+")
    if topology == "":
        client = redis.Redis.from_url(url, **options)
        return lambda: Connected(client, client.close)
    if transport == "rediss":
        options["ssl"] = True
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    if topology == "cluster":
        if parts.path.strip("/") not in ("", "0") or parts.query:
            raise ValueError("a Cluster has database 0 alone, and its URL takes no options")
        return partial(_cluster, _nodes(parts.netloc, 6379), options)
    if topology == "sentinel":
        return _sentinel(parts, options)
    raise ValueError("Redis is reached by redis://, redis+sentinel:// or redis+cluster://")


def _cluster(nodes: list[tuple[str, int]], options: dict[str, Any]) -> Connected:
    start = [ClusterNode(host, port) for host, port in nodes]  # type: ignore[no-untyped-call]
    try:
        cluster = RedisCluster(startup_nodes=start, **options)
    except (RedisError, RedisClusterException, OSError) as error:
        raise StoreUnavailable("no node of the Redis Cluster answers") from error
    return Connected(cluster, cluster.close)


def _sentinel(parts: SplitResult, options: dict[str, Any]) -> Callable[[], Connected]:
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("a Sentinel URL names its service: redis+sentinel://host:port/service")
    to_sentinels = {name: value for name, value in options.items() if name not in ("username", "password")}
    for name, value in parse_qsl(parts.query):
        if name not in ("sentinel_username", "sentinel_password"):
            raise ValueError("a Sentinel URL takes sentinel_username and sentinel_password only")
        to_sentinels[name.removeprefix("sentinel_")] = value
    sentinel = Sentinel(_nodes(parts.netloc, 26379), sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
    primary = sentinel.master_for(service, db=int(database or 0), **options)  # type: ignore[no-untyped-call]

    def close() -> None:
        primary.close()
        sentinel.close()

    return lambda: Connected(primary, close)


def _nodes(netloc: str, default_port: int) -> list[tuple[str, int]]:
    hosts = netloc.rpartition("@")[2].split(",")
    parts = [urlsplit(f"//{host}") for host in hosts]
    if not all(part.hostname for part in parts):
        raise ValueError("a list of servers is written host:port,host:port")
    return [(str(part.hostname), part.port or default_port) for part in parts]
