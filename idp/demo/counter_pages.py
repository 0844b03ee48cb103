"""The officer's screen: who waits, the code to show, and the face to compare with the photograph."""

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, abort, g, redirect, request, url_for
from werkzeug.wrappers import Response

from idp.demo import pages, qr
from idp.demo.counter import MATTERS, Counter, Desk, State, Ticket
from idp.demo.relying import SignInFailed

COOKIE = "counter_desk"
_PATH = "/counter/"
_ACTIONS = {"finish": State.FINISHED, "mismatch": State.MISMATCH}


def blueprint(counter: Counter) -> Blueprint:
    """The counter's doors, under `/counter/`."""
    doors = Blueprint("counter", __name__, url_prefix="/counter")

    @doors.get("/")
    def home() -> Response:
        return _desk_page(counter, None)

    @doors.post("/tickets")
    def call() -> Response:
        matter = request.form.get("matter", "")
        if matter not in MATTERS:
            abort(400)
        key = counter.open_desk(request.cookies.get(COOKIE))
        try:
            ticket = counter.call(key, matter, g.language)
        except SignInFailed as failure:
            return pages.show("counter_error.html", 400, counter=counter, failure=failure)
        response = redirect(url_for(".ticket", ticket_id=ticket.id), 303)
        response.set_cookie(COOKIE, key, path=_PATH, httponly=True, samesite="Lax", secure=request.is_secure)
        return response

    @doors.get("/tickets/<ticket_id>")
    def ticket(ticket_id: str) -> Response:
        return _desk_page(counter, ticket_id)

    @doors.post("/tickets/<ticket_id>")
    def decide(ticket_id: str) -> Response:
        key, action = request.cookies.get(COOKIE), request.form.get("action", "")
        if action == "clear":
            counter.clear(key, ticket_id)
            return redirect(url_for(".home"), 303)
        if action not in _ACTIONS:
            abort(400)
        counter.close_ticket(key, ticket_id, _ACTIONS[action])
        return redirect(url_for(".ticket", ticket_id=ticket_id), 303)

    @doors.get("/version")
    def version() -> dict[str, int]:
        return {"version": counter.look(request.cookies.get(COOKIE)).version}

    return doors


def _desk_page(counter: Counter, ticket_id: str | None) -> Response:
    desk = counter.look(request.cookies.get(COOKIE))
    if ticket_id is not None and ticket_id not in desk.tickets:
        return redirect(url_for(".home"), 303)
    ticket = desk.tickets[ticket_id] if ticket_id else None
    response = pages.show("counter.html", counter=counter, matters=MATTERS, **_values(counter, desk, ticket))
    response.headers["Content-Security-Policy"] = f"{pages.CSP}; script-src 'self'; connect-src 'self'"
    return response


def _values(counter: Counter, desk: Desk, ticket: Ticket | None) -> dict[str, Any]:
    now = counter.now()
    return {
        "desk": desk,
        # The newest first: it is the one at the desk.
        "rows": [(item, item.left_s(now)) for item in reversed(desk.tickets.values())],
        "ticket": ticket,
        "left_s": ticket.left_s(now) if ticket else 0,
        "clock": clock,
        "qr_image": qr.data_uri(ticket.code.verification_uri_complete) if ticket else "",
        "address": _readable(ticket.code.verification_uri) if ticket else "",
        "person": _person(ticket) if ticket and ticket.shown else None,
    }


def _person(ticket: Ticket) -> dict[str, Any]:
    """What the officer compares. A photograph is shown only when it is one of the two kinds a credential holds."""
    if ticket.shown is None:
        raise ValueError("nothing was shown")
    verified = ticket.shown.verified()
    claims = {**ticket.shown.userinfo, **verified.get("claims", {})}
    picture = str(claims.pop("picture", ""))
    is_photo = picture.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))
    verification = verified.get("verification", {})
    shown = ("name", "kr_overseas_registration_number")
    return {
        "picture": picture if is_photo else "",
        "rows": [(name, claims[name]) for name in shown if name in claims],
        "time": verification.get("time", ""),
        "level": verification.get("assurance_level", ""),
    }


def _readable(url: str) -> str:
    """An address as somebody types it: without scheme where that is https."""
    parts = urlsplit(url)
    return url if parts.scheme != "https" else f"{parts.netloc}{parts.path}"


def clock(seconds: int) -> str:
    """Minutes and seconds, 9:05."""
    return f"{seconds // 60}:{seconds % 60:02}"
