"""Registering and changing a portal, in four steps: who it is, how it connects, what it may know, and a review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, request

from idp import claims, portals
from idp.admin import organisations
from idp.admin.people import Act, Administrator, Role
from idp.admin.portals import reading
from idp.admin.portals.changes import Change, ChangeRefused
from idp.admin.portals.differences import Difference, differences
from idp.admin.portals.reading import Found
from idp.portals import RegistrationError
from idp.portals.rules import Finding
from idp.portals.versions import Conflict, UnknownPortal
from idp.views.console import portal_form, portal_words
from idp.views.console.desk import Desk, field
from idp.views.console.portals import PATH, PortalPages, link, named, number


class PortalForms:
    """`/console/portals/new` and `/console/portals/change`: the four steps."""

    def __init__(self, desk: Desk, pages: PortalPages) -> None:
        self.desk = desk
        self.pages = pages
        self.changes = pages.changes

    def add_to(self, door: Blueprint) -> None:
        for path, view in (("new", self.new), ("change", self.change)):
            guarded = self.desk.guarded(Act.CHANGE_PORTALS, named(view))
            door.add_url_rule(f"/portals/{path}", f"portals_{path}", guarded, methods=["GET", "POST"])

    def new(self, admin: Administrator) -> Response:
        if request.method == "GET":
            fields = portal_form.as_fields(portal_form.NEW)
            return self._step(admin, None, fields | {"base": ["0"]}, "who")
        return self._sent(admin, None)

    def change(self, admin: Administrator) -> Response:
        found = self._found(admin)
        if request.method == "GET":
            fields = portal_form.as_fields(found.document)
            step = request.args.get("step", "who")
            known = step if step in portal_form.STEPS else "who"
            return self._step(admin, found, fields | {"base": [str(found.version)]}, known)
        return self._sent(admin, found)

    @staticmethod
    def _found(admin: Administrator) -> Found:
        return reading.find(request.args.get("id", ""), admin=admin)

    # -- what was sent ---------------------------------------------------------------------------------------

    def _sent(self, admin: Administrator, found: Found | None) -> Response:
        fields = {name: values for name, values in request.form.lists() if name not in {"csrf", "go"}}
        at = portal_form.one(fields, "step")
        at = at if at in portal_form.STEPS else "who"
        go = field("go")
        if go == "save":
            return self._save(admin, found, fields)
        to = go if go in portal_form.STEPS else "review"
        forward = portal_form.STEPS.index(to) > portal_form.STEPS.index(at)
        here = [
            problem for problem in self._problems(admin, found, fields) if portal_form.step_of(problem) == at
        ]
        if forward and here:
            return self._step(admin, found, fields, at, status=400, problems=here)
        return self._step(admin, found, fields, to)

    def _change(self, found: Found | None, fields: portal_form.Fields) -> tuple[Change, list[Finding]]:
        document, problems = portal_form.as_document(fields, found.document if found is not None else None)
        change = Change(
            document,
            portal_form.one(fields, "reason"),
            number(portal_form.one(fields, "base")),
            portal_form.one(fields, "organisation") or None,
        )
        return change, problems

    def _problems(
        self, admin: Administrator, found: Found | None, fields: portal_form.Fields
    ) -> list[Finding]:
        change, problems = self._change(found, fields)
        taken = found is None and self._is_taken(change.client_id)
        there = [Finding("client_id", "there is a portal of this name already")] if taken else []
        return [*problems, *there, *self.changes.check(admin, change)]

    @staticmethod
    def _is_taken(client_id: str) -> bool:
        try:
            reading.find(client_id, admin=None)
        except UnknownPortal:
            return False
        return True

    def _save(self, admin: Administrator, found: Found | None, fields: portal_form.Fields) -> Response:
        if problems := self._problems(admin, found, fields):
            return self._step(admin, found, fields, "review", status=400, problems=problems)
        change, _ = self._change(found, fields)
        if found is None:  # of a name that was used before, the numbers go on
            latest = reading.history(change.client_id, limit=1)
            base = latest[0].number if latest and latest[0].after is None else change.base
            change = Change(change.document, change.reason, base, change.organisation)
        try:
            submitted = self.changes.submit(admin, change)
        except ChangeRefused as refused:
            return self._step(admin, found, fields, "review", status=400, problems=refused.findings)
        except Conflict:
            return self._conflict(admin, found, fields, change)
        return self.pages.after(submitted)

    def _conflict(
        self, admin: Administrator, found: Found | None, fields: portal_form.Fields, change: Change
    ) -> Response:
        """Somebody else was quicker: what they changed, and what saving would change now. Nothing typed is lost."""
        if found is None:
            problems = [Finding("client_id", "there is a portal of this name already")]
            return self._step(admin, found, fields, "review", status=409, problems=problems)
        try:
            base = reading.version(found.client_id, change.base).after
        except UnknownPortal:
            base = None
        theirs = differences(base, found.document) if base is not None else []
        newest = fields | {"base": [str(found.version)]}
        return self._step(admin, found, newest, "review", status=409, theirs=theirs, conflict=True)

    # -- the page --------------------------------------------------------------------------------------------

    def _step(
        self,
        admin: Administrator,
        found: Found | None,
        fields: portal_form.Fields,
        step: str,
        *,
        status: int = 200,
        problems: Sequence[Finding] | None = None,
        **more: Any,
    ) -> Response:
        reviewing = step == "review"
        said = self._problems(admin, found, fields) if problems is None and reviewing else problems or []
        mine = set(portal_form.fields_of(step))
        hidden = [
            (name, value)
            for name, values in fields.items()
            if name not in mine | {"step"}
            for value in values
        ]
        change, _ = self._change(found, fields)
        return self.desk.page(
            "portal_form.html",
            status=status,
            portal=found,
            action=link("change", found) if found is not None else f"{PATH}/new",
            step=step,
            steps=portal_form.STEPS,
            hidden=hidden,
            given=_Given(fields),
            problems=[(portal_form.step_of(problem), self.desk.finding(problem)) for problem in said],
            beside=self._beside(said),
            changed=self._differences(found, change) if reviewing else [],
            words=portal_words,
            choices=self.desk.choices,
            claims=claims.CLAIMS,
            scopes=claims.SCOPES,
            grants=portal_form.OFFERED_GRANTS,
            types=self._types(found),
            organisations=self._organisations(admin) if found is None else [],
            two_people=self.changes.two_people,
            link=link,
            **{"theirs": [], "conflict": False, **more},
        )

    def _beside(self, problems: Sequence[Finding]) -> dict[str, str]:
        """What is said beside a field: the first problem of each."""
        found: dict[str, str] = {}
        for problem in problems:
            name = "move_until" if problem.field.startswith("previous_sector") else problem.field
            found.setdefault(name, self.desk.finding(problem))
        return found

    @staticmethod
    def _differences(found: Found | None, change: Change) -> list[Difference]:
        before = found.document if found is not None else None
        try:
            after = portals.document(portals.typed(change.document))
        except RegistrationError:
            after = dict(change.document)
        return differences(before, after)

    def _types(self, found: Found | None) -> list[tuple[str, str]]:
        """The credential types there are, and those that the portal names though they are gone."""
        lang = self.desk.frame.lang()
        types = {one.id: one.name[lang] for one in self.desk.house.trust.snapshot().types.values()}
        gone = found.registration.credential_types if found is not None else ()
        return list(({name: name for name in gone} | types).items())

    @staticmethod
    def _organisations(admin: Administrator) -> list[tuple[str, str]]:
        if admin.role is Role.MEMBER:
            return []
        return [("", "–"), *((one.id, f"{one.name['ko']} ({one.id})") for one, _ in organisations.listed())]


class _Given:
    """What was typed, for the templates."""

    def __init__(self, fields: portal_form.Fields) -> None:
        self._fields = fields

    def __call__(self, name: str) -> str:
        return next(iter(self._fields.get(name, ())), "")

    def has(self, name: str, value: str) -> bool:
        return value in self._fields.get(name, ())
