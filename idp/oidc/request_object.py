"""Request objects: a portal's parameters in a JWT that it signed (JAR).

By value in `request`, at `/authorize` and pushed; by reference in `request_uri` for `standard` portals that
registered the address (decision D2). Always signed: an unsigned one (`alg` none) is told to be unsupported, and
discovery does not list `none`. Not offered: encrypted request objects, symmetric signatures (we keep no secrets in
clear).

What holds for every portal: a key of its own and an algorithm that it may use, `iss` is the portal, `aud` names us.
For `fapi2` in addition: no RS256, `client_id` inside, `exp` and `nbf`, neither long lived nor old. An object that
could serve as a client assertion is refused, and so is a client assertion sent as an object (RFC 9101, section 10.8).

Specs: RFC 9101; OpenID Connect Core 1.0, section 6; FAPI 2.0 Message Signing, section 5.3.1; RFC 8725.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from idp import strict_json
from idp.clock import Clock
from idp.errors import AuthorizationError, said_uri
from idp.fetch import FetchError
from idp.oidc.portal_keys import PortalKeys, signed_payload
from idp.portals import Registration
from idp.portals.rules import SIGNING_ALGORITHMS, STRONG_ALGORITHMS
from idp.seal import unb64

ACCEPT = "application/oauth-authz-req+jwt, application/jwt"
"""What `fetch` asks a `request_uri` for (RFC 9101, section 5.2.3)."""

MAX_CHARS = 49_152
MAX_REQUEST_URI = 512  # Core 6.2
MAX_LIFETIME_S = 3600
LEEWAY_S = 10
_MAX_HEADER_CHARS = 8192
_MAX_RESOURCES = 16
_MAX_NUMERIC_DATE = 253_402_300_799  # 9999-12-31T23:59:59Z
_TYPES = frozenset({"jwt", "oauth-authz-req+jwt"})
_ABOUT_THE_JWT = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
_NEVER_INSIDE = ("request", "request_uri")  # RFC 9101, section 4
_JSON_PARAMETERS: Mapping[str, type] = {"claims": dict, "registration": dict, "authorization_details": list}

Parameters = Mapping[str, Sequence[str]]


class RequestObjects:
    """Reads request objects. Threads share one.

    `fetch` is the guarded client: a URI in, the body out, or FetchError. `by_reference` is the deployment's switch
    for `request_uri`.
    """

    def __init__(
        self,
        issuer: str,
        portal_keys: PortalKeys,
        clock: Clock,
        fetch: Callable[[str], bytes],
        *,
        by_reference: bool,
    ) -> None:
        self._issuer = issuer
        self._portal_keys = portal_keys
        self._clock = clock
        self._fetch = fetch
        self.by_reference = by_reference

    def read(
        self, request: str, registration: Registration, *, client_id: str, referred: bool = False
    ) -> dict[str, list[str]]:
        """The parameters inside a request object, in the shape of a query; `client_id` is the one outside it.

        `referred`: it came by `request_uri`. `merge` puts them together with those outside.

        Raises AuthorizationError `invalid_request_object`, and `request_not_supported` or
        `request_uri_not_supported` for an unsigned one of a `standard` portal (Core 3.1.2.6).
        """
        header, claims = self._verified(request, registration, referred)
        typ = header.get("typ", "JWT")
        if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:
            raise _invalid(
                "typ must be oauth-authz-req+jwt or JWT", "typ", ("oauth-authz-req+jwt", "JWT"), (str(typ),)
            )
        self._check_parties(claims, registration, client_id)
        self._check_times(claims, registration)
        for name in _NEVER_INSIDE:
            if name in claims:
                raise _invalid(f"{name} must not be inside a request object", "inside", (), (name,))
        return {name: _values(name, value) for name, value in claims.items() if name not in _ABOUT_THE_JWT}

    def fetch(self, request_uri: str, registration: Registration) -> str:
        """The request object at an address that the portal registered; not read yet.

        A fragment names a version of the content (Core 6.2): it is neither compared nor sent. Nothing is kept.

        Raises AuthorizationError `request_uri_not_supported` and `invalid_request_uri`.
        """
        if not self.by_reference or registration.is_fapi2:
            raise AuthorizationError(
                "request_uri_not_supported",
                "request_uri is not supported",
                check="not_offered",
                received=("request_uri",),
            )
        address = request_uri.partition("#")[0]
        registered = {uri.partition("#")[0] for uri in registration.request_uris}
        if len(request_uri) > MAX_REQUEST_URI or address not in registered:
            raise AuthorizationError(
                "invalid_request_uri",
                "request_uri is not registered",
                check="request_uri_not_registered",
                expected=registration.request_uris,
                received=(said_uri(request_uri[:2048], registration.request_uris),),
            )
        try:
            return self._fetch(address).decode("ascii").strip()
        except FetchError as error:
            raise AuthorizationError(
                "invalid_request_uri",
                "request_uri cannot be fetched",
                error.reason,
                check="request_uri_fetch",
                received=(error.reason,),
            ) from error
        except UnicodeDecodeError:
            raise AuthorizationError(
                "invalid_request_uri", "request_uri has no request object", check="request_uri_fetch"
            ) from None

    def _verified(
        self, request: str, registration: Registration, referred: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The header and the claims, signed by one of the portal's keys with an algorithm it may use."""
        parts = request.split(".")
        if len(parts) == 5:
            raise _invalid("encrypted request objects are not supported", "encrypted")
        if len(request) > MAX_CHARS or len(parts) != 3 or len(parts[0]) > _MAX_HEADER_CHARS:
            raise _invalid("not a signed JWT, or too long", "malformed")
        try:
            header = strict_json.loads_object(unb64(parts[0]))
            for part in parts[1:]:
                unb64(part)  # one spelling only
        except ValueError:
            # `from None`, here and below: the parser's own error carries what it parsed.
            raise _invalid("not a signed JWT, or too long", "malformed") from None
        alg, kid = header.get("alg"), header.get("kid")
        if alg == "none" and not registration.is_fapi2:
            raise AuthorizationError(
                "request_uri_not_supported" if referred else "request_not_supported",
                "unsigned request objects are not supported",
                check="request_object_alg",
                expected=_algorithms(registration),
                received=("none",),
            )
        if not isinstance(alg, str) or alg not in _algorithms(registration):
            raise _invalid(
                "alg is not accepted from this client", "alg", _algorithms(registration), (str(alg),)
            )
        if "crit" in header or "b64" in header or not (kid is None or isinstance(kid, str)):
            raise _invalid("the header has what is not understood", "header")
        keys = self._portal_keys.verifying(registration, alg=alg, kid=kid)
        try:
            return header, strict_json.loads_object(signed_payload(request, keys, alg=alg))
        except ValueError:
            raise _invalid(
                "the signature does not verify, or signs no JSON object",
                "signature",
                (),
                (f"alg {alg}", f"kid {kid}"),
            ) from None

    def _check_parties(self, claims: Mapping[str, Any], registration: Registration, client_id: str) -> None:
        """Who made it, about whom, for whom (RFC 9101, sections 4, 5.2 and 10.8)."""
        expected = registration.client_id
        if client_id != expected:
            raise _invalid(
                "client_id is not the one outside the request object", "parties", (f"client_id {expected}",)
            )
        if claims.get("client_id", None if registration.is_fapi2 else expected) != expected:
            raise _invalid(
                "client_id is not the one outside the request object", "parties", (f"client_id {expected}",)
            )
        if claims.get("iss") != expected:
            raise _invalid(
                "iss must be the client_id", "parties", (f"iss {expected}",), _texts(claims.get("iss"))
            )
        if claims.get("sub") == expected:
            raise _invalid("sub must not be the client_id: this could be a client assertion", "sub")
        audience = claims.get("aud")
        if self._issuer not in (audience if isinstance(audience, list) else [audience]):
            raise _invalid("aud must contain the issuer", "aud", (self._issuer,), _texts(audience))

    def _check_times(self, claims: Mapping[str, Any], registration: Registration) -> None:
        """Not before, not after; for `fapi2` both are there, and bounded (FAPI 2.0 Message Signing, 5.3.1)."""
        now = self._clock()
        expires_at, not_before = _moment(claims, "exp"), _moment(claims, "nbf")
        if expires_at is not None and now >= expires_at + LEEWAY_S:
            raise _invalid("exp: the request object has expired", "time", ("exp",))
        if not_before is not None and not_before > now + LEEWAY_S:
            raise _invalid("nbf: the request object is not valid yet", "time", ("nbf",))
        if not registration.is_fapi2:
            return
        if expires_at is None or not_before is None:
            raise _invalid("exp and nbf are required", "time", ("exp", "nbf"))
        # With the check of exp above, this also bounds how long ago nbf may be.
        if expires_at - not_before > MAX_LIFETIME_S:
            raise _invalid(
                "exp is more than 60 minutes after nbf",
                "time",
                (f"exp - nbf <= {MAX_LIFETIME_S}",),
                (str(expires_at - not_before),),
            )


