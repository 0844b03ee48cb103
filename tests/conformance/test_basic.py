"""Basic OP (`oidcc-basic-certification-test-plan`): a test named after every module of the plan that applies here.

Left out: oidcc-idtoken-signature, -idtoken-unsigned and -request-uri-unsigned-... (dynamic registration only),
oidcc-scope-email and -phone (no such scopes).
"""

import base64
import json
from typing import Any

import pytest

from tests.conformance.conftest import checked, silent
from tests.harmless import as_json, page, to_portal
from tests.rig import Portal, Rig, callback_parameters


def userinfo(portal: Portal, claims: dict[str, Any]) -> dict[str, Any]:
    said = portal.userinfo(claims["_tokens"]["access_token"]).json()
    assert said["sub"] == claims["sub"]
    return dict(said)


def test_oidcc_server(portal: Portal) -> None:
    checked(portal, portal.begin())


def test_oidcc_response_type_missing(rig: Rig, portal: Portal) -> None:
    begun = portal.begin(response_type=None)
    to_portal(begun.response, portal.redirect_uri, "invalid_request", begun.state, rig.issuer)


def test_oidcc_userinfo_get(portal: Portal) -> None:
    userinfo(portal, checked(portal, portal.begin()))


def test_oidcc_userinfo_post_header(rig: Rig, portal: Portal) -> None:
    claims = checked(portal, portal.begin())
    bearer = {"Authorization": f"Bearer {claims['_tokens']['access_token']}"}
    assert rig.http.post(f"{rig.issuer}/userinfo", headers=bearer).json()["sub"] == claims["sub"]


def test_oidcc_userinfo_post_body(rig: Rig, portal: Portal) -> None:
    claims = checked(portal, portal.begin())
    form = {"access_token": claims["_tokens"]["access_token"]}
    assert rig.http.post(f"{rig.issuer}/userinfo", data=form).json()["sub"] == claims["sub"]


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(portal: Portal) -> None:
    assert "nonce" not in checked(portal, portal.begin(nonce=None))


def test_oidcc_scope_profile(portal: Portal) -> None:
    assert {"name", "birthdate"} <= set(
        userinfo(portal, checked(portal, portal.begin(scope="openid profile")))
    )


def test_oidcc_scope_address(rig: Rig) -> None:
    g4k = rig.portal("g4k")
    begun = g4k.begin(scope="openid address")
    form = g4k.open(g4k.to_consent(begun).headers["Location"])
    answered = g4k.submit(form, "consent", decision="agree", item="address")
    code = callback_parameters(g4k.browser.get(g4k.absolute(answered.headers["Location"])))["code"]
    token = g4k.token(code, begun.verifier).json()["access_token"]
    assert g4k.userinfo(token).json()["address"]["formatted"]


def test_oidcc_scope_all(rig: Rig) -> None:
    for client_id in ("gov24", "g4k", "apostille", "efamily"):
        portal = rig.portal(client_id)
        said = userinfo(portal, checked(portal, portal.begin()))
        required = {claim["name"] for claim in portal.registration["claims"] if claim["required"]}
        assert required <= set(said)


def test_oidcc_alternate_happy_flow(portal: Portal) -> None:
    scopes = " ".join(reversed(portal.registration["scopes"]))
    begun = portal.begin(scope=scopes, method="POST")
    checked(portal, begun)


@pytest.mark.parametrize("display", ["page", "popup"])
def test_oidcc_display_page_and_popup(portal: Portal, display: str) -> None:
    checked(portal, portal.begin(display=display))


def test_oidcc_prompt_login(rig: Rig, portal: Portal) -> None:
    first = checked(portal, portal.begin())
    rig.clock.forward(2)
    second = checked(portal, portal.begin(prompt="login"))
    assert second["auth_time"] > first["auth_time"]
    assert second["sub"] == first["sub"]


def test_oidcc_prompt_none_not_logged_in(rig: Rig, portal: Portal) -> None:
    begun = portal.begin(prompt="none")
    to_portal(begun.response, portal.redirect_uri, "login_required", begun.state, rig.issuer)


def test_oidcc_prompt_none_logged_in(rig: Rig, portal: Portal) -> None:
    first = checked(portal, portal.begin())
    rig.clock.forward(5)
    second = checked(portal, portal.begin(prompt="none"))
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


def test_oidcc_max_age_1(rig: Rig, portal: Portal) -> None:
    first = checked(portal, portal.begin())
    rig.clock.forward(2)
    second = checked(portal, portal.begin(max_age="1"))
    assert second["auth_time"] > first["auth_time"]


def test_oidcc_max_age_10000(rig: Rig, portal: Portal) -> None:
    first = checked(portal, portal.begin())
    rig.clock.forward(5)
    assert checked(portal, portal.begin(max_age="10000"))["auth_time"] == first["auth_time"]


def test_oidcc_ensure_request_with_unknown_parameter_succeeds(portal: Portal) -> None:
    checked(portal, portal.begin(extra="foobar"))


