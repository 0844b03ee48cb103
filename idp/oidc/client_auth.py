"""How a portal proves at the back channel that it is who it says.

`ClientAuthentication.authenticate` finds the portal behind a request to any endpoint of the back channel, by exactly
one method, the one it registered. `methods` maps the names of `token_endpoint_auth_methods_supported` to functions
`request -> Client | None`, None meaning "this method was not used". A method that was used and failed raises
ClientRefused (401). Metadata reads `methods`, so discovery cannot lie.

What an assertion may look like depends on the portal's profile (decision D2).

Spec: OpenID Connect Core 1.0, section 9; RFC 6749, section 2.3; RFC 7521, 7523, 8705; FAPI 2.0 Security Profile,
section 5.3.2.1.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError

from idp import epoch, portals, seal, strict_json
from idp.clock import Clock
from idp.errors import Mismatch, said_uri
from idp.events import Event, record_alone
from idp.models import Consumed, db, use_within, writing
from idp.oidc.mtls import CertificateRefused, ClientCertificates, Headers
from idp.oidc.portal_keys import PortalKeys, signed_payload
from idp.portals import Registration
from idp.portals.rules import SIGNING_ALGORITHMS, STRONG_ALGORITHMS
from idp.portals.secret_use import SecretUse

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS = SIGNING_ALGORITHMS
_MAX_ASSERTION = 16_384
_MAX_LIFETIME_S = {"standard": 3600, "fapi2": 600}  # an hour is what widely used client libraries take
_LEEWAY_S = 10


class Request(Protocol):
    """What is asked of a request: a form whose parameters are there once, and headers without case."""

    @property
    def form(self) -> Mapping[str, str]: ...
    @property
    def headers(self) -> Headers: ...


class Client(ClientMixin):  # type: ignore[misc]
    """A registration in the shape Authlib asks about."""

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.client_id = registration.client_id

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.registration.grant_types


Method = Callable[[Request], Client | None]


def query_client(client_id: str) -> Client | None:
    registration = portals.find(client_id)
    return Client(registration) if registration else None


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Name and secret of a Basic `Authorization`, None for another scheme (RFC 6749, section 2.3.1).

    Raises ValueError: not base64, not ASCII, not UTF-8 inside, no colon.
    """
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    client_id, colon, secret = (
        base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    )
    if not colon:
        raise ValueError("no colon")
    return unquote_plus(client_id), unquote_plus(secret)


def refused(
    reason: str, client_id: str | None, now: int, mismatch: Mismatch | None = None
) -> InvalidClientError:
    """The one error a portal sees; the audit hears the reason and, where there are two sides, both."""
    known = client_id if client_id and portals.find(client_id) else None
    detail = (mismatch or Mismatch(reason)).detail if known is not None else None
    record_alone(Event.CLIENT_REFUSED, at=now, client_id=known, reason=reason, detail=detail)
    return ClientRefused("Client authentication failed.")


class _Wrong(ValueError):
    """An assertion that does not hold, with both sides of what did not fit."""

    def __init__(self, check: str, expected: Sequence[str] = (), received: Sequence[str] = ()) -> None:
        super().__init__(check)
        self.mismatch = Mismatch(f"assertion_{check}", expected, received)


class ClientRefused(InvalidClientError):  # type: ignore[misc]
    """401 whatever was tried, with the scheme a client may try (RFC 6749, section 5.2; RFC 7617)."""

    status_code = 401

    def get_headers(self) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = super(InvalidClientError, self).get_headers()
        return [*headers, ("WWW-Authenticate", 'Basic realm="token endpoint", charset="UTF-8"')]


