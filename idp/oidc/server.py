"""`/token`: Authlib's switchboard, our conversation.

A small subclass of Authlib's Flask server: form parameters only, each at most once, and exactly one way of client
authentication. Grants are classes whose two methods read top to bottom; no hooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Payload, FlaskOAuth2Request
from authlib.oauth2.rfc6749 import BaseGrant, OAuth2Error, OAuth2Request, TokenEndpointMixin
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError, UnauthorizedClientError
from flask import Request, Response
from flask import request as http
from werkzeug.datastructures import ImmutableMultiDict

from idp.addresses import neighbourhood
from idp.clock import Clock
from idp.errors import Mismatch
from idp.events import Event, origin, record_alone
from idp.oidc.binding import Bindings
from idp.oidc.client_auth import Client, ClientAuthentication, query_client
from idp.oidc.code import Codes
from idp.oidc.device import Devices
from idp.oidc.key_use import KeyFetches
from idp.oidc.portal_keys import NoUsableKey
from idp.oidc.refresh import RefreshTokens
from idp.oidc.tokens import InvalidTargetError, Order
from idp.portals import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN

_MAX_PARAMETER = 16_384
_FORM = "application/x-www-form-urlencoded"
PATH = "/token"
GOES_ON = frozenset({"use_dpop_nonce", "authorization_pending", "slow_down"})
"""Errors that are a step of the conversation and no refusal: nothing is wrong, and nothing is recorded."""


class InvalidAuthorizationDetailsError(OAuth2Error):  # type: ignore[misc]
    """RFC 9396, section 5: no type of authorization details is known here."""

    error = "invalid_authorization_details"


class Grant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """What every grant does first: the portal proves itself, its grant type is registered, its key is known."""

    TOKEN_ENDPOINT_AUTH_METHODS: Sequence[str] = ()

    def validate_token_request(self) -> None:
        client: Client = self.server.authenticate(self.request)
        self.request.client = client
        if not client.check_grant_type(self.GRANT_TYPE):
            record_alone(
                Event.TOKEN_REFUSED,
                at=self.server.clock(),
                client_id=client.client_id,
                reason="grant_type",
                detail=Mismatch("grant_type", client.registration.grant_types, (self.GRANT_TYPE,)).detail,
            )
            raise UnauthorizedClientError("This grant type is not registered for this client.")
        if self.request.form.get("authorization_details"):
            raise InvalidAuthorizationDetailsError("No type of authorization_details is known here.")

    def order(self) -> Order:
        """What this request asks for beyond its grant. Raises InvalidTargetError, DpopRefused."""
        form = http.form
        resources = [resource for resource in form.getlist("resource") if resource]
        if len(resources) > 1:
            raise InvalidTargetError("A token is for one resource: ask once for each.")
        scopes = tuple(dict.fromkeys((form.get("scope") or "").split()))
        cnf = self.server.bindings.confirmation(self.request.client.registration, http.headers, path=PATH)
        return Order(scopes or None, resources[0] if resources else None, cnf)


class AuthorizationCodeGrant(Grant):
    """`grant_type=authorization_code` (RFC 6749, section 4.1.3). A `scope` here is not part of it."""

    GRANT_TYPE = AUTHORIZATION_CODE

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        form = self.request.form
        code = _bearer_value(form.get("code"), "code")
        order = self.order()
        tokens = self.server.codes.redeem(
            self.request.client.registration,
            code,
            Order(None, order.resource, order.cnf),
            redirect_uri=form.get("redirect_uri"),
            code_verifier=form.get("code_verifier"),
        )
        return 200, tokens, self.TOKEN_RESPONSE_HEADER


class RefreshTokenGrant(Grant):
    """`grant_type=refresh_token` (RFC 6749, section 6)."""

    GRANT_TYPE = REFRESH_TOKEN

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        token = _bearer_value(self.request.form.get("refresh_token"), "refresh_token")
        tokens = self.server.refresh_tokens.redeem(self.request.client.registration, token, self.order())
        return 200, tokens, self.TOKEN_RESPONSE_HEADER


class DeviceCodeGrant(Grant):
    """`grant_type=urn:ietf:params:oauth:grant-type:device_code` (RFC 8628, section 3.4)."""

    GRANT_TYPE = DEVICE_CODE

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        device_code = _bearer_value(self.request.form.get("device_code"), "device_code")
        order = self.order()
        tokens = self.server.devices.redeem(
            self.request.client.registration, device_code, Order(None, order.resource, order.cnf)
        )
        return 200, tokens, self.TOKEN_RESPONSE_HEADER


class TokenRequest(FlaskOAuth2Request):  # type: ignore[misc]
    """A token request at the address that the settings give this endpoint.

    Authlib would take scheme and host from what was sent, and raise an error of its own where they are not to its
    liking; whoever sends a request chooses its Host.
    """

    def __init__(self, request: Request, url: str) -> None:
        OAuth2Request.__init__(self, method=request.method, uri=url, headers=request.headers)
        self._request = request
        self.payload = FlaskOAuth2Payload(request)


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """The token endpoint."""

    def __init__(
        self,
        *,
        issuer: str,
        codes: Codes,
        refresh_tokens: RefreshTokens,
        devices: Devices,
        client_authentication: ClientAuthentication,
        bindings: Bindings,
        key_fetches: KeyFetches,
        clock: Clock,
    ) -> None:
        super().__init__(query_client=query_client)
        self._url = issuer + PATH
        self.clock = clock
        self.codes = codes
        self.refresh_tokens = refresh_tokens
        self.devices = devices
        self.client_authentication = client_authentication
        self.bindings = bindings
        self.key_fetches = key_fetches
        for grant in (AuthorizationCodeGrant, RefreshTokenGrant, DeviceCodeGrant):
            self.register_grant(grant)

    @property
    def grant_types(self) -> tuple[str, ...]:
        return tuple(grant.GRANT_TYPE for grant, _ in self._token_grants)

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(self.client_authentication.methods)

    def respond(self, request: Request) -> Response:
        """The response to a token request; every refusal is JSON with the right code."""
        try:
            read_form(request)
            if not request.form.get("grant_type"):
                raise InvalidRequestError("grant_type is missing.")
        except OAuth2Error as error:
            return self._sealed(self.handle_error_response(None, error))
        try:
            return self._sealed(self.create_token_response())
        except NoUsableKey as error:
            # Nothing was spent, and it is answered as something that may pass (`views.frame`): a set that could not
            # be fetched does. One without a key that fits is for the portal's engineer to find.
            record_alone(
                Event.TOKEN_REFUSED,
                at=self.clock(),
                client_id=error.client_id,
                reason="no_encryption_key",
            )
            raise

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        return TokenRequest(http, self._url)

    def authenticate(self, request: OAuth2Request) -> Client:
        """The portal behind a request, by exactly one method."""
        client = self.client_authentication.authenticate(request)
        self.key_fetches.proven(client.client_id, neighbourhood(http.remote_addr or ""))
        return client

    def handle_error_response(self, request: OAuth2Request | None, error: OAuth2Error) -> Response:
        """A refusal is in the audit, once: where what refused it has not told why, by its error."""
        if error.error not in GOES_ON and not origin.get().caused:
            client: Client | None = request.client if request is not None else None
            record_alone(
                Event.TOKEN_REFUSED,
                at=self.clock(),
                client_id=client.client_id if client is not None else None,
                reason=error.error,
            )
        answer: Response = super().handle_error_response(request, error)
        return answer

    def get_error_uri(self, request: Any, error: Any) -> None:
        return None

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens: what is worth knowing is an event."""

    @staticmethod
    def _sealed(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["Pragma"] = "no-cache"
        return response


def _bearer_value(value: str | None, name: str) -> str:
    """A code or token as it was sent. What cannot be one of ours is refused before anything is looked up."""
    if not value:
        raise InvalidRequestError(f"{name} is missing.")
    if len(value) > 256 or not value.isascii():
        raise InvalidGrantError("The grant is not valid for this request.")
    return value


def read_form(request: Request) -> None:
    """A form, nothing in the query, each parameter at most once and of bounded size (RFC 6749, section 3.2).

    Afterwards those that were sent without a value are not in it: they count as left out. `resource` alone may be
    there several times (RFC 8707, section 2.2).
    """
    if request.args:
        raise InvalidRequestError("Parameters belong in the body.")
    if request.mimetype != _FORM:
        raise InvalidRequestError(f"The body must be {_FORM}.")
    for name, values in request.form.lists():
        if len(values) > 1 and name != "resource":
            raise InvalidRequestError("A parameter is there more than once.")
        if name != "request" and any(len(value) > _MAX_PARAMETER for value in values):
            raise InvalidRequestError("A parameter is too long.")
    request.form = ImmutableMultiDict([pair for pair in request.form.items(multi=True) if pair[1]])
