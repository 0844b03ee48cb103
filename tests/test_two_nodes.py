"""The whole deployment on this machine: nginx with TLS, two nodes, a worker, PostgreSQL and Redis; and a node dies."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from idp.demo import personas, seeds
from idp.settings import load
from tests import servers
from tests.crowd import Client, Holder, Place, client_of
from tests.deployed import await_answer, furnish, process
from tests.servers import free_port
from tests.topology.front import DEPLOY, Front, nginx
from tests.waiting import eventually

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]


@dataclass(frozen=True)
class Deployment:
    place: Place
    client: Client
    front: Front
    nodes: list[subprocess.Popen[bytes]]
    database: str
    log: Path

    def holder(self, number: int) -> Holder:
        return Holder(self.place, self.client, personas.invented(number))


@pytest.fixture(scope="module")
def deployment(
    postgresql_url: str, redis_program: Path, nginx_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    directory = tmp_path_factory.mktemp("deployment")
    ports, port, guests = [free_port(), free_port()], free_port(), free_port()
    issuer, here = f"https://localhost:{port}", f"http://127.0.0.1:{guests}"
    prepared = seeds.prepare(
        directory / "guests",
        issuer=issuer,
        portals_url=here,
        wallet_url=f"{here}/wallet",
        authority_url=f"{here}/authority",
    )
    acl = directory / "redis.acl"
    acl.write_text((DEPLOY / "compose/redis.acl.example").read_text("utf-8").replace("CHANGE-ME", "sesame"))
    with ExitStack() as stack:
        database = stack.enter_context(servers.new_database(postgresql_url))
        # With the rights that the compose file gives it, and no others.
        redis = stack.enter_context(servers.redis("--aclfile", str(acl), "--maxmemory-policy", "noeviction"))
        given = {
            "mode": "demo",
            "issuer": issuer,
            "server.trusted_proxies": "1",
            "server.client_certificate_header": "X-Client-Certificate",
            "database.url": database,
            "store.url": f"redis://sinwon:sesame@127.0.0.1:{redis}/0",
            "secrets.key_encryption_key": "33" * 31 + "aa",
            "secrets.pepper": "44" * 31 + "bb",
            "wallet.certificate_file": str(prepared.request_signer_certificates),
            "wallet.private_key_file": str(prepared.request_signer_key),
            "wallet.link": prepared.wallet_link,
            "fetch.allow": here,
        }
        environment = {f"IDP_{name.upper().replace('.', '__')}": value for name, value in given.items()}
        furnish(load(None, environment), prepared, [])
        guests_command = ["idp.demo", "--directory", str(prepared.directory), "--port", str(guests)]
        stack.enter_context(process(guests_command, directory / "guests.log", {}))
        stack.enter_context(process(["idp.cli", "worker"], directory / "worker.log", environment))
        nodes = []
        for node_port in ports:
            bind, log = {"IDP_SERVER__BIND": f"127.0.0.1:{node_port}"}, directory / f"node-{node_port}.log"
            nodes.append(stack.enter_context(process(["idp.cli", "serve"], log, {**environment, **bind})))
        front = stack.enter_context(nginx(nginx_program, directory / "nginx", ports, port))
        for url in (f"{here}/healthz", *(f"http://127.0.0.1:{node_port}/readyz" for node_port in ports)):
            await_answer(url, nodes[0], log)
        place = Place.of(prepared, front.tls)
        stack.callback(place.line.close)
        yield Deployment(place, client_of(prepared), front, nodes, database, log)


def test_a_whole_sign_in_goes_through_the_front(deployment: Deployment) -> None:
    holder = deployment.holder(1).go()
    assert holder.claims["name"] == holder.persona.name
    assert all(name.startswith("__Host-") for name in holder.cookies)


def test_the_audit_has_the_holders_address_and_the_worker_seals_it(deployment: Deployment) -> None:
    engine = create_engine(deployment.database)
    try:
        with engine.connect() as connection:
            ips = connection.scalars(text("SELECT DISTINCT ip FROM audit_event WHERE ip IS NOT NULL"))
            assert set(ips) == {"127.0.0.1"}

        def sealed() -> bool:
            with engine.connect() as connection:
                return bool(connection.scalar(text("SELECT count(*) FROM audit_checkpoint")))

        eventually(sealed)
    finally:
        engine.dispose()


def test_a_waiting_page_hears_at_once_whichever_node_the_wallet_reached(deployment: Deployment) -> None:
    holder = deployment.holder(2).go("fetch")
    cookies = "; ".join(f"{name}={value}" for name, value in holder.cookies.items())
    stream = HTTPSConnection("localhost", deployment.front.port, timeout=20, context=deployment.front.tls)
    try:
        stream.request("GET", f"{holder.login_url}/events", headers={"Cookie": cookies})
        answered = stream.getresponse()
        assert answered.status == 200
        assert answered.headers["Content-Type"].startswith("text/event-stream")
        holder.show()
        lines = iter(answered.readline, b"")
        assert any(line.startswith(b"data:") for line in lines)
    finally:
        stream.close()


def test_a_node_is_killed_in_the_middle_of_sign_ins_and_nobody_notices(deployment: Deployment) -> None:
    under_way = [
        deployment.holder(number).go(step) for number, step in ((3, "look"), (4, "show"), (5, "agree"))
    ]
    serving = deployment.nodes[0].pid
    for pid in [serving, *children(serving)]:  # the parent first, or it would put another in a child's place
        os.kill(pid, signal.SIGKILL)
    deployment.nodes[0].wait()
    for holder, rest in zip(
        under_way,
        (
            ("fetch", "show", "come_back", "read_consent", "agree", "finish", "redeem", "read"),
            ("come_back", "read_consent", "agree", "finish", "redeem", "read"),
            ("finish", "redeem", "read"),
        ),
        strict=True,
    ):
        for step in rest:
            getattr(holder, step)()
        assert holder.claims["name"] == holder.persona.name
    assert deployment.holder(6).go().claims["name"]


def test_what_is_left_ends_in_good_order(deployment: Deployment) -> None:
    left = deployment.nodes[1]
    left.terminate()
    assert left.wait(timeout=25) == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
