"""What every answer has in common: who asked, the headers, the language, and how an error looks.

A page's error is a page, the wallet's is JSON, the portal's is a redirect or JSON; each carries a correlation id that
an admin can look up in the audit.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, Response, g, jsonify, render_template, request
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from idp import portals
from idp.admin import organisations
from idp.clock import iso, kst
from idp.credentials.trust import TrustDocumentError
from idp.errors import (
    AuthorizationError,
    Busy,
    LoginError,
    PageError,
    PresentationError,
    ReplyTo,
    RequestError,
    Unavailable,
)
from idp.events import Event, Origin, origin, record_alone
from idp.keys import NoSigningKey
from idp.login import Login, LoginEnded, OtherBrowser
from idp.oidc.checks import MAX_LOCALES
from idp.oidc.portal_keys import NoUsableKey
from idp.oidc.registration import logo_url
from idp.oidc.reply import Outgoing
from idp.opendid.errors import told
from idp.opendid.offers import PATH as OPENDID
from idp.portals import Registration
from idp.presentation.question import NoCredentialType
from idp.views import language
from idp.views.messages import message_for, spoken
from idp.views.problems import API, problem_of_status
from idp.views.shedding import Shedding
from idp.wiring import House

log = logging.getLogger("idp")

STATIC = Path(__file__).parent.parent / "static"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
PERMISSIONS = (
    "camera=(), digital-credentials-create=(), digital-credentials-get=(self), geolocation=(), microphone=()"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": PERMISSIONS,
    "Cache-Control": "no-store",
}
"""Of every answer that does not say otherwise."""
_TLS_HEADERS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
FAILED = "sinwon.failed"
"""In the environment of a request: the error that it has met already, for the application to tell."""
# What a wallet answers may carry a portrait; what else a browser or a portal sends is small.
WALLETS_ANSWERS = ("/wallet/response/", f"{OPENDID}/api/v1/request-verify", "/mip/vp")
_FOR_SCRIPT = "holder.digital_credential"
# A question that is over, as a wallet hears it when it fetches: it need not try again.
_GONE = {"login_unknown": 404, "login_expired": 410, "already_answered": 410}
_STEPS = ("/authorize", "/login/", "/logout", "/me/", "/wallet/")
_LATER_S = "5"
_ADMITTED = "sinwon.admitted"
LET_IN = "sinwon.let_in"
"""In the WSGI environment: whether it was looked at when it came, and not turned away."""
WAITED_S = "sinwon.waited_s"
"""In the WSGI environment: how long a request waited until a thread took it; None where it is turned away."""
_FOR_ENGINEERS = ("/console", "/docs", "/keys", "/llms")
_LANGUAGE_COOKIE_S = 365 * 86400
# InternalError: a PostgreSQL that has become a standby refuses to write.
_DATABASE_DOWN = (OperationalError, InterfaceError, InternalError, NoConnectionLeft)
# Of ours, for an algorithm that was registered a moment ago; of the portal's, to encrypt its answer to.
_KEY_MISSING = (NoSigningKey, NoUsableKey)
# A page asks for these by itself: whoever lost the cookie while it stood open would write to the audit without end.
_ASKED_BY_PAGES = frozenset({"holder.status", "holder.events", "holder.qr_code"})
_HTTP_REASONS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 429: "too_many"}


# A path that a proxy and we could read as two: separators that are encoded or doubled, dots, parameters.
# deploy/nginx.conf refuses the same, and controls besides.
_AMBIGUOUS_PATH = re.compile(r"%(2f|5c|2e|25)|//|\\|/\.\.?(/|\Z)|[;#]", re.IGNORECASE)
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class Frame:
    """Pages, cookies and errors, for all doors."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.settings = house.settings
        self._secure = house.settings.secure_cookies
        self.shedding = Shedding(house.settings.server.busy_ms / 1000)
        self.headers = HEADERS | (_TLS_HEADERS if self._secure else {})

    def install(self, app: Flask) -> None:
        language.install(app.jinja_env)
        app.before_request(self._arrive)
        app.after_request(self._leave)
        app.register_error_handler(PageError, self._page_error)
        app.register_error_handler(AuthorizationError, self._authorization_error)
        app.register_error_handler(PresentationError, self._presentation_error)
        app.register_error_handler(Unavailable, self._unavailable)
        for kind in (*_DATABASE_DOWN, *_KEY_MISSING):
            app.register_error_handler(kind, self._unavailable)
        app.register_error_handler(DBAPIError, self._row_refused)
        app.register_error_handler(NoCredentialType, self._unavailable)
        app.register_error_handler(TrustDocumentError, self._unavailable)
        app.register_error_handler(HTTPException, self._http_error)
        app.register_error_handler(Exception, self._bug)

    def admit(self, environ: dict[str, Any], endpoint: str | None) -> None:
        """What is asked of every request, once, before anything is done for it. Raises Busy, HTTPException."""
        if environ.get(_ADMITTED):
            return
        self.shedding.check(endpoint, environ.get(WAITED_S, 0.0), let_in=environ.get(LET_IN, False))
        _check_one_reading(environ)
        environ[_ADMITTED] = True

    # -- in and out ------------------------------------------------------------------------------------------

    def _arrive(self) -> None:
        g.correlation_id = secrets.token_hex(8)
        g.lang_login = None
        g.ui_locales = ()
        g.set_cookies = []
        if request.endpoint != _FOR_SCRIPT and not request.path.startswith(WALLETS_ANSWERS):
            request.max_content_length = request.max_form_memory_size = self.settings.server.max_form_bytes
        origin.set(Origin(correlation_id=g.correlation_id, ip=(request.remote_addr or "")[:45] or None))
        if (failed := request.environ.get(FAILED)) is not None:
            raise failed
        self.admit(request.environ, request.endpoint)
        _take_chunks()
        rule = request.url_rule
        if request.method == "HEAD" and rule is not None and rule.methods and rule.rule.startswith(_STEPS):
            # There a GET is a step of a sign-in, which a link checker's HEAD must not take.
            raise MethodNotAllowed(sorted(rule.methods - {"HEAD"}))

    def _leave(self, response: Response) -> Response:
        headers = response.headers
        for name, value in self.headers.items():
            headers.setdefault(name, value)
        if headers["Cache-Control"] == "no-store":
            response.vary.add("Cookie")  # for whoever keeps it all the same
        headers["X-Correlation-Id"] = getattr(g, "correlation_id", "-")
        if response.status_code == 503:
            headers.setdefault("Retry-After", _LATER_S)
        for cookie in getattr(g, "set_cookies", ()):
            response.set_cookie(**cookie)
        return response

    # -- cookies ---------------------------------------------------------------------------------------------

    def cookie_name(self, name: str) -> str:
        """`__Host-` wherever there is TLS: then no other host or path can have set it."""
        return f"__Host-{name}" if self._secure else name

    def cookie(self, name: str) -> str | None:
        return request.cookies.get(self.cookie_name(name))

    def set_cookie(self, name: str, value: str, max_age_s: int | None) -> None:
        """For this answer. `max_age_s` None: until the browser closes; 0: gone."""
        g.set_cookies.append(
            {
                "key": self.cookie_name(name),
                "value": value,
                "max_age": max_age_s,
                "path": "/",
                "secure": self._secure,
                "httponly": True,
                "samesite": "Lax",
            }
        )

    # -- language --------------------------------------------------------------------------------------------

    def speak_for(self, login: Login) -> None:
        """Pages from here on are in the language of this login."""
        g.lang_login = login.lang
        g.ui_locales = login.request.ui_locales

    def speak_as_asked(self, asked: Mapping[str, Sequence[str]]) -> None:
        """Pages from here on are in the language a portal's request wishes, also when the request cannot be used."""
        g.ui_locales = " ".join(asked.get("ui_locales", ()))[:MAX_LOCALES].split()

    def lang(self) -> str:
        """The language of this answer, one of `_spoken()`."""
        return language.choose(
            self.chosen_lang() or g.get("lang_login"),
            list(g.get("ui_locales", ())),
            self.cookie("lang"),
            request.headers.get("Accept-Language", ""),
            self.settings.languages.default,
            among=_spoken(),
        )

    def chosen_lang(self) -> str | None:
        """What was clicked in the menu of languages to come here."""
        return language.look_up(request.args.get("lang", ""), _spoken())

    # -- pages -----------------------------------------------------------------------------------------------

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        lang = self.lang()
        if self.chosen_lang():
            self.set_cookie("lang", lang, _LANGUAGE_COOKIE_S)
        made = render_template(
            template,
            lang=lang,
            languages=self._languages(lang),
            mode=self.settings.mode,
            static=self._static.__getitem__,
            correlation_id=g.correlation_id,
            **context,
        )
        response = Response(made, status=status, mimetype="text/html")
        response.headers["Content-Language"] = lang
        return response

    def error_page(
        self,
        reason: str,
        *,
        status: int,
        portal: Registration | None = None,
        return_to: Outgoing | None = None,
        retry_url: str | None = None,
    ) -> Response:
        """A sentence of what happened, one of what to do, and a code to read to a help desk."""
        if request.endpoint == _FOR_SCRIPT:
            return self.words(message_for(reason), status=status)
        message = spoken(message_for(reason), self.lang())
        return self.page(
            "error.html",
            status=status,
            title=message.title,
            message=message.message,
            advice=message.advice,
            code=message.code,
            time_iso=iso(self.house.clock()),
            time_kst=kst(self.house.clock(), "%Y-%m-%d %H:%M:%S"),
            portal=self.portal(portal) if portal else None,
            contact=self.contact(portal),
            return_url=return_to.location if return_to and not return_to.is_form else None,
            return_form=return_to if return_to and return_to.is_form else None,
            retry_url=retry_url,
        )

    def contact(self, portal: Registration | None) -> dict[str, str | None] | None:
        """Whom holders may ask about this portal, where its organisation says so."""
        organisation = organisations.owner_of(portal.client_id) if portal is not None else None
        if organisation is None or organisation.contact == organisations.Contact():
            return None
        contact = organisation.contact
        return {
            "name": language.said(organisation.name, self.lang()),
            "email": contact.email,
            "phone": contact.phone,
            "url": contact.url,
        }

    def words(self, key: str, *, status: int, **more: Any) -> Response:
        """The same words for the script of a page that stays: `key` is one of MESSAGES."""
        message = spoken(key, self.lang())
        response = jsonify(
            code=message.code, title=message.title, message=message.message, advice=message.advice, **more
        )
        response.status_code = status
        return response

    def portal(self, registration: Registration) -> dict[str, Any]:
        """A portal as pages show it."""
        lang = self.lang()
        return {
            "name": language.said(registration.name, lang),
            "operator": language.said(registration.operator, lang),
            "policy_uri": registration.policy_uri,
            "tos_uri": registration.tos_uri,
            "client_uri": registration.client_uri,
            "logo": logo_url(registration),
        }

    def _languages(self, lang: str) -> list[dict[str, Any]]:
        kept = {name: value for name, value in request.args.items() if name != "lang"}
        # A form's answer has no address of its own to come back to: the switch leads to the page it came from.
        path = request.path if request.method in {"GET", "HEAD"} else request.path.rsplit("/", 1)[0]
        # Quoted again: browsers read the backslash of /%5Cevil.example as a second slash, and leave for that host.
        path = quote(path)
        return [
            {
                "code": code,
                "name": language.NAMES[code],
                "url": f"{path}?{urlencode({**kept, 'lang': code})}",
                "current": code == lang,
            }
            for code in _spoken()
        ]

    @cached_property
    def _static(self) -> dict[str, str]:
        """Addresses of static files with a hash of their content, so that they may be cached for ever."""
        return {
            file.name: f"/static/{file.name}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
            for file in STATIC.iterdir()
            if file.is_file()
        }

    # -- errors ----------------------------------------------------------------------------------------------

    def _page_error(self, error: PageError) -> Response:
        if not isinstance(error, LoginError) or _is_refusal(error):
            mismatch = error.mismatch
            named = (mismatch and mismatch.client_id) or getattr(error, "client_id", None)
            known = portals.find(named or "") is not None
            record_alone(
                Event.REQUEST_REFUSED,
                at=self.house.clock(),
                client_id=named if known else None,
                reason=error.reason,
                detail=mismatch.detail if mismatch is not None else None,
            )
        log.info("%s %s: %s", g.correlation_id, type(error).__name__, error)
        if request.endpoint in {"wallet.request", "wallet.response"}:  # the login went while it was answered
            return self._presentation_error(PresentationError(error.reason))
        if isinstance(error, LoginEnded):
            return self.ended(error.login, error.reason, status=error.status)
        if error.reason == "other_browser" and request.endpoint == _FOR_SCRIPT:
            return self.words(
                "login_unknown", status=error.status
            )  # its cookie went while the page stood open
        if isinstance(error, OtherBrowser):
            return self._other_browser(error)
        portal = portals.find(error.client_id or "") if isinstance(error, RequestError) else None
        return self.error_page(
            error.reason,
            status=error.status,
            portal=portal,
            return_to=front_door(portal, self.settings.issuer) if portal else None,
        )

    def _other_browser(self, error: OtherBrowser) -> Response:
        """Whoever has an address of ours learns nothing; whom the wallet sent here may begin anew, in this browser."""
        portal = portals.find(error.portal or "")
        door = front_door(portal, self.settings.issuer) if portal else None
        return self.page(
            "other_browser.html",
            status=error.status,
            portal=self.portal(portal) if portal else None,
            begin_url=door.location if door else None,
        )

    def ended(self, login: Login, reason: str, *, status: int) -> Response:
        """A login that is over, with the way back to its portal."""
        self.speak_for(login)
        way_back = self.way_back(login, "the sign-in was not completed")
        return self.error_page(
            reason,
            status=status,
            portal=portals.find(login.request.client_id),
            return_to=way_back if login.request.device is None else None,
        )

    def way_back(self, login: Login, description: str) -> Outgoing | None:
        """How the portal hears that a login came to nothing; None when that address is no longer the portal's."""
        to = login.request.reply_to
        if not _is_registered(to):
            return None
        oauth_error = login.problem.oauth_error if login.problem else "access_denied"
        return self._told(AuthorizationError(oauth_error, description).to(to))

    def _told(self, error: AuthorizationError) -> Outgoing:
        """Where an error goes. A device hears it when it asks again, and there is a page of ours for the holder."""
        if error.reply_to is not None and error.reply_to.device is not None:
            self.house.devices.refuse(error.reply_to.device, error.error)
        return self.house.replies.error(error)

    def send(self, outgoing: Outgoing) -> Response:
        """An answer to the portal through this browser: a redirect, or a form that posts itself."""
        if not outgoing.is_form:
            return see_other(outgoing.location)
        return self.page("form_post.html", action=outgoing.uri, parameters=outgoing.parameters)

    def _authorization_error(self, error: AuthorizationError) -> Response:
        reply_to = error.reply_to
        record_alone(
            Event.LOGIN_REFUSED,
            at=self.house.clock(),
            client_id=reply_to.client_id if reply_to else None,
            reason=error.error,
            detail=error.mismatch.detail if error.mismatch is not None else None,
        )
        log.info("%s %s", g.correlation_id, error)
        if not _is_registered(reply_to):
            return self.error_page("bad_request", status=400)
        return self.send(self._told(error))

    def _presentation_error(self, error: PresentationError) -> Response:
        log.info("%s %s", g.correlation_id, error)
        response = wallet_error(error)
        if request.endpoint == "wallet.request":
            response.status_code = _GONE.get(error.reason, error.status)
        return response

    def _unavailable(self, error: Exception) -> Response:
        level = logging.INFO if isinstance(error, Busy) else logging.ERROR
        log.log(level, "%s unavailable: %s", g.correlation_id, type(error).__name__)
        return self._failed("unavailable", "temporarily_unavailable", 503)

    def _row_refused(self, error: Exception) -> Response:
        """The database is there and refused a row for none of the reasons that we know: nothing of it was written."""
        log.error("%s bug", g.correlation_id, exc_info=error)
        return self._failed("unavailable", "temporarily_unavailable", 503)

    def _http_error(self, error: HTTPException) -> Response:
        cause = getattr(error, "original_exception", None)
        # The audit of another error could not be written, or its answer not signed or encrypted.
        if isinstance(cause, (*_DATABASE_DOWN, *_KEY_MISSING, TrustDocumentError, Unavailable)):
            return self._unavailable(cause)
        if isinstance(cause, DBAPIError):
            return self._row_refused(cause)
        status = error.code or 500
        if status >= 500:
            return self._failed("internal", "server_error", status)
        failed = self._failed(_HTTP_REASONS.get(status, "bad_request"), "invalid_request", status)
        for name, value in error.get_headers():
            if name in {"Allow", "Retry-After"}:
                failed.headers[name] = value
        return failed

    def _bug(self, error: Exception) -> Response:
        log.error("%s bug", g.correlation_id, exc_info=error)
        return self._failed("internal", "server_error", 500)

    def _failed(self, reason: str, oauth_error: str, status: int) -> Response:
        """JSON for machines, a page for people."""
        if request.path.startswith(OPENDID):
            return open_did_error(reason, status)
        if request.path.startswith(API):
            return problem_of_status(status)
        for_machines = request.path.startswith(
            (
                "/token",
                "/par",
                "/introspect",
                "/revoke",
                "/device_authorization",
                "/userinfo",
                "/wallet/re",
                "/mip/",
                "/jwks",
                "/.well-known",
                "/register",
            )
        )
        if for_machines:
            response = jsonify(error=oauth_error, correlation_id=g.correlation_id)
            response.status_code = status
        else:
            response = self.error_page(reason, status=status)
        return response


