"""The token endpoint: a code works once, for its owner, with what it was bound to; everything else is JSON."""

import base64
import hashlib
import secrets
from typing import Any

import httpx2
import pytest

from tests.harmless import as_json, decent, harmless, kept
from tests.rig import Portal, Rig, callback_parameters

UNKNOWN = ("code.refused", "unknown")


@pytest.fixture(scope="module")
def gov24(rig: Rig) -> Portal:
    portal = rig.portal("gov24")
    portal.sign_in()
    return portal


def is_alive(portal: Portal, tokens: dict[str, Any]) -> bool:
    return portal.userinfo(tokens["access_token"]).status_code == 200


def test_tokens_say_what_they_should(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    response = decent(gov24.token(code, begun.verifier))
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Pragma"] == "no-cache"
    tokens = response.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "scope", "id_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 300)
    claims = gov24.id_token_claims(tokens["id_token"])
    assert set(claims) == {
        "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash",
    }  # fmt: skip
    assert claims["aud"] == "gov24"
    assert claims["nonce"] == begun.nonce
    assert 0 < claims["exp"] - claims["iat"] <= 600
    left_half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(left_half).rstrip(b"=").decode()


def test_without_a_nonce_the_id_token_has_none(gov24: Portal) -> None:
    claims = gov24.id_token_claims(gov24.sign_in(nonce=None)["id_token"])
    assert "nonce" not in claims


# -- the form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["portal.example", "evil.example:8443", "127.0.0.1.evil.example", "[::2]"])
def test_the_host_of_a_request_is_the_senders_word_and_changes_nothing(rig: Rig, host: str) -> None:
    portal = rig.portal("gov24")
    portal.headers = {"Host": host}
    code, begun = portal.code()
    assert portal.token(code, begun.verifier).status_code == 200


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"code": None}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"grant_type": ["authorization_code", "authorization_code"]}, "invalid_request"),
        ({"code": ["a", "b"]}, "invalid_request"),
        ({"redirect_uri": ["a", "b"]}, "invalid_request"),
        ({"code_verifier": ["a", "b"]}, "invalid_request"),
        ({"extra": ["a", "b"]}, "invalid_request"),
        ({"extra": "x" * 20_000}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "unauthorized_client"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "unauthorized_client"),
        *[
            ({"grant_type": kind}, "unsupported_grant_type")
            for kind in (
                "password", "implicit", "client_credentials", "AUTHORIZATION_CODE", "x\0",
                "urn:openid:params:grant-type:ciba",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            )
        ],
    ],
    ids=str,
)  # fmt: skip
def test_a_form_that_asks_for_something_else_is_refused(
    rig: Rig, gov24: Portal, changes: dict[str, Any], error: str
) -> None:
    reason = "grant_type" if error == "unauthorized_client" else error
    with harmless(rig, ("token.refused", reason)):
        as_json(gov24.token("a" * 43, "v" * 43, **changes), 400, error)