def merge(
    outside: Parameters, inside: Parameters, registration: Registration, *, pushed: bool = False
) -> dict[str, list[str]]:
    """The parameters that count, of those outside a request object and those in it. `request` and `request_uri` go.

    JAR's rule, for `fapi2`, for whoever registered `require_signed_request_object` and for every pushed request:
    those inside, and nothing else but `client_id` (RFC 9101, section 5; RFC 9126, section 3). Core's rule, for the
    others: those inside win, those outside fill up; `response_type`, where it is at both places, must be the same
    (Core 6.1).

    Raises AuthorizationError `invalid_request`: a parameter outside is repeated, or `response_type` differs.
    """
    if any(len(values) > 1 for name, values in outside.items() if name != "resource"):
        raise AuthorizationError(
            "invalid_request", "a parameter is there more than once", check="parameter_repeated"
        )
    client = {"client_id": [registration.client_id]}
    object_ = {name: list(values) for name, values in inside.items()}
    if pushed or registration.is_fapi2 or registration.require_signed_request_object:
        return {**object_, **client}
    for response_type in outside.get("response_type", ()):
        if response_type and object_.get("response_type", [response_type]) != [response_type]:
            raise AuthorizationError(
                "invalid_request", "response_type is not the request object's", check="response_type"
            )
    filling = {name: list(values) for name, values in outside.items() if name not in _NEVER_INSIDE}
    return {**filling, **object_, **client}


