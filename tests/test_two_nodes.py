"""The whole deployment on this machine: nginx with TLS, two nodes, a worker, PostgreSQL with a standby, Redis behind
Sentinels; and its processes are lost.

`python -m tests.topology --long` loses each of them, `--upgrade` migrates under load.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from idp.settings import load as read
from tests import servers
from tests.conftest import found
from tests.topology.house import Topology, topology
from tests.topology.load import Load, load
from tests.topology.losses import LOSSES, Loss, nodes_are_ready, suffer
from tests.waiting import eventually

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]

AT_ONCE = 2


@pytest.fixture(scope="module")
def deployment(
    redis_program: Path, nginx_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Topology]:
    found("postgresql", servers.postgresql_binaries)
    with topology(tmp_path_factory.mktemp("deployment")) as running:
        yield running


def test_a_whole_sign_in_goes_through_the_front(deployment: Topology) -> None:
    holder = deployment.holder(1).go()
    assert holder.claims["name"] == holder.persona.name
    assert all(name.startswith("__Host-") for name in holder.cookies)


def test_the_audit_has_the_holders_address_and_the_worker_seals_it(deployment: Topology) -> None:
    engine = create_engine(read(None, deployment.environment).database_url)
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


def test_a_waiting_page_hears_at_once_whichever_node_the_wallet_reached(deployment: Topology) -> None:
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


def test_a_node_is_killed_in_the_middle_of_sign_ins_and_nobody_notices(deployment: Topology) -> None:
    under_way = [
        deployment.holder(number).go(step) for number, step in ((3, "look"), (4, "show"), (5, "agree"))
    ]
    deployment.nodes[0].kill()
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
    deployment.nodes[0].start()


@pytest.fixture(scope="module")
def running(deployment: Topology) -> Iterator[Load]:
    """People who sign in on and on."""
    with load(deployment, AT_ONCE) as running:
        yield running


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_sign_ins_go_on_without(deployment: Topology, running: Load, loss: Loss) -> None:
    ledger = suffer(deployment, running, loss)
    print(f"without {loss.name}: {ledger}")
    assert ledger.n_failed <= AT_ONCE, f"{ledger}"  # what was in the hands of what was lost
    nodes_are_ready(deployment)


def test_what_is_left_ends_in_good_order(deployment: Topology, running: Load) -> None:
    running.stop()
    for node in deployment.nodes:
        assert node.process is not None
        node.process.terminate()
        assert node.process.wait(timeout=25) == 0
