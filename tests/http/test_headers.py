"""Every door, every method: the headers that each answer carries, and what nobody may change from outside."""

import json
import re
from typing import Any

import httpx2
import pytest

from tests.harmless import EVIL, decent, harmless
from tests.rig import Portal, Rig

PUBLIC = (
    "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks", "/keys.json", "/keys.ics",
    "/status.json", "/status.atom",
)  # fmt: skip
OURS = (
    "/authorize", "/authorize/resume", "/token", "/userinfo", "/logout", "/wallet/request/x", "/wallet/response/x",
    "/wallet/done/x", "/login/x", "/login/x/status", "/login/x/events", "/login/x/consent", "/login/x/cancel",
    "/login/x/confirm", "/login/x/extend", "/healthz", "/readyz", "/", "/nowhere", "/register", "/register/x",
    "/login/x/digital-credential", "/keys", "/status", "/docs/", "/docs/quickstart", "/docs/nothing",
)  # fmt: skip
METHODS = {
    "/token": {"POST"}, "/authorize": {"GET", "POST"}, "/userinfo": {"GET", "POST"}, "/logout": {"GET", "POST"},
    "/wallet/response/x": {"POST"}, "/wallet/request/x": {"GET", "POST"}, "/login/x/cancel": {"POST"},
    "/login/x/confirm": {"POST"}, "/login/x/extend": {"POST"}, "/login/x/consent": {"GET", "POST"},
    "/login/x/digital-credential": {"POST"},
    "/login/x": {"GET"}, "/authorize/resume": {"GET"}, "/jwks": {"GET"},
    "/register": {"POST"}, "/register/x": {"GET", "PUT", "DELETE"},
}  # fmt: skip


@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_every_answer_carries_the_headers(rig: Rig, path: str, method: str) -> None:
    response = decent(rig.browser().request(method, rig.issuer + path))
    assert "Server" not in response.headers or "sinwon" not in response.headers["Server"].lower()
    assert response.headers.get("Content-Type", "").startswith(
        ("text/html; charset=utf-8", "application/json")
    )
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_only_the_listed_methods_are_there(rig: Rig, path: str, method: str) -> None:
    response = rig.browser().request(method, rig.issuer + path)
    assert (response.status_code == 405) == (method not in METHODS[path])
    if response.status_code == 405:
        allowed = set(response.headers["Allow"].replace(" ", "").split(","))
        assert allowed >= METHODS[path]


@pytest.mark.parametrize("path", PUBLIC)
def test_what_we_publish_may_be_read_and_kept_by_anybody(rig: Rig, path: str) -> None:
    response = rig.http.get(rig.issuer + path, headers={"Origin": "https://evil.example"})
    assert response.status_code == 200
    assert re.fullmatch(r"public, max-age=\d+", response.headers["Cache-Control"])
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert "Set-Cookie" not in response.headers


def test_keys_are_published_without_their_private_halves(rig: Rig) -> None:
    keys = rig.http.get(f"{rig.issuer}/jwks").json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    for key in keys:
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & set(key)


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://127.0.0.1", "ISSUER.evil.example"]
)
@pytest.mark.parametrize("path", ["/token", "/userinfo", "/authorize", "/login/x/status"])
def test_no_foreign_origin_may_read_an_answer(rig: Rig, origin: str, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        response = rig.http.request(
            method,
            rig.issuer + path,
            headers={"Origin": origin.replace("ISSUER", rig.issuer), "Access-Control-Request-Method": "POST"},
        )
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


FORWARDED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=203.0.113.7;host=evil.example;proto=https",
    "X-Original-URL": "/healthz",
    "X-Rewrite-URL": "/healthz",
    "X-HTTP-Method-Override": "DELETE",
    "X-SSL-Client-Cert": "x",
}


