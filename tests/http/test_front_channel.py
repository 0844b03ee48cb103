"""The implicit flow where a test bed switched it on, and that nothing of it exists elsewhere.

OpenID Connect Core 1.0, section 3.2; OAuth 2.0 Multiple Response Type Encoding Practices 1.0.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from idp.demo import check
from idp.oidc.records import Token
from idp.oidc.tokens import token_key
from idp.seal import digest
from tests.harmless import as_json, decent, harmless, kept, page, to_portal
from tests.registering import Registered, invited, register
from tests.rig import Begun, Portal, Rig, callback_parameters, started

ALONE, BOTH = "id_token", "id_token token"
TYPES = (ALONE, BOTH)
CODE_AND_IMPLICIT = {
    "grant_types": ["authorization_code", "implicit"],
    "response_types": ["code", ALONE, BOTH],
}
REFUSED = "login.refused"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house"), {"requests.implicit": True}) as running:
        yield running


@pytest.fixture(scope="module")
def plain_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A house as it is without the switch."""
    with started(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture
def portal(rig: Rig) -> Portal:
    """A portal that registered every response type, with a browser of its own."""
    return rig.variant("gov24", "front", **CODE_AND_IMPLICIT)


def begin(portal: Portal, response_type: str, **changes: Any) -> Begun:
    return portal.begin(
        response_type=response_type, **{"code_challenge": None, "code_challenge_method": None, **changes}
    )


def fragment(portal: Portal, response: httpx2.Response) -> dict[str, str]:
    """The parameters in the fragment of a redirect to the portal, whose query stays as it was registered."""
    decent(response)
    assert response.status_code == 303, response.text[:300]
    location, _, inside = response.headers["Location"].partition("#")
    assert location == portal.redirect_uri
    pairs = parse_qsl(inside, strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def refused(portal: Portal, begun: Begun, error: str) -> None:
    given = fragment(portal, begun.response)
    assert set(given) == {"error", "error_description", "state", "iss"}
    assert (given["error"], given["state"], given["iss"]) == (error, begun.state, portal.rig.issuer)


def finish(portal: Portal, begun: Begun, persona: str = "hong") -> httpx2.Response:
    """A whole sign-in; the answer on its way to the portal."""
    return portal.agree(portal.to_consent(begun, persona))


def sign_in(portal: Portal, response_type: str, **changes: Any) -> dict[str, str]:
    begun = begin(portal, response_type, **changes)
    given = fragment(portal, finish(portal, begun))
    assert given["state"] == begun.state
    assert given["iss"] == portal.rig.issuer
    assert portal.id_token_claims(given["id_token"])["nonce"] == begun.nonce
    return given


def at_hash(access_token: str) -> str:
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()


# -- on: what comes back -----------------------------------------------------------------------------------------


def test_an_id_token_alone_has_the_claims_of_the_scopes_and_no_at_hash(portal: Portal) -> None:
    given = sign_in(portal, ALONE, scope="openid profile")
    assert set(given) == {"id_token", "state", "iss"}
    claims = portal.id_token_claims(given["id_token"])
    assert claims["iss"] == portal.rig.issuer
    assert claims["aud"] == "front"
    assert claims["birthdate"] == "1985-03-14"
    assert {"sub", "exp", "iat", "auth_time", "acr", "sid"} <= set(claims)
    assert "at_hash" not in claims


def test_an_id_token_alone_has_no_claim_of_a_scope_that_was_not_asked_for(portal: Portal) -> None:
    claims = portal.id_token_claims(sign_in(portal, ALONE, scope="openid")["id_token"])
    assert not {"name", "birthdate"} & set(claims)


@pytest.mark.parametrize("words", [BOTH, "token id_token"])
def test_an_access_token_comes_with_its_hash_and_opens_userinfo(portal: Portal, words: str) -> None:
    given = sign_in(portal, words, scope="openid profile")
    assert set(given) == {
        "access_token", "token_type", "expires_in", "scope", "id_token", "state", "iss",
    }  # fmt: skip
    assert given["token_type"] == "Bearer"
    assert int(given["expires_in"]) == portal.rig.house.settings.lifetimes.access_token_ttl_s
    claims = portal.id_token_claims(given["id_token"])
    assert claims["at_hash"] == at_hash(given["access_token"])
    assert "birthdate" not in claims  # it is for UserInfo then (Core 5.4)
    said = portal.userinfo(given["access_token"])
    assert said.status_code == 200
    assert (said.json()["sub"], said.json()["birthdate"]) == (claims["sub"], "1985-03-14")


def test_the_subject_is_the_one_of_the_code_flow(portal: Portal) -> None:
    sub = portal.id_token_claims(sign_in(portal, ALONE)["id_token"])["sub"]
    code, begun = portal.code()
    tokens = portal.token(code, begun.verifier).json()
    assert portal.id_token_claims(tokens["id_token"])["sub"] == sub


def test_a_claim_asked_for_in_the_id_token_is_there(portal: Portal) -> None:
    given = sign_in(portal, BOTH, scope="openid profile", claims='{"id_token": {"birthdate": null}}')
    assert portal.id_token_claims(given["id_token"])["birthdate"] == "1985-03-14"


@pytest.mark.parametrize("response_type", TYPES)
def test_a_session_answers_without_the_wallet(portal: Portal, response_type: str) -> None:
    sign_in(portal, BOTH)
    begun = begin(portal, response_type, prompt="none")
    given = fragment(portal, begun.response)
    assert portal.id_token_claims(given["id_token"])["nonce"] == begun.nonce
    assert ("access_token" in given) == (response_type == BOTH)


@pytest.mark.parametrize("response_type", TYPES)
def test_form_post_posts_the_same(portal: Portal, response_type: str) -> None:
    begun = begin(portal, response_type, response_mode="form_post")
    response = finish(portal, begun)
    assert response.status_code == 200
    (form,) = [
        item
        for item in check.Page(response).root.below()
        if item.attributes.get("action") == portal.redirect_uri
    ]
    given = dict(check.form_fields(form))
    assert given["state"] == begun.state
    assert portal.id_token_claims(given["id_token"])["nonce"] == begun.nonce
    assert ("access_token" in given) == (response_type == BOTH)


def test_a_second_click_brings_the_same_answer(portal: Portal) -> None:
    begun = begin(portal, BOTH)
    first = fragment(portal, finish(portal, begun))
    again = f"{portal.rig.issuer}/authorize/resume?login={begun.location.rpartition('/')[2]}"
    assert fragment(portal, portal.browser.get(again)) == first


def test_a_pushed_request_may_ask_for_it(rig: Rig, portal: Portal) -> None:
    begun = portal.begin_pushed(response_type=ALONE)
    assert "id_token" in fragment(portal, finish(portal, begun))


@pytest.mark.parametrize(("response_type", "asked"), [(ALONE, False), (BOTH, True)])
def test_nobody_agrees_to_what_cannot_be_given(rig: Rig, response_type: str, asked: bool) -> None:
    """A photo is for UserInfo alone, which an ID token alone does not lead to."""
    purpose = {"ko": "얼굴 대조", "en": "To compare your face"}
    portal = rig.variant(
        "gov24",
        f"front-photo-{asked}",
        grant_types=["implicit"],
        response_types=[response_type],
        scopes=["openid", "profile", "kr_portrait"],
        claims=[{"name": name, "purpose": purpose, "required": False} for name in ("name", "picture")],
    )
    resumed = portal.to_consent(begin(portal, response_type))
    shown = portal.open(resumed.headers["Location"])
    assert shown.find("item-name") is not None
    assert (shown.find("item-picture") is not None) == asked


# -- on: what is kept --------------------------------------------------------------------------------------------


def test_the_audit_has_what_was_sent(rig: Rig, portal: Portal) -> None:
    last = rig.last_event()
    sign_in(portal, BOTH)
    events = rig.events(after=last)
    (sent,) = [event for event in events if event.name == "token.sent"]
    assert (sent.client_id, sent.reason) == ("front", BOTH)
    assert sent.subject_id
    assert sent.login_id
    assert "code.redeemed" not in {event.name for event in events}


def test_no_code_and_nothing_readable_is_kept(rig: Rig, portal: Portal) -> None:
    before = kept(rig, "code", "token")
    given = sign_in(portal, BOTH, scope="openid profile")
    (new,) = kept(rig, "code", "token") - before
    assert new == token_key(digest(given["access_token"]))
    stored = rig.house.store.get(new)
    assert stored is not None
    assert stored["sealed"]
    assert "1985-03-14" not in str(stored)
    assert set(stored) <= set(Token.__struct_fields__)


def test_an_id_token_alone_leaves_no_token_behind(rig: Rig, portal: Portal) -> None:
    before = kept(rig, "code", "token")
    sign_in(portal, ALONE)
    assert kept(rig, "code", "token") == before


def test_its_access_token_can_be_revoked(portal: Portal) -> None:
    given = sign_in(portal, BOTH)
    assert portal.post("/revoke", token=given["access_token"]).status_code == 200
    assert portal.userinfo(given["access_token"]).status_code == 401


def test_its_access_token_ends_with_the_session(rig: Rig, portal: Portal) -> None:
    given = sign_in(portal, BOTH)
    assert portal.userinfo(given["access_token"]).status_code == 200
    portal.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": given["id_token"]})
    assert portal.userinfo(given["access_token"]).status_code == 401


def test_offline_access_is_ignored_where_no_code_comes(rig: Rig) -> None:
    portal = rig.variant(
        "gov24",
        "front-offline",
        grant_types=["authorization_code", "refresh_token", "implicit"],
        response_types=["code", BOTH],
        scopes=["openid", "profile", "offline_access"],
    )
    given = sign_in(portal, BOTH, scope="openid offline_access")
    assert given["scope"] == "openid"
    assert "refresh_token" not in given


# -- on: what is refused, in the fragment ------------------------------------------------------------------------


@pytest.mark.parametrize("response_type", TYPES)
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"nonce": None}, "invalid_request"),
        ({"nonce": ""}, "invalid_request"),
        ({"response_mode": "query"}, "invalid_request"),
        ({"response_mode": "query.jwt"}, "invalid_request"),
        ({"response_mode": "jwt"}, "invalid_request"),
        ({"response_mode": "fragment.jwt"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"id_token_hint": "x"}, "invalid_request"),
        ({"resource": "https://api.example/"}, "invalid_target"),
    ],
    ids=str,
)
def test_a_bad_request_is_told_in_the_fragment(
    rig: Rig, portal: Portal, response_type: str, changes: dict[str, Any], error: str
) -> None:
    with harmless(rig, (REFUSED, error)):
        begun = begin(portal, response_type, **changes)
    refused(portal, begun, error)


