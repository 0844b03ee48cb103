"""The wallets that holders may use: profiles as rows, applied from files, switched on one by one.

Like the trust registry, what is switched on takes effect without a restart: every process reads the rows again at most
`RELOAD_S` after they changed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from idp.clock import Clock
from idp.events import Event, record
from idp.models import WalletProfile as Row
from idp.models import db, writing
from idp.presentation.wallets import ProfileError, Protocol, WalletProfile, document, parse

RELOAD_S = 10


class UnknownWallet(LookupError):
    """There is no profile of this id."""


def apply(wallets: Mapping[str, Any], *, now: int) -> list[str]:
    """Create or replace the profiles of a `wallets.toml`; the ids that changed.

    A new profile is off, and so is one whose document changed: it is switched on once it was tried (`enable`). Raises
    ProfileError with every problem, and then nothing is written.
    """
    unknown = set(wallets) - {"wallet"}
    problems = [f"unknown tables: {', '.join(sorted(unknown))}"] if unknown else []
    profiles: dict[str, WalletProfile] = {}
    for entry in wallets.get("wallet", ()):
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
    changed = []
    with writing() as session:
        known = {row.id: row.document for row in session.scalars(select(Row))}
        for profile_id, profile in profiles.items():
            made = document(profile)
            if known.get(profile_id) == made:
                continue
            session.merge(Row(id=profile_id, document=made, enabled=False, updated_at=now))
            record(session, Event.WALLET_APPLIED, at=now, detail={"wallet": profile_id})
            changed.append(profile_id)
    return changed


def find(profile_id: str) -> WalletProfile:
    """The profile as it is stored, switched on or not. Raises UnknownWallet."""
    row = db.session.get(Row, profile_id)
    if row is None:
        raise UnknownWallet(profile_id)
    return parse(row.document)


def listed() -> list[tuple[WalletProfile, bool]]:
    """Every profile, and whether it is switched on, in the order of their ids."""
    rows = db.session.scalars(select(Row).order_by(Row.id))
    return [(parse(row.document), row.enabled) for row in rows]


def switch(profile_id: str, *, enabled: bool, now: int) -> None:
    """Switch a profile on or off. Raises UnknownWallet."""
    with writing() as session:
        row = session.get(Row, profile_id)
        if row is None:
            raise UnknownWallet(profile_id)
        row.enabled, row.updated_at = enabled, now
        event = Event.WALLET_ENABLED if enabled else Event.WALLET_DISABLED
        record(session, event, at=now, detail={"wallet": profile_id})


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
