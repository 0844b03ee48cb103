"""Form Post OP, code flow (`oidcc-formpost-basic-certification-test-plan`): the modules of Basic that differ.

The answer is a page whose form the browser posts by itself: nothing in the query of the redirect URI, every value as
it was. What Basic's other modules ask does not depend on the way of the answer (tests/conformance/test_basic.py).
"""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from idp.demo import check
from tests.harmless import decent
from tests.rig import Begun, Portal, Rig


def posted(portal: Portal, response: httpx2.Response) -> dict[str, str]:
    """What the browser is made to post to the portal, as its server reads the form."""
    decent(response)
    assert response.status_code == 200, response.text[:300]
    page = check.Page(response)
    forms = [
        item for item in page.root.below() if item.tag == "form" and "data-send-at-once" in item.attributes
    ]
    assert len(forms) == 1
    form = forms[0].attributes
    assert (form["method"], form["action"]) == ("post", portal.redirect_uri)
    assert form.get("enctype", "application/x-www-form-urlencoded") == "application/x-www-form-urlencoded"
    # A `form-action` here would also be asked of where the portal redirects to after that.
    assert "form-action" not in response.headers["Content-Security-Policy"]
    fields = check.form_fields(forms[0])
    assert len(fields) == len(dict(fields))
    return dict(fields)


def begin(portal: Portal, **changes: Any) -> Begun:
    return portal.begin(response_mode="form_post", **changes)


def finish(portal: Portal, begun: Begun) -> dict[str, str]:
    """A whole sign-in; what is posted, checked."""
    said = posted(portal, portal.agree(portal.to_consent(begun)))
    assert set(said) == {"code", "iss"} | ({"state"} if begun.state else set())
    assert said.get("state") == begun.state
    assert said["iss"] == portal.rig.issuer
    return said


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def test_oidcc_server_form_post(portal: Portal) -> None:
    begun = begin(portal)
    tokens = portal.token(finish(portal, begun)["code"], begun.verifier).json()
    assert portal.id_token_claims(tokens["id_token"])["nonce"] == begun.nonce


def test_oidcc_discovery_endpoint_verification_form_post(rig: Rig) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert "form_post" in said["response_modes_supported"]


def test_oidcc_ensure_post_request_succeeds_form_post(portal: Portal) -> None:
    finish(portal, begin(portal, method="POST"))


@pytest.mark.parametrize("state", ['{"a": "b c%20"}', "<b>&amp;\"'</b>", "한글 +/=", None, "s" * 4096])
def test_a_state_arrives_as_it_was_sent(portal: Portal, state: str | None) -> None:
    finish(portal, begin(portal, state=state))


@pytest.mark.parametrize("query", ["?dummy1=lorem&dummy2=ipsum"])
def test_oidcc_redirect_uri_query_ok_form_post(rig: Rig, query: str) -> None:
    callback = rig.portal("gov24").redirect_uri + query
    portal = rig.variant("gov24", "form-post-query", redirect_uris=[callback])
    portal.redirect_uri = callback
    finish(portal, begin(portal))


def test_oidcc_response_type_missing_form_post(portal: Portal) -> None:
    begun = begin(portal, response_type=None)
    error(portal, begun.response, begun, "invalid_request")


def test_oidcc_prompt_none_not_logged_in_form_post(portal: Portal) -> None:
    begun = begin(portal, prompt="none")
    error(portal, begun.response, begun, "login_required")


def test_oidcc_prompt_none_logged_in_form_post(portal: Portal) -> None:
    finish(portal, begin(portal))
    begun = begin(portal, prompt="none")
    said = posted(portal, begun.response)
    assert said["state"] == begun.state
    assert portal.token(said["code"], begun.verifier).status_code == 200


def test_oidcc_unsigned_request_object_form_post(portal: Portal) -> None:
    begun = begin(portal, request="eyJhbGciOiJub25lIn0.e30.")
    error(portal, begun.response, begun, "request_not_supported")


def error(portal: Portal, response: httpx2.Response, begun: Begun, name: str) -> None:
    said = posted(portal, response)
    assert said.pop("error_description")
    assert said == {"error": name, "state": begun.state, "iss": portal.rig.issuer}


def test_a_reload_after_the_answer_posts_the_same_again(portal: Portal) -> None:
    begun = begin(portal, prompt="consent")
    resumed = portal.to_consent(begun)
    consent = portal.open(resumed.headers["Location"])
    answered = portal.submit(consent, "consent", decision="agree")
    back = portal.absolute(answered.headers["Location"])
    first, again = (posted(portal, portal.browser.get(back)) for _ in range(2))
    assert first == again
