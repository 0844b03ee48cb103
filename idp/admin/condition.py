"""Whether people can be signed in at the moment, part by part, for anybody who asks.

A part says yes or no and nothing else: what is wrong with it is for the operator's log and `/readyz`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from idp import schema
from idp.admin.trust import TrustRegistry
from idp.credentials.trust import TrustDocumentError
from idp.errors import Unavailable
from idp.keys import Keys, NoSigningKey, WrongKeyEncryptionKey
from idp.models import db
from idp.store import Store

log = logging.getLogger("idp")

_DOWN = (SQLAlchemyError, Unavailable, NoSigningKey, WrongKeyEncryptionKey, TrustDocumentError)


@dataclass(frozen=True)
class Condition:
    """The parts by name, in the order in which a sign-in needs them."""

    parts: dict[str, bool]

    @property
    def able(self) -> bool:
        """Whether a sign-in can succeed."""
        return all(self.parts.values())


def condition(store: Store, keys: Keys, trust: TrustRegistry) -> Condition:
    """Ask each part. Raises nothing of theirs."""
    return Condition(
        {
            "database": _answers(lambda: db.session.execute(text("SELECT 1"))),
            "store": _answers(store.ping),
            "keys": _answers(keys.check),
            "trust": _answers(trust.snapshot) and bool(trust.snapshot().types and trust.snapshot().missions),
        }
    )


def readiness(store: Store, keys: Keys, trust: TrustRegistry) -> Condition:
    """The same for a balancer, which must not send anybody to a node whose release does not fit the database."""
    found = condition(store, keys, trust)
    fits = found.parts["database"] and schema.fits(db.session.connection())
    return Condition({**found.parts, "schema": fits})


def _answers(question: Callable[[], object]) -> bool:
    try:
        question()
    except _DOWN as error:
        log.warning("status: %s", type(error).__name__)
        db.session.rollback()
        return False
    return True
