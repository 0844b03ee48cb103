"""The words of an event that may leave the house, in metrics and traces."""

from __future__ import annotations

from idp.events import Event, Happened
from idp.mip.errors import APP

OTHERS = "(others)"
"""What stands for a word that is not ours."""
# OpenID4VP 1.0, section 8.5; of OpenID Connect Core 1.0, section 3.1.2.6, what wallets say as well; and what the codes
# of the national app mean.
_WALLETS_WORDS = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_request",
        "invalid_request_object",
        "invalid_request_uri",
        "invalid_request_uri_method",
        "invalid_scope",
        "invalid_transaction_data",
        "unknown",
        "vp_formats_not_supported",
        "wallet_unavailable",
        *(meaning.reason for meaning in APP.values()),
    }
)


def reason_of(happened: Happened) -> str:
    """The audit's reason, which is a word of ours; what a wallet says may be any, and anybody may be that wallet."""
    if happened.reason is None:
        return ""
    is_foreign = happened.event == Event.WALLET_REFUSED and happened.reason not in _WALLETS_WORDS
    return OTHERS if is_foreign else happened.reason
