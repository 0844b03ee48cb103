"""For the operator's monitoring: is the process alive, and can it serve.

`/healthz`, `/readyz` and `/metrics` have a listener of their own, `server.monitor_bind`, so that what stands there is
never a route of the outside. Without one, the first two stand beside everything else and say no more than yes or no.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Response, jsonify

from idp.admin.condition import readiness
from idp.wiring import House

PATHS = ("/healthz", "/readyz", "/metrics")


class HealthDoor:
    """`/healthz`: this process answers. `/readyz`: database, schema, store, keys and trust registry do too.

    `says_which`: the parts may be named; only somebody on the monitoring listener is told.
    """

    def __init__(self, house: House, *, says_which: bool = False) -> None:
        self.house = house
        self._says_which = says_which

    def blueprint(self) -> Blueprint:
        door = Blueprint("health", __name__)
        door.add_url_rule("/healthz", "alive", self.alive)
        door.add_url_rule("/readyz", "ready", self.ready)
        return door

    def alive(self) -> Response:
        return _said("ok")

    def ready(self) -> Response:
        found = readiness(self.house.store, self.house.keys, self.house.trust)
        status = "ok" if found.able else "unavailable"
        return _said(status, **({"parts": found.parts} if self._says_which else {}))


class Listeners:
    """WSGI, outermost: what is for monitoring comes in by its own listener, and nothing else does.

    bind: `server.monitor_bind`. Which listener took a connection is asked of its socket: a header could lie.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], bind: str) -> None:
        self._app = app
        self._bind = bind

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if (environ["PATH_INFO"] in PATHS) != self._is_monitor(environ["gunicorn.socket"]):
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
        return self._app(environ, start_response)

    def _is_monitor(self, connection: socket.socket) -> bool:
        if connection.family == socket.AF_UNIX:
            return "unix:" + os.fsdecode(connection.getsockname()) == self._bind
        return str(connection.getsockname()[1]) == self._bind.rpartition(":")[2]


def _said(status: str, **more: Any) -> Response:
    response = jsonify(status=status, **more)
    response.status_code = 200 if status == "ok" else 503
    return response
