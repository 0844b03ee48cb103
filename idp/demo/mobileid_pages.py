"""The simulated national app as web pages, for a phone's screen; complete without JavaScript."""

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from idp.demo import pages
from idp.demo.mobileid import Asked, MobileId
from idp.demo.personas import Behaviour
from idp.demo.request import RequestRefused
from idp.demo.wallet import CannotAnswer
from idp.demo.wallet_pages import Waiting, listed


def blueprint(app: MobileId) -> Blueprint:
    """The app's door, `/mobileid/`; its link is `/mobileid/verify?...&data=<M200>`."""
    doors = Blueprint("mobileid", __name__, url_prefix="/mobileid")
    waiting: Waiting[Asked] = Waiting()

    @doors.get("/")
    def home() -> Response:
        return pages.show(
            "phone_app.html",
            app="mobileid",
            field="code",
            placeholder="eyJ0eXBlIjoibWlwIiwi…",
            personas=listed(app.personas),
        )

    @doors.post("/scan")
    def scan() -> Response:
        code = request.form.get("code", "").strip()
        data = code.partition("data=")[2].partition("&")[0] if "://" in code else code
        return redirect(url_for(".look", data=data), 303)

    @doors.get("/verify")
    def look() -> Response:
        try:
            asked = app.receive(request.args.get("data", ""))
        except RequestRefused as refusal:
            return pages.show("mobileid_refused.html", 400, refusal=refusal)
        people = listed(app.personas)
        return pages.show(
            "mobileid_request.html",
            asked=asked,
            ticket=waiting.put(asked),
            personas=people,
            shown={persona.id: app.shown(persona, asked) for persona in people},
        )

    @doors.post("/verify")
    def answer() -> Response:
        asked = waiting.take(request.form.get("ticket", ""))
        persona = app.personas.get(request.form.get("persona", ""))
        cancels = request.form.get("action") == "cancel"
        if asked is None or (persona is None and not cancels):
            return pages.show("mobileid_outcome.html", 400, kind="again", outcome=None, persona=None)
        try:
            if cancels or persona is None or persona.behaviour is Behaviour.REFUSES:
                app.cancel(asked)
                return pages.show("mobileid_outcome.html", kind="declined", outcome=None, persona=None)
            outcome = app.show(asked, persona)
        except CannotAnswer:
            return pages.show("mobileid_outcome.html", 502, kind="cannot", outcome=None, persona=None)
        if outcome.taken is None:
            return pages.show("mobileid_outcome.html", kind="silent", outcome=None, persona=None)
        kind = "submitted" if outcome.taken else "rejected"
        return pages.show("mobileid_outcome.html", kind=kind, outcome=outcome, persona=persona)

    return doors
