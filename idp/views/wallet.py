"""The wallets' door (OpenID4VP 1.0): hands out request objects, takes answers in.

It only writes to the login; the holder's browser comes back by itself.
"""

from __future__ import annotations

import hashlib
import re

from flask import Blueprint, Response, jsonify, request

from idp import portals
from idp.errors import PresentationError
from idp.login import Ask, Login, Passed, State
from idp.oidc.single_sign_on import acr_reached
from idp.openid4vp.query import query
from idp.openid4vp.request import CONTENT_TYPE
from idp.portals import Registration
from idp.presentation.proof import WalletRefusal
from idp.presentation.question import Question
from idp.views.frame import Frame, wallet_error

_FORM = "application/x-www-form-urlencoded"
_WALLET_NONCE = re.compile(r"[!-~]{1,512}\Z")


class WalletDoor:
    """Routes of the wallets' door."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house
        self.issuer = frame.settings.issuer

    def blueprint(self) -> Blueprint:
        door = Blueprint("wallet", __name__)
        rule = door.add_url_rule
        rule("/wallet/request/<ask_id>", "request", self.request_object, methods=["GET", "POST"])
        rule("/wallet/response/<ask_id>", "response", self.response, methods=["POST"])
        rule("/wallet/done/<token>", "done", self.done)
        return door

    def request_object(self, ask_id: str) -> Response:
        """The signed request object, the same at every fetch (decision D9)."""
        login, ask = self.house.logins.asked(ask_id)
        if login.state is not State.WAITING:
            raise PresentationError("already_answered")
        wallet_nonce = self._wallet_nonce()
        portal = self._portal(login)
        made = self.house.requests.object(
            ask,
            self.house.logins.ask_secret(ask),
            query(self._question(portal, login)),
            client_names=portal.name,
            wallet_nonce=wallet_nonce,
        )
        self.house.logins.fetched(login, ask)
        return Response(made, mimetype=CONTENT_TYPE)

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
        login, ask = self.house.logins.asked(ask_id)
        try:
            passed = self._present(login, ask)
        except PresentationError as error:
            self.house.logins.reject(login, error)
            way_back = f"{self.issuer}/authorize/resume?login={login.id}" if ask.via == "link" else None
            return wallet_error(error, way_back)
        if passed is None:
            way_back = f"{self.issuer}/authorize/resume?login={login.id}"
            return jsonify({"redirect_uri": way_back} if ask.via == "link" else {})
        return jsonify(redirect_uri=self._redirect_uri(login, passed))

    def _present(self, login: Login, ask: Ask) -> Passed | None:
        """What the answer earns; None when the wallet refused."""
        if request.mimetype != _FORM:
            raise PresentationError("malformed", "not a form")
        form = dict(request.form.lists())
        fingerprint = hashlib.sha256("\0".join(form.get("response", ())).encode()).hexdigest()
        if repeated := self.house.logins.answered(login, ask, fingerprint):
            return repeated
        if login.state is not State.WAITING:
            raise PresentationError("already_answered")
        portal = self._portal(login)
        secret = self.house.logins.ask_secret(ask)
        answered = self.house.responses.read(form, ask, secret, self._question(portal, login))
        if isinstance(answered, WalletRefusal):
            self.house.logins.refuse(login, ask, answered.code)
            return None
        acr = f"{self.issuer}/acr/{answered.acr_level}"
        if not acr_reached(portal, login.request, acr, self.issuer):
            raise PresentationError("too_weak", oauth_error="unmet_authentication_requirements")
        return self.house.logins.present(
            login, ask, answered.proof, acr=acr, amr=answered.amr, fingerprint=fingerprint
        )

    def _redirect_uri(self, login: Login, passed: Passed) -> str:
        if passed.via == "link":
            return f"{self.issuer}/authorize/resume?login={login.id}&response_code={passed.token}"
        return f"{self.issuer}/wallet/done/{passed.token}"

    def done(self, token: str) -> Response:
        """The phone's page after a QR code: the number to type where the sign-in began (decision D1)."""
        login, number = self.house.logins.done(token)
        self.frame.speak_for(login)
        return self.frame.page(
            "wallet_done.html", number=number, portal=self.frame.portal(self._portal(login))
        )

    def _portal(self, login: Login) -> Registration:
        portal = portals.find(login.request.client_id)
        if portal is None:
            raise PresentationError("unknown_portal")
        return portal

    def _question(self, portal: Registration, login: Login) -> Question:
        return self.house.question(portal, login.request)
