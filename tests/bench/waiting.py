"""Thousands of sign-in pages that wait, and what those who sign in meanwhile notice of them.

    python -m tests.bench.waiting [--pages N] [--workers N] [--sign-ins-per-s N] [--quick]

`idp serve` with its own settings on PostgreSQL and Redis. First sign-ins go on without pages, then a process beside
this one opens them (`tests.bench.pages`), then everything is measured with them, and at the end sign-ins without them
again: what the machine does otherwise should not count for one side only. It takes about five minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from idp.demo.request import Link, read_link
from tests import servers
from tests.bench import figures, processes
from tests.bench.figures import Times
from tests.bench.processes import PROJECT, Memory
from tests.crowd import Holder, Place, Unexpected
from tests.deployed import Deployment, deployed

SIGNING_IN_AT_ONCE = 24
GOAL_KB, GOAL_CORES, GOAL_TOLD_MS, GOAL_RATIO = 20, 0.05, 20, 1.5
OPEN_S = 400
TOLD_S = 20


@dataclass(frozen=True)
class Size:
    """How much is measured: pages; answers, so many a second, alone and as many again beside sign-ins; sign-ins, so
    many a second for so long; idle time.
    """

    pages: int = 10_000
    answers: int = 200
    answers_per_s: float = 10
    sign_ins_per_s: float = 15
    load_s: float = 30
    idle_s: float = 15
    workers: int = 1

    @classmethod
    def quick(cls) -> Size:
        return cls(pages=300, answers=20, load_s=4, idle_s=2)


@dataclass(frozen=True)
class Load:
    """Sign-ins that came at a fixed rate. token: POST /token. whole: sign-ins, counted from when each was due.
    cores: of the processes that serve, and of the one that signs in.
    """

    number: int
    errors: int
    token: Times
    whole: Times
    cores: float
    driver_cores: float


@dataclass(frozen=True)
class Answers:
    """told: from the wallet's POST to the event at the page. posted: until the wallet has its own answer."""

    told: Times
    posted: Times


@dataclass(frozen=True)
class Waiting:
    """idle_cores: of all processes that serve, while nobody signs in. answers: then, and beside sign-ins. without,
    beside: sign-ins before and after the pages, and with them. pages_cores: of the process that holds the pages, then.
    """

    size: Size
    opened_s: float
    before: Memory
    after: Memory
    threads: tuple[int, int]
    idle_cores: float
    answers: tuple[Answers, Answers]
    without: tuple[Load, Load]
    beside: Load
    pages_cores: float

    @property
    def each_kb(self) -> float:
        return 1024 * (self.after.rss - self.before.rss) / self.size.pages

    @property
    def token_ratio(self) -> float:
        """Of the p99 with the pages to that without them."""
        return self.beside.token.p99_ms / statistics.mean(one.token.p99_ms for one in self.without)


def measure(size: Size, say: Callable[[str], None]) -> Waiting:
    """Everything, in turn. Raises Unexpected when pages were lost: figures of fewer than there should be are none."""
    with _house(size) as house, figures.place_of(house) as place:
        workers = processes.workers_of(house.pid)
        say("waiting pages: sign-ins without them")
        _load(house, place, workers, size, 5)
        first = _load(house, place, workers, size, size.load_s)
        before, threads_before = _memory(workers), sum(map(processes.threads, workers))
        say(f"waiting pages: {size.pages:,} are opened")
        began = time.perf_counter()
        with _browsers(house, size) as browsers:
            opened_s = time.perf_counter() - began
            idle_cores = _idle_cores(workers, size.idle_s)
            after, threads_after = _memory(workers), sum(map(processes.threads, workers))
            say("waiting pages: sign-ins beside them")
            cpu_s, began = processes.cpu_s(browsers.pid), time.perf_counter()
            beside = _load(house, place, workers, size, size.load_s)
            pages_cores = (processes.cpu_s(browsers.pid) - cpu_s) / (time.perf_counter() - began)
            say("waiting pages: wallets answer")
            answers = _answers(house, place, workers, browsers, size)
            counts = browsers.count()
        if counts["lost"] or counts["errors"]:
            raise Unexpected(
                f"of the pages {counts['lost']} lost their stream, {counts['errors']} had an error"
            )
        say("waiting pages: sign-ins without them")
        last = _load(house, place, workers, size, size.load_s)
    return Waiting(
        size=size,
        opened_s=opened_s,
        before=before,
        after=after,
        threads=(threads_before, threads_after),
        idle_cores=idle_cores,
        answers=answers,
        without=(first, last),
        beside=beside,
        pages_cores=pages_cores,
    )


@contextmanager
def _house(size: Size) -> Iterator[Deployment]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sinwon-bench-")))
        database = stack.enter_context(servers.new_database(stack.enter_context(servers.postgresql())))
        store = f"redis://127.0.0.1:{stack.enter_context(servers.redis())}/0"
        overrides = {
            "database.url": database,
            "store.url": store,
            "server.workers": size.workers,
            "lifetimes.login_ttl_s": 1800,  # however slow the machine: no page is to end while it is measured
        }
        yield stack.enter_context(deployed(directory, overrides, []))


