"""PostgreSQL and Redis as an operator doubles them: servers that can be lost, and others that take their place."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from redis import Redis, RedisCluster
from sqlalchemy import Engine, create_engine, text

from tests import servers
from tests.servers import free_port
from tests.waiting import eventually

SERVICE = "sinwon"
FAILOVER_S = 20
_SENTINELS = 3
_DOWN_AFTER_MS = 1000
_SLOTS = 16384


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has buried yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Server:
    """A server that can be killed, and started again as it was."""

    def __init__(self, command: Sequence[str | Path], ready: str, user: str | None = None) -> None:
        self._command, self._ready, self._user = command, ready, user
        self._run = ExitStack()
        self.pid = 0

    def start(self) -> None:
        self.pid = self._run.enter_context(servers.running(self._command, self._ready, user=self._user))

    def kill(self) -> None:
        """Kill it without a word, and wait until whatever it started is gone too."""
        left = [self.pid, *children(self.pid)]
        os.kill(self.pid, signal.SIGKILL)
        self.stop()
        eventually(lambda: all(is_gone(pid) for pid in left))

    def stop(self) -> None:
        self._run.close()


class PostgreSQLs:
    """A primary and a standby that has every commit before it is acknowledged.

    `promote` and `let_standby_go` are what Patroni, or a person, does in a real deployment.
    """

    def __init__(self, directory: Path) -> None:
        self._password = secrets.token_urlsafe(16)
        password_file = directory / "password"
        password_file.write_text(self._password)
        user = servers.postgresql_user()
        if user:
            shutil.chown(password_file, user)
        self._ports = (free_port(), free_port())
        self._data = tuple(directory / f"data{number}" for number in range(2))
        self._servers = tuple(
            Server(
                servers.postgresql_command(
                    data, port, synchronous_commit="on", wal_receiver_status_interval="1s"
                ),
                "ready to accept",  # whoever may ask: a standby takes no writes
                user,
            )
            for data, port in zip(self._data, self._ports, strict=True)
        )
        self._primary = 0
        servers.make_postgresql(self._data[0], password_file)

    def start(self) -> None:
        self.primary.start()
        self.add_standby()

    @property
    def primary(self) -> Server:
        return self._servers[self._primary]

    @property
    def standby(self) -> Server:
        return self._servers[1 - self._primary]

    def url(self, database: str = "postgres") -> str:
        """Both servers, whichever is the primary, as an operator writes it."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"postgresql://postgres:{self._password}@{hosts}/{database}"

    def add_standby(self) -> None:
        """The other server begins anew as a copy of the primary, and every commit waits for it from then on."""
        data = self._data[1 - self._primary]
        shutil.rmtree(data, ignore_errors=True)
        port = str(self._ports[self._primary])
        servers.run_as_postgresql(
            servers.postgresql_binaries() / "pg_basebackup",
            *("-D", str(data), "-h", "127.0.0.1", "-p", port, "-U", "postgres"),
            *("-R", "-X", "stream", "-c", "fast", "--no-sync"),
            environment={"PGPASSWORD": self._password},
        )
        self.standby.start()
        streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        eventually(lambda: self._ask(self._primary, streaming) == 1)
        self._ask(self._primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._ask(self._primary, "SELECT pg_reload_conf()")
        synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually(lambda: self._ask(self._primary, synchronous) == 1)

    def let_standby_go(self) -> None:
        """Commit without a standby, as long as there is none."""
        self._ask(self._primary, "ALTER SYSTEM RESET synchronous_standby_names")
        self._ask(self._primary, "SELECT pg_reload_conf()")

    def promote(self) -> None:
        """The standby becomes the primary; the other one is lost already."""
        assert self._ask(1 - self._primary, "SELECT pg_promote(true, 15)")
        self._primary = 1 - self._primary

    def stop(self) -> None:
        for server in self._servers:
            server.stop()

    def create(self, database: str) -> None:
        self._ask(self._primary, f"CREATE DATABASE {database}")

    def _ask(self, number: int, statement: str) -> object:
        engine = self._engine(number)
        try:
            with engine.connect() as connection:
                result = connection.execute(text(statement))
                return result.scalar() if result.returns_rows else None
        finally:
            engine.dispose()

    def _engine(self, number: int) -> Engine:
        url = f"postgresql+psycopg://postgres:{self._password}@127.0.0.1:{self._ports[number]}/postgres"
        return create_engine(url, isolation_level="AUTOCOMMIT")


class SentinelRedis:
    """A primary, a replica, and three Sentinels that agree on which is which.

    acl: a file of users, one of whom is `replica` (replication, Sentinels); without it everybody may do everything.
    """

    def __init__(self, directory: Path, acl: Path | None = None, password: str = "") -> None:
        self._password = password
        login = ("--aclfile", str(acl), "--masteruser", "replica", "--masterauth", password) if acl else ()
        self._ports = (free_port(), free_port())
        self.servers = tuple(
            _redis(directory / f"redis{n}", port, *login) for n, port in enumerate(self._ports)
        )
        self.sentinel_ports = [free_port() for _ in range(_SENTINELS)]
        self.sentinels = [
            self._sentinel(directory / f"sentinel{port}", port, bool(acl)) for port in self.sentinel_ports
        ]

    def start(self) -> None:
        self.servers[0].start()
        self._follow(1, 0)
        for sentinel in self.sentinels:
            sentinel.start()
        eventually(self._know_each_other, FAILOVER_S)

    def url(self, login: str = "") -> str:
        """As an operator writes it; login: `user:password@`."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{login}{hosts}/{SERVICE}/0"

    def lose_primary(self) -> int:
        """Kill it, and wait until the Sentinels have another; the number of the server that was lost."""
        lost = self._primary()
        self.servers[lost].kill()
        eventually(lambda: self._primary() != lost, FAILOVER_S)
        return lost

    def role(self, number: int) -> str:
        """What a server believes that it is: master or slave."""
        with self._client(self._ports[number]) as server:
            return str(server.info("replication")["role"])

    def bring_back(self, lost: int) -> None:
        """A server that was lost comes back as a replica."""
        self._follow(lost, 1 - lost)

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()

    def _follow(self, number: int, of: int) -> None:
        self.servers[number].start()
        with self._client(self._ports[number]) as replica, self._client(self._ports[of]) as primary:
            replica.execute_command("REPLICAOF", "127.0.0.1", self._ports[of])
            eventually(lambda: _online(primary))

    def _client(self, port: int) -> Redis:
        login = {"username": "replica", "password": self._password} if self._password else {}
        return Redis(port=port, decode_responses=True, **login)

    def _sentinel(self, directory: Path, port: int, with_login: bool) -> Server:
        directory.mkdir()
        file = directory / "sentinel.conf"
        login = [f"sentinel auth-user {SERVICE} replica", f"sentinel auth-pass {SERVICE} {self._password}"]
        lines = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._ports[0]} {_SENTINELS // 2 + 1}",
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 5000",
            *(login if with_login else []),
        ]
        file.write_text("\n".join(lines) + "\n")
        address = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory))
        return Server([servers.redis_binary(), file, "--sentinel", *address], "Sentinel ID is")

    def _know_each_other(self) -> bool:
        for port in self.sentinel_ports:
            with Redis(port=port, decode_responses=True) as sentinel:
                told = sentinel.execute_command("SENTINEL", "MASTER", SERVICE)
            known = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
            if (int(known["num-other-sentinels"]), int(known["num-slaves"])) != (_SENTINELS - 1, 1):
                return False
        return True

    def _primary(self) -> int:
        answers = set()
        for port in self.sentinel_ports:
            try:
                with Redis(port=port, decode_responses=True) as sentinel:
                    _, at = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
                    answers.add(int(at))
            except ConnectionError:
                continue
        return self._ports.index(max(answers, key=list(answers).count))


def _redis(directory: Path, port: int, *options: str) -> Server:
    directory.mkdir()
    return Server(
        [
            servers.redis_binary(),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            *("--repl-diskless-sync-delay", "0", *options),
        ],
        "Ready to accept connections",
    )


def _online(primary: Redis) -> bool:
    told = primary.info("replication")
    return any(isinstance(value, dict) and value.get("state") == "online" for value in told.values())


class ClusterRedis:
    """A Cluster of three nodes that share the slots, and one more that is the first one's replica."""

    def __init__(self, directory: Path) -> None:
        self.ports = [free_port() for _ in range(4)]
        self.servers = [
            _redis(
                directory / f"node{port}",
                port,
                *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
                *("--cluster-node-timeout", "1500", "--cluster-config-file", "nodes.conf"),
            )
            for port in self.ports
        ]

    def start(self) -> None:
        for server in self.servers:
            server.start()
        nodes = [Redis(port=port, decode_responses=True) for port in self.ports]
        try:
            self._join(nodes)
        finally:
            for node in nodes:
                node.close()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.ports[:2])

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def move(self, key: str) -> None:
        """Give the slot of a key, with what is in it, to the second or third node."""
        with RedisCluster(host="127.0.0.1", port=self.ports[0], decode_responses=True) as cluster:
            slot = cluster.keyslot(key)
            source = cluster.get_node_from_key(key)
            target = next(node for node in cluster.get_primaries() if node.name != source.name)
            ids = {
                node.name: str(cluster.execute_command("CLUSTER MYID", target_nodes=node))
                for node in (source, target)
            }
            cluster.execute_command(
                "CLUSTER SETSLOT", slot, "IMPORTING", ids[source.name], target_nodes=target
            )
            cluster.execute_command(
                "CLUSTER SETSLOT", slot, "MIGRATING", ids[target.name], target_nodes=source
            )
            for name in cluster.execute_command("CLUSTER GETKEYSINSLOT", slot, 100, target_nodes=source):
                cluster.execute_command(
                    "MIGRATE", target.host, target.port, name, 0, 1000, target_nodes=source
                )
            for node in (target, source):
                cluster.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target.name], target_nodes=node)

    @staticmethod
    def _join(nodes: list[Redis]) -> None:
        share = -(-_SLOTS // 3)
        for number, node in enumerate(nodes[:3]):
            last = min((number + 1) * share, _SLOTS) - 1
            node.execute_command("CLUSTER ADDSLOTSRANGE", number * share, last)
        first, *others = nodes
        buses = {node: node.connection_pool.connection_kwargs["port"] for node in nodes}
        for node in others:
            bus = str(node.execute_command("CONFIG GET", "cluster-port")["cluster-port"])
            first.execute_command("CLUSTER MEET", "127.0.0.1", buses[node], bus)
        eventually(lambda: all(_knows(node, 4) for node in nodes), FAILOVER_S)
        nodes[3].execute_command("CLUSTER REPLICATE", str(first.execute_command("CLUSTER MYID")))
        eventually(lambda: _online(first) and all(_state(node) == "ok" for node in nodes), FAILOVER_S)


def _state(node: Redis) -> str:
    return str(node.execute_command("CLUSTER INFO")["cluster_state"])


def _knows(node: Redis, n: int) -> bool:
    return int(node.execute_command("CLUSTER INFO")["cluster_known_nodes"]) == n


class _Group(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


Group = TypeVar("Group", bound=_Group)


@contextmanager
def started(make: Callable[[Path], Group], user: str | None = None) -> Iterator[Group]:
    """Servers in a directory of their own (and of this user's), until the context ends."""
    with servers.private_directory(user) as directory:
        group = make(directory)
        try:
            group.start()
            yield group
        finally:
            group.stop()


def postgresqls() -> AbstractContextManager[PostgreSQLs]:
    return started(PostgreSQLs, servers.postgresql_user())
