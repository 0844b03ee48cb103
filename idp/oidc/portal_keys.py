"""Portals' public keys: registered by value (`jwks`), or kept by the portal at its `jwks_uri`.

A set from a `jwks_uri` is kept in this process for `ttl_s`. A `kid` that is not in it makes us ask again, at most
once in `refetch_s` for an address, so that a stranger who invents kids cannot make us hammer a portal. While the
address fails, or answers with what is no JWK Set, the last good set stands for `stale_s`: a key that the portal has
withdrawn is then believed that long at most. Threads that want the same set share one fetch.

A set is read key by key: what is malformed, weak, private or symmetric is no key of the portal's, and the others
stand (RFC 7517, section 5). Key material in a JWT's own header is never looked at.

Specs: RFC 7517, RFC 7518, RFC 8037, RFC 8725; OpenID Connect Core 1.0, sections 10.1.1 and 10.2.1.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp import strict_json
from idp.clock import Clock
from idp.fetch import FetchError
from idp.portals import Registration
from idp.portals.rules import ENCRYPTION_ALGORITHMS, KEY_TYPES, SIGNING_ALGORITHMS
from idp.seal import unb64

log = logging.getLogger(__name__)

Key = ECKey | RSAKey | OKPKey
Use = Literal["sig", "enc"]

ACCEPT = "application/jwk-set+json, application/json"
"""What `fetch` asks a `jwks_uri` for (RFC 7517, section 8.5)."""

MAX_DOCUMENT_BYTES = 131_072  # certificates in x5c make sets large
MAX_KEYS = 64
MAX_TRIED = 8
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # a signature check stays under a millisecond
_MAX_EXPONENT_BYTES = 8
_MAX_KID = 256
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_COORDINATE_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66}
_EDWARDS_BYTES = {"Ed25519": 32, "X25519": 32}
_OPERATIONS: Mapping[Use, frozenset[str]] = {
    "sig": frozenset({"verify"}),
    "enc": frozenset({"encrypt", "wrapKey", "deriveKey", "deriveBits"}),
}
_SAME_ALGORITHM = {"Ed25519": "EdDSA"}  # RFC 9864 gave the one curve that we take a name of its own


class NoUsableKey(ValueError):
    """The portal has no key that fits: none registered, none of that kind, or its `jwks_uri` cannot be read."""

    def __init__(self, problem: str, client_id: str | None = None) -> None:
        super().__init__(problem)
        self.client_id = client_id


@dataclass(frozen=True)
class PortalKey:
    """One public key of a set, with what its JWK says it is for."""

    kty: str
    crv: str | None
    kid: str | None
    use: str | None
    alg: str | None
    key_ops: frozenset[str] | None
    key: Key

    def fits(self, alg: str, use: Use) -> bool:
        """Whether the key may be used with this algorithm; what its JWK leaves open, it allows."""
        named = _SAME_ALGORITHM.get(self.alg, self.alg) if self.alg else alg
        return (
            (self.kty, self.crv) in KEY_TYPES.get(alg, ())
            and named == alg
            and self.use in {None, use}
            and (self.key_ops is None or not self.key_ops.isdisjoint(_OPERATIONS[use]))
        )


class PortalKeys:
    """The public keys of every portal. Threads share one.

    `fetch` is the guarded client: it takes a URI and returns the body, or raises FetchError. `max_sets` bounds how
    many addresses are remembered.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        clock: Clock,
        *,
        ttl_s: int = 300,
        refetch_s: int = 10,
        stale_s: int = 86_400,
        max_sets: int = 1000,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._ttl_s = ttl_s
        self._refetch_s = refetch_s
        self._stale_s = stale_s
        self._max_sets = max_sets
        self._lock = threading.Lock()
        self._sets: OrderedDict[str, _Fetched] = OrderedDict()

    def verifying(self, registration: Registration, *, alg: str, kid: str | None) -> list[Key]:
        """The keys that may have made a signature with this `alg`; those of this `kid` alone when one is named.

        At most MAX_TRIED; empty when there is none, and for an `alg` that is not one of SIGNING_ALGORITHMS.
        """
        if alg not in SIGNING_ALGORITHMS or not (kid is None or isinstance(kid, str)):
            return []
        found = [
            known.key
            for known in self._set(registration, kid)
            if known.fits(alg, "sig") and (kid is None or known.kid == kid)
        ]
        return found[:MAX_TRIED]

    def known(self, registration: Registration) -> Sequence[PortalKey]:
        """The portal's keys as they are known now, without fetching them again for one that is missing."""
        return self._set(registration, None)

    def encrypting(self, registration: Registration, *, alg: str) -> Key:
        """The key to encrypt to with this `alg`: the first for encryption alone, else the first that may be.

        Raises NoUsableKey.
        """
        if alg not in ENCRYPTION_ALGORITHMS:
            raise NoUsableKey("not an encryption algorithm of ours")
        fitting = [known for known in self._set(registration, None) if known.fits(alg, "enc")]
        # OpenID Connect Core 10.2: a key that is also for signatures is better left to them.
        best = min(fitting, key=lambda known: known.use != "enc", default=None)
        if best is None:
            raise NoUsableKey(
                "the portal has no key to encrypt to with this algorithm", registration.client_id
            )
        return best.key

    def _set(self, registration: Registration, kid: str | None) -> Sequence[PortalKey]:
        if registration.jwks_uri is not None:
            return self._at(registration.jwks_uri, kid)
        try:
            return keys_of(registration.jwks or {"keys": []})
        except ValueError:
            log.warning("%s: the registered jwks is no JWK Set", registration.client_id)
            return ()

    def _at(self, uri: str, kid: str | None) -> Sequence[PortalKey]:
        """The set at an address, asked for again when it is too old or does not have this `kid`."""
        entry = self._entry(uri)
        if self._reason_to_fetch(entry, kid) is not None:
            # A set that is merely due serves on while another thread asks for the next one.
            due = self._usable(entry) and (kid is None or entry.has(kid))
            if entry.fetching.acquire(blocking=not due):
                try:
                    # Who waited here while another thread fetched finds the answer already there.
                    reason = self._reason_to_fetch(entry, kid)
                    if reason is not None:
                        self._refresh(entry, uri, reason)
                finally:
                    entry.fetching.release()
        return entry.keys if self._usable(entry) else ()

    def _usable(self, entry: _Fetched) -> bool:
        # A clock set back makes a set one from the future: that too is no longer known to be good.
        return entry.fetched_at is not None and 0 <= self._clock() - entry.fetched_at < self._stale_s

    def _entry(self, uri: str) -> _Fetched:
        with self._lock:
            entry = self._sets.setdefault(uri, _Fetched())
            self._sets.move_to_end(uri)
            while len(self._sets) > self._max_sets:
                self._sets.popitem(last=False)
            return entry

    def _reason_to_fetch(self, entry: _Fetched, kid: str | None) -> Literal["age", "kid"] | None:
        now = self._clock()
        if entry.failed_at is not None and 0 <= now - entry.failed_at < self._refetch_s:
            return None
        if entry.fetched_at is None or not 0 <= now - entry.fetched_at < self._ttl_s:
            return "age"
        if kid is None or entry.has(kid):
            return None
        # Only what kids caused is counted: keys changed right after a fetch because of age are found at once.
        asked = entry.asked_for_kid_at
        return None if asked is not None and 0 <= now - asked < self._refetch_s else "kid"

    def _refresh(self, entry: _Fetched, uri: str, reason: Literal["age", "kid"]) -> None:
        try:
            keys = read(self._fetch(uri))
        except FetchError as error:
            entry.failed_at = self._clock()
            log.warning("a portal's jwks_uri cannot be fetched (%s); its last good keys stand", error.reason)
        except ValueError:
            entry.failed_at = self._clock()
            log.warning("a portal's jwks_uri has no JWK Set; its last good keys stand")
        else:
            entry.keys, entry.fetched_at, entry.failed_at = keys, self._clock(), None
        if reason == "kid":
            # Noted last: until then, whoever wants this kid waits for the answer instead of going without.
            entry.asked_for_kid_at = self._clock()


