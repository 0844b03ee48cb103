"""Pushed authorization requests (RFC 9126): read at the back channel, used once by a browser."""

from __future__ import annotations

from typing import Any

import pytest

from idp import seal
from idp.oidc.pushed import PREFIX
from tests.harmless import as_json, harmless, page
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig


@pytest.fixture
def g4k(rig: Rig) -> Portal:
    return rig.portal("g4k")


def test_a_pushed_request_is_answered_with_a_reference_and_its_lifetime(g4k: Portal) -> None:
    response = g4k.push()
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert body["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert len(body["request_uri"]) > 34 + 40
    assert body["expires_in"] == 60


def test_a_holder_signs_in_by_a_pushed_request(rig: Rig, g4k: Portal) -> None:
    begun = g4k.begin_pushed()
    parameters = g4k.callback(begun)
    assert parameters["state"] == begun.state
    assert parameters["iss"] == rig.issuer
    tokens = g4k.token(parameters["code"], begun.verifier)
    assert tokens.status_code == 200
    assert g4k.id_token_claims(tokens.json()["id_token"])["nonce"] == begun.nonce


def test_parameters_beside_the_reference_are_not_used(rig: Rig, g4k: Portal) -> None:
    pushed = g4k.push(state="inside").json()["request_uri"]
    begun = g4k.open_pushed(pushed, state="outside", redirect_uri="https://evil.example/", prompt="none")
    assert g4k.callback(Begun(begun, None, None, ""))["state"] == "inside"


def test_a_page_may_be_opened_twice_before_the_login_ends(rig: Rig, g4k: Portal) -> None:
    request_uri = g4k.push().json()["request_uri"]
    first, second = g4k.open_pushed(request_uri), g4k.open_pushed(request_uri)
    assert first.status_code == second.status_code == 303
    assert "code" in g4k.callback(Begun(second, None, None, ""))


def test_what_bought_a_code_opens_nothing_more(rig: Rig, g4k: Portal) -> None:
    request_uri = g4k.push().json()["request_uri"]
    late = g4k.open_pushed(request_uri)
    assert "code" in g4k.callback(Begun(g4k.open_pushed(request_uri), None, None, ""))
    with harmless(rig, ("request.refused", "request_used")):
        page(g4k.open_pushed(request_uri), 400, "SINWON-R006")
    # A login that was under way with the same request comes to nothing, and its portal is told.
    told = g4k.callback(Begun(late, None, None, ""))
    assert told["error"] == "invalid_request_uri"
    assert "code" not in told


def test_a_reference_dies_after_its_lifetime(rig: Rig, g4k: Portal) -> None:
    request_uri = g4k.push().json()["request_uri"]
    rig.clock.forward(61)
    page(g4k.open_pushed(request_uri), 400, "SINWON-R005")


def test_another_clients_reference_opens_nothing(rig: Rig, g4k: Portal) -> None:
    request_uri = g4k.push().json()["request_uri"]
    page(rig.portal("gov24").open_pushed(request_uri), 400, "SINWON-R005")
    assert g4k.open_pushed(request_uri).status_code == 303


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"resource": "https://api.example/"}, "invalid_target"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"id_token_hint": "x"}, "invalid_request"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_pushed_is_told_at_once(
    rig: Rig, g4k: Portal, changes: dict[str, Any], error: str
) -> None:
    with harmless(rig, ("request.refused", error)):
        as_json(g4k.push(**changes), 400, error)


def test_a_form_that_is_none_is_refused_before_anybody_proves_itself(rig: Rig, g4k: Portal) -> None:
    with harmless(rig, *[("request.refused", "invalid_request")] * 2):  # whose it was is not known
        as_json(g4k.push(state=["a", "b"]), 400, "invalid_request")
        as_json(g4k.post("/par?state=a", **g4k.parameters()[0]), 400, "invalid_request")


