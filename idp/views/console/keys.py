"""Our signing keys: what each is, who has seen the next one, bringing that in, and taking away a stolen one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, request

from idp.admin.people import Act, Administrator
from idp.clock import kst
from idp.events import Event, record_alone
from idp.keys import SIGNING_ALGORITHMS, Listed, NoSigningKey, RotationPending, UnknownKey
from idp.oidc import key_use
from idp.views.console.confirming import Asked, ask, why
from idp.views.console.desk import Desk, NotFound, field
from idp.views.messages import N_

PATH: Final = "/console/keys"
_STATES: Final = {
    "published": N_("published"),
    "active": N_("signs"),
    "retiring": N_("still checked"),
    "gone": N_("gone"),
}
_N_GONE = 20
_DAY_S, _HOUR_S = 86_400, 3600


@dataclass(frozen=True)
class Row:
    """A key, and the enabled portals that were seen to fetch it, and not to; None: nobody looks any more."""

    key: Listed
    fetched: tuple[str, ...] | None
    missing: tuple[str, ...]


class KeyPages:
    """`/console/keys`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.keys = desk.house.keys
        self.times = desk.frame.settings.lifetimes

    def add_to(self, door: Blueprint) -> None:
        see, change = Act.SEE_SYSTEM, Act.CHANGE_SYSTEM
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/keys", "keys", guarded(see, self.listed))
        rule("/keys/rotate", "ask_rotate", guarded(change, self.ask_rotate))
        rule("/keys/rotate", "rotate", guarded(change, self.rotate), methods=["POST"])
        rule("/keys/remove", "ask_remove", guarded(change, self.ask_remove))
        rule("/keys/remove", "remove_key", guarded(change, self.remove), methods=["POST"])

    def listed(self, admin: Administrator) -> Response:
        known = self.keys.listing()
        gone = [key for key in known if key.state == "gone"]
        here = [_row(key) for key in known if key.state != "gone"]
        return self.desk.page(
            "keys.html",
            rows=sorted(here, key=lambda row: (row.key.alg, row.key.active_at)),
            gone=gone[-_N_GONE:][::-1],
            algorithms=[alg for alg in SIGNING_ALGORITHMS if any(row.key.alg == alg for row in here)],
            states=_STATES,
            rotate=self._span(self.times.key_rotate_s) if self.times.key_rotate_s else "",
            publish=self._span(self.times.key_publish_s),
            retire=self._span(self.times.key_retire_s),
        )

    # -- the next key ----------------------------------------------------------------------------------------

    def ask_rotate(self, admin: Administrator) -> Response:
        return ask(self.desk, self._rotation(request.args.get("alg", "")))

    def rotate(self, admin: Administrator) -> Response:
        alg, at_once = field("alg"), request.form.get("at_once") == "yes"
        asked = self._rotation(alg)
        said = why(self.desk, asked)
        if isinstance(said, Response):
            return said
        try:
            kid = self.keys.rotate(alg, at_once=at_once)
        except RotationPending:
            return ask(
                self.desk, asked, problem=N_("The next key was published meanwhile: see below."), status=409
            )
        except NoSigningKey as error:
            raise NotFound from error
        detail: dict[str, Any] = {"alg": alg, "kid": kid, "at_once": at_once, "why": said}
        record_alone(Event.KEY_ROTATED, at=self.desk.clock(), detail=detail)
        return self.desk.done(PATH, "key_signs" if at_once else "key_published")

    def _rotation(self, alg: str) -> Asked:
        known = [key for key in self.keys.listing() if key.alg == alg and key.state != "gone"]
        if alg not in SIGNING_ALGORITHMS or not known:
            raise NotFound
        text, now = self.desk.text, self.desk.clock()
        following = next((key for key in known if key.state == "published"), None)
        missing: tuple[str, ...] = ()
        if following is None:
            lines = [
                text(N_("A new key is made and published now. It signs from %(time)s on."))
                % {"time": kst(now + self.times.key_publish_s)},
                text(N_("The key that signs today is still published for %(span)s after that."))
                % {"span": self._span(self.times.key_retire_s)},
                text(N_("Portals that fetch our keys again in time notice nothing.")),
            ]
        else:
            fetched, not_seen = key_use.waiting_for(following.kid)
            missing = tuple(not_seen)
            lines = [
                text(N_("The next key is published already, and signs by itself from %(time)s on."))
                % {"time": kst(following.active_at)},
                text(N_("%(fetched)s of %(total)s portals were seen to fetch it."))
                % {"fetched": len(fetched), "total": len(fetched) + len(missing)},
            ]
        lines.append(
            text(
                N_(
                    "At once: portals that keep our keys for long refuse sign-ins until they ask again. For a key "
                    "that somebody else may have, remove it instead."
                )
            )
        )
        return Asked(
            heading=text(N_("Bring in the next %(alg)s key")) % {"alg": alg},
            lines=tuple(lines),
            action=f"{PATH}/rotate",
            hidden=(("alg", alg),),
            choice=("at_once", text(N_("Sign with it at once"))),
            must_choose=following is not None,
            names=missing,
            names_title=text(N_("Portals that were not seen to fetch it")),
            button=text(N_("Bring it in")),
            back=PATH,
        )

    # -- taking one away -------------------------------------------------------------------------------------

    def ask_remove(self, admin: Administrator) -> Response:
        return ask(self.desk, self._removal(request.args.get("kid", "")))

    def remove(self, admin: Administrator) -> Response:
        kid = field("kid")
        said = why(self.desk, self._removal(kid))
        if isinstance(said, Response):
            return said
        try:
            self.keys.remove(kid)
        except UnknownKey as error:
            raise NotFound from error
        record_alone(Event.KEY_REMOVED, at=self.desk.clock(), detail={"kid": kid, "why": said})
        return self.desk.done(PATH, "key_removed")

    def _removal(self, kid: str) -> Asked:
        key = next((key for key in self.keys.listing() if key.kid == kid and key.state != "gone"), None)
        if key is None:
            raise NotFound
        text = self.desk.text
        consequence = {
            "active": N_(
                "Another key signs at once. Portals that have not seen it refuse until they ask again."
            ),
            "published": N_("It never signs. The key that signs today stays."),
            "retiring": N_("What it signed is refused from now on."),
        }[key.state]
        return Asked(
            heading=text(N_("Remove a key")),
            facts=(
                (text(N_("Key")), f"{key.kid} ({key.alg})"),
                (text(N_("State")), text(_STATES[key.state])),
            ),
            lines=(
                text(N_("Only for a key that somebody else may have. It cannot be brought back.")),
                text(N_("It is taken out of what we publish, and its private half is destroyed.")),
                text(consequence),
            ),
            action=f"{PATH}/remove",
            hidden=(("kid", key.kid),),
            button=text(N_("Remove the key")),
            back=PATH,
            danger=True,
        )

    def _span(self, seconds: int) -> str:
        """`3 days`, `24 hours`: whole days where they are some."""
        if seconds >= 2 * _DAY_S:
            return self.desk.text(N_("%(n)s days")) % {"n": seconds // _DAY_S}
        if seconds >= _HOUR_S:
            return self.desk.text(N_("%(n)s hours")) % {"n": seconds // _HOUR_S}
        return self.desk.text(N_("%(n)s seconds")) % {"n": seconds}


def _row(key: Listed) -> Row:
    if key.state != "published":
        return Row(key, None, ())
    fetched, missing = key_use.waiting_for(key.kid)
    return Row(key, tuple(fetched), tuple(missing))
