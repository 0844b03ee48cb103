"""gunicorn's processes: what they leave to each other, what they share, and what they do without."""

from __future__ import annotations

import http.client
import os
import resource
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from idp.demo import personas
from tests.crowd import Holder, Line, Place, client_of
from tests.deployed import Deployment, deployed
from tests.waiting import eventually

SOON_S = 6.0
SIGN_INS = 300
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UNKNOWN_PORTAL = "grant_type=authorization_code&code=x&client_id=nobody&client_secret=x"
LISTENING, ESTABLISHED = "0A", "01"


def test_the_address_is_free_soon_after_the_master_is_killed(tmp_path: Path) -> None:
    """A reverse proxy goes on with its connections, and none of them may hold the next master up."""
    with deployed(tmp_path, {}, []) as deployment:
        with connected(deployment) as proxy:
            assert goes_on(proxy)
            os.kill(deployment.pid, signal.SIGKILL)
            eventually(lambda: not goes_on(proxy), SOON_S)
        eventually(lambda: is_free(address(deployment)), SOON_S)


def test_where_no_file_can_be_opened_the_processes_go_on(tmp_path: Path) -> None:
    """Connections beyond the limit wait at the door, those inside are kept, and no process ends."""
    with deployed(tmp_path, {}, []) as deployment, ExitStack() as crowd:
        (worker,) = children(deployment.pid)
        inside = crowd.enter_context(connected(deployment))
        assert goes_on(inside)
        limit = len(files(worker)) + 8
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))
        with ExitStack() as idle:
            for _ in range(64):
                idle.enter_context(socket.create_connection(address(deployment)))
            eventually(lambda: "no further connection can be taken" in deployment.log.read_text("utf-8"))
            assert goes_on(inside, "/healthz")
        assert goes_on(inside)
        with connected(deployment) as afterwards:  # those at the door have left
            assert goes_on(afterwards)
        assert children(deployment.pid) == [worker]


def test_while_there_is_a_queue_who_would_begin_is_told_at_the_door(tmp_path: Path) -> None:
    """Everybody else is let in, with the body that came with the request."""
    told: dict[str, Counter[int]] = {"/authorize": Counter(), "/token": Counter()}
    over = threading.Event()

    def come(deployment: Deployment) -> None:
        with connected(deployment) as portal:
            while not over.is_set():
                portal.request("GET", "/authorize?client_id=nobody")
                told["/authorize"][answered(portal).status] += 1
                portal.request("POST", "/token", UNKNOWN_PORTAL, FORM)
                told["/token"][answered(portal).status] += 1

    overrides = {"server.threads": "1", "server.busy_ms": "1"}
    with deployed(tmp_path, overrides, []) as deployment, ThreadPoolExecutor(8) as crowd:
        coming = [crowd.submit(come, deployment) for _ in range(8)]
        try:
            eventually(lambda: told["/authorize"][503] >= 50, 30)
        finally:
            over.set()
        for one in coming:
            one.result()
        with connected(deployment) as portal:
            eventually(lambda: begins(portal), 10)
    assert set(told["/authorize"]) == {400, 503}
    assert set(told["/token"]) <= {401, 503}
    assert told["/token"][401] > told["/token"][503]


@pytest.fixture
def several(postgresql_database: str, redis_url: str, tmp_path: Path) -> Iterator[Deployment]:
    """Three processes on PostgreSQL and Redis."""
    overrides = {"server.workers": "3", "database.url": postgresql_database, "store.url": redis_url}
    with deployed(tmp_path, overrides, []) as deployment:
        yield deployment


@pytest.mark.postgresql
@pytest.mark.redis
def test_processes_share_no_connection_and_no_randomness(several: Deployment) -> None:
    """What is opened before a fork is spoken on by two at once; what is drawn before it is drawn twice."""
    place, client = Place.of(several.prepared), client_of(several.prepared)
    begun, cookies = set(), set()
    for _ in range(SIGN_INS):
        with closing(Line(several.prepared.issuer)) as line:  # whichever process takes it
            holder = Holder(replace(place, line=line), client, personas.invented(1))
            holder.begin()
            begun.add(holder.login_url)
            cookies.update(holder.cookies.values())
    place.line.close()
    assert (len(begun), len(cookies)) == (SIGN_INS, SIGN_INS)
    workers = children(several.pid)
    assert len(workers) == 3
    held = [outgoing(pid) for pid in (several.pid, *workers)]
    assert held[0] == set()
    assert all(len(one) >= 2 for one in held[1:]), held  # PostgreSQL and Redis
    assert sum(map(len, held)) == len(set().union(*held))


def address(deployment: Deployment) -> tuple[str, int]:
    url = urlsplit(deployment.settings.issuer)
    return str(url.hostname), int(url.port or 0)


def connected(deployment: Deployment) -> closing[http.client.HTTPConnection]:
    """A connection of one's own, with the patience of a proxy."""
    return closing(http.client.HTTPConnection(*address(deployment), timeout=10))


def goes_on(proxy: http.client.HTTPConnection, path: str = "/jwks") -> bool:
    """Whether this connection is kept for another request."""
    proxy.request("GET", path)
    answer = answered(proxy)
    assert answer.status == 200
    return not answer.will_close


def answered(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    answer = connection.getresponse()
    answer.read()
    return answer


def begins(portal: http.client.HTTPConnection) -> bool:
    """Whether a request for a sign-in is looked at: here it is found to be of nobody."""
    portal.request("GET", "/authorize?client_id=nobody")
    return answered(portal).status == 400


def is_free(at: tuple[str, int]) -> bool:
    """Whether the next master could listen there."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(at)
            listener.listen()
        except OSError:
            return False
        return True


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def outgoing(pid: int) -> set[str]:
    """The sockets by which a process has connected to somebody; not those by which somebody has connected to it."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == LISTENING}
    connected = {row[9] for row in rows if row[3] == ESTABLISHED and row[1] not in listening}
    return connected & {file[8:-1] for file in files(pid) if file.startswith("socket:[")}


def files(pid: int) -> list[str]:
    """What a process has open."""
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
