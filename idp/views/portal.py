"""The portals' door: discovery, authorization and the way back, UserInfo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from flask import Blueprint, Response, g, jsonify, request

from idp import consent, portals, seal
from idp.addresses import neighbourhood
from idp.clock import Clock
from idp.errors import AuthorizationError, LoginError, PageError, RequestError
from idp.login import AuthorizationRequest, Login, LoginEnded, State, StillBeingMade
from idp.oidc import metadata
from idp.oidc.checks import redirect_mismatch
from idp.oidc.code import Issued
from idp.oidc.conclusion import FinishedLogin
from idp.oidc.dpop import DpopRefused
from idp.oidc.reply import Outgoing
from idp.oidc.single_sign_on import session_serves
from idp.oidc.userinfo import Presented, TokenRefused
from idp.portals import Registration
from idp.portals.rules import MY_PAGE
from idp.presentation.question import NoCredentialType
from idp.seal import CannotOpen
from idp.session import Session
from idp.settings.rules import JWKS_MAX_AGE_S
from idp.views.frame import Frame, log, parameters, see_other
from idp.views.holder import login_cookie
from idp.views.messages import problem_for

SESSION_COOKIE = "sinwon-session"  # on plain http a host's cookies are shared by all its ports
_DISCOVERY_MAX_AGE_S = 300
_SAID_BY_WALLETS = {
    "wallet_refused": ("the holder refused", "holder_refused"),
    "wallet_could_not": ("the wallet could not answer", "wallet_failed"),
}
"""What ended a login and is told to its portal straight away: in words, and by its check."""
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
        rule("/userinfo", "userinfo", self.userinfo, methods=["GET", "POST"])
        return door

    # -- what we say of ourselves ----------------------------------------------------------------------------

    def discovery(self) -> Response:
        types = tuple(sorted(self.house.trust.snapshot().types))
        return _cached(metadata.document(self.frame.settings, self.house.tokens, types), _DISCOVERY_MAX_AGE_S)

    def jwks(self) -> Response:
        self.house.key_fetches.fetched(neighbourhood(request.remote_addr or ""))
        response = _cached(self.house.keys.jwks(), JWKS_MAX_AGE_S)
        response.mimetype = "application/jwk-set+json"
        return response

    # -- in --------------------------------------------------------------------------------------------------

    def authorize(self) -> Response:
        self._throttle()
        if request.method == "POST" and request.mimetype != "application/x-www-form-urlencoded":
            raise PageError("bad_request", "not a form")
        given = parameters()
        self.frame.speak_as_asked(given)
        portal, asked = self.house.authorization_requests.read(given)
        g.ui_locales = asked.ui_locales
        cookie = self.frame.cookie(SESSION_COOKIE)
        session = self.house.sessions.find(cookie)
        if session is not None and (answered := self._from_session(portal, asked, session, cookie or "")):
            return answered
        if "none" in asked.prompt:
            raise self._refused(
                asked, "login_required", "no session of this browser answers the request", check="no_session"
            )
        try:
            self.house.question(portal, asked)
        except NoCredentialType as error:
            raise self._refused(
                asked,
                "server_error",
                "no credential type of this client is available",
                check="no_credential_type",
                expected=portal.credential_types,
            ) from error
        login, secret = self.house.logins.start(asked)
        begin_login(self.frame, login, secret)
        return see_other(f"/login/{login.id}")

    def _from_session(
        self, portal: Registration, asked: AuthorizationRequest, session: Session, cookie: str
    ) -> Response | None:
        """Single sign-on: the answer to this request, or None when the wallet must be asked."""
        try:
            proof = self.house.sessions.proof(session, cookie)
        except CannotOpen:
            return None
        expected = asked.expected_sub
        known = self.house.subjects.known_as(session.subject_id, portal, now=self.clock())
        if expected is not None and expected not in known:
            return None
        if not session_serves(portal, asked, session, proof, now=self.clock(), issuer=self.issuer):
            return None
        agreed = consent.agreement(portal, asked, session.subject_id, session.id)
        due = agreed.limited_to(proof.claims).due
        if due and "none" in asked.prompt:
            raise self._refused(
                asked, "consent_required", "the holder has not agreed to this yet", check="consent_required"
            )
        if due:
            login, secret = self.house.logins.start_presented(asked, session.answer(), proof)
            begin_login(self.frame, login, secret)
            return see_other(f"/login/{login.id}/consent")
        issued = self._issue(
            FinishedLogin(
                portal,
                asked,
                login_id=seal.random_token(16),
                answer=session.answer(),
                proof=proof,
                consented=None,
                session=session,
            )
        )
        return self.frame.send(issued.outgoing)

    @staticmethod
    def _refused(
        asked: AuthorizationRequest, error: str, description: str, *, check: str, expected: Sequence[str] = ()
    ) -> AuthorizationError:
        return AuthorizationError(error, description, check=check, expected=expected).to(asked.reply_to)

    def _throttle(self) -> None:
        limit = self.frame.settings.holder.logins_per_minute_per_ip
        if self.house.store.count(f"rate:authorize:{neighbourhood(request.remote_addr or '')}", 60) > limit:
            raise LoginError("too_many", status=429)

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
        if login.state is State.FINISHED and not self.house.logins.is_abandoned(login):
            return self._finished(login, cookie or "")
        if login.state is State.REFUSED:
            return self._give_up(login)
        if login.state not in {State.READY, State.FINISHED}:
            return see_other(f"/login/{login.id}")
        try:
            return self._finish(login, cookie or "")
        except LoginError as error:
            if (
                error.reason == "login_finished"
            ):  # what it bought was lost on the way: the portal may begin anew
                raise LoginEnded("login_finished", login) from error
            raise

    def _finish(self, login: Login, cookie: str) -> Response:
        portal = portals.find(login.request.client_id)
        if portal is None:
            raise LoginEnded("unknown_portal", login)
        reply_to = login.request.reply_to
        # Taken out of the registration meanwhile.
        if reply_to.device is None and not portal.has_redirect_uri(reply_to.redirect_uri):
            raise RequestError(
                "bad_request",
                "redirect_uri no longer registered",
                mismatch=redirect_mismatch(reply_to.redirect_uri, portal),
            )
        proof = self.house.logins.open(login, cookie)
        rests_on_session = login.answer is not None and login.answer.via == "session"
        subject_id = None
        if login.consented is None or rests_on_session:
            subject_id = self.house.subjects.find(proof.person_keys)
        session_cookie = self.frame.cookie(SESSION_COOKIE)
        session = self.house.sessions.find(session_cookie)
        if login.consented is None:
            agreed = consent.agreement(
                portal, login.request, subject_id, _goes_on(session, subject_id, login)
            )
            if agreed.limited_to(proof.claims).due:
                return see_other(f"/login/{login.id}/consent")
        if not rests_on_session:
            session = None  # it makes way for one that rests on what was shown now
        # Signed out meanwhile in another tab, or somebody else signed in there.
        elif session is None or session.subject_id != subject_id:
            raise self._refused(login.request, "login_required", "the session has ended", check="no_session")
        finished = self.house.logins.finish(login, cookie)
        if finished is None:  # a twin of this request was quicker: what it made is a moment away
            return self._again(login, portal)
        over = FinishedLogin(
            portal,
            login.request,
            login_id=login.id,
            answer=finished.answer,
            proof=finished.proof,
            consented=login.consented,
            remember=login.remember,
            session=session,
            began_at=login.created_at,
        )
        if reply_to.device is not None:
            return self._approve(login, over)
        # A look at the holder's own page is no sign-in elsewhere: the session of this browser stays as it was.
        leaves_session = portal.client_id == MY_PAGE
        before = self.house.sessions.end(session_cookie) if session is None and not leaves_session else None
        issued = self._issue(replace(over, before=before))
        self.house.logins.remember(login, msgspec.json.encode(issued.outgoing))
        if issued.session_cookie is not None and not leaves_session:
            self.frame.set_cookie(SESSION_COOKIE, issued.session_cookie, None)
        return self.frame.send(issued.outgoing)

    def _issue(self, over: FinishedLogin) -> Issued:
        """A code, unless tokens were asked for through the browser."""
        in_code = over.request.response_type == "code"
        return self.house.codes.issue(over) if in_code else self.house.front_channel.issue(over)

    def _approve(self, login: Login, over: FinishedLogin) -> Response:
        """A counter waits for it, not this browser: whatever session it has stays as it was (`oidc.device`)."""
        self.house.devices.approve(over)
        outgoing = self.house.replies.answer(login.request.reply_to)
        self.house.logins.remember(login, msgspec.json.encode(outgoing))
        return self.frame.send(outgoing)

    def _finished(self, login: Login, cookie: str) -> Response:
        """A second click: the same answer again, as long as the code in it is fresh."""
        try:
            kept = self.house.logins.outgoing(login, cookie)
            return self.frame.send(msgspec.json.decode(kept, type=Outgoing))
        except StillBeingMade:
            return self._again(login, portals.find(login.request.client_id))

    def _again(self, login: Login, portal: Registration | None) -> Response:
        retry_url = f"/authorize/resume?login={login.id}"
        return self.frame.error_page("form_expired", status=409, portal=portal, retry_url=retry_url)

    def _give_up(self, login: Login) -> Response:
        """A login that ended without an answer: what the holder chose goes straight back, the rest is explained."""
        reason = login.problem.reason if login.problem else "wallet_refused"
        if reason in _SAID_BY_WALLETS:
            description, check = _SAID_BY_WALLETS[reason]
            raise self._refused(login.request, "access_denied", description, check=check)
        return self.frame.ended(login, problem_for(reason), status=403)

    # -- with a token ----------------------------------------------------------------------------------------

    def userinfo(self) -> Response:
        try:
            answer = self.house.userinfo.answer(_presented())
        except (TokenRefused, DpopRefused, InvalidRequestError) as error:
            return self._refuse_token(error)
        response = (
            Response(answer, mimetype="application/jwt") if isinstance(answer, str) else jsonify(answer)
        )
        if "DPoP" in request.headers:
            response.headers["DPoP-Nonce"] = self.house.bindings.nonce()
        return response

    def _refuse_token(self, error: TokenRefused | DpopRefused | InvalidRequestError) -> Response:
        """401 with what may be tried (RFC 6750, section 3; RFC 9449, section 7.1)."""
        if isinstance(error, TokenRefused):
            name, description, status = error.error, error.description, error.status
            challenge = self.house.userinfo.challenge(error)
        elif isinstance(error, DpopRefused):
            name, description, status, challenge = error.error, error.description, 401, error.challenge
        else:
            name, description, status, challenge = "invalid_request", error.description, 400, None
        log.info("%s /userinfo %s", g.correlation_id, getattr(error, "reason", "") or name or "no token")
        response = jsonify(error=name, error_description=description) if name else Response()
        response.status_code = status
        if challenge:
            response.headers["WWW-Authenticate"] = challenge
        if "DPoP" in request.headers:
            response.headers["DPoP-Nonce"] = self.house.bindings.nonce()
        return response


def begin_login(frame: Frame, login: Login, secret: str) -> None:
    """The cookie of this login alone. The oldest of many make room: a header of cookies has its limit."""
    prefix = frame.cookie_name(login_cookie(""))
    held = [name.removeprefix(prefix) for name in request.cookies if name.startswith(prefix)]
    for login_id in held[: 1 - _MAX_LOGINS]:
        frame.set_cookie(login_cookie(login_id), "", 0)
    frame.set_cookie(login_cookie(login.id), secret, frame.settings.lifetimes.login_max_s + 3600)


def _goes_on(session: Session | None, subject_id: str | None, login: Login) -> str | None:
    """The session in which a consent given before still counts: the same person's, in this browser (`Sessions.start`).

    What is approved for a counter is no part of it.
    """
    if session is None or session.subject_id != subject_id or login.request.device is not None:
        return None
    return session.id


def _presented() -> Presented:
    """The token, from the header or the form, never from both or from the query (RFC 6750, section 2)."""
    if "access_token" in request.args:
        raise TokenRefused("invalid_request", "The access token does not belong in the query.", 400)
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    from_header = value.strip() if scheme.lower() in {"bearer", "dpop"} else None
    from_body = request.form.getlist("access_token") if request.method == "POST" else []
    found = [token for token in [from_header, *from_body] if token]
    if len(found) > 1:
        raise TokenRefused("invalid_request", "The access token is there more than once.", 400)
    if not found:
        raise TokenRefused("", "", 401)
    way = "dpop" if from_header and scheme.lower() == "dpop" else "bearer"
    return Presented(found[0], way, request.method, request.headers)


def _cached(document: dict[str, Any], max_age_s: int) -> Response:
    response = jsonify(document)
    response.headers["Cache-Control"] = f"public, max-age={max_age_s}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
