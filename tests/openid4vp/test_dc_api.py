"""The two requests that a page hands to its browser, member by member, and what their answer must be bound to.

OpenID4VP 1.0, appendix A and section B.2.6.2; HAIP 1.0, section 5.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey

from idp import portals
from idp.credentials import session_transcript
from idp.login import Ask, AuthorizationRequest
from idp.openid4vp import dcql
from idp.openid4vp.dc_api import SIGNED, UNSIGNED, DigitalCredentials
from idp.openid4vp.on_behalf import OnBehalf
from idp.openid4vp.query import FORMATS, query
from idp.presentation.question import Question, question
from tests.presenting import b64, parts, unb64
from tests.rig import Rig

SECRET = bytes(range(32))
PORTAL = OnBehalf(
    {"ko": "정부24", "en": "Government24"}, {"ko": "행정안전부"}, ({"ko": "가입", "en": "To join"},)
)
NONCE = "exc7gBkxjx1rdc9udRrveKvSsJIq80avlXeLHhGwqtA"
Made = list[dict[str, Any]]


def ask(**changes: Any) -> Ask:
    good = {"id": "login.0a1b2c3d", "via": "dc_api", "nonce": NONCE, "sealed_key": "", "created_at": 0}
    return Ask(**{**good, **changes})


@pytest.fixture(scope="module")
def asked(rig: Rig) -> Question:
    """What a portal of the demonstration asks."""
    registered = next(one for one in rig.prepared.portals() if one["client_id"] == "gov24")
    request = AuthorizationRequest(client_id="gov24", scopes=tuple(registered["scopes"]))
    with rig.app.app_context():
        return question(portals.parse(registered), request, rig.house.trust.snapshot(), with_ci=False)


@pytest.fixture
def digital(rig: Rig) -> DigitalCredentials:
    return rig.house.digital_credentials


@pytest.fixture
def until(rig: Rig) -> int:
    return rig.clock() + 600


@pytest.fixture
def made(digital: DigitalCredentials, asked: Question, until: int) -> Made:
    return digital.requests(ask(), SECRET, asked, on_behalf=PORTAL, until=until)


def signed(made: Made) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of the signed request."""
    return parts(made[0]["data"]["request"])


# -- the requests ------------------------------------------------------------------------------------------------


def test_there_are_two_requests_and_the_signed_one_comes_first(made: Made) -> None:
    assert [set(one) for one in made] == [{"protocol", "data"}] * 2
    assert [one["protocol"] for one in made] == ["openid4vp-v1-signed", "openid4vp-v1-unsigned"]
    assert [SIGNED, UNSIGNED] == ["openid4vp-v1-signed", "openid4vp-v1-unsigned"]
    assert json.loads(json.dumps(made)) == made  # an `object` of the browser's: JSON and nothing else


def test_the_plain_request_has_these_members_and_no_others(made: Made, asked: Question) -> None:
    key = ECKey.import_key(made[1]["data"]["client_metadata"]["jwks"]["keys"][0])
    public = key.as_dict(private=False)
    assert made[1]["data"] == {
        "response_type": "vp_token",
        "response_mode": "dc_api.jwt",
        "nonce": NONCE,
        "dcql_query": query(asked, FORMATS),
        "client_metadata": {
            "client_name": "정부24 · Government24",
            "client_name#ko": "정부24",
            "client_name#en": "Government24",
            "organization_name": "행정안전부",
            "organization_name#ko": "행정안전부",
            "vp_formats_supported": {
                "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]},
                "mso_mdoc": {"issuerauth_alg_values": [-7, -9], "deviceauth_alg_values": [-7, -9]},
            },
            "jwks": {
                "keys": [
                    {
                        "kty": "EC",
                        "crv": "P-256",
                        "x": public["x"],
                        "y": public["y"],
                        "use": "enc",
                        "alg": "ECDH-ES",
                        "kid": "login.0a1b2c3d",
                    }
                ]
            },
            "encrypted_response_enc_values_supported": ["A128GCM", "A256GCM"],
        },
    }
    dcql.check(made[1]["data"]["dcql_query"])


def test_the_signed_request_says_the_same_and_who_asks_on_which_page(
    rig: Rig, made: Made, until: int
) -> None:
    _, claims = signed(made)
    client_id = claims["client_id"]
    assert re.fullmatch(r"x509_hash:[A-Za-z0-9_-]{43}", client_id)
    assert abs(claims.pop("iat") - rig.clock()) <= 2
    assert claims == {
        **made[1]["data"],
        "iss": client_id,
        "aud": "https://self-issued.me/v2",
        "exp": until,
        "client_id": client_id,
        "expected_origins": [rig.issuer],
        "verifier_info": [
            {
                "format": f"{rig.issuer}/docs/wallets#for-whom-we-ask",
                "data": {"purposes": [{"ko": "가입", "en": "To join"}]},
            }
        ],
    }


