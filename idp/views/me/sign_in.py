"""Into the page and out of it."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from idp import my_page, seal
from idp.events import Event, record, record_alone
from idp.models import Grant, db, writing
from idp.oidc import grants
from idp.oidc.session_end import Reason, SessionEnds
from idp.portals import Registration
from idp.views.frame import see_other
from idp.views.me.desk import COOKIE, HOME, MyDesk
from idp.views.own_sign_in import Arrived, NotSignedIn, OwnSignIn

_FORM_EXPIRED: Final = "form_expired"


class MySignIn:
    """`/me/sign-in`, `/me/callback`, `/me/close`."""

    def __init__(self, desk: MyDesk) -> None:
        self.desk = desk
        self.frame = desk.frame
        self.house = desk.house
        self.own = OwnSignIn("me", self.frame, self._registered)
        self._ends = SessionEnds(self.house.sessions, self.house.clock)

    def add_to(self, door: Blueprint) -> None:
        rule = door.add_url_rule
        rule("/me/sign-in", "sign_in", self.sign_in, methods=["POST"])
        rule("/me/callback", "callback", self.callback)
        rule("/me/close", "close", self.desk.guarded(self.close), methods=["POST"])

    def sign_in(self) -> Response:
        """Begin. Nothing is begun by a GET: a link could then begin a sign-in in somebody's browser.

        The credential is shown again, whatever this browser's session could answer (OpenID Connect Core 3.1.2.1).
        """
        return self.own.begin(HOME, prompt="login", max_age="0")

    def _registered(self) -> Registration:
        known = self.house.trust.snapshot().types.values()
        types = sorted(kind.id for kind in known if kind.person_key is not None)
        return my_page.ensure(self.frame.settings, types, now=self.desk.clock())

    def callback(self) -> Response:
        try:
            arrived = self.own.back()
        except NotSignedIn as error:
            record_alone(Event.MY_PAGE_REFUSED, at=self.desk.clock(), reason=error.reason)
            return self.frame.error_page(_FORM_EXPIRED, status=403, retry_url=HOME)
        return self._arrive(arrived)

    def _arrive(self, arrived: Arrived) -> Response:
        """The code's grant says who it is: the `sub` of this page is of no use to us. Its tokens were for nobody."""
        now = self.desk.clock()
        grant = db.session.get_one(Grant, seal.digest(arrived.code))
        subject_id, session_id = grant.subject_id, grant.session_id
        with writing() as database:
            grants.revoke(database, grant.code_digest, now=now)
            record(database, Event.MY_PAGE_OPENED, at=now, subject_id=subject_id)
        # Every sign-in makes a session; no browser has got the cookie of this one (`views.portal`).
        self._ends.one(session_id, Reason.PAGE)
        self.desk.sessions.end(self.frame.cookie(COOKIE))
        self.frame.set_cookie(COOKIE, self.desk.sessions.start(subject_id), None)
        return see_other(arrived.begun.to)

    def close(self, subject_id: str) -> Response:
        """Out of this page. Sign-ins at services are another matter, which the page says."""
        self.desk.sessions.end(self.frame.cookie(COOKIE))
        self.frame.set_cookie(COOKIE, "", 0)
        return self.desk.done(HOME, "closed")
