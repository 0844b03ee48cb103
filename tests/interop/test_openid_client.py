"""A portal by the npm library `openid-client`: it discovers us, sends the browser, redeems, verifies and signs out."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from idp.demo import check
from idp.demo.jose import decode
from idp.demo.seeds import signing_jwk
from tests.interop.conftest import Peers
from tests.interop.talking import private_jwk
from tests.rig import Begun, Portal, Rig

pytestmark = pytest.mark.node

VERIFIED_CLAIMS = {
    "verification": {
        "trust_framework": {"value": "kr_mobile_id"},
        "assurance_level": None,
        "time": {"max_age": 600},
        "evidence": [
            {"type": {"value": "electronic_record"}, "check_details": None, "record": {"type": None}}
        ],
    },
    "claims": {"name": None, "birthdate": None},
}


class NodePortal:
    """A registered portal whose every word to the provider is the library's."""

    def __init__(self, rig: Rig, peers: Peers, client_id: str) -> None:
        self.rig = rig
        self.peers = peers
        self.driver = rig.portal(client_id)

    def given(self, **changes: Any) -> dict[str, Any]:
        """What portal.mjs is told, with some of it changed."""
        registration = self.driver.registration
        return {
            "issuer": self.rig.issuer,
            "client_id": self.driver.client_id,
            "redirect_uri": self.driver.redirect_uri,
            "post_logout_redirect_uri": registration["post_logout_redirect_uris"][0],
            "scope": " ".join(registration["scopes"]),
            "discovery": "oidc",
            "method": registration["token_endpoint_auth_method"],
            "id_token_alg": registration["id_token_signed_response_alg"],
            "parameters": {},
            "max_age": None,
            "extensions": [],
            **self._credentials(registration["token_endpoint_auth_method"]),
            **changes,
        }

    def _credentials(self, method: str) -> dict[str, Any]:
        if method != "private_key_jwt":
            return {"secret": self.rig.prepared.portal_secret(self.driver.client_id)}
        key = self.rig.prepared.portal_key(self.driver.client_id)
        return {"key": {**signing_jwk(key.public_key()), **private_jwk(key)}}

    def sign_in(self, go: Callable[[Portal, Begun], str] | None = None, **changes: Any) -> dict[str, Any]:
        """What the library makes of a whole sign-in. `go` is the browser's way from /authorize to the callback."""
        with self.peers.conversation("portal.mjs") as talk:
            begun = talk.say(self.given(**changes))
            if "error" in begun:
                return dict(begun)
            response = self.driver.browser.get(begun["authorization_url"])
            return dict(talk.say((go or agree)(self.driver, Begun(response, None, None, ""))))


def agree(portal: Portal, begun: Begun) -> str:
    """The holder shows the credential, agrees, and is sent back."""
    return str(portal.agree(portal.to_consent(begun)).headers["Location"])


def cancel(portal: Portal, begun: Begun) -> str:
    """The holder thinks better of it on the sign-in page."""
    forms = (element for element in portal.page(begun).root.below() if element.tag == "form")
    form = next(form for form in forms if form.attributes["action"].endswith("/cancel"))
    url = portal.absolute(form.attributes["action"])
    return str(portal.browser.post(url, data=dict(check.form_fields(form))).headers["Location"])


def straight_back(portal: Portal, begun: Begun) -> str:
    """The provider sends the browser back at once."""
    return begun.location


@pytest.mark.parametrize(
    ("client_id", "method"),
    [("gov24", "client_secret_basic"), ("apostille", "client_secret_post"), ("efamily", "private_key_jwt")],
)
def test_openid_client_signs_a_holder_in(rig: Rig, peers: Peers, client_id: str, method: str) -> None:
    portal = NodePortal(rig, peers, client_id)
    given = portal.given()
    assert given["method"] == method
    result = portal.sign_in(
        parameters={"claims": json.dumps({"userinfo": {"verified_claims": VERIFIED_CLAIMS}})}
    )
    assert "error" not in result, result
    assert result["claims"]["iss"] == rig.issuer
    assert result["claims"]["aud"] == client_id
    assert result["userinfo"]["sub"] == result["claims"]["sub"]
    verified = result["userinfo"]["verified_claims"]
    assert verified["verification"]["trust_framework"] == "kr_mobile_id"
    assert verified["verification"]["assurance_level"] == "secure"
    assert verified["verification"]["evidence"][0]["type"] == "electronic_record"
    assert verified["claims"] == {"name": "홍길동", "birthdate": "1985-03-14"}


def test_openid_client_takes_an_id_token_signed_with_rs256(rig: Rig, peers: Peers) -> None:
    rig.apply_portal("gov24", id_token_signed_response_alg="RS256")
    try:
        result = NodePortal(rig, peers, "gov24").sign_in(id_token_alg="RS256")
    finally:
        rig.apply_portal("gov24")
    assert "error" not in result, result
    assert header(result["id_token"])["alg"] == "RS256"


def test_openid_client_discovers_by_the_oauth_document_too(rig: Rig, peers: Peers) -> None:
    result = NodePortal(rig, peers, "gov24").sign_in(discovery="oauth2")
    assert "error" not in result, result


