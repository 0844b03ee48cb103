"""Organisations: who answers for portals, and whom holders of theirs may ask.

A file has a table `organisation` for each, with the members of `Organisation`, and may have a table `portals` that
says whose portals are whose: `client_id = "organisation"`. A portal belongs to one organisation or to none; the
organisation's members (`admin.people`) see and change its portals only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from idp.events import Event, record
from idp.models import Organisation as Row
from idp.models import Portal, PortalProposal, db, writing
from idp.portals.rules import Finding, in_both, uri_problem
from idp.portals.texts import MAX_NAME_CHARS

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_EMAIL = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{1,30}")


class OrganisationError(ValueError):
    """A document that cannot be used; `findings` has everything that is wrong with it, `problems` says it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = list(findings)
        self.problems = [finding.text for finding in self.findings]
        super().__init__("\n".join(self.problems))


class Changed(Exception):
    """The organisation is not what it was when it was looked at."""


class Contact(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Where holders may ask (문의처); each of them may be missing."""

    email: str | None = None
    phone: str | None = None
    url: str | None = None


class Organisation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One organisation. `id` is of lower-case letters, digits and hyphens; `name` has `ko` and `en`."""

    id: str
    name: dict[str, str]
    contact: Contact = Contact()


def parse(document: Mapping[str, Any]) -> Organisation:
    """Raises OrganisationError."""
    try:
        made = msgspec.convert(dict(document), Organisation)
    except msgspec.ValidationError as error:
        raise OrganisationError([Finding("", f"{document.get('id', 'organisation')}: {error}")]) from error
    if found := list(_findings(made)):
        raise OrganisationError(found)
    return made


def apply(
    document: Mapping[str, Any], *, now: int, was: Mapping[str, Organisation | None] | None = None
) -> list[str]:
    """Create or replace the organisations of a file, and hand its portals over: all of it or none.

    The ids of what changed, organisations and portals. Raises OrganisationError; and Changed where an organisation is
    another by now than in `was` (None: not there).
    """
    findings: list[Finding] = []
    made: list[Organisation] = []
    if unknown := set(document) - {"organisation", "portals"}:
        findings.append(Finding("", f"unknown tables: {', '.join(sorted(unknown))}"))
    for entry in document.get("organisation", ()):
        try:
            made.append(parse(entry))
        except OrganisationError as error:
            findings += error.findings
    if findings:
        raise OrganisationError(findings)
    changed = []
    with writing() as session:
        for organisation in made:
            stored = msgspec.to_builtins(organisation)
            row = session.get(Row, organisation.id, populate_existing=True)
            if was is not None and was.get(organisation.id) != _registered(row):
                raise Changed
            if row is not None and row.document == stored:
                continue
            session.merge(Row(id=organisation.id, document=stored, updated_at=now))
            record(session, Event.ORGANISATION_APPLIED, at=now, detail={"organisation": organisation.id})
            changed.append(organisation.id)
        session.flush()
        for client_id, owner in document.get("portals", {}).items():
            if _transfer(session, client_id, owner, reason=None, now=now):
                changed.append(client_id)
    return changed


def find(organisation_id: str | None) -> Organisation | None:
    """The organisation with this id, or None."""
    if not organisation_id or not _ID.fullmatch(organisation_id):
        return None
    return _registered(db.session.get(Row, organisation_id, populate_existing=True))


def listed(only: str | None = None) -> list[tuple[Organisation, int]]:
    """Every organisation, or only that one, with how many portals it has; in the order of their ids."""
    counted = select(Portal.organisation_id, func.count()).group_by(Portal.organisation_id)
    rows = select(Row).order_by(Row.id).limit(1000)
    if only is not None:
        counted, rows = counted.where(Portal.organisation_id == only), rows.where(Row.id == only)
    n_portals: dict[str | None, int] = {row[0]: row[1] for row in db.session.execute(counted)}
    return [
        (msgspec.convert(row.document, Organisation), n_portals.get(row.id, 0))
        for row in db.session.scalars(rows)
    ]


def owner_of(client_id: str) -> Organisation | None:
    """Whose portal this is; None where it belongs to nobody, or is not there."""
    return find(db.session.scalar(select(Portal.organisation_id).where(Portal.client_id == client_id)))


def transfer(client_id: str, to: str | None, *, reason: str, now: int) -> None:
    """Give a portal to an organisation, or to none. What waits for approval there goes with it.

    Raises OrganisationError: the portal or the organisation is not there.
    """
    with writing() as session:
        _transfer(session, client_id, to, reason=reason, now=now)


def _transfer(session: Session, client_id: str, to: str | None, *, reason: str | None, now: int) -> bool:
    """Whether it was another's before."""
    row = session.get(Portal, client_id, populate_existing=True, with_for_update=True)
    if row is None:
        raise OrganisationError([Finding("client_id", "there is no portal %(what)s", {"what": client_id})])
    if to is not None and session.get(Row, to) is None:
        raise OrganisationError([Finding("organisation", "there is no organisation %(what)s", {"what": to})])
    if row.organisation_id == to:
        return False
    detail = {"from": row.organisation_id, "to": to, "why": reason}
    row.organisation_id = to
    session.execute(
        update(PortalProposal)
        .where(PortalProposal.client_id == client_id, PortalProposal.state == "waiting")
        .values(organisation_id=to)
        .execution_options(synchronize_session=False)
    )
    record(session, Event.PORTAL_TRANSFERRED, at=now, client_id=client_id, detail=detail)
    return True


def _registered(row: Row | None) -> Organisation | None:
    return msgspec.convert(row.document, Organisation) if row is not None else None


def _findings(made: Organisation) -> Iterator[Finding]:
    what = {"what": made.id[:64]}
    if not _ID.fullmatch(made.id):
        yield Finding("id", "%(what)s: the id must be 1 to 63 lower-case letters, digits and hyphens", what)
    yield from in_both("name", f"{made.id[:64]}: name", made.name, MAX_NAME_CHARS)
    contact = made.contact
    if contact.email is not None and not _EMAIL.fullmatch(contact.email):
        yield Finding("contact.email", "%(what)s: contact.email is no e-mail address", what)
    if contact.phone is not None and not _PHONE.fullmatch(contact.phone):
        yield Finding(
            "contact.phone",
            "%(what)s: contact.phone must be digits, spaces and hyphens, with its country code",
            what,
        )
    if contact.url is not None and (problem := uri_problem(contact.url)):
        yield Finding("contact.url", "%(what)s: contact.url %(problem)s", {**what, "problem": problem})