def test_headers_of_a_proxy_that_is_not_there_change_nothing(rig: Rig) -> None:
    portal = rig.portal("gov24")
    plain = portal.rig.http.get(f"{rig.issuer}/.well-known/openid-configuration")
    forwarded = portal.rig.http.get(f"{rig.issuer}/.well-known/openid-configuration", headers=FORWARDED)
    assert forwarded.text == plain.text
    parameters, _ = portal.parameters()
    last = rig.last_event()
    begun = portal.browser.get(f"{rig.issuer}/authorize", params=parameters, headers=FORWARDED)
    assert begun.headers["Location"].startswith("/login/")
    assert [event.ip for event in rig.events(after=last)] == ["127.0.0.1"]
    shown = portal.browser.get(rig.issuer + begun.headers["Location"], headers=FORWARDED)
    assert "evil" not in shown.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1@evil.example", "x" * 300, EVIL]
)
def test_links_come_from_the_settings_whatever_the_host_says(rig: Rig, host: str) -> None:
    portal = rig.portal("gov24")
    parameters, _ = portal.parameters()
    response = decent(
        portal.browser.get(f"{rig.issuer}/authorize", params=parameters, headers={"Host": host})
    )
    if response.status_code == 303:
        assert response.headers["Location"].startswith("/login/")
        path = response.headers["Location"]
        shown = portal.browser.get(rig.issuer + path, headers={"Host": host})
        assert "evil.example" not in shown.text
    else:
        assert response.status_code in {400, 421}
    document = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration", headers={"Host": host})
    if document.status_code == 200:
        assert document.json()["issuer"] == rig.issuer


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "login-x=" + "y" * 10_000},
        {"Cookie": "=login-x; ;;; a=b; a=c"},
        {"Cookie": "lang=" + EVIL.replace('"', "")},
        {"Cookie": "lang=xx; sinwon-session=\xff".encode("latin-1")},
        {"Accept-Language": "x" * 10_000},
        {"Accept-Language": "../../etc/passwd, ko;q=9, en;q=nan, *;q=-1"},
        {"Accept-Language": ",".join(f"x{n};q=0.{n}" for n in range(1000))},
        {"User-Agent": EVIL},
        {"Referer": EVIL},
        {"X-Anything": "x" * 30_000},
    ],
    ids=lambda headers: str(headers)[:40],
)
def test_odd_headers_do_no_harm(rig: Rig, headers: dict[str, Any]) -> None:
    with harmless(rig, ("request.refused", "unknown_portal")):
        decent(rig.browser().get(f"{rig.issuer}/authorize", headers=headers))


@pytest.mark.parametrize(
    ("lang", "taken"),
    [
        ("ko", "ko"),
        ("KO", "ko"),
        ("en-GB", "en"),
        *((lang, "") for lang in (EVIL, "../../etc", "xx", "k" * 5000, "ko\0")),
    ],
)
def test_the_language_switch_takes_only_languages(rig: Rig, lang: str, taken: str) -> None:
    response = decent(rig.browser().get(f"{rig.issuer}/nowhere", params={"lang": lang}))
    assert response.headers["Content-Language"] == (taken or "ko")
    kept = [cookie for cookie in response.headers.get_list("set-cookie") if "lang=" in cookie]
    assert len(kept) == bool(taken)


@pytest.mark.parametrize(
    "query",
    [f"a={EVIL}", f"{EVIL}=1", "a=%00", "a=%ff%fe", "%ff=1", "&&&==&", "a[]=1&a[b]=2", "lang=ko&lang=en"],
)
def test_an_odd_query_is_not_reflected(rig: Rig, query: str) -> None:
    for path in ("/nowhere", "/login/x", "/logout"):
        response = decent(rig.browser().get(f"{rig.issuer}{path}?{query}"))
        assert EVIL not in response.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_says_nothing_but_that(rig: Rig, path: str) -> None:
    assert decent(rig.http.get(rig.issuer + path)).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path",
    [
        "/debug",
        "/metrics",
        "/admin",
        "/console/x/y/z",
        "/.git/config",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/",
    ],
)
def test_there_are_no_back_doors(rig: Rig, path: str) -> None:
    assert decent(rig.browser().get(rig.issuer + path)).status_code == 404


def test_static_files_may_be_kept_for_ever_and_pages_never(rig: Rig) -> None:
    portal = rig.portal("gov24")
    shown = portal.browser.get(portal.absolute(portal.begin().location))
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', shown.text)
    assert files
    for file in files:
        response = rig.http.get(rig.issuer + file)
        assert response.status_code == 200
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.findall(r'(?:href|src)="(?:https?:)?//(?!127\.0\.0\.1)', shown.text)
    assert not re.findall(r"<script(?![^>]*src=)|\son[a-z]+=|style=\"", shown.text)


def test_a_body_that_claims_to_be_compressed_is_not_unpacked(rig: Rig) -> None:
    with harmless(rig):
        response = rig.http.post(
            f"{rig.issuer}/token",
            content=b"\x1f\x8b\x08\x00" + b"\x00" * 100,
            headers={"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"},
        )
    assert decent(response).status_code == 415


def test_an_error_can_be_found_again_by_its_correlation_id(rig: Rig) -> None:
    last = rig.last_event()
    response = decent(rig.browser().get(f"{rig.issuer}/authorize?client_id=nobody"))
    (event,) = rig.events(after=last)
    assert event.correlation_id == response.headers["X-Correlation-Id"]
    assert event.correlation_id in response.text


def test_a_token_error_is_json_whatever_is_accepted(rig: Rig) -> None:
    response = rig.http.post(f"{rig.issuer}/token", data={"grant_type": "x"}, headers={"Accept": "text/html"})
    assert json.loads(decent(response).text)["error"] == "unsupported_grant_type"


def portal_of(rig: Rig) -> Portal:
    return rig.portal("gov24")


def test_a_failing_answer_is_the_same_when_it_is_asked_again(rig: Rig) -> None:
    portal = portal_of(rig)
    answers: list[httpx2.Response] = [
        portal.begin(redirect_uri="https://evil.example").response for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {400}
