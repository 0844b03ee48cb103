"""R15: clocks that jump, and two nodes whose clocks are apart. What was used stays used, whatever time it is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from idp.app import close, create_app
from idp.demo.request import RequestRefused
from tests.crowd import Answer, Holder, Unexpected
from tests.faults import matrix
from tests.faults.crowd import OutOfPatience
from tests.faults.ledger import Entry, reconcile
from tests.faults.matrix import FailedOpen, Insisting, Journey
from tests.faults.result import Result
from tests.faults.signing import CLIENT_ID
from tests.rig import Clock, Rig, served

HOUR_S, DAY_S = 3600, 86_400
JUMPS_S = (HOUR_S, -HOUR_S, DAY_S, -DAY_S)
SKEWS_S = (90, -90)
TOO_LONG_S = 60


@dataclass(frozen=True)
class Size:
    """rounds: of each jump; sign_ins: at each skew."""

    rounds: int = 25
    sign_ins: int = 50


class Alternating(Insisting):
    """Asks two nodes in turns."""

    def __init__(self, rig: Rig, other: str) -> None:
        super().__init__(rig)
        self._lines = [Insisting(rig), Insisting(rig, other)]
        self._at = 0

    def send(self, method: str, path: str, body: str | None = None, headers: Any = None) -> Answer:
        self._at += 1
        return self._lines[self._at % 2].send(method, path, body, headers)

    def close(self) -> None:
        for line in self._lines:
            self.undocumented += line.undocumented
            line.close()
        super().close()


def measure(
    running: Rig, database: str, size: Size, command: str, *, book: list[Entry] | None = None
) -> Result:
    """`book`: all who signed in here, to be written on."""
    result = Result("R15", "clocks", command, "")
    line = Insisting(running)
    book = [] if book is None else book
    ways = matrix.journeys(running, line, book)
    wrong: list[str] = []
    for _ in range(size.rounds):
        for jump_s in JUMPS_S:
            wrong += _through_a_jump(running, ways[0], jump_s)
    running.clock.offset_s = 0
    result.zero("what was used, used again at another time; or valid for too long", wrong)
    for skew_s in SKEWS_S:
        with second_node(running, skew_s) as other:
            both = Alternating(running, other)
            finished, open_ = 0, []
            for number in range(size.sign_ins):
                running.clock.offset_s = 0
                journey = matrix.journeys(running, both, book)[number % 2]
                try:
                    journey.walk()
                    finished += 1
                except FailedOpen as problem:
                    open_.append(str(problem))
                except (OutOfPatience, Unexpected, RequestRefused):
                    pass  # counted: what did not finish
            both.close()
        result.zero(f"nodes {skew_s:+d} s apart: open where it must be shut", open_)
        result.zero(f"nodes {skew_s:+d} s apart: undocumented 5xx", both.undocumented)
        result.say(f"nodes {skew_s:+d} s apart: sign-ins finished", f"{finished} of {size.sign_ins}")
    result.zero("answers with 5xx other than 503 with Retry-After", line.undocumented)
    found = reconcile(book, database, client_ids={"matrix", CLIENT_ID})
    result.zero("consents, receipts, audit rows lost or doubled", found.wrong)
    result.n = f"{size.rounds} × jumps of ±1 h and ±1 day, {size.sign_ins} sign-ins at each skew"
    line.close()
    return result


@contextmanager
def second_node(running: Rig, skew_s: int) -> Iterator[str]:
    """Another node of the same deployment whose clock is ahead by so much; yields its address."""
    clock = Clock()
    clock.offset_s = skew_s
    app = create_app(running.house.settings, clock)
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        with served(app, listening):
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    close(app)


def _through_a_jump(running: Rig, journey: Journey, jump_s: int) -> list[str]:
    """Somebody signs in, the clock jumps, and jumps back: what was used is tried at each time."""
    running.clock.offset_s = 0
    holder = journey.make()
    journey.sign_in(holder)
    holder.refresh()
    wrong = _negative(holder)
    for offset_s in (jump_s, 0, -jump_s):
        running.clock.offset_s = offset_s
        try:
            if offset_s > TOO_LONG_S and _reads(journey, holder):
                wrong.append(f"{offset_s:+d} s: an access token reads")
            journey.replay(holder)
        except FailedOpen as problem:
            wrong.append(f"{offset_s:+d} s: {problem}")
    return wrong


def _negative(holder: Holder) -> list[str]:
    left_s = holder.tokens["expires_in"]
    return [] if left_s > 0 else [f"expires_in {left_s}"]


def _reads(journey: Journey, holder: Holder) -> bool:
    headers = {"Authorization": f"Bearer {holder.tokens['access_token']}"}
    return journey.line.send("GET", "/userinfo", None, headers).status == 200
