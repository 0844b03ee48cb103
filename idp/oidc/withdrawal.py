"""A holder takes back what a portal may know: the consent ends, and everything that rests on it.

In one transaction, decided by rows (decision D11): no cache stands between them and whoever asks with a token, so that
all of it counts at once, on every node. What it cannot reach is a JWT that a resource server checks by itself: that
one ends with its own `exp` (docs/me.md).
"""

from __future__ import annotations

from idp import consent, receipts
from idp.events import Event, record
from idp.models import writing
from idp.oidc import grants, session_end


def withdraw(subject_id: str, client_id: str, *, item: str | None = None, now: int) -> bool:
    """Take back a person's consent at a portal, or one item of it; False when there was nothing to take back.

    Codes on their way, access tokens and refresh tokens are worthless from now on, `offline_access` included; an item
    alone ends them too, since what they release cannot be taken apart. The portal is told as of the end of a session.
    Whoever calls it wakes the worker (`backchannel.WAKE`).
    """
    with writing() as database:
        session_end.hold(database, subject_id)
        taken_back = consent.withdraw(database, subject_id, client_id, item=item, at=now)
        if item is not None and not taken_back:
            return False
        receipts.revoke(database, subject_id, client_id, now=now)
        n_grants = grants.revoke_portal(database, subject_id, client_id, now=now)
        sessions = session_end.leave(database, subject_id, client_id, now=now)
        if not (taken_back or n_grants or sessions):
            return False
        record(
            database,
            Event.CONSENT_WITHDRAWN,
            at=now,
            client_id=client_id,
            subject_id=subject_id,
            reason="item" if item is not None else None,
            detail={"claims": sorted(taken_back), "grants": n_grants, "sessions": len(sessions)},
        )
    return True
