"""Whom we believe: the trust registry as pages. A change is tried first, and said why; then it is applied."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from flask import Blueprint, Response, request

from idp.admin import expiry, trust, trust_record
from idp.admin.people import Act, Administrator
from idp.admin.trust import Change, Document, Entry, Kind, Outdated, Preview, UnknownEntry
from idp.admin.trust_record import Line, Version
from idp.credentials import TrustDocumentError, TrustSnapshot
from idp.credentials.status import KeptList
from idp.credentials.trust import seoul_day
from idp.views.console.desk import SAY_WHY, Desk, NotFound, field, reason
from idp.views.messages import N_

PATH: Final = "/console/trust"
_KINDS: Final[Mapping[str, Kind]] = {"types": "credential_type", "missions": "mission"}
_PATHS: Final[Mapping[Kind, str]] = {kind: name for name, kind in _KINDS.items()}
_SOON_S = 30 * 86_400
_MAX_SHOWN_CHARS = 4000
_ROLES: Final[Mapping[str, str]] = {
    "issuer": N_("Issuer"),
    "status": N_("Status lists"),
    "pinned": N_("Pinned signer"),
}
LIST_STATES: Final[Mapping[str, str]] = {
    "fresh": N_("up to date"),
    "due": N_("asked for again at the next sign-in"),
    "stale": N_("out of date, and its host does not answer"),
    "unusable": N_("not to be had"),
}
_VERBS: Final[Mapping[str, str]] = {
    "added": N_("added"),
    "changed": N_("changed"),
    "removed": N_("removed"),
}


@dataclass(frozen=True)
class Row:
    """An entry in the table. `ends_at`: when the first of its certificates ends."""

    line: Line
    path: str
    state: tuple[str, str]
    ends_at: int | None
    soon: bool


@dataclass(frozen=True)
class Certificate:
    """A certificate, as people read one."""

    role: str
    subject: str
    issuer: str
    since: int
    until: int
    sha256: str


@dataclass(frozen=True)
class Difference:
    """One member of a document, before and after, as text; None: it is not there."""

    member: str
    before: str | None
    after: str | None


class TrustPages:
    """`/console/trust`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        see, change = Act.SEE_SYSTEM, Act.CHANGE_SYSTEM
        guarded, rule = self.desk.guarded, door.add_url_rule
        large = self.desk.frame.settings.server.max_body_bytes
        rule("/trust", "trust", guarded(see, self.listed))
        rule("/trust/history", "trust_history", guarded(see, self.history))
        rule("/trust/export.toml", "trust_export", guarded(see, self.export))
        rule("/trust/change", "trust_change", guarded(change, self.change))
        rule("/trust/try", "trust_try", guarded(change, self.try_given, max_bytes=large), methods=["POST"])
        rule("/trust/apply", "trust_apply", guarded(change, self.apply, max_bytes=large), methods=["POST"])
        rule("/trust/<kind>/<entry_id>", "trust_entry", guarded(see, self.one))
        rule(
            "/trust/missions/<entry_id>/end",
            "trust_end",
            guarded(change, self.end_mission),
            methods=["POST"],
        )
        rule(
            "/trust/<kind>/<entry_id>/remove", "trust_remove", guarded(change, self.remove), methods=["POST"]
        )

    # -- reading ---------------------------------------------------------------------------------------------

    def listed(self, admin: Administrator) -> Response:
        now = self.desk.clock()
        known = _current()
        rows = [_row(line, known, now) for line in trust_record.listed(now)]
        return self.desk.page(
            "trust.html",
            types=[row for row in rows if row.line.entry.kind == "credential_type"],
            missions=[row for row in rows if row.line.entry.kind == "mission"],
            lists=[(one, _freshness(one, now)) for one in self.desk.house.status_lists.kept()],
            list_words=LIST_STATES,
            now=now,
        )

    def history(self, admin: Administrator) -> Response:
        versions = trust_record.history()
        called = self.desk.called(one.actor for one in versions)
        return self.desk.page("trust_history.html", versions=versions, called=called, **_words())

    def export(self, admin: Administrator) -> Response:
        lines = trust_record.listed(self.desk.clock())
        text = trust_record.as_toml([(line.entry.kind, line.document) for line in lines])
        made = Response(text, mimetype="application/toml")
        made.headers["Content-Disposition"] = 'attachment; filename="trust.toml"'
        return made

    def one(self, admin: Administrator, kind: str, entry_id: str) -> Response:
        return self._entry(_entry(kind, entry_id))

    def _entry(self, entry: Entry, problem: str = "") -> Response:
        now = self.desk.clock()
        line = next((line for line in trust_record.listed(now) if line.entry == entry), None)
        versions = [one for one in trust_record.history(entry.id) if one.change.entry == entry]
        if line is None and not versions:
            raise NotFound
        known = _current()
        return self.desk.page(
            "trust_entry.html",
            status=400 if problem else 200,
            entry=entry,
            path=_path(entry),
            row=_row(line, known, now) if line is not None else None,
            document=_readable(line.document) if line is not None else [],
            toml=trust_record.as_toml([(entry.kind, line.document)]) if line is not None else "",
            certificates=self._certificates(known, entry),
            versions=versions,
            called=self.desk.called(one.actor for one in versions),
            today=seoul_day(now).isoformat(),
            problem=self.desk.text(problem) if problem else "",
            now=now,
            **_words(),
        )

    def _certificates(self, known: TrustSnapshot | None, entry: Entry) -> list[Certificate]:
        mission = known.missions.get(entry.id) if known is not None and entry.kind == "mission" else None
        if mission is None:
            return []
        return [
            certificate(self.desk.text(_ROLES[role]), one)
            for role, certificates in expiry.roles(mission)
            for one in certificates
        ]

    # -- changing --------------------------------------------------------------------------------------------

    def change(self, admin: Administrator) -> Response:
        """A file, typed or chosen; filled with one entry where the address names one."""
        kind, _, entry_id = request.args.get("entry", "").partition("/")
        toml = ""
        if entry_id:
            document = _document(_entry(kind, entry_id))
            toml = trust_record.as_toml([(_entry(kind, entry_id).kind, document)])
        return self.desk.page("trust_change.html", toml=toml, problems=[])

    def try_given(self, admin: Administrator) -> Response:
        """What a file would do."""
        uploaded = request.files.get("file")
        given = uploaded.stream.read() if uploaded is not None and uploaded.filename else b""
        text = request.form.get("toml", "")
        if not given and not text.strip():
            return self._not_taken("", [self.desk.text(N_("Paste the file here, or choose one."))])
        try:
            text = given.decode("utf-8") if given else text
            document = tomllib.loads(text.replace("\r\n", "\n"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            shown = text if not given else ""
            return self._not_taken(shown, [f"TOML: {str(error) or type(error).__name__}"])
        return self._tried(document, text=text)

    def end_mission(self, admin: Administrator, entry_id: str) -> Response:
        """What it would do if a mission issued no more after a day."""
        entry = Entry("mission", entry_id)
        document = _document(entry)
        try:
            day = date.fromisoformat(field("until", 10))
        except ValueError:
            return self._entry(entry, N_("That is no day: it must look like 2026-12-31."))
        return self._tried({"mission": [{**document, "active_until": day.isoformat()}]})

    def remove(self, admin: Administrator, kind: str, entry_id: str) -> Response:
        """What it would do if an entry were taken out."""
        entry = _entry(kind, entry_id)
        _document(entry)
        return self._tried({}, removing=(entry,))

    def apply(self, admin: Administrator) -> Response:
        """Do what was tried, on the registry that it was tried on."""
        try:
            document = tomllib.loads(request.form.get("toml", "").replace("\r\n", "\n"))
            removing = [_entry(*one.split("/", 1)) for one in request.form.getlist("removing") if "/" in one]
            basis = int(field("basis", 20))
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise NotFound from error
        why = reason()
        if why is None:
            return self._tried(document, removing=removing, problem=SAY_WHY)
        try:
            trust.apply(document, now=self.desk.clock(), removing=removing, reason=why, basis=basis)
        except Outdated:
            return self._tried(
                document,
                removing=removing,
                status=409,
                problem=N_("Somebody else has changed the registry meanwhile. This is what it would do now."),
            )
        except TrustDocumentError as error:
            return self._not_taken(request.form.get("toml", ""), list(error.problems))
        return self.desk.done(PATH, "trust")

    def _tried(
        self,
        document: Document,
        *,
        removing: Collection[Entry] = (),
        text: str | None = None,
        problem: str = "",
        status: int = 400,
    ) -> Response:
        """The page that says what a change would do, and asks why."""
        try:
            preview = trust.preview(document, now=self.desk.clock(), removing=removing)
        except TrustDocumentError as error:
            shown = _toml(document) if text is None else text
            return self._not_taken(shown, list(error.problems))
        return self.desk.page(
            "trust_try.html",
            status=status if problem else 200,
            preview=preview,
            changes=[(change, _differences(change), _path(change.entry)) for change in preview.changes],
            untried=_untried(preview),
            toml=_toml(document) if text is None else text,
            removing=[f"{_PATHS[entry.kind]}/{entry.id}" for entry in removing],
            given=field("reason"),
            problem=self.desk.text(problem) if problem else "",
            **_words(),
        )

    def _not_taken(self, toml: str, problems: list[str]) -> Response:
        return self.desk.page("trust_change.html", status=400, toml=toml, problems=problems)


def _freshness(one: KeptList, now: int) -> str:
    """How a status list stands: a key of LIST_STATES."""
    if one.usable_until is None or now >= one.usable_until:
        return "unusable"
    if one.fresh_until is not None and now < one.fresh_until:
        return "fresh"
    return "stale" if one.failed else "due"


def _current() -> TrustSnapshot | None:
    """None: what is in the database makes no sense (and the last good registry stands)."""
    try:
        return trust.current()
    except TrustDocumentError:
        return None


def _entry(kind: str, entry_id: str) -> Entry:
    if kind not in _KINDS or "\0" in entry_id:
        raise NotFound
    return Entry(_KINDS[kind], entry_id)


def _document(entry: Entry) -> Document:
    """Raises NotFound where there is no such entry now."""
    try:
        trust.find(entry.id, entry.kind)
    except UnknownEntry as error:
        raise NotFound from error
    return next(line.document for line in trust_record.listed(0) if line.entry == entry)


def _toml(document: Document) -> str:
    entries: list[tuple[Kind, Mapping[str, Any]]] = []
    for kind in _PATHS:
        entries += [(kind, one) for one in document.get(kind, ())]
    return trust_record.as_toml(entries) if entries else ""


def _path(entry: Entry) -> str:
    return f"{PATH}/{_PATHS[entry.kind]}/{entry.id}"


def _words() -> dict[str, Any]:
    return {"verbs": _VERBS, "kinds": _PATHS, "path_of": _path_of}


def _path_of(version: Version) -> str:
    return _path(version.change.entry)


def _row(line: Line, known: TrustSnapshot | None, now: int) -> Row:
    mission = known.missions.get(line.entry.id) if known is not None else None
    ends = [
        int(one.not_valid_after_utc.timestamp())
        for _, certificates in (expiry.roles(mission) if mission is not None else ())
        for one in certificates
    ]
    ends_at = min(ends) if ends and line.entry.kind == "mission" else None
    word, _, day = line.state.partition(" ")
    over = word == "until" and day < seoul_day(now).isoformat()
    soon = ends_at is not None and ends_at <= now + _SOON_S and not over
    return Row(line, _path(line.entry), ("over" if over else word, day), ends_at, soon)


def certificate(role: str, one: x509.Certificate) -> Certificate:
    return Certificate(
        role=role,
        subject=one.subject.rfc4514_string(),
        issuer=one.issuer.rfc4514_string(),
        since=int(one.not_valid_before_utc.timestamp()),
        until=int(one.not_valid_after_utc.timestamp()),
        sha256=one.fingerprint(hashes.SHA256()).hex(),
    )


def _readable(document: Document) -> list[tuple[str, str]]:
    """A document's members as text, certificates left to their own table."""
    return [
        (name, _text(value))
        for name, value in document.items()
        if name not in {"issuer_certificates", "status_certificates", "pinned_signers"}
    ]


def _differences(change: Change) -> list[Difference]:
    before, after = change.before or {}, change.after or {}
    return [
        Difference(
            name,
            _text(before[name]) if name in before else None,
            _text(after[name]) if name in after else None,
        )
        for name in change.members
    ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _certificate_text(value) if value.startswith("-----BEGIN") else value
    if value and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(_text(one) for one in value)[:_MAX_SHOWN_CHARS]
    if value and isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values()):
        return "\n".join(f"{name}: {one}" for name, one in value.items())[:_MAX_SHOWN_CHARS]
    return json.dumps(value, ensure_ascii=False, indent=2)[:_MAX_SHOWN_CHARS]


def _certificate_text(pem: str) -> str:
    """Of a certificate what can be compared by eye; the PEM itself where it is none."""
    try:
        one = x509.load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError:
        return pem[:_MAX_SHOWN_CHARS]
    until = one.not_valid_after_utc.strftime("%Y-%m-%d")
    return f"{one.subject.rfc4514_string()} (– {until})\nSHA-256 {one.fingerprint(hashes.SHA256()).hex()}"


def _untried(preview: Preview) -> bool:
    """Whether something changes that no chain of the last day says anything about."""
    return any("issuer_dids" in change.members for change in preview.changes)
