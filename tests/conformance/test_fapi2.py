"""FAPI 2.0 Security Profile Final: a test named after every module of the plan that applies here.

`fapi2-security-profile-final-test-plan` for plain_fapi, private_key_jwt, DPoP, OpenID Connect, unsigned requests and
plain responses; where client certificates make a difference, with `mtls` for authentication and binding as well. The
suite's protected resource is UserInfo. TLS versions and ciphers are the proxy's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc.jwk import RSAKey

from idp.seal import b64, unb64
from tests.conformance.fapi2 import (
    CERTIFICATE_HEADER,
    WITH_QUERY,
    arrived,
    bought,
    by_certificate,
    by_dpop,
    flow,
    one_of,
    provider,
    ready,
)
from tests.harmless import as_json, page, to_portal
from tests.oidc.certificates import Made, make
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig

PROOF_REFUSED = ("invalid_request", "invalid_grant", "invalid_dpop_proof")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with provider(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture(scope="module")
def certificates() -> tuple[Made, Made]:
    """Of the first and of the second client."""
    first, second = (make(f"CN={name}", at=int(time.time())) for name in ("first", "second"))
    return first, second


@pytest.fixture
def portal(rig: Rig) -> Portal:
    """The first client: private_key_jwt and DPoP."""
    return by_dpop(rig, "efamily", "fapi2-first")


@pytest.fixture
def other(rig: Rig) -> Portal:
    """The second client."""
    return by_dpop(rig, "bank", "fapi2-second", sector_identifier="second.example")


@pytest.fixture(params=["dpop", "mtls"])
def pair(request: pytest.FixtureRequest, rig: Rig, certificates: tuple[Made, Made]) -> tuple[Portal, Portal]:
    """Both clients, of either kind."""
    if request.param == "dpop":
        return by_dpop(rig, "efamily", "pair-first"), by_dpop(rig, "bank", "pair-second")
    first, second = certificates
    return (
        by_certificate(rig, "efamily", "pair-first-mtls", first),
        by_certificate(rig, "bank", "pair-second-mtls", second),
    )


# -- discovery and whole flows -----------------------------------------------------------------------------------


def test_fapi2_security_profile_final_discovery_end_point_verification(rig: Rig) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert "code" in said["response_types_supported"]
    assert said["authorization_response_iss_parameter_supported"] is True
    assert said["pushed_authorization_request_endpoint"].startswith(rig.issuer)
    assert isinstance(said["require_pushed_authorization_requests"], bool)
    strong = {"PS256", "ES256", "EdDSA"}
    for place in ("id_token", "token_endpoint_auth", "dpop"):
        assert strong & set(said[f"{place}_signing_alg_values_supported"])
    methods = said["token_endpoint_auth_methods_supported"]
    assert {"private_key_jwt", "self_signed_tls_client_auth"} <= set(methods)
    assert said["tls_client_certificate_bound_access_tokens"] is True
    assert "S256" in said["code_challenge_methods_supported"]
    assert "refresh_token" in said["grant_types_supported"]
    assert "openid" in said["scopes_supported"]
    assert said["subject_types_supported"]


def test_fapi2_security_profile_final_happy_flow(pair: tuple[Portal, Portal]) -> None:
    first, second = pair
    flow(first)
    second.redirect_uri += WITH_QUERY
    jkt = second.prover.jkt if second.prover else None
    claims = flow(second, nonce="n" * 43, dpop_jkt=jkt)
    access_token = claims["_tokens"]["access_token"]
    in_query = second.rig.http.get(f"{second.rig.issuer}/userinfo?access_token={access_token}")
    assert in_query.status_code == 400


@pytest.mark.parametrize("where", ["sign-in page", "consent page"])
def test_fapi2_security_profile_final_user_rejects_authentication(
    rig: Rig, portal: Portal, where: str
) -> None:
    portal.redirect_uri += WITH_QUERY
    begun = portal.begin_pushed(state="s" * 128, prompt="consent")
    if where == "sign-in page":
        form = {"csrf": csrf(portal, begun)}
        answered = portal.browser.post(portal.absolute(f"{begun.location}/cancel"), data=form)
    else:
        consent = portal.open(portal.to_consent(begun).headers["Location"])
        answered = portal.submit(consent, "consent", decision="refuse")
    while answered.headers["Location"].startswith("/"):
        answered = portal.browser.get(portal.absolute(answered.headers["Location"]))
    told = to_portal(answered, portal.redirect_uri, "access_denied", begun.state, rig.issuer)
    assert set(told) <= {"error", "error_description", "state", "iss", "dummy1", "dummy2"}
    assert (told["dummy1"], told["dummy2"]) == ("lorem", "ipsum")


def csrf(portal: Portal, begun: Begun) -> str:
    fields = [item for item in portal.page(begun).root.below() if item.attributes.get("name") == "csrf"]
    return str(fields[0].attributes["value"])


def test_fapi2_security_profile_final_ensure_authorization_request_without_state_success(
    portal: Portal,
) -> None:
    flow(portal, state=None)


def test_fapi2_security_profile_final_ensure_authorization_request_without_nonce_success(
    portal: Portal,
) -> None:
    assert "nonce" not in flow(portal, nonce=None)


def test_fapi2_security_profile_final_ensure_authorization_request_with_64_char_nonce_success(
    portal: Portal,
) -> None:
    assert flow(portal, nonce="n" * 64)["nonce"] == "n" * 64


def test_fapi2_security_profile_final_ensure_authorization_request_with_long_nonce(portal: Portal) -> None:
    assert flow(portal, nonce="n" * 384)["nonce"] == "n" * 384


def test_fapi2_security_profile_final_ensure_authorization_request_with_long_state(portal: Portal) -> None:
    flow(portal, state="s" * 1024)


def test_fapi2_security_profile_final_ensure_other_scope_order_succeeds(portal: Portal) -> None:
    flow(portal, scope=" ".join(reversed(portal.registration["scopes"])))


def test_fapi2_security_profile_final_test_claims_parameter_identity_claims(rig: Rig, portal: Portal) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert said["claims_parameter_supported"] is True
    forms: list[Any] = [None, {"essential": True}, {"essential": False}]
    asked = {name: forms[place % 3] for place, name in enumerate(said["claims_supported"]) if name != "sub"}
    asked["unknown-claim"] = {"value": "anything"}
    for place in ("iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"):
        del asked[place]
    begun = portal.begin_pushed(claims=json.dumps({"id_token": asked, "userinfo": asked}))
    code = arrived(portal, begun)["code"]
    tokens = portal.token(code, begun.verifier).json()
    registered = {claim["name"] for claim in portal.registration["claims"] if claim.get("required", True)}
    for claims in (
        portal.id_token_claims(tokens["id_token"]),
        portal.userinfo(tokens["access_token"]).json(),
    ):
        assert registered <= set(claims)
        assert "unknown-claim" not in claims


# -- DPoP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "dPoP"])
def test_fapi2_security_profile_final_access_token_type_header_case_sensitivity(
    portal: Portal, scheme: str
) -> None:
    access_token = flow(portal)["_tokens"]["access_token"]
    assert portal.userinfo(access_token, scheme=scheme).status_code == 200


def test_fapi2_security_profile_final_check_dpop_proof_nbf_exp(rig: Rig, portal: Portal) -> None:
    with_both = {"nbf": rig.clock(), "exp": rig.clock() + 300}
    proofs_work(portal, **with_both)


def test_fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_before_succeeds(
    rig: Rig, portal: Portal
) -> None:
    proofs_work(portal, iat=rig.clock() - 10)


def test_fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_after_succeeds(
    rig: Rig, portal: Portal
) -> None:
    proofs_work(portal, iat=rig.clock() + 10)


def proofs_work(portal: Portal, **changes: Any) -> None:
    """Proofs with these claims are taken by all three endpoints."""
    begun = portal.begin_pushed(dpop=[portal.proof("/par", **changes)])
    code = arrived(portal, begun)["code"]
    response = portal.token(code, begun.verifier, dpop=[portal.proof("/token", **changes)])
    access_token = bought(portal, response, begun)["_tokens"]["access_token"]
    shown = portal.proof("/userinfo", "GET", access_token=access_token, **changes)
    assert portal.userinfo(access_token, dpop=[shown]).status_code == 200


def test_fapi2_security_profile_final_ensure_mismatched_dpop_jkt_fails(portal: Portal) -> None:
    refused = portal.push(dpop_jkt=Prover().jkt, dpop=portal.prover)
    one_of(refused, "invalid_request", "invalid_dpop_proof")


def test_fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt(
    portal: Portal,
) -> None:
    code, verifier = ready(portal, dpop=portal.prover)
    one_of(portal.token(code, verifier, dpop=Prover()), *PROOF_REFUSED)


def test_fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_jkt(
    portal: Portal,
) -> None:
    code, verifier = ready(portal, dpop_jkt=Prover().jkt)
    one_of(portal.token(code, verifier), *PROOF_REFUSED)


def test_fapi2_security_profile_final_ensure_dpopproof_at_par_endpoint_binding_success(
    portal: Portal,
) -> None:
    flow(portal, dpop=portal.prover)


def test_fapi2_security_profile_final_ensure_dpop_auth_code_binding_success(portal: Portal) -> None:
    assert portal.prover is not None
    flow(portal, dpop=portal.prover, dpop_jkt=portal.prover.jkt)


class Shown:
    """An access token, and what the suite shows with it."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.access_token = str(flow(portal)["_tokens"]["access_token"])

    def proof(self, **changes: Any) -> str:
        good = {"access_token": self.access_token, **changes}
        return self.portal.proof("/userinfo", "GET", **good)

    def status(self, *proofs: str, scheme: str = "DPoP") -> int:
        answered = self.portal.userinfo(self.access_token, dpop=proofs, scheme=scheme)
        if answered.status_code != 200:
            assert answered.headers["WWW-Authenticate"].split(" ")[0] in {"DPoP", "Bearer"}
        return answered.status_code


