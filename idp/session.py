"""One browser's session: an earlier presentation that still holds (decision D14).

The record in the Store is found by the SHA-256 of the cookie, and what the wallet showed is sealed under it: a dump
of the Store names nobody. A session ends after `session_idle_s` unused or `session_max_s` in all, and a new one has
a new cookie.

Two places know a session. The Store says whether it still lives: it counts the idle time, and emptied it has ended
them all. A row (`models.SignedIn`, and a `SessionPortal` for each portal it was used at) outlives it, so that the
end can be told to those portals: `idp.oidc.backchannel` does that. Nothing here ends a row.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session as Database

from idp import seal
from idp.clock import Clock
from idp.errors import LoginError
from idp.key_encryption import Sealing
from idp.login import Answer, Proof, Standing, Via
from idp.models import SignedIn
from idp.settings import Settings
from idp.store import Store

STANDING = "standing"
"""What the key-encryption key is used for here."""
_PURPOSE = "session"
# Understood by PostgreSQL and SQLite alike. Most portals are new to a session, and few are not.
_SIGNED_IN = insert(SignedIn)
_USED_AT = text(
    "INSERT INTO session_portal (session_id, client_id, sid, since) VALUES (:session_id, :client_id, :sid, :since)"
    " ON CONFLICT DO NOTHING"
)
_STANDING_STEP = 1024  # the size of a sealed standing tells nothing finer of its list and its chain


class Session(msgspec.Struct, frozen=True):
    """A signed-in browser. `id` is neither its cookie nor a `sid`: of those, each sector has its own."""

    id: str
    subject_id: str
    via: Via
    presented_at: int
    acr: str
    amr: tuple[str, ...]
    sealed_proof: str
    started_at: int
    encrypted: bool = True

    def answer(self) -> Answer:
        """The presentation this session rests on, as the answer to a new login."""
        return Answer(
            via="session",
            sealed_proof="",
            presented_at=self.presented_at,
            acr=self.acr,
            amr=self.amr,
            encrypted=self.encrypted,
        )


class Sessions:
    """The drawer of sessions."""

    def __init__(self, store: Store, settings: Settings, clock: Clock, sealing: Sealing) -> None:
        """`sealing`: for what the worker must read without a holder's cookie, where a session's credential stands."""
        self._store = store
        self._sealing = sealing
        self._idle_s = settings.lifetimes.session_idle_s
        self._max_s = settings.lifetimes.session_max_s
        self._clock = clock

    def start(
        self,
        database: Database,
        subject_id: str,
        answer: Answer,
        proof: Proof,
        *,
        before: Session | None = None,
    ) -> tuple[Session, str]:
        """A new session, and the secret for its cookie. Its row is written in the caller's transaction.

        `before` is the session that this browser had, taken out of the Store by `end`. The same person's goes on
        under its `id`: the portals in it know it by the same `sid`. Whether it did is seen from the `id`; another
        person's is the caller's to end.

        The Store comes first: nobody ever sees the row of a session that does not live yet. If the transaction then
        fails, the cookie reaches nobody.
        """
        cookie = seal.random_token()
        now = self._clock()
        row = None
        if before is not None and before.subject_id == subject_id:
            row = _locked(database, before.id)
        goes_on = row is not None and row.ended_at is None
        session = Session(
            id=before.id if before is not None and goes_on else seal.random_token(16),
            subject_id=subject_id,
            via=answer.via,
            presented_at=answer.presented_at,
            acr=answer.acr,
            amr=answer.amr,
            sealed_proof=seal.under(cookie, msgspec.json.encode(proof), _PURPOSE),
            started_at=now,
            encrypted=answer.encrypted,
        )
        self._store.put(_key(cookie), _document(session), min(self._idle_s, self._max_s))
        self._store.put(_id_key(session.id), {"key": _key(cookie)}, self._max_s)
        if row is not None and goes_on:
            row.ends_at, row.checked_at = now + self._max_s, now
            row.sealed_standing = self._sealed(session.id, proof.standing)
            database.flush()
        else:
            self._record(database, session, self._sealed(session.id, proof.standing))
        return session, cookie

    def standing(self, session_id: str, sealed: str) -> Standing:
        """Where the credential behind a session can be asked about. Raises seal.CannotOpen."""
        opened = self._sealing.open(sealed, standing_purpose(session_id))
        return msgspec.json.decode(opened, type=Standing)

    def _sealed(self, session_id: str, standing: Standing | None) -> str | None:
        if standing is None:
            return None
        plain = msgspec.json.encode(standing)
        padded = plain + b" " * (-len(plain) % _STANDING_STEP)
        return self._sealing.seal(padded, standing_purpose(session_id))

    def _record(self, database: Database, session: Session, sealed_standing: str | None = None) -> None:
        columns = {
            "id": session.id,
            "subject_id": session.subject_id,
            "started_at": session.started_at,
            "ends_at": session.started_at + self._max_s,
            "checked_at": self._clock(),
            "sealed_standing": sealed_standing,
        }
        database.connection().execute(_SIGNED_IN, columns)

    def find(self, cookie: str | None) -> Session | None:
        """The live session of this browser; finding it counts as use."""
        if not cookie or len(cookie) > 64:
            return None
        document = self._store.get(_key(cookie))
        session = _read(document)
        if document is None or session is None:
            return None
        left_s = session.started_at + self._max_s - self._clock()
        if left_s <= 0:
            self._store.take(_key(cookie))
            return None
        # A session that another request just ended must stay ended: swap, never put.
        lives = self._store.swap(_key(cookie), document, document, min(self._idle_s, left_s))
        return session if lives else None

    def proof(self, session: Session, cookie: str) -> Proof:
        """What the wallet showed when this session began. Raises seal.CannotOpen."""
        return msgspec.json.decode(seal.open_under(cookie, session.sealed_proof, _PURPOSE), type=Proof)

    def end(self, cookie: str | None) -> Session | None:
        """End this browser's session; the session it was, or None."""
        if not cookie or len(cookie) > 64:
            return None
        return _read(self._store.take(_key(cookie)))

    def sid(self, session_id: str, sector: str) -> str:
        """The `sid` that portals of this sector see: like `sub`, it must not link a person across portals."""
        return seal.mac(seal.derive(session_id.encode("utf-8"), "sid"), sector)

    def introduce(
        self, database: Database, session: Session, *, client_id: str, sector: str, is_held: bool = False
    ) -> None:
        """From now on this portal is told when the session ends, and may end it by its `sid`.

        is_held: whether its row was written in this transaction, so that nobody else can end it meanwhile.

        Raises LoginError `login_expired` when the session ended while this sign-in was under way: whoever ended it no
        longer tells this portal.
        """
        if not is_held:
            row = _locked(database, session.id)
            if row is None:  # it began before sessions had rows
                self._record(database, session)
            elif row.ended_at is not None:
                raise LoginError("login_expired", "the session has ended", status=410)
        sid = self.sid(session.id, sector)
        self._store.put(_sid_key(sid), {"id": session.id}, self._max_s)
        used_at = {"session_id": session.id, "client_id": client_id, "sid": sid, "since": self._clock()}
        database.execute(_USED_AT, used_at)

    def lives(self, session_id: str) -> bool:
        """Whether a session can still answer a request. Asking does not count as use."""
        pointer = self._store.get(_id_key(session_id))
        return pointer is not None and self._store.get(str(pointer["key"])) is not None

    def end_by_id(self, session_id: str) -> Session | None:
        """End a session that is known by its id alone; the session it was, or None."""
        pointer = self._store.take(_id_key(session_id))
        return _read(self._store.take(str(pointer["key"]))) if pointer is not None else None

    def end_by_sid(self, sid: str) -> Session | None:
        """End a session by its `sid`: the browser's cookie is not always there to say which (a cross-site POST)."""
        known = self._store.take(_sid_key(sid)) if 0 < len(sid) <= 64 else None
        return self.end_by_id(str(known["id"])) if known is not None else None


def _read(document: dict[str, Any] | None) -> Session | None:
    """A stored record that does not fit today's shape counts as ended (a rolling deploy)."""
    try:
        return msgspec.convert(document, Session) if document is not None else None
    except msgspec.ValidationError:
        return None


def _locked(database: Database, session_id: str) -> SignedIn | None:
    """A session's row, kept from ending until the transaction is over. On SQLite the transaction does that."""
    locked = select(SignedIn).where(SignedIn.id == session_id).with_for_update()
    return database.scalar(locked, execution_options={"populate_existing": True})


def standing_purpose(session_id: str) -> str:
    """What a sealed standing is bound to."""
    return f"standing:{session_id}"


def _sid_key(sid: str) -> str:
    return f"sid:{sid}"


def _id_key(session_id: str) -> str:
    return f"session-id:{session_id}"


def _key(cookie: str) -> str:
    return f"session:{seal.digest(cookie)}"


def _document(session: Session) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(session)
    return document
