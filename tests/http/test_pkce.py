"""PKCE (RFC 7636, decision D2): S256 or nothing, and nothing only where a registration says so."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tests.harmless import as_json, harmless, to_portal
from tests.rig import Portal, Rig

VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def gov24(rig: Rig) -> Portal:
    portal = rig.portal("gov24")
    portal.sign_in()
    return portal


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": "", "code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "plain", "code_challenge": VERIFIER},
        {"code_challenge_method": None},
        {"code_challenge_method": ""},
        {"code_challenge_method": "s256"},
        {"code_challenge_method": "SHA256"},
        {"code_challenge_method": "S512"},
        {"code_challenge_method": "S256 "},
        {"code_challenge": CHALLENGE[:-1]},
        {"code_challenge": CHALLENGE + "A"},
        {"code_challenge": CHALLENGE + "="},
        {"code_challenge": "A" * 129},
        {"code_challenge": CHALLENGE[:-2] + "+/"},
        {"code_challenge": CHALLENGE[:-1] + " "},
        {"code_challenge": CHALLENGE + "\n"},
        {"code_challenge": CHALLENGE[:-1] + "가"},
    ],
    ids=str,
)
def test_a_challenge_that_is_missing_or_not_s256_is_refused_before_any_page(
    rig: Rig, gov24: Portal, changes: dict[str, Any]
) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        begun = gov24.begin(**changes)
        to_portal(begun.response, gov24.redirect_uri, "invalid_request", begun.state, rig.issuer)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "w" * 43,
        CHALLENGE,
        VERIFIER + "\n",
        " " + VERIFIER,
        VERIFIER[:-1],
        VERIFIER + "v",
        VERIFIER.upper(),
        "v" * 42 + "가",
        "v" * 129,
        "v" * 16_000,
        "\0" * 43,
    ],
    ids=repr,
)
def test_a_verifier_that_does_not_match_buys_nothing_and_does_not_spend_the_code(
    rig: Rig, gov24: Portal, wrong: str | None
) -> None:
    code, _ = gov24.code(code_challenge=CHALLENGE)
    with harmless(rig, ("code.refused", "code_verifier")):
        as_json(gov24.token(code, VERIFIER, code_verifier=wrong), 400, "invalid_grant")
    assert gov24.token(code, VERIFIER).status_code == 200


def test_the_code_of_one_tab_with_the_verifier_of_another_is_refused(rig: Rig, gov24: Portal) -> None:
    code, _ = gov24.code()
    _, other = gov24.code()
    with harmless(rig, ("code.refused", "code_verifier")):
        as_json(gov24.token(code, other.verifier), 400, "invalid_grant")


@pytest.fixture(scope="module")
def lax(rig: Rig) -> Portal:
    portal = rig.variant("gov24", "gov24-lax", require_pkce=False)
    portal.sign_in()
    return portal


def test_a_sign_in_without_pkce_succeeds_where_it_is_not_required(lax: Portal) -> None:
    code, begun = lax.code(code_challenge=None, code_challenge_method=None)
    assert lax.token(code, begun.verifier, code_verifier=None).status_code == 200
    code, begun = lax.code(code_challenge=None, code_challenge_method=None)
    assert lax.token(code, begun.verifier, code_verifier="").status_code == 200


def test_a_verifier_without_a_challenge_means_that_somebody_took_it_out(rig: Rig, lax: Portal) -> None:
    code, begun = lax.code(code_challenge=None, code_challenge_method=None)
    with harmless(rig, ("code.refused", "verifier_without_challenge")):
        as_json(lax.token(code, begun.verifier), 400, "invalid_grant")


def test_a_challenge_that_was_sent_binds_even_where_it_was_not_required(rig: Rig, lax: Portal) -> None:
    code, begun = lax.code()
    with harmless(rig, ("code.refused", "code_verifier")):
        as_json(lax.token(code, begun.verifier, code_verifier=None), 400, "invalid_grant")


def test_plain_is_not_taken_where_pkce_is_not_required_either(rig: Rig, lax: Portal) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        begun = lax.begin(code_challenge_method="plain")
        to_portal(begun.response, lax.redirect_uri, "invalid_request", begun.state, rig.issuer)


def test_a_public_client_cannot_go_without(rig: Rig) -> None:
    public = rig.variant(
        "gov24", "gov24-public", token_endpoint_auth_method="none", client_secret_sha256=None
    )
    with harmless(rig, ("login.refused", "invalid_request")):
        begun = public.begin(code_challenge=None, code_challenge_method=None)
        to_portal(begun.response, public.redirect_uri, "invalid_request", begun.state, rig.issuer)
    code, begun = public.code()
    with harmless(rig, ("code.refused", "code_verifier")):
        as_json(public.token(code, begun.verifier, code_verifier=None), 400, "invalid_grant")
    assert public.token(code, begun.verifier).status_code == 200