@pytest.fixture(scope="module")
def shown(rig: Rig) -> Shown:
    return Shown(by_dpop(rig, "efamily", "fapi2-shown"))


HOUR = 3600
REFUSED_PROOFS: dict[str, dict[str, Any]] = {
    "no typ": {"header": {"typ": None}},
    "no alg": {"header": {"alg": None}},
    "no jwk": {"header": {"jwk": None}},
    "no jti": {"jti": None},
    "no htm": {"htm": None},
    "no htu": {"htu": None},
    "no iat": {"iat": None},
    "no ath": {"ath": None},
    "another typ": {"header": {"typ": "jwt"}},
    "alg none": {"header": {"alg": "none"}},
    "another method": {"htm": "PUT"},
    "another url": {"htu": "https://www.example.com/"},
    "another ath": {"ath": b64(b"0" * 32)},
}


@pytest.mark.parametrize("changes", REFUSED_PROOFS.values(), ids=REFUSED_PROOFS.keys())
def test_fapi2_security_profile_final_dpop_negative_tests(shown: Shown, changes: dict[str, Any]) -> None:
    assert shown.status(shown.proof(**changes)) == 401
    assert shown.status(shown.proof()) == 200


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
def test_fapi2_security_profile_final_dpop_negative_tests_iat_an_hour_off(shown: Shown, seconds: int) -> None:
    at = shown.portal.rig.clock() + seconds
    assert shown.status(shown.proof(at=at)) == 401
    # Without a nonce it is refused for its time, not asked for a nonce: the suite takes a nonce for leave to pass.
    answered = shown.portal.userinfo(shown.access_token, dpop=[shown.proof(at=at, nonce=None)])
    assert answered.json()["error"] == "invalid_dpop_proof"


