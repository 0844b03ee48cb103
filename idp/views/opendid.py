"""The door for Open DID wallets: profiles out, presentations in, JSON both ways.

It only writes to the login; the holder's browser comes back by itself, with the number that the wallet shows. A wallet
that looks for `redirectUri` in our answer, which is beyond the protocol, can bring its holder back instead.

Spec: Open DID, Verifier API P310. Members that we do not know are not looked at, as its own implementations do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from idp import strict_json
from idp.errors import LoginError, PresentationError
from idp.login import Passed, State
from idp.opendid import OpenDid
from idp.opendid.offers import PATH, Transaction
from idp.opendid.profile import Words
from idp.presentation.question import NoCredentialType, Question
from idp.views import language
from idp.views.frame import Frame, open_did_error
from idp.views.messages import N_
from idp.views.presenting import Asked, Presenting

log = logging.getLogger("idp")

MAX_SMALL_BYTES = 4_096
_TITLE = N_("%(portal)s: number %(number)s")
_DESCRIPTION = N_(
    "Type %(number)s on the page where you started signing in. Do not go on if you did not open that page yourself."
)


class OpenDidDoor:
    """Routes of the door for Open DID wallets; none where the settings do not switch it on."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house
        self.presenting = Presenting(frame.house)

    def blueprint(self) -> Blueprint:
        door = Blueprint("opendid", __name__, url_prefix=f"{PATH}/api/v1")
        if self.house.opendid is not None:
            rule = door.add_url_rule
            rule("/request-profile", "profile", self.profile, methods=["POST"])
            rule("/request-verify", "verify", self.verify, methods=["POST"])
            rule("/confirm-verify", "confirm", self.confirm, methods=["POST"])
        door.register_error_handler(PresentationError, self._refused)
        door.register_error_handler(LoginError, self._refused)
        return door

    @property
    def _open_did(self) -> OpenDid:
        if self.house.opendid is None:  # then there are no routes
            raise PresentationError("not_found")
        return self.house.opendid

    def profile(self) -> Response:
        """The signed VerifyProfile of an offer, in a transaction of its own."""
        message = _message(MAX_SMALL_BYTES)
        _text(message, "id")
        asked = self.presenting.asked(self._open_did.offers.ask_id(_text(message, "offerId")), "opendid")
        if not asked.open:
            raise PresentationError("already_answered")
        question = self.presenting.question(asked)
        if not question.within(asked.wallet.speaks):
            raise NoCredentialType(asked.portal.client_id)
        self.presenting.opened(asked)
        transaction = self._open_did.offers.begin(asked.ask, self.house.logins.ask_secret(asked.ask))
        made = self._open_did.profiles.profile(
            transaction, question, self.house.trust.snapshot(), self._words(asked, transaction)
        )
        return jsonify(txId=transaction.id, profile=made)

    def _words(self, asked: Asked, transaction: Transaction) -> Words:
        login = asked.login
        default = self.frame.settings.languages.default
        lang = language.choose(login.lang, login.request.ui_locales, None, "", default)
        portal, number = str(language.said(asked.portal.name, lang)), _number(asked, transaction)
        if number is None:
            return Words(verifier=portal, title=portal, description="", language=lang)
        values = {"portal": portal, "number": number}
        gettext = language.translations(lang).gettext
        title, description = gettext(_TITLE) % values, gettext(_DESCRIPTION) % values
        return Words(verifier=portal, title=title, description=description, language=lang)

    def verify(self) -> Response:
        """A presentation: 200 and the transaction, or a refusal and no word why (decision D6)."""
        message = _message(self.frame.settings.server.max_body_bytes)
        _text(message, "id")
        transaction_id = _text(message, "txId")
        asked = self.presenting.asked(self._open_did.offers.ask_id_of(transaction_id), "opendid")
        transaction = self._open_did.offers.transaction(
            transaction_id, self.house.logins.ask_secret(asked.ask)
        )
        passed = self._passed(asked, message, transaction)
        return jsonify(txId=transaction.id, redirectUri=self.presenting.way_on(asked.login, passed))

    def _passed(self, asked: Asked, message: Mapping[str, Any], transaction: Transaction) -> Passed:
        def read(question: Question) -> Any:
            acceptance, encrypted = message.get("accE2e"), message.get("encVp")
            if not isinstance(acceptance, dict) or not isinstance(encrypted, str):
                raise PresentationError("malformed", "accE2e or encVp")
            return self._open_did.answers.read(acceptance, encrypted, transaction, question, asked.ask.via)

        passed = self.presenting.take(
            asked.login,
            asked.ask,
            asked.portal,
            # Without the message's own id: a wallet that repeats itself may give it another.
            f"{transaction.id} {message.get('encVp')}",
            read,
            number=_number(asked, transaction),
        )
        if passed is None:  # only a refusal of the wallet's gives that, and this protocol has none
            raise PresentationError("malformed")
        return passed

    def confirm(self) -> Response:
        """Whether an offer was answered. Never with what: whoever saw the QR code can ask."""
        message = _message(MAX_SMALL_BYTES)
        asked = self.presenting.asked(self._open_did.offers.ask_id(_text(message, "offerId")), "opendid")
        return jsonify(result=asked.login.state in {State.PRESENTED, State.READY})

    def _refused(self, error: PresentationError | LoginError) -> Response:
        log.info("%s %s", g.correlation_id, error)
        return open_did_error(error.reason, error.status)


def _number(asked: Asked, transaction: Transaction) -> str | None:
    """What the wallet shows and the holder types; None where that would let a wallet elsewhere sign somebody in.

    A number can be told to whoever asks for it. So at a portal that takes no other device only a wallet that brings
    its holder back, to this very browser, is of use.
    """
    return transaction.number if asked.portal.cross_device else None


def _message(max_bytes: int) -> dict[str, Any]:
    """The body: a JSON object. Raises PresentationError `bad_request`."""
    if request.mimetype != "application/json":
        raise PresentationError("bad_request", "not JSON")
    try:
        message = strict_json.loads_object(request.get_data(), max_bytes=max_bytes)
    except ValueError as error:
        raise PresentationError("bad_request", "not a JSON object") from error
    return message


def _text(message: Mapping[str, Any], name: str) -> str:
    """A short text of the message. Raises PresentationError `bad_request`."""
    value = message.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 128:
        raise PresentationError("bad_request", name)
    return value
