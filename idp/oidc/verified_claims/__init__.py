"""`verified_claims`: how it is known what is claimed.

`reading` checks what a portal asks for and keeps what can be acted on; `answering` makes the answer from the evidence
that the verification left (`openid4vp.response.evidence`). Spoken: OpenID Connect for Identity Assurance 1.0 and its
Schema Definition 1.0 (`openid-ida-verified-claims`), both final. Left out: `assurance_process`, `derived_claims`,
attachments, aggregated and distributed claims, and evidence other than `electronic_record`: what is asked of them is
answered as data that we do not have (section 5.7.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from idp.claims import CLAIMS, LANGUAGES
from idp.oidc.verified_claims.answering import answer
from idp.oidc.verified_claims.reading import EVIDENCE_TYPES, MAX_ENTRIES, read, wanted_age_s

__all__ = [
    "ASSURANCE_LEVELS",
    "CHECK_METHODS",
    "EVIDENCE_TYPES",
    "MAX_ENTRIES",
    "TRUST_FRAMEWORK",
    "answer",
    "metadata",
    "read",
    "verification",
    "wanted_age_s",
]

TRUST_FRAMEWORK = "kr_mobile_id"
"""A private value: the Korean mobile ID family, by its missions and ministries. See `docs/claims.md`."""

ASSURANCE_LEVELS = ("general", "secure")
CHECK_METHODS = ("vcrypt", "data")


def verification(evidence: Mapping[str, Any], *, acr: str, transaction: str) -> dict[str, Any]:
    """Everything that can be said about how the claims were verified."""
    return {
        "trust_framework": TRUST_FRAMEWORK,
        "assurance_level": acr.rpartition("/")[2],
        "time": evidence["time"],
        "verification_process": transaction,
        "evidence": evidence["evidence"],
    }


def metadata(credential_types: Sequence[str]) -> dict[str, Any]:
    """What discovery says of `verified_claims` (section 9). `credential_types` are what an `electronic_record` may be.

    Without a credential type there is no evidence, and none is advertised: each of these arrays has a member or is
    not there.
    """
    evidence = {
        "evidence_supported": list(EVIDENCE_TYPES),
        "electronic_records_supported": list(credential_types),
        # Section 9 speaks of `document` evidence only, but there is no other place to announce the check methods of
        # an electronic record, and a portal that takes what is announced for all there is must find them.
        "documents_check_methods_supported": list(CHECK_METHODS),
    }
    return {
        "trust_frameworks_supported": [TRUST_FRAMEWORK],
        **(evidence if credential_types else {}),
        "claims_in_verified_claims_supported": [*CLAIMS, *LANGUAGES],
    }
