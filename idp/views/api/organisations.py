"""Organisations, their members, and inviting these."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from idp.admin import organisations, people
from idp.admin.organisations import Contact, Organisation
from idp.admin.people import Act, Administrator, Forbidden, InvitationError, Role, UnknownAdministrator
from idp.views.api.operations import BASE, Answer, Area, Call, etag, operation
from idp.views.api.portals import Asked
from idp.views.problems import ApiError, Wrong


class OrganisationShown(msgspec.Struct, frozen=True):
    """An organisation: its names in Korean and English, and whom holders may ask."""

    id: str
    href: str
    name: dict[str, str]
    contact: Contact


class OrganisationLine(msgspec.Struct, frozen=True):
    """An organisation in a list."""

    id: str
    href: str
    name: dict[str, str]
    n_portals: int


class Organisations(msgspec.Struct, frozen=True):
    """In the order of their ids."""

    items: list[OrganisationLine]


class NewOrganisation(Asked, frozen=True):
    """An organisation to add. `name` has `ko` and `en`."""

    id: Annotated[str, Meta(max_length=63)]
    name: dict[str, str]
    contact: Contact = Contact()


class NewNames(Asked, frozen=True):
    """What an organisation is to be called, and whom holders may ask."""

    name: dict[str, str]
    contact: Contact = Contact()


class Member(msgspec.Struct, frozen=True):
    """Somebody who belongs to an organisation, by the label."""

    id: str
    label: str
    created_at: int
    created_by: str | None
    disabled_at: int | None
    last_seen_at: int | None


class Members(msgspec.Struct, frozen=True):
    """Who is enabled comes first."""

    items: list[Member]


class InvitationShown(msgspec.Struct, frozen=True):
    """An invitation that is open. `id` names it; the link was shown to whoever made it."""

    id: str
    label: str
    created_at: int
    created_by: str | None
    expires_at: int


class Invitations(msgspec.Struct, frozen=True):
    """The newest first."""

    items: list[InvitationShown]


class Invite(Asked, frozen=True):
    """Whom to invite: by what they are to be known, and for how many hours the link is good."""

    label: Annotated[str, Meta(min_length=1, max_length=people.MAX_LABEL_CHARS)]
    hours: Annotated[int, Meta(ge=1, le=168)] = 24


class Invited(msgspec.Struct, frozen=True):
    """The link, shown this once: whoever opens it and shows a certificate is a member."""

    link: str
    expires_at: int


class OrganisationArea(Area):
    """Organisations."""

    tag = "organisations"

    @operation("GET", "/organisations", Act.SEE_ORGANISATIONS, Organisations)
    def list_organisations(self, call: Call) -> Answer:
        """Organisations; a member's own only."""
        found = organisations.listed(call.admin.organisation)
        return Answer(
            Organisations([OrganisationLine(one.id, _href(one.id), one.name, n) for one, n in found])
        )

    @operation(
        "POST",
        "/organisations",
        Act.CHANGE_ORGANISATIONS,
        OrganisationShown,
        body=NewOrganisation,
        conflicts=True,
        statuses=(201,),
    )
    def create_organisation(self, call: Call) -> Answer:
        """Add an organisation."""
        self._apply(msgspec.to_builtins(call.body), was=None)
        return _shown(_known(call.admin, call.body.id), 201)

    @operation("GET", "/organisations/{organisation_id}", Act.SEE_ORGANISATIONS, OrganisationShown)
    def show_organisation(self, call: Call, organisation_id: str) -> Answer:
        """One organisation."""
        return _shown(_known(call.admin, organisation_id))

    @operation(
        "PUT",
        "/organisations/{organisation_id}",
        Act.CHANGE_ORGANISATIONS,
        OrganisationShown,
        body=NewNames,
        matches=True,
    )
    def replace_organisation(self, call: Call, organisation_id: str) -> Answer:
        """Give an organisation other names or another contact."""
        found = _known(call.admin, organisation_id)
        call.is_of(_etag(found))
        self._apply({"id": found.id, **msgspec.to_builtins(call.body)}, was=found)
        return _shown(_known(call.admin, found.id))

    def _apply(self, document: dict[str, Any], *, was: Organisation | None) -> None:
        try:
            organisations.apply({"organisation": [document]}, now=self.clock(), was={document["id"]: was})
        except organisations.Changed as error:
            raise ApiError("conflict" if was is None else "outdated") from error

    # -- members ---------------------------------------------------------------------------------------------

    @operation("GET", "/organisations/{organisation_id}/members", Act.SEE_PEOPLE, Members)
    def list_members(self, call: Call, organisation_id: str) -> Answer:
        """Who belongs to an organisation."""
        found = _known(call.admin, organisation_id)
        return Answer(Members([_member(one) for one in people.listed(organisation=found.id)]))

    @operation(
        "POST", "/organisations/{organisation_id}/members/{member_id}/disable", Act.INVITE_MEMBERS, Member
    )
    def disable_member(self, call: Call, organisation_id: str, member_id: str) -> Answer:
        """Shut a member out at once; to let them in again they are invited anew."""
        organisation = _known(call.admin, organisation_id)
        found = people.find(member_id)
        if found.organisation != organisation.id:
            raise UnknownAdministrator
        people.disable(found.id, now=self.clock())
        return Answer(_member(people.find(found.id)))

    @operation("GET", "/organisations/{organisation_id}/invitations", Act.SEE_PEOPLE, Invitations)
    def list_invitations(self, call: Call, organisation_id: str) -> Answer:
        """Invitations that are open."""
        found = _known(call.admin, organisation_id)
        listed = people.invitations(organisation=found.id, now=self.clock())
        return Answer(Invitations([_invitation(one) for one in listed]))

    @operation(
        "POST",
        "/organisations/{organisation_id}/invitations",
        Act.INVITE_MEMBERS,
        Invited,
        body=Invite,
        conflicts=True,
        statuses=(201,),
    )
    def invite_member(self, call: Call, organisation_id: str) -> Answer:
        """Invite somebody to be a member. Other roles are invited in the console, or at the command line."""
        found = _known(call.admin, organisation_id)
        if not call.admin.may_invite(Role.MEMBER, found.id):
            raise Forbidden
        if not self.house.settings.console.enabled:
            raise ApiError("conflict", [Wrong("", "there is no console to be invited to")])
        now, ttl_s = self.clock(), call.body.hours * 3600
        try:
            token = people.invite(
                label=call.body.label, role=Role.MEMBER, organisation=found.id, ttl_s=ttl_s, now=now
            )
        except InvitationError as error:
            raise ApiError("invalid", [Wrong("label", str(error))]) from error
        link = f"{self.house.settings.issuer}/console/invitation/{token}"
        return Answer(Invited(link, now + ttl_s), 201)

    @operation(
        "POST",
        "/organisations/{organisation_id}/invitations/{invitation_id}/withdraw",
        Act.INVITE_MEMBERS,
        Invitations,
    )
    def withdraw_invitation(self, call: Call, organisation_id: str, invitation_id: str) -> Answer:
        """Make an open invitation worthless; those that are left."""
        found = _known(call.admin, organisation_id)
        invited = people.open_invitation(invitation_id[:64], now=self.clock())
        if invited.organisation != found.id:
            raise UnknownAdministrator
        people.withdraw(invited.digest, now=self.clock())
        return self.list_invitations(call, organisation_id)


def _known(admin: Administrator, organisation_id: str) -> Organisation:
    found = organisations.find(organisation_id)
    if found is None or not admin.sees_portals_of(found.id):
        raise ApiError("not_found")
    return found


def _href(organisation_id: str) -> str:
    return f"{BASE}/organisations/{organisation_id}"


def _etag(found: Organisation) -> str:
    return etag(hashlib.sha256(msgspec.json.encode(found, order="deterministic")).hexdigest()[:16])


def _shown(found: Organisation, status: int = 200) -> Answer:
    value = OrganisationShown(found.id, _href(found.id), found.name, found.contact)
    location = value.href if status == 201 else None
    return Answer(value, status, etag=_etag(found), location=location)


def _member(one: Administrator) -> Member:
    return Member(one.id, one.label, one.created_at, one.created_by, one.disabled_at, one.last_seen_at)


def _invitation(one: people.Invitation) -> InvitationShown:
    return InvitationShown(one.digest, one.label, one.created_at, one.created_by, one.expires_at)
