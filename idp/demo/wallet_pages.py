"""The wallet as web pages, for a phone's screen; complete without JavaScript.

A request that was fetched and checked waits under a ticket while the holder decides, so that what is
answered is what was shown.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from idp.demo import pages
from idp.demo.answering import FORMAT_OF
from idp.demo.authority import MDOC, SD_JWT
from idp.demo.personas import Behaviour, Persona
from idp.demo.request import Link, Request, RequestRefused, link_from, read_link
from idp.demo.wallet import CannotAnswer, Choice, Fault, Outcome, Wallet, cards_of

TICKET_LIFE_S = 1_800
MAX_TICKETS = 5_000
_PURPOSES = re.compile(r"https?://[^#]+/docs/wallets#for-whom-we-ask")


T = TypeVar("T")


class Waiting(Generic[T]):
    """Requests that holders are looking at. Safe for threads."""

    def __init__(self) -> None:
        self._requests: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, asked: T) -> str:
        """Keep a request; returns its ticket."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._requests[ticket] = (asked, time.monotonic())
            while len(self._requests) > MAX_TICKETS:
                self._requests.popitem(last=False)
        return ticket

    def take(self, ticket: str) -> T | None:
        """The request of a ticket, once; None when there is none any more."""
        with self._lock:
            asked, since = self._requests.pop(ticket, (None, 0.0))
        return asked if time.monotonic() - since <= TICKET_LIFE_S else None


def blueprint(wallet: Wallet) -> Blueprint:
    """The wallet's door, `/wallet/`."""
    doors = Blueprint("wallet", __name__, url_prefix="/wallet")
    waiting: Waiting[Request] = Waiting()

    @doors.get("/")
    def home() -> Response:
        return pages.show("wallet.html", **_home(wallet), refusal=None)

    @doors.post("/scan")
    def scan() -> Response:
        try:
            link = read_link(request.form.get("link", ""))
        except RequestRefused as refusal:
            return pages.show("wallet.html", 400, **_home(wallet), refusal=refusal)
        return redirect(f"{url_for('.look')}?{urlencode(_query(link))}", 303)

    @doors.get("/open")
    def look() -> Response:
        try:
            asked = wallet.receive(link_from(request.args.getlist))
        except RequestRefused as refusal:
            return pages.show("wallet_refused.html", 400, refusal=refusal)
        format = request.args.get("format", "")
        return pages.show(
            "wallet_request.html",
            asked=asked,
            ticket=waiting.put(asked),
            service=_by_language(asked, "client_name"),
            agency=_by_language(asked, "organization_name"),
            purposes=_purposes(asked),
            offers=[
                (persona, _by_card(wallet.choices(persona, asked), format))
                for persona in listed(wallet.personas)
            ],
            name_of_card=wallet.name_of,
            faults=[fault for fault in Fault if format in ("", FORMAT_OF.get(fault, format))],
            format=format,
            formats=_formats(asked),
        )

    @doors.post("/open")
    def answer() -> Response:
        asked = waiting.take(request.form.get("ticket", ""))
        chosen, _, card = request.form.get("persona", "").partition(":")
        persona = wallet.personas.get(chosen)
        refuses = request.form.get("action") == "refuse"
        if asked is None or (persona is None and not refuses):
            return pages.show("wallet_outcome.html", 400, kind="again", outcome=None)
        fault = _fault(request.form.get("fault", ""))
        refuses = refuses or fault is Fault.DECLINE
        refuses = refuses or (persona is not None and persona.behaviour is Behaviour.REFUSES)
        try:
            if refuses or persona is None:
                return _after(wallet.refuse(asked), "declined")
            outcome = wallet.show(
                asked,
                persona,
                fault,
                card=card or None,
                format=request.form.get("format") or None,
            )
        except CannotAnswer:
            return pages.show("wallet_outcome.html", 502, kind="cannot", outcome=None)
        if outcome.status is None:
            return pages.show("wallet_outcome.html", kind="silent", outcome=None)
        return _after(outcome, "sent" if outcome.status == 200 else "rejected")

    return doors


def _after(outcome: Outcome, kind: str) -> Response:
    """Follow the verifier's `redirect_uri` where there is one (OpenID4VP 1.0, section 8.2)."""
    if outcome.redirect_uri:
        return redirect(outcome.redirect_uri, 303)
    return pages.show("wallet_outcome.html", kind=kind, outcome=outcome)


def listed(personas: Mapping[str, Persona]) -> list[Persona]:
    """Those a person can choose from; the many invented ones are for scripts."""
    return [persona for persona in personas.values() if not persona.id.startswith("invented-")]


def _home(wallet: Wallet) -> dict[str, Any]:
    return {
        "personas": listed(wallet.personas),
        "cards_of": {
            persona.id: [wallet.name_of(card) for card in cards_of(persona)]
            for persona in listed(wallet.personas)
        },
    }


def _by_card(choices: list[Choice], format: str) -> list[Choice]:
    """One choice a card, in this format where one is named: people choose a card, not a format."""
    fitting = [choice for choice in choices if format in ("", choice.format)]
    return list({choice.card: choice for choice in reversed(fitting)}.values())[::-1]


def _formats(asked: Request) -> list[tuple[str, str]]:
    """The formats to choose from, each with the address of this page in it: none where there is but one."""
    wanted = [name for name in (SD_JWT, MDOC) if name in {query.format for query in asked.query.credentials}]
    here = {name: value for name, value in request.args.items() if name != "format"}
    return [
        (name, f"{request.path}?{urlencode({**here, 'format': name} if name else here)}")
        for name in ("", *wanted)
        if len(wanted) > 1
    ]


def _query(link: Link) -> dict[str, str]:
    query = {"client_id": link.client_id, "request_uri": link.request_uri}
    return query if link.method == "get" else {**query, "request_uri_method": link.method}


def _fault(text: str) -> Fault:
    try:
        return Fault(text)
    except ValueError:
        return Fault.NONE


def _by_language(asked: Request, name: str) -> dict[str, str] | None:
    """What the verifier says of the service it asks for: a member of the client metadata, by language."""
    metadata = asked.client_metadata
    plain = metadata.get(name)
    texts = {code: metadata.get(f"{name}#{code}", plain) for code in ("ko", "en")}
    return {code: text for code, text in texts.items() if isinstance(text, str)} or None


def _purposes(asked: Request) -> list[dict[str, str]]:
    """Why it asks, in the one format of `verifier_info` that this wallet knows; others are not looked at."""
    known = [one.get("data") for one in asked.verifier_info if _PURPOSES.fullmatch(str(one.get("format")))]
    listed = [purpose for data in known if isinstance(data, dict) for purpose in data.get("purposes", ())]
    return [
        {code: text for code, text in purpose.items() if isinstance(text, str)}
        for purpose in listed
        if isinstance(purpose, dict) and purpose
    ]