def raw(rig: Rig, portal: Portal, **arguments: Any) -> httpx2.Response:
    _, authorization = portal.credentials()
    headers = {"Authorization": authorization or "", **arguments.pop("headers", {})}
    return rig.http.post(f"{rig.issuer}/token{arguments.pop('query', '')}", headers=headers, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"json": {"grant_type": "authorization_code", "code": "x"}},
        {"files": {"grant_type": (None, "authorization_code"), "code": (None, "x")}},
        {"content": b"grant_type=authorization_code&code=x"},
        {"content": b"grant_type=authorization_code&code=x", "headers": {"Content-Type": "text/plain"}},
        {"query": "?grant_type=authorization_code&code=x"},
        {"query": "?x=1", "data": {"grant_type": "authorization_code", "code": "x"}},
        {"data": {}},
    ],
    ids="-".join,
)
def test_parameters_come_in_a_form_and_nowhere_else(
    rig: Rig, gov24: Portal, arguments: dict[str, Any]
) -> None:
    with harmless(rig, ("token.refused", "invalid_request")):
        as_json(raw(rig, gov24, **arguments), 400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_only_post_is_there(rig: Rig, gov24: Portal, method: str) -> None:
    with harmless(rig):
        response = decent(rig.http.request(method, f"{rig.issuer}/token"))
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


def test_a_body_over_the_limit_is_not_read(rig: Rig, gov24: Portal) -> None:
    size = rig.house.settings.server.max_form_bytes
    with harmless(rig):
        as_json(gov24.token("a", "v", extra="x" * size), 413, "invalid_request")


def test_no_foreign_page_may_read_an_answer(rig: Rig) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/token", "/userinfo"):
        with harmless(rig):
            response = decent(rig.http.options(f"{rig.issuer}{path}", headers=headers))
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


# -- the code ----------------------------------------------------------------------------------------------------

ALTERED = {
    "random": lambda code: secrets.token_urlsafe(32),
    "one_character": lambda code: ("A" if code[0] != "A" else "B") + code[1:],
    "truncated": lambda code: code[:-1],
    "longer": lambda code: code + "A",
    "trailing_space": lambda code: code + " ",
    "trailing_newline": lambda code: code + "\n",
    "other_case": lambda code: code.swapcase(),
    "padded": lambda code: code + "=",
    "nul": lambda code: code + "\0",
    "its_digest": lambda code: hashlib.sha256(code.encode()).hexdigest(),
    "sql": lambda code: "' OR 1=1 --",
}


@pytest.mark.parametrize("kind", ALTERED)
def test_an_altered_code_is_unknown(rig: Rig, gov24: Portal, kind: str) -> None:
    code, begun = gov24.code()
    with harmless(rig, UNKNOWN):
        as_json(gov24.token(ALTERED[kind](code), begun.verifier), 400, "invalid_grant")


@pytest.mark.parametrize("code", ["x" * 257, "한글", "x" * 16_000], ids=len)
def test_what_cannot_be_a_code_is_refused(rig: Rig, gov24: Portal, code: str) -> None:
    with harmless(rig, ("token.refused", "invalid_grant")):
        as_json(gov24.token(code, "v" * 43), 400, "invalid_grant")


def test_no_other_secret_of_ours_passes_for_a_code(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    tokens = gov24.token(code, begun.verifier).json()
    other = rig.portal("gov24")
    waiting = other.begin()
    outcome = other.show(other.link(other.page(waiting)))
    response_code = callback_parameters(httpx2.Response(303, headers={"Location": outcome.redirect_uri}))
    cookies = list(gov24.browser.cookies.jar) + list(other.browser.cookies.jar)
    with harmless(rig, *[UNKNOWN] * (2 + len(cookies))):
        for secret in [
            tokens["access_token"],
            response_code["response_code"],
            *[str(cookie.value) for cookie in cookies],
        ]:
            as_json(gov24.token(secret, begun.verifier), 400, "invalid_grant")


def test_a_code_expires(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    rig.clock.forward(60)
    with harmless(rig, UNKNOWN):
        as_json(gov24.token(code, begun.verifier), 400, "invalid_grant")


def test_a_code_just_before_its_end_still_works(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    rig.clock.forward(57)
    assert gov24.token(code, begun.verifier).status_code == 200


@pytest.mark.parametrize("wait_s", [0, 30, 120])
def test_a_code_works_once_and_a_replay_kills_what_it_bought(rig: Rig, gov24: Portal, wait_s: int) -> None:
    code, begun = gov24.code()
    tokens = gov24.token(code, begun.verifier).json()
    assert is_alive(gov24, tokens)
    rig.clock.forward(wait_s)
    with harmless(rig, ("code.replayed", "same_client")):
        as_json(gov24.token(code, begun.verifier), 400, "invalid_grant")
    assert gov24.userinfo(tokens["access_token"]).status_code == 401


def test_a_replay_by_another_client_kills_what_the_code_bought(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    tokens = gov24.token(code, begun.verifier).json()
    with harmless(rig, ("code.replayed", "other_client")):
        as_json(rig.portal("apostille").token(code, begun.verifier), 400, "invalid_grant")
    assert not is_alive(gov24, tokens)


def test_a_replay_does_not_touch_other_codes(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    other = gov24.sign_in()
    gov24.token(code, begun.verifier)
    gov24.token(code, begun.verifier)
    assert is_alive(gov24, other)


@pytest.mark.parametrize("client_id", ["g4k", "apostille", "efamily"])
def test_a_code_of_another_client_is_refused_reported_and_kept_for_its_owner(
    rig: Rig, gov24: Portal, client_id: str
) -> None:
    code, begun = gov24.code()
    thief = rig.portal(client_id)
    last = rig.last_event()
    with harmless(rig, ("code.wrong_client", None)):
        for redirect_uri in (gov24.redirect_uri,):
            as_json(thief.token(code, begun.verifier, redirect_uri=redirect_uri), 400, "invalid_grant")
    (event,) = rig.events(after=last)
    assert event.client_id == client_id
    assert event.subject_id
    assert event.login_id
    assert gov24.token(code, begun.verifier).status_code == 200


@pytest.mark.parametrize("wrong", [None, "", "https://evil.example/cb", "/", "x" * 9000])
def test_a_code_is_bound_to_its_redirect_uri(rig: Rig, gov24: Portal, wrong: str | None) -> None:
    code, begun = gov24.code()
    with harmless(rig, ("code.refused", "redirect_uri")):
        as_json(gov24.token(code, begun.verifier, redirect_uri=wrong), 400, "invalid_grant")


def test_a_wrong_password_does_not_spend_the_code(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    with harmless(rig, ("client.refused", "wrong_secret")):
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": gov24.redirect_uri}
        response = rig.http.post(f"{rig.issuer}/token", data=form, auth=("gov24", "wrong"))
        as_json(response, 401, "invalid_client")
    assert gov24.token(code, begun.verifier).status_code == 200


def test_a_client_switched_off_between_code_and_token_gets_nothing(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    rig.switch_portal("gov24", enabled=False)
    try:
        with harmless(rig, ("client.refused", "unknown")):
            as_json(gov24.token(code, begun.verifier), 401, "invalid_client")
    finally:
        rig.switch_portal("gov24", enabled=True)


def test_what_a_client_adds_to_the_form_changes_nothing(gov24: Portal) -> None:
    code, begun = gov24.code()
    tokens = gov24.token(
        code, begun.verifier, sub="x", acr="y", aud="z", expires_in="999999", scope="openid kr_passport"
    ).json()
    assert tokens["expires_in"] == 300
    assert "kr_passport" not in tokens["scope"]
    assert gov24.id_token_claims(tokens["id_token"])["aud"] == "gov24"


def test_codes_and_tokens_are_kept_as_digests_only(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    assert f"code:{hashlib.sha256(code.encode()).hexdigest()}" in kept(rig, "code")
    access_token = gov24.token(code, begun.verifier).json()["access_token"]
    assert not kept(rig, "code") & {f"code:{hashlib.sha256(code.encode()).hexdigest()}"}
    assert f"token:{hashlib.sha256(access_token.encode()).hexdigest()}" in kept(rig, "token")
