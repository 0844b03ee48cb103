"""A file of portals, as an administrator brings it: from a sandbox deployment to production, each portal as a change.

`idp portals apply` writes a file at once, as the command line may. Here every portal of it is checked first, with the
rights of whoever brings it; then each becomes a change of its own, which may wait for a second person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from idp.admin.people import Administrator
from idp.admin.portals import reading
from idp.admin.portals.changes import Change, ChangeRefused, PortalChanges, with_kept_secrets
from idp.admin.portals.differences import Difference
from idp.models import db
from idp.portals import versions
from idp.portals.rules import Finding
from idp.portals.versions import UnknownPortal

MAX_PORTALS = 1000


@dataclass(frozen=True)
class Planned:
    """What a file means for one of its portals, which is not what it says already."""

    change: Change
    verb: Literal["new", "changed"]
    rows: list[Difference]


def plan(
    changes: PortalChanges, admin: Administrator, document: Mapping[str, Any], *, reason: str
) -> list[Planned]:
    """What a `portals.toml` would change, in its order. Raises Forbidden; ChangeRefused with what is wrong anywhere,
    each member after its portal's client_id."""
    entries = document.get("portal", [])
    if set(document) - {"portal"} or not isinstance(entries, list) or len(entries) > MAX_PORTALS:
        raise ChangeRefused([Finding("portal", "the file must be tables [[portal]], 1,000 at most")])
    wrong: list[Finding] = []
    plans: dict[str, Planned] = {}
    for number, entry in enumerate(entries):
        client_id = entry.get("client_id") if isinstance(entry, Mapping) else None
        if not isinstance(client_id, str) or client_id in plans:
            wrong.append(Finding(f"portal[{number}].client_id", "is missing, or there twice"))
            continue
        try:
            plans[client_id] = _planned(changes, admin, entry, client_id, reason)
        except ChangeRefused as refused:
            wrong += [one._replace(field=f"{client_id}.{one.field}".strip(".")) for one in refused.findings]
        except UnknownPortal:
            wrong.append(Finding(client_id, "this client_id is taken"))
    if wrong:
        raise ChangeRefused(wrong)
    return [one for one in plans.values() if one.rows]


def _planned(
    changes: PortalChanges, admin: Administrator, entry: Mapping[str, Any], client_id: str, reason: str
) -> Planned:
    found = known(client_id, admin)
    session: Session = db.session()
    base = found.version if found is not None else versions.current(session, client_id)
    change = Change(with_kept_secrets(entry, found), reason, base)
    return Planned(change, "new" if found is None else "changed", changes.preview(admin, change))


def known(client_id: str, admin: Administrator) -> reading.Found | None:
    """The portal, None where there is none that this administrator may know of."""
    try:
        return reading.find(client_id, admin=admin)
    except UnknownPortal:
        return None
