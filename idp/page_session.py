"""Who is signed in at a page of our own: the console, and the holder's page.

A session is found by the SHA-256 of its cookie, which is not the browser's single sign-on: it opens that one page, for
a short time, and every form of it carries a token made from the cookie.
"""

from __future__ import annotations

from typing import Any

import msgspec

from idp import seal
from idp.clock import Clock
from idp.store import Store

_TOUCH_S = 30
_MAX_COOKIE_CHARS = 64


class PageSession(msgspec.Struct, frozen=True):
    """`who` is signed in: an administrator's id, or a Subject's. Stored under `<page>:<sha256>` of its cookie."""

    who: str
    started_at: int
    seen_at: int


class PageSessions:
    """The sessions of one page: they end after `idle_s` without use, and `max_s` in all."""

    def __init__(self, page: str, store: Store, clock: Clock, *, idle_s: int, max_s: int) -> None:
        self._page = page
        self._store = store
        self._clock = clock
        self.idle_s = idle_s
        self._max_s = max_s

    def start(self, who: str) -> str:
        """A new session; the secret for its cookie."""
        cookie = seal.random_token()
        now = self._clock()
        session = PageSession(who, started_at=now, seen_at=now)
        self._store.put(self._key(cookie), _document(session), self._lives_s(session))
        return cookie

    def find(self, cookie: str | None) -> PageSession | None:
        """The live session of this cookie; finding it counts as use."""
        if not cookie or len(cookie) > _MAX_COOKIE_CHARS:
            return None
        document = self._store.get(self._key(cookie))
        try:
            session = msgspec.convert(document, PageSession) if document is not None else None
        except msgspec.ValidationError:  # of another version of this program
            return None
        now = self._clock()
        if session is None or not 0 <= now - session.started_at < self._max_s:
            return None
        if not 0 <= now - session.seen_at < self.idle_s:
            return None
        ended = self._store.get(self._all_key(session.who))
        if ended is not None and session.started_at <= int(ended["at"]):
            return None
        if now - session.seen_at >= _TOUCH_S:
            # One that was ended meanwhile stays ended: only what is still there is replaced.
            touched = msgspec.structs.replace(session, seen_at=now)
            lives_s = self._lives_s(touched)
            self._store.swap(self._key(cookie), _document(session), _document(touched), lives_s)
        return session

    def end(self, cookie: str | None) -> None:
        if cookie and len(cookie) <= _MAX_COOKIE_CHARS:
            self._store.take(self._key(cookie))

    def end_all(self, who: str) -> None:
        """End every session of this page that they began until now, to the second, in whatever browser."""
        self._store.put(self._all_key(who), {"at": self._clock()}, self._max_s)

    def csrf_token(self, cookie: str) -> str:
        """What every form of this session carries."""
        return seal.mac(seal.derive(cookie.encode("utf-8"), "csrf"), self._page)

    def _lives_s(self, session: PageSession) -> int:
        return max(1, min(self.idle_s, session.started_at + self._max_s - self._clock()))

    def _all_key(self, who: str) -> str:
        return f"{self._page}-all:{seal.digest(who)}"

    def _key(self, cookie: str) -> str:
        return f"{self._page}:{seal.digest(cookie)}"


def _document(session: PageSession) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(session)
    return made
