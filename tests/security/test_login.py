"""LS: a sign-in under way belongs to the browser that began it, and a session to the one that it was given to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from idp.demo import check
from tests.harmless import EVIL, Named
from tests.rig import Begun, Portal, Rig, callback_parameters
from tests.security.answers import Answer, Page, ToPortal
from tests.security.judging import Case, Court

OTHER_BROWSER = ("request.refused", "other_browser")
STALE = ("request.refused", "form_expired")
L008 = "SINWON-L008"


@dataclass
class Waiting:
    """A sign-in on its page, and whose it is."""

    portal: Portal
    begun: Begun
    csrf: str

    @property
    def login_id(self) -> str:
        return self.begun.location.rpartition("/")[2]

    def url(self, path: str = "") -> str:
        return self.portal.absolute(self.begun.location + path)

    @property
    def resume(self) -> str:
        return f"{self.portal.rig.issuer}/authorize/resume?login={self.login_id}"


def csrf_of(page: check.Page) -> str:
    found = (item.attributes["value"] for item in page.root.below() if item.attributes.get("name") == "csrf")
    return next(found, "")


def waiting(court: Court, **changes: Any) -> Waiting:
    """On the sign-in page, before any wallet."""
    portal = court.rig.portal()
    begun = portal.begin(**changes)
    return Waiting(portal, begun, csrf_of(portal.page(begun)))


def at_consent(court: Court) -> Waiting:
    """On the consent page: the wallet has answered."""
    portal = court.rig.portal()
    begun = portal.begin(prompt="consent")
    portal.to_consent(begun, "invented-30")
    return Waiting(portal, begun, csrf_of(portal.open(f"{begun.location}/consent")))


def goes_on(_: Court, given: Waiting) -> None:
    """Its owner comes to the end of it for all that."""
    code = given.portal.callback(given.begun, "invented-30")["code"]
    assert given.portal.token(code, given.begun.verifier).status_code == 200


def is_agreed(_: Court, given: Waiting) -> None:
    """The consent page was not harmed: whoever is on it can agree."""
    fields = {"csrf": given.csrf, "decision": "agree"}
    page = given.portal.open(f"{given.begun.location}/consent")
    answered = given.portal.submit(page, "consent", **fields)
    back = given.portal.browser.get(given.portal.absolute(answered.headers["Location"]))
    assert "code" in callback_parameters(back)


def stranger(
    row: str, name: str, path: Callable[[Waiting], str], *events: Named,
    prepare: Callable[[Court], Waiting] = waiting, after: Any = goes_on,
) -> Case:  # fmt: skip
    """Another browser opens an address of this sign-in."""

    def send(court: Court, given: Waiting) -> httpx2.Response:
        with court.rig.browser() as browser:
            return browser.get(path(given))

    return Case(row, name, send, Page(403), events, prepare=prepare, after=after)


def in_a_browser_with_its_own(court: Court, given: Waiting) -> httpx2.Response:
    """The victim has a sign-in of his own under way."""
    victim: Waiting = court.made["victim"]
    return victim.portal.browser.get(given.resume)


def beside_a_victim(court: Court) -> Waiting:
    court.made["victim"] = waiting(court)
    return waiting(court)


def form(
    row: str, name: str, path: str, answer: Answer, event: Named = STALE, *,
    prepare: Callable[[Court], Waiting] = waiting, after: Any = goes_on, **fields: Any,
) -> Case:  # fmt: skip
    """A form of this sign-in, in its own browser; `csrf` "own" is the page's."""

    def send(_: Court, given: Waiting) -> httpx2.Response:
        filled = {key: given.csrf if value == "own" else value for key, value in fields.items()}
        return given.portal.browser.post(given.url(path), data=filled)

    return Case(row, name, send, answer, [event], prepare=prepare, after=after)


def foreign_token(court: Court, given: Waiting) -> httpx2.Response:
    """The token of another sign-in of the same browser."""
    other: Waiting = court.made["foreign"]
    return given.portal.browser.post(given.url("/consent"), data={"csrf": other.csrf, "decision": "agree"})


def beside_a_foreign_one(court: Court) -> Waiting:
    court.made["foreign"] = waiting(court)
    return at_consent(court)


def from_another_site(court: Court, given: Waiting) -> httpx2.Response:
    """Another browser sends the form with the right token."""
    with court.rig.browser() as browser:
        return browser.post(given.url("/consent"), data={"csrf": given.csrf, "decision": "agree"})


def late(court: Court, given: Waiting) -> httpx2.Response:
    with court.later(1200):
        return given.portal.browser.get(given.url())


@dataclass(frozen=True)
class Over:
    """A page that says it took too long, with the way back to the portal."""

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == 410, response.text[:300]
        assert "error=access_denied" in response.text


def silently_late(seconds: int) -> Callable[[Court, Portal], httpx2.Response]:
    def send(court: Court, portal: Portal) -> httpx2.Response:
        with court.later(seconds):
            return portal.begin(prompt="none").response

    return send


def signed_in(court: Court) -> Portal:
    portal = court.rig.portal()
    portal.sign_in("invented-31")
    return portal