def test_fapi2_security_profile_final_dpop_negative_tests_two_proofs_or_none(shown: Shown) -> None:
    assert shown.status(shown.proof(), shown.proof()) == 401
    assert shown.status() == 401
    assert shown.status(scheme="Bearer") == 401
    assert shown.status(shown.proof(), scheme="Bearer") == 401


def test_fapi2_security_profile_final_dpop_negative_tests_not_a_jwt(shown: Shown) -> None:
    header, claims, signature = shown.proof().split(".")
    for malformed in (
        f"{header}.{claims}",
        f"{header}{claims}.{signature}",
        f"x.{header}.{claims}.{signature}",
    ):
        assert shown.status(malformed) == 401
    assert shown.status(f"{header}.{claims}.") == 401
    broken = bytearray(unb64(signature))
    broken[5] ^= 0x5A
    assert shown.status(f"{header}.{claims}.{b64(bytes(broken))}") == 401


def test_fapi2_security_profile_final_dpop_negative_tests_rs256(shown: Shown) -> None:
    key = RSAKey.generate_key(2048)
    assert shown.status(shown.proof(by=Prover(key, "RS256"))) == 401


def test_fapi2_security_profile_final_dpop_negative_tests_private_key_in_jwk(shown: Shown) -> None:
    assert shown.portal.prover is not None
    private = shown.portal.prover.key.as_dict(private=True)
    assert shown.status(shown.proof(header={"jwk": private})) == 401


