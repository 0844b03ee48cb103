"""An administrator at the console: a browser that signs in with a persona's wallet, reads pages and sends forms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2

from idp.admin import people
from idp.admin.people import Role
from idp.demo import check
from tests.rig import Portal, Rig

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def invited(rig: Rig, role: Role, label: str = "", organisation: str | None = None) -> str:
    """The path of an invitation."""
    with rig.app.app_context():
        token = people.invite(
            label=label or role.value, role=role, organisation=organisation, ttl_s=3600, now=rig.clock()
        )
    return f"/console/invitation/{token}"


@dataclass
class Admin:
    """One browser, and whose wallet is beside it. `persona`: whose card, as `tests.rig.Portal.show` takes it."""

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

    def page(self, path: str, status: int = 200) -> check.Page:
        """A page of the console, read."""
        answered = self.get(path)
        assert answered.status_code == status, (answered.status_code, answered.text[:500])
        return check.Page(answered)

    def csrf(self) -> str:
        found = _CSRF.search(self.get("/console").text)
        assert found is not None
        return found[1]

    def send(self, path: str, **fields: Any) -> httpx2.Response:
        """A form with this session's token; `csrf=None` leaves it out."""
        given = {"csrf": self.csrf(), **fields} if "csrf" not in fields else fields
        return self.browser.post(
            self.holder.absolute(path),
            data={name: value for name, value in given.items() if value is not None},
        )

    def sign_in(
        self, start: str = "/console/sign-in", persona: str | None = None, **fields: Any
    ) -> httpx2.Response:
        """The whole way from the button to what the console answers at the end."""
        return self.get(self.to_callback(start, persona, **fields))

    def to_callback(self, start: str = "/console/sign-in", persona: str | None = None, **fields: Any) -> str:
        """As far as the redirect to the console."""
        begun = self.browser.post(self.holder.absolute(start), data=fields)
        assert begun.status_code == 303, begun.text[:500]
        authorized = self.get(begun.headers["Location"])
        page = self.holder.open(authorized.headers["Location"])
        outcome = self.holder.show(self.holder.link(page), persona or self.persona)
        assert outcome.redirect_uri is not None, outcome
        resumed = self.holder.agree(self.get(outcome.redirect_uri))
        assert resumed.status_code == 303, resumed.text[:500]
        return str(resumed.headers["Location"])

    def join(self, role: Role, label: str = "", organisation: str | None = None) -> Admin:
        """Be invited and accept."""
        answered = self.sign_in(invited(self.rig, role, label, organisation))
        assert answered.headers.get("Location") == "/console", answered.text[:2000]
        return self
