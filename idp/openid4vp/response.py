"""What a wallet answers: an encrypted response, read, checked against the question, and verified.

Spec: OpenID4VP 1.0, sections 8.2, 8.3, 8.5 and 14.9; HAIP 1.0, section 5. The order is fixed: parameters,
decryption, shape, query, credential, query again on what was verified. Every refusal is a `PresentationError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from idp import credentials, seal, strict_json
from idp.clock import Clock
from idp.credentials import session_transcript
from idp.credentials.trust import TrustSnapshot
from idp.errors import PresentationError
from idp.login import Ask
from idp.openid4vp import dcql, query
from idp.openid4vp.request import ENC_VALUES, Requests, encryption_key, thumbprint
from idp.presentation.proof import Answered, WalletRefusal, answered, rejected
from idp.presentation.question import Question
from idp.presentation.wallets import WalletProfile

MAX_RESPONSE_BYTES = 1_048_576
_ERROR_CODE = re.compile(r"[a-z_]{1,40}\Z")


class _Registry(jwe.JWERegistry):
    max_protected_header_length = 4096
    max_ciphertext_length = MAX_RESPONSE_BYTES


@dataclass(frozen=True)
class Opened:
    """An answer as it lay in its envelope: its members, and what the envelope says of an mdoc's transcript (`apu`)."""

    payload: Mapping[str, Any]
    party_info: str | None = None


class Responses:
    """Reads wallets' answers."""

    def __init__(
        self,
        *,
        requests: Requests,
        trust: Callable[[], TrustSnapshot],
        status: credentials.StatusLookup,
        clock: Clock,
    ) -> None:
        self._requests = requests
        self._trust = trust
        self._status = status
        self._clock = clock

    def read(
        self,
        parameters: Mapping[str, Sequence[str]],
        ask: Ask,
        secret: bytes,
        question: Question,
        wallet: WalletProfile,
    ) -> Answered | WalletRefusal:
        """The verified answer to a question.

        `parameters` are the form's, each with all its values. Raises PresentationError.
        """
        if not parameters:
            raise PresentationError("malformed", "not a form")
        for name, values in parameters.items():
            if len(values) != 1:
                raise PresentationError("malformed", f"{len(values)} values of one parameter" if name else "")
        given = {name: values[0] for name, values in parameters.items()}
        if "error" in given and "response" not in given:
            if "vp_token" in given:
                raise PresentationError("malformed", "error and vp_token together")
            return refusal(_of_this_login(given, ask)["error"])
        opened = _opened(given, ask, secret, wallet)
        payload = _of_this_login(opened.payload, ask)
        if "error" in payload:
            return refusal(payload["error"])
        bound = credentials.Expected(
            audience=self._requests.client_id(wallet),
            nonce=ask.nonce,
            accepted_types=frozenset(),
            session_transcript=self._transcript(ask, secret, wallet, opened.party_info),
            header_types=frozenset(wallet.sd_jwt_types),
        )
        return self.verify(payload.get("vp_token"), bound, ask, question, wallet.speaks)

    def verify(
        self,
        vp_token: object,
        bound: credentials.Expected,
        ask: Ask,
        question: Question,
        formats: Collection[str],
    ) -> Answered:
        """The answer in a `vp_token`. `bound` is what it must be bound to; types and care come from the question.

        Raises PresentationError.
        """
        name, presentation = _one_presentation(vp_token, query.query(question, formats))
        alternative = query.alternatives(question, formats)[name]
        now = self._clock()
        expected = replace(
            bound,
            accepted_types=frozenset({alternative.kind.id}),
            status_fail_closed=question.status_fail_closed,
        )
        try:
            verified = credentials.verify(
                alternative.looks.format,
                presentation,
                expected=expected,
                trust=self._trust(),
                status=self._status,
                now=now,
            )
        except credentials.CredentialRejected as error:
            raise rejected(error) from error
        if verified.name not in alternative.looks.names:
            raise PresentationError("type_not_accepted")
        if not dcql.claims_satisfied(query.in_our_words(alternative), verified.claims):
            raise PresentationError("incomplete")
        return answered(verified, alternative, via=ask.via, now=now)

    def _transcript(self, ask: Ask, secret: bytes, wallet: WalletProfile, party_info: str | None) -> bytes:
        """What an mdoc's device signature must cover, as this wallet reads the specifications."""
        client_id, response_uri = self._requests.client_id(wallet), self._requests.response_uri(ask)
        if wallet.session_transcript == "iso-18013-7":
            return session_transcript.for_annex_b(
                client_id=client_id,
                nonce=ask.nonce,
                response_uri=response_uri,
                mdoc_generated_nonce=party_info or "",
            )
        with_thumbprint = wallet.encrypts and wallet.session_transcript == "openid4vp-1.0"
        return session_transcript.for_direct_post(
            client_id=client_id,
            nonce=ask.nonce,
            key_thumbprint=thumbprint(secret) if with_thumbprint else None,
            response_uri=response_uri,
        )


