"""UI, IS, RV, LO: what a token opens, what is said of it, how it is given back, and how a holder leaves."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.harmless import EVIL, Named
from tests.rig import Portal, Rig
from tests.security.answers import Answer, Challenge, Json, NotAllowed, Page, ToPortal
from tests.security.judging import Case, Court

GRANTS = ["authorization_code", "refresh_token"]
INACTIVE = ("token.introspected", "inactive")
REFUSED = Json(401, "invalid_client")
BAD = Json(400, "invalid_request")
BAD_LOGOUT = ("request.refused", "bad_logout")
MEGABYTE = 1 << 20
STRANGER = ECKey.generate_key("P-256")

Tokens = tuple[Portal, dict[str, Any]]


def asking(court: Court) -> Portal:
    return court.once("asking", lambda: court.rig.variant("gov24", "asking", grant_types=GRANTS))


def bought(court: Court) -> Tokens:
    """Tokens of their own."""
    return asking(court), asking(court).sign_in("invented-20")


def kept(court: Court) -> Tokens:
    """Tokens that no case changes anything of."""
    return court.once("kept", lambda: bought(court))


def still_open(_: Court, given: Tokens) -> None:
    portal, tokens = given
    assert portal.userinfo(tokens["access_token"]).status_code == 200


@dataclass(frozen=True)
class Inactive:
    """Nothing but that it is not active (RFC 7662, section 2.2)."""

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == 200, response.text
        assert response.json() == {"active": False}


@dataclass(frozen=True)
class Empty:
    """200 with nothing in it (RFC 7009, section 2.2)."""

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert (response.status_code, response.content) == (200, b"")


def userinfo(
    row: str, name: str, answer: Answer, ask: Callable[[str], dict[str, Any]], *events: Named, **more: Any
) -> Case:
    """UserInfo asked by `httpx2`'s words for a request, made of an access token."""

    def send(court: Court, given: Tokens) -> httpx2.Response:
        words = {"method": "GET", "query": "", **ask(given[1]["access_token"])}
        url = f"{court.rig.issuer}/userinfo{words.pop('query')}"
        return court.rig.http.request(words.pop("method"), url, **words)

    return Case(row, name, send, answer, events, **{"prepare": kept, **more})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def wrong_token(name: str, alter: Callable[[str], str]) -> Case:
    """What never was a token is nobody's: no event is of it (decision of the audit)."""
    return userinfo(
        "UI-03", name, Challenge(401, "invalid_token"), lambda token: {"headers": bearer(alter(token))}
    )


def without_openid(court: Court) -> Tokens:
    portal, tokens = bought(court)
    return portal, portal.refresh(tokens["refresh_token"], scope="profile").json()


def given_back(court: Court) -> Tokens:
    portal, tokens = bought(court)
    portal.post("/revoke", token=tokens["access_token"])
    return portal, tokens


def at(row: str, name: str, path: str, answer: Answer, *events: Named, **form: Any) -> Case:
    """A form of the asking portal; `form` may be made of its tokens."""

    def send(_: Court, given: Tokens) -> httpx2.Response:
        portal, tokens = given
        made = {name: value(tokens) if callable(value) else value for name, value in form.items()}
        return portal.post(path, **made)

    return Case(row, name, send, answer, events, prepare=kept)


def by_nobody(row: str, path: str, name: str, reason: str, **form: Any) -> Case:
    """A request about a good token by whoever does not prove himself."""

    def send(court: Court, given: Tokens) -> httpx2.Response:
        return court.rig.http.post(
            f"{court.rig.issuer}{path}", data={"token": given[1]["access_token"], **form}
        )

    return Case(row, name, send, REFUSED, [("client.refused", reason)], prepare=kept, after=still_open)


def by_another(row: str, path: str, kind: str, answer: Answer, event: Named) -> Case:
    """A request about a token of somebody else's."""

    def send(court: Court, given: Tokens) -> httpx2.Response:
        return court.portal("apostille").post(path, token=given[1][kind])

    return Case(row, f"{kind} of another", send, answer, [event], prepare=kept, after=still_open)


def by_method(row: str, path: str, name: str) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return court.rig.http.request(name, f"{court.rig.issuer}{path}", params={"token": "x" * 43})

    return Case(row, name, send, NotAllowed(frozenset({"POST"})))


def expired(court: Court, given: Tokens) -> httpx2.Response:
    with court.later(301):
        return given[0].post("/introspect", token=given[1]["access_token"])


# -- leaving -----------------------------------------------------------------------------------------------------

Leaving = tuple[Portal, str]


def signed_in(court: Court) -> Leaving:
    """A browser that is signed in, which none of the cases may change."""
    return court.once("signed-in", lambda: _signed_in(court))


def _signed_in(court: Court) -> Leaving:
    portal = court.rig.portal()
    return portal, portal.sign_in("invented-21")["id_token"]


def stays_signed_in(_: Court, given: Leaving) -> None:
    assert "code=" in given[0].begin(prompt="none").location