class _Browsers:
    """The process that holds the pages, and what it has told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._news = threading.Condition()
        self._heard: dict[str, list[float]] = {}
        self._said: dict[str, Any] = {}
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()
        self._await("open", OPEN_S)

    @property
    def pid(self) -> int:
        return self._process.pid

    def links(self) -> dict[str, Link]:
        """Of the QR code that each page shows now, by login."""
        self.ask("links")
        return {url: read_link(link) for url, link in self._await("links", TOLD_S).items()}

    def ask(self, word: str) -> None:
        assert self._process.stdin is not None
        print(word, file=self._process.stdin, flush=True)

    def count(self) -> Counter[str]:
        with self._news:
            self._said.pop("counts", None)
        self.ask("count")
        return Counter(self._await("counts", TOLD_S))

    def told(self, login_url: str, after: float) -> float:
        """When the page heard the first news after that time."""

        def later() -> float | None:
            return next((at for at in self._heard.get(login_url, ()) if at > after), None)

        with self._news:
            if not self._news.wait_for(lambda: later() is not None, TOLD_S):
                raise Unexpected("a waiting page was not told")
            at = later()
        assert at is not None
        return at

    def _await(self, what: str, within_s: float) -> Any:
        with self._news:
            self._news.wait_for(lambda: what in self._said or self._ended, within_s)
            if what not in self._said:
                raise Unexpected(f"the waiting pages did not say {what}")
            return self._said[what]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            with self._news:
                if "told" in news:
                    self._heard.setdefault(news["told"], []).append(news["at"])
                self._said |= news
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


@contextmanager
def _browsers(house: Deployment, size: Size) -> Iterator[_Browsers]:
    """The pages, open, until the context ends."""
    command = [sys.executable, "-m", "tests.bench.pages", str(house.prepared.directory)]
    command += [str(size.pages)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT, text=True
    ) as process:
        try:
            browsers = _Browsers(process)
            yield browsers
            browsers.ask("end")
            process.wait(60)
        finally:
            process.kill()


def _memory(workers: list[int]) -> Memory:
    each = [processes.memory(worker) for worker in workers]
    return Memory(sum(one.rss for one in each), sum(one.pss for one in each))


def _cpu_s(workers: list[int]) -> float:
    return sum(map(processes.cpu_s, workers))


def _idle_cores(workers: list[int], idle_s: float) -> float:
    """Nobody signs in; the pages wait."""
    cpu_s, began = _cpu_s(workers), time.perf_counter()
    time.sleep(idle_s)
    return (_cpu_s(workers) - cpu_s) / (time.perf_counter() - began)


def _load(house: Deployment, place: Place, workers: list[int], size: Size, load_s: float) -> Load:
    """Sign-ins that begin at fixed times, whether or not those before them have arrived."""
    number = round(size.sign_ins_per_s * load_s)
    people = figures.holders(house, place, number)
    token, whole = [], []
    errors: list[Unexpected] = []
    began = time.perf_counter() + 0.1

    def one(at: int) -> None:
        due = began + at / size.sign_ins_per_s
        time.sleep(max(0.0, due - time.perf_counter()))
        marks: dict[str, float] = {}
        try:
            people[at].go(after=lambda step: marks.update({step: time.perf_counter()}))
        except Unexpected as error:
            errors.append(error)
            return
        token.append(marks["redeem"] - marks["finish"])
        whole.append(marks["read"] - due)

    cpu_s, driver_s = _cpu_s(workers), time.process_time()
    with ThreadPoolExecutor(SIGNING_IN_AT_ONCE) as pool:
        list(pool.map(one, range(number)))
    took_s = time.perf_counter() - began
    return Load(
        number,
        len(errors),
        Times.of(token),
        Times.of(whole),
        (_cpu_s(workers) - cpu_s) / took_s,
        (time.process_time() - driver_s) / took_s,
    )


def _answers(
    house: Deployment, place: Place, workers: list[int], browsers: _Browsers, size: Size
) -> tuple[Answers, Answers]:
    """Wallets scan the codes of some pages, then answer: half of them alone, the others while people sign in."""
    links = browsers.links()
    urls = random.sample(sorted(links), 2 * size.answers)
    phones = dict(zip(urls, figures.holders(house, place, len(urls)), strict=True))
    for url, phone in phones.items():
        phone.link = links[url]
        scanned = time.perf_counter()
        phone.fetch()
        browsers.told(url, scanned)  # the page says so, and waits again
    ready = [(url, phone, phone.answer()) for url, phone in phones.items()]
    alone = _answered(browsers, size, ready[: size.answers])
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(_load, house, place, workers, size, size.answers / size.answers_per_s)
        beside = _answered(browsers, size, ready[size.answers :])
        load.result()
    return alone, beside


def _answered(browsers: _Browsers, size: Size, ready: list[tuple[str, Holder, dict[str, Any]]]) -> Answers:
    """These wallets answer, one after the other at a steady pace."""
    told, posted = [], []
    began = time.perf_counter()
    for number, (url, phone, answer) in enumerate(ready):
        time.sleep(max(0.0, began + number / size.answers_per_s - time.perf_counter()))
        sent = time.perf_counter()
        phone.post_as_wallet(answer, 200)
        posted.append(time.perf_counter() - sent)
        told.append(browsers.told(url, sent) - sent)
    return Answers(Times.of(told), Times.of(posted))


def section(waiting: Waiting) -> str:
    """The part of docs/performance.md."""
    size, before, after, beside = waiting.size, waiting.before, waiting.after, waiting.beside
    alone, both = waiting.answers
    loads = "\n".join(
        f"| {name} | {one.number} | {one.errors} | {one.token.p50_ms:.1f} | {one.token.p99_ms:.1f} "
        f"| {one.whole.p50_ms:.0f} | {one.whole.p99_ms:.0f} | {one.cores:.2f} | {one.driver_cores:.2f} |"
        for name, one in (
            ("without pages", waiting.without[0]),
            (f"beside {size.pages:,} pages", beside),
            ("without pages, again", waiting.without[1]),
        )
    )
    goals = [
        (f"at most {GOAL_KB} KiB a page", waiting.each_kb <= GOAL_KB, f"{waiting.each_kb:.1f}"),
        (
            f"at most {GOAL_CORES} of a core while nobody signs in",
            waiting.idle_cores <= GOAL_CORES,
            f"{waiting.idle_cores:.3f}",
        ),
        (
            f"an answer known within {GOAL_TOLD_MS} ms (p99), nobody signing in",
            alone.told.p99_ms <= GOAL_TOLD_MS,
            f"{alone.told.p99_ms:.1f}",
        ),
        (
            "the same while people sign in",
            both.told.p99_ms <= GOAL_TOLD_MS,
            f"{both.told.p99_ms:.1f}",
        ),
        (
            f"the token endpoint's p99 within {GOAL_RATIO} of without",
            waiting.token_ratio <= GOAL_RATIO,
            f"{waiting.token_ratio:.2f}",
        ),
    ]
    reached = "\n".join(f"| {what} | {value} | {'yes' if good else 'no'} |" for what, good, value in goals)
    processes_said = "one process" if size.workers == 1 else f"{size.workers} processes"
    return f"""
