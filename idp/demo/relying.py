"""A portal's side of OpenID Connect, from the specifications: discovery, code flow, ID token, UserInfo.

OIDC Core 1.0 3.1, Discovery 1.0, RFC 7636 (S256), RFC 9207 (`iss`), RFC 7523 (`private_key_jwt`),
Identity Assurance 1.0 (`verified_claims`), RP-Initiated Logout 1.0. Every check raises SignInFailed.
"""

import hmac
import json
import secrets
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from idp.demo import jose
from idp.demo.seeds import Prepared, signing_jwk

TIMEOUT_S = 15
ASSERTION_LIFE_S = 60
TRUST_FRAMEWORK = "kr_mobile_id"
_SKEW_S = 60
_METADATA_LIFE_S = 300
_REQUIRED_METADATA = (
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
)


class SignInFailed(Exception):
    """A sign-in that did not succeed. `code` is an OAuth error code, or one of this module's own.

    `detail` says what was wrong, in English and without any value from outside.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Pending:
    """What a portal remembers between sending a browser away and its return."""

    state: str
    nonce: str
    code_verifier: str
    started_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class SignedIn:
    """A sign-in whose every check passed."""

    id_token: str
    id_token_claims: dict[str, Any]
    userinfo: dict[str, Any]

    def verified(self) -> dict[str, Any]:
        """`verified_claims` in our trust framework: from UserInfo, else from the ID token, else empty."""
        for source in (self.userinfo, self.id_token_claims):
            found = source.get("verified_claims")
            for item in found if isinstance(found, list) else [found]:
                if isinstance(item, dict) and _framework(item) == TRUST_FRAMEWORK:
                    return item
        return {}


class Provider:
    """What is known of the provider: its metadata and keys, fetched when needed. Safe for threads."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.http = httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        self._metadata: dict[str, Any] = {}
        self._fetched_at = 0.0
        self._keys: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def metadata(self) -> dict[str, Any]:
        """The discovery document, at most five minutes old, its issuer checked."""
        with self._lock:
            if not self._metadata or time.monotonic() - self._fetched_at > _METADATA_LIFE_S:
                document = self._get_json(f"{self.issuer}/.well-known/openid-configuration")
                if document.get("issuer") != self.issuer:
                    raise SignInFailed("bad_metadata", "discovery names another issuer")
                if any(not isinstance(document.get(name), str) for name in _REQUIRED_METADATA):
                    raise SignInFailed("bad_metadata", "discovery lacks an endpoint")
                self._metadata, self._fetched_at = document, time.monotonic()
            return self._metadata

    def key(self, kid: str) -> dict[str, Any]:
        """The provider's key of that id; the key set is fetched again when the id is new."""
        jwks_uri = self.metadata()["jwks_uri"]
        with self._lock:
            if kid not in self._keys:
                keys = self._get_json(jwks_uri).get("keys")
                usable = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
                self._keys = {str(key.get("kid")): key for key in usable}
            if kid not in self._keys:
                raise SignInFailed("bad_id_token", "signed with a key that the provider does not publish")
            return self._keys[kid]

    def _get_json(self, url: str) -> dict[str, Any]:
        try:
            return read_json(self.http.get(url, headers={"Accept": "application/json"}))
        except httpx2.HTTPError as error:
            raise SignInFailed("provider_unreachable", "the provider does not answer") from error


