"""Reading the trust registry: what is in it, since when and by whom, as a table, a history or a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import tomli_w
from sqlalchemy import select

from idp.admin.trust import Change, Entry, Kind
from idp.credentials.trust import seoul_day
from idp.models import CredentialType, Mission, TrustChange, db


@dataclass(frozen=True)
class Line:
    """An entry, and its last change. `state` of a mission: `issues`, `from <day>` or `until <day>`."""

    entry: Entry
    document: Mapping[str, Any]
    version: int
    changed_at: int
    state: str = ""

    @property
    def name(self) -> str:
        """Its name in English."""
        return str(self.document["name"]["en"])


@dataclass(frozen=True)
class Version:
    """One change of an entry."""

    change: Change
    version: int
    at: int
    actor: str | None
    reason: str | None


def listed(now: int) -> list[Line]:
    """Every entry: types first, each table in the order of its ids."""
    today = seoul_day(now)
    versions: dict[tuple[str, str], int] = {}
    for kind, entry, version in db.session.execute(
        select(TrustChange.kind, TrustChange.entry, TrustChange.version).order_by(TrustChange.version)
    ):
        versions[kind, entry] = version
    types = db.session.scalars(select(CredentialType).order_by(CredentialType.id)).all()
    missions = db.session.scalars(select(Mission).order_by(Mission.code)).all()
    rows: list[tuple[Entry, CredentialType | Mission, str]] = [
        *((Entry("credential_type", row.id), row, "") for row in types),
        *((Entry("mission", row.code), row, _state(row.document, today)) for row in missions),
    ]
    return [
        Line(entry, row.document, versions.get(entry, 0), row.updated_at, state) for entry, row, state in rows
    ]


def _state(mission: Mapping[str, Any], today: date) -> str:
    if date.fromisoformat(mission["active_from"]) > today:
        return f"from {mission['active_from']}"
    until = mission.get("active_until")
    return f"until {until}" if until is not None else "issues"


def history(entry_id: str | None = None, *, limit: int = 200) -> list[Version]:
    """The latest changes, the newest first; of one entry only, which may have been removed since."""
    query = select(TrustChange).order_by(TrustChange.id.desc()).limit(limit)
    if entry_id is not None:
        query = query.where(TrustChange.entry == entry_id)
    return [
        Version(
            Change(Entry(_kind(row.kind), row.entry), row.before, row.after),
            row.version,
            row.at,
            row.actor,
            row.reason,
        )
        for row in db.session.scalars(query)
    ]


def _kind(name: str) -> Kind:
    return "mission" if name == "mission" else "credential_type"


def as_toml(documents: Sequence[tuple[Kind, Mapping[str, Any]]]) -> str:
    """Entries as a file that `idp trust apply` takes."""
    tables: dict[str, list[Mapping[str, Any]]] = {}
    for kind, document in documents:
        tables.setdefault(kind, []).append(document)
    return tomli_w.dumps(tables, multiline_strings=True)
