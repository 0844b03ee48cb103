"""A whole house under test: the provider and its guests on real sockets, a clock that can be moved.

`Rig` starts the provider (any database and store) and the demonstration's guests in threads of this process.
`Portal` speaks OpenID Connect as a client does, with everything changeable; `Wallet` is the demonstration's own.
Build with good defaults and change one thing: `portal.begin(code_challenge=None)`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import socket
import ssl
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import func, select
from werkzeug.serving import WSGIRequestHandler, make_server

from idp.admin import portals as portal_admin
from idp.admin import trust as trust_admin
from idp.app import close, create_app, house_of
from idp.demo import app as guests
from idp.demo import check, personas, request, seeds
from idp.demo.wallet import Fault, Outcome, Wallet
from idp.models import AuditEvent, db
from idp.models import Portal as PortalRow
from idp.settings import load
from idp.wiring import House
from tests import tables
from tests.proving import Prover

# Made once: reading the machine's certificates takes longer than a sign-in.
_TLS = ssl.create_default_context()


class Clock:
    """The system's clock, moved by `offset_s`."""

    def __init__(self) -> None:
        self.offset_s = 0

    def __call__(self) -> int:
        return int(time.time()) + self.offset_s

    def forward(self, seconds: int) -> None:
        self.offset_s += seconds


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing: a test's output is its result."""


@dataclass
class Rig:
    """A running provider with guests. `settings` of `started` override the demonstration's, by dotted name."""

    app: Flask
    house: House
    prepared: seeds.Prepared
    wallet: Wallet
    clock: Clock
    http: httpx2.Client
    guests: Flask

    @property
    def issuer(self) -> str:
        return self.prepared.issuer

    def portal(self, client_id: str = "gov24") -> Portal:
        """A portal with a browser of its own."""
        return Portal(self, client_id)

    def browser(self) -> httpx2.Client:
        """A browser with an empty cookie jar; it follows no redirect by itself."""
        return httpx2.Client(follow_redirects=False, timeout=20, trust_env=False, verify=_TLS)

    def events(self, after: int = 0) -> list[AuditEvent]:
        """The audit, oldest first, from the row after that id on."""
        with self.app.app_context():
            return list(db.session.query(AuditEvent).where(AuditEvent.id > after).order_by(AuditEvent.id))

    def last_event(self) -> int:
        """The id of the latest row of the audit, 0 where there is none."""
        with self.app.app_context():
            return db.session.scalar(select(func.max(AuditEvent.id))) or 0

    def event_names(self) -> list[str]:
        return [event.name for event in self.events()]

    def apply_portal(self, client_id: str, /, **changes: Any) -> dict[str, Any]:
        """Register a portal again with some members changed (None removes one); its registration."""
        registered = next(p for p in self.prepared.portals() if p["client_id"] == client_id)
        merged = {name: value for name, value in {**registered, **changes}.items() if value is not None}
        with self.app.app_context():
            portal_admin.apply({"portal": [merged]}, now=self.clock())
        return merged

    def variant(self, of: str, client_id: str, **changes: Any) -> Portal:
        """A further portal: like another, with its secrets, and some members of its registration changed."""
        portal = self.portal(of)
        portal.registration = self.apply_portal(of, client_id=client_id, **changes)
        portal.client_id = client_id
        return portal

    def nonce(self) -> str:
        """A nonce for DPoP proofs, as a portal learns one: every answer to a request with a proof brings it."""
        return str(self.http.get(f"{self.issuer}/userinfo", headers={"DPoP": "?"}).headers["DPoP-Nonce"])

    def switch_portal(self, client_id: str, *, enabled: bool) -> None:
        """Switch a registered portal off, or on again."""
        with self.app.app_context():
            db.session.get_one(PortalRow, client_id).enabled = enabled
            db.session.commit()


Proofs = Prover | Sequence[str] | None


@dataclass
class Begun:
    """A sign-in on its way: what the portal remembers, and the answer to its request."""

    response: httpx2.Response
    state: str | None
    nonce: str | None
    verifier: str

    @property
    def location(self) -> str:
        return self.response.headers["Location"]


