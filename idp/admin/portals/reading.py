"""Portals as an administrator may see them: lists, one of them, what became of it, what waits there.

`admin` None stands for the command line, which sees all. A member sees the own organisation's; of others it is not
even said that they are there. The console's own portal is nobody's to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import Select, func, or_, select

from idp.admin.people import Administrator, Role
from idp.models import Portal, PortalLogo, PortalProposal, PortalSecret, PortalVersion, db
from idp.portals import Registration, versions
from idp.portals.rules import OURS, TRIAL_PREFIX, is_ours
from idp.portals.versions import UnknownPortal

PAGE_ROWS = 50
MAX_SEARCH_CHARS = 100
State = Literal["waiting", "approved", "rejected", "withdrawn", "outdated"]


@dataclass(frozen=True)
class Line:
    """A portal in a list. `n_waiting`: how many changes of it wait for a second person."""

    client_id: str
    name: dict[str, str]
    operator: dict[str, str]
    organisation: str | None
    enabled: bool
    profile: str
    registered_itself: bool
    updated_at: int
    n_waiting: int


@dataclass(frozen=True)
class Listed:
    """A page of a list. `after` is where the next one goes on, None at the end."""

    lines: list[Line]
    after: str | None


@dataclass(frozen=True)
class Found:
    """One portal. `version` is the number of the registration as it stands; `document` is what is stored."""

    registration: Registration
    document: dict[str, Any]
    version: int
    enabled: bool
    organisation: str | None
    registered_itself: bool
    has_logo: bool
    updated_at: int

    @property
    def client_id(self) -> str:
        return self.registration.client_id


@dataclass(frozen=True)
class Version:
    """One change: what the registration was and became (None: not there), by whom and why."""

    number: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    actor: str | None
    approved_by: str | None
    reason: str | None
    at: int


@dataclass(frozen=True)
class Secret:
    """A client secret that is in force, by its SHA-256. Times are None where they are not known."""

    digest: str
    created_at: int | None
    last_used_at: int | None


@dataclass(frozen=True)
class Proposal:
    """A change that waits, or waited, for a second person; `version` is what it was made on."""

    id: str
    client_id: str
    organisation: str | None
    version: int
    after: dict[str, Any]
    proposed_by: str
    reason: str
    at: int
    state: State
    decided_by: str | None
    decided_at: int | None
    decision: str | None


def listed(search: str, after: str, *, admin: Administrator | None, rows: int = PAGE_ROWS) -> Listed:
    """Portals in the order of their client_ids, from the one behind `after` on.

    `search` is looked for in client_ids, names, operators and redirect URIs, whatever its case.
    """
    registration = Portal.registration
    query = _seen(select(Portal), admin, Portal.organisation_id).where(
        Portal.client_id.not_in(OURS), ~Portal.client_id.startswith(TRIAL_PREFIX, autoescape=True)
    )
    wanted = search.strip()[:MAX_SEARCH_CHARS].replace("\0", "")
    if wanted:
        places = (
            Portal.client_id,
            *(
                registration[member][lang].as_string()
                for member in ("name", "operator")
                for lang in ("ko", "en")
            ),
            registration["redirect_uris"].as_string(),
        )
        query = query.where(or_(*(place.icontains(wanted, autoescape=True) for place in places)))
    if after:
        query = query.where(Portal.client_id > after.replace("\0", ""))
    found = list(db.session.scalars(query.order_by(Portal.client_id).limit(rows + 1)))
    waiting = _n_waiting([row.client_id for row in found[:rows]])
    lines = [_line(row, waiting.get(row.client_id, 0)) for row in found[:rows]]
    return Listed(lines, lines[-1].client_id if len(found) > rows else None)


def find(client_id: str, *, admin: Administrator | None) -> Found:
    """Raises UnknownPortal: not there, or not this administrator's to know of."""
    row = versions.row(db.session(), client_id)
    if row is None or is_ours(client_id) or not (admin is None or admin.sees_portals_of(row.organisation_id)):
        raise UnknownPortal
    logo = db.session.scalar(select(PortalLogo.digest).where(PortalLogo.client_id == client_id))
    return Found(
        registration=msgspec.convert(row.registration, Registration),
        document=row.registration,
        version=versions.current(db.session(), client_id),
        enabled=row.enabled,
        organisation=row.organisation_id,
        registered_itself=row.registration_token_digest is not None,
        has_logo=logo is not None,
        updated_at=row.updated_at,
    )


