"""A transaction is one question of a login (`Ask`), as the app's messages name it.

The `trxcode` is the ask's id in another spelling, so nothing needs to be looked up, and nobody can guess one:
128 random bits of the login and 32 of the question. Where the transaction stands (`states`), the profile that
was offered and its nonce are kept in the Store under the ask's id, changed by compare-and-set. None of it is
about the holder. What the holder shows is never kept here: it goes to the backend, and from there sealed into
the login.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from idp import seal
from idp.clock import Clock
from idp.credentials.verdict import VerifiedCredential
from idp.errors import PresentationError
from idp.login import Ask
from idp.mip import errors, messages, relay
from idp.mip.backend import Asked, Backend, Offered, check_shown
from idp.mip.errors import MessageRefused
from idp.mip.messages import Preparation, UnverifiedVp
from idp.mip.states import Status, Step, after
from idp.settings import Settings
from idp.store import Store

_TRXCODE = re.compile(r"[0-9A-F]{40}")
_SWAP_TRIES = 8


class Transaction(msgspec.Struct, frozen=True):
    """Where a question stands in the protocol.

    tried: a presentation came for this profile, so whoever begins again is offered another (the operator's
    daemon takes one for each). since: when the verification began that is under way.
    """

    status: Status = Status.REQUESTED
    service: str = ""
    profile: str = ""
    nonce: str = ""
    reference: str = ""
    tried: bool = False
    since: int = 0

    @property
    def offered(self) -> Offered:
        return Offered(self.profile, self.nonce, self.reference)


class Transactions:
    """The drawer of transactions."""

    def __init__(self, store: Store, backend: Backend, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._backend = backend
        self._settings = settings
        self._clock = clock

    def close(self) -> None:
        self._backend.close()

    # -- what the page offers --------------------------------------------------------------------------------

    def code(self, ask: Ask) -> str:
        """What the QR code carries (QR-MPM): an M200 in base64url."""
        return self._m200(ask, "QR-MPM")

    def link(self, ask: Ask, prefix: str) -> str:
        """What the button opens on the device that has the app (app-to-app, from a browser).

        `prefix` is the app's scheme and action. `clientScheme` would be the app to go back to; a browser has none, and
        the page moves on by itself.
        """
        joint = "&" if "?" in prefix else "?"
        data = self._m200(ask, "App2App")
        return f"{prefix}{joint}data_type=byte&mode={messages.Mode.DIRECT}&data={data}&clientScheme="

    def _m200(self, ask: Ask, interface: str) -> str:
        settings = self._settings
        made = messages.m200(
            trxcode(ask.id), settings.issuer, interface=interface, ci=settings.holder.with_ci
        )
        return messages.encode(made)

    # -- what the app does -----------------------------------------------------------------------------------

    def profile(self, ask: Ask, asked: Asked) -> str:
        """The profile of this question: the same for everybody who asks, until a presentation came for it.

        Raises MessageRefused 10201, BackendUnavailable.
        """
        for _ in range(_SWAP_TRIES):
            known = self._load(ask)
            status = self._standing(known)
            after(status, Step.M310)
            if status is Status.PROFILE and not known.tried and known.service == asked.service:
                return known.profile
            offered = self._backend.profile(asked)
            fresh = Transaction(
                status=Status.PROFILE,
                service=asked.service,
                profile=offered.profile,
                nonce=offered.nonce,
                reference=offered.reference,
            )
            if self._replace(ask, known, fresh):
                return fresh.profile
        raise MessageRefused(errors.SEQUENCE, "too many at once")

    def submit(self, ask: Ask, asked: Asked, vp: UnverifiedVp) -> VerifiedCredential:
        """What the presentation proves; the caller lays it beside the login and says so (`laid`, `not_taken`).

        Of several at once the first is verified, the others hear 10201. Raises MessageRefused, CredentialRejected,
        BackendUnavailable; after each of them the holder may submit again.
        """
        known = self._load(ask)
        status = after(self._standing(known), Step.M400)
        verifying = msgspec.structs.replace(known, status=status, tried=True, since=self._clock())
        if known.service != asked.service:
            raise MessageRefused(errors.SEQUENCE, "the question is another one now")
        check_shown(asked, known.nonce, vp)
        if not self._replace(ask, known, verifying):
            raise MessageRefused(errors.SEQUENCE, "another one came first")
        return self._verified(ask, verifying, lambda: self._backend.verify(asked, known.offered, vp))

    def meet(self, ask: Ask, asked: Asked, preparation: Preparation) -> VerifiedCredential:
        """QR-CPM: what the app shows at the relay. Raises as `submit` does, and AppGaveUp."""
        if not relay.is_at(preparation, self._settings.mip.relay):
            raise MessageRefused(errors.INVALID_DATA, "another relay")
        known = self._load(ask)
        after(self._standing(known), Step.M310)
        verifying = Transaction(
            status=Status.VERIFYING, service=asked.service, tried=True, since=self._clock()
        )
        if not self._replace(ask, known, verifying):
            raise MessageRefused(errors.SEQUENCE, "another one came first")
        return self._verified(ask, verifying, lambda: self._backend.meet(asked, preparation))

    def _verified(
        self, ask: Ask, verifying: Transaction, verify: Callable[[], VerifiedCredential]
    ) -> VerifiedCredential:
        try:
            verified = verify()
        except BaseException:
            self._replace(ask, verifying, _moved(verifying, after(verifying.status, Step.NOT_TAKEN)))
            raise
        if not self._replace(ask, verifying, _moved(verifying, after(verifying.status, Step.VALID))):
            raise MessageRefused(errors.SEQUENCE, "the app gave up meanwhile")
        return verified

    def picture_asked(self, ask: Ask) -> None:
        """M320 is in order. Raises MessageRefused 10201."""
        after(self._standing(self._load(ask)), Step.M320)

    def laid(self, ask: Ask) -> None:
        """The proof stands beside the login."""
        self._step(ask, Step.LAID)

    def not_taken(self, ask: Ask) -> None:
        """It verified, and the login did not take it: too weak, or another one was there first."""
        self._step(ask, Step.NOT_TAKEN)

    def failed(self, ask: Ask) -> bool:
        """The app says that it gave up (M900). False where it comes too late to matter."""
        return self._step(ask, Step.M900).status is Status.FAILED

    def status(self, ask: Ask) -> Status:
        """Where the transaction stands."""
        return self._standing(self._load(ask))

    # -- the drawer ------------------------------------------------------------------------------------------

    def _step(self, ask: Ask, step: Step) -> Transaction:
        for _ in range(_SWAP_TRIES):
            known = self._load(ask)
            changed = _moved(known, after(self._standing(known), step))
            if changed == known or self._replace(ask, known, changed):
                return changed
        raise MessageRefused(errors.SEQUENCE, "too many at once")

    def _load(self, ask: Ask) -> Transaction:
        """As it is stored; a transaction that nobody spoke of yet is not."""
        document = self._store.get(_key(ask))
        try:
            return Transaction() if document is None else msgspec.convert(document, Transaction)
        except msgspec.ValidationError:  # of another version of ours (a rolling deploy)
            raise MessageRefused(errors.TIMEOUT, "kept in another shape") from None

    def _standing(self, known: Transaction) -> Status:
        """Its status, but for a verification that nobody will finish (a process that was stopped)."""
        mip = self._settings.mip
        patience_s = max(mip.daemon_timeout_s * 4, mip.relay_timeout_s) + 10
        if known.status is Status.VERIFYING and self._clock() - known.since > patience_s:
            return Status.PROFILE
        return known.status

    def _replace(self, ask: Ask, old: Transaction, new: Transaction) -> bool:
        """Compare and set."""
        times = self._settings.lifetimes
        ttl_s = times.login_max_s + times.fetched_extra_s
        if old == Transaction():
            return self._store.add(_key(ask), _document(new), ttl_s)
        return self._store.swap(_key(ask), _document(old), _document(new), ttl_s)


def trxcode(ask_id: str) -> str:
    """The name of a question in the app's messages: 40 hex digits."""
    login_id, _, suffix = ask_id.partition(".")
    return (seal.unb64(login_id).hex() + suffix).upper()


def ask_id(trxcode: str) -> str:
    """The question that a trxcode names. Raises PresentationError `login_unknown` for one that is none of ours."""
    if not _TRXCODE.fullmatch(trxcode):
        raise PresentationError("login_unknown", "trxcode")
    return f"{seal.b64(bytes.fromhex(trxcode[:32]))}.{trxcode[32:].lower()}"


def _key(ask: Ask) -> str:
    return f"mip:{ask.id}"


def _document(transaction: Transaction) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(transaction)
    return document


def _moved(known: Transaction, status: Status) -> Transaction:
    return msgspec.structs.replace(known, status=status)
