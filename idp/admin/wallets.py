"""The wallets that holders may use: profiles as rows, applied from files, switched on one by one.

Like the trust registry, what is switched on takes effect without a restart: every process reads the rows again at most
`RELOAD_S` after they changed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from idp.clock import Clock
from idp.events import Event, record
from idp.models import WalletProfile as Row
from idp.models import db, writing
from idp.presentation.wallets import ProfileError, Protocol, WalletProfile, document, parse

RELOAD_S = 10


class Changed(Exception):
    """The profile is not what it was when it was looked at."""


class UnknownWallet(LookupError):
    """There is no profile of this id."""


def read(wallets: Mapping[str, Any]) -> dict[str, WalletProfile]:
    """The profiles of a `wallets.toml`, by id. Raises ProfileError with every problem."""
    unknown = set(wallets) - {"wallet"}
    problems = [f"unknown tables: {', '.join(sorted(unknown))}"] if unknown else []
    profiles: dict[str, WalletProfile] = {}
    entries = wallets.get("wallet", [])
    if not isinstance(entries, list):
        raise ProfileError(["wallet: must be tables ([[wallet]])"])
    for entry in entries:
        try:
            profile = parse(entry)
        except ProfileError as error:
            problems += error.problems
            continue
        if profile.id in profiles:
            problems.append(f"{profile.id}: stands twice")
        profiles[profile.id] = profile
    if problems:
        raise ProfileError(problems)
    return profiles


def apply(
    wallets: Mapping[str, Any],
    *,
    now: int,
    reason: str | None = None,
    was: Mapping[str, WalletProfile | None] | None = None,
) -> list[str]:
    """Create or replace the profiles of a `wallets.toml`; the ids that changed.

    A new profile is off, and so is one whose document changed: it is switched on once it was tried (`enable`). Raises
    ProfileError with every problem, and then nothing is written; Changed where a profile is another by now than in
    `was` (None: not there).
    """
    profiles, why = read(wallets), {"why": reason} if reason is not None else {}
    changed = []
    with writing() as session:
        known = {row.id: row.document for row in session.scalars(select(Row))}
        for profile_id, profile in profiles.items():
            made = document(profile)
            before = known.get(profile_id)
            if was is not None and was.get(profile_id) != (parse(before) if before is not None else None):
                raise Changed
            if before == made:
                continue
            session.merge(Row(id=profile_id, document=made, enabled=False, updated_at=now, tested_at=None))
            record(session, Event.WALLET_APPLIED, at=now, detail={"wallet": profile_id, **why})
            changed.append(profile_id)
    return changed


def find(profile_id: str) -> WalletProfile:
    """The profile as it is stored, switched on or not. Raises UnknownWallet."""
    row = db.session.get(Row, profile_id)
    if row is None:
        raise UnknownWallet(profile_id)
    return parse(row.document)


@dataclass(frozen=True)
class Kept:
    """A profile as it is stored. `tested_at`: when it was tried, as it is now, and worked; None: it was not."""

    profile: WalletProfile
    enabled: bool
    updated_at: int
    tested_at: int | None


def kept() -> list[Kept]:
    """Every profile, in the order of their ids."""
    rows = db.session.scalars(select(Row).order_by(Row.id), execution_options={"populate_existing": True})
    return [Kept(parse(row.document), row.enabled, row.updated_at, row.tested_at) for row in rows]


def listed() -> list[tuple[WalletProfile, bool]]:
    """Every profile, and whether it is switched on, in the order of their ids."""
    rows = db.session.scalars(select(Row).order_by(Row.id))
    return [(parse(row.document), row.enabled) for row in rows]


def switch(
    profile_id: str, *, enabled: bool, now: int, untested: bool = True, reason: str | None = None
) -> None:
    """Switch a profile on or off. Raises UnknownWallet, and Untested for one to be switched on that was never tried
    as it is now, unless that is wanted (`untested`)."""
    with writing() as session:
        row = session.get(Row, profile_id, populate_existing=True)
        if row is None:
            raise UnknownWallet(profile_id)
        if enabled and row.tested_at is None and not untested:
            raise Untested(profile_id)
        row.enabled, row.updated_at = enabled, now
        event = Event.WALLET_ENABLED if enabled else Event.WALLET_DISABLED
        detail: dict[str, Any] = {"wallet": profile_id}
        if enabled and row.tested_at is None:
            detail["untested"] = True
        if reason is not None:
            detail["why"] = reason
        record(session, event, at=now, detail=detail)


def tested(profile: WalletProfile, *, now: int) -> None:
    """This profile was tried, and works. One that is another by now counts as not tried."""
    with writing() as session:
        row = session.get(Row, profile.id, populate_existing=True)
        if row is not None and row.document == document(profile):
            row.tested_at = now
            record(session, Event.WALLET_TESTED, at=now, detail={"wallet": profile.id})


class Untested(Exception):
    """The profile was not tried as it is now."""


class WalletRegistry:
    """The wallets in use, by id, renewed when the rows change. Where none is switched on: that of the settings.

    spoken: the protocols of this deployment; a wallet of another is not in use, whatever its row says.
    """

    def __init__(
        self,
        default: WalletProfile,
        clock: Clock,
        spoken: Collection[Protocol] = frozenset({"openid4vp"}),
    ) -> None:
        self._default = default
        self._clock = clock
        self._spoken = spoken
        self._lock = threading.Lock()
        self._read_at: int | None = None
        self._profiles: Mapping[str, WalletProfile] = {}

    def in_use(self) -> Mapping[str, WalletProfile]:
        now = self._clock()
        if self._is_old(now):
            with self._lock:
                if self._is_old(now):
                    self._profiles = self._read()
                    self._read_at = now
        return self._profiles

    def _is_old(self, now: int) -> bool:
        return self._read_at is None or not 0 <= now - self._read_at < RELOAD_S

    def _read(self) -> Mapping[str, WalletProfile]:
        rows = db.session.scalars(select(Row.document).where(Row.enabled).order_by(Row.id))
        profiles = {profile.id: profile for profile in map(parse, rows) if profile.protocol in self._spoken}
        return profiles or {self._default.id: self._default}