def history(client_id: str, *, limit: int = 100) -> list[Version]:
    """The latest versions, the newest first. Whoever asks has found the portal before."""
    if not versions.may_be_one(client_id):
        return []
    query = select(PortalVersion).where(PortalVersion.client_id == client_id)
    rows = db.session.scalars(query.order_by(PortalVersion.version.desc()).limit(limit))
    return [_version(row) for row in rows]


def version(client_id: str, number: int) -> Version:
    """One version of a portal's. Raises UnknownPortal where there is no such version."""
    row = db.session.get(PortalVersion, (client_id, number)) if versions.may_be_one(client_id) else None
    if row is None:
        raise UnknownPortal
    return _version(row)


def secrets(found: Found) -> list[Secret]:
    """The client secrets that a portal may use, in the order of its registration."""
    mine = select(PortalSecret).where(PortalSecret.client_id == found.client_id)
    known = {row.digest: row for row in db.session.scalars(mine.execution_options(populate_existing=True))}
    return [
        Secret(digest, known[digest].created_at, known[digest].last_used_at)
        if digest in known
        else Secret(digest, None, None)
        for digest in found.registration.client_secret_sha256
    ]


def proposals(
    *, admin: Administrator | None, client_id: str | None = None, limit: int = 50
) -> list[Proposal]:
    """Changes that wait, the newest first; with `client_id` those of one portal, decided ones too."""
    query = _seen(select(PortalProposal), admin, PortalProposal.organisation_id)
    if client_id is not None:
        query = query.where(PortalProposal.client_id == client_id)
    else:
        query = query.where(PortalProposal.state == "waiting")
    query = query.order_by(PortalProposal.at.desc(), PortalProposal.id).limit(limit)
    rows = db.session.scalars(query.execution_options(populate_existing=True))
    return [as_proposal(row) for row in rows]


def proposal(proposal_id: str, *, admin: Administrator | None) -> Proposal:
    """Raises UnknownPortal: not there, or not this administrator's to know of."""
    usable = 0 < len(proposal_id) <= 22 and "\0" not in proposal_id
    row = db.session.get(PortalProposal, proposal_id, populate_existing=True) if usable else None
    if row is None or not (admin is None or admin.sees_portals_of(row.organisation_id)):
        raise UnknownPortal
    return as_proposal(row)


def as_proposal(row: PortalProposal) -> Proposal:
    return Proposal(
        id=row.id,
        client_id=row.client_id,
        organisation=row.organisation_id,
        version=row.version,
        after=row.after,
        proposed_by=row.proposed_by,
        reason=row.reason,
        at=row.at,
        state=row.state,  # type: ignore[arg-type]  # written by `changes` and `versions` alone
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision=row.decision,
    )


def sectors_of_others(organisation: str | None) -> frozenset[str]:
    """The sectors of portals that are not this organisation's: who uses one hears the same `sub`s."""
    theirs = select(Portal.registration).where(Portal.organisation_id.is_distinct_from(organisation))
    rows = db.session.scalars(theirs)
    found = (msgspec.convert(row, Registration) for row in rows)
    return frozenset(
        sector
        for registration in found
        for sector in (registration.sector, registration.previous_sector_identifier)
        if sector
    )


def _seen(query: Select[Any], admin: Administrator | None, organisation: Any) -> Select[Any]:
    if admin is None or admin.role is not Role.MEMBER:
        return query
    # A member without organisation cannot be made; if there were one, nothing would be theirs.
    return query.where(organisation.isnot(None), organisation == admin.organisation)


def _n_waiting(client_ids: Sequence[str]) -> dict[str, int]:
    query = (
        select(PortalProposal.client_id, func.count())
        .where(PortalProposal.state == "waiting", PortalProposal.client_id.in_(client_ids))
        .group_by(PortalProposal.client_id)
    )
    return {row[0]: row[1] for row in db.session.execute(query)}


def _line(row: Portal, n_waiting: int) -> Line:
    registration = row.registration
    return Line(
        client_id=row.client_id,
        name=registration["name"],
        operator=registration["operator"],
        organisation=row.organisation_id,
        enabled=row.enabled,
        profile=registration.get("profile", "standard"),
        registered_itself=row.registration_token_digest is not None,
        updated_at=row.updated_at,
        n_waiting=n_waiting,
    )


def _version(row: PortalVersion) -> Version:
    return Version(row.version, row.before, row.after, row.actor, row.approved_by, row.reason, row.at)
