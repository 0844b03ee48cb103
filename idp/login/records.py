"""The records of a login: what is kept of it, and what is sealed. See the package for the invariants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import msgspec

from idp.errors import LoginError, ReplyTo

Via = Literal["link", "qr", "dc_api", "session"]


class AuthorizationRequest(msgspec.Struct, frozen=True):
    """What a portal asked, checked. Kept with the login; holds nothing about the holder."""

    client_id: str
    scopes: tuple[str, ...]
    redirect_uri: str = ""
    response_type: str = "code"
    response_mode: str = "query"
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    claims: dict[str, Any] = msgspec.field(default_factory=dict)
    acr_values: tuple[str, ...] = ()
    acr_required: bool = False
    max_age_s: int | None = None
    prompt: tuple[str, ...] = ()
    ui_locales: tuple[str, ...] = ()
    claims_locales: tuple[str, ...] = ()
    expected_sub: str | None = None
    resources: tuple[str, ...] = ()
    dpop_jkt: str | None = None
    asked_at: int = 0
    """When it came: what is asked to be recent is measured up to there (Identity Assurance 1.0, section 5.5.2)."""
    pushed: str | None = None
    """The digest of the `request_uri` it came by (RFC 9126), which buys one code."""
    device: str | None = None
    """The digest of the device code it belongs to (RFC 8628); then there is no redirect URI."""

    @property
    def reply_to(self) -> ReplyTo:
        return ReplyTo(self.client_id, self.redirect_uri, self.state, self.response_mode, self.device)


class State(StrEnum):
    """Where a login stands. READY: the answer has come back to the browser that began.

    FINISHED is what remains of a login that was taken: its way back to the portal, for a double click.
    """

    WAITING = "waiting"
    PRESENTED = "presented"
    READY = "ready"
    REFUSED = "refused"
    FINISHED = "finished"


class Ask(msgspec.Struct, frozen=True):
    """One question to a wallet, with a nonce and a sealed response-encryption key of its own."""

    id: str
    via: Via
    nonce: str
    sealed_key: str
    created_at: int
    fetched_at: int | None = None
    wallet: str = ""
    """The wallet profile that it is put to; none for a question that the browser itself passes on."""
    fetched_by: str | None = None
    """A digest of the network that it was fetched from, under this question's own secret."""
    sealed_place: str | None = None
    """Where that seemed to be, sealed to the browser."""
    contested: bool = False
    """Another network wanted it while it was being answered."""


class Answer(msgspec.Struct, frozen=True):
    """A verified presentation: public facts, and the `Proof` sealed to the browser."""

    via: Via
    sealed_proof: str
    presented_at: int
    acr: str
    amr: tuple[str, ...]
    token_digest: str | None = None
    number: str | None = None
    wrong_numbers: int = 0
    encrypted: bool = True
    """Whether nobody on the way could read it."""

    @property
    def is_typed(self) -> bool:
        """Whether the holder ties it to the browser by typing something there, whatever the wallet could show."""
        return self.number is not None or self.via == "qr"


class Problem(msgspec.Struct, frozen=True):
    """The last thing that went wrong: a message key, and what the portal hears if the holder gives up."""

    reason: str
    oauth_error: str = "access_denied"


class Login(msgspec.Struct, frozen=True):
    """One sign-in under way, as stored under `login:<id>`."""

    id: str
    request: AuthorizationRequest
    browser_key: str
    created_at: int
    expires_at: int
    state: State = State.WAITING
    asks: tuple[Ask, ...] = ()
    answer: Answer | None = None
    problem: Problem | None = None
    consented: tuple[str, ...] | None = None
    remember: bool = False
    """What was agreed to shall not be asked again."""
    lang: str | None = None
    wallet: str | None = None
    """The wallet that the holder chose on the page, where there is a choice."""
    sealed_outgoing: str | None = None
    taken_at: int | None = None
    """When a request took it to its end; where that came of it, `sealed_outgoing` says."""

    def ask(self, ask_id: str) -> Ask | None:
        return next((ask for ask in self.asks if ask.id == ask_id), None)

    def latest(self, via: Via, wallet: str = "") -> Ask | None:
        """The question put to a wallet last, by this way."""
        # The last of those of one second: max keeps the first that it meets.
        asks = (ask for ask in reversed(self.asks) if ask.via == via and ask.wallet == wallet)
        return max(asks, key=lambda ask: ask.created_at, default=None)

    @property
    def scanned(self) -> Ask | None:
        """The QR code that a wallet opened last."""
        scanned = [ask for ask in self.asks if ask.via == "qr" and ask.fetched_at is not None]
        return max(scanned, key=lambda ask: ask.fetched_at or 0, default=None)

    @property
    def fetched(self) -> bool:
        """A wallet has opened one of the questions."""
        return any(ask.fetched_at is not None for ask in self.asks)


class LoginEnded(LoginError):
    """The login is over; its own browser is offered the way back to the portal."""

    def __init__(self, reason: str, login: Login) -> None:
        super().__init__(reason, status=410)
        self.login = login


class OtherBrowser(LoginError):
    """This is not the browser that began. `portal` is set where its holder's own wallet came here all the same."""

    def __init__(self, portal: str | None = None) -> None:
        super().__init__("other_browser", status=403)
        self.portal = portal


class StillBeingMade(LoginError):
    """The login was taken, and where it goes is not known yet: ask again in a moment."""

    def __init__(self) -> None:
        super().__init__("form_expired", status=409)


class Standing(msgspec.Struct, frozen=True):
    """What it takes to ask again, without the holder, whether a credential still holds.

    chain: the issuer's certificates as in x5c, empty where it is known otherwise. uri, idx, token_type: its entry in a
    status list; without token_type `uri` is its id at the registry of DIDs, without uri nobody keeps its status. That
    is of one credential: a Standing exists in memory or sealed, never otherwise.
    """

    credential_type: str
    format: str
    mission: str
    chain: tuple[str, ...] = ()
    uri: str = ""
    idx: int = 0
    token_type: str = ""


class Proof(msgspec.Struct, frozen=True):
    """What a wallet proved: claims of the credential, and the evidence for `verified_claims`.

    `person_keys` are (trust domain, element, value): each finds the Subject again. `valid_until` is when the
    credential expires. Values here are personal: a Proof exists in memory or sealed, never otherwise.
    """

    credential_type: str
    claims: dict[str, Any]
    person_keys: tuple[tuple[str, str, str], ...]
    evidence: dict[str, Any]
    valid_until: int | None = None
    standing: Standing | None = None


@dataclass(frozen=True)
class Finished:
    """A login taken out of the hall, opened."""

    login: Login
    answer: Answer
    proof: Proof


@dataclass(frozen=True)
class Passed:
    """What an accepted presentation earns: the `response_code` of a link, or the key to a QR code's number."""

    via: Via
    token: str