def test_fapi2_security_profile_final_dpop_negative_tests_jti_used_twice(shown: Shown) -> None:
    jti = "fixed" + b64(b"once")
    assert shown.status(shown.proof(jti=jti)) == 200
    assert shown.status(shown.proof(jti=jti)) == 401


def test_fapi2_security_profile_final_dpop_negative_tests_another_key(shown: Shown) -> None:
    assert shown.status(shown.proof(by=Prover())) == 401


def test_fapi2_security_profile_final_dpop_negative_tests_what_must_be_taken(rig: Rig, shown: Shown) -> None:
    url = f"{rig.issuer}/userinfo"
    upper = url.replace("http://", "HTTP://")
    taken = [
        shown.proof(htu=url + "?query=1#fragment"),
        shown.proof(htu=upper),
        shown.proof(header={"extra": "header"}, extra="claim"),
    ]
    for proof in taken:
        assert shown.status(proof) == 200
    capitals = {"AUTHORIZATION": f"DPoP {shown.access_token}", "DPOP": shown.proof()}
    assert rig.http.get(url, headers=capitals).status_code == 200


# -- one request, said twice ---------------------------------------------------------------------------------------


def test_fapi2_security_profile_final_ensure_different_nonce_inside_and_outside_request_object(
    portal: Portal,
) -> None:
    pushed, parameters, verifier = portal._push(nonce="inside")
    opened = portal.open_pushed(pushed.json()["request_uri"], nonce="outside")
    assert flow(portal, Begun(opened, parameters["state"], "inside", verifier))["nonce"] == "inside"


def test_fapi2_security_profile_final_ensure_different_state_inside_and_outside_request_object(
    portal: Portal,
) -> None:
    state_outside(portal, "inside")


def test_fapi2_security_profile_final_state_only_outside_request_object_not_used(portal: Portal) -> None:
    state_outside(portal, None)


def state_outside(portal: Portal, inside: str | None) -> None:
    """A `state` beside the reference changes nothing."""
    pushed, parameters, verifier = portal._push(state=inside)
    opened = portal.open_pushed(pushed.json()["request_uri"], state="outside")
    flow(portal, Begun(opened, inside, parameters["nonce"], verifier))


def test_fapi2_security_profile_final_par_without_duplicate_parameters(portal: Portal) -> None:
    pushed, parameters, verifier = portal._push()
    query = {"client_id": portal.client_id, "request_uri": pushed.json()["request_uri"]}
    opened = portal.browser.get(f"{portal.rig.issuer}/authorize", params=query)
    flow(portal, Begun(opened, parameters["state"], parameters["nonce"], verifier))


# -- requests that are refused -------------------------------------------------------------------------------------


def test_fapi2_security_profile_final_ensure_redirect_uri_in_authorization_request(portal: Portal) -> None:
    as_json(portal.push(redirect_uri=None), 400, "invalid_request")


def test_fapi2_security_profile_final_ensure_request_object_without_redirect_uri_fails(
    portal: Portal,
) -> None:
    """Here it is the pushed request; a signed one is in test_message_signing."""
    refused = portal.push(redirect_uri=None, state=None)
    as_json(refused, 400, "invalid_request")
    assert "request_uri" not in refused.json()


