"""How an answer goes back: by the query, by a form that posts itself, plain or signed (Form Post 1.0, JARM)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from idp.demo import check
from tests.harmless import EVIL, as_json, decent, harmless, page
from tests.http.resource_servers import header_of
from tests.registering import NO_KEYS
from tests.rig import Begun, Portal, Rig

MODES = ("query", "form_post", "query.jwt", "form_post.jwt", "jwt")
STATES = [
    '{"a": "b c%20"}',
    "plain",
    EVIL,
    "'><img src=x onerror=alert(1)>&amp;&quot;&#39;",
    "한글 & 띄어쓰기 + %2B",
    "{{ 7 * 7 }}{% raw %}",
    " spaces ",
    "s" * 4096,
]
ENCRYPTING = [
    ("ECDH-ES", "A256GCM", ECKey.generate_key("P-256", {"kid": "e", "use": "enc"})),
    ("ECDH-ES+A256KW", "A256CBC-HS512", ECKey.generate_key("P-256", {"kid": "w", "use": "enc"})),
    ("RSA-OAEP-256", None, RSAKey.generate_key(2048, {"kid": "r", "use": "enc"})),
]


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def form_to(portal: Portal, response: httpx2.Response) -> dict[str, str]:
    """The fields of the one form on a page that a browser posts to the portal."""
    decent(response)
    assert response.headers["Content-Type"].startswith("text/html")
    assert "Location" not in response.headers
    forms = [item for item in check.Page(response).root.below() if item.tag == "form"]
    (form,) = [item for item in forms if item.attributes["action"] == portal.redirect_uri]
    assert form.attributes["method"] == "post"
    inputs = [item.attributes for item in form.below() if item.tag == "input"]
    assert {given["type"] for given in inputs} == {"hidden"}
    names = [given["name"] for given in inputs]
    assert len(names) == len(set(names))
    return {given["name"]: given["value"] for given in inputs}


def sent(portal: Portal, response: httpx2.Response, mode: str) -> dict[str, str]:
    """What reaches the portal, as it was sent."""
    if mode.startswith("form_post"):
        assert response.status_code == 200
        return form_to(portal, response)
    assert response.status_code == 303, response.text[:300]
    location = response.headers["Location"]
    assert location.partition("?")[0] == portal.redirect_uri.partition("?")[0]
    assert "#" not in location
    pairs = parse_qsl(urlsplit(location).query, keep_blank_values=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def answered(portal: Portal, response: httpx2.Response, mode: str, alg: str = "ES256") -> dict[str, Any]:
    """What an answer says, whichever way it went; a signed one is verified (JARM, sections 2.1 and 2.4)."""
    parameters = sent(portal, response, mode)
    if not mode.endswith("jwt"):
        assert parameters["iss"] == portal.rig.issuer
        return dict(parameters)
    assert set(parameters) == {"response"}
    return said(portal, parameters["response"], alg)


def said(portal: Portal, response: str, alg: str = "ES256") -> dict[str, Any]:
    keys = KeySet.import_key_set(portal.rig.http.get(f"{portal.rig.issuer}/jwks").json())
    claims = dict(jwt.decode(response, keys, algorithms=[alg]).claims)
    assert claims["iss"] == portal.rig.issuer
    assert claims["aud"] == portal.client_id
    now = portal.rig.clock()
    assert now < claims["exp"] <= now + 600
    assert "nonce" not in claims
    return claims


def finished(portal: Portal, begun: Begun) -> httpx2.Response:
    return portal.agree(portal.to_consent(begun))


def redeemed(portal: Portal, begun: Begun, answer: dict[str, Any]) -> bool:
    return portal.token(answer["code"], begun.verifier).status_code == 200


# -- a code ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pushed", [False, True])
def test_a_code_goes_back_by_the_way_that_was_asked_for(portal: Portal, mode: str, pushed: bool) -> None:
    begin = portal.begin_pushed if pushed else portal.begin
    begun = begin(response_mode=mode)
    answer = answered(portal, finished(portal, begun), mode)
    expected = {"code", "state", "iss"} | ({"aud", "iat", "exp"} if mode.endswith("jwt") else set())
    assert set(answer) == expected
    assert answer["state"] == begun.state
    assert redeemed(portal, begun, answer)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_a_state_arrives_as_it_was_sent(portal: Portal, mode: str, state: str) -> None:
    portal.sign_in()
    begun = portal.begin(method="POST", response_mode=mode, state=state, prompt="none")
    assert answered(portal, begun.response, mode)["state"] == state


@pytest.mark.parametrize("mode", MODES)
def test_without_a_state_none_goes_back(portal: Portal, mode: str) -> None:
    portal.sign_in()
    begun = portal.begin(response_mode=mode, state=None)
    assert "state" not in answered(portal, begun.response, mode)


@pytest.mark.parametrize("mode", ["query", "query.jwt", "jwt"])
def test_the_query_of_a_registered_address_is_kept(rig: Rig, mode: str) -> None:
    portal = rig.portal("gov24")
    address = portal.redirect_uri + "?kept=1&also=%20"
    portal = rig.variant("gov24", "with-query", redirect_uris=[address])
    portal.redirect_uri = address
    portal.sign_in()
    begun = portal.begin(response_mode=mode)
    assert begun.location.startswith(address + "&")
    assert sent(portal, begun.response, mode)["kept"] == "1"


def test_a_form_may_be_posted_to_the_portal_and_to_nobody_by_script_from_elsewhere(portal: Portal) -> None:
    response = finished(portal, portal.begin(response_mode="form_post"))
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "form-action" not in policy  # it would have to name the portal, and stops the redirects behind it
    assert "<noscript" in response.text or "<button" in response.text  # without a script there is a button


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "login_required"),
        ({"claims": "{"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"request": "e30.e30.e30"}, "invalid_request_object"),
    ],
    ids=str,
)
def test_an_error_goes_back_by_the_way_that_was_asked_for(
    rig: Rig, portal: Portal, mode: str, changes: dict[str, str], error: str
) -> None:
    with harmless(rig, ("login.refused", error)):
        begun = portal.begin(response_mode=mode, state=STATES[0], **changes)
    answer = answered(portal, begun.response, mode)
    assert answer["error"] == error
    assert answer["state"] == STATES[0]
    assert "code" not in answer


@pytest.mark.parametrize(
    "mode", ["fragment", "fragment.jwt", "FORM_POST", "form_post jwt", "web_message", EVIL]
)
def test_an_unknown_way_is_an_error_by_the_query(rig: Rig, portal: Portal, mode: str) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        begun = portal.begin(response_mode=mode)
    answer = answered(portal, begun.response, "query")
    assert (answer["error"], answer["state"]) == ("invalid_request", begun.state)
    with harmless(rig, ("request.refused", "invalid_request")):
        as_json(portal.push(response_mode=mode), 400, "invalid_request")


@pytest.mark.parametrize("mode", ["form_post", "form_post.jwt", "jwt"])
def test_before_the_address_is_proven_no_way_leads_to_it(rig: Rig, portal: Portal, mode: str) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        response = portal.begin(response_mode=mode, redirect_uri="https://evil.example/cb").response
        shown = check.Page(page(response, 400))
    assert "form" not in {item.tag for item in shown.root.below()}
    addresses = [item.attributes.get("href", "") for item in shown.root.below()]
    assert not [address for address in addresses if address.startswith(("https:", "//"))]


@pytest.mark.parametrize("mode", MODES)
def test_who_refuses_goes_back_the_same_way(rig: Rig, mode: str) -> None:
    portal = rig.portal("g4k")
    begun = portal.begin(response_mode=mode)
    resumed = portal.to_consent(begun, f"invented-{4000 + MODES.index(mode)}")
    shown = portal.open(resumed.headers["Location"])
    refused = portal.submit(shown, "consent", decision="refuse")
    answer = answered(portal, refused, mode)
    assert (answer["error"], answer["state"]) == ("access_denied", begun.state)


@pytest.mark.parametrize("mode", MODES)
def test_the_page_of_a_login_that_is_over_leads_back_the_same_way(
    rig: Rig, portal: Portal, mode: str
) -> None:
    begun = portal.begin(response_mode=mode, state=STATES[0])
    rig.clock.forward(601)
    response = page(portal.browser.get(portal.absolute(begun.location)), 410)
    if mode.startswith("form_post"):
        parameters = form_to(portal, response)
        assert f'href="{portal.redirect_uri}' not in response.text
    else:
        links = [item.attributes for item in check.Page(response).root.below() if item.tag == "a"]
        (back,) = [link["href"] for link in links if link.get("href", "").startswith(portal.redirect_uri)]
        parameters = dict(parse_qsl(urlsplit(back).query))
    answer = said(portal, parameters["response"]) if mode.endswith("jwt") else parameters
    assert answer["error"] == "access_denied"
    assert answer["state"] == STATES[0]
    assert answer["iss"] == rig.issuer


# -- a second click ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_second_click_brings_the_same_answer_and_a_late_one_a_page(
    rig: Rig, portal: Portal, mode: str
) -> None:
    begun = portal.begin(response_mode=mode)
    first = sent(portal, finished(portal, begun), mode)
    again = f"{rig.issuer}/authorize/resume?login={begun.location.rpartition('/')[2]}"
    last = rig.last_event()
    assert sent(portal, portal.browser.get(again), mode) == first
    assert rig.events(after=last) == []
    rig.clock.forward(61)
    page(portal.browser.get(again), 410)
    assert rig.browser().get(again).status_code in {403, 404}


# -- signed and encrypted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_an_answer_is_signed_with_what_the_portal_registered(rig: Rig, alg: str) -> None:
    with rig.app.app_context():
        rig.house.keys.ensure([alg])
    portal = rig.variant("gov24", f"jarm-{alg}", authorization_signed_response_alg=alg)
    begun = portal.begin(response_mode="jwt")
    response = finished(portal, begun)
    assert header_of(sent(portal, response, "jwt")["response"])["alg"] == alg
    assert redeemed(portal, begun, answered(portal, response, "jwt", alg))


@pytest.mark.parametrize(("alg", "enc", "key"), ENCRYPTING, ids=["ECDH-ES", "A256KW", "RSA"])
@pytest.mark.parametrize("mode", ["query.jwt", "form_post.jwt"])
def test_an_answer_is_encrypted_to_who_registered_that(
    rig: Rig, mode: str, alg: str, enc: str | None, key: ECKey | RSAKey
) -> None:
    portal = rig.variant(
        "gov24",
        f"jarm-{key.kid}",
        jwks={"keys": [key.as_dict(private=False)]},
        authorization_encrypted_response_alg=alg,
        authorization_encrypted_response_enc=enc,
    )
    begun = portal.begin(response_mode=mode)
    good = sent(portal, finished(portal, begun), mode)
    bad = sent(portal, portal.begin(response_mode=mode, response_type="token").response, mode)
    opened = []
    for parameters in (good, bad):
        assert set(parameters) == {"response"}
        header = header_of(parameters["response"])
        assert header["enc"] == (enc or "A128CBC-HS256")
        assert (header["alg"], header["cty"], header["kid"]) == (alg, "JWT", key.kid)
        found = jwe.decrypt_compact(parameters["response"], key, algorithms=[alg, header["enc"]])
        opened.append(said(portal, (found.plaintext or b"").decode()))
    assert redeemed(portal, begun, opened[0])
    assert opened[1]["error"] == "unsupported_response_type"


def test_where_encryption_is_registered_and_not_possible_nothing_goes_out_in_clear(rig: Rig) -> None:
    portal = rig.variant(
        "gov24",
        "jarm-without-key",
        jwks={"keys": [NO_KEYS["ECDH-ES"]]},
        authorization_encrypted_response_alg="ECDH-ES",
    )
    response = portal.begin(response_mode="jwt", response_type="token").response
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Location" not in response.headers
    assert portal.redirect_uri not in response.text
    # An answer that does not travel as a JWT needs no key.
    assert "code" in portal.callback(portal.begin())


def test_an_answer_is_for_its_portal_and_for_ten_minutes(rig: Rig, portal: Portal) -> None:
    portal.sign_in()
    token = sent(portal, portal.begin(response_mode="jwt").response, "jwt")["response"]
    other = rig.portal("g4k")
    with pytest.raises(AssertionError):
        said(other, token)
    rig.clock.forward(601)
    with pytest.raises(AssertionError):
        said(portal, token)


def test_a_signed_answer_is_no_id_token_hint(portal: Portal) -> None:
    portal.sign_in()
    token = sent(portal, portal.begin(response_mode="jwt").response, "jwt")["response"]
    begun = portal.begin(id_token_hint=token)
    assert answered(portal, begun.response, "query")["error"] == "invalid_request"
