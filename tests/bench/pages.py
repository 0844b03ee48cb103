"""Browsers that wait at the sign-in page, thousands of them, in a process beside the one that measures.

    python -m tests.bench.pages DIRECTORY NUMBER     (of a demonstration's data; `tests.bench.waiting` starts it)

Each has begun a login of its own, has its cookie, has loaded its page and holds its event stream. It does what the
page's script does (`sinwon.js`): it shows the QR code whose turn it is, and when it is told that something changed it
loads the page again.

Read, one word a line: `links`, `count`, `end`. Written, one JSON object a line: `open` (how many), `links` (the QR
code's that is shown now, by login), `told` (a login) with `at`, when that came in (as `time.perf_counter`, which on
Linux is the same in every process), and `counts` since the start.
"""

from __future__ import annotations

import argparse
import html
import json
import math
import re
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
    """One browser. links: of its QR codes in turn, each shown for so long. fresh_until: the first one, as
    `time.perf_counter`.
    """

    holder: Holder
    links: tuple[str, ...] = ()
    each_s: float = 0.0
    fresh_until: float = 0.0

    def look(self) -> None:
        """Load the page and read its QR codes."""
        shown = self.holder.open(self.holder.login_url).text
        found = re.search(r'<div id="qr"[^>]*>', shown)
        if found is None:
            raise Unexpected("look: no QR code")
        read = dict(re.findall(r'data-(\w+)="([^"]*)"', found[0]))
        later = json.loads(html.unescape(read["later"]))
        self.links = (html.unescape(read["link"]), *(link for _code, link in later))
        self.each_s, self.fresh_until = float(read["each"]), time.perf_counter() + float(read["fresh"])

    def link(self) -> str:
        """What it shows now."""
        turn = math.ceil(max(0.0, time.perf_counter() - self.fresh_until) / self.each_s)
        return self.links[turn]


class Pages:
    """All of them. Requests are made by a few threads; one more listens to every stream."""

    def __init__(self, place: Place, holders: list[Holder]) -> None:
        self._place = place
        self._pages = [Page(holder) for holder in holders]
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._streams = selectors.DefaultSelector()
        self._counts: Counter[str] = Counter()
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def open(self) -> None:
        """Begin every login and hold its stream."""
        self._listener.start()
        list(self._pool.map(self._enter, self._pages))
        self.write(open=len(self._pages))

    def links(self) -> None:
        self.write(links={page.holder.login_url: page.link() for page in self._pages})

    def count(self) -> None:
        self.write(counts=dict(self._counts), streams=len(self._streams.get_map()))

    def write(self, **what: Any) -> None:
        with self._writing:
            print(json.dumps(what), flush=True)

    def close(self) -> None:
        self._ended.set()
        if self._listener.ident is not None:  # begun: where the pages could not be opened it is not
            self._listener.join()
        self._pool.shutdown(cancel_futures=True)
        for key in list(self._streams.get_map().values()):
            _socket(key).close()
        self._streams.close()

    def _enter(self, page: Page) -> None:
        page.holder.begin()
        page.look()
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
                if data:
                    self.write(told=page.holder.login_url, at=now)
                self._counts["told" if data else "lost"] += 1
                self._pool.submit(self._counted, "loaded", self._go_on, page)

    def _go_on(self, page: Page) -> None:
        page.holder.open(page.holder.login_url)
        self._hold(page)

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
    asked = parser.parse_args()
    allow_sockets()
    prepared = seeds.load(asked.directory)
    place, client = Place.of(prepared), client_of(prepared)
    with closing(place.line):
        holders = [Holder(place, client, personas.invented(1), via="qr") for _ in range(asked.number)]
        with closing(Pages(place, holders)) as pages:
            pages.open()
            for line in sys.stdin:
                if line.strip() == "end":
                    break
                {"links": pages.links, "count": pages.count}[line.strip()]()


if __name__ == "__main__":
    main()
