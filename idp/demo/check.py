"""A scripted browser that signs in once, start to end, by plain HTTP: for `idp demo --check` (`tour`) and for load.

What it relies on in the provider's pages, and nothing else:

- sign-in page: `<a id="wallet-link" href="...">`; an element with `id="qr"` and `data-link="..."`; for the
  other device, on the same URL once the wallet has answered, `<form id="confirm">` with a field `number`;
- the phone's page after a cross-device answer: an element `id="confirmation-number"` whose text holds the
  digits;
- consent page, when there is one: `<form id="consent">`; boxes that must be ticked are `required`; the button
  that agrees has `id="agree"`, or else is the form's first;
- what leads back to the portal without signing in: `<form id="cancel">` on the sign-in page, `<a id="return">` or
  `<form id="return">` on a page of an error; an answer that posts itself: `<form id="form-post">`;
- the code of an error: an element of class `code` whose text begins with `SINWON-`;
- for the national app, on the sign-in page with `?wallet=`: the same button; `data-code` is what the QR code itself
  says, and the field `number` takes the end of the certificate's number;
- page of a device code: `<form id="decide">` with a button `decision=confirm`;
- every other step is a redirect.

Pages are read with `html.parser`; no script is run.
"""

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx2

from idp.demo.personas import PERSONAS

TIMEOUT_S = 30
MAX_REDIRECTS = 15
_LOOK_AGAIN_S = 0.25
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
# Made once: reading the machine's certificates takes longer than a sign-in.
_TLS = ssl.create_default_context()


class StepFailed(Exception):
    """A sign-in got stuck. `step` names where; `error_code` is the portal's, when it showed one."""

    def __init__(self, step: str, problem: str, error_code: str | None = None) -> None:
        super().__init__(f"{step}: {problem}" + (f" ({error_code})" if error_code else ""))
        self.step = step
        self.error_code = error_code


@dataclass(frozen=True)
class SignInResult:
    """What the portal showed in the end: claims by name as displayed, which card, and the page itself.

    `card` is the id of its type, empty where the page does not say.
    """

    claims: dict[str, str]
    card: str
    page: "Page"


