"""Request objects over HTTP: by value at /authorize and pushed, by reference where that is switched on."""

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.harmless import as_json, harmless, page, to_portal
from tests.http.client_requests import JWT_BEARER
from tests.oidc.portal_side import PortalSite, ec_key, jwks, rsa_key, signed
from tests.rig import Begun, Portal, Rig, started

EC, RSA = ec_key("ec-1"), rsa_key("rsa-1")
REFUSED = "login.refused"


@pytest.fixture(scope="module")
def site() -> Iterator[PortalSite]:
    with PortalSite() as portal_site:
        yield portal_site


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, site: PortalSite) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("house")
    with started(directory, {"requests.by_reference": True}, allow=[site.origin]) as running:
        yield running


class Signing:
    """A portal that sends signed request objects, and a browser of its own."""

    def __init__(self, rig: Rig, client_id: str, of: str = "gov24", **changes: Any) -> None:
        self.portal: Portal = rig.variant(of, client_id, **{"jwks": jwks(EC, RSA), **changes})
        self.rig = rig

    def claims(self, **changes: Any) -> tuple[dict[str, Any], str]:
        """The claims of a good request object with some changed (None leaves one out), and the PKCE verifier."""
        parameters, verifier = self.portal.parameters()
        now = self.rig.clock()
        whole = {
            **parameters,
            "iss": self.portal.client_id,
            "aud": self.rig.issuer,
            "nbf": now,
            "exp": now + 300,
            "jti": secrets.token_urlsafe(12),
            **changes,
        }
        return {name: value for name, value in whole.items() if value is not None}, verifier

    def object(
        self, key: ECKey | RSAKey = RSA, alg: str = "RS256", **changes: Any
    ) -> tuple[str, dict[str, Any], str]:
        """A request object, its claims, and the PKCE verifier."""
        claims, verifier = self.claims(**changes)
        return signed(claims, key, alg, typ="oauth-authz-req+jwt"), claims, verifier

    def ask(self, **parameters: str) -> httpx2.Response:
        """Send the browser to /authorize with these parameters and `client_id`."""
        query = urlencode({"client_id": self.portal.client_id, **parameters})
        return self.portal.browser.get(f"{self.rig.issuer}/authorize?{query}")

    def push(self, **form: str) -> httpx2.Response:
        credentials, authorization = self.portal.credentials()
        if authorization is None:
            credentials["client_assertion_type"] = JWT_BEARER
        headers = {"Authorization": authorization} if authorization else {}
        return self.rig.http.post(f"{self.rig.issuer}/par", data={**credentials, **form}, headers=headers)

    def finish(self, response: httpx2.Response, claims: dict[str, Any], verifier: str) -> dict[str, str]:
        """Go through a sign-in that has begun; the parameters that came back."""
        begun = Begun(response, claims.get("state"), claims.get("nonce"), verifier)
        return self.portal.callback(begun)

    def tell(self, response: httpx2.Response, error: str, state: str | None) -> None:
        to_portal(response, self.portal.redirect_uri, error, state, self.rig.issuer)


@pytest.fixture(scope="module")
def registered(rig: Rig) -> Signing:
    return Signing(rig, "signing")


@pytest.fixture
def portal(rig: Rig, registered: Signing) -> Signing:
    registered.portal.browser = rig.browser()
    return registered


# By value


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES256"), (RSA, "PS256"), (RSA, "RS256")])
def test_a_request_may_be_nothing_but_a_signed_object(portal: Signing, key: ECKey | RSAKey, alg: str) -> None:
    text, claims, verifier = portal.object(key, alg)
    back = portal.finish(portal.ask(request=text), claims, verifier)
    assert back["state"] == claims["state"]
    tokens = portal.portal.token(back["code"], verifier).json()
    assert portal.portal.id_token_claims(tokens["id_token"])["nonce"] == claims["nonce"]


def test_an_object_may_come_by_post(portal: Signing) -> None:
    text, claims, verifier = portal.object()
    form = {"client_id": portal.portal.client_id, "request": text}
    response = portal.portal.browser.post(f"{portal.rig.issuer}/authorize", data=form)
    assert "code" in portal.finish(response, claims, verifier)