def test_fapi2_security_profile_final_plain_fapi_tolerate_unregistered_redirect_uri(portal: Portal) -> None:
    refused = portal.push(redirect_uri=portal.redirect_uri + "/unregistered")
    as_json(refused, 400, "invalid_request")


def test_fapi2_security_profile_final_ensure_unsigned_authorization_request_without_using_par_fails(
    rig: Rig, portal: Portal
) -> None:
    begun = portal.begin()
    to_portal(begun.response, portal.redirect_uri, "invalid_request", begun.state, rig.issuer)


def test_fapi2_security_profile_final_ensure_response_type_code_idtoken_fails(portal: Portal) -> None:
    as_json(portal.push(response_type="code id_token"), 400, "unsupported_response_type")


def test_fapi2_security_profile_final_ensure_response_type_token_fails(portal: Portal) -> None:
    as_json(portal.push(response_type="token"), 400, "unsupported_response_type")


def test_fapi2_security_profile_final_par_ensure_pkce_required(portal: Portal) -> None:
    as_json(portal.push(code_challenge=None, code_challenge_method=None), 400, "invalid_request")


def test_fapi2_security_profile_final_par_plain_pkce_rejected(portal: Portal) -> None:
    as_json(portal.push(code_challenge="a" * 43, code_challenge_method="plain"), 400, "invalid_request")


def test_fapi2_security_profile_final_par_authorization_request_containing_request_uri_form_param(
    portal: Portal,
) -> None:
    refused = portal.push(request_uri="urn:ietf:params:oauth:request_uri:random")
    one_of(refused, "invalid_request", "invalid_request_object", "request_uri_not_supported")


def test_fapi2_security_profile_final_par_attempt_invalid_http_method(rig: Rig, portal: Portal) -> None:
    parameters, _ = portal.parameters()
    credentials, _ = portal.credentials()
    for method in ("PUT", "GET"):
        refused = rig.http.request(method, f"{rig.issuer}/par", data={**parameters, **credentials})
        assert refused.status_code == 405


def test_fapi2_security_profile_final_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(
    portal: Portal,
) -> None:
    pushed, parameters, verifier = portal._push()
    request_uri = pushed.json()["request_uri"]
    portal.page(Begun(portal.open_pushed(request_uri), None, None, verifier))
    opened = portal.open_pushed(request_uri)
    flow(portal, Begun(opened, parameters["state"], parameters["nonce"], verifier))


def test_fapi2_security_profile_final_par_attempt_reuse_request_uri(portal: Portal) -> None:
    pushed, parameters, verifier = portal._push()
    request_uri = pushed.json()["request_uri"]
    opened = portal.open_pushed(request_uri)
    flow(portal, Begun(opened, parameters["state"], parameters["nonce"], verifier))
    page(portal.open_pushed(request_uri), 400, "SINWON-R006")


def test_fapi2_security_profile_final_par_attempt_to_use_expired_request_uri(
    rig: Rig, portal: Portal
) -> None:
    pushed = portal.push().json()
    assert 5 <= pushed["expires_in"] < 600
    rig.clock.forward(pushed["expires_in"] + 1)
    page(portal.open_pushed(pushed["request_uri"]), 400, "SINWON-R005")


def test_fapi2_security_profile_final_par_attempt_to_use_request_uri_for_different_client(
    portal: Portal, other: Portal
) -> None:
    request_uri = portal.push().json()["request_uri"]
    page(other.open_pushed(request_uri), 400, "SINWON-R005")


# -- client assertions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paths", [("",), ("", "/token", "/par")])
def test_fapi2_security_profile_final_par_test_array_as_audience_fails(
    rig: Rig, portal: Portal, paths: tuple[str, ...]
) -> None:
    audience_refused(portal, [rig.issuer + path for path in paths])


def test_fapi2_security_profile_final_par_test_par_endpoint_url_as_audience_fails(
    rig: Rig, portal: Portal
) -> None:
    audience_refused(portal, f"{rig.issuer}/par")


