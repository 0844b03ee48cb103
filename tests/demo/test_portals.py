"""The portals and the scripted browser, against a small provider of the tests' own."""

import json
import re
import time
from typing import Any

import httpx2
import pytest

from idp.demo import check, code_flow, relying

from .conftest import Guests

PORTALS = ("gov24", "g4k", "apostille", "efamily", "bank")


def start(guests: Guests, portal: str = "gov24") -> str:
    return f"{guests.prepared.portals_url}/{portal}/"


def failed_code(guests: Guests, portal: str = "gov24", **how: Any) -> str | None:
    with pytest.raises(check.StepFailed) as failure:
        check.sign_in(start(guests, portal), **how)
    assert failure.value.step == "portal's result"
    return failure.value.error_code


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("portal", PORTALS)
def test_each_portal_shows_what_it_asked_for(guests: Guests, portal: str, language: str) -> None:
    result = check.sign_in(start(guests, portal), language=language)
    registration = guests.provider.portals[portal]
    assert list(result.claims) == [claim["name"] for claim in registration["claims"]]


def test_signing_in_works_across_two_devices(guests: Guests) -> None:
    assert "name" in check.sign_in_across_devices(start(guests)).claims


def test_a_refusal_in_the_wallet_arrives_at_the_portal(guests: Guests) -> None:
    assert failed_code(guests, persona="kang") == "access_denied"


def test_an_answer_the_verifier_does_not_take_stops_in_the_wallet(guests: Guests) -> None:
    with pytest.raises(check.StepFailed, match="rejected") as failure:
        check.sign_in(start(guests), fault="unencrypted")
    assert failure.value.step == "wallet"


def test_a_wallet_that_never_answers_is_named(guests: Guests) -> None:
    with pytest.raises(check.StepFailed, match="silent"):
        check.sign_in(start(guests), persona="moon")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://somebody.else"},
        {"aud": "g4k"},
        {"aud": ["gov24", "g4k"]},
        {"azp": "g4k"},
        {"sub": None},
        pytest.param({"exp": int(time.time()) - 3_600}, id="exp-an hour ago"),
        {"exp": None},
        {"exp": True},
        pytest.param({"iat": int(time.time()) - 3_600}, id="iat-an hour ago"),
        pytest.param({"iat": int(time.time()) + 3_600}, id="iat-in an hour"),
        {"iat": None},
        {"nonce": "another"},
        {"nonce": None},
        {"at_hash": None},
    ],
    ids=lambda changes: "-".join(f"{name}-{value}" for name, value in changes.items()),
)
def test_an_id_token_that_is_wrong_is_refused(guests: Guests, changes: dict[str, Any]) -> None:
    guests.provider.misbehave(id_token=changes)
    assert failed_code(guests) == "bad_id_token"


def test_an_id_token_signed_with_an_unpublished_key_is_refused(guests: Guests) -> None:
    guests.provider.misbehave(sign_with=guests.provider.other_key)
    assert failed_code(guests) == "bad_id_token"


def test_an_access_token_that_was_swapped_is_refused(guests: Guests) -> None:
    guests.provider.misbehave(at_hash_of="another access token")
    assert failed_code(guests) == "bad_id_token"


def test_a_key_published_later_is_found(guests: Guests) -> None:
    check.sign_in(start(guests))
    provider = guests.provider
    provider.signing_key, provider.other_key = provider.other_key, provider.signing_key
    provider.misbehave()
    assert check.sign_in(start(guests)).claims


def test_userinfo_about_somebody_else_is_refused(guests: Guests) -> None:
    guests.provider.misbehave(userinfo={"sub": "pairwise-2"})
    assert failed_code(guests) == "bad_userinfo"


@pytest.mark.parametrize("issuer", ["https://somebody.else", ""])
def test_a_response_from_another_issuer_is_refused(guests: Guests, issuer: str) -> None:
    guests.provider.misbehave(answer={"iss": issuer})
    assert failed_code(guests) == "bad_response"


def test_a_state_of_another_sign_in_is_refused(guests: Guests) -> None:
    guests.provider.misbehave(answer={"state": "another"})
    assert failed_code(guests) == "unknown_state"


def test_a_portal_that_needs_secure_takes_nothing_less(guests: Guests) -> None:
    guests.provider.misbehave(id_token={"acr": f"{guests.prepared.issuer}/acr/general"})
    assert failed_code(guests, "efamily") == "unmet_authentication_requirements"


