"""How portals prove themselves at the token endpoint: by exactly one way, theirs (RFC 6749 2.3, RFC 7523, Core 9)."""

import base64
import hashlib
from urllib.parse import quote_plus

import pytest

from tests.harmless import EVIL, as_json, harmless
from tests.http.client_requests import JWT_BEARER, UNKNOWN_CODE, assert_as, basic, let_in, post
from tests.rig import Portal, Rig


@pytest.fixture(scope="module")
def gov24(rig: Rig) -> Portal:
    return rig.portal("gov24")


@pytest.fixture(scope="module")
def g4k(rig: Rig) -> Portal:
    return rig.portal("g4k")


# -- secrets -----------------------------------------------------------------------------------------------------


def test_a_good_secret_is_let_in(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, UNKNOWN_CODE, UNKNOWN_CODE):
        let_in(rig, post(rig, basic("gov24", rig.prepared.portal_secret("gov24"))))
        secret = rig.prepared.portal_secret("apostille")
        let_in(rig, post(rig, client_id="apostille", client_secret=secret))


@pytest.mark.parametrize(
    "authorization, reason",
    [
        (basic("gov24", "wrong"), "wrong_secret"),
        (basic("gov24", ""), "wrong_secret"),
        (basic("gov24", "비밀번호🔑"), "wrong_secret"),
        (basic("nobody", "x"), "unknown"),
        (basic("", ""), "unknown"),
        (basic("gov24\0", "x"), "unknown"),
        (basic(EVIL, "x"), "unknown"),
        (basic("apostille", "x"), "method_not_registered"),
        (basic("g4k", "x"), "method_not_registered"),
        (basic("gov24", b"\xff\xfe"), "basic_malformed"),
        ("Basic", "basic_malformed"),
        ("Basic !!!", "basic_malformed"),
        (f"Basic {base64.b64encode(b'gov24').decode()}", "basic_malformed"),
    ],
    ids=lambda value: value[:30],
)
def test_wrong_basic_credentials_are_refused_with_a_challenge(
    rig: Rig, authorization: str, reason: str
) -> None:
    with harmless(rig, ("client.refused", reason)):
        response = post(rig, authorization)
        as_json(response, 401, "invalid_client")
    assert response.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "form, reason",
    [
        ({"client_id": "apostille", "client_secret": "wrong"}, "wrong_secret"),
        ({"client_id": "apostille", "client_secret": ""}, "no_credentials"),
        ({"client_id": "apostille", "client_secret": "비밀🔑"}, "wrong_secret"),
        ({"client_id": "apostille"}, "no_credentials"),
        ({"client_id": "gov24"}, "no_credentials"),
        ({"client_id": "g4k"}, "no_credentials"),
        ({"client_id": "nobody"}, "no_credentials"),
        ({"client_secret": "x"}, "unknown"),
        ({"client_id": "nobody", "client_secret": "x"}, "unknown"),
        ({"client_id": "g4k", "client_secret": "x"}, "method_not_registered"),
    ],
    ids=str,
)
def test_wrong_credentials_in_the_body_are_refused(rig: Rig, form: dict[str, str], reason: str) -> None:
    with harmless(rig, ("client.refused", reason)):
        as_json(post(rig, **form), 401, "invalid_client")


def test_no_credentials_at_all_are_refused(rig: Rig) -> None:
    with harmless(rig, ("client.refused", "no_credentials")):
        as_json(post(rig), 401, "invalid_client")


@pytest.mark.parametrize("scheme", ["Bearer", "Digest", "Negotiate", "basic2", ""])
def test_another_scheme_is_no_way_in(rig: Rig, scheme: str) -> None:
    with harmless(rig, ("client.refused", "no_credentials")):
        as_json(post(rig, f"{scheme} abc".strip()), 401, "invalid_client")


def test_the_right_secret_by_the_wrong_way_is_refused(rig: Rig) -> None:
    gov24, apostille = rig.prepared.portal_secret("gov24"), rig.prepared.portal_secret("apostille")
    with harmless(rig, *[("client.refused", "method_not_registered")] * 2):
        as_json(post(rig, client_id="gov24", client_secret=gov24), 401, "invalid_client")
        as_json(post(rig, basic("apostille", apostille)), 401, "invalid_client")


