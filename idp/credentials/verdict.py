"""What a verification can say: a `VerifiedCredential`, or `CredentialRejected` with one named `Reason`.

Here, below the formats, so that each of them can say it. Others import these names from `idp.credentials`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from idp.credentials.did import Registry
    from idp.credentials.trust import Mission


class Reason(StrEnum):
    """Why a presentation is refused: one name per check, for the audit and for tests.

    A portal and a wallet hear none of these names (decision D6); a holder hears what to do.
    """

    # What arrived is not a credential in the format that was asked for.
    FORMAT_UNKNOWN = "format_unknown"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    HEADER_TYPE = "header_type"
    CRITICAL_HEADER = "critical_header"
    ALGORITHM = "algorithm"
    VERSION = "version"
    RESPONSE_STATUS = "response_status"
    # Who issued it, and what.
    TYPE_NOT_ACCEPTED = "type_not_accepted"
    ISSUER_CERTIFICATE = "issuer_certificate"
    ISSUER_UNTRUSTED = "issuer_untrusted"
    ISSUER_NOT_ACTIVE = "issuer_not_active"
    ISSUER_SIGNATURE = "issuer_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    DOCTYPE = "doctype"
    VALIDITY = "validity"
    ISSUER_COUNTRY = "issuer_country"
    # What stands in the registry of DIDs. DID_UNAVAILABLE is "we could not ask", as STATUS_UNKNOWN is.
    DID_UNAVAILABLE = "did_unavailable"
    DID_DOCUMENT = "did_document"
    DID_DEACTIVATED = "did_deactivated"
    # What is disclosed.
    DISCLOSURE_MALFORMED = "disclosure_malformed"
    DISCLOSURE_DUPLICATE = "disclosure_duplicate"
    DISCLOSURE_UNREFERENCED = "disclosure_unreferenced"
    DISCLOSURE_COLLISION = "disclosure_collision"
    DISCLOSURE_FORBIDDEN = "disclosure_forbidden"
    DIGEST = "digest"
    CLAIM_INVALID = "claim_invalid"
    MISSION_MISMATCH = "mission_mismatch"
    # Who shows it, to whom, in answer to what.
    HOLDER_KEY = "holder_key"
    HOLDER_MISMATCH = "holder_mismatch"
    KEY_AGREEMENT = "key_agreement"
    KEY_BINDING_MISSING = "key_binding_missing"
    KEY_BINDING_TYPE = "key_binding_type"
    KEY_BINDING_SIGNATURE = "key_binding_signature"
    KEY_BINDING_AUDIENCE = "key_binding_audience"
    KEY_BINDING_NONCE = "key_binding_nonce"
    KEY_BINDING_TIME = "key_binding_time"
    KEY_BINDING_HASH = "key_binding_hash"
    DEVICE_MAC = "device_mac"
    DEVICE_SIGNATURE = "device_signature"
    DEVICE_ELEMENTS = "device_elements"
    # Whether it still holds. STATUS_UNKNOWN is "we could not ask": never "revoked", and never "fine".
    STATUS_MISSING = "status_missing"
    STATUS_INVALID = "status_invalid"
    STATUS_REVOKED = "status_revoked"
    STATUS_SUSPENDED = "status_suspended"
    STATUS_UNKNOWN = "status_unknown"
    STATUS_TOKEN = "status_token"
    # What another verifier says for us: the operator's daemon, of the national app's presentations.
    VERIFIER_REFUSED = "verifier_refused"


class CredentialRejected(Exception):
    """A presentation (or a status list token) that is refused.

    `reason` is the check that failed, `detail` says more for the operator. Neither holds a value from the input.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class Unprinted(msgspec.Struct, frozen=True):
    """Part of a credential, which no log line prints: of its members nobody sees more than that they are there.

    A Struct also takes a third of the time of a class of Python's own, and each presentation makes a dozen of them.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@dataclass(frozen=True, slots=True)
class Expected:
    """What this presentation must answer.

    audience: our full client identifier, prefix included, or `origin:` and ours through the Digital Credentials API;
        compared exactly (decision D7).
    nonce: of the request that is answered.
    accepted_types: ids of credential types (`CredentialTypeTrust.id`).
    session_transcript: the CBOR that an mdoc's device signature must cover; empty where none was made, and then no
        mdoc fits.
    header_types: what an SD-JWT VC may call itself (`typ`).
    registry: where the DID documents of an Open DID presentation are asked for; without it none fits.
    status_fail_closed: True asks for a status list within its ttl; False accepts one that has gone stale while
        its host cannot be reached (decision D8; `StatusEvidence.fresh` tells which it was).
    """

    audience: str
    nonce: str
    accepted_types: frozenset[str]
    status_fail_closed: bool = True
    session_transcript: bytes = b""
    header_types: frozenset[str] = frozenset({"dc+sd-jwt"})
    registry: Registry | None = None


class StatusEvidence(Unprinted, frozen=True):
    """Which entry of which list said that the credential is valid.

    uri, idx: the list and the entry, by which one credential is known: stored nowhere in clear. Where a registry of
        DIDs was asked, `uri` is what it was asked for.
    token_type: the media type of the list's token; empty for a registry of DIDs.
    checked_at: when that list was fetched, seconds since the epoch. fresh: it was within its ttl.
    """

    organisation: Mission
    uri: str
    idx: int
    token_type: str
    checked_at: int
    fresh: bool


class VerifiedCredential(Unprinted, frozen=True):
    """A credential that passed every check, at the time it was asked about.

    type_id and name: which type, and under which of its names in this format (vct, docType, schema id).
    claims: what was disclosed, each element where `schema.ELEMENTS` has it, whatever the format, and of the right
        shape; without iss, exp, cnf and their like. May hold less than was asked for: comparing with the query is
        the asker's.
    authentication: how the holder unlocked it, RFC 8176 values as the issuer states them; may be empty.
    issued_at, expires_at: seconds since the epoch; None where the credential does not say.
    status: None only where the type does not require one and the credential has none.
    issuer_chain: the issuer's certificates, DER, leaf first, without the anchor; empty where it has none.
    """

    format: str
    type_id: str
    name: str
    claims: Mapping[str, Any]
    authentication: tuple[str, ...]
    mission: Mission
    issued_at: int | None
    expires_at: int | None
    status: StatusEvidence | None
    issuer_chain: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Examined:
    """How far a credential holds that nobody presents now (`credentials.examining`): no key binding is looked at.

    passed: the steps that hold, in their order. reason, detail: why the next one does not, None and "" where all do.
    What its issuer signed is filled in only once the signature held: mission, name, times, and the names of the
    elements shown, never a value of them. chain: the certificates that it brings, DER, leaf first, trusted or not.
    """

    format: str
    passed: list[str] = field(default_factory=list)
    reason: Reason | None = None
    detail: str = ""
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    type_id: str | None = None
    name: str | None = None
    mission: Mission | None = None
    issued_at: int | None = None
    expires_at: int | None = None
    elements: tuple[str, ...] = ()
