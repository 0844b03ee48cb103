"""UserInfo: claims for a token that lives, and for nothing else (Core 5.3, RFC 6750)."""

from typing import Any

import httpx2
import pytest

from tests.harmless import decent, harmless
from tests.rig import Portal, Rig


@pytest.fixture(scope="module")
def gov24(rig: Rig) -> Portal:
    portal = rig.portal("gov24")
    portal.sign_in()
    return portal


@pytest.fixture(scope="module")
def token(gov24: Portal) -> str:
    return str(gov24.sign_in()["access_token"])


def ask(rig: Rig, method: str = "GET", query: str = "", **arguments: Any) -> httpx2.Response:
    return rig.http.request(method, f"{rig.issuer}/userinfo{query}", **arguments)


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


def refused(response: httpx2.Response, status: int, error: str | None) -> None:
    """A challenge by RFC 6750, section 3; without credentials it names no error."""
    decent(response)
    assert response.status_code == status
    challenge = response.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert ("error=" in challenge) == (error is not None)
    if error is not None:
        assert error in challenge
        assert response.json()["error"] == error


def test_get_post_header_and_post_body_say_the_same(rig: Rig, gov24: Portal) -> None:
    tokens = gov24.sign_in()
    token = tokens["access_token"]
    last = rig.last_event()
    answers = [
        ask(rig, headers=bearer(token)),
        ask(rig, headers=bearer(token, "bearer")),
        ask(rig, "POST", headers=bearer(token)),
        ask(rig, "POST", data={"access_token": token}),
    ]
    for answer in answers:
        assert decent(answer).status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == answers[0].json()
    claims = gov24.id_token_claims(tokens["id_token"])
    assert answers[0].json()["sub"] == claims["sub"]
    read = rig.events(after=last)
    assert [(event.name, event.client_id) for event in read] == [("userinfo.read", "gov24")] * 4
    assert all(event.subject_id for event in read)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_token_is_told_the_scheme_and_no_error(rig: Rig, method: str) -> None:
    with harmless(rig):
        refused(ask(rig, method), 401, None)


@pytest.mark.parametrize("authorization", ["Bearer", "DPoP", "Basic YTpi", "x", "Bearer,x"])
def test_another_scheme_counts_as_no_token(rig: Rig, authorization: str) -> None:
    with harmless(rig):
        refused(ask(rig, headers={"Authorization": authorization}), 401, None)


@pytest.mark.parametrize(
    "alter",
    [
        lambda token: "x" * 43,
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token.swapcase(),
        lambda token: token + "=",
        lambda token: "a b",
        lambda token: "x" * 8000,
        lambda token: "'--",
        lambda token: "<script>alert(1)</script>",
    ],
)
def test_an_altered_token_is_invalid(rig: Rig, token: str, alter: Any) -> None:
    with harmless(rig):
        refused(ask(rig, headers=bearer(alter(token))), 401, "invalid_token")


def test_a_token_outside_ascii_is_invalid(rig: Rig) -> None:
    with harmless(rig):
        refused(ask(rig, "POST", data={"access_token": "토큰\0"}), 401, "invalid_token")


def test_codes_cookies_and_id_tokens_are_no_access_tokens(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    id_token = gov24.sign_in()["id_token"]
    cookies = [str(cookie.value) for cookie in gov24.browser.cookies.jar]
    with harmless(rig):
        for secret in (code, id_token, begun.verifier, *cookies):
            refused(ask(rig, headers=bearer(secret)), 401, "invalid_token")


def test_a_token_expires(rig: Rig, gov24: Portal) -> None:
    token = gov24.sign_in()["access_token"]
    rig.clock.forward(297)
    assert gov24.userinfo(token).status_code == 200
    rig.clock.forward(3)
    with harmless(rig):
        refused(gov24.userinfo(token), 401, "invalid_token")


@pytest.mark.parametrize(
    "sent",
    [
        lambda t: {"query": f"?access_token={t}"},
        lambda t: {"query": f"?access_token={t}", "headers": bearer(t)},
        lambda t: {"method": "POST", "headers": bearer(t), "data": {"access_token": t}},
        lambda t: {"method": "POST", "data": {"access_token": [t, t]}},
        lambda t: {"method": "POST", "data": {"access_token": [t, "other"]}},
    ],
)
def test_a_token_comes_once_and_never_in_the_query(rig: Rig, token: str, sent: Any) -> None:
    with harmless(rig):
        refused(ask(rig, **sent(token)), 400, "invalid_request")


def test_a_token_in_a_body_that_is_no_form_is_not_read(rig: Rig, token: str) -> None:
    with harmless(rig):
        refused(ask(rig, "POST", json={"access_token": token}), 401, None)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_there(rig: Rig, token: str, method: str) -> None:
    with harmless(rig):
        response = decent(ask(rig, method, headers=bearer(token)))
    assert response.status_code == 405
    assert {"GET", "POST"} <= set(response.headers["Allow"].replace(" ", "").split(","))


def test_only_what_was_asked_and_agreed_is_said(gov24: Portal) -> None:
    said = gov24.userinfo(gov24.sign_in(scope="openid")["access_token"]).json()
    assert set(said) == {"sub"}
    said = gov24.userinfo(gov24.sign_in(scope="openid profile")["access_token"]).json()
    assert set(said) == {"sub", "name", "birthdate"}
    said = gov24.userinfo(
        gov24.sign_in(scope="openid", claims='{"userinfo":{"name":null}}')["access_token"]
    ).json()
    assert set(said) == {"sub", "name"}


def test_a_claim_asked_for_in_the_id_token_is_not_said_here_and_the_other_way_round(gov24: Portal) -> None:
    tokens = gov24.sign_in(scope="openid", claims='{"id_token":{"name":null}}')
    assert "name" not in gov24.userinfo(tokens["access_token"]).json()
    assert gov24.id_token_claims(tokens["id_token"])["name"] == "홍길동"


def refusals(rig: Rig, after: int) -> list[tuple[str | None, str | None]]:
    return [
        (event.client_id, event.reason) for event in rig.events(after) if event.name == "userinfo.refused"
    ]


def test_a_token_that_was_given_back_is_recorded_once_and_garbage_never(rig: Rig, gov24: Portal) -> None:
    """Whoever sends what never was a token writes nothing; an issued one writes a line an hour."""
    token = str(gov24.sign_in()["access_token"])
    assert gov24.post("/revoke", token=token).status_code == 200
    last = rig.last_event()
    for _ in range(3):
        refused(ask(rig, headers=bearer(token)), 401, "invalid_token")
        refused(ask(rig, headers=bearer(f"{token[:-4]}xxxx")), 401, "invalid_token")
        refused(ask(rig, headers=bearer("garbage")), 401, "invalid_token")
    assert refusals(rig, last) == [("gov24", "ended")]


def test_a_token_by_the_wrong_scheme_is_recorded(rig: Rig, gov24: Portal) -> None:
    token = str(gov24.sign_in()["access_token"])
    last = rig.last_event()
    assert ask(rig, headers=bearer(token, "DPoP")).status_code == 401
    assert refusals(rig, last) == [("gov24", "scheme")]
    assert token not in str([event.detail for event in rig.events(last)])
