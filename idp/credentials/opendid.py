"""Open DID (`opendid`): from a Verifiable Presentation to a `VerifiedCredential`.

A presentation is JSON with one credential in it. The credential's issuer signed every claim by itself, so that the
holder shows some and the others are not there; the holder signs the presentation with a key of their DID document,
which the registry gives. Nothing binds a presentation to the verifier but the nonce (`Expected.audience` is not
looked at), so each nonce is for one question.

Beyond what the project's reference verifier checks: the holder is the credential's subject; subject, issuer, schema
and status of the credential are the registry's; its issuer is a mission that issues today; every date; each key by
its purpose; and that the holder signed the key agreement, where their document has a key for that.

Specs: Open DID, VP format and VC format 1.0, Data Specification 4.4 and 4.6.2.2.
Left out: zero-knowledge proofs, several credentials or subjects, claims kept outside the credential (`location`).
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from idp import strict_json
from idp.credentials import data_proof, did, multibase, opendid_claims, schema
from idp.credentials.did import DidDocument, Registry, RegistryUnavailable
from idp.credentials.status import StatusLookup
from idp.credentials.trust import CredentialTypeTrust, FormatTrust, Mission, TrustSnapshot, seoul_day
from idp.credentials.verdict import CredentialRejected, Expected, Reason, StatusEvidence, VerifiedCredential

FORMAT = "opendid"
SCHEMA_TYPE = "OsdSchemaCredential"
MAX_PRESENTATION_CHARS = 768 * 1024  # a photo is base64 once: some 560 KB of it fit
MAX_MARKS = 8_192
"""Commas and brackets, one before nearly every value: 64 claims of a dozen members have some 1,000."""
MAX_CLAIMS = 64
MAX_PROOFS = 4
NONCE_BYTES = 16
SKEW_S = 60

_AUTHENTICATION = {2: "pin", 4: "bio"}  # what unlocks a key (DID Document format 2.2)
# The specification has a holder assert; some wallets authenticate. Either is a signature by a key for just that.
_HOLDER_PURPOSES = frozenset({"assertionMethod", "authentication"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A presentation whose form is right, with its one credential; nothing of it is verified."""

    presentation: Mapping[str, Any]
    credential: Mapping[str, Any]
    holder: str
    issuer: str
    schema_id: str
    claims: tuple[Mapping[str, Any], ...]


def verify(
    presentation: str, *, expected: Expected, trust: TrustSnapshot, status: StatusLookup, now: int
) -> VerifiedCredential:
    """What a holder has proven with this presentation, in answer to what is expected.

    expected.nonce is multibase, of NONCE_BYTES; expected.registry gives documents and metadata. `status` is not
    asked: what became of a credential stands in the registry.

    In this order: form, type, issuer, holder, nonce, times; then the issuer's signatures, the holder's, shape of the
    claims, status. So the registry is asked for an issuer that is trusted, and for a holder and a credential only once
    that issuer is known to have signed. Raises CredentialRejected.
    """
    shown = _unverified(presentation)
    known, looks = _accepted_type(shown, expected, trust)
    mission = trust.issuer_for_did(known.id, shown.issuer, now)
    _check_holder(shown)
    _check_nonce(shown, expected)
    issued_at, expires_at = _check_times(shown, now)
    registry = _registry(expected)
    _check_issuer_proof(shown, registry, now)
    authentication = _check_holder_proofs(shown, did.resolve(registry, shown.holder), now)
    claims = schema.disclosed(
        opendid_claims.by_element(shown.claims, looks.paths),
        schema.BY_NAME,
        mission_code=mission.code,
        today=seoul_day(now),
    )
    evidence = _status(shown, mission, registry, now)
    return VerifiedCredential(
        format=FORMAT,
        type_id=known.id,
        name=shown.schema_id,
        claims=MappingProxyType(claims),
        authentication=authentication,
        mission=mission,
        issued_at=issued_at,
        expires_at=expires_at,
        status=evidence,
    )