@pytest.mark.parametrize(
    ("client_id", "method"), [("gov24", "client_secret_basic"), ("apostille", "client_secret_post")]
)
def test_a_secret_of_any_characters_arrives_as_it_was_registered(
    rig: Rig, peers: Peers, client_id: str, method: str
) -> None:
    # RFC 6749, section 2.3.1: both halves of the Basic header are form-encoded first; libraries differ in this.
    secret = "a b+c%20:/?&=~*!'()_-. 비밀"
    rig.apply_portal(client_id, client_secret_sha256=[hashlib.sha256(secret.encode()).hexdigest()])
    try:
        result = NodePortal(rig, peers, client_id).sign_in(secret=secret, method=method)
    finally:
        rig.apply_portal(client_id)
    assert "error" not in result, result


def test_openid_client_hears_of_a_wrong_secret(rig: Rig, peers: Peers) -> None:
    result = NodePortal(rig, peers, "gov24").sign_in(secret="not the secret")
    assert result == {"error": "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "status": 401}


def test_openid_client_hears_that_the_holder_refused(rig: Rig, peers: Peers) -> None:
    result = NodePortal(rig, peers, "gov24").sign_in(cancel)
    assert result["error"] == "access_denied"


def test_openid_client_hears_that_nobody_is_signed_in(rig: Rig, peers: Peers) -> None:
    result = NodePortal(rig, peers, "gov24").sign_in(straight_back, parameters={"prompt": "none"})
    assert result["error"] == "login_required"


def test_openid_client_finds_a_repeated_code_refused_and_its_token_dead(rig: Rig, peers: Peers) -> None:
    result = NodePortal(rig, peers, "gov24").sign_in()
    assert result["again"] == "invalid_grant"
    assert result["after_replay"] == "invalid_token"


def test_openid_client_signs_in_a_second_time_within_max_age_and_out_again(rig: Rig, peers: Peers) -> None:
    portal = NodePortal(rig, peers, "gov24")
    first = portal.sign_in(max_age=600)
    second = portal.sign_in(straight_back, max_age=600, parameters={"id_token_hint": first["id_token"]})
    assert second["claims"]["auth_time"] == first["claims"]["auth_time"]
    signed_out = portal.driver.browser.get(second["end_session_url"])
    assert signed_out.status_code == 303
    back = portal.driver.registration["post_logout_redirect_uris"][0]
    assert signed_out.headers["Location"] == f"{back}?state={second['state']}"
    third = portal.sign_in(straight_back, parameters={"prompt": "none"})
    assert third["error"] == "login_required"


FAPI = ("par", "dpop", "jarm")


@pytest.mark.parametrize(
    "extensions", [FAPI, ("par", "jar", "dpop", "jarm")], ids=["security-profile", "message-signing"]
)
def test_openid_client_signs_in_by_the_fapi_profile(
    rig: Rig, peers: Peers, extensions: tuple[str, ...]
) -> None:
    result = NodePortal(rig, peers, "bank").sign_in(extensions=extensions)
    assert "error" not in result, result
    assert result["token_type"] == "dpop"
    assert result["claims"]["acr"] == f"{rig.issuer}/acr/secure"
    assert result["userinfo"]["sub"] == result["claims"]["sub"]
    assert result["unbound"] == "invalid_token"
    assert result["again"] == "invalid_grant"


def test_openid_client_finds_a_request_that_is_not_pushed_refused(rig: Rig, peers: Peers) -> None:
    portal = NodePortal(rig, peers, "bank")
    with portal.peers.conversation("portal.mjs") as talk:
        url = talk.say(portal.given(extensions=["jarm", "dpop"]))["authorization_url"]
        response = portal.driver.browser.get(url)
    assert response.status_code == 303
    answer = urlsplit(response.headers["Location"])
    assert answer.query.startswith("response=")
    assert payload(parse_qs(answer.query)["response"][0])["error"] == "invalid_request"


def test_a_bank_without_a_proof_gets_no_token(rig: Rig, peers: Peers) -> None:
    result = NodePortal(rig, peers, "bank").sign_in(extensions=["par", "jarm"])
    assert result["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize("extension", ["par", "jar", "jarm", "dpop"])
def test_openid_client_uses_each_extension_alone_at_a_standard_portal(
    rig: Rig, peers: Peers, extension: str
) -> None:
    result = NodePortal(rig, peers, "g4k").sign_in(extensions=[extension])
    assert "error" not in result, result
    assert result["token_type"] == ("dpop" if extension == "dpop" else "bearer")


def test_openid_client_hears_a_refusal_in_a_signed_answer(rig: Rig, peers: Peers) -> None:
    result = NodePortal(rig, peers, "bank").sign_in(cancel, extensions=FAPI)
    assert result["error"] == "access_denied"


def test_a_bank_is_signed_out_by_openid_client(rig: Rig, peers: Peers) -> None:
    portal = NodePortal(rig, peers, "bank")
    signed_in = portal.sign_in(extensions=FAPI)
    signed_out = portal.driver.browser.get(signed_in["end_session_url"])
    back = portal.driver.registration["post_logout_redirect_uris"][0]
    assert signed_out.headers["Location"] == f"{back}?state={signed_in['state']}"


def header(token: str) -> dict[str, Any]:
    """The header of a compact JWS."""
    return dict(json.loads(decode(token.partition(".")[0])))


def payload(token: str) -> dict[str, Any]:
    """What a compact JWS says."""
    return dict(json.loads(decode(token.split(".")[1])))
