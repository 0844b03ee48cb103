"""Revocation (RFC 7009): a portal gives its tokens back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harmless import as_json, decent, harmless
from tests.http.resource_servers import RECORDS, asking, records
from tests.proving import Prover
from tests.rig import Portal, Rig


@pytest.fixture(scope="module")
def server(rig: Rig) -> Portal:
    return records(rig)


@pytest.fixture(scope="module")
def portal(rig: Rig, server: Portal) -> Portal:
    return asking(rig)


@pytest.fixture(scope="module")
def other(rig: Rig) -> Portal:
    return asking(rig, "apostille", "asking-too")


def revoke(portal: Portal, token: Any, **form: Any) -> None:
    response = decent(portal.post("/revoke", token=token, **form))
    assert response.status_code == 200, response.text
    assert response.content == b""


def opens(portal: Portal, tokens: dict[str, Any]) -> bool:
    return portal.userinfo(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "saml2_assertion"])
def test_an_access_token_dies_alone(rig: Rig, portal: Portal, hint: str | None) -> None:
    tokens = portal.sign_in()
    with harmless(rig, ("token.revoked", "access_token")):
        revoke(portal, tokens["access_token"], token_type_hint=hint)
    assert not opens(portal, tokens)
    fresh = portal.refresh(tokens["refresh_token"])
    assert fresh.status_code == 200
    assert opens(portal, fresh.json())


@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])
def test_with_a_refresh_token_dies_everything_of_its_grant(
    rig: Rig, portal: Portal, hint: str | None
) -> None:
    first = portal.sign_in()
    second = portal.refresh(first["refresh_token"]).json()
    kept = portal.sign_in()
    with harmless(rig, ("token.revoked", "refresh_token")):
        revoke(portal, second["refresh_token"], token_type_hint=hint)
    assert not opens(portal, first)
    assert not opens(portal, second)
    as_json(portal.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert opens(portal, kept)


def test_a_refresh_token_that_was_used_revokes_its_family_too(portal: Portal) -> None:
    first = portal.sign_in()
    second = portal.refresh(first["refresh_token"]).json()
    revoke(portal, first["refresh_token"])
    assert not opens(portal, second)
    as_json(portal.refresh(second["refresh_token"]), 400, "invalid_grant")


def test_a_token_for_a_resource_dies_for_its_server_too(portal: Portal, server: Portal) -> None:
    code, begun = portal.code(resource=RECORDS)
    token = portal.token(code, begun.verifier, resource=RECORDS).json()["access_token"]
    assert server.post("/introspect", token=token).json()["active"] is True
    as_json(server.post("/revoke", token=token), 400, "invalid_request")  # it may ask, and no more
    assert server.post("/introspect", token=token).json()["active"] is True
    revoke(portal, token)
    assert server.post("/introspect", token=token).json() == {"active": False}


def test_twice_is_once(rig: Rig, portal: Portal) -> None:
    tokens = portal.sign_in()
    revoke(portal, tokens["access_token"])
    with harmless(rig):
        revoke(portal, tokens["access_token"])
    revoke(portal, tokens["refresh_token"])
    revoke(portal, tokens["refresh_token"])
    assert not opens(portal, tokens)


@pytest.mark.parametrize("token", ["x", "x" * 43, "x" * 10_000, "토큰\0", "a.b.c", "'--"])
def test_what_nobody_gave_out_changes_nothing_and_is_no_error(rig: Rig, portal: Portal, token: str) -> None:
    with harmless(rig):
        revoke(portal, token)


@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])
@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_another_clients_token_is_not_revoked_and_that_is_an_error(
    rig: Rig, portal: Portal, other: Portal, name: str, hint: str | None
) -> None:
    """RFC 7009, section 2.1: the client is told, and the audit says who tried."""
    tokens = portal.sign_in()
    last = rig.last_event()
    with harmless(rig, ("request.refused", "invalid_request")):
        refused = other.post("/revoke", token=tokens[name], token_type_hint=hint)
    as_json(refused, 400, "invalid_request")
    assert tokens[name] not in refused.text
    assert portal.client_id not in refused.text
    assert [event.client_id for event in rig.events(after=last)] == [other.client_id]
    assert opens(portal, tokens)
    assert portal.refresh(tokens["refresh_token"]).status_code == 200


def test_another_clients_dead_token_is_refused_like_a_living_one_while_it_is_known(
    portal: Portal, other: Portal
) -> None:
    first = portal.sign_in()
    second = portal.refresh(first["refresh_token"]).json()
    as_json(other.post("/revoke", token=first["refresh_token"]), 400, "invalid_request")
    assert portal.refresh(second["refresh_token"]).status_code == 200


def test_codes_and_id_tokens_are_not_revoked_by_it(portal: Portal) -> None:
    code, begun = portal.code()
    revoke(portal, code)
    tokens = portal.token(code, begun.verifier).json()
    revoke(portal, tokens["id_token"])
    assert opens(portal, tokens)


def test_a_public_client_gives_its_own_tokens_back(rig: Rig, portal: Portal) -> None:
    public = asking(rig, "gov24", "public", token_endpoint_auth_method="none", client_secret_sha256=None)
    tokens, others = public.sign_in(), portal.sign_in()
    with harmless(rig, ("request.refused", "invalid_request")):
        as_json(public.post("/revoke", token=others["access_token"]), 400, "invalid_request")
    assert opens(portal, others)
    revoke(public, tokens["access_token"])
    assert not opens(public, tokens)


def test_a_bound_token_is_given_back_without_a_proof(rig: Rig) -> None:
    bank = rig.variant("bank", "bank-revoking", grant_types=["authorization_code", "refresh_token"])
    bank.prover = Prover()
    tokens = bank.sign_in()
    assert bank.post("/revoke", token=tokens["refresh_token"], dpop=()).status_code == 200
    assert bank.userinfo(tokens["access_token"]).status_code == 401
    as_json(bank.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_who_does_not_prove_itself_revokes_nothing(rig: Rig, portal: Portal) -> None:
    tokens = portal.sign_in()
    form = {"token": tokens["access_token"]}
    nobody = ("client.refused", "no_credentials")
    with harmless(rig, nobody, nobody, ("client.refused", "wrong_secret")):
        as_json(rig.http.post(f"{rig.issuer}/revoke", data=form), 401, "invalid_client")
        named = {**form, "client_id": portal.client_id}
        as_json(rig.http.post(f"{rig.issuer}/revoke", data=named), 401, "invalid_client")
        wrong = {"Authorization": "Basic YXNraW5nOndyb25n"}  # asking:wrong
        as_json(rig.http.post(f"{rig.issuer}/revoke", data=form, headers=wrong), 401, "invalid_client")
    assert opens(portal, tokens)


@pytest.mark.parametrize("form", [{"token": ""}, {"token_type_hint": "access_token"}])
def test_without_a_token_nothing_is_revoked(rig: Rig, portal: Portal, form: dict[str, Any]) -> None:
    with harmless(rig, ("request.refused", "invalid_request")):
        as_json(portal.post("/revoke", **form), 400, "invalid_request")


def test_of_two_tokens_none_is_revoked(rig: Rig, portal: Portal) -> None:
    tokens = portal.sign_in()
    with harmless(rig, *[("request.refused", "invalid_request")] * 2):  # before anybody proves itself
        both = [tokens["access_token"], tokens["refresh_token"]]
        as_json(portal.post("/revoke", token=both), 400, "invalid_request")
        as_json(portal.post("/revoke"), 400, "invalid_request")
    assert opens(portal, tokens)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_revokes(rig: Rig, method: str) -> None:
    assert rig.http.request(method, f"{rig.issuer}/revoke").status_code == 405
