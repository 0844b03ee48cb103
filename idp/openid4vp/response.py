"""What a wallet answers: an encrypted response, read, checked against the question, and verified.

Spec: OpenID4VP 1.0, sections 8.2, 8.3, 8.5 and 14.9; HAIP 1.0, section 5. The order is fixed: parameters,
decryption, shape, query, credential, query again on what was verified. Every refusal is a `PresentationError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from idp import credentials, seal, strict_json
from idp.clock import Clock, iso, utc
from idp.credentials.trust import CredentialTypeTrust, TrustSnapshot
from idp.errors import PresentationError
from idp.login import Ask, Proof
from idp.openid4vp import dcql
from idp.openid4vp.question import Question
from idp.openid4vp.request import ENC_VALUES, encryption_key

MAX_RESPONSE_BYTES = 1_048_576
_ERROR_CODE = re.compile(r"[a-z_]{1,40}\Z")


class _Registry(jwe.JWERegistry):
    max_protected_header_length = 4096
    max_ciphertext_length = MAX_RESPONSE_BYTES


@dataclass(frozen=True)
class WalletRefusal:
    """The wallet answers with an error (section 8.5); `code` is its code if it looks like one."""

    code: str


@dataclass(frozen=True)
class Answered:
    """A presentation that verified, with what it means for the login."""

    proof: Proof
    acr_level: str
    amr: tuple[str, ...]


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
        asked, presentation = _one_presentation(payload.get("vp_token"), question.query)
        return self._verify(presentation, ask, asked, question)

    def _verify(self, presentation: str, ask: Ask, asked: Mapping[str, Any], question: Question) -> Answered:
        trust = self._trust()
        try:
            verified = credentials.verify(
                asked["format"],
                presentation,
                expected=credentials.Expected(
                    audience=self._client_id,
                    nonce=ask.nonce,
                    accepted_types=frozenset({asked["id"]}),
                    status_fail_closed=question.status_fail_closed,
                ),
                trust=trust,
                status=self._status,
                now=self._clock(),
            )
        except credentials.CredentialRejected as error:
            raise _rejected(error) from error
        if verified.vct not in asked["meta"]["vct_values"]:
            raise PresentationError("type_not_accepted")
        if not dcql.claims_satisfied(asked, verified.claims):
            raise PresentationError("incomplete")
        kind = trust.types[verified.type_id]
        return Answered(
            proof=self._proof(verified, kind, asked),
            acr_level=_acr_level(verified, kind),
            amr=("pop", *verified.authentication) + (("qr",) if ask.via == "qr" else ()),
        )

    def _proof(
        self, verified: credentials.VerifiedCredential, kind: CredentialTypeTrust, asked: Mapping[str, Any]
    ) -> Proof:
        value = verified.claims.get(kind.person_key)
        if not isinstance(value, str) or not value.strip():
            raise PresentationError("incomplete", "person key")
        return Proof(
            credential_type=kind.id,
            claims=_only_asked(verified.claims, asked),
            person_keys=((kind.trust_domain, kind.person_key, value),),
            evidence=evidence(verified, kind, self._clock()),
            valid_until=verified.expires_at,
        )


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


def _rejected(error: credentials.CredentialRejected) -> PresentationError:
    """ "We could not ask" is neither "revoked" nor "fine": the same answer may be accepted a moment later."""
    if error.reason is credentials.Reason.STATUS_UNKNOWN:
        busy = "temporarily_unavailable"
        return PresentationError(error.reason.value, error.detail, error=busy, oauth_error=busy, status=503)
    return PresentationError(error.reason.value, error.detail)


def _refusal(code: str) -> WalletRefusal:
    return WalletRefusal(code if _ERROR_CODE.match(code) else "unknown")


def _one_presentation(vp_token: object, query: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The credential query that was answered, and its presentation.

    Section 8.1: an object of arrays by credential id. We offer alternatives and take one answer to one of them.
    """
    if not isinstance(vp_token, dict):
        raise PresentationError("malformed", "vp_token")
    if len(vp_token) != 1 or not dcql.credentials_satisfied(query, vp_token.keys()):
        raise PresentationError("incomplete", "credentials")
    ((name, presentations),) = vp_token.items()
    if (
        not isinstance(presentations, list)
        or len(presentations) != 1
        or not isinstance(presentations[0], str)
    ):
        raise PresentationError("malformed", "presentations")
    return next(entry for entry in query["credentials"] if entry["id"] == name), presentations[0]


def _only_asked(claims: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what was shown without being asked for: data minimisation."""
    roots = {claim["path"][0] for claim in asked.get("claims", ())}
    return {name: value for name, value in claims.items() if name in roots}


def _acr_level(verified: credentials.VerifiedCredential, kind: CredentialTypeTrust) -> str:
    """`secure` needs a status that is known now (decision D8), also where this portal would take a general one:
    the session that begins here may answer the next portal, which would not.
    """
    known_now = verified.status is None or verified.status.fresh
    strong = any(
        set(combination) <= set(verified.authentication) for combination in kind.secure_authentication
    )
    return "secure" if strong and known_now else "general"


def evidence(verified: credentials.VerifiedCredential, kind: CredentialTypeTrust, now: int) -> dict[str, Any]:
    """What `verified_claims` will say: only what was really checked, and when.

    One `electronic_record` (OpenID Identity Assurance Schema 1.0, section 5.4.4): the credential, checked by its
    signatures (`vcrypt`) and, where a status list was asked, by its data (`data`).
    """
    mission = verified.mission
    checks: list[dict[str, Any]] = [
        {"check_method": "vcrypt", "organization": mission.name["ko"], "time": iso(now)}
    ]
    if verified.status is not None:
        checks.append(
            {
                "check_method": "data",
                "organization": mission.name["ko"],
                "time": iso(verified.status.checked_at),
            }
        )
    record: dict[str, Any] = {
        "type": kind.id,
        "source": {"name": mission.name["ko"], "country_code": mission.country},
    }
    if verified.issued_at is not None:
        record["created_at"] = iso(verified.issued_at)
    if verified.expires_at is not None:
        record["date_of_expiry"] = utc(verified.expires_at).strftime("%Y-%m-%d")
    return {
        "time": iso(now),
        "evidence": [{"type": "electronic_record", "check_details": checks, "record": record}],
    }