def _opened(given: Mapping[str, str], ask: Ask, secret: bytes, wallet: WalletProfile) -> Opened:
    """What the wallet answers, out of the envelope that its profile has. Raises PresentationError."""
    if wallet.encrypts:
        # An unencrypted answer would show a person's data to everybody on the way (HAIP 1.0, section 5.1).
        if "response" not in given or "vp_token" in given:
            raise PresentationError("not_encrypted" if "vp_token" in given else "malformed")
        return decrypt(given["response"], encryption_key(secret), kid=ask.id)
    if "vp_token" not in given or "response" in given:
        raise PresentationError("malformed", "no vp_token")
    try:
        return Opened(
            {**given, "vp_token": strict_json.loads(given["vp_token"], max_bytes=MAX_RESPONSE_BYTES)}
        )
    except ValueError as error:
        raise PresentationError("malformed", "vp_token is not JSON") from error


def _of_this_login(payload: Mapping[str, Any], ask: Ask) -> Mapping[str, Any]:
    """The answer, if it carries this question's `state` or none. Raises PresentationError."""
    if payload.get("state", ask.id) != ask.id:
        raise PresentationError("not_this_login", "state")
    return payload


def decrypt(response: str, key: ECKey, *, kid: str) -> Opened:
    """What is in an encrypted response (section 8.3). Raises PresentationError `not_readable`.

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
        payload = strict_json.loads_object(opened or b"", max_bytes=MAX_RESPONSE_BYTES)
        return Opened(payload, _party_info(header.get("apu")))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise PresentationError("not_readable", type(error).__name__) from error


def _party_info(apu: object) -> str | None:
    """The text in `apu`: by ISO/IEC 18013-7, Annex B, the nonce that an mdoc was generated with; None for bytes."""
    try:
        return seal.unb64(apu).decode("utf-8") if isinstance(apu, str) else None
    except ValueError:
        return None


def refusal(code: object) -> WalletRefusal:
    """A wallet's word that it does not answer; its code only if it looks like one (section 8.5).

    One code says that the holder would not; every other that the wallet could not.
    """
    if code == "access_denied":
        return WalletRefusal("access_denied")
    said = code if isinstance(code, str) and _ERROR_CODE.match(code) else "unknown"
    return WalletRefusal(said, "wallet_could_not")


def _one_presentation(vp_token: object, asked: Mapping[str, Any]) -> tuple[str, str]:
    """The id of the credential query that was answered, and its presentation.

    Section 8.1: an object of arrays by credential id. We offer alternatives and take one answer to one of them.
    """
    if not isinstance(vp_token, dict):
        raise PresentationError("malformed", "vp_token")
    if not dcql.credentials_satisfied(asked, vp_token.keys()):
        raise PresentationError("incomplete", "credentials")
    if len(vp_token) != 1:
        # A wallet returns what matches one of the options (section 6.4.2). Two credentials may be two people's, and
        # who of them signs in is not ours to choose.
        raise PresentationError("malformed", "more than one alternative")
    ((name, presentations),) = vp_token.items()
    if (
        not isinstance(presentations, list)
        or len(presentations) != 1
        or not isinstance(presentations[0], str)
    ):
        raise PresentationError("malformed", "presentations")
    return name, presentations[0]
