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
        ({"profile": "fapi2"}, "private_key_jwt"),
        ({"profile": "fapi2"}, "dpop_bound_access_tokens"),
        ({"profile": "fapi2", "require_pkce": False}, "PKCE"),
        ({"profile": "fapi2", "id_token_signed_response_alg": "RS256"}, "ES256 or PS256"),
        ({"profile": "fapi2", "token_endpoint_auth_signing_alg": "RS256"}, "must not be RS256"),
        ({"profile": "fapi2", "request_uris": ["https://rp.example/r"]}, "pushed"),
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
        ({"redirect_uris": ["https://evil.example\\.rp.example/cb"]}, "characters that no URI has"),
        ({"redirect_uris": ["https://rp.example/<cb>"]}, "characters that no URI has"),
        ({"redirect_uris": ["https://*.example/cb"]}, "wildcards"),
        ({"redirect_uris": ["https://rp%2eexample/cb"]}, "one host"),
        ({"redirect_uris": ["https://rp..example/cb"]}, "one host"),
        ({"redirect_uris": ["https://one.example/cb", "https://two.example/cb"]}, "sector_identifier"),
        ({"post_logout_redirect_uris": ["ftp://rp.example/"]}, "https"),
        ({"client_secret_sha256": []}, "client_secret_sha256"),
        ({"client_secret_sha256": ["a" * 64] * 3}, "client_secret_sha256"),
        ({"client_secret_sha256": ["SECRET"]}, "hex"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
        ({"jwks": {"keys": [{"kty": "EC", "d": "x"}]}}, "private"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}, "private"),
        ({"token_endpoint_auth_method": "none", "require_pkce": False}, "PKCE"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "exactly one of"),
        ({"tls_client_auth_san_dns": "rp.example"}, "tls_client_auth"),
        (
            {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "no name"},
            "RFC 4514",
        ),
        ({"jwks": {"keys": []}, "jwks_uri": "https://rp.example/jwks"}, "exclude each other"),
        ({"jwks": {"keys": ["x"]}}, "JWK Set"),
        ({"jwks_uri": "http://rp.example/jwks"}, "jwks_uri"),
        ({"grant_types": ["implicit"]}, "implicit"),
        ({"response_types": ["code", "id_token"]}, "needs implicit"),
        ({"response_types": ["token"], "grant_types": ["implicit"]}, "token is not offered"),
        ({"response_types": ["code id_token"]}, "not offered"),
        (
            {"response_types": ["id_token"], "grant_types": ["implicit"], "profile": "fapi2"},
            "not part of profile fapi2",
        ),
        (
            {
                "response_types": ["id_token token"],
                "grant_types": ["implicit"],
                "dpop_bound_access_tokens": True,
            },
            "cannot be bound",
        ),
        (
            {"response_types": ["id_token"], "grant_types": ["implicit"], "redirect_uris": []},
            "redirect_uris is empty",
        ),
        ({"grant_types": ["refresh_token"]}, "needs a grant that begins"),
        ({"grant_types": []}, "grant_types is empty"),
        ({"scopes": ["openid", "offline_access"]}, "offline_access needs refresh_token"),
        ({"request_object_signing_alg": "none"}, "request_object_signing_alg"),
        ({"request_object_encryption_alg": "RSA-OAEP-256"}, "not offered"),
        ({"id_token_encrypted_response_alg": "RSA1_5"}, "id_token_encrypted_response_alg"),
        ({"userinfo_encrypted_response_enc": "A256GCM"}, "userinfo_encrypted_response_alg is missing"),
        ({"authorization_encrypted_response_alg": "ECDH-ES"}, "a key to encrypt to"),
        (
            {
                "userinfo_encrypted_response_alg": "RSA-OAEP-256",
                "jwks": {"keys": [{"kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"}]},
            },
            "a key to encrypt to",
        ),
        (
            {
                "id_token_encrypted_response_alg": "ECDH-ES",
                "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "x": "AA", "y": "AA"}]},
            },
            "a key to encrypt to",
        ),
        ({"require_signed_request_object": True}, "require_signed_request_object"),
        ({"resources": ["/api"]}, "absolute URI"),
        ({"serves_resources": ["https://api.example/#x"]}, "fragment"),
        ({"jwks": {"keys": [{"kty": "EC", "kid": "1"}] * 2}}, "two keys of one kind under one kid"),
        ({"redirect_uris": ['https://rp.example/"><script>']}, "characters that no URI has"),
        ({"redirect_uris": ["https://rp.example/{id}"]}, "characters that no URI has"),
        ({"default_max_age": -1}, "default_max_age"),
        (
            {"dpop_bound_access_tokens": True, "tls_client_certificate_bound_access_tokens": True},
            "not by both",
        ),
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


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({}, True),
        ({"profile": "fapi2"}, False),
        ({"profile": "fapi2", "cross_device": True}, True),
        ({"cross_device": False}, False),
    ],
    ids=str,
)
def test_a_fapi2_portal_has_to_ask_for_qr_codes(changes: dict[str, Any], offered: bool) -> None:
    strict = {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://rp.example/jwks",
        "dpop_bound_access_tokens": True,
    }
    assert registration(**(strict | changes)).cross_device is offered