def test_fapi2_security_profile_final_par_test_token_endpoint_url_as_audience_fails(
    rig: Rig, portal: Portal
) -> None:
    audience_refused(portal, f"{rig.issuer}/token")


def audience_refused(portal: Portal, aud: str | list[str]) -> None:
    as_json(portal.push(client_assertion=portal.assertion(aud=aud)), 401, "invalid_client")


def test_fapi2_security_profile_final_par_ensure_jwt_client_assertions_nbf_8_seconds_in_the_future_is_accepted(
    rig: Rig, portal: Portal
) -> None:
    at = rig.clock() + 8
    pushed = portal.push(client_assertion=portal.assertion(iat=at, nbf=at))
    assert pushed.status_code == 201, pushed.text


def test_fapi2_security_profile_final_par_ensure_jwt_client_assertions_nbf_over_60_seconds_in_the_future_fails(
    rig: Rig, portal: Portal
) -> None:
    at = rig.clock() + 65
    refused = portal.push(client_assertion=portal.assertion(iat=at, nbf=at, exp=at + 60))
    as_json(refused, 401, "invalid_client")


def test_fapi2_security_profile_final_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails(
    rig: Rig, portal: Portal
) -> None:
    assertion_refused(portal, exp=rig.clock() - 300)


def test_fapi2_security_profile_final_ensure_client_assertion_with_wrong_aud_fails(portal: Portal) -> None:
    assertion_refused(portal, aud="https://other1.example.com/invalid")


def test_fapi2_security_profile_final_ensure_client_assertion_with_no_sub_fails(portal: Portal) -> None:
    assertion_refused(portal, sub=None)


def assertion_refused(portal: Portal, **changes: Any) -> None:
    """At the token endpoint, with a code that is good."""
    code, verifier = ready(portal)
    refused = portal.token(code, verifier, client_assertion=portal.assertion(**changes))
    as_json(refused, 401, "invalid_client")


def test_fapi2_security_profile_final_ensure_signed_client_assertion_with_rs256_fails(rig: Rig) -> None:
    key = RSAKey.generate_key(2048)
    portal = by_dpop(rig, "efamily", "fapi2-rsa", jwks={"keys": [key.as_dict(private=False)]})
    strong = portal.push(client_assertion=portal.assertion(header={"alg": "PS256"}, key=key))
    assert strong.status_code == 201, strong.text
    opened = Begun(portal.open_pushed(strong.json()["request_uri"]), None, None, "")
    code = portal.callback(opened)["code"]
    weak = portal.assertion(header={"alg": "RS256"}, key=key)
    as_json(portal.token(code, "v" * 43, client_assertion=weak), 401, "invalid_client")


def test_fapi2_security_profile_final_ensure_client_assertion_in_token_endpoint(portal: Portal) -> None:
    code, verifier = ready(portal)
    refused = portal.token(
        code, verifier, client_id=portal.client_id, client_assertion=None, client_assertion_type=None
    )
    one_of(refused, "invalid_client", "invalid_request", status=(400, 401))


# -- codes ---------------------------------------------------------------------------------------------------------


def test_fapi2_security_profile_final_ensure_client_id_in_token_endpoint(pair: tuple[Portal, Portal]) -> None:
    """The second client names itself, with the first one's code and, where it has one, certificate."""
    first, second = pair
    code, verifier = ready(first)
    response = first.token(code, verifier, **as_the_second(second))
    one_of(response, "invalid_client", "invalid_grant", status=(400, 401))


def as_the_second(second: Portal) -> dict[str, Any]:
    if second.prover is None:
        return {"client_id": second.client_id}
    return {"client_id": second.client_id, "client_assertion": second.assertion()}


def test_fapi2_security_profile_final_ensure_holder_of_key_required(pair: tuple[Portal, Portal]) -> None:
    portal, _ = pair
    code, verifier = ready(portal)
    portal.headers.clear()
    refused = portal.token(code, verifier, dpop=())
    if portal.prover is None:
        one_of(refused, "invalid_client", "invalid_request", status=(400, 401))
    else:
        one_of(refused, *PROOF_REFUSED)


