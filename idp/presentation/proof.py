"""What a verified credential means for a login: the proof, the level it reaches, the evidence for it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from idp import seal
from idp.claims import CI, CI_DOMAIN, Path
from idp.clock import iso, utc
from idp.credentials import CredentialRejected, Reason, VerifiedCredential
from idp.credentials.trust import CredentialTypeTrust
from idp.errors import PresentationError
from idp.login import Proof, Standing, Via
from idp.presentation.question import Alternative


@dataclass(frozen=True)
class WalletRefusal:
    """The wallet answers that it will not show anything.

    code: its own, if it looks like one. problem: what the holder reads.
    """

    code: str
    problem: str = "wallet_refused"


@dataclass(frozen=True)
class Answered:
    """A presentation that verified, with what it means for the login."""

    proof: Proof
    acr_level: str
    amr: tuple[str, ...]


def answered(verified: VerifiedCredential, alternative: Alternative, *, via: Via, now: int) -> Answered:
    """The answer that a verified credential gives to what was asked.

    Raises PresentationError `incomplete`: something required, or what finds the person again, is not shown.
    """
    if any(_shown(verified.claims, path) is None for path in alternative.required):
        raise PresentationError("incomplete")
    return Answered(
        proof=Proof(
            credential_type=alternative.kind.id,
            claims=_only(verified.claims, alternative.asked),
            person_keys=_person_keys(verified, alternative),
            evidence=evidence(verified, alternative.kind, now),
            valid_until=verified.expires_at,
            standing=_standing(verified),
        ),
        acr_level=_acr_level(verified, alternative.kind),
        amr=("pop", *verified.authentication) + (("qr",) if via == "qr" else ()),
    )


def rejected(error: CredentialRejected) -> PresentationError:
    """ "We could not ask" is neither "revoked" nor "fine": the same answer may be accepted a moment later."""
    if error.reason in {Reason.STATUS_UNKNOWN, Reason.DID_UNAVAILABLE}:
        busy = "temporarily_unavailable"
        return PresentationError(error.reason.value, error.detail, error=busy, oauth_error=busy, status=503)
    return PresentationError(error.reason.value, error.detail)


def _person_keys(verified: VerifiedCredential, alternative: Alternative) -> tuple[tuple[str, str, str], ...]:
    """What finds the person again. Where nothing in the credential does, this presentation alone: somebody new."""
    kind = alternative.kind
    found = tuple(_person_key(verified, kind, path) for path in alternative.person_keys)
    return found or ((kind.trust_domain, "presentation", seal.random_token()),)


def _standing(verified: VerifiedCredential) -> Standing:
    status = verified.status
    return Standing(
        credential_type=verified.type_id,
        format=verified.format,
        mission=verified.mission.code,
        chain=tuple(b64encode(der).decode("ascii") for der in verified.issuer_chain),
        uri=status.uri if status is not None else "",
        idx=status.idx if status is not None else 0,
        token_type=status.token_type if status is not None else "",
    )


def _person_key(verified: VerifiedCredential, kind: CredentialTypeTrust, path: Path) -> tuple[str, str, str]:
    value = _shown(verified.claims, path)
    if not isinstance(value, str) or not value.strip():
        raise PresentationError("incomplete", "person key")
    return (CI_DOMAIN if path == CI else kind.trust_domain), ".".join(path), value


def _shown(claims: Mapping[str, Any], path: Path) -> Any:
    found: Any = claims
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _only(claims: Mapping[str, Any], asked: Collection[Path]) -> dict[str, Any]:
    """Drop what was shown without being asked for: data minimisation."""
    kept: dict[str, Any] = {}
    for name, value in claims.items():
        if (name,) in asked:
            kept[name] = value
        elif isinstance(value, Mapping):
            inner = {part: member for part, member in value.items() if (name, part) in asked}
            if inner:
                kept[name] = inner
    return kept


def _acr_level(verified: VerifiedCredential, kind: CredentialTypeTrust) -> str:
    """`secure` needs a status that is known now (decision D8), also where this portal would take a general one:
    the session that begins here may answer the next portal, which would not.
    """
    known_now = verified.status is None or verified.status.fresh
    strong = any(
        set(combination) <= set(verified.authentication) for combination in kind.secure_authentication
    )
    return "secure" if strong and known_now else "general"


def evidence(verified: VerifiedCredential, kind: CredentialTypeTrust, now: int) -> dict[str, Any]:
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
