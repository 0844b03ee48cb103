"""The wallets' door (OpenID4VP 1.0): hands out request objects, takes answers in.

It only writes to the login; the holder's browser comes back by itself.
"""

from __future__ import annotations

import re

from flask import Blueprint, Response, jsonify, request

from idp.errors import PresentationError
from idp.login import Passed
from idp.openid4vp.on_behalf import OnBehalf
from idp.openid4vp.query import query
from idp.openid4vp.request import CONTENT_TYPE
from idp.views.frame import Frame, wallet_error
from idp.views.presenting import Asked, Presenting, portal_of

_FORM = "application/x-www-form-urlencoded"
_WALLET_NONCE = re.compile(r"[!-~]{1,512}\Z")


class WalletDoor:
    """Routes of the wallets' door."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house
        self.presenting = Presenting(frame.house)

    def blueprint(self) -> Blueprint:
        door = Blueprint("wallet", __name__)
        rule = door.add_url_rule
        rule("/wallet/request/<ask_id>", "request", self.request_object, methods=["GET", "POST"])
        rule("/wallet/response/<ask_id>", "response", self.response, methods=["POST"])
        rule("/wallet/done/<token>", "done", self.done)
        return door

    def request_object(self, ask_id: str) -> Response:
        """The signed request object, the same at every fetch (decision D9); a QR code's for one device at a time."""
        asked = self.presenting.asked(ask_id, "openid4vp")
        if not asked.open:
            raise PresentationError("already_answered")
        wallet_nonce = self._wallet_nonce()
        self.presenting.opened(asked)
        return Response(self._made(asked, wallet_nonce), mimetype=CONTENT_TYPE)

    def _made(self, asked: Asked, wallet_nonce: str | None) -> str:
        return self.house.requests.object(
            asked.ask,
            self.house.logins.ask_secret(asked.ask),
            query(
                self.presenting.question(asked),
                asked.wallet.speaks,
                authorities=asked.wallet.trusted_authorities,
            ),
            asked.wallet,
            on_behalf=OnBehalf.of(asked.portal, asked.login.request),
            wallet_nonce=wallet_nonce,
        )

    def _wallet_nonce(self) -> str | None:
        """Section 5.10. Anything else a wallet posts is ignored: some send its members without the parameter."""
        if request.method != "POST":
            return None
        nonces = request.form.getlist("wallet_nonce")
        if len(nonces) > 1 or any(not _WALLET_NONCE.match(nonce) for nonce in nonces):
            raise PresentationError("malformed", "wallet_nonce")
        return nonces[0] if nonces else None

    def response(self, ask_id: str) -> Response:
        """A wallet's answer: 200 with where to send the browser, or 400 and no word why (decision D6)."""
        asked = self.presenting.asked(ask_id, "openid4vp")
        way_back = self.presenting.way_back(asked.login) if asked.ask.via == "link" else None
        try:
            passed = self._present(asked)
        except PresentationError as error:
            return wallet_error(error, way_back)
        if passed is None:
            return jsonify({"redirect_uri": way_back} if way_back else {})
        return jsonify(redirect_uri=self.presenting.way_on(asked.login, passed))

    def _present(self, asked: Asked) -> Passed | None:
        """What the answer earns; None when the wallet refused."""
        is_form = request.mimetype == _FORM
        form = dict(request.form.lists()) if is_form else {}
        secret = self.house.logins.ask_secret(asked.ask)
        member = "response" if asked.wallet.encrypts else "vp_token"
        return self.presenting.take(
            asked.login,
            asked.ask,
            asked.portal,
            "\0".join(form.get(member, ())),
            lambda question: self.house.responses.read(form, asked.ask, secret, question, asked.wallet),
            encrypted=asked.wallet.encrypts,
        )

    def done(self, token: str) -> Response:
        """The phone's page after a QR code: the number to type where the sign-in began (decision D1)."""
        login, number = self.house.logins.done(token)
        self.frame.speak_for(login)
        portal = self.frame.portal(portal_of(login))
        return self.frame.page("wallet_done.html", number=number, portal=portal)
