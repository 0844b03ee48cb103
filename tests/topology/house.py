"""A deployment of two nodes on this machine, each part a process of its own that can be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from idp.demo import personas, seeds
from idp.settings import load
from tests import servers
from tests.crowd import Client, Holder, Place, client_of
from tests.deployed import PROJECT, await_answer, furnish, idp, process
from tests.servers import free_port
from tests.topology.engines import PostgreSQLs, SentinelRedis, children, is_gone, postgresqls, started
from tests.topology.front import DEPLOY, Front, nginx
from tests.waiting import eventually

PROCESSES = 2
_PASSWORD = "sesame"


class Program:
    """An `idp` command that can be killed and started again, of this release or of another tree.

    ready: what answers when it serves; empty where nobody is to wait.
    """

    def __init__(
        self, arguments: list[str], log: Path, environment: Mapping[str, str], ready: str = ""
    ) -> None:
        self._arguments, self._log, self._environment, self._ready = arguments, log, environment, ready
        self._run = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, tree: Path = PROJECT) -> None:
        self.process = self._run.enter_context(process(self._arguments, self._log, self._environment, tree))
        if self._ready:
            await_answer(self._ready, self.process, self._log)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """Kill the process that the others stand under and, as systemd or a container's end does, those."""
        left = children(self.pid)
        for pid in (self.pid, *left):
            os.kill(pid, signal.SIGKILL)
        self.stop()
        eventually(lambda: all(is_gone(pid) for pid in left))

    def kill_a_child(self) -> None:
        """Kill one of its processes, and wait until it has another in its place."""
        before = children(self.pid)
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(children(self.pid)) == len(before) and before[0] not in children(self.pid))

    def stop(self) -> None:
        """End it in good order."""
        self._run.close()


@dataclass
class Topology:
    """The running deployment. `environment` is every node's."""

    place: Place
    client: Client
    front: Front
    nodes: list[Program]
    node_ports: list[int]
    worker: Program
    postgresql: PostgreSQLs
    redis: SentinelRedis
    environment: dict[str, str]
    directory: Path

    def holder(self, number: int) -> Holder:
        return Holder(self.place, self.client, personas.invented(number))

    def ready(self, number: int) -> bool:
        """Whether a node says that it can serve."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.node_ports[number]}/readyz", timeout=5
            ) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill_a_process_of_nginx(self) -> None:
        master = int((self.front.directory / "nginx.pid").read_text())
        before = children(master)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: bool(children(master)) and not set(before) & set(children(master)))


@contextmanager
def topology(directory: Path, tree: Path = PROJECT) -> Iterator[Topology]:
    """Start everything, and stop it at the end. Nodes and worker run from `tree`, on a database as that has it.

    Redis has the users of `deploy/compose`, with the rights that they have there, and one for its replica.
    """
    port, guests, node_ports = free_port(), free_port(), [free_port(), free_port()]
    here = f"http://127.0.0.1:{guests}"
    prepared = seeds.prepare(
        directory / "guests",
        issuer=f"https://localhost:{port}",
        portals_url=here,
        wallet_url=f"{here}/wallet",
        authority_url=f"{here}/authority",
    )
    with ExitStack() as stack:
        postgresql = stack.enter_context(postgresqls())
        redis = stack.enter_context(started(lambda made: SentinelRedis(made, _acl(directory), _PASSWORD)))
        postgresql.create("sinwon")
        given = {
            "mode": "demo",
            "issuer": prepared.issuer,
            "server.trusted_proxies": "1",
            "server.client_certificate_header": "X-Client-Certificate",
            "server.workers": str(PROCESSES),
            "database.url": postgresql.url("sinwon"),
            "store.url": redis.url(f"sinwon:{_PASSWORD}@"),
            "secrets.key_encryption_key": "33" * 31 + "aa",
            "secrets.pepper": "44" * 31 + "bb",
            "wallet.certificate_file": str(prepared.request_signer_certificates),
            "wallet.private_key_file": str(prepared.request_signer_key),
            "wallet.link": prepared.wallet_link,
            "fetch.allow": here,
            "holder.logins_per_minute_per_ip": "100000",
            "holder.codes_per_hour_per_network": "100000",
        }
        environment = {f"IDP_{name.upper().replace('.', '__')}": value for name, value in given.items()}
        if tree == PROJECT:
            furnish(load(None, environment), prepared, [])
        else:
            for command in (
                ("migrate",),
                ("trust", "apply", str(prepared.trust_file)),
                ("portals", "apply", str(prepared.portals_file)),
            ):
                idp(tree, environment, *command)
        guest = Program(
            ["idp.demo", "--directory", str(prepared.directory), "--port", str(guests)],
            directory / "guests.log",
            {},
            f"{here}/healthz",
        )
        worker = Program(["idp.cli", "worker"], directory / "worker.log", environment)
        nodes = [
            Program(
                ["idp.cli", "serve"],
                directory / f"node-{number}.log",
                {**environment, "IDP_SERVER__BIND": f"127.0.0.1:{node_port}"},
                f"http://127.0.0.1:{node_port}/readyz",
            )
            for number, node_port in enumerate(node_ports)
        ]
        for program in (guest, worker, *nodes):
            stack.callback(program.stop)
        guest.start()
        for program in (worker, *nodes):
            program.start(tree)
        front = stack.enter_context(nginx(servers.nginx_binary(), directory / "nginx", node_ports, port))
        place = Place.of(prepared, front.tls)
        stack.callback(place.line.close)
        yield Topology(
            place,
            client_of(prepared),
            front,
            nodes,
            node_ports,
            worker,
            postgresql,
            redis,
            environment,
            directory,
        )


def _acl(directory: Path) -> Path:
    file = directory / "redis.acl"
    users = (DEPLOY / "compose/redis.acl.example").read_text("utf-8").replace("CHANGE-ME", _PASSWORD)
    file.write_text(f"{users}user replica on >{_PASSWORD} ~* &* +@all\n")
    return file
