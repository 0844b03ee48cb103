"""Single sign-on: whether an earlier presentation answers a request, and whether any presentation is strong enough.

Spec: OpenID Connect Core 1.0, sections 3.1.2.1 (`prompt`, `max_age`) and 5.5.1.1 (`acr`).
"""

from __future__ import annotations

from idp.claims import CLAIMS
from idp.consent import asked_claims
from idp.login import AuthorizationRequest, Proof
from idp.oidc import claims_request
from idp.portals import Registration
from idp.session import Session

ACR_LEVELS = ("general", "secure")


def acr_reached(portal: Registration, request: AuthorizationRequest, acr: str, issuer: str) -> bool:
    """Whether this `acr` is enough for what the portal is registered for and what the request insists on."""
    level = acr.rpartition("/")[2]
    if ACR_LEVELS.index(level) < ACR_LEVELS.index(portal.required_acr):
        return False
    if not request.acr_required:
        return True
    reached = {f"{issuer}/acr/{known}" for known in ACR_LEVELS[: ACR_LEVELS.index(level) + 1]}
    return bool(reached.intersection(request.acr_values))


def session_serves(
    portal: Registration,
    request: AuthorizationRequest,
    session: Session,
    proof: Proof,
    *,
    now: int,
    issuer: str,
) -> bool:
    """Whether an earlier presentation answers this request without asking the wallet again."""
    if not portal.single_sign_on or {"login", "select_account"} & set(request.prompt):
        return False
    # max_age=0 is prompt=login (Core 3.1.2.1), also within the second of the last sign-in.
    if request.max_age_s == 0 or (request.max_age_s and now - session.presented_at > request.max_age_s):
        return False
    # Too old for `verified_claims`: made anew, where anybody may be asked (Identity Assurance 1.0, section 5.5.2).
    wanted_s = claims_request.wanted_age_s(request.claims)
    if wanted_s is not None and "none" not in request.prompt and now - session.presented_at > wanted_s:
        return False
    if not acr_reached(portal, request, session.acr, issuer):
        return False
    if session.via == "qr" and not portal.cross_device:
        return False
    if portal.is_fapi2 and not session.encrypted:
        return False
    if portal.credential_types and proof.credential_type not in portal.credential_types:
        return False
    if proof.valid_until is not None and now >= proof.valid_until:
        return False
    return all(
        CLAIMS[claim.name].value(proof.claims) is not None
        for claim in asked_claims(portal, request)
        if claim.required
    )
