"""Who is measured, each served by two processes: Sinwon, other providers, and floors that nobody is below."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from idp.app import close, create_app
from tests import servers
from tests.bench import peers
from tests.bench.processes import PROJECT
from tests.bench.v.portals import OwnPortal, PeerPortal, Portal
from tests.deployed import Deployment, deployed
from tests.waiting import eventually

PROCESSES = 2
THREADS = 8
_OURS = {
    "server.workers": PROCESSES,
    "server.threads": THREADS,
}


@dataclass(frozen=True)
class Place:
    """What all of them share: URLs of the database server and the store, process ids, where to put things."""

    database_server: str
    postgresql: int
    store_port: int
    redis: int
    directory: Path

    def store(self, number: int) -> str:
        return f"redis://127.0.0.1:{self.store_port}/{number}"


@dataclass(frozen=True)
class Candidate:
    """One that is being served: the process that began it, and the portal that uses it (None: a floor)."""

    name: str
    pid: int
    port: int
    ready_s: float
    portal: Portal | None = None


@contextmanager
def sinwon(place: Place, name: str = "Sinwon", store: int = 0) -> Iterator[tuple[Candidate, str]]:
    """`idp serve` with the demonstration's portals; also the URL of its database."""
    with house(place, name, store) as (running, app, database), OwnPortal.of(running, app) as portal:
        port = int(running.prepared.issuer.rpartition(":")[2])
        yield Candidate(name, running.pid, port, _started_again_s(running), portal), database


@contextmanager
def house(place: Place, name: str, store: int = 0) -> Iterator[tuple[Deployment, Flask, str]]:
    """`idp serve`, an application of the same settings in this process, and the URL of their database."""
    directory = place.directory / name
    directory.mkdir()
    with servers.new_database(place.database_server) as database:
        overrides = {**_OURS, "database.url": database, "store.url": place.store(store)}
        with deployed(directory, overrides, []) as running:
            app = create_app(running.settings)
            try:
                yield running, app, database
            finally:
                close(app)


def _started_again_s(house: Deployment) -> float:
    """From the command to the first answer, everything being there."""
    port = servers.free_port()
    environment = {"IDP_SERVER__BIND": f"127.0.0.1:{port}"}
    began = time.perf_counter()
    with house.command("serve", house.log.with_name("again.log"), environment):
        _await(f"http://127.0.0.1:{port}/healthz")
        return time.perf_counter() - began


@contextmanager
def oidc_provider(place: Place, installed: Path) -> Iterator[Candidate]:
    """`oidc-provider` from npm, on Redis."""
    port, secret = servers.free_port(), secrets.token_urlsafe(32)
    program = ["node", str(peers.install_provider(installed))]
    given = {**_given(secret), "PORT": str(port), "REDIS_URL": place.store(1), "NODE_ENV": "production"}
    with _served("oidc-provider", program, given, port, place) as (pid, ready_s):
        portal = PeerPortal(port, secret, authorize="/auth", userinfo="/me")
        yield Candidate("oidc-provider (npm), Redis", pid, port, ready_s, portal)


@contextmanager
def authlib(place: Place) -> Iterator[Candidate]:
    """Authlib's documented pattern, on PostgreSQL."""
    port, secret = servers.free_port(), secrets.token_urlsafe(32)
    with servers.new_database(place.database_server) as database:
        given = {**_given(secret), "DATABASE_URL": database, "ISSUER": f"http://127.0.0.1:{port}"}
        prepare = [sys.executable, "-m", "tests.bench.peers.authlib_provider"]
        subprocess.run(prepare, env={**os.environ, **given}, cwd=PROJECT, check=True)
        program = _gunicorn(port, "tests.bench.peers.authlib_provider:application")
        with _served("authlib", program, given, port, place) as (pid, ready_s):
            portal = PeerPortal(port, secret, authorize="/authorize", userinfo="/userinfo")
            yield Candidate("Authlib's pattern, PostgreSQL", pid, port, ready_s, portal)


@contextmanager
def floor(place: Place, name: str, application: str) -> Iterator[Candidate]:
    """One of `floors`."""
    port = servers.free_port()
    program = _gunicorn(port, f"tests.bench.v.floors:{application}")
    with _served(application, program, {"BENCH_REDIS": place.store(2)}, port, place) as (pid, ready_s):
        yield Candidate(name, pid, port, ready_s)


def _given(secret: str) -> dict[str, str]:
    return {"CLIENT_SECRET": secret, "REDIRECT_URI": PeerPortal.redirect_uri}


def _gunicorn(port: int, application: str) -> list[str]:
    program = [sys.executable, "-m", "gunicorn", "--preload", "-k", "gthread", "-w", str(PROCESSES)]
    return [*program, "--threads", str(THREADS), "--keep-alive", "30", "-b", f"127.0.0.1:{port}", application]


@contextmanager
def _served(
    name: str, program: Sequence[str], given: Mapping[str, str], port: int, place: Place
) -> Iterator[tuple[int, float]]:
    log = place.directory / f"{name}.log"
    began = time.perf_counter()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            program, env={**os.environ, **given}, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _await(f"http://127.0.0.1:{port}/", lambda: process.poll() is None)
            yield process.pid, time.perf_counter() - began
        finally:
            process.terminate()


def _await(url: str, lives: Callable[[], bool] = lambda: True) -> None:
    def answers() -> bool:
        assert lives(), "a server ended while it was being started"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except urllib.error.HTTPError:
            return True
        except (urllib.error.URLError, OSError):
            return False

    eventually(answers, servers.START_S)
