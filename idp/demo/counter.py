"""A consular counter: visitors with a ticket each, and what came of it.

An officer's browser is a desk. Each visitor gets a ticket with a code of the device flow; a thread asks the provider
for all of them, each at its own pace. What a visitor showed stays in memory until the officer clears it, and
RESULT_LIFE_S at most; only the outcome remains on the ticket then, without anything about the person.
"""

import heapq
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from idp.demo.device_flow import DeviceClient, DeviceCode, NotYet
from idp.demo.relying import SignedIn, SignInFailed

RESULT_LIFE_S = 300
DESK_LIFE_S = 8 * 3_600
MAX_DESKS = 1_000
MAX_TICKETS = 30
MATTERS = ("passport", "notary", "family", "registration")


class State(StrEnum):
    """Where a visitor's ticket stands."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    DENIED = "denied"
    EXPIRED = "expired"
    FAILED = "failed"
    FINISHED = "finished"
    MISMATCH = "mismatch"
    CLEARED = "cleared"


DONE = frozenset({State.FINISHED, State.MISMATCH})


@dataclass(frozen=True)
class Ticket:
    """One visitor at one desk. Times are seconds of `time.time()`; `until` ends the state it is in.

    `shown` is there while the state is CONFIRMED and no longer.
    """

    id: str
    number: int
    matter: str
    code: DeviceCode
    until: float
    state: State = State.WAITING
    problem: str = ""
    decided_at: float = 0.0
    shown: SignedIn | None = field(default=None, repr=False)

    @property
    def open(self) -> bool:
        """Whether there is still something to do at it."""
        return self.state in (State.WAITING, State.CONFIRMED)

    def left_s(self, now: float) -> int:
        """Whole seconds left in the state it is in."""
        return max(0, int(self.until - now))


@dataclass
class Desk:
    """One officer's tickets, by id, in the order of their numbers. `version` grows with every change."""

    tickets: OrderedDict[str, Ticket] = field(default_factory=OrderedDict)
    last_number: int = 0
    version: int = 0
    touched_at: float = 0.0


class Counter:
    """All desks, and the thread that asks. Safe for threads; the thread begins with the first ticket."""

    def __init__(self, client: DeviceClient, clock: Callable[[], float] = time.time) -> None:
        self.client = client
        self.name: Mapping[str, str] = client.registration["name"]
        self._clock = clock
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._due: list[tuple[float, str, str, int]] = []
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def now(self) -> float:
        """Seconds, as the tickets count them."""
        return self._clock()

    # -- what the officer does -------------------------------------------------------------------------------

    def open_desk(self, key: str | None) -> str:
        """The key of this officer's desk: the one given if it is known, else a new one."""
        with self._wake:
            self._tidy()
            if key is None or key not in self._desks:
                key = secrets.token_urlsafe(32)
                self._desks[key] = Desk()
            self._desks[key].touched_at = self._clock()
            return key

    def look(self, key: str | None) -> Desk:
        """The desk as it is now; an empty one where the key is unknown."""
        with self._wake:
            self._tidy()
            desk = self._desks.get(key or "")
            if desk is None:
                return Desk()
            desk.touched_at = self._clock()
            return replace(desk, tickets=OrderedDict(desk.tickets))

    def call(self, key: str, matter: str, language: str) -> Ticket:
        """A ticket for the next visitor. Raises SignInFailed, KeyError for a desk that is not there."""
        code = self.client.begin(language)
        with self._wake:
            desk = self._desks[key]
            desk.last_number += 1
            ticket = Ticket(
                id=secrets.token_urlsafe(12),
                number=desk.last_number,
                matter=matter,
                code=code,
                until=self._clock() + code.expires_in_s,
            )
            self._keep(desk, ticket)
            while len(desk.tickets) > MAX_TICKETS:
                desk.tickets.popitem(last=False)
            self._ask_after(code.interval_s, key, ticket.id)
            return ticket

    def close_ticket(self, key: str | None, ticket_id: str, state: State) -> None:
        """The officer has compared face and photograph: what the visitor showed is dropped now."""
        with self._wake:
            desk = self._desks.get(key or "")
            ticket = desk.tickets.get(ticket_id) if desk else None
            if desk and ticket and ticket.state is State.CONFIRMED and state in DONE:
                self._keep(desk, replace(ticket, state=state, decided_at=self._clock(), shown=None))

    def clear(self, key: str | None, ticket_id: str) -> None:
        """Forget a ticket altogether."""
        with self._wake:
            desk = self._desks.get(key or "")
            if desk and desk.tickets.pop(ticket_id, None):
                desk.version += 1

    def close(self) -> None:
        """Stop asking and forget everything."""
        with self._wake:
            self._closed = True
            self._desks.clear()
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()

    # -- asking ----------------------------------------------------------------------------------------------

    def _ask_after(self, interval_s: int, key: str, ticket_id: str) -> None:
        heapq.heappush(self._due, (self._clock() + interval_s, key, ticket_id, interval_s))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="counter", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def _run(self) -> None:
        while (turn := self._next_turn()) is not None:
            key, ticket_id, interval_s = turn
            self._ask(key, ticket_id, interval_s)

    def _next_turn(self) -> tuple[str, str, int] | None:
        """Wait until a ticket is due; None when the counter is closed."""
        with self._wake:
            while not self._closed:
                self._tidy()
                wait_s = self._due[0][0] - self._clock() if self._due else 60.0
                if wait_s <= 0:
                    _, key, ticket_id, interval_s = heapq.heappop(self._due)
                    return key, ticket_id, interval_s
                # Never longer than a second: what a visitor showed must go in time too.
                self._wake.wait(min(wait_s, 1.0))
            return None

    def _ask(self, key: str, ticket_id: str, interval_s: int) -> None:
        with self._wake:
            desk = self._desks.get(key)
            ticket = desk.tickets.get(ticket_id) if desk else None
        if ticket is None or ticket.state is not State.WAITING:
            return
        changes: dict[str, Any] = {}
        try:
            shown = self.client.poll(ticket.code, interval_s)
            now = self._clock()
            changes = {
                "state": State.CONFIRMED,
                "shown": shown,
                "decided_at": now,
                "until": now + RESULT_LIFE_S,
            }
        except NotYet as not_yet:
            with self._wake:
                self._ask_after(not_yet.interval_s, key, ticket_id)
            return
        except SignInFailed as failure:
            state = {"access_denied": State.DENIED, "expired_token": State.EXPIRED}.get(
                failure.code, State.FAILED
            )
            changes = {"state": state, "problem": failure.code, "decided_at": self._clock()}
        with self._wake:
            # The officer may have cleared the ticket while we asked.
            desk = self._desks.get(key)
            if desk and ticket_id in desk.tickets:
                self._keep(desk, replace(desk.tickets[ticket_id], **changes))

    def _tidy(self) -> None:
        """Tickets that ran out of time, desks that nobody looks at. The caller holds the lock."""
        now = self._clock()
        for desk in self._desks.values():
            for ticket in list(desk.tickets.values()):
                if ticket.open and ticket.until <= now:
                    state = State.CLEARED if ticket.shown else State.EXPIRED
                    self._keep(desk, replace(ticket, state=state, decided_at=now, shown=None))
        gone = [key for key, desk in self._desks.items() if now - desk.touched_at > DESK_LIFE_S]
        for key in gone:
            del self._desks[key]
        while len(self._desks) > MAX_DESKS:
            self._desks.popitem(last=False)

    @staticmethod
    def _keep(desk: Desk, ticket: Ticket) -> None:
        desk.tickets[ticket.id] = ticket
        desk.version += 1
