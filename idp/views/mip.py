"""The national app's door: the messages of 모바일신분증, from the envelope to the hall.

Four addresses that the app calls by itself, `/mip/profile`, `/mip/image`, `/mip/vp`, `/mip/error`, one that says where
a transaction stands, and one by which a counter hands over a code that the app shows. Refusals are answers too: HTTP
200 with `{"result": false}` and an M900, as the protocol has it, and 503 with the same where nothing could be said.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, jsonify, request

from idp import seal
from idp.credentials.verdict import CredentialRejected, VerifiedCredential
from idp.errors import LoginError, PresentationError, Unavailable
from idp.mip import errors, messages
from idp.mip.backend import Asked as Transaction
from idp.mip.errors import AppGaveUp, MessageRefused
from idp.mip.messages import Preparation
from idp.mip.relay import is_at
from idp.mip.states import Status
from idp.mip.transactions import Transactions, ask_id, trxcode
from idp.oidc import registration
from idp.presentation.proof import Answered, WalletRefusal, answered, rejected
from idp.presentation.question import Alternative, NoCredentialType, Question
from idp.views.frame import STATIC, Frame, see_other
from idp.views.holder import HolderDoor
from idp.views.presenting import Asked, Presenting

log = logging.getLogger("idp")

_MAX_MEETINGS = 8
_MARK = STATIC / "mark.png"
# What says nothing about a presentation.
_OF_A_TRANSACTION = frozenset({errors.SEQUENCE, errors.TIMEOUT, errors.TRXCODE_NOT_FOUND})
# What does, in the words of the audit; the rest is its form.
_OF_A_PRESENTATION: Mapping[int, str] = {
    errors.MISMATCHING_NONCE: "key_binding_nonce",
    errors.MISMATCHING_AUTH_TYPE: "too_weak",
}


class MipDoor:
    """Routes of the national app's door; none where it is switched off."""

    def __init__(self, frame: Frame, holder: HolderDoor) -> None:
        self.frame = frame
        self.house = frame.house
        self.holder = holder
        self.presenting = Presenting(frame.house)
        self._meetings = threading.BoundedSemaphore(_MAX_MEETINGS)

    def blueprint(self) -> Blueprint:
        door = Blueprint("mip", __name__)
        if self.house.mip is None:
            return door
        rule = door.add_url_rule
        rule("/mip/profile", "profile", _answering(self.profile), methods=["POST"])
        rule("/mip/image", "image", _answering(self.image), methods=["POST"])
        rule("/mip/vp", "vp", _answering(self.vp), methods=["POST"])
        rule("/mip/error", "error", _answering(self.error), methods=["POST"])
        rule("/mip/trxsts", "trxsts", _answering(self.trxsts), methods=["POST"])
        rule("/login/<login_id>/scan", "scan", self.scan, methods=["POST"])
        return door

    @property
    def transactions(self) -> Transactions:
        if self.house.mip is None:
            raise Unavailable("unavailable", "mip is off")
        return self.house.mip

    # -- what the app calls ----------------------------------------------------------------------------------

    def profile(self) -> dict[str, Any]:
        """M310: the signed profile, by which the app shows who asks for what."""
        message = messages.read_wanted(_opened(messages.MAX_CONTROL_BYTES), "310")
        asked = self._asked(message.trxcode)
        if not asked.open:
            raise PresentationError("already_answered")
        transaction = self._transaction(asked, self.presenting.question(asked))
        self.presenting.opened(asked)
        profile = self.transactions.profile(asked.ask, transaction)
        return messages.taken(messages.m310(message.trxcode, profile))

    def image(self) -> dict[str, Any]:
        """M320: the picture that the app shows beside the name of the service. The answer is the picture alone."""
        message = messages.read_wanted(_opened(messages.MAX_CONTROL_BYTES), "320")
        asked = self._asked(message.trxcode)
        self.transactions.picture_asked(asked.ask)
        logo = registration.logo_png(asked.portal.client_id)
        return messages.taken(seal.b64(logo[0] if logo else _MARK.read_bytes()))

    def vp(self) -> dict[str, Any]:
        """M400: what the holder shows. Taken, or refused without a word which check it was (decision D6)."""
        message = _opened(messages.MAX_VP_BYTES)
        asked = self._asked(_trxcode_of(message))

        def submitted(transaction: Transaction) -> VerifiedCredential:
            return self.transactions.submit(asked.ask, transaction, messages.read_submission(message).vp)

        self._take(asked, request.get_data(as_text=True), submitted)
        return messages.taken()

    def _take(self, asked: Asked, message: str, verify: Callable[[Transaction], VerifiedCredential]) -> None:
        """Lay what is verified beside the login; what the login does not take is taken back from the transaction.

        Raises PresentationError, MessageRefused, Unavailable.
        """
        verified_here = False

        def read(question: Question) -> Answered | WalletRefusal:
            nonlocal verified_here
            transaction = self._transaction(asked, question)
            try:
                verified = verify(transaction)
            except CredentialRejected as error:
                raise rejected(error) from error
            except AppGaveUp as gave_up:
                meaning = errors.app_error(gave_up.code)
                return WalletRefusal(meaning.reason, meaning.problem)
            except MessageRefused as refused:
                if refused.code in _OF_A_TRANSACTION:
                    raise
                reason = _OF_A_PRESENTATION.get(refused.code, "malformed")
                raise PresentationError(reason, refused.detail) from refused
            verified_here = True
            return answered(verified, transaction.alternative, via="qr", now=self.house.clock())

        try:
            self.presenting.take(
                asked.login, asked.ask, asked.portal, message, read, comes_back=asked.wallet.comes_back
            )
        except BaseException:
            if verified_here:
                self.transactions.not_taken(asked.ask)
            raise
        if verified_here:
            self.transactions.laid(asked.ask)

    def error(self) -> dict[str, Any]:
        """M900: the app gives up. It hears yes whatever it says (section 2.5.1.2)."""
        failure = messages.read_failure(_opened(messages.MAX_CONTROL_BYTES))
        asked = self._asked(failure.trxcode)
        if self.transactions.failed(asked.ask):
            self._gave_up(asked, failure.code)
        return messages.taken()

    def _gave_up(self, asked: Asked, code: int) -> None:
        meaning = errors.app_error(code)
        if meaning.ours:
            log.error("%s the app refuses our profile or answers: %s", g.correlation_id, code)
        self.house.logins.refuse(asked.login, asked.ask, meaning.reason, problem=meaning.problem)

    def trxsts(self) -> dict[str, Any]:
        """Where a transaction stands, as the sample verifiers say it; nothing about the holder."""
        asked = self._asked(_trxcode_of(_opened(messages.MAX_CONTROL_BYTES)))
        status = self.transactions.status(asked.ask)
        return messages.taken(
            {
                "trxcode": trxcode(asked.ask.id),
                "trxStsCode": status.value,
                "vpVerifyResult": "Y" if status in {Status.VERIFIED, Status.CHECKED} else "N",
            }
        )

    # -- a counter -------------------------------------------------------------------------------------------

    def scan(self, login_id: str) -> Response:
        """QR-CPM: a code that the app shows was read at this page. The page waits like for any other answer."""
        login, _ = self.holder.own_form(login_id)
        relay_url = self.frame.settings.mip.relay
        ask = next(
            (code for wallet in self._wallets() for code in self.house.logins.codes(login, wallet)), None
        )
        if ask is None or not relay_url:
            raise LoginError("form_expired", "no code of the national app is read here", status=409)
        asked = self.presenting.asked(ask.id, "mip")
        try:
            code = messages.decode(request.form.get("code", "").strip(), max_bytes=messages.MAX_CONTROL_BYTES)
            preparation = messages.read_preparation(code)
            if not is_at(preparation, relay_url):
                raise MessageRefused(errors.INVALID_DATA, "another relay")
        except MessageRefused as refused:
            log.info("%s a code that is none of the app's: %s", g.correlation_id, refused)
            self.house.logins.reject(login, PresentationError("code_not_read"))
            return see_other(f"/login/{login.id}")
        if not self._meetings.acquire(blocking=False):
            raise Unavailable("unavailable", "too many meetings at the relay")
        self.house.logins.fetched(asked.login, asked.ask)
        _in_background(lambda: self._meet(asked, preparation), self._meetings.release)
        return see_other(f"/login/{login.id}")

    def _meet(self, asked: Asked, preparation: Preparation) -> None:
        """Meet the app at the relay. The page hears what came of it; nobody else waits for this."""

        def met(transaction: Transaction) -> VerifiedCredential:
            return self.transactions.meet(asked.ask, transaction, preparation)

        try:
            self._take(asked, preparation.trxcode, met)
        except PresentationError as error:
            log.info("%s at the relay: %s", g.correlation_id, error)
        except (MessageRefused, Unavailable, NoCredentialType) as error:
            log.warning("%s at the relay: %s", g.correlation_id, error)
            self.house.logins.reject(asked.login, PresentationError("relay_failed"))

    # -- whose question --------------------------------------------------------------------------------------

    def _wallets(self) -> set[str]:
        return {name for name, wallet in self.house.wallets.in_use().items() if wallet.protocol == "mip"}

    def _asked(self, code: str) -> Asked:
        """The question that a trxcode names. Raises PresentationError."""
        return self.presenting.asked(ask_id(code), "mip")

    def _transaction(self, asked: Asked, question: Question) -> Transaction:
        """The question in the protocol's words: one service code, for one type of credential.

        The first type that can answer, by its id: a profile asks for one. Raises NoCredentialType.
        """
        alternatives = asked.wallet.alternatives(question)
        if not alternatives:
            raise NoCredentialType(asked.portal.client_id)
        secure_services = set(self.frame.settings.mip.secure_services)
        alternative, service = _service(alternatives, secure_services, secure=question.status_fail_closed)
        return Transaction(
            trxcode=trxcode(asked.ask.id),
            service=service,
            secure=service in secure_services,
            alternative=alternative,
            portal_names=asked.portal.name,
            status_fail_closed=question.status_fail_closed,
            secret=self.house.logins.ask_secret(asked.ask),
        )


