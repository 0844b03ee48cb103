"""The device flow: a counter or kiosk asks, a holder answers on a phone (RFC 8628).

    pending ──claim──▶ claimed ──approve──▶ approved ──redeem──▶ a `models.Grant` row
       └────────┴──────refuse──▶ refused

The claims do not exist yet when the device code is issued. So the code is itself an X25519 private key: the record,
found by the code's SHA-256, holds the public half, what the holder agreed to is sealed to it, and only the poll that
brings the code opens it. A user code has some 34 bits: it is kept under a keyed digest, so that a dump of the Store
does not give it away, and whoever guesses at it is slowed down.

What the phone does:
- A code is claimed once, by one browser: a row decides (decision D11). A second phone is told that it is in use.
- The wallet is always asked, as for `prompt=login`, and no session is left in the phone. The phone may be borrowed
  and the counter is somebody else's machine: an earlier sign-in on the phone must not answer for whoever stands
  there, and the phone must not stay signed in because of a visit to a counter. The session that `Conclusions` starts
  has no cookie anywhere. It is there so that a logout, or an admin, can reach the counter; as nobody uses it, it ends
  `session_idle_s` after the visit, and what the counter bought without `offline_access` ends with it.
- The confirmation names the counter, what it asks for and its code, and warns of codes that somebody sent: the device
  flow cannot tell a counter from a thief who reads it out over the phone (RFC 8628, section 5.4; decision D1). The
  code is short-lived, and the audit has the address and the time of the one who confirmed.

Spec: RFC 8628; OpenID Connect Core 1.0, sections 3.1.2.1 and 3.1.3 where they apply.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
from authlib.oauth2.rfc6749.errors import AccessDeniedError, OAuth2Error
from authlib.oauth2.rfc8628.errors import AuthorizationPendingError, ExpiredTokenError, SlowDownError
from sqlalchemy.exc import IntegrityError

from idp import seal
from idp.clock import Clock
from idp.errors import LoginError
from idp.events import Event, record, record_alone
from idp.key_encryption import Sealing
from idp.login import AuthorizationRequest
from idp.models import Consumed, db, writing
from idp.oidc import grants
from idp.oidc.conclusion import Conclusions, FinishedLogin
from idp.oidc.records import Authorization, Released
from idp.oidc.redemption import Redemptions
from idp.oidc.tokens import Bought, Order, refused
from idp.oidc.user_code import fresh, normal, spelled
from idp.portals import Registration
from idp.settings import Settings
from idp.store import Store

PATH = "/device"
_PURPOSE = "device"
_KIND = "device_code"
_CLAIM_KIND = "device_claim"
_REMEMBERED_S = 300  # an expired code is still called expired for this long
_SLOWER_S = 5  # RFC 8628, section 3.5
_SLOWEST_S = 60
_SWAP_TRIES = 20
_WRONG_CODES = 30  # from one address, in a window: a consulate's visitors share its network, and mistype
_WRONG_WINDOW_S = 600
_LOOKS = 40  # at one code: a reload, another language, a second try


class DeviceState(StrEnum):
    """Where a device code stands."""

    PENDING = "pending"
    CLAIMED = "claimed"
    APPROVED = "approved"
    REFUSED = "refused"


class DeviceCode(msgspec.Struct, frozen=True):
    """What is stored under `device:<sha256>`. `key` is the public half of the device code.

    `claimed_by` is the SHA-256 of the cookie of the browser that confirmed.
    """

    request: AuthorizationRequest
    key: str
    issued_at: int
    expires_at: int
    state: DeviceState = DeviceState.PENDING
    claimed_by: str | None = None
    authorization: Authorization | None = None
    sealed: str = ""

    @property
    def is_decided(self) -> bool:
        return self.state in {DeviceState.APPROVED, DeviceState.REFUSED}


class Pace(msgspec.Struct, frozen=True):
    """When a device last asked, and how long it must wait before it asks again."""

    asked_at: int
    interval_s: int


class Devices:
    """Issues, shows, claims, approves and redeems device codes. `sealing` keys the digests of user codes."""

    def __init__(
        self,
        *,
        store: Store,
        settings: Settings,
        clock: Clock,
        sealing: Sealing,
        conclusions: Conclusions,
        redemptions: Redemptions,
    ) -> None:
        self._store = store
        self._issuer = settings.issuer
        self._ttl_s = settings.lifetimes.device_code_ttl_s
        self._interval_s = settings.lifetimes.device_interval_s
        self._clock = clock
        self._sealing = sealing
        self._conclusions = conclusions
        self._redemptions = redemptions

    # -- to the counter --------------------------------------------------------------------------------------

    def issue(self, request: AuthorizationRequest) -> dict[str, Any]:
        """Codes for a checked request: the answer of RFC 8628, section 3.2."""
        device_code = seal.browser_secret()
        digest = seal.digest(device_code)
        now = self._clock()
        stored = DeviceCode(
            request=msgspec.structs.replace(request, device=digest),
            key=seal.browser_key(device_code),
            issued_at=now,
            expires_at=now + self._ttl_s,
        )
        record_alone(Event.DEVICE_STARTED, at=now, client_id=request.client_id)
        self._store.put(_key(digest), _document(stored), self._ttl_s + _REMEMBERED_S)
        user_code = self._new_user_code(digest)
        return {
            "device_code": device_code,
            "user_code": spelled(user_code),
            "verification_uri": self._issuer + PATH,
            "verification_uri_complete": f"{self._issuer}{PATH}?user_code={spelled(user_code)}",
            "expires_in": self._ttl_s,
            "interval": self._interval_s,
        }

    def _new_user_code(self, digest: str) -> str:
        """A user code that nobody has now."""
        while True:
            user_code = fresh()
            key = _user_key(self._sealing.mac(user_code))
            if self._store.add(key, {"device": digest}, self._ttl_s + _REMEMBERED_S):
                return user_code

    # -- to the holder ---------------------------------------------------------------------------------------

    def look(self, typed: str, *, address: str) -> tuple[str, DeviceCode]:
        """The user code, and what waits for it. `address` is whose guesses these are.

        Raises LoginError `device_unknown`, `device_expired`, `device_used`, `too_many`.
        """
        if self._store.get(_blocked_key(address)) is not None:
            raise LoginError("too_many", "wrong user codes", status=429)
        user_code = normal(typed)
        found = self._found(user_code) if user_code is not None else None
        if user_code is None or found is None:
            self._guessed_wrong(address)
            raise LoginError("device_unknown", status=404)
        stored = self._open(str(found["device"]))
        if self._store.count(f"rate:device:{stored.request.device}", self._ttl_s) > _LOOKS:
            raise LoginError("too_many", "one user code looked at too often", status=429)
        return user_code, stored

    def _guessed_wrong(self, address: str) -> None:
        if self._store.count(f"rate:user-code:{address}", _WRONG_WINDOW_S) >= _WRONG_CODES:
            self._store.put(_blocked_key(address), {"blocked": True}, _WRONG_WINDOW_S)

    def _open(self, digest: str) -> DeviceCode:
        """A device code that can still be answered. Raises LoginError."""
        stored = self._load(digest)
        if stored is None:
            raise LoginError("device_unknown", status=404)
        self._check_open(stored)
        return stored

    def _check_open(self, stored: DeviceCode) -> None:
        if stored.expires_at <= self._clock():
            raise LoginError("device_expired", status=410)
        if stored.is_decided:
            raise LoginError("device_used", status=409)

    @staticmethod
    def is_free_for(stored: DeviceCode, browser: str | None) -> bool:
        """Whether the browser with this cookie may claim the code: nobody has, or it did itself."""
        return stored.state is DeviceState.PENDING or (
            browser is not None and stored.claimed_by == seal.digest(browser)
        )

    def claim(self, stored: DeviceCode, browser: str) -> AuthorizationRequest:
        """The request to sign in for: this code is now the browser's with that cookie.

        The same browser may claim it again, after a double click. Raises LoginError `device_used`, `device_unknown`,
        `device_expired`.
        """
        digest = stored.request.device or ""
        by = seal.digest(browser)
        self._claim_once(stored, digest, seal.digest(digest + by))

        def change(current: DeviceCode) -> DeviceCode:
            self._check_open(current)
            return msgspec.structs.replace(current, state=DeviceState.CLAIMED, claimed_by=by)

        self._change(digest, change)
        return stored.request

    def _claim_once(self, stored: DeviceCode, digest: str, claim: str) -> None:
        """Two rows: the code is claimed, and by this browser. The Store may forget who it was, they do not."""
        now = self._clock()
        expires_at = stored.expires_at + _REMEMBERED_S
        try:
            with writing() as database:
                database.add(Consumed(kind=_KIND, digest=digest, expires_at=expires_at))
                database.add(Consumed(kind=_CLAIM_KIND, digest=claim, expires_at=expires_at))
                database.flush()
                record(
                    database,
                    Event.DEVICE_CONFIRMED,
                    at=now,
                    client_id=stored.request.client_id,
                    detail={"after_s": now - stored.issued_at},
                )
        except IntegrityError as error:
            if db.session.get(Consumed, (_CLAIM_KIND, claim)) is None:
                raise LoginError("device_used", status=409) from error

    def refuse(self, digest: str, reason: str) -> None:
        """Nothing comes of it: the counter hears `access_denied`. What was decided before stays as it is."""
        stored = self._load(digest)
        if stored is None:
            return
        try:
            self._decide(digest, reason=reason, client_id=stored.request.client_id, state=DeviceState.REFUSED)
        except LoginError as error:
            if error.reason == "unavailable":
                raise
            # Decided or expired: the counter has its answer.

    def approve(self, finished: FinishedLogin) -> None:
        """What a finished login amounts to, sealed to the device code.

        The login has been taken before: a failure here spends it. Raises what `Conclusions.conclude` does, and
        LoginError `device_unknown`, `device_expired`, `device_used`.
        """
        digest = finished.request.device or ""
        stored = self._open(digest)
        concluded = self._conclusions.conclude(finished)
        self._decide(
            digest,
            reason="approved",
            client_id=finished.portal.client_id,
            subject_id=concluded.authorization.subject_id,
            login_id=finished.login_id,
            state=DeviceState.APPROVED,
            authorization=concluded.authorization,
            sealed=seal.to_browser(stored.key, msgspec.json.encode(concluded.released), _PURPOSE),
        )

    def _decide(
        self,
        digest: str,
        *,
        reason: str,
        client_id: str,
        subject_id: str | None = None,
        login_id: str | None = None,
        **members: Any,
    ) -> None:
        """Change an open code's members for good. A race that is lost leaves nothing in the audit."""

        def change(current: DeviceCode) -> DeviceCode:
            self._check_open(current)
            return msgspec.structs.replace(current, **members)

        with writing() as database:
            record(
                database,
                Event.DEVICE_ENDED,
                at=self._clock(),
                client_id=client_id,
                subject_id=subject_id,
                login_id=login_id,
                reason=reason,
            )
            self._change(digest, change)

    # -- back from the counter -------------------------------------------------------------------------------

    def redeem(self, portal: Registration, device_code: str, order: Order) -> dict[str, Any]:
        """The token response for a device code, once.

        Raises AuthorizationPendingError, SlowDownError (asked before the interval was over, which grows by five
        seconds), AccessDeniedError, ExpiredTokenError; InvalidGrantError for a code that is unknown, spent or another
        portal's. InvalidScopeError and InvalidTargetError do not spend it.

        Spec: RFC 8628, sections 3.4 and 3.5.
        """
        digest = seal.digest(device_code)
        stored = self._find(portal, digest)
        granted = self._granted(stored, digest)
        if grants.has_ended(granted.session_id):  # signed out while the counter was waiting
            self._report(Event.CODE_REFUSED, portal, "session_ended")
            raise refused()
        if stored.request.dpop_jkt not in {None, (order.cnf or {}).get("jkt")}:  # RFC 9449, section 10
            self._report(Event.CODE_REFUSED, portal, "dpop_jkt")
            raise refused()
        opened = seal.open_with_browser(device_code, stored.sealed, _PURPOSE)
        released = msgspec.json.decode(opened, type=Released)
        response = self._redemptions.redeem(
            Bought(portal, granted, released, digest, order),
            code_ttl_s=max(stored.expires_at - self._clock(), 0) + _REMEMBERED_S,
            reason="device",
        )
        self._store.take(_key(digest))
        return response

    def _find(self, portal: Registration, digest: str) -> DeviceCode:
        stored = self._load(digest)
        if stored is None:
            if not self._redemptions.revoke_replayed(portal, digest):
                self._report(Event.CODE_REFUSED, portal, "unknown")
            raise refused()
        if stored.request.client_id != portal.client_id:
            self._report(Event.CODE_WRONG_CLIENT, portal, "device")
            raise refused()
        return stored

    def _granted(self, stored: DeviceCode, digest: str) -> Authorization:
        """What was granted. Raises what the device hears as long as nothing was, or nothing will be."""
        if stored.state is DeviceState.REFUSED:
            raise AccessDeniedError("The holder refused, or could not sign in.")
        if stored.expires_at <= self._clock():
            raise ExpiredTokenError("The device code has expired.")
        if stored.authorization is None:
            raise self._not_yet(digest)
        return stored.authorization

    def _not_yet(self, digest: str) -> OAuth2Error:
        """`authorization_pending`, or `slow_down` to a device that asks too often. Of many at once one is in time."""
        key = _pace_key(digest)
        now = self._clock()
        known = self._store.get(key)
        fresh: dict[str, Any] = msgspec.to_builtins(Pace(now, self._interval_s))
        ttl_s = self._ttl_s + _REMEMBERED_S
        if known is None:
            in_time = self._store.add(key, fresh, ttl_s)
        else:
            pace = msgspec.convert(known, Pace)
            in_time = now - pace.asked_at >= pace.interval_s
            interval_s = pace.interval_s if in_time else min(pace.interval_s + _SLOWER_S, _SLOWEST_S)
            swapped = self._store.swap(key, known, msgspec.to_builtins(Pace(now, interval_s)), ttl_s)
            in_time = in_time and swapped
        if in_time:
            return AuthorizationPendingError("Nobody has decided yet.")
        return SlowDownError("Ask less often: the interval is five seconds longer now.")

    # -- the drawer ------------------------------------------------------------------------------------------

    def _load(self, digest: str) -> DeviceCode | None:
        """A stored record that does not fit today's shape counts as expired (a rolling deploy)."""
        document = self._store.get(_key(digest))
        try:
            return msgspec.convert(document, DeviceCode) if document is not None else None
        except msgspec.ValidationError:
            return None

    def _change(self, digest: str, change: Callable[[DeviceCode], DeviceCode]) -> None:
        """Compare and set, again with what somebody else made of it if we come second."""
        for _ in range(_SWAP_TRIES):
            current = self._load(digest)
            if current is None:
                raise LoginError("device_unknown", status=404)
            changed = change(current)
            if changed == current or self._store.swap(_key(digest), _document(current), _document(changed)):
                return
        raise LoginError("unavailable", "too many changes at once", status=503)

    def _found(self, user_code: str) -> dict[str, Any] | None:
        found = (self._store.get(_user_key(mac)) for mac in self._sealing.macs(user_code))
        return next((one for one in found if one is not None), None)

    def _report(self, event: Event, portal: Registration, reason: str) -> None:
        record_alone(event, at=self._clock(), client_id=portal.client_id, reason=reason)


def _document(stored: DeviceCode) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(stored)
    return document


def _key(digest: str) -> str:
    return f"device:{digest}"


def _user_key(mac: str) -> str:
    return f"user-code:{mac}"


def _pace_key(digest: str) -> str:
    return f"device-pace:{digest}"


def _blocked_key(address: str) -> str:
    return f"user-codes-blocked:{address}"
