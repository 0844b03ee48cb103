"""gunicorn, with our settings: threads, no control socket, no access log (request lines carry codes)."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from idp.app import close, create_app
from idp.settings import Settings
from idp.views.waiting import most_pages
from idp.worker import WorkerThread

log = logging.getLogger("idp")

ENOUGH_FILES = 12_000
"""For ten thousand waiting pages in one process, and everything else that it opens."""
_GRACEFUL_S = 20
_KEEPALIVE_S = 30
_MAX_REQUEST_LINE = 16_384


class Server(BaseApplication):  # type: ignore[misc]
    """Serves the application; each worker opens the house for itself, after the fork."""

    def __init__(self, settings: Settings, on_ready: Callable[[Flask], None] | None = None) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._worker_thread: WorkerThread | None = None
        super().__init__()

    def load_config(self) -> None:
        server = self._settings.server
        for name, value in {
            "bind": server.bind,
            "workers": server.workers,
            "threads": server.threads,
            "worker_class": "gthread",
            "accesslog": None,
            "loglevel": "warning",
            "control_socket_disable": True,
            "graceful_timeout": _GRACEFUL_S,
            "keepalive": _KEEPALIVE_S,
            "limit_request_line": min(_MAX_REQUEST_LINE, 8190),
            "limit_request_fields": 64,
            # From a proxy on this machine gunicorn would take SCRIPT_NAME and PATH_INFO as headers, and so give every
            # path a second spelling for whoever the proxy lets through.
            "forwarder_headers": "",
            "post_worker_init": self._ready,
            "worker_exit": self._leave,
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        return create_app(self._settings)

    def run(self) -> None:
        allow_files()
        super().run()

    def _ready(self, worker: Any) -> None:
        if self._settings.uses_sqlite:  # no other process may do it (decision D21)
            self._worker_thread = WorkerThread(worker.wsgi)
            self._worker_thread.start()
        if self._on_ready is not None:
            self._on_ready(worker.wsgi)

    def _leave(self, _server: Any, worker: Any) -> None:
        if self._worker_thread is not None:
            self._worker_thread.stop()
        application = getattr(worker, "wsgi", None)
        if isinstance(application, Flask):
            close(application)


def allow_files() -> None:
    """Let every process open as many files as the system lets it: a waiting page is one, and 1,024 is the usual limit.

    What may be open now is the soft limit; whoever starts us sets the hard one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # some systems say that there is no limit and then keep to one
        hard = soft
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        log.warning(
            "a process may open no more than %d files here, so no more than %d pages can wait in it and be told at "
            "once; the others ask every few seconds. Raise the limit (systemd: LimitNOFILE, shells: ulimit) to %d",
            hard,
            most_pages(),
            ENOUGH_FILES,
        )
