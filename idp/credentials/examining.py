"""How far a credential would hold that somebody has at hand: for whoever looks after the registry, not for a sign-in.

The steps are those of a verification, by the same code, but for what only a holder can prove at the moment of a
sign-in. A status is asked for only of an issuer whose signature held, as in a sign-in.
"""

from __future__ import annotations

from typing import Final

from idp.credentials import mdoc, sd_jwt_vc
from idp.credentials.status import StatusLookup
from idp.credentials.trust import TrustSnapshot
from idp.credentials.verdict import CredentialRejected, Examined

STEPS: Final = ("form", "type", "issuer", "signature", "holder_key", "claims", "status")


def examine(
    text: str, *, header_types: frozenset[str], trust: TrustSnapshot, status: StatusLookup, now: int
) -> Examined:
    """An SD-JWT VC with its disclosures (a key binding at its end is not looked at), or an mdoc in base64url.

    header_types: what an SD-JWT VC may call itself (`typ`). Raises nothing: what does not hold is in `reason`.
    """
    is_sd_jwt = "~" in text
    seen = Examined(sd_jwt_vc.FORMAT if is_sd_jwt else mdoc.FORMAT)
    steps = (
        sd_jwt_vc.examine(text, seen, header_types=header_types, trust=trust, status=status, now=now)
        if is_sd_jwt
        else mdoc.examine(text, seen, trust=trust, status=status, now=now)
    )
    try:
        for step in steps:
            seen.passed.append(step)
    except CredentialRejected as rejected:
        seen.reason, seen.detail = rejected.reason, rejected.detail
    return seen
