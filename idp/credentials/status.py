"""Token Status Lists: does this credential still hold?

Three outcomes: valid (`lookup` returns evidence), revoked or suspended, and unknown: "we could not ask" is never
"revoked", and never "fine". Lists are signed, as JWT or as CWT (`TokenType`), under the mission's own anchors; how
bytes are fetched is handed in, and so are the limits of that (addresses, time, the content type that was asked for).

Specs: draft-ietf-oauth-status-list-20, sections 4, 5.1, 5.2, 6.2, 6.3, 8.3 and 11.5; HAIP 1.0, section 6.1; RFC 8392.
Beyond them: a CWT without COSE's tag, which draft 14 has. Left out: identifier lists, historical resolution, a CoAP
content format in place of a CWT's type.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol

from idp.credentials import cbor, cose, jose
from idp.credentials.ecdsa import PublicKey
from idp.credentials.trust import CredentialTypeTrust, Mission, status_signer
from idp.credentials.verdict import CredentialRejected, Expected, Reason, StatusEvidence
from idp.seal import unb64

MAX_TOKEN_BYTES = 8 * 1024 * 1024
MAX_LIST_BYTES = 16 * 1024 * 1024
SKEW_S = 60
_MAX_URI_CHARS = 2048
_BITS = frozenset({1, 2, 4, 8})
# Claims of a CWT, by what they are called in a JWT (RFC 8392, section 4; draft-ietf-oauth-status-list, section 14.2).
_CWT_CLAIMS: Mapping[int, str] = {2: "sub", 4: "exp", 6: "iat", 65533: "status_list", 65534: "ttl"}


class TokenType(StrEnum):
    """How a Status List Token is written: its media type. An SD-JWT VC's is a JWT, an mdoc's a CWT."""

    JWT = "application/statuslist+jwt"
    CWT = "application/statuslist+cwt"


class StatusUnavailable(Exception):
    """A list could not be fetched. The message names no credential and no index."""


class StatusValue(IntEnum):
    """The registered values (section 7.1). Any other is not valid either."""

    VALID = 0
    REVOKED = 1
    SUSPENDED = 2


class StatusLookup(Protocol):
    """What a format asks once a credential is verified otherwise."""

    def lookup(
        self,
        uri: str,
        idx: int,
        mission: Mission,
        now: int,
        *,
        fail_closed: bool,
        token_type: TokenType = TokenType.JWT,
    ) -> StatusEvidence:
        """Evidence that the entry is VALID.

        Raises CredentialRejected: STATUS_REVOKED, STATUS_SUSPENDED, STATUS_INVALID, STATUS_UNKNOWN.
        """


def status_evidence(
    signed: Mapping[str, Any],
    known: CredentialTypeTrust,
    mission: Mission,
    expected: Expected,
    *,
    token_type: TokenType,
    status: StatusLookup,
    now: int,
) -> StatusEvidence | None:
    """What a credential's own status says of it. None where it has none and its type requires none.

    signed: what its issuer signed, which may have a member `status`.

    Raises CredentialRejected: STATUS_MISSING, and whatever `lookup` raises.
    """
    if "status" not in signed:
        if known.status_required:
            raise CredentialRejected(Reason.STATUS_MISSING, "this type requires a status")
        return None
    uri, idx = _entry(signed["status"])
    fail_closed = expected.status_fail_closed
    return status.lookup(uri, idx, mission, now, fail_closed=fail_closed, token_type=token_type)


def _entry(status: Any) -> tuple[str, int]:
    """uri and idx of `status_list` (sections 6.2 and 6.3).

    A status by a mechanism we do not know is one we cannot check, so it is refused like a malformed one.
    """
    reference = status.get("status_list") if isinstance(status, dict) else None
    if not isinstance(reference, dict):
        raise CredentialRejected(Reason.STATUS_INVALID, "no status_list in status")
    uri, idx = reference.get("uri"), reference.get("idx")
    if not isinstance(uri, str) or len(uri) > _MAX_URI_CHARS or not uri.startswith(("https://", "http://")):
        raise CredentialRejected(Reason.STATUS_INVALID, "uri is not a web address")
    if isinstance(idx, bool) or not isinstance(idx, int) or idx < 0:
        raise CredentialRejected(Reason.STATUS_INVALID, "idx is not an index")
    return uri, idx


@dataclass(frozen=True, slots=True)
class StatusList:
    """A verified list. valid_until: no use from then on (its exp, its signer's certificate), None without end.

    ttl_s: how long its issuer wants it cached, None where it does not say; not clamped.
    """

    bits: int
    entries: bytes
    issued_at: int
    valid_until: int | None
    ttl_s: int | None

    def value(self, idx: int) -> int:
        """The status at an index. Raises CredentialRejected(STATUS_INVALID) outside the list (section 8.3)."""
        if idx < 0 or idx * self.bits >= len(self.entries) * 8:
            raise CredentialRejected(Reason.STATUS_INVALID, "the index is outside the list")
        byte, shift = divmod(idx * self.bits, 8)
        return self.entries[byte] >> shift & (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class _Unverified:
    """A token that is well formed. `check_signature` is still to be called, and only after it `claims`.

    certificates: the signer's chain, DER.
    """

    token_type: TokenType
    certificates: Callable[[], tuple[bytes, ...]]
    check_signature: Callable[[PublicKey], None]
    claims: Callable[[], Mapping[str, Any]]


def parse_token(
    token: bytes, *, uri: str, mission: Mission, now: int, token_type: TokenType = TokenType.JWT
) -> StatusList:
    """The list in a Status List Token of this uri, signed under this mission's anchors, chain in its header.

    Raises CredentialRejected(STATUS_TOKEN), whose detail names the check.
    """
    try:
        unverified = _READERS[token_type](token)
        signer = status_signer(mission, unverified.certificates(), now)
        return _checked(unverified, key=signer.key, uri=uri, now=now, not_after=signer.not_after)
    except CredentialRejected as error:
        raise CredentialRejected(Reason.STATUS_TOKEN, str(error)) from error


def parse_token_with_key(
    token: bytes, *, uri: str, key: PublicKey, now: int, token_type: TokenType = TokenType.JWT
) -> StatusList:
    """As `parse_token`, for a signer whose key is known otherwise. Raises CredentialRejected(STATUS_TOKEN)."""
    try:
        return _checked(_READERS[token_type](token), key=key, uri=uri, now=now, not_after=None)
    except CredentialRejected as error:
        raise CredentialRejected(Reason.STATUS_TOKEN, str(error)) from error


def decode_list(status_list: Any, token_type: TokenType = TokenType.JWT) -> tuple[int, bytes]:
    """The bits of an entry, and the decompressed entries, of a `status_list` (sections 4.2 and 4.3).

    Its lst is base64url in a JWT, and bytes in a CWT.

    Raises CredentialRejected(STATUS_TOKEN): bits not 1, 2, 4 or 8; lst not one whole zlib stream, or larger than
    MAX_LIST_BYTES decompressed.
    """
    if not isinstance(status_list, dict):
        raise CredentialRejected(Reason.STATUS_TOKEN, "no status_list")
    bits, lst = status_list.get("bits"), status_list.get("lst")
    if isinstance(bits, bool) or not isinstance(bits, int) or bits not in _BITS:
        raise CredentialRejected(Reason.STATUS_TOKEN, "bits of status_list")
    if not isinstance(lst, str if token_type is TokenType.JWT else bytes):
        raise CredentialRejected(Reason.STATUS_TOKEN, "lst of status_list")
    stream = zlib.decompressobj()
    try:
        # One byte more than allowed tells a list that fits from one that was cut; a bomb grows no further.
        entries = stream.decompress(unb64(lst) if isinstance(lst, str) else lst, MAX_LIST_BYTES + 1)
    except (ValueError, zlib.error):
        raise CredentialRejected(Reason.STATUS_TOKEN, "lst of status_list is not zlib") from None
    if len(entries) > MAX_LIST_BYTES:
        raise CredentialRejected(Reason.STATUS_TOKEN, "the list is too large")
    if not stream.eof or stream.unused_data:
        raise CredentialRejected(Reason.STATUS_TOKEN, "lst is cut off, or has something after its end")
    return bits, entries


def _read_jwt(token: bytes) -> _Unverified:
    """Section 5.1."""
    try:
        unverified = jose.unverified_jws(token.decode("ascii"), max_chars=MAX_TOKEN_BYTES)
    except UnicodeDecodeError:
        raise CredentialRejected(Reason.MALFORMED, "not ASCII") from None
    if unverified.header.get("typ") != "statuslist+jwt":
        raise CredentialRejected(Reason.HEADER_TYPE, "typ")
    return _Unverified(
        TokenType.JWT,
        certificates=lambda: jose.x5c_chain(unverified.header, Reason.STATUS_TOKEN),
        check_signature=lambda key: jose.check_signature(unverified, key, Reason.ISSUER_SIGNATURE),
        claims=lambda: unverified.payload,
    )


def _read_cwt(token: bytes) -> _Unverified:
    """Section 5.2: a COSE_Sign1, with its tag or (draft 14) without. The chain may stand in either header."""
    value = cbor.loads(token, max_bytes=MAX_TOKEN_BYTES, integer_keys=True, sign1=True)
    unverified = cose.unverified_sign1(value.value if isinstance(value, cbor.Sign1) else value)
    if unverified.header.get(cose.TYP) != TokenType.CWT:
        raise CredentialRejected(Reason.HEADER_TYPE, "typ")
    headers = {**unverified.unprotected, **unverified.header}
    return _Unverified(
        TokenType.CWT,
        certificates=lambda: cose.x5chain(headers, Reason.STATUS_TOKEN),
        check_signature=lambda key: cose.check_signature(unverified, key, Reason.ISSUER_SIGNATURE),
        claims=lambda: _cwt_claims(unverified.payload or b""),
    )


def _cwt_claims(payload: bytes) -> Mapping[str, Any]:
    claims = cbor.loads(payload, max_bytes=MAX_TOKEN_BYTES, integer_keys=True)
    if not isinstance(claims, dict):
        raise CredentialRejected(Reason.MALFORMED, "the claims are not a map")
    return {name: claims[label] for label, name in _CWT_CLAIMS.items() if label in claims}


_READERS: Mapping[TokenType, Callable[[bytes], _Unverified]] = {
    TokenType.JWT: _read_jwt,
    TokenType.CWT: _read_cwt,
}


def _checked(token: _Unverified, *, key: PublicKey, uri: str, now: int, not_after: int | None) -> StatusList:
    """Section 8.3, steps 3 and 4; the signature first, so that nothing unsigned is decompressed."""
    token.check_signature(key)
    claims = token.claims()
    if claims.get("sub") != uri:
        raise CredentialRejected(Reason.STATUS_TOKEN, "sub is not the uri that was asked")
    issued_at = jose.numeric_date(claims, "iat")
    if issued_at is None or issued_at > now + SKEW_S:
        raise CredentialRejected(Reason.STATUS_TOKEN, "iat is missing, or in the future")
    expires_at = jose.numeric_date(claims, "exp")
    if expires_at is not None and now >= expires_at:
        raise CredentialRejected(Reason.EXPIRED, "exp")
    bits, entries = decode_list(claims.get("status_list"), token.token_type)
    ends = [moment for moment in (expires_at, not_after) if moment is not None]
    return StatusList(bits, entries, issued_at, min(ends) if ends else None, _ttl(claims))


def _ttl(claims: Mapping[str, Any]) -> int | None:
    """ttl as its issuer says it. What is no positive number counts as 0: ask again as soon as is polite."""
    if "ttl" not in claims:
        return None
    ttl = claims["ttl"]
    return int(ttl) if isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0 else 0


@dataclass(frozen=True, slots=True)
class KeptList:
    """A list as this process has it, for whoever looks after the service; it names no credential.

    fetched_at and what follows: None where it could never be had. failed: the last attempt to have it did.
    """

    uri: str
    token_type: str
    mission: str
    fetched_at: int | None
    fresh_until: int | None
    usable_until: int | None
    failed: bool


@dataclass(frozen=True, slots=True)
class _Held:
    """A list in the cache. fresh_until: its ttl, clamped; usable_until: while its host cannot be reached."""

    listed: StatusList
    fetched_at: int
    fresh_until: int
    usable_until: int


class _Asked(NamedTuple):
    """Which list is asked for, as which type of token, and under whose anchors it must be signed."""

    uri: str
    token_type: TokenType
    mission: Mission


class _Slot:
    """One list of one mission: what is held of it, and the lock of whoever is fetching it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: _Held | None = None
        self.failure: Exception | None = None
        self.retry_at = 0


def _refusal(value: int) -> CredentialRejected:
    """Why an entry with another value than VALID is refused."""
    if value == StatusValue.REVOKED:
        return CredentialRejected(Reason.STATUS_REVOKED)
    if value == StatusValue.SUSPENDED:
        return CredentialRejected(Reason.STATUS_SUSPENDED)
    return CredentialRejected(Reason.STATUS_INVALID, "a value we do not know")


class StatusLists:
    """Status lists, fetched when needed and kept as long as their issuers and decision D8 allow. Thread-safe.

    fetch: the bytes at a uri, of the type of token that is asked for and no other; raises one of `fetch_errors` when
        it cannot have them. One thread at a time asks for a list; the others wait for what it finds, or use a list
        that has gone stale where they may.
    max_age_s: no list is used for longer.
    default_ttl_s, min_ttl_s: where a list names no ttl; and how short a ttl is heeded.
    retry_s: for so long after a failure nobody asks again.
    max_lists, max_total_bytes: what is kept, the most recently used first.
    """

    def __init__(
        self,
        fetch: Callable[[str, TokenType], bytes],
        *,
        fetch_errors: tuple[type[Exception], ...] = (StatusUnavailable,),
        max_age_s: int = 86_400,
        default_ttl_s: int = 3_600,
        min_ttl_s: int = 10,
        retry_s: int = 5,
        max_lists: int = 256,
        max_total_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self._fetch = fetch
        self._refusals: tuple[type[Exception], ...] = (*fetch_errors, CredentialRejected)
        self._max_age_s = max_age_s
        self._default_ttl_s = default_ttl_s
        self._min_ttl_s = min_ttl_s
        self._retry_s = retry_s
        self._max_lists = max_lists
        self._max_total_bytes = max_total_bytes
        self._slots: OrderedDict[tuple[str, TokenType, str, bytes], _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def lookup(
        self,
        uri: str,
        idx: int,
        mission: Mission,
        now: int,
        *,
        fail_closed: bool,
        token_type: TokenType = TokenType.JWT,
    ) -> StatusEvidence:
        """Evidence that the entry is VALID.

        fail_closed: only a list within its ttl will do. Otherwise one that has gone stale does while its host
        cannot be reached, until its exp and max_age_s at most.

        Raises CredentialRejected: STATUS_REVOKED, STATUS_SUSPENDED, STATUS_INVALID (the index is outside the
        list, or the value is none we know), STATUS_UNKNOWN (`__cause__` says why no list could be had).
        """
        held = self._current(_Asked(uri, token_type, mission), now, fail_closed)
        value = held.listed.value(idx)
        if value != StatusValue.VALID:
            raise _refusal(value)
        fresh = now < held.fresh_until
        return StatusEvidence(mission, uri, idx, token_type.value, held.fetched_at, fresh)

    def current(self, uri: str, mission: Mission, now: int, *, token_type: TokenType) -> StatusList:
        """The list itself, within its ttl, for whoever looks up many entries of it.

        Raises CredentialRejected(STATUS_UNKNOWN): it cannot be had now (`__cause__` says why).
        """
        return self._current(_Asked(uri, token_type, mission), now, True).listed

    def kept(self) -> list[KeptList]:
        """Every list that was asked for lately, by mission and address."""
        with self._lock:
            slots = list(self._slots.items())
        found = []
        for (uri, token_type, mission, _anchors), slot in slots:
            held = slot.held
            found.append(
                KeptList(
                    uri=uri,
                    token_type=token_type.value,
                    mission=mission,
                    fetched_at=held.fetched_at if held else None,
                    fresh_until=held.fresh_until if held else None,
                    usable_until=held.usable_until if held else None,
                    failed=slot.failure is not None,
                )
            )
        return sorted(found, key=lambda one: (one.mission, one.uri, one.token_type))

    def _current(self, asked: _Asked, now: int, fail_closed: bool) -> _Held:
        slot = self._slot(asked)
        held = slot.held
        if held is not None and now < held.fresh_until:
            return held
        may_be_stale = held is not None and now < held.usable_until and not fail_closed
        if not slot.lock.acquire(blocking=not may_be_stale):
            assert held is not None  # noqa: S101 - may_be_stale says so
            return held
        try:
            return self._refreshed(slot, asked, now, fail_closed)
        finally:
            slot.lock.release()

    def _refreshed(self, slot: _Slot, asked: _Asked, now: int, fail_closed: bool) -> _Held:
        """What the slot holds after asking, unless somebody else has just asked. The slot's lock is held."""
        if slot.held is not None and now < slot.held.fresh_until:
            return slot.held
        if slot.failure is None or now >= slot.retry_at:
            self._ask(slot, asked, now)
        held = slot.held
        if held is not None and now < (held.fresh_until if fail_closed else held.usable_until):
            return held
        raise CredentialRejected(Reason.STATUS_UNKNOWN, "no usable status list") from slot.failure

    def _ask(self, slot: _Slot, asked: _Asked, now: int) -> None:
        uri, token_type = asked.uri, asked.token_type
        try:
            token = self._fetch(uri, token_type)
            listed = parse_token(token, uri=uri, mission=asked.mission, now=now, token_type=token_type)
        except self._refusals as error:
            # Kept without its traceback, whose frames would keep the fetched bytes.
            slot.failure = error.with_traceback(None)
            slot.retry_at = now + self._retry_s
            return
        slot.failure = None
        slot.held = self._hold(listed, now)
        self._make_room()

    def _hold(self, listed: StatusList, now: int) -> _Held:
        usable_until = now + self._max_age_s
        if listed.valid_until is not None:
            usable_until = min(usable_until, listed.valid_until)
        ttl_s = self._default_ttl_s if listed.ttl_s is None else max(listed.ttl_s, self._min_ttl_s)
        return _Held(listed, now, min(now + ttl_s, usable_until), usable_until)

    def _slot(self, asked: _Asked) -> _Slot:
        # The anchors are part of the key: a list whose signer is no longer trusted is not found again.
        key = (asked.uri, asked.token_type, asked.mission.code, asked.mission.status_authority)
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = _Slot()
            self._slots.move_to_end(key)
            return slot

    def _make_room(self) -> None:
        """Let go of the lists that were used longest ago. A list in use stays alive with who uses it."""
        with self._lock:
            total = sum(
                len(slot.held.listed.entries) for slot in self._slots.values() if slot.held is not None
            )
            while len(self._slots) > self._max_lists or (
                total > self._max_total_bytes and len(self._slots) > 1
            ):
                _key, slot = self._slots.popitem(last=False)
                total -= len(slot.held.listed.entries) if slot.held is not None else 0
