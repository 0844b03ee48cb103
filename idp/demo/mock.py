"""A sign-in by one HTTP call, for the tests of a caller's own portal: browser, wallet and consent, really walked.

    POST /mock/sign-in
    {"authorization_url": "http://127.0.0.1:8080/authorize?…", "persona": "hong", "fault": "revoked"}

answers with where the browser would go in the end, and does not go there:

    {"method": "GET", "location": "http://127.0.0.1:5000/callback?error=access_denied&…", "form": {},
     "consent_asked": false, "holder_read": ["SINWON-C003"]}

The holder is one who gives up: where the sign-in page stays open after a refusal, the holder goes back to the portal.
Nothing here is a shortcut: a browser of `check` asks the provider, the wallet's page is filled in, consent is given.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urldefrag, urljoin

from flask import Blueprint, Response, jsonify, request

from idp.demo import texts
from idp.demo.authority import MDOC, SD_JWT
from idp.demo.check import Browser, Element, Left, Page, StepFailed, form_fields, required
from idp.demo.personas import PERSONAS, Persona
from idp.demo.seeds import Prepared
from idp.demo.wallet import Fault, cards_of

TIMEOUT = "timeout"
"""The one fault that is no wallet's: nobody opens one, and the sign-in runs out of time."""
FAULTS = (*(fault.value for fault in Fault if fault), TIMEOUT)
CONSENTS = ("all", "required", "refuse")
MAX_WAIT_S = 120
_LOOK_AGAIN_S = 0.25
_CODE = re.compile(r"SINWON-[A-Z]\d{3}")


class WishRefused(Exception):
    """The call cannot be understood; the text says which member and why."""


class SignInStuck(Exception):
    """The walk did not lead back to the portal: `step` names where, `codes` are what the pages said."""

    def __init__(self, step: str, problem: str, codes: list[str]) -> None:
        super().__init__(problem)
        self.step = step
        self.codes = codes


@dataclass(frozen=True)
class Wish:
    """One call. Empty `card` and `format` leave the choice to the wallet; `consent` is one of CONSENTS."""

    authorization_url: str
    persona: str = PERSONAS[0].id
    fault: str = ""
    consent: str = "all"
    card: str = ""
    format: str = ""
    language: str = "ko"


@dataclass(frozen=True)
class Arrived:
    """How the browser comes back to the portal: a GET of `location`, or a POST of `form` to it (`form_post`).

    `consent_asked` is False where there was no consent page: the holder had agreed before and not to be asked again
    (`prompt=consent` asks), or it did not come so far.
    """

    location: str
    method: Literal["GET", "POST"] = "GET"
    form: dict[str, str] = field(default_factory=dict)
    consent_asked: bool = False
    holder_read: list[str] = field(default_factory=list)


class Mock:
    """Walks sign-ins at the provider that the guests were prepared for."""

    def __init__(self, prepared: Prepared, personas: Mapping[str, Persona]) -> None:
        self._personas = personas
        self._issuer = prepared.issuer
        # The portals live beside the wallet, under the same origin: only the wallet is on the way.
        self._within = (f"{prepared.issuer}/", f"{prepared.wallet_url}/")

    def read(self, body: Any) -> Wish:
        """The wish in a body. Raises WishRefused."""
        if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
            raise WishRefused("send one JSON object whose members are strings")
        unknown = sorted(set(body) - set(Wish.__dataclass_fields__))
        if unknown:
            raise WishRefused(
                f"there is no member {unknown[0]}; known are {', '.join(Wish.__dataclass_fields__)}"
            )
        if not body.get("authorization_url", "").startswith(f"{self._issuer}/"):
            raise WishRefused(f"authorization_url must begin with {self._issuer}/")
        wish = Wish(**body)
        cards = cards_of(self._personas[wish.persona]) if wish.persona in self._personas else ()
        for name, given, known in (
            ("persona", wish.persona, self._personas),
            ("fault", wish.fault, ("", *FAULTS)),
            ("consent", wish.consent, CONSENTS),
            ("card", wish.card, ("", *cards)),
            ("format", wish.format, ("", SD_JWT, MDOC)),
            ("language", wish.language, texts.LANGUAGES),
        ):
            if given not in known:
                raise WishRefused(f"{name} must be one of {', '.join(item for item in known if item)}")
        return wish

    def sign_in(self, wish: Wish) -> Arrived:
        """Walk the sign-in. Raises SignInStuck."""
        with Browser(wish.language, within=self._within) as browser:
            walk = _Walk(browser, wish)
            try:
                arrived = walk.to_the_end()
            except Left as left:
                arrived = Arrived(left.url)
            except StepFailed as failure:
                raise SignInStuck(failure.step, str(failure), walk.read) from failure
            return replace(arrived, consent_asked=walk.consent_asked, holder_read=walk.read)


