"""Portals from a file: all of it or none of it; and as a file, to be taken elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import tomli_w

from idp import portals, seal
from idp.admin.portals.differences import Difference, differences
from idp.events import Event, record
from idp.models import Portal, db, writing
from idp.portals import Registration, RegistrationError, versions
from idp.portals.rules import OURS, TRIAL_PREFIX, is_ours, sector_problem
from idp.portals.versions import UnknownPortal

_NOT_EXPORTED = ("client_secret_sha256", "previous_sector_identifier", "previous_sector_until")


@dataclass(frozen=True)
class Applied:
    """What a file changed. `secrets`: of portals that are new, by client_id; they are shown once."""

    changed: list[str]
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class _Read:
    registration: Registration
    before: Portal | None
    secret: str | None

    @property
    def changes(self) -> bool:
        return self.before is None or self.before.registration != portals.document(self.registration)


def apply(document: Mapping[str, Any], *, now: int, reason: str | None = None) -> list[str]:
    """Create or replace the portals of a `portals.toml`; the client_ids that changed. See `carry_out`."""
    return carry_out(document, now=now, reason=reason).changed


def carry_out(document: Mapping[str, Any], *, now: int, reason: str | None = None) -> Applied:
    """Create or replace the portals of a `portals.toml`.

    A portal that is not in the file is left alone, and one that is switched off stays so. One that uses client
    secrets, of which the file names none, keeps those it has, or gets one when it is new. Raises RegistrationError
    with every problem of every portal, and then nothing is written.
    """
    applied = Applied([])
    with writing() as session:
        for one in _read(document, now=now):
            if not one.changes:
                continue
            client_id = one.registration.client_id
            versions.write(session, one.registration, now=now, reason=reason)
            record(session, Event.PORTAL_APPLIED, at=now, client_id=client_id)
            applied.changed.append(client_id)
            if one.secret is not None:
                applied.secrets[client_id] = one.secret
    return applied


def preview(document: Mapping[str, Any], *, now: int) -> dict[str, tuple[str, list[Difference]]]:
    """What a file would do: for each portal that it changes "new" or "changed", and the differences.

    Raises RegistrationError.
    """
    return {
        one.registration.client_id: (
            "new" if one.before is None else "changed",
            differences(
                one.before.registration if one.before is not None else None,
                portals.document(one.registration),
            ),
        )
        for one in _read(document, now=now)
        if one.changes
    }


def export(client_ids: Sequence[str] = ()) -> str:
    """These portals, or all of them, as a file that `apply` takes, in the order of their client_ids.

    Secrets are left out, and so is a move between sectors, which is none at another deployment.
    Raises UnknownPortal with the client_id that is not there.
    """
    entries = []
    for client_id in client_ids or _all():
        row = versions.row(db.session(), client_id)
        if row is None or is_ours(client_id):
            raise UnknownPortal(client_id)
        kept = {name: value for name, value in row.registration.items() if name not in _NOT_EXPORTED}
        entries.append(_without_nulls({"client_id": client_id, **kept}))
    return tomli_w.dumps({"portal": entries}, multiline_strings=True)


def _all() -> list[str]:
    theirs = (Portal.client_id.not_in(OURS), ~Portal.client_id.startswith(TRIAL_PREFIX, autoescape=True))
    rows = db.session.query(Portal.client_id).where(*theirs).order_by(Portal.client_id)
    return [row[0] for row in rows]


def _without_nulls(value: Any) -> Any:
    """TOML has no null: what is not said is left out."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _read(document: Mapping[str, Any], *, now: int) -> list[_Read]:
    """The portals of a file, beside what is there. Raises RegistrationError with every problem."""
    problems: list[str] = []
    found: list[_Read] = []
    if unknown := set(document) - {"portal"}:
        problems.append(f"unknown tables: {', '.join(sorted(unknown))}")
    for entry in document.get("portal", ()):
        try:
            found.append(_entry(entry))
        except RegistrationError as error:
            problems += error.problems
    registrations = [one.registration for one in found]
    ids = [registration.client_id for registration in registrations]
    problems += [f"{client_id} is there twice" for client_id in sorted(set(ids)) if ids.count(client_id) > 1]
    problems += [f"{client_id} is reserved for the house itself" for client_id in ids if is_ours(client_id)]
    problems += _served_twice(registrations)
    problems += _moved(found, now)
    if problems:
        raise RegistrationError(problems)
    return found


def _entry(entry: Any) -> _Read:
    """One table of a file. Raises RegistrationError."""
    if not isinstance(entry, Mapping):
        raise RegistrationError(["portal: must be tables"])
    client_id = entry.get("client_id")
    row = versions.row(db.session(), client_id) if isinstance(client_id, str) else None
    secret = None
    uses_secret = str(entry.get("token_endpoint_auth_method", "")).startswith("client_secret")
    if uses_secret and "client_secret_sha256" not in entry:
        known = row.registration.get("client_secret_sha256") if row is not None else None
        if not known:
            secret = seal.random_token()
            known = [seal.digest(secret)]
        entry = {**entry, "client_secret_sha256": known}
    return _Read(portals.parse(entry), row, secret)


def _moved(found: Sequence[_Read], now: int) -> Iterator[str]:
    """Every holder would be somebody else to a portal in another sector (OpenID Connect Core 8.1)."""
    for one in found:
        # Not parsed again: today's rules may be stricter than those it came in by.
        was = msgspec.convert(one.before.registration, Registration) if one.before is not None else None
        if problem := sector_problem(was, one.registration, now=now):
            yield f"{one.registration.client_id}: {problem.text}"


def _served_twice(registrations: Sequence[Registration]) -> Iterator[str]:
    """A resource (RFC 8707) has one server: its tokens name a person as that one knows them."""
    served: dict[str, str] = {}
    for registration in registrations:
        for resource in registration.serves_resources:
            known = portals.serving(resource)
            other = served.setdefault(resource, known.client_id if known else registration.client_id)
            if other != registration.client_id:
                yield f"{registration.client_id}: serves_resources: {resource} is served by {other}"
