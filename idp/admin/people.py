"""Who runs this deployment, and what each of them may do.

Administrators have no passwords (decision D13): an invitation, shown once, is taken up by signing in at the console
with a mobile credential, and binds the pairwise `sub` by which the console knows that person. The command line is the
way in when nobody else is left; it makes the first owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from idp import seal
from idp.events import Event, Origin, origin, record
from idp.models import Administrator as Row
from idp.models import Invitation as InvitationRow
from idp.models import Organisation, Portal, db, writing

MAX_LABEL_CHARS = 64
SEEN_EVERY_S = 300
_ACTOR = "admin:"


class Role(StrEnum):
    """What somebody is here for. A `member` belongs to an organisation and sees that one's portals only."""

    OWNER = "owner"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    MEMBER = "member"


class Act(StrEnum):
    """What may be allowed."""

    SEE_PORTALS = "see portals"
    CHANGE_PORTALS = "change portals"
    APPROVE_PORTALS = "approve changes of portals"
    SWITCH_PORTALS = "switch portals off and on"
    SEE_ORGANISATIONS = "see organisations"
    CHANGE_ORGANISATIONS = "change organisations"
    SEE_PEOPLE = "see administrators"
    INVITE_MEMBERS = "invite members of an organisation"
    CHANGE_PEOPLE = "invite and disable administrators"
    SEE_AUDIT = "read the audit"
    SEE_SYSTEM = "see trust, keys, wallets and sessions"
    CHANGE_SYSTEM = "change trust, keys, wallets and sessions"


_ALL = frozenset(Act)
_SEE = frozenset(
    {Act.SEE_PORTALS, Act.SEE_ORGANISATIONS, Act.SEE_PEOPLE, Act.SEE_AUDIT, Act.SEE_SYSTEM},
)
MAY: Final[Mapping[Role, frozenset[Act]]] = {
    Role.OWNER: _ALL,
    Role.OPERATOR: _ALL - {Act.CHANGE_PEOPLE},
    Role.AUDITOR: _SEE,
    Role.MEMBER: frozenset(
        {
            Act.SEE_PORTALS,
            Act.CHANGE_PORTALS,
            Act.SWITCH_PORTALS,
            Act.SEE_ORGANISATIONS,
            Act.SEE_PEOPLE,
            Act.INVITE_MEMBERS,
            Act.SEE_AUDIT,
        }
    ),
}


class Forbidden(Exception):
    """This administrator may not do that, or may not know of it."""


class UnknownAdministrator(LookupError):
    """No administrator has this id."""


class InvitationError(ValueError):
    """An invitation that cannot be made, or cannot be taken up; the text says why, in a few words."""


@dataclass(frozen=True)
class Administrator:
    """Somebody who may use the console, or the token of a program (`admin.tokens`).

    `organisation` is set for members, and for nobody else.
    """

    id: str
    label: str
    role: Role
    organisation: str | None
    created_at: int
    created_by: str | None
    disabled_at: int | None
    last_seen_at: int | None
    by_token: bool = False

    @property
    def actor(self) -> str:
        """What the audit calls whoever this is."""
        return f"token:{self.id}" if self.by_token else f"{_ACTOR}{self.id}"

    def may(self, act: Act) -> bool:
        return act in MAY[self.role]

    def sees_portals_of(self, organisation: str | None) -> bool:
        """Whether the portals of this organisation (None: of no organisation) exist for this person at all."""
        return self.role is not Role.MEMBER or (
            organisation is not None and organisation == self.organisation
        )

    def may_invite(self, role: Role, organisation: str | None) -> bool:
        """Owners invite anybody, operators and members a member, members only of their own organisation.

        Nobody makes somebody who may do more than they themselves.
        """
        if role is not Role.MEMBER:
            return self.may(Act.CHANGE_PEOPLE)
        return self.may(Act.INVITE_MEMBERS) and self.sees_portals_of(organisation)


