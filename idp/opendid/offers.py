"""Offers and transactions: from a question of a login to what a wallet scans, fetches and answers.

An offer is a question's, the same however often the page is shown. A transaction is one fetch of an offer's profile;
its nonce, key and number are made from the question's secret and its own id, so only which question it belongs to is
written down. Both are UUIDs, as the specification has it, and neither is secret.

Spec: Open DID, Data Specification 4.6.7.1 (VerifyOfferPayload). The envelope (`payloadType`, `payload`) is that of the
project's certified app; the specification leaves it open.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode
from uuid import UUID, uuid4

from idp import seal
from idp.clock import Clock, iso
from idp.credentials import data_proof, multibase
from idp.credentials.opendid import NONCE_BYTES
from idp.errors import PresentationError
from idp.login import Ask
from idp.opendid.e2e import KeyAgreement
from idp.presentation.wallets import WalletProfile
from idp.settings import Settings
from idp.store import Store

PATH = "/opendid/verifier"
"""What stands before `/api/v1/...`: the endpoint that wallets are told."""
PAYLOAD_TYPE = "SUBMIT_VP"
MAX_TRANSACTIONS = 50  # whoever sees a QR code can open it; the next code counts anew
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Kind = Literal["offer", "transaction"]


@dataclass(frozen=True)
class Transaction:
    """One wallet at one question."""

    id: str
    secret: bytes

    @property
    def nonce(self) -> bytes:
        """What the presentation must be signed with."""
        return seal.derive(self.secret, "opendid nonce", NONCE_BYTES)

    @property
    def number(self) -> str:
        """The four digits that the wallet shows with the request."""
        return f"{int.from_bytes(seal.derive(self.secret, 'opendid number'), 'big') % 10_000:04}"

    @property
    def agreement(self) -> KeyAgreement:
        """The key that the presentation is encrypted under."""
        return KeyAgreement.of(self.secret, self.nonce)


class Offers:
    """The drawer of offers and transactions."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._endpoint = f"{settings.issuer}{PATH}"
        # As long as any login can be answered; whether this one still can is its own affair.
        self._ttl_s = settings.lifetimes.login_max_s + settings.lifetimes.fetched_extra_s

    def code(self, ask: Ask, secret: bytes) -> str:
        """What the QR code of a question holds."""
        return json.dumps(self._envelope(ask, secret), separators=(",", ":"))

    def link(self, ask: Ask, secret: bytes, wallet: WalletProfile) -> str:
        """What the button of a question opens."""
        prefix = wallet.link
        return f"{prefix}{'&' if '?' in prefix else '?'}{urlencode(self._envelope(ask, secret))}"

    def _envelope(self, ask: Ask, secret: bytes) -> dict[str, str]:
        offer_id = str(UUID(bytes=seal.derive(secret, "opendid offer", 16), version=4))
        self._store.put(_key(offer_id), {"kind": "offer", "ask": ask.id}, self._ttl_s)
        payload = {
            "offerId": offer_id,
            "type": "VerifyOffer",
            "mode": "Direct",
            "device": "WEB",
            "service": "login",
            "endpoints": [self._endpoint],
            "validUntil": iso(ask.created_at + self._ttl_s),
            "locked": False,
        }
        return {"payloadType": PAYLOAD_TYPE, "payload": multibase.encode(data_proof.canonical(payload), "u")}

    def ask_id(self, offer_id: str) -> str:
        """The question behind an offer. Raises PresentationError `offer_unknown`."""
        return self._find(offer_id, "offer", "offer_unknown")

    def ask_id_of(self, transaction_id: str) -> str:
        """The question that a transaction belongs to. Raises PresentationError `login_unknown`."""
        return self._find(transaction_id, "transaction", "login_unknown")

    def begin(self, ask: Ask, secret: bytes) -> Transaction:
        """A new transaction of a question. Raises PresentationError `too_many`."""
        if self._store.count(f"rate:opendid:{ask.id}", self._ttl_s) > MAX_TRANSACTIONS:
            raise PresentationError("too_many", status=429)
        transaction_id = str(uuid4())
        self._store.put(_key(transaction_id), {"kind": "transaction", "ask": ask.id}, self._ttl_s)
        return self.transaction(transaction_id, secret)

    def transaction(self, transaction_id: str, secret: bytes) -> Transaction:
        """A transaction of the question whose secret this is."""
        return Transaction(transaction_id, seal.derive(secret, f"opendid transaction {transaction_id}"))

    def _find(self, name: str, kind: Kind, refusal: str) -> str:
        entry = self._store.get(_key(name)) if _UUID.fullmatch(name) else None
        if entry is None or entry.get("kind") != kind:
            raise PresentationError(refusal)
        return str(entry["ask"])


def _key(name: str) -> str:
    return f"opendid:{name}"
