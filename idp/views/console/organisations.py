"""Organisations: their names, and whom holders may ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from flask import Blueprint, Response

from idp.admin import organisations
from idp.admin.organisations import Organisation, OrganisationError
from idp.admin.people import Act, Administrator
from idp.portals.rules import Finding
from idp.views.console.desk import Desk, NotFound, field
from idp.views.messages import N_

PATH = "/console/organisations"
_THERE = N_("There is an organisation of this name already.")
_FIELDS = ("id", "name.ko", "name.en", "contact.email", "contact.phone", "contact.url")


class OrganisationPages:
    """`/console/organisations`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        see, change = Act.SEE_ORGANISATIONS, Act.CHANGE_ORGANISATIONS
        rule("/organisations", "organisations", guarded(see, self.listed))
        rule("/organisations/new", "new_organisation", guarded(change, self.new))
        rule("/organisations/new", "add_organisation", guarded(change, self.add), methods=["POST"])
        rule("/organisations/<organisation_id>", "organisation", guarded(see, self.one))
        rule(
            "/organisations/<organisation_id>",
            "save_organisation",
            guarded(change, self.save),
            methods=["POST"],
        )

    def listed(self, admin: Administrator) -> Response:
        return self.desk.page("organisations.html", listed=organisations.listed(admin.organisation))

    def new(self, admin: Administrator) -> Response:
        return self._form(None, dict.fromkeys(_FIELDS, ""))

    def add(self, admin: Administrator) -> Response:
        given = {name: field(name, 2048) for name in _FIELDS}
        if organisations.find(given["id"]) is not None:
            return self._form(None, given, [Finding("id", _THERE)])
        return self._apply(None, given)

    def one(self, admin: Administrator, organisation_id: str) -> Response:
        found = self._known(admin, organisation_id)
        return self._form(found, _flat(found))

    def save(self, admin: Administrator, organisation_id: str) -> Response:
        found = self._known(admin, organisation_id)
        return self._apply(found, {**{name: field(name, 2048) for name in _FIELDS}, "id": found.id})

    def _apply(self, found: Organisation | None, given: dict[str, str]) -> Response:
        contact = {part: given[f"contact.{part}"] or None for part in ("email", "phone", "url")}
        document: dict[str, Any] = {
            "id": given["id"],
            "name": {lang: given[f"name.{lang}"] for lang in ("ko", "en")},
            "contact": contact,
        }
        try:
            organisations.apply({"organisation": [document]}, now=self.desk.clock())
        except OrganisationError as error:
            return self._form(found, given, error.findings)
        return self.desk.done(PATH, "saved")

    def _known(self, admin: Administrator, organisation_id: str) -> Organisation:
        found = organisations.find(organisation_id)
        if found is None or not admin.sees_portals_of(found.id):
            raise NotFound
        return found

    def _form(
        self, found: Organisation | None, given: dict[str, str], problems: Sequence[Finding] = ()
    ) -> Response:
        return self.desk.page(
            "organisation.html",
            status=400 if problems else 200,
            organisation=found,
            given=given,
            problems={problem.field: self.desk.finding(problem) for problem in reversed(problems)},
        )


def _flat(found: Organisation) -> dict[str, str]:
    """A form's fields, by their dotted names."""
    document: dict[str, Any] = msgspec.to_builtins(found)
    flat = {"id": found.id}
    for name in _FIELDS[1:]:
        table, _, member = name.partition(".")
        flat[name] = document.get(table, {}).get(member) or ""
    return flat
