"""Token Status Lists: does this credential still hold?

Three outcomes: valid (`lookup` returns evidence), revoked or suspended, and unknown: "we could not ask" is never
"revoked", and never "fine". Lists are signed JWTs under the mission's own anchors; how bytes are fetched is handed
in, and so are the limits of that (addresses, time, content type `application/statuslist+jwt`).

Specs: draft-ietf-oauth-status-list-20, sections 4, 5.1, 6.2, 8.3 and 11.5; HAIP 1.0, section 6.1.
Left out: CWT tokens, identifier lists, historical resolution.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from cryptography.hazmat.primitives import hashes

from idp.credentials import jose
from idp.credentials.jose import UnverifiedJws
from idp.credentials.trust import Mission, status_signer
from idp.credentials.verdict import CredentialRejected, Reason, StatusEvidence
from idp.seal import unb64

MAX_TOKEN_BYTES = 8 * 1024 * 1024
MAX_LIST_BYTES = 16 * 1024 * 1024
SKEW_S = 60
_BITS = frozenset({1, 2, 4, 8})


class StatusUnavailable(Exception):
    """A list could not be fetched. The message names no credential and no index."""


class StatusValue(IntEnum):
    """The registered values (section 7.1). Any other is not valid either."""

    VALID = 0
    REVOKED = 1
    SUSPENDED = 2


class StatusLookup(Protocol):
    """What a format asks once a credential is verified otherwise."""

    def lookup(self, uri: str, idx: int, mission: Mission, now: int, *, fail_closed: bool) -> StatusEvidence:
        """Evidence that the entry is VALID.

        Raises CredentialRejected: STATUS_REVOKED, STATUS_SUSPENDED, STATUS_INVALID, STATUS_UNKNOWN.
        """


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


def parse_token(token: bytes, *, uri: str, mission: Mission, now: int) -> StatusList:
    """The list in a Status List Token of this uri, signed under this mission's anchors, x5c in its header.

    Raises CredentialRejected(STATUS_TOKEN), whose detail names the check.
    """
    try:
        unverified = _unverified(token)
        signer = status_signer(mission, jose.x5c_chain(unverified.header, Reason.STATUS_TOKEN), now)
        return _checked(unverified, key=signer.key, uri=uri, now=now, not_after=signer.not_after)
    except CredentialRejected as error:
        raise CredentialRejected(Reason.STATUS_TOKEN, str(error)) from error


def parse_token_with_key(token: bytes, *, uri: str, key: jose.PublicKey, now: int) -> StatusList:
    """As `parse_token`, for a signer whose key is known otherwise. Raises CredentialRejected(STATUS_TOKEN)."""
    try:
        return _checked(_unverified(token), key=key, uri=uri, now=now, not_after=None)
    except CredentialRejected as error:
        raise CredentialRejected(Reason.STATUS_TOKEN, str(error)) from error


def decode_list(status_list: Any) -> tuple[int, bytes]:
    """The bits of an entry, and the decompressed entries, of a `status_list` (section 4.2).

    Raises CredentialRejected(STATUS_TOKEN): bits not 1, 2, 4 or 8; lst not base64url of one whole zlib stream, or
    larger than MAX_LIST_BYTES decompressed.
    """
    if not isinstance(status_list, dict):
        raise CredentialRejected(Reason.STATUS_TOKEN, "no status_list")
    bits, lst = status_list.get("bits"), status_list.get("lst")
    if isinstance(bits, bool) or not isinstance(bits, int) or bits not in _BITS or not isinstance(lst, str):
        raise CredentialRejected(Reason.STATUS_TOKEN, "status_list is not bits and lst")
    stream = zlib.decompressobj()
    try:
        # One byte more than allowed tells a list that fits from one that was cut; a bomb grows no further.
        entries = stream.decompress(unb64(lst), MAX_LIST_BYTES + 1)
    except (ValueError, zlib.error):
        raise CredentialRejected(Reason.STATUS_TOKEN, "lst is not zlib in base64url") from None
    if len(entries) > MAX_LIST_BYTES:
        raise CredentialRejected(Reason.STATUS_TOKEN, "the list is too large")
    if not stream.eof or stream.unused_data:
        raise CredentialRejected(Reason.STATUS_TOKEN, "lst is cut off, or has something after its end")
    return bits, entries


def _unverified(token: bytes) -> UnverifiedJws:
    try:
        return jose.unverified_jws(token.decode("ascii"), max_chars=MAX_TOKEN_BYTES)
    except UnicodeDecodeError:
        raise CredentialRejected(Reason.MALFORMED, "not ASCII") from None


def _checked(
    token: UnverifiedJws, *, key: jose.PublicKey, uri: str, now: int, not_after: int | None
) -> StatusList:
    """Section 8.3, steps 3 and 4; the signature first, so that nothing unsigned is decompressed."""
    if token.header.get("typ") != "statuslist+jwt":
        raise CredentialRejected(Reason.HEADER_TYPE, "typ")
    jose.check_signature(token, key, Reason.ISSUER_SIGNATURE)
    claims = token.payload
    if claims.get("sub") != uri:
        raise CredentialRejected(Reason.STATUS_TOKEN, "sub is not the uri that was asked")
    issued_at = jose.numeric_date(claims, "iat")
    if issued_at is None or issued_at > now + SKEW_S:
        raise CredentialRejected(Reason.STATUS_TOKEN, "iat is missing, or in the future")
    expires_at = jose.numeric_date(claims, "exp")
    if expires_at is not None and now >= expires_at:
        raise CredentialRejected(Reason.EXPIRED, "exp")
    bits, entries = decode_list(claims.get("status_list"))
    ends = [moment for moment in (expires_at, not_after) if moment is not None]
    return StatusList(bits, entries, issued_at, min(ends) if ends else None, _ttl(claims))


def _ttl(claims: dict[str, Any]) -> int | None:
    """ttl as its issuer says it. What is no positive number counts as 0: ask again as soon as is polite."""
    if "ttl" not in claims:
        return None
    ttl = claims["ttl"]
    return int(ttl) if isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0 else 0


@dataclass(frozen=True, slots=True)
class _Held:
    """A list in the cache. fresh_until: its ttl, clamped; usable_until: while its host cannot be reached."""

    listed: StatusList
    fetched_at: int
    fresh_until: int
    usable_until: int


class _Slot:
    """One list of one mission: what is held of it, and the lock of whoever is fetching it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: _Held | None = None
        self.failure: Exception | None = None
        self.retry_at = 0


