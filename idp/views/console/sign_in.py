"""Into the console and out of it: an administrator signs in as a holder does, with a mobile credential."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from idp.admin import console, people
from idp.admin.people import InvitationError
from idp.events import Event, record_alone
from idp.oidc import backchannel
from idp.oidc.session_end import SessionEnds
from idp.portals import Registration
from idp.views.console.desk import COOKIE, SIGN_IN, Desk
from idp.views.frame import see_other
from idp.views.messages import N_
from idp.views.own_sign_in import Begun, NotSignedIn, OwnSignIn
from idp.views.portal import SESSION_COOKIE

HOME: Final = "/console"
_NOT_COMPLETED: Final = N_("The sign-in was not completed.")
_NOT_SIGNED_IN: Final = {"state": N_("This sign-in was begun in another browser, or too long ago.")}


class SignIn:
    """`/console/sign-in`, `/console/invitation/<token>`, `/console/callback`, `/console/sign-out`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.frame = desk.frame
        self.house = desk.house
        self.own = OwnSignIn("console", self.frame, self._registered)

    def add_to(self, door: Blueprint) -> None:
        rule = door.add_url_rule
        rule("/sign-in", "sign_in", self.sign_in, methods=["GET", "POST"])
        rule("/invitation/<token>", "invitation", self.invitation, methods=["GET", "POST"])
        rule("/callback", "callback", self.callback)
        rule("/sign-out", "sign_out", self.desk.guarded(None, self.sign_out), methods=["POST"])
        rule("/stay", "stay", self.desk.guarded(None, self.stay), methods=["POST"])

    def sign_in(self) -> Response:
        """The way in. Nothing is begun by a GET: a link could then begin a sign-in in somebody's browser."""
        to = _inside(request.values.get("to", ""))
        if self.desk.here() is not None:
            return see_other(to)
        if request.method == "POST":
            return self._begin(to, None)
        return self.desk.page("sign_in.html", to=to, invitation=None, action=SIGN_IN)

    def invitation(self, token: str) -> Response:
        try:
            invited = people.invitation(token[:64], now=self.desk.clock())
        except InvitationError:
            return self._not_good()
        if request.method == "POST":
            return self._begin(HOME, invited.digest)
        return self.desk.page(
            "sign_in.html", to=HOME, invitation=invited, action=f"/console/invitation/{token}"
        )

    def _begin(self, to: str, invitation: str | None) -> Response:
        secure = f"{self.frame.settings.issuer}/acr/secure"
        return self.own.begin(to, invitation=invitation, acr_values=secure)

    def _registered(self) -> Registration:
        return console.ensure(self.frame.settings, self._types(), now=self.desk.clock())

    def _types(self) -> list[str]:
        """By which cards one may sign in: as set, or by all by which a person is found again."""
        known = self.house.trust.snapshot().types.values()
        return list(self.frame.settings.console.credential_types) or sorted(
            kind.id for kind in known if kind.person_key is not None
        )

    # -- back ------------------------------------------------------------------------------------------------

    def callback(self) -> Response:
        """The answer to our own request."""
        try:
            arrived = self.own.back()
        except NotSignedIn as error:
            return self._failed(_NOT_SIGNED_IN.get(error.reason, _NOT_COMPLETED), error.reason)
        return self._arrive(arrived.sub, arrived.begun)

    def _arrive(self, sub: str, begun: Begun) -> Response:
        now = self.desk.clock()
        admin = people.by_sub(sub)
        if begun.invitation is not None:
            if admin is not None:
                return self._failed(N_("This person is an administrator here already."), "already_joined")
            try:
                admin = people.accept(begun.invitation, sub, now=now)
            except InvitationError:
                return self._not_good()
        if admin is None:
            return self._failed(
                N_("Nobody has invited this person to the console. An owner can do so."), "not_invited"
            )
        self.desk.sessions.end(self.frame.cookie(COOKIE))
        self.frame.set_cookie(COOKIE, self.desk.sessions.start(admin.id), None)
        people.acting(admin)
        record_alone(Event.ADMIN_SIGNED_IN, at=now)
        return see_other(begun.to)

    def _failed(self, text: str, reason: str) -> Response:
        record_alone(Event.ADMIN_REFUSED, at=self.desk.clock(), reason=reason)
        return self.desk.problem(N_("You are not signed in"), text, status=403)

    def _not_good(self) -> Response:
        record_alone(Event.ADMIN_REFUSED, at=self.desk.clock(), reason="invitation")
        return self.desk.problem(
            N_("This invitation cannot be used"),
            N_("It was used before, withdrawn, or is too old. Ask for a new one."),
            status=404,
        )

    # -- out -------------------------------------------------------------------------------------------------

    def sign_out(self, admin: people.Administrator) -> Response:
        """Out of the console, and out of the browser's session that its sign-in began, as a portal would do it."""
        self.desk.sessions.end(self.frame.cookie(COOKIE))
        self.frame.set_cookie(COOKIE, "", 0)
        if (session := self.house.sessions.end(self.frame.cookie(SESSION_COOKIE))) is not None:
            SessionEnds(self.house.sessions, self.desk.clock).taken(session)
            self.house.store.publish(backchannel.WAKE)
        self.frame.set_cookie(SESSION_COOKIE, "", 0)
        record_alone(Event.ADMIN_SIGNED_OUT, at=self.desk.clock())
        return see_other(SIGN_IN)

    def stay(self, admin: people.Administrator) -> Response:
        """More time, asked for by the page's script; being here was enough."""
        return Response(status=204)


def _inside(path: str) -> str:
    """Where to go on after the sign-in: an address of the console's, whatever was asked for."""
    parts = urlsplit(path[:512]) if path[:512].isascii() and path[:512].isprintable() else urlsplit("")
    mine = not parts.scheme and not parts.netloc and "\\" not in path
    return path[:512] if mine and (parts.path == HOME or parts.path.startswith(f"{HOME}/")) else HOME
