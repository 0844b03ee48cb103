"""A portal that signs: client assertions, pushed requests and DPoP, on a connection that does not give up."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey

from tests.crowd import FORM, Client, Holder, Line, Unexpected
from tests.faults.crowd import Forgetful
from tests.proving import Prover

CLIENT_ID = "portal-signing"
SCOPE = "openid profile"
_NONCE_TRIES = 3  # where the Store cannot be asked an answer comes without one


def about(client_id: str) -> dict[str, Any]:
    """What every portal of these tests says of itself."""
    return {
        "client_id": client_id,
        "name": {"ko": "시험 창구", "en": "Test portal"},
        "operator": {"ko": "시험", "en": "Test"},
        "scopes": SCOPE.split(),
        "claims": [{"name": "name", "purpose": {"ko": "시험", "en": "Test"}}],
        "retention": {"ko": "시험", "en": "Test"},
    }


class Signer:
    """The portal's keys, and what it makes with them."""

    def __init__(self, issuer: str, redirect_uri: str) -> None:
        self._issuer = issuer
        self._key = ECKey.generate_key("P-256")
        self._prover = Prover()
        self.client = Client(CLIENT_ID, redirect_uri, SCOPE, "")

    def registration(self) -> dict[str, Any]:
        public = {**self._key.as_dict(private=False), "kid": "signing", "use": "sig", "alg": "ES256"}
        return {
            **about(CLIENT_ID),
            "redirect_uris": [self.client.redirect_uri],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks": {"keys": [public]},
            "dpop_bound_access_tokens": True,
        }

    def credentials(self) -> dict[str, str]:
        """A client assertion that nobody has used."""
        now = int(time.time())
        claims = {
            "iss": CLIENT_ID,
            "sub": CLIENT_ID,
            "aud": self._issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + 300,
        }
        return {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode({"alg": "ES256", "kid": "signing"}, claims, self._key),
        }

    def asking(self, verifier: str) -> dict[str, str]:
        """An authorization request to push."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        return {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": self.client.redirect_uri,
            "scope": SCOPE,
            "state": secrets.token_urlsafe(12),
            "nonce": secrets.token_urlsafe(12),
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
            **self.credentials(),
        }

    def proof(self, line: Line, path: str, method: str, access_token: str | None = None) -> str:
        """A DPoP proof with the provider's nonce of this moment."""
        for _ in range(_NONCE_TRIES):
            offered = line.send("POST", "/token", "", {**FORM, "DPoP": "?"}).headers
            if "dpop-nonce" in offered:
                nonce = offered["dpop-nonce"]
                return self._prover.proof(self._issuer + path, method, nonce=nonce, access_token=access_token)
        raise Unexpected(f"{path}: no nonce is offered")


class Signing(Forgetful):
    """A person at that portal."""

    signer: Signer

    def open_pushed(self, request_uri: str) -> None:
        query = urlencode({"client_id": CLIENT_ID, "request_uri": request_uri})
        self.login_url = self._get(f"/authorize?{query}", 303).location

    def redeem(self) -> None:
        form = {
            "grant_type": "authorization_code",
            "code": self.code,
            "redirect_uri": self.client.redirect_uri,
            "code_verifier": self.verifier,
            **self.signer.credentials(),
        }
        line = self.place.line
        headers = {**FORM, "DPoP": self.signer.proof(line, "/token", "POST")}
        answer = line.send("POST", "/token", urlencode(form), headers)
        self._check(answer, 200, "redeem")
        self.tokens = json.loads(answer.body)

    def read(self) -> None:
        token = self.tokens["access_token"]
        proof = self.signer.proof(self.place.line, "/userinfo", "GET", token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        answer = self.place.line.send("GET", "/userinfo", None, headers)
        self._check(answer, 200, "read")
        self.claims = json.loads(answer.body)


def walk(holder: Holder, *steps: str) -> None:
    """Take these steps."""
    for step in steps:
        getattr(holder, step)()