@dataclass(frozen=True)
class Invitation:
    """An invitation that is still open. `digest` names it; the token itself is known to whoever was given it."""

    digest: str
    label: str
    role: Role
    organisation: str | None
    created_at: int
    created_by: str | None
    expires_at: int


def invite(*, label: str, role: Role, organisation: str | None, ttl_s: int, now: int) -> str:
    """An invitation's token, 43 characters, shown once. Raises InvitationError."""
    label = label.strip()
    if not 0 < len(label) <= MAX_LABEL_CHARS or not label.isprintable():
        raise InvitationError(f"a label has 1 to {MAX_LABEL_CHARS} printable characters")
    if (role is Role.MEMBER) != (organisation is not None):
        raise InvitationError("a member belongs to an organisation, and nobody else does")
    token = seal.random_token()
    with writing() as session:
        if organisation is not None and session.get(Organisation, organisation) is None:
            raise InvitationError("no organisation has this id")
        session.add(
            InvitationRow(
                digest=seal.digest(token),
                label=label,
                role=role.value,
                organisation_id=organisation,
                created_at=now,
                created_by=origin.get().actor,
                expires_at=now + ttl_s,
            )
        )
        detail = {"role": role.value, "organisation": organisation}
        record(session, Event.ADMIN_INVITED, at=now, detail=detail)
    return token


def invitation(token: str, *, now: int) -> Invitation:
    """The open invitation with this token. Raises InvitationError."""
    return open_invitation(seal.digest(token), now=now)


def open_invitation(digest: str, *, now: int) -> Invitation:
    """The open invitation with this digest. Raises InvitationError: unknown, used or expired."""
    row = db.session.get(InvitationRow, digest, populate_existing=True)
    if row is None or row.used_at is not None or row.expires_at <= now:
        raise InvitationError("unknown, used or expired")
    return _invitation(row)


def invitations(*, organisation: str | None, now: int) -> list[Invitation]:
    """Those that are open, the newest first; with `organisation` its own only."""
    query = select(InvitationRow).where(InvitationRow.used_at.is_(None), InvitationRow.expires_at > now)
    if organisation is not None:
        query = query.where(InvitationRow.organisation_id == organisation)
    rows = db.session.scalars(query.order_by(InvitationRow.created_at.desc()).limit(200))
    return [_invitation(row) for row in rows]


def withdraw(digest: str, *, now: int) -> None:
    """Make an open invitation worthless. Raises InvitationError."""
    with writing() as session:
        _use(session, digest, now)
        record(session, Event.ADMIN_INVITATION_WITHDRAWN, at=now)


def accept(digest: str, sub: str, *, now: int) -> Administrator:
    """Take an invitation up: this person is the one it was meant for. Once.

    Raises InvitationError: it is unknown, used or expired, or this person is an administrator already.
    """
    try:
        with writing() as session:
            row = _use(session, digest, now)
            made = Row(
                id=seal.random_id(),
                label=row.label,
                role=row.role,
                organisation_id=row.organisation_id,
                sub=sub,
                created_at=now,
                created_by=row.created_by,
                last_seen_at=now,
            )
            session.add(made)
            session.flush()
            with _as(f"admin:{made.id}"):
                detail = {"role": row.role, "organisation": row.organisation_id}
                record(session, Event.ADMIN_JOINED, at=now, detail=detail)
    except IntegrityError as error:
        raise InvitationError("this person is an administrator already") from error
    return _administrator(made)


def by_sub(sub: str) -> Administrator | None:
    """The administrator whom the console knows by this `sub`, or None; one who was disabled is none."""
    row = db.session.scalar(select(Row).where(Row.sub == sub, Row.disabled_at.is_(None)))
    return _administrator(row) if row is not None else None


def enabled(admin_id: str, *, now: int) -> Administrator | None:
    """The administrator as of now, or None; asked for at each request, so that disabling works at once."""
    row = db.session.get(Row, admin_id, populate_existing=True)
    if row is None or row.disabled_at is not None:
        return None
    found = _administrator(row)
    if row.last_seen_at is None or now - row.last_seen_at > SEEN_EVERY_S:
        with writing() as session:
            session.execute(update(Row).where(Row.id == admin_id).values(last_seen_at=now))
    return found


