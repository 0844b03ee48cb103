"""Our signing keys: the one place that holds a private half.

A key is published (others can learn it), then active (it signs), then retiring (what it signed is still
checked), then gone. Which, follows from four times and the clock alone: nobody has to run for a key to change
its state, and every process agrees. One key of an algorithm is active at any time: the next becomes active
the second the last one starts retiring.

A private half rests sealed under the key-encryption key. A row is published only if its private half opens
and has the row's thumbprint, so a public key planted in the database does not reach the JWKS. Of a key that lives in
an HSM (`idp.hsm`) the sealed part says where it is; it is published though the HSM be away, and then does not sign.

Measured (joserfc 1.8, one core): a signature takes 0.04 ms with ES256 and 0.23 ms with RS256 or PS256 (2048 bits);
opening an RSA key takes 30 ms, once per process.

ES256 and RS256 keys exist from the start. An RSA key takes a while to make: one for PS256 is made when the first
portal registers that algorithm (`ensure`), not while something is being signed.

Spec: RFC 7517, RFC 7638 (kid), OpenID Connect Core 10.1.1 (rotation).
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from joserfc import jwt
from joserfc.jwk import Key, import_key
from sqlalchemy import select
from sqlalchemy.orm import Session

from idp import key_encryption
from idp.clock import Clock
from idp.hsm import Hsm
from idp.key_encryption import KeyEncryption
from idp.models import SigningKey, db, writing
from idp.private_halves import (
    PUBLIC_MEMBERS,
    SIGNING_ALGORITHMS,
    PrivateHalves,
    PrivateKey,
    WrongKeyEncryptionKey,
    public_members,
)

__all__ = [
    "PUBLIC_MEMBERS",
    "SIGNING_ALGORITHMS",
    "Keys",
    "Listed",
    "NoSigningKey",
    "RotationPending",
    "State",
    "UnknownKey",
    "WrongKeyEncryptionKey",
    "state",
]

State = Literal["published", "active", "retiring", "gone"]
_JWKS_MAX_AGE_S = 1


class NoSigningKey(Exception):
    """No key of this algorithm is active: `ensure` has not run, or the algorithm is not one of ours."""


class RotationPending(Exception):
    """The next key is already published; it becomes active on its own, or now with `at_once`."""


class UnknownKey(Exception):
    """No key of ours has this kid, or it is gone."""


class Times(Protocol):
    """When a key changes its state, seconds since the epoch; it is published from the start."""

    @property
    def active_at(self) -> int: ...
    @property
    def retiring_at(self) -> int | None: ...
    @property
    def gone_at(self) -> int | None: ...


def state(row: Times, now: int) -> State:
    """What a key is at a time."""
    if row.gone_at is not None and now >= row.gone_at:
        return "gone"
    if row.retiring_at is not None and now >= row.retiring_at:
        return "retiring"
    return "active" if now >= row.active_at else "published"


@dataclass(frozen=True)
class Listed:
    """A key as the command line shows it."""

    kid: str
    alg: str
    state: State
    published_at: int
    active_at: int
    retiring_at: int | None
    gone_at: int | None
    place: str = ""
    """Where its private half is: "database", or "hsm:" and its id there; empty where it is gone, or does not open."""


@dataclass(frozen=True)
class _Known:
    """A row with its key opened."""

    kid: str
    alg: str
    key: PrivateKey
    in_hsm: bytes | None
    published_at: int
    active_at: int
    retiring_at: int | None
    gone_at: int | None


class Keys:
    """The keys of this deployment. Threads may share one; its methods need the application context.

    `publish_s`: how long a new key stands in the JWKS before it signs. `retire_s`: how long an old one stays after
    it signed last. `reload_s`: how old a process's picture of the table may be, and so how long a removed key may
    still be believed. `hsm`: where those are that live in one; with `in_hsm` new ones are made there.
    """

    def __init__(
        self,
        kek: KeyEncryption,
        clock: Clock,
        publish_s: int,
        retire_s: int,
        reload_s: int = 60,
        *,
        algs: tuple[str, ...] = ("ES256", "RS256"),
        hsm: Hsm | None = None,
        in_hsm: bool = False,
    ) -> None:
        self._kek = kek
        self._halves = PrivateHalves(kek, hsm, in_hsm=in_hsm)
        self._clock = clock
        self._publish_s = publish_s
        self._retire_s = retire_s
        self._reload_s = reload_s
        self.algs = algs
        self._lock = threading.Lock()
        self._known: Mapping[str, _Known] = {}
        self._loaded_at: int | None = None

    # Reading

    def signing_key(self, alg: str) -> PrivateKey:
        """The one key that signs with this algorithm now; its `kid` is set. Raises NoSigningKey.

        What it is asked to sign may raise HsmError.
        """
        return self._active(alg).key

    def check(self, algs: Iterable[str] | None = None) -> None:
        """That a key of each algorithm can sign now; of ours, where none is named. A second old at most.

        Raises NoSigningKey, WrongKeyEncryptionKey, HsmError.
        """
        for alg in self.algs if algs is None else algs:
            inside = self._active(alg).in_hsm
            if inside is not None:
                self._halves.check(inside)

    def sign_jwt(self, typ: str, claims: Mapping[str, Any], alg: str) -> str:
        """A signed JWT (compact) with `typ`, `alg` and `kid` in its header. Raises NoSigningKey, HsmError."""
        known = self._active(alg)
        header = {"typ": typ, "alg": alg, "kid": known.kid}
        return jwt.encode(header, dict(claims), known.key, algorithms=[alg], default_type=None)

    def verification_key(self, kid: str) -> Key:
        """The public key that a JWT of ours names: published, active or retiring.

        An unknown kid is looked up at once, though once a second at most. Raises UnknownKey.
        """
        for max_age_s in (self._reload_s, _JWKS_MAX_AGE_S):
            now = self._clock()
            known = self._loaded(max_age_s).get(kid)
            if known is not None and state(known, now) != "gone":
                return import_key(public_members(known.key))
        raise UnknownKey

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK Set for others: public members of every key that is not gone, the active ones first.

        A second old at most, since a portal asks again just when another process used a key it did not know.
        """
        now = self._clock()
        order = {"active": 0, "published": 1, "retiring": 2}
        shown = [known for known in self._loaded(_JWKS_MAX_AGE_S).values() if state(known, now) != "gone"]
        shown.sort(key=lambda known: (order[state(known, now)], known.alg, known.active_at))
        return {"keys": [public_members(known.key) for known in shown]}

    def next_kids(self) -> frozenset[str]:
        """The keys that are published and do not sign yet."""
        now = self._clock()
        known = self._loaded(self._reload_s).values()
        return frozenset(one.kid for one in known if state(one, now) == "published")

    def listing(self) -> list[Listed]:
        """Every key there ever was, the oldest first, with its state now."""
        now = self._clock()
        with db.engine.connect() as connection:
            rows = connection.execute(
                select(SigningKey.__table__).order_by(SigningKey.active_at, SigningKey.alg, SigningKey.kid)
            ).all()
        return [
            Listed(
                row.kid,
                row.alg,
                state(row, now),
                row.published_at,
                row.active_at,
                row.retiring_at,
                row.gone_at,
                self._halves.place(row),
            )
            for row in rows
        ]

    # Changing

    def ensure(self, algs: Collection[str] = ()) -> None:
        """See to it that a key of each algorithm, ours and these, is active, making the first ones.

        Processes may call it at once: one of them makes the keys. Not to be called within a transaction that
        writes. Raises WrongKeyEncryptionKey, which is the moment to learn it; NoSigningKey for an algorithm that
        is not one of SIGNING_ALGORITHMS.
        """
        wanted = {*self.algs, *algs}
        if not self._usable(self._loaded(0).values(), self._clock()).issuperset(wanted):
            with writing() as session:
                rows, now = self._locked_rows(session)
                for alg in sorted(wanted - self._usable(rows, now)):
                    self._add(session, alg, now, active_at=now)
        self._forget()

    def rotate_old(self, every_s: int) -> list[str]:
        """Bring in the next key of every algorithm whose key will have signed for `every_s` seconds when the next
        one is due; their kids. Does nothing where the next key is on its way."""
        now = self._clock()
        old = {
            listed.alg
            for listed in self.listing()
            if listed.state == "active" and _signs_long(listed, now, every_s, self._publish_s)
        }
        kids = []
        for alg in sorted(old):
            try:
                kids.append(self.rotate(alg, every_s=every_s))
            except RotationPending:  # its next key is on its way, or another process was quicker
                continue
        return kids

    def rotate(self, alg: str, *, at_once: bool = False, every_s: int | None = None) -> str:
        """Bring in the next key, in the HSM or not as new keys are; returns its kid.

        It is published now and active `publish_s` later, when the old one starts retiring. With `at_once` it
        (or the one already published) is active now, for portals that ask for an unknown kid at once; the
        old one stays in the JWKS. A key that others may have copied is for `remove`. With `every_s` nothing happens
        to a key that has not signed for so long.

        Raises RotationPending, NoSigningKey and HsmError.
        """
        with writing() as session:
            every_row, now = self._locked_rows(session)
            rows = [row for row in every_row if row.alg == alg]
            active = [row for row in rows if state(row, now) == "active"]
            following = _newest(row for row in rows if state(row, now) == "published")
            if not active:
                raise NoSigningKey
            if following is not None and not at_once:
                raise RotationPending(
                    f"The next {alg} key is already published; --at-once signs with it now."
                )
            if every_s is not None and not all(
                _signs_long(row, now, every_s, self._publish_s) for row in active
            ):
                raise RotationPending(f"The {alg} key is young.")
            active_at = now if at_once else now + self._publish_s
            if following is None:
                following = self._add(session, alg, now, active_at=active_at)
            following.active_at = active_at
            for old in active:
                old.retiring_at = active_at
                old.gone_at = active_at + self._retire_s
            kid = following.kid
        self._forget()
        return kid

    def remove(self, kid: str) -> None:
        """Take a key away now: out of the JWKS, its private half destroyed. For one others may have copied.

        In an HSM that does not answer it is destroyed at the next change of keys, and the log says so.

        Where it was the active one, the next is active at once. Other processes follow within `reload_s`.
        Raises UnknownKey.
        """
        with writing() as session:
            rows, now = self._locked_rows(session)
            row = next((row for row in rows if row.kid == kid and state(row, now) != "gone"), None)
            if row is None:
                raise UnknownKey
            was = state(row, now)
            same_alg = [other for other in rows if other.alg == row.alg and other is not row]
            if was == "active":
                following = _newest(other for other in same_alg if state(other, now) == "published")
                (following or self._add(session, row.alg, now, active_at=now)).active_at = now
            if was == "published":
                # The rotation this key was made for does not happen: the active one stays.
                for other in same_alg:
                    if state(other, now) == "active":
                        other.retiring_at = other.gone_at = None
            row.retiring_at = min(row.retiring_at or now, now)
            row.gone_at = row.removed_at = now
            in_hsm = self._halves.is_in_hsm(row)
            if not in_hsm:
                row.sealed_private_jwk = ""
        if in_hsm:
            # No rollback brings it back: it is destroyed when the removal is in force.
            with writing() as session:
                self._locked_rows(session)
        self._forget()

    def _locked_rows(self, session: Session) -> tuple[list[SigningKey], int]:
        """All rows, with every other process kept from changing them, and the time read after the wait.

        What is gone loses its private half.
        """
        key_encryption.lock(session)
        self._kek.look(session)
        now = self._clock()
        rows = list(session.scalars(select(SigningKey).execution_options(populate_existing=True)))
        for row in rows:
            if row.sealed_private_jwk and state(row, now) == "gone":
                self._halves.destroy(row)
        return rows, now

    @staticmethod
    def _usable(rows: Iterable[SigningKey | _Known], now: int) -> set[str]:
        """The algorithms that have a key to sign with, be it one whose time another clock set a little ahead."""
        return {row.alg for row in rows if state(row, now) in {"published", "active"}}

    def _add(self, session: Session, alg: str, now: int, *, active_at: int) -> SigningKey:
        if alg not in SIGNING_ALGORITHMS:
            raise NoSigningKey
        key, sealed = self._halves.make(alg)
        kid = key.thumbprint()
        row = SigningKey(
            kid=kid,
            alg=alg,
            public_jwk=public_members(key),
            sealed_private_jwk=sealed,
            published_at=now,
            active_at=active_at,
        )
        session.add(row)
        return row

    # The picture of the table

    def _active(self, alg: str) -> _Known:
        now = self._clock()
        known = [one for one in self._loaded(self._reload_s).values() if one.alg == alg]
        active = [one for one in known if state(one, now) == "active"]
        if active:
            # Two would need clocks that disagree; even then every process takes the same one.
            return max(active, key=lambda one: (one.active_at, one.kid))
        # A first key made by a process whose clock is ahead: better to sign with it than not at all.
        published = [one for one in known if state(one, now) == "published"]
        if published:
            return min(published, key=lambda one: (one.active_at, one.kid))
        raise NoSigningKey

    def _loaded(self, max_age_s: int) -> Mapping[str, _Known]:
        """The keys that are not gone, as the table had them `max_age_s` ago or later."""
        now = self._clock()
        with self._lock:
            # A clock set back makes the picture one from the future: load again.
            if self._loaded_at is None or not 0 <= now - self._loaded_at < max_age_s:
                self._known = self._load(now)
                self._loaded_at = now
            return self._known

    def _forget(self) -> None:
        with self._lock:
            self._loaded_at = None

    def _load(self, now: int) -> dict[str, _Known]:
        # A connection of its own: a reader must not end or join the transaction of whoever is signing.
        with db.engine.connect() as connection:
            rows = connection.execute(select(SigningKey.__table__)).all()
        return {row.kid: self._open(row) for row in rows if state(row, now) != "gone"}

    def _open(self, row: Any) -> _Known:
        known = self._known.get(row.kid)
        key, in_hsm = self._halves.open(row) if known is None else (known.key, known.in_hsm)
        times = (row.published_at, row.active_at, row.retiring_at, row.gone_at)
        return _Known(row.kid, row.alg, key, in_hsm, *times)


def _signs_long(key: Times, now: int, every_s: int, publish_s: int) -> bool:
    """Whether a key that is replaced now will have signed for `every_s` when it retires."""
    return key.retiring_at is None and now + publish_s >= key.active_at + every_s


def _newest(rows: Iterable[SigningKey]) -> SigningKey | None:
    return max(rows, key=lambda row: (row.active_at, row.kid), default=None)