def test_the_event_of_a_refused_push_is_found_by_its_portal_and_the_answers_correlation_id(
    rig: Rig, g4k: Portal
) -> None:
    last = rig.last_event()
    refused = g4k.push(scope="profile")
    (event,) = rig.events(after=last)
    assert (event.name, event.reason, event.client_id) == ("request.refused", "invalid_scope", "g4k")
    assert event.correlation_id == refused.headers["X-Correlation-Id"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_pushes(rig: Rig, method: str) -> None:
    assert rig.http.request(method, f"{rig.issuer}/par").status_code == 405


def test_who_does_not_prove_itself_pushes_nothing(rig: Rig, g4k: Portal) -> None:
    with harmless(rig, ("client.refused", "client_id_mismatch")):
        as_json(g4k.push(client_assertion="e30.e30.e30"), 401, "invalid_client")


def test_a_portal_that_must_push_is_told_so_when_it_does_not(rig: Rig) -> None:
    portal = rig.variant("g4k", "pushes-only", require_pushed_authorization_requests=True)
    told = portal.begin()
    assert "error=invalid_request" in told.location
    assert "code" in portal.callback(portal.begin_pushed())


def test_what_a_portal_proves_itself_with_is_not_kept_with_its_request(rig: Rig) -> None:
    portal = rig.portal("apostille")
    assert portal.registration["token_endpoint_auth_method"] == "client_secret_post"
    reference = portal.push().json()["request_uri"].removeprefix(PREFIX)
    kept = str(rig.house.store.get(f"par:{seal.digest(reference)}"))
    assert portal.redirect_uri in kept
    assert rig.prepared.portal_secret("apostille") not in kept


def test_a_public_client_pushes_too(rig: Rig) -> None:
    public = rig.variant("gov24", "public", token_endpoint_auth_method="none", client_secret_sha256=None)
    begun = public.begin_pushed()
    assert public.token(public.callback(begun)["code"], begun.verifier).status_code == 200


def test_who_pushes_in_anothers_name_is_refused(rig: Rig, g4k: Portal) -> None:
    with harmless(rig, ("client.refused", "client_id_mismatch")):
        as_json(g4k.push(client_id="gov24"), 401, "invalid_client")


def test_a_pushed_request_that_came_to_nothing_may_be_opened_again(rig: Rig, g4k: Portal) -> None:
    request_uri = g4k.push().json()["request_uri"]
    begun = Begun(g4k.open_pushed(request_uri), None, None, "")
    resumed = g4k.to_consent(begun, "invented-4100")
    refused = g4k.submit(g4k.open(resumed.headers["Location"]), "consent", decision="refuse")
    assert "error=access_denied" in refused.headers["Location"]
    assert "code" in g4k.callback(Begun(g4k.open_pushed(request_uri), None, None, ""))


def test_what_is_no_longer_the_portals_address_is_not_gone_to(rig: Rig) -> None:
    portal = rig.variant("g4k", "moving")
    request_uri = portal.push().json()["request_uri"]
    opened = Begun(portal.open_pushed(request_uri), None, None, "")
    rig.variant("g4k", "moving", redirect_uris=["https://moved.example/callback"])
    with harmless(rig, ("request.refused", "bad_request")):
        page(portal.open_pushed(request_uri), 400)
    page(portal.browser.get(portal.show(portal.link(portal.page(opened))).redirect_uri), 400)


def test_a_reference_given_twice_is_refused(rig: Rig, g4k: Portal) -> None:
    request_uri = g4k.push().json()["request_uri"]
    twice = g4k.browser.get(
        f"{rig.issuer}/authorize", params={"client_id": "g4k", "request_uri": [request_uri, request_uri]}
    )
    page(twice, 400)


@pytest.mark.parametrize("altered", ["", "x", "A", "/", "%00", "\0", "?a", "#a", "é", "x" * 4000])
def test_an_altered_reference_opens_nothing(rig: Rig, g4k: Portal, altered: str) -> None:
    request_uri = g4k.push().json()["request_uri"]
    changed = request_uri + altered if altered else PREFIX
    with harmless(rig, ("request.refused", "request_expired")):
        page(g4k.open_pushed(changed), 400, "SINWON-R005")


# -- bound to a key (RFC 9449, section 10) -----------------------------------------------------------------------


@pytest.fixture
def bound(rig: Rig) -> Portal:
    portal = rig.portal("g4k")
    portal.prover = Prover()
    return portal


@pytest.mark.parametrize("way", ["proof", "dpop_jkt", "both"])
def test_a_code_is_bound_to_the_key_that_its_request_was_pushed_with(
    rig: Rig, bound: Portal, way: str
) -> None:
    assert bound.prover is not None
    begun = bound.begin_pushed(
        dpop=() if way == "dpop_jkt" else bound.prover,
        dpop_jkt=None if way == "proof" else bound.prover.jkt,
    )
    code = bound.callback(begun)["code"]
    for other in (Prover(), ()):
        with harmless(rig, ("code.refused", "dpop_jkt")):
            as_json(bound.token(code, begun.verifier, dpop=other), 400, "invalid_grant")
    assert bound.token(code, begun.verifier).json()["token_type"] == "DPoP"


def test_a_proof_and_a_thumbprint_of_different_keys_exclude_each_other(rig: Rig, bound: Portal) -> None:
    with harmless(rig, ("request.refused", "dpop_jkt")):
        refused = bound.push(dpop=bound.prover, dpop_jkt=Prover().jkt)
    as_json(refused, 400, "invalid_dpop_proof")
    assert refused.headers["DPoP-Nonce"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"htu": "https://elsewhere.example/par"}, "dpop_htu"),
        ({"htm": "GET"}, "dpop_htm"),
        ({"at": 1}, "dpop_iat"),
    ],
    ids=str,
)
def test_a_bad_proof_pushes_nothing(rig: Rig, bound: Portal, changes: dict[str, Any], reason: str) -> None:
    with harmless(rig, ("request.refused", reason)):
        refused = bound.push(dpop=[bound.proof("/par", **changes)])
    as_json(refused, 400, "invalid_dpop_proof")
    assert refused.headers["DPoP-Nonce"]


