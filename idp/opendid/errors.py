"""How a wallet hears that something went wrong: a code of the protocol, a sentence, and our correlation id.

The codes are those of the project's verifier, so that a wallet that knows it understands us. A presentation that is
refused gets one of them whatever the check (decision D6); only "ask again later" differs.

Source: Open DID, Verifier error codes 2.0.
"""

from __future__ import annotations

from collections.abc import Mapping

_PREFIX = "SSRVVRF"
_REFUSED = ("00202", "The presentation was not accepted.", 400)
_LATER = ("00903", "The presentation cannot be checked at the moment. Try again.", 503)
_UNREADABLE = ("00100", "The request cannot be read.", 400)
_BY_REASON: Mapping[str, tuple[str, str, int]] = {
    "bad_request": _UNREADABLE,
    "too_large": ("00100", "The request is too large.", 413),
    "not_found": ("00100", "There is nothing at this address.", 404),
    "method_not_allowed": ("00100", "This address takes POST.", 405),
    "too_many": ("00100", "The offer was opened too often.", 429),
    "offer_unknown": ("00200", "The offer is not known.", 400),
    "login_unknown": ("00300", "The transaction is not known.", 400),
    "already_answered": ("00301", "The transaction is over.", 400),
    "opened_elsewhere": ("00301", "The offer is being answered by another device.", 409),
    "login_expired": ("00302", "The transaction has expired.", 400),
    "unavailable": _LATER,
    "internal": ("00903", "The request failed. This is not the wallet's fault.", 500),
}


def told(reason: str, status: int) -> tuple[dict[str, str], int]:
    """What the wallet is told, without the correlation id, and the HTTP status.

    reason, status: those of the error. A reason that is not the protocol's own affair is a refused presentation, or,
    with status 503, one that may be accepted later.
    """
    code, description, status = _BY_REASON.get(reason, _LATER if status == 503 else _REFUSED)
    return {"code": _PREFIX + code, "description": description}, status
