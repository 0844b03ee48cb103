"""AZ: the authorization endpoint. Who may be redirected to, and what parameters it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from idp.demo import check
from tests.harmless import EVIL, Named
from tests.rig import Portal, Rig
from tests.security.answers import Answer, Asked, NotAllowed, Page, ToPortal
from tests.security.judging import Case, Court

UNKNOWN = ("request.refused", "unknown_portal")
BAD = ("request.refused", "bad_request")
STARTED = ("login.started", None)
REFUSED = ("login.refused", "invalid_request")
UNREGISTERED = Page(400, "SINWON-R001")
EVIL_URI = "https://evil.example/cb"
ANY = frozenset({"GET", "POST"})
MEGABYTE = 1 << 20


def asks(row: str, name: str, answer: Answer, *events: Named, of: str = "gov24", **changes: Any) -> Case:
    """A good request with some parameters changed; by a form, which takes more than a request line does."""
    login = STARTED in events

    def send(court: Court, _: Any) -> httpx2.Response:
        return court.portal(of).begin(method="POST", **changes).response

    return Case(row, name, send, answer, events, login=login)


def refused(row: str, name: str, error: str, /, *, state: str | None = "", **changes: Any) -> Case:
    """A request whose portal is told so."""
    return asks(row, name, ToPortal(error, state), ("login.refused", error), **changes)


def goes_on(row: str, name: str, **changes: Any) -> Case:
    """A request that is good as it is."""
    return asks(row, name, Asked(), STARTED, **changes)


def without_client(row: str, name: str, **named: str) -> Case:
    return asks(row, name, Page(400, "SINWON-R002"), UNKNOWN, client_id=None, **named)


def to_elsewhere(row: str, name: str, **changes: Any) -> Case:
    """Whatever else is wrong, a redirect URI that is not the portal's gets a page."""
    return asks(row, name, UNREGISTERED, BAD, **{"redirect_uri": EVIL_URI, **changes})


def altered(row: str, name: str, template: str) -> Case:
    """gov24's own redirect URI, altered: `uri`, `origin` and `port` are what it is made of."""

    def send(court: Court, _: Any) -> httpx2.Response:
        portal = court.portal()
        origin = portal.redirect_uri[: portal.redirect_uri.index("/gov24")]
        made = template.format(uri=portal.redirect_uri, origin=origin, port=origin.rpartition(":")[2])
        return portal.begin(redirect_uri=made).response

    return Case(row, name, send, UNREGISTERED, [BAD])


def repeated(row: str, name: str, query: str, answer: Answer, *events: Named) -> Case:
    """A good request with something added to its query."""
    return Case(row, name, lambda court, _: court.portal().begin(query=query).response, answer, events)


def twice(row: str, name: str, given: str, *, state: str | None = "") -> Case:
    return repeated(row, name, given, ToPortal("invalid_request", state), REFUSED)


def in_query_and_body(row: str, name: str, query: str, answer: Answer, *events: Named) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return court.portal().begin(method="POST", query=query).response

    return Case(row, name, send, answer, events)


def switched_off(court: Court) -> Portal:
    portal = court.rig.variant("gov24", "switched-off")
    court.rig.switch_portal("switched-off", enabled=False)
    return portal


def with_two_addresses(court: Court) -> Portal:
    uri = court.portal().redirect_uri
    return court.rig.variant("gov24", "two-addresses", redirect_uris=[uri, f"{uri}/2"])


def native(host: str) -> Any:
    """An app on the holder's own machine, where only the port may be another (RFC 8252, section 7.3)."""

    def prepare(court: Court) -> Portal:
        name = f"native-{'name' if host == 'localhost' else 'address'}"
        return court.rig.variant("gov24", name, redirect_uris=[f"http://{host}/cb"])

    return prepare


