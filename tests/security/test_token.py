"""PK, TK, RF: what a code, a verifier and a refresh token buy, and what nothing buys."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.harmless import EVIL, Named, as_json
from tests.rig import Begun, Portal
from tests.security.answers import Answer, Json, NotAllowed, ToPortal
from tests.security.judging import Case, Court

VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
GRANTS = ["authorization_code", "refresh_token"]
OFF = ("login.refused", "invalid_request")
UNKNOWN = ("code.refused", "unknown")
NOT_OURS = ("token.refused", "other_client_or_expired")
UNSUPPORTED = "unsupported_grant_type"
NO_GRANT = Json(400, "invalid_grant")
HOUR = 3600
MEGABYTE = 1 << 20

Held = tuple[Portal, str, Begun]


def challenged(row: str, name: str, of: str = "gov24", **changes: Any) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return court.portal(of).begin(**changes).response

    return Case(row, name, send, ToPortal("invalid_request"), [OFF])


def public(court: Court) -> Portal:
    return court.once("public", lambda: _public(court))


def _public(court: Court) -> Portal:
    return court.rig.variant(
        "gov24", "in-the-open", token_endpoint_auth_method="none", client_secret_sha256=None
    )


def lax(court: Court) -> Portal:
    return court.once("lax", lambda: court.rig.variant("gov24", "lax", require_pkce=False))


def refreshing(court: Court) -> Portal:
    return court.once("refreshing", lambda: court.rig.variant("gov24", "refreshing", grant_types=GRANTS))


def a_code(of: Callable[[Court], Portal] = Court.portal, **changes: Any) -> Callable[[Court], Held]:
    """A code that nobody has used yet."""

    def prepare(court: Court) -> Held:
        portal = of(court)
        code, begun = portal.code("invented-3", **changes)
        return portal, code, begun

    return prepare


def still_good(_: Court, held: Held) -> None:
    """Its owner can use the code for all that."""
    portal, code, begun = held
    bought = portal.token(code, begun.verifier)
    assert bought.status_code == 200, bought.text


def buys_nothing(
    row: str, name: str, reason: Named, alter: Callable[[str, Begun], tuple[str, str]], **form: Any
) -> Case:
    """A code and a verifier, altered; the code is the owner's still."""

    def send(_: Court, held: Held) -> httpx2.Response:
        portal, code, begun = held
        return portal.token(*alter(code, begun), **form)

    return Case(row, name, send, NO_GRANT, [reason], prepare=a_code(), after=still_good)


def wrong_verifier(name: str, verifier: str | None) -> Case:
    def send(_: Court, held: Held) -> httpx2.Response:
        portal, code, _begun = held
        return portal.token(code, VERIFIER, code_verifier=verifier)

    def owner(_: Court, held: Held) -> None:
        assert held[0].token(held[1], VERIFIER).status_code == 200

    return Case(
        "PK-08", name, send, NO_GRANT, [("code.refused", "code_verifier")],
        prepare=a_code(code_challenge=CHALLENGE), after=owner,
    )  # fmt: skip


def without_challenge(court: Court) -> Held:
    return a_code(lax, code_challenge=None, code_challenge_method=None)(court)


def two_tabs(court: Court) -> tuple[Portal, str, Begun]:
    """The code of one tab, and what another one remembers."""
    portal, code, _ = a_code()(court)
    _, other = portal.code("invented-3")
    return portal, code, other


def form(row: str, name: str, error: str, *events: Named, **changes: Any) -> Case:
    """gov24's token request with a code that nobody knows and some of the form changed."""

    def send(court: Court, _: Any) -> httpx2.Response:
        return court.portal().token("a" * 43, "v" * 43, **changes)

    return Case(row, name, send, Json(400, error), events)


def raw(
    row: str, name: str, answer: Answer, *events: Named, method: str = "POST", query: str = "", **sent: Any
) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        headers = {"Authorization": court.portal().credentials()[1] or "", **sent.get("headers", {})}
        url = f"{court.rig.issuer}/token{query}"
        return court.rig.http.request(method, url, **{**sent, "headers": headers})

    return Case(row, name, send, answer, events)


def altered(name: str, alter: Callable[[str], str], *events: Named) -> Case:
    def send(_: Court, held: Held) -> httpx2.Response:
        portal, code, begun = held
        return portal.token(alter(code), begun.verifier)

    return Case("TK-08", name, send, NO_GRANT, events or [UNKNOWN], prepare=a_code(), after=still_good)


def expired(court: Court, held: Held) -> httpx2.Response:
    portal, code, begun = held
    with court.later(61):
        return portal.token(code, begun.verifier)


Used = tuple[Portal, str, Begun, dict[str, Any]]


