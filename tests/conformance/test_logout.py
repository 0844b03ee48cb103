"""RP-Initiated Logout OP (`oidcc-rp-initiated-logout-...`): a test named after every module of the plan."""

from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.conformance.conftest import checked, silent
from tests.harmless import page
from tests.rig import Portal, Rig


@pytest.fixture
def signed_in(portal: Portal) -> Portal:
    portal.hint = checked(portal, portal.begin())["_tokens"]["id_token"]  # type: ignore[attr-defined]
    return portal


def home(portal: Portal) -> str:
    return str(portal.registration["post_logout_redirect_uris"][0])


def hint(portal: Portal) -> str:
    return str(portal.hint)  # type: ignore[attr-defined]


def end(portal: Portal, **parameters: Any) -> httpx2.Response:
    return portal.browser.get(f"{portal.rig.issuer}/logout", params=parameters)


def is_out(portal: Portal) -> bool:
    return silent(portal).get("error") == "login_required"


def confirm(portal: Portal, asked: httpx2.Response) -> None:
    csrf = asked.text.split('name="csrf" value="')[1].split('"')[0]
    page(portal.browser.post(f"{portal.rig.issuer}/logout", data={"csrf": csrf}), 200)


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(rig: Rig) -> None:
    document = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert document["end_session_endpoint"] == f"{rig.issuer}/logout"


def test_oidcc_rp_initiated_logout(signed_in: Portal) -> None:
    response = end(
        signed_in, id_token_hint=hint(signed_in), post_logout_redirect_uri=home(signed_in), state="abc"
    )
    assert response.status_code == 303
    assert response.headers["Location"] == f"{home(signed_in)}?state=abc"
    assert is_out(signed_in)


def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(signed_in: Portal) -> None:
    uri = home(signed_in) + "bad"
    page(end(signed_in, id_token_hint=hint(signed_in), post_logout_redirect_uri=uri, state="abc"), 400)


def test_oidcc_rp_initiated_logout_modified_id_token_hint(signed_in: Portal) -> None:
    _, body, _ = hint(signed_in).split(".")
    altered = f"eyJhbGciOiJub25lIn0.{body}."
    page(end(signed_in, id_token_hint=altered, post_logout_redirect_uri=home(signed_in), state="abc"), 400)


def test_oidcc_rp_initiated_logout_no_id_token_hint(signed_in: Portal) -> None:
    asked = page(end(signed_in, post_logout_redirect_uri=home(signed_in), state="abc"), 200)
    confirm(signed_in, asked)
    assert is_out(signed_in)


def test_oidcc_rp_initiated_logout_no_params(signed_in: Portal) -> None:
    confirm(signed_in, page(end(signed_in), 200))
    assert is_out(signed_in)


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(signed_in: Portal) -> None:
    page(end(signed_in, id_token_hint=hint(signed_in), state="abc"), 200)
    assert is_out(signed_in)


def test_oidcc_rp_initiated_logout_no_state(signed_in: Portal) -> None:
    response = end(signed_in, id_token_hint=hint(signed_in), post_logout_redirect_uri=home(signed_in))
    assert response.headers["Location"] == home(signed_in)
    assert is_out(signed_in)


def test_oidcc_rp_initiated_logout_only_state(signed_in: Portal) -> None:
    confirm(signed_in, page(end(signed_in, state="abc"), 200))
    assert is_out(signed_in)


def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(signed_in: Portal) -> None:
    uri = home(signed_in) + "?foo=bar"
    page(end(signed_in, id_token_hint=hint(signed_in), post_logout_redirect_uri=uri, state="abc"), 400)


def test_oidcc_rp_initiated_logout_bad_id_token_hint(signed_in: Portal) -> None:
    claims = signed_in.id_token_claims(hint(signed_in))
    foreign = jwt.encode({"alg": "ES256"}, claims, ECKey.generate_key("P-256"))
    page(end(signed_in, id_token_hint=foreign, post_logout_redirect_uri=home(signed_in), state="abc"), 400)
