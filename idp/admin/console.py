"""The console as a portal of ours, and who is signed in there.

Administrators sign in like holders (decision D13): the console is registered as a portal, asks for no claim, and knows
a person by a pairwise `sub`. What it keeps of a sign-in is a `ConsoleSession` in the Store, found by a cookie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from idp import portals, seal
from idp.clock import Clock
from idp.models import Portal, db, writing
from idp.portals import Registration
from idp.portals.rules import CONSOLE
from idp.settings import Settings
from idp.store import Store

CLIENT_ID: Final = CONSOLE
CALLBACK: Final = "/console/callback"
_TOUCH_S = 30


def ensure(settings: Settings, credential_types: Sequence[str], *, now: int) -> Registration:
    """The console's registration, written where it is not there or another one; `credential_types` are asked for.

    Its secret is PKCE: codes are redeemed in this house, and at the token endpoint nobody else has the verifier.
    """
    wanted = portals.parse(
        {
            "client_id": CLIENT_ID,
            "name": {"ko": "신원 관리 콘솔", "en": "Sinwon console"},
            "operator": {"ko": "신원 운영 기관", "en": "The operator of Sinwon"},
            "retention": {"ko": "보관하지 않음", "en": "Not kept"},
            "redirect_uris": [f"{settings.issuer}{CALLBACK}"],
            "sector_identifier": CLIENT_ID,
            "token_endpoint_auth_method": "none",
            "credential_types": list(credential_types),
            "required_acr": "secure",
            "single_sign_on": False,
            "client_uri": f"{settings.issuer}/console",
        }
    )
    document = portals.document(wanted)
    row = db.session.get(Portal, CLIENT_ID)
    if row is None or row.registration != document or not row.enabled:
        with writing() as session:
            session.merge(Portal(client_id=CLIENT_ID, enabled=True, registration=document, updated_at=now))
    return wanted


class ConsoleSession(msgspec.Struct, frozen=True):
    """An administrator's session: stored under `console:<sha256>` of its cookie."""

    admin_id: str
    started_at: int
    seen_at: int


class ConsoleSessions:
    """Who is signed in at the console: for `console.idle_s` without use, and `console.max_s` in all."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._idle_s = settings.console.idle_s
        self._max_s = settings.console.max_s
        self._clock = clock

    @property
    def idle_s(self) -> int:
        return self._idle_s

    def start(self, admin_id: str) -> str:
        """A new session; the secret for its cookie."""
        cookie = seal.random_token()
        now = self._clock()
        self._put(cookie, ConsoleSession(admin_id, started_at=now, seen_at=now))
        return cookie

    def find(self, cookie: str | None) -> ConsoleSession | None:
        """The live session of this cookie; finding it counts as use."""
        if not cookie or len(cookie) > 64:
            return None
        document = self._store.get(_key(cookie))
        try:
            session = msgspec.convert(document, ConsoleSession) if document is not None else None
        except msgspec.ValidationError:
            return None
        now = self._clock()
        if session is None or not 0 <= now - session.started_at < self._max_s:
            return None
        if not 0 <= now - session.seen_at < self._idle_s:
            return None
        if now - session.seen_at >= _TOUCH_S:
            # One that was ended meanwhile stays ended: only what is still there is replaced.
            touched = msgspec.structs.replace(session, seen_at=now)
            self._store.swap(_key(cookie), _document(session), _document(touched), self._lives_s(touched))
        return session

    def end(self, cookie: str | None) -> None:
        if cookie and len(cookie) <= 64:
            self._store.take(_key(cookie))

    def _put(self, cookie: str, session: ConsoleSession) -> None:
        self._store.put(_key(cookie), _document(session), self._lives_s(session))

    def _lives_s(self, session: ConsoleSession) -> int:
        return max(1, min(self._idle_s, session.started_at + self._max_s - self._clock()))


def csrf_token(cookie: str) -> str:
    """What every form of this session carries."""
    return seal.mac(seal.derive(cookie.encode("utf-8"), "csrf"), "console")


def _key(cookie: str) -> str:
    return f"console:{seal.digest(cookie)}"


def _document(session: ConsoleSession) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(session)
    return made
