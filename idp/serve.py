"""gunicorn, with our settings: threads, no control socket, no access log (request lines carry codes)."""

from __future__ import annotations

import errno
import gc
import io
import logging
import os
import resource
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker

from idp.app import close, create_app
from idp.settings import Settings
from idp.views.frame import LET_IN, WAITED_S
from idp.views.waiting import most_pages
from idp.worker import WorkerThread

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("idp")

ENOUGH_FILES = 12_000
"""For ten thousand waiting pages in one process, and everything else that it opens."""
_NO_MORE_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_FULL_S = 0.5
_DOOR_THREADS = 4
_GRACEFUL_S = 20
_KEEPALIVE_S = 30
_MAX_REQUEST_LINE = 16_384
_METRICS = "PROMETHEUS_MULTIPROC_DIR"


def _share_memory(_arbiter: Any) -> None:
    """Before the first fork: what is loaded by now is not looked at by the garbage collector any more.

    It would write to every object's head, and each process would end up with a copy of the whole program.
    """
    gc.collect()
    gc.freeze()


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads, which know how long a request has waited for one of them.

    They leave with their master, and where no file can be opened any more they go on with what they have. A process
    that is wary (`views.shedding`) has a few more threads look at each newcomer: who would begin a sign-in and join a
    queue is told to come later there and then, and everybody else is let in, with the request as it was read.
    """

    _full_until = 0.0

    def init_process(self) -> None:
        self._door = ThreadPoolExecutor(_DOOR_THREADS, thread_name_prefix="door")
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        conn.queued_at, conn.let_in = time.monotonic(), False
        if not self.wsgi.extensions["sinwon_shedding"].is_wary:
            super().enqueue_req(conn)
            return
        self._door.submit(self._at_the_door, conn).add_done_callback(partial(self._seen, conn))

    def handle(self, conn: Any) -> Any:
        _taken.waited_s, _taken.let_in = time.monotonic() - conn.queued_at, conn.let_in
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        if _taken.waited_s is None:
            n_waiting = self.tpool._work_queue.qsize()
            if not self.wsgi.extensions["sinwon_shedding"].turns_away(req.path, n_waiting):
                raise _LetIn(req)
        return super().handle_request(req, conn)

    def _at_the_door(self, conn: Any) -> Any:
        """As `handle` of a request that is refused; of any other the request, which is read and not served."""
        _taken.waited_s, _taken.let_in = None, False
        try:
            return super().handle(conn)
        except _LetIn as let_in:
            return let_in

    def _seen(self, conn: Any, future: Future[Any]) -> None:
        if future.exception() is None and isinstance(let_in := future.result(), _LetIn):
            conn.let_in = True
            future = self.tpool.submit(self._inside, conn, let_in.request)
            future.add_done_callback(partial(self._seen, conn))
        else:
            self.method_queue.defer(self.finish_request, conn, future)

    def _inside(self, conn: Any, request: Any) -> Any:
        parser, conn.parser = conn.parser, _ReadAlready(conn.parser, request)
        try:
            return self.handle(conn)
        finally:
            conn.parser = parser

    def accept(self, listener: Any) -> None:
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in _NO_MORE_FILES:
                raise
            self._full_until = time.monotonic() + _FULL_S
            self.set_accept_enabled(False)
            log.warning("no further connection can be taken for now: %s", error.strerror)

    def set_accept_enabled(self, enabled: bool) -> None:
        # A connection that cannot be taken stays at the door, and would be asked in without a pause.
        super().set_accept_enabled(enabled and time.monotonic() >= self._full_until)

    def is_parent_alive(self) -> bool:
        """Without its master a process ends what it has begun, and lets go of the address for whoever comes next."""
        if super().is_parent_alive():
            return True
        self.alive = False  # an answer says that the connection ends with it
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        return False


class _LetIn(BaseException):
    """Not an error of the request's: it is no Exception, so that nobody on the way answers it as one."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


