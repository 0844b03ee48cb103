"""What is checked of an authorization request: small functions, in tuples whose order is the order of the checks.

Until the redirect URI is proven to be the portal's, an error is a page (`RequestError`). After that it goes to the
portal (`AuthorizationError`).

Spec: OpenID Connect Core 1.0, sections 3.1.2.1, 3.1.2.2, 5.5; RFC 6749, sections 3.1, 4.1.2.1; RFC 7636, section 4.3;
RFC 8707, section 2; RFC 9396, section 5; RFC 9449, section 10; RFC 9700, section 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from idp import portals
from idp.claims import SCOPES
from idp.consent import OFFLINE
from idp.errors import MAX_SAID, AuthorizationError, Mismatch, ReplyTo, RequestError, said_uri
from idp.oidc import claims_request, front_channel
from idp.oidc.expected_values import ExpectedValues
from idp.oidc.id_token import IdTokens
from idp.oidc.reply import RESPONSE_MODES
from idp.portals import AUTHORIZATION_CODE, REFRESH_TOKEN, Registration

Parameters = Mapping[str, Sequence[str]]

MAX_STATE = 4096
MAX_NONCE = 1024
MAX_SCOPE = 1024
MAX_LOCALES = 256
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_MAX_ACR_VALUES = 10
_MAX_RESOURCES = 8
_REPEATABLE = frozenset({"resource"})  # RFC 8707, section 2
KNOWN_PARAMETERS = frozenset({
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "max_age", "claims", "acr_values", "ui_locales", "claims_locales", "resource",
    "dpop_jkt", "id_token_hint", "login_hint", "request", "request_uri", "display", "registration",
})  # fmt: skip
_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_THUMBPRINT = _S256_CHALLENGE
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+\Z")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z")
_MAX_AGE = re.compile(r"[0-9]{1,9}\Z")


@dataclass
class Reading:
    """A request while it is being read; `made` collects what has been checked."""

    parameters: Parameters
    id_tokens: IdTokens
    expected_values: ExpectedValues
    portal: Registration | None = None
    signed: bool = False
    implicit: bool = False
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def client(self) -> Registration:
        if self.portal is None:
            raise RequestError("bad_request", "read before client_id")
        return self.portal

    @property
    def reply_to(self) -> ReplyTo:
        """Where an error goes, as far as is known: `redirect_uri` has been checked."""
        return ReplyTo(
            self.client.client_id,
            self.made["redirect_uri"],
            self.made.get("state"),
            self.made.get("response_mode", "fragment" if self.in_front else "query"),
        )

    @property
    def in_front(self) -> str | None:
        """The response type, where tokens are asked for through the browser and this is offered to the portal."""
        if not self.implicit or self.client.is_fapi2:
            return None
        return front_channel.response_type(self.one("response_type"))

    def one(self, name: str) -> str | None:
        """The value of a parameter; an empty one counts as left out (RFC 6749, section 3.1)."""
        values = self.parameters.get(name, ())
        return (values[0] or None) if values else None


Check = Callable[[Reading], None]


def client(reading: Reading) -> None:
    if len(reading.parameters.get("client_id", ())) > 1:
        raise RequestError("bad_request", "client_id repeated", mismatch=Mismatch("parameter_repeated"))
    portal = portals.find(reading.one("client_id") or "")
    if portal is None:
        raise RequestError("unknown_portal", "client_id")
    reading.portal = portal
    reading.made["client_id"] = portal.client_id


def redirect_uri(reading: Reading) -> None:
    if len(reading.parameters.get("redirect_uri", ())) > 1:
        repeated = Mismatch(
            "parameter_repeated", received=("redirect_uri",), client_id=reading.client.client_id
        )
        raise RequestError("bad_request", "redirect_uri repeated", mismatch=repeated)
    uri = reading.one("redirect_uri")
    if uri is None or not reading.client.has_redirect_uri(uri):
        mismatch = redirect_mismatch(uri, reading.client)
        raise RequestError("bad_request", "redirect_uri not registered", mismatch=mismatch)
    reading.made["redirect_uri"] = uri


def redirect_mismatch(uri: str | None, client: Registration) -> Mismatch:
    """What was sent, beside the registered address that is nearest to it."""
    registered = client.redirect_uris
    if uri is None:
        return Mismatch("redirect_uri_missing", registered, client_id=client.client_id)
    said = said_uri(uri[:2048], registered)
    alike = {
        known: SequenceMatcher(None, said[:MAX_SAID], known[:MAX_SAID]).quick_ratio() for known in registered
    }
    nearest = sorted(registered, key=lambda known: -alike[known])
    return Mismatch("redirect_uri_not_registered", nearest[:1], (said,), client.client_id)


def _state(reading: Reading) -> None:
    if len(reading.parameters.get("state", ())) > 1:
        raise AuthorizationError(
            "invalid_request",
            "state is there more than once",
            check="parameter_repeated",
            received=("state",),
        )
    state = reading.one("state")
    if state is not None and len(state) > MAX_STATE:
        raise AuthorizationError(
            "invalid_request",
            f"state is longer than {MAX_STATE} characters",
            check="parameter_too_long",
            expected=(f"state: {MAX_STATE}",),
            received=(str(len(state)),),
        )
    reading.made["state"] = state


def _no_repeats(reading: Reading) -> None:
    repeated = [name for name, given in reading.parameters.items() if len(given) > 1]
    if any(name not in _REPEATABLE for name in repeated):
        raise AuthorizationError(
            "invalid_request",
            "a parameter is there more than once",
            check="parameter_repeated",
            received=[name for name in repeated if name in KNOWN_PARAMETERS],
        )


def _must_be_pushed(reading: Reading) -> None:
    if reading.client.must_push:
        raise AuthorizationError(
            "invalid_request", "this client pushes its requests (RFC 9126)", check="must_push"
        )
    if reading.client.require_signed_request_object and not reading.signed:
        raise AuthorizationError(
            "invalid_request", "this client signs its requests: request is missing", check="must_sign"
        )


def _grant_type(reading: Reading) -> None:
    if (wanted := reading.in_front) is not None:
        front_channel.check_client(reading.client, wanted)
    elif reading.one("response_type") and AUTHORIZATION_CODE not in reading.client.grant_types:
        raise AuthorizationError(
            "unauthorized_client",
            "the code flow is not registered for this client",
            check="grant_type",
            expected=reading.client.grant_types,
            received=(AUTHORIZATION_CODE,),
        )


def _not_offered(reading: Reading) -> None:
    if reading.one("registration") is not None:
        raise AuthorizationError(
            "registration_not_supported",
            "registration is not supported",
            check="not_offered",
            received=("registration",),
        )
    if reading.one("authorization_details") is not None:
        raise AuthorizationError(
            "invalid_authorization_details",
            "no type of it is known here (RFC 9396)",
            check="not_offered",
            received=("authorization_details",),
        )


def _response_type(reading: Reading) -> None:
    response_type = reading.one("response_type")
    if response_type is None:
        raise AuthorizationError(
            "invalid_request",
            "response_type is missing",
            check="response_type",
            expected=reading.client.response_types,
        )
    reading.made["response_type"] = reading.in_front or response_type
    if reading.in_front is None and response_type != "code":
        raise AuthorizationError(
            "unsupported_response_type",
            "only response_type=code is supported",
            check="response_type",
            expected=reading.client.response_types,
            received=(response_type,),
        )


def _response_mode(reading: Reading) -> None:
    mode = reading.one("response_mode")
    modes = front_channel.RESPONSE_MODES if reading.in_front else RESPONSE_MODES
    if mode is not None and mode not in modes:
        raise AuthorizationError(
            "invalid_request",
            f"response_mode must be one of {', '.join(modes)}",
            check="response_mode",
            expected=modes,
            received=(mode,),
        )
    reading.made["response_mode"] = mode or modes[0]


def _scope(reading: Reading) -> None:
    text = reading.one("scope") or ""
    if len(text) > MAX_SCOPE:
        raise AuthorizationError(
            "invalid_scope",
            "scope is too long",
            check="parameter_too_long",
            expected=(f"scope: {MAX_SCOPE}",),
            received=(str(len(text)),),
        )
    scopes = list(dict.fromkeys(text.split(" "))) if text else []
    scopes = [scope for scope in scopes if scope]
    if any(not _SCOPE.match(scope) for scope in scopes):
        raise AuthorizationError(
            "invalid_scope", "scope has characters that are not allowed", check="scope_characters"
        )
    if "openid" not in scopes:
        raise AuthorizationError(
            "invalid_scope",
            "scope must contain openid",
            check="scope_openid",
            expected=("openid",),
            received=[scope for scope in scopes if scope in SCOPES],
        )
    known = [scope for scope in scopes if scope in SCOPES]  # others are ignored, Core 3.1.2.1
    if strange := [scope for scope in known if scope not in reading.client.scopes]:
        raise AuthorizationError(
            "invalid_scope",
            "a scope is not registered for this client",
            check="scope_not_registered",
            expected=reading.client.scopes,
            received=strange,
        )
    if reading.in_front or REFRESH_TOKEN not in reading.client.grant_types:  # then it is ignored, Core 11
        known = [scope for scope in known if scope != OFFLINE]
    reading.made["scopes"] = tuple(known)


def _pkce(reading: Reading) -> None:
    if reading.in_front:  # there is no code to protect
        return
    challenge = reading.one("code_challenge")
    method = reading.one("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise AuthorizationError(
                "invalid_request",
                "code_challenge is missing",
                check="pkce_missing",
                expected=("code_challenge",),
            )
        if reading.client.require_pkce:
            raise AuthorizationError(
                "invalid_request",
                "code_challenge is required (PKCE, RFC 7636)",
                check="pkce_missing",
                expected=("code_challenge", "code_challenge_method=S256"),
            )
        return
    if method != "S256":
        raise AuthorizationError(
            "invalid_request",
            "code_challenge_method must be S256",
            check="pkce_method",
            expected=("S256",),
            received=(method or "",),
        )
    if not _S256_CHALLENGE.match(challenge):
        raise AuthorizationError(
            "invalid_request",
            "code_challenge must be 43 base64url characters",
            check="pkce_challenge",
            expected=("43",),
            received=(str(len(challenge)),),
        )
    reading.made["code_challenge"] = challenge


def _nonce(reading: Reading) -> None:
    nonce = reading.one("nonce")
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise AuthorizationError(
            "invalid_request",
            f"nonce is longer than {MAX_NONCE} characters",
            check="parameter_too_long",
            expected=(f"nonce: {MAX_NONCE}",),
            received=(str(len(nonce)),),
        )
    reading.made["nonce"] = nonce


def _prompt(reading: Reading) -> None:
    prompts = tuple((reading.one("prompt") or "").split())
    if set(prompts) - PROMPTS:
        raise AuthorizationError(
            "invalid_request",
            "prompt has an unknown value",
            check="prompt",
            expected=sorted(PROMPTS),
            received=prompts,
        )
    if "none" in prompts and len(prompts) > 1:
        raise AuthorizationError(
            "invalid_request",
            "prompt=none stands alone",
            check="prompt",
            expected=("none",),
            received=prompts,
        )
    reading.made["prompt"] = prompts


def _max_age(reading: Reading) -> None:
    text = reading.one("max_age")
    if text is None:
        reading.made["max_age_s"] = reading.client.default_max_age
        return
    if not _MAX_AGE.match(text):
        raise AuthorizationError("invalid_request", "max_age must be a number of seconds", check="max_age")
    reading.made["max_age_s"] = int(text)


def _claims(reading: Reading) -> None:
    text = reading.one("claims")
    if text is not None:
        reading.made["claims"] = claims_request.read(text, reading.expected_values)


def _acr(reading: Reading) -> None:
    """`acr_values` is a wish (Core 3.1.2.1); an essential `acr` in `claims` is a condition (Core 5.5.1.1)."""
    values = tuple((reading.one("acr_values") or "").split())[:_MAX_ACR_VALUES]
    values = values or reading.client.default_acr_values
    asked = (reading.made.get("claims", {}).get("id_token") or {}).get("acr") or {}
    wanted = asked.get("values") or ([asked["value"]] if "value" in asked else [])
    if not isinstance(wanted, list) or not all(isinstance(value, str) for value in wanted):
        raise AuthorizationError(
            "invalid_request",
            "claims.id_token.acr must hold strings",
            check="claims_shape",
            received=("claims.id_token.acr",),
        )
    if wanted and asked.get("essential") is True:
        reading.made.update(acr_values=tuple(wanted), acr_required=True)
    else:
        reading.made["acr_values"] = values or tuple(wanted)


def _locales(reading: Reading) -> None:
    for name in ("ui_locales", "claims_locales"):
        text = (reading.one(name) or "")[:MAX_LOCALES]
        reading.made[name] = tuple(locale for locale in text.split() if _LOCALE.match(locale))


def _resources(reading: Reading) -> None:
    asked = tuple(dict.fromkeys(value for value in reading.parameters.get("resource", ()) if value))
    strange = [said_uri(uri) for uri in asked if uri not in reading.client.resources]
    if len(asked) > _MAX_RESOURCES or strange:
        raise AuthorizationError(
            "invalid_target",
            "a resource is not registered for this client",
            check="resource",
            expected=reading.client.resources,
            received=strange,
        )
    reading.made["resources"] = asked


def _dpop_key(reading: Reading) -> None:
    jkt = reading.one("dpop_jkt")
    if jkt is not None and not _THUMBPRINT.match(jkt):
        raise AuthorizationError(
            "invalid_request", "dpop_jkt must be a SHA-256 thumbprint in base64url", check="dpop_jkt"
        )
    reading.made["dpop_jkt"] = jkt


def _expected_sub(reading: Reading) -> None:
    """Who the portal expects: by `id_token_hint`, or by `sub` in `claims` (Core 3.1.2.1 and 5.5.1)."""
    asked = (reading.made.get("claims", {}).get("id_token") or {}).get("sub") or {}
    expected = asked.get("value")
    if expected is not None and not isinstance(expected, str):
        raise AuthorizationError(
            "invalid_request",
            "claims.id_token.sub must be a string",
            check="claims_shape",
            received=("claims.id_token.sub",),
        )
    hint = reading.one("id_token_hint")
    if hint is not None:
        sub = reading.id_tokens.subject_of_hint(hint, reading.client.client_id)
        if sub is None or expected not in {None, sub}:
            raise AuthorizationError(
                "invalid_request", "id_token_hint is not one of ours for this client", check="id_token_hint"
            )
        expected = sub
    reading.made["expected_sub"] = expected


def _in_front(reading: Reading) -> None:
    if reading.in_front:
        front_channel.check(reading.made)


BEFORE_REDIRECT: tuple[Check, ...] = (client, redirect_uri)

HOW_TO_ANSWER: tuple[Check, ...] = (_state, _response_mode)
"""First, since every answer, also of an error, goes back with the one by the other."""

MAY_ASK: tuple[Check, ...] = (_grant_type,)

MUST_HAVE_BEEN_PUSHED: tuple[Check, ...] = (_must_be_pushed,)

CHECKS: tuple[Check, ...] = (
    _no_repeats,
    _not_offered,
    _response_type,
    _scope,
    _pkce,
    _nonce,
    _prompt,
    _max_age,
    _claims,
    _acr,
    _locales,
    _resources,
    _dpop_key,
    _expected_sub,
    _in_front,
)
"""`display`, `login_hint` and unknown parameters are accepted and mean nothing here (Core 3.1.2.1)."""

OF_A_REDIRECT: tuple[Check, ...] = (_response_type, _pkce)
"""Those of `CHECKS` that a request without a browser (`device_request`) does not meet."""
