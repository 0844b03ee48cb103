"""A portal's sign-in by the FAPI 2.0 Security Profile, with signed responses: the example for a bank's engineers.

Read it beside `code_flow`, which it changes in four places:

1. The request goes to the provider directly (PAR); the browser carries only a reference to it.
2. The answer comes as one signed JWT (JARM), checked before anything in it is believed.
3. The code and the access token are bound to a key that exists for this sign-in alone (DPoP): a stolen one is
   worth nothing.
4. UserInfo is asked with that same key.

Client authentication is `private_key_jwt` with the issuer as `aud`; PKCE is always S256.

Spec: FAPI 2.0 Security Profile and Message Signing, RFC 9126 (PAR), RFC 9449 (DPoP), JARM 1.0.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey

from idp.demo import jose
from idp.demo.code_flow import CodeClient, Pending, new_pending
from idp.demo.relying import SKEW_S, SignedIn, SignInFailed, is_time, read_json

TOKEN_TYPE = "DPoP"


@dataclass
class DpopKey:
    """A key pair for one sign-in, and the nonce each server wants to see next (RFC 9449, sections 8 and 9).

    The private half stays in memory and is forgotten with the sign-in.
    """

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"), repr=False)
    _nonces: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def thumbprint(self) -> str:
        """SHA-256 of the public key (RFC 7638), base64url: `dpop_jkt`, and `cnf.jkt` in tokens."""
        return str(self.key.thumbprint())

    def proof(self, method: str, url: str, access_token: str | None = None) -> str:
        """A DPoP proof for one request (RFC 9449, section 4.2). `url` goes in without query and fragment."""
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(24),
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": int(time.time()),
        }
        if access_token is not None:
            claims["ath"] = jose.sha256(access_token.encode("ascii"))
        if nonce := self._nonces.get(_origin(url)):
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])

    def send(self, url: str, request: Callable[[], httpx2.Response]) -> httpx2.Response:
        """Send a request, and once more with the server's nonce where it asks for one.

        `request` makes a fresh proof each time it is called: proofs and client assertions work once.
        """
        response = request()
        if self._learn(url, response) and _wants_nonce(response):
            response = request()
            self._learn(url, response)
        return response

    def _learn(self, url: str, response: httpx2.Response) -> bool:
        nonce = response.headers.get("DPoP-Nonce")
        if nonce:
            self._nonces[_origin(url)] = nonce
        return nonce is not None


@dataclass(frozen=True)
class BoundPending(Pending):
    """A sign-in on its way whose code will be worth nothing without this key."""

    dpop: DpopKey = field(default_factory=DpopKey)


class FapiClient(CodeClient):
    """A portal of the profile `fapi2`."""

    standard = "FAPI 2.0: PAR, PKCE (S256), private_key_jwt, DPoP, JARM"

    def begin(self, language: str) -> tuple[str, BoundPending]:
        """Push the request (RFC 9126); the browser gets a URL with a reference in it and nothing about anybody."""
        fresh = new_pending()
        pending = BoundPending(fresh.state, fresh.nonce, fresh.code_verifier)
        form = {
            **self.parameters(pending, language),
            "response_mode": "jwt",
            # Binds the code to the key (RFC 9449, section 10), and not only the token.
            "dpop_jkt": pending.dpop.thumbprint,
        }
        pushed = read_json(self.post("pushed_authorization_request_endpoint", form), status=201)
        reference = pushed.get("request_uri")
        if not isinstance(reference, str):
            raise SignInFailed("bad_response", "the pushed request has no request_uri")
        query = urlencode({"client_id": self.id, "request_uri": reference})
        return f"{self.provider.endpoint('authorization_endpoint')}?{query}", pending

    def read_answer(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The parameters in the signed response (JARM 1.0, section 2.4). A response that is not signed is refused."""
        token = query.get("response")
        if not token:
            raise SignInFailed("bad_response", "the response is not signed (JARM)")
        algorithm = str(self.registration.get("authorization_signed_response_alg", "ES256"))
        claims = self.verified_payload(token, algorithm, "bad_response")
        for passed, complaint in (
            (claims.get("iss") == self.provider.issuer, "iss is another provider"),
            (claims.get("aud") in (self.id, [self.id]), "aud is not this portal alone"),
            (is_time(claims.get("exp")) and claims["exp"] > time.time() - SKEW_S, "the response has expired"),
        ):
            if not passed:
                raise SignInFailed("bad_response", complaint)
        return {name: text for name, text in claims.items() if isinstance(text, str)}

    def redeem(self, code: str, pending: Pending) -> SignedIn:
        """Exchange the code and ask UserInfo, both with the key of this sign-in. Raises SignInFailed."""
        if not isinstance(pending, BoundPending):
            raise ValueError("this sign-in was begun without a key")
        dpop = pending.dpop
        url = self.provider.endpoint("token_endpoint")
        form = self.token_form(code, pending)
        response = dpop.send(url, lambda: self.post("token_endpoint", form, DPoP=dpop.proof("POST", url)))
        tokens = read_json(response)
        return self.check_tokens(
            tokens,
            nonce=pending.nonce,
            token_type=TOKEN_TYPE,
            ask=lambda access_token: self._bound_userinfo(access_token, dpop),
        )

    def _bound_userinfo(self, access_token: str, dpop: DpopKey) -> dict[str, Any]:
        url = self.provider.endpoint("userinfo_endpoint")

        def request() -> httpx2.Response:
            proof = dpop.proof("GET", url, access_token)
            headers = {"Authorization": f"DPoP {access_token}", "DPoP": proof}
            return self.provider.send("GET", url, headers=headers)

        return read_json(dpop.send(url, request))


def _wants_nonce(response: httpx2.Response) -> bool:
    """RFC 9449: the token endpoint says so in its JSON (section 8), UserInfo in WWW-Authenticate (section 9)."""
    if "use_dpop_nonce" in response.headers.get("WWW-Authenticate", ""):
        return True
    try:
        read_json(response)
    except SignInFailed as failure:
        return failure.code == "use_dpop_nonce"
    return False


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
