"""Who a person is to us, and to each portal: a random id, and a name of its own for every sector.

The value that identifies a person (a registration number) is never stored: `HMAC(pepper, trust domain, element,
value)` finds the Subject again. Values are keyed in Unicode NFC. A Subject survives re-issue of the credential,
another mission, a renewed passport and a change of name, since none of these is part of the key.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, insert, select, text
from sqlalchemy.orm import Session

from idp import seal
from idp.models import Subject as Row
from idp.models import SubjectKey, db
from idp.portals import Registration

PersonKey = tuple[str, str, str]
"""(trust domain, element, value)."""


_IN_DIGESTS = SubjectKey.digest.in_(bindparam("digests", expanding=True))
_FIND = select(SubjectKey.subject_id).where(_IN_DIGESTS).order_by(SubjectKey.created_at)
_KNOWN = select(SubjectKey.digest, SubjectKey.subject_id).where(_IN_DIGESTS)
_SUBJECT = insert(Row)
# Understood by PostgreSQL and SQLite alike.
_KEY = text(
    "INSERT INTO subject_key (digest, subject_id, created_at) VALUES (:digest, :subject_id, :at)"
    " ON CONFLICT DO NOTHING"
)
_MOVE = text("UPDATE subject_key SET subject_id = :won WHERE subject_id = :subject_id")
_FORGET = text("DELETE FROM subject WHERE id = :subject_id")


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
        found = (
            db.session.connection().execute(_FIND, {"digests": [self.digest(key) for key in keys]}).first()
        )
        return found.subject_id if found is not None else None

    def find_or_create(self, session: Session, keys: Iterable[PersonKey], *, now: int) -> str:
        """The Subject of these keys, inside the caller's transaction; keys not seen before are added to it."""
        digests = list(dict.fromkeys(self.digest(key) for key in keys))
        database = session.connection()
        known = _known(database, digests)
        subject_id = next((known[digest] for digest in digests if digest in known), None)
        new = [digest for digest in digests if digest not in known]
        if subject_id is not None:
            for digest in new:
                _add(database, digest, subject_id, now)
            return subject_id
        subject_id = seal.random_token(16)
        database.execute(_SUBJECT, {"id": subject_id, "created_at": now})
        taken = [digest for digest in new if not _add(database, digest, subject_id, now)]
        if taken:  # the same person, at the same moment, in another window, which was quicker
            won = _known(database, taken)[taken[0]]
            database.execute(_MOVE, {"subject_id": subject_id, "won": won})
            database.execute(_FORGET, {"subject_id": subject_id})
            return won
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


def _known(database: Connection, digests: list[str]) -> dict[str, str]:
    """Of these keys, those that somebody has, and whose they are."""
    return {row.digest: row.subject_id for row in database.execute(_KNOWN, {"digests": digests})}


def _add(database: Connection, digest: str, subject_id: str, now: int) -> bool:
    """False where somebody has this key by now."""
    columns = {"digest": digest, "subject_id": subject_id, "at": now}
    return database.execute(_KEY, columns).rowcount == 1
