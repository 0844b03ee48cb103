"""A sign-in at a page of our own: the console and the holder's page are portals of this house.

It is begun here, goes the way of every sign-in, and its code is redeemed inside. The verifier (RFC 7636) never leaves
the Store, so the code is worth nothing to anybody else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from authlib.oauth2.rfc6749.errors import OAuth2Error
from flask import Response, request

from idp import seal
from idp.addresses import neighbourhood
from idp.errors import LoginError
from idp.oidc.tokens import Order
from idp.portals import Registration
from idp.views.frame import Frame, see_other
from idp.views.holder import forms_match

_BEGUN_S = 3600


class Begun(msgspec.Struct, frozen=True):
    """A sign-in on its way, under `<page>-sign-in:<sha256>` of its cookie. `to`: where to go on afterwards."""

    state: str
    nonce: str
    verifier: str
    to: str
    invitation: str | None = None


@dataclass(frozen=True)
class Arrived:
    """A sign-in that came back: the ID token's `sub`, and the code it was told by, which is spent now."""

    begun: Begun
    sub: str
    code: str


class NotSignedIn(Exception):
    """The answer counts nothing. `reason` is for the audit: state, no_code, code or nonce."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OwnSignIn:
    """Sign-ins at one page. `ensure` gives the page's registration as a portal, which is written where it lacks."""

    def __init__(self, page: str, frame: Frame, ensure: Callable[[], Registration]) -> None:
        self._page = page
        self._frame = frame
        self._house = frame.house
        self._ensure = ensure
        self._cookie_name = f"{page}-sign-in"

    def begin(self, to: str, *, invitation: str | None = None, **asked: str) -> Response:
        """Send the browser to /authorize; `asked` is asked beside what every such request says.

        Raises LoginError `too_many`: anybody can begin, and what is kept for one address must have an end.
        """
        limit = self._frame.settings.holder.logins_per_minute_per_ip
        address = neighbourhood(request.remote_addr or "")
        if self._house.store.count(f"rate:{self._page}:{address}", 60) > limit:
            raise LoginError("too_many", status=429)
        cookie = seal.random_token()
        begun = Begun(seal.random_token(16), seal.random_token(16), seal.random_token(48), to, invitation)
        self._house.store.put(self._key(cookie), msgspec.to_builtins(begun), _BEGUN_S)
        self._frame.set_cookie(self._cookie_name, cookie, _BEGUN_S)
        registered = self._ensure()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode("ascii")).digest())
        parameters = {
            "client_id": registered.client_id,
            "redirect_uri": registered.redirect_uris[0],
            "response_type": "code",
            "scope": "openid",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge.rstrip(b"=").decode("ascii"),
            "code_challenge_method": "S256",
            "ui_locales": self._frame.lang(),
            **asked,
        }
        return see_other(f"/authorize?{urlencode(parameters)}")

    def back(self) -> Arrived:
        """The answer to our own request, which this browser began. Raises NotSignedIn.

        Spec: OpenID Connect Core 1.0, section 3.1.3.7; RFC 9207.
        """
        cookie = self._frame.cookie(self._cookie_name)
        self._frame.set_cookie(self._cookie_name, "", 0)
        begun = self._begun(cookie)
        if begun is None or not forms_match(begun.state, request.args.get("state", "")):
            raise NotSignedIn("state")
        code = request.args.get("code", "")[:512]
        if request.args.get("iss") != self._frame.settings.issuer or not code:
            raise NotSignedIn("no_code")
        registered = self._ensure()
        try:
            claims = self._redeem(registered, code, begun)
        except OAuth2Error as error:
            raise NotSignedIn("code") from error
        if claims.get("nonce") != begun.nonce or claims.get("aud") != registered.client_id:
            raise NotSignedIn("nonce")
        return Arrived(begun, str(claims["sub"]), code)

    def _begun(self, cookie: str | None) -> Begun | None:
        document = self._house.store.take(self._key(cookie)) if cookie and len(cookie) <= 64 else None
        try:
            return msgspec.convert(document, Begun) if document is not None else None
        except msgspec.ValidationError:  # of another version of this program
            return None

    def _redeem(self, registered: Registration, code: str, begun: Begun) -> dict[str, Any]:
        tokens = self._house.codes.redeem(
            registered,
            code,
            Order(),
            redirect_uri=registered.redirect_uris[0],
            code_verifier=begun.verifier,
        )
        return self._house.id_tokens.claims_of_hint(tokens["id_token"]) or {}

    def _key(self, cookie: str) -> str:
        return f"{self._page}-sign-in:{seal.digest(cookie)}"
