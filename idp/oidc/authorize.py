"""How an authorization request comes: in the query, in a request object, or pushed before.

What is checked of it stands in `checks`; one that was pushed (RFC 9126) was checked then and is only opened here.

Spec: OpenID Connect Core 1.0, sections 3.1.2.1 and 6; RFC 9101; RFC 9126.
"""

from __future__ import annotations

from collections.abc import Sequence

from idp.clock import Clock
from idp.errors import AuthorizationError, Mismatch, RequestError
from idp.login import AuthorizationRequest
from idp.oidc.checks import (
    BEFORE_REDIRECT,
    CHECKS,
    HOW_TO_ANSWER,
    MAY_ASK,
    MUST_HAVE_BEEN_PUSHED,
    Check,
    Parameters,
    Reading,
    client,
    redirect_mismatch,
    redirect_uri,
)
from idp.oidc.expected_values import ExpectedValues
from idp.oidc.id_token import IdTokens
from idp.oidc.pushed import PREFIX, PushedRequests
from idp.oidc.request_object import RequestObjects, merge
from idp.portals import Registration


class AuthorizationRequests:
    """Reads authorization requests, from browsers and from the back channel."""

    def __init__(
        self,
        *,
        id_tokens: IdTokens,
        expected_values: ExpectedValues,
        request_objects: RequestObjects,
        pushed: PushedRequests,
        clock: Clock,
        implicit: bool,
    ) -> None:
        self._id_tokens = id_tokens
        self._expected_values = expected_values
        self._request_objects = request_objects
        self._pushed = pushed
        self._clock = clock
        self._implicit = implicit

    def read(self, parameters: Parameters) -> tuple[Registration, AuthorizationRequest]:
        """The portal and its checked request, as a browser brought it.

        Raises RequestError (a page), AuthorizationError with `reply_to` set (told to the portal).
        """
        reading = self._reading(parameters)
        client(reading)
        request_uri = reading.one("request_uri")
        if request_uri is not None and request_uri.startswith(PREFIX):
            if len(parameters["request_uri"]) > 1:
                raise RequestError(
                    "bad_request",
                    "request_uri repeated",
                    mismatch=Mismatch(
                        "parameter_repeated", received=("request_uri",), client_id=reading.client.client_id
                    ),
                )
            return reading.client, self._opened(reading.client, request_uri)
        if reading.one("request") is not None or request_uri is not None:
            reading.parameters = self._unwrapped(reading)
            reading.signed = True
        checks = (*HOW_TO_ANSWER, *MAY_ASK, *MUST_HAVE_BEEN_PUSHED, *CHECKS)
        return reading.client, self._checked(reading, BEFORE_REDIRECT, checks)

    def read_pushed(self, parameters: Parameters, portal: Registration) -> AuthorizationRequest:
        """The checked request of a portal that has proven itself, from the form of RFC 9126, section 2.1.

        Raises AuthorizationError, RequestError: both are told as JSON.
        """
        reading = self._reading(parameters)
        reading.portal = portal
        reading.made["client_id"] = portal.client_id
        if reading.one("request_uri") is not None:
            raise AuthorizationError(
                "invalid_request",
                "request_uri cannot be pushed",
                check="not_offered",
                received=("request_uri",),
            )
        if (request := reading.one("request")) is not None:
            if len(parameters["request"]) > 1:
                raise AuthorizationError(
                    "invalid_request",
                    "request is there more than once",
                    check="parameter_repeated",
                    received=("request",),
                )
            inside = self._request_objects.read(request, portal, client_id=portal.client_id)
            reading.parameters = merge(parameters, inside, portal, pushed=True)
        elif portal.require_signed_request_object:
            raise AuthorizationError(
                "invalid_request", "this client signs its requests: request is missing", check="must_sign"
            )
        return self._checked(reading, (redirect_uri,), (*HOW_TO_ANSWER, *MAY_ASK, *CHECKS))

    def _reading(self, parameters: Parameters) -> Reading:
        return Reading(parameters, self._id_tokens, self._expected_values, implicit=self._implicit)

    def _checked(
        self, reading: Reading, before: Sequence[Check], checks: Sequence[Check]
    ) -> AuthorizationRequest:
        for check in before:
            check(reading)
        try:
            for check in checks:
                check(reading)
        except AuthorizationError as error:
            raise error.to(reading.reply_to) from error.__cause__
        return AuthorizationRequest(**reading.made, asked_at=self._clock())

    def _opened(self, portal: Registration, request_uri: str) -> AuthorizationRequest:
        """Of what stands beside a `request_uri` of ours only `client_id` counts (RFC 9126, section 4)."""
        request = self._pushed.open(request_uri, portal.client_id)
        if not portal.has_redirect_uri(request.redirect_uri):
            raise RequestError(
                "bad_request",
                "redirect_uri no longer registered",
                mismatch=redirect_mismatch(request.redirect_uri, portal),
            )
        return request

    def _unwrapped(self, reading: Reading) -> dict[str, list[str]]:
        """The parameters that count, of those outside a request object and those inside."""
        outside = reading.parameters
        try:
            for name in ("request", "request_uri"):
                if len(outside.get(name, ())) > 1:
                    raise AuthorizationError(
                        "invalid_request",
                        f"{name} is there more than once",
                        check="parameter_repeated",
                        received=(name,),
                    )
            by_value, by_reference = reading.one("request"), reading.one("request_uri")
            if by_value is not None and by_reference is not None:
                raise AuthorizationError(
                    "invalid_request",
                    "request and request_uri exclude each other",
                    check="parameter_repeated",
                    received=("request", "request_uri"),
                )
            request = by_value or self._request_objects.fetch(by_reference or "", reading.client)
            inside = self._request_objects.read(
                request, reading.client, client_id=reading.client.client_id, referred=by_value is None
            )
            return merge(outside, inside, reading.client)
        except AuthorizationError as error:
            redirect_uri(reading)  # what stands outside may say where to tell it
            try:
                for check in HOW_TO_ANSWER:
                    check(reading)
            except AuthorizationError as other:
                raise other.to(reading.reply_to) from error
            raise error.to(reading.reply_to) from error.__cause__
