"""The trust registry: credential types and the missions that issue them, as rows, applied from files.

Every change has a version, and with it who made it, when and why (`models.TrustChange`); what a change would do to
credentials that holders really show can be seen before (`preview`). Whatever changes the registry ends in `apply`.

Adding a mission takes effect without a restart, and so does closing or removing one: every process reads the rows
again at most `RELOAD_S` after they changed. If they cannot be read then, the last good picture stands and the
operator's log says so.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session as Database

from idp.admin import seen
from idp.admin.seen import Failing
from idp.claims import ELEMENT_LABELS
from idp.clock import Clock
from idp.credentials.trust import TrustDocumentError, TrustSnapshot, from_documents
from idp.events import Event, origin, record
from idp.models import CredentialType, Mission, TrustChange, db, writing

RELOAD_S = 10
MAX_REASON_CHARS = 255
_ADVISORY_LOCK = 0x7472757374  # "trust"
log = logging.getLogger(__name__)

Kind = Literal["credential_type", "mission"]
Document = Mapping[str, Any]
_LABELS: Mapping[Kind, str] = {"credential_type": "id", "mission": "code"}


class Entry(NamedTuple):
    """Which entry of the registry: its table and its id or code."""

    kind: Kind
    id: str


class Outdated(Exception):
    """The registry has changed since it was looked at: what was tried then may mean something else now."""


class UnknownEntry(LookupError):
    """There is no such entry, or there are two: `kinds` says in which tables."""

    def __init__(self, entry_id: str, kinds: Sequence[Kind] = ()) -> None:
        super().__init__(entry_id)
        self.kinds = tuple(kinds)


@dataclass(frozen=True)
class Change:
    """What becomes of an entry; None: it is not there."""

    entry: Entry
    before: Document | None
    after: Document | None

    @property
    def verb(self) -> str:
        """`added`, `changed` or `removed`."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def members(self) -> list[str]:
        """The members of its document that are not what they were."""
        before, after = self.before or {}, self.after or {}
        return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


@dataclass(frozen=True)
class Preview:
    """What an `apply` would do: to the registry, and to the chains that were accepted within the last day.

    basis: on which state of the registry; `apply` can be told to do it on no other.
    """

    changes: tuple[Change, ...]
    failing: tuple[Failing, ...]
    n_tried: int
    basis: int


class _Registry:
    """The documents as they stand in the database."""

    def __init__(self, database: Database) -> None:
        self.documents: dict[Entry, Document] = {
            **{Entry("credential_type", row.id): row.document for row in _all(database, CredentialType)},
            **{Entry("mission", row.code): row.document for row in _all(database, Mission)},
        }

    def snapshot(self) -> TrustSnapshot:
        """Raises TrustDocumentError with every problem."""
        types, missions = (
            [document for entry, document in sorted(self.documents.items()) if entry.kind == kind]
            for kind in _LABELS
        )
        made = from_documents(types, missions)
        if problems := [
            f"credential_type ({kind.id}).person_key: not an element that a person is known by"
            for kind in made.types.values()
            if kind.person_key is not None and kind.person_key not in ELEMENT_LABELS
        ]:
            raise TrustDocumentError(problems)
        return made

    def change(self, document: Document, removing: Collection[Entry]) -> list[Change]:
        """Make these changes, in memory; those that are some. Raises TrustDocumentError as `snapshot` does, too."""
        problems = []
        if unknown := set(document) - _LABELS.keys():
            problems.append(f"unknown tables: {', '.join(sorted(unknown))}")
        given: dict[Entry, Document | None] = {}
        for kind, label in _LABELS.items():
            tables = document.get(kind, ())
            if not isinstance(tables, Sequence) or isinstance(tables, str):
                problems.append(f"{kind}: not a list of tables ([[{kind}]])")
                continue
            for one in tables:
                entry = Entry(kind, str(one.get(label, "")) if isinstance(one, Mapping) else "")
                if entry in given:
                    problems.append(f"{kind}: a {label} stands twice: {entry.id}")
                given[entry] = _jsonable(one)
        problems += [
            f"{entry.kind} ({entry.id}): both given and removed" for entry in removing if entry in given
        ]
        if problems:
            raise TrustDocumentError(problems)
        given |= dict.fromkeys(removing)
        changes = [
            Change(entry, self.documents.get(entry), after)
            for entry, after in given.items()
            if self.documents.get(entry) != after
        ]
        for change in changes:
            if change.after is None:
                del self.documents[change.entry]
            else:
                self.documents[change.entry] = change.after
        return changes