@dataclass
class _Fetched:
    """What is known of one address. Written by the thread that holds `fetching`; read by all."""

    fetching: threading.Lock = field(default_factory=threading.Lock)
    keys: tuple[PortalKey, ...] = ()
    fetched_at: int | None = None
    failed_at: int | None = None
    asked_for_kid_at: int | None = None

    def has(self, kid: str) -> bool:
        return any(known.kid == kid for known in self.keys)


def read(document: bytes) -> tuple[PortalKey, ...]:
    """The usable keys of a JWK Set's JSON text. Raises ValueError when it is none, or too large."""
    return keys_of(strict_json.loads_object(document, max_bytes=MAX_DOCUMENT_BYTES))


def keys_of(jwks: Mapping[str, Any]) -> tuple[PortalKey, ...]:
    """The usable keys of a JWK Set, in its order; others are left out (RFC 7517, section 5).

    Raises ValueError: no array `keys`, or more than MAX_KEYS in it.
    """
    members = jwks.get("keys")
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise ValueError("not a JWK Set")
    return tuple(known for member in members if (known := _key(member)) is not None)


@dataclass(frozen=True)
class Described:
    """One member of a JWK Set as its owner may want to hear of it; what it says of itself, cut to what can be shown.

    `problem`: why it is no key that we can use; `no_kid` and `kid_twice` are warnings about one that is used.
    """

    kty: str
    crv: str
    kid: str
    use: str
    alg: str
    problem: Literal["", "private", "unusable", "unknown_kind", "no_kid", "kid_twice"]

    @property
    def is_used(self) -> bool:
        return self.problem in {"", "no_kid", "kid_twice"}


