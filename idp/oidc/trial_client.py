"""The client of a sign-in that is tried: what it proves itself with, and what it does with an answer.

It does what the portal's own client has to do: it authenticates by the registered method, proves the key that its
tokens are bound to, opens what is encrypted, and checks what it opened. The code that judges it is the code that
judges portals. Secret, keys and certificate are made for one trial: the portal's own are not ours to have, so two
methods are not tried, and `method_tried` says what stands in for them.

Spec: RFC 6749, section 2.3; RFC 7523; RFC 8705; RFC 9449; JARM, section 2.4; RFC 7516.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal
from urllib.parse import quote_plus

import msgspec
from authlib.oauth2 import OAuth2Error
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from werkzeug.datastructures import Headers

from idp import seal
from idp.clock import Clock, utc
from idp.keys import Keys as SigningKeys
from idp.oidc import client_checks
from idp.oidc.binding import Bindings
from idp.oidc.client_auth import ASSERTION_TYPE, ClientAuthentication
from idp.oidc.client_checks import Asked, Checked, Decoded, decoded, header_of
from idp.oidc.code import Codes
from idp.oidc.portal_keys import Key, signed
from idp.oidc.tokens import Order, token_key
from idp.oidc.userinfo import Presented, TokenRefused, UserInfo
from idp.oidc.wrapping import DEFAULT_ENCODING
from idp.portals import Registration
from idp.portals.registration import AuthMethod
from idp.store import Store

_TOKEN_PATH: Final = "/token"
_ASSERTION_S: Final = 60
_CERTIFICATE_DAYS: Final = 1
UNTRIED: Final = frozenset({"none", "tls_client_auth"})

Binding = Literal["", "dpop", "certificate"]
Encrypted = Literal["authorization", "id_token", "userinfo"]
ENCRYPTED: Final[tuple[Encrypted, ...]] = ("authorization", "id_token", "userinfo")


class Own(msgspec.Struct, frozen=True):
    """What belongs to one trial alone, private keys as JWKs. Whoever keeps it seals it.

    signing: by algorithm. opening: by `kty`. certificate: DER, for the ES256 key; empty where none is shown.
    """

    method: AuthMethod
    binding: Binding
    signing: dict[str, dict[str, Any]]
    opening: dict[str, dict[str, Any]]
    dpop: dict[str, Any]
    secret: str = ""
    certificate: bytes = b""

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys, as a registration has them."""
        signing = [_public(jwk, use="sig", kid=_kid(alg)) for alg, jwk in self.signing.items()]
        return {
            "keys": [*signing, *(_public(jwk, use="enc", kid=_kid(kty)) for kty, jwk in self.opening.items())]
        }

    @property
    def secret_sha256(self) -> tuple[str, ...]:
        return (hashlib.sha256(self.secret.encode("ascii")).hexdigest(),) if self.secret else ()

    @property
    def jkt(self) -> str:
        """The thumbprint of its DPoP key."""
        return str(ECKey.import_key(self.dpop).thumbprint())

    def sign(self, alg: str, claims: Mapping[str, Any], *, typ: str = "JWT") -> str:
        """A JWT by its key for this algorithm."""
        return signed({"alg": alg, "typ": typ, "kid": _kid(alg)}, claims, _imported(self.signing[alg]))


def encryption(portal: Registration, what: Encrypted) -> tuple[str, str] | None:
    """`alg` and `enc` that a portal registered for this answer, None where it goes unencrypted."""
    alg = getattr(portal, f"{what}_encrypted_response_alg")
    return (alg, getattr(portal, f"{what}_encrypted_response_enc") or DEFAULT_ENCODING) if alg else None


def method_tried(portal: Registration, offered: Collection[str]) -> AuthMethod:
    """How a trial proves itself: as the portal does, or by `private_key_jwt`.

    A public client's trial could be begun by anybody who reads its client_id, and an authority's certificate is not
    ours to make.
    """
    method = portal.token_endpoint_auth_method
    return "private_key_jwt" if method in UNTRIED or method not in offered else method


