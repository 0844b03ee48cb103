"""Reading an authorization request: a visible, ordered list of small checks.

Until the redirect URI is proven to be the portal's, an error is a page (`RequestError`). After that it is a
redirect (`AuthorizationError`).

Spec: OpenID Connect Core 1.0, sections 3.1.2.1, 3.1.2.2, 5.5; RFC 6749, sections 3.1, 4.1.2.1; RFC 7636, section 4.3;
RFC 9700, section 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from idp import portals, strict_json
from idp.claims import CLAIMS, SCOPES, as_list
from idp.consent import asked_claims
from idp.errors import AuthorizationError, RequestError
from idp.login import AuthorizationRequest, Proof
from idp.oidc.id_token import IdTokens
from idp.portals import Registration
from idp.session import Session

Parameters = Mapping[str, Sequence[str]]

MAX_STATE = 4096
MAX_NONCE = 1024
MAX_SCOPE = 1024
MAX_CLAIMS_BYTES = 16_384
MAX_LOCALES = 256
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
ACR_LEVELS = ("general", "secure")
_CLAIMS_WITH_VALUES = frozenset({"acr", "sub", "verified_claims"})
_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+\Z")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z")
_MAX_AGE = re.compile(r"[0-9]{1,9}\Z")


@dataclass
class Reading:
    """A request while it is being read; `made` collects what has been checked."""

    parameters: Parameters
    issuer: str
    id_tokens: IdTokens
    portal: Registration | None = None
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def client(self) -> Registration:
        if self.portal is None:
            raise RequestError("bad_request", "read before client_id")
        return self.portal

    def one(self, name: str) -> str | None:
        """The value of a parameter; an empty one counts as left out (RFC 6749, section 3.1)."""
        values = self.parameters.get(name, ())
        return (values[0] or None) if values else None


def read(
    parameters: Parameters, *, issuer: str, id_tokens: IdTokens
) -> tuple[Registration, AuthorizationRequest]:
    """The portal and its checked request.

    Raises RequestError (a page), AuthorizationError with `redirect_uri` and `state` set (a redirect).
    """
    reading = Reading(parameters, issuer, id_tokens)
    for check in BEFORE_REDIRECT:
        check(reading)
    try:
        for check in CHECKS:
            check(reading)
    except AuthorizationError as error:
        error.redirect_uri = reading.made["redirect_uri"]
        error.state = reading.made.get("state")
        error.client_id = reading.client.client_id
        raise
    return reading.client, AuthorizationRequest(**reading.made)


def _client(reading: Reading) -> None:
    if len(reading.parameters.get("client_id", ())) > 1:
        raise RequestError("bad_request", "client_id repeated")
    portal = portals.find(reading.one("client_id") or "")
    if portal is None:
        raise RequestError("unknown_portal", "client_id")
    reading.portal = portal
    reading.made["client_id"] = portal.client_id


def _redirect_uri(reading: Reading) -> None:
    if len(reading.parameters.get("redirect_uri", ())) > 1:
        raise RequestError("bad_request", "redirect_uri repeated")
    uri = reading.one("redirect_uri")
    if uri is None or not reading.client.has_redirect_uri(uri):
        raise RequestError("bad_request", "redirect_uri not registered")
    reading.made["redirect_uri"] = uri


def _state(reading: Reading) -> None:
    if len(reading.parameters.get("state", ())) > 1:
        raise AuthorizationError("invalid_request", "state is there more than once")
    state = reading.one("state")
    if state is not None and len(state) > MAX_STATE:
        raise AuthorizationError("invalid_request", f"state is longer than {MAX_STATE} characters")
    reading.made["state"] = state


def _no_repeats(reading: Reading) -> None:
    if any(len(values) > 1 for values in reading.parameters.values()):
        raise AuthorizationError("invalid_request", "a parameter is there more than once")


def _no_request_object(reading: Reading) -> None:
    for name in ("request", "request_uri", "registration"):
        if reading.one(name) is not None:
            raise AuthorizationError(f"{name}_not_supported", f"{name} is not supported")


def _response_type(reading: Reading) -> None:
    response_type = reading.one("response_type")
    if response_type is None:
        raise AuthorizationError("invalid_request", "response_type is missing")
    if response_type != "code":
        raise AuthorizationError("unsupported_response_type", "only response_type=code is supported")


def _response_mode(reading: Reading) -> None:
    if reading.one("response_mode") not in {None, "query"}:
        raise AuthorizationError("invalid_request", "only response_mode=query is supported")


def _scope(reading: Reading) -> None:
    text = reading.one("scope") or ""
    if len(text) > MAX_SCOPE:
        raise AuthorizationError("invalid_scope", "scope is too long")
    scopes = list(dict.fromkeys(text.split(" "))) if text else []
    scopes = [scope for scope in scopes if scope]
    if any(not _SCOPE.match(scope) for scope in scopes):
        raise AuthorizationError("invalid_scope", "scope has characters that are not allowed")
    if "openid" not in scopes:
        raise AuthorizationError("invalid_scope", "scope must contain openid")
    known = [scope for scope in scopes if scope in SCOPES]  # others are ignored, Core 3.1.2.1
    if set(known) - set(reading.client.scopes):
        raise AuthorizationError("invalid_scope", "a scope is not registered for this client")
    reading.made["scopes"] = tuple(known)


def _pkce(reading: Reading) -> None:
    challenge = reading.one("code_challenge")
    method = reading.one("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise AuthorizationError("invalid_request", "code_challenge is missing")
        if reading.client.require_pkce:
            raise AuthorizationError("invalid_request", "code_challenge is required (PKCE, RFC 7636)")
        return
    if method != "S256":
        raise AuthorizationError("invalid_request", "code_challenge_method must be S256")
    if not _S256_CHALLENGE.match(challenge):
        raise AuthorizationError("invalid_request", "code_challenge must be 43 base64url characters")
    reading.made["code_challenge"] = challenge


def _nonce(reading: Reading) -> None:
    nonce = reading.one("nonce")
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise AuthorizationError("invalid_request", f"nonce is longer than {MAX_NONCE} characters")
    reading.made["nonce"] = nonce


def _prompt(reading: Reading) -> None:
    prompts = tuple((reading.one("prompt") or "").split())
    if set(prompts) - PROMPTS:
        raise AuthorizationError("invalid_request", "prompt has an unknown value")
    if "none" in prompts and len(prompts) > 1:
        raise AuthorizationError("invalid_request", "prompt=none stands alone")
    reading.made["prompt"] = prompts


def _max_age(reading: Reading) -> None:
    text = reading.one("max_age")
    if text is None:
        return
    if not _MAX_AGE.match(text):
        raise AuthorizationError("invalid_request", "max_age must be a number of seconds")
    reading.made["max_age_s"] = int(text)


def _claims(reading: Reading) -> None:
    text = reading.one("claims")
    if text is None:
        return
    try:
        claims = strict_json.loads_object(text, max_bytes=MAX_CLAIMS_BYTES)
    except ValueError as error:
        raise AuthorizationError("invalid_request", "claims is not a JSON object", str(error)) from error
    for place in ("id_token", "userinfo"):
        if not _is_claims_request(claims.get(place)):
            raise AuthorizationError("invalid_request", f"claims.{place} must hold null or objects")
    reading.made["claims"] = {
        place: _needed(claims[place] or {}) for place in ("id_token", "userinfo") if place in claims
    }


def _needed(members: Mapping[str, Any]) -> dict[str, Any]:
    """What is acted upon. The rest is not kept: a portal may have put a person's name there, as what it expects."""
    return {
        name: member if name in _CLAIMS_WITH_VALUES else None
        for name, member in members.items()
        if name in CLAIMS or name in _CLAIMS_WITH_VALUES
    }


