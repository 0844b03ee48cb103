"""What a holder is asked to agree to, and what was agreed before (개인정보 보호법, articles 15, 17, 22 and 24).

A claim whose basis is a statute is announced, not asked. A consent is remembered by names of claims, and asked for
again when the portal wants something that was not on the page then, or says `prompt=consent`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from idp.claims import CLAIMS, can_be_in, requested_names
from idp.login import AuthorizationRequest
from idp.models import Consent, db
from idp.portals import Registration, RequestedClaim

OFFLINE = "offline_access"
"""The scope (OpenID Connect Core 11), and the name under which a consent to it is remembered."""


class ConsentIncomplete(ValueError):
    """A required item was not agreed to."""


@dataclass(frozen=True)
class Agreement:
    """What is on the table between a holder and a portal, and what was agreed before."""

    asked: tuple[RequestedClaim, ...]
    before: frozenset[str]
    offered_before: frozenset[str]
    prompt_consent: bool
    offline: bool = False
    """The portal wants to come back later on its own (`offline_access`): asked beside the claims, never required."""

    @property
    def to_ask(self) -> tuple[RequestedClaim, ...]:
        return tuple(claim for claim in self.asked if claim.basis == "consent")

    def limited_to(self, credential_claims: Mapping[str, Any]) -> Agreement:
        """The same, without the optional claims that the credential did not show."""
        shown = tuple(
            claim for claim in self.asked if CLAIMS[claim.name].value(credential_claims) is not None
        )
        return replace(self, asked=shown)

    @property
    def due(self) -> bool:
        """A consent page must be shown: something was not on it before, or has become required since."""
        unseen = set(self.offered()) - self.offered_before
        lacking = {claim.name for claim in self.to_ask if claim.required} - self.before
        return bool(self.offered()) and (self.prompt_consent or bool(unseen | lacking))

    def offered(self) -> list[str]:
        """The names of everything that the page asks for."""
        return [claim.name for claim in self.to_ask] + ([OFFLINE] if self.offline else [])

    def agree(self, ticked: Collection[str]) -> tuple[str, ...]:
        """The names agreed to when these were ticked: claims to release and, maybe, `offline_access`.

        Raises ConsentIncomplete when a required one is missing: its own tick was not set, or it was not on the page
        (which sends the name of every required item along) since the portal asks for it only now.
        """
        for claim in self.to_ask:
            if claim.required and claim.name not in ticked:
                raise ConsentIncomplete(claim.name)
        released = tuple(
            claim.name
            for claim in self.asked
            if claim.basis == "statute" or claim.required or claim.name in ticked
        )
        return (*released, OFFLINE) if self.offline and OFFLINE in ticked else released

    def within(self, agreed: Collection[str]) -> tuple[str, ...]:
        """What was agreed to, as far as it is still asked for."""
        return tuple(claim.name for claim in self.asked if claim.name in agreed)

    def lasts(self, agreed: Collection[str] | None) -> bool:
        """Whether the portal may come back on its own: agreed to now or, where nothing was asked (None), before."""
        return self.offline and OFFLINE in (self.before if agreed is None else agreed)

    def standing(self) -> tuple[str, ...]:
        """The claims to release without asking: those agreed to before, and those a statute gives."""
        return tuple(
            claim.name for claim in self.asked if claim.basis == "statute" or claim.name in self.before
        )


def asked_claims(portal: Registration, request: AuthorizationRequest) -> tuple[RequestedClaim, ...]:
    """What this request may receive: asked for in it, and registered for the portal."""
    names = requested_names(request.scopes, request.claims)
    if request.response_type == "id_token":  # no UserInfo follows
        names = tuple(name for name in names if can_be_in(name, "id_token"))
    return tuple(portal.claim(name) for name in names if name in portal.claim_names)


def agreement(portal: Registration, request: AuthorizationRequest, subject_id: str | None) -> Agreement:
    """What stands between this holder (None: a person not seen before) and the portal."""
    row = _latest(subject_id, portal.client_id) if subject_id else None
    return Agreement(
        asked=asked_claims(portal, request),
        before=frozenset(row.claims if row else ()),
        offered_before=frozenset(row.offered if row else ()),
        prompt_consent="consent" in request.prompt,
        offline=OFFLINE in request.scopes,
    )


def _latest(subject_id: str, client_id: str) -> Consent | None:
    return db.session.scalars(
        select(Consent)
        .where(
            Consent.subject_id == subject_id, Consent.client_id == client_id, Consent.withdrawn_at.is_(None)
        )
        .order_by(Consent.id.desc())
        .limit(1)
    ).first()


def give(
    session: Session, agreed: Agreement, claims: Collection[str], *, subject_id: str, client_id: str, at: int
) -> None:
    """Record a consent in the caller's transaction."""
    consented = agreed.offered()
    session.add(
        Consent(
            subject_id=subject_id,
            client_id=client_id,
            claims=sorted((agreed.before - set(consented)) | (set(claims) & set(consented))),
            offered=sorted(agreed.offered_before | set(consented)),
            given_at=at,
        )
    )
