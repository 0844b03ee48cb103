"""Waiting pages, told at once without holding a thread each (decision D20).

A page that waits opens an event stream. Its socket is taken from the server's thread and given to one asyncio loop
for the whole process; the thread is free again at once. The loop writes to the page when the Store says that the
login changed, and otherwise a comment now and then. Where the server is not gunicorn on a plain socket the door
answers 204, and the page polls.

Spec: WHATWG HTML, section 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from idp.store import Store

log = logging.getLogger("idp")

HEARTBEAT_S = 20.0
MAX_PAGES = (
    8  # of one login: the server does not count these connections, and a process has only so many files
)
_SEND_TIMEOUT_S = 10.0
_HANDED_OVER = "sinwon.handed_over"
_SOCKET = "gunicorn.socket"
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    "X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nretry: 3000\n"
)
_CHANGED = b'data: {"state": "changed"}\n\n'
_STILL_HERE = b": waiting\n\n"


class WaitingRoom:
    """One loop, started with the first page that waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def admit(
        self, environ: dict[str, Any], channel: str, read_state: Callable[[], str], max_s: float
    ) -> bool:
        """Take over the connection of this request; False when the server cannot let go of it, or enough wait.

        The page hears the state first, and `changed` when something is published on the channel. We listen before
        the state is read, so that no change falls between the two.
        """
        connection = environ.get(_SOCKET)
        if not isinstance(connection, socket.socket) or isinstance(connection, ssl.SSLSocket):
            return False
        if len(self._waiting.get(channel, ())) >= MAX_PAGES:
            return False
        loop = self._running_loop()
        changed = asyncio.Event()
        loop.call_soon_threadsafe(self._expect, channel, changed)
        try:
            state = read_state()
        except BaseException:
            loop.call_soon_threadsafe(self._forget, channel, changed)
            raise
        ours = socket.socket(fileno=connection.detach())
        ours.setblocking(False)
        environ[_HANDED_OVER] = True
        asyncio.run_coroutine_threadsafe(self._serve(ours, channel, changed, state, max_s), loop)
        return True

    def close(self) -> None:
        """Let every waiting page go and stop the loop."""
        with self._lock:
            loop, self._loop = self._loop, None
        self._unsubscribe()
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()

    @property
    def waiting(self) -> int:
        """How many pages wait now."""
        return sum(len(events) for events in self._waiting.values())

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(loop,), name="waiting-room", daemon=True)
                self._thread.start()
                self._unsubscribe = self._store.subscribe(
                    lambda channel: _ignore_closed(loop, self._wake, channel)
                )
                self._loop = loop
            return self._loop

    def _wake(self, channel: str) -> None:
        for event in self._waiting.get(channel, ()):
            event.set()

    def _expect(self, channel: str, changed: asyncio.Event) -> None:
        self._waiting[channel].add(changed)

    def _forget(self, channel: str, changed: asyncio.Event) -> None:
        self._waiting[channel].discard(changed)
        if not self._waiting[channel]:
            del self._waiting[channel]

    async def _serve(
        self, connection: socket.socket, channel: str, changed: asyncio.Event, state: str, max_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        gone = asyncio.ensure_future(_until_closed(loop, connection))
        woken = asyncio.ensure_future(changed.wait())
        try:
            first = f"{_HEAD}data: {json.dumps({'state': state})}\n\n".encode()
            await _send(loop, connection, first)
            until = loop.time() + max_s
            while (left_s := until - loop.time()) > 0 and not gone.done():
                await asyncio.wait(
                    {woken, gone}, timeout=min(HEARTBEAT_S, left_s), return_when=asyncio.FIRST_COMPLETED
                )
                if woken.done():
                    await _send(loop, connection, _CHANGED)
                    break
                if not gone.done():
                    await _send(loop, connection, _STILL_HERE)
        except (OSError, TimeoutError) as error:
            log.debug("a waiting page went away: %s", type(error).__name__)
        finally:
            gone.cancel()
            woken.cancel()
            try:  # the loop must have let go of the socket before its number can be another's
                await asyncio.gather(gone, woken, return_exceptions=True)
            finally:
                self._forget(channel, changed)
                connection.close()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """The loop's thread: until it is stopped, then let everybody go."""
    loop.run_forever()
    loop.run_until_complete(_let_everybody_go())
    loop.close()


async def _let_everybody_go() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _send(loop: asyncio.AbstractEventLoop, connection: socket.socket, data: bytes) -> None:
    await asyncio.wait_for(loop.sock_sendall(connection, data), _SEND_TIMEOUT_S)


async def _until_closed(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Return when the page has closed its side; what it may send meanwhile is nothing to us."""
    while await loop.sock_recv(connection, 1024):
        continue


def _ignore_closed(loop: asyncio.AbstractEventLoop, wake: Callable[[str], None], channel: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(wake, channel)


class HandOver:
    """WSGI, outermost: when a view gave the connection away, the server must not answer on it."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response = self._app(environ, start_response)
        if _HANDED_OVER in environ:
            close = getattr(response, "close", None)
            if close is not None:
                close()
            # gunicorn's own word for "close this connection quietly"; its socket object no longer owns it.
            raise StopIteration
        return response