def test_a_token_for_a_resource_does_not_go_through_a_browser(rig: Rig) -> None:
    resource = "https://api.example/"
    portal = rig.variant("gov24", "front-resource", resources=[resource], **CODE_AND_IMPLICIT)
    with harmless(rig, (REFUSED, "invalid_target")):
        begun = begin(portal, BOTH, resource=resource)
    refused(portal, begun, "invalid_target")


def test_claims_for_userinfo_need_an_access_token(rig: Rig, portal: Portal) -> None:
    wanted = {"claims": '{"userinfo": {"name": null}}'}
    with harmless(rig, (REFUSED, "invalid_request")):
        begun = begin(portal, ALONE, **wanted)
    refused(portal, begun, "invalid_request")
    assert "access_token" in sign_in(portal, BOTH, **wanted)


def test_a_repeated_state_is_told_in_the_fragment(portal: Portal) -> None:
    begun = begin(portal, ALONE, state=["a", "b"])
    assert fragment(portal, begun.response)["error"] == "invalid_request"


def test_an_error_goes_by_form_post_where_that_was_asked_for(rig: Rig, portal: Portal) -> None:
    with harmless(rig, (REFUSED, "login_required")):
        response = begin(portal, ALONE, response_mode="form_post", prompt="none").response
    assert response.status_code == 200
    assert "login_required" in response.text
    assert "Location" not in response.headers


