"""Portals: what is registered, what became of it, and as a file."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from idp.admin import people
from idp.admin import portals as portal_admin
from idp.admin.people import Act, Administrator, Role
from idp.admin.portals import contract, differences, reading
from idp.admin.portals.reading import Found
from idp.portals import Registration
from idp.seal import b64, unb64
from idp.views.api.operations import BASE, TOML, Answer, Area, Call, etag, operation
from idp.views.problems import ApiError

Limit = Annotated[int, Meta(ge=1, le=500)]
_PLAIN_SEGMENT: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@"
)


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What comes in: members that are not known are refused."""


class PortalsAsked(Asked, frozen=True):
    """Which portals. `q` is looked for in client_ids, names, operators and redirect URIs."""

    q: Annotated[str, Meta(max_length=reading.MAX_SEARCH_CHARS)] = ""
    after: Annotated[str, Meta(max_length=255)] = ""
    limit: Limit = reading.PAGE_ROWS


class PortalLine(msgspec.Struct, frozen=True):
    """A portal in a list. `n_waiting`: how many changes of it wait for a second person."""

    client_id: str
    href: str
    name: dict[str, str]
    operator: dict[str, str]
    organisation: str | None
    enabled: bool
    profile: str
    registered_itself: bool
    updated_at: int
    n_waiting: int


class PortalPage(msgspec.Struct, frozen=True):
    """Portals in the order of their client_ids. `next`: `after` of the next page, null at the end."""

    items: list[PortalLine]
    next: str | None


class SecretLine(msgspec.Struct, frozen=True):
    """A client secret, by the beginning of its SHA-256."""

    id: str
    created_at: int | None
    last_used_at: int | None


class PortalShown(msgspec.Struct, frozen=True):
    """A portal. The registration is what a change may send back; of its secrets only the `id` is said."""

    client_id: str
    href: str
    version: int
    enabled: bool
    organisation: str | None
    registered_itself: bool
    has_logo: bool
    updated_at: int
    sector: str
    secrets: list[SecretLine]
    registration: Registration


class Difference(msgspec.Struct, frozen=True):
    """One place that differs, by its dotted path; null: nothing is there."""

    path: str
    before: str | None
    after: str | None


class VersionLine(msgspec.Struct, frozen=True):
    """One change: when, by whom, approved by whom, why, and what it changed."""

    number: int
    at: int
    actor: str | None
    approved_by: str | None
    reason: str | None
    removed: bool
    differences: list[Difference]


class Versions(msgspec.Struct, frozen=True):
    """The latest versions, the newest first."""

    items: list[VersionLine]


class VersionsAsked(Asked, frozen=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class ExportAsked(Asked, frozen=True):
    """Which portal; without one all that the token sees."""

    client_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class Portals(Area):
    """Reading portals."""

    tag = "portals"

    @operation("GET", "/portals", Act.SEE_PORTALS, PortalPage, query=PortalsAsked)
    def list_portals(self, call: Call) -> Answer:
        """Portals, a page at a time."""
        asked: PortalsAsked = call.query
        page = reading.listed(asked.q, asked.after, admin=call.admin, rows=asked.limit)
        lines = [
            PortalLine(href=href(line.client_id), **{name: getattr(line, name) for name in _OF_A_LINE})
            for line in page.lines
        ]
        return Answer(PortalPage(lines, page.after))

    @operation("GET", "/portals/{client_id}", Act.SEE_PORTALS, PortalShown)
    def show_portal(self, call: Call, client_id: str) -> Answer:
        """One portal, with its registration; the ETag is the number of its version."""
        return shown(find(client_id, call.admin))

    @operation("GET", "/portals/{client_id}/contract", Act.SEE_PORTALS, contract.Contract)
    def show_contract(self, call: Call, client_id: str) -> Answer:
        """What a portal may know of its holders: each claim with purpose, legal basis and retention."""
        return Answer(contract.contract(find(client_id, call.admin).registration))

    @operation("GET", "/portals/{client_id}/versions", Act.SEE_PORTALS, Versions, query=VersionsAsked)
    def list_versions(self, call: Call, client_id: str) -> Answer:
        """What became of a portal: its latest versions, the newest first."""
        found = find(client_id, call.admin)
        return Answer(
            Versions([_version(one) for one in reading.history(found.client_id, limit=call.query.limit)])
        )

    @operation(
        "GET", "/portals.toml", Act.SEE_PORTALS, None, media_type=TOML, query=ExportAsked, missing=True
    )
    def export_portals(self, call: Call) -> Answer:
        """Registrations as a file that `idp portals apply` and `POST /portals.toml` take; without secrets."""
        wanted: str | None = call.query.client_id
        mine = people.portals_of(call.admin)
        if wanted is not None:
            client_ids = [reading.find(wanted, admin=call.admin).client_id]
        else:
            client_ids = sorted(mine) if mine is not None else []
        nothing = not client_ids and call.admin.role is Role.MEMBER
        return Answer("" if nothing else portal_admin.export(client_ids))


_OF_A_LINE: Final = tuple(field for field in PortalLine.__struct_fields__ if field != "href")


def find(segment: str, admin: Administrator) -> Found:
    """The portal that a path names. Raises UnknownPortal, ApiError."""
    return reading.find(named(segment), admin=admin)


def shown(found: Found, status: int = 200) -> Answer:
    """A portal as an answer."""
    value = PortalShown(
        client_id=found.client_id,
        href=href(found.client_id),
        version=found.version,
        enabled=found.enabled,
        organisation=found.organisation,
        registered_itself=found.registered_itself,
        has_logo=found.has_logo,
        updated_at=found.updated_at,
        sector=found.registration.sector,
        secrets=[
            SecretLine(one.digest[:SECRET_ID_CHARS], one.created_at, one.last_used_at)
            for one in reading.secrets(found)
        ],
        registration=msgspec.structs.replace(found.registration, client_secret_sha256=()),
    )
    return Answer(value, status, etag=etag(found.version))


SECRET_ID_CHARS: Final = 12


def rows(found: list[differences.Difference]) -> list[Difference]:
    return [Difference(row.path, row.before, row.after) for row in found]


def _version(one: reading.Version) -> VersionLine:
    return VersionLine(
        number=one.number,
        at=one.at,
        actor=one.actor,
        approved_by=one.approved_by,
        reason=one.reason,
        removed=one.after is None,
        differences=rows(differences.differences(one.before, one.after)),
    )


# -- client_ids in paths -----------------------------------------------------------------------------------------


def href(client_id: str) -> str:
    """The path of a portal. One that cannot stand in a path as it is, is `~` and its base64url there."""
    plain = set(client_id) <= _PLAIN_SEGMENT and client_id[:1] != "~" and client_id.strip(".")
    segment = quote(client_id, safe="") if plain else f"~{b64(client_id.encode('utf-8', 'surrogatepass'))}"
    return f"{BASE}/portals/{segment}"


def named(segment: str) -> str:
    """The client_id that a path's segment stands for. Raises ApiError."""
    if not segment.startswith("~"):
        return segment
    try:
        return unb64(segment[1:]).decode("utf-8")
    except ValueError as error:
        raise ApiError("not_found") from error
