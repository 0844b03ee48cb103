"""People who do not give up: a browser whose holder reloads, a wallet and a portal that try again, for a while.

Where a sign-in cannot go on they begin it again at the portal. A sign-in that has not finished within PATIENCE_S has
failed.
"""

from __future__ import annotations

import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from idp.demo import jose, personas
from idp.demo.authority import Content
from idp.demo.personas import Persona
from tests.crowd import STEPS, Answer, Client, Holder, Line, Place, Unexpected
from tests.faults.ledger import LOST, TOLD, Entry, Ledger, SignIn, digest

Result = TypeVar("Result")
PATIENCE_S = 15.0
ANSWER_S = 10.0
_PAUSE_S = 0.25
_TRY_AGAIN = {429, 502, 503, 504}
_STILL_BEING_MADE = 409


class OutOfPatience(Exception):
    """The fifteen seconds are over."""


class Patience(Line):
    """Sends again what got no answer, or one that says to come later, until `until` of this thread."""

    def __init__(
        self, url: str, tls: ssl.SSLContext | None, ledger: Ledger, *, gives_up: bool = False
    ) -> None:
        """`gives_up`: who is told to come later when a sign-in begins goes away."""
        super().__init__(url, tls)
        self._gives_up = gives_up
        self._parts = urlsplit(url)
        self._context = tls
        self.ledger = ledger
        self.here = threading.local()
        self._open: set[HTTPConnection] = set()

    def close(self) -> None:
        for connection in self._open:
            connection.close()

    def send(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        step = _step(method, path)
        while True:
            answer = self._try(method, path, body, headers, step)
            if answer is not None and not _says_later(answer, step):
                return answer
            if self._gives_up and step == "GET /authorize" and answer is not None:
                raise OutOfPatience(step)
            left_s = self.here.until - time.monotonic()
            if left_s <= _PAUSE_S:
                raise OutOfPatience(step)
            self.here.retried += 1
            time.sleep(_PAUSE_S)

    def _try(self, method: str, path: str, body: str | None, headers: Any, step: str) -> Answer | None:
        began = time.monotonic()
        try:
            answer = self._exchange(method, path, body, headers)
        except (OSError, HTTPException):
            self._drop()
            self.ledger.saw(step, None, time.monotonic() - began)
            return None
        took_s = time.monotonic() - began
        documented = answer.status < 500 or (answer.status == 503 and "retry-after" in answer.headers)
        self.ledger.saw(step, answer.status, took_s, documented=documented)
        return answer

    def _exchange(self, method: str, path: str, body: str | None, headers: Any) -> Answer:
        connection = getattr(self.here, "connection", None)
        if connection is None:
            host, port = self._parts.hostname or "", self._parts.port
            connection = (
                HTTPConnection(host, port, timeout=ANSWER_S)
                if self._context is None
                else HTTPSConnection(host, port, timeout=ANSWER_S, context=self._context)
            )
            self.here.connection = connection
            self._open.add(connection)
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        if response.will_close:
            self._drop()
        pairs = response.getheaders()
        cookies = tuple(value for name, value in pairs if name.lower() == "set-cookie")
        return Answer(response.status, {name.lower(): value for name, value in pairs}, cookies, content)

    def _drop(self) -> None:
        """Close the connection of this thread."""
        connection = getattr(self.here, "connection", None)
        if connection is not None:
            connection.close()
            self._open.discard(connection)
            self.here.connection = None


def _step(method: str, path: str) -> str:
    """Without ids: `GET /authorize/resume`, `POST /login`."""
    names = path.partition("?")[0].strip("/").split("/")
    return f"{method} /{'/'.join(names[: 2 if names[0] == 'authorize' else 1])}"


def _says_later(answer: Answer, step: str) -> bool:
    if answer.status in _TRY_AGAIN:
        return True
    return step == "GET /authorize/resume" and answer.status == _STILL_BEING_MADE


@dataclass(frozen=True)
class Person:
    """Somebody with a credential in the wallet."""

    persona: Persona
    credential: Content


def people(place: Place, number: int) -> list[Person]:
    """That many, each with a credential of their own."""
    found = []
    for at in range(1, number + 1):
        persona = personas.invented(at)
        credential, _ = place.authority.issue(persona, jose.generate())
        found.append(Person(persona, credential))
    return found


class Forgetful(Holder):
    """Somebody who wants to be asked again the next time."""

    def read_consent(self) -> None:
        super().read_consent()
        self.consent_form = [(name, value) for name, value in self.consent_form if name != "remember"]


def sign_in(holder: Holder, entry: Entry, sub_of: Callable[[str], str | None]) -> None:
    """From the portal's request to UserInfo; what the portal was told is written as it goes. `sub_of` an ID token."""
    for step in STEPS:
        if step == "redeem":
            entry.code, entry.outcome = digest(holder.code), LOST
        getattr(holder, step)()
        if step == "begin":
            entry.login_id = holder.login_url.removeprefix("/login/").partition("/")[0]
        if step == "redeem":
            entry.sub = sub_of(holder.tokens["id_token"])
            entry.outcome = TOLD


class Crowd:
    """Signs people in, `at_once` at a time, and writes into the ledger what their portals were told.

    keys: how the portal gets the published keys (asked again for a `kid` it does not know, as portals do).
    """

    def __init__(
        self,
        line: Patience,
        place: Place,
        clients: list[Client],
        folk: list[Person],
        *,
        refresh: bool = False,
    ) -> None:
        self.line = line
        self.ledger = line.ledger
        self.place = place
        self._clients = clients
        self.folk = folk
        self._refresh = refresh
        self._keys: KeySet | None = None
        self.unknown_kids = 0
        self._lock = threading.Lock()

    def sign_in(self, chance: random.Random, patience_s: float = PATIENCE_S) -> SignIn:
        """One person's wish, begun as often as it takes."""
        person, client = chance.choice(self.folk), chance.choice(self._clients)
        via = "qr" if chance.random() < 0.25 else "link"
        sign_in = SignIn(time.monotonic())
        self.line.here.until = sign_in.began + patience_s
        self.line.here.retried = 0
        while not sign_in.finished:
            entry = Entry(person.persona.id, client.client_id)
            sign_in.entries.append(entry)
            try:
                self._go(
                    Forgetful(self.place, client, person.persona, via, credential=person.credential), entry
                )
                sign_in.finished = True
            except OutOfPatience as over:
                entry.broke = f"{over}: out of patience"
                break
            except Unexpected as unexpected:
                entry.broke = str(unexpected)
                if time.monotonic() >= self.line.here.until:
                    break
                time.sleep(_PAUSE_S)
        sign_in.took_s = time.monotonic() - sign_in.began
        self.ledger.keep(sign_in)
        return sign_in

    def _go(self, holder: Holder, entry: Entry) -> None:
        sign_in(holder, entry, lambda id_token: str(self._claims(id_token)["sub"]))
        if self._refresh and "refresh_token" in holder.tokens:
            holder.refresh()
            entry.refreshed += 1

    def _claims(self, id_token: str) -> dict[str, Any]:
        """As a portal reads an ID token. Raises Unexpected for a signature by nobody it can find."""
        for fresh in (False, True):
            keys = self._published(fresh)
            try:
                return dict(jwt.decode(id_token, keys, algorithms=["ES256", "RS256"]).claims)
            except (JoseError, ValueError):
                continue
        with self._lock:
            self.unknown_kids += 1
        raise Unexpected("redeem: an ID token by a key that is not published")

    def _published(self, fresh: bool) -> KeySet:
        if self._keys is None or fresh:
            answer = self.line.send("GET", "/jwks")
            if answer.status != 200:
                raise Unexpected(f"jwks: {answer.status} instead of 200")
            self._keys = KeySet.import_key_set(json.loads(answer.body))
        return self._keys

    def run(self, at_once: int, until: Callable[[], bool], seed: int, pause_s: float = 0.0) -> None:
        """Sign-ins one after the other in each of `at_once` threads, until it is true."""

        def go(number: int) -> None:
            chance = random.Random(f"{seed}/{number}")
            while not until():
                self.sign_in(chance)
                if pause_s:
                    time.sleep(pause_s * chance.random() * 2)

        threads = [threading.Thread(target=go, args=(number,)) for number in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def beside(self, deed: Callable[[], Result], at_once: int, seed: int) -> Result:
        """People sign in until the deed is done; what came of it."""
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(deed)
            self.run(at_once, done.done, seed)
            return done.result()