def test_fapi2_security_profile_final_ensure_holder_of_key_required_with_private_key_jwt_and_mtls(
    rig: Rig, certificates: tuple[Made, Made]
) -> None:
    portal = by_dpop(
        rig,
        "efamily",
        "fapi2-mixed",
        dpop_bound_access_tokens=False,
        tls_client_certificate_bound_access_tokens=True,
    )
    portal.prover = None
    code, verifier = ready(portal)
    one_of(portal.token(code, verifier), "invalid_request", "invalid_grant", "invalid_client")
    portal.headers[CERTIFICATE_HEADER] = certificates[0].sequence
    access_token = portal.token(code, verifier).json()["access_token"]
    assert portal.userinfo(access_token).status_code == 200
    portal.headers[CERTIFICATE_HEADER] = certificates[1].sequence
    assert portal.userinfo(access_token).status_code == 401


def test_fapi2_security_profile_final_ensure_authorization_code_is_bound_to_client(
    pair: tuple[Portal, Portal],
) -> None:
    first, second = pair
    code, verifier = ready(first)
    refused = second.token(code, verifier, redirect_uri=first.redirect_uri)
    as_json(refused, 400, "invalid_grant")


def test_fapi2_security_profile_final_attempt_reuse_authorization_code_after_one_second(
    rig: Rig, portal: Portal
) -> None:
    code, verifier = ready(portal)
    tokens = portal.token(code, verifier).json()
    rig.clock.forward(1)
    as_json(portal.token(code, verifier), 400, "invalid_grant")
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_fapi2_security_profile_final_ensure_token_endpoint_fails_with_expired_auth_code(
    rig: Rig, portal: Portal
) -> None:
    code, verifier = ready(portal)
    rig.clock.forward(61)
    as_json(portal.token(code, verifier), 400, "invalid_grant")


def test_fapi2_security_profile_final_ensure_pkce_code_verifier_required(portal: Portal) -> None:
    code, verifier = ready(portal)
    as_json(portal.token(code, verifier, code_verifier=None), 400, "invalid_grant")


def test_fapi2_security_profile_final_incorrect_pkce_code_verifier_rejected(portal: Portal) -> None:
    code, verifier = ready(portal)
    as_json(portal.token(code, verifier[::-1]), 400, "invalid_grant")


# -- refresh tokens ------------------------------------------------------------------------------------------------


def test_fapi2_security_profile_final_refresh_token(pair: tuple[Portal, Portal]) -> None:
    first, second = pair
    before = flow(first)
    token = before["_tokens"]["refresh_token"]
    scope = before["_tokens"]["scope"]
    after = refreshed(first, first.refresh(token, scope=scope))
    assert {name: after[name] for name in ("iss", "sub", "aud", "auth_time")} == {
        name: before[name] for name in ("iss", "sub", "aud", "auth_time")
    }
    assert "nonce" not in after or after["nonce"] == before["nonce"]
    # Not rotated (FAPI 2.0 Security Profile, section 5.3.2.1): a lost answer locks nobody out.
    refreshed(first, first.refresh(token, scope=scope))
    as_json(second.refresh(token, scope=scope), 400, "invalid_grant")
    no_proof(first, token, scope)
    refreshed(first, first.refresh(token, scope=scope))


def refreshed(portal: Portal, response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    tokens = response.json()
    assert portal.userinfo(tokens["access_token"]).status_code == 200
    return portal.id_token_claims(tokens["id_token"])


def no_proof(portal: Portal, token: str, scope: str) -> None:
    """Neither without the key nor without authentication."""
    kept = dict(portal.headers)
    portal.headers.clear()
    refused = portal.refresh(token, scope=scope, dpop=())
    one_of(refused, "invalid_client", *PROOF_REFUSED, status=(400, 401))
    portal.headers.update(kept)
    if portal.prover is not None:
        nobody = {"client_assertion": None, "client_assertion_type": None}
        one_of(portal.refresh(token, scope=scope, **nobody), "invalid_client", status=(400, 401))
        named = {**nobody, "client_id": portal.client_id}
        one_of(portal.refresh(token, scope=scope, **named), "invalid_client", status=(400, 401))
