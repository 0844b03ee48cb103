"""The portals' door: discovery, authorization, token, UserInfo, logout."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, g, jsonify, request

from idp import consent, portals, seal
from idp.clock import Clock
from idp.errors import AuthorizationError, LoginError, PageError, RequestError
from idp.events import Event, record_alone
from idp.login import Login, LoginEnded, State, StillBeingMade
from idp.oidc import authorize, logout, metadata
from idp.oidc.code import revoke_session
from idp.oidc.userinfo import TokenRefused
from idp.openid4vp.question import NoCredentialType, question
from idp.portals import Registration
from idp.seal import CannotOpen
from idp.session import Session
from idp.views.frame import Frame, log, parameters, see_other
from idp.views.holder import csrf_for_session, forms_match, login_cookie
from idp.views.messages import problem_for

SESSION_COOKIE = "sinwon-session"  # on plain http a host's cookies are shared by all its ports
_JWKS_MAX_AGE_S = 300
_DISCOVERY_MAX_AGE_S = 300
_MAX_LOGINS = 24  # under way in one browser: some 2 KB of cookies


class PortalDoor:
    """Routes of the portals' door."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house
        self.issuer = frame.settings.issuer
        self.clock: Clock = frame.house.clock

    def blueprint(self) -> Blueprint:
        door = Blueprint("portal", __name__)
        rule = door.add_url_rule
        rule("/.well-known/openid-configuration", "discovery", self.discovery)
        rule("/.well-known/oauth-authorization-server", "metadata", self.discovery)
        rule("/jwks", "jwks", self.jwks)
        rule("/authorize", "authorize", self.authorize, methods=["GET", "POST"])
        rule("/authorize/resume", "resume", self.resume)
        rule("/token", "token", self.token, methods=["POST"])
        rule("/userinfo", "userinfo", self.userinfo, methods=["GET", "POST"])
        rule("/logout", "logout", self.logout, methods=["GET", "POST"])
        return door

    # -- what we say of ourselves ----------------------------------------------------------------------------

    def discovery(self) -> Response:
        types = tuple(sorted(self.house.trust.snapshot().types))
        return _cached(metadata.document(self.frame.settings, self.house.tokens, types), _DISCOVERY_MAX_AGE_S)

    def jwks(self) -> Response:
        response = _cached(self.house.keys.jwks(), _JWKS_MAX_AGE_S)
        response.mimetype = "application/jwk-set+json"
        return response

    # -- in --------------------------------------------------------------------------------------------------

    def authorize(self) -> Response:
        self._throttle()
        if request.method == "POST" and request.mimetype != "application/x-www-form-urlencoded":
            raise PageError("bad_request", "not a form")
        portal, asked = authorize.read(parameters(), issuer=self.issuer, id_tokens=self.house.id_tokens)
        g.ui_locales = asked.ui_locales
        cookie = self.frame.cookie(SESSION_COOKIE)
        session = self.house.sessions.find(cookie)
        if session is not None and (answered := self._from_session(portal, asked, session, cookie or "")):
            return answered
        if "none" in asked.prompt:
            raise self._refused(asked, "login_required", "no session of this browser answers the request")
        try:
            question(portal, asked, self.house.trust.snapshot())
        except NoCredentialType as error:
            raise self._refused(
                asked, "server_error", "no credential type of this client is available"
            ) from error
        login, secret = self.house.logins.start(asked)
        self._begin(login, secret)
        return see_other(f"/login/{login.id}")

    def _begin(self, login: Login, secret: str) -> None:
        """The cookie of this login alone. The oldest of many make room: a header of cookies has its limit."""
        prefix = self.frame.cookie_name(login_cookie(""))
        held = [name.removeprefix(prefix) for name in request.cookies if name.startswith(prefix)]
        for login_id in held[: 1 - _MAX_LOGINS]:
            self.frame.set_cookie(login_cookie(login_id), "", 0)
        self.frame.set_cookie(login_cookie(login.id), secret, self._cookie_s())

    def _from_session(
        self, portal: Registration, asked: Any, session: Session, cookie: str
    ) -> Response | None:
        """Single sign-on: the answer to this request, or None when the wallet must be asked."""
        try:
            proof = self.house.sessions.proof(session, cookie)
        except CannotOpen:
            return None
        expected = asked.expected_sub
        sub = self.house.subjects.pairwise(session.subject_id, portal.sector)
        if expected is not None and expected != sub:
            return None
        if not authorize.session_serves(portal, asked, session, proof, now=self.clock(), issuer=self.issuer):
            return None
        due = consent.agreement(portal, asked, session.subject_id).limited_to(proof.claims).due
        if due and "none" in asked.prompt:
            raise self._refused(asked, "consent_required", "the holder has not agreed to this yet")
        if due:
            login, secret = self.house.logins.start_presented(asked, session.answer(), proof)
            self._begin(login, secret)
            return see_other(f"/login/{login.id}/consent")
        issued = self.house.codes.issue(
            portal,
            asked,
            login_id=seal.random_token(16),
            answer=session.answer(),
            proof=proof,
            consented=None,
            session=session,
        )
        return see_other(issued.location)

    def _refused(self, asked: Any, error: str, description: str) -> AuthorizationError:
        refused = AuthorizationError(error, description)
        refused.redirect_uri, refused.state = asked.redirect_uri, asked.state
        refused.client_id = asked.client_id
        return refused

    def _throttle(self) -> None:
        limit = self.frame.settings.holder.logins_per_minute_per_ip
        if self.house.store.count(f"rate:authorize:{_neighbourhood(request.remote_addr or '')}", 60) > limit:
            raise LoginError("too_many", status=429)

    def _cookie_s(self) -> int:
        return self.frame.settings.lifetimes.login_max_s + 3600

    # -- out: the one place where a code is issued -----------------------------------------------------------

    def resume(self) -> Response:
        """Everyone comes back here: from the wallet, from the waiting page, from consent."""
        login_id = request.args.get("login", "")
        cookie = self.frame.cookie(login_cookie(login_id)) if 0 < len(login_id) <= 64 else None
        response_code = request.args.get("response_code")
        if response_code is not None:
            login = self.house.logins.arrive(login_id, cookie, response_code[:256])
        else:
            login = self.house.logins.show(login_id, cookie)
        self.frame.speak_for(login)
        if login.state is State.FINISHED:
            return self._finished(login, cookie or "")
        if login.state is State.REFUSED:
            return self._give_up(login)
        if login.state is not State.READY:
            return see_other(f"/login/{login.id}")
        return self._finish(login, cookie or "")

    def _finish(self, login: Login, cookie: str) -> Response:
        portal = portals.find(login.request.client_id)
        if portal is None:
            raise LoginEnded("unknown_portal", login)
        if not portal.has_redirect_uri(login.request.redirect_uri):  # taken out of the registration meanwhile
            raise RequestError("bad_request", "redirect_uri no longer registered")
        proof = self.house.logins.open(login, cookie)
        subject_id = self.house.subjects.find(proof.person_keys)
        if login.consented is None:
            agreed = consent.agreement(portal, login.request, subject_id).limited_to(proof.claims)
            if agreed.due:
                return see_other(f"/login/{login.id}/consent")
        session_cookie = self.frame.cookie(SESSION_COOKIE)
        session = None
        if login.answer is not None and login.answer.via == "session":
            session = self.house.sessions.find(session_cookie)
            # Signed out meanwhile in another tab, or somebody else signed in there.
            if session is None or session.subject_id != subject_id:
                raise self._refused(login.request, "login_required", "the session has ended")
        finished = self.house.logins.finish(login, cookie)
        if finished is None:  # a twin of this request was quicker: what it made is a moment away
            return self._again(login, portal)
        if session is None:
            self.house.sessions.end(session_cookie)
        issued = self.house.codes.issue(
            portal,
            login.request,
            login_id=login.id,
            answer=finished.answer,
            proof=finished.proof,
            consented=login.consented,
            session=session,
        )
        self.house.logins.remember(login, issued.location)
        if issued.session_cookie is not None:
            self.frame.set_cookie(SESSION_COOKIE, issued.session_cookie, None)
        return see_other(issued.location)

    def _finished(self, login: Login, cookie: str) -> Response:
        """A second click: the same redirect again, as long as the code in it is fresh."""
        try:
            return see_other(self.house.logins.location(login, cookie))
        except StillBeingMade:
            return self._again(login, portals.find(login.request.client_id))

    def _again(self, login: Login, portal: Registration | None) -> Response:
        retry_url = f"/authorize/resume?login={login.id}"
        return self.frame.error_page("form_expired", status=409, portal=portal, retry_url=retry_url)

    def _give_up(self, login: Login) -> Response:
        """A login that ended without an answer: what the holder chose goes straight back, the rest is explained."""
        reason = login.problem.reason if login.problem else "wallet_refused"
        if reason == "wallet_refused":
            refused = self._refused(login.request, "access_denied", "the holder refused")
            raise refused
        return self.frame.ended(login, problem_for(reason), status=403)

    # -- the back channel ------------------------------------------------------------------------------------

    def token(self) -> Response:
        return self.house.tokens.respond(request)

    def userinfo(self) -> Response:
        try:
            response = jsonify(self.house.userinfo.answer(_bearer_token()))
        except TokenRefused as error:
            response = Response(status=error.status)
            challenge = f'Bearer realm="{self.issuer}"'
            if error.error:
                challenge += f', error="{error.error}", error_description="{error.description}"'
                response = jsonify(error=error.error, error_description=error.description)
                response.status_code = error.status
            response.headers["WWW-Authenticate"] = challenge
        return response

    # -- logout ----------------------------------------------------------------------------------------------

    def logout(self) -> Response:
        try:
            asked = logout.read(_without_csrf(), self.house.id_tokens)
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
            revoke_session(session.id, now=self.clock())
            record_alone(Event.LOGOUT, at=self.clock(), subject_id=session.subject_id)

    def _ask_to_sign_out(self, cookie: str) -> Response:
        hidden = {name: values[0] for name, values in _without_csrf().items() if values}
        return self.frame.page(
            "logout.html", form_url="/logout", csrf=csrf_for_session(cookie), hidden=hidden
        )


