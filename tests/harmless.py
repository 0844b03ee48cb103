"""What must hold after every bad input, and where an error may go: a page, a redirect to the portal, or JSON.

`harmless` wraps a bad input: nothing was stored, and the audit says exactly what is named. `page`, `to_portal` and
`as_json` look at the answer itself.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
from sqlalchemy import func, make_url, select

from idp.demo.personas import PERSONAS
from idp.models import Consent, Grant, Subject, SubjectKey, db
from idp.store.redis import RedisStore
from tests.rig import Rig

Named = tuple[str, str | None]

STORED = ("code", "token", "session", "sid")
EVIL = '"><script>alert(1)</script>'
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HOLDERS_VALUES = [
    value
    for persona in PERSONAS
    for value in (persona.name, persona.birthdate, persona.registration_number, persona.passport_number)
] + [
    persona.claims({"name": {"ko": "", "en": ""}})[name]
    for persona in PERSONAS
    for name in ("kr_ci", "license_number", "civil_servant_number", "veteran_number")
]
_INSIDE = ("Traceback", "sqlalchemy", "site-packages", "SELECT ", "joserfc", 'File "')
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]*\Z")


def rows(rig: Rig) -> dict[str, int]:
    """How many rows there are that a bad input must not add to."""
    with rig.app.app_context():
        return {
            table.__tablename__: db.session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Grant, Consent, Subject, SubjectKey)
        }


def kept(rig: Rig, *prefixes: str) -> set[str]:
    """The keys of the Store that begin with one of these and a colon."""
    url = rig.house.settings.store_url
    if url.startswith("redis"):
        with closing(RedisStore(url)) as store:
            found = [name.removeprefix("sinwon:v:") for name in store._client().scan_iter("sinwon:v:*")]
    else:
        with closing(sqlite3.connect(make_url(url).database or "")) as connection:
            found = [key.removeprefix("v:") for (key,) in connection.execute("SELECT k FROM ephemeral")]
    return {key for key in found if key.partition(":")[0] in prefixes}


@contextmanager
def harmless(rig: Rig, *events: Named, login: bool = False) -> Iterator[None]:
    """A bad input happens inside: no grant, consent, subject, code, token or session comes of it.

    `events` are the names and reasons of all audit events that come of it, in order, but for `userinfo.refused`, which
    depends on whether its token was refused before. With `login` a sign-in may
    begin. No value of a credential and no mark-up from outside may stand in the audit.
    """
    prefixes = STORED if login else (*STORED, "login")
    before, keys = rows(rig), kept(rig, *prefixes)
    last = rig.last_event()
    yield
    assert rows(rig) == before
    assert kept(rig, *prefixes) <= keys
    new = rig.events(after=last)
    told = [(event.name, event.reason) for event in new if event.name != "userinfo.refused"]
    assert told == list(events)
    assert all(event.correlation_id for event in new)
    said = json.dumps([[event.reason, event.detail, event.client_id] for event in new], ensure_ascii=False)
    assert "<script" not in said
    assert not [value for value in HOLDERS_VALUES if value in said]


def decent(response: httpx2.Response, *, worst: int = 500) -> httpx2.Response:
    """An answer that tells nothing of our insides, repeats no mark-up, and carries the headers of every answer.

    `worst`: the status from which on it is none.
    """
    assert response.status_code < worst, response.text[:500]
    for name, value in HEADERS.items():
        assert response.headers.get(name) == value, name
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert re.fullmatch(r"[0-9a-f]{16}", response.headers["X-Correlation-Id"])
    assert "<script>alert" not in response.text
    assert not [word for word in _INSIDE if word in response.text]
    return response


def page(response: httpx2.Response, status: int, code: str | None = None) -> httpx2.Response:
    """An error page of ours, which redirects nowhere; `code` is what a help desk is told."""
    decent(response)
    assert response.status_code == status, response.text[:300]
    assert "Location" not in response.headers
    assert response.headers["Content-Type"].startswith("text/html")
    if code is not None:
        assert code in response.text
    return response


def to_portal(
    response: httpx2.Response, redirect_uri: str, error: str, state: str | None, issuer: str
) -> dict[str, str]:
    """An OAuth error by redirect to the registered URI, with `state` and `iss` (RFC 6749 4.1.2.1, RFC 9207)."""
    decent(response)
    assert response.status_code == 303, response.text[:300]
    location = response.headers["Location"]
    assert location.partition("?")[0] == redirect_uri.partition("?")[0]
    given = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    assert given["error"] == error, given
    assert given.get("state") == state
    assert given["iss"] == issuer
    assert "code" not in given
    assert _DESCRIPTION.match(given.get("error_description", ""))
    return given


def as_json(response: httpx2.Response, status: int, error: str) -> dict[str, object]:
    """A JSON error."""
    decent(response)
    assert response.status_code == status, (response.status_code, response.text[:300])
    assert response.headers["Content-Type"] == "application/json"
    body = dict(response.json())
    assert body["error"] == error, body
    assert "access_token" not in body
    return body
