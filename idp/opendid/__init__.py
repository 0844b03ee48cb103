"""To Open DID wallets (`did:omn`): the verifier's side of P310, "VP Submission", in mode Direct.

    offer      the QR code or app link names an offer of ours (`offers`)
    profile    a wallet fetches it and gets a signed VerifyProfile (`profile`): what is asked, a nonce, a key
    verify     the wallet posts its presentation, encrypted under that key (`e2e`), and it is verified (`answer`)

Documents and the status of credentials come from one registry (`registry`), asked by HTTP; `errors` are the words in
which a wallet hears a refusal. The door is `views/opendid.py`.

Each fetch of an offer is a transaction of its own, with its own nonce, key and number: the number stands in the title
that the wallet shows, and is typed where the sign-in began. So it is known to whoever saw that very profile, though
the protocol has no way to bring a wallet's holder back to a page (decision D1).

Specs: Open DID, "Presentation of VP" 1.0, Data Specification 2.0, Profile format 2.0, Verifier API P310.
Left out: `request-offer-qr` (offers are made by the sign-in page alone), modes Indirect and Proxy, offers that are
locked by a passcode, zero-knowledge proofs (P311), the claims in the answer of `confirm-verify`.
Accepted beyond the specification: see `docs/wallets.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from idp.clock import Clock
from idp.credentials import StatusLookup, TrustSnapshot
from idp.fetch import FetchError, GuardedClient
from idp.hsm import Hsm
from idp.opendid.answer import Answers
from idp.opendid.offers import Offers
from idp.opendid.profile import Profiles, Signer, SignerError
from idp.opendid.registry import HttpRegistry
from idp.settings import Settings
from idp.store import Store

__all__ = ["Answers", "Offers", "OpenDid", "Profiles", "Signer", "SignerError", "build"]


@dataclass(frozen=True)
class OpenDid:
    """What the door for Open DID wallets may call."""

    offers: Offers
    profiles: Profiles
    answers: Answers
    registry: HttpRegistry


def build(
    settings: Settings,
    hsm: Hsm | None,
    *,
    store: Store,
    clock: Clock,
    outside: GuardedClient,
    trust: Callable[[], TrustSnapshot],
    status: StatusLookup,
) -> OpenDid | None:
    """The neighbour, or None where the settings do not switch it on. Raises SignerError, HsmError."""
    opendid = settings.opendid
    if not opendid.is_on:
        return None
    registry = HttpRegistry(
        lambda url: outside.get(url, accept="application/json").body,
        opendid.registry_url,
        clock,
        ttl_s=opendid.document_ttl_s,
        fetch_errors=(FetchError,),
    )
    return OpenDid(
        offers=Offers(store, settings, clock),
        profiles=Profiles(settings, Signer(settings, hsm), clock),
        answers=Answers(registry=registry, trust=trust, status=status, clock=clock),
        registry=registry,
    )
