"""`/token`: Authlib's switchboard, our conversation.

A small subclass of Authlib's Flask server: form parameters only, each at most once, and exactly one way of client
authentication. Grants are classes whose two methods read top to bottom; no hooks.
"""

from __future__ import annotations

from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import BaseGrant, OAuth2Error, OAuth2Request, TokenEndpointMixin
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError, InvalidRequestError
from flask import Request, Response

from idp.oidc.client_auth import Client, ClientAuthentication, ClientRefused, query_client
from idp.oidc.code import Codes

_MAX_PARAMETER = 16_384
_FORM = "application/x-www-form-urlencoded"


class AuthorizationCodeGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """`grant_type=authorization_code` (RFC 6749, section 4.1.3)."""

    GRANT_TYPE = "authorization_code"

    def validate_token_request(self) -> None:
        client: Client = self.server.authenticate(self.request)
        self.request.client = client
        code = self.request.form.get("code")
        if not code:
            raise InvalidRequestError("code is missing.")
        if len(code) > 256 or not code.isascii():
            raise InvalidGrantError("The code is not valid for this request.")

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        form = self.request.form
        tokens = self.server.codes.redeem(
            self.request.client.registration,
            form["code"],
            redirect_uri=form.get("redirect_uri"),
            code_verifier=form.get("code_verifier"),
        )
        return 200, tokens, self.TOKEN_RESPONSE_HEADER


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """The token endpoint."""

    def __init__(self, codes: Codes, client_authentication: ClientAuthentication) -> None:
        super().__init__(query_client=query_client)
        self.codes = codes
        self.methods = tuple(client_authentication.methods)
        for name, method in client_authentication.methods.items():
            self.register_client_auth_method(name, method)
        self.register_grant(AuthorizationCodeGrant)

    @property
    def grant_types(self) -> tuple[str, ...]:
        return tuple(grant.GRANT_TYPE for grant, _ in self._token_grants)

    def respond(self, request: Request) -> Response:
        """The response to a token request; every refusal is JSON with the right code."""
        try:
            check_form(request)
        except OAuth2Error as error:
            return self._sealed(self.handle_error_response(None, error))
        return self._sealed(self.create_token_response())

    def authenticate(self, request: OAuth2Request) -> Client:
        """The portal behind a request, by exactly one method (RFC 6749, section 2.3)."""
        form = request.form
        used = [
            "Authorization" in request.headers,
            "client_secret" in form,
            "client_assertion" in form,
        ]
        if sum(used) > 1:
            raise InvalidRequestError("More than one way of client authentication.")
        try:
            client: Client = self.authenticate_client(request, list(self.methods))
        except ClientRefused:
            raise
        except InvalidClientError as error:  # Authlib's own, when no method was used at all
            raise ClientRefused("Client authentication failed.") from error
        return client

    def get_error_uri(self, request: Any, error: Any) -> None:
        return None

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens: what is worth knowing is an event."""

    @staticmethod
    def _sealed(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["Pragma"] = "no-cache"
        return response


def check_form(request: Request) -> None:
    """A form, nothing in the query, each parameter at most once and of bounded size (RFC 6749, section 3.2)."""
    if request.args:
        raise InvalidRequestError("Parameters belong in the body.")
    if request.mimetype != _FORM:
        raise InvalidRequestError(f"The body must be {_FORM}.")
    for _name, values in request.form.lists():
        if len(values) > 1:
            raise InvalidRequestError("A parameter is there more than once.")
        if len(values[0]) > _MAX_PARAMETER:
            raise InvalidRequestError("A parameter is too long.")
    if not request.form.get("grant_type"):
        raise InvalidRequestError("grant_type is missing.")
