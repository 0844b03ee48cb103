"""What a holder is asked to agree to, and what was agreed before (개인정보 보호법, articles 15, 17, 22 and 24).

A claim whose basis is a statute is announced, not asked. A consent is kept by names of claims. It counts in the
session it was given in and, only where the holder asked for that, in every later one until it is withdrawn. It is
asked again when the portal wants something that was not on the page then, or says `prompt=consent`.

The rows of a holder and a portal are two chains: those that are remembered, and those of one session. The newest row
of a chain holds all of it, and what was given for one session is not remembered by a later tick. Withdrawing means
`withdrawn_at` on every row of the two, or an older one would count again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, insert, select
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
    standing_rows: Sequence[_Said] = ()
    """The newest row of each chain, where there is one, the newer one last."""

    @property
    def consent_id(self) -> int | None:
        """The consent that was given before, where there is one."""
        return self.standing_rows[-1].id if self.standing_rows else None

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


def agreement(
    portal: Registration, request: AuthorizationRequest, subject_id: str | None, session_id: str | None = None
) -> Agreement:
    """What stands between this holder (None: a person not seen before) and the portal, in this browser's session."""
    found: Sequence[_Said] = []
    if subject_id is not None:
        # session_id: None is nobody's, and finds none.
        which = {"subject_id": subject_id, "client_id": portal.client_id, "session_id": session_id}
        found = db.session.connection().execute(_NEWEST, which).all()
    before, offered = _together(*found)
    return Agreement(
        asked=asked_claims(portal, request),
        before=before,
        offered_before=offered,
        prompt_consent="consent" in request.prompt,
        offline=OFFLINE in request.scopes,
        standing_rows=found,
    )


class _Said(Protocol):
    """Of a row of a chain what is said in it."""

    @property
    def id(self) -> int: ...

    @property
    def claims(self) -> Sequence[str]: ...

    @property
    def offered(self) -> Sequence[str]: ...

    @property
    def remembered(self) -> bool: ...


def _last_rows(*chains: ColumnElement[bool]) -> Select[int, list[str], list[str], bool]:
    """The last row of each chain, where there is one, in the order they were given."""
    last = (
        select(func.max(Consent.id))
        .where(
            Consent.subject_id == bindparam("subject_id"),
            Consent.client_id == bindparam("client_id"),
            Consent.withdrawn_at.is_(None),
            chain,
        )
        .scalar_subquery()
        for chain in chains
    )
    said = select(Consent.id, Consent.claims, Consent.offered, Consent.remembered)
    return said.where(Consent.id.in_(list(last))).order_by(Consent.id)


# Built once: several times a sign-in, building one takes as long as asking it.
_NEWEST = _last_rows(
    Consent.remembered.is_(True),
    and_(Consent.remembered.is_(False), Consent.session_id == bindparam("session_id")),
)
_GIVE = insert(Consent).returning(Consent.id)


def _together(*rows: _Said) -> tuple[frozenset[str], frozenset[str]]:
    """The names agreed to, and all that were on a page. Of two rows the later one decides what both were asked."""
    claims: frozenset[str] = frozenset()
    offered: frozenset[str] = frozenset()
    for row in rows:
        claims = (claims - set(row.offered)) | set(row.claims)
        offered |= set(row.offered)
    return claims, offered


def give(
    session: Session,
    agreed: Agreement,
    claims: Collection[str],
    *,
    subject_id: str,
    client_id: str,
    session_id: str,
    remembered: bool,
    at: int,
) -> int:
    """Record a consent in the caller's transaction, for this session or, `remembered`, until its end; the row's id.

    agreed: of the same person, portal and session, read in this transaction.
    """
    before, offered_before = _together(*[row for row in agreed.standing_rows if row.remembered == remembered])
    consented = agreed.offered()
    columns = {
        "subject_id": subject_id,
        "client_id": client_id,
        "claims": sorted((before - set(consented)) | (set(claims) & set(consented))),
        "offered": sorted(offered_before | set(consented)),
        "given_at": at,
        "remembered": remembered,
        "session_id": session_id,
    }
    return session.connection().execute(_GIVE, columns).scalar_one()


@dataclass(frozen=True)
class Given:
    """What a person agreed to at a portal and did not take back. `remembered`: it is not asked for each time."""

    claims: frozenset[str]
    remembered: bool


def given_by(subject_id: str) -> dict[str, Given]:
    """What a person agreed to, by client_id, in whichever session it was."""
    rows: dict[str, list[Consent]] = {}
    for row in db.session.scalars(_not_withdrawn(subject_id)):
        rows.setdefault(row.client_id, []).append(row)
    return {
        client_id: Given(_together(*those)[0], any(row.remembered for row in those))
        for client_id, those in rows.items()
    }


def withdraw(
    session: Session, subject_id: str, client_id: str, *, item: str | None = None, at: int
) -> tuple[str, ...]:
    """End a person's consent at a portal, or one item of it, in the caller's transaction; the names taken back.

    An item taken back counts as left unticked: the portal does not get it, and the person is not asked for it again
    where the rest is remembered, unless the portal insists (`prompt=consent`). What is required cannot be taken back
    alone; that is the caller's to know, since registrations change.
    """
    rows = list(session.scalars(_not_withdrawn(subject_id).where(Consent.client_id == client_id)))
    newest = {_chain(row): row for row in rows}
    ended = [row for row in newest.values() if item is None or item in row.claims]
    if not ended:
        return ()
    chains = {_chain(row) for row in ended}
    for row in rows:
        if _chain(row) in chains:
            row.withdrawn_at = at
    if item is None:
        return tuple(sorted(_together(*rows)[0]))
    session.add_all(
        Consent(
            subject_id=subject_id,
            client_id=client_id,
            claims=[name for name in row.claims if name != item],
            offered=row.offered,
            given_at=row.given_at,
            remembered=row.remembered,
            session_id=row.session_id,
        )
        for row in ended
    )
    return (item,)


def _chain(row: Consent) -> tuple[bool, str | None]:
    """Rows with the same are one consent, of which the newest says all: the remembered one, or that of a session."""
    return row.remembered, None if row.remembered else row.session_id


def _not_withdrawn(subject_id: str) -> Select[Consent]:
    """A person's consents, in the order in which they were given."""
    return (
        select(Consent)
        .where(Consent.subject_id == subject_id, Consent.withdrawn_at.is_(None))
        .order_by(Consent.id)
    )