def used(court: Court) -> Used:
    """A code that was redeemed, and what it bought."""
    portal, code, begun = a_code(refreshing)(court)
    return portal, code, begun, portal.token(code, begun.verifier).json()


def again(_: Court, held: Used) -> httpx2.Response:
    portal, code, begun, _tokens = held
    return portal.token(code, begun.verifier)


def all_dead(_: Court, held: Used) -> None:
    portal, *_rest, tokens = held
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def others_code(client_id: str) -> Case:
    def send(court: Court, held: Held) -> httpx2.Response:
        owner, code, begun = held
        return court.portal(client_id).token(code, begun.verifier, redirect_uri=owner.redirect_uri)

    return Case(
        "TK-13", client_id, send, NO_GRANT, [("code.wrong_client", None)], prepare=a_code(), after=still_good
    )


def other_secrets(court: Court) -> dict[str, str]:
    """Everything that is none and was given out by us, by what it is."""
    return court.once("secrets", lambda: _other_secrets(court))


def _other_secrets(court: Court) -> dict[str, str]:
    portal = refreshing(court)
    tokens = portal.sign_in("invented-4")
    waiting = court.rig.portal()
    outcome = waiting.show(waiting.link(waiting.page(waiting.begin())))
    response_code = parse_qs(urlsplit(outcome.redirect_uri or "").query)["response_code"][0]
    session = next(c.value for c in portal.browser.cookies.jar if c.name.endswith("session"))
    pushed = court.portal("apostille").push().json()["request_uri"]
    return {
        "access token": tokens["access_token"], "refresh token": tokens["refresh_token"], "request_uri": pushed,
        "response code": response_code, "session": str(session),
        "sid": portal.id_token_claims(tokens["id_token"])["sid"],
    }  # fmt: skip


def as_code(kind: str) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return court.portal().token(other_secrets(court)[kind], "v" * 43)

    return Case("TK-16", kind, send, NO_GRANT, [UNKNOWN], prepare=other_secrets)


def wrong_password(_: Court, held: Held) -> httpx2.Response:
    portal, code, begun = held
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": portal.redirect_uri}
    url = f"{portal.rig.issuer}/token"
    return portal.rig.http.post(
        url, data={**given, "code_verifier": begun.verifier}, auth=("gov24", "wrong" * 3)
    )


def then_switched_off(court: Court) -> Held:
    portal = court.rig.variant("gov24", "soon-off")
    held = a_code(lambda _: portal)(court)
    court.rig.switch_portal("soon-off", enabled=False)
    return held


def then_signed_out(court: Court) -> Held:
    portal = court.rig.portal()
    hint = portal.sign_in("invented-5")["id_token"]
    code, begun = portal.code("invented-5")
    portal.browser.get(f"{court.rig.issuer}/logout", params={"id_token_hint": hint})
    return portal, code, begun


def preflight(path: str) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        return court.rig.http.options(court.rig.issuer + path, headers=headers)

    def nobody_elses(court: Court, response: httpx2.Response) -> None:
        assert response.status_code in {200, 204, 403, 405}
        assert not [name for name in response.headers if name.lower().startswith("access-control")]

    return Case("TK-28", path.strip("/"), send, nobody_elses)  # type: ignore[arg-type]


# -- refresh tokens ----------------------------------------------------------------------------------------------

Family = tuple[Portal, dict[str, Any]]


def family(court: Court) -> Family:
    portal = refreshing(court)
    return portal, portal.sign_in("invented-6")


def lives_on(_: Court, given: Family) -> None:
    portal, tokens = given
    assert portal.refresh(tokens["refresh_token"]).status_code == 200


def another(court: Court) -> Portal:
    return court.once("another", lambda: court.rig.variant("apostille", "another", grant_types=GRANTS))


def beside_another(court: Court) -> Family:
    another(court)
    return family(court)


def others_token(court: Court, given: Family) -> httpx2.Response:
    return another(court).refresh(given[1]["refresh_token"])


def too_old(court: Court, given: Family) -> httpx2.Response:
    with court.later(8 * HOUR):
        return given[0].refresh(given[1]["refresh_token"])


def used_daily(court: Court) -> Family:
    """A family that goes on, by one refresh after another, until just before its end."""
    portal, tokens = family(court)
    for hours in range(1, 8):
        with court.later(hours * HOUR):
            tokens = portal.refresh(tokens["refresh_token"]).json()
    return portal, tokens


def signed_out(court: Court) -> Family:
    portal = court.rig.variant("gov24", "leaving", grant_types=GRANTS)
    tokens = portal.sign_in("invented-7")
    portal.browser.get(f"{court.rig.issuer}/logout", params={"id_token_hint": tokens["id_token"]})
    return portal, tokens


