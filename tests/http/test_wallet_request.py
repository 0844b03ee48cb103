"""What a wallet is asked: one signed object by reference, the same at every fetch, gone when it is over."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from joserfc import jws
from joserfc.jwk import ECKey

from tests.harmless import EVIL, as_json, decent, harmless, page
from tests.presenting import request_object
from tests.rig import Portal, Rig


@pytest.fixture
def gov24(rig: Rig) -> Portal:
    return rig.portal("gov24")


def links(portal: Portal) -> tuple[str, str]:
    shown = portal.page(portal.begin())
    return portal.link(shown), portal.qr(shown)


def request_uri(link: str) -> str:
    return parse_qs(urlsplit(link).query)["request_uri"][0]


def test_a_link_names_us_and_the_request_and_nothing_else(rig: Rig, gov24: Portal) -> None:
    for link in links(gov24):
        query = parse_qs(urlsplit(link).query)
        # In this order: there are wallets that take the whole link for a query, and its first name with the scheme.
        assert list(query) == ["client_id", "request_uri"]
        assert query["request_uri"][0].startswith(f"{rig.issuer}/wallet/request/")
        assert query["client_id"][0].startswith("x509_hash:")


def test_the_request_object_says_what_the_profile_demands(rig: Rig, gov24: Portal) -> None:
    link = links(gov24)[0]
    text = rig.http.get(request_uri(link)).text
    header, claims = request_object(rig, link)
    assert set(header) == {"alg", "typ", "x5c"}
    assert header["typ"] == "oauth-authz-req+jwt"
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    assert leaf.issuer != leaf.subject
    assert jws.deserialize_compact(text, ECKey.import_key(leaf.public_key()), registry=_LongHeader(["ES256"]))
    digest = hashlib.sha256(base64.b64decode(header["x5c"][0])).digest()
    assert claims["client_id"] == "x509_hash:" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert claims["aud"] == "https://self-issued.me/v2"
    assert (claims["response_type"], claims["response_mode"]) == ("vp_token", "direct_post.jwt")
    assert claims["response_uri"] == f"{rig.issuer}/wallet/response/{claims['state']}"
    assert 0 < claims["exp"] - claims["iat"] <= 600
    assert not {"redirect_uri", "scope", "transaction_data", "client_id_scheme"} & set(claims)
    (key,) = claims["client_metadata"]["jwks"]["keys"]
    assert (key["alg"], key["use"], key["crv"]) == ("ECDH-ES", "enc", "P-256")
    assert "d" not in key
    assert set(claims["client_metadata"]["encrypted_response_enc_values_supported"]) == {"A128GCM", "A256GCM"}


def test_a_wallet_is_told_for_whom_by_whom_and_why(rig: Rig, gov24: Portal) -> None:
    for link in links(gov24):
        claims = request_object(rig, link)[1]
        metadata = claims["client_metadata"]
        assert (metadata["client_name#ko"], metadata["client_name#en"]) == ("정부24", "Government24")
        assert metadata["organization_name#ko"] == "행정안전부"
        assert metadata["organization_name"].startswith("행정안전부 · ")
        (info,) = claims["verifier_info"]
        assert info["format"] == f"{rig.issuer}/docs/wallets#for-whom-we-ask"
        registered = next(one for one in rig.prepared.portals() if one["client_id"] == "gov24")
        asked = [one["purpose"] for one in registered["claims"]]
        assert info["data"]["purposes"] == [one for at, one in enumerate(asked) if one not in asked[:at]]


class _LongHeader(jws.JWSRegistry):
    max_header_length = 16_384

    def __init__(self, algorithms: list[str]) -> None:
        super().__init__(algorithms=algorithms)


def test_no_two_questions_share_a_nonce_state_or_key(rig: Rig) -> None:
    asked = [request_object(rig, link)[1] for _ in range(10) for link in links(rig.portal("gov24"))]
    for value in (
        [claims["nonce"] for claims in asked],
        [claims["state"] for claims in asked],
        [claims["client_metadata"]["jwks"]["keys"][0]["x"] for claims in asked],
    ):
        assert len(set(value)) == len(asked)
        assert min(map(len, value)) >= 22


def test_it_says_the_same_at_every_fetch_by_get_and_by_post(rig: Rig, gov24: Portal) -> None:
    link = links(gov24)[0]
    with harmless(rig):
        fetched = [
            request_object(rig, link)[1],
            request_object(rig, link)[1],
            request_object(rig, link, a="b")[1],
        ]
    for claims in fetched:
        assert {**claims, "iat": 0, "exp": 0} == {**fetched[0], "iat": 0, "exp": 0}
    with_nonce = request_object(rig, link, wallet_nonce="wallets-own")[1]
    assert with_nonce.pop("wallet_nonce") == "wallets-own"
    assert with_nonce["nonce"] == fetched[0]["nonce"]


@pytest.mark.parametrize(
    "form",
    [
        {"wallet_nonce": ["a", "b"]},
        {"wallet_nonce": "n" * 513},
        {"wallet_nonce": "n" * 60_000},
        {"wallet_nonce": ""},
        {"wallet_nonce": "nonce\n"},
        {"wallet_nonce": "한글"},
        {"wallet_nonce": "a b"},
    ],
    ids=lambda form: str(form)[:40],
)
def test_a_wallet_nonce_that_is_none_is_refused(rig: Rig, gov24: Portal, form: dict[str, Any]) -> None:
    uri = request_uri(links(gov24)[0])
    with harmless(rig):
        as_json(rig.http.post(uri, data=form), 400, "invalid_request")
    assert rig.http.get(uri).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {"wallet_metadata": "no json"},
        {"wallet_metadata": "[" * 10_000},
        {"wallet_metadata": '{"jwks":{"keys":[{"kty":"oct","k":"AA"}]},"jwks_uri":"http://127.0.0.1:1/x"}'},
        {"response_uri": "https://evil.example", "nonce": "mine", "client_id": EVIL, "state": "x"},
    ],
    ids=lambda form: str(form)[:40],
)
def test_what_else_a_wallet_says_changes_nothing(rig: Rig, gov24: Portal, form: dict[str, Any]) -> None:
    link = links(gov24)[0]
    before = request_object(rig, link)[1]
    with harmless(rig):
        after = request_object(rig, link, **form)[1]
    assert {**after, "iat": 0, "exp": 0} == {**before, "iat": 0, "exp": 0}


def test_a_body_over_the_limit_is_not_read(rig: Rig, gov24: Portal) -> None:
    uri = request_uri(links(gov24)[0])
    with harmless(rig):
        as_json(rig.http.post(uri, data={"wallet_metadata": "x" * 70_000}), 413, "invalid_request")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
def test_other_methods_are_not_there(rig: Rig, gov24: Portal, method: str) -> None:
    uri = request_uri(links(gov24)[0])
    with harmless(rig):
        response = decent(rig.http.request(method, uri))
    assert response.status_code == 405


ALTERED = {
    "unknown": lambda ask: "x" * len(ask),
    "truncated": lambda ask: ask[:-1],
    "longer": lambda ask: ask + "0",
    "the_login_alone": lambda ask: ask.partition(".")[0],
    "another_question": lambda ask: ask.partition(".")[0] + ".00000000",
    "upper": lambda ask: ask.upper() if ask.upper() != ask else ask.lower(),
    "very_long": lambda ask: ask * 100,
    "nul": lambda ask: ask + "%00",
    "markup": lambda ask: "%3Cscript%3Ealert(1)",
}


@pytest.mark.parametrize("kind", ALTERED)
@pytest.mark.parametrize("door", ["request", "response"])
def test_an_unknown_question_is_gone_and_nothing_is_told(
    rig: Rig, gov24: Portal, kind: str, door: str
) -> None:
    ask = request_uri(links(gov24)[0]).rpartition("/")[2]
    uri = f"{rig.issuer}/wallet/{door}/{ALTERED[kind](ask)}"
    with harmless(rig):
        response = rig.http.get(uri) if door == "request" else rig.http.post(uri, data={"response": "x"})
        as_json(response, 404 if door == "request" else 400, "invalid_request")


def test_a_question_is_gone_once_it_was_answered(rig: Rig, gov24: Portal) -> None:
    link, qr = links(gov24)
    assert gov24.show(link).status == 200
    with harmless(rig):
        for other in (link, qr):
            as_json(rig.http.get(request_uri(other)), 410, "invalid_request")


def test_a_question_is_gone_once_the_login_was_cancelled(rig: Rig, gov24: Portal) -> None:
    begun = gov24.begin()
    shown = gov24.page(begun)
    link = gov24.link(shown)
    form = next(item for item in shown.root.below() if item.attributes.get("action", "").endswith("/cancel"))
    csrf = next(item for item in form.below() if item.attributes.get("name") == "csrf").attributes["value"]
    gov24.browser.post(gov24.absolute(form.attributes["action"]), data={"csrf": csrf})
    with harmless(rig):
        as_json(rig.http.get(request_uri(link)), 404, "invalid_request")


def test_a_question_is_gone_once_the_login_has_expired(rig: Rig, gov24: Portal) -> None:
    link = links(gov24)[0]
    rig.clock.forward(601)
    with harmless(rig):
        as_json(rig.http.get(request_uri(link)), 410, "invalid_request")


def test_fetching_leaves_time_to_answer(rig: Rig, gov24: Portal) -> None:
    link = links(gov24)[0]
    rig.clock.forward(590)
    assert rig.http.get(request_uri(link)).status_code == 200
    rig.clock.forward(290)
    assert rig.http.get(request_uri(link)).status_code == 200
    rig.clock.forward(30)
    as_json(rig.http.get(request_uri(link)), 410, "invalid_request")


def test_a_portal_without_cross_device_offers_no_qr_code(rig: Rig) -> None:
    portal = rig.variant("gov24", "one-device", cross_device=False)
    shown = portal.page(portal.begin())
    assert shown.find("qr") is None
    assert shown.find("wallet-link") is not None


def test_the_phones_page_needs_its_token(rig: Rig, gov24: Portal) -> None:
    login = gov24.begin().location.rpartition("/")[2]
    with harmless(rig):
        for token in ("x", f"{login}.x", f"{login}.", "." * 10, "x" * 5000, f"{login}.%00"):
            page(rig.browser().get(f"{rig.issuer}/wallet/done/{token}"), 404, "SINWON-L001")
