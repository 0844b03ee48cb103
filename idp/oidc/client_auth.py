"""How a portal proves at the back channel that it is who it says.

`METHODS` maps the names of `token_endpoint_auth_methods_supported` to functions in the shape of Authlib's registry:
`(query_client, request) -> Client | None`, None meaning "this method was not used". A method that was used and
failed raises InvalidClientError (401). Metadata reads `METHODS`, so discovery cannot lie.

Spec: OpenID Connect Core 1.0, section 9; RFC 6749, section 2.3; RFC 7521, 7523.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy.exc import IntegrityError

from idp import portals, seal, strict_json
from idp.clock import Clock
from idp.events import Event, record_alone
from idp.models import Consumed, writing
from idp.portals import Registration

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS = ("ES256", "PS256", "RS256")
_MAX_ASSERTION = 16_384
_MAX_LIFETIME_S = 600
_LEEWAY_S = 10
_MIN_RSA_BITS = 2048


class Client(ClientMixin):  # type: ignore[misc]
    """A registration in the shape Authlib asks about."""

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.client_id = registration.client_id

    def get_client_id(self) -> str:
        return self.client_id

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return self.registration.token_endpoint_auth_method == method

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


def query_client(client_id: str) -> Client | None:
    registration = portals.find(client_id)
    return Client(registration) if registration else None


def refused(detail: str, client_id: str | None, now: int) -> InvalidClientError:
    """The one error a portal sees; the audit hears the detail."""
    known = client_id if client_id and portals.find(client_id) else None
    record_alone(Event.CLIENT_REFUSED, at=now, client_id=known, reason=detail)
    return ClientRefused("Client authentication failed.")


class ClientRefused(InvalidClientError):  # type: ignore[misc]
    """401 whatever was tried, with the scheme a client may try (RFC 6749, section 5.2; RFC 7617)."""

    status_code = 401

    def get_headers(self) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = super(InvalidClientError, self).get_headers()
        return [*headers, ("WWW-Authenticate", 'Basic realm="token endpoint", charset="UTF-8"')]


class ClientAuthentication:
    """The methods, bound to the clock and to the audiences an assertion may name."""

    def __init__(self, issuer: str, token_endpoint: str, clock: Clock) -> None:
        self._issuer = issuer
        self._token_endpoint = token_endpoint
        self._clock = clock
        self.methods: Mapping[str, Callable[[Any, Any], Client | None]] = {
            "client_secret_basic": self.client_secret_basic,
            "client_secret_post": self.client_secret_post,
            "private_key_jwt": self.private_key_jwt,
            "none": self.none,
        }

    # -- shared secrets --------------------------------------------------------------------------------------

    def client_secret_basic(self, query: Any, request: Any) -> Client | None:
        """RFC 6749, section 2.3.1: both halves are form-encoded before they are joined."""
        header = request.headers.get("Authorization", "")
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            decoded = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
        except ValueError as error:  # not base64, not ASCII, or not UTF-8 inside
            raise refused("basic_malformed", None, self._clock()) from error
        client_id, colon, secret = decoded.partition(":")
        if not colon:
            raise refused("basic_malformed", None, self._clock())
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        if request.form.get("client_id", client_id) != client_id:
            raise refused("client_id_mismatch", client_id, self._clock())
        return self._with_secret(query, client_id, secret, "client_secret_basic")

    def client_secret_post(self, query: Any, request: Any) -> Client | None:
        secret = request.form.get("client_secret")
        if secret is None:
            return None
        return self._with_secret(query, request.form.get("client_id", ""), secret, "client_secret_post")

    def _with_secret(self, query: Any, client_id: str, secret: str, method: str) -> Client:
        client: Client | None = query(client_id)
        if client is None:
            raise refused("unknown", client_id, self._clock())
        if client.registration.token_endpoint_auth_method != method:
            raise refused("method_not_registered", client_id, self._clock())
        if not client.registration.has_secret(secret):
            raise refused("wrong_secret", client_id, self._clock())
        return client

    # -- no secret -------------------------------------------------------------------------------------------

    def none(self, query: Any, request: Any) -> Client | None:
        """A public client names itself; PKCE is what binds its code."""
        client_id = request.form.get("client_id")
        if client_id is None:
            return None
        client: Client | None = query(client_id)
        if client is None or client.registration.token_endpoint_auth_method != "none":
            raise refused("no_credentials", client_id, self._clock())
        return client

    # -- a signed assertion ----------------------------------------------------------------------------------

    def private_key_jwt(self, query: Any, request: Any) -> Client | None:
        """RFC 7523, section 3. The key comes from the registration, never from the assertion's header."""
        assertion = request.form.get("client_assertion")
        if assertion is None and request.form.get("client_assertion_type") is None:
            return None
        if assertion is None or request.form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidRequestError("client_assertion and client_assertion_type belong together.")
        claimed = _unverified_client_id(assertion)
        if request.form.get("client_id", claimed) != claimed:
            raise refused("client_id_mismatch", claimed, self._clock())
        client: Client | None = query(claimed)
        if client is None:
            raise refused("unknown", claimed, self._clock())
        if client.registration.token_endpoint_auth_method != "private_key_jwt":
            raise refused("method_not_registered", claimed, self._clock())
        try:
            claims = _verified_claims(assertion, client.registration)
            jti, expires_at = self._checked(claims, claimed)
        except (JoseError, ValueError, TypeError) as error:
            raise refused("assertion_refused", claimed, self._clock()) from error
        self._consume(claimed, jti, expires_at)
        return client

    def _checked(self, claims: Mapping[str, Any], client_id: str) -> tuple[str, int]:
        """jti and expiry of an assertion whose claims hold. Raises ValueError."""
        now = self._clock()
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            raise ValueError("iss and sub must be the client_id")
        audiences = claims.get("aud")
        audiences = audiences if isinstance(audiences, list) else [audiences]
        if not audiences or any(
            audience not in (self._issuer, self._token_endpoint) for audience in audiences
        ):
            raise ValueError("aud")  # an audience that is not us means that it was made for somebody else
        expires_at = _numeric_date(claims, "exp")
        if expires_at is None or not now - _LEEWAY_S < expires_at <= now + _MAX_LIFETIME_S + _LEEWAY_S:
            raise ValueError("exp")
        for name in ("nbf", "iat"):
            moment = _numeric_date(claims, name)
            if moment is not None and moment > now + _LEEWAY_S:
                raise ValueError(name)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= 256:
            raise ValueError("jti")
        return jti, expires_at + _LEEWAY_S

    def _consume(self, client_id: str, jti: str, expires_at: int) -> None:
        digest = seal.digest(f"{len(client_id)}:{client_id}{jti}")
        try:
            with writing() as database:
                database.add(Consumed(kind="client_assertion", digest=digest, expires_at=expires_at))
        except IntegrityError as error:
            raise refused("assertion_replayed", client_id, self._clock()) from error


