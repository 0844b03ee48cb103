"""FAPI 2.0 Message Signing Final: a test named after every module that its plan adds to the Security Profile's.

Signed request objects (JAR), pushed; signed responses (JARM, `response_mode=jwt`). Modules of the Security Profile's
plan that mean something else with a signed request are here again. Left out: the 10 and 15 minute limits, which are
those of another ecosystem.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from idp.seal import b64, unb64
from tests.conformance.fapi2 import WITH_QUERY, arrived, bought, by_dpop, flow, provider
from tests.harmless import as_json, to_portal
from tests.oidc.portal_side import rsa_key
from tests.rig import Begun, Portal, Rig

RSA = rsa_key("rsa")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with provider(tmp_path_factory.mktemp("house")) as running:
        yield running


def signing(rig: Rig, of: str, client_id: str, **changes: Any) -> Portal:
    """A client that signs its requests."""
    return by_dpop(rig, of, client_id, **{"require_signed_request_object": True, **changes})


@pytest.fixture
def portal(rig: Rig) -> Portal:
    """The first client."""
    return signing(rig, "efamily", "signing-first")


class Asked:
    """A request object of a client, with some claims changed (None leaves one out), and what the client remembers."""

    def __init__(self, portal: Portal, **changes: Any) -> None:
        self.portal = portal
        self.outside, self.verifier = portal.parameters()
        now = portal.rig.clock()
        good = {
            **self.outside,
            "iss": portal.client_id,
            "aud": portal.rig.issuer,
            "nbf": now,
            "exp": now + 300,
            "jti": secrets.token_urlsafe(12),
            **changes,
        }
        self.claims = {name: value for name, value in good.items() if value is not None}

    def signed(self, key: ECKey | RSAKey | None = None, alg: str = "ES256") -> str:
        own = ECKey.import_key(self.portal.rig.prepared.portal_key(self.portal.secrets_of))
        header = {"alg": alg, "typ": "oauth-authz-req+jwt"}
        return jwt.encode(header, self.claims, key or own, algorithms=[alg])

    def push(self, text: str | None = None, **beside: Any) -> httpx2.Response:
        return self.portal.post("/par", dpop=(), **{"request": text or self.signed(), **beside})

    def begun(self, text: str | None = None) -> Begun:
        pushed = self.push(text)
        assert pushed.status_code == 201, pushed.text
        opened = self.portal.open_pushed(pushed.json()["request_uri"])
        return Begun(opened, self.claims.get("state"), self.claims.get("nonce"), self.verifier)


def refused(asked: Asked, text: str | None = None) -> None:
    """Told at once, as JSON."""
    as_json(asked.push(text), 400, "invalid_request_object")


# -- JAR: what is taken --------------------------------------------------------------------------------------------


def test_fapi2_security_profile_final_happy_flow_with_signed_requests(rig: Rig, portal: Portal) -> None:
    flow(portal, Asked(portal).begun())
    second = signing(rig, "bank", "signing-second")
    second.redirect_uri += WITH_QUERY
    flow(second, Asked(second, nonce="n" * 43).begun())


def test_fapi2_security_profile_final_ensure_request_object_with_multiple_aud_succeeds(
    rig: Rig, portal: Portal
) -> None:
    flow(portal, Asked(portal, aud=[rig.issuer, "https://other1.example.com", "invalid"]).begun())


def test_fapi2_security_profile_final_ensure_request_object_with_nbf_8_seconds_in_the_future_is_accepted(
    rig: Rig, portal: Portal
) -> None:
    flow(portal, Asked(portal, nbf=rig.clock() + 8).begun())


def test_fapi2_security_profile_final_ensure_different_state_inside_and_outside_request_object(
    portal: Portal,
) -> None:
    outside(portal, "state")


def test_fapi2_security_profile_final_ensure_different_nonce_inside_and_outside_request_object(
    portal: Portal,
) -> None:
    outside(portal, "nonce")


def outside(portal: Portal, member: str) -> None:
    """A parameter beside the object, pushed and beside the reference, changes nothing."""
    asked = Asked(portal)
    pushed = asked.push(**{member: "outside"}).json()
    opened = portal.open_pushed(pushed["request_uri"], **{member: "outside"})
    flow(portal, Begun(opened, asked.claims["state"], asked.claims["nonce"], asked.verifier))


def test_fapi2_security_profile_final_state_only_outside_request_object_not_used(portal: Portal) -> None:
    asked = Asked(portal, state=None)
    pushed = asked.push(state="outside").json()
    opened = portal.open_pushed(pushed["request_uri"], state="outside")
    flow(portal, Begun(opened, None, asked.claims["nonce"], asked.verifier))


# -- JAR: what is refused ------------------------------------------------------------------------------------------


def test_fapi2_security_profile_final_ensure_request_object_without_exp_fails(portal: Portal) -> None:
    refused(Asked(portal, exp=None))


def test_fapi2_security_profile_final_ensure_request_object_without_nbf_fails(portal: Portal) -> None:
    refused(Asked(portal, nbf=None))


def test_fapi2_security_profile_final_ensure_expired_request_object_fails(rig: Rig, portal: Portal) -> None:
    refused(Asked(portal, exp=rig.clock() - 300, nbf=rig.clock() - 600))


def test_fapi2_security_profile_final_ensure_request_object_with_bad_aud_fails(
    rig: Rig, portal: Portal
) -> None:
    for aud in ("https://other1.example.com", rig.issuer + "1", None):
        refused(Asked(portal, aud=aud))


def test_fapi2_security_profile_final_ensure_request_object_with_exp_over_60_fails(
    rig: Rig, portal: Portal
) -> None:
    refused(Asked(portal, exp=rig.clock() + 70 * 60))


def test_fapi2_security_profile_final_ensure_request_object_with_nbf_over_60_fails(
    rig: Rig, portal: Portal
) -> None:
    refused(Asked(portal, nbf=rig.clock() - 70 * 60))


def test_fapi2_security_profile_final_ensure_signed_request_object_with_rs256_fails(rig: Rig) -> None:
    own = ECKey.import_key(rig.prepared.portal_key("efamily"))
    keys = [key.as_dict(private=False) for key in (own, RSA)]
    portal = signing(rig, "efamily", "signing-rsa", jwks={"keys": keys})
    asked = Asked(portal)
    flow(portal, asked.begun(asked.signed(RSA, "PS256")))
    asked = Asked(portal)
    refused(asked, asked.signed(RSA, "RS256"))


def test_fapi2_security_profile_final_ensure_request_object_signature_algorithm_is_not_none(
    portal: Portal,
) -> None:
    asked = Asked(portal)
    _, claims, signature = asked.signed().split(".")
    header = b64(b'{"alg":"none"}')
    refused(asked, f"{header}.{claims}.")
    refused(asked, f"{header}.{claims}.{signature}")


def test_fapi2_security_profile_final_ensure_request_object_with_invalid_signature_fails(
    portal: Portal,
) -> None:
    asked = Asked(portal)
    header, claims, signature = asked.signed().split(".")
    broken = bytearray(unb64(signature))
    broken[5] ^= 0x5A
    refused(asked, f"{header}.{claims}.{b64(bytes(broken))}")


def test_fapi2_security_profile_final_ensure_matching_key_in_authorization_request(
    rig: Rig, portal: Portal
) -> None:
    asked = Asked(portal)
    refused(asked, asked.signed(ECKey.import_key(rig.prepared.portal_key("bank"))))


def test_fapi2_security_profile_final_ensure_unsigned_request_at_par_endpoint_fails(portal: Portal) -> None:
    as_json(portal.push(), 400, "invalid_request")


def test_fapi2_security_profile_final_par_authorization_request_containing_request_uri(
    portal: Portal,
) -> None:
    refused(Asked(portal, request_uri="urn:ietf:params:oauth:request_uri:random"))


def test_fapi2_security_profile_final_ensure_request_object_without_redirect_uri_fails(
    portal: Portal,
) -> None:
    # One that stands beside the object does not count.
    answered = Asked(portal, redirect_uri=None).push(redirect_uri=portal.redirect_uri)
    as_json(answered, 400, "invalid_request")


def test_fapi2_security_profile_final_ensure_registered_redirect_uri(portal: Portal) -> None:
    asked = Asked(portal, redirect_uri=portal.redirect_uri + "/unregistered")
    as_json(asked.push(), 400, "invalid_request")


def test_fapi2_security_profile_final_ensure_response_type_code_idtoken_fails(portal: Portal) -> None:
    as_json(Asked(portal, response_type="code id_token").push(), 400, "unsupported_response_type")


def test_fapi2_security_profile_final_ensure_response_type_token_fails(portal: Portal) -> None:
    as_json(Asked(portal, response_type="token").push(), 400, "unsupported_response_type")


def test_fapi2_security_profile_final_a_signed_request_that_is_not_pushed_fails(
    rig: Rig, portal: Portal
) -> None:
    asked = Asked(portal)
    begun = portal.begin(request=asked.signed(), state=asked.claims["state"])
    to_portal(begun.response, portal.redirect_uri, "invalid_request", asked.claims["state"], rig.issuer)


# -- JARM ----------------------------------------------------------------------------------------------------------


def opened(portal: Portal, location: str, alg: str = "ES256") -> dict[str, Any]:
    """The claims of a signed response, checked as the suite does: `response` and nothing else in the query."""
    query = parse_qs(urlsplit(location).query)
    assert set(query) == {"response"} | set(parse_qs(urlsplit(portal.redirect_uri).query)), location
    keys = KeySet.import_key_set(portal.rig.http.get(f"{portal.rig.issuer}/jwks").json())
    token = jwt.decode(query["response"][0], keys, algorithms=[alg])
    claims = dict(token.claims)
    now = portal.rig.clock()
    assert claims.pop("iss") == portal.rig.issuer
    assert claims.pop("aud") == portal.client_id
    assert now < claims.pop("exp") <= now + 600
    claims.pop("iat", None)
    return claims


def through(portal: Portal, begun: Begun) -> str:
    """Where the browser is sent after a whole sign-in."""
    return str(portal.agree(portal.to_consent(begun)).headers["Location"])


def test_fapi2_security_profile_final_discovery_end_point_verification_with_jarm(rig: Rig) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert "jwt" in said["response_modes_supported"]
    strong = {"PS256", "ES256", "EdDSA"}
    assert strong & set(said["authorization_signing_alg_values_supported"])
    assert strong & set(said["request_object_signing_alg_values_supported"])
    assert "none" not in said["request_object_signing_alg_values_supported"]
    for name in ("alg", "enc"):
        assert isinstance(said[f"authorization_encryption_{name}_values_supported"], list)


@pytest.mark.parametrize("state", ["s" * 128, None])
@pytest.mark.parametrize(("alg", "query"), [("ES256", ""), ("PS256", WITH_QUERY)])
def test_fapi2_security_profile_final_happy_flow_with_jarm(
    rig: Rig, alg: str, query: str, state: str | None
) -> None:
    portal = signing(rig, "efamily", "jarm", authorization_signed_response_alg=alg)
    with rig.app.app_context():
        rig.house.keys.ensure([alg])  # as `idp portals apply` does
    portal.redirect_uri += query
    begun = Asked(portal, response_mode="jwt", state=state).begun()
    said = opened(portal, through(portal, begun), alg)
    code = said.pop("code")
    assert said == ({"state": state} if state else {})
    bought(portal, portal.token(code, begun.verifier), begun)


def test_fapi2_security_profile_final_user_rejects_authentication_with_jarm(rig: Rig, portal: Portal) -> None:
    begun = Asked(portal, response_mode="jwt", prompt="consent").begun()
    consent = portal.open(portal.to_consent(begun).headers["Location"])
    answered = portal.submit(consent, "consent", decision="refuse")
    while answered.headers["Location"].startswith("/"):
        answered = portal.browser.get(portal.absolute(answered.headers["Location"]))
    said = opened(portal, answered.headers["Location"])
    assert said.pop("error_description")
    assert said == {"error": "access_denied", "state": begun.state}


def test_fapi2_security_profile_final_par_attempt_reuse_request_uri_with_jarm(portal: Portal) -> None:
    """A sign-in that was under way with a request that another one used up: told in the same way."""
    pushed = Asked(portal, response_mode="jwt").push().json()["request_uri"]
    late, first = portal.open_pushed(pushed), portal.open_pushed(pushed)
    assert "code" in opened(portal, through(portal, Begun(first, None, None, "")))
    said = opened(portal, through(portal, Begun(late, None, None, "")))
    assert said["error"] == "invalid_request_uri"


def test_a_plain_answer_of_a_signed_request_still_names_its_issuer(portal: Portal) -> None:
    assert arrived(portal, Asked(portal).begun())["iss"] == portal.rig.issuer
