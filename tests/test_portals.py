"""What a registration may say."""

import hashlib
from typing import Any

import pytest

from idp.portals import Registration, RegistrationError, parse

GOOD: dict[str, Any] = {
    "client_id": "portal",
    "name": {"ko": "포털", "en": "Portal"},
    "operator": {"ko": "기관", "en": "Agency"},
    "retention": {"ko": "1년", "en": "One year"},
    "redirect_uris": ["https://rp.example/cb"],
    "token_endpoint_auth_method": "client_secret_basic",
    "client_secret_sha256": ["a" * 64],
    "scopes": ["openid", "profile"],
    "claims": [{"name": "name", "purpose": {"ko": "확인", "en": "To check"}}],
}


def registration(**changes: Any) -> Registration:
    return parse({**GOOD, **changes})


def test_a_good_registration_is_accepted() -> None:
    assert registration().sector == "rp.example"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a b"}, "client_id"),
        ({"client_id": "포털"}, "client_id"),
        ({"client_id": "a" * 256}, "client_id"),
        ({"profile": "fapi2"}, "fapi2"),
        ({"profile": "fapi3"}, "profile"),
        ({"name": {"ko": "포털"}}, "name.en"),
        ({"retention": {}}, "retention.ko"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"redirect_uris": ["http://rp.example/cb"]}, "loopback"),
        ({"redirect_uris": ["https://rp.example/cb#x"]}, "fragment"),
        ({"redirect_uris": ["https://a@rp.example/cb"]}, "user information"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "https"),
        ({"redirect_uris": ["//rp.example/cb"]}, "https"),
        ({"redirect_uris": ["https://rp.example/c b"]}, "ASCII"),
        ({"redirect_uris": ["https://rp.example:port/cb"]}, "not a URI"),
        ({"redirect_uris": ["https://one.example/cb", "https://two.example/cb"]}, "sector_identifier"),
        ({"post_logout_redirect_uris": ["ftp://rp.example/"]}, "https"),
        ({"client_secret_sha256": []}, "client_secret_sha256"),
        ({"client_secret_sha256": ["a" * 64] * 3}, "client_secret_sha256"),
        ({"client_secret_sha256": ["SECRET"]}, "hex"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
        ({"jwks": {"keys": [{"kty": "EC", "d": "x"}]}}, "private"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}, "private"),
        ({"token_endpoint_auth_method": "none", "require_pkce": False}, "PKCE"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "token_endpoint_auth_method"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        ({"scopes": ["profile"]}, "openid"),
        ({"scopes": ["openid", "everything"]}, "everything"),
        ({"claims": [{"name": "kr_rrn", "purpose": {"ko": "a", "en": "b"}}]}, "kr_rrn"),
        ({"claims": [{"name": "name", "purpose": {"ko": "a"}}]}, "purpose"),
        ({"claims": [{"name": "name", "purpose": {"ko": "a", "en": "b"}, "basis": "statute"}]}, "statute"),
        ({"claims": GOOD["claims"] * 2}, "twice"),
        ({"redirect_uri": "https://rp.example/cb"}, "redirect_uri"),
    ],
)
def test_a_registration_that_cannot_be_kept_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        registration(**changes)
    assert any(problem in line for line in refused.value.problems)
    assert all(
        line.startswith((str(changes.get("client_id", "portal")), "portal"))
        for line in refused.value.problems
    )


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(RegistrationError) as refused:
        registration(client_id="", redirect_uris=["ftp://x"], scopes=["all"])
    assert len(refused.value.problems) >= 4


@pytest.mark.parametrize(
    "uri",
    [
        "https://rp.example/cb/",
        "https://rp.example/cb?x=1",
        "https://rp.example/cb#",
        "https://RP.example/cb",
        "HTTPS://rp.example/cb",
        "https://rp.example:443/cb",
        "https://rp.example./cb",
        "https://rp.example@evil.example/cb",
        "https://rp.example.evil.example/cb",
        "https://rp.example/cb/../cb",
        "https://rp.example/%63b",
        "http://rp.example/cb",
    ],
)
def test_a_redirect_uri_is_compared_as_a_string(uri: str) -> None:
    assert registration().has_redirect_uri("https://rp.example/cb")
    assert not registration().has_redirect_uri(uri)


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        ("http://127.0.0.1/cb", True),
        ("http://127.0.0.1:51004/cb", True),
        ("http://127.0.0.1:51004/other", False),
        ("http://127.0.0.1.evil.example/cb", False),
        ("http://127.0.0.1:80@evil.example/cb", False),
        ("http://localhost:51004/cb", False),
        ("https://127.0.0.1/cb", False),
        ("http://127.0.0.1:port/cb", False),
        ("http://127.0.0.1:51004/cb#x", False),
    ],
)
def test_only_the_port_of_a_loopback_address_may_vary(uri: str, same: bool) -> None:
    native = registration(redirect_uris=["http://127.0.0.1/cb"])
    assert native.has_redirect_uri(uri) is same


def test_a_secret_is_known_by_its_digest_and_two_may_overlap() -> None:
    digests = [hashlib.sha256(secret.encode()).hexdigest() for secret in ("old", "new")]
    portal = registration(client_secret_sha256=digests)
    assert portal.has_secret("old")
    assert portal.has_secret("new")
    for wrong in ("", "neu", "비밀", "\udcff"):
        assert not portal.has_secret(wrong)
