"""The whole deployment on this machine, every part of which can be hit: nginx with TLS as `deploy/nginx.conf` has it,
two nodes, a worker, PostgreSQL that keeps what it commits, Redis; and the demonstration's authority beside it."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509

from idp.demo import seeds
from idp.demo.authority import Authority
from idp.demo.seeds import Prepared
from idp.settings import load
from tests import servers
from tests.crowd import Client, Place
from tests.deployed import PROJECT, furnish
from tests.faults.crowd import Crowd, Patience, people
from tests.faults.ledger import Ledger, Reconciled, reconcile
from tests.faults.machines import Machine, Postgres, Redis, python
from tests.faults.signing import Signer, about
from tests.faults.told import Ears
from tests.faults.wire import Wire
from tests.servers import START_S, free_port
from tests.topology.front import Front, nginx
from tests.waiting import eventually

N_NODES = 2
READY_S = 90
PEOPLE = 60
DATABASE = "sinwon"
_BUGS = (" bug", "Error handling request", "SIGSEGV", "Fatal Python error")


@dataclass
class House:
    """A deployment that runs.

    `to_database`, `to_store`: what the nodes reach them through, where they were asked to. `clients`: the portals of
    the crowds, all of whose sign-ins are in a ledger; `racing` and `signer` are for what is in none.
    """

    directory: Path
    prepared: Prepared
    environment: Mapping[str, str]
    postgres: Postgres
    redis: Redis
    to_database: Wire
    to_store: Wire
    nodes: list[Machine]
    ports: list[int]
    worker: Machine
    guests: Machine
    front: Front
    clients: list[Client]
    racing: Client
    signer: Signer
    ears: Ears
    _stack: ExitStack = field(repr=False)
    crowds: list[Crowd] = field(default_factory=list)
    _n_read: int = 0
    _known_bugs: set[str] = field(default_factory=set)

    def crowd(
        self,
        name: str,
        *,
        direct: int | None = None,
        refresh: bool = True,
        n_people: int = PEOPLE,
        gives_up: bool = False,
        clients: list[Client] | None = None,
    ) -> Crowd:
        """People, and a ledger of their own. `direct`: to this node without nginx. `gives_up`: see `Patience`.
        `clients`: not at the usual portals but at these."""
        ledger = Ledger(self.directory / f"{name}.jsonl")
        self._stack.callback(ledger.close)
        url = self.prepared.issuer if direct is None else f"http://127.0.0.1:{self.ports[direct]}"
        line = Patience(url, self.front.tls if direct is None else None, ledger, gives_up=gives_up)
        self._stack.callback(line.close)
        ca = x509.load_pem_x509_certificate(self.prepared.access_ca.read_bytes())
        place = Place(line, Authority(self.prepared), ca)
        crowd = Crowd(line, place, clients or self.clients, people(place, n_people), refresh=refresh)
        self.crowds.append(crowd)
        return crowd

    def reconcile(self) -> Reconciled:
        """All books since the house was opened against the database."""
        entries = [entry for crowd in self.crowds for entry in crowd.ledger.entries()]
        client_ids = {client.client_id for client in [*self.clients, *self.ears.clients()]}
        return reconcile(entries, self.postgres.url(DATABASE), client_ids=client_ids)

    @property
    def machines(self) -> list[Machine]:
        return [*self.nodes, self.worker]

    def ready(self, node: int | None = None) -> bool:
        """Whether a node, or each, says that it can serve."""
        ports = self.ports if node is None else [self.ports[node]]
        for port in ports:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                    if answer.status != 200:
                        return False
            except OSError:
                return False
        return True

    def await_ready(self, within_s: float = READY_S) -> None:
        eventually(self.ready, within_s)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """An `idp` command of this deployment."""
        return subprocess.run(
            [sys.executable, "-m", "idp.cli", *arguments],
            env=self.worker.environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )

    def unread(self) -> list[Crowd]:
        """The crowds whose answers nobody has asked for yet."""
        fresh, self._n_read = self.crowds[self._n_read :], len(self.crowds)
        return fresh

    def bugs(self) -> list[str]:
        """Lines of the logs, each once, that say that something happened which nobody had thought of."""
        found = []
        for machine in self.machines:
            text = machine.log.read_text("utf-8", errors="replace")
            found += [line for line in text.splitlines() if any(sign in line for sign in _BUGS)]
        fresh = [line for line in found if line not in self._known_bugs]
        self._known_bugs.update(fresh)
        return fresh


def portal(client_id: str, secret: str, callback: str) -> dict[str, Any]:
    """A portal with a secret, that may refresh."""
    return {
        **about(client_id),
        "redirect_uris": [f"{callback}/{client_id}/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
        "client_secret_sha256": [hashlib.sha256(secret.encode()).hexdigest()],
        "grant_types": ["authorization_code", "refresh_token"],
    }


@contextmanager
def house(
    directory: Path,
    *,
    wired: bool = False,
    persists: bool = False,
    apart: bool = False,
    disk_mb: int | None = None,
    settings: Mapping[str, str] | None = None,
    n_workers: int = 2,
) -> Iterator[House]:
    """Run it until the context ends.

    wired: the nodes reach PostgreSQL and Redis through a `Wire` each, which can be cut. persists: Redis keeps an
    append-only file. apart: the deployment has half of the processors, whoever signs in the other. disk_mb: see
    `Postgres`. `settings` of every process besides.
    """
    ports = [free_port() for _ in range(N_NODES)]
    port, guests_port = free_port(), free_port()
    issuer, here = f"https://localhost:{port}", f"http://127.0.0.1:{guests_port}"
    prepared = seeds.prepare(
        directory / "guests",
        issuer=issuer,
        portals_url=here,
        wallet_url=f"{here}/wallet",
        authority_url=f"{here}/authority",
    )
    with ExitStack() as stack:
        outside = stack.enter_context(_half_of_the_processors()) if apart else os.sched_getaffinity(0)

        def run(machine: Machine) -> Machine:
            machine.start()
            stack.callback(_end, machine)
            return machine

        postgres = Postgres(directory / "postgresql.log", disk_mb=disk_mb)
        stack.callback(postgres.remove)
        run(postgres)
        with postgres.connect() as connection:
            connection.execute(f"CREATE DATABASE {DATABASE} ENCODING 'UTF8' TEMPLATE template0")
        redis = Redis(directory / "redis", persists=persists)
        run(redis)
        to_database = stack.enter_context(Wire.to(postgres.port))
        to_store = stack.enter_context(Wire.to(redis.port))
        ears = Ears()
        stack.enter_context(ears.listening())
        signer = Signer(issuer, f"{here}/portal-signing/callback")
        own = [(f"portal-{number}", secrets.token_urlsafe(24)) for number in range(3)]
        given = {
            "mode": "demo",
            "issuer": issuer,
            "server.trusted_proxies": "1",
            "server.workers": str(n_workers),
            "database.url": postgres.url(DATABASE, to_database.port if wired else None),
            "store.url": f"redis://127.0.0.1:{to_store.port if wired else redis.port}/0",
            "secrets.key_encryption_key": "33" * 31 + "aa",
            "secrets.pepper": "44" * 31 + "bb",
            "wallet.certificate_file": str(prepared.request_signer_certificates),
            "wallet.private_key_file": str(prepared.request_signer_key),
            "wallet.link": prepared.wallet_link,
            "fetch.allow": ",".join([here, *ears.origins]),
            "holder.logins_per_minute_per_ip": "100000",
            "holder.codes_per_hour_per_network": "100000",
            **(settings or {}),
        }
        environment = {f"IDP_{name.upper().replace('.', '__')}": value for name, value in given.items()}
        ours = [portal(client_id, secret, here) for client_id, secret in own]
        directly = {**environment, "IDP_DATABASE__URL": postgres.url(DATABASE)}
        furnish(load(None, directly), prepared, [*ours, signer.registration(), *ears.registrations()])
        guests = ["idp.demo", "--directory", str(prepared.directory), "--port", str(guests_port)]
        guest_machine = run(python("guests", guests, directory / "guests.log"))
        worker = run(python("worker", ["idp.cli", "worker"], directory / "worker.log", environment))
        nodes = []
        for number, node_port in enumerate(ports):
            bind = {**environment, "IDP_SERVER__BIND": f"127.0.0.1:{node_port}"}
            log = directory / f"node-{number}.log"
            nodes.append(run(python(f"node-{number}", ["idp.cli", "serve"], log, bind)))
        front = stack.enter_context(nginx(servers.nginx_binary(), directory / "nginx", ports, port))
        clients = [
            Client(entry["client_id"], entry["redirect_uris"][0], " ".join(entry["scopes"]), secret)
            for entry, (_, secret) in zip(ours, own, strict=True)
        ]
        running = House(
            directory=directory,
            prepared=prepared,
            environment=environment,
            postgres=postgres,
            redis=redis,
            to_database=to_database,
            to_store=to_store,
            nodes=nodes,
            ports=ports,
            worker=worker,
            guests=guest_machine,
            front=front,
            clients=clients[:-1],
            racing=clients[-1],
            signer=signer,
            ears=ears,
            _stack=stack,
        )
        running.await_ready(START_S)
        eventually(lambda: _answers(f"{here}/healthz"), START_S)
        os.sched_setaffinity(0, outside)  # of this thread, and of those that it starts from here on
        yield running


@contextmanager
def _half_of_the_processors() -> Iterator[set[int]]:
    """For this thread and whatever it starts; yields the other half."""
    every = sorted(os.sched_getaffinity(0))
    half = max(len(every) // 2, 1)
    os.sched_setaffinity(0, every[:half])
    try:
        yield set(every[half:] or every)
    finally:
        os.sched_setaffinity(0, every)


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=1):
        return True
    return False


def _end(machine: Machine) -> None:
    if isinstance(machine, Postgres):
        machine.stop(signal.SIGINT)  # a fast shutdown: SIGTERM would wait for clients
    else:
        machine.stop(within_s=10)