def check_key_agreement(
    acceptance: Mapping[str, Any], presentation: str, *, registry: Registry, now: int
) -> None:
    """Whether the holder of a presentation that was verified signed the key agreement (`AccE2e`) it came under.

    A holder whose document has a key for key agreements promises this signature: without it, whoever sits between
    could have put a key of their own there. It is looked at wherever it is there.

    Raises CredentialRejected: KEY_AGREEMENT, ALGORITHM, MALFORMED, TOO_LARGE, DID_UNAVAILABLE, DID_DOCUMENT,
    DID_DEACTIVATED.
    """
    _check_marks(json.dumps(acceptance))
    document = did.resolve(registry, _unverified(presentation).holder)
    proof = acceptance.get("proof")
    if proof is None:
        if document.agrees_on_keys():
            raise CredentialRejected(Reason.KEY_AGREEMENT, "the holder has a key for it and did not sign")
        return
    purposes = frozenset({"keyAgreement"})
    _check_signed(acceptance, proof, document, purposes=purposes, refusal=Reason.KEY_AGREEMENT, now=now)


# -- what can be seen without asking anybody -----------------------------------------------------------------


def _check_marks(text: str) -> None:
    """Each signature is over a canonical text of its own, and what it costs goes by values, not by characters."""
    if sum(map(text.count, ",[{")) > MAX_MARKS:
        raise CredentialRejected(Reason.TOO_LARGE, "too many values")


def _unverified(presentation: str) -> _Shown:
    """Checks form and size, no signature, no time. Raises CredentialRejected: TOO_LARGE, MALFORMED."""
    if len(presentation) > MAX_PRESENTATION_CHARS:
        raise CredentialRejected(Reason.TOO_LARGE, "the presentation is too long")
    _check_marks(presentation)
    try:
        unverified = data_proof.without_nulls(strict_json.loads_object(presentation))
    except ValueError:
        raise CredentialRejected(Reason.MALFORMED, "not a JSON object") from None
    credentials = unverified.get("verifiableCredential")
    if not isinstance(credentials, list) or len(credentials) != 1 or not isinstance(credentials[0], dict):
        raise CredentialRejected(Reason.MALFORMED, "not one credential")
    (credential,) = credentials
    if "VerifiablePresentation" not in _list(unverified, "type"):
        raise CredentialRejected(Reason.MALFORMED, "not a presentation")
    if "VerifiableCredential" not in _list(credential, "type"):
        raise CredentialRejected(Reason.MALFORMED, "not a credential")
    holder, issuer = unverified.get("holder"), _member(credential, "issuer", "id")
    if not did.is_did(holder) or not did.is_did(issuer):
        raise CredentialRejected(Reason.MALFORMED, "holder or issuer is no DID")
    schema_id = _member(credential, "credentialSchema", "id")
    if not isinstance(schema_id, str) or _member(credential, "credentialSchema", "type") != SCHEMA_TYPE:
        raise CredentialRejected(Reason.TYPE_NOT_ACCEPTED, "credentialSchema")
    return _Shown(unverified, credential, holder, issuer, schema_id, _claims(credential))


