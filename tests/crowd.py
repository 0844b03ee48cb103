"""Many holders: whole sign-ins at a running provider by plain HTTP, cheap enough to put a server under load.

A `Holder` is one person at one portal: browser, wallet and the portal's back channel. `go` walks the steps of
`STEPS` in order and stops after the one that is named; what it learns on the way stays in its fields. The wallet's
and the authority's cryptography is the demonstration's; pages are read with regular expressions, and one
connection serves one thread.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
import ssl
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from threading import local
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509

from idp.demo import answering, dcql, jose, request
from idp.demo.answering import Fault, present
from idp.demo.authority import SD_JWT, Authority, Content
from idp.demo.personas import Persona
from idp.demo.seeds import Prepared

STEPS = ("begin", "look", "fetch", "show", "come_back", "read_consent", "agree", "finish", "redeem", "read")
TIMEOUT_S = 60
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Unexpected(Exception):
    """The provider answered something else: the step and the status, no more."""

    def __init__(self, said: str, status: int = 0) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """One HTTP response. `headers` in lower case; of several `Set-Cookie` all are in `cookies`."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def location(self) -> str:
        return self.headers["location"]


class Line:
    """Connections to one server, one for each thread, kept open until `close`."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whom to believe, for an https address."""
        self.url = url
        self._tls = tls
        self._local = local()
        self._opened: set[HTTPConnection] = set()

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def send(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request; a connection that the server closed meanwhile is opened again."""
        fresh = not hasattr(self._local, "connection")
        if fresh:
            parts = urlsplit(self.url)
            host = parts.hostname or ""
            self._local.connection = (
                HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
                if self._tls is None
                else HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=self._tls)
            )
            self._opened.add(self._local.connection)
        connection: HTTPConnection = self._local.connection
        try:
            with suppress(BrokenPipeError):  # who has read enough to refuse answers and reads no further
                connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
        except OSError:
            self._forget()
            if fresh:
                raise
            return self.send(method, path, body, headers)
        if response.will_close:
            self._forget()
        pairs = response.getheaders()
        return Answer(
            response.status,
            {name.lower(): value for name, value in pairs},
            tuple(value for name, value in pairs if name.lower() == "set-cookie"),
            content,
        )

    def _forget(self) -> None:
        self._local.connection.close()
        self._opened.discard(self._local.connection)
        del self._local.connection


@dataclass(frozen=True)
class Client:
    """A portal that authenticates with a secret."""

    client_id: str
    redirect_uri: str
    scope: str
    secret: str

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()


@dataclass(frozen=True)
class Place:
    """A provider, and the authority whose credentials it accepts."""

    line: Line
    authority: Authority
    access_ca: x509.Certificate

    @classmethod
    def of(cls, prepared: Prepared, tls: ssl.SSLContext | None = None) -> Place:
        return cls(
            Line(prepared.issuer, tls),
            Authority(prepared),
            x509.load_pem_x509_certificate(prepared.access_ca.read_bytes()),
        )


def client_of(prepared: Prepared, client_id: str = "gov24") -> Client:
    """One of the demonstration's portals (of those with a secret)."""
    portal = next(entry for entry in prepared.portals() if entry["client_id"] == client_id)
    return Client(
        client_id, portal["redirect_uris"][0], " ".join(portal["scopes"]), prepared.portal_secret(client_id)
    )


@dataclass
class Holder:
    """One person who signs in with an overseas certificate, in a format.

    `via` is `link` (this device) or `qr` (another one).
    """

    place: Place
    client: Client
    persona: Persona
    via: str = "link"
    fault: Fault = Fault.NONE
    format: str = SD_JWT
    credential: Content | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    login_url: str = ""
    link: request.Link | None = None
    asked: request.Request | None = None
    redirect_uri: str = ""
    consent: str = ""
    consent_form: list[tuple[str, str]] = field(default_factory=list)
    code: str = ""
    device_code: str = ""
    user_code: str = ""
    tokens: dict[str, Any] = field(default_factory=dict)
    spent: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)

    def issue(self) -> None:
        """Put the person's credential into the wallet, as somebody did months ago."""
        if self.credential is None:
            issue = self.place.authority.issue
            self.credential, _ = issue(self.persona, jose.generate(), format=self.format)

    def go(self, until: str = STEPS[-1], after: Callable[[str], None] = lambda step: None) -> Holder:
        """Walk on to this step and do it too. `after` hears of each step that is done."""
        self.issue()
        for step in STEPS[: STEPS.index(until) + 1]:
            getattr(self, step)()
            after(step)
        return self

    # -- the steps -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scope,
            "state": secrets.token_urlsafe(12),
            "nonce": secrets.token_urlsafe(12),
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        self.login_url = self._get(f"/authorize?{urlencode(query)}", 303).location

    def begin_at_counter(self) -> None:
        """Begin by a code on a counter's screen instead (RFC 8628): the counter asks, the phone confirms."""
        headers = {**FORM, "Authorization": self.client.authorization}
        form = urlencode({"scope": self.client.scope})
        answer = self.place.line.send("POST", "/device_authorization", form, headers)
        self._check(answer, 200, "device_authorization")
        codes = json.loads(answer.body)
        self.device_code, self.user_code = codes["device_code"], codes["user_code"]
        page = self._get(f"/device?{urlencode({'user_code': self.user_code})}", 200).text
        csrf = _found(r'<form id="decide"[\s\S]*?name="csrf" value="([^"]+)"', page)
        confirmed = {"csrf": csrf, "user_code": self.user_code, "decision": "confirm"}
        self.login_url = self._post("/device", confirmed).location

    def look(self) -> None:
        page = self._get(self.login_url, 200).text
        pattern = (
            r'id="qr"[^>]* data-link="([^"]+)"'
            if self.via == "qr"
            else r'id="wallet-link"[^>]* href="([^"]+)"'
        )
        self.link = request.read_link(_found(pattern, page))

    def fetch(self) -> None:
        assert self.link is not None
        answer = self.place.line.send("GET", _path(self.link.request_uri))
        self._check(answer, 200, "fetch")
        self.asked = request.check(answer.text, self.link, self.place.access_ca)

    def show(self, status: int = 200) -> None:
        """The wallet answers; `status` is what the provider must say to it."""
        self.post_as_wallet(self.answer(), status)

    def answer(self) -> dict[str, Any]:
        """What the wallet will post: the credential, bound to this question."""
        asked, credential = self.asked, self.credential
        assert asked is not None and credential is not None
        match = dcql.match(
            asked.query,
            claims=credential.claims,
            type_name=credential.type_name,
            authority_key_ids=credential.authority_key_ids,
            format=self.format,
        )
        assert match is not None
        shown = present(credential, match, asked, self.fault)
        return answering.form({"vp_token": {match.id: [shown]}, "state": asked.state}, asked, self.fault)

    def refuse(self) -> None:
        """The holder says no in the wallet."""
        assert self.asked is not None
        self.post_as_wallet({"error": "access_denied", "state": self.asked.state or ""}, 200)

    def post_as_wallet(self, form: Mapping[str, str], status: int) -> None:
        """Post an answer as the wallet does; the provider must answer with this status."""
        assert self.asked is not None
        answer = self.place.line.send("POST", _path(self.asked.response_uri), urlencode(form), FORM)
        self._check(answer, status, "wallet")
        self.redirect_uri = json.loads(answer.body).get("redirect_uri", "")

    def come_back(self) -> None:
        if self.via == "qr":
            phone = self.place.line.send("GET", _path(self.redirect_uri)).text
            number = _found(r'id="confirmation-number"[^>]*>\s*(\d+)', phone)
            page = self._get(self.login_url, 200).text
            form = {"csrf": _found(r'name="csrf" value="([^"]+)"', page), "number": number}
            back = self._post(f"{self.login_url}/confirm", form).location
        else:
            back = _path(self.redirect_uri)
        self.consent = self._get(back, 303).location
        if not self.consent.endswith("/consent"):
            raise Unexpected("come_back: no consent page")

    def read_consent(self) -> None:
        self.consent_form = self._consent_form(self._get(self.consent, 200).text)

    def agree(self, decision: str = "agree") -> None:
        self.consent = self._post(self.consent, [*self.consent_form, ("decision", decision)]).location

    def finish(self) -> None:
        self.code = parse_qs(urlsplit(self._get(self.consent, 303).location).query)["code"][0]

    def finish_at_counter(self) -> None:
        """The phone's last page: what was shown now waits for the counter."""
        self._get(self.consent, 303)

    def redeem(self) -> None:
        form = {
            "grant_type": "authorization_code",
            "code": self.code,
            "redirect_uri": self.client.redirect_uri,
            "code_verifier": self.verifier,
        }
        headers = {**FORM, "Authorization": self.client.authorization}
        answer = self.place.line.send("POST", "/token", urlencode(form), headers)
        self._check(answer, 200, "redeem")
        self.tokens = json.loads(answer.body)

    def refresh(self) -> None:
        """Buy the next tokens; those of before stay in `spent`."""
        form = {"grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"]}
        headers = {**FORM, "Authorization": self.client.authorization}
        answer = self.place.line.send("POST", "/token", urlencode(form), headers)
        self._check(answer, 200, "refresh")
        self.spent, self.tokens = self.tokens, json.loads(answer.body)

    def read(self) -> None:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        answer = self.place.line.send("GET", "/userinfo", None, headers)
        self._check(answer, 200, "read")
        self.claims = json.loads(answer.body)

    # -- what may be stolen ----------------------------------------------------------------------------------

    def bearer_secrets(self) -> dict[str, str]:
        """Everything that this sign-in entitles somebody to something by being known, by what it is."""
        known = {f"cookie {name.partition('-')[0]}": value for name, value in self.cookies.items()}
        known |= {"code": self.code, "access token": self.tokens.get("access_token", "")}
        known |= {"ID token": self.tokens.get("id_token", ""), "PKCE verifier": self.verifier}
        known |= {"refresh token": self.tokens.get("refresh_token", "")}
        known |= {"device code": self.device_code, "user code": self.user_code}
        known |= {
            f"spent {name}": str(self.spent.get(name, "")) for name in ("access_token", "refresh_token")
        }
        response_codes = parse_qs(urlsplit(self.redirect_uri).query).get("response_code", [""])
        known["response code"] = response_codes[0]
        return {name: value for name, value in known.items() if value}

    # -- HTTP ------------------------------------------------------------------------------------------------

    def open(self, path: str) -> Answer:
        """A page that is there, in this holder's browser."""
        return self._get(path, 200)

    def _get(self, path: str, status: int) -> Answer:
        answer = self.place.line.send("GET", path, None, self._headers())
        return self._kept(answer, status, path)

    def _post(self, path: str, form: Any) -> Answer:
        answer = self.place.line.send("POST", path, urlencode(form), {**self._headers(), **FORM})
        return self._kept(answer, 303, path)

    def _headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Accept": "text/html", **({"Cookie": cookies} if cookies else {})}

    def _kept(self, answer: Answer, status: int, path: str) -> Answer:
        self._check(answer, status, re.sub(r"[^/]{16,}", "*", urlsplit(path).path))
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    @staticmethod
    def _check(answer: Answer, status: int, step: str) -> None:
        if answer.status != status:
            raise Unexpected(f"{step}: {answer.status} instead of {status}", answer.status)

    @staticmethod
    def _consent_form(page: str) -> list[tuple[str, str]]:
        form = page.partition('<form id="consent"')[2].partition("</form>")[0]
        inputs = re.findall(r"<input ([^>]*)>", form)
        found = [(re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)) for tag in inputs]
        return [(name[1], html.unescape(value[1])) for name, value in found if name and value]


def all_of(holders: Iterable[Holder], each: Callable[[Holder], Any], threads: int) -> None:
    """Let every holder do it, so many at a time. Raises the first thing that went wrong."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(each, holders):
            pass


def _found(pattern: str, page: str) -> str:
    match = re.search(pattern, page)
    if match is None:
        raise Unexpected(f"no {pattern.partition(chr(34))[2].partition(chr(34))[0]} on the page")
    return html.unescape(match[1])


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