class _ReadAlready:
    """A connection's parser, which gives the request that it has read once more."""

    def __init__(self, parser: Any, request: Any) -> None:
        self._parser = parser
        self._requests = chain([request], parser)

    def __next__(self) -> Any:
        return next(self._requests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


_taken = threading.local()


class Waited:
    """WSGI: puts how long the request waited where views find it."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # What the process asks of itself while it starts came through no connection, and has not waited.
        environ[WAITED_S] = getattr(_taken, "waited_s", 0.0)
        environ[LET_IN] = getattr(_taken, "let_in", False)
        return self._app(environ, start_response)


class Server(BaseApplication):  # type: ignore[misc]
    """Serves the application; each worker opens the house for itself, after the fork."""

    def __init__(self, settings: Settings, on_ready: Callable[[Flask], None] | None = None) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._worker_thread: WorkerThread | None = None
        self._metrics: str | None = None
        if settings.server.monitor_bind and settings.server.workers > 1:
            # Where each process keeps its counts, so that any of them can answer for all.
            self._metrics = os.environ[_METRICS] = tempfile.mkdtemp(prefix="sinwon-metrics-")
        super().__init__()

    def load_config(self) -> None:
        server = self._settings.server
        for name, value in {
            "bind": [bind for bind in (server.bind, server.monitor_bind) if bind],
            "workers": server.workers,
            "threads": server.threads,
            "worker_class": Worker,
            "accesslog": None,
            "loglevel": "warning",
            "logger_class": Log,
            "control_socket_disable": True,
            "max_requests": server.max_requests,
            "max_requests_jitter": server.max_requests // 10,
            "graceful_timeout": _GRACEFUL_S,
            "keepalive": _KEEPALIVE_S,
            "limit_request_line": min(_MAX_REQUEST_LINE, 8190),
            "limit_request_fields": 64,
            # From a proxy on this machine gunicorn would take SCRIPT_NAME and PATH_INFO as headers, and so give every
            # path a second spelling for whoever the proxy lets through.
            "forwarder_headers": "",
            "when_ready": _share_memory,
            "post_worker_init": self._ready,
            "worker_exit": self._leave,
            "child_exit": self._gone,
            "on_exit": self._end,
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        app = create_app(self._settings)
        app.wsgi_app = _Bodies(app.wsgi_app)  # type: ignore[method-assign]
        app.wsgi_app = Waited(app.wsgi_app)  # type: ignore[method-assign]
        return app

    def run(self) -> None:
        allow_files()
        leave_no_dumps()
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

    def _gone(self, _server: Any, worker: Any) -> None:
        if self._metrics is not None:
            # Imported late: its library must find the directory in the environment.
            from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

            mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]

    def _end(self, _server: Any) -> None:
        if self._metrics is not None:
            shutil.rmtree(self._metrics, ignore_errors=True)


class _Bodies:
    """Hands requests on with a body that fails as Werkzeug knows bodies to fail."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = _Body(environ["wsgi.input"])
        return self._app(environ, start_response)


class _Body(io.RawIOBase):
    """Chunks that are none are an OSError, the client's fault (400); gunicorn's own errors would be bugs of ours."""

    def __init__(self, given: Any) -> None:
        self._given = given

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        try:
            data = self._given.read(len(into))
        except ParseException as error:
            raise OSError("the body of the request is not well formed") from error
        into[: len(data)] = data
        return len(data)


class Log(Logger):  # type: ignore[misc]
    """gunicorn's own lines go the way of ours (`idp.logs`)."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Monitor:
    """Health and metrics of a process that serves nobody else, at `host:port`, in threads of their own."""

    def __init__(self, app: Flask, bind: str) -> None:
        """Raises OSError where the address is taken."""
        host, _, port = bind.rpartition(":")
        self._server = make_server(
            host.strip("[]"), int(port), app, server_class=_MonitorServer, handler_class=_Quiet
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer what was begun and let go of the address."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _MonitorServer(ThreadingMixIn, WSGIServer):
    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who watches comes every few seconds."""


def leave_no_dumps() -> None:
    """A process that crashes writes its memory nowhere: the keys are in it, and what it was verifying."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


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