def described(document: bytes) -> list[Described]:
    """Every member of a JWK Set's JSON text. Raises ValueError as `read` does."""
    jwks = strict_json.loads_object(document, max_bytes=MAX_DOCUMENT_BYTES)
    keys_of(jwks)
    members: list[Any] = jwks["keys"]
    kids = [member.get("kid") for member in members if isinstance(member, dict)]
    return [_described(member, kids) for member in members]


def _described(jwk: Any, kids: Sequence[Any]) -> Described:
    given = jwk if isinstance(jwk, dict) else {}
    texts = {name: str(given.get(name, ""))[:64] for name in ("kty", "crv", "kid", "use", "alg")}
    problem: Literal["", "private", "unusable", "unknown_kind", "no_kid", "kid_twice"] = ""
    if not _PRIVATE_MEMBERS.isdisjoint(given):
        problem = "private"
    elif given.get("kty") not in {"EC", "OKP", "RSA"}:
        problem = "unknown_kind"
    elif _key(jwk) is None:
        problem = "unusable"
    elif "kid" not in given:
        problem = "no_kid"
    elif kids.count(given["kid"]) > 1:
        problem = "kid_twice"
    return Described(problem=problem, **texts)


def _key(jwk: Any) -> PortalKey | None:
    """One key of a set, or None when it is not a public key that we can use."""
    if not isinstance(jwk, dict) or not _PRIVATE_MEMBERS.isdisjoint(jwk):
        return None
    texts = {name: jwk.get(name) for name in ("kty", "crv", "kid", "use", "alg")}
    if any(not (text is None or isinstance(text, str)) for text in texts.values()):
        return None
    operations = jwk.get("key_ops")
    if operations is not None and not (
        isinstance(operations, list) and all(isinstance(operation, str) for operation in operations)
    ):
        return None
    kid = texts["kid"]
    if kid is not None and len(kid) > _MAX_KID:
        return None
    try:
        key = _imported(jwk)
    except (JoseError, ValueError, TypeError):
        return None
    return PortalKey(
        kty=jwk["kty"],
        crv=texts["crv"] if jwk["kty"] != "RSA" else None,
        kid=kid,
        use=texts["use"],
        alg=texts["alg"],
        key_ops=frozenset(operations) if operations is not None else None,
        key=key,
    )


def _imported(jwk: Mapping[str, Any]) -> Key:
    """The key made of its necessary members and its `kid` alone. Raises ValueError, TypeError or JoseError."""
    kid = {"kid": jwk["kid"]} if "kid" in jwk else {}
    match jwk.get("kty"):
        case "EC":
            size = _COORDINATE_BYTES.get(jwk["crv"]) if isinstance(jwk.get("crv"), str) else None
            if size is None or any(len(_bytes(jwk, name)) != size for name in ("x", "y")):
                raise ValueError("not a point of a curve we know")
            return ECKey.import_key({"kty": "EC", **{name: jwk[name] for name in ("crv", "x", "y")}, **kid})
        case "OKP":
            size = _EDWARDS_BYTES.get(jwk["crv"]) if isinstance(jwk.get("crv"), str) else None
            if size is None or len(_bytes(jwk, "x")) != size:
                raise ValueError("not a key of a curve we know")
            return OKPKey.import_key({"kty": "OKP", "crv": jwk["crv"], "x": jwk["x"], **kid})
        case "RSA":
            n, e = _bytes(jwk, "n"), _bytes(jwk, "e")
            bits = int.from_bytes(n, "big").bit_length()
            if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS or len(e) > _MAX_EXPONENT_BYTES:
                raise ValueError("too weak, or too much work")
            return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"], **kid})
        case _:
            raise ValueError("not a kind of key we know")


def _bytes(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) > MAX_RSA_BITS:
        raise ValueError(name)
    return unb64(value)


class _Registry(jws.JWSRegistry):
    """joserfc's registry for one algorithm, with room for a request object's claims."""

    max_header_length = 8192
    max_payload_length = 65_536

    def get_alg(self, name: str) -> JWSAlgModel:
        # joserfc warns of "EdDSA", whose curve the name leaves open; the keys that come here are Ed25519 alone.
        if name == "EdDSA" and name in (self.allowed or ()):
            return self.algorithms[name]
        return super().get_alg(name)


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """A compact JWS by a portal's private key: what a portal does, for a trial of one. `header` has `alg`."""
    registry = _Registry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(dict(header), json.dumps(dict(claims)), key, registry=registry)


def signed_payload(text: str, keys: Sequence[Key], *, alg: str) -> bytes:
    """The payload of a compact JWS that one of these keys has signed with exactly this `alg`.

    The header is not judged here, but for `alg`. Raises ValueError.
    """
    registry = _Registry(algorithms=[alg], strict_check_header=False)
    for key in keys:
        try:
            payload = jws.deserialize_compact(text, key, registry=registry).payload
        except (JoseError, ValueError, TypeError):
            continue
        if payload is not None:
            return payload
    raise ValueError("no key of the portal's verifies it")
