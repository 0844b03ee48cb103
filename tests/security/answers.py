"""How an answer to a bad input may look: a page of ours, a redirect to the portal, or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

import httpx2

from tests import harmless
from tests.rig import Rig


class Answer(Protocol):
    """Raises AssertionError where the response is not the answer that is meant."""

    def __call__(self, rig: Rig, response: httpx2.Response) -> None: ...


def sent(response: httpx2.Response) -> dict[str, list[str]]:
    """The parameters of the request behind a response, those of its query and of its form together."""
    request = response.request
    found = parse_qs(request.url.query.decode("ascii", "replace"), keep_blank_values=True)
    if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        for name, values in parse_qs(
            request.content.decode("utf-8", "replace"), keep_blank_values=True
        ).items():
            found.setdefault(name, []).extend(values)
    return found


@dataclass(frozen=True)
class Page:
    """A page of ours that redirects nowhere; `code` is what it tells a help desk."""

    status: int = 400
    code: str | None = None

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        harmless.page(response, self.status, self.code)


@dataclass(frozen=True)
class ToPortal:
    """An error by redirect to the URI that the request named, which is registered.

    `state` "": the request's own; None: none is given back. `redirect_uri` where the request does not say it.
    """

    error: str
    state: str | None = ""
    redirect_uri: str | None = None

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        given = sent(response)
        state = given.get("state", [None])[0] if self.state == "" else self.state
        uri = self.redirect_uri or given["redirect_uri"][0]
        harmless.to_portal(response, uri, self.error, state, rig.issuer)


@dataclass(frozen=True)
class Json:
    """An OAuth error in JSON. `scheme`: the one that the answer has to challenge with."""

    status: int
    error: str
    scheme: str | None = None

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        harmless.as_json(response, self.status, self.error)
        if self.scheme is not None:
            assert response.headers["WWW-Authenticate"].startswith(self.scheme)


@dataclass(frozen=True)
class Challenge:
    """A refusal at UserInfo (RFC 6750, section 3); without a token it names no error."""

    status: int
    error: str | None

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == self.status, response.text
        challenge = response.headers["WWW-Authenticate"]
        assert challenge.startswith("Bearer ")
        assert ("error=" in challenge) == (self.error is not None)
        if self.error is not None:
            assert f'error="{self.error}"' in challenge
            assert response.json()["error"] == self.error


@dataclass(frozen=True)
class NotAllowed:
    """405, with the methods that are."""

    allowed: frozenset[str]

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == 405, response.text[:300]
        assert set(response.headers["Allow"].replace(" ", "").split(",")) >= self.allowed


@dataclass(frozen=True)
class Asked:
    """No refusal: the holder is asked to sign in."""

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == 303, response.text[:300]
        assert response.headers["Location"].startswith("/login/"), response.headers["Location"]


@dataclass(frozen=True)
class Status:
    """Nothing but its status says what it is."""

    status: int

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == self.status, (response.status_code, response.text[:300])
