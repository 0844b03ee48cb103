"""What is judged of every input that a server must withstand, whatever the input is.

A `Case` is one input of a row of the list in `tests.security.rows`: what is sent, how the answer must look, and what
the audit must say. `Court.judge` sends it twice and looks, each time, that

- the answer is no 5xx, comes within a second, and tells nothing of our insides, in its body or its headers;
- it carries the headers that every answer carries, and repeats nothing of the request unescaped;
- nothing was issued: no row or Store entry that stands for a code, a token, a session, a consent, a registration, and
  no sign-in went on;
- the audit says what the row says and nothing else, and neither it nor the log holds a secret of the request;
- nothing was connected to, and no name looked up;
- memory did not grow by more than 32 MB;
- the second answer is the first.

Beside the cases an honest holder signs in all the time, and must come to the end of it (`Court.honest_goes_on`).
"""

from __future__ import annotations

import gc
import json
import logging
import re
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx2
from sqlalchemy import make_url, select

from idp import models
from idp.models import db
from tests.harmless import HOLDERS_VALUES, Named, decent
from tests.pace import too_long
from tests.rig import Begun, Portal, Rig, started
from tests.security import outbound
from tests.security.answers import Answer, sent

WITHIN_S = 1.0
MAX_GROWTH_BYTES = 32 * 1024 * 1024
_HONEST_EVERY = 25
# What an entry of the Store of this kind is: a count, or a mark. All others stand for something that was issued.
_MARKS = frozenset(
    {"jwks-seen", "device-pace", "user-codes-blocked", "userinfo-refused", "dpop", "dpop-nonce-key"}
)
_ISSUED = (
    models.Grant,
    models.RefreshToken,
    models.Consent,
    models.Subject,
    models.SubjectKey,
    models.SignedIn,
    models.SessionPortal,
    models.Receipt,
    models.Portal,
    models.ApiToken,
    models.Administrator,
    models.Invitation,
    models.InitialAccessToken,
)
_SECRET_PARAMETERS = frozenset({
    "code", "code_verifier", "client_secret", "client_assertion", "refresh_token", "access_token", "token", "request",
    "state", "nonce", "id_token_hint", "login_hint", "vp_token", "response", "response_code", "csrf",
})  # fmt: skip
_SECRET_HEADERS = ("Authorization", "Cookie", "DPoP")
_MARKUP = re.compile(r"[<>\"']")
# Tests are served by Werkzeug, which names itself; that the real server does not is tested where it runs.
_VERSION = re.compile(r"(?i)\b(python|werkzeug|flask|gunicorn|sqlite|postgres\w*|sinwon|authlib)/[\d.]+")

Made = TypeVar("Made")
Responses = httpx2.Response | Sequence[httpx2.Response]


def _nothing(court: Court) -> None:
    """What most cases have to have in hand."""


@dataclass(frozen=True)
class Case:
    """One input. `row` is the id of its row; `name` says which of the row's inputs it is, in a few words.

    `send` gets the court and what `prepare` made, which is not judged, and returns the answers to what it sent.
    `events`: names and reasons of all that the audit says then, in order; `again`: of the second time, where that
    differs. `login`: a sign-in may begin by it. `fetches`: guests of the demonstration may be asked for something.
    `after` looks at what is so when it was sent twice. `worst`: the status that counts as failing.
    """

    row: str
    name: str
    send: Callable[[Court, Any], Responses]
    answer: Answer
    events: Sequence[Named] = ()
    again: Sequence[Named] | None = None
    prepare: Callable[[Court], Any] = _nothing
    after: Callable[[Court, Any], None] | None = None
    login: bool = False
    fetches: bool = False
    within_s: float = WITHIN_S
    worst: int = 500

    def __str__(self) -> str:
        return f"{self.row}-{re.sub(r'[^0-9A-Za-z]+', '_', self.name).strip('_')}"


@dataclass(frozen=True)
class Verdict:
    """What of an answer must be the same again."""

    status: int
    error: str
    where: str