def test_basic_credentials_are_form_encoded_and_decoded_once(rig: Rig) -> None:
    secret = "a:b+c %41é한"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    rig.variant("gov24", "odd:name", client_secret_sha256=[digest])
    with harmless(rig, UNKNOWN_CODE):
        let_in(rig, post(rig, basic(quote_plus("odd:name"), quote_plus(secret))))
    with harmless(rig, ("client.refused", "wrong_secret")):
        twice = quote_plus(quote_plus(secret))
        as_json(post(rig, basic(quote_plus("odd:name"), twice)), 401, "invalid_client")


def test_two_secrets_hold_while_one_is_being_replaced(rig: Rig) -> None:
    digests = [hashlib.sha256(secret).hexdigest() for secret in (b"old", b"new")]
    rig.variant("gov24", "rotating", client_secret_sha256=digests)
    with harmless(rig, UNKNOWN_CODE, UNKNOWN_CODE, ("client.refused", "wrong_secret")):
        let_in(rig, post(rig, basic("rotating", "old")))
        let_in(rig, post(rig, basic("rotating", "new")))
        as_json(post(rig, basic("rotating", digests[0])), 401, "invalid_client")


@pytest.mark.parametrize(
    "empty", ["client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "resource"]
)
def test_what_is_sent_without_a_value_counts_as_left_out(rig: Rig, empty: str) -> None:
    """RFC 6749, section 3.2. Some libraries send every parameter they know."""
    with harmless(rig, UNKNOWN_CODE):
        let_in(rig, post(rig, basic("gov24", rig.prepared.portal_secret("gov24")), **{empty: ""}))


def test_an_empty_secret_is_none(rig: Rig) -> None:
    rig.variant("gov24", "page", token_endpoint_auth_method="none", client_secret_sha256=None)
    with harmless(rig, UNKNOWN_CODE):
        let_in(rig, post(rig, client_id="page", client_secret=""))


def test_a_parameter_that_is_there_twice_is_refused_also_without_a_value(rig: Rig) -> None:
    with harmless(rig, ("token.refused", "invalid_request")):
        as_json(post(rig, client_id=["gov24", ""]), 400, "invalid_request")


def test_credentials_in_the_query_are_refused(rig: Rig) -> None:
    secret = rig.prepared.portal_secret("apostille")
    with harmless(rig, ("token.refused", "invalid_request")):
        response = rig.http.post(
            f"{rig.issuer}/token?client_id=apostille&client_secret={secret}",
            data={"grant_type": "authorization_code", "code": "x"},
        )
        as_json(response, 400, "invalid_request")


def test_another_client_id_in_the_body_is_refused(rig: Rig, g4k: Portal) -> None:
    good = basic("gov24", rig.prepared.portal_secret("gov24"))
    with harmless(rig, *[("client.refused", "client_id_mismatch")] * 2):
        as_json(post(rig, good, client_id="apostille"), 401, "invalid_client")
        as_json(assert_as(rig, g4k.assertion(), client_id="gov24"), 401, "invalid_client")


def test_two_ways_at_once_are_refused(rig: Rig, g4k: Portal) -> None:
    good = basic("gov24", rig.prepared.portal_secret("gov24"))
    with harmless(rig, *[("token.refused", "invalid_request")] * 3):
        as_json(post(rig, good, client_id="gov24", client_secret="x"), 400, "invalid_request")
        as_json(
            post(rig, good, client_assertion=g4k.assertion(), client_assertion_type=JWT_BEARER),
            400,
            "invalid_request",
        )
        as_json(
            assert_as(rig, g4k.assertion(), client_id="apostille", client_secret="x"), 400, "invalid_request"
        )


def test_a_public_client_has_no_secret_and_nobody_else_may_leave_his_out(rig: Rig) -> None:
    rig.variant("gov24", "public", token_endpoint_auth_method="none", client_secret_sha256=None)
    with harmless(rig, UNKNOWN_CODE, ("client.refused", "method_not_registered")):
        let_in(rig, post(rig, client_id="public"))
        as_json(post(rig, basic("public", "x")), 401, "invalid_client")