def test_the_objects_redirect_uri_and_nonce_win_and_state_outside_fills_up(portal: Signing) -> None:
    text, claims, verifier = portal.object(state=None)
    response = portal.ask(
        request=text,
        response_type="code",
        scope="openid",
        redirect_uri="https://wrong.example/",
        nonce="outside",
        state="outside",
    )
    back = portal.finish(response, claims, verifier)
    assert back["state"] == "outside"
    tokens = portal.portal.token(back["code"], verifier).json()
    assert portal.portal.id_token_claims(tokens["id_token"])["nonce"] == claims["nonce"]


def test_a_refused_object_is_told_where_the_query_says(rig: Rig, portal: Signing) -> None:
    text, _, _ = portal.object(aud="https://other.example")
    with harmless(rig, (REFUSED, "invalid_request_object")):
        response = portal.ask(request=text, redirect_uri=portal.portal.redirect_uri, state="outside")
        portal.tell(response, "invalid_request_object", "outside")


def test_a_refused_object_alone_is_told_on_a_page(rig: Rig, portal: Signing) -> None:
    text, _, _ = portal.object(aud="https://other.example")
    with harmless(rig, ("request.refused", "bad_request")):
        page(portal.ask(request=text), 400)


def test_an_object_that_is_not_believed_does_not_say_where_to_tell_it(rig: Rig, portal: Signing) -> None:
    claims, _ = portal.claims(redirect_uri=portal.portal.redirect_uri)
    with harmless(rig, ("request.refused", "bad_request")):
        page(portal.ask(request=signed(claims, ec_key("ec-1"), "ES256")), 400)


def test_an_unsigned_object_is_not_supported(rig: Rig, portal: Signing) -> None:
    text, _, _ = portal.object()
    unsigned = f"eyJhbGciOiJub25lIn0.{text.split('.')[1]}."
    with harmless(rig, (REFUSED, "request_not_supported")):
        response = portal.ask(request=unsigned, redirect_uri=portal.portal.redirect_uri, state="s")
        portal.tell(response, "request_not_supported", "s")


def test_a_client_assertion_is_no_request_object(rig: Rig, portal: Signing) -> None:
    text, _, _ = portal.object(sub=portal.portal.client_id)
    with harmless(rig, (REFUSED, "invalid_request_object")):
        response = portal.ask(request=text, redirect_uri=portal.portal.redirect_uri)
        portal.tell(response, "invalid_request_object", None)


def test_an_expired_object_is_refused(rig: Rig, portal: Signing) -> None:
    text, _, _ = portal.object()
    rig.clock.forward(311)
    with harmless(rig, (REFUSED, "invalid_request_object")):
        response = portal.ask(request=text, redirect_uri=portal.portal.redirect_uri)
        portal.tell(response, "invalid_request_object", None)


def test_a_refused_object_beside_a_state_that_is_too_long_is_told_without_it(
    rig: Rig, portal: Signing
) -> None:
    text, _, _ = portal.object(aud="https://other.example")
    with harmless(rig, (REFUSED, "invalid_request")):
        response = portal.ask(request=text, redirect_uri=portal.portal.redirect_uri, state="s" * 4097)
        portal.tell(response, "invalid_request", None)


@pytest.mark.parametrize("text", ["", "a.b.c", "x" * 60_000, "요청"])
def test_what_is_no_object_at_all_is_refused(rig: Rig, portal: Signing, text: str) -> None:
    form = {"client_id": portal.portal.client_id, "redirect_uri": portal.portal.redirect_uri}
    error = "invalid_request_object" if text else "invalid_request"  # an empty one counts as left out
    with harmless(rig, (REFUSED, error)):
        response = portal.portal.browser.post(f"{rig.issuer}/authorize", data={**form, "request": text})
        portal.tell(response, error, None)


def test_request_and_request_uri_exclude_each_other(rig: Rig, portal: Signing) -> None:
    text, _, _ = portal.object()
    with harmless(rig, (REFUSED, "invalid_request")):
        response = portal.ask(
            request=text, request_uri="https://a.example", redirect_uri=portal.portal.redirect_uri
        )
        portal.tell(response, "invalid_request", None)