def home(portal: Portal) -> str:
    return str(portal.registration["post_logout_redirect_uris"][0])


def leaves(
    row: str,
    name: str,
    answer: Answer,
    *events: Named,
    make: Callable[[Portal, str], dict[str, Any]],
    query: str = "",
) -> Case:
    def send(court: Court, given: Leaving) -> httpx2.Response:
        asked = httpx2.QueryParams(make(*given))
        return given[0].browser.get(f"{court.rig.issuer}/logout?{asked}{query}")

    return Case(row, name, send, answer, events, prepare=signed_in, after=stays_signed_in)


def wrong_hint(name: str, alter: Callable[[str], str]) -> Case:
    return leaves(
        "LO-01", name, Page(400), BAD_LOGOUT,
        make=lambda portal, hint: {"id_token_hint": alter(hint), "post_logout_redirect_uri": home(portal)},
    )  # fmt: skip


def wrong_home(name: str, alter: Callable[[str], str]) -> Case:
    return leaves(
        "LO-01", f"to {name}", Page(400), BAD_LOGOUT,
        make=lambda portal, hint: {"id_token_hint": hint, "post_logout_redirect_uri": alter(home(portal))},
    )  # fmt: skip


def unsigned(hint: str) -> str:
    return f"eyJhbGciOiJub25lIn0.{hint.split('.')[1]}."


def forged(hint: str) -> str:
    head, body, _ = hint.split(".")
    kid = json.loads(base64.urlsafe_b64decode(head + "=="))["kid"]
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return jwt.encode({"alg": "ES256", "kid": kid}, claims, STRANGER)


def left(court: Court) -> Leaving:
    """A browser that signed out, with the cookie it had."""
    portal, hint = _signed_in(court)
    old = portal.browser.cookies["sinwon-session"]
    portal.browser.get(f"{court.rig.issuer}/logout", params={"id_token_hint": hint})
    portal.browser.cookies.set("sinwon-session", old, domain="127.0.0.1")
    return portal, hint


@dataclass(frozen=True)
class SaysSignedOut:
    """The page of a holder who is signed out; the same however often."""

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == 200
        assert "Location" not in response.headers


def confirmed_before(court: Court) -> tuple[Portal, str]:
    """A browser whose confirmation was sent once."""
    portal, _ = _signed_in(court)
    asked = portal.browser.get(f"{court.rig.issuer}/logout")
    csrf = re.search(r'name="csrf" value="([^"]+)"', asked.text)
    assert csrf is not None
    portal.browser.post(f"{court.rig.issuer}/logout", data={"csrf": csrf[1]})
    return portal, csrf[1]


def confirms(court: Court, given: tuple[Portal, str]) -> httpx2.Response:
    return given[0].browser.post(f"{court.rig.issuer}/logout", data={"csrf": given[1]})


def confirms_with(name: str, csrf: str) -> Case:
    def send(court: Court, given: Leaving) -> httpx2.Response:
        return given[0].browser.post(f"{court.rig.issuer}/logout", data={"csrf": csrf})

    event = ("request.refused", "form_expired")
    return Case(
        "LO-07", name, send, Page(403, "SINWON-L008"), [event], prepare=signed_in, after=stays_signed_in
    )


NO_TOKENS = {
    "unknown": "x" * 43, "16 KB": "x" * 16_000, "Hangul and NUL": "토큰\0" * 5, "SQL": "' OR 1=1 --", "markup": EVIL,
}  # fmt: skip

