"""Changing portals: at once, or as a proposal where a second person must look at it first."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from idp.admin import organisations
from idp.admin.people import Act
from idp.admin.portals import promoting, reading
from idp.admin.portals.changes import Change, PortalChanges, Submitted, with_kept_secrets
from idp.admin.portals.reading import Found
from idp.models import db
from idp.oidc import registration
from idp.portals import Registration, versions
from idp.portals.versions import UnknownPortal
from idp.views.api.operations import BASE, Answer, Area, Call, etag, operation
from idp.views.api.portals import SECRET_ID_CHARS, Asked, Difference, PortalShown, find, href, rows, shown
from idp.views.problems import ApiError, Wrong
from idp.views.settling import settle
from idp.wiring import House

Reason = Annotated[str, Meta(min_length=1, max_length=255)]
"""Why: it stays with what was changed, and in the audit where that has room for it."""


class DryRun(Asked, frozen=True):
    """`dry_run`: say what would change, and what is wrong; change nothing."""

    dry_run: bool = False


class NewPortal(Asked, frozen=True):
    """A portal to register. `organisation` is whose it is; a member's is always the own one's."""

    registration: Registration
    reason: Reason
    organisation: Annotated[str, Meta(max_length=64)] | None = None


class WholeRegistration(Asked, frozen=True):
    """What a portal's registration is to be. Without `client_secret_sha256` it keeps its secrets."""

    registration: Registration
    reason: Reason


class Merge(Asked, frozen=True):
    """What is to change: a JSON merge patch (RFC 7396) of the registration, in which null takes a member out."""

    changes: dict[str, Any]
    reason: Reason


class Because(Asked, frozen=True):
    """Why."""

    reason: Reason


class Rollback(Asked, frozen=True):
    """Which version to go back to."""

    version: Annotated[int, Meta(ge=1, le=999_999_999)]
    reason: Reason


class Transfer(Asked, frozen=True):
    """Whose the portal is to be; null: nobody's."""

    organisation: Annotated[str, Meta(max_length=64)] | None
    reason: Reason


class FileAsked(DryRun, frozen=True):
    """With `reason`, which a file has no place for."""

    reason: Annotated[str, Meta(max_length=255)] = ""


class Changed(msgspec.Struct, frozen=True):
    """What became of a change. `proposal`: it waits for a second person, there. `client_secret` is shown this once.

    `differences` is empty where the portal says all of it already: then nothing was done.
    """

    client_id: str
    href: str
    dry_run: bool
    proposal: str | None
    client_secret: str | None
    differences: list[Difference]


class ManyChanged(msgspec.Struct, frozen=True):
    """What became of the portals of a file that are not what it says."""

    items: list[Changed]


