"""How portals use our signing keys: which algorithms they registered, and who has seen the next key.

A JWKS is fetched by nobody in particular. A portal that proves itself at `/token` from the address that fetched the
JWKS a while ago has probably seen what was in it: that is written down (`models.KeyFetch`) while a key is published
and does not sign yet, so that an operator can see whom the change would surprise. It is a hint. Portals behind one
address count as one; a portal that fetches from elsewhere is never seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from idp.clock import Clock
from idp.key_encryption import Sealing
from idp.keys import Keys
from idp.models import KeyFetch, Portal, db, writing
from idp.portals import Registration
from idp.store import Store

_SEEN_S = 2 * 86400


def algorithms(registration: Registration) -> frozenset[str]:
    """The algorithms that we sign with for this portal."""
    wanted = (
        registration.id_token_signed_response_alg,
        registration.authorization_signed_response_alg,
        registration.userinfo_signed_response_alg,
        registration.introspection_signed_response_alg,
    )
    return frozenset(alg for alg in wanted if alg is not None)


def algorithms_in_use() -> frozenset[str]:
    """The algorithms that enabled portals registered: each needs a key (`Keys.ensure`)."""
    return frozenset().union(*(algorithms(portal) for portal in _enabled()))


class KeyFetches:
    """Who has seen the next key. `sealing` hides the addresses in the Store."""

    def __init__(self, store: Store, keys: Keys, clock: Clock, sealing: Sealing) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._sealing = sealing

    def fetched(self, address: str) -> None:
        """The JWKS was fetched from this address. Costs nothing while there is no next key."""
        if kids := self._keys.next_kids():
            self._store.put(_key(self._sealing.mac(address)), {"kids": sorted(kids)}, _SEEN_S)

    def proven(self, client_id: str, address: str) -> None:
        """A portal proved who it is, from this address. Not to be called within a transaction that writes."""
        kids = self._keys.next_kids()
        seen = self._seen(address) if kids else None
        if seen is None:
            return
        known = select(KeyFetch.kid).where(KeyFetch.client_id == client_id)
        for kid in sorted(kids.intersection(seen["kids"]) - set(db.session.scalars(known))):
            self._write(kid, client_id)

    def _write(self, kid: str, client_id: str) -> None:
        try:
            with writing() as database:
                database.add(KeyFetch(kid=kid, client_id=client_id, at=self._clock()))
        except IntegrityError:
            # Another request of this portal wrote the same: what counts is that the row is there.
            return

    def _seen(self, address: str) -> dict[str, Any] | None:
        found = (self._store.get(_key(mac)) for mac in self._sealing.macs(address))
        return next((seen for seen in found if seen is not None), None)


def _key(mac: str) -> str:
    return f"jwks-seen:{mac}"


def waiting_for(kid: str) -> tuple[list[str], list[str]]:
    """The enabled portals that were seen to fetch this key, and those that were not."""
    fetched = set(db.session.scalars(select(KeyFetch.client_id).where(KeyFetch.kid == kid)))
    enabled = sorted(portal.client_id for portal in _enabled())
    return [name for name in enabled if name in fetched], [name for name in enabled if name not in fetched]


def _enabled() -> Iterable[Registration]:
    rows = db.session.scalars(select(Portal.registration).where(Portal.enabled)).all()
    return [msgspec.convert(row, Registration) for row in rows]
