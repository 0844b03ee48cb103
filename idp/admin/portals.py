"""Registering portals from a file: all of it or none of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from idp import portals
from idp.events import Event, record
from idp.models import Portal, writing


def apply(document: Mapping[str, Any], *, now: int) -> list[str]:
    """Create or replace the portals of a `portals.toml`; the client_ids that changed.

    A portal that is not in the file is left alone, and one that is switched off stays so. Raises
    portals.RegistrationError with every problem of every portal, and then nothing is written.
    """
    problems: list[str] = []
    registrations = []
    unknown = set(document) - {"portal"}
    if unknown:
        problems.append(f"unknown tables: {', '.join(sorted(unknown))}")
    for entry in document.get("portal", ()):
        try:
            registrations.append(portals.parse(entry))
        except portals.RegistrationError as error:
            problems += error.problems
    ids = [registration.client_id for registration in registrations]
    problems += [f"{client_id} is there twice" for client_id in sorted(set(ids)) if ids.count(client_id) > 1]
    problems += _served_twice(registrations)
    if problems:
        raise portals.RegistrationError(problems)
    changed = []
    with writing() as session:
        for registration in registrations:
            made = portals.document(registration)
            row = session.get(Portal, registration.client_id)
            if row is not None and row.registration == made:
                continue
            if row is None:
                row = Portal(client_id=registration.client_id, enabled=True)
                session.add(row)
            elif (sector := _registered(row).sector) != registration.sector:
                # Every holder would be somebody else to this portal from now on (OpenID Connect Core 8.1).
                raise portals.RegistrationError(
                    [
                        f'{registration.client_id}: set sector_identifier = "{sector}", '
                        "by which holders are known there"
                    ]
                )
            row.registration, row.updated_at = made, now
            record(session, Event.PORTAL_APPLIED, at=now, client_id=registration.client_id)
            changed.append(registration.client_id)
    return changed


def _served_twice(registrations: Sequence[portals.Registration]) -> Iterator[str]:
    """A resource (RFC 8707) has one server: its tokens name a person as that one knows them."""
    served: dict[str, str] = {}
    for registration in registrations:
        for resource in registration.serves_resources:
            known = portals.serving(resource)
            other = served.setdefault(resource, known.client_id if known else registration.client_id)
            if other != registration.client_id:
                yield f"{registration.client_id}: serves_resources: {resource} is served by {other}"


def _registered(row: Portal) -> portals.Registration:
    """As it stands; not parsed again, since today's rules may be stricter than those it came in by."""
    return msgspec.convert(row.registration, portals.Registration)