def test_who_refuses_goes_back_with_the_error_in_the_fragment(portal: Portal) -> None:
    begun = begin(portal, BOTH)
    resumed = portal.to_consent(begun, "invented-4711")
    answer = portal.submit(portal.open(resumed.headers["Location"]), "consent", decision="refuse")
    assert fragment(portal, answer)["error"] == "access_denied"


def test_before_the_address_is_proven_it_is_a_page(rig: Rig, portal: Portal) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        page(begin(portal, ALONE, redirect_uri="https://evil.example/cb").response, 400, "SINWON-R001")


@pytest.mark.parametrize(
    "response_type",
    [
        "token",
        "code id_token",
        "code token",
        "code id_token token",
        "none",
        "id_token id_token",
        "id_token  token",
    ],
)
def test_other_types_stay_unsupported(rig: Rig, portal: Portal, response_type: str) -> None:
    with harmless(rig, (REFUSED, "unsupported_response_type")):
        begun = begin(portal, response_type)
    to_portal(begun.response, portal.redirect_uri, "unsupported_response_type", begun.state, rig.issuer)


@pytest.mark.parametrize("response_type", TYPES)
def test_a_portal_that_did_not_register_it_is_not_answered(rig: Rig, response_type: str) -> None:
    portal = rig.portal("gov24")
    with harmless(rig, (REFUSED, "unauthorized_client")):
        begun = begin(portal, response_type)
    refused(portal, begun, "unauthorized_client")