class _Walk:
    """A holder in front of one browser. `read` are the codes of the problems that the pages told."""

    def __init__(self, browser: Browser, wish: Wish) -> None:
        self._browser = browser
        self._wish = wish
        self.read: list[str] = []
        self.consent_asked = False

    def to_the_end(self) -> Arrived:
        """Until the browser is sent to the portal. Raises Left where that is a redirect, and StepFailed."""
        page = self._open(self._wish.authorization_url, "provider's sign-in page")
        if page.find("wallet-link"):
            page = self._at_sign_in(page)
        if page.find("consent"):
            page = self._at_consent(page)
        return self._back(page)

    def _at_sign_in(self, page: Page) -> Page:
        """The first page after the wallet, or after its time is over."""
        if self._wish.fault == TIMEOUT:
            return self._wait(page)
        sign_in_url = urldefrag(page.url).url
        page = self._browser.follow(page, "wallet-link", "wallet")
        required(page, "present", "wallet")
        whose = f"{self._wish.persona}:{self._wish.card}" if self._wish.card else self._wish.persona
        page = self._note(
            self._browser.submit(
                page,
                "present",
                "back from the wallet",
                persona=whose,
                fault=self._wish.fault,
                format=self._wish.format,
                action="show",
            )
        )
        outcome = page.find("outcome")
        if outcome is None:
            return page
        if outcome.attributes.get("data-outcome") == "cannot":
            raise StepFailed("wallet", "this persona holds no card that answers, or not with this fault")
        return self._open(
            sign_in_url, "sign-in page after the wallet"
        )  # it told the verifier, or it said nothing

    def _at_consent(self, page: Page) -> Page:
        self.consent_asked = True
        form = required(page, "consent", "consent")
        fields = form_fields(form, every_box=self._wish.consent == "all")
        if self._wish.consent == "refuse":
            fields = [(name, "refuse" if name == "decision" else value) for name, value in fields]
        return self._note(self._browser.send(page, form, "consent", fields))

    def _back(self, page: Page) -> Arrived:
        """Back to the portal from whatever page is open now. Raises Left, StepFailed."""
        for identifier in ("form-post", "return"):
            found = page.find(identifier)
            if found is not None and found.tag == "form":
                return Arrived(found.attributes["action"], "POST", dict(form_fields(found)))
        if link := page.find("return"):
            return Arrived(urljoin(page.url, link.attributes.get("href", "")))
        if page.find("cancel"):
            return self._back(self._note(self._browser.submit(page, "cancel", "back to the portal")))
        raise StepFailed("the end", f"{page.path} ({page.status}) leads nowhere")

    def _wait(self, page: Page) -> Page:
        """The page once the sign-in is over. Raises StepFailed where that would take too long."""
        seconds = next((_seconds(item) for item in page.root.below() if "data-seconds" in item.attributes), 0)
        if seconds > MAX_WAIT_S:
            raise StepFailed(
                "waiting", f"the sign-in has {seconds} s left; start the demonstration with --sign-in-seconds"
            )
        until = time.monotonic() + seconds + MAX_WAIT_S
        url = urldefrag(page.url).url
        while page.find("cancel") and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN_S)
            page = self._browser.open(url, "waiting")
        return self._note(page)

    def _open(self, url: str, step: str) -> Page:
        return self._note(self._browser.open(url, step))

    def _note(self, page: Page) -> Page:
        """Remember the codes that this page shows."""
        self.read += [code for code in _codes(page) if code not in self.read]
        return page


def _codes(page: Page) -> Iterator[str]:
    for item in page.root.below():
        if "code" in item.attributes.get("class", "").split():
            yield from _CODE.findall(item.text)


def _seconds(element: Element) -> int:
    return int(element.attributes["data-seconds"] or 0)


def blueprint(mock: Mock) -> Blueprint:
    """`POST /mock/sign-in`. JSON only, so that no page of another origin can send it (CORS)."""
    doors = Blueprint("mock", __name__, url_prefix="/mock")

    @doors.post("/sign-in")
    def sign_in() -> tuple[Response, int]:
        if not request.is_json:
            return jsonify(error="send JSON, with Content-Type: application/json"), 415
        try:
            arrived = mock.sign_in(mock.read(request.get_json(silent=True)))
        except WishRefused as refusal:
            return jsonify(error=str(refusal)), 400
        except SignInStuck as stuck:
            return jsonify(error=str(stuck), step=stuck.step, holder_read=stuck.codes), 422
        return jsonify(asdict(arrived)), 200

    return doors
