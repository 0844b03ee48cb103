"""A person at their own page: a browser, and a wallet beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2

from idp.demo import check
from tests.rig import Portal, Rig

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_RECEIPTS = re.compile(r'href="/me/receipt\?id=([^"]+)"')
_SESSIONS = re.compile(r'name="session" value="([^"]+)"')


@dataclass
class Me:
    """One browser at `/me`. `persona`: whose wallet, as `tests.rig.Portal.show` takes it."""

    rig: Rig
    persona: str = "hong"
    holder: Portal = field(init=False)

    def __post_init__(self) -> None:
        self.holder = Portal(self.rig, "gov24")

    @property
    def browser(self) -> httpx2.Client:
        return self.holder.browser

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.browser.get(self.holder.absolute(path), **more)

    def page(self, path: str = "/me", status: int = 200) -> check.Page:
        answered = self.get(path)
        assert answered.status_code == status, (answered.status_code, answered.text[:500])
        return check.Page(answered)

    def csrf(self) -> str:
        found = _CSRF.search(self.get("/me").text)
        assert found is not None
        return found[1]

    def send(self, path: str, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
        """A form with this page's token; `csrf=None` leaves it out."""
        given = {"csrf": self.csrf(), **fields} if "csrf" not in fields else fields
        return self.browser.post(
            self.holder.absolute(path),
            data={name: value for name, value in given.items() if value is not None},
            headers=headers,
        )

    def to_callback(self) -> str:
        """From the button to the redirect back to the page."""
        begun = self.browser.post(self.holder.absolute("/me/sign-in"))
        assert begun.status_code == 303, begun.text[:500]
        authorized = self.get(begun.headers["Location"])
        page = self.holder.open(authorized.headers["Location"])
        outcome = self.holder.show(self.holder.link(page), self.persona)
        assert outcome.redirect_uri is not None, outcome
        resumed = self.get(outcome.redirect_uri)
        assert resumed.status_code == 303, resumed.text[:500]
        return str(resumed.headers["Location"])

    def open(self) -> Me:
        """Show the credential, and be at the page."""
        answered = self.get(self.to_callback())
        assert answered.headers.get("Location") == "/me", answered.text[:500]
        return self

    def service(self, client_id: str) -> str:
        return self.get(f"/me/service?id={quote(client_id, safe='')}").text

    def withdraw(self, client_id: str, item: str | None = None) -> httpx2.Response:
        return self.send("/me/withdraw", id=client_id, item=item)

    def receipt_ids(self, path: str = "/me/sign-ins") -> list[str]:
        return list(dict.fromkeys(_RECEIPTS.findall(self.get(path).text)))

    def receipt(self, receipt_id: str) -> str:
        answered = self.get(f"/me/receipt.jwt?id={receipt_id}")
        assert answered.status_code == 200, answered.text[:500]
        return str(answered.text)

    def session_handles(self) -> list[str]:
        return _SESSIONS.findall(self.get("/me").text)
