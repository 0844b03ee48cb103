"""Reading a device authorization request (RFC 8628, section 3.1).

It is an authorization request without a browser: the same `CHECKS` in the same order, but for those of the answer by
redirect. The screen's `ui_locales` are not the holder's: the pages on the phone speak the phone's language.
"""

from __future__ import annotations

import msgspec

from idp.clock import Clock
from idp.errors import AuthorizationError
from idp.login import AuthorizationRequest
from idp.oidc.checks import CHECKS, OF_A_REDIRECT, Parameters, Reading
from idp.oidc.expected_values import ExpectedValues
from idp.oidc.id_token import IdTokens
from idp.portals import DEVICE_CODE, Registration


class DeviceRequests:
    """Reads device authorization requests."""

    def __init__(self, *, id_tokens: IdTokens, expected_values: ExpectedValues, clock: Clock) -> None:
        self._id_tokens = id_tokens
        self._expected_values = expected_values
        self._clock = clock

    def read(self, parameters: Parameters, portal: Registration) -> AuthorizationRequest:
        """The checked request of a portal that has proven itself. Raises AuthorizationError, told as JSON."""
        if DEVICE_CODE not in portal.grant_types:
            raise AuthorizationError(
                "unauthorized_client",
                "the device flow is not registered for this client",
                check="grant_type",
                expected=portal.grant_types,
                received=(DEVICE_CODE,),
            )
        reading = Reading(parameters, self._id_tokens, self._expected_values, portal)
        reading.made["client_id"] = portal.client_id
        for check in CHECKS:
            if check not in OF_A_REDIRECT:
                check(reading)
        if reading.one("request") is not None or reading.one("request_uri") is not None:
            raise AuthorizationError(
                "invalid_request",
                "a request object has no place in the device flow",
                check="not_offered",
                received=("request",),
            )
        asked = AuthorizationRequest(**reading.made, asked_at=self._clock())
        if "none" in asked.prompt:
            raise AuthorizationError(
                "invalid_request",
                "prompt=none has no place in the device flow",
                check="prompt",
                received=("none",),
            )
        return msgspec.structs.replace(asked, ui_locales=())
