"""Chromium's own Digital Credentials API, with a wallet behind it that does what a test says.

The browser does everything but show its window: it checks the click and the policy, filters the requests, and brings
back what a wallet answered ("virtual wallet" of the W3C specification's chapter on automation, through DevTools).
Which wallet makes the answer is the test's to choose: anything that takes the page's requests and gives `protocol` and
`data`. Here it is the demonstration's.

For one page, as long as it is not left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from playwright.sync_api import CDPSession, Error

from idp.demo import dc_api, seeds
from idp.demo.authority import Authority
from idp.demo.personas import PERSONAS
from idp.demo.wallet import Fault, Wallet
from tests.browser.visitor import Demo, Visitor
from tests.conftest import skip_or_fail
from tests.rig import person

Requests = Sequence[Mapping[str, Any]]
Answering = Callable[[Requests], dict[str, Any]]


class VirtualWallet:
    """What the browser of a visitor finds when a page asks it for a credential."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._devtools: CDPSession = visitor.context.new_cdp_session(visitor.page)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What the page has for the browser."""
        text = self._visitor.page.locator("#digital").get_attribute("data-requests")
        return list(json.loads(text or "[]"))

    def answers(self, answering: Answering, *protocols: str) -> None:
        """From now on it shows what a wallet makes of the page's requests (in these protocols alone)."""
        asked = [one for one in self.requests if not protocols or one["protocol"] in protocols]
        self.says(**answering(asked))

    def says(self, protocol: str, data: Mapping[str, Any]) -> None:
        """From now on this is what a wallet answers."""
        self._behave(action="respond", protocol=protocol, response=dict(data))

    def declines(self) -> None:
        """From now on the holder closes the browser's window."""
        self._behave(action="decline")

    def waits(self) -> None:
        """From now on the browser's window stays open."""
        self._behave(action="wait")

    def _behave(self, **parameters: Any) -> None:
        try:
            self._devtools.send("DigitalCredentials.setVirtualWalletBehavior", parameters)
        except Error as error:
            if "wasn't found" not in str(error):
                raise
            skip_or_fail("browser", "this Chromium has no virtual wallet")


def demonstration(demo: Demo, persona: str = "hong", fault: str = "") -> Answering:
    """The demonstration's wallet with a persona's certificate, asked by a page of the provider."""
    prepared = seeds.load(demo.directory)
    wallet = Wallet(Authority(prepared), PERSONAS, prepared.access_ca)

    def answer(requests: Requests) -> dict[str, Any]:
        try:
            return dc_api.answer(
                wallet, requests, origin=prepared.issuer, persona=person(persona), fault=Fault(fault)
            )
        finally:
            wallet.close()

    return answer
