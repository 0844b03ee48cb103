"""The trust registry: credential types and the missions that issue them, as rows, applied from files.

Adding a mission takes effect without a restart: every process reads the rows again at most `RELOAD_S` after they
changed. If they cannot be read then, the last good picture stands and the operator's log says so.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from idp.claims import ELEMENT_LABELS
from idp.clock import Clock
from idp.credentials.trust import TrustDocumentError, TrustSnapshot, from_documents
from idp.events import Event, record
from idp.models import CredentialType, Mission, db, writing

RELOAD_S = 10
log = logging.getLogger(__name__)


def apply(document: Mapping[str, Any], *, now: int) -> list[str]:
    """Create or replace the credential types and missions of a `trust.toml`; the ids that changed.

    The whole registry, with what is already there, must make sense afterwards: otherwise TrustDocumentError with
    every problem, and nothing is written.
    """
    unknown = set(document) - {"credential_type", "mission"}
    if unknown:
        raise TrustDocumentError([f"unknown tables: {', '.join(sorted(unknown))}"])
    types = _by_name(document, "credential_type", "id")
    missions = _by_name(document, "mission", "code")
    changed = []
    with writing() as session:
        known_types = {row.id: row for row in session.scalars(select(CredentialType))}
        known_missions = {row.code: row for row in session.scalars(select(Mission))}
        registry = from_documents(
            list({**{key: row.document for key, row in known_types.items()}, **types}.values()),
            list({**{key: row.document for key, row in known_missions.items()}, **missions}.values()),
        )
        if problems := [
            f"credential_type ({kind.id}).person_key: not an element that a person is known by"
            for kind in registry.types.values()
            if kind.person_key is not None and kind.person_key not in ELEMENT_LABELS
        ]:
            raise TrustDocumentError(problems)
        for key, made in types.items():
            known = known_types.get(key)
            if known is None or known.document != made:
                session.merge(CredentialType(id=key, document=made, updated_at=now))
                changed.append(key)
        for key, made in missions.items():
            mission = known_missions.get(key)
            if mission is None or mission.document != made:
                session.merge(Mission(code=key, document=made, updated_at=now))
                changed.append(key)
        for key in changed:
            record(session, Event.TRUST_APPLIED, at=now, detail={"entry": key})
    return changed


def _by_name(document: Mapping[str, Any], table: str, label: str) -> dict[str, Any]:
    """The entries of a table by their names. Raises TrustDocumentError when one stands twice."""
    named = [(entry.get(label, ""), _jsonable(entry)) for entry in document.get(table, ())]
    found = dict(named)
    if len(found) != len(named):
        raise TrustDocumentError([f"{table}: a {label} stands twice"])
    return found


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _jsonable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_jsonable(element) for element in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


class TrustRegistry:
    """The registry as verification sees it: a snapshot, renewed when the rows change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: int | None = None
        self._documents: tuple[Sequence[Any], Sequence[Any]] = ((), ())
        self._snapshot: TrustSnapshot | None = None

    def snapshot(self) -> TrustSnapshot:
        """Raises TrustDocumentError when there has never been a readable registry."""
        now = self._clock()
        if self._snapshot is None or self._is_old(now):
            with self._lock:
                if self._snapshot is None or self._is_old(now):
                    self._snapshot = self._renewed(self._snapshot)
                    self._read_at = now
        return self._snapshot

    def _is_old(self, now: int) -> bool:
        # A clock set back makes the picture one from the future: read again.
        return self._read_at is None or not 0 <= now - self._read_at < RELOAD_S

    def _renewed(self, last: TrustSnapshot | None) -> TrustSnapshot:
        documents = (
            db.session.scalars(select(CredentialType.document).order_by(CredentialType.id)).all(),
            db.session.scalars(select(Mission.document).order_by(Mission.code)).all(),
        )
        if last is not None and documents == self._documents:
            return last
        try:
            made = from_documents(list(documents[0]), list(documents[1]))
        except TrustDocumentError:
            if last is None:
                raise
            log.exception("the trust registry cannot be read; the last good one stands")
            return last
        self._documents = documents
        return made