def _check_one_reading(environ: Mapping[str, Any]) -> None:
    """Raises HTTPException for a request that has more than one: of its path, its host, its body."""
    path = environ.get("RAW_URI", "").partition("?")[0]  # as it was sent; both servers say so
    if _AMBIGUOUS_PATH.search(path):
        raise NotFound
    # Whose name it is does not matter, since nothing is made of it; that there is one is HTTP's (RFC 9112, 3.2).
    if not _HOST.fullmatch(environ.get("HTTP_HOST", "")) and environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
        raise BadRequest
    # Nothing is unpacked, and what is packed is no form (RFC 9110, section 15.5.16).
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType


def _take_chunks() -> None:
    """Take in a body that says its length by ending. Raises RequestEntityTooLarge, or BadRequest for broken chunks.

    Werkzeug would cut it off at the limit, and read what is left of a form as if that were all.
    """
    max_bytes, environ = request.max_content_length, request.environ
    if max_bytes is None or "HTTP_TRANSFER_ENCODING" not in environ:
        return
    try:
        body = environ["wsgi.input"].read(max_bytes + 1)
    except OSError as error:
        raise BadRequest from error
    if len(body) > max_bytes:
        raise RequestEntityTooLarge
    del environ["HTTP_TRANSFER_ENCODING"]
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))