@dataclass
class Portal:
    """One portal and one holder's browser.

    With a `prover` every request of the back channel that may carry a DPoP proof carries one; `headers` go with each,
    as a proxy adds them. `dpop` of a method replaces the portal's own: another key, or proofs as they are (() none).
    """

    rig: Rig
    client_id: str
    browser: httpx2.Client = field(init=False)
    prover: Prover | None = field(init=False, default=None)
    headers: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.browser = self.rig.browser()
        self.secrets_of = self.client_id
        self.registration = next(p for p in self.rig.prepared.portals() if p["client_id"] == self.client_id)
        self.redirect_uri = self.registration["redirect_uris"][0]

    # -- the request ---------------------------------------------------------------------------------------

    def parameters(self, **changes: Any) -> tuple[dict[str, Any], str]:
        """Good request parameters with some changed (None leaves one out), and the PKCE verifier."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        good = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.registration["scopes"]),
            "state": secrets.token_urlsafe(12),
            "nonce": secrets.token_urlsafe(12),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}, verifier

    def begin(self, *, method: str = "GET", query: str = "", **changes: Any) -> Begun:
        """Send the browser to /authorize. `query` is appended as it is."""
        parameters, verifier = self.parameters(**changes)
        url = f"{self.rig.issuer}/authorize"
        if method == "GET":
            response = self.browser.get(f"{url}?{urlencode(parameters, doseq=True)}{query}")
        else:
            response = self.browser.request(method, url + query, data=parameters)
        return Begun(response, parameters.get("state"), parameters.get("nonce"), verifier)

    def push(self, *, dpop: Proofs = (), **changes: Any) -> httpx2.Response:
        """Push a good request with some parameters or credentials changed (RFC 9126); without a proof unless told."""
        return self._push(dpop=dpop, **changes)[0]

    def _push(self, *, dpop: Proofs = (), **changes: Any) -> tuple[httpx2.Response, dict[str, Any], str]:
        parameters, verifier = self.parameters(**changes)
        return self.post("/par", dpop=dpop, **parameters), parameters, verifier

    def open_pushed(self, request_uri: str, **beside: Any) -> httpx2.Response:
        """Send the browser to /authorize with a reference."""
        query = {"client_id": self.client_id, "request_uri": request_uri, **beside}
        return self.browser.get(f"{self.rig.issuer}/authorize?{urlencode(query)}")

    def begin_pushed(self, *, dpop: Proofs = (), **changes: Any) -> Begun:
        """Push a request and send the browser with the reference."""
        response, parameters, verifier = self._push(dpop=dpop, **changes)
        assert response.status_code == 201, response.text
        opened = self.open_pushed(response.json()["request_uri"])
        return Begun(opened, parameters.get("state"), parameters.get("nonce"), verifier)

    # -- the sign-in page ----------------------------------------------------------------------------------

    def page(self, begun: Begun) -> check.Page:
        """The sign-in page."""
        return self.open(begun.location)

    def open(self, path: str) -> check.Page:
        return check.Page(self.browser.get(self.absolute(path)))

    def absolute(self, path: str) -> str:
        return path if path.startswith("http") else self.rig.issuer + path

    def link(self, page: check.Page) -> str:
        return check.required(page, "wallet-link", "sign-in page").attributes["href"]

    def qr(self, page: check.Page) -> str:
        return check.required(page, "qr", "sign-in page").attributes["data-link"]

    def qr_code(self, page: check.Page) -> str:
        """What the QR code itself says, where that is no link."""
        return check.required(page, "qr", "sign-in page").attributes["data-code"]

    def submit(self, page: check.Page, form_id: str, **chosen: Any) -> httpx2.Response:
        """Send a form of a page; `chosen` replaces or adds fields (a list: several of a name), None removes one."""
        form = check.required(page, form_id, "page")
        fields = [(name, value) for name, value in check.form_fields(form) if name not in chosen]
        for name, value in chosen.items():
            values = value if isinstance(value, list) else [value]
            fields += [(name, item) for item in values if item is not None]
        data: dict[str, Any] = {}
        for name, value in fields:
            data.setdefault(name, []).append(value)
        return self.browser.post(self.absolute(form.attributes["action"]), data=data)

    # -- the wallet ----------------------------------------------------------------------------------------

    def show(self, link: str, persona: str = "hong", fault: str = "") -> Outcome:
        """A wallet opens the link and answers."""
        asked = self.rig.wallet.receive(parse_link(link))
        return self.rig.wallet.show(asked, person(persona), Fault(fault))

    # -- all of it -----------------------------------------------------------------------------------------

    def to_consent(self, begun: Begun, persona: str = "hong") -> httpx2.Response:
        """Sign-in page, wallet on this device, and back: what `/authorize/resume` answers."""
        outcome = self.show(self.link(self.page(begun)), persona)
        assert outcome.redirect_uri is not None, outcome
        return self.browser.get(outcome.redirect_uri)

    def agree(self, resumed: httpx2.Response, **chosen: Any) -> httpx2.Response:
        """Agree on the consent page if there is one; the redirect to the portal."""
        if "/consent" not in resumed.headers.get("Location", ""):
            return resumed
        page = self.open(resumed.headers["Location"])
        chosen = {"decision": "agree", **chosen}
        answered = self.submit(page, "consent", **chosen)
        return self.browser.get(self.absolute(answered.headers["Location"]))

    def agree_for_good(self, persona: str = "hong") -> None:
        """A sign-in of somebody who asks not to be asked again."""
        self.agree(self.to_consent(self.begin(prompt="consent"), persona), remember="yes")

    def callback(self, begun: Begun, persona: str = "hong") -> dict[str, str]:
        """A whole sign-in: the parameters that came back to the portal.

        A browser that is signed in already comes back at once, or after the consent page.
        """
        if "/login/" not in begun.location or "/consent" in begun.location:
            return callback_parameters(self.agree(begun.response))
        return callback_parameters(self.agree(self.to_consent(begun, persona)))

    def code(self, persona: str = "hong", **changes: Any) -> tuple[str, Begun]:
        """A fresh code, and what the portal remembers. A `fapi2` portal pushes its request, as it must."""
        begin = self.begin_pushed if self.registration.get("profile") == "fapi2" else self.begin
        begun = begin(**changes)
        return self.callback(begun, persona)["code"], begun

    # -- the back channel ----------------------------------------------------------------------------------

    def token(self, code: str, verifier: str, /, *, dpop: Proofs = None, **changes: Any) -> httpx2.Response:
        """Redeem a code with this portal's own credentials; `changes` replace form fields (None leaves out)."""
        form: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        return self.post("/token", dpop=dpop, **{**form, **changes})

    def credentials(self) -> tuple[dict[str, str], str | None]:
        """Form fields and Authorization header by which this portal proves itself."""
        method = self.registration["token_endpoint_auth_method"]
        if method == "private_key_jwt":
            return {
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": self.assertion(),
            }, None
        if method in {"none", "tls_client_auth", "self_signed_tls_client_auth"}:
            return {"client_id": self.client_id}, None
        secret = self.rig.prepared.portal_secret(self.secrets_of)
        if method == "client_secret_post":
            return {"client_id": self.client_id, "client_secret": secret}, None
        basic = base64.b64encode(f"{self.client_id}:{secret}".encode()).decode()
        return {}, f"Basic {basic}"

    def assertion(self, *, header: Mapping[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        """A good client assertion with some claims changed (None leaves one out)."""
        now = self.rig.clock()
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.rig.issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + 60,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        signing = key or ECKey.import_key(self.rig.prepared.portal_key(self.secrets_of))
        full = {"alg": "ES256", **(header or {})}
        return jwt.encode(full, claims, signing, algorithms=[full["alg"]])

    def post(self, path: str, /, *, dpop: Proofs = None, **form: Any) -> httpx2.Response:
        """A form to an endpoint of the back channel, with this portal's own credentials (None leaves a field out)."""
        credentials, authorization = self.credentials()
        given = {**credentials, **form}
        headers = [("Authorization", authorization)] if authorization else []
        return self.rig.http.post(
            self.rig.issuer + path,
            data={name: value for name, value in given.items() if value is not None},
            headers=[*headers, *self.headers.items(), *self._proofs(dpop, path, "POST")],
        )

    def proof(
        self,
        path: str,
        method: str = "POST",
        *,
        by: Prover | None = None,
        access_token: str | None = None,
        **changes: Any,
    ) -> str:
        """A good DPoP proof for a request to us, by the portal's key or another, with some of it changed."""
        prover = by or self.prover
        assert prover is not None, "a proof needs a key"
        good = {"at": self.rig.clock(), "nonce": self.rig.nonce(), "access_token": access_token}
        return prover.proof(self.rig.issuer + path, method, **{**good, **changes})

    def _proofs(
        self, dpop: Proofs, path: str, method: str, access_token: str | None = None
    ) -> list[tuple[str, str]]:
        chosen = self.prover if dpop is None else dpop
        if chosen is None:
            return []
        if isinstance(chosen, Prover):
            chosen = [self.proof(path, method, by=chosen, access_token=access_token)]
        return [("DPoP", proof) for proof in chosen]

    def refresh(self, refresh_token: str, /, **changes: Any) -> httpx2.Response:
        """Use a refresh token."""
        return self.post("/token", grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def userinfo(
        self, access_token: str, /, *, dpop: Proofs = None, scheme: str | None = None, method: str = "GET"
    ) -> httpx2.Response:
        """What UserInfo says; with a proof by the DPoP scheme, unless told otherwise."""
        proofs = self._proofs(dpop, "/userinfo", method, access_token)
        used = scheme or ("DPoP" if proofs else "Bearer")
        headers = [("Authorization", f"{used} {access_token}"), *self.headers.items(), *proofs]
        return self.rig.http.request(method, f"{self.rig.issuer}/userinfo", headers=headers)

    def id_token_claims(self, id_token: str) -> dict[str, Any]:
        """The claims of an ID token whose signature verifies with the published keys."""
        keys = KeySet.import_key_set(self.rig.http.get(f"{self.rig.issuer}/jwks").json())
        return dict(jwt.decode(id_token, keys, algorithms=["ES256", "RS256"]).claims)

    def sign_in(self, persona: str = "hong", **changes: Any) -> dict[str, Any]:
        """A whole sign-in: the token response."""
        code, begun = self.code(persona, **changes)
        response = self.token(code, begun.verifier)
        assert response.status_code == 200, response.text
        return dict(response.json())


def callback_parameters(response: httpx2.Response) -> dict[str, str]:
    """The parameters of a redirect to a portal."""
    assert response.status_code == 303, (response.status_code, response.text[:300])
    return {
        name: values[0] for name, values in parse_qs(urlsplit(response.headers["Location"]).query).items()
    }


def parse_link(link: str) -> request.Link:
    """A wallet link as the wallet reads it."""
    return request.read_link(link)


def person(identifier: str) -> personas.Persona:
    """A persona of the demonstration, or one of its invented people."""
    match = re.fullmatch(r"invented-(\d+)", identifier)
    if match:
        return personas.invented(int(match[1]))
    return next(p for p in personas.PERSONAS if p.id == identifier)


@contextmanager
def served(app: Flask, listening: socket.socket) -> Iterator[None]:
    """An application on an open socket, threads for requests, until the context ends."""
    server = make_server(
        "127.0.0.1",
        listening.getsockname()[1],
        app,
        threaded=True,
        request_handler=Quiet,
        fd=listening.fileno(),
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def started(
    directory: Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    allow: Sequence[str] = (),
    host: str = "127.0.0.1",
) -> Iterator[Rig]:
    """A provider and its guests, with data in `directory`; it may fetch from the guests and from `allow`.

    An override None takes a setting away. `host` is by which name of this machine the provider goes.
    """
    clock = Clock()
    with closing(_socket()) as own, closing(_socket()) as other:
        issuer = f"http://{host}:{own.getsockname()[1]}"
        here = f"http://127.0.0.1:{other.getsockname()[1]}"
        prepared = seeds.prepare(
            directory,
            issuer=issuer,
            portals_url=here,
            wallet_url=f"{here}/wallet",
            authority_url=f"{here}/authority",
        )
        given = {
            "mode": "demo",
            "issuer": issuer,
            "database.url": f"sqlite:///{directory / 'sinwon.db'}",
            "secrets.key_encryption_key": "11" * 31 + "aa",
            "secrets.pepper": "22" * 31 + "bb",
            "wallet.certificate_file": str(prepared.request_signer_certificates),
            "wallet.private_key_file": str(prepared.request_signer_key),
            "wallet.link": prepared.wallet_link,
            "opendid.verification_method": prepared.open_did_key_url,
            "opendid.private_key_file": str(prepared.open_did_key_file),
            "opendid.certificate_vc_url": prepared.open_did_certificate,
            "opendid.registry_url": prepared.registry_url,
            "fetch.allow": [here, *allow],
            "holder.logins_per_minute_per_ip": 100_000,
            "holder.with_ci": True,
            **(overrides or {}),
        }
        settings = load(
            None, {}, overrides={name: value for name, value in given.items() if value is not None}
        )
        tables.make(settings.database_url)
        app = create_app(settings, clock)
        with app.app_context():
            trust_admin.apply(tomllib.loads(prepared.trust_file.read_text("utf-8")), now=clock())
            portal_admin.apply(tomllib.loads(prepared.portals_file.read_text("utf-8")), now=clock())
            house_of(app).keys.ensure()
        visitors = guests.create_app(prepared)
        with served(app, own), served(visitors, other), httpx2.Client(timeout=20, trust_env=False) as http:
            try:
                yield Rig(
                    app, house_of(app), prepared, visitors.extensions["demo_wallet"], clock, http, visitors
                )
            finally:
                visitors.extensions["demo_close"]()
        close(app)


def _socket() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening
