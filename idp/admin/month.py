"""What a month's report says beside its counts: changes of portals, secrets in use, what was taken out and why.

Of an organisation it is what concerns its portals and its people, and the refusals at its portals, by reason: those
are counted by the hour and kept for `figures.KEPT_S`, so an earlier month has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select, true

from idp.admin import figures
from idp.admin.audit.keeping import Month
from idp.admin.figures import Failure
from idp.admin.people import Administrator
from idp.events import Event
from idp.models import Administrator as AdministratorRow
from idp.models import AuditEvent, Portal, PortalSecret, PortalVersion, SignInFigures, db
from idp.portals.rules import TRIAL_PREFIX

MAX_LINES: Final = 100


@dataclass(frozen=True)
class Change:
    """A portal's registration was changed (`version`), by whom and why. `gone`: it was taken out."""

    at: int
    client_id: str
    version: int
    actor: str | None
    reason: str | None
    gone: bool


@dataclass(frozen=True)
class SecretInUse:
    """A client secret that was used in this month, by the beginning of its SHA-256; to the hour."""

    client_id: str
    digest: str
    last_used_at: int


@dataclass(frozen=True)
class TakenOut:
    """Somebody took a part of the audit out, and why."""

    at: int
    actor: str | None
    client_id: str | None
    why: str


@dataclass(frozen=True)
class Particulars:
    """The newest first, MAX_LINES of each at most. failures None: not known of this month any more."""

    changes: list[Change]
    secrets: list[SecretInUse]
    taken_out: list[TakenOut]
    failures: list[Failure] | None

    @property
    def actors(self) -> list[str | None]:
        return [*(one.actor for one in self.changes), *(one.actor for one in self.taken_out)]


def particulars(month: Month, admin: Administrator, *, now: int) -> Particulars:
    """Of everything, or of what is this administrator's organisation's."""
    organisation = admin.organisation
    known = month.since >= now - figures.KEPT_S
    return Particulars(
        changes=_changes(month, organisation),
        secrets=_secrets(month, organisation),
        taken_out=_taken_out(month, organisation),
        failures=_failures(month, organisation) if known else None,
    )


def _of(column: Any, organisation: str | None) -> ColumnElement[bool]:
    """Of portals of the organisation; None: of all."""
    if organisation is None:
        return true()
    found: ColumnElement[bool] = column.in_(
        select(Portal.client_id).where(Portal.organisation_id == organisation)
    )
    return found


def _changes(month: Month, organisation: str | None) -> list[Change]:
    row = PortalVersion
    query = (
        select(row.at, row.client_id, row.version, row.actor, row.reason, row.after.is_(None))
        .where(row.at >= month.since, row.at < month.until, _of(row.client_id, organisation))
        .order_by(row.at.desc(), row.client_id, row.version.desc())
    )
    return [Change(*one) for one in db.session.execute(query.limit(MAX_LINES))]


def _secrets(month: Month, organisation: str | None) -> list[SecretInUse]:
    row = PortalSecret
    query = (
        select(row.client_id, row.digest, row.last_used_at)
        .where(row.last_used_at >= month.since, row.last_used_at < month.until)
        .where(_of(row.client_id, organisation), row.client_id.not_like(f"{TRIAL_PREFIX}%"))
        .order_by(row.last_used_at.desc(), row.client_id)
    )
    found = db.session.execute(query.limit(MAX_LINES))
    return [SecretInUse(client_id, digest[:8], at or 0) for client_id, digest, at in found]


def _taken_out(month: Month, organisation: str | None) -> list[TakenOut]:
    row = AuditEvent
    query = select(row.at, row.actor, row.client_id, row.detail).where(
        row.name == Event.AUDIT_EXPORTED, row.at >= month.since, row.at < month.until
    )
    if organisation is not None:
        members = db.session.scalars(
            select(AdministratorRow.id).where(AdministratorRow.organisation_id == organisation)
        )
        actors = [f"admin:{admin_id}" for admin_id in members]
        query = query.where(or_(row.actor.in_(actors), _of(row.client_id, organisation)))
    found = db.session.execute(query.order_by(row.at.desc(), row.id.desc()).limit(MAX_LINES))
    return [TakenOut(at, actor, of, str((detail or {}).get("why", ""))) for at, actor, of, detail in found]


def _failures(month: Month, organisation: str | None) -> list[Failure]:
    row = SignInFigures
    which = (
        row.client_id == figures.EVERY_PORTAL if organisation is None else _of(row.client_id, organisation)
    )
    query = (
        select(row.outcome, row.reason, func.sum(row.n))
        .where(which, row.hour >= month.since, row.hour < month.until)
        .where(row.outcome.in_(sorted(figures.ENDED)))
        .group_by(row.outcome, row.reason)
    )
    found: Sequence[Any] = db.session.execute(query).all()
    failures = [Failure(Event(outcome), reason, n) for outcome, reason, n in found]
    return sorted(failures, key=lambda one: (-one.n, one.outcome, one.reason))
