"""What an administrator does to a portal: change it, let a second person decide, take it back, switch it off.

Where `console.approvals` is set, in production, a change takes two people: one proposes it, another who may approves
it. Elsewhere, and at the command line, which is the way in when nobody else is left, it is made at once. What takes
power away takes one person: switching off, retiring a secret. What gives it back takes somebody who may approve.

A change is made on a version. On another one it is refused with Conflict, and whoever made it is shown both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import msgspec
from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from idp import portals, seal
from idp.admin import tokens
from idp.admin.people import Act, Administrator, Forbidden, Role
from idp.admin.portals import reading
from idp.admin.portals.differences import Difference, differences
from idp.admin.portals.reading import Found
from idp.clock import Clock
from idp.events import Event, record
from idp.models import Organisation, PortalProposal, db, writing
from idp.portals import Registration, RegistrationError, versions
from idp.portals.rules import Finding, findings, is_ours, sector_problem
from idp.portals.texts import text_problem
from idp.portals.versions import MAX_REASON_CHARS, Conflict, UnknownPortal
from idp.settings import Settings

Decision = Literal["approve", "reject", "withdraw"]
MAX_SECRETS: Final = 2
_STATES: Final[Mapping[Decision, str]] = {
    "approve": "approved",
    "reject": "rejected",
    "withdraw": "withdrawn",
}
_SECTOR = (
    "sector_identifier",
    "sector_identifier_uri",
    "previous_sector_identifier",
    "previous_sector_until",
)


class ChangeRefused(RegistrationError):
    """A change that cannot be made; `findings` says what is wrong with which member."""

    def __init__(self, found: list[Finding]) -> None:
        super().__init__([problem.text for problem in found])
        self.findings = found


@dataclass(frozen=True)
class Change:
    """What somebody wants a portal's registration to be.

    `base` is the version that it was made on; 0, or the last one of a portal that was removed, for a new one.
    `organisation` counts for a new portal only.
    """

    document: Mapping[str, Any]
    reason: str
    base: int
    organisation: str | None = None

    @property
    def client_id(self) -> str:
        return str(self.document.get("client_id", ""))


@dataclass(frozen=True)
class Submitted:
    """What became of a change: the portal has it, or it waits as a proposal. `secret` is shown once, here."""

    client_id: str
    proposal: str | None = None
    secret: str | None = None


class PortalChanges:
    """Changes portals for administrators."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def two_people(self) -> bool:
        """Whether a change takes a second person here."""
        return self._settings.console.approvals and self._settings.mode == "production"

    # -- changing --------------------------------------------------------------------------------------------

    def check(self, admin: Administrator, change: Change) -> list[Finding]:
        """Everything that is wrong with a change, in the order of the members; nothing is written."""
        return self._read(admin, _with_secret(change)[0])[1]

    def preview(self, admin: Administrator, change: Change) -> list[Difference]:
        """What a change would change, but for a secret that would be made. Raises as `submit`; nothing is written."""
        change, secret = _with_secret(change)
        registration, _ = self._checked(db.session(), admin, change)
        row = versions.row(db.session(), change.client_id)
        rows = differences(row.registration if row is not None else None, portals.document(registration))
        return [one for one in rows if secret is None or one.member != "client_secret_sha256"]

    def submit(self, admin: Administrator, change: Change) -> Submitted:
        """Make a change, or propose it. A portal that is to use client secrets and has none gets one.

        Raises Forbidden, UnknownPortal, Conflict, ChangeRefused; then nothing is written.
        """
        change, secret = _with_secret(change)
        submitted = self._submit(admin, change)
        return Submitted(submitted.client_id, submitted.proposal, secret)

    def rollback(
        self, admin: Administrator, client_id: str, number: int, *, base: int, reason: str
    ) -> Submitted:
        """Make a portal again what it was at a version, but for its secrets and its sector.

        A secret that was retired stays so, and the names by which holders are known stay theirs.
        Raises as `submit`; UnknownPortal too where that version took the portal out.
        """
        found = reading.find(client_id, admin=admin)
        return self.submit(admin, Change(as_it_was(found, number), reason, base))

    def _submit(self, admin: Administrator, change: Change, event: Event = Event.PORTAL_APPLIED) -> Submitted:
        now = self._clock()
        with writing() as session:
            # Under a lock first, so that the version which is compared is the one that is changed.
            versions.row(session, change.client_id, lock=True)
            registration, organisation = self._checked(session, admin, change)
            if self.two_people:
                return self._propose(session, admin, change, registration, organisation=organisation)
            versions.write(
                session,
                registration,
                now=now,
                reason=change.reason,
                organisation=organisation,
                base=change.base,
            )
            record(session, event, at=now, client_id=change.client_id)
        return Submitted(change.client_id)

    def _checked(
        self, session: Session, admin: Administrator, change: Change
    ) -> tuple[Registration, str | None]:
        """The registration that a change asks for, and whose portal it is. Raises as `submit`."""
        if not admin.may(Act.CHANGE_PORTALS):
            raise Forbidden
        row = versions.row(session, change.client_id)
        if row is not None and not admin.sees_portals_of(row.organisation_id):
            raise UnknownPortal
        if versions.current(session, change.client_id) != change.base:
            raise Conflict
        registration, found = self._read(admin, change)
        problems = _reason_problems(change.reason)
        if registration is None or found or problems:
            raise ChangeRefused([*found, *problems])
        return registration, row.organisation_id if row is not None else self._organisation(admin, change)

    def _propose(
        self,
        session: Session,
        admin: Administrator,
        change: Change,
        registration: Registration,
        *,
        organisation: str | None,
    ) -> Submitted:
        now = self._clock()
        made = PortalProposal(
            id=seal.random_token(16),
            client_id=change.client_id,
            organisation_id=organisation,
            version=change.base,
            after=portals.document(registration),
            proposed_by=admin.actor,
            reason=change.reason,
            at=now,
            state="waiting",
        )
        session.add(made)
        record(
            session, Event.PORTAL_PROPOSED, at=now, client_id=change.client_id, detail={"proposal": made.id}
        )
        return Submitted(change.client_id, made.id)

    @staticmethod
    def _organisation(admin: Administrator, change: Change) -> str | None:
        """Whose a new portal is: a member's is always the own organisation's."""
        if admin.role is Role.MEMBER:
            return admin.organisation
        if change.organisation and db.session.get(Organisation, change.organisation) is None:
            raise ChangeRefused([Finding("organisation", "there is no such organisation")])
        return change.organisation or None

    # -- a second person -------------------------------------------------------------------------------------

    def decide(self, admin: Administrator, proposal_id: str, decision: Decision, *, reason: str) -> None:
        """Approve or reject a change, as somebody else than who proposed it; or withdraw one's own.

        Raises Forbidden, UnknownPortal; Conflict when it was decided or the portal was changed meanwhile: then it is
        kept as outdated, to be read; ChangeRefused when the rules no longer take it.
        """
        proposal = reading.proposal(proposal_id, admin=admin)
        mine = tokens.behind(proposal.proposed_by) == tokens.behind(admin.actor)
        allowed = mine if decision == "withdraw" else not mine and admin.may(Act.APPROVE_PORTALS)
        if not allowed:
            raise Forbidden
        if decision == "reject" and (problems := _reason_problems(reason)):
            raise ChangeRefused(problems)
        if text_problem(reason or "-", MAX_REASON_CHARS):
            raise ChangeRefused(_reason_problems(reason))
        now = self._clock()
        with writing() as session:
            versions.row(session, proposal.client_id, lock=True)
            self._close(session, proposal_id, decision, admin=admin, reason=reason, now=now)
            detail = {"proposal": proposal_id, "decision": decision}
            record(session, Event.PORTAL_DECIDED, at=now, client_id=proposal.client_id, detail=detail)
            if decision == "approve":
                self._carry_out(session, admin, proposal, now)

    @staticmethod
    def _close(
        session: Session,
        proposal_id: str,
        decision: Decision,
        *,
        admin: Administrator,
        reason: str,
        now: int,
    ) -> None:
        """Of two who decide at once the first one has it."""
        closed = session.execute(
            update(PortalProposal)
            .where(PortalProposal.id == proposal_id, PortalProposal.state == "waiting")
            .values(state=_STATES[decision], decided_by=admin.actor, decided_at=now, decision=reason or None)
            .execution_options(synchronize_session=False)
        )
        if cast("CursorResult[tuple[()]]", closed).rowcount != 1:
            raise Conflict

    def _carry_out(
        self, session: Session, admin: Administrator, proposal: reading.Proposal, now: int
    ) -> None:
        if versions.current(session, proposal.client_id) != proposal.version:
            raise Conflict
        was = _registered(versions.row(session, proposal.client_id))
        registration = portals.typed(proposal.after)
        found = [*findings(registration), *_in_company(registration, was, now=now)]
        if found:
            raise ChangeRefused(found)
        versions.write(
            session,
            registration,
            now=now,
            reason=proposal.reason,
            actor=proposal.proposed_by,
            approved_by=admin.actor,
            organisation=proposal.organisation,
            base=proposal.version,
        )
        record(session, Event.PORTAL_APPLIED, at=now, client_id=proposal.client_id)
        if was is not None and set(registration.client_secret_sha256) - set(was.client_secret_sha256):
            record(session, Event.SECRET_ADDED, at=now, client_id=proposal.client_id)

    # -- secrets ---------------------------------------------------------------------------------------------

    def add_secret(self, admin: Administrator, client_id: str, *, base: int, reason: str) -> Submitted:
        """A further client secret, shown once; with two people it works when the change is approved.

        Raises as `submit`; ChangeRefused where there are two already, or the portal uses none.
        """
        found = reading.find(client_id, admin=admin)
        document, secret = with_further_secret(found)
        submitted = self._submit(admin, Change(document, reason, base), Event.SECRET_ADDED)
        return Submitted(submitted.client_id, submitted.proposal, secret)

    def retire_secret(self, admin: Administrator, client_id: str, digest: str, *, reason: str) -> None:
        """Make a client secret worthless, at once and by one person. The last one cannot go.

        Raises Forbidden, UnknownPortal, ChangeRefused.
        """
        if not admin.may(Act.CHANGE_PORTALS):
            raise Forbidden
        reading.find(client_id, admin=admin)
        retire_secret(client_id, digest, reason=reason, now=self._clock())

    # -- switching -------------------------------------------------------------------------------------------

    def check_switch(self, admin: Administrator, client_id: str, *, enabled: bool) -> None:
        """Whether this person may switch this portal: off takes SWITCH_PORTALS, on somebody who may approve.

        A portal may have been switched off because of whoever runs it. Raises Forbidden, UnknownPortal.
        """
        reading.find(client_id, admin=admin)
        if not admin.may(Act.APPROVE_PORTALS if enabled else Act.SWITCH_PORTALS):
            raise Forbidden

    # -- what is wrong ---------------------------------------------------------------------------------------

    def _read(self, admin: Administrator, change: Change) -> tuple[Registration | None, list[Finding]]:
        """The registration of a change, and what is wrong with it."""
        try:
            registration = portals.typed(change.document)
        except RegistrationError as error:
            return None, [Finding(_place(str(error)), "%(text)s", {"text": str(error)})]
        before = versions.row(db.session(), change.client_id)
        was = _registered(before)
        found = [*findings(registration), *_in_company(registration, was, now=self._clock())]
        if is_ours(change.client_id):
            found.append(Finding("client_id", "this name is reserved for the console"))
        if admin.role is Role.MEMBER:
            found += self._beyond_a_member(admin, registration, was)
        return registration, found

    def _beyond_a_member(
        self, admin: Administrator, registration: Registration, was: Registration | None
    ) -> Iterator[Finding]:
        """What concerns others than the portal's own organisation."""
        sectors = {registration.sector} - {was.sector if was is not None else ""}
        if sectors & reading.sectors_of_others(admin.organisation):
            yield Finding(
                "sector_identifier", "this sector belongs to a portal of somebody else: ask an operator"
            )
        if self.two_people:
            return  # an operator reads it before it counts
        had = was.claims if was is not None else ()
        for claim in registration.claims:
            if claim.basis == "statute" and claim not in had:
                yield Finding(
                    f"claims.{claim.name}",
                    "claim %(name)s: only an operator registers a statute as the basis",
                    {"name": claim.name},
                )