def test_one_registered_type_does_not_open_the_other(rig: Rig) -> None:
    portal = rig.variant("gov24", "front-alone", grant_types=["implicit"], response_types=[ALONE])
    begun = begin(portal, BOTH)
    refused(portal, begun, "unauthorized_client")
    assert "id_token" in sign_in(portal, ALONE)
    code = portal.begin()
    to_portal(code.response, portal.redirect_uri, "unauthorized_client", code.state, rig.issuer)


@pytest.mark.parametrize("response_type", TYPES)
def test_fapi2_never_gets_it(rig: Rig, response_type: str) -> None:
    portal = rig.portal(next(p["client_id"] for p in rig.prepared.portals() if p.get("profile") == "fapi2"))
    with harmless(rig, ("request.refused", "unsupported_response_type")):
        as_json(portal.push(response_type=response_type), 400, "unsupported_response_type")


def test_a_registration_that_changed_meanwhile_ends_the_sign_in(rig: Rig) -> None:
    portal = rig.variant("gov24", "front-later", **CODE_AND_IMPLICIT)
    portal.agree(portal.to_consent(begin(portal, BOTH)), remember="yes")
    portal.browser = rig.browser()
    begun = begin(portal, BOTH)
    resumed_by = portal.show(portal.link(portal.page(begun))).redirect_uri
    rig.apply_portal("gov24", client_id="front-later")
    assert resumed_by is not None
    assert fragment(portal, portal.browser.get(resumed_by))["error"] == "unauthorized_client"


def test_the_token_endpoint_knows_no_implicit_grant(portal: Portal) -> None:
    as_json(portal.post("/token", grant_type="implicit"), 400, "unsupported_grant_type")


def test_the_code_flow_is_as_it_was(rig: Rig, portal: Portal) -> None:
    assert portal.id_token_claims(portal.sign_in()["id_token"])["at_hash"]
    begun = portal.begin(response_mode="fragment")
    to_portal(begun.response, portal.redirect_uri, "invalid_request", begun.state, rig.issuer)


# -- discovery and registration ----------------------------------------------------------------------------------


def discovery(rig: Rig) -> dict[str, Any]:
    return dict(rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json())


def test_discovery_says_what_is_on(rig: Rig) -> None:
    said = discovery(rig)
    assert said["response_types_supported"] == ["code", "id_token", "id_token token"]
    assert {"authorization_code", "implicit"} <= set(said["grant_types_supported"])
    assert "fragment" in said["response_modes_supported"]


def test_a_portal_registers_it_for_itself(rig: Rig) -> None:
    response = register(
        rig,
        invited(rig),
        grant_types=["implicit"],
        response_types=["token id_token"],
        id_token_signed_response_alg="ES256",
    )
    assert response.status_code == 201, response.text
    answer = response.json()
    assert (answer["grant_types"], answer["response_types"]) == (["implicit"], [BOTH])
    given = sign_in(Registered(rig, answer), BOTH)
    assert given["token_type"] == "Bearer"


