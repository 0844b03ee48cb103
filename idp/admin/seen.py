"""The chains of certificates under which credentials were accepted lately, and what a change of trust does to them.

Kept without anything about a person: which chain, for which type and format, of which mission, on which day and about
how often that day. A sign-in costs no write: a process counts, and writes a chain down the first time it sees it and
then once an hour.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import JSON, bindparam, select, text
from sqlalchemy.exc import SQLAlchemyError

from idp.clock import Clock
from idp.credentials import CredentialRejected, Reason, TrustSnapshot
from idp.login import Standing
from idp.models import SeenChain, db, forget, writing

log = logging.getLogger("idp")

HOUR_S, DAY_S = 3600, 86_400
KEPT_S = 14 * DAY_S
_MAX_COUNTED = (
    4096  # a document signer signs thousands of credentials; whoever has more of them is not counted
)

# Understood by PostgreSQL and SQLite alike.
_ADD = text(
    """
    INSERT INTO seen_chain
      (digest, credential_type, format, mission, chain, first_seen_at, last_seen_at, day, n_that_day)
    VALUES (:digest, :credential_type, :format, :mission, :chain, :hour, :hour, :day, :n)
    ON CONFLICT (digest, credential_type, format) DO UPDATE SET
      n_that_day = excluded.n_that_day + CASE WHEN seen_chain.day = excluded.day THEN seen_chain.n_that_day ELSE 0 END,
      mission = excluded.mission, last_seen_at = excluded.last_seen_at, day = excluded.day
    """
).bindparams(bindparam("chain", type_=JSON))


class _Key(NamedTuple):
    digest: str
    credential_type: str
    format: str


@dataclass
class _Count:
    """What is not written down yet of a chain. `written_at`: when the rest was."""

    standing: Standing
    n: int = 0
    written_at: int | None = None


class SeenChains:
    """Counts chains in this process. Thread-safe; needs the application context."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[_Key, _Count] = {}

    def note(self, standing: Standing | None) -> None:
        """A credential was accepted. One without a chain is not counted."""
        if standing is None or not standing.chain:
            return
        key = _Key(_digest(standing.chain), standing.credential_type, standing.format)
        now = self._clock()
        with self._lock:
            if key not in self._counts and len(self._counts) >= _MAX_COUNTED:
                return
            count = self._counts.setdefault(key, _Count(standing))
            count.n, count.standing = count.n + 1, standing
            if count.written_at is not None and 0 <= now - count.written_at < HOUR_S:
                return
        self._write([key])

    def flush(self) -> None:
        """Write down what was counted since: for the end of a process."""
        self._write([key for key, count in self._counts.items() if count.n])

    def _write(self, keys: Sequence[_Key]) -> None:
        taken = []
        now = self._clock()
        with self._lock:
            for key in keys:
                count = self._counts[key]
                if count.n:
                    taken.append((key, count, count.n))
                    count.n, count.written_at = 0, now
        if not taken:
            return
        try:
            with writing() as database:
                for key, count, n in sorted(taken, key=lambda one: one[0]):
                    database.execute(_ADD, _row(key, count.standing, n, now))
        except SQLAlchemyError as error:
            # A picture for operators: no sign-in fails for it, and the count is kept for the next hour.
            log.warning("seen chains were not written: %s", type(error).__name__)
            with self._lock:
                for _key, count, n in taken:
                    count.n += n


def _row(key: _Key, standing: Standing, n: int, now: int) -> dict[str, Any]:
    return {
        **key._asdict(),
        "mission": standing.mission,
        "chain": list(standing.chain),
        "hour": now - now % HOUR_S,
        "day": now - now % DAY_S,
        "n": n,
    }


def _digest(chain: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text_of_one in chain:
        der = b64decode(text_of_one)
        digest.update(len(der).to_bytes(4, "big") + der)
    return digest.hexdigest()


@dataclass(frozen=True)
class Failing:
    """A chain that is accepted now and would not be. `reason`: which check."""

    seen: SeenChain
    reason: Reason


def lately(now: int, within_s: int = DAY_S) -> list[SeenChain]:
    """The chains that were accepted within this time, give or take the hour that times are rounded to."""
    recent = select(SeenChain).where(SeenChain.last_seen_at > now - within_s - HOUR_S)
    order = (SeenChain.mission, SeenChain.credential_type, SeenChain.format, SeenChain.digest)
    return list(db.session.scalars(recent.order_by(*order).execution_options(populate_existing=True)))


def failing(
    chains: Iterable[SeenChain], *, before: TrustSnapshot, after: TrustSnapshot, now: int
) -> list[Failing]:
    """Those of the chains that the registry believes now and would not believe after a change."""
    found = []
    for chain in chains:
        if _refusal(before, chain, now) is None and (reason := _refusal(after, chain, now)) is not None:
            found.append(Failing(chain, reason))
    return found


def _refusal(trust: TrustSnapshot, seen: SeenChain, now: int) -> Reason | None:
    ders = tuple(b64decode(one) for one in seen.chain)
    try:
        trust.check_standing(seen.credential_type, seen.format, seen.mission, ders, now)
    except CredentialRejected as error:
        return error.reason
    return None


def sweep(now: int) -> int:
    """Forget the chains that nobody has shown for long; how many rows that were."""
    return forget(SeenChain, SeenChain.last_seen_at < now - KEPT_S)
