"""What a wallet answers: an encrypted response, read, checked against the question, and verified.

Spec: OpenID4VP 1.0, sections 8.2, 8.3, 8.5 and 14.9; HAIP 1.0, section 5. The order is fixed: parameters,
decryption, shape, query, credential, query again on what was verified. Every refusal is a `PresentationError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from idp import credentials, seal, strict_json
from idp.clock import Clock
from idp.credentials.trust import TrustSnapshot
from idp.errors import PresentationError
from idp.login import Ask
from idp.openid4vp import dcql, query
from idp.openid4vp.request import ENC_VALUES, encryption_key
from idp.presentation.proof import Answered, WalletRefusal, answered, rejected
from idp.presentation.question import Alternative, Question

MAX_RESPONSE_BYTES = 1_048_576
_ERROR_CODE = re.compile(r"[a-z_]{1,40}\Z")


class _Registry(jwe.JWERegistry):
    max_protected_header_length = 4096
    max_ciphertext_length = MAX_RESPONSE_BYTES


class Responses:
    """Reads wallets' answers."""

    def __init__(
        self,
        *,
        client_id: str,
        trust: Callable[[], TrustSnapshot],
        status: credentials.StatusLookup,
        clock: Clock,
    ) -> None:
        self._client_id = client_id
        self._trust = trust
        self._status = status
        self._clock = clock

    def read(
        self, parameters: Mapping[str, Sequence[str]], ask: Ask, secret: bytes, question: Question
    ) -> Answered | WalletRefusal:
        """The verified answer to a question.

        `parameters` are the form's, each with all its values. Raises PresentationError.
        """
        for name, values in parameters.items():
            if len(values) != 1:
                raise PresentationError("malformed", f"{len(values)} values of one parameter" if name else "")
        if "error" in parameters and "response" not in parameters:
            if "vp_token" in parameters:
                raise PresentationError("malformed", "error and vp_token together")
            if parameters.get("state", [ask.id])[0] != ask.id:
                raise PresentationError("not_this_login", "state")
            return _refusal(parameters["error"][0])
        if "response" not in parameters or "vp_token" in parameters:
            # An unencrypted answer would show a person's data to everything on the way (HAIP 1.0, section 5.1).
            raise PresentationError("not_encrypted" if "vp_token" in parameters else "malformed")
        payload = decrypt(parameters["response"][0], encryption_key(secret), kid=ask.id)
        if payload.get("state", ask.id) != ask.id:
            raise PresentationError("not_this_login", "state")
        if "error" in payload:
            return _refusal(str(payload["error"]))
        offered = query.alternatives(question)
        name, presentation = _one_presentation(payload.get("vp_token"), query.query(question))
        return self._verify(presentation, ask, offered[name], question)

    def _verify(self, presentation: str, ask: Ask, alternative: Alternative, question: Question) -> Answered:
        looks = alternative.looks
        now = self._clock()
        try:
            verified = credentials.verify(
                looks.format,
                presentation,
                expected=credentials.Expected(
                    audience=self._client_id,
                    nonce=ask.nonce,
                    accepted_types=frozenset({alternative.kind.id}),
                    status_fail_closed=question.status_fail_closed,
                ),
                trust=self._trust(),
                status=self._status,
                now=now,
            )
        except credentials.CredentialRejected as error:
            raise rejected(error) from error
        if verified.name not in looks.names:
            raise PresentationError("type_not_accepted")
        if not dcql.claims_satisfied(query.in_our_words(alternative), verified.claims):
            raise PresentationError("incomplete")
        return answered(verified, alternative, via=ask.via, now=now)


def decrypt(response: str, key: ECKey, *, kid: str) -> dict[str, Any]:
    """The payload of an encrypted response (section 8.3). Raises PresentationError `not_readable`.

    Compact serialisation only, ECDH-ES to this one P-256 key, no compression; a `kid` in the header must be its own.
    """
    try:
        header = strict_json.loads_object(seal.unb64(response.split(".", 1)[0]), max_bytes=4096)
    except ValueError as error:
        raise PresentationError("not_readable", "header") from error
    epk = header.get("epk")
    fits = (
        header.get("alg") == "ECDH-ES"
        and header.get("enc") in ENC_VALUES
        and "zip" not in header
        and isinstance(epk, dict)
        and epk.get("crv") == "P-256"
    )
    if not fits:
        raise PresentationError("not_readable", "algorithms")
    if header.get("kid", kid) != kid:
        raise PresentationError("not_this_login", "kid")
    registry = _Registry(algorithms=["ECDH-ES", *ENC_VALUES], strict_check_header=False)
    try:
        opened = jwe.decrypt_compact(response, key, registry=registry).plaintext
        return strict_json.loads_object(opened or b"", max_bytes=MAX_RESPONSE_BYTES)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise PresentationError("not_readable", type(error).__name__) from error


def _refusal(code: str) -> WalletRefusal:
    return WalletRefusal(code if _ERROR_CODE.match(code) else "unknown")


def _one_presentation(vp_token: object, asked: Mapping[str, Any]) -> tuple[str, str]:
    """The id of the credential query that was answered, and its presentation.

    Section 8.1: an object of arrays by credential id. We offer alternatives and take one answer to one of them.
    """
    if not isinstance(vp_token, dict):
        raise PresentationError("malformed", "vp_token")
    if len(vp_token) != 1 or not dcql.credentials_satisfied(asked, vp_token.keys()):
        raise PresentationError("incomplete", "credentials")
    ((name, presentations),) = vp_token.items()
    if (
        not isinstance(presentations, list)
        or len(presentations) != 1
        or not isinstance(presentations[0], str)
    ):
        raise PresentationError("malformed", "presentations")
    return name, presentations[0]