def from_native(
    row: str,
    name: str,
    uri: str,
    answer: Answer = UNREGISTERED,
    event: Named = BAD,
    *,
    host: str = "127.0.0.1",
) -> Case:
    def send(_: Court, portal: Portal) -> httpx2.Response:
        return portal.begin(redirect_uri=uri).response

    return Case(row, name, send, answer, [event], prepare=native(host), login=event == STARTED)


def hint_of_another(court: Court) -> tuple[Portal, str]:
    """A browser in which one person is signed in, and the ID token of another."""
    other = court.rig.portal().sign_in("invented-2")["id_token"]
    portal = court.rig.portal()
    portal.sign_in("invented-1")
    return portal, other


def silently(row: str, name: str, parameter: str) -> Case:
    """`prompt=none` for somebody else than who is signed in here."""

    def send(_: Court, given: tuple[Portal, str]) -> httpx2.Response:
        portal, hint = given
        sub = portal.id_token_claims(hint)["sub"]
        asked = {
            "id_token_hint": {"id_token_hint": hint},
            "claims": {"claims": f'{{"id_token":{{"sub":{{"value":"{sub}"}}}}}}'},
        }[parameter]
        return portal.begin(prompt="none", **asked).response

    return Case(
        row,
        name,
        send,
        ToPortal("login_required"),
        [("login.refused", "login_required")],
        prepare=hint_of_another,
    )


def method(name: str, answer: Answer) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        portal = court.portal()
        parameters, _verifier = portal.parameters()
        return portal.browser.request(name, f"{court.rig.issuer}/authorize", params=parameters)

    return Case("AZ-48", name, send, answer)


def body(name: str, content_type: str, answer: Answer) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        headers = {"Content-Type": content_type} if content_type else {}
        return court.portal().browser.post(f"{court.rig.issuer}/authorize", content=b"{}", headers=headers)

    return Case("AZ-48", name, send, answer, [BAD])


def true_acr(court: Court, portal: Portal) -> None:
    """Whoever wishes for what nobody knows is told what it was."""
    tokens = portal.sign_in("invented-9", acr_values="urn:unknown")
    acr = portal.id_token_claims(tokens["id_token"])["acr"]
    assert acr in {f"{court.rig.issuer}/acr/{level}" for level in ("general", "secure")}


class LeadsNowhereElse:
    """A page all of whose links and forms stay with us, as a browser reads them (a backslash is a slash)."""

    def __init__(self, status: int) -> None:
        self.status = status

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == self.status
        for address in _addresses(check.Page(response)):
            cleaned = "".join(c for c in address.replace("\\", "/") if c not in "\t\r\n").strip()
            there = urlsplit(urljoin(rig.issuer, cleaned))
            assert f"{there.scheme}://{there.netloc}" == rig.issuer, address


def _addresses(page: check.Page) -> Iterator[str]:
    for element in page.root.below():
        for attribute in ("href", "action"):
            if element.tag != "link" and attribute in element.attributes:
                yield element.attributes[attribute]


def stays_here(name: str, path: str) -> Case:
    return Case("AZ-30", name, lambda court, _: court.get(path), LeadsNowhereElse(404))