class PortalChanging(Area):
    """Changing portals."""

    tag = "portals"

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.changes = PortalChanges(house.settings, house.clock)

    @operation(
        "POST",
        "/portals",
        Act.CHANGE_PORTALS,
        Changed,
        query=DryRun,
        body=NewPortal,
        conflicts=True,
        statuses=(201, 202, 200),
    )
    def create_portal(self, call: Call) -> Answer:
        """Register a portal, or propose to."""
        document = call.unverified["registration"]
        client_id = call.body.registration.client_id
        if promoting.known(client_id, call.admin) is not None:
            raise ApiError("conflict")
        base = versions.current(db.session(), client_id)
        change = Change(document, call.body.reason, base, call.body.organisation)
        try:
            return self._changed(call, change, created=True)
        except UnknownPortal as error:  # another organisation's, which need not be said
            raise ApiError("conflict") from error

    @operation(
        "PUT",
        "/portals/{client_id}",
        Act.CHANGE_PORTALS,
        Changed,
        query=DryRun,
        body=WholeRegistration,
        matches=True,
        statuses=(200, 202),
    )
    def replace_portal(self, call: Call, client_id: str) -> Answer:
        """Give a portal another registration, or propose to."""
        found = self._current(call, client_id)
        return self._changed(call, self._change(found, call.unverified["registration"], call.body.reason))

    @operation(
        "PATCH",
        "/portals/{client_id}",
        Act.CHANGE_PORTALS,
        Changed,
        query=DryRun,
        body=Merge,
        matches=True,
        statuses=(200, 202),
    )
    def change_portal(self, call: Call, client_id: str) -> Answer:
        """Change members of a portal's registration, or propose to."""
        found = self._current(call, client_id)
        document = _merged(found.document, call.body.changes)
        return self._changed(call, self._change(found, document, call.body.reason))

    @operation(
        "POST",
        "/portals/{client_id}/rollback",
        Act.CHANGE_PORTALS,
        Changed,
        body=Rollback,
        matches=True,
        statuses=(200, 202),
    )
    def roll_back_portal(self, call: Call, client_id: str) -> Answer:
        """Make a portal again what it was at a version, but for its secrets and its sector, or propose to."""
        found = self._current(call, client_id)
        submitted = self.changes.rollback(
            call.admin, found.client_id, call.body.version, base=found.version, reason=call.body.reason
        )
        return self._submitted(submitted, [])

    @operation(
        "POST",
        "/portals.toml",
        Act.CHANGE_PORTALS,
        ManyChanged,
        query=FileAsked,
        body=bytes,
        conflicts=True,
        statuses=(200, 202),
    )
    def apply_portals(self, call: Call) -> Answer:
        """Register or change the portals of a file, each as a change of its own, or propose to.

        Every portal is checked before the first one is changed.
        """
        reason = call.query.reason or ("dry run" if call.query.dry_run else "")
        plans = promoting.plan(self.changes, call.admin, _toml(call.body), reason=reason)
        done = []
        for one in plans:
            differing = rows(one.rows)
            if call.query.dry_run:
                done.append(_said(Submitted(one.change.client_id), differing, dry_run=True))
                continue
            submitted = self.changes.submit(call.admin, one.change)
            self._settle(submitted)
            done.append(_said(submitted, differing))
        waits = any(one.proposal is not None for one in done)
        return Answer(ManyChanged(done), 202 if waits else 200)

    # -- one person, at once ---------------------------------------------------------------------------------

    @operation("POST", "/portals/{client_id}/disable", Act.SWITCH_PORTALS, PortalShown)
    def disable_portal(self, call: Call, client_id: str) -> Answer:
        """Switch a portal off at once: nobody can sign in to it."""
        return self._switched(call, client_id, enabled=False)

    @operation("POST", "/portals/{client_id}/enable", Act.APPROVE_PORTALS, PortalShown)
    def enable_portal(self, call: Call, client_id: str) -> Answer:
        """Switch a portal on again."""
        return self._switched(call, client_id, enabled=True)

    @operation("POST", "/portals/{client_id}/transfer", Act.CHANGE_ORGANISATIONS, PortalShown, body=Transfer)
    def transfer_portal(self, call: Call, client_id: str) -> Answer:
        """Give a portal to another organisation."""
        found = find(client_id, call.admin)
        to, reason = call.body.organisation, call.body.reason
        organisations.transfer(found.client_id, to, reason=reason, now=self.clock())
        return shown(reading.find(found.client_id, admin=call.admin))

    @operation(
        "POST",
        "/portals/{client_id}/secrets",
        Act.CHANGE_PORTALS,
        Changed,
        body=Because,
        conflicts=True,
        statuses=(201, 202),
    )
    def add_secret(self, call: Call, client_id: str) -> Answer:
        """A further client secret, shown this once; a proposed one works when it is approved."""
        found = find(client_id, call.admin)
        submitted = self.changes.add_secret(
            call.admin, found.client_id, base=found.version, reason=call.body.reason
        )
        return self._submitted(submitted, [], created=True)

    @operation(
        "POST",
        "/portals/{client_id}/secrets/{secret_id}/retire",
        Act.CHANGE_PORTALS,
        PortalShown,
        body=Because,
    )
    def retire_secret(self, call: Call, client_id: str, secret_id: str) -> Answer:
        """Make a client secret worthless at once. The last one cannot go."""
        found = find(client_id, call.admin)
        digests = [one.digest for one in reading.secrets(found)]
        named = [digest for digest in digests if digest[:SECRET_ID_CHARS] == secret_id]
        if not named:
            raise ApiError("not_found")
        self.changes.retire_secret(call.admin, found.client_id, named[0], reason=call.body.reason)
        return shown(reading.find(found.client_id, admin=call.admin))

    # -- steps -----------------------------------------------------------------------------------------------

    def _current(self, call: Call, client_id: str) -> Found:
        """The portal, at the version that is to be changed."""
        found = find(client_id, call.admin)
        call.is_of(etag(found.version))
        return found

    @staticmethod
    def _change(found: Found, document: Mapping[str, Any], reason: str) -> Change:
        if document.get("client_id", found.client_id) != found.client_id:
            wrong = Wrong("registration.client_id", "a portal keeps its client_id")
            raise ApiError("invalid", [wrong])
        return Change(with_kept_secrets(document, found), reason, found.version)

    def _changed(self, call: Call, change: Change, *, created: bool = False) -> Answer:
        differing = rows(self.changes.preview(call.admin, change))
        if call.query.dry_run or not differing:
            return Answer(_said(Submitted(change.client_id), differing, dry_run=call.query.dry_run))
        return self._submitted(self.changes.submit(call.admin, change), differing, created=created)

    def _submitted(
        self, submitted: Submitted, differing: list[Difference], *, created: bool = False
    ) -> Answer:
        self._settle(submitted)
        value = _said(submitted, differing)
        if submitted.proposal is not None:
            return Answer(value, 202, location=value.proposal)
        version = versions.current(db.session(), submitted.client_id)
        return Answer(
            value, 201 if created else 200, etag=etag(version), location=value.href if created else None
        )

    def _settle(self, submitted: Submitted) -> None:
        if submitted.proposal is None:
            settle(self.house, submitted.client_id)

    def _switched(self, call: Call, client_id: str, *, enabled: bool) -> Answer:
        found = find(client_id, call.admin)
        self.changes.check_switch(call.admin, found.client_id, enabled=enabled)
        registration.switch(found.client_id, enabled=enabled, now=self.clock())
        return shown(reading.find(found.client_id, admin=call.admin))


def _said(submitted: Submitted, differing: list[Difference], *, dry_run: bool = False) -> Changed:
    proposal = f"{BASE}/proposals/{submitted.proposal}" if submitted.proposal is not None else None
    return Changed(
        client_id=submitted.client_id,
        href=href(submitted.client_id),
        dry_run=dry_run,
        proposal=proposal,
        client_secret=submitted.secret,
        differences=differing,
    )


def _merged(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, section 2."""
    merged = dict(document)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            before = merged.get(name)
            merged[name] = _merged(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def _toml(given: bytes) -> dict[str, Any]:
    try:
        text = given.decode("utf-8")
        if "\0" in text or "\\u0000" in text.lower():
            raise ApiError("malformed", [Wrong("", "has a NUL")])
        return tomllib.loads(text.replace("\r\n", "\n"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else type(error).__name__
        raise ApiError("malformed", [Wrong("", f"TOML: {said}")]) from error
