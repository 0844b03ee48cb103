"""R16: at every place where the provider asks PostgreSQL, Redis or the outside, each way that can go wrong.

One sign-in with everything that comes after it, and then every theft of it, is walked again and again; each time one
place breaks once. Whoever may do something tries again and gets it in the end, or begins anew; a thief never does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509

from idp.admin import portals as portal_admin
from idp.demo.authority import Authority
from tests import servers
from tests.crowd import FORM, Answer, Client, Holder, Line, Place, Unexpected
from tests.faults.crowd import Forgetful, OutOfPatience, people, sign_in
from tests.faults.inject import Injector, Mode, Site
from tests.faults.ledger import Entry, digest, reconcile
from tests.faults.result import Result
from tests.faults.signing import CLIENT_ID, Signer, Signing, about
from tests.rig import Rig, started

_TRIES = 5
_LATER_S = 5


@dataclass
class Verdicts:
    """What must never be, by the place that was broken."""

    open: list[str] = field(default_factory=list)
    undocumented: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    n_begun_anew: int = 0


class Insisting(Line):
    """Tries again what is told to come later, five seconds on, a few times; what it is told is noted."""

    def __init__(self, rig: Rig, url: str | None = None) -> None:
        super().__init__(url or rig.issuer)
        self._rig = rig
        self.undocumented: list[str] = []

    def send(self, method: str, path: str, body: str | None = None, headers: Any = None) -> Answer:
        step = f"{method} {urlsplit(path).path.split('/')[1]}"
        for _ in range(_TRIES):
            answer = super().send(method, path, body, headers)
            if answer.status >= 500 and not (answer.status == 503 and "retry-after" in answer.headers):
                self.undocumented.append(f"{step}: {answer.status}")
            if answer.status not in {429, 503} and not (answer.status == 409 and step == "GET authorize"):
                return answer
            self._rig.clock.forward(_LATER_S)
        raise OutOfPatience(step)


@dataclass
class Journey:
    """One person's way through everything, and the thief behind."""

    make: Callable[[], Holder]
    line: Insisting
    signer: Signer | None
    entries: list[Entry]

    def walk(self) -> bool:
        """All of it, begun anew where that is the way; whether it was. Raises OutOfPatience, Unexpected."""
        for anew in (False, True):
            try:
                self._walk()
            except Unexpected:
                if anew:
                    raise
                continue
            return anew
        raise AssertionError

    def _walk(self) -> None:
        holder = self.make()
        self.sign_in(holder)
        self._afterwards(holder)
        self._thefts(holder)

    def sign_in(self, holder: Holder) -> None:
        """From the portal to UserInfo, and into the ledger. Raises Unexpected, OutOfPatience."""
        entry = Entry(holder.persona.id, holder.client.client_id)
        self.entries.append(entry)
        sign_in(holder, entry, lambda _: None)

    def _afterwards(self, holder: Holder) -> None:
        """A refresh; whether the token is good; the end of it; the end of the session."""
        if isinstance(holder, Signing):
            return
        holder.refresh()
        token = holder.tokens["access_token"]
        active = json.loads(self._back("/introspect", holder, token=token).body)["active"]
        if not active:
            raise Unexpected("introspect: not active")
        revoked = self._back("/revoke", holder, token=token)
        if revoked.status == 200:
            self._no_success(
                "a revoked token", "GET", "/userinfo", headers={"Authorization": f"Bearer {token}"}
            )

    def _thefts(self, holder: Holder) -> None:
        """Everything that was used, once more, by whoever found it."""
        cookies = "; ".join(f"{name}={value}" for name, value in holder.cookies.items())
        code = _redemption(holder)
        if isinstance(holder, Signing):
            assert self.signer is not None
            assertion = self.signer.credentials()
            proof = self.signer.proof(self.line, "/token", "POST")
            self._no_success("a used code", "POST", "/token", {**code, **assertion}, {"DPoP": proof})
            self._no_success("a used assertion", "POST", "/introspect", {"token": "x", **assertion})
            self._no_success(
                "a used proof", "POST", "/token", {**code, **self.signer.credentials()}, {"DPoP": proof}
            )
            return
        self.replay(holder)
        page = self.line.send("GET", "/logout", None, {"Cookie": cookies})
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
        if csrf is not None:  # None: an ended session has nothing to ask
            form = urlencode({"csrf": csrf[1]})
            left = self.line.send("POST", "/logout", form, {**FORM, "Cookie": cookies})
            if left.status != 200:
                raise Unexpected(f"logout: {left.status}")
        self._no_code(holder, cookies)

    def replay(self, holder: Holder) -> None:
        """What the portal with a secret has used, used again. Raises FailedOpen."""
        basic = {"Authorization": holder.client.authorization}
        spent = {"grant_type": "refresh_token", "refresh_token": holder.spent["refresh_token"]}
        fresh = {"grant_type": "refresh_token", "refresh_token": holder.tokens["refresh_token"]}
        self._no_success("a spent refresh token", "POST", "/token", spent, basic)
        self._no_success("a token of a stolen family", "POST", "/token", fresh, basic)
        self._no_success("a used code", "POST", "/token", _redemption(holder), basic)
        self._no_success("a response code elsewhere", "GET", _local(holder.redirect_uri))

    def _no_code(self, holder: Holder, cookies: str) -> None:
        """Signed out, no portal gets a code without asking."""
        query = {
            "response_type": "code",
            "client_id": holder.client.client_id,
            "redirect_uri": holder.client.redirect_uri,
            "scope": "openid",
            "prompt": "none",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        }
        answer = self.line.send("GET", f"/authorize?{urlencode(query)}", None, {"Cookie": cookies})
        if "code" in parse_qs(urlsplit(answer.headers.get("location", "")).query):
            raise FailedOpen("a session that was ended still answers")

    def _no_success(
        self, what: str, method: str, path: str, form: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        body = urlencode(form) if form is not None else None
        answer = self.line.send(method, path, body, {**(FORM if body else {}), **(headers or {})})
        if answer.status < 400:
            raise FailedOpen(f"{what} is good for {answer.status}")

    def _back(self, path: str, holder: Holder, **form: str) -> Answer:
        headers = {**FORM, "Authorization": holder.client.authorization}
        return self.line.send("POST", path, urlencode(form), headers)


class FailedOpen(Exception):
    """Something was given that must not be."""


@contextmanager
def rig(directory: Path) -> Iterator[tuple[Rig, str]]:
    """A provider in this process on PostgreSQL and Redis of its own, with two portals; and its database."""
    with ExitStack() as stack:
        database = stack.enter_context(servers.new_database(stack.enter_context(servers.postgresql())))
        port = stack.enter_context(servers.redis("--maxmemory-policy", "noeviction"))
        overrides = {
            "database.url": database,
            "store.url": f"redis://127.0.0.1:{port}/0",
            "server.threads": 4,
        }
        yield stack.enter_context(started(directory, overrides)), database


def measure(
    running: Rig, database: str, command: str, *, one_in: int = 1, book: list[Entry] | None = None
) -> Result:
    """Every place in every mode, or one in so many of them. `book`: all who signed in here, to be written on."""
    result = Result("R16", "fault matrix", command, "")
    line = Insisting(running)
    book = [] if book is None else book
    ways = journeys(running, line, book)
    verdicts = Verdicts()
    injector = Injector()
    n_sites: dict[str, int] = {}
    n_walks = n_fired = 0
    with injector.installed(running):
        for journey in ways:
            sites = _places(injector, journey, running)
            for site, mode in _faults(sites)[::one_in]:
                n_walks += 1
                injector.arm(site, mode)
                _forget(running)
                _try(journey, f"{site}, {mode}", verdicts)
                n_fired += injector.fired
            for site in sites:
                n_sites[site.kind] = n_sites.get(site.kind, 0) + 1
    line.close()
    found = reconcile(book, database, client_ids={"matrix", CLIENT_ID})
    result.n = f"{n_walks} sign-ins, {n_fired} of which met their fault"
    result.say("places", ", ".join(f"{n} {kind}" for kind, n in n_sites.items()))
    result.zero("open where it must be shut", verdicts.open)
    result.zero("answers with 5xx other than 503 with Retry-After", verdicts.undocumented)
    result.zero("sign-ins that came to no end although begun anew", verdicts.stuck)
    result.zero("consents, receipts, audit rows lost or doubled", found.wrong)
    result.say("sign-ins begun anew", verdicts.n_begun_anew)
    return result


def _faults(sites: list[Site]) -> list[tuple[Site, Mode]]:
    """Each place with each way that it can go wrong."""
    modes = (Mode.RAISE, Mode.TIME_OUT, Mode.LOSE)
    return [(site, mode) for site in sites for mode in modes if mode is not Mode.LOSE or site.changes]


def journeys(running: Rig, line: Insisting, book: list[Entry]) -> list[Journey]:
    """By a portal with a secret, and by one that signs."""
    callback = "http://127.0.0.1:9/callback"
    signer = Signer(running.issuer, callback)
    secret = "s" * 32
    plain = {
        **about("matrix"),
        "redirect_uris": [callback],
        "token_endpoint_auth_method": "client_secret_basic",
        "client_secret_sha256": [digest(secret)],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    with running.app.app_context():
        portal_admin.apply({"portal": [plain, signer.registration()]}, now=running.clock())
    ca = x509.load_pem_x509_certificate(running.prepared.access_ca.read_bytes())
    place = Place(line, Authority(running.prepared), ca)
    (person,) = people(place, 1)
    client = Client("matrix", callback, "openid profile", secret)

    def by_secret() -> Holder:
        return Forgetful(place, client, person.persona, credential=person.credential)

    def signing() -> Holder:
        holder = Signing(place, signer.client, person.persona, credential=person.credential)
        holder.signer = signer
        return holder

    return [Journey(by_secret, line, None, book), Journey(signing, line, signer, book)]


def _places(injector: Injector, journey: Journey, running: Rig) -> list[Site]:
    """What is asked on the way of somebody who meets no fault."""
    injector.seen.clear()
    _forget(running)
    journey.walk()
    return sorted(injector.seen)


def _forget(running: Rig) -> None:
    """What the provider keeps of the outside in memory, so that it is asked again; and the time that was spent."""
    running.house.status_lists._slots.clear()
    running.clock.offset_s = 0


def _try(journey: Journey, where: str, verdicts: Verdicts) -> None:
    """One walk with one fault."""
    try:
        verdicts.n_begun_anew += journey.walk()
    except FailedOpen as problem:
        verdicts.open.append(f"{where}: {problem}")
    except (OutOfPatience, Unexpected) as problem:
        verdicts.stuck.append(f"{where}: {problem}")
    verdicts.undocumented += [f"{where}: {problem}" for problem in journey.line.undocumented]
    journey.line.undocumented.clear()


def _redemption(holder: Holder) -> dict[str, str]:
    """The form of a token request, but for who asks."""
    return {
        "grant_type": "authorization_code",
        "code": holder.code,
        "redirect_uri": holder.client.redirect_uri,
        "code_verifier": holder.verifier,
    }


def _local(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