@pytest.mark.parametrize("name", ["state", "response_uri", "redirect_uri", "request_uri", "scope", "origin"])
def test_what_belongs_to_other_ways_is_in_neither(made: Made, name: str) -> None:
    assert name not in made[1]["data"]
    assert name not in signed(made)[1]


def test_a_portal_that_says_no_purpose_has_no_empty_list_of_them(
    digital: DigitalCredentials, asked: Question
) -> None:
    silent = OnBehalf(PORTAL.name, PORTAL.operator)
    made = digital.requests(ask(), SECRET, asked, on_behalf=silent, until=1)
    assert "verifier_info" not in signed(made)[1]


def test_nobody_is_named_in_the_request_that_nobody_signed(made: Made) -> None:
    assert not {"client_id", "expected_origins", "iss", "aud", "exp", "verifier_info"} & set(made[1]["data"])


def test_the_origin_is_written_as_browsers_write_it(made: Made) -> None:
    (origin,) = signed(made)[1]["expected_origins"]
    assert re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?", origin)


def test_the_signature_verifies_with_the_certificate_that_is_named(made: Made) -> None:
    header, claims = signed(made)
    assert (header["typ"], header["alg"]) == ("oauth-authz-req+jwt", "ES256")
    assert set(header) == {"typ", "alg", "x5c"}
    der = base64.b64decode(header["x5c"][0], validate=True)
    leaf = x509.load_der_x509_certificate(der)
    assert leaf.issuer != leaf.subject
    assert claims["client_id"] == "x509_hash:" + b64(hashlib.sha256(der).digest())
    key = ECKey.import_key(leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    registry = jws.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = registry.max_payload_length = 65_536
    assert jws.deserialize_compact(made[0]["data"]["request"], key, registry=registry)


def test_the_key_is_of_this_question_alone(
    digital: DigitalCredentials, asked: Question, until: int, made: Made
) -> None:
    def x(secret: bytes) -> str:
        again = digital.requests(ask(), secret, asked, on_behalf=PORTAL, until=until)
        return str(again[1]["data"]["client_metadata"]["jwks"]["keys"][0]["x"])

    assert x(SECRET) == made[1]["data"]["client_metadata"]["jwks"]["keys"][0]["x"]
    assert x(SECRET) != x(bytes(reversed(SECRET)))


def test_a_question_in_no_format_of_this_protocol_is_not_put_this_way(
    digital: DigitalCredentials, asked: Question
) -> None:
    assert digital.serves(asked)
    elsewhere = tuple(replace(one, looks=replace(one.looks, format="opendid")) for one in asked.alternatives)
    assert not digital.serves(replace(asked, alternatives=elsewhere))


# -- what an answer must be bound to -----------------------------------------------------------------------------


def test_an_answer_must_be_bound_to_the_origin_the_nonce_and_the_key(
    rig: Rig, digital: DigitalCredentials, made: Made
) -> None:
    bound = digital.bound(ask(), SECRET)
    assert bound.audience == f"origin:{rig.issuer}"
    assert bound.nonce == NONCE
    assert bound.header_types == {"dc+sd-jwt"}
    # Appendix B.2.6.2 again, from the request as a wallet has it.
    jwk = made[1]["data"]["client_metadata"]["jwks"]["keys"][0]
    needed = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    thumbprint = hashlib.sha256(json.dumps(needed, separators=(",", ":")).encode()).digest()
    info = cbor2.dumps([rig.issuer, NONCE, thumbprint])
    handover = ["OpenID4VPDCAPIHandover", hashlib.sha256(info).digest()]
    assert bound.session_transcript == cbor2.dumps([None, None, handover])


def test_the_transcript_of_a_link_is_another(rig: Rig, digital: DigitalCredentials) -> None:
    by_link = session_transcript.for_direct_post(
        client_id=f"origin:{rig.issuer}", nonce=NONCE, key_thumbprint=None, response_uri=rig.issuer
    )
    assert digital.bound(ask(), SECRET).session_transcript != by_link


@pytest.mark.parametrize("change", [{"nonce": "another"}, {}])
def test_every_part_of_the_transcript_counts(digital: DigitalCredentials, change: Mapping[str, str]) -> None:
    other = digital.bound(ask(**change), SECRET if change else bytes(32))
    assert other.session_transcript != digital.bound(ask(), SECRET).session_transcript


def test_the_transcript_is_byte_equal_to_the_specifications(vector: Callable[[str], bytes]) -> None:
    case = json.loads(vector("openid4vp/session_transcript.json"))
    thumbprint = unb64(ECKey.import_key(case["encryption_jwk"]).thumbprint())
    made = session_transcript.for_dc_api(key_thumbprint=thumbprint, **case["dc_api"])
    expected = case["expected"]["dc_api"]
    assert made.hex() == expected["session_transcript_hex"]
    _, _, (name, digest) = cbor2.loads(made)
    assert name == "OpenID4VPDCAPIHandover"
    assert digest == hashlib.sha256(bytes.fromhex(expected["handover_info_hex"])).digest()
