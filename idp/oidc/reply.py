"""The answer to an authorization request: what goes back to the portal, and by which way.

A `response_mode` is a way (`query` or `form_post`) and whether the parameters travel signed (JARM). `fragment` is for
`oidc.front_channel` alone. `iss` is in every answer (RFC 9207; in a JWT it is the JWT's own).

Spec: RFC 6749, sections 4.1.2 and 4.1.2.1; OAuth 2.0 Form Post Response Mode 1.0; JWT Secured Authorization Response
Mode for OAuth 2.0 (JARM), sections 2.1 and 2.3; RFC 9207.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from idp import portals
from idp.clock import Clock
from idp.errors import AuthorizationError, ReplyTo, RequestError
from idp.oidc.wrapping import Wrapping

RESPONSE_MODES = ("query", "form_post", "query.jwt", "form_post.jwt", "jwt")
DONE_PATH = "/device/done"
REFUSED_PATH = "/device/refused"
_JWT_TTL_S = 600  # JARM, section 2.1: at most ten minutes are recommended; the code inside lives for one


class Outgoing(msgspec.Struct, frozen=True):
    """An answer on its way: a redirect to `location`, or a form of `parameters` that the browser posts to `uri`."""

    uri: str
    parameters: dict[str, str]
    is_form: bool = False
    is_fragment: bool = False

    @property
    def location(self) -> str:
        """The URI with the parameters in its query, or in its fragment."""
        if not self.parameters:
            return self.uri
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.parameters.items())
        separator = "#" if self.is_fragment else "&" if "?" in self.uri else "?"
        return f"{self.uri}{separator}{query}"


class Replies:
    """Makes answers, of codes and of errors."""

    def __init__(self, issuer: str, wrapping: Wrapping, clock: Clock) -> None:
        self._issuer = issuer
        self._wrapping = wrapping
        self._clock = clock

    def answer(self, to: ReplyTo, **parameters: str | None) -> Outgoing:
        """An answer with these parameters, `state` and `iss`."""
        if to.device is not None:
            # Nothing goes to the portal by this browser: a page of ours says how it ended.
            return Outgoing(self._issuer + (REFUSED_PATH if "error" in parameters else DONE_PATH), {})
        if not to.redirect_uri:
            raise RequestError("bad_request", "an answer without a proven redirect_uri")
        given = {**parameters, "state": to.state}
        plain = {name: value for name, value in given.items() if value is not None}
        if to.response_mode.endswith("jwt"):
            sent = {"response": self._signed(to, plain)}
        else:
            sent = {**plain, "iss": self._issuer}
        mode = to.response_mode
        return Outgoing(to.redirect_uri, sent, mode.startswith("form_post"), mode == "fragment")

    def error(self, error: AuthorizationError) -> Outgoing:
        """Where an AuthorizationError goes (RFC 6749, section 4.1.2.1)."""
        if error.reply_to is None:
            raise RequestError("bad_request", "an error without a proven redirect_uri")
        return self.answer(error.reply_to, error=error.error, error_description=error.description)

    def _signed(self, to: ReplyTo, parameters: dict[str, str]) -> str:
        portal = portals.find(to.client_id)
        if portal is None:
            raise RequestError("unknown_portal", "gone since it asked")
        now = self._clock()
        claims: dict[str, Any] = {
            **parameters,
            "iss": self._issuer,
            "aud": to.client_id,
            "iat": now,
            "exp": now + _JWT_TTL_S,
        }
        return self._wrapping.jwt(
            claims,
            typ="JWT",
            alg=portal.authorization_signed_response_alg,
            registration=portal,
            encryption_alg=portal.authorization_encrypted_response_alg,
            encryption_enc=portal.authorization_encrypted_response_enc,
        )