def planted(court: Court) -> Portal:
    """A browser with a session's cookie that somebody else chose."""
    portal = court.rig.portal()
    portal.browser.cookies.set("sinwon-session", "x" * 43, domain="127.0.0.1")
    return portal


def fixed(court: Court) -> Portal:
    """A thief's session that the victim's browser had before the victim signed in: it died of that."""
    thief = signed_in(court)
    chosen = thief.browser.cookies["sinwon-session"]
    victim = court.rig.portal()
    victim.browser.cookies.set("sinwon-session", chosen, domain="127.0.0.1")
    victim.callback(victim.begin(prompt="login"), "invented-32")
    return thief


def signed_out(court: Court) -> Portal:
    portal = court.rig.portal()
    hint = portal.sign_in("invented-31")["id_token"]
    old = portal.browser.cookies["sinwon-session"]
    portal.browser.get(f"{court.rig.issuer}/logout", params={"id_token_hint": hint})
    portal.browser.cookies.set("sinwon-session", old, domain="127.0.0.1")
    return portal


def silent(row: str, name: str, prepare: Callable[[Court], Portal], after_s: int = 0) -> Case:
    """`prompt=none` in a browser whose session does not serve, or not any more after so many seconds."""
    send = silently_late(after_s)
    return Case(
        row, name, send, ToPortal("login_required"), [("login.refused", "login_required")], prepare=prepare
    )


def given_up(court: Court) -> tuple[Waiting, str]:
    """A wallet asked by an attempt that the holder gave up for a new one, in the same browser."""
    first = waiting(court)
    outcome = first.portal.show(first.portal.link(first.portal.page(first.begun)), "invented-33")
    second = first.portal.begin()
    first.portal.page(second)
    code = parse_qs(urlsplit(outcome.redirect_uri or "").query)["response_code"][0]
    return Waiting(first.portal, second, ""), code


def of_the_old_one(_: Court, given: tuple[Waiting, str]) -> httpx2.Response:
    new, code = given
    return new.portal.browser.get(f"{new.resume}&response_code={code}")


CASES = [
    silent("LS-01", "a cookie that somebody chose", planted),
    silent("LS-01", "session of before", fixed),
    *(
        stranger("LS-02", name, path, OTHER_BROWSER)
        for name, path in {
            "resume": lambda given: given.resume, "sign-in page": lambda given: given.url(),
            "consent": lambda given: given.url("/consent"),
        }.items()
    ),
    stranger("LS-02", "status", lambda given: given.url("/status")),
    stranger("LS-02", "events", lambda given: given.url("/events")),
    Case(
        "LS-02", "in a browser with one of its own", in_a_browser_with_its_own, Page(403), [OTHER_BROWSER],
        prepare=beside_a_victim, after=goes_on,
    ),
    stranger(
        "LS-03", "completion without cookie", lambda given: given.resume, OTHER_BROWSER, prepare=at_consent,
        after=is_agreed,
    ),
    stranger(
        "LS-03", "consent without cookie", lambda given: given.url("/consent"), OTHER_BROWSER, prepare=at_consent,
        after=is_agreed,
    ),
    form("LS-04", "confirm before any answer", "/confirm", Page(409, L008), csrf="own", number="0000"),
    form("LS-04", "consent before any answer", "/consent", Page(409, L008), csrf="own", decision="agree"),
    *(
        form("LS-05", f"{path} {name}", f"/{path}", Page(403, L008), csrf=csrf, decision="agree", number="0000")
        for path in ("consent", "cancel", "extend", "confirm")
        for name, csrf in {"empty": "", "other": "x" * 43, "markup": EVIL, "Hangul": "한글" * 10}.items()
    ),
    *(
        form(
            "LS-05", f"consent due {name}", "/consent", Page(403, L008), prepare=at_consent, after=is_agreed, **fields
        )
        for name, fields in {
            "without": {"decision": "agree"}, "empty": {"csrf": "", "decision": "agree"},
            "other": {"csrf": "x" * 43, "decision": "agree"}, "twice": {"csrf": ["x" * 43, "y"], "decision": "agree"},
        }.items()
    ),
    Case(
        "LS-05", "token of another sign-in", foreign_token, Page(403, L008), [STALE], prepare=beside_a_foreign_one,
        after=is_agreed,
    ),
    Case(
        "LS-05", "another browser with the right token", from_another_site, Page(403), [OTHER_BROWSER],
        prepare=at_consent, after=is_agreed,
    ),
    form(
        "LS-06", "no decision", "/consent", Page(400), ("request.refused", "form_expired"), prepare=at_consent,
        after=is_agreed, csrf="own",
    ),
    Case(
        "LS-10", "response code of the attempt before", of_the_old_one, Page(403, "SINWON-L005"),
        [("request.refused", "response_code_wrong")], prepare=given_up,
    ),
    Case("LS-12", "too late", late, Over(), prepare=waiting),
    silent("LS-13", "idle", signed_in, 900),
    silent("LS-13", "eight hours", signed_in, 8 * 3600),
    silent("LS-15", "cookie of a session that was left", signed_out),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
