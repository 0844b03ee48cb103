"""What the wallets' doors share: from a wallet's message to `Logins.present`, whatever the protocol.

A door finds the login and the question (`asked`), lays the message before its protocol (`take`) and tells the wallet
where to go on (`way_on`). Every refusal is in the audit before the wallet hears of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from flask import request

from idp import portals, tracing
from idp.addresses import network
from idp.errors import PresentationError
from idp.login import Ask, Login, Passed, State
from idp.oidc.single_sign_on import acr_reached
from idp.portals import Registration
from idp.presentation.proof import Answered, WalletRefusal
from idp.presentation.question import Question
from idp.presentation.wallets import Protocol, WalletProfile
from idp.wiring import House


@dataclass(frozen=True)
class Asked:
    """A question that a wallet came for, with whom it belongs to."""

    login: Login
    ask: Ask
    wallet: WalletProfile
    portal: Registration

    @property
    def open(self) -> bool:
        """Whether an answer is still waited for."""
        return self.login.state is State.WAITING


Read = Callable[[Question], Answered | WalletRefusal]


class Presenting:
    """The steps between a wallet's door and the hall."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.issuer = house.settings.issuer

    def asked(self, ask_id: str, protocol: Protocol) -> Asked:
        """The question behind a wallet's URL, if it was put in this protocol.

        Raises PresentationError `login_unknown`, `login_expired`, `unknown_portal`.
        """
        login, ask = self.house.logins.asked(ask_id)
        wallet = self.house.wallets.in_use().get(ask.wallet)
        if wallet is None or wallet.protocol != protocol:
            raise PresentationError("login_unknown", "no such wallet")
        return Asked(login, ask, wallet, portal_of(login))

    def opened(self, asked: Asked) -> None:
        """Note that a wallet has opened the question. Raises PresentationError `opened_elsewhere`, in the audit."""
        address = request.remote_addr or ""
        place = self.house.locations.place(address) if asked.ask.via == "qr" else None
        try:
            self.house.logins.fetched(asked.login, asked.ask, network=network(address), place=place)
        except PresentationError as error:
            self.house.logins.reject(asked.login, error)
            raise

    def question(self, asked: Asked) -> Question:
        """What is asked, in no protocol's words."""
        return self.house.question(asked.portal, asked.login.request)

    def take(
        self,
        login: Login,
        ask: Ask,
        portal: Registration,
        message: str,
        read: Read,
        *,
        encrypted: bool = True,
        number: str | None = None,
        comes_back: bool = True,
    ) -> Passed | None:
        """What an answer earns; None when the wallet refused.

        `message` is the wallet's, whole: the same one again earns the same. `read` verifies it. `number` and
        `comes_back`: those of `Logins.present`.

        Raises PresentationError, which the audit has by then.
        """
        try:
            return self._taken(
                login, ask, portal, message, read, encrypted=encrypted, number=number, comes_back=comes_back
            )
        except PresentationError as error:
            self.house.logins.reject(login, error)
            raise

    def _verified(self, read: Read, portal: Registration, login: Login) -> Answered | WalletRefusal:
        with tracing.span("verify", portal=portal.client_id) as told:
            try:
                answered = read(self.house.question(portal, login.request))
            except PresentationError as error:
                told.say(outcome="refused", reason=error.reason)
                raise
            told.say(outcome="ok" if isinstance(answered, Answered) else "refused")
            return answered

    def _taken(
        self,
        login: Login,
        ask: Ask,
        portal: Registration,
        message: str,
        read: Read,
        *,
        encrypted: bool,
        number: str | None,
        comes_back: bool,
    ) -> Passed | None:
        fingerprint = hashlib.sha256(message.encode("utf-8", "surrogateescape")).hexdigest()
        if repeated := self.house.logins.answered(login, ask, fingerprint):
            return repeated
        if login.state is not State.WAITING:
            raise PresentationError("already_answered")
        answered = self._verified(read, portal, login)
        if isinstance(answered, WalletRefusal):
            self.house.logins.refuse(login, ask, answered.code, problem=answered.problem)
            return None
        acr = f"{self.issuer}/acr/{answered.acr_level}"
        if not acr_reached(portal, login.request, acr, self.issuer):
            raise PresentationError("too_weak", oauth_error="unmet_authentication_requirements")
        passed = self.house.logins.present(
            login,
            ask,
            answered.proof,
            acr=acr,
            amr=answered.amr,
            fingerprint=fingerprint,
            encrypted=encrypted,
            number=number,
            comes_back=comes_back,
        )
        self.house.seen_chains.note(answered.proof.standing)
        return passed

    def way_on(self, login: Login, passed: Passed) -> str:
        """Where a wallet sends its holder after an answer that was accepted."""
        if passed.via == "qr":
            return f"{self.issuer}/wallet/done/{passed.token}"
        return f"{self.way_back(login)}&response_code={passed.token}"

    def way_back(self, login: Login) -> str:
        """Where a holder on the same device goes on when the answer was none."""
        return f"{self.issuer}/authorize/resume?login={login.id}"


def portal_of(login: Login) -> Registration:
    """The portal of a login. Raises PresentationError `unknown_portal` when it is gone."""
    portal = portals.find(login.request.client_id)
    if portal is None:
        raise PresentationError("unknown_portal")
    return portal