@pytest.mark.parametrize("name", ["request", "request_uri", "scope"])
def test_a_parameter_repeated_outside_is_refused(rig: Rig, portal: Signing, name: str) -> None:
    text, _, _ = portal.object()
    sent = [("client_id", portal.portal.client_id), ("redirect_uri", portal.portal.redirect_uri)]
    sent += [("request", text)] if name != "request_uri" else []
    sent += [(name, text), (name, text)] if name != "request" else [(name, text)]
    with harmless(rig, (REFUSED, "invalid_request")):
        response = portal.portal.browser.get(f"{rig.issuer}/authorize?{urlencode(sent)}")
        portal.tell(response, "invalid_request", None)


# A portal that signs every request


@pytest.fixture(scope="module")
def strict(rig: Rig) -> Signing:
    return Signing(rig, "strict", require_signed_request_object=True, request_object_signing_alg="ES256")


def test_who_signs_every_request_cannot_send_a_plain_one(rig: Rig, strict: Signing) -> None:
    with harmless(rig, (REFUSED, "invalid_request")):
        begun = strict.portal.begin()
        strict.tell(begun.response, "invalid_request", begun.state)


def test_who_signs_every_request_is_asked_by_the_object_alone(strict: Signing) -> None:
    text, claims, verifier = strict.object(EC, "ES256", state=None)
    response = strict.ask(request=text, state="outside", prompt="none")
    assert set(strict.finish(response, claims, verifier)) == {"code", "iss"}


def test_another_algorithm_than_the_registered_one_is_refused(rig: Rig, strict: Signing) -> None:
    text, _, _ = strict.object(RSA, "RS256")
    with harmless(rig, (REFUSED, "invalid_request_object")):
        response = strict.ask(request=text, redirect_uri=strict.portal.redirect_uri)
        strict.tell(response, "invalid_request_object", None)


# By reference


def test_a_registered_address_is_fetched(rig: Rig, site: PortalSite) -> None:
    asking = Signing(rig, "referring", request_uris=[f"{site.origin}/object#v1"])
    text, claims, verifier = asking.object()
    site.documents["/object"] = text.encode()
    back = asking.finish(asking.ask(request_uri=f"{site.origin}/object#v2"), claims, verifier)
    assert back["state"] == claims["state"]


def test_an_address_that_is_not_registered_is_not_fetched(
    rig: Rig, site: PortalSite, portal: Signing
) -> None:
    asked = list(site.asked)
    with harmless(rig, (REFUSED, "invalid_request_uri")):
        response = portal.ask(request_uri=f"{site.origin}/object", redirect_uri=portal.portal.redirect_uri)
        portal.tell(response, "invalid_request_uri", None)
    assert site.asked == asked


def test_without_the_switch_nothing_is_fetched(tmp_path_factory: pytest.TempPathFactory) -> None:
    with started(tmp_path_factory.mktemp("switched-off")) as running:
        asking = Signing(running, "referring", request_uris=["https://portal.example/object"])
        with harmless(running, (REFUSED, "request_uri_not_supported")):
            response = asking.ask(
                request_uri="https://portal.example/object", redirect_uri=asking.portal.redirect_uri
            )
            asking.tell(response, "request_uri_not_supported", None)


def test_keys_at_a_jwks_uri_are_found_after_a_change(rig: Rig, site: PortalSite) -> None:
    site.publish(EC)
    asking = Signing(rig, "moving-keys", jwks=None, jwks_uri=site.jwks_uri)
    text, claims, verifier = asking.object(EC, "ES256")
    assert "code" in asking.finish(asking.ask(request=text), claims, verifier)
    following = ec_key("ec-2")
    site.publish(following)
    asking.portal.browser = rig.browser()
    text, claims, verifier = asking.object(following, "ES256")
    assert "code" in asking.finish(asking.ask(request=text), claims, verifier)


# Pushed


