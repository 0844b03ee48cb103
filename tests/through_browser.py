"""A sign-in page whose script is played by a test: what it would hand to the browser, and what it would bring back.

`Offered` is a page with its requests; `bring` posts a wallet's answer as the script does, with everything changeable.
`Brought` is an answer that can get anything wrong, as `tests.presenting.Answer` is by a link.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2

from idp.demo import check, dc_api
from idp.demo.personas import Status
from idp.demo.wallet import Fault
from tests.presenting import Answer, parts
from tests.rig import Begun, Portal, Rig, person


@dataclass
class Offered:
    """A sign-in page of one login, in the browser that began it."""

    portal: Portal
    begun: Begun
    page: check.Page = field(init=False)

    def __post_init__(self) -> None:
        self.page = self.portal.page(self.begun)

    @property
    def rig(self) -> Rig:
        return self.portal.rig

    @property
    def address(self) -> str:
        """Where the script posts to."""
        return self.rig.issuer + check.required(self.page, "digital", "page").attributes["data-answer"]

    @property
    def csrf(self) -> str:
        """The token in the page's forms."""
        return next(
            element.attributes["value"]
            for element in self.page.root.below()
            if element.attributes.get("name") == "csrf"
        )

    def requests(self, *protocols: str) -> list[dict[str, Any]]:
        """What the page hands to the browser; with protocols only those, as a browser that has no other takes it."""
        text = check.required(self.page, "digital", "page").attributes["data-requests"]
        return [one for one in json.loads(text) if not protocols or one["protocol"] in protocols]

    def plain(self) -> dict[str, Any]:
        """The claims of the unsigned request."""
        (one,) = self.requests(dc_api.UNSIGNED)
        return dict(one["data"])

    def signed(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of the signed request."""
        (one,) = self.requests(dc_api.SIGNED)
        return parts(one["data"]["request"])

    def show(
        self,
        persona: str = "hong",
        *protocols: str,
        fault: str = "",
        origin: str | None = None,
        format: str = "dc+sd-jwt",
    ) -> dict[str, Any]:
        """What the demonstration's wallet answers to a browser that is at this origin and has these protocols."""
        return dc_api.answer(
            self.rig.wallet,
            self.requests(*protocols),
            origin=self.rig.issuer if origin is None else origin,
            persona=person(persona),
            fault=Fault(fault),
            format=format,
        )

    def bring(self, message: Any, /, **changes: Any) -> httpx2.Response:
        """Post an answer as the page's script does. Of it can change: `browser`, `address`, `headers`, `content`."""
        headers = {
            "Content-Type": "application/json",
            "X-CSRF-Token": self.csrf,
            **changes.get("headers", {}),
        }
        browser: httpx2.Client = changes.get("browser", self.portal.browser)
        return browser.post(
            changes.get("address", self.address),
            content=changes.get("content", json.dumps(message)),
            headers={name: value for name, value in headers.items() if value is not None},
        )

    def resume(self, brought: httpx2.Response) -> httpx2.Response:
        """Go where the script would send the browser."""
        assert brought.status_code == 200, brought.text
        return self.portal.browser.get(self.portal.absolute(brought.json()["location"]))


class Brought(Answer):
    """An answer through the browser under construction; `data` replaces the whole of its `data`."""

    def __init__(self, offered: Offered, persona: str = "hong", status: Status | None = None) -> None:
        self._begin(offered.rig, offered.plain(), persona, status)
        self.offered = offered
        self.binding_payload["aud"] = f"origin:{offered.rig.issuer}"
        self.protocol: Any = dc_api.SIGNED
        self.data: Any = None

    def message(self) -> dict[str, Any]:
        """`protocol` and `data` as the script posts them."""
        data = {"response": self.encrypted()} if self.data is None else self.data
        return {"protocol": self.protocol, "data": data}

    def send(self) -> httpx2.Response:
        """Bring the answer to the page it was asked on."""
        return self.offered.bring(self.message())


def offered(portal: Portal, begun: Begun | None = None) -> Offered:
    """The sign-in page of a login that began now."""
    return Offered(portal, begun or portal.begin())
