"""The trust registry: reading it, trying a change on what holders showed lately, applying it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from idp.admin import trust, trust_record
from idp.admin.people import Act
from idp.admin.trust import Entry, Kind, Preview, UnknownEntry
from idp.admin.trust_record import Line
from idp.views.api.operations import TOML, Answer, Area, Call, etag, found, operation
from idp.views.api.portal_changes import DryRun, Reason
from idp.views.api.portals import Asked
from idp.views.problems import ApiError, Wrong


class TrustLine(msgspec.Struct, frozen=True):
    """An entry. `state` of a mission: `issues`, `from <day>` or `until <day>`."""

    kind: Kind
    id: str
    version: int
    changed_at: int
    state: str
    document: dict[str, Any]


class Registry(msgspec.Struct, frozen=True):
    """The whole registry, credential types first."""

    items: list[TrustLine]


class TrustVersion(msgspec.Struct, frozen=True):
    """One change of an entry: what it was and became (null: not there), by whom and why."""

    kind: Kind
    id: str
    version: int
    at: int
    actor: str | None
    reason: str | None
    verb: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class TrustHistory(msgspec.Struct, frozen=True):
    """The latest changes, the newest first."""

    items: list[TrustVersion]


class HistoryAsked(Asked, frozen=True):
    """Of which entry; without one of all."""

    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class Removal(Asked, frozen=True):
    """An entry to take out."""

    kind: Kind
    id: Annotated[str, Meta(min_length=1, max_length=64)]


class TrustChanges(Asked, frozen=True):
    """Entries to add or replace, as `trust.toml` has them, and entries to take out."""

    reason: Reason
    credential_type: tuple[dict[str, Any], ...] = ()
    mission: tuple[dict[str, Any], ...] = ()
    remove: tuple[Removal, ...] = ()


class TrustChange(msgspec.Struct, frozen=True):
    """What becomes of an entry, and which of its members are not what they were."""

    kind: Kind
    id: str
    verb: str
    members: list[str]


class WouldFail(msgspec.Struct, frozen=True):
    """A chain that was accepted within the last day and would be refused then; `n_that_day`: about how often."""

    reason: str
    credential_type: str
    format: str
    mission: str
    n_that_day: int
    sha256: str


class TrustReport(msgspec.Struct, frozen=True):
    """What a change does, or would do: to the registry, and to the chains that were accepted within the last day."""

    dry_run: bool
    changes: list[TrustChange]
    failing: list[WouldFail]
    n_tried: int


class TrustArea(Area):
    """The trust registry."""

    tag = "trust"

    @operation("GET", "/trust", Act.SEE_SYSTEM, Registry)
    def show_registry(self, call: Call) -> Answer:
        """The whole registry; the ETag is its state, which every change moves."""
        basis = trust.basis()
        lines = trust_record.listed(self.clock())
        return Answer(Registry([_line(one) for one in lines]), etag=etag(basis))

    @operation("GET", "/trust/{kind}/{entry_id}", Act.SEE_SYSTEM, TrustLine)
    def show_entry(self, call: Call, kind: str, entry_id: str) -> Answer:
        """One entry: `kind` is `credential_type` or `mission`."""
        lines = [_line(one) for one in trust_record.listed(self.clock())]
        return Answer(found(lines, lambda one: one.kind == kind and one.id == entry_id))

    @operation("GET", "/trust/history", Act.SEE_SYSTEM, TrustHistory, query=HistoryAsked)
    def list_trust_changes(self, call: Call) -> Answer:
        """What became of the registry, or of one entry, which may be gone."""
        versions = trust_record.history(call.query.id, limit=call.query.limit)
        return Answer(TrustHistory([_version(one) for one in versions]))

    @operation("GET", "/trust.toml", Act.SEE_SYSTEM, None, media_type=TOML)
    def export_registry(self, call: Call) -> Answer:
        """The whole registry as a file that `idp trust apply` takes."""
        lines = trust_record.listed(self.clock())
        return Answer(trust_record.as_toml([(one.entry.kind, one.document) for one in lines]))

    @operation(
        "POST",
        "/trust/changes",
        Act.CHANGE_SYSTEM,
        TrustReport,
        query=DryRun,
        body=TrustChanges,
        matches=True,
    )
    def change_registry(self, call: Call) -> Answer:
        """Change the registry as one; with `dry_run` only say what that would do. In force within ten seconds."""
        call.is_of(etag(trust.basis()))
        given: TrustChanges = call.body
        document = {"credential_type": given.credential_type, "mission": given.mission}
        removing = [_entry(one) for one in given.remove]
        if not given.reason.isprintable():
            raise ApiError("invalid", [Wrong("reason", "1 to 255 printable characters")])
        now = self.clock()
        preview = trust.preview(document, now=now, removing=removing)
        if not call.query.dry_run:
            trust.apply(document, now=now, removing=removing, reason=given.reason, basis=preview.basis)
        return Answer(_report(preview, dry_run=call.query.dry_run), etag=etag(trust.basis()))


def _entry(one: Removal) -> Entry:
    try:
        return trust.find(one.id, one.kind)
    except UnknownEntry as error:
        raise ApiError("invalid", [Wrong("remove", "there is no such entry")]) from error


def _line(one: Line) -> TrustLine:
    return TrustLine(one.entry.kind, one.entry.id, one.version, one.changed_at, one.state, dict(one.document))


def _version(one: trust_record.Version) -> TrustVersion:
    change = one.change
    return TrustVersion(
        kind=change.entry.kind,
        id=change.entry.id,
        version=one.version,
        at=one.at,
        actor=one.actor,
        reason=one.reason,
        verb=change.verb,
        before=dict(change.before) if change.before is not None else None,
        after=dict(change.after) if change.after is not None else None,
    )


def _report(preview: Preview, *, dry_run: bool) -> TrustReport:
    return TrustReport(
        dry_run=dry_run,
        changes=[TrustChange(one.entry.kind, one.entry.id, one.verb, one.members) for one in preview.changes],
        failing=[
            WouldFail(
                reason=one.reason.value,
                credential_type=one.seen.credential_type,
                format=one.seen.format,
                mission=one.seen.mission,
                n_that_day=one.seen.n_that_day,
                sha256=one.seen.digest,
            )
            for one in preview.failing
        ],
        n_tried=preview.n_tried,
    )