def binding_of(portal: Registration) -> Binding:
    """What the portal's tokens are bound to, where its registration says that they must be."""
    if portal.tls_client_certificate_bound_access_tokens:
        return "certificate"
    return "dpop" if portal.must_prove_key else ""


def make(portal: Registration, offered: Collection[str], *, now: int) -> Own:
    """Everything that a trial of this portal needs; `offered`: the methods of client authentication here."""
    method, binding = method_tried(portal, offered), binding_of(portal)
    algorithms = {request_object_alg(portal)} if portal.require_signed_request_object else set()
    if method == "private_key_jwt":
        algorithms.add(assertion_alg(portal))
    shows_certificate = method == "self_signed_tls_client_auth" or binding == "certificate"
    if shows_certificate:
        algorithms.add("ES256")
    signing = {alg: _fresh(alg) for alg in sorted(algorithms)}
    families = {found[0].partition("-")[0] for what in ENCRYPTED if (found := encryption(portal, what))}
    opening = {
        kty: _fresh(alg) for kty, family, alg in (("EC", "ECDH", "ES256"), ("RSA", "RSA", "RS256"))
        if family in families
    }  # fmt: skip
    return Own(
        method=method,
        binding=binding,
        signing={alg: _private(key) for alg, key in signing.items()},
        opening={kty: _private(key) for kty, key in opening.items()},
        dpop=_private(_fresh("ES256")),
        secret=seal.random_token() if method.startswith("client_secret") else "",
        certificate=_certificate(signing["ES256"], now) if shows_certificate else b"",
    )


def request_object_alg(portal: Registration) -> str:
    return portal.request_object_signing_alg or "ES256"


def assertion_alg(portal: Registration) -> str:
    uses_assertions = portal.token_endpoint_auth_method == "private_key_jwt"
    return (portal.token_endpoint_auth_signing_alg if uses_assertions else None) or "ES256"


@dataclass
class Outcome:
    """What a client has at the end: the checks in their order, and what came, as far as it came."""

    checks: list[Checked] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, Any] | None = None
    id_token: Decoded | None = None
    userinfo: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return all(check.holds is not False for check in self.checks)


