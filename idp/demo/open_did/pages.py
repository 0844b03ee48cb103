"""The Open DID wallet as web pages, for a phone's screen; complete without JavaScript."""

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from idp.demo import pages
from idp.demo.open_did.wallet import Asked, Fault, OfferRefused, Wallet
from idp.demo.personas import Behaviour, Persona
from idp.demo.wallet import CannotAnswer, Outcome
from idp.demo.wallet_pages import Waiting


def blueprint(wallet: Wallet) -> Blueprint:
    """The wallet's door, `/open-did/`."""
    doors = Blueprint("open_did", __name__, url_prefix="/open-did")
    waiting: Waiting[Asked] = Waiting()

    @doors.get("/")
    def home() -> Response:
        return pages.show(
            "phone_app.html",
            app="open_did",
            field="link",
            placeholder='{"payloadType":"SUBMIT_VP",…}',
            personas=_listed(wallet),
        )

    @doors.post("/scan")
    def scan() -> Response:
        return look_at(request.form.get("link", ""))

    @doors.get("/open")
    def look() -> Response:
        return look_at(request.url)

    def look_at(scanned: str) -> Response:
        try:
            asked = wallet.receive(scanned)
        except OfferRefused as refusal:
            return pages.show("open_did_refused.html", 400, refusal=refusal)
        people = _listed(wallet)
        return pages.show(
            "open_did_request.html",
            asked=asked,
            ticket=waiting.put(asked),
            personas=people,
            preview={persona.id: wallet.preview(persona, asked) for persona in people},
            able={persona.id: wallet.can_answer(persona, asked) for persona in people},
            faults=list(Fault),
        )

    @doors.post("/open")
    def answer() -> Response:
        asked = waiting.take(request.form.get("ticket", ""))
        persona = wallet.personas.get(request.form.get("persona", ""))
        if request.form.get("action") == "refuse" or (persona and persona.behaviour is Behaviour.REFUSES):
            # The protocol has no word for it: the page where the sign-in began is where it is cancelled.
            return pages.show("open_did_outcome.html", kind="declined", outcome=None)
        if asked is None or persona is None:
            return pages.show("open_did_outcome.html", 400, kind="again", outcome=None)
        try:
            return _after(wallet.show(asked, persona, _fault(request.form.get("fault", ""))))
        except CannotAnswer:
            return pages.show("open_did_outcome.html", 502, kind="cannot", outcome=None)

    return doors


def _after(outcome: Outcome) -> Response:
    """Follow `redirectUri` where the verifier gives one, which is beyond the protocol."""
    if outcome.status is None:
        return pages.show("open_did_outcome.html", kind="silent", outcome=None)
    if outcome.redirect_uri:
        return redirect(outcome.redirect_uri, 303)
    return pages.show(
        "open_did_outcome.html", kind="sent" if outcome.status == 200 else "rejected", outcome=outcome
    )


def _listed(wallet: Wallet) -> list[Persona]:
    return [persona for persona in wallet.personas.values() if not persona.id.startswith("invented-")]


def _fault(text: str) -> Fault:
    try:
        return Fault(text)
    except ValueError:
        return Fault.NONE