class ClientAuthentication:
    """The methods, bound to the clock, to portals' keys and to the audiences an assertion may name.

    `certificates` is None where TLS brings none. Needs the application context.
    """

    def __init__(
        self,
        issuer: str,
        token_endpoint: str,
        clock: Clock,
        portal_keys: PortalKeys,
        certificates: ClientCertificates | None = None,
    ) -> None:
        self._issuer = issuer
        # RFC 9126, section 2: the address of the pushed requests is an audience too.
        self._audiences = (issuer, token_endpoint, f"{issuer}/par")
        self._clock = clock
        self._portal_keys = portal_keys
        self._secret_use = SecretUse()
        # `none` comes last: whoever only names himself is a public client, unless TLS brought his certificate.
        self.methods: Mapping[str, Method] = {
            "client_secret_basic": self.client_secret_basic,
            "client_secret_post": self.client_secret_post,
            "private_key_jwt": self.private_key_jwt,
            **self._certificate_methods(certificates),
            "none": self.none,
        }

    def authenticate(self, request: Request) -> Client:
        """The portal behind a request, by exactly one method, its own (RFC 6749, section 2.3).

        Raises InvalidRequestError when more than one method is used or one is used by half, ClientRefused (401)
        when it fails or when there is none. The audit hears why.
        """
        form = request.form
        used = ["Authorization" in request.headers, "client_secret" in form, "client_assertion" in form]
        if sum(used) > 1:
            raise InvalidRequestError("More than one way of client authentication.")
        for method in self.methods.values():
            client = method(request)
            if client is not None:
                return client
        raise refused("no_credentials", None, self._clock())

    # -- shared secrets --------------------------------------------------------------------------------------

    def client_secret_basic(self, request: Request) -> Client | None:
        """RFC 6749, section 2.3.1: both halves are form-encoded before they are joined."""
        try:
            known = basic_credentials(request.headers.get("Authorization", ""))
        except ValueError as error:
            raise refused("basic_malformed", None, self._clock()) from error
        if known is None:
            return None
        client_id, secret = known
        if request.form.get("client_id", client_id) != client_id:
            raise refused("client_id_mismatch", client_id, self._clock())
        return self._with_secret(client_id, secret, "client_secret_basic")

    def client_secret_post(self, request: Request) -> Client | None:
        secret = request.form.get("client_secret")
        if secret is None:
            return None
        return self._with_secret(request.form.get("client_id", ""), secret, "client_secret_post")

    def _with_secret(self, client_id: str, secret: str, method: str) -> Client:
        client = self._registered(client_id, method)
        digest = client.registration.secret_digest(secret)
        if digest is None:
            raise refused("wrong_secret", client_id, self._clock())
        self._secret_use.note(client_id, digest, now=self._clock())
        return client

    def with_secret(self, client_id: str, secret: str, method: str) -> Registration | None:
        """The portal that this secret proves by this method, None for anything else, which nobody hears of."""
        registration = portals.find(client_id)
        if registration is None or registration.token_endpoint_auth_method != method:
            return None
        digest = registration.secret_digest(secret)
        if digest is None:
            return None
        self._secret_use.note(client_id, digest, now=self._clock())
        return registration

    def _registered(self, client_id: str, method: str) -> Client:
        """The portal of this id, if this is the method it registered."""
        client = query_client(client_id)
        if client is None:
            raise refused("unknown", client_id, self._clock())
        if client.registration.token_endpoint_auth_method != method:
            registered = client.registration.token_endpoint_auth_method
            mismatch = Mismatch("method_not_registered", (registered,), (method,))
            raise refused("method_not_registered", client_id, self._clock(), mismatch)
        return client

    # -- no secret -------------------------------------------------------------------------------------------

    def none(self, request: Request) -> Client | None:
        """A public client names itself; PKCE is what binds its code."""
        client_id = request.form.get("client_id")
        if client_id is None:
            return None
        client = query_client(client_id)
        if client is None or client.registration.token_endpoint_auth_method != "none":
            registered = client.registration.token_endpoint_auth_method if client is not None else ""
            mismatch = Mismatch("no_credentials", (registered,), ("none",))
            raise refused("no_credentials", client_id, self._clock(), mismatch)
        return client

    # -- a certificate ---------------------------------------------------------------------------------------

    def _certificate_methods(self, certificates: ClientCertificates | None) -> dict[str, Method]:
        if certificates is None:
            return {}
        return {name: partial(self._by_certificate, name, certificates) for name in certificates.methods}

    def _by_certificate(self, name: str, certificates: ClientCertificates, request: Request) -> Client | None:
        """RFC 8705, section 2: the portal names itself, the certificate proves it."""
        client_id = request.form.get("client_id")
        client = query_client(client_id) if client_id is not None else None
        if client is None or client.registration.token_endpoint_auth_method != name:
            return None
        try:
            certificate = certificates.presented(request.headers)
            if certificate is None:
                raise refused("no_certificate", client_id, self._clock())
            certificates.check(certificate, client.registration)
        except CertificateRefused as error:
            # Which check it was, in words of ours: they never say whose certificate it is.
            mismatch = Mismatch("certificate_refused", received=(str(error),))
            raise refused("certificate_refused", client_id, self._clock(), mismatch) from error
        return client

    # -- a signed assertion ----------------------------------------------------------------------------------

    def private_key_jwt(self, request: Request) -> Client | None:
        """RFC 7523, section 3. The key comes from the registration, never from the assertion's header."""
        assertion = request.form.get("client_assertion")
        if assertion is None and request.form.get("client_assertion_type") is None:
            return None
        if assertion is None or request.form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidRequestError("client_assertion and client_assertion_type belong together.")
        claimed = _unverified_client_id(assertion)
        if request.form.get("client_id", claimed) != claimed:
            raise refused("client_id_mismatch", claimed, self._clock())
        client = self._registered(claimed, "private_key_jwt")
        try:
            claims = self._verified_claims(assertion, client.registration)
            jti, expires_at = self._checked(claims, client.registration)
            issued_at = _numeric_date(claims, "iat")
        except (ValueError, TypeError) as error:
            mismatch = error.mismatch if isinstance(error, _Wrong) else Mismatch("assertion_malformed")
            raise refused("assertion_refused", claimed, self._clock(), mismatch) from error
        self._consume(claimed, jti, expires_at, issued_at)
        return client

    def examine_assertion(self, assertion: str, registration: Registration) -> Mismatch | None:
        """The first check of `private_key_jwt` that an assertion fails, None where it would do.

        Nothing is recorded, and the assertion is not used up. Whose it says it is counts as `parties`.
        """
        if len(assertion) > _MAX_ASSERTION or assertion.count(".") != 2:
            return Mismatch("assertion_malformed")
        try:
            claims = self._verified_claims(assertion, registration)
            jti, _ = self._checked(claims, registration)
        except (ValueError, TypeError) as error:
            return error.mismatch if isinstance(error, _Wrong) else Mismatch("assertion_malformed")
        used = db.session.get(Consumed, ("client_assertion", _digest(registration.client_id, jti)))
        return Mismatch("assertion_replayed") if used is not None else None

    def _verified_claims(self, assertion: str, registration: Registration) -> dict[str, Any]:
        """The claims of an assertion signed by one of the portal's keys. Raises ValueError."""
        parts = assertion.split(".")
        for part in parts:
            seal.unb64(part)  # one spelling only
        header = strict_json.loads_object(seal.unb64(parts[0]))
        alg, kid = header.get("alg"), header.get("kid")
        if not isinstance(alg, str) or alg not in _algorithms(registration):
            raise _Wrong("alg", _algorithms(registration), (str(alg),))
        if "crit" in header or "b64" in header:
            raise _Wrong("header")
        keys = self._portal_keys.verifying(registration, alg=alg, kid=kid)
        try:
            payload = signed_payload(assertion, keys, alg=alg)
        except ValueError as error:
            known = [name for key in self._portal_keys.known(registration) if (name := key.kid)]
            check = "signature" if keys else "key"
            raise _Wrong(check, [f"kid {name}" for name in known], [f"alg {alg}", f"kid {kid}"]) from error
        return strict_json.loads_object(payload)

    def _checked(self, claims: Mapping[str, Any], registration: Registration) -> tuple[str, int]:
        """jti and expiry of an assertion whose claims hold. Raises ValueError."""
        now = self._clock()
        client_id = registration.client_id
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            raise _Wrong("parties", (client_id,), _texts(claims, "iss", "sub"))
        self._check_audience(claims.get("aud"), registration)
        expires_at = _numeric_date(claims, "exp")
        latest = now + _MAX_LIFETIME_S[registration.profile] + _LEEWAY_S
        if expires_at is None or not now - _LEEWAY_S < expires_at <= latest:
            raise _Wrong("exp", (f"{now} … {latest}",), (str(expires_at),))
        for name in ("nbf", "iat"):
            moment = _numeric_date(claims, name)
            if moment is not None and moment > now + _LEEWAY_S:
                raise _Wrong("early", (f"{name} <= {now + _LEEWAY_S}",), (str(moment),))
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= 256:
            raise _Wrong("jti")
        return jti, expires_at + _LEEWAY_S

    def _check_audience(self, audience: Any, registration: Registration) -> None:
        if registration.is_fapi2:
            # Neither an array nor an endpoint: an assertion that somebody else's server might take too could be
            # passed on by it (FAPI 2.0 Security Profile, section 5.3.2.1).
            if audience != self._issuer:
                raise _Wrong("aud", (self._issuer,), _texts({"aud": audience}, "aud"))
            return
        audiences = audience if isinstance(audience, list) else [audience]
        if not audiences or any(named not in self._audiences for named in audiences):
            # An audience that is not us means that it was made for somebody else.
            raise _Wrong("aud", self._audiences, _texts({"aud": audience}, "aud"))

    def _consume(self, client_id: str, jti: str, expires_at: int, issued_at: int | None) -> None:
        digest, now = _digest(client_id, jti), self._clock()
        with writing() as database:
            began = epoch.begun_at(database, now)
            first = use_within(database, "client_assertion", digest, expires_at)
        if not first:
            raise refused("assertion_replayed", client_id, now)
        # A portal's clock may run ahead: what it dates up to the leeway after the restore may be from before it.
        if began is not None and (issued_at is None or issued_at <= began + _LEEWAY_S):
            raise refused("assertion_before_restore", client_id, now)


def _digest(client_id: str, jti: str) -> str:
    """What a used assertion is remembered by."""
    return seal.digest(f"{len(client_id)}:{client_id}{jti}")


def _algorithms(registration: Registration) -> tuple[str, ...]:
    """What this portal may sign an assertion with: its profile's algorithms, or the one it registered of them."""
    allowed = STRONG_ALGORITHMS if registration.is_fapi2 else ASSERTION_ALGORITHMS
    registered = registration.token_endpoint_auth_signing_alg
    return allowed if registered is None else tuple(alg for alg in allowed if alg == registered)


def _texts(claims: Mapping[str, Any], *names: str) -> list[str]:
    """What of these claims can be said: addresses and ids, as strings."""
    found = [claims.get(name) for name in names]
    flat = [part for value in found for part in (value if isinstance(value, list) else [value])]
    return [said_uri(value[:2048]) for value in flat if isinstance(value, str)]


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


def _numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(name)
    return int(value)
