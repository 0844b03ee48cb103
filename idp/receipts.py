"""What a holder is given in writing of each sign-in: which items went to whom, for what, on which basis. No values.

A row is written with the sign-in (`idp.oidc.conclusion`). What was said of the items then, `ReceiptTerms` keeps once
for all sign-ins that say the same: a registration may change later, and a receipt must not. `login_id` is the
transaction (`txn`) that the portal's tokens and the audit name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, bindparam, func, insert, select, text, tuple_, update
from sqlalchemy.orm import Session as Database

from idp import seal
from idp.models import Receipt, ReceiptTerms, db, forget
from idp.portals import Registration, RequestedClaim
from idp.portals.rules import is_ours

TYPE: Final = "sinwon-receipt+jwt"
_DAY_S: Final = 86_400
_RECEIPT = insert(Receipt)
_USED_AT = select(ReceiptTerms.used_at).where(ReceiptTerms.digest == bindparam("digest"))
# Understood by PostgreSQL and SQLite alike. Two sign-ins may say the same for the first time at the same moment.
_KEEP = text(
    "INSERT INTO receipt_terms (digest, document, used_at) VALUES (:digest, :document, :at) ON CONFLICT DO NOTHING"
).bindparams(bindparam("document", type_=JSON))


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One released item, as the holder was told of it."""

    name: str
    purpose: dict[str, str]
    retention: dict[str, str]
    required: bool
    basis: str
    statute: dict[str, str] | None = None


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one sign-in amounted to. `offline_access`: the portal may come back on its own."""

    portal: dict[str, str]
    operator: dict[str, str]
    items: tuple[Item, ...]
    offline_access: bool = False


@dataclass(frozen=True)
class SignIn:
    """A sign-in as its holder may see it. Times are seconds."""

    id: str
    client_id: str
    txn: str
    at: int
    auth_time: int
    acr: str
    consent_id: int | None
    revoked_at: int | None
    terms: Terms

    def claims(self) -> dict[str, Any]:
        """What the signed receipt says, beside who signs it and when (docs/receipts.md)."""
        return {
            "jti": self.id,
            "txn": self.txn,
            "portal": {
                "client_id": self.client_id,
                "name": self.terms.portal,
                "operator": self.terms.operator,
            },
            "signed_in_at": self.at,
            "auth_time": self.auth_time,
            "acr": self.acr,
            "items": msgspec.to_builtins(self.terms.items),
            "offline_access": self.terms.offline_access,
            **({"consent": str(self.consent_id)} if self.consent_id is not None else {}),
        }


def item_of(portal: Registration, claim: RequestedClaim) -> Item:
    """A claim as the consent page speaks of it."""
    return Item(
        name=claim.name,
        purpose=claim.purpose,
        retention=claim.retention or portal.retention,
        required=claim.required,
        basis=claim.basis,
        statute=claim.statute,
    )


def keep(
    database: Database,
    portal: Registration,
    released: Sequence[RequestedClaim],
    *,
    subject_id: str,
    login_id: str,
    at: int,
    auth_time: int,
    acr: str,
    offline: bool,
    consent_id: int | None,
) -> None:
    """Write down a sign-in in the caller's transaction. Those at portals of ours have nothing to be told."""
    if is_ours(portal.client_id):
        return
    items = tuple(item_of(portal, claim) for claim in released)
    terms = Terms(portal=portal.name, operator=portal.operator, items=items, offline_access=offline)
    columns = {
        "id": seal.random_token(16),
        "subject_id": subject_id,
        "client_id": portal.client_id,
        "login_id": login_id,
        "at": at,
        "auth_time": auth_time,
        "acr": acr,
        "terms": _kept(database, terms, at),
        "consent_id": consent_id,
    }
    database.connection().execute(_RECEIPT, columns)


