"""Portals: what is registered, changing it in four steps, what waits for a second person, secrets, and testers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote

from flask import Blueprint, Response, request

from idp import portals
from idp.admin import organisations, people, tokens
from idp.admin import portals as portal_admin
from idp.admin.organisations import OrganisationError
from idp.admin.people import Act, Administrator, Role
from idp.admin.portals import changes, contract, reading
from idp.admin.portals.changes import ChangeRefused, Decision, PortalChanges, Submitted
from idp.admin.portals.differences import differences
from idp.admin.portals.reading import Found
from idp.fetch import FetchError
from idp.oidc import portal_keys, registration
from idp.oidc.registration import RegistrationRefused
from idp.portals import redirects
from idp.portals.rules import Finding, uri_problem
from idp.portals.texts import text_problem
from idp.portals.versions import MAX_REASON_CHARS, Conflict, UnknownPortal
from idp.views.console import portal_words
from idp.views.console.desk import Desk, NotFound, field
from idp.views.messages import N_
from idp.views.settling import settle

PATH = "/console/portals"
_MAX_URI_CHARS = 4096
_DECISIONS: tuple[Decision, ...] = ("approve", "reject", "withdraw")
_NOTICES: dict[Decision, str] = {"approve": "approved", "reject": "rejected", "withdraw": "withdrawn_change"}

P = ParamSpec("P")


class PortalPages:
    """`/console/portals`. Which portal, is in the query (`id`): a client_id may be any visible ASCII."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.changes = PortalChanges(desk.house.settings, desk.clock)

    def add_to(self, door: Blueprint) -> None:
        see, change = Act.SEE_PORTALS, Act.CHANGE_PORTALS
        for path, act, view, methods in (
            ("", see, self.listed, ("GET",)),
            ("/portal", see, self.portal, ("GET",)),
            ("/contract", see, self.contract, ("GET",)),
            ("/version", see, self.version, ("GET",)),
            ("/export", see, self.export, ("GET",)),
            ("/redirect", see, self.try_redirect, ("GET",)),
            ("/keys", see, self.try_keys, ("POST",)),
            ("/rollback", change, self.rollback, ("POST",)),
            ("/secrets", change, self.add_secret, ("POST",)),
            ("/secrets/retire", change, self.retire_secret, ("POST",)),
            ("/logo", change, self.renew_logo, ("POST",)),
            ("/switch", Act.SWITCH_PORTALS, self.switch, ("POST",)),
            ("/transfer", Act.CHANGE_ORGANISATIONS, self.transfer, ("POST",)),
            ("/proposals/<proposal_id>", see, self.proposal, ("GET",)),
            ("/proposals/<proposal_id>", see, self.decide, ("POST",)),
        ):
            self._rule(door, path, act, view, methods)

    def _rule(
        self, door: Blueprint, path: str, act: Act, view: Callable[..., Response], methods: Sequence[str]
    ) -> None:
        name = f"portals_{view.__name__}"
        door.add_url_rule(f"/portals{path}", name, self.desk.guarded(act, named(view)), methods=list(methods))

    # -- seeing ----------------------------------------------------------------------------------------------

    def listed(self, admin: Administrator) -> Response:
        search, after = request.args.get("q", ""), request.args.get("after", "")
        return self.desk.page(
            "portals.html",
            called=self.desk.called(),
            listed=reading.listed(search, after, admin=admin),
            search=search[: reading.MAX_SEARCH_CHARS],
            after=after,
            waiting=reading.proposals(admin=admin),
            organisations={one.id: one for one, _ in organisations.listed(admin.organisation)},
            link=link,
        )

    def portal(self, admin: Administrator) -> Response:
        return self._portal(admin, self._found(admin))

    def _portal(self, admin: Administrator, found: Found, *, status: int = 200, **more: Any) -> Response:
        context = {"problems": [], "secret": None, "tried": None, "tried_uri": "", "keys": None, **more}
        return self.desk.page(
            "portal.html",
            called=self.desk.called(),
            status=status,
            portal=found,
            facts=self._facts(found),
            secrets=reading.secrets(found),
            versions=reading.history(found.client_id, limit=20),
            proposals=reading.proposals(admin=admin, client_id=found.client_id, limit=20),
            contract=contract.contract(found.registration),
            organisation=organisations.find(found.organisation),
            organisations=[("", "–"), *((one.id, one.id) for one, _ in organisations.listed())]
            if admin.may(Act.CHANGE_ORGANISATIONS)
            else [],
            two_people=self.changes.two_people,
            words=portal_words,
            max_secrets=changes.MAX_SECRETS,
            said=self.said,
            link=link,
            **context,
        )

    @staticmethod
    def _facts(found: Found) -> list[tuple[str, list[str]]]:
        """Everything that is registered, but for what the page shows elsewhere: member and values."""
        shown: dict[str, list[str]] = {}
        elsewhere = {"client_id", "name", "operator", "claims", "client_secret_sha256", "retention"}
        for row in differences(None, found.document):
            if row.member not in elsewhere:
                shown.setdefault(row.path, []).append(row.after or "")
        return list(shown.items())

    def contract(self, admin: Administrator) -> Response:
        found = self._found(admin)
        made = contract.contract(found.registration)
        return self.desk.page(
            "portal_contract.html", portal=found, contract=made, words=portal_words, link=link
        )

    def version(self, admin: Administrator) -> Response:
        found = self._found(admin)
        return self._version(admin, found, self._number())

    def _version(
        self, admin: Administrator, found: Found, number: int, *, status: int = 200, **more: Any
    ) -> Response:
        version = reading.version(found.client_id, number)
        can_return = version.after is not None and number != found.version and admin.may(Act.CHANGE_PORTALS)
        back = changes.as_it_was(found, number) if can_return else None
        return self.desk.page(
            "portal_version.html",
            called=self.desk.called(),
            status=status,
            portal=found,
            version=version,
            changed=differences(version.before, version.after),
            back=differences(found.document, portals.document(portals.typed(back))) if back else [],
            two_people=self.changes.two_people,
            link=link,
            **{"problems": [], "reason": "", **more},
        )

    def export(self, admin: Administrator) -> Response:
        """One portal, or all that this administrator sees, as a file that `idp portals apply` takes."""
        if "id" in request.args:
            client_ids = [self._found(admin).client_id]
        else:
            mine = people.portals_of(admin)
            client_ids = sorted(mine) if mine is not None else []
        nothing = not client_ids and admin.role is Role.MEMBER
        text = "" if nothing else portal_admin.export(client_ids)
        made = Response(text, mimetype="application/toml")
        made.headers["Content-Disposition"] = 'attachment; filename="portals.toml"'
        return made

    # -- testers ---------------------------------------------------------------------------------------------

    def try_redirect(self, admin: Administrator) -> Response:
        found = self._found(admin)
        uri = request.args.get("uri", "").strip()
        if len(uri) > _MAX_URI_CHARS:
            problem = Finding("uri", "%(what)s %(problem)s", {"what": "URI", "problem": N_("is too long")})
            return self._portal(admin, found, status=400, problems=[problem], tried_uri=uri[:200])
        return self._portal(admin, found, tried=redirects.tried(found.registration, uri), tried_uri=uri)

    def try_keys(self, admin: Administrator) -> Response:
        """What is at an address for keys now, fetched by the guarded client."""
        found = self._found(admin)
        uri = field("uri", 2048) or found.registration.jwks_uri or ""
        result: dict[str, Any] = {"uri": uri, "found": [], "problem": ""}
        if problem := uri_problem(uri):
            result["problem"] = self.desk.text(problem)
        else:
            try:
                fetched = self.desk.house.outside.get(uri, accept=portal_keys.ACCEPT)
                result["found"] = portal_keys.described(fetched.body)
            except FetchError as error:
                result["problem"] = error.reason
            except ValueError:
                result["problem"] = self.desk.text(N_("The answer is no JWK Set."))
        return self._portal(admin, found, keys=result)

    # -- one person, at once ---------------------------------------------------------------------------------

    def switch(self, admin: Administrator) -> Response:
        found = self._found(admin)
        enabled = field("to") == "on"
        self.changes.check_switch(admin, found.client_id, enabled=enabled)
        registration.switch(found.client_id, enabled=enabled, now=self.desk.clock())
        return self.desk.done(link("portal", found), "switched_on" if enabled else "switched_off")

    def retire_secret(self, admin: Administrator) -> Response:
        found = self._found(admin)
        try:
            self.changes.retire_secret(admin, found.client_id, field("digest"), reason=field("reason"))
        except ChangeRefused as refused:
            return self._portal(admin, found, status=400, problems=refused.findings)
        return self.desk.done(link("portal", found), "retired")

    def renew_logo(self, admin: Administrator) -> Response:
        found = self._found(admin)
        return self.desk.done(link("portal", found), self._logo(found.client_id) or "saved")

    def transfer(self, admin: Administrator) -> Response:
        found = self._found(admin)
        reason = field("reason", MAX_REASON_CHARS)
        if problem := text_problem(reason, MAX_REASON_CHARS):
            problems = [Finding("reason", "%(what)s %(problem)s", {"what": "reason", "problem": problem})]
            return self._portal(admin, found, status=400, problems=problems)
        try:
            organisations.transfer(found.client_id, field("to") or None, reason=reason, now=self.desk.clock())
        except OrganisationError as error:
            problems = [Finding("to", "%(text)s", {"text": str(error)})]
            return self._portal(admin, found, status=400, problems=problems)
        return self.desk.done(link("portal", found), "transferred")

    # -- what may take two -----------------------------------------------------------------------------------

    def add_secret(self, admin: Administrator) -> Response:
        found = self._found(admin)
        try:
            submitted = self.changes.add_secret(
                admin, found.client_id, base=found.version, reason=field("reason")
            )
        except ChangeRefused as refused:
            return self._portal(admin, found, status=400, problems=refused.findings)
        except Conflict:
            problems = [Finding("", "the portal was changed meanwhile: try again")]
            return self._portal(admin, self._found(admin), status=409, problems=problems)
        return self.after(submitted)

    def rollback(self, admin: Administrator) -> Response:
        found, wanted, reason = self._found(admin), self._number(), field("reason")
        try:
            submitted = self.changes.rollback(
                admin, found.client_id, wanted, base=number(field("base")), reason=reason
            )
        except ChangeRefused as refused:
            said = self.said(refused.findings)
            return self._version(admin, found, wanted, status=400, problems=said, reason=reason)
        except Conflict:
            said = [self.desk.text(N_("The portal was changed meanwhile. This is what it would change now."))]
            return self._version(admin, found, wanted, status=409, problems=said, reason=reason)
        return self.after(submitted)

    def after(self, submitted: Submitted) -> Response:
        """What comes after a change: the secret, once; or where what was changed, or waits, can be seen."""
        notice = self._settle(submitted.client_id) if submitted.proposal is None else "proposed"
        if submitted.secret is not None:
            return self.desk.page("portal_secret.html", submitted=submitted, link=link)
        if submitted.proposal is not None:
            return self.desk.done(f"{PATH}/proposals/{submitted.proposal}", notice)
        return self.desk.done(f"{PATH}/portal?id={quote(submitted.client_id, safe='')}", notice)

    def _settle(self, client_id: str) -> str:
        """See to what a changed registration needs. Which notice says so."""
        return "saved" if settle(self.desk.house, client_id) else "no_logo"

    def _logo(self, client_id: str) -> str | None:
        """Fetch the logo; which notice says that it could not be."""
        try:
            self.desk.house.registrations.renew_logo(client_id)
        except RegistrationRefused:
            return "no_logo"
        return None

    def proposal(self, admin: Administrator, proposal_id: str) -> Response:
        return self._proposal(admin, reading.proposal(proposal_id, admin=admin))

    def _proposal(
        self, admin: Administrator, proposal: reading.Proposal, *, status: int = 200, **more: Any
    ) -> Response:
        current = self._current(admin, proposal.client_id)
        mine = tokens.behind(proposal.proposed_by) == admin.actor
        return self.desk.page(
            "portal_proposal.html",
            called=self.desk.called(),
            status=status,
            proposal=proposal,
            portal=current,
            changed=differences(current.document if current is not None else None, proposal.after),
            may_withdraw=mine and proposal.state == "waiting",
            may_decide=not mine and proposal.state == "waiting" and admin.may(Act.APPROVE_PORTALS),
            words=portal_words,
            link=link,
            **{"problems": [], "reason": "", **more},
        )

    def _current(self, admin: Administrator, client_id: str) -> Found | None:
        try:
            return reading.find(client_id, admin=admin)
        except UnknownPortal:
            return None

    def decide(self, admin: Administrator, proposal_id: str) -> Response:
        proposal = reading.proposal(proposal_id, admin=admin)
        decision = next((one for one in _DECISIONS if one == field("decision")), None)
        if decision is None:
            raise NotFound
        reason = field("reason")
        try:
            self.changes.decide(admin, proposal_id, decision, reason=reason)
        except ChangeRefused as refused:
            problems = self.said(refused.findings)
            return self._proposal(admin, proposal, status=400, problems=problems, reason=reason)
        except Conflict:
            now = reading.proposal(proposal_id, admin=admin)
            problems = [self.desk.text(N_("It was decided, or the portal was changed, meanwhile."))]
            return self._proposal(admin, now, status=409, problems=problems, reason=reason)
        if decision == "approve":
            self._settle(proposal.client_id)
        return self.desk.done(f"{PATH}/proposals/{proposal_id}", _NOTICES[decision])

    # -- steps -----------------------------------------------------------------------------------------------

    def said(self, problems: Sequence[Finding]) -> list[str]:
        """Problems in the language of the page."""
        return [self.desk.finding(problem) for problem in problems]

    @staticmethod
    def _found(admin: Administrator) -> Found:
        return reading.find(request.args.get("id", ""), admin=admin)

    @staticmethod
    def _number() -> int:
        return number(request.args.get("version", ""))


def named(
    view: Callable[Concatenate[Administrator, P], Response],
) -> Callable[Concatenate[Administrator, P], Response]:
    """The view; a portal that is not there, or not this administrator's to see, is a page that says nothing more."""

    @wraps(view)
    def answer(admin: Administrator, /, *args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return view(admin, *args, **kwargs)
        except UnknownPortal as error:
            raise NotFound from error

    return answer


def link(page: str, portal: Found | str, **more: str | int) -> str:
    """The address of a page about a portal."""
    client_id = portal if isinstance(portal, str) else portal.client_id
    query = "".join(f"&{name}={quote(str(value), safe='')}" for name, value in more.items())
    return f"{PATH}/{page}?id={quote(client_id, safe='')}{query}"


def number(text: str) -> int:
    """A version's number; -1 is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1
