"""The portals: pages around a `CodeClient`. Each lives under its own path with its own cookie.

State is kept in memory and is gone when the process ends. Nothing about a person is in a cookie or a URL:
even the ID token travels to the provider’s logout in a form, since URLs end up in logs.
"""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, abort, g, redirect, request, url_for
from werkzeug.wrappers import Response

from idp.demo import pages
from idp.demo.code_flow import CodeClient, Pending
from idp.demo.fapi import FapiClient
from idp.demo.relying import Provider, SignedIn, SignInFailed, same
from idp.demo.seeds import Prepared

SESSION_LIFE_S = 3_600
PENDING_LIFE_S = 3_600
MAX_SESSIONS = 10_000
MAX_PENDING = 20
_ERROR_STATUS = 400


@dataclass
class PortalSession:
    """One browser at one portal. Several tabs may be on their way at once."""

    pending: OrderedDict[str, Pending] = field(default_factory=OrderedDict)
    signed_in: SignedIn | None = None
    logout_state: str = ""
    touched_at: float = field(default_factory=time.monotonic)


class Portal:
    """A portal and the browsers it knows. Safe for threads."""

    def __init__(self, client: CodeClient) -> None:
        self.client = client
        self.id = client.id
        self.name: dict[str, str] = client.registration["name"]
        self.cookie = f"{self.id}_session"
        self._sessions: OrderedDict[str, PortalSession] = OrderedDict()
        self._lock = threading.Lock()

    def session(self, key: str | None) -> PortalSession | None:
        """The session of a cookie's value, unless it is over."""
        with self._lock:
            found = self._sessions.get(key or "")
            if found and time.monotonic() - found.touched_at > SESSION_LIFE_S:
                del self._sessions[key or ""]
                return None
            return found

    def remember(self, key: str | None, pending: Pending) -> str:
        """Note that a browser was sent to the provider. Returns the key for its cookie."""
        with self._lock:
            if key is None or key not in self._sessions:
                key = secrets.token_urlsafe(32)
                self._sessions[key] = PortalSession()
                while len(self._sessions) > MAX_SESSIONS:
                    self._sessions.popitem(last=False)
            session = self._sessions[key]
            session.pending[pending.state] = pending
            while len(session.pending) > MAX_PENDING:
                session.pending.popitem(last=False)
            return key

    def take_pending(self, key: str | None, state: str) -> Pending:
        """What was remembered for a state; it can be taken once. Raises SignInFailed."""
        session = self.session(key)
        with self._lock:
            pending = session.pending.pop(state, None) if session else None
        if pending is None or time.monotonic() - pending.started_at > PENDING_LIFE_S:
            raise SignInFailed("unknown_state", "no sign-in of this browser has this state")
        return pending

    def sign_in(self, key: str | None, signed_in: SignedIn) -> str:
        """Begin a session under a new key, so that a key known from before is worth nothing."""
        with self._lock:
            before = self._sessions.pop(key or "", None)
            fresh = secrets.token_urlsafe(32)
            self._sessions[fresh] = PortalSession(
                pending=before.pending if before else OrderedDict(),
                signed_in=signed_in,
                logout_state=secrets.token_urlsafe(24),
            )
            return fresh

    def forget(self, key: str | None) -> None:
        """End the session of a browser."""
        with self._lock:
            self._sessions.pop(key or "", None)


def build(prepared: Prepared, provider: Provider) -> dict[str, Portal]:
    """Every portal of the seed file that sends browsers, by its client_id, in its order."""
    registrations = [item for item in prepared.portals() if item.get("redirect_uris")]
    return {item["client_id"]: Portal(_client(item, prepared, provider)) for item in registrations}


def _client(registration: dict[str, Any], prepared: Prepared, provider: Provider) -> CodeClient:
    kind = FapiClient if registration.get("profile") == "fapi2" else CodeClient
    return kind(registration, prepared, provider)


def blueprint(portals: dict[str, Portal]) -> Blueprint:
    """The portals' doors, under `/<client_id>/`."""
    doors = Blueprint("portals", __name__)

    @doors.url_value_preprocessor
    def find_portal(_endpoint: str | None, values: dict[str, str] | None) -> None:
        client_id = (values or {}).pop("client_id", "")
        if client_id not in portals:
            abort(404)
        g.portal = portals[client_id]

    @doors.get("/<client_id>/")
    def home() -> Response:
        session = g.portal.session(_cookie(g.portal))
        if session and session.signed_in:
            return _result(g.portal, session)
        return pages.show("portal.html", portal=g.portal, signed_out="state" in request.args)

    @doors.get("/<client_id>/login")
    def login() -> Response:
        try:
            url, pending = g.portal.client.begin(g.language)
        except SignInFailed as failure:
            return _failed(g.portal, failure)
        key = g.portal.remember(_cookie(g.portal), pending)
        return _with_cookie(redirect(url, 303), g.portal, key)

    @doors.get("/<client_id>/callback")
    def callback() -> Response:
        key = _cookie(g.portal)
        try:
            if any(len(values) > 1 for _, values in request.args.lists()):
                raise SignInFailed("bad_response", "a parameter is repeated")
            answer = g.portal.client.read_answer(request.args)
            pending = g.portal.take_pending(key, answer.get("state", ""))
            signed_in = g.portal.client.finish(answer, pending)
        except SignInFailed as failure:
            return _failed(g.portal, failure)
        fresh = g.portal.sign_in(key, signed_in)
        return _with_cookie(redirect(url_for(".home", client_id=g.portal.id), 303), g.portal, fresh)

    @doors.post("/<client_id>/logout")
    def logout() -> Response:
        session = g.portal.session(_cookie(g.portal))
        if session is None or session.signed_in is None:
            return redirect(url_for(".home", client_id=g.portal.id), 303)
        if not same(request.form.get("state", ""), session.logout_state):
            abort(400)
        g.portal.forget(_cookie(g.portal))
        # 307 has the browser post the same form again, to the provider: the ID token stays out of URLs.
        response = redirect(g.portal.client.provider.metadata()["end_session_endpoint"], 307)
        response.delete_cookie(g.portal.cookie, path=f"/{g.portal.id}/")
        return response

    return doors


def _result(portal: Portal, session: PortalSession) -> Response:
    signed_in = session.signed_in
    if signed_in is None:
        raise ValueError("nobody is signed in")
    verified = signed_in.verified()
    order = [item["name"] for item in portal.client.registration["claims"]]
    claims = verified.get("claims", {})
    shown = sorted(claims, key=lambda name: order.index(name) if name in order else len(order))
    return pages.show(
        "result.html",
        portal=portal,
        signed_in=signed_in,
        verified=verified,
        ordered=[(name, claims[name]) for name in shown],
        logout_form=portal.client.logout_form(signed_in, session.logout_state),
    )


def _failed(portal: Portal, failure: SignInFailed) -> Response:
    return pages.show("portal_error.html", _ERROR_STATUS, portal=portal, failure=failure)


def _cookie(portal: Portal) -> str | None:
    return request.cookies.get(portal.cookie)


def _with_cookie(response: Response, portal: Portal, key: str) -> Response:
    response.set_cookie(
        portal.cookie, key, path=f"/{portal.id}/", httponly=True, samesite="Lax", secure=request.is_secure
    )
    return response
