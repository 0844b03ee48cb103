"""What every relying party here shares: discovery, keys, client authentication, ID token, UserInfo.

How a sign-in runs is one module a flow: `code_flow` (OpenID Connect's), `fapi` (FAPI 2.0), `device_flow` (RFC 8628).

Spec: Discovery 1.0; OIDC Core 1.0, sections 3.1.3.7, 5.3 and 9; RFC 7523 (`private_key_jwt`); Identity Assurance 1.0
(`verified_claims`). Every check raises SignInFailed.
"""

import hmac
import json
import secrets
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

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
SKEW_S = 60
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
class SignedIn:
    """A sign-in whose every check passed."""

    id_token: str
    id_token_claims: dict[str, Any]
    userinfo: dict[str, Any]

    def records(self) -> list[dict[str, Any]]:
        """What was verified: the record of each electronic record in the evidence."""
        evidence = self.verified().get("verification", {}).get("evidence")
        items = evidence if isinstance(evidence, list) else []
        found = [item.get("record") for item in items if isinstance(item, dict)]
        return [record for record in found if isinstance(record, dict)]

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

    def endpoint(self, name: str) -> str:
        """An endpoint's URL by its name in discovery, for what not every provider offers. Raises SignInFailed."""
        url = self.metadata().get(name)
        if not isinstance(url, str):
            raise SignInFailed("bad_metadata", f"discovery has no {name}")
        return url

    def key(self, kid: str) -> dict[str, Any] | None:
        """The provider's key of that id, or None; the key set is fetched again when the id is new."""
        jwks_uri = self.endpoint("jwks_uri")
        with self._lock:
            if kid not in self._keys:
                keys = self._get_json(jwks_uri).get("keys")
                usable = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
                self._keys = {str(key.get("kid")): key for key in usable}
            return self._keys.get(kid)

    def send(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """One request, whatever its status. Raises SignInFailed when there is no answer."""
        wanted = {"Accept": "application/json", **(headers or {})}
        try:
            return self.http.request(method, url, data=dict(form) if form else None, headers=wanted)
        except httpx2.HTTPError as error:
            raise SignInFailed("provider_unreachable", "the provider does not answer") from error

    def _get_json(self, url: str) -> dict[str, Any]:
        return read_json(self.send("GET", url))


class Client:
    """One relying party, made from its registration: who it is, what it asks for, what it believes.

    `cards` are those that it takes: by the id of the credential type, the name by language.
    """

    def __init__(self, registration: Mapping[str, Any], prepared: Prepared, provider: Provider) -> None:
        self.id = str(registration["client_id"])
        self.registration = registration
        self.provider = provider
        self.scope = " ".join(registration["scopes"])
        self._method = str(registration["token_endpoint_auth_method"])
        self.cards = {
            kind["id"]: dict(kind["name"])
            for kind in prepared.trust()["credential_type"]
            if kind["id"] in registration["credential_types"]
        }
        strong = registration.get("required_acr") == "secure"
        self.acr_values = [f"{prepared.issuer}/acr/secure"] if strong else []
        self._secret = ""
        self._key: ec.EllipticCurvePrivateKey | None = None
        if self._method == "private_key_jwt":
            self._key = prepared.portal_key(self.id)
        else:
            self._secret = prepared.portal_secret(self.id)

    def claims_parameter(self) -> dict[str, Any]:
        """OIDC Core 5.5 with Identity Assurance 6: this portal's own claims, verified, in both places.

        A photograph is too large for an ID token; UserInfo alone carries it.
        """
        claims = {item["name"]: None for item in self.registration["claims"]}
        small = {name: None for name in claims if name != "picture"}
        verification = {"trust_framework": {"value": TRUST_FRAMEWORK}, "assurance_level": None, "time": None}
        evidence = [{"type": {"value": "electronic_record"}, "record": None, "check_details": None}]
        in_userinfo = {**verification, "verification_process": None, "evidence": evidence}
        in_id_token: dict[str, Any] = {"verified_claims": {"verification": verification, "claims": small}}
        if self.acr_values:
            in_id_token["acr"] = {"essential": True, "values": self.acr_values}
        return {
            "id_token": in_id_token,
            "userinfo": {"verified_claims": {"verification": in_userinfo, "claims": claims}},
        }

    def check_tokens(
        self,
        tokens: Mapping[str, Any],
        *,
        nonce: str | None,
        token_type: str,
        ask: Callable[[str], dict[str, Any]] | None = None,
    ) -> SignedIn:
        """Turn a token response into a sign-in: the ID token is checked, UserInfo asked for what it tells.

        `nonce` is None where a flow has none (RFC 8628). `ask` asks UserInfo with an access token; without it
        the token is a bearer token. Raises SignInFailed.
        """
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise SignInFailed("bad_response", "a token is missing")
        if str(tokens.get("token_type", "")).lower() != token_type.lower():
            raise SignInFailed("bad_response", "the access token is of another type than agreed")
        claims = self.check_id_token(id_token, nonce=nonce, access_token=access_token)
        userinfo = (ask or self.userinfo)(access_token)
        if userinfo.get("sub") != claims["sub"]:
            raise SignInFailed("bad_userinfo", "UserInfo speaks of somebody else")
        return SignedIn(id_token, claims, userinfo)

    def check_id_token(self, id_token: str, *, nonce: str | None, access_token: str) -> dict[str, Any]:
        """The claims of an ID token that passes OIDC Core 3.1.3.7. Raises SignInFailed."""
        algorithm = str(self.registration.get("id_token_signed_response_alg", "RS256"))
        claims = self.verified_payload(id_token, algorithm, "bad_id_token")
        now = int(time.time())
        audience = claims.get("aud")
        for passed, complaint in (
            (claims.get("iss") == self.provider.issuer, "iss is another provider"),
            (audience in (self.id, [self.id]), "aud is not this portal alone"),
            (claims.get("azp", self.id) == self.id, "azp is another portal"),
            (isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255, "sub is missing"),
            (is_time(claims.get("exp")) and claims["exp"] > now - SKEW_S, "it has expired"),
            (is_time(claims.get("iat")) and abs(now - claims["iat"]) <= 300, "iat is not of now"),
            (claims.get("nonce") == nonce, "nonce is another sign-in's"),
            (claims.get("at_hash") == _half_hash(access_token), "at_hash is not the access token's"),
        ):
            if not passed:
                raise SignInFailed("bad_id_token", complaint)
        if self.acr_values and claims.get("acr") not in self.acr_values:
            raise SignInFailed("unmet_authentication_requirements", "acr is lower than this portal needs")
        return claims

    def userinfo(self, access_token: str) -> dict[str, Any]:
        """What UserInfo tells for a bearer token (OIDC Core 5.3). Raises SignInFailed."""
        url = self.provider.endpoint("userinfo_endpoint")
        return read_json(self.provider.send("GET", url, headers={"Authorization": f"Bearer {access_token}"}))

    def post(self, endpoint: str, form: Mapping[str, str], **headers: str) -> httpx2.Response:
        """Post a form as this client to an endpoint by its name in discovery, authenticated (OIDC Core 9)."""
        url = self.provider.endpoint(endpoint)
        sent = dict(form)
        if self._method == "client_secret_basic":
            pair = f"{quote_plus(self.id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode("utf-8")).decode("ascii")
        elif self._method == "client_secret_post":
            sent.update(client_id=self.id, client_secret=self._secret)
        else:
            sent.update(
                client_id=self.id,
                client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                client_assertion=self._assertion(),
            )
        return self.provider.send("POST", url, sent, headers)

    def verified_payload(self, token: str, algorithm: str, complaint: str) -> dict[str, Any]:
        """The claims of a JWT that the provider signed with exactly this algorithm; nothing else is checked.

        Raises SignInFailed with `complaint` as its code.
        """
        try:
            header, _ = jose.read_unverified(token)
            if header.get("alg") != algorithm:
                raise SignInFailed(complaint, "alg is not the registered one")
            published = self.provider.key(str(header.get("kid")))
            if published is None:
                raise SignInFailed(complaint, "signed with a key that the provider does not publish")
            payload = json.loads(
                jws.deserialize_compact(token, import_key(published), algorithms=[algorithm]).payload
            )
        except (JoseError, jose.BadJws, ValueError) as error:
            raise SignInFailed(complaint, "its signature does not verify") from error
        if not isinstance(payload, dict):
            raise SignInFailed(complaint, "it is no JSON object")
        return payload

    def _assertion(self) -> str:
        if self._key is None:
            raise ValueError(f"{self.id} is registered without a key")
        now = int(time.time())
        claims = {
            "iss": self.id,
            "sub": self.id,
            # The issuer and nothing else: FAPI 2.0 wants it so, and it fits every endpoint.
            "aud": self.provider.issuer,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "exp": now + ASSERTION_LIFE_S,
        }
        return jose.sign({"typ": "JWT", "kid": signing_jwk(self._key.public_key())["kid"]}, claims, self._key)


def read_json(response: httpx2.Response, status: int = 200) -> dict[str, Any]:
    """The JSON object of a response with that status; an OAuth error becomes the code of SignInFailed."""
    try:
        body = response.json()
    except ValueError as error:
        raise SignInFailed("bad_response", f"status {response.status_code}, no JSON") from error
    if not isinstance(body, dict):
        raise SignInFailed("bad_response", "no JSON object")
    if response.status_code != status:
        raise SignInFailed(str(body.get("error", "bad_response")), f"status {response.status_code}")
    return body


def same(one: str, other: str) -> bool:
    """Compare two secrets without telling by the time it takes."""
    return hmac.compare_digest(one.encode("utf-8"), other.encode("utf-8"))


def _framework(item: dict[str, Any]) -> object:
    verification = item.get("verification")
    return verification.get("trust_framework") if isinstance(verification, dict) else None


def is_time(value: object) -> bool:
    """Whether a claim is a NumericDate; true and false are no numbers here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _half_hash(token: str) -> str:
    """`at_hash` (OIDC Core 3.1.3.6) for the SHA-256 algorithms, the only ones a portal here registers."""
    return jose.encode(jose.decode(jose.sha256(token.encode("ascii")))[:16])
