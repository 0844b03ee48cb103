"""The two tokens of registration: one that lets a portal in once, one by which it manages what it registered.

Both are random, and known here by their SHA-256 alone. Spec: RFC 7591, section 1.2; RFC 7592, section 1.1.
"""

from __future__ import annotations

import hmac
from typing import Literal, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from idp import seal
from idp.events import Event, origin, record
from idp.models import InitialAccessToken, Portal, db, writing
from idp.oidc.registration.refusals import AccessRefused

Profile = Literal["standard", "fapi2"]


def invite(*, profile: Profile, uses: int, ttl_s: int, note: str, now: int) -> str:
    """A new initial access token for `uses` registrations within `ttl_s` seconds. It is shown here and never again."""
    token = seal.random_token()
    digest = seal.digest(token)
    with writing() as session:
        session.add(
            InitialAccessToken(
                digest=digest,
                note=note,
                profile=profile,
                uses_left=uses,
                created_at=now,
                created_by=origin.get().actor,
                expires_at=now + ttl_s,
            )
        )
        detail = {"invitation": name_of(digest), "profile": profile, "uses": uses}
        record(session, Event.PORTAL_INVITED, at=now, detail=detail)
    return token


def name_of(digest: str) -> str:
    """How the audit calls an invitation: enough of its digest to find it."""
    return digest[:16]


def invited_to(token: str, now: int) -> Profile:
    """The profile an initial access token is for. Raises AccessRefused for an unknown, used or expired one."""
    chosen = select(InitialAccessToken.profile).where(
        InitialAccessToken.digest == seal.digest(token),
        InitialAccessToken.uses_left > 0,
        InitialAccessToken.expires_at > now,
    )
    profile = db.session.connection().execute(chosen).scalar()
    if profile is None:
        raise AccessRefused("invalid_token", "The initial access token is unknown, used or expired.")
    return "fapi2" if profile == "fapi2" else "standard"


def use(session: Session, token: str, now: int) -> str:
    """Count one use down in the transaction that registers the portal; the invitation's name.

    Raises AccessRefused when another registration was quicker: the row decides (decision D11).
    """
    digest = seal.digest(token)
    counted = session.execute(
        update(InitialAccessToken)
        .where(
            InitialAccessToken.digest == digest,
            InitialAccessToken.uses_left > 0,
            InitialAccessToken.expires_at > now,
        )
        .values(uses_left=InitialAccessToken.uses_left - 1)
        .execution_options(synchronize_session=False)
    )
    if cast("CursorResult[tuple[()]]", counted).rowcount != 1:
        raise AccessRefused("invalid_token", "The initial access token is unknown, used or expired.")
    return name_of(digest)


def check_manager(row: Portal | None, token: str) -> Portal:
    """The portal, when this is its registration access token. Raises AccessRefused."""
    known = (row.registration_token_digest if row is not None else None) or ""
    if not hmac.compare_digest(known, seal.digest(token)) or row is None:
        raise AccessRefused("invalid_token", "The registration access token is not valid here.")
    if not row.enabled:
        raise AccessRefused("access_denied", "This portal has been switched off.")
    return row
