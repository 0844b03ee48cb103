"""The house as it is deployed, and bytes on its wires: gunicorn, nginx in front of it, and sockets of our own."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from idp.demo import personas, seeds
from idp.settings import load
from tests.crowd import Client, Holder, Place, client_of
from tests.deployed import await_answer, furnish, process
from tests.servers import free_port
from tests.topology.front import HOST, Front, nginx

FRONT, NODE = "front", "node"
DOORS = (FRONT, NODE)
"""Through the proxy, and what a node itself would do if the proxy let it through."""
QUIET_S = 0.2
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Served:
    """A node behind its proxy. `database`: its file, for what the audit says."""

    place: Place
    client: Client
    front: Front
    node_port: int
    pid: int
    database: Path
    log: Path

    def connect(self, door: str) -> socket.socket:
        """A connection to a door, with TLS where it has it."""
        port = self.front.port if door == FRONT else self.node_port
        plain = socket.create_connection(("127.0.0.1", port), 10)
        if door == NODE:
            return plain
        return self.front.tls.wrap_socket(plain, server_hostname=HOST)

    def sent(self, door: str, data: bytes, *, quiet_s: float = QUIET_S) -> bytes:
        """All that comes back for these bytes, until the other side closes or says nothing more."""
        with closing(self.connect(door)) as connection:
            with suppress(OSError):  # it has heard enough; what it said is still there to be read
                connection.sendall(data)
            return received(connection, quiet_s)

    def audited(self) -> int:
        """How many requests named a portal that nobody knows: what a canary leaves behind."""
        with closing(sqlite3.connect(self.database)) as connection:
            query = "SELECT count(*) FROM audit_event WHERE reason = 'unknown_portal'"
            return int(connection.execute(query).fetchone()[0])

    def workers(self) -> list[int]:
        """The processes that answer."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        return sorted(map(int, children.split()))

    def resident_bytes(self) -> int:
        pages = [int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) for pid in self.workers()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def open_files(self) -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.workers())

    def honest(self, number: int) -> Holder:
        """A holder who signs in through the front, from the first request to the claims."""
        holder = Holder(self.place, self.client, personas.invented(number)).go()
        assert holder.claims["name"] == holder.persona.name
        return holder


def received(connection: socket.socket, quiet_s: float = QUIET_S) -> bytes:
    connection.settimeout(quiet_s)
    found = b""
    while True:
        try:
            more = connection.recv(65_536)
        except (TimeoutError, ssl.SSLError, ConnectionError):
            return found
        if not more:
            return found
        found += more


def statuses(answer: bytes) -> list[int]:
    """The status of each answer among these bytes."""
    return [int(status) for status in _STATUS.findall(answer)]


@contextmanager
def serving(directory: Path, nginx_program: Path) -> Iterator[Served]:
    """One node on the embedded defaults, nginx in front of it, and the demonstration's guests."""
    node_port, port, guests = free_port(), free_port(), free_port()
    issuer, here = f"https://{HOST}:{port}", f"http://127.0.0.1:{guests}"
    prepared = seeds.prepare(
        directory / "guests",
        issuer=issuer,
        portals_url=here,
        wallet_url=f"{here}/wallet",
        authority_url=f"{here}/authority",
    )
    database = directory / "sinwon.db"
    given = {
        "mode": "demo",
        "issuer": issuer,
        "server.trusted_proxies": "1",
        "server.bind": f"127.0.0.1:{node_port}",
        "database.url": f"sqlite:///{database}",
        "secrets.key_encryption_key": "33" * 31 + "aa",
        "secrets.pepper": "44" * 31 + "bb",
        "wallet.certificate_file": str(prepared.request_signer_certificates),
        "wallet.private_key_file": str(prepared.request_signer_key),
        "wallet.link": prepared.wallet_link,
        "fetch.allow": here,
        "holder.logins_per_minute_per_ip": "100000",
    }
    environment = {f"IDP_{name.upper().replace('.', '__')}": value for name, value in given.items()}
    furnish(load(None, environment), prepared, [])
    log = directory / "serve.log"
    with ExitStack() as stack:
        command = ["idp.demo", "--directory", str(prepared.directory), "--port", str(guests)]
        stack.enter_context(process(command, directory / "guests.log", {}))
        server = stack.enter_context(process(["idp.cli", "serve"], log, environment))
        front = stack.enter_context(nginx(nginx_program, directory / "nginx", [node_port, node_port], port))
        for url in (f"{here}/healthz", f"http://127.0.0.1:{node_port}/readyz"):
            await_answer(url, server, log)
        place = Place.of(prepared, front.tls)
        stack.callback(place.line.close)
        yield Served(place, client_of(prepared), front, node_port, server.pid, database, log)