class Client:
    """One portal as an OpenID Connect client, made from its registration."""

    def __init__(self, registration: Mapping[str, Any], prepared: Prepared, provider: Provider) -> None:
        self.id = str(registration["client_id"])
        self.registration = registration
        self.provider = provider
        self.redirect_uri = str(registration["redirect_uris"][0])
        self.post_logout_redirect_uri = str(registration["post_logout_redirect_uris"][0])
        self._method = str(registration["token_endpoint_auth_method"])
        strong = registration.get("required_acr") == "secure"
        self._acr_values = [f"{prepared.issuer}/acr/secure"] if strong else []
        self._secret = ""
        self._key: ec.EllipticCurvePrivateKey | None = None
        if self._method == "private_key_jwt":
            self._key = prepared.portal_key(self.id)
        else:
            self._secret = prepared.portal_secret(self.id)

    def begin(self, language: str) -> tuple[str, Pending]:
        """Where to send the browser, and what to remember until it returns."""
        pending = Pending(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            code_verifier=secrets.token_urlsafe(48),
        )
        parameters = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.registration["scopes"]),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": jose.sha256(pending.code_verifier.encode("ascii")),
            "code_challenge_method": "S256",
            "claims": json.dumps(self.claims_parameter(), separators=(",", ":")),
            "ui_locales": language,
        }
        if self._acr_values:
            parameters["acr_values"] = " ".join(self._acr_values)
        return f"{self.provider.metadata()['authorization_endpoint']}?{urlencode(parameters)}", pending

    def claims_parameter(self) -> dict[str, Any]:
        """OIDC Core 5.5 with Identity Assurance 6: this portal's own claims, verified, in both places."""
        claims = {item["name"]: None for item in self.registration["claims"]}
        verification = {"trust_framework": {"value": TRUST_FRAMEWORK}, "assurance_level": None, "time": None}
        evidence = [{"type": {"value": "electronic_record"}, "record": None, "check_details": None}]
        in_userinfo = {**verification, "verification_process": None, "evidence": evidence}
        in_id_token: dict[str, Any] = {"verified_claims": {"verification": verification, "claims": claims}}
        if self._acr_values:
            in_id_token["acr"] = {"essential": True, "values": self._acr_values}
        return {
            "id_token": in_id_token,
            "userinfo": {"verified_claims": {"verification": in_userinfo, "claims": claims}},
        }

    def finish(self, parameters: Mapping[str, str], pending: Pending) -> SignedIn:
        """Turn the browser's return into a sign-in. `parameters` is the query; its state is checked already.

        Raises SignInFailed.
        """
        if parameters.get("iss") != self.provider.issuer:
            raise SignInFailed("bad_response", "iss is missing or another provider's (RFC 9207)")
        if "error" in parameters:
            raise SignInFailed(parameters["error"], "the provider answered with an error")
        if not parameters.get("code"):
            raise SignInFailed("bad_response", "no code came back")
        tokens = self._redeem(parameters["code"], pending)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise SignInFailed("bad_response", "a token is missing")
        if str(tokens.get("token_type", "")).lower() != "bearer":
            raise SignInFailed("bad_response", "the access token is of an unknown type")
        claims = self.check_id_token(id_token, nonce=pending.nonce, access_token=access_token)
        userinfo = self._userinfo(access_token)
        if userinfo.get("sub") != claims["sub"]:
            raise SignInFailed("bad_userinfo", "UserInfo speaks of somebody else")
        return SignedIn(id_token, claims, userinfo)

    def check_id_token(self, id_token: str, *, nonce: str, access_token: str) -> dict[str, Any]:
        """The claims of an ID token that passes OIDC Core 3.1.3.7. Raises SignInFailed."""
        claims = self._verified_payload(id_token)
        now = int(time.time())
        audience = claims.get("aud")
        for passed, complaint in (
            (claims.get("iss") == self.provider.issuer, "iss is another provider"),
            (audience in (self.id, [self.id]), "aud is not this portal alone"),
            (claims.get("azp", self.id) == self.id, "azp is another portal"),
            (isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255, "sub is missing"),
            (_is_time(claims.get("exp")) and claims["exp"] > now - _SKEW_S, "it has expired"),
            (_is_time(claims.get("iat")) and abs(now - claims["iat"]) <= 300, "iat is not of now"),
            (claims.get("nonce") == nonce, "nonce is another sign-in's"),
            (claims.get("at_hash") == _half_hash(access_token), "at_hash is not the access token's"),
        ):
            if not passed:
                raise SignInFailed("bad_id_token", complaint)
        if self._acr_values and claims.get("acr") not in self._acr_values:
            raise SignInFailed("unmet_authentication_requirements", "acr is lower than this portal needs")
        return claims

    def logout_form(self, signed_in: SignedIn, state: str) -> dict[str, str]:
        """What to post to the provider to end its session too (RP-Initiated Logout 1.0, section 2)."""
        return {
            "id_token_hint": signed_in.id_token,
            "client_id": self.id,
            "post_logout_redirect_uri": self.post_logout_redirect_uri,
            "state": state,
        }

    def _redeem(self, code: str, pending: Pending) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": pending.code_verifier,
        }
        headers = {"Accept": "application/json"}
        self._authenticate(form, headers)
        url = self.provider.metadata()["token_endpoint"]
        try:
            response = self.provider.http.post(url, data=form, headers=headers)
        except httpx2.HTTPError as error:
            raise SignInFailed("provider_unreachable", "the token endpoint does not answer") from error
        return read_json(response)

    def _authenticate(self, form: dict[str, str], headers: dict[str, str]) -> None:
        """Add this portal's client authentication (OIDC Core 9) to a token request."""
        if self._method == "client_secret_basic":
            pair = f"{quote_plus(self.id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode("utf-8")).decode("ascii")
        elif self._method == "client_secret_post":
            form.update(client_id=self.id, client_secret=self._secret)
        else:
            form.update(
                client_id=self.id,
                client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                client_assertion=self._assertion(),
            )

    def _assertion(self) -> str:
        if self._key is None:
            raise ValueError(f"{self.id} is registered without a key")
        now = int(time.time())
        claims = {
            "iss": self.id,
            "sub": self.id,
            "aud": self.provider.issuer,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "exp": now + ASSERTION_LIFE_S,
        }
        return jose.sign({"typ": "JWT", "kid": signing_jwk(self._key.public_key())["kid"]}, claims, self._key)

    def _verified_payload(self, id_token: str) -> dict[str, Any]:
        algorithm = str(self.registration.get("id_token_signed_response_alg", "RS256"))
        try:
            header, _ = jose.read_unverified(id_token)
            if header.get("alg") != algorithm:
                raise SignInFailed("bad_id_token", "alg is not the registered one")
            key = import_key(self.provider.key(str(header.get("kid"))))
            payload = json.loads(jws.deserialize_compact(id_token, key, algorithms=[algorithm]).payload)
        except (JoseError, jose.BadJws, ValueError) as error:
            raise SignInFailed("bad_id_token", "its signature does not verify") from error
        if not isinstance(payload, dict):
            raise SignInFailed("bad_id_token", "it is no JSON object")
        return payload

    def _userinfo(self, access_token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        try:
            return read_json(
                self.provider.http.get(self.provider.metadata()["userinfo_endpoint"], headers=headers)
            )
        except httpx2.HTTPError as error:
            raise SignInFailed("provider_unreachable", "UserInfo does not answer") from error


def read_json(response: httpx2.Response) -> dict[str, Any]:
    """The JSON object of a 200 response; an OAuth error in it becomes the code of SignInFailed."""
    try:
        body = response.json()
    except ValueError as error:
        raise SignInFailed("bad_response", f"status {response.status_code}, no JSON") from error
    if not isinstance(body, dict):
        raise SignInFailed("bad_response", "no JSON object")
    if response.status_code != 200:
        raise SignInFailed(str(body.get("error", "bad_response")), f"status {response.status_code}")
    return body


def same(one: str, other: str) -> bool:
    """Compare two secrets without telling by the time it takes."""
    return hmac.compare_digest(one.encode("utf-8"), other.encode("utf-8"))


def _framework(item: dict[str, Any]) -> object:
    verification = item.get("verification")
    return verification.get("trust_framework") if isinstance(verification, dict) else None


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _half_hash(token: str) -> str:
    """`at_hash` (OIDC Core 3.1.3.6) for the SHA-256 algorithms, the only ones a portal here registers."""
    return jose.encode(jose.decode(jose.sha256(token.encode("ascii")))[:16])