def test_a_proof_without_our_nonce_is_how_it_begins_and_no_event(rig: Rig, bound: Portal) -> None:
    with harmless(rig):
        refused = bound.push(dpop=[bound.proof("/par", nonce="x")])
    as_json(refused, 400, "use_dpop_nonce")
    assert refused.headers["DPoP-Nonce"]


def test_a_proof_pushes_once(rig: Rig, bound: Portal) -> None:
    proof = bound.proof("/par")
    assert bound.push(dpop=[proof]).status_code == 201
    with harmless(rig, ("request.refused", "dpop_replayed")):
        as_json(bound.push(dpop=[proof]), 400, "invalid_dpop_proof")


def test_every_answer_to_a_proof_brings_the_next_nonce(bound: Portal) -> None:
    response = bound.push(dpop=bound.prover)
    again = bound.proof("/par", nonce=response.headers["DPoP-Nonce"])
    assert bound.push(dpop=[again]).status_code == 201


# -- fapi2 -------------------------------------------------------------------------------------------------------


@pytest.fixture
def bank(rig: Rig) -> Portal:
    portal = rig.portal("bank")
    portal.prover = Prover()
    return portal


def test_a_fapi2_portal_pushes_or_is_told_to(rig: Rig, bank: Portal) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        assert "error=invalid_request" in bank.begin().location
    tokens = bank.sign_in()
    assert tokens["token_type"] == "DPoP"
    assert bank.userinfo(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"request_uri": "https://elsewhere.example/"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request_object"),
    ],
    ids=str,
)
def test_what_fapi2_forbids_is_not_pushed(
    rig: Rig, bank: Portal, changes: dict[str, Any], error: str
) -> None:
    with harmless(rig, ("request.refused", error)):
        as_json(bank.push(**changes), 400, error)


@pytest.mark.parametrize(
    "audience",
    ["{issuer}/par", "{issuer}/token", ["{issuer}"], "{issuer}/"],
    ids=str,
)
def test_a_fapi2_portals_assertion_is_for_the_issuer_alone(rig: Rig, bank: Portal, audience: Any) -> None:
    made = [value.format(issuer=rig.issuer) for value in [*audience]] if isinstance(audience, list) else None
    assertion = bank.assertion(aud=made or audience.format(issuer=rig.issuer))
    with harmless(rig, ("client.refused", "assertion_refused")):
        as_json(bank.push(client_assertion=assertion), 401, "invalid_client")