@dataclass
class Court:
    """A house on real sockets, a sink that nobody may connect to, and an honest holder beside.

    `hosts`: ports of what a module has beside the demonstration's guests; `mission`: its own, where it has one.
    """

    rig: Rig
    sink: Sink
    judged: int = 0
    portals: dict[str, Portal] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)
    hosts: set[int] = field(default_factory=set)
    mission: Any = None
    _honest: tuple[Portal, Begun] | None = None

    # -- what cases are made of ------------------------------------------------------------------------------

    def portal(self, client_id: str = "gov24") -> Portal:
        """A portal of the demonstration with one browser for the whole module."""
        if client_id not in self.portals:
            self.portals[client_id] = self.rig.portal(client_id)
        return self.portals[client_id]

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What cases share that change nothing of it, made for the first one."""
        if name not in self.made:
            self.made[name] = make()
        found: Made = self.made[name]
        return found

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """A browser of its own goes there."""
        with self.rig.browser() as browser:
            return browser.get(self.rig.issuer + path, **options)

    @contextmanager
    def later(self, seconds: int) -> Iterator[None]:
        """Meanwhile it is so much later. What had its end by then may be gone: the honest holder begins anew."""
        self.rig.clock.forward(seconds)
        self._honest = None
        try:
            yield
        finally:
            self.rig.clock.forward(-seconds)

    # -- judging ---------------------------------------------------------------------------------------------

    def judge(self, case: Case) -> None:
        """Send it twice. Raises AssertionError at the first thing that does not hold."""
        given = case.prepare(self)
        first, took_s = self._once(case, given, case.events)
        second, took_again_s = self._once(case, given, case.events if case.again is None else case.again)
        assert second == first, "the same input had another answer the second time"
        assert not too_long(took_s, case.within_s, lambda: took_again_s), f"{min(took_s, took_again_s):.2f} s"
        if case.after is not None:
            case.after(self, given)
        self.judged += 1
        if self._honest is None or self.judged % _HONEST_EVERY == 0:
            self.honest_goes_on()

    def _once(self, case: Case, given: Any, events: Sequence[Named]) -> tuple[list[Verdict], float]:
        before, last = self.issued(login=case.login), self.rig.last_event()
        grown_from = _resident_bytes()
        sank, said = len(self.sink.asked), len(self.lines)
        with outbound.watched(self._at_home(case)) as reached:
            answered = case.send(self, given)
        responses = [answered] if isinstance(answered, httpx2.Response) else list(answered)
        assert responses, "a case has an answer"
        secrets = {secret for response in responses for secret in _secrets(response)}
        for response in responses:
            self._judge_answer(case, response)
        new = {entry for entry in self.issued(login=case.login) if entry not in before}
        assert not new, f"something was issued: {sorted(map(str, new))}"
        self._judge_audit(events, last, secrets)
        assert not [line for line in self.lines[said:] if any(secret in line for secret in secrets)]
        assert not [line for line in self.lines[said:] if "Traceback" in line]
        assert reached == [], "something outside was connected to"
        assert self.sink.asked[sank:] == [], "the sink was asked for something"
        _judge_memory(grown_from)
        took_s = max(response.elapsed.total_seconds() for response in responses)
        return [_verdict(response) for response in responses], took_s

    def _judge_answer(self, case: Case, response: httpx2.Response) -> None:
        case.answer(self.rig, response)
        decent(response, worst=case.worst)
        for name, value in response.headers.items():
            assert name.lower() == "server" or not _VERSION.search(value), f"{name}: {value}"
        for value in [value for values in sent(response).values() for value in values]:
            if len(value) >= 4 and _MARKUP.search(value):
                assert value not in response.text, "the input was repeated as it came"

    def _judge_audit(self, events: Sequence[Named], last: int, secrets: set[str]) -> None:
        new = self.rig.events(after=last)
        assert [(event.name, event.reason) for event in new] == list(events)
        for event in new:
            assert event.correlation_id
            row = [event.reason, event.detail, event.client_id, event.subject_id, event.login_id, event.actor]
            said = json.dumps(row, ensure_ascii=False)
            assert "<script" not in said
            assert not [secret for secret in secrets if secret in said], "a secret is in the audit"
            assert not [value for value in HOLDERS_VALUES if value in said], (
                "a holder's value is in the audit"
            )

    def _at_home(self, case: Case) -> set[int]:
        """The ports that are ours; the guests' too, where the case fetches from them."""
        ports = {urlsplit(self.rig.issuer).port or 0}
        guests = {urlsplit(self.rig.prepared.registry_url).port or 0, *self.hosts}
        return ports | guests if case.fetches else ports

    def issued(self, *, login: bool = False) -> set[tuple[object, ...]]:
        """Everything that stands for something that was given to somebody, by kind and key; of a login its state.

        With `login` it does not count that one began.
        """
        found: set[tuple[object, ...]] = set()
        with self.rig.app.app_context():
            for table in _ISSUED:
                key = list(table.__table__.primary_key)
                found |= {(table.__tablename__, *row) for row in db.session.execute(select(*key))}
        for entry, value in self._entries():
            kind = entry.partition(":")[0]
            state = json.loads(value).get("state") if kind == "login" else None
            if kind not in _MARKS and not (login and state == "waiting"):
                found.add((entry, state))
        return found

    def _entries(self) -> list[tuple[str, str]]:
        url = make_url(self.rig.house.settings.store_url).database or ""
        with closing(sqlite3.connect(url)) as connection:
            rows = connection.execute("SELECT k, v FROM ephemeral WHERE k LIKE 'v:%'")
            return [(key.removeprefix("v:"), value) for key, value in rows]

    # -- the honest holder -----------------------------------------------------------------------------------

    def honest_begins(self) -> None:
        """A holder who means well stands on the sign-in page, at a portal that no case touches."""
        if "beside" not in self.portals:
            self.portals["beside"] = self.rig.variant("gov24", "beside")
        portal = self.portals["beside"]
        portal.browser = self.rig.browser()
        begun = portal.begin()
        portal.page(begun)
        self._honest = portal, begun

    def honest_goes_on(self) -> None:
        """The holder comes to the end, with tokens and claims, and another one begins."""
        if self._honest is None:
            self.honest_begins()
            return
        portal, begun = self._honest
        code = portal.callback(begun, "invented-77")["code"]
        bought = portal.token(code, begun.verifier)
        assert bought.status_code == 200, bought.text
        claims = portal.id_token_claims(bought.json()["id_token"])
        assert claims["nonce"] == begun.nonce
        read = portal.userinfo(bought.json()["access_token"])
        assert read.json()["sub"] == claims["sub"]
        self.honest_begins()