CASES = [
    userinfo("UI-01", "none", Challenge(401, None), lambda _: {}),
    userinfo("UI-01", "none by POST", Challenge(401, None), lambda _: {"method": "POST"}),
    *(
        userinfo("UI-01", scheme, Challenge(401, None), lambda _, said=scheme: {"headers": {"Authorization": said}})
        for scheme in ("Bearer", "Basic YTpi", "Bearer,x")
    ),
    userinfo(
        "UI-01", "JSON body", Challenge(401, None), lambda token: {"method": "POST", "json": {"access_token": token}}
    ),
    wrong_token("random", lambda _: "x" * 43),
    wrong_token("cut", lambda token: token[:-1]),
    wrong_token("other case", str.swapcase),
    wrong_token("padded", lambda token: token + "="),
    wrong_token("8 KB", lambda _: "x" * 8000),
    wrong_token("markup", lambda _: EVIL.replace('"', "")),
    userinfo(
        "UI-03", "without openid", Challenge(403, "insufficient_scope"), lambda token: {"headers": bearer(token)},
        ("userinfo.refused", "scope"), again=[], prepare=without_openid,
    ),
    userinfo(
        "UI-03", "given back", Challenge(401, "invalid_token"), lambda token: {"headers": bearer(token)},
        ("userinfo.refused", "ended"), again=[], prepare=given_back,
    ),
    *(
        userinfo("UI-04", name, BAD, ask, after=still_open)
        for name, ask in {
            "query": lambda token: {"query": f"?access_token={token}"},
            "query and header": lambda token: {"query": f"?access_token={token}", "headers": bearer(token)},
            "header and body": lambda token: {
                "method": "POST", "headers": bearer(token), "data": {"access_token": token},
            },
            "body twice": lambda token: {"method": "POST", "data": {"access_token": [token, "x" * 43]}},
        }.items()
    ),
    by_nobody("IS-01", "/introspect", "nobody", "no_credentials"),
    by_nobody("IS-01", "/introspect", "a name alone", "no_credentials", client_id="asking"),
    by_nobody(
        "IS-01", "/introspect", "wrong way", "method_not_registered", client_id="asking", client_secret="x" * 20
    ),
    *(
        at("IS-02", name, "/introspect", Inactive(), INACTIVE, token=value)
        for name, value in {
            **NO_TOKENS, "short": "x", "ID token": lambda tokens: tokens["id_token"],
        }.items()
    ),
    Case("IS-02", "expired", expired, Inactive(), [INACTIVE], prepare=bought),
    Case(
        "IS-02", "revoked", lambda _, given: given[0].post("/introspect", token=given[1]["access_token"]), Inactive(),
        [INACTIVE], prepare=given_back,
    ),
    by_another("IS-03", "/introspect", "access_token", Inactive(), INACTIVE),
    by_another("IS-03", "/introspect", "refresh_token", Inactive(), INACTIVE),
    at("IS-04", "missing", "/introspect", BAD, ("request.refused", "invalid_request"), token_type_hint="x"),
    at("IS-04", "empty", "/introspect", BAD, ("request.refused", "invalid_request"), token=""),
    at("IS-04", "twice", "/introspect", BAD, ("request.refused", "invalid_request"), token=["a" * 43, "b" * 43]),
    at("IS-04", "1 MB", "/introspect", Json(413, "invalid_request"), token="x" * MEGABYTE),
    at("IS-04", "in the query", "/introspect?token=x", BAD, ("request.refused", "invalid_request"), token="y" * 43),
    by_method("IS-04", "/introspect", "GET"),
    *(
        at("RV-01", name, "/revoke", Empty(), token=value)
        for name, value in NO_TOKENS.items()
    ),
    by_another("RV-02", "/revoke", "access_token", BAD, ("request.refused", "invalid_request")),
    by_another("RV-02", "/revoke", "refresh_token", BAD, ("request.refused", "invalid_request")),
    by_nobody("RV-02", "/revoke", "nobody", "no_credentials"),
    at("RV-05", "missing", "/revoke", BAD, ("request.refused", "invalid_request"), token_type_hint="access_token"),
    at("RV-05", "unknown kind of an unknown token", "/revoke", Empty(), token="x" * 43, token_type_hint="saml2"),
    by_method("RV-05", "/revoke", "GET"),
    wrong_hint("none", unsigned),
    wrong_hint("no signature", lambda hint: hint.rpartition(".")[0] + "."),
    wrong_hint("by a stranger under our kid", forged),
    wrong_hint("garbage", lambda _: "garbage!"),
    wrong_hint("dots", lambda _: "." * 4000),
    wrong_hint("markup", lambda _: EVIL),
    wrong_home("another host", lambda _: "https://evil.example/"),
    wrong_home("a path below", lambda uri: uri + "x"),
    wrong_home("a user", lambda uri: uri.replace("://", "://x@")),
    wrong_home("script", lambda _: "javascript:alert(1)"),
    leaves(
        "LO-01", "client_id of another", Page(400), BAD_LOGOUT,
        make=lambda _, hint: {"id_token_hint": hint, "client_id": "g4k"},
    ),
    leaves(
        "LO-01", "state twice", Page(400), BAD_LOGOUT, query="&state=b",
        make=lambda portal, hint: {"id_token_hint": hint, "post_logout_redirect_uri": home(portal), "state": "a"},
    ),
    leaves("LO-06", "URI alone", Page(200), make=lambda portal, _: {"post_logout_redirect_uri": home(portal)}),
    leaves(
        "LO-06", "URI and client", Page(200),
        make=lambda portal, _: {"post_logout_redirect_uri": home(portal), "client_id": "gov24", "state": "x"},
    ),
    leaves(
        "LO-06", "URI of nobody's", Page(200), make=lambda *_: {"post_logout_redirect_uri": "https://evil.example/"}
    ),
    leaves("LO-07", "nothing", Page(200), make=lambda *_: {}),
    leaves("LO-07", "state alone", Page(200), make=lambda *_: {"state": EVIL}),
    confirms_with("confirmed by another page", "x" * 43),
    confirms_with("confirmed by nothing", ""),
    Case("LO-09", "sent again", confirms, SaysSignedOut(), prepare=confirmed_before),
    Case(
        "LO-11", "old cookie", lambda _, given: given[0].begin(prompt="none").response, ToPortal("login_required"),
        [("login.refused", "login_required")], prepare=left,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