def _kept(database: Database, terms: Terms, at: int) -> str:
    """The digest under which these terms stand, written where they did not."""
    document = msgspec.to_builtins(terms)
    digest = seal.digest(json.dumps(document, ensure_ascii=False, sort_keys=True))
    used_at = database.connection().scalar(_USED_AT, {"digest": digest})
    if used_at is None:
        database.execute(_KEEP, {"digest": digest, "document": document, "at": at})
    elif used_at < at - _DAY_S:
        database.execute(update(ReceiptTerms).where(ReceiptTerms.digest == digest).values(used_at=at))
    return digest


# -- for the holder --------------------------------------------------------------------------------------------


def of_subject(
    subject_id: str, *, client_id: str | None = None, before: tuple[int, str] | None = None, limit: int = 20
) -> list[SignIn]:
    """A person's sign-ins, the newest first, at one portal or at all. `before`: (at, id) of the last one of a page."""
    wanted = _joined().where(Receipt.subject_id == subject_id)
    if client_id is not None:
        wanted = wanted.where(Receipt.client_id == client_id)
    if before is not None:
        wanted = wanted.where(tuple_(Receipt.at, Receipt.id) < tuple_(*before))
    rows = db.session.execute(wanted.order_by(Receipt.at.desc(), Receipt.id.desc()).limit(limit))
    return [_read(receipt, document) for receipt, document in rows]


def find(subject_id: str, receipt_id: str) -> SignIn | None:
    """One of this person's own; None for another's, as for one that is not there."""
    found = db.session.execute(
        _joined().where(Receipt.id == receipt_id, Receipt.subject_id == subject_id)
    ).first()
    return _read(*found) if found is not None else None


@dataclass(frozen=True)
class AtPortal:
    """How often a person signed in at a portal, first and last."""

    first_at: int
    last_at: int
    n: int


def by_portal(subject_id: str) -> dict[str, AtPortal]:
    """Where a person signed in, the latest first, by client_id."""
    last = func.max(Receipt.at).label("last")
    rows = db.session.execute(
        select(Receipt.client_id, func.min(Receipt.at), last, func.count())
        .where(Receipt.subject_id == subject_id)
        .group_by(Receipt.client_id)
        .order_by(last.desc(), Receipt.client_id)
    )
    return {client_id: AtPortal(first, latest, n) for client_id, first, latest, n in rows}


def _joined() -> Any:
    return select(Receipt, ReceiptTerms.document).join(ReceiptTerms, ReceiptTerms.digest == Receipt.terms)


def _read(row: Receipt, document: dict[str, Any]) -> SignIn:
    return SignIn(
        id=row.id,
        client_id=row.client_id,
        txn=row.login_id,
        at=row.at,
        auth_time=row.auth_time,
        acr=row.acr,
        consent_id=row.consent_id,
        revoked_at=row.revoked_at,
        terms=msgspec.convert(document, Terms),
    )


# -- their end -------------------------------------------------------------------------------------------------


def revoke(database: Database, subject_id: str, client_id: str, *, now: int) -> None:
    """What this person's sign-ins at a portal gave access to has ended, in the caller's transaction.

    Whoever redeems a code of one of them waits for this, or this for them (`is_revoked`).
    """
    database.execute(
        update(Receipt)
        .where(Receipt.subject_id == subject_id, Receipt.client_id == client_id, Receipt.revoked_at.is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )


def is_revoked(database: Database, login_id: str) -> bool:
    """Whether the holder took back what this sign-in gave; the answer stands until the caller's transaction ends."""
    locked = select(Receipt.revoked_at).where(Receipt.login_id == login_id).with_for_update()
    return database.scalar(locked) is not None


def sweep(now: int, days: int) -> int:
    """Forget what is older than so many days; how many sign-ins that were."""
    before = now - days * _DAY_S
    n_forgotten = forget(Receipt, Receipt.at < before)
    # `used_at` is right to the day: what was last used two days before that belongs to no sign-in any more.
    forget(ReceiptTerms, ReceiptTerms.used_at < before - 2 * _DAY_S)
    return n_forgotten
