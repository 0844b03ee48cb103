"""A person with a browser, who signs in at the demonstration and notices everything that is not in order.

`Visitor` speaks in the person's verbs. Whatever the browser complains about (console, scripts, policies, cookies,
addresses of others) is collected in `complaints`; the fixture that made the visitor fails the test for it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import zxingcpp
from playwright.sync_api import BrowserContext, Cookie, Page, Request, Response

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
LOCALES = {"ko": "ko-KR", "en": "en-US"}
PORTALS = ("gov24", "g4k", "apostille", "efamily", "bank")
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (4\d\d|503) ")

_RED_OF_EVERY_PIXEL = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes]));
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, picture.width, picture.height);
  let red = "";
  for (let at = 0; at < data.length; at += 4) red += String.fromCharCode(data[at]);
  return [btoa(red), picture.height, picture.width];
}"""


@dataclass(frozen=True)
class Demo:
    """A running demonstration: where everything is."""

    issuer: str
    portals: str
    wallet: str
    console: str
    directory: Path

    @property
    def origins(self) -> set[str]:
        return {origin(self.issuer), origin(self.portals), origin(self.wallet)}


@dataclass
class Visitor:
    """One browser (a context of its own) and the page the person is looking at."""

    demo: Demo
    context: BrowserContext
    lang: str
    page: Page = field(init=False)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.on("page", self._watch)
        self.page = self.context.new_page()

    # -- noticing --------------------------------------------------------------------------------------------

    def _watch(self, page: Page) -> None:
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"script error: {error.message}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _heard(self, kind: str, text: str) -> None:
        # A page with the status 4xx is noted by the browser as an error; the page itself is what was meant.
        if kind in {"error", "warning"} and not _REFUSED.match(text):
            self.complaints.append(f"console {kind}: {text}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme != "data" and origin(request.url) not in self.demo.origins:
            self.complaints.append(f"asked another origin: {origin(request.url)}")

    def _answered(self, response: Response) -> None:
        # 410 is how a waiting page learns that its login has expired.
        if not response.request.is_navigation_request() and response.status >= 400 and response.status != 410:
            self.complaints.append(f"{response.status} for {urlsplit(response.url).path}")

    def cookies(self) -> list[Cookie]:
        """The provider's and the guests' cookies in this browser."""
        return self.context.cookies()

    def login_cookies(self) -> list[Cookie]:
        return [cookie for cookie in self.cookies() if cookie["name"].startswith("login-")]

    # -- where the person is ---------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).query).items()}

    @property
    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    def press(self, selector: str) -> None:
        """Click what leads to another page, and be there."""
        with self.page.expect_navigation():
            self.page.locator(selector).click()

    def speak(self, lang: str) -> None:
        """Choose a language in the menu of the page."""
        self.page.locator(".languages summary").click()
        self.press(f'.languages a[hreflang="{lang}"]')

    def at_consent(self) -> bool:
        return self.path.endswith("/consent")

    # -- at the portal ---------------------------------------------------------------------------------------

    def open_portal(self, portal: str) -> None:
        self.page.goto(f"{self.demo.portals}{portal}/")

    def begin(self, portal: str = "gov24") -> None:
        """The sign-in page for a portal."""
        self.open_portal(portal)
        self.press("#sign-in")

    def begin_with(self, portal: str, **parameters: str) -> None:
        """The sign-in page, with more parameters than the portal would send."""
        answered = self.context.request.get(
            f"{self.demo.portals}{portal}/login", headers={"Accept-Language": self.lang}, max_redirects=0
        )
        more = "".join(f"&{name}={value}" for name, value in parameters.items())
        self.page.goto(answered.headers["location"] + more)

    def claims(self) -> dict[str, str]:
        """What the portal shows as verified."""
        self.page.locator("#result").wait_for()
        cells = self.page.locator("#result td[data-claim]").all()
        return {cell.get_attribute("data-claim") or "": cell.inner_text() for cell in cells}

    def error_code(self) -> str:
        """The error that the portal was told."""
        return self.page.locator("#error-code").inner_text()

    # -- in the wallet ---------------------------------------------------------------------------------------

    def open_wallet(self) -> None:
        """The button of the sign-in page."""
        if not self.page.locator("#wallet-link").is_visible():
            self.page.locator("main summary").click()
        self.page.locator("#wallet-link").click()
        self.page.locator("#present").wait_for()

    def scan(self, link: str) -> None:
        """A QR code, with this device's wallet."""
        self.page.goto(self.demo.wallet)
        self.page.locator("#link").fill(link)
        self.page.locator("#scan button").click()
        self.page.locator("#present").wait_for()

    def choose(self, persona: str, fault: str = "") -> None:
        """Whose card to show; the first of theirs, unless a colon and the id of another one follow."""
        self.page.locator(f"input[name=persona][value='{persona}']").check()
        if fault:
            self.page.locator("#fault").select_option(fault)

    def show(self, persona: str = "hong", fault: str = "") -> None:
        """Show a persona's certificate; where the wallet leads to is loaded."""
        self.choose(persona, fault)
        self.press("#present button[value=show]")

    def show_and_stay(self, persona: str) -> None:
        """Show a certificate, but do not go where the wallet leads to."""
        ticket = self.page.locator("#present input[name=ticket]").get_attribute("value") or ""
        form = {"ticket": ticket, "persona": persona, "action": "show"}
        answered = self.context.request.post(f"{self.demo.wallet}open", form=form, max_redirects=0)
        assert answered.status == 303

    def refuse_in_wallet(self) -> None:
        self.press("#present button[value=refuse]")

    # -- in the national app ---------------------------------------------------------------------------------

    def scan_with_mobileid(self, code: str) -> None:
        """A QR code, with this device's national app."""
        self.page.goto(f"{self.demo.portals}mobileid/")
        self.page.locator("#code").fill(code)
        self.page.locator("#scan button").click()
        self.page.locator("#present").wait_for()

    def approve(self, persona: str) -> None:
        """Show a persona's certificate, and stay in the app."""
        self.page.locator(f"input[name=persona][value={persona}]").check()
        self.press("#present button[value=submit]")
        self.page.locator("#outcome[data-outcome=submitted]").wait_for()

    # -- at the provider -------------------------------------------------------------------------------------

    def choose_app(self, wallet: str) -> None:
        """The app that holds the certificate, of those that are offered."""
        self.press(f"nav.wallets a[href$='wallet={wallet}']")

    def qr_link(self) -> str:
        """What the QR code on the sign-in page says."""
        return self.page.locator("#qr").get_attribute("data-link") or ""

    def qr_code(self) -> str:
        """What a phone's camera reads there, where that is no link."""
        return self.page.locator("#qr").get_attribute("data-code") or ""

    def qr_photographed(self) -> str:
        """What a camera reads in the picture that the browser has drawn."""
        png = self.page.locator("#qr svg").screenshot()
        red, *shape = self.page.evaluate(_RED_OF_EVERY_PIXEL, b64encode(png).decode("ascii"))
        (code,) = zxingcpp.read_barcodes(memoryview(b64decode(red)).cast("B", shape=shape))
        return code.text

    def cancel(self) -> None:
        self.press("form.back button")

    def number_on_the_phone(self) -> str:
        return self.page.locator("#confirmation-number").inner_text().strip()

    def type_number(self, number: str) -> None:
        self.page.locator("#number").fill(number)
        self.press("#confirm button")

    def agree(self) -> None:
        """Agree to everything that must be agreed to."""
        for box in self.page.locator("#consent input[type=checkbox][required]").all():
            box.check()
        self.press("#agree")

    def agree_if_asked(self) -> None:
        """This person may have agreed before, in another test."""
        if self.at_consent():
            self.agree()

    def refuse_consent(self) -> None:
        self.press("#consent button[value=refuse]")

    # -- all of it -------------------------------------------------------------------------------------------

    def sign_in(self, portal: str = "gov24", persona: str = "hong") -> dict[str, str]:
        """A whole sign-in on one device; what the portal shows then."""
        self.begin(portal)
        self.open_wallet()
        self.show(persona)
        self.agree_if_asked()
        return self.claims()


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
