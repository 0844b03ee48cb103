"""A portal's sign-in by OpenID Connect's code flow.

Spec: OIDC Core 1.0, section 3.1; RFC 7636 (S256); RFC 9207 (`iss`); RP-Initiated Logout 1.0, section 2.
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from idp.demo import jose
from idp.demo.relying import Client, Provider, SignedIn, SignInFailed, read_json
from idp.demo.seeds import Prepared

TOKEN_TYPE = "Bearer"


@dataclass(frozen=True)
class Pending:
    """What a portal remembers between sending a browser away and its return."""

    state: str
    nonce: str
    code_verifier: str
    started_at: float = field(default_factory=time.monotonic)


class CodeClient(Client):
    """A portal that sends the browser to the provider and redeems the code it comes back with."""

    standard = "OpenID Connect: PKCE (S256), nonce, iss"

    def __init__(self, registration: Mapping[str, Any], prepared: Prepared, provider: Provider) -> None:
        super().__init__(registration, prepared, provider)
        self.redirect_uri = str(registration["redirect_uris"][0])
        self.post_logout_redirect_uri = str(registration["post_logout_redirect_uris"][0])

    def begin(self, language: str) -> tuple[str, Pending]:
        """Where to send the browser, and what to remember until it returns. Raises SignInFailed."""
        pending = new_pending()
        query = urlencode(self.parameters(pending, language))
        return f"{self.provider.endpoint('authorization_endpoint')}?{query}", pending

    def parameters(self, pending: Pending, language: str) -> dict[str, str]:
        """The authorization request (OIDC Core 3.1.2.1)."""
        parameters = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": jose.sha256(pending.code_verifier.encode("ascii")),
            "code_challenge_method": "S256",
            "claims": json.dumps(self.claims_parameter(), separators=(",", ":")),
            "ui_locales": language,
        }
        if self.acr_values:
            parameters["acr_values"] = " ".join(self.acr_values)
        return parameters

    def read_answer(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The authorization response in what the browser brought. Raises SignInFailed.

        Whether its state is this browser's is for the caller to see before `finish`.
        """
        return query

    def finish(self, answer: Mapping[str, str], pending: Pending) -> SignedIn:
        """Turn an authorization response, its state checked already, into a sign-in. Raises SignInFailed."""
        if answer.get("iss") != self.provider.issuer:
            raise SignInFailed("bad_response", "iss is missing or another provider's (RFC 9207)")
        if "error" in answer:
            raise SignInFailed(answer["error"], "the provider answered with an error")
        if not answer.get("code"):
            raise SignInFailed("bad_response", "no code came back")
        return self.redeem(answer["code"], pending)

    def redeem(self, code: str, pending: Pending) -> SignedIn:
        """Exchange a code (OIDC Core 3.1.3). Raises SignInFailed."""
        tokens = read_json(self.post("token_endpoint", self.token_form(code, pending)))
        return self.check_tokens(tokens, nonce=pending.nonce, token_type=TOKEN_TYPE)

    def token_form(self, code: str, pending: Pending) -> dict[str, str]:
        """The token request, client authentication apart."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": pending.code_verifier,
        }

    def logout_form(self, signed_in: SignedIn, state: str) -> dict[str, str]:
        """What to post to the provider to end its session too (RP-Initiated Logout 1.0, section 2)."""
        return {
            "id_token_hint": signed_in.id_token,
            "client_id": self.id,
            "post_logout_redirect_uri": self.post_logout_redirect_uri,
            "state": state,
        }


def new_pending() -> Pending:
    """Fresh values for one sign-in: 192 bits of state and nonce, a verifier of 64 characters."""
    return Pending(
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        code_verifier=secrets.token_urlsafe(48),
    )
