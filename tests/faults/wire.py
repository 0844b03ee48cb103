"""A line to a server that can be cut, slowed down or left silent, byte by byte in our hands."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
COMMIT = b"COMMIT\x00"
"""How psycopg's COMMIT ends on the wire: a simple query of PostgreSQL's protocol."""


class Wire:
    """Listens on a port of its own and passes on. Every fault holds for the connections that are there and for new
    ones, until `heal`.

    delay_s: each piece waits for so long. silent: nothing is passed on, and nothing closed. refusing: who is there is
    cut off, who comes is cut off. `snip` looks at each piece that is about to go to the server, and what it says is
    done once: "before" cuts without passing it on, "after" passes it on and cuts before an answer comes.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._loud = threading.Event()
        self._loud.set()
        self._closed = False
        self.delay_s = 0.0
        self.refusing = False
        self.snip: Callable[[bytes], str | None] | None = None
        self.n_snipped = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    @contextmanager
    def to(cls, target: int) -> Iterator[Wire]:
        wire = cls(target)
        try:
            yield wire
        finally:
            wire.close()

    def heal(self) -> None:
        self.delay_s, self.refusing, self.snip = 0.0, False, None
        self._loud.set()

    def cut(self) -> None:
        """Reset every connection that is open now."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)

    def refuse(self) -> None:
        """As if the server were gone, until `heal`."""
        self.refusing = True
        self.cut()

    def silence(self) -> None:
        """As if a firewall had forgotten everything, until `heal`."""
        self._loud.clear()

    def snip_commits(self, when: str, one_in: Callable[[], bool]) -> None:
        """Cut "before" or "after" a COMMIT reaches PostgreSQL, each time that `one_in` says so."""
        self.snip = lambda piece: when if COMMIT in piece and one_in() else None

    def close(self) -> None:
        self._closed = True
        self._loud.set()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        if self.refusing:
            _close(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            _close(client)
            return
        for end in (client, server):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        threading.Thread(target=self._pump, args=(pair, client, server, True), daemon=True).start()
        self._pump(pair, server, client, False)

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket, out: bool
    ) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                self._loud.wait()
                if self.delay_s:
                    time.sleep(self.delay_s)
                decided = self.snip(piece) if out and self.snip is not None else None
                if decided == "before":
                    self.n_snipped += 1
                    break
                if decided == "after":
                    self.n_snipped += 1
                    self._answer_is_lost(sink, piece, pair)
                    break
                sink.sendall(piece)
        self._reset(pair)

    def _answer_is_lost(
        self, server: socket.socket, piece: bytes, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        """The server hears all of it and does it; the client is cut off first."""
        client = pair[0]
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        _close(client)
        server.sendall(piece)
        # PostgreSQL reads the statement before it sees that nobody is there any more.
        time.sleep(0.05)

    def _reset(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            _close(end)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()
