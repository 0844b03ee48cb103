"""The demo wallet: keeps the cards of every persona and answers requests, rightly or wrongly on demand.

    asked = wallet.receive(request.read_link(link), dialect)
    wallet.show(asked, persona, card="kr-driving-licence", format="mso_mdoc", fault=Fault.DEVICE_MAC)

`dialect` is how it reads the specifications (`request.Dialect`), `fault` what it gets wrong (`answering.Fault`).
"""

import ssl
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from cryptography import x509

from idp.demo import dcql, jose, request
from idp.demo.answering import FORMAT_OF, CannotAnswer, Fault, encrypt, form, present
from idp.demo.authority import OVERSEAS, SD_JWT, Authority, Content, Entry
from idp.demo.personas import Behaviour, Persona, Status

__all__ = ["CannotAnswer", "Choice", "Fault", "Held", "Outcome", "Wallet", "cards_of", "encrypt", "present"]

TIMEOUT_S = 15
MAX_ANSWER_BYTES = 65_536

_FAULT_OF = {Behaviour.NEVER_ANSWERS: Fault.NO_ANSWER, Behaviour.WRONG_NONCE: Fault.WRONG_NONCE}
_STATUS_OF = {
    Fault.EXPIRED: Status.EXPIRED,
    Fault.REVOKED: Status.REVOKED,
    Fault.SUSPENDED: Status.SUSPENDED,
}


@dataclass(frozen=True)
class Outcome:
    """What came of it: the verifier's HTTP status (None when nothing was sent) and where to go next."""

    status: int | None
    redirect_uri: str | None
    error: str | None = None


@dataclass(frozen=True)
class Held:
    """A card in the wallet, as it was issued in one format, and its place in the status list."""

    credential: Content
    entry: Entry


@dataclass(frozen=True)
class Choice:
    """A card that answers a request, in a format that was asked for. `card` is the id of its credential type."""

    card: str
    format: str
    credential: Content
    match: dcql.Match

    @property
    def shown(self) -> list[tuple[dcql.PathPointer, Any]]:
        """Each place that is opened, with what it says."""
        return [
            (path, value)
            for path in self.match.paths
            for _, value in dcql.select(path, self.credential.claims)
        ]


