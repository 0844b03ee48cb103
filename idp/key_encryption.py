"""The key-encryption key: what we seal that is read without a holder's secret is sealed under it.

That are our signing keys and where the credentials of sessions stand, in the database; questions to wallets and user
codes, in the Store; and the word that a key which signed the audit was ours. Whoever seals something has a `Sealing`
for that purpose alone.

While the key is being changed a deployment knows two. Which of them seals is written in the database
(`models.KeyEncryption`), so that it changes for all nodes at once; each node opens what either has sealed. With one
key nothing is asked of the database. `idp.admin.rewrapping` changes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from idp.clock import Clock
from idp.hsm import Hsm
from idp.models import KeyEncryption as Row
from idp.models import db
from idp.seal import CannotOpen, derive, mac, open_bytes, seal_bytes
from idp.settings import Secret, Settings

LOOK_EVERY_S = 5
"""How old a process's picture of which key seals may be."""
_ADVISORY_LOCK = (
    0x73696E6B657973  # "sinkeys"; PostgreSQL: one process at a time makes keys, or changes this one
)


class KeyEncryption:
    """The key-encryption keys of one deployment: one, or two of 32 bytes each. Threads may share it.

    With `following`, methods of it and of its sealings need the application context.
    """

    def __init__(self, key: bytes, following: bytes | None = None, clock: Clock | None = None) -> None:
        self._keys = (key,) if following is None else (key, following)
        self._clock = clock
        self._lock = threading.Lock()
        self._following_seals = False
        self._looked_at: int | None = None

    @property
    def is_changing(self) -> bool:
        """Whether there are two."""
        return len(self._keys) == 2

    @property
    def following(self) -> str:
        """The fingerprint of the one that is to seal."""
        return fingerprint(self._keys[-1])

    def sealing(self, purpose: str) -> Sealing:
        """A way to seal and open for one purpose, now and whichever key seals then."""
        return Sealing(tuple(derive(key, purpose) for key in self._keys), self._seals)

    def look(self, database: Session) -> None:
        """Learn which key seals, as the caller's transaction sees it."""
        if self.is_changing:
            self._note(database.scalar(select(Row.fingerprint)))

    def _seals(self) -> int:
        """The number of the key that seals."""
        if not self.is_changing:
            return 0
        now = self._clock() if self._clock is not None else 0
        if self._looked_at is None or not 0 <= now - self._looked_at < LOOK_EVERY_S:
            # A connection of its own: a reader must not end or join the transaction of whoever is sealing.
            with db.engine.connect() as connection:
                self._note(connection.scalar(select(Row.fingerprint)))
        return int(self._following_seals)

    def _note(self, found: str | None) -> None:
        with self._lock:
            self._following_seals = found == self.following
            self._looked_at = self._clock() if self._clock is not None else None


class Sealing:
    """Seals for one purpose under the key that is in force, and opens what was sealed under any."""

    def __init__(self, keys: tuple[bytes, ...], seals: Callable[[], int]) -> None:
        self._keys = keys
        self._seals = seals

    def seal(self, plaintext: bytes, what: str) -> str:
        """Sealed as `idp.seal.seal_bytes` does it; `what` is bound to it and must be said when it is opened."""
        return seal_bytes(self._keys[self._seals()], plaintext, what)

    def open(self, sealed: str, what: str) -> bytes:
        """Raises CannotOpen."""
        return self._opened(sealed, what)[1]

    def rewrapped(self, sealed: str, what: str) -> str | None:
        """The same sealed under the key in force, None where it is already. Raises CannotOpen."""
        number, plaintext = self._opened(sealed, what)
        return None if number == self._seals() else self.seal(plaintext, what)

    def mac(self, *parts: str) -> str:
        """HMAC of parts (`idp.seal.mac`) under the key in force."""
        return mac(self._keys[self._seals()], *parts)

    def macs(self, *parts: str) -> tuple[str, ...]:
        """The same under each key, the one in force first: what was once made is one of them."""
        first = self._seals()
        return tuple(
            mac(self._keys[number], *parts) for number in sorted(range(len(self._keys)), key=first.__ne__)
        )

    def _opened(self, sealed: str, what: str) -> tuple[int, bytes]:
        first = self._seals()
        for number in sorted(range(len(self._keys)), key=first.__ne__):
            try:
                return number, open_bytes(self._keys[number], sealed, what)
            except CannotOpen:
                continue
        raise CannotOpen(what)


def of(settings: Settings, hsm: Hsm | None, clock: Clock) -> KeyEncryption:
    """The deployment's keys, from their files or from the HSM. Raises HsmError."""
    key = _key(settings.secrets.key_encryption_key, settings.hsm.key_encryption_key, hsm)
    following = _key(settings.secrets.next_key_encryption_key, settings.hsm.next_key_encryption_key, hsm)
    return KeyEncryption(key, following or None, clock)


def _key(secret: Secret, label: str, hsm: Hsm | None) -> bytes:
    return hsm.secret(label) if label and hsm is not None else secret.reveal()


def fingerprint(key: bytes) -> str:
    """What names a key without telling anything of it: 16 hex digits."""
    return derive(key, "fingerprint", 8).hex()


def lock(database: Session) -> None:
    """Until the caller's transaction ends nobody else makes signing keys, or changes which key seals."""
    if database.get_bind().dialect.name == "postgresql":
        database.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