def rotated(court: Court) -> Family:
    """A token that was used, and whose family a second use has ended already."""
    portal, tokens = family(court)
    portal.refresh(tokens["refresh_token"])
    return portal, tokens


def refreshes(_: Court, given: Family) -> httpx2.Response:
    return given[0].refresh(given[1]["refresh_token"])


def no_refresh(name: str, alter: Callable[[dict[str, Any]], str], *events: Named) -> Case:
    def send(_: Court, given: Family) -> httpx2.Response:
        return given[0].refresh(alter(given[1]))

    return Case(
        "RF-10",
        name,
        send,
        NO_GRANT,
        events or [("token.refused", "unknown")],
        prepare=family,
        after=lives_on,
    )


def _flipped(token: str) -> str:
    return ("A" if token[0] != "A" else "B") + token[1:]


CASES = [
    challenged("PK-01", "neither", code_challenge=None, code_challenge_method=None),
    challenged("PK-01", "method alone", code_challenge=None),
    challenged("PK-01", "empty", code_challenge="", code_challenge_method=""),
    challenged("PK-02", "plain", code_challenge_method="plain"),
    challenged("PK-02", "plain with a verifier", code_challenge_method="plain", code_challenge=VERIFIER),
    challenged("PK-02", "default", code_challenge_method=None),
    *(
        challenged("PK-04", method or "empty", code_challenge_method=method)
        for method in ("s256", "SHA256", "S512", "", "S256 ")
    ),
    *(
        challenged("PK-05", name, code_challenge=value)
        for name, value in {
            "42": CHALLENGE[:-1], "44": CHALLENGE + "A", "129": "A" * 129, "padded": CHALLENGE + "=",
            "other alphabet": CHALLENGE[:-2] + "+/", "space": CHALLENGE[:-1] + " ", "newline": CHALLENGE + "\n",
            "Hangul": CHALLENGE[:-1] + "가",
        }.items()
    ),
    *(
        wrong_verifier(name, value)
        for name, value in {
            "another": "w" * 43, "the challenge": CHALLENGE, "newline": VERIFIER + "\n", "missing": None,
            "empty": "", "shorter": VERIFIER[:-1], "longer": VERIFIER + "v", "capitals": VERIFIER.upper(),
            "Hangul": "v" * 42 + "가", "16 KB": "v" * 16_000, "NULs": "\0" * 43,
        }.items()
    ),
    Case(
        "PK-10", "verifier without challenge", lambda _, held: held[0].token(held[1], VERIFIER), NO_GRANT,
        [("code.refused", "verifier_without_challenge")], prepare=without_challenge,
    ),
    Case(
        "PK-11", "public client",
        lambda court, portal: portal.begin(code_challenge=None, code_challenge_method=None).response,
        ToPortal("invalid_request"), [OFF], prepare=public,
    ),
    Case(
        "PK-11", "verifier of a public client left out",
        lambda court, held: held[0].token(held[1], VERIFIER, code_verifier=None), NO_GRANT,
        [("code.refused", "code_verifier")], prepare=a_code(public), after=still_good,
    ),
    Case(
        "PK-12", "verifier of another tab", lambda _, held: held[0].token(held[1], held[2].verifier), NO_GRANT,
        [("code.refused", "code_verifier")], prepare=two_tabs,
    ),
    form("TK-01", "missing", "invalid_request", ("token.refused", "invalid_request"), grant_type=None),
    form("TK-01", "empty", "invalid_request", ("token.refused", "invalid_request"), grant_type=""),
    *(
        form("TK-02", kind.rpartition(":")[2], UNSUPPORTED, ("token.refused", UNSUPPORTED), grant_type=kind)
        for kind in (
            "password", "implicit", "client_credentials", "AUTHORIZATION_CODE", "x\0",
            "urn:openid:params:grant-type:ciba", "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        )
    ),
    *(
        form("TK-02", f"{name} of others", "unauthorized_client", ("token.refused", "grant_type"), grant_type=kind)
        for name, kind in {
            "refresh": "refresh_token", "device": "urn:ietf:params:oauth:grant-type:device_code",
        }.items()
    ),
    *(raw("TK-04", name, NotAllowed(frozenset({"POST"})), method=name) for name in ("GET", "PUT", "DELETE")),
    *(
        raw("TK-04", name, Json(400, "invalid_request"), ("token.refused", "invalid_request"), **sent)
        for name, sent in {
            "JSON": {"json": {"grant_type": "authorization_code", "code": "x" * 43}},
            "multipart": {"files": {"grant_type": (None, "authorization_code"), "code": (None, "x" * 43)}},
            "no type": {"content": b"grant_type=authorization_code&code=x"},
            "text": {"content": b"grant_type=x", "headers": {"Content-Type": "text/plain"}},
        }.items()
    ),
    raw(
        "TK-05", "all in the query", Json(400, "invalid_request"), ("token.refused", "invalid_request"),
        query="?grant_type=authorization_code&code=x",
    ),
    raw(
        "TK-05", "something in the query", Json(400, "invalid_request"), ("token.refused", "invalid_request"),
        query="?x=1", data={"grant_type": "authorization_code", "code": "x" * 43},
    ),
    *(
        form("TK-06", name, "invalid_request", ("token.refused", "invalid_request"), **{name: values})
        for name, values in {
            "grant_type": ["authorization_code", "authorization_code"], "code": ["a" * 43, "b" * 43],
            "redirect_uri": ["a", "b"], "code_verifier": ["v" * 43, "w" * 43], "client_id": ["gov24", "gov24"],
            "extra": ["1", "2"],
        }.items()
    ),
    altered("random", lambda _: secrets.token_urlsafe(32)),
    altered("one letter", _flipped),
    altered("truncated", lambda code: code[:-1]),
    altered("longer", lambda code: code + "A"),
    altered("space", lambda code: code + " "),
    altered("newline", lambda code: code + "\n"),
    altered("other case", str.swapcase),
    altered("padded", lambda code: code + "="),
    altered("NUL", lambda code: code + "\0"),
    altered("its digest", lambda code: hashlib.sha256(code.encode()).hexdigest()),
    altered("SQL", lambda _: "' OR 1=1 --"),
    altered("markup", lambda _: EVIL),
    altered("16 KB", lambda _: "x" * 16_000, ("token.refused", "invalid_grant")),
    altered("Hangul", lambda _: "코드" * 20, ("token.refused", "invalid_grant")),
    Case(
        "TK-08", "1 MB", lambda court, _: court.portal().token("x" * MEGABYTE, VERIFIER),
        Json(413, "invalid_request"),
    ),
    Case("TK-09", "61 seconds", expired, NO_GRANT, [UNKNOWN], prepare=a_code()),
    Case("TK-10", "at once", again, NO_GRANT, [("code.replayed", "same_client")], prepare=used, after=all_dead),
    *(others_code(client_id) for client_id in ("g4k", "apostille", "efamily")),
    *(
        as_code(kind)
        for kind in ("access token", "refresh token", "request_uri", "response code", "session", "sid")
    ),
    Case(
        "TK-17", "wrong password", wrong_password, Json(401, "invalid_client"), [("client.refused", "wrong_secret")],
        prepare=a_code(), after=still_good,
    ),
    Case(
        "TK-18", "client switched off", lambda _, held: held[0].token(held[1], held[2].verifier),
        Json(401, "invalid_client"), [("client.refused", "unknown")], prepare=then_switched_off,
    ),
    Case(
        "TK-18", "signed out", lambda _, held: held[0].token(held[1], held[2].verifier), NO_GRANT,
        [("code.refused", "session_ended")], prepare=then_signed_out,
    ),
    buys_nothing(
        "TK-06", "another redirect_uri", ("code.refused", "redirect_uri"),
        lambda code, begun: (code, begun.verifier), redirect_uri="https://evil.example/cb",
    ),
    preflight("/token"),
    preflight("/userinfo"),
    preflight("/introspect"),
    Case("RF-04", "another client", others_token, NO_GRANT, [NOT_OURS], prepare=beside_another, after=lives_on),
    Case("RF-05", "eight hours", too_old, NO_GRANT, [NOT_OURS], prepare=family),
    Case("RF-05", "though used all the time", too_old, NO_GRANT, [NOT_OURS], prepare=used_daily),
    Case("RF-08", "signed out", refreshes, NO_GRANT, [("token.refused", "revoked")], prepare=signed_out),
    Case("RF-09", "used before", refreshes, NO_GRANT, [("token.replayed", "refresh_token")], prepare=rotated),
    no_refresh("truncated", lambda tokens: tokens["refresh_token"][:-1]),
    no_refresh("longer", lambda tokens: tokens["refresh_token"] + "A"),
    no_refresh("one letter", lambda tokens: _flipped(tokens["refresh_token"])),
    no_refresh("NUL", lambda tokens: tokens["refresh_token"] + "\0"),
    no_refresh("access token", lambda tokens: str(tokens["access_token"])),
    no_refresh("16 KB", lambda _: "x" * 16_000, ("token.refused", "invalid_grant")),
    no_refresh("Hangul", lambda _: "토큰" * 20, ("token.refused", "invalid_grant")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
