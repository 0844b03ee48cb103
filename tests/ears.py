"""A portal's back-channel logout endpoint, on a real socket: it remembers what it was told."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc import jws, jwt
from joserfc.jwk import KeySet

from idp.fetch import GuardedClient
from tests.rig import Rig

Answer = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with this status; header names are written with underscores."""

    def write(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return write


@dataclass(frozen=True)
class Told:
    """One message: where it went, its content type and form."""

    path: str
    content_type: str
    form: dict[str, list[str]]

    @property
    def token(self) -> str:
        return self.form["logout_token"][0]


class Ear:
    """Listens at `origin`; every path is an endpoint."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.answer: Answer = status(200)
        ear = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
                told = Told(self.path, self.headers["Content-Type"], parse_qs(body, strict_parsing=True))
                ear.told.append(told)
                ear.answer(self)

            def do_GET(self) -> None:
                ear.told.append(Told(f"GET {self.path}", "", {}))
                ear.answer(self)

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"

    def uri(self, client_id: str) -> str:
        return f"{self.origin}/{client_id}"

    def heard(self, client_id: str) -> list[Told]:
        """What this portal was told, the oldest first."""
        return [told for told in self.told if told.path == f"/{client_id}"]


@contextmanager
def open_ear() -> Iterator[Ear]:
    """An ear on loopback, which whoever is to speak to it must be allowed to."""
    ear = Ear()
    thread = threading.Thread(target=ear._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield ear
    finally:
        ear._server.shutdown()
        thread.join()
        ear._server.server_close()


@contextmanager
def listening(rig: Rig) -> Iterator[Ear]:
    """An ear that the rig's provider may speak to."""
    with open_ear() as ear:
        house, allowed = rig.house, (*rig.house.settings.fetch.allow, ear.origin)
        outside = GuardedClient(allowed, allow_loopback=True, timeout_s=5.0, max_bytes=100_000)
        rig.house = rig.app.extensions["sinwon"] = dataclasses.replace(house, outside=outside)
        try:
            yield ear
        finally:
            rig.house = rig.app.extensions["sinwon"] = house
            outside.close()


def claims_of(rig: Rig, token: str) -> dict[str, Any]:
    """The claims of a logout token that was signed by the provider."""
    keys = KeySet.import_key_set(rig.http.get(f"{rig.issuer}/jwks").json())
    return dict(jwt.decode(token, keys, algorithms=["ES256", "RS256", "PS256"]).claims)


def header_of(token: str) -> dict[str, Any]:
    return dict(jws.extract_compact(token.encode()).headers())
