"""A portal at each provider under measurement: what it sends, and the people who come by it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
from flask import Flask

from idp import portals, seal
from idp.app import house_of
from idp.login import Login, Proof
from idp.oidc.conclusion import FinishedLogin
from idp.views.holder import login_cookie
from tests.bench import figures
from tests.bench.v import wire
from tests.crowd import FORM, Answer, Client, Holder, Line, Unexpected
from tests.crowd import Place as Provider
from tests.deployed import Deployment


class Visitor(Protocol):
    """Somebody with a browser of their own. Raises Unexpected for whatever else happens."""

    def look(self) -> None:
        """Come by the portal's link, up to the page that the provider shows."""

    def sign_in(self) -> None:
        """All of it, up to the claims at UserInfo."""


class Portal(Protocol):
    """A portal at one provider."""

    def codes(self, number: int) -> Sequence[str]:
        """So many codes, each as a sign-in of somebody else would have ended with."""

    def token_request(self, code: str) -> bytes:
        """What buys the tokens for a code."""

    def userinfo_request(self, access_token: str) -> bytes:
        """What reads the claims."""

    def visitors(self, number: int) -> Sequence[Visitor]:
        """So many people who were never here."""


# -- ours ------------------------------------------------------------------------------------------------------


@dataclass
class OwnPortal:
    """정부24 of the demonstration, at Sinwon. Codes are issued by our own code, in this process, with all rows."""

    house: Deployment
    app: Flask
    provider: Provider
    client: Client
    request: FinishedLogin
    verifier: str

    @classmethod
    @contextmanager
    def of(cls, house: Deployment, app: Flask) -> Iterator[OwnPortal]:
        """For a house that runs, and an application of the same settings in this process."""
        with figures.place_of(house) as provider:
            (first,) = figures.holders(house, provider, 1)
            first.go(until="come_back")
            yield cls(house, app, provider, first.client, _finished(app, first), first.verifier)

    def codes(self, number: int) -> Sequence[str]:
        issue = house_of(self.app).codes.issue
        with self.app.app_context():
            issued = [issue(_of_somebody_else(self.request)) for _ in range(number)]
        return [_code_in(one.outgoing.location) for one in issued]

    def token_request(self, code: str) -> bytes:
        return _token_request(self.client.authorization, code, self.client.redirect_uri, self.verifier)

    def userinfo_request(self, access_token: str) -> bytes:
        return wire.request("GET", "/userinfo", {"Authorization": f"Bearer {access_token}"})

    def visitors(self, number: int) -> Sequence[Visitor]:
        return [_Holder(holder) for holder in figures.holders(self.house, self.provider, number)]


@dataclass
class _Holder:
    holder: Holder

    def look(self) -> None:
        self.holder.go(until="look")

    def sign_in(self) -> None:
        self.holder.go()


def _finished(app: Flask, holder: Holder) -> FinishedLogin:
    """What this holder's sign-in amounts to, taken before its end."""
    login_id = holder.login_url.rpartition("/")[2]
    cookie = holder.cookies[login_cookie(login_id)]
    logins = house_of(app).logins
    with app.app_context():
        login: Login = logins.show(login_id, cookie)
        portal = portals.find(login.request.client_id)
        proof: Proof = logins.open(login, cookie)
    assert portal is not None
    assert login.answer is not None
    return FinishedLogin(portal, login.request, login_id, login.answer, proof, tuple(portal.claim_names))


def _of_somebody_else(finished: FinishedLogin) -> FinishedLogin:
    keys = tuple((domain, element, secrets.token_hex(8)) for domain, element, _ in finished.proof.person_keys)
    return replace(
        finished,
        login_id=seal.random_token(16),
        proof=msgspec.structs.replace(finished.proof, person_keys=keys),
    )


# -- other providers -------------------------------------------------------------------------------------------


@dataclass
class PeerPortal:
    """A portal at a provider that signs in whoever comes, and issues codes at `/bench/codes`."""

    port: int
    secret: str
    authorize: str
    userinfo: str
    redirect_uri = "https://portal.example/callback"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"portal:{self.secret}".encode()).decode()

    def codes(self, number: int) -> Sequence[str]:
        with closing(Line(f"http://127.0.0.1:{self.port}")) as line:
            query = urlencode({"n": number, "challenge": self.challenge})
            return cast("list[str]", json.loads(line.send("GET", f"/bench/codes?{query}").body)["codes"])

    def token_request(self, code: str) -> bytes:
        return _token_request(self.authorization, code, self.redirect_uri, self.verifier)

    def userinfo_request(self, access_token: str) -> bytes:
        return wire.request("GET", self.userinfo, {"Authorization": f"Bearer {access_token}"})

    def visitors(self, number: int) -> Sequence[Visitor]:
        line = Line(f"http://127.0.0.1:{self.port}")
        return [_Somebody(self, line) for _ in range(number)]


@dataclass
class _Somebody:
    portal: PeerPortal
    line: Line
    cookies: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """The redirect to where a page would stand: this provider has none of its own."""
        self._begin()

    def sign_in(self) -> None:
        location = self._begin()
        while not location.startswith(self.portal.redirect_uri):
            location = self._get(urlsplit(location).path)
        code = _code_in(location)
        headers = {**FORM, "Authorization": self.portal.authorization}
        form = _token_form(code, self.portal.redirect_uri, self.portal.verifier)
        tokens = self._answered(self.line.send("POST", "/token", form, headers))
        self._answered(
            self.line.send(
                "GET", self.portal.userinfo, None, {"Authorization": f"Bearer {tokens['access_token']}"}
            )
        )

    def _begin(self) -> str:
        query = {
            "response_type": "code",
            "client_id": "portal",
            "redirect_uri": self.portal.redirect_uri,
            "scope": "openid profile",
            "state": secrets.token_urlsafe(12),
            "nonce": secrets.token_urlsafe(12),
            "code_challenge": self.portal.challenge,
            "code_challenge_method": "S256",
        }
        return self._get(f"{self.portal.authorize}?{urlencode(query)}")

    @staticmethod
    def _answered(answer: Answer) -> dict[str, str]:
        if answer.status != 200:
            raise Unexpected(f"{answer.status} instead of 200")
        return cast("dict[str, str]", json.loads(answer.body))

    def _get(self, path: str) -> str:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.line.send("GET", path, None, {"Cookie": cookies} if cookies else {})
        if answer.status not in {302, 303}:
            raise Unexpected(f"{answer.status} instead of a redirect")
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer.location


# -- both ------------------------------------------------------------------------------------------------------


def _token_form(code: str, redirect_uri: str, verifier: str) -> str:
    given = {"grant_type": "authorization_code", "code": code}
    return urlencode({**given, "redirect_uri": redirect_uri, "code_verifier": verifier})


def _token_request(authorization: str, code: str, redirect_uri: str, verifier: str) -> bytes:
    headers = {**FORM, "Authorization": authorization}
    return wire.request("POST", "/token", headers, _token_form(code, redirect_uri, verifier))


def _code_in(location: str) -> str:
    return parse_qs(urlsplit(location).query)["code"][0]
