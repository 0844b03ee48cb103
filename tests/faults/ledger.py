"""What every portal was told, and whether the database says the same, in both directions."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text

TOLD, LOST, REFUSED = "told", "lost", "refused"
"""An ID token arrived; a code was sent to be redeemed, and what became of it is not known; nothing was bought."""


@dataclass
class Entry:
    """One attempt to sign in: from `/authorize` to the ID token, or to where it broke off.

    login_id: None where not even a login began. code: the SHA-256 of the code, once there was one. broke: the step
    and the status that ended it.
    """

    person: str
    client_id: str
    login_id: str | None = None
    code: str | None = None
    outcome: str = REFUSED
    sub: str | None = None
    broke: str | None = None
    refreshed: int = 0


@dataclass
class SignIn:
    """What one person wanted: a sign-in, begun as often as it took."""

    began: float
    took_s: float = 0.0
    finished: bool = False
    entries: list[Entry] = field(default_factory=list)


class Ledger:
    """Filled by many threads; kept in a file as well, one line a sign-in, so that a run can be looked into."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self.sign_ins: list[SignIn] = []
        self.answers: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.refusal_s: list[float] = []

    def keep(self, sign_in: SignIn) -> None:
        with self._lock:
            self.sign_ins.append(sign_in)
            print(json.dumps(asdict(sign_in)), file=self._file, flush=True)

    def saw(self, step: str, status: int | None, took_s: float, *, documented: bool = True) -> None:
        """An answer (None: the connection ended without one). `documented`: a 503 with Retry-After, or no 5xx."""
        with self._lock:
            if status in {429, 503}:
                self.refusal_s.append(took_s)
            self.answers["none" if status is None else str(status)] += 1
            if not documented:
                self.bad[f"{step}: {status}"] += 1

    def entries(self) -> list[Entry]:
        return [entry for sign_in in self.sign_ins for entry in sign_in.entries]

    def close(self) -> None:
        self._file.close()


def digest(bearer: str) -> str:
    """As the database keeps it."""
    return hashlib.sha256(bearer.encode()).hexdigest()


@dataclass(frozen=True)
class Reconciled:
    """`wrong`: what must never be, each in a sentence. `lost_answers`: grants whose portal was not told."""

    n_told: int
    n_grants: int
    n_finished: int
    lost_answers: int
    wrong: list[str]


def reconcile(entries: Iterable[Entry], database: str, *, client_ids: set[str] | None = None) -> Reconciled:
    """Compare what the portals were told with what is written, in both directions.

    With `client_ids` only those portals are looked at (others were used before the ledger began).
    """
    engine = create_engine(database)
    try:
        with engine.connect() as connection:
            return _Books(connection, client_ids).compare(list(entries))
    finally:
        engine.dispose()


