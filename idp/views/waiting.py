"""Waiting pages, told at once without holding a thread each (decision D20).

A page that waits opens an event stream. Its socket is taken from the server's thread and given to one asyncio loop
for the whole process; the thread is free again at once. The loop writes to the page when the Store says that the
login changed, and otherwise a comment now and then. Where the server is not gunicorn on a plain socket the door
answers 204, and the page polls.

Ten thousand may wait in one process. A page therefore has no task and no timer of its own: it is one small object,
known to the loop's selector, that waits in a bucket with those that are due in the same moment.

Spec: WHATWG HTML, section 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import resource
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

from idp.store import Store

log = logging.getLogger("idp")

HEARTBEAT_S = 20.0
MAX_PAGES = (
    8  # of one login: the server does not count these connections, and a process has only so many files
)
_OTHER_FILES = 1500  # gunicorn's own connections, 1,000 at most, the database's, the Store's
_TICK_S = 0.25
# Whoever lost the connection comes again after this time, not everybody in the same moment.
_RETRY_MS, _RETRY_SPREAD_MS = 2000, 3000
_HANDED_OVER = "sinwon.handed_over"
_SOCKET = "gunicorn.socket"
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    "X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
)
_CHANGED = b'data: {"state": "changed"}\n\n'
_STILL_HERE = b": waiting\n\n"


class WaitingRoom:
    """One loop, started with the first page that waits: after the fork, where there is one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._pages: _Pages | None = None
        self._most = 0.0
        self._closed = False
        self._unsubscribe: Callable[[], None] = lambda: None

    def admit(
        self, environ: dict[str, Any], channel: str, read_state: Callable[[], str], max_s: float
    ) -> bool:
        """Take over the connection of this request; False when the server cannot let go of it, or enough wait.

        The page hears the state first, and `changed` when something is published on the channel or max_s are over:
        then it asks again. We listen before the state is read, so that no change falls between the two.
        """
        connection = environ.get(_SOCKET)
        if not isinstance(connection, socket.socket) or isinstance(connection, ssl.SSLSocket):
            return False
        pages = self._opened()
        if pages is None or pages.of(channel) >= MAX_PAGES or pages.number >= self._most:
            return False
        page = _Page(channel)
        pages.run(pages.expect, page)
        try:
            state = read_state()
            ours = _taken_from(connection)
        except BaseException:
            pages.run(pages.let_go, page)
            raise
        environ[_HANDED_OVER] = True
        if not pages.run(pages.begin, page, ours, state, max_s):
            ours.close()
        return True

    def close(self) -> None:
        """Let every waiting page go and stop the loop. Nobody is admitted any more."""
        with self._lock:
            self._closed = True
            pages, self._pages = self._pages, None
        self._unsubscribe()
        if pages is not None:
            pages.close()

    @property
    def waiting(self) -> int:
        """How many pages wait now."""
        return 0 if self._pages is None else self._pages.number

    def _opened(self) -> _Pages | None:
        """Those who wait; None once the room is closed."""
        with self._lock:
            if self._pages is None and not self._closed:
                pages = _Pages()
                self._most = most_pages()
                self._unsubscribe = self._store.subscribe(pages.changed)
                self._pages = pages
            return self._pages


class _Page:
    """One page that waits; it has a connection from the moment its state is known until it is let go.

    over_at: when its time is over, as the loop counts it.
    """

    __slots__ = ("changed", "channel", "connection", "over_at")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.connection: socket.socket | None = None
        self.over_at = 0.0
        self.changed = False