def _is_claims_request(members: object) -> bool:
    if members is None:
        return True
    if not isinstance(members, dict):
        return False
    for name, member in members.items():
        if name == "verified_claims":
            if not as_list(member) or not all(_is_verified_request(entry) for entry in as_list(member)):
                return False
        elif member is not None and not isinstance(member, dict):
            return False
    return True


def _is_verified_request(entry: object) -> bool:
    """OpenID Identity Assurance 1.0, section 5: both members are objects, and `claims` asks for something."""
    if not isinstance(entry, dict) or not isinstance(entry.get("verification"), dict):
        return False
    claims = entry.get("claims")
    return (
        isinstance(claims, dict)
        and bool(claims)
        and all(member is None or isinstance(member, dict) for member in claims.values())
    )


def _acr(reading: Reading) -> None:
    """`acr_values` is a wish (Core 3.1.2.1); an essential `acr` in `claims` is a condition (Core 5.5.1.1)."""
    values = tuple((reading.one("acr_values") or "").split())[:10]
    asked = (reading.made.get("claims", {}).get("id_token") or {}).get("acr") or {}
    wanted = asked.get("values") or ([asked["value"]] if "value" in asked else [])
    if not isinstance(wanted, list) or not all(isinstance(value, str) for value in wanted):
        raise AuthorizationError("invalid_request", "claims.id_token.acr must hold strings")
    if wanted and asked.get("essential") is True:
        reading.made.update(acr_values=tuple(wanted), acr_required=True)
    else:
        reading.made["acr_values"] = values or tuple(wanted)