@dataclass
class Element:
    """One element of a page, with its text and what lies below it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def below(self) -> Iterator["Element"]:
        """Every element inside, in document order."""
        for child in self.children:
            yield child
            yield from child.below()


class Page(HTMLParser):
    """A page that was fetched: its URL, status and elements."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.url = str(response.url)
        self.status = response.status_code
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(response.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost open element of that name, and what was left open inside it."""
        for depth in range(len(self._open) - 1, 0, -1):
            if self._open[depth].tag == tag:
                del self._open[depth:]
                return

    def handle_data(self, data: str) -> None:
        """Text belongs to every element it lies in."""
        for element in self._open:
            element.text += data

    def find(self, identifier: str) -> Element | None:
        """The element with that id."""
        found = (item for item in self.root.below() if item.attributes.get("id") == identifier)
        return next(found, None)

    @property
    def path(self) -> str:
        """Where the page is, without its query: fit for an error message."""
        return urlsplit(self.url).path


class Left(Exception):
    """The browser was sent to `url`, outside of where it was to stay; nothing was asked there."""

    def __init__(self, url: str) -> None:
        super().__init__("the browser was sent elsewhere")
        self.url = url


class Browser:
    """A cookie jar that follows redirects and submits forms. Use as a context manager.

    Where `within` names the beginnings of addresses, a redirect to any other raises Left.
    """

    def __init__(self, language: str = "ko", *, within: tuple[str, ...] = ()) -> None:
        self._within = within
        self._http = httpx2.Client(
            timeout=TIMEOUT_S,
            max_redirects=MAX_REDIRECTS,
            follow_redirects=not within,
            trust_env=False,
            verify=_TLS,
            headers={"Accept-Language": language, "Accept": "text/html"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._http.close()

    @property
    def cookies(self) -> httpx2.Cookies:
        """The cookie jar."""
        return self._http.cookies

    def open(self, url: str, step: str) -> Page:
        """Go to a URL. Raises StepFailed."""
        return self._load("GET", url, None, step)

    def follow(self, page: Page, identifier: str, step: str) -> Page:
        """Follow the link with that id."""
        link = required(page, identifier, step)
        return self.open(urljoin(page.url, link.attributes.get("href", "")), step)

    def submit(self, page: Page, identifier: str, step: str, **chosen: str) -> Page:
        """Send the form with that id, as a browser would with `chosen` filled in or pressed."""
        form = required(page, identifier, step)
        untouched = [(name, value) for name, value in form_fields(form) if name not in chosen]
        return self.send(page, form, step, [*untouched, *chosen.items()])

    def send(self, page: Page, form: Element, step: str, fields: list[tuple[str, str]]) -> Page:
        """Send a form of this page with these fields and no others."""
        data: dict[str, Any] = {}
        for name, value in fields:
            data.setdefault(name, []).append(value)
        url = urljoin(page.url, form.attributes.get("action") or page.url)
        method = form.attributes.get("method", "get").upper()
        return self._load(method, urldefrag(url).url, data, step)

    def _load(self, method: str, url: str, data: dict[str, Any] | None, step: str) -> Page:
        in_query = data if method == "GET" else None
        in_body = data if method != "GET" else None
        try:
            response = self._http.request(method, url, params=in_query, data=in_body)
            for _ in range(MAX_REDIRECTS):
                if response.next_request is None:
                    return Page(response)
                if not str(response.next_request.url).startswith(self._within):
                    raise Left(str(response.next_request.url))
                response = self._http.send(response.next_request)
        except httpx2.HTTPError as error:
            raise StepFailed(step, type(error).__name__) from error
        raise StepFailed(step, "too many redirects")


def sign_in(
    start_url: str,
    persona: str = PERSONAS[0].id,
    *,
    fault: str = "",
    language: str = "ko",
    browser: Browser | None = None,
    card: str = "",
    format: str = "",
    wallet: str = "",
) -> SignInResult:
    """Sign in at a portal on one device. `start_url` is the portal's own first page.

    `persona` is an id of `personas`, `fault` a value of the wallet's `Fault`; the wallet chooses what to show where
    `card` (the id of its type) or `format` is not named. `wallet` is the id of the wallet to choose. A browser that is
    handed in keeps its cookies and stays open; the portal must not have it signed in already. Raises StepFailed.
    """
    chosen = _Chosen(persona, fault, card, format)
    with nullcontext(browser) if browser else Browser(language) as window:
        page = window.open(start_url, "portal")
        page = window.follow(page, "sign-in", "provider's sign-in page")
        # A provider that knows the browser from a sign-in before may not send it to the wallet again.
        if not any(page.find(identifier) for identifier in ("consent", "result", "error-code")):
            page = _choose(window, page, wallet)
            page = window.follow(page, "wallet-link", "wallet")
            page = _answer(window, page, "back from the wallet", chosen)
        return _consent_and_read(window, page)


def sign_in_across_devices(
    start_url: str,
    persona: str = PERSONAS[0].id,
    *,
    fault: str = "",
    language: str = "ko",
    card: str = "",
    format: str = "",
    wallet: str = "",
) -> SignInResult:
    """Sign in with the wallet on another device: scan the QR code, type the number. Raises StepFailed."""
    chosen = _Chosen(persona, fault, card, format)
    with Browser(language) as browser, Browser(language) as phone:
        page = browser.open(start_url, "portal")
        page = browser.follow(page, "sign-in", "provider's sign-in page")
        page = _choose(browser, page, wallet)
        scanned = required(page, "qr", "QR code").attributes.get("data-link", "")
        shown = phone.open(scanned, "wallet on the other device")
        shown = _answer(phone, shown, "number on the other device", chosen)
        digits = required(shown, "confirmation-number", "number on the other device").text
        page = browser.open(page.url, "sign-in page after the answer")
        number = re.sub(r"\D", "", digits)
        page = browser.submit(page, "confirm", "confirming the number", number=number)
        return _consent_and_read(browser, page)


def sign_in_with_mobile_id(
    start_url: str, persona: str = PERSONAS[0].id, *, scan: bool, wallet: str, language: str = "ko"
) -> SignInResult:
    """Sign in with the simulated national app: scan its QR code or open its link, then type the end of the number.

    `wallet` is the id of the app among the wallets. Raises StepFailed.
    """
    with Browser(language) as browser, Browser(language) as app:
        page = browser.open(start_url, "portal")
        page = browser.follow(page, "sign-in", "provider's sign-in page")
        page = _choose(browser, page, wallet)
        link = required(page, "wallet-link", "link to the national app").attributes.get("href", "")
        code = required(page, "qr", "QR code").attributes.get("data-code", "")
        if scan:
            shown = app.open(urljoin(link, "./"), "national app")
            shown = app.submit(shown, "scan", "request in the national app", code=code)
        else:
            shown = app.open(link, "request in the national app")
        shown = app.submit(shown, "present", "answer of the national app", persona=persona, action="submit")
        number = required(shown, "registration-number", "the app's own certificate").text
        page = browser.open(urldefrag(page.url).url, "sign-in page after the answer")
        page = browser.submit(page, "confirm", "confirming the number", number=number.strip()[-4:])
        return _consent_and_read(browser, page)


def visit_counter(
    counter_url: str,
    persona: str = PERSONAS[0].id,
    *,
    fault: str = "",
    language: str = "ko",
    card: str = "",
    format: str = "",
    wallet: str = "",
) -> SignInResult:
    """Be identified at a counter: an officer's browser, and the visitor's phone. `counter_url` is the officer's page.

    The ticket stays open; what the officer then sees is the result. Raises StepFailed.
    """
    chosen = _Chosen(persona, fault, card, format)
    with Browser(language) as desk, Browser(language) as phone:
        page = desk.submit(desk.open(counter_url, "counter"), "call", "calling a visitor")
        scanned = required(page, "qr", "QR code at the counter").attributes.get("data-link", "")
        shown = phone.open(scanned, "code on the phone")
        shown = phone.submit(shown, "decide", "confirming the code", decision="confirm")
        shown = _choose(phone, shown, wallet)
        shown = phone.follow(shown, "wallet-link", "wallet")
        shown = _answer(phone, shown, "back from the wallet", chosen)
        if shown.find("consent"):
            phone.submit(shown, "consent", "consent")
        return _decided(desk, page.url)


def _decided(desk: Browser, ticket_url: str) -> SignInResult:
    """What the officer sees once the counter has asked again."""
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        page = desk.open(ticket_url, "ticket")
        if person := page.find("person"):
            return SignInResult(_claims_in(person), "", page)
        if outcome := page.find("outcome"):
            error = page.find("error-code")
            raise StepFailed("ticket", outcome.text.strip(), error.text.strip() if error else None)
        time.sleep(_LOOK_AGAIN_S)
    raise StepFailed("ticket", "the counter heard nothing in time")


def sign_out(browser: Browser, page: Page) -> Page:
    """Sign out from a portal's result page, at the provider too."""
    return browser.submit(page, "logout", "signing out")


def _choose(browser: Browser, page: Page, wallet: str) -> Page:
    """The sign-in page with this wallet chosen, as the links to the wallets on it do."""
    return browser.open(f"{page.url}?wallet={wallet}", "choosing a wallet") if wallet else page


@dataclass(frozen=True)
class _Chosen:
    """What a person chooses on the wallet's page."""

    persona: str
    fault: str
    card: str
    format: str

    def fields(self) -> dict[str, str]:
        """The fields of its form."""
        whose = f"{self.persona}:{self.card}" if self.card else self.persona
        return {"persona": whose, "fault": self.fault, "format": self.format, "action": "show"}


def _answer(browser: Browser, page: Page, step: str, chosen: _Chosen) -> Page:
    """Let the wallet show what is chosen."""
    refusal = page.find("refusal")
    if refusal:
        raise StepFailed("wallet", f"the wallet refuses the request: {refusal.text}")
    page = browser.submit(page, "present", step, **chosen.fields())
    outcome = page.find("outcome")
    if outcome:
        raise StepFailed("wallet", f"the wallet stopped at “{outcome.attributes.get('data-outcome')}”")
    return page


def _consent_and_read(browser: Browser, page: Page) -> SignInResult:
    if page.find("consent"):
        page = browser.submit(page, "consent", "consent")
    error = page.find("error-code")
    if error:
        raise StepFailed("portal's result", "the portal shows an error", error.text.strip())
    result = required(page, "result", "portal's result")
    card = page.find("card")
    return SignInResult(_claims_in(result), card.attributes.get("data-card", "") if card else "", page)


def _claims_in(element: Element) -> dict[str, str]:
    return {
        item.attributes["data-claim"]: item.text.strip()
        for item in element.below()
        if "data-claim" in item.attributes
    }


def required(page: Page, identifier: str, step: str) -> Element:
    """The element with that id. Raises StepFailed."""
    found = page.find(identifier)
    if found is None:
        raise StepFailed(step, f"{page.path} ({page.status}) has no element with id “{identifier}”")
    return found


def form_fields(form: Element, *, every_box: bool = False) -> list[tuple[str, str]]:
    """What a form sends untouched, with boxes that must be (or every one) ticked, and its main button pressed."""
    fields: list[tuple[str, str]] = []
    buttons: list[Element] = []
    for item in form.below():
        attributes = item.attributes
        kind = attributes.get("type", "submit" if item.tag == "button" else "text")
        if item.tag not in ("input", "button", "select", "textarea") or "disabled" in attributes:
            continue
        if item.tag == "button" or kind == "submit":
            buttons += [item] if kind == "submit" else []
        elif kind in ("checkbox", "radio"):
            must = kind == "checkbox" and (every_box or "required" in attributes)
            if "checked" in attributes or must:
                fields.append((attributes.get("name", ""), attributes.get("value", "on")))
        elif item.tag == "select":
            fields.append((attributes.get("name", ""), _selected(item)))
        else:
            fields.append((attributes.get("name", ""), attributes.get("value", item.text)))
    agreeing = [button for button in buttons if button.attributes.get("id") == "agree"] or buttons
    if agreeing and agreeing[0].attributes.get("name"):
        fields.append((agreeing[0].attributes["name"], agreeing[0].attributes.get("value", "")))
    return [(name, value) for name, value in fields if name]


def _selected(select: Element) -> str:
    options = [item for item in select.below() if item.tag == "option"]
    chosen = [item for item in options if "selected" in item.attributes] or options
    return chosen[0].attributes.get("value", chosen[0].text) if chosen else ""
