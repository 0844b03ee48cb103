"""What comes next and wants somebody's attention: certificates, keys and invitations that end, changes that wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from sqlalchemy import func, select

from idp.admin import expiry, seen
from idp.admin.expiry import Ending
from idp.credentials import TrustSnapshot
from idp.keys import Listed
from idp.models import InitialAccessToken, PortalProposal, db

WITHIN_S = 90 * 86_400
Kind = Literal[
    "issuer", "status", "pinned", "signer", "own", "key_active", "key_due", "key_gone", "access_token"
]


@dataclass(frozen=True, order=True)
class Coming:
    """Something that happens at a time. `of`: a mission's code, a key's algorithm, a token's note."""

    at: int
    kind: Kind
    of: str = ""


def listed(
    trust: TrustSnapshot,
    own: Sequence[x509.Certificate],
    keys: Iterable[Listed],
    *,
    rotate_s: int,
    now: int,
    limit: int = 12,
) -> list[Coming]:
    """The next things, the first one first. rotate_s: after how long the worker replaces a signing key; 0: never."""
    chains = seen.lately(now, seen.KEPT_S)
    found = {
        *(_ending(one) for one in expiry.endings(trust, chains, own, now=now, within_s=WITHIN_S)),
        *_keys(keys, rotate_s, now),
        *_tokens(now),
    }
    return sorted(found)[:limit]


def _ending(one: Ending) -> Coming:
    return Coming(one.at, one.role, one.of)


def _keys(keys: Iterable[Listed], rotate_s: int, now: int) -> Iterator[Coming]:
    for key in keys:
        if key.state == "published":
            yield Coming(key.active_at, "key_active", key.alg)
        elif key.state == "active" and key.retiring_at is None and rotate_s:
            due = key.active_at + rotate_s
            if due <= now + WITHIN_S:
                yield Coming(due, "key_due", key.alg)
        elif key.state == "retiring" and key.gone_at is not None:
            yield Coming(key.gone_at, "key_gone", key.alg)


def _tokens(now: int) -> Iterator[Coming]:
    open_ = select(InitialAccessToken.expires_at, InitialAccessToken.note).where(
        InitialAccessToken.expires_at > now,
        InitialAccessToken.expires_at <= now + WITHIN_S,
        InitialAccessToken.uses_left > 0,
    )
    for at, note in db.session.execute(open_.order_by(InitialAccessToken.expires_at).limit(20)):
        yield Coming(at, "access_token", note)


def proposals_waiting(organisation: str | None = None) -> int:
    """How many changes of portals wait for a second person; of all, or of an organisation's portals."""
    waiting = select(func.count()).where(PortalProposal.state == "waiting")
    if organisation is not None:
        waiting = waiting.where(PortalProposal.organisation_id == organisation)
    return db.session.scalar(waiting) or 0
