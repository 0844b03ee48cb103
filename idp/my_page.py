"""The holder's own page as a portal of ours, and what it can say of a person.

Nothing here is a value from a credential: portals, times, names of items. Whose page it is, the credential decides
that was just shown; a person is one Subject whichever card is used (`idp.subject`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.orm import Session as Database

from idp import consent, portals, receipts, seal
from idp.clock import Clock
from idp.consent import Given
from idp.models import Grant, Portal, SessionPortal, SignedIn, db
from idp.page_session import PageSessions
from idp.portals import Registration
from idp.portals.rules import MY_PAGE, is_ours
from idp.receipts import AtPortal, Item
from idp.settings import Settings
from idp.store import Store

CLIENT_ID: Final = MY_PAGE
CALLBACK: Final = "/me/callback"
_IDLE_S: Final = 600
_MAX_S: Final = 1800


def ensure(settings: Settings, credential_types: Sequence[str], *, now: int) -> Registration:
    """The page's registration as a portal, written where it is not there or another one.

    `general` is enough, and another device is: taking back must not be harder than giving was (개인정보 보호법,
    article 38, paragraph 4). Its secret is PKCE, as the console's.
    """
    wanted = portals.parse(
        {
            "client_id": CLIENT_ID,
            "name": {"ko": "내 페이지", "en": "My page"},
            "operator": {"ko": "신원 운영 기관", "en": "The operator of Sinwon"},
            "retention": {"ko": "보관하지 않음", "en": "Not kept"},
            "redirect_uris": [f"{settings.issuer}{CALLBACK}"],
            "sector_identifier": CLIENT_ID,
            "token_endpoint_auth_method": "none",
            "credential_types": list(credential_types),
            "single_sign_on": False,
            "client_uri": f"{settings.issuer}/me",
        }
    )
    portals.ensure(wanted, now=now)
    return wanted


def sessions(store: Store, clock: Clock) -> PageSessions:
    """Who has the page open, by the Subject's id: ten minutes without use, half an hour in all."""
    return PageSessions("me", store, clock, idle_s=_IDLE_S, max_s=_MAX_S)


# -- services --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Service:
    """A portal that a person used. `portal` None: it is not there any more, or is switched off.

    `items`: what it was given the last time. `sign_ins` None, and no items: only a consent is known, from before there
    were receipts. `access_until`: until when it can read on its own, by a grant that stands (seconds).
    """

    client_id: str
    name: Mapping[str, str]
    operator: Mapping[str, str]
    portal: Registration | None
    items: tuple[Item, ...]
    sign_ins: AtPortal | None
    consent: Given | None
    access_until: int | None

    def agreed_to(self, item: Item) -> bool:
        """Whether it would be given this again without asking, because the holder agreed."""
        return item.basis == "consent" and self.consent is not None and item.name in self.consent.claims

    def can_take_back(self, item: Item) -> bool:
        """Whether this item can be taken back alone: it is an optional one that was agreed to."""
        return not item.required and self.agreed_to(item)

    @property
    def can_withdraw(self) -> bool:
        """Whether something rests on this person's will: a consent, or a grant that stands."""
        agreed = self.consent is not None and bool(self.consent.claims)
        return agreed or self.access_until is not None


def services(subject_id: str, *, now: int) -> list[Service]:
    """Every portal that this person used or agreed to, the latest first."""
    used, agreed = receipts.by_portal(subject_id), consent.given_by(subject_id)
    until = _access(subject_id, now)
    ids = [*used, *(client_id for client_id in agreed if client_id not in used)]
    made = (
        _service(subject_id, client_id, used.get(client_id), agreed.get(client_id), until.get(client_id))
        for client_id in ids
        if not is_ours(client_id)
    )
    return [service for service in made if service is not None]


def service(subject_id: str, client_id: str, *, now: int) -> Service | None:
    """One of them; None for a portal that this person never used."""
    return next((one for one in services(subject_id, now=now) if one.client_id == client_id), None)


def _service(
    subject_id: str,
    client_id: str,
    used: AtPortal | None,
    agreed: Given | None,
    access_until: int | None,
) -> Service | None:
    row = db.session.get(Portal, client_id)
    registration = msgspec.convert(row.registration, Registration) if row is not None else None
    last = next(iter(receipts.of_subject(subject_id, client_id=client_id, limit=1)), None)
    if registration is not None:
        name, operator = registration.name, registration.operator
    elif last is not None:
        name, operator = last.terms.portal, last.terms.operator
    else:
        return None  # a consent to a portal that nobody knows any more
    return Service(
        client_id=client_id,
        name=name,
        operator=operator,
        portal=registration if row is not None and row.enabled else None,
        items=_items(last.terms.items if last is not None else (), registration, agreed),
        sign_ins=used,
        consent=agreed,
        access_until=access_until,
    )


def _items(
    given: tuple[Item, ...], registration: Registration | None, agreed: Given | None
) -> tuple[Item, ...]:
    """What was given the last time, and what was agreed to beside it: an item left out of one request stays agreed."""
    if registration is None or agreed is None:
        return given
    beside = {*agreed.claims} - {item.name for item in given}
    return (
        *given,
        *(receipts.item_of(registration, claim) for claim in registration.claims if claim.name in beside),
    )


def _access(subject_id: str, now: int) -> dict[str, int]:
    """Until when each portal holds something that still opens, by client_id."""
    rows = db.session.execute(
        select(Grant.client_id, Grant.expires_at, Grant.offline, SignedIn.ended_at)
        .outerjoin(SignedIn, SignedIn.id == Grant.session_id)
        .where(Grant.subject_id == subject_id, Grant.revoked_at.is_(None), Grant.expires_at > now)
    )
    until: dict[str, int] = {}
    for client_id, expires_at, offline, ended_at in rows:
        if offline or ended_at is None:
            until[client_id] = max(until.get(client_id, 0), expires_at)
    return until


# -- sessions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Open:
    """A browser in which this person is signed in. `handle` names it on the page, and is of no use elsewhere."""

    id: str
    handle: str
    since: int
    names: tuple[Mapping[str, str], ...]


def open_sessions(subject_id: str, cookie: str) -> list[Open]:
    """The sessions of a person whose row has not ended, the latest first. `cookie`: this page's, for the handles."""
    database: Database = db.session()
    # One in which there is nothing but this page was never any browser's.
    elsewhere = exists().where(SessionPortal.session_id == SignedIn.id, SessionPortal.client_id != CLIENT_ID)
    rows = database.execute(
        select(SignedIn.id, SignedIn.started_at)
        .where(SignedIn.subject_id == subject_id, SignedIn.ended_at.is_(None), elsewhere)
        .order_by(SignedIn.started_at.desc(), SignedIn.id)
    ).all()
    return [Open(row.id, _handle(cookie, row.id), row.started_at, _names(row.id)) for row in rows]


def _names(session_id: str) -> tuple[Mapping[str, str], ...]:
    rows = db.session.execute(
        select(SessionPortal.client_id, Portal.registration)
        .join(Portal, Portal.client_id == SessionPortal.client_id)
        .where(SessionPortal.session_id == session_id)
        .order_by(SessionPortal.since)
    )
    return tuple(registration["name"] for client_id, registration in rows if not is_ours(client_id))


def _handle(cookie: str, session_id: str) -> str:
    """A session's name on this page alone: from its id every `sid` could be made."""
    return seal.mac(seal.derive(cookie.encode("utf-8"), "open-session"), session_id)[:22]
