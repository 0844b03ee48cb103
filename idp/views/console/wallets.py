"""The wallets that holders are offered: which there are, whether each was tried, switching one on or off."""

from __future__ import annotations

import json
from typing import Final

from flask import Blueprint, Response, request

from idp.admin import wallets
from idp.admin.people import Act, Administrator
from idp.admin.wallets import Kept, Untested
from idp.presentation.wallets import WalletProfile, document
from idp.views.console.confirming import Asked, ask, why
from idp.views.console.desk import Desk, NotFound
from idp.views.messages import N_

PATH: Final = "/console/wallets"
_TRY_FIRST: Final = N_("It was not tried as it is now. Try it with the command above, or tick the box.")


class WalletPages:
    """`/console/wallets`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        see, change = Act.SEE_SYSTEM, Act.CHANGE_SYSTEM
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/wallets", "wallets", guarded(see, self.listed))
        rule("/wallets/<wallet_id>", "wallet_profile", guarded(see, self.one))
        rule("/wallets/<wallet_id>/enable", "ask_enable", guarded(change, self.ask_enable))
        rule("/wallets/<wallet_id>/enable", "enable", guarded(change, self.enable), methods=["POST"])
        rule("/wallets/<wallet_id>/disable", "ask_disable", guarded(change, self.ask_disable))
        rule(
            "/wallets/<wallet_id>/disable", "disable_wallet", guarded(change, self.disable), methods=["POST"]
        )

    def listed(self, admin: Administrator) -> Response:
        known = wallets.kept()
        return self.desk.page(
            "wallets.html",
            wallets=[(kept, self._spoken(kept.profile)) for kept in known],
            none_on=not any(kept.enabled for kept in known),
            in_use=self.desk.frame.settings.wallet.link,
        )

    def one(self, admin: Administrator, wallet_id: str) -> Response:
        kept = _known(wallet_id)
        shown = json.dumps(document(kept.profile), ensure_ascii=False, indent=2)
        return self.desk.page("wallet.html", kept=kept, document=shown, spoken=self._spoken(kept.profile))

    # -- switching -------------------------------------------------------------------------------------------

    def ask_enable(self, admin: Administrator, wallet_id: str) -> Response:
        return ask(self.desk, self._enabling(_known(wallet_id)))

    def enable(self, admin: Administrator, wallet_id: str) -> Response:
        asked = self._enabling(_known(wallet_id))
        said = why(self.desk, asked)
        if isinstance(said, Response):
            return said
        untested = request.form.get("untested") == "yes"
        try:
            wallets.switch(wallet_id, enabled=True, now=self.desk.clock(), untested=untested, reason=said)
        except Untested:
            return ask(self.desk, asked, problem=_TRY_FIRST, status=409)
        return self.desk.done(PATH, "wallet_on")

    def _enabling(self, kept: Kept) -> Asked:
        text, profile = self.desk.text, kept.profile
        lines = [
            text(N_("Holders are offered this wallet from now on, beside the others that are switched on."))
        ]
        if kept.tested_at is None:
            lines.append(
                text(N_("It was not tried as it is now. On a machine of this deployment: %(command)s"))
                % {"command": f"idp wallets test {profile.id}"}
            )
        if not self._spoken(profile):
            lines.append(text(N_("This deployment does not speak its protocol: it will not be offered.")))
        choice = ("untested", text(N_("Switch it on untested"))) if kept.tested_at is None else None
        return Asked(
            heading=text(N_("Offer a wallet")),
            facts=((text(N_("Wallet")), f"{profile.name[self.desk.frame.lang()]} ({profile.id})"),),
            lines=tuple(lines),
            action=f"{PATH}/{profile.id}/enable",
            choice=choice,
            must_choose=choice is not None,
            button=text(N_("Offer it")),
            back=f"{PATH}/{profile.id}",
        )

    def ask_disable(self, admin: Administrator, wallet_id: str) -> Response:
        return ask(self.desk, self._disabling(_known(wallet_id)))

    def disable(self, admin: Administrator, wallet_id: str) -> Response:
        said = why(self.desk, self._disabling(_known(wallet_id)))
        if isinstance(said, Response):
            return said
        wallets.switch(wallet_id, enabled=False, now=self.desk.clock(), reason=said)
        return self.desk.done(PATH, "wallet_off")

    def _disabling(self, kept: Kept) -> Asked:
        text, profile = self.desk.text, kept.profile
        lines = [
            text(N_("Holders are not offered this wallet any more.")),
            text(N_("Sign-ins that have begun with it end without an answer.")),
        ]
        if sum(one.enabled for one in wallets.kept()) == 1 and kept.enabled:
            lines.append(text(N_("It is the last one: holders are then offered the wallet of the settings.")))
        return Asked(
            heading=text(N_("Offer a wallet no longer")),
            facts=((text(N_("Wallet")), f"{profile.name[self.desk.frame.lang()]} ({profile.id})"),),
            lines=tuple(lines),
            action=f"{PATH}/{profile.id}/disable",
            button=text(N_("Switch it off")),
            back=f"{PATH}/{profile.id}",
            danger=True,
        )

    def _spoken(self, profile: WalletProfile) -> bool:
        """Whether this deployment speaks a wallet's protocol."""
        house = self.desk.house
        return {"opendid": house.opendid is not None, "mip": house.mip is not None}.get(
            profile.protocol, True
        )


def _known(wallet_id: str) -> Kept:
    found = next((kept for kept in wallets.kept() if kept.profile.id == wallet_id), None)
    if found is None:
        raise NotFound
    return found