def test_claims_outside_the_trust_framework_are_not_shown(guests: Guests) -> None:
    outside = {"verification": {"trust_framework": "other"}, "claims": {"name": "Somebody"}}
    guests.provider.misbehave(id_token={"verified_claims": None}, userinfo={"verified_claims": outside})
    assert check.sign_in(start(guests)).claims == {}


def test_a_callback_cannot_be_visited_twice(guests: Guests) -> None:
    with httpx2.Client(trust_env=False) as http:
        location = httpx2.URL(http.get(f"{start(guests)}login").headers["location"])
        answer = {
            "state": location.params["state"],
            "error": "access_denied",
            "iss": guests.prepared.issuer,
        }
        pages = [http.get(f"{start(guests)}callback", params=answer).text for _ in range(2)]
    assert "access_denied" in pages[0]
    assert "unknown_state" in pages[1]


def test_a_callback_in_another_browser_is_refused(guests: Guests) -> None:
    location = httpx2.URL(httpx2.get(f"{start(guests)}login", trust_env=False).headers["location"])
    answer = {"state": location.params["state"], "code": "stolen", "iss": guests.prepared.issuer}
    assert "unknown_state" in httpx2.get(f"{start(guests)}callback", params=answer, trust_env=False).text


def test_what_goes_to_the_provider_is_a_complete_request(guests: Guests) -> None:
    with httpx2.Client(trust_env=False) as http:
        location = httpx2.URL(http.get(f"{start(guests, 'efamily')}login?lang=en").headers["location"])
    sent = dict(location.params)
    claims = json.loads(sent.pop("claims"))
    assert claims["id_token"]["acr"]["essential"] is True
    assert set(claims["userinfo"]["verified_claims"]["claims"]) == {"name", "birthdate"}
    for name in ("state", "nonce", "code_challenge"):
        assert len(sent.pop(name)) >= 32
    assert sent == {
        "response_type": "code",
        "client_id": "efamily",
        "redirect_uri": f"{start(guests, 'efamily')}callback",
        "scope": "openid profile",
        "code_challenge_method": "S256",
        "ui_locales": "en",
        "acr_values": f"{guests.prepared.issuer}/acr/secure",
    }


def test_a_portals_cookie_is_its_own(guests: Guests) -> None:
    response = httpx2.get(f"{start(guests, 'g4k')}login", trust_env=False)
    cookie = response.headers["set-cookie"]
    assert re.match(r"g4k_session=[\w-]{43}; HttpOnly; Path=/g4k/; SameSite=Lax", cookie)


def test_signing_in_changes_the_cookie(guests: Guests) -> None:
    with check.Browser() as browser:
        browser.open(f"{start(guests)}login", "portal")
        before = browser.cookies["gov24_session"]
        check.sign_in(start(guests), browser=browser)
        assert browser.cookies["gov24_session"] != before


def test_signing_out_ends_the_session_here_and_there(guests: Guests) -> None:
    with check.Browser("en") as browser:
        result = check.sign_in(start(guests), browser=browser)
        page = check.sign_out(browser, result.page)
        assert page.find("signed-out") is not None
        assert browser.open(start(guests), "portal").find("sign-in") is not None


def test_a_sign_out_that_the_portal_did_not_offer_is_refused(guests: Guests) -> None:
    with check.Browser() as browser:
        result = check.sign_in(start(guests), browser=browser)
        assert browser.submit(result.page, "logout", "signing out", state="forged").status == 400
        assert browser.open(start(guests), "portal").find("result") is not None


def test_a_portal_without_a_provider_says_so(guests: Guests) -> None:
    provider = relying.Provider("http://127.0.0.1:9")
    client = code_flow.CodeClient(guests.provider.portals["gov24"], guests.prepared, provider)
    with pytest.raises(relying.SignInFailed) as failure:
        client.begin("ko")
    provider.http.close()
    assert failure.value.code == "provider_unreachable"


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("path", ["/", "/gov24/", "/bank/", "/counter/", "/wallet/"])
def test_every_page_says_that_it_is_a_demonstration(guests: Guests, path: str, language: str) -> None:
    page = httpx2.get(f"{guests.prepared.portals_url}{path}?lang={language}", trust_env=False)
    assert f'<html lang="{language}">' in page.text
    assert {"ko": "시험 데이터", "en": "This is a demonstration"}[language] in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    elsewhere = re.findall(r'(?:src|href)="(https?://[^"]+)', page.text)
    assert elsewhere == ([f"{guests.prepared.issuer}/console"] if path == "/" else [])


def test_an_unknown_portal_is_not_found(guests: Guests) -> None:
    assert httpx2.get(start(guests, "nobody"), trust_env=False).status_code == 404