CASES = [
    *(without_client("AZ-01", name) for name in ["missing"]),
    *(
        asks("AZ-01", name, Page(400, "SINWON-R002"), UNKNOWN, client_id=value)
        for name, value in {
            "empty": "", "unknown": "nobody", "other case": "GOV24", "space": "gov24 ", "NUL": "gov24\0",
            "full width": "ｇov24", "long": "g" * 300, "markup": EVIL,
        }.items()
    ),
    Case(
        "AZ-03", "switched off", lambda _, portal: portal.begin().response, Page(400, "SINWON-R002"), [UNKNOWN],
        prepare=switched_off,
    ),
    to_elsewhere("AZ-04", "not registered"),
    to_elsewhere("AZ-05", "missing of one", redirect_uri=None),
    to_elsewhere("AZ-05", "empty of one", redirect_uri=""),
    *(
        Case(
            "AZ-05", f"{name} of two", lambda _, portal, given=given: portal.begin(redirect_uri=given).response,
            UNREGISTERED, [BAD], prepare=with_two_addresses,
        )
        for name, given in {"missing": None, "empty": ""}.items()
    ),
    *(
        to_elsewhere("AZ-06", kind, response_type=kind)
        for kind in ("token", "none", "vp_token", "code token", "nonsense", EVIL)
    ),
    to_elsewhere("AZ-07", "id_token", response_type="id_token", scope="profile"),
    to_elsewhere("AZ-07", "hybrid", response_type="code id_token", scope="profile"),
    to_elsewhere("AZ-07", "no scope", response_type="id_token token", scope=None),
    refused("AZ-09", "missing", "invalid_request", response_type=None),
    *(
        refused("AZ-10", kind, "unsupported_response_type", response_type=kind)
        for kind in ("token", "id_token", "code token", "code id_token", "id_token token", "none", "vp_token", "CODE")
    ),
    altered("AZ-11", "path appended", "{uri}/x"),
    altered("AZ-11", "shortened", "{origin}/"),
    altered("AZ-11", "sibling", "{uri}2"),
    altered("AZ-11", "query added", "{uri}?a=b"),
    altered("AZ-11", "one letter less", "{origin}/gov24/callbac"),
    altered("AZ-12", "dot dot", "{uri}/../x"),
    altered("AZ-12", "dot dot back", "{uri}/../callback"),
    altered("AZ-12", "dot dot semicolon", "{uri}/..;/x"),
    altered("AZ-12", "encoded dots", "{uri}/%2e%2e/callback"),
    altered("AZ-12", "encoded letter", "{origin}/gov24/callb%61ck"),
    altered("AZ-12", "two slashes", "{uri}//"),
    altered("AZ-12", "slash", "{uri}/"),
    altered("AZ-14", "empty fragment", "{uri}#"),
    altered("AZ-14", "fragment", "{uri}#x"),
    altered("AZ-15", "user is our host", "http://127.0.0.1:{port}@evil.example/gov24/callback"),
    altered("AZ-15", "user is our host with another port", "http://127.0.0.1:443@evil.example/gov24/callback"),
    altered("AZ-15", "several", "http://a@b@127.0.0.1:{port}/gov24/callback"),
    altered("AZ-15", "user before us", "http://rp@127.0.0.1:{port}/gov24/callback"),
    altered("AZ-16", "suffix", "http://127.0.0.1.evil.example:{port}/gov24/callback"),
    altered("AZ-16", "prefix", "http://evil127.0.0.1:{port}/gov24/callback"),
    altered("AZ-18", "scheme in capitals", "HTTP://127.0.0.1:{port}/gov24/callback"),
    altered("AZ-18", "trailing dot", "http://127.0.0.1.:{port}/gov24/callback"),
    altered("AZ-18", "path in capitals", "{origin}/GOV24/callback"),
    altered("AZ-24", "https", "https://127.0.0.1:{port}/gov24/callback"),
    *(
        to_elsewhere("AZ-24", name, redirect_uri=uri)
        for name, uri in {
            "javascript": "javascript:alert(1)", "in mixed case": "JaVaScRiPt:alert(1)//127.0.0.1",
            "data": "data:text/html,<script>alert(1)</script>", "vbscript": "vbscript:x",
            "file": "file:///etc/passwd", "no scheme": "//evil.example/cb",
        }.items()
    ),
    from_native("AZ-25", "another port", "http://127.0.0.1:51004/cb", Asked(), STARTED),
    *(
        from_native("AZ-25", name, uri)
        for name, uri in {
            "another path": "http://127.0.0.1:51004/cb/x", "name ends elsewhere": "http://localhost.evil:80/cb",
            "address ends elsewhere": "http://127.0.0.1.evil.example/cb", "the name": "http://localhost:51004/cb",
            "another scheme": "https://127.0.0.1:51004/cb", "no number": "http://127.0.0.1:evil/cb",
            "port too large": "http://127.0.0.1:99999/cb", "two ports": "http://127.0.0.1:1:2/cb",
        }.items()
    ),
    *(
        from_native("AZ-26", f"{host} as user", f"http://{host}:80@evil.example/cb", host=host)
        for host in ("localhost", "127.0.0.1")
    ),
    to_elsewhere("AZ-28", "8 KB", redirect_uri="https://evil.example/" + "a" * 8192),
    to_elsewhere("AZ-28", "48 KB", redirect_uri="https://evil.example/" + "a" * 48_000),
    altered("AZ-28", "8 KB after ours", "{uri}?" + "a" * 8192),
    asks("AZ-28", "64 KB", Page(413, "SINWON-S006"), redirect_uri="https://evil.example/" + "a" * 65_536),
    asks("AZ-28", "1 MB", Page(413, "SINWON-S006"), redirect_uri="https://evil.example/" + "a" * MEGABYTE),
    Case(
        "AZ-29", "another client's",
        lambda court, _: court.portal().begin(redirect_uri=court.portal("g4k").redirect_uri).response,
        UNREGISTERED, [BAD],
    ),
    stays_here("encoded slashes", "/%2fevil.example"),
    stays_here("encoded backslash", "/%5cevil.example"),
    stays_here("two backslashes", "/%5c%5cevil.example"),
    stays_here("tab", "/%09/evil.example"),
    stays_here("asked for", "/nowhere?next=//evil.example&return_to=https:evil.example&continue=/%5cevil.example"),
    repeated("AZ-40", "the same", "&client_id=gov24", UNREGISTERED, BAD),
    repeated("AZ-40", "another", "&client_id=g4k", UNREGISTERED, BAD),
    repeated("AZ-40", "empty", "&client_id=", UNREGISTERED, BAD),
    repeated("AZ-40", "redirect_uri", f"&redirect_uri={EVIL_URI}", UNREGISTERED, BAD),
    *(
        twice("AZ-42", name, given)
        for name, given in {
            "scope": "&scope=openid", "nonce": "&nonce=a", "response_type": "&response_type=code",
            "challenge": "&code_challenge=a", "prompt": "&prompt=login&prompt=login", "unknown": "&extra=1&extra=2",
        }.items()
    ),
    twice("AZ-42", "state", "&state=other", state=None),
    *(
        in_query_and_body("AZ-43", name, f"?{name}=again", ToPortal("invalid_request"), REFUSED)
        for name in ("nonce", "scope", "code_challenge")
    ),
    in_query_and_body("AZ-43", "client_id", "?client_id=gov24", UNREGISTERED, BAD),
    in_query_and_body("AZ-43", "redirect_uri", f"?redirect_uri={EVIL_URI}", UNREGISTERED, BAD),
    without_client("AZ-44", "brackets", **{"client_id[]": "gov24"}),
    without_client("AZ-44", "capitals", **{"Client_ID": "gov24"}),
    without_client("AZ-44", "NUL", **{"client_id\0": "gov24"}),
    goes_on("AZ-45", "unknown parameter", extra="foobar"),
    goes_on("AZ-46", "empty ones", prompt="", nonce="", max_age="", claims="", acr_values="", request=""),
    goes_on("AZ-47", "by a form"),
    *(method(name, NotAllowed(ANY)) for name in ("HEAD", "PUT", "DELETE", "PATCH", "TRACE")),
    body("JSON", "application/json", UNREGISTERED),
    body("multipart", "multipart/form-data; boundary=x", UNREGISTERED),
    body("text", "text/plain", UNREGISTERED),
    body("no type", "", UNREGISTERED),
    goes_on("AZ-49", "order and repetition", scope="kr_overseas  profile openid openid "),
    refused("AZ-51", "not registered", "invalid_scope", scope="openid kr_passport"),
    refused("AZ-51", "openid missing", "invalid_scope", scope="profile"),
    *(
        refused("AZ-52", name, "invalid_scope", scope=f"openid {token}")
        for name, token in {
            "quotes": '"x"', "backslash": "a\\b", "NUL": "a\0b", "Hangul": "이름", "tab": "a\tb", "markup": EVIL,
        }.items()
    ),
    refused("AZ-53", "10,000 tokens", "invalid_scope", scope="openid " + "a " * 10_000),
    asks("AZ-53", "200 KB", Page(413, "SINWON-S006"), scope="openid " + "a" * 200_000),
    asks("AZ-55", "8 KB", ToPortal("invalid_request", None), REFUSED, state="s" * 8192),
    goes_on("AZ-57", "64 characters", nonce="n" * 64),
    goes_on("AZ-57", "384 characters", nonce="n" * 384),
    refused("AZ-57", "10 KB", "invalid_request", nonce="n" * 10_240),
    asks("AZ-57", "100 KB", Page(413, "SINWON-S006"), nonce="n" * 102_400),
    to_elsewhere("AZ-60", "form_post", response_mode="form_post"),
    to_elsewhere("AZ-60", "form_post.jwt", response_mode="form_post.jwt"),
    to_elsewhere("AZ-60", "beside a bad state", response_mode="form_post", state="x" * 10_000),
    Case(
        "AZ-62", "no session", lambda court, _: court.rig.portal().begin(prompt="none").response,
        ToPortal("login_required"), [("login.refused", "login_required")],
    ),
    refused("AZ-69", "unknown", "invalid_request", prompt="hijack"),
    refused("AZ-69", "none with another", "invalid_request", prompt="none login"),
    refused("AZ-69", "other case", "invalid_request", prompt="None"),
    silently("AZ-74", "hint of another", "id_token_hint"),
    Case(
        "AZ-77", "unknown wish",
        lambda _, portal: portal.begin(prompt="login", acr_values="urn:unknown").response, Asked(), [STARTED],
        prepare=lambda court: court.rig.portal(), after=true_acr, login=True,
    ),
    *(
        refused("AZ-78", name, "invalid_request", claims=text)
        for name, text in {
            "no JSON": "{", "array": "[]", "string": '"x"', "null": "null", "number": "1",
            "place is a list": '{"userinfo":[]}', "member is a string": '{"userinfo":{"name":"x"}}',
            "member is true": '{"id_token":{"name":true}}', "markup": EVIL,
        }.items()
    ),
    *(
        refused("AZ-79", name, "invalid_request", claims=text)
        for name, text in {
            "deep list": "[" * 10_000 + "]" * 10_000,
            "digits": '{"userinfo":{"name":{"value":' + "9" * 30_000 + "}}}",
            "NaN": '{"userinfo":{"name":{"value":NaN}}}', "infinity": '{"userinfo":{"name":{"value":1e999}}}',
            "twice": '{"userinfo":{},"userinfo":{}}',
            "surrogate": '{"userinfo":{"name":{"value":"\\ud800"}}}',
        }.items()
    ),
    refused("AZ-79", "deep", "invalid_request", claims='{"userinfo":' + '{"a":' * 4_000 + "1" + "}" * 4_001),
    asks("AZ-79", "1 MB", Page(413, "SINWON-S006"), claims='{"userinfo":{"name":{"value":' + "9" * MEGABYTE + "}}}"),
    silently("AZ-80", "sub of another", "claims"),
    goes_on("AZ-81", "paths and nonsense", ui_locales="ko-KR en ../../etc xx-INVALID " + "x" * 10_000),
    refused("AZ-85", "markup", "unsupported_response_type", response_type=EVIL),
    refused("AZ-85", "Hangul", "unsupported_response_type", response_type="코드 \"'\\"),
    to_elsewhere("AZ-85", "markup on a page", redirect_uri=f"https://evil.example/{EVIL}"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