class StatusLists:
    """Status lists, fetched when needed and kept as long as their issuers and decision D8 allow. Thread-safe.

    fetch: the bytes at a uri; raises one of `fetch_errors` when it cannot have them. One thread at a time asks
        for a list; the others wait for what it finds, or use a list that has gone stale where they may.
    max_age_s: no list is used for longer.
    default_ttl_s, min_ttl_s: where a list names no ttl; and how short a ttl is heeded.
    retry_s: for so long after a failure nobody asks again.
    max_lists, max_total_bytes: what is kept, the most recently used first.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
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
        self._slots: OrderedDict[tuple[str, str, bytes], _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def lookup(self, uri: str, idx: int, mission: Mission, now: int, *, fail_closed: bool) -> StatusEvidence:
        """Evidence that the entry is VALID.

        fail_closed: only a list within its ttl will do. Otherwise one that has gone stale does while its host
        cannot be reached, until its exp and max_age_s at most.

        Raises CredentialRejected: STATUS_REVOKED, STATUS_SUSPENDED, STATUS_INVALID (the index is outside the
        list, or the value is none we know), STATUS_UNKNOWN (`__cause__` says why no list could be had).
        """
        held = self._current(uri, mission, now, fail_closed)
        value = held.listed.value(idx)
        if value == StatusValue.REVOKED:
            raise CredentialRejected(Reason.STATUS_REVOKED)
        if value == StatusValue.SUSPENDED:
            raise CredentialRejected(Reason.STATUS_SUSPENDED)
        if value != StatusValue.VALID:
            raise CredentialRejected(Reason.STATUS_INVALID, "a value we do not know")
        return StatusEvidence(mission, uri, held.fetched_at, fresh=now < held.fresh_until)

    def _current(self, uri: str, mission: Mission, now: int, fail_closed: bool) -> _Held:
        slot = self._slot(uri, mission)
        held = slot.held
        if held is not None and now < held.fresh_until:
            return held
        may_be_stale = held is not None and now < held.usable_until and not fail_closed
        if not slot.lock.acquire(blocking=not may_be_stale):
            assert held is not None  # noqa: S101 - may_be_stale says so
            return held
        try:
            return self._refreshed(slot, uri, mission, now, fail_closed)
        finally:
            slot.lock.release()

    def _refreshed(self, slot: _Slot, uri: str, mission: Mission, now: int, fail_closed: bool) -> _Held:
        """What the slot holds after asking, unless somebody else has just asked. The slot's lock is held."""
        if slot.held is not None and now < slot.held.fresh_until:
            return slot.held
        if slot.failure is None or now >= slot.retry_at:
            self._ask(slot, uri, mission, now)
        held = slot.held
        if held is not None and now < (held.fresh_until if fail_closed else held.usable_until):
            return held
        raise CredentialRejected(Reason.STATUS_UNKNOWN, "no usable status list") from slot.failure

    def _ask(self, slot: _Slot, uri: str, mission: Mission, now: int) -> None:
        try:
            listed = parse_token(self._fetch(uri), uri=uri, mission=mission, now=now)
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

    def _slot(self, uri: str, mission: Mission) -> _Slot:
        # The anchors are part of the key: a list whose signer is no longer trusted is not found again.
        anchors = b"".join(
            anchor.fingerprint(hashes.SHA256()) for anchor in mission.status_anchors or mission.issuer_anchors
        )
        key = (uri, mission.code, anchors)
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
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