class TrialClient:
    """Finishes trials, at the doors that portals use, but by calls."""

    def __init__(
        self,
        *,
        issuer: str,
        certificate_header: str,
        keys: SigningKeys,
        client_authentication: ClientAuthentication,
        bindings: Bindings,
        codes: Codes,
        userinfo: UserInfo,
        store: Store,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._certificate_header = certificate_header
        self._keys = keys
        self._client_authentication = client_authentication
        self._bindings = bindings
        self._codes = codes
        self._userinfo = userinfo
        self._store = store
        self._clock = clock

    def make(self, portal: Registration) -> Own:
        return make(portal, self._client_authentication.methods, now=self._clock())

    def finish(
        self, trial: Registration, own: Own, asked: Asked, verifier: str, back: Mapping[str, str]
    ) -> Outcome:
        """What came of an answer at the callback. It stops at the first thing that a client must not pass over.

        `back`: its parameters, once each.
        """
        made = Outcome(parameters=dict(back))
        self._read_answer(trial, own, asked, made)
        made.checks += client_checks.of_callback(asked, made.parameters)
        if not made.holds or not made.parameters.get("code"):
            return made
        order = self._proven(trial, own, made)
        if order is None:
            return made
        try:
            made.tokens = self._codes.redeem(
                trial,
                made.parameters["code"],
                order,
                redirect_uri=trial.redirect_uris[0],
                code_verifier=verifier,
            )
        except OAuth2Error:
            return made
        self._read_tokens(trial, own, asked, made, made.tokens)
        return made

    def _read_answer(self, trial: Registration, own: Own, asked: Asked, made: Outcome) -> None:
        """A response in a JWT, opened and checked (JARM, section 2.4); nothing of one that fails is believed."""
        response = made.parameters.get("response")
        if response is None:
            made.checks.append(Checked("authorization_encrypted", None, _JWE))
            made.checks += client_checks.of_response(None, asked, {}, now=self._clock())
            return
        inside = self._opened(made, trial, own, "authorization", response)
        alg = trial.authorization_signed_response_alg
        found = client_checks.of_response(inside, asked, self._keys.jwks(), alg=alg, now=self._clock())
        made.checks += found
        if all(check.holds is not False for check in found):
            claims = decoded(inside).unverified_claims
            made.parameters = {name: text for name, text in claims.items() if isinstance(text, str)}

    def _opened(self, made: Outcome, trial: Registration, own: Own, what: Encrypted, text: str) -> str:
        """The signed JWT inside; "" where it is not encrypted as it was registered."""
        registered = encryption(trial, what)
        if registered is None:
            made.checks.append(Checked(f"{what}_encrypted", None, _JWE))
            return text
        try:
            inside = _decrypted(text, *registered, own)
        except ValueError:
            inside = ""
        made.checks.append(Checked(f"{what}_encrypted", bool(inside), _JWE))
        return inside

    def _proven(self, trial: Registration, own: Own, made: Outcome) -> Order | None:
        """What is ordered, once client and key are proven as at `/token`; None where one is not."""
        form, headers = self._credentials(trial, own)
        try:
            self._client_authentication.authenticate(_Sent(form, headers))
        except OAuth2Error:
            made.checks.append(Checked("client_authentication", False, _AUTHENTICATION))
            return None
        made.checks.append(Checked("client_authentication", True, _AUTHENTICATION))
        try:
            cnf = self._bindings.confirmation(
                trial, self._with_key(own, "POST", _TOKEN_PATH, headers), path=_TOKEN_PATH
            )
        except OAuth2Error:
            made.checks.append(Checked("key_proven", False, _BINDING))
            return None
        made.checks.append(Checked("key_proven", cnf is not None if own.binding else None, _BINDING))
        return Order(cnf=cnf)

    def _credentials(self, trial: Registration, own: Own) -> tuple[dict[str, str], Headers]:
        client_id = trial.client_id
        headers = Headers()
        match own.method:
            case "client_secret_basic":
                pair = f"{quote_plus(client_id)}:{quote_plus(own.secret)}".encode()
                headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
                return {}, headers
            case "client_secret_post":
                return {"client_id": client_id, "client_secret": own.secret}, headers
            case "self_signed_tls_client_auth":
                return {"client_id": client_id}, self._with_certificate(own, headers)
            case _:
                now = self._clock()
                claims = {
                    "iss": client_id,
                    "sub": client_id,
                    "aud": self._issuer,
                    "jti": seal.random_token(16),
                    "iat": now,
                    "exp": now + _ASSERTION_S,
                }
                assertion = own.sign(assertion_alg(trial), claims)
                return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}, headers

    def _with_key(
        self, own: Own, method: str, path: str, headers: Headers, access_token: str | None = None
    ) -> Headers:
        """The headers that prove the key of a request, beside those that are there."""
        if own.binding == "certificate":
            return self._with_certificate(own, headers)
        if own.binding == "dpop":
            headers["DPoP"] = self._proof(own, method, path, access_token)
        return headers

    def _with_certificate(self, own: Own, headers: Headers) -> Headers:
        """As the proxy hands it over (RFC 9440), where it would."""
        if self._certificate_header and own.certificate:
            headers[self._certificate_header] = f":{base64.b64encode(own.certificate).decode('ascii')}:"
        return headers

    def _proof(self, own: Own, method: str, path: str, access_token: str | None) -> str:
        key = ECKey.import_key(own.dpop)
        claims: dict[str, Any] = {
            "jti": seal.random_token(16),
            "htm": method,
            "htu": self._issuer + path,
            "iat": self._clock(),
            "nonce": self._bindings.nonce(),
        }
        if access_token is not None:
            claims["ath"] = seal.b64(hashlib.sha256(access_token.encode("ascii")).digest())
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
        return signed(header, claims, key)

    def _read_tokens(
        self, trial: Registration, own: Own, asked: Asked, made: Outcome, tokens: Mapping[str, Any]
    ) -> None:
        access_token = tokens["access_token"]
        expected_type = "DPoP" if own.binding == "dpop" else "Bearer"
        made.checks.append(Checked("token_type", tokens["token_type"] == expected_type, _TOKEN_TYPE))
        id_token = self._opened(made, trial, own, "id_token", tokens["id_token"])
        made.id_token = decoded(id_token) if id_token else Decoded({}, {})
        jwks = self._keys.jwks()
        if id_token:
            made.checks += client_checks.of_id_token(asked, id_token, access_token, jwks, now=self._clock())
        made.userinfo = self._ask_userinfo(trial, own, asked, made, access_token)
        made.checks += client_checks.of_userinfo(made.id_token.unverified_claims, made.userinfo)

    def _ask_userinfo(
        self, trial: Registration, own: Own, asked: Asked, made: Outcome, access_token: str
    ) -> dict[str, Any]:
        """What UserInfo says, by its own way; the token is forgotten at once."""
        headers = self._with_key(own, "GET", "/userinfo", Headers(), access_token)
        scheme = "dpop" if own.binding == "dpop" else "bearer"
        try:
            said = self._userinfo.answer(Presented(access_token, scheme, "GET", headers))
        except (TokenRefused, OAuth2Error):
            return {}
        finally:
            self._store.take(token_key(seal.digest(access_token)))
        if not isinstance(said, str):
            made.checks.append(Checked("userinfo_encrypted", None, _JWE))
            made.checks += client_checks.of_signed_userinfo(None, asked, {})
            return said
        inside = self._opened(made, trial, own, "userinfo", said)
        alg = trial.userinfo_signed_response_alg or trial.id_token_signed_response_alg
        made.checks += client_checks.of_signed_userinfo(inside, asked, self._keys.jwks(), alg=alg)
        return decoded(inside).unverified_claims if inside else {}