def _spoken() -> tuple[str, ...]:
    """The languages of the page that is asked for."""
    return language.CONSOLE_LANGUAGES if request.path.startswith(_FOR_ENGINEERS) else language.LANGUAGES


def _is_refusal(error: LoginError) -> bool:
    """Whether a step of a sign-in was refused for its browser or its form, and nothing has told so yet.

    A sign-in that is over, or that nobody knows, is no such thing.
    """
    if request.endpoint in _ASKED_BY_PAGES or origin.get().caused:
        return False
    return error.status == 403 or error.reason == "form_expired"


def _is_registered(reply_to: ReplyTo | None) -> bool:
    """Asked at the moment of the answer: a registration may have changed since the login began."""
    portal = portals.find(reply_to.client_id) if reply_to is not None else None
    if portal is None or reply_to is None:
        return False
    return reply_to.device is not None or portal.has_redirect_uri(reply_to.redirect_uri)


def front_door(portal: Registration, issuer: str) -> Outgoing | None:
    """Where a sign-in can be begun anew (OpenID Connect Core 4), or at least the portal's own address."""
    if portal.initiate_login_uri is not None:
        return Outgoing(portal.initiate_login_uri, {"iss": issuer})
    return Outgoing(portal.client_uri, {}) if portal.client_uri is not None else None


def wallet_error(error: PresentationError, redirect_uri: str | None = None) -> Response:
    """What a wallet hears: never which check failed (decision D6); 503 when it may try the same again."""
    body = {"error": error.error, "error_description": "The response was not accepted."}
    if redirect_uri is not None:
        body["redirect_uri"] = redirect_uri
    response = jsonify(body)
    response.status_code = error.status
    return response


def open_did_error(reason: str, status: int) -> Response:
    """What an Open DID wallet hears: a code of its protocol, never which check failed, and our correlation id."""
    body, status = told(reason, status)
    response = jsonify({**body, "correlationId": g.correlation_id})
    response.status_code = status
    return response


def see_other(location: str) -> Response:
    """303: whatever came, the browser goes on with GET (RFC 9700, section 4.12)."""
    response = Response(status=303)
    response.headers["Location"] = location
    response.autocorrect_location_header = False
    return response


def parameters() -> dict[str, list[str]]:
    """Query and form together, so that a parameter in both counts as repeated."""
    merged: dict[str, list[str]] = {}
    for source in (request.args, request.form):
        for name, values in source.lists():
            merged.setdefault(name, []).extend(values)
    return merged