class Wallet:
    """One wallet for all personas. Safe to use from several threads."""

    def __init__(
        self,
        authority: Authority,
        personas: Iterable[Persona],
        access_ca: Path,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.personas = {persona.id: persona for persona in personas}
        self.trusted = x509.load_pem_x509_certificate(access_ca.read_bytes())
        self._authority = authority
        self._held: dict[tuple[Persona, str, str], Held] = {}
        self._lock = threading.Lock()
        self._http = httpx2.Client(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=tls or True
        )

    def close(self) -> None:
        """End open connections."""
        self._http.close()

    # -- cards -----------------------------------------------------------------------------------------------

    def name_of(self, card: str) -> dict[str, str]:
        """A card's name by language."""
        return self._authority.name_of(card)

    def held(self, persona: Persona, card: str = OVERSEAS, format: str = SD_JWT) -> Held:
        """The persona's card, fetched from the authority the first time.

        A persona of whom something has changed (`dataclasses.replace`) is issued another.
        """
        key = persona, card, format
        with self._lock:
            if key not in self._held:
                issued = self._authority.issue(persona, jose.generate(), card=card, format=format)
                self._held[key] = Held(*issued)
            return self._held[key]

    def forget(self, persona: Persona) -> None:
        """Throw the persona's cards away: they are issued anew, for another key, when they are needed."""
        with self._lock:
            self._held = {key: held for key, held in self._held.items() if key[0] != persona}

    # -- requests --------------------------------------------------------------------------------------------

    def receive(self, link: request.Link, dialect: request.Dialect = request.HAIP) -> request.Request:
        """Fetch and check the request behind a link. Raises request.RequestRefused."""
        unverified, wallet_nonce = request.fetch(link, self._http, dialect)
        return request.check(unverified, link, self.trusted, wallet_nonce=wallet_nonce, dialect=dialect)

    def choices(self, persona: Persona, asked: request.Request) -> list[Choice]:
        """Every card and format of the persona's that answers the request, the overseas certificate first."""
        return list(self._choices(persona, asked))

    def _choices(self, persona: Persona, asked: request.Request) -> Iterator[Choice]:
        wanted = {credential.format for credential in asked.query.credentials}
        for card in cards_of(persona):
            for format in self._authority.formats(card):
                if format not in wanted:
                    continue
                credential = self.held(persona, card, format).credential
                if match := _match(credential, format, asked):
                    yield Choice(card, format, credential, match)

    def choose(
        self,
        persona: Persona,
        asked: request.Request,
        *,
        card: str | None = None,
        format: str | None = None,
    ) -> Choice:
        """The first choice, of this card and in this format where they are named. Raises CannotAnswer."""
        for choice in self._choices(persona, asked):
            if card in (None, choice.card) and format in (None, choice.format):
                return choice
        raise CannotAnswer("no card satisfies the request")

    def can_answer(self, persona: Persona, asked: request.Request) -> bool:
        """Whether one of the persona's cards satisfies the request."""
        return any(self._choices(persona, asked))

    # -- answers ---------------------------------------------------------------------------------------------

    def show(
        self,
        asked: request.Request,
        persona: Persona,
        fault: Fault = Fault.NONE,
        *,
        card: str | None = None,
        format: str | None = None,
    ) -> Outcome:
        """Answer a request. Without a fault of its own choosing, the persona's behaviour decides.

        Raises CannotAnswer.
        """
        fault = fault or _FAULT_OF.get(persona.behaviour, Fault.NONE)
        if fault is Fault.NO_ANSWER:
            return Outcome(None, None)
        if fault is Fault.DECLINE:
            return self.refuse(asked)
        answered = self.answer(asked, persona, fault, card=card, format=format)
        return self._post(asked, form(answered, asked, fault))

    def answer(
        self,
        asked: request.Request,
        persona: Persona,
        fault: Fault = Fault.NONE,
        *,
        card: str | None = None,
        format: str | None = None,
    ) -> dict[str, Any]:
        """The members of an answer, still to be encrypted (OpenID4VP 1.0, section 8.1).

        A fault that can be made in one format only is made in that one. Raises CannotAnswer.
        """
        fitting = FORMAT_OF.get(fault, format)
        if format not in (None, fitting):
            raise CannotAnswer("this cannot go wrong in this format")
        choice = self.choose(persona, asked, card=card, format=fitting)
        credential = self._as_needed(persona, choice, asked, fault)
        presentation = present(credential, choice.match, asked, fault)
        named = choice.match.id
        if fault is Fault.WRONG_FORMAT:
            named = self._other_format(persona, asked, choice).match.id
        answered: dict[str, Any] = {"vp_token": {named: [presentation]}}
        return answered if asked.state is None else {**answered, "state": asked.state}

    def refuse(self, asked: request.Request) -> Outcome:
        """Tell the verifier that the holder does not want to (OpenID4VP 1.0, section 8.5)."""
        told = {"error": "access_denied"}
        return self._post(asked, told if asked.state is None else {**told, "state": asked.state})

    def _other_format(self, persona: Persona, asked: request.Request, choice: Choice) -> Choice:
        """The same card as it is asked for in the other format. Raises CannotAnswer."""
        for other in self._choices(persona, asked):
            if other.card == choice.card and other.format != choice.format:
                return other
        raise CannotAnswer("this card is asked for in one format only")

    def _as_needed(self, persona: Persona, choice: Choice, asked: request.Request, fault: Fault) -> Content:
        """The card that was chosen, or another one like it where it is to be wrong, or to be called otherwise."""
        status, stranger = _STATUS_OF.get(fault), fault is Fault.UNKNOWN_ISSUER
        typ = asked.dialect.sd_jwt_type
        if status is None and not stranger and (choice.format != SD_JWT or typ == SD_JWT):
            return choice.credential
        made, _ = self._authority.issue(
            persona,
            jose.generate(),
            card=choice.card,
            format=choice.format,
            status=status,
            from_stranger=stranger,
            typ=typ,
        )
        return made

    def _post(self, asked: request.Request, told: dict[str, str]) -> Outcome:
        try:
            response = self._http.post(asked.response_uri, data=told)
        except httpx2.HTTPError as error:
            raise CannotAnswer("the verifier cannot be reached") from error
        return _read_outcome(response)


def cards_of(persona: Persona) -> tuple[str, ...]:
    """The ids of the cards that a persona holds."""
    return (OVERSEAS, *persona.siblings)


def _match(credential: Content, format: str, asked: request.Request) -> dcql.Match | None:
    return dcql.match(
        asked.query,
        claims=credential.claims,
        type_name=credential.type_name,
        authority_key_ids=credential.authority_key_ids,
        format=format,
    )


def _read_outcome(response: httpx2.Response) -> Outcome:
    """The verifier's answer. `redirect_uri` is taken only when it is an absolute http(s) URL."""
    try:
        body = response.json() if len(response.content) <= MAX_ANSWER_BYTES else None
    except ValueError:
        body = None
    table = body if isinstance(body, dict) else {}
    redirect_uri = table.get("redirect_uri")
    if not isinstance(redirect_uri, str) or urlsplit(redirect_uri).scheme not in {"http", "https"}:
        redirect_uri = None
    error = table.get("error")
    if not isinstance(error, str) and response.status_code != 200:
        error = "no_answer_in_json"
    return Outcome(response.status_code, redirect_uri, error if isinstance(error, str) else None)
