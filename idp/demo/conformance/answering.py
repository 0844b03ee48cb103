"""A wallet that answers by itself: opening its link shows the persona's credential and leads back at once."""

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from idp.demo import pages
from idp.demo.personas import Persona
from idp.demo.request import RequestRefused, link_from
from idp.demo.wallet import CannotAnswer, Wallet


def blueprint(wallet: Wallet, persona: Persona) -> Blueprint:
    """The door `/wallet/answer`, which takes the query of a wallet link."""
    doors = Blueprint("answering", __name__, url_prefix="/wallet")

    @doors.get("/answer")
    def answer() -> Response:
        try:
            outcome = wallet.show(wallet.receive(link_from(request.args.getlist)), persona)
        except RequestRefused as refusal:
            return pages.show("wallet_refused.html", 400, refusal=refusal)
        except CannotAnswer:
            return pages.show("wallet_outcome.html", 502, kind="cannot", outcome=None)
        if outcome.redirect_uri:
            return redirect(outcome.redirect_uri, 303)
        kind = "sent" if outcome.status == 200 else "rejected"
        return pages.show("wallet_outcome.html", kind=kind, outcome=outcome)

    return doors
