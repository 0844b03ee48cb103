"""The way out: a portal sends a browser to sign out, or a holder comes by himself."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, g, request

from idp import portals
from idp.clock import Clock
from idp.errors import LoginError, RequestError
from idp.events import Event, record_alone
from idp.oidc import backchannel, logout
from idp.oidc.session_end import SessionEnds
from idp.session import Session
from idp.views.frame import Frame, log, parameters, see_other
from idp.views.holder import csrf_for_session, forms_match
from idp.views.portal import SESSION_COOKIE


class LogoutDoor:
    """`/logout`, the `end_session_endpoint`."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house
        self.clock: Clock = frame.house.clock
        self._ends = SessionEnds(frame.house.sessions, frame.house.clock)

    def blueprint(self) -> Blueprint:
        door = Blueprint("logout", __name__)
        door.add_url_rule("/logout", "logout", self.logout, methods=["GET", "POST"])
        return door

    def logout(self) -> Response:
        given = _without_csrf()
        self.frame.speak_as_asked(given)
        try:
            asked = logout.read(given, self.house.id_tokens)
        except RequestError as error:
            record_alone(Event.REQUEST_REFUSED, at=self.clock(), reason="bad_logout")
            log.info("%s %s", g.correlation_id, error)
            return self.frame.error_page("bad_logout", status=400, retry_url="/logout")
        cookie = self.frame.cookie(SESSION_COOKIE)
        session = self.house.sessions.find(cookie)
        confirmed = request.method == "POST" and "csrf" in request.form
        # Without a session there is nothing to end, and nothing to protect: the second click of a double one.
        if confirmed and session is not None and not self._is_our_form(cookie or ""):
            raise LoginError("form_expired", status=403)
        if asked.sid is not None:  # a genuine ID token says which session; its portal may end it
            self._ended(self.house.sessions.end_by_sid(asked.sid))
        if session is not None:
            if self._sid(session, asked.client_id) != asked.sid and not confirmed:
                return self._ask_to_sign_out(cookie or "")
            self._ended(self.house.sessions.end(cookie))
        self.frame.set_cookie(SESSION_COOKIE, "", 0)
        if asked.location is not None:
            return see_other(
                _with_state(asked.location, asked.state) if asked.state is not None else asked.location
            )
        return self.frame.page("logged_out.html", return_url=None)

    def _sid(self, session: Session, client_id: str | None) -> str:
        """How the portal that asks knows this browser's session."""
        portal = portals.find(client_id or "")
        return self.house.sessions.sid(session.id, portal.sector) if portal is not None else ""

    def _is_our_form(self, cookie: str) -> bool:
        return forms_match(csrf_for_session(cookie), request.form["csrf"])

    def _ended(self, session: Session | None) -> None:
        if session is not None:
            self._ends.taken(session)
            self.house.store.publish(backchannel.WAKE)

    def _ask_to_sign_out(self, cookie: str) -> Response:
        hidden = {name: values[0] for name, values in _without_csrf().items() if values}
        return self.frame.page(
            "logout.html", form_url="/logout", csrf=csrf_for_session(cookie), hidden=hidden
        )


def _without_csrf() -> dict[str, list[str]]:
    return {name: values for name, values in parameters().items() if name not in {"csrf", "lang"}}


def _with_state(location: str, state: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}state={quote(state, safe='')}"
