"""Waiting pages at `idp serve` as it is deployed: two processes on PostgreSQL and Redis."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from idp.demo import personas
from tests import servers
from tests.bench.processes import workers_of
from tests.crowd import Holder, Place, client_of
from tests.deployed import Deployment, deployed

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]
MANY, EACH = 40, 3
ESTABLISHED = "01"  # in /proc/net/tcp


@pytest.fixture
def house(tmp_path: Path, postgresql_url: str, redis_url: str) -> Iterator[Deployment]:
    with servers.new_database(postgresql_url) as database:
        overrides = {"database.url": database, "store.url": redis_url, "server.workers": 2}
        with deployed(tmp_path, overrides, []) as running:
            yield running


def test_a_page_is_told_whichever_process_the_wallets_answer_reaches(house: Deployment) -> None:
    workers = workers_of(house.pid)
    assert len(workers) == 2
    place, client = Place.of(house.prepared), client_of(house.prepared)
    with closing(place.line), ExitStack() as streams:
        port = urlsplit(house.prepared.issuer).port or 0
        pages = []
        while len(pages) < MANY and min(held(worker, port) for worker in workers) < EACH:
            holder = Holder(place, client, personas.invented(len(pages) + 1), via="qr")
            holder.go(until="look")
            pages.append((holder, streams.enter_context(closing(stream(holder)))))
        for holder, page in pages:
            holder.fetch()
            assert b'"changed"' in page.recv(4096)
            assert page.recv(1) == b""
    assert len(pages) < MANY, "one process took every page"


def stream(holder: Holder) -> socket.socket:
    """The page's event stream, after the state that it begins with."""
    parts = urlsplit(holder.place.line.url)
    opened = socket.create_connection((parts.hostname, parts.port), timeout=20)
    cookies = "; ".join(f"{name}={value}" for name, value in holder.cookies.items())
    opened.sendall(
        f"GET {holder.login_url}/events HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookies}\r\n\r\n".encode()
    )
    heard = b""
    while b'{"state": "waiting"}\n\n' not in heard:
        more = opened.recv(4096)
        assert more, heard
        heard += more
    return opened


def held(pid: int, port: int) -> int:
    """How many connections to this port a process holds."""
    own = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            own.add(str(file.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED and f"socket:[{row[9]}]" in own
        for row in rows
    )
