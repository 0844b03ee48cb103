"""Browsers that wait at the sign-in page, thousands of them, in a process beside the one that measures.

    python -m tests.bench.pages DIRECTORY NUMBER     (of a demonstration's data; `tests.bench.waiting` starts it)

Each has begun a login of its own, has its cookie, has loaded its page and holds its event stream. It does what the
page's script does (`sinwon.js`): it fetches a fresh QR code when its own is too old and somebody can see it, and when
it is told that something changed it loads the page again. Nobody looks until `show` is read.

Read, one word a line: `show`, `count`, `end`. Written, one JSON object a line: `open` (the QR code's link by login),
`told` (a login) with `at`, when that came in (as `time.perf_counter`, which on Linux is the same in every process),
and counts since the start.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import resource
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from idp.demo import personas, seeds
from tests.crowd import Holder, Place, Unexpected, client_of

AT_ONCE = 6
STREAM_S = 30


def allow_sockets() -> None:
    """As many as the system lets this process open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass
class Page:
    """One browser: its login, until when its QR code is fresh (as `time.perf_counter`), whether it still shows it."""

    holder: Holder
    fresh_until: float = 0.0
    offers: bool = True


class Pages:
    """All of them. Requests are made by a few threads; one more listens to every stream."""

    def __init__(self, place: Place, holders: list[Holder], fresh_s: int) -> None:
        self._place = place
        self._fresh_s = fresh_s
        self._pages = [Page(holder) for holder in holders]
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._streams = selectors.DefaultSelector()
        self._counts: Counter[str] = Counter()
        self._shown = False
        self._ended = threading.Event()
        self._due: list[tuple[float, int]] = []
        self._ordering = threading.Lock()
        self._writing = threading.Lock()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._listen, self._replace_codes)
        ]

    def open(self) -> None:
        """Begin every login and hold its stream; tell the links."""
        self._threads[0].start()
        list(self._pool.map(self._enter, self._pages))
        self.write(open={page.holder.login_url: vars(page.holder.link) for page in self._pages})
        self._due = [(page.fresh_until, at) for at, page in enumerate(self._pages)]
        heapq.heapify(self._due)
        self._threads[1].start()

    def show(self) -> None:
        """From now on somebody looks at every page; who finds an old code did not come back all at once."""
        now = time.perf_counter()
        with self._ordering:
            self._due = [
                (due if due > now else now + self._fresh_s * random.random(), at) for due, at in self._due
            ]
            heapq.heapify(self._due)
            self._shown = True

    def count(self) -> None:
        self.write(counts=dict(self._counts), streams=len(self._streams.get_map()))

    def write(self, **what: Any) -> None:
        with self._writing:
            print(json.dumps(what), flush=True)

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            if thread.ident is not None:  # begun: where the pages could not be opened it is not
                thread.join()
        self._pool.shutdown(cancel_futures=True)
        for key in list(self._streams.get_map().values()):
            _socket(key).close()
        self._streams.close()

    def _enter(self, page: Page) -> None:
        page.holder.begin()
        page.holder.look()
        page.fresh_until = time.perf_counter() + self._fresh_s
        self._hold(page)

    def _hold(self, page: Page) -> None:
        """Open the stream of a page and wait for the state that it begins with."""
        holder = page.holder
        parts = urlsplit(self._place.line.url)
        stream = socket.create_connection((parts.hostname, parts.port), timeout=STREAM_S)
        cookies = "; ".join(f"{name}={value}" for name, value in holder.cookies.items())
        head = f"GET {holder.login_url}/events HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookies}\r\n\r\n"
        stream.sendall(head.encode())
        received = b""
        while b"data: " not in received or not received.endswith(b"\n\n"):
            more = stream.recv(4096)
            if not more:
                raise Unexpected(f"events: {received[:40]!r}")
            received += more
        if b'"changed"' in received:  # between the page and its stream
            stream.close()
            self._go_on(page)
            return
        stream.setblocking(False)
        self._streams.register(stream, selectors.EVENT_READ, page)

    def _listen(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._streams.select(timeout=0.1):
                now = time.perf_counter()
                stream, page = _socket(key), key.data
                data = stream.recv(4096)
                if data and b'"changed"' not in data:
                    self._counts["comments"] += 1
                    continue
                self._streams.unregister(stream)
                stream.close()
                page.offers = page.offers and not data
                if data:
                    self.write(told=page.holder.login_url, at=now)
                self._counts["told" if data else "lost"] += 1
                self._pool.submit(self._counted, "loaded", self._go_on, page)

    def _go_on(self, page: Page) -> None:
        page.holder.open(page.holder.login_url)
        self._hold(page)

    def _replace_codes(self) -> None:
        while not self._ended.wait(0.05):
            now = time.perf_counter()
            with self._ordering:
                while self._shown and self._due and self._due[0][0] <= now:
                    _, at = heapq.heappop(self._due)
                    if self._pages[at].offers:
                        self._pool.submit(self._counted, "codes", self._replace, at)

    def _replace(self, at: int) -> None:
        holder = self._pages[at].holder
        told = json.loads(holder.open(f"{holder.login_url}/qr").body)
        with self._ordering:
            heapq.heappush(self._due, (time.perf_counter() + told["fresh_s"], at))

    def _counted(self, what: str, act: Any, *arguments: Any) -> None:
        try:
            act(*arguments)
        except (Unexpected, OSError) as error:
            what = "errors"
            print(f"a waiting page: {error}", file=sys.stderr)
        self._counts[what] += 1


def _socket(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages")
    parser.add_argument("directory", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("--fresh-s", type=int, default=120, help="for how long a QR code is offered")
    asked = parser.parse_args()
    allow_sockets()
    prepared = seeds.load(asked.directory)
    place, client = Place.of(prepared), client_of(prepared)
    with closing(place.line):
        holders = [Holder(place, client, personas.invented(1), via="qr") for _ in range(asked.number)]
        with closing(Pages(place, holders, asked.fresh_s)) as pages:
            pages.open()
            for line in sys.stdin:
                if line.strip() == "end":
                    break
                {"show": pages.show, "count": pages.count}[line.strip()]()


if __name__ == "__main__":
    main()
