"""The wallets that holders are offered. Trying one (`idp wallets test`) takes the command line, and a wallet."""

from __future__ import annotations

import hashlib

import msgspec

from idp.admin import wallets
from idp.admin.people import Act
from idp.admin.wallets import Kept, Untested
from idp.presentation.wallets import WalletProfile
from idp.views.api.operations import BASE, Answer, Area, Call, etag, found, operation
from idp.views.api.portal_changes import Because, Reason
from idp.views.api.portals import Asked
from idp.views.problems import ApiError, Wrong


class WalletShown(msgspec.Struct, frozen=True):
    """A profile. `tested_at`: when it was tried, as it is now, and worked; null: it was not."""

    id: str
    href: str
    enabled: bool
    updated_at: int
    tested_at: int | None
    profile: WalletProfile


class Wallets(msgspec.Struct, frozen=True):
    """In the order of their ids. Where none is on, holders are offered the wallet of the settings."""

    items: list[WalletShown]


class Profile(Asked, frozen=True):
    """A wallet profile, as `wallets.toml` has it."""

    profile: WalletProfile


class Enabling(Asked, frozen=True):
    """Why. `untested`: though it was not tried as it is now."""

    reason: Reason
    untested: bool = False


class WalletArea(Area):
    """Wallet profiles."""

    tag = "wallets"

    @operation("GET", "/wallets", Act.SEE_SYSTEM, Wallets)
    def list_wallets(self, call: Call) -> Answer:
        """Every wallet profile."""
        return Answer(Wallets([_said(kept) for kept in wallets.kept()]))

    @operation(
        "POST", "/wallets", Act.CHANGE_SYSTEM, WalletShown, body=Profile, conflicts=True, statuses=(201,)
    )
    def create_wallet(self, call: Call) -> Answer:
        """Add a wallet profile, which is off."""
        self._apply(call.body.profile, None)
        return _shown(_known(call.body.profile.id), 201)

    @operation("GET", "/wallets/{wallet_id}", Act.SEE_SYSTEM, WalletShown)
    def show_wallet(self, call: Call, wallet_id: str) -> Answer:
        """One wallet profile."""
        return _shown(_known(wallet_id))

    @operation("PUT", "/wallets/{wallet_id}", Act.CHANGE_SYSTEM, WalletShown, body=Profile, matches=True)
    def replace_wallet(self, call: Call, wallet_id: str) -> Answer:
        """Give a wallet another profile. One that changes is off until it is enabled."""
        kept = _known(wallet_id)
        call.is_of(_etag(kept))
        if call.body.profile.id != wallet_id:
            raise ApiError("invalid", [Wrong("profile.id", "a profile keeps its id")])
        self._apply(call.body.profile, kept.profile)
        return _shown(_known(wallet_id))

    @operation(
        "POST", "/wallets/{wallet_id}/enable", Act.CHANGE_SYSTEM, WalletShown, body=Enabling, conflicts=True
    )
    def enable_wallet(self, call: Call, wallet_id: str) -> Answer:
        """Offer a wallet that was tried."""
        kept, given = _known(wallet_id), call.body
        try:
            wallets.switch(
                kept.profile.id,
                enabled=True,
                now=self.clock(),
                untested=given.untested,
                reason=given.reason,
            )
        except Untested as error:
            untried = Wrong("untested", "it was not tried as it is now: see `idp wallets test`")
            raise ApiError("conflict", [untried]) from error
        return _shown(_known(wallet_id))

    @operation("POST", "/wallets/{wallet_id}/disable", Act.CHANGE_SYSTEM, WalletShown, body=Because)
    def disable_wallet(self, call: Call, wallet_id: str) -> Answer:
        """Offer a wallet no longer."""
        kept = _known(wallet_id)
        wallets.switch(kept.profile.id, enabled=False, now=self.clock(), reason=call.body.reason)
        return _shown(_known(wallet_id))

    def _apply(self, profile: WalletProfile, was: WalletProfile | None) -> None:
        document = msgspec.to_builtins(profile)
        try:
            wallets.apply({"wallet": [document]}, now=self.clock(), was={profile.id: was})
        except wallets.Changed as error:
            raise ApiError("conflict" if was is None else "outdated") from error


def _known(wallet_id: str) -> Kept:
    return found(wallets.kept(), lambda kept: kept.profile.id == wallet_id)


def _etag(kept: Kept) -> str:
    return etag(hashlib.sha256(msgspec.json.encode(kept.profile, order="deterministic")).hexdigest()[:16])


def _said(kept: Kept) -> WalletShown:
    return WalletShown(
        id=kept.profile.id,
        href=f"{BASE}/wallets/{kept.profile.id}",
        enabled=kept.enabled,
        updated_at=kept.updated_at,
        tested_at=kept.tested_at,
        profile=kept.profile,
    )


def _shown(kept: Kept, status: int = 200) -> Answer:
    value = _said(kept)
    return Answer(value, status, etag=_etag(kept), location=value.href if status == 201 else None)