def _claims(credential: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    claims = _member(credential, "credentialSubject", "claims")
    if not isinstance(claims, list) or not claims or not all(isinstance(claim, dict) for claim in claims):
        raise CredentialRejected(Reason.MALFORMED, "credentialSubject.claims")
    if len(claims) > MAX_CLAIMS:
        raise CredentialRejected(Reason.TOO_LARGE, "too many claims")
    codes = [claim.get("code") for claim in claims]
    if not all(isinstance(code, str) for code in codes):
        raise CredentialRejected(Reason.MALFORMED, "a claim without a code")
    if len(set(codes)) != len(codes):
        raise CredentialRejected(Reason.DISCLOSURE_DUPLICATE, "a claim stands there twice")
    return tuple(claims)


def _accepted_type(
    shown: _Shown, expected: Expected, trust: TrustSnapshot
) -> tuple[CredentialTypeTrust, FormatTrust]:
    known, looks = trust.type_named(FORMAT, shown.schema_id)
    if known.id not in expected.accepted_types:
        raise CredentialRejected(Reason.TYPE_NOT_ACCEPTED, "not a type that was asked for")
    return known, looks


def _check_holder(shown: _Shown) -> None:
    """Whoever presents a credential must be the one it was issued to: both names are signed, by two people."""
    if _member(shown.credential, "credentialSubject", "id") != shown.holder:
        raise CredentialRejected(Reason.HOLDER_MISMATCH, "the holder is not the credential's subject")


def _check_nonce(shown: _Shown, expected: Expected) -> None:
    """Compared as bytes: a wallet may spell them in another base (VP format 2.1.2.1)."""
    try:
        nonce = multibase.decode(str(shown.presentation.get("verifierNonce")), max_chars=64)
    except ValueError:
        raise CredentialRejected(Reason.KEY_BINDING_NONCE, "verifierNonce is not multibase") from None
    wanted = multibase.decode(expected.nonce, max_chars=64)
    if len(wanted) != NONCE_BYTES:
        raise ValueError("a nonce of another length than the specification's")
    if not hmac.compare_digest(nonce, wanted):
        raise CredentialRejected(Reason.KEY_BINDING_NONCE, "verifierNonce is not the expected nonce")


def _check_times(shown: _Shown, now: int) -> tuple[int, int]:
    """When the credential was issued, and when it ends.

    Raises CredentialRejected: EXPIRED, NOT_YET_VALID, KEY_BINDING_TIME, MALFORMED.
    """
    credential, presentation = shown.credential, shown.presentation
    issued_at, expires_at = _time(credential, "issuanceDate"), _time(credential, "validUntil")
    if now < max(issued_at, _time(credential, "validFrom")) - SKEW_S:
        raise CredentialRejected(Reason.NOT_YET_VALID, "issuanceDate or validFrom")
    if now >= expires_at + SKEW_S:
        raise CredentialRejected(Reason.EXPIRED, "validUntil")
    begins_at, ends_at = _time(presentation, "validFrom"), _time(presentation, "validUntil")
    if not begins_at - SKEW_S <= now < ends_at + SKEW_S:
        raise CredentialRejected(Reason.KEY_BINDING_TIME, "the presentation is not valid now")
    return issued_at, expires_at


# -- what the registry says ----------------------------------------------------------------------------------


def _registry(expected: Expected) -> Registry:
    if expected.registry is None:
        raise CredentialRejected(Reason.DID_UNAVAILABLE, "no registry")
    return expected.registry


def _check_issuer_proof(shown: _Shown, registry: Registry, now: int) -> None:
    """The issuer signed each claim that is shown, in this credential, or all of them at once (VC format 2.3.4.3).

    The key may be one of an earlier version of the issuer's document: what was issued before a change of keys still
    holds.
    """
    proof = shown.credential.get("proof")
    if not isinstance(proof, dict) or proof.get("type") != data_proof.PROOF_TYPE:
        raise CredentialRejected(Reason.ALGORITHM, "a type of proof we do not verify")
    refusal = Reason.ISSUER_SIGNATURE
    url = did.key_url(proof.get("verificationMethod"), refusal)
    if url.did != shown.issuer or proof.get("proofPurpose") != "assertionMethod":
        raise CredentialRejected(refusal, "not the issuer's proof")
    if _time(proof, "created") > now + SKEW_S:
        raise CredentialRejected(Reason.NOT_YET_VALID, "created")
    key = did.named_key(did.resolve(registry, url.did, url.version), url, "assertionMethod", refusal)
    whole, single = proof.get("proofValue"), proof.get("proofValueList")
    if whole is None and single is None:
        raise CredentialRejected(refusal, "no signature")
    if whole is not None:
        did.check_signature(key, whole, data_proof.signing_input(shown.credential, proof), refusal)
    if single is not None:
        if not isinstance(single, list) or len(single) != len(shown.claims):
            raise CredentialRejected(refusal, "not one signature for each claim")
        for claim, value in zip(shown.claims, single, strict=True):
            did.check_signature(key, value, _signed_claim(shown, claim, proof), refusal)


def _signed_claim(shown: _Shown, claim: Mapping[str, Any], proof: Mapping[str, Any]) -> bytes:
    """The credential as if this were its only claim."""
    subject = {**shown.credential["credentialSubject"], "claims": [claim]}
    return data_proof.signing_input({**shown.credential, "credentialSubject": subject}, proof)


def _check_holder_proofs(shown: _Shown, document: DidDocument, now: int) -> tuple[str, ...]:
    """What unlocked the keys that signed the presentation, each of the holder's document as it is now."""
    presentation = shown.presentation
    proofs = _list(presentation, "proofs") + ([presentation["proof"]] if "proof" in presentation else [])
    if not 1 <= len(proofs) <= MAX_PROOFS:
        raise CredentialRejected(Reason.KEY_BINDING_MISSING, "no proof of the holder, or too many")
    refusal = Reason.KEY_BINDING_SIGNATURE
    keys = [
        _check_signed(presentation, proof, document, purposes=_HOLDER_PURPOSES, refusal=refusal, now=now)
        for proof in proofs
    ]
    auth_types = {key.auth_type for key in keys}
    return tuple(_AUTHENTICATION[auth_type] for auth_type in sorted(auth_types & _AUTHENTICATION.keys()))


def _check_signed(
    signed: Mapping[str, Any],
    proof: Any,
    document: DidDocument,
    *,
    purposes: frozenset[str],
    refusal: Reason,
    now: int,
) -> did.Key:
    """The key of the document that signed, for one of these purposes, by now."""
    if not isinstance(proof, dict):
        raise CredentialRejected(Reason.MALFORMED, "a proof is none")
    purpose = proof.get("proofPurpose")
    if not isinstance(purpose, str) or purpose not in purposes:
        raise CredentialRejected(Reason.KEY_BINDING_TYPE, "proofPurpose")
    url = did.key_url(proof.get("verificationMethod"), Reason.HOLDER_KEY)
    key = did.named_key(document, url, purpose, Reason.HOLDER_KEY)
    if _time(proof, "created") > now + SKEW_S:
        raise CredentialRejected(Reason.KEY_BINDING_TIME, "created")
    did.check_proof(signed, proof, key, refusal)
    return key


def _status(shown: _Shown, mission: Mission, registry: Registry, now: int) -> StatusEvidence:
    """Evidence that the registry knows this very credential, and that it is active (VC format 2.1).

    Asked each time, also of types that require no status: the registry is where an Open DID credential ends.
    """
    credential = shown.credential
    vc_id = credential.get("id")
    if not isinstance(vc_id, str) or not re.fullmatch(r"[!-~]{1,200}", vc_id):
        raise CredentialRejected(Reason.STATUS_MISSING, "the credential has no id to ask for")
    try:
        meta = registry.vc_meta(vc_id)
    except RegistryUnavailable as error:
        raise CredentialRejected(Reason.STATUS_UNKNOWN, "the registry has no answer") from error
    same = (
        meta.get("id") == vc_id
        and _member(meta, "issuer", "did") == shown.issuer
        and meta.get("subject") == shown.holder
        and _member(meta, "credentialSchema", "id") == shown.schema_id
    )
    if not same:
        raise CredentialRejected(Reason.STATUS_INVALID, "the registry speaks of another credential")
    check_active(meta)
    return StatusEvidence(mission, vc_id, 0, "", now, fresh=True)


def check_active(meta: Mapping[str, Any]) -> None:
    """What a registry says of a credential (`VcMeta`): nothing where it is active.

    Raises CredentialRejected: STATUS_SUSPENDED, STATUS_REVOKED, STATUS_INVALID.
    """
    match meta.get("status"):
        case "ACTIVE":
            return
        case "INACTIVE":
            raise CredentialRejected(Reason.STATUS_SUSPENDED)
        case "REVOKED":
            raise CredentialRejected(Reason.STATUS_REVOKED)
    raise CredentialRejected(Reason.STATUS_INVALID, "a status we do not know")


# -- reading -------------------------------------------------------------------------------------------------


def _time(document: Mapping[str, Any], name: str) -> int:
    """Whole seconds since the epoch, rounded down. A time without its zone says nothing, and is refused."""
    text = document.get(name)
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise CredentialRejected(Reason.MALFORMED, f"{name} is not a time with its zone")
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise CredentialRejected(Reason.MALFORMED, f"{name} is not a time") from None


def _member(document: Mapping[str, Any], name: str, inner: str) -> Any:
    """A member of a member; None where there is none."""
    outer = document.get(name)
    return outer.get(inner) if isinstance(outer, Mapping) else None


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list):
        raise CredentialRejected(Reason.MALFORMED, f"{name} is not a list")
    return value