def apply(
    document: Document,
    *,
    now: int,
    removing: Collection[Entry] = (),
    reason: str | None = None,
    basis: int | None = None,
) -> list[str]:
    """Create or replace the entries of a `trust.toml`, and remove others; the ids that changed.

    The whole registry, with what is already there, must make sense afterwards: otherwise TrustDocumentError with
    every problem, and nothing is written. `reason`: why, for whoever reads the history; MAX_REASON_CHARS at most.
    With a `basis` (`Preview`) Outdated is raised where somebody else changed something meanwhile.
    """
    with writing() as database:
        _queue(database)
        if basis is not None and basis != _state(database):
            raise Outdated
        registry = _Registry(database)
        changes = registry.change(document, removing)
        registry.snapshot()
        for change in changes:
            _write(database, change, now=now, reason=reason)
    return [change.entry.id for change in changes]


def preview(document: Document, *, now: int, removing: Collection[Entry] = ()) -> Preview:
    """What `apply` would do, without doing it. Raises TrustDocumentError as `apply` does."""
    basis = _state(db.session())
    registry = _Registry(db.session())
    before = registry.snapshot()
    changes = registry.change(document, removing)
    chains = seen.lately(now)
    failing = seen.failing(chains, before=before, after=registry.snapshot(), now=now)
    return Preview(tuple(changes), tuple(failing), len(chains), basis)


def basis() -> int:
    """On which state of the registry a change would be made now: see `apply`."""
    return _state(db.session())


def current() -> TrustSnapshot:
    """The registry as it is in the database now, for whoever looks after it. Raises TrustDocumentError."""
    return _Registry(db.session()).snapshot()


def find(entry_id: str, kind: Kind | None = None) -> Entry:
    """The entry of this id, in a table or in either. Raises UnknownEntry where there is none, or one in each."""
    known = _Registry(db.session()).documents
    kinds = [one for one in _LABELS if kind in (None, one) and Entry(one, entry_id) in known]
    if len(kinds) != 1:
        raise UnknownEntry(entry_id, kinds)
    return Entry(kinds[0], entry_id)


def _write(database: Database, change: Change, *, now: int, reason: str | None) -> None:
    kind, entry_id = change.entry
    table: type[CredentialType] | type[Mission] = CredentialType if kind == "credential_type" else Mission
    if change.after is None:
        database.delete(database.get_one(table, entry_id))
    else:
        database.merge(table(**{_LABELS[kind]: entry_id}, document=change.after, updated_at=now))
    known = select(func.max(TrustChange.version)).where(
        TrustChange.kind == kind, TrustChange.entry == entry_id
    )
    version = (database.scalar(known) or 0) + 1
    database.add(
        TrustChange(
            kind=kind,
            entry=entry_id,
            version=version,
            before=change.before,
            after=change.after,
            actor=origin.get().actor,
            reason=reason,
            at=now,
        )
    )
    event = Event.TRUST_REMOVED if change.after is None else Event.TRUST_APPLIED
    record(database, event, at=now, detail={"entry": entry_id, "version": version})


def _state(database: Database) -> int:
    """A number that grows with every change."""
    return database.scalar(select(func.max(TrustChange.id))) or 0


def _queue(database: Database) -> None:
    """Let one change at a time look at the whole registry. On SQLite the transaction does that."""
    if database.get_bind().dialect.name == "postgresql":
        database.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def _all(database: Database, table: Any) -> Sequence[Any]:
    return database.scalars(select(table).execution_options(populate_existing=True)).all()


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
        self._documents: tuple[list[Any], list[Any]] = ([], [])
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
        try:
            documents = _documents()
            if last is not None and documents == self._documents:
                return last
            made = from_documents(*documents)
        except TrustDocumentError:
            if last is None:
                raise
            log.exception("the trust registry cannot be read; the last good one stands")
            return last
        self._documents = documents
        return made


def _documents() -> tuple[list[Any], list[Any]]:
    """The rows of types and of missions. Raises TrustDocumentError where one is no JSON object."""
    try:
        types = db.session.scalars(select(CredentialType.document).order_by(CredentialType.id)).all()
        missions = db.session.scalars(select(Mission.document).order_by(Mission.code)).all()
    except ValueError:
        raise TrustDocumentError(["a row that is not JSON"]) from None
    if not all(isinstance(document, dict) for document in (*types, *missions)):
        raise TrustDocumentError(["a row that is not an object"])
    return list(types), list(missions)