def listed(*, organisation: str | None) -> list[Administrator]:
    """Everybody, or the members of one organisation: who is enabled first, then by label."""
    query = select(Row).order_by(Row.disabled_at.isnot(None), Row.label, Row.id)
    if organisation is not None:
        query = query.where(Row.organisation_id == organisation)
    return [_administrator(row) for row in db.session.scalars(query.limit(1000))]


def labels(actors: Iterable[str | None]) -> dict[str, str]:
    """The labels of those actors of the audit that are administrators, shut out or not, by actor."""
    ids = {actor.removeprefix(_ACTOR) for actor in actors if actor is not None and actor.startswith(_ACTOR)}
    found = db.session.execute(select(Row.id, Row.label).where(Row.id.in_(sorted(ids)))) if ids else ()
    return {f"{_ACTOR}{admin_id}": label for admin_id, label in found}


def called(label: str, *, organisation: str | None) -> frozenset[str]:
    """The actors of the audit that go by this label, in any case; of an organisation those who belong to it."""
    query = select(Row.id).where(func.lower(Row.label) == label.lower())
    if organisation is not None:
        query = query.where(Row.organisation_id == organisation)
    return frozenset(f"{_ACTOR}{admin_id}" for admin_id in db.session.scalars(query.limit(100)))


def find(admin_id: str) -> Administrator:
    """Raises UnknownAdministrator."""
    row = db.session.get(Row, admin_id, populate_existing=True) if "\0" not in admin_id else None
    if row is None:
        raise UnknownAdministrator
    return _administrator(row)


def disable(admin_id: str, *, now: int) -> None:
    """Shut somebody out at once. To let them in again they are invited anew. Raises UnknownAdministrator."""
    with writing() as session:
        row = session.get(Row, admin_id, populate_existing=True)
        if row is None:
            raise UnknownAdministrator
        if row.disabled_at is None:
            # The `sub` is let go, so that the same person can be invited again.
            row.disabled_at, row.sub = now, f"-{row.id}"
            record(session, Event.ADMIN_DISABLED, at=now, detail={"administrator": admin_id})


def portals_of(admin: Administrator) -> frozenset[str] | None:
    """The client_ids this person may know of; None: all there are."""
    if admin.role is not Role.MEMBER:
        return None
    query = select(Portal.client_id).where(Portal.organisation_id == admin.organisation)
    return frozenset(db.session.scalars(query))


def acting(admin: Administrator) -> None:
    """What is recorded from here on, in this request, was done by this administrator."""
    here = origin.get()
    origin.set(Origin(correlation_id=here.correlation_id, ip=here.ip, actor=admin.actor))


@contextmanager
def _as(actor: str) -> Iterator[None]:
    here = origin.get()
    token = origin.set(Origin(correlation_id=here.correlation_id, ip=here.ip, actor=actor))
    try:
        yield
    finally:
        origin.reset(token)


def _use(session: Session, digest: str, now: int) -> InvitationRow:
    """Of two who take it up at once the first one has it."""
    used = session.execute(
        update(InvitationRow)
        .where(
            InvitationRow.digest == digest, InvitationRow.used_at.is_(None), InvitationRow.expires_at > now
        )
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    if cast("CursorResult[tuple[()]]", used).rowcount != 1:
        raise InvitationError("unknown, used or expired")
    return session.get_one(InvitationRow, digest, populate_existing=True)


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(
        digest=row.digest,
        label=row.label,
        role=Role(row.role),
        organisation=row.organisation_id,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
    )


def _administrator(row: Row) -> Administrator:
    return Administrator(
        id=row.id,
        label=row.label,
        role=Role(row.role),
        organisation=row.organisation_id,
        created_at=row.created_at,
        created_by=row.created_by,
        disabled_at=row.disabled_at,
        last_seen_at=row.last_seen_at,
    )