## Waiting pages

```sh
python -m tests.bench.waiting
```

`idp serve` with {processes_said} of 16 threads, on PostgreSQL and Redis (neither syncs to disk here). {size.pages:,}
sign-in pages are opened in {waiting.opened_s:.0f} s, each a login of its own that began at `/authorize`, has loaded
its page and holds its event stream (decision D20 in [decisions.md](decisions.md)). A page knows which QR codes take
their turn and asks for none; the wallets below open the ones whose turn it is.

| | before | with {size.pages:,} pages |
|---|---|---|
| RSS MiB | {before.rss:.0f} | {after.rss:.0f} ({waiting.each_kb:.1f} KiB each) |
| PSS MiB | {before.pss:.0f} | {after.pss:.0f} |
| threads | {waiting.threads[0]} | {waiting.threads[1]} |

The memory is all that has grown meanwhile, what {size.pages:,} requests for pages leave behind included; what the
kernel keeps for a connection is not in it.

While nobody signs in they cost {waiting.idle_cores:.3f} of a core: a comment to each every 20 s.

Then {size.sign_ins_per_s:.0f} people a second sign in, for {size.load_s:.0f} s, whether or not those before them have
arrived. A whole sign-in counts from when it was due. All in ms; cores are those of the processes that serve, and of
the script that signs in. The one that holds the pages takes {waiting.pages_cores:.2f} of a core.

| | sign-ins | errors | `POST /token` p50 | p99 | whole p50 | p99 | cores | script |
|---|---|---|---|---|---|---|---|---|
{loads}

The codes of {2 * size.answers} pages are scanned, and the wallets answer, {size.answers_per_s:.0f} a second: half of
them while nobody signs in, half beside {size.sign_ins_per_s:.0f} sign-ins a second.

| | alone p50 ms | p99 ms | beside sign-ins p50 ms | p99 ms |
|---|---|---|---|---|
| from the wallet's POST to the event at the page | {_p(alone.told)} | {_p(both.told)} |
| the POST itself, until the wallet has its answer | {_p(alone.posted)} | {_p(both.posted)} |

The page hears of the answer while the wallet still waits for its own: the first line contains the verification.

| goal | measured | reached |
|---|---|---|
{reached}"""


def _p(times: Times) -> str:
    return f"{times.p50_ms:.1f} | {times.p99_ms:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.waiting")
    parser.add_argument("--pages", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--sign-ins-per-s", type=float)
    parser.add_argument("--quick", action="store_true", help="few pages for a moment: to see that it runs")
    asked = parser.parse_args()
    size = replace(Size.quick() if asked.quick else Size(), workers=asked.workers)
    size = replace(
        size,
        pages=asked.pages or size.pages,
        sign_ins_per_s=asked.sign_ins_per_s or size.sign_ins_per_s,
    )
    print(section(measure(size, lambda what: print(what, file=sys.stderr, flush=True))).strip())


if __name__ == "__main__":
    main()