class _Books:
    """The rows of the portals in question."""

    def __init__(self, connection: Connection, client_ids: set[str] | None) -> None:
        def rows(sql: str) -> list[Any]:
            found = connection.execute(text(sql)).mappings().all()
            return [row for row in found if client_ids is None or row["client_id"] in client_ids]

        self.grants = {row["code_digest"]: row for row in rows('SELECT * FROM "grant"')}
        self.receipts = {row["login_id"]: row for row in rows("SELECT * FROM receipt")}
        self.events: dict[str, Counter[str]] = {}
        audit = "SELECT client_id, login_id, name, count(*) AS n FROM audit_event WHERE login_id IS NOT NULL"
        for row in rows(f"{audit} GROUP BY client_id, login_id, name"):
            self.events.setdefault(row["login_id"], Counter())[row["name"]] = row["n"]
        self.consumed = set(connection.scalars(text("SELECT digest FROM consumed WHERE kind = 'login'")))
        self.consents = set(connection.scalars(text("SELECT id FROM consent")))
        alive = "SELECT code_digest, client_id, count(*) AS n FROM refresh_token WHERE used_at IS NULL"
        self.alive = {
            row["code_digest"]: row["n"] for row in rows(f"{alive} GROUP BY code_digest, client_id")
        }

    def compare(self, entries: list[Entry]) -> Reconciled:
        told = [entry for entry in entries if entry.outcome == TOLD]
        wrong = [problem for entry in told for problem in self._told(entry)]
        wrong += self._written(entries)
        wrong += _doubles(told)
        codes = {entry.code for entry in told}
        return Reconciled(
            n_told=len(told),
            n_grants=len(self.grants),
            n_finished=sum(events["login.finished"] for events in self.events.values()),
            lost_answers=sum(code not in codes for code in self.grants),
            wrong=wrong,
        )

    def _told(self, entry: Entry) -> Iterable[str]:
        """What must be written of an ID token that a portal has."""
        login_id = entry.login_id or ""
        events = self.events.get(login_id, Counter())
        for name in ("login.started", "consent.given", "login.finished", "code.redeemed"):
            if events[name] != 1:
                yield f"login {login_id}: told, and {events[name]} × {name} in the audit"
        if not events["presentation.accepted"]:
            yield f"login {login_id}: told without an accepted presentation in the audit"
        if entry.code not in self.grants:
            yield f"login {login_id}: told without a grant"
        if digest(login_id) not in self.consumed:
            yield f"login {login_id}: told, and may be finished again"
        receipt = self.receipts.get(login_id)
        if receipt is None:
            yield f"login {login_id}: told without a receipt"
        elif receipt["consent_id"] not in self.consents:
            yield f"login {login_id}: told without a consent"

    def _written(self, entries: list[Entry]) -> Iterable[str]:
        """What is written must be something that a driver did, and whole."""
        codes = {entry.code for entry in entries if entry.code}
        logins = {entry.login_id for entry in entries if entry.login_id}
        for code in self.grants.keys() - codes:
            yield f"a grant for a code that nobody was given: {code[:8]}"
        for login_id, events in self.events.items():
            if events["login.finished"] > 1 or events["code.redeemed"] > 1 or events["consent.given"] > 1:
                yield f"login {login_id}: twice in the audit: {dict(events)}"
            if events["code.redeemed"] > events["login.finished"]:
                yield f"login {login_id}: redeemed and not finished"
            if events["login.finished"] != (login_id in self.receipts):
                yield f"login {login_id}: finished {events['login.finished']} times, and not as many receipts"
            if events["login.finished"] and not events["presentation.accepted"]:
                yield f"login {login_id}: finished without a presentation"
            if events["login.finished"] and login_id not in logins:
                yield f"login {login_id}: finished, and nobody was there"
        redeemed = sum(events["code.redeemed"] for events in self.events.values())
        if redeemed != len(self.grants):
            yield f"{len(self.grants)} grants, {redeemed} redemptions in the audit"
        for code, n in self.alive.items():
            if n > 1:
                yield f"grant {code[:8]}: {n} refresh tokens that could be used"


def _doubles(told: list[Entry]) -> Iterable[str]:
    """One login, one code, one token; and one person is one subject at a portal, for ever."""
    for what, values in (("login", [e.login_id for e in told]), ("code", [e.code for e in told])):
        for value, n in Counter(values).items():
            if n > 1:
                yield f"{what} {value}: {n} portals were told"
    subjects: dict[tuple[str, str], set[str | None]] = {}
    for entry in told:
        subjects.setdefault((entry.person, entry.client_id), set()).add(entry.sub)
    for (person, client_id), subs in subjects.items():
        if len(subs) > 1:
            yield f"{person} at {client_id}: {len(subs)} subjects"
    known: dict[tuple[str, str | None], set[str]] = {}
    for entry in told:
        known.setdefault((entry.client_id, entry.sub), set()).add(entry.person)
    for (client_id, _), people in known.items():
        if len(people) > 1:
            yield f"at {client_id}: {sorted(people)} are one subject"
