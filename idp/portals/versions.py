"""Every change of a registration, whoever makes it: the row, and a version that says what it was, by whom and why.

A file, the console, the command line and a portal that manages itself (RFC 7592) all write by `write` and `remove`, in
a transaction of theirs. Nothing else changes `models.Portal.registration` (the console's own portal apart, which has
no versions).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from idp.events import origin
from idp.models import Portal, PortalProposal, PortalSecret, PortalVersion
from idp.portals.registration import Registration

MAX_REASON_CHARS: Final = 255
MAX_CLIENT_ID_CHARS: Final = 255


class UnknownPortal(LookupError):
    """No portal has this client_id; or whoever asks may not know of it."""


class Conflict(Exception):
    """The registration is not the one that this change was made on."""


def row(session: Session, client_id: str, *, lock: bool = False) -> Portal | None:
    """The portal as it stands now; with `lock` nobody else changes it in this transaction."""
    if not may_be_one(client_id):
        return None
    return session.get(Portal, client_id, populate_existing=True, with_for_update=lock or None)


def may_be_one(client_id: str) -> bool:
    """PostgreSQL takes no NUL in a text."""
    return 0 < len(client_id) <= MAX_CLIENT_ID_CHARS and "\0" not in client_id


def current(session: Session, client_id: str) -> int:
    """The number of the latest version; 0 where there is none."""
    latest = select(func.max(PortalVersion.version)).where(PortalVersion.client_id == client_id)
    return session.scalar(latest) or 0


def write(
    session: Session,
    registration: Registration,
    *,
    now: int,
    reason: str | None,
    actor: str | None = None,
    approved_by: str | None = None,
    organisation: str | None = None,
    base: int | None = None,
) -> Portal:
    """The portal's row with this registration, made or changed; flushed, in the caller's transaction.

    `actor` None: whoever the audit names. `organisation` is for a portal that was not there. Raises Conflict: somebody
    else has made a portal of this name meanwhile, or the version is another one than `base`.
    """
    client_id = registration.client_id
    after: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(registration))
    found = row(session, client_id, lock=True)
    # Only now can nobody else change it: where there was no row to lock, somebody may have made one meanwhile.
    if base is not None and current(session, client_id) != base:
        raise Conflict
    before = found.registration if found is not None else None
    made = PortalVersion(client_id=client_id, before=before, after=after, at=now, reason=reason)
    made.actor, made.approved_by = actor, approved_by
    try:
        if found is None:
            found = Portal(client_id=client_id, enabled=True, organisation_id=organisation)
            session.add(found)
        found.registration, found.updated_at = after, now
        _keep_version(session, made)
        session.flush()
    except IntegrityError as error:
        raise Conflict from error
    _keep_secrets(session, client_id, registration.client_secret_sha256, now)
    return found


def remove(
    session: Session, client_id: str, *, now: int, reason: str | None, actor: str | None = None
) -> None:
    """Take a portal's row out. The numbers of its versions go on, should it come back. Raises UnknownPortal."""
    found = row(session, client_id, lock=True)
    if found is None:
        raise UnknownPortal
    before = found.registration
    _keep_version(
        session,
        PortalVersion(client_id=client_id, before=before, after=None, at=now, reason=reason, actor=actor),
    )
    session.execute(delete(PortalSecret).where(PortalSecret.client_id == client_id))
    session.delete(found)
    session.flush()


def _keep_version(session: Session, made: PortalVersion) -> None:
    """Add a version, under the next number."""
    made.version = current(session, made.client_id) + 1
    made.actor = made.actor or origin.get().actor
    session.add(made)
    # What waits was made on a registration that is no longer there; its text stays to be read.
    session.execute(
        update(PortalProposal)
        .where(
            PortalProposal.client_id == made.client_id,
            PortalProposal.state == "waiting",
            PortalProposal.version < made.version,
        )
        .values(state="outdated", decided_at=made.at)
        .execution_options(synchronize_session=False)
    )


def _keep_secrets(session: Session, client_id: str, digests: tuple[str, ...], now: int) -> None:
    """A row for each secret that is registered, and for no other."""
    mine = PortalSecret.client_id == client_id
    known = set(session.scalars(select(PortalSecret.digest).where(mine)))
    if gone := known - set(digests):
        session.execute(delete(PortalSecret).where(mine, PortalSecret.digest.in_(gone)))
    for digest in dict.fromkeys(digests):
        if digest not in known:
            session.add(PortalSecret(client_id=client_id, digest=digest, created_at=now))
    session.flush()