def _ui_locales(reading: Reading) -> None:
    text = (reading.one("ui_locales") or "")[:MAX_LOCALES]
    reading.made["ui_locales"] = tuple(locale for locale in text.split() if _LOCALE.match(locale))


def _expected_sub(reading: Reading) -> None:
    """Who the portal expects: by `id_token_hint`, or by `sub` in `claims` (Core 3.1.2.1 and 5.5.1)."""
    asked = (reading.made.get("claims", {}).get("id_token") or {}).get("sub") or {}
    expected = asked.get("value")
    if expected is not None and not isinstance(expected, str):
        raise AuthorizationError("invalid_request", "claims.id_token.sub must be a string")
    hint = reading.one("id_token_hint")
    if hint is not None:
        sub = reading.id_tokens.subject_of_hint(hint, reading.client.client_id)
        if sub is None or expected not in {None, sub}:
            raise AuthorizationError("invalid_request", "id_token_hint is not one of ours for this client")
        expected = sub
    reading.made["expected_sub"] = expected


Check = Callable[[Reading], None]

BEFORE_REDIRECT: tuple[Check, ...] = (_client, _redirect_uri)

CHECKS: tuple[Check, ...] = (
    _state,
    _no_repeats,
    _no_request_object,
    _response_type,
    _response_mode,
    _scope,
    _pkce,
    _nonce,
    _prompt,
    _max_age,
    _claims,
    _acr,
    _ui_locales,
    _expected_sub,
)
"""`display`, `login_hint` and unknown parameters are accepted and mean nothing here (Core 3.1.2.1)."""


def acr_reached(portal: Registration, request: AuthorizationRequest, acr: str, issuer: str) -> bool:
    """Whether this `acr` is enough for what the portal is registered for and what the request insists on."""
    level = acr.rpartition("/")[2]
    if ACR_LEVELS.index(level) < ACR_LEVELS.index(portal.required_acr):
        return False
    if not request.acr_required:
        return True
    reached = {f"{issuer}/acr/{known}" for known in ACR_LEVELS[: ACR_LEVELS.index(level) + 1]}
    return bool(reached.intersection(request.acr_values))


def session_serves(
    portal: Registration,
    request: AuthorizationRequest,
    session: Session,
    proof: Proof,
    *,
    now: int,
    issuer: str,
) -> bool:
    """Whether an earlier presentation answers this request without asking the wallet again."""
    if not portal.single_sign_on or {"login", "select_account"} & set(request.prompt):
        return False
    # max_age=0 is prompt=login (Core 3.1.2.1), also within the second of the last sign-in.
    if request.max_age_s == 0 or (request.max_age_s and now - session.presented_at > request.max_age_s):
        return False
    if request.max_age_s == 0:  # the same as prompt=login, also within the second
        return False
    if not acr_reached(portal, request, session.acr, issuer):
        return False
    if session.via == "qr" and not portal.cross_device:
        return False
    if portal.credential_types and proof.credential_type not in portal.credential_types:
        return False
    if proof.valid_until is not None and now >= proof.valid_until:
        return False
    return all(
        CLAIMS[claim.name].value(proof.claims) is not None
        for claim in asked_claims(portal, request)
        if claim.required
    )


def redirect(uri: str, issuer: str, **parameters: str | None) -> str:
    """The portal's redirect URI with response parameters added, `iss` among them (RFC 9207)."""
    given = {**parameters, "iss": issuer}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items() if value is not None)
    separator = "&" if "?" in uri else "?"
    return f"{uri}{separator}{query}"


def error_redirect(error: AuthorizationError, issuer: str) -> str:
    """Where an AuthorizationError goes (RFC 6749, section 4.1.2.1)."""
    if error.redirect_uri is None:
        raise RequestError("bad_request", "an error without a proven redirect_uri")
    return redirect(
        error.redirect_uri, issuer, error=error.error, error_description=error.description, state=error.state
    )