def as_it_was(found: Found, number: int) -> dict[str, Any]:
    """A portal's document at a version, with its secrets and its sector of today. Raises UnknownPortal."""
    then = reading.version(found.client_id, number).after
    if then is None:
        raise UnknownPortal
    kept = {name: found.document.get(name) for name in ("client_secret_sha256", *_SECTOR)}
    document = {name: value for name, value in {**then, **kept}.items() if value is not None}
    if portals.typed(document).sector != found.registration.sector:  # its first redirect URI had another host
        document["sector_identifier"] = found.registration.sector
    return document


def with_kept_secrets(document: Mapping[str, Any], found: Found | None) -> dict[str, Any]:
    """A document that says nothing of its client secrets, where it uses some, with those that the portal has."""
    kept = list(found.registration.client_secret_sha256) if found is not None else []
    uses = str(document.get("token_endpoint_auth_method", "")).startswith("client_secret")
    if not kept or not uses or "client_secret_sha256" in document:
        return dict(document)
    return {**document, "client_secret_sha256": kept}


def with_further_secret(found: Found) -> tuple[dict[str, Any], str]:
    """A portal's document with one more secret, and that secret. Raises ChangeRefused."""
    digests = found.registration.client_secret_sha256
    if not found.registration.token_endpoint_auth_method.startswith("client_secret"):
        raise ChangeRefused([Finding("token_endpoint_auth_method", "this portal uses no client secret")])
    if len(digests) >= MAX_SECRETS:
        raise ChangeRefused(
            [Finding("client_secret_sha256", "there are two secrets already: retire one first")]
        )
    secret = seal.random_token()
    return {**found.document, "client_secret_sha256": [*digests, seal.digest(secret)]}, secret


