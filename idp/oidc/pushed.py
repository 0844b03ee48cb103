"""Pushed authorization requests: read and checked at the back channel, used once by a browser.

What is kept is the checked request itself. It may be opened as often as a browser reloads; it is used up when a login
that rests on it ends with a result, which is decided by a row (decision D11).

Spec: RFC 9126; FAPI 2.0 Security Profile, section 5.3.2.2; RFC 9449, section 10.1.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy.orm import Session as Database

from idp import seal
from idp.clock import Clock
from idp.errors import AuthorizationError, Mismatch, RequestError
from idp.events import Event, record_alone
from idp.login import AuthorizationRequest
from idp.models import Consumed, db, use_within
from idp.settings import Settings
from idp.store import Store

PREFIX = "urn:ietf:params:oauth:request_uri:"
_KIND = "pushed_request"


class PushedRequests:
    """Keeps pushed requests until they are used or too old."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._ttl_s = settings.lifetimes.pushed_request_ttl_s
        self._clock = clock

    def push(self, request: AuthorizationRequest, jkt: str | None = None) -> dict[str, Any]:
        """Keep a checked request; the answer of RFC 9126, section 2.2. `jkt` is the key it was pushed with."""
        reference = seal.random_token()
        digest = seal.digest(reference)
        kept = msgspec.structs.replace(request, pushed=digest, dpop_jkt=request.dpop_jkt or jkt)
        self._store.put(_key(digest), msgspec.to_builtins(kept), self._ttl_s)
        record_alone(Event.REQUEST_PUSHED, at=self._clock(), client_id=request.client_id)
        return {"request_uri": PREFIX + reference, "expires_in": self._ttl_s}

    def open(self, request_uri: str, client_id: str) -> AuthorizationRequest:
        """The request behind a `request_uri` of ours.

        Raises RequestError, a page: what is unknown, too old, used or another client's names no trusted redirect URI.
        """
        digest = seal.digest(request_uri.removeprefix(PREFIX)[:256])
        document = self._store.get(_key(digest))
        try:
            request = msgspec.convert(document, AuthorizationRequest) if document is not None else None
        except msgspec.ValidationError:
            request = None
        if request is None or request.client_id != client_id:
            detail = "request_uri unknown, expired or another client's"
            raise RequestError(
                "request_expired", detail, client_id=client_id, mismatch=Mismatch("request_expired")
            )
        if db.session.get(Consumed, (_KIND, digest)) is not None:
            raise RequestError(
                "request_used", "request_uri was used", client_id=client_id, mismatch=Mismatch("request_used")
            )
        return request


def take_pushed(database: Database, request: AuthorizationRequest, *, now: int) -> None:
    """Use up the pushed request that a login rests on, in the transaction that ends the login.

    Raises AuthorizationError `invalid_request_uri` when another login was quicker.
    """
    if request.pushed is None:
        return
    # Longer than any login that began with it can live: it must not become usable again.
    if not use_within(database, _KIND, request.pushed, now + 86_400):
        raise AuthorizationError(
            "invalid_request_uri", "the pushed request was used already", check="request_used"
        ).to(request.reply_to)


def _key(digest: str) -> str:
    return f"par:{digest}"
