"""The bank, a portal of the profile `fapi2`, against a small provider that keeps FAPI 2.0's promises or not."""

import time
from typing import Any

import httpx2
import pytest
from joserfc import jws, jwt

from idp.demo import check, fapi, relying

from .conftest import Guests

TOKEN_URL = "https://provider.example/token"


def start(guests: Guests) -> str:
    return f"{guests.prepared.portals_url}/bank/"


def failed_code(guests: Guests) -> str | None:
    with pytest.raises(check.StepFailed) as failure:
        check.sign_in(start(guests))
    assert failure.value.step == "portal's result"
    return failure.value.error_code


def test_the_browser_carries_a_reference_and_nothing_else(guests: Guests) -> None:
    with httpx2.Client(trust_env=False) as http:
        location = httpx2.URL(http.get(f"{start(guests)}login?lang=en").headers["location"])
    assert set(location.params) == {"client_id", "request_uri"}
    pushed = guests.provider.pushed[location.params["request_uri"]]
    assert pushed["response_mode"] == "jwt"
    assert pushed["code_challenge_method"] == "S256"
    assert pushed["ui_locales"] == "en"
    assert pushed["acr_values"] == f"{guests.prepared.issuer}/acr/secure"
    assert len(pushed["dpop_jkt"]) == 43


def test_every_sign_in_has_a_key_of_its_own(guests: Guests) -> None:
    before = set(guests.provider.pushed)
    for _ in range(2):
        httpx2.get(f"{start(guests)}login", trust_env=False)
    fresh = [guests.provider.pushed[reference] for reference in set(guests.provider.pushed) - before]
    assert len({request["dpop_jkt"] for request in fresh}) == 2


def test_an_answer_that_is_not_signed_is_refused(guests: Guests) -> None:
    with httpx2.Client(trust_env=False) as http:
        location = httpx2.URL(http.get(f"{start(guests)}login").headers["location"])
        state = guests.provider.pushed[location.params["request_uri"]]["state"]
        answer = {"state": state, "code": "a code", "iss": guests.prepared.issuer}
        page = http.get(f"{start(guests)}callback", params=answer)
    assert page.status_code == 400
    assert "not signed (JARM)" in page.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://somebody.else"}, "bad_response"),
        ({"iss": None}, "bad_response"),
        ({"aud": "g4k"}, "bad_response"),
        ({"aud": ["bank", "g4k"]}, "bad_response"),
        ({"exp": int(time.time()) - 3_600}, "bad_response"),
        ({"exp": None}, "bad_response"),
        ({"code": ""}, "bad_response"),
        ({"state": "another"}, "unknown_state"),
        ({"error": "server_error"}, "server_error"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_signed_answer_that_is_wrong_is_refused(guests: Guests, changes: dict[str, Any], code: str) -> None:
    guests.provider.misbehave(answer=changes)
    assert failed_code(guests) == code


def test_an_answer_signed_with_an_unpublished_key_is_refused(guests: Guests) -> None:
    guests.provider.misbehave(sign_with=guests.provider.other_key)
    assert failed_code(guests) == "bad_response"


def test_a_bearer_token_is_refused(guests: Guests) -> None:
    guests.provider.misbehave(token_type="Bearer")
    assert failed_code(guests) == "bad_response"


def test_a_refusal_in_the_wallet_arrives_in_the_signed_answer(guests: Guests) -> None:
    with pytest.raises(check.StepFailed) as failure:
        check.sign_in(start(guests), persona="kang")
    assert failure.value.error_code == "access_denied"


def test_signing_out_ends_the_session_at_the_bank(guests: Guests) -> None:
    with check.Browser("en") as browser:
        result = check.sign_in(start(guests), browser=browser)
        assert check.sign_out(browser, result.page).find("signed-out") is not None


def test_a_proof_is_for_one_request(guests: Guests) -> None:
    key = fapi.DpopKey()
    proofs = [key.proof("POST", f"{TOKEN_URL}?a=b#c") for _ in range(2)]
    first, second = (jwt.decode(proof, key.key, algorithms=["ES256"]).claims for proof in proofs)
    assert first["jti"] != second["jti"]
    assert {name: first[name] for name in first if name not in ("jti", "iat")} == {
        "htm": "POST",
        "htu": TOKEN_URL,
    }
    header = jws.extract_compact(proofs[0].encode()).headers()
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}


def answering(*responses: httpx2.Response) -> Any:
    waiting = list(responses)
    return lambda: waiting.pop(0)


@pytest.mark.parametrize(
    "challenge",
    [
        httpx2.Response(400, json={"error": "use_dpop_nonce"}, headers={"DPoP-Nonce": "one"}),
        httpx2.Response(
            401, headers={"DPoP-Nonce": "one", "WWW-Authenticate": 'DPoP error="use_dpop_nonce"'}
        ),
    ],
    ids=["token", "resource"],
)
def test_a_nonce_is_asked_for_once_and_kept(challenge: httpx2.Response) -> None:
    key = fapi.DpopKey()
    response = key.send(TOKEN_URL, answering(challenge, httpx2.Response(200, json={})))
    assert response.status_code == 200
    claims = jwt.decode(key.proof("POST", TOKEN_URL), key.key, algorithms=["ES256"]).claims
    assert claims["nonce"] == "one"
    elsewhere = jwt.decode(key.proof("GET", "https://elsewhere.example/"), key.key, algorithms=["ES256"])
    assert "nonce" not in elsewhere.claims


def test_a_newer_nonce_replaces_the_older() -> None:
    key = fapi.DpopKey()
    for value in ("one", "two"):
        key.send(TOKEN_URL, answering(httpx2.Response(200, json={}, headers={"DPoP-Nonce": value})))
    assert jwt.decode(key.proof("POST", TOKEN_URL), key.key, algorithms=["ES256"]).claims["nonce"] == "two"


@pytest.mark.parametrize(
    "refusal",
    [
        httpx2.Response(400, json={"error": "use_dpop_nonce"}),
        httpx2.Response(400, json={"error": "invalid_dpop_proof"}, headers={"DPoP-Nonce": "one"}),
        httpx2.Response(502, text="use_dpop_nonce", headers={"DPoP-Nonce": "one"}),
    ],
    ids=["no-nonce", "other-error", "no-json"],
)
def test_what_is_no_request_for_a_nonce_is_not_sent_again(refusal: httpx2.Response) -> None:
    assert fapi.DpopKey().send(TOKEN_URL, answering(refusal)) is refusal


def test_a_provider_without_pushed_requests_is_named(guests: Guests) -> None:
    provider = relying.Provider(guests.prepared.issuer)
    client = fapi.FapiClient(guests.provider.portals["bank"], guests.prepared, provider)
    provider.metadata().pop("pushed_authorization_request_endpoint")
    with pytest.raises(relying.SignInFailed, match="pushed_authorization_request_endpoint"):
        client.begin("ko")
    provider.http.close()