def add_secret(client_id: str, *, reason: str | None, now: int) -> str:
    """A further client secret, in force at once: for the command line. Raises UnknownPortal, ChangeRefused."""
    with writing() as session:
        versions.row(session, client_id, lock=True)
        document, secret = with_further_secret(reading.find(client_id, admin=None))
        versions.write(session, portals.typed(document), now=now, reason=reason)
        record(session, Event.SECRET_ADDED, at=now, client_id=client_id)
    return secret


def retire_secret(client_id: str, digest: str, *, reason: str | None, now: int) -> None:
    """Make a client secret worthless. Raises UnknownPortal, ChangeRefused: it is the last one, or is none of these."""
    if problems := _reason_problems(reason or "-"):
        raise ChangeRefused(problems)
    with writing() as session:
        was = _registered(versions.row(session, client_id, lock=True))
        if was is None or is_ours(client_id):
            raise UnknownPortal
        left = tuple(known for known in was.client_secret_sha256 if known != digest)
        if len(left) == len(was.client_secret_sha256):
            raise ChangeRefused([Finding("client_secret_sha256", "this secret is not in force")])
        registration = msgspec.structs.replace(was, client_secret_sha256=left)
        if not left and was.token_endpoint_auth_method.startswith("client_secret"):
            raise ChangeRefused(
                [Finding("client_secret_sha256", "the last secret cannot be retired: add another first")]
            )
        versions.write(session, registration, now=now, reason=reason)
        record(session, Event.SECRET_RETIRED, at=now, client_id=client_id)


