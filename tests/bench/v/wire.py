"""Requests over kept connections from one thread: cheap enough not to be what is measured."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.crowd import Unexpected

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STALLED_S = 30


@dataclass(frozen=True)
class Reply:
    """took_s counts from when the request was due, where it was due at a time."""

    status: int
    body: bytes
    took_s: float


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.at = 0
        self.since = 0.0

    def fileno(self) -> int:
        return self.socket.fileno()

    def whole(self) -> tuple[int, bytes] | None:
        """The answer, once all of it is there."""
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        length = _LENGTH.search(head)
        if length is None:
            raise Unexpected("an answer that does not say its length")
        return (int(head[9:12]), body) if len(body) >= int(length[1]) else None


def send(port: int, requests: Sequence[bytes], *, at_once: int, per_s: float | None = None) -> list[Reply]:
    """Send all of them to a port of this machine; the answers, in their order.

    Whoever was answered is followed by the next; with `per_s`, each request is due at its time, whether or not those
    before it have been answered, as long as there are connections (`at_once`).
    """
    connections = [_Connection(port) for _ in range(min(at_once, len(requests)))]
    idle = deque(connections)
    replies: list[Reply | None] = [None] * len(requests)
    following = answered = 0
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while answered < len(requests):
            now = time.perf_counter()
            while following < len(requests) and idle:
                due = now if per_s is None else began + following / per_s
                if due > now:
                    break
                connection = idle.popleft()
                connection.at, connection.since, connection.received = following, due, b""
                connection.socket.sendall(requests[following])
                following += 1
            wait_s: float = _STALLED_S
            if per_s is not None and idle and following < len(requests):
                wait_s = max(0.0, began + following / per_s - time.perf_counter())
            ready = selector.select(wait_s)
            if not ready and wait_s == _STALLED_S:
                raise Unexpected("the server does not answer any more")
            for key, _ in ready:
                connection = key.fileobj  # type: ignore[assignment]
                more = connection.socket.recv(65_536)
                if not more:
                    raise Unexpected("the server closed a connection")
                connection.received += more
                whole = connection.whole()
                if whole is not None:
                    replies[connection.at] = Reply(*whole, time.perf_counter() - connection.since)
                    idle.append(connection)
                    answered += 1
    for connection in connections:
        connection.socket.close()
    return [reply for reply in replies if reply is not None]


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """One HTTP/1.1 request, ready to be sent."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("ascii")
