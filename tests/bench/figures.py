"""What is measured, and how. Every function starts what it needs and returns numbers, none of them rounded."""

from __future__ import annotations

import gzip
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from idp import credentials
from idp.credentials.status import StatusLists
from idp.credentials.trust import from_documents
from idp.demo import dcql, jose, personas, request, wallet
from tests.bench import processes
from tests.bench.processes import Demo
from tests.crowd import STEPS, Holder, Place, Unexpected, client_of
from tests.deployed import Deployment

_people = count(1)
"""Nobody signs in twice: everybody sees the consent page."""


@dataclass(frozen=True)
class Times:
    """Of many equal things, in milliseconds; `cpu_ms` is of each on average, where it was measured."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float], cpu_ms: float | None = None) -> Times:
        ordered = sorted(seconds)
        last = len(ordered) - 1
        return cls(1000 * statistics.median(ordered), 1000 * ordered[round(last * 0.99)], cpu_ms)


@contextmanager
def demo() -> Iterator[Demo]:
    """A demonstration in a new directory."""
    with (
        tempfile.TemporaryDirectory(prefix="sinwon-bench-") as directory,
        processes.demo(Path(directory)) as it,
    ):
        yield it


@contextmanager
def place_of(running: Demo | Deployment) -> Iterator[Place]:
    place = Place.of(running.prepared)
    with closing(place.line):
        yield place


def holders(running: Demo | Deployment, place: Place, number: int) -> list[Holder]:
    """New people with their credentials issued, about to sign in."""
    client = client_of(running.prepared)
    made = [Holder(place, client, personas.invented(next(_people))) for _ in range(number)]
    for holder in made:
        holder.issue()
    return made


# -- from the command to ready ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """Seconds, medians: in an empty directory (keys, certificates and database are made), and again."""

    first_s: float
    again_s: float
    runs: int


def start(runs: int = 5) -> Start:
    first, again = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="sinwon-bench-") as directory:
            for measured in (first, again):
                with processes.demo(Path(directory)) as running:
                    measured.append(running.ready_s)
    return Start(statistics.median(first), statistics.median(again), runs)


# -- one verified presentation ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Presentation:
    """`first_ms`: the first of its mission, with the issuer's chain validated and the status list read."""

    first_ms: float
    verify: Times
    posted: Times
    bytes: int


def presentation(running: Demo, place: Place, number: int = 300) -> Presentation:
    """credentials.verify alone, in this process; then POST /wallet/response, one at a time, at the server."""
    verify_s, first_s, cpu_ms = _verified(place, running, number)
    asked = holders(running, place, number)
    for holder in asked:
        holder.go(until="fetch")
    answers = [holder.answer() for holder in asked]
    before = processes.cpu_s(running.worker)
    posted = [_timed(lambda at=at: asked[at].post_as_wallet(answers[at], 200)) for at in range(number)]
    server_ms = 1000 * (processes.cpu_s(running.worker) - before) / number
    return Presentation(
        1000 * first_s,
        Times.of(verify_s, cpu_ms),
        Times.of(posted, server_ms),
        round(statistics.mean(len(answer["response"]) for answer in answers)),
    )


def _verified(place: Place, running: Demo, number: int) -> tuple[list[float], float, float]:
    registry = running.prepared.trust()
    trust = from_documents(registry["credential_type"], registry["mission"])
    lists = StatusLists(lambda uri, _type: place.authority.status_token(uri.rpartition("/")[2]).encode())
    asked = holders(running, place, 1)[0].go(until="fetch").asked
    assert asked is not None
    expected = credentials.Expected(
        audience=asked.client_id,
        nonce=asked.nonce,
        accepted_types=frozenset(trust.types),
        status_fail_closed=False,
    )
    mission = trust.missions["LAX"]
    shown = [_shown(place, asked, mission.code) for _ in range(number + 1)]

    def verify(presentation: str) -> None:
        credentials.verify(
            "dc+sd-jwt", presentation, expected=expected, trust=trust, status=lists, now=int(time.time())
        )

    first_s = _timed(lambda: verify(shown[0]))
    before = time.process_time()
    seconds = [_timed(lambda one=one: verify(one)) for one in shown[1:]]
    return seconds, first_s, 1000 * (time.process_time() - before) / number


def _shown(place: Place, asked: request.Request, mission: str) -> str:
    """What a person of this mission would show."""
    person = next(
        person for person in map(personas.invented, _people) if person.mission == mission and person.secure
    )
    credential, _ = place.authority.issue(person, jose.generate())
    match = dcql.match(
        asked.query,
        claims=credential.claims,
        type_name=credential.vct,
        authority_key_ids=credential.authority_key_ids,
    )
    assert match is not None
    return wallet.present(credential, match, asked)


# -- complete sign-ins ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SignIns:
    """So many at a time. The shares are of one core: server and client have the machine to themselves, together."""

    at_once: int
    number: int
    per_s: float
    whole: Times
    steps: dict[str, Times]
    errors: int
    client_cpu_ms: float
    server_share: float
    client_share: float


def sign_ins(running: Demo, place: Place, *, at_once: int, number: int) -> SignIns:
    """A closed loop: whoever has arrived is followed by the next at once."""
    waiting = holders(running, place, number)
    whole: list[float] = []
    steps: dict[str, list[float]] = defaultdict(list)
    errors: list[Unexpected] = []

    def one(holder: Holder) -> None:
        marks = [time.perf_counter()]
        try:
            holder.go(after=lambda _step: marks.append(time.perf_counter()))
        except Unexpected as error:
            errors.append(error)
            return
        whole.append(marks[-1] - marks[0])
        for at, step in enumerate(STEPS):
            steps[step].append(marks[at + 1] - marks[at])

    server, client = processes.cpu_s(running.worker), time.process_time()
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, waiting))
    took_s = time.perf_counter() - began
    server, client = processes.cpu_s(running.worker) - server, time.process_time() - client
    return SignIns(
        at_once=at_once,
        number=number,
        per_s=len(whole) / took_s,
        whole=Times.of(whole, 1000 * server / number),
        steps={step: Times.of(seconds) for step, seconds in steps.items()},
        errors=len(errors),
        client_cpu_ms=1000 * client / number,
        server_share=server / took_s,
        client_share=client / took_s,
    )


# -- the sign-in page -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """One thing that the browser loads; `compressed` with gzip as a reverse proxy would."""

    name: str
    bytes: int
    compressed: int


def sign_in_page(running: Demo, place: Place) -> list[Page]:
    """The page and everything that it makes a browser fetch."""
    holder = holders(running, place, 1)[0].go(until="begin")
    page = holder.open(holder.login_url).body
    linked = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.decode("utf-8"))
    loaded = [("page", page)]
    loaded += [(urlsplit(url).path, place.line.send("GET", url).body) for url in dict.fromkeys(linked)]
    return [Page(name, len(body), len(gzip.compress(body, 6))) for name, body in loaded]


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
