"""What is true: from a presentation to a `VerifiedCredential`, or `CredentialRejected` with one `Reason`.

This package owns the verification of credentials: form, signatures, trust in the issuer, key binding, disclosures,
the shape of claims, status. It sees no database, no store, no settings and no clock of its own: text, the trust
registry as a value, a status lookup and the time go in. That makes it the part that test vectors prove.

    credential = verify("dc+sd-jwt", presentation, expected=..., trust=..., status=..., now=...)

- `verdict`    what can be said: Reason, CredentialRejected, VerifiedCredential
- `sd_jwt_vc`  SD-JWT VC (draft-13); `sd_jwt` below it is RFC 9901, `jose` strict JSON and JWS
- `mdoc`       ISO/IEC 18013-5 mdocs; `mso` below it is what the issuer signed, `cose` COSE_Sign1, `cbor` strict CBOR
- `ecdsa`      the signatures of both
- `opendid`    Open DID presentations; below it `opendid_claims`, `did` (documents), `data_proof` and `multibase`
- `trust`      credential types and missions; `chains` below it is RFC 5280
- `status`     Token Status Lists (draft-20), JWT and CWT
- `schema`     what each claim may look like

Left out: what was asked for (DCQL is `openid4vp`'s), what a portal may get (`idp.claims`), fetching (`idp.fetch`).
A new format is a module with `FORMAT` and `verify`, a line in `FORMATS` and its rows in `schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from idp.credentials import mdoc, opendid, sd_jwt_vc
from idp.credentials.did import Registry, RegistryUnavailable
from idp.credentials.status import StatusLists, StatusLookup, StatusUnavailable
from idp.credentials.trust import CredentialTypeTrust, Mission, TrustDocumentError, TrustSnapshot
from idp.credentials.verdict import CredentialRejected, Expected, Reason, StatusEvidence, VerifiedCredential

__all__ = [
    "FORMATS",
    "CredentialRejected",
    "CredentialTypeTrust",
    "Expected",
    "FormatVerifier",
    "Mission",
    "Reason",
    "Registry",
    "RegistryUnavailable",
    "StatusEvidence",
    "StatusLists",
    "StatusLookup",
    "StatusUnavailable",
    "TrustDocumentError",
    "TrustSnapshot",
    "VerifiedCredential",
    "verify",
]


class FormatVerifier(Protocol):
    """What each format's `verify` is."""

    def __call__(
        self, presentation: str, *, expected: Expected, trust: TrustSnapshot, status: StatusLookup, now: int
    ) -> VerifiedCredential: ...


FORMATS: Mapping[str, FormatVerifier] = {
    sd_jwt_vc.FORMAT: sd_jwt_vc.verify,
    mdoc.FORMAT: mdoc.verify,
    opendid.FORMAT: opendid.verify,
}


def verify(
    format: str,
    presentation: str,
    *,
    expected: Expected,
    trust: TrustSnapshot,
    status: StatusLookup,
    now: int,
) -> VerifiedCredential:
    """What a holder has proven with a presentation in this format, at `now` (seconds since the epoch).

    Raises CredentialRejected; FORMAT_UNKNOWN for a format that is not in FORMATS. Nothing else is raised, whatever
    the presentation holds.
    """
    verifier = FORMATS.get(format)
    if verifier is None:
        raise CredentialRejected(Reason.FORMAT_UNKNOWN, "a format we do not verify")
    return verifier(presentation, expected=expected, trust=trust, status=status, now=now)
