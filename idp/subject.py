"""Who a person is to us, and to each portal: a random id, and a name of its own for every sector.

The value that identifies a person (a registration number) is never stored: `HMAC(pepper, trust domain, element,
value)` finds the Subject again. Values are keyed in Unicode NFC. A Subject survives re-issue of the credential,
another mission, a renewed passport and a change of name, since none of these is part of the key.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from idp import seal
from idp.models import Subject as Row
from idp.models import SubjectKey, db
from idp.portals import Registration

PersonKey = tuple[str, str, str]
"""(trust domain, element, value)."""


class Subjects:
    """The drawer of people."""

    def __init__(self, pepper: bytes) -> None:
        self._key_pepper = seal.derive(pepper, "person-key")
        self._sector_pepper = seal.derive(pepper, "pairwise-subject")

    def digest(self, key: PersonKey) -> str:
        """What is stored of a person key."""
        domain, element, value = key
        return seal.mac(self._key_pepper, domain, element, unicodedata.normalize("NFC", value))

    def find(self, keys: Iterable[PersonKey]) -> str | None:
        """The id of the Subject that any of these keys belongs to."""
        digests = [self.digest(key) for key in keys]
        return db.session.scalars(
            select(SubjectKey.subject_id)
            .where(SubjectKey.digest.in_(digests))
            .order_by(SubjectKey.created_at)
        ).first()

    def find_or_create(self, session: Session, keys: Iterable[PersonKey], *, now: int) -> str:
        """The Subject of these keys, inside the caller's transaction; keys not seen before are added to it."""
        digests = [self.digest(key) for key in keys]
        known = {
            row.digest: row.subject_id
            for row in session.scalars(select(SubjectKey).where(SubjectKey.digest.in_(digests)))
        }
        subject_id = next((known[digest] for digest in digests if digest in known), None)
        if subject_id is None:
            subject_id = seal.random_token(16)
            try:
                with session.begin_nested():
                    session.add(Row(id=subject_id, created_at=now))
                    session.flush()
                    session.add_all(
                        SubjectKey(digest=digest, subject_id=subject_id, created_at=now) for digest in digests
                    )
            except IntegrityError:  # the same person, at the same moment, in another window
                won = session.scalars(
                    select(SubjectKey.subject_id).where(SubjectKey.digest.in_(digests))
                ).first()
                if won is None:
                    raise
                return won
            return subject_id
        session.add_all(
            SubjectKey(digest=digest, subject_id=subject_id, created_at=now)
            for digest in digests
            if digest not in known
        )
        return subject_id

    def pairwise(self, subject_id: str, sector: str) -> str:
        """The `sub` that portals of this sector know the Subject by (OpenID Connect Core 8.1)."""
        return seal.mac(self._sector_pepper, sector, subject_id)

    def previous(self, subject_id: str, portal: Registration, *, now: int) -> str | None:
        """The `sub` by which a portal that moves between sectors knew the Subject before; None without a move."""
        sector = portal.previous_sector(now)
        return self.pairwise(subject_id, sector) if sector is not None else None

    def known_as(self, subject_id: str, portal: Registration, *, now: int) -> frozenset[str]:
        """Every `sub` by which this portal may speak of the Subject now."""
        previous = self.previous(subject_id, portal, now=now)
        return frozenset({self.pairwise(subject_id, portal.sector)} | ({previous} if previous else set()))