class _Registry(jws.JWSRegistry):
    max_header_length = 8192
    max_payload_length = 8192


def _unverified_client_id(assertion: str) -> str:
    """Who the assertion says it is from: only to look up the key that must have signed it."""
    if len(assertion) > _MAX_ASSERTION or assertion.count(".") != 2:
        return ""
    try:
        claims = strict_json.loads_object(seal.unb64(assertion.split(".")[1]))
    except ValueError:
        return ""
    sub = claims.get("sub")
    return sub if isinstance(sub, str) else ""


def _verified_claims(assertion: str, registration: Registration) -> dict[str, Any]:
    """The claims of an assertion signed by one of the portal's keys. Raises JoseError or ValueError."""
    parts = assertion.split(".")
    for part in parts:
        seal.unb64(part)  # one spelling only
    header = strict_json.loads_object(seal.unb64(parts[0]))
    alg, kid = header.get("alg"), header.get("kid")
    if alg not in ASSERTION_ALGORITHMS or "crit" in header:
        raise ValueError("header")
    registry = _Registry(algorithms=[alg], strict_check_header=False)
    for key in _keys(registration, alg, kid):
        try:
            token = jws.deserialize_compact(assertion, key, registry=registry)
        except JoseError:
            continue
        return strict_json.loads_object(token.payload)
    raise ValueError("no registered key verifies it")


def _keys(registration: Registration, alg: str, kid: object) -> list[ECKey | RSAKey]:
    """The registered keys that fit, those of this `kid` alone when one is named."""
    found: list[ECKey | RSAKey] = []
    for jwk in (registration.jwks or {}).get("keys", ()):
        fits_kid = kid is None or jwk.get("kid") == kid
        if not fits_kid or jwk.get("use", "sig") != "sig" or jwk.get("alg", alg) != alg:
            continue
        if alg == "ES256" and jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
            found.append(ECKey.import_key(jwk))
        elif alg != "ES256" and jwk.get("kty") == "RSA":
            key = RSAKey.import_key(jwk)
            if key.raw_value.key_size >= _MIN_RSA_BITS:
                found.append(key)
    return found[:8]


def _numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(name)
    return int(value)
