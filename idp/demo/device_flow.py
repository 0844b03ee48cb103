"""The counter's side of the device flow: ask for a code, then ask again and again until somebody has decided.

Spec: RFC 8628, sections 3.1 to 3.5, with OIDC Core 1.0 for what the tokens say. Every refusal raises SignInFailed.
"""

import json
from dataclasses import dataclass

from idp.demo.relying import Client, SignedIn, SignInFailed, read_json

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_TYPE = "Bearer"
DEFAULT_INTERVAL_S = 5
SLOW_DOWN_S = 5
MAX_INTERVAL_S = 60


class NotYet(Exception):
    """Nobody has decided. Ask again, but not before `interval_s` seconds have passed."""

    def __init__(self, interval_s: int) -> None:
        super().__init__("nobody has decided yet")
        self.interval_s = interval_s


@dataclass(frozen=True)
class DeviceCode:
    """What the provider gave for one visitor (RFC 8628, section 3.2). `device_code` is the counter's secret."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in_s: int
    interval_s: int


class DeviceClient(Client):
    """A screen without a keyboard for the visitor, who signs in on a phone instead."""

    def begin(self, language: str) -> DeviceCode:
        """Ask for a code to show (section 3.1). Raises SignInFailed."""
        form = {
            "client_id": self.id,
            "scope": self.scope,
            "claims": json.dumps(self.claims_parameter(), separators=(",", ":")),
            "ui_locales": language,
        }
        if self.acr_values:
            form["acr_values"] = " ".join(self.acr_values)
        given = read_json(self.post("device_authorization_endpoint", form))
        texts = [given.get(name) for name in ("device_code", "user_code", "verification_uri")]
        expires_in, interval = given.get("expires_in"), given.get("interval", DEFAULT_INTERVAL_S)
        if not all(isinstance(text, str) and text for text in texts):
            raise SignInFailed("bad_response", "the device authorization response lacks a value")
        if not isinstance(expires_in, int) or not isinstance(interval, int):
            raise SignInFailed("bad_response", "a lifetime is no number")
        device_code, user_code, address = (str(text) for text in texts)
        complete = str(given.get("verification_uri_complete") or address)
        return DeviceCode(device_code, user_code, address, complete, expires_in, max(1, interval))

    def poll(self, code: DeviceCode, interval_s: int) -> SignedIn:
        """Ask once whether the visitor has decided (sections 3.4 and 3.5).

        Raises NotYet, and SignInFailed with `access_denied`, `expired_token` or what else went wrong.
        """
        form = {"grant_type": GRANT, "device_code": code.device_code}
        try:
            tokens = read_json(self.post("token_endpoint", form))
        except SignInFailed as failure:
            match failure.code:
                case "authorization_pending":
                    raise NotYet(interval_s) from failure
                case "slow_down":
                    raise NotYet(interval_s + SLOW_DOWN_S) from failure
                case "provider_unreachable":
                    # Section 3.5: after a connection that failed, half as often.
                    raise NotYet(min(2 * interval_s, MAX_INTERVAL_S)) from failure
            raise
        return self.check_tokens(tokens, nonce=None, token_type=TOKEN_TYPE)
