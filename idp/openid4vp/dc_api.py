"""Through the holder's browser: one question as the Digital Credentials API takes it, and the answer that it brings.

The browser tells the wallet on whose page it was asked, and the wallet binds its answer to that origin. So an answer
that was given to anybody else's page is refused here, on one device and across two, and nobody has to type a number.
The origin is that of the settings, never one that arrives.

Spec: OpenID4VP 1.0, appendix A and sections B.2.6.2 and B.3.6; HAIP 1.0, section 5.2; W3C Digital Credentials.
Multi-signed requests are left out: there is one certificate. An answer that is not encrypted is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idp import strict_json
from idp.clock import Clock
from idp.credentials import Expected, session_transcript
from idp.errors import PresentationError
from idp.login import Ask
from idp.openid4vp.on_behalf import OnBehalf
from idp.openid4vp.query import FORMATS, query
from idp.openid4vp.request import (
    AUDIENCE,
    Signer,
    client_metadata,
    encryption_key,
    public_encryption_jwk,
    thumbprint,
)
from idp.openid4vp.response import MAX_RESPONSE_BYTES, Responses, decrypt, refusal
from idp.presentation.proof import Answered, WalletRefusal
from idp.presentation.question import Question
from idp.settings import Settings

SIGNED = "openid4vp-v1-signed"
UNSIGNED = "openid4vp-v1-unsigned"


class DigitalCredentials:
    """Questions for `navigator.credentials.get`, and what it gave."""

    def __init__(self, settings: Settings, signer: Signer, responses: Responses, clock: Clock) -> None:
        self._origin = settings.issuer
        self._offered = settings.wallet.dc_api
        self._client_id_prefix = settings.wallet.client_id_prefix
        self._signer = signer
        self._responses = responses
        self._clock = clock

    def serves(self, question: Question) -> bool:
        """Whether there is anything to ask for this way."""
        return self._offered and bool(question.within(FORMATS))

    def requests(
        self, ask: Ask, secret: bytes, question: Question, *, on_behalf: OnBehalf, until: int
    ) -> list[dict[str, Any]]:
        """The `requests` of `digital`, the best first: one question, signed and unsigned; a browser takes either.

        `until`: when the login ends, and with it the signed request. The page holds it that long.
        """
        key = public_encryption_jwk(ask, secret)
        plain: dict[str, Any] = {
            "response_type": "vp_token",
            "response_mode": "dc_api.jwt",
            "nonce": ask.nonce,
            "dcql_query": query(question, FORMATS),
            "client_metadata": client_metadata(on_behalf, FORMATS, key),
        }
        client_id = self._signer.client_id(self._client_id_prefix)
        info = on_behalf.verifier_info(self._origin)
        signed = self._signer.sign(
            {
                "iss": client_id,
                "aud": AUDIENCE,
                "iat": self._clock(),
                "exp": until,
                "client_id": client_id,
                "expected_origins": [self._origin],
                **plain,
                **({"verifier_info": info} if info else {}),
            }
        )
        return [
            {"protocol": SIGNED, "data": {"request": signed}},
            {"protocol": UNSIGNED, "data": plain},
        ]

    def read(
        self, unverified_message: bytes, ask: Ask, secret: bytes, question: Question
    ) -> Answered | WalletRefusal:
        """The verified answer in a message: `protocol` and `data` of a `DigitalCredential`, as JSON.

        Which of the two requests it answers makes no difference: both are bound to the same. Raises PresentationError.
        """
        data = _data(unverified_message)
        if "error" in data:
            if {"response", "vp_token"} & data.keys():
                raise PresentationError("malformed", "an error and an answer")
            return refusal(data["error"])
        # An unencrypted answer would show a person's data to every script of the page (HAIP 1.0, section 5.2).
        if "vp_token" in data:
            raise PresentationError("not_encrypted")
        response = data.get("response")
        if not isinstance(response, str):
            raise PresentationError("malformed", "response")
        payload = decrypt(response, encryption_key(secret), kid=ask.id).payload
        if "error" in payload:
            return refusal(payload["error"])
        return self._responses.verify(
            payload.get("vp_token"), self.bound(ask, secret), ask, question, FORMATS
        )

    def bound(self, ask: Ask, secret: bytes) -> Expected:
        """What an answer must be bound to: this origin, this question, this key (sections A.4 and B.2.6.2)."""
        return Expected(
            audience=f"origin:{self._origin}",
            nonce=ask.nonce,
            accepted_types=frozenset(),
            session_transcript=session_transcript.for_dc_api(
                origin=self._origin, nonce=ask.nonce, key_thumbprint=thumbprint(secret)
            ),
        )


def _data(unverified_message: bytes) -> Mapping[str, Any]:
    try:
        message = strict_json.loads_object(unverified_message, max_bytes=MAX_RESPONSE_BYTES)
    except ValueError as error:
        raise PresentationError("malformed", "not JSON") from error
    if message.get("protocol") not in (SIGNED, UNSIGNED):
        raise PresentationError("malformed", "protocol")
    data = message.get("data")
    if not isinstance(data, dict):
        raise PresentationError("malformed", "data")
    return data