def _neighbourhood(address: str) -> str:
    """What counts as one address: of IPv6 the /64, since whoever has one address there has all of them."""
    try:
        found = ip_address(address)
    except ValueError:  # a Unix socket, or a proxy that says something else
        return address[:64]
    if isinstance(found, IPv4Address):
        return address
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))


def _without_csrf() -> dict[str, list[str]]:
    return {name: values for name, values in parameters().items() if name not in {"csrf", "lang"}}


def _with_state(location: str, state: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}state={quote(state, safe='')}"


def _bearer_token() -> str:
    """The token, from the header or the form, never from both or from the query (RFC 6750, section 2)."""
    if "access_token" in request.args:
        raise TokenRefused("invalid_request", "The access token does not belong in the query.", 400)
    header = request.headers.get("Authorization", "")
    scheme, _, value = header.partition(" ")
    from_header = value.strip() if scheme.lower() == "bearer" else None
    from_body = request.form.getlist("access_token") if request.method == "POST" else []
    found = [token for token in [from_header, *from_body] if token]
    if len(found) > 1:
        raise TokenRefused("invalid_request", "The access token is there more than once.", 400)
    if not found:
        raise TokenRefused("", "", 401)
    return found[0]


def _cached(document: dict[str, Any], max_age_s: int) -> Response:
    response = jsonify(document)
    response.headers["Cache-Control"] = f"public, max-age={max_age_s}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
