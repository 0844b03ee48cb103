"""Tokens of the admin API: what a program acts by, with the rights of a role.

A token is 256 random bits behind a prefix by which scanners of repositories know it. It is shown once; what is stored
is its SHA-256, and finding that in an index tells nobody who measures time anything about a token that is there.

A token that an administrator made in the console is that administrator's other hand: it ends when the administrator
is shut out, and neither approves what the other proposed. One made at the command line, which needs no second person
for anything, stands for whoever it was given to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import select, update

from idp import seal
from idp.admin import people
from idp.admin.people import MAX_LABEL_CHARS, SEEN_EVERY_S, Act, Administrator, Role
from idp.events import Event, origin, record
from idp.models import ApiToken as Row
from idp.models import Organisation, db, writing

PREFIX: Final = "sinwon_admin_"
MAX_DAYS: Final = 366
_ADMIN, _TOKEN = "admin:", "token:"


class TokenError(ValueError):
    """A token that cannot be made; the text says why, in a few words."""


class UnknownToken(LookupError):
    """No token has this id."""


Refusal = Literal["token_unknown", "token_expired", "token_revoked"]


class TokenRefused(Exception):
    """This is no token that counts, for this `reason`."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason: Refusal = reason


@dataclass(frozen=True)
class Token:
    """A token as it may be shown. `organisation` is set for members, and for nobody else."""

    id: str
    label: str
    role: Role
    organisation: str | None
    created_at: int
    created_by: str | None
    expires_at: int
    last_used_at: int | None
    revoked_at: int | None

    @property
    def actor(self) -> str:
        """What the audit calls whoever acts by it."""
        return f"{_TOKEN}{self.id}"

    def state(self, now: int) -> str:
        """`revoked`, `expired` or `valid`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "valid"


def create(*, label: str, role: Role, organisation: str | None, ttl_s: int, now: int) -> tuple[Token, str]:
    """A new token, and its text, which is shown once. Raises TokenError."""
    label = label.strip()
    if not 0 < len(label) <= MAX_LABEL_CHARS or not label.isprintable():
        raise TokenError(f"a label has 1 to {MAX_LABEL_CHARS} printable characters")
    if (role is Role.MEMBER) != (organisation is not None):
        raise TokenError("a member belongs to an organisation, and nobody else does")
    if not 0 < ttl_s <= MAX_DAYS * 86_400:
        raise TokenError(f"a token lives {MAX_DAYS} days at most")
    text = f"{PREFIX}{seal.random_token()}"
    with writing() as session:
        if organisation is not None and session.get(Organisation, organisation) is None:
            raise TokenError("no organisation has this id")
        row = Row(
            id=seal.random_id(),
            digest=seal.digest(text),
            label=label,
            role=role.value,
            organisation_id=organisation,
            created_at=now,
            created_by=origin.get().actor,
            expires_at=now + ttl_s,
        )
        session.add(row)
        detail = {"token": row.id, "role": role.value, "organisation": organisation, "until": now + ttl_s}
        record(session, Event.TOKEN_CREATED, at=now, detail=detail)
    return _token(row), text


def listed(*, created_by: str | None = None) -> list[Token]:
    """Every token, or those that somebody made: the newest first, ended ones too."""
    query = select(Row).order_by(Row.created_at.desc(), Row.id).limit(1000)
    if created_by is not None:
        query = query.where(Row.created_by == created_by)
    return [_token(row) for row in db.session.scalars(query.execution_options(populate_existing=True))]


def seen_by(admin: Administrator) -> list[Token]:
    """The tokens that an administrator may know of, and end: the own ones; who answers for administrators, all."""
    return listed(created_by=None if admin.may(Act.CHANGE_PEOPLE) else admin.actor)


def seen(admin: Administrator, token_id: str) -> Token:
    """One of these. Raises UnknownToken."""
    token = find(token_id)
    if token.created_by != admin.actor and not admin.may(Act.CHANGE_PEOPLE):
        raise UnknownToken
    return token


def find(token_id: str) -> Token:
    """Raises UnknownToken."""
    row = db.session.get(Row, token_id, populate_existing=True) if "\0" not in token_id else None
    if row is None:
        raise UnknownToken
    return _token(row)


def revoke(token_id: str, *, now: int) -> None:
    """Make a token worthless, from the next request on. Raises UnknownToken."""
    find(token_id)
    with writing() as session:
        row = session.get_one(Row, token_id, populate_existing=True)
        if row.revoked_at is None:
            row.revoked_at = now
            record(session, Event.TOKEN_WITHDRAWN, at=now, detail={"token": token_id})


def holder_of(text: str, *, now: int) -> Administrator:
    """Who acts by this token. Raises TokenRefused."""
    row = None
    if text.startswith(PREFIX):
        query = select(Row).where(Row.digest == seal.digest(text))
        row = db.session.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise TokenRefused("token_unknown")
    if row.revoked_at is not None or not _stands(row.created_by):
        raise TokenRefused("token_revoked")
    if row.expires_at <= now:
        raise TokenRefused("token_expired")
    if row.last_used_at is None or now - row.last_used_at > SEEN_EVERY_S:
        with writing() as session:
            session.execute(update(Row).where(Row.id == row.id).values(last_used_at=now))
    return Administrator(
        id=row.id,
        label=row.label,
        role=Role(row.role),
        organisation=row.organisation_id,
        created_at=row.created_at,
        created_by=row.created_by,
        disabled_at=None,
        last_seen_at=row.last_used_at,
        by_token=True,
    )


def behind(actor: str | None) -> str | None:
    """Whose hand an actor of the audit is: of a token the administrator who made it, of everybody else that same."""
    if actor is None or not actor.startswith(_TOKEN):
        return actor
    row = db.session.get(Row, actor.removeprefix(_TOKEN))
    made_by = row.created_by if row is not None else None
    return made_by if made_by is not None and made_by.startswith(_ADMIN) else actor


def _stands(created_by: str | None) -> bool:
    """Whether whoever made a token may still act: administrators until they are shut out."""
    if created_by is None or not created_by.startswith(_ADMIN):
        return True
    return people.find(created_by.removeprefix(_ADMIN)).disabled_at is None


def _token(row: Row) -> Token:
    return Token(
        id=row.id,
        label=row.label,
        role=Role(row.role),
        organisation=row.organisation_id,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