def _invalid(
    description: str, check: str, expected: Sequence[str] = (), received: Sequence[str] = ()
) -> AuthorizationError:
    return AuthorizationError(
        "invalid_request_object",
        description,
        check=f"request_object_{check}",
        expected=expected,
        received=received,
    )


def _texts(value: Any) -> list[str]:
    """What of a claim can be said: its strings."""
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _algorithms(registration: Registration) -> Sequence[str]:
    """What this portal may sign with: what it registered, else what its profile allows."""
    allowed = STRONG_ALGORITHMS if registration.is_fapi2 else SIGNING_ALGORITHMS
    registered = registration.request_object_signing_alg
    return [alg for alg in allowed if registered in {None, alg}]


def _moment(claims: Mapping[str, Any], name: str) -> int | None:
    """A NumericDate in whole seconds, None where there is none (RFC 7519, section 2)."""
    value = claims.get(name)
    if name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_NUMERIC_DATE:
        raise _invalid(f"{name} is not a number of seconds", "time", (name,))
    return int(value)


def _values(name: str, value: Any) -> list[str]:
    """A member of a request object as the values of a parameter (RFC 9101, section 4).

    Strings and whole numbers stand for themselves, JSON parameters for their text. `resource` alone may be several
    (RFC 8707, section 2.1). A type that no parameter has is refused: left out, it could be what made the request
    stricter.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    if name in _JSON_PARAMETERS and isinstance(value, _JSON_PARAMETERS[name]):
        return [json.dumps(value, ensure_ascii=False, separators=(",", ":"))]
    if name == "resource" and _is_list_of_strings(value):
        return list(value)
    raise _invalid("a member has a type that no parameter has", "member")


def _is_list_of_strings(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MAX_RESOURCES
        and all(isinstance(element, str) for element in value)
    )
