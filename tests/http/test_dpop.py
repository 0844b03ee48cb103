"""Tokens bound by DPoP (RFC 9449): bought with a proof, used with a proof of the same key."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc.jwk import RSAKey

from idp.oidc.dpop import DPOP_ALGORITHMS
from tests.harmless import as_json, harmless
from tests.http.client_requests import UNKNOWN_CODE
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig


@pytest.fixture(scope="module")
def bound(rig: Rig) -> Portal:
    """A portal that registered bound tokens."""
    return rig.variant("gov24", "bound", dpop_bound_access_tokens=True)


@pytest.fixture(scope="module")
def prover() -> Prover:
    return Prover()


def token(portal: Portal, code: str, verifier: str, *proofs: str) -> httpx2.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": portal.redirect_uri,
        "code_verifier": verifier,
    }
    credentials, authorization = portal.credentials()
    headers = [("DPoP", proof) for proof in proofs]
    headers += [("Authorization", authorization)] if authorization else []
    return portal.rig.http.post(f"{portal.rig.issuer}/token", data={**form, **credentials}, headers=headers)


def nonce(rig: Rig) -> str:
    """The nonce as a portal learns it."""
    portal = rig.portal("gov24")
    refused = token(portal, "x" * 43, "y" * 43, Prover().proof(f"{rig.issuer}/token", at=rig.clock()))
    as_json(refused, 400, "use_dpop_nonce")
    return str(refused.headers["DPoP-Nonce"])


def proof(rig: Rig, prover: Prover, path: str = "/token", method: str = "POST", **changes: Any) -> str:
    good = {"at": rig.clock(), "nonce": nonce(rig), **changes}
    return prover.proof(rig.issuer + path, method, **good)


def userinfo(
    rig: Rig, access_token: str, *proofs: str, scheme: str = "DPoP", method: str = "GET"
) -> httpx2.Response:
    headers = [("Authorization", f"{scheme} {access_token}"), *[("DPoP", given) for given in proofs]]
    return rig.http.request(method, f"{rig.issuer}/userinfo", headers=headers)


# -- buying ------------------------------------------------------------------------------------------------------


def test_a_bound_token_is_bought_and_used_with_proofs_of_one_key(
    rig: Rig, bound: Portal, prover: Prover
) -> None:
    code, begun = bound.code()
    bought = token(bound, code, begun.verifier, proof(rig, prover))
    assert bought.status_code == 200, bought.text
    assert bought.json()["token_type"] == "DPoP"
    access_token = bought.json()["access_token"]
    for scheme, method in [("DPoP", "GET"), ("dpop", "POST")]:
        shown = proof(rig, prover, "/userinfo", method, access_token=access_token)
        assert userinfo(rig, access_token, shown, scheme=scheme, method=method).status_code == 200


def test_any_portal_may_have_its_token_bound(rig: Rig, prover: Prover) -> None:
    portal = rig.portal("gov24")
    code, begun = portal.code()
    assert token(portal, code, begun.verifier, proof(rig, prover)).json()["token_type"] == "DPoP"


def test_a_portal_that_registered_bound_tokens_gets_no_other(rig: Rig, bound: Portal, prover: Prover) -> None:
    code, begun = bound.code()
    with harmless(rig, ("token.refused", "dpop_missing")):
        as_json(token(bound, code, begun.verifier), 400, "invalid_dpop_proof")
    # The code was not spent on it.
    assert token(bound, code, begun.verifier, proof(rig, prover)).status_code == 200


def test_a_proof_without_our_nonce_is_answered_with_one_and_the_code_is_kept(
    rig: Rig, bound: Portal, prover: Prover
) -> None:
    code, begun = bound.code()
    with harmless(rig):
        refused = token(bound, code, begun.verifier, prover.proof(f"{rig.issuer}/token", at=rig.clock()))
        as_json(refused, 400, "use_dpop_nonce")
    given = refused.headers["DPoP-Nonce"]
    again = prover.proof(f"{rig.issuer}/token", at=rig.clock(), nonce=given)
    assert token(bound, code, begun.verifier, again).status_code == 200


def test_two_proofs_or_a_spent_one_buy_nothing(rig: Rig, bound: Portal, prover: Prover) -> None:
    one = proof(rig, prover)
    with harmless(rig, ("token.refused", "dpop_header"), UNKNOWN_CODE, ("token.refused", "dpop_replayed")):
        as_json(token(bound, "x" * 43, "y" * 43, one, proof(rig, prover)), 400, "invalid_dpop_proof")
        as_json(token(bound, "x" * 43, "y" * 43, one), 400, "invalid_grant")
        as_json(token(bound, "x" * 43, "y" * 43, one), 400, "invalid_dpop_proof")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"at": 1}, "iat"),
        ({"method": "GET"}, "htm"),
        ({"path": "/userinfo"}, "htu"),
        ({"header": {"typ": "JWT"}}, "typ"),
        ({"header": {"alg": "none"}}, "alg"),
        ({"header": {"jwk": RSAKey.generate_key(2048).as_dict(private=False)}}, "jwk"),
        ({"jti": None}, "jti"),
    ],
    ids=["iat", "htm", "htu", "typ", "alg", "jwk", "jti"],
)
def test_a_bad_proof_buys_nothing_and_the_audit_says_why(
    rig: Rig, bound: Portal, prover: Prover, changes: dict[str, Any], reason: str
) -> None:
    with harmless(rig, ("token.refused", f"dpop_{reason}")):
        bad = proof(rig, prover, **changes)
        as_json(token(bound, "x" * 43, "y" * 43, bad), 400, "invalid_dpop_proof")


def test_a_code_asked_for_with_a_thumbprint_is_bought_by_that_key_alone(
    rig: Rig, bound: Portal, prover: Prover
) -> None:
    code, begun = bound.code(dpop_jkt=prover.jkt)
    with harmless(rig, ("code.refused", "dpop_jkt")):
        as_json(token(bound, code, begun.verifier, proof(rig, Prover())), 400, "invalid_grant")
    assert token(bound, code, begun.verifier, proof(rig, prover)).status_code == 200


# -- using -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def access_token(rig: Rig, bound: Portal, prover: Prover) -> Iterator[str]:
    code, begun = bound.code()
    assert isinstance(begun, Begun)
    yield token(bound, code, begun.verifier, proof(rig, prover)).json()["access_token"]


def refused(response: httpx2.Response, error: str) -> None:
    assert response.status_code == 401
    challenge = response.headers["WWW-Authenticate"]
    assert f'error="{error}"' in challenge
    assert f'algs="{" ".join(DPOP_ALGORITHMS)}"' in challenge


def test_a_bound_token_is_no_bearer_token(rig: Rig, prover: Prover, access_token: str) -> None:
    shown = proof(rig, prover, "/userinfo", "GET", access_token=access_token)
    with harmless(rig):
        refused(userinfo(rig, access_token, scheme="Bearer"), "invalid_token")
        refused(userinfo(rig, access_token, shown, scheme="Bearer"), "invalid_token")
        refused(userinfo(rig, access_token), "invalid_token")


def test_a_bearer_token_is_not_used_as_a_bound_one(rig: Rig, prover: Prover) -> None:
    bearer = rig.portal("gov24").sign_in()["access_token"]
    shown = proof(rig, prover, "/userinfo", "GET", access_token=bearer)
    with harmless(rig):
        refused(userinfo(rig, bearer, shown), "invalid_token")


def test_another_key_does_not_use_the_token(rig: Rig, access_token: str) -> None:
    shown = proof(rig, Prover(), "/userinfo", "GET", access_token=access_token)
    with harmless(rig):
        refused(userinfo(rig, access_token, shown), "invalid_token")


@pytest.mark.parametrize(
    "changes",
    [{"ath": None}, {"access_token": "another"}, {"method": "POST"}, {"path": "/token"}, {"htu": "x"}],
    ids=str,
)
def test_a_bad_proof_opens_nothing(
    rig: Rig, prover: Prover, access_token: str, changes: dict[str, Any]
) -> None:
    good = {"path": "/userinfo", "method": "GET", "access_token": access_token}
    with harmless(rig):
        bad = proof(rig, prover, **{**good, **changes})
        refused(userinfo(rig, access_token, bad), "invalid_dpop_proof")


def test_a_proof_opens_userinfo_once_and_an_answer_brings_the_next_nonce(
    rig: Rig, prover: Prover, access_token: str
) -> None:
    shown = proof(rig, prover, "/userinfo", "GET", access_token=access_token)
    answered = userinfo(rig, access_token, shown)
    assert answered.status_code == 200
    refused(userinfo(rig, access_token, shown), "invalid_dpop_proof")
    following = proof(
        rig, prover, "/userinfo", "GET", access_token=access_token, nonce=answered.headers["DPoP-Nonce"]
    )
    assert userinfo(rig, access_token, following).status_code == 200


def test_userinfo_asks_for_a_nonce_too(rig: Rig, prover: Prover, access_token: str) -> None:
    without = proof(rig, prover, "/userinfo", "GET", access_token=access_token, nonce=None)
    answered = userinfo(rig, access_token, without)
    refused(answered, "use_dpop_nonce")
    again = proof(
        rig, prover, "/userinfo", "GET", access_token=access_token, nonce=answered.headers["DPoP-Nonce"]
    )
    assert userinfo(rig, access_token, again).status_code == 200


def test_discovery_says_which_algorithms_a_proof_may_use(rig: Rig) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert said["dpop_signing_alg_values_supported"] == list(DPOP_ALGORITHMS)
