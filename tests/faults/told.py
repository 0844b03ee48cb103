"""Portals that are told when a session ends, and one that is dead."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws

from tests.crowd import Client
from tests.faults.signing import about
from tests.servers import free_port

N_PORTALS, N_DEAD = 10, 1
_SECRET = "told" * 8


class Ears:
    """Ten portals. `told`: when each `sid` was told, by the system's clock."""

    def __init__(self) -> None:
        self.port = free_port()
        self.dead_port = free_port()
        self.told: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def uri(self, number: int) -> str:
        """The address of this portal's endpoint; nobody listens at that of the dead."""
        port = self.dead_port if number < N_DEAD else self.port
        return f"http://127.0.0.1:{port}/{number}/logout"

    def registrations(self) -> list[dict[str, Any]]:
        return [
            {
                **about(f"portal-told-{number}"),
                "redirect_uris": [f"http://127.0.0.1:9/{number}/callback"],
                "token_endpoint_auth_method": "client_secret_basic",
                "client_secret_sha256": [hashlib.sha256(_SECRET.encode()).hexdigest()],
                "backchannel_logout_uri": self.uri(number),
            }
            for number in range(N_PORTALS)
        ]

    def clients(self) -> list[Client]:
        return [
            Client(one["client_id"], one["redirect_uris"][0], " ".join(one["scopes"]), _SECRET)
            for one in self.registrations()
        ]

    @property
    def origins(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in (self.port, self.dead_port)]

    @contextmanager
    def listening(self) -> Iterator[None]:
        ears = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
                ears._hear(body.removeprefix("logout_token="))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _hear(self, token: str) -> None:
        sid = json.loads(jws.extract_compact(token.encode()).payload)["sid"]
        with self._lock:
            self.told.setdefault(sid, []).append(time.time())
