"""The wallets that holders are offered: applying profiles, trying one, switching one on or off."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, request

from idp.admin import wallets
from idp.admin.people import Act, Administrator
from idp.admin.wallets import Kept, Untested
from idp.clock import Clock
from idp.errors import LoginError
from idp.presentation.wallets import ProfileError, WalletProfile, document
from idp.settings import Settings
from idp.views.console.confirming import Asked, ask, why
from idp.views.console.desk import SAY_WHY, Desk, NotFound, field, reason
from idp.views.messages import N_

PATH: Final = "/console/wallets"
_A_MINUTE: Final = 6
_TRY_FIRST: Final = N_("It was not tried as it is now. Try it first, or tick the box.")


@dataclass(frozen=True)
class Tried:
    """What came of a trial: what holds, and what does not ("" where all does), in the words of the trial."""

    lines: list[str]
    problem: str


Trial = Callable[[Settings, WalletProfile, Clock], Tried]


@dataclass(frozen=True)
class Given:
    """A profile of a file: `before` is its document now, None where it is new."""

    profile: WalletProfile
    before: str | None
    after: str
    enabled: bool

    @property
    def changes(self) -> bool:
        return self.before != self.after


class WalletPages:
    """`/console/wallets`. `trial`: the built-in wallet, bent to a profile; the top floor hands it in."""

    def __init__(self, desk: Desk, trial: Trial) -> None:
        self.desk = desk
        self.trial = trial

    def add_to(self, door: Blueprint) -> None:
        see, change = Act.SEE_SYSTEM, Act.CHANGE_SYSTEM
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/wallets", "wallets", guarded(see, self.listed))
        large = self.desk.frame.settings.server.max_body_bytes
        rule("/wallets/apply", "wallets_form", guarded(change, self.form))
        rule(
            "/wallets/see", "wallets_seen", guarded(change, self.see_given, max_bytes=large), methods=["POST"]
        )
        rule(
            "/wallets/apply", "wallets_apply", guarded(change, self.apply, max_bytes=large), methods=["POST"]
        )
        rule("/wallets/<wallet_id>/test", "wallet_test", guarded(change, self.test), methods=["POST"])
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
        return self._one(_known(wallet_id))

    def _one(self, kept: Kept, tried: Tried | None = None) -> Response:
        return self.desk.page(
            "wallet.html",
            kept=kept,
            document=_readable(kept.profile),
            spoken=self._spoken(kept.profile),
            can_try=kept.profile.protocol == "openid4vp",
            tried=tried,
        )

    # -- applying and trying ---------------------------------------------------------------------------------

    def form(self, admin: Administrator) -> Response:
        """A file, typed or chosen."""
        return self.desk.page("wallets_apply.html", toml="", problems=[])

    def see_given(self, admin: Administrator) -> Response:
        """What a file would do."""
        uploaded = request.files.get("file")
        given = uploaded.stream.read() if uploaded is not None and uploaded.filename else b""
        text = request.form.get("toml", "")
        if not given and not text.strip():
            return self._not_taken("", [self.desk.text(N_("Paste the file here, or choose one."))])
        try:
            text = given.decode("utf-8") if given else text
        except UnicodeDecodeError:
            return self._not_taken("", ["TOML: UTF-8"])
        return self._seen(text)

    def apply(self, admin: Administrator) -> Response:
        """Write what was seen; what is new or changed is off until it was tried."""
        text, said = request.form.get("toml", ""), reason()
        if said is None:
            return self._seen(text, problem=SAY_WHY)
        try:
            wallets.apply(_parsed(text), now=self.desk.clock(), reason=said)
        except ProfileError as error:
            return self._not_taken(text, error.problems)
        return self.desk.done(PATH, "saved")

    def _seen(self, text: str, problem: str = "") -> Response:
        try:
            profiles = wallets.read(_parsed(text))
        except ProfileError as error:
            return self._not_taken(text, error.problems)
        now = {kept.profile.id: kept for kept in wallets.kept()}
        found = [
            Given(
                profile,
                _readable(now[name].profile) if name in now else None,
                _readable(profile),
                name in now and now[name].enabled,
            )
            for name, profile in profiles.items()
        ]
        return self.desk.page(
            "wallets_see.html",
            status=400 if problem else 200,
            changes=[one for one in found if one.changes],
            toml=text,
            given=field("reason"),
            problem=self.desk.text(problem) if problem else "",
        )

    def _not_taken(self, toml: str, problems: list[str]) -> Response:
        return self.desk.page("wallets_apply.html", status=400, toml=toml, problems=problems)

    def test(self, admin: Administrator, wallet_id: str) -> Response:
        """Try a profile as it is now; that it works is written down."""
        kept = _known(wallet_id)
        if self.desk.house.store.count(f"rate:wallet-test:{admin.id}", 60) > _A_MINUTE:
            raise LoginError("too_many", status=429)
        tried = self.trial(self.desk.frame.settings, kept.profile, self.desk.clock)
        if not tried.problem:
            wallets.tested(kept.profile, now=self.desk.clock())
        return self._one(_known(wallet_id), tried)

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
                text(
                    N_(
                        "It was not tried as it is now. Try it on its page, or at the command line: %(command)s"
                    )
                )
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


def _parsed(text: str) -> Mapping[str, Any]:
    """Raises ProfileError."""
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfileError([f"TOML: {str(error) or type(error).__name__}"]) from error


def _readable(profile: WalletProfile) -> str:
    return json.dumps(document(profile), ensure_ascii=False, indent=2)


def _known(wallet_id: str) -> Kept:
    found = next((kept for kept in wallets.kept() if kept.profile.id == wallet_id), None)
    if found is None:
        raise NotFound
    return found