@pytest.mark.parametrize(
    "members",
    [
        {"grant_types": ["implicit"]},
        {"grant_types": ["implicit"], "response_types": ["code"]},
        {"grant_types": ["implicit"], "response_types": ["code", ALONE]},
        {"grant_types": ["authorization_code", "implicit"], "response_types": [ALONE]},
        {"grant_types": ["authorization_code"], "response_types": ["code", ALONE]},
        {"grant_types": ["implicit"], "response_types": ["token"]},
        {"grant_types": ["implicit"], "response_types": [BOTH], "dpop_bound_access_tokens": True},
    ],
    ids=str,
)
def test_a_registration_that_does_not_agree_with_itself_is_refused(rig: Rig, members: dict[str, Any]) -> None:
    as_json(register(rig, invited(rig), **members), 400, "invalid_client_metadata")


@pytest.mark.parametrize(
    ("asked", "grants", "types"),
    [
        (["code", "token id_token", "code id_token"], ["authorization_code", "implicit"], ["code", BOTH]),
        (["code", "code id_token"], ["authorization_code"], ["code"]),
    ],
)
def test_hybrid_types_are_left_out_and_implicit_with_them(
    rig: Rig, asked: list[str], grants: list[str], types: list[str]
) -> None:
    members = {"grant_types": ["authorization_code", "implicit"], "response_types": asked}
    answer = register(rig, invited(rig), **members).json()
    assert (answer["grant_types"], answer["response_types"]) == (grants, types)


def test_fapi2_cannot_register_it(rig: Rig) -> None:
    token = invited(rig, profile="fapi2")
    members = {"profile": "fapi2", "grant_types": ["implicit"], "response_types": [ALONE]}
    as_json(register(rig, token, **members), 400, "invalid_client_metadata")


def test_a_portal_without_an_address_cannot_register_it(rig: Rig) -> None:
    members = {"grant_types": ["implicit"], "response_types": [ALONE], "redirect_uris": None}
    as_json(register(rig, invited(rig), **members), 400, "invalid_redirect_uri")


# -- off ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("response_type", [*TYPES, "token id_token"])
@pytest.mark.parametrize("response_mode", [None, "query"])
def test_without_the_switch_it_is_not_supported(
    plain_rig: Rig, response_type: str, response_mode: str | None
) -> None:
    portal = plain_rig.variant("gov24", "front", **CODE_AND_IMPLICIT)
    with harmless(plain_rig, (REFUSED, "unsupported_response_type")):
        begun = begin(
            portal,
            response_type,
            response_mode=response_mode,
            code_challenge="a" * 43,
            code_challenge_method="S256",
        )
    assert "#" not in begun.location
    to_portal(begun.response, portal.redirect_uri, "unsupported_response_type", begun.state, plain_rig.issuer)


def test_without_the_switch_a_portal_of_this_flow_alone_gets_nothing(plain_rig: Rig) -> None:
    portal = plain_rig.variant("gov24", "front-alone", grant_types=["implicit"], response_types=[ALONE])
    with harmless(plain_rig, (REFUSED, "unauthorized_client")):
        begun = begin(portal, ALONE)
    assert "id_token" not in callback_parameters(begun.response)
    assert not urlsplit(begun.location).fragment


def test_without_the_switch_it_is_not_advertised(plain_rig: Rig) -> None:
    said = discovery(plain_rig)
    assert said["response_types_supported"] == ["code"]
    assert "implicit" not in said["grant_types_supported"]
    assert "fragment" not in said["response_modes_supported"]


@pytest.mark.parametrize(
    "members",
    [
        {"grant_types": ["implicit"], "response_types": [ALONE]},
        {"grant_types": ["authorization_code", "implicit"], "response_types": [BOTH]},
        {"response_types": [ALONE]},
    ],
    ids=str,
)
def test_without_the_switch_nobody_registers_it(plain_rig: Rig, members: dict[str, Any]) -> None:
    answer = as_json(register(plain_rig, invited(plain_rig), **members), 400, "invalid_client_metadata")
    assert "implicit" not in str(answer["error_description"])


def test_without_the_switch_it_is_left_out_beside_code(plain_rig: Rig) -> None:
    answer = register(plain_rig, invited(plain_rig), **CODE_AND_IMPLICIT).json()
    assert (answer["grant_types"], answer["response_types"]) == (["authorization_code"], ["code"])