class _Pages:
    """All pages that wait in this process, on a loop with a thread of its own.

    Other threads may `run` a method on it, say what `changed` and ask how many there are; everything else happens on
    the loop's thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._by_channel: dict[str, list[_Page]] = {}
        self._due: dict[int, list[_Page]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.number = 0
        self._thread = threading.Thread(target=self._serve, name="waiting-room", daemon=True)
        self._thread.start()

    def run(self, method: Callable[..., object], *arguments: Any) -> bool:
        """Have it done soon on the loop's thread; False when the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(method, *arguments)
        except RuntimeError:
            return False
        return True

    def changed(self, channel: str) -> None:
        """Somebody published on the channel."""
        self.run(self._wake, channel)

    def close(self) -> None:
        """Let everybody go; returns when the thread has ended."""
        self.run(self._loop.stop)
        self._thread.join()

    def of(self, channel: str) -> int:
        return len(self._by_channel.get(channel, ()))

    # -- on the loop's thread --------------------------------------------------------------------------------

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.call_soon(self._loop.stop)  # behind those who are on their way in
        self._loop.run_forever()
        for page in [page for pages in self._by_channel.values() for page in pages]:
            self.let_go(page)
        self._loop.close()

    def expect(self, page: _Page) -> None:
        """Hear for it what changes; its connection comes with `begin`."""
        self._by_channel.setdefault(page.channel, []).append(page)
        self.number += 1

    def begin(self, page: _Page, connection: socket.socket, state: str, max_s: float) -> None:
        """Tell the page its state, and from now on what changes."""
        page.connection = connection
        page.over_at = self._loop.time() + max_s
        # It has asked already: a page that says more than that has gone, or is not one of ours.
        self._loop.add_reader(connection.fileno(), self.let_go, page)
        retry_ms = _RETRY_MS + secrets.randbelow(_RETRY_SPREAD_MS)
        self._say(page, f"{_HEAD}retry: {retry_ms}\ndata: {json.dumps({'state': state})}\n\n".encode())
        if page.changed:
            self._tell(page)
        self._wait_on(page)

    def _wake(self, channel: str) -> None:
        """Something changed: tell everybody who waits for it."""
        for page in tuple(self._by_channel.get(channel, ())):
            page.changed = True
            self._tell(page)

    def let_go(self, page: _Page) -> None:
        """Forget the page and close its connection."""
        others = self._by_channel.get(page.channel, [])
        if page in others:
            others.remove(page)
            self.number -= 1
            if not others:
                del self._by_channel[page.channel]
        connection, page.connection = page.connection, None
        if connection is not None:
            # The loop must have let go of the socket before its number can be another's.
            self._loop.remove_reader(connection.fileno())
            connection.close()

    def _tell(self, page: _Page) -> None:
        """The page has to ask again, and does not come back to this connection."""
        if page.connection is not None:
            self._say(page, _CHANGED)
            self.let_go(page)

    def _say(self, page: _Page, data: bytes) -> None:
        """Never waits. A page that has not read what it was told before is let go: it comes again, or polls."""
        if page.connection is None:
            return
        try:
            taken = page.connection.send(data)
        except OSError as error:
            log.debug("a waiting page went away: %s", type(error).__name__)
            taken = 0
        if taken < len(data):
            self.let_go(page)

    def _wait_on(self, page: _Page) -> None:
        """Look at the page again when a comment is due, or its time is over."""
        if page.connection is None:
            return
        due_at = min(self._loop.time() + HEARTBEAT_S, page.over_at)
        self._due.setdefault(int(due_at / _TICK_S) + 1, []).append(page)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        for bucket in [bucket for bucket in self._due if bucket * _TICK_S <= now]:
            for page in self._due.pop(bucket):
                if now >= page.over_at:
                    self._tell(page)
                else:
                    self._say(page, _STILL_HERE)
                    self._wait_on(page)
        self._timer = self._loop.call_later(_TICK_S, self._tick) if self._due else None


def most_pages() -> float:
    """How many pages may wait in one process: a server that may open no further file answers nobody at all."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if files == resource.RLIM_INFINITY else files - min(_OTHER_FILES, files // 2)


def _taken_from(connection: socket.socket) -> socket.socket:
    """The connection as a socket of our own. The server is left one that leads nowhere, to close as it always does:
    without any it would lose count of its connections, and not wait for the last of them when it is stopped.
    """
    with socket.socket() as nowhere:
        ours = connection.dup()
        os.dup2(nowhere.fileno(), connection.fileno(), inheritable=False)
    ours.setblocking(False)
    return ours


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