def test_an_object_may_be_pushed_and_nothing_beside_it_counts(portal: Signing) -> None:
    text, claims, verifier = portal.object(state=None)
    pushed = portal.push(request=text, state="outside", client_id=portal.portal.client_id)
    assert pushed.status_code == 201, pushed.text
    response = portal.ask(request_uri=pushed.json()["request_uri"])
    assert set(portal.finish(response, claims, verifier)) == {"code", "iss"}


@pytest.fixture(scope="module")
def fapi2(rig: Rig) -> Signing:
    own = ECKey.import_key(rig.prepared.portal_key("g4k"))
    keys = {"keys": [own.as_dict(private=False), *jwks(EC, RSA)["keys"]]}
    return Signing(
        rig,
        "signing-bank",
        of="g4k",
        profile="fapi2",
        jwks=keys,
        dpop_bound_access_tokens=True,
        require_signed_request_object=True,
    )


def test_a_fapi2_portal_pushes_what_it_signed(fapi2: Signing) -> None:
    text, claims, verifier = fapi2.object(
        RSA, "PS256", aud=[fapi2.rig.issuer, "https://other.example", "invalid"]
    )
    pushed = fapi2.push(request=text)
    assert pushed.status_code == 201, pushed.text
    response = fapi2.ask(request_uri=pushed.json()["request_uri"])
    assert fapi2.finish(response, claims, verifier)["state"] == claims["state"]


@pytest.mark.parametrize(
    ("alg", "changes"),
    [
        ("RS256", {}),
        ("PS256", {"aud": "https://other.example"}),
        ("PS256", {"exp": None}),
        ("PS256", {"nbf": None}),
        ("PS256", {"exp": 4200}),
        ("PS256", {"exp": -300, "nbf": -600}),
        ("PS256", {"nbf": -4200}),
        ("PS256", {"request_uri": "urn:example:other"}),
        ("PS256", {"iss": "somebody"}),
    ],
    ids=str,
)
def test_a_pushed_object_that_fapi_does_not_allow_is_refused(
    rig: Rig, fapi2: Signing, alg: str, changes: dict[str, Any]
) -> None:
    placed = {
        name: rig.clock() + value if isinstance(value, int) else value for name, value in changes.items()
    }
    text, _, _ = fapi2.object(RSA, alg, **placed)
    with harmless(rig, ("request.refused", "invalid_request_object")):
        as_json(fapi2.push(request=text), 400, "invalid_request_object")


def test_another_portals_key_signs_nothing(rig: Rig, fapi2: Signing) -> None:
    text, _, _ = fapi2.object(ec_key("ec-1"), "ES256")
    with harmless(rig, ("request.refused", "invalid_request_object")):
        as_json(fapi2.push(request=text), 400, "invalid_request_object")


def test_an_unsigned_pushed_object_is_invalid(rig: Rig, fapi2: Signing) -> None:
    text, _, _ = fapi2.object(EC, "ES256")
    unsigned = f"eyJhbGciOiJub25lIn0.{text.split('.')[1]}."
    with harmless(rig, ("request.refused", "invalid_request_object")):
        as_json(fapi2.push(request=unsigned), 400, "invalid_request_object")


def test_plain_parameters_pushed_by_who_signs_are_refused(rig: Rig, fapi2: Signing) -> None:
    parameters, _ = fapi2.portal.parameters()
    with harmless(rig, ("request.refused", "invalid_request")):
        as_json(fapi2.push(**parameters), 400, "invalid_request")


def test_an_object_that_is_not_pushed_is_refused_for_fapi2(rig: Rig, fapi2: Signing) -> None:
    text, claims, _ = fapi2.object(RSA, "PS256")
    with harmless(rig, (REFUSED, "invalid_request")):
        response = fapi2.ask(request=text)
        fapi2.tell(response, "invalid_request", claims["state"])


def test_discovery_says_what_is_taken(rig: Rig) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    assert said["request_parameter_supported"] is True
    assert said["request_uri_parameter_supported"] is True
    assert {"ES256", "PS256", "RS256", "EdDSA"} == set(said["request_object_signing_alg_values_supported"])
