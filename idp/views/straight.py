"""The two requests that portals send most, answered without the framework where there is nothing to explain.

`POST /token` with a code and a client secret, and `GET /userinfo` with a bearer token: WSGI, in front of the
application. Whatever does not fit (another method, another parameter, a wrong secret, a code that is spent) is handed
on to the application as it came, with nothing done: there it is looked at step by step, refused and reported. So no
refusal is made here, and no rule stands here that does not stand there as well.

The steps are those of `oidc`; what is saved is the framework around them, more than half of the work.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec
from flask import Flask

from idp import events
from idp.addresses import neighbourhood
from idp.events import Origin
from idp.oidc import server, userinfo
from idp.oidc.client_auth import basic_credentials
from idp.oidc.portal_keys import NoUsableKey
from idp.portals import AUTHORIZATION_CODE, Registration
from idp.views.frame import FAILED, Frame

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
Answer = dict[str, Any] | str

_FORM = "application/x-www-form-urlencoded"
_MAX_FORM = 8_192
_PARAMETERS = frozenset({"grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"})


class Watch(Protocol):
    """Hears of each answer: endpoint, method, seconds."""

    def __call__(self, endpoint: str, method: str, took_s: float) -> None: ...


class Straight:
    """WSGI around the application. `watch`: for the metrics."""

    def __init__(self, wsgi: Wsgi, app: Flask, frame: Frame, watch: Watch | None = None) -> None:
        self._wsgi = wsgi
        self._app = app
        self._frame = frame
        self._house = frame.house
        self._watch = watch
        self._spends_at_once = not frame.settings.uses_sqlite

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        answer: Callable[[dict[str, Any], str], Answer | None]
        if path == userinfo.PATH and method == "GET":
            endpoint, answer = "portal.userinfo", self._read
        elif path == server.PATH and method == "POST" and self._spends_at_once:
            endpoint, answer = "back_channel.token", self._redeem
        else:
            return self._wsgi(environ, start_response)
        if environ.get("QUERY_STRING") or "HTTP_DPOP" in environ:
            return self._wsgi(environ, start_response)
        began = time.perf_counter()
        correlation_id = secrets.token_hex(8)
        address = environ.get("REMOTE_ADDR") or ""
        token = events.origin.set(Origin(correlation_id=correlation_id, ip=address[:45] or None))
        try:
            self._frame.admit(environ, endpoint)
            with self._app.app_context():
                said = answer(environ, address)
        except NoUsableKey:  # before anything was spent or recorded
            said = None
        except Exception as error:
            # Something may have been done by now, so it is not tried again: the application tells what became of it.
            environ[FAILED] = error
            said = None
        finally:
            events.origin.reset(token)
        if said is None:
            return self._wsgi(environ, start_response)
        if self._watch is not None:
            self._watch(endpoint, method, time.perf_counter() - began)
        return self._sent(said, correlation_id, start_response)

    def _read(self, environ: dict[str, Any], address: str) -> Answer | None:
        scheme, _, access_token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme != "Bearer" or not access_token.isascii():
            return None
        return self._house.userinfo.straight(access_token)

    def _redeem(self, environ: dict[str, Any], address: str) -> Answer | None:
        form = _form(environ)
        if form is None or form.get("grant_type") != AUTHORIZATION_CODE:
            return None
        portal = self._portal(form, environ.get("HTTP_AUTHORIZATION"))
        if portal is None or portal.must_prove_key or AUTHORIZATION_CODE not in portal.grant_types:
            return None
        self._house.key_fetches.proven(portal.client_id, neighbourhood(address))
        return self._house.codes.redeem_straight(
            portal,
            form.get("code", ""),
            redirect_uri=form.get("redirect_uri"),
            code_verifier=form.get("code_verifier"),
        )

    def _portal(self, form: dict[str, str], authorization: str | None) -> Registration | None:
        """The portal that proves itself by a secret, in the header or in the form."""
        with_secret = self._house.client_authentication.with_secret
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if authorization is None:
            if client_id is None or secret is None:
                return None
            return with_secret(client_id, secret, "client_secret_post")
        try:
            known = basic_credentials(authorization)
        except ValueError:
            return None
        if known is None or secret is not None or client_id not in {None, known[0]}:
            return None
        return with_secret(*known, "client_secret_basic")

    def _sent(self, said: Answer, correlation_id: str, start_response: Any) -> Iterable[bytes]:
        if isinstance(said, str):
            media_type, body = "application/jwt", said.encode("ascii")
        else:
            media_type, body = "application/json", msgspec.json.encode(said)
        headers = [
            ("Content-Type", media_type),
            ("Content-Length", str(len(body))),
            ("Pragma", "no-cache"),
            ("Vary", "Cookie"),
            ("X-Correlation-Id", correlation_id),
            *self._frame.headers.items(),
        ]
        start_response("200 OK", headers)
        return [body]


def _form(environ: dict[str, Any]) -> dict[str, str] | None:
    """The parameters of a token request that have a value, where it has only those that a code needs, each once. The
    body is left as if nobody had read it."""
    length = environ.get("CONTENT_LENGTH") or ""
    if environ.get("CONTENT_TYPE") != _FORM or not length.isdecimal() or not 0 < int(length) <= _MAX_FORM:
        return None
    body = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return None
    form = dict(pairs)
    if len(form) != len(pairs) or not _PARAMETERS.issuperset(form):
        return None
    return {name: value for name, value in pairs if value}