def _service(
    alternatives: tuple[Alternative, ...], secure_services: set[str], *, secure: bool
) -> tuple[Alternative, str]:
    """The type and the service code that ask for what is needed: 안심인증 where the portal requires `acr` secure."""
    for alternative in alternatives:
        names = alternative.looks.names
        for service in sorted(names & secure_services if secure else names - secure_services):
            return alternative, service
    raise NoCredentialType("no service code of this level")


def _opened(max_bytes: int) -> dict[str, Any]:
    """The message that was posted. Its trxcode goes into whatever the app hears, once there is one."""
    message = messages.opened(request.get_data(), max_bytes=max_bytes)
    code = message.get("trxcode")
    if isinstance(code, str) and len(code) <= messages.MAX_TRXCODE_CHARS:
        g.mip_trxcode = code
    return message


def _trxcode_of(message: Mapping[str, Any]) -> str:
    """Whose message it is, before it is read in full."""
    code = message.get("trxcode")
    if not isinstance(code, str) or not code:
        raise MessageRefused(errors.MISSING_ITEM, "trxcode")
    return code


def _answering(answer: Callable[[], dict[str, Any]]) -> Callable[[], Response]:
    """A door that speaks in envelopes, whatever goes wrong behind it."""

    @wraps(answer)
    def door() -> Response:
        g.mip_trxcode = None
        try:
            return jsonify(answer())
        except MessageRefused as refused:
            log.info("%s %s", g.correlation_id, refused)
            return _refused(refused.code)
        except PresentationError as error:
            log.info("%s %s", g.correlation_id, error)
            cause = error.__cause__
            code = cause.code if isinstance(cause, MessageRefused) else errors.code_for(error.reason)
            return _refused(code, error.status if error.status == 503 else 200)
        except (Unavailable, NoCredentialType) as error:
            log.error("%s unavailable: %s", g.correlation_id, error)
            return _refused(errors.UNKNOWN, 503)

    return door


def _refused(code: int, status: int = 200) -> Response:
    response = jsonify(messages.refused(code, g.mip_trxcode))
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _in_background(work: Callable[[], None], afterwards: Callable[[], None]) -> None:
    """Work on in a thread of its own, with this request's application and origin."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy itself knows no thread
    correlation_id = g.correlation_id
    context = contextvars.copy_context()

    def run() -> None:
        try:
            with app.app_context():
                g.correlation_id = correlation_id
                work()
        finally:
            afterwards()

    threading.Thread(target=context.run, args=(run,), name="mip-relay", daemon=True).start()