class Sink:
    """A server of somebody's that we must never be led to: it remembers who asked it for what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.origin = ""


@contextmanager
def sink() -> Iterator[Sink]:
    """One on loopback, under an address that nothing else here has."""
    made = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)
    made.origin = f"http://127.0.0.2:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Lines(logging.Handler):
    """What the operator would read."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextmanager
def in_session(
    directory: Path, overrides: dict[str, Any] | None = None, *, allow: Sequence[str] = ()
) -> Iterator[Court]:
    """A court with a house of its own, which may fetch from `allow`; at the end the honest holder comes through."""
    lines: list[str] = []
    log, handler = logging.getLogger("idp"), _Lines(lines)
    level = log.level
    with sink() as trap, started(directory, {**_ROOMY, **(overrides or {})}, allow=allow) as rig:
        court = Court(rig, trap, lines=lines)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            court.honest_begins()
            yield court
            court.honest_goes_on()
        finally:
            log.removeHandler(handler)
            log.setLevel(level)


# A table of bad inputs comes from one address: what is counted by address is tested by itself.
_ROOMY = {"holder.logins_per_minute_per_ip": 100_000, "registration.per_minute_per_ip": 100_000}


def _verdict(response: httpx2.Response) -> Verdict:
    location = urlsplit(response.headers.get("Location", ""))
    error = parse_qs(location.query).get("error", [""])[0]
    if response.content and response.headers.get("Content-Type", "").startswith("application/json"):
        body = response.json()
        error = str(body.get("error", "")) if isinstance(body, dict) else ""
    elif found := re.search(r"SINWON-[A-Z]\d+", response.text):
        error = found[0]
    where = re.sub(r"/login/[\w-]+", "/login/*", f"{location.netloc}{location.path}")
    return Verdict(response.status_code, error, where)


def _secrets(response: httpx2.Response) -> set[str]:
    """What of a request must stand in no row and no line: its credentials and what they are made of."""
    given = sent(response)
    found = {value for name in _SECRET_PARAMETERS for value in given.get(name, ())}
    for name in _SECRET_HEADERS:
        for header in response.request.headers.get_list(name):
            found |= set(re.split(r"[\s;=]+", header)[1:] or [header])
    return {secret for secret in found if len(secret) >= 8}


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def _judge_memory(before: int) -> None:
    if _resident_bytes() - before >= MAX_GROWTH_BYTES:
        gc.collect()
        grown = _resident_bytes() - before
        assert grown < MAX_GROWTH_BYTES, f"{grown >> 20} MB more"
