"""Changes of portals that wait for a second person, and what that one decides."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from idp.admin.people import Act
from idp.admin.portals import promoting, reading
from idp.admin.portals.changes import Decision, PortalChanges
from idp.admin.portals.differences import differences
from idp.views.api.operations import BASE, Answer, Area, Call, operation
from idp.views.api.portals import Asked, Difference, rows
from idp.views.settling import settle
from idp.wiring import House


class ProposalsAsked(Asked, frozen=True):
    """Those that wait; with `client_id` all of one portal."""

    client_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class ProposalLine(msgspec.Struct, frozen=True):
    """A change that waits for a second person, or was decided. `version`: what it was made on."""

    id: str
    href: str
    client_id: str
    organisation: str | None
    version: int
    state: reading.State
    proposed_by: str
    reason: str
    at: int
    decided_by: str | None
    decided_at: int | None
    decision: str | None


class Proposals(msgspec.Struct, frozen=True):
    """The latest 50, the newest first."""

    items: list[ProposalLine]


class ProposalShown(msgspec.Struct, frozen=True):
    """A proposal, with what it would change today."""

    proposal: ProposalLine
    differences: list[Difference]


class Decided(Asked, frozen=True):
    """Why; a rejection must say it."""

    reason: Annotated[str, Meta(max_length=255)] = ""


_OF_A_PROPOSAL: Final = tuple(field for field in ProposalLine.__struct_fields__ if field != "href")


class Deciding(Area):
    """A second person's part."""

    tag = "proposals"

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.changes = PortalChanges(house.settings, house.clock)

    @operation("GET", "/proposals", Act.SEE_PORTALS, Proposals, query=ProposalsAsked)
    def list_proposals(self, call: Call) -> Answer:
        """Changes of portals that wait for a second person."""
        found = reading.proposals(admin=call.admin, client_id=call.query.client_id)
        return Answer(Proposals([_proposal(one) for one in found]))

    @operation("GET", "/proposals/{proposal_id}", Act.SEE_PORTALS, ProposalShown)
    def show_proposal(self, call: Call, proposal_id: str) -> Answer:
        """One of them, and what it would change."""
        return self._shown(call, proposal_id)

    @operation(
        "POST",
        "/proposals/{proposal_id}/approve",
        Act.APPROVE_PORTALS,
        ProposalShown,
        body=Decided,
        conflicts=True,
    )
    def approve_proposal(self, call: Call, proposal_id: str) -> Answer:
        """Let a change count, as somebody else than who proposed it."""
        return self._decide(call, proposal_id, "approve")

    @operation(
        "POST",
        "/proposals/{proposal_id}/reject",
        Act.APPROVE_PORTALS,
        ProposalShown,
        body=Decided,
        conflicts=True,
    )
    def reject_proposal(self, call: Call, proposal_id: str) -> Answer:
        """Refuse a change, as somebody else than who proposed it."""
        return self._decide(call, proposal_id, "reject")

    @operation(
        "POST",
        "/proposals/{proposal_id}/withdraw",
        Act.CHANGE_PORTALS,
        ProposalShown,
        body=Decided,
        conflicts=True,
    )
    def withdraw_proposal(self, call: Call, proposal_id: str) -> Answer:
        """Take back a change of one's own."""
        return self._decide(call, proposal_id, "withdraw")

    def _decide(self, call: Call, proposal_id: str, decision: Decision) -> Answer:
        self.changes.decide(call.admin, proposal_id, decision, reason=call.body.reason)
        if decision == "approve":
            settle(self.house, reading.proposal(proposal_id, admin=call.admin).client_id)
        return self._shown(call, proposal_id)

    @staticmethod
    def _shown(call: Call, proposal_id: str) -> Answer:
        found = reading.proposal(proposal_id, admin=call.admin)
        portal = promoting.known(found.client_id, call.admin)
        changed = differences(portal.document if portal is not None else None, found.after)
        return Answer(ProposalShown(_proposal(found), rows(changed)))


def _proposal(one: reading.Proposal) -> ProposalLine:
    return ProposalLine(
        href=f"{BASE}/proposals/{one.id}", **{name: getattr(one, name) for name in _OF_A_PROPOSAL}
    )
