"""Relying portals: what a registration may say, and how one is found.

`Registration` is the document stored in `models.Portal.registration`. `parse` reads one from a seed file, an
admin or a registration request and reports every problem at once. Redirect URIs are compared as exact strings
(RFC 9700, section 2.1); a client secret is known by its SHA-256 only, since it is random and long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Engine, bindparam, event, select
from sqlalchemy.orm import Session

from idp.models import Portal, db, writing
from idp.portals.registration import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    FRONT_CHANNEL_TYPES,
    IMPLICIT,
    REFRESH_TOKEN,
    AuthMethod,
    Registration,
    RegistrationError,
    RequestedClaim,
    SigningAlgorithm,
)
from idp.portals.rules import problems

__all__ = [
    "AUTHORIZATION_CODE",
    "DEVICE_CODE",
    "FRONT_CHANNEL_TYPES",
    "IMPLICIT",
    "REFRESH_TOKEN",
    "AuthMethod",
    "Registration",
    "RegistrationError",
    "RequestedClaim",
    "SigningAlgorithm",
    "document",
    "ensure",
    "find",
    "parse",
    "serving",
    "typed",
]

KNOWN_S: Final = 1.0
"""How old a process's picture of a registration may be. Its own changes a process sees at once."""
_MAX_KNOWN = 1000

_BY_CLIENT_ID = select(Portal.enabled, Portal.registration).where(Portal.client_id == bindparam("client_id"))


def parse(document: Mapping[str, Any]) -> Registration:
    """Read one registration. Raises RegistrationError with every problem found.

    A `fapi2` portal has to ask for QR codes: another device is where phishing happens (decision D1).
    """
    registration = typed(document)
    found = [f"{registration.client_id}: {problem}" for problem in problems(registration)]
    if found:
        raise RegistrationError(found)
    return registration


def typed(document: Mapping[str, Any]) -> Registration:
    """A registration of the right types, whose rules are still to be asked. Raises RegistrationError."""
    given = dict(document)
    if given.get("profile") == "fapi2":
        given.setdefault("cross_device", False)
    try:
        return msgspec.convert(given, Registration)
    except msgspec.ValidationError as error:
        raise RegistrationError([f"{document.get('client_id', 'portal')}: {error}"]) from error


def find(client_id: str) -> Registration | None:
    """The enabled portal with this client_id, or None, as the database had it `KNOWN_S` ago or later."""
    if not client_id or "\0" in client_id or len(client_id) > 255:
        return None
    known = _known_to(db.engine)
    now = time.monotonic()
    found, read_at = known.get(client_id, (None, 0.0))
    if found is not None and now - read_at < KNOWN_S:
        return found
    row = db.session.connection().execute(_BY_CLIENT_ID, {"client_id": client_id}).first()
    if row is None or not row.enabled:
        known.pop(client_id, None)
        return None
    found = msgspec.convert(row.registration, Registration)
    if len(known) >= _MAX_KNOWN:
        known.clear()
    # As of before it was asked: a change that was committed meanwhile is not overlooked for longer.
    known[client_id] = (found, now)
    return found


_known: WeakKeyDictionary[Engine, dict[str, tuple[Registration, float]]] = WeakKeyDictionary()
_CHANGED: Final = "sinwon_portals_changed"


def _known_to(engine: Engine) -> dict[str, tuple[Registration, float]]:
    """What this process knows of the portals in one database, and since when."""
    return _known.setdefault(engine, {})


@event.listens_for(Portal, "after_insert", propagate=True)
@event.listens_for(Portal, "after_update", propagate=True)
@event.listens_for(Portal, "after_delete", propagate=True)
def _changed(_mapper: Any, _connection: Any, row: Portal) -> None:
    session = Session.object_session(row)
    if session is not None:
        session.info[_CHANGED] = True


@event.listens_for(Session, "after_commit")
def _committed(session: Session) -> None:
    if not session.in_nested_transaction() and session.info.pop(_CHANGED, False):
        forget()


def forget() -> None:
    """Look anew at every registration: one was changed."""
    for known in _known.values():
        known.clear()


def serving(resource: str) -> Registration | None:
    """The enabled portal that serves this resource (RFC 8707), or None.

    It reads every registration: portals are hundreds, and tokens for resources are rarely asked for.
    """
    rows = db.session.connection().execute(select(Portal.registration).where(Portal.enabled)).scalars()
    served = (row for row in rows if resource in row.get("serves_resources", ()))
    found = next(served, None)
    return msgspec.convert(found, Registration) if found is not None else None


def ensure(registration: Registration, *, now: int) -> None:
    """See to it that a portal of our own is registered like this, and enabled."""
    wanted = document(registration)
    row = db.session.get(Portal, registration.client_id)
    if row is None or row.registration != wanted or not row.enabled:
        with writing() as session:
            session.merge(
                Portal(client_id=registration.client_id, enabled=True, registration=wanted, updated_at=now)
            )


def document(registration: Registration) -> dict[str, Any]:
    """The JSON document to store."""
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(registration))
    return made
