"""The store in Redis (6.2 or later) or Valkey: a single server, Sentinel or Cluster.

Every verb touches one key, so each works on a Cluster; what Redis has no command for (compare and set, a
counter that keeps its window) is a script of one key. Values are `sinwon:v:<key>`, counters
`sinwon:n:<key>`, wakes travel on the channel `sinwon:wake`. Redis keeps the time of expiry.

Replication is asynchronous: a failover may lose the last writes. That is forgetting, except that a lost
`take` remembers; decision D11 therefore has a database row decide whatever must not happen twice.
Set `maxmemory-policy noeviction`: an evicted login is a sign-in that fails for no visible reason.
"""

import hashlib
import logging
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from idp.store import StoreUnavailable, Value
from idp.store.entries import decode, encode, key_to_write, lifetime, possible
from idp.store.wakes import TICK_S, Listener, Wakes

log = logging.getLogger(__name__)

CONNECT_S = 2.0
ANSWER_S = 3.0
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


@dataclass(frozen=True)
class Facts:
    """What the server says of itself: maxmemory-policy, None where it may not be asked; its time in seconds."""

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
        """Raises ValueError for a URL that names no Redis, StoreUnavailable for a Cluster without answer."""
        try:
            self._client, self._close_client = _connect(url)
        except (RedisError, RedisClusterException, OSError) as error:
            raise StoreUnavailable("no node of the Redis Cluster answers") from error
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
            keys = self._client.scan_iter(match="sinwon:*", count=_CLEAR_KEYS)
            while some := list(islice(keys, _CLEAR_KEYS)):
                # One command a key: on a Cluster keys that are named together must live together.
                pipeline = self._client.pipeline(transaction=False)
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
        """What an operator should know. Of a Cluster one node is asked."""
        one = {"target_nodes": RedisCluster.RANDOM} if isinstance(self._client, RedisCluster) else {}
        info = _of_one(self._ask("INFO", "server", **one))
        try:
            policy = _of_one(self._ask("CONFIG GET", "maxmemory-policy", **one)).get("maxmemory-policy")
        except StoreUnavailable:  # a hosted server may not be asked
            policy = None
        seconds, microseconds = _of_one(self._ask("TIME", **one))
        version = tuple(int(part) for part in info["redis_version"].split(".")[:2])
        return Facts(version, policy, seconds + microseconds / 1_000_000)

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self._close_client()

    def _ask(self, *command: str | int, **options: Any) -> Any:
        """One command. What a server says in refusing may quote the command, so it is not chained."""
        if self._closed:  # the client would connect again
            raise StoreUnavailable("the store is closed")
        try:
            return self._client.execute_command(*command, **options)
        except NoScriptError:
            raise
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise StoreUnavailable("Redis cannot be reached") from error
        except (RedisError, RedisClusterException) as error:
            raise StoreUnavailable(f"Redis refused a command ({type(error).__name__})") from None

    def _run(self, script: str, key: str, *arguments: str | int) -> Any:
        try:
            return self._ask("EVALSHA", _SHA1[script], 1, key, *arguments)
        except NoScriptError:  # a fresh server, or one after a failover, has not seen it yet
            return self._ask("EVAL", script, 1, key, *arguments)

    def _hear(self) -> Generator[str | None]:
        # The pubsub object reconnects silently by itself on the next read; what it cannot mend is raised.
        with closing(self._client.pubsub(ignore_subscribe_messages=True)) as pubsub:
            pubsub.subscribe(CHANNEL)
            pubsub.get_message(timeout=ANSWER_S)  # the server's word that it listens
            while True:
                message = pubsub.get_message(timeout=TICK_S)
                yield message["data"] if message is not None else None


def _value(key: str) -> str:
    return "sinwon:v:" + key_to_write(key)


def _counter(key: str) -> str:
    return "sinwon:n:" + key_to_write(key)


def _of_one(answer: Any) -> Any:
    """A Cluster's client may say which node answered."""
    if isinstance(answer, dict) and len(answer) == 1 and ":" in next(iter(answer)):
        return next(iter(answer.values()))
    return answer


def _decoded(text: str | None) -> Value | None:
    return None if text is None else decode(text)


def _connect(url: str) -> tuple[Any, Callable[[], None]]:
    """A client and what closes it.

    Sentinels are asked with the credentials in the query, `sentinel_username` and `sentinel_password`.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": ANSWER_S,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries=2),
    }
    parts = urlsplit(url)
    transport, _, topology = parts.scheme.partition("+")
    if topology == "":
        client = redis.Redis.from_url(url, **options)
        return client, client.close
    if transport == "rediss":
        options["ssl"] = True
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    if topology == "cluster":
        nodes = [ClusterNode(host, port) for host, port in _nodes(parts.netloc, 6379)]  # type: ignore[no-untyped-call]
        cluster = RedisCluster(startup_nodes=nodes, **options)
        return cluster, cluster.close
    if topology == "sentinel":
        return _sentinel(parts, options)
    raise ValueError("Redis is reached by redis://, redis+sentinel:// or redis+cluster://")


def _sentinel(parts: SplitResult, options: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("a Sentinel URL names its service: redis+sentinel://host:port/service")
    to_sentinels = {name: value for name, value in options.items() if name not in ("username", "password")}
    for name, value in parse_qsl(parts.query):
        if name not in ("sentinel_username", "sentinel_password"):
            raise ValueError("a Sentinel URL takes sentinel_username and sentinel_password only")
        to_sentinels[name.removeprefix("sentinel_")] = value
    sentinel = Sentinel(_nodes(parts.netloc, 26379), sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
    master = sentinel.master_for(service, db=int(database or 0), **options)  # type: ignore[no-untyped-call]

    def close() -> None:
        master.close()
        sentinel.close()

    return master, close


def _nodes(netloc: str, default_port: int) -> list[tuple[str, int]]:
    hosts = netloc.rpartition("@")[2].split(",")
    parts = [urlsplit(f"//{host}") for host in hosts]
    if not all(part.hostname for part in parts):
        raise ValueError("a list of servers is written host:port,host:port")
    return [(str(part.hostname), part.port or default_port) for part in parts]
