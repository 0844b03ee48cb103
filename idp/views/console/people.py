"""Administrators: who they are, inviting them, shutting them out."""

from __future__ import annotations

from flask import Blueprint, Response

from idp.admin import organisations, people
from idp.admin.people import Act, Administrator, Forbidden, InvitationError, Role
from idp.views.console.desk import Desk, NotFound, field
from idp.views.messages import N_

PATH = "/console/people"
_HOURS = ("24", "72", "168")
_PROBLEMS = {
    "label": N_("Say by what this person is to be known: 1 to 64 visible characters."),
    "member": N_("A member belongs to an organisation, and nobody else does."),
}


class PeoplePages:
    """`/console/people`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/people", "people", guarded(Act.SEE_PEOPLE, self.listed))
        rule("/people/invite", "invite", guarded(Act.INVITE_MEMBERS, self.invite), methods=["POST"])
        rule(
            "/people/<admin_id>/disable",
            "disable",
            guarded(Act.INVITE_MEMBERS, self.disable),
            methods=["POST"],
        )
        rule(
            "/people/invitations/<digest>/withdraw",
            "withdraw",
            guarded(Act.INVITE_MEMBERS, self.withdraw),
            methods=["POST"],
        )

    def listed(self, admin: Administrator) -> Response:
        return self._page(admin, {"label": "", "role": Role.MEMBER.value, "organisation": "", "hours": "24"})

    def invite(self, admin: Administrator) -> Response:
        given = {name: field(name) for name in ("label", "role", "organisation", "hours")}
        role = next((role for role in Role if role.value == given["role"]), None)
        organisation = given["organisation"] or None
        if role is None or given["hours"] not in _HOURS or not admin.may_invite(role, organisation):
            raise Forbidden
        if (role is Role.MEMBER) != (organisation is not None):
            return self._page(admin, given, problems=(_PROBLEMS["member"],))
        try:
            token = people.invite(
                label=given["label"],
                role=role,
                organisation=organisation,
                ttl_s=int(given["hours"]) * 3600,
                now=self.desk.clock(),
            )
        except InvitationError:
            return self._page(admin, given, problems=(_PROBLEMS["label"],))
        # Not a redirect: the link is shown once, and stands in no address.
        link = f"{self.desk.frame.settings.issuer}/console/invitation/{token}"
        return self._page(admin, {**given, "label": ""}, link=link)

    def disable(self, admin: Administrator, admin_id: str) -> Response:
        found = self._known(admin, admin_id)
        if found.id == admin.id or not admin.may_invite(found.role, found.organisation):
            raise Forbidden
        people.disable(found.id, now=self.desk.clock())
        return self.desk.done(PATH, "disabled")

    def withdraw(self, admin: Administrator, digest: str) -> Response:
        now = self.desk.clock()
        try:
            invited = people.open_invitation(digest[:64], now=now)
            if not admin.may_invite(invited.role, invited.organisation):
                raise Forbidden
            people.withdraw(invited.digest, now=now)
        except InvitationError as error:
            raise NotFound from error
        return self.desk.done(PATH, "withdrawn")

    def _known(self, admin: Administrator, admin_id: str) -> Administrator:
        try:
            found = people.find(admin_id)
        except people.UnknownAdministrator as error:
            raise NotFound from error
        if admin.role is Role.MEMBER and found.organisation != admin.organisation:
            raise NotFound
        return found

    def _page(
        self,
        admin: Administrator,
        given: dict[str, str],
        *,
        problems: tuple[str, ...] = (),
        link: str | None = None,
    ) -> Response:
        lang = self.desk.frame.lang()
        known = organisations.listed(admin.organisation)
        offered = [("", "–")] if admin.role is not Role.MEMBER else []
        return self.desk.page(
            "people.html",
            status=400 if problems else 200,
            people=people.listed(organisation=admin.organisation),
            invitations=people.invitations(organisation=admin.organisation, now=self.desk.clock()),
            roles=self.desk.role_choices(
                [role for role in Role if admin.may_invite(role, admin.organisation or "?")]
            ),
            organisations=offered + [(one.id, one.name[lang]) for one, _ in known],
            hours=self.desk.choices({"24": N_("one day"), "72": N_("three days"), "168": N_("a week")}),
            given=given,
            problems=self.desk.said(problems),
            link=link,
        )
