"""The guests' application and a small provider, each on a port of its own, for all tests of this directory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from idp.demo import personas, seeds
from idp.demo.__main__ import QuietHandler
from idp.demo.app import create_app

from .small_provider import SmallProvider


@dataclass(frozen=True)
class Guests:
    """The running guests and the provider they were prepared for."""

    prepared: seeds.Prepared
    provider: SmallProvider
    app: Flask


@contextmanager
def listening(app: Flask) -> Iterator[BaseWSGIServer]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="package")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "guests"


@pytest.fixture(scope="package")
def running_guests(directory: Path) -> Iterator[Guests]:
    front, back = Flask("front"), Flask("back")
    with listening(front) as guests_server, listening(back) as provider_server:
        here = f"http://127.0.0.1:{guests_server.port}"
        prepared = seeds.prepare(
            directory,
            issuer=f"http://127.0.0.1:{provider_server.port}",
            portals_url=here,
            wallet_url=f"{here}/wallet",
            authority_url=f"{here}/authority",
        )
        provider = SmallProvider(prepared)
        app = create_app(prepared, [*personas.PERSONAS, personas.invented(7)])
        # The ports had to be known before the applications could be made.
        guests_server.app, provider_server.app = app, provider.application()
        yield Guests(prepared, provider, app)
        app.extensions["demo_close"]()


@pytest.fixture
def guests(running_guests: Guests) -> Guests:
    running_guests.provider.misbehave()
    return running_guests