def test_oidcc_id_token_hint(portal: Portal) -> None:
    first = checked(portal, portal.begin())
    second = checked(portal, portal.begin(prompt="none", id_token_hint=first["_tokens"]["id_token"]))
    assert second["sub"] == first["sub"]


def test_oidcc_login_hint(portal: Portal) -> None:
    checked(portal, portal.begin(login_hint="somebody@example.org"))


@pytest.mark.parametrize("locale, lang", [("se", "ko"), ("en", "en"), ("ko-KR", "ko"), ("se en-GB ko", "en")])
def test_oidcc_ui_locales(portal: Portal, locale: str, lang: str) -> None:
    begun = portal.begin(ui_locales=locale)
    shown = portal.browser.get(portal.absolute(begun.location))
    assert shown.headers["Content-Language"] == lang
    checked(portal, begun)


def test_oidcc_claims_locales(portal: Portal) -> None:
    checked(portal, portal.begin(claims_locales="se"))


def test_oidcc_ensure_request_with_acr_values_succeeds(rig: Rig, portal: Portal) -> None:
    wanted = [f"{rig.issuer}/acr/secure", f"{rig.issuer}/acr/general"]
    assert checked(portal, portal.begin(acr_values=" ".join(wanted)))["acr"] in wanted


def test_oidcc_codereuse(portal: Portal) -> None:
    code, begun = portal.code()
    assert portal.token(code, begun.verifier).status_code == 200
    again = portal.token(code, begun.verifier)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_oidcc_codereuse_30seconds(rig: Rig, portal: Portal) -> None:
    code, begun = portal.code()
    tokens = portal.token(code, begun.verifier).json()
    rig.clock.forward(30)
    again = portal.token(code, begun.verifier)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert portal.userinfo(tokens["access_token"]).status_code == 401


def test_oidcc_ensure_registered_redirect_uri(portal: Portal) -> None:
    page(portal.begin(redirect_uri=portal.redirect_uri + "/extra").response, 400)


def test_oidcc_ensure_post_request_succeeds(portal: Portal) -> None:
    checked(portal, portal.begin(method="POST"))


def test_oidcc_server_client_secret_post(rig: Rig) -> None:
    apostille = rig.portal("apostille")
    assert apostille.registration["token_endpoint_auth_method"] == "client_secret_post"
    checked(apostille, apostille.begin())


def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(
    rig: Rig, portal: Portal
) -> None:
    document = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert document["request_parameter_supported"] is True
    assert "none" not in document["request_object_signing_alg_values_supported"]
    begun = portal.begin(request=unsigned({"client_id": "gov24"}))
    to_portal(begun.response, portal.redirect_uri, "request_not_supported", begun.state, rig.issuer)


def test_oidcc_claims_essential(portal: Portal) -> None:
    claims = checked(portal, portal.begin(scope="openid", claims='{"userinfo":{"name":{"essential":true}}}'))
    assert userinfo(portal, claims)["name"] == "홍길동"


def test_oidcc_ensure_request_object_with_redirect_uri(rig: Rig, portal: Portal) -> None:
    inside = unsigned({"client_id": "gov24", "redirect_uri": "https://evil.example/cb"})
    begun = portal.begin(request=inside)
    to_portal(begun.response, portal.redirect_uri, "request_not_supported", begun.state, rig.issuer)
    page(portal.begin(redirect_uri=portal.redirect_uri + "?inside=no", request=inside).response, 400)


def test_oidcc_refresh_token(rig: Rig, portal: Portal) -> None:
    document = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert "refresh_token" in document["grant_types_supported"]
    grants = ["authorization_code", "refresh_token"]
    one = rig.variant("gov24", "refreshing", grant_types=grants)
    other = rig.variant("gov24", "refreshing-too", grant_types=grants)
    first = checked(one, one.begin())
    as_json(other.refresh(first["_tokens"]["refresh_token"]), 400, "invalid_grant")
    response = one.refresh(first["_tokens"]["refresh_token"])
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "application/json"
    second = response.json()
    assert not {first["_tokens"][name] for name in ("access_token", "refresh_token")} & set(second.values())
    claims = one.id_token_claims(second["id_token"])
    assert {name: claims[name] for name in ("iss", "sub", "aud", "auth_time")} == {
        name: first[name] for name in ("iss", "sub", "aud", "auth_time")
    }
    assert userinfo(one, {**claims, "_tokens": second})
    # Who did not register for it gets none.
    assert "refresh_token" not in checked(portal, portal.begin())["_tokens"]


def test_oidcc_ensure_request_with_valid_pkce_succeeds(rig: Rig) -> None:
    lax = rig.variant("gov24", "no-pkce", require_pkce=False)
    checked(lax, lax.begin())


def test_nothing_is_silent_in_a_browser_that_is_not_signed_in(portal: Portal) -> None:
    assert silent(portal)["error"] == "login_required"


def unsigned(claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}."