_JWE: Final = "RFC 7516, 5.2; OpenID Connect Core 1.0, 10.2"
_AUTHENTICATION: Final = "OpenID Connect Core 1.0, 9; RFC 6749, 2.3"
_BINDING: Final = "RFC 9449, 5; RFC 8705, 3"
_TOKEN_TYPE: Final = "RFC 6749, 7.1; RFC 9449, 5"


@dataclass(frozen=True)
class _Sent:
    """A request as client authentication looks at it."""

    form: Mapping[str, str]
    headers: Headers


def _decrypted(text: str, alg: str, enc: str, own: Own) -> str:
    """Raises ValueError: not encrypted, or not in the way that was registered."""
    header = header_of(text)
    if text.count(".") != 4 or (header.get("alg"), header.get("enc")) != (alg, enc):
        raise ValueError("not encrypted as registered")
    key = _imported(own.opening["RSA" if alg.startswith("RSA") else "EC"])
    try:
        plaintext = jwe.decrypt_compact(text, key, algorithms=[alg, enc]).plaintext
    except JoseError as error:
        raise ValueError("it cannot be opened") from error
    return (plaintext or b"").decode("ascii")


def _fresh(alg: str) -> ECKey | OKPKey | RSAKey:
    if alg == "EdDSA":
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key("P-256") if alg == "ES256" else RSAKey.generate_key(2048)


def _private(key: Key) -> dict[str, Any]:
    return dict(key.as_dict(private=True))


def _imported(jwk: dict[str, Any]) -> Any:
    return import_key(jwk)


def _public(jwk: dict[str, Any], *, use: str, kid: str) -> dict[str, Any]:
    return dict(_imported(jwk).as_dict(private=False, use=use, kid=kid))


def _kid(name: str) -> str:
    return f"try-{name}"


def _certificate(key: Any, now: int) -> bytes:
    """Self-signed, for a day (RFC 8705, section 2.2); nobody's name is in it."""
    private: ec.EllipticCurvePrivateKey = key.private_key
    name = x509.Name.from_rfc4514_string(f"CN=trial-{secrets.token_hex(8)}")
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc(now) - timedelta(days=_CERTIFICATE_DAYS))
        .not_valid_after(utc(now) + timedelta(days=_CERTIFICATE_DAYS))
        .sign(private, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)