def _with_secret(change: Change) -> tuple[Change, str | None]:
    """The change with a secret of our making, where it needs one and has none; and that secret."""
    needs = str(change.document.get("token_endpoint_auth_method", "")).startswith("client_secret")
    if not needs or change.document.get("client_secret_sha256"):
        return change, None
    secret = seal.random_token()
    document = {**change.document, "client_secret_sha256": [seal.digest(secret)]}
    return Change(document, change.reason, change.base, change.organisation), secret


def _in_company(registration: Registration, was: Registration | None, *, now: int) -> Iterator[Finding]:
    """What is wrong with it beside what was there, and beside other portals."""
    if problem := sector_problem(was, registration, now=now):
        yield problem
    for resource in registration.serves_resources:
        known = portals.serving(resource)
        if known is not None and known.client_id != registration.client_id:
            yield Finding(
                "serves_resources",
                "serves_resources: %(what)s is served by another portal",
                {"what": resource},
            )


def _registered(row: Any) -> Registration | None:
    """As it stands; not parsed again, since today's rules may be stricter than those it came in by."""
    return msgspec.convert(row.registration, Registration) if row is not None else None


def _reason_problems(reason: str) -> list[Finding]:
    problem = text_problem(reason, MAX_REASON_CHARS)
    return (
        [Finding("reason", "%(what)s %(problem)s", {"what": "reason", "problem": problem})] if problem else []
    )


def _place(text: str) -> str:
    """Which member msgspec's sentence is about: it ends with "- at `$.name.ko`"."""
    _, marked, place = text.partition("`$.")
    return place.split("[")[0].split(".")[0].rstrip("`") if marked else ""
