"""Published SD-JWT presentations: RFC 9901, appendix A, and the example of OpenID4VP 1.0."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from joserfc.jwk import ECKey

from idp.credentials import CredentialRejected, Reason, jose, schema, sd_jwt
from tests.credentials.issuing import digest, disclosure, sign

NAMES = [
    "sd_jwt/rfc9901_a1.json",
    "sd_jwt/rfc9901_a2.json",
    "sd_jwt/rfc9901_a3.json",
    "sd_jwt/rfc9901_a4.json",
    "openid4vp/sd_jwt_vc_presentation.json",
]
BOUND = ["sd_jwt/rfc9901_a3.json", "sd_jwt/rfc9901_a4.json", "openid4vp/sd_jwt_vc_presentation.json"]


@dataclass
class Example:
    """A vector, and the arguments it verifies with."""

    document: Mapping[str, Any]

    @property
    def presentation(self) -> str:
        return self.document["presentation"]

    @property
    def now(self) -> int:
        return int(datetime.fromisoformat(self.document["verification_time"]).timestamp())

    @property
    def key_binding(self) -> sd_jwt.KeyBinding | None:
        if not self.document.get("key_binding_required", True):
            return None
        return sd_jwt.KeyBinding(self.document["aud"], self.document["nonce"])

    def verify(self, presentation: str | None = None, **changes: Any) -> dict[str, Any]:
        jwk = {name: value for name, value in self.document["issuer_jwk"].items() if name != "d"}
        arguments: dict[str, Any] = {
            "issuer_key": jose.public_key(jwk),
            "header_types": {self.document["expected"]["issuer_header"]["typ"]},
            "key_binding": self.key_binding,
            "now": self.now,
        }
        return sd_jwt.verify_sd_jwt(presentation or self.presentation, **{**arguments, **changes})

    def refused(self, presentation: str | None = None, **changes: Any) -> Reason:
        with pytest.raises(CredentialRejected) as refusal:
            self.verify(presentation, **changes)
        return refusal.value.reason


@pytest.fixture(params=NAMES)
def example(request: pytest.FixtureRequest, vector: Callable[[str], bytes]) -> Example:
    return Example(json.loads(vector(request.param)))


@pytest.fixture(params=BOUND)
def bound(request: pytest.FixtureRequest, vector: Callable[[str], bytes]) -> Example:
    return Example(json.loads(vector(request.param)))


def flipped(text: str, part: int) -> str:
    """A compact JWS with one character in the middle of a part changed to another of the alphabet."""
    parts = text.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    return ".".join(parts)


def test_the_published_presentation_verifies_to_the_published_payload(example: Example) -> None:
    assert example.verify() == example.document["expected"]["payload"]


def test_the_published_disclosures_have_the_published_digests(example: Example) -> None:
    for one in example.document["expected"]["disclosures"]:
        assert digest(one["encoded"]) == one["digest"]


def test_a_vector_with_another_issuer_signature_is_refused(example: Example) -> None:
    jwt, rest = example.presentation.split("~", 1)
    assert example.refused(flipped(jwt, 2) + "~" + rest) is Reason.ISSUER_SIGNATURE


def test_a_vector_under_another_issuers_key_is_refused(example: Example) -> None:
    stranger = jose.public_key({"kty": "EC", "crv": "P-256", **STRANGER})
    assert example.refused(issuer_key=stranger) is Reason.ISSUER_SIGNATURE


STRANGER = {
    # RFC 9901, appendix A.5: the holder's key, which is not the issuer's.
    "x": "TCAER19Zvu3OHF4j4W4vfSVoHIP1ILilDls7vCeGemc",
    "y": "ZxjiWWbZMQGHVWKVQ4hbSIirsVfuecCE6t4jT9F2HZQ",
}


def test_a_vector_with_a_disclosure_sent_twice_is_refused(example: Example) -> None:
    jwt, first, rest = example.presentation.split("~", 2)
    assert example.refused(f"{jwt}~{first}~{first}~{rest}") is Reason.DISCLOSURE_DUPLICATE


def test_a_vector_with_a_disclosure_nobody_signed_is_refused(example: Example) -> None:
    jwt, rest = example.presentation.split("~", 1)
    foreign = disclosure("admin", True)
    assert example.refused(f"{jwt}~{foreign}~{rest}") is Reason.DISCLOSURE_UNREFERENCED


def test_a_vector_with_an_altered_disclosure_is_refused(example: Example) -> None:
    jwt, first, rest = example.presentation.split("~", 2)
    _salt, *contents = json.loads(jose.unb64(first))
    assert example.refused(f"{jwt}~{disclosure(*contents)}~{rest}") is Reason.DISCLOSURE_UNREFERENCED


def test_a_vector_is_refused_under_another_typ(example: Example) -> None:
    assert example.refused(header_types={"JWT"}) is Reason.HEADER_TYPE


def test_a_vector_without_key_binding_is_refused_where_one_is_due(example: Example) -> None:
    without = example.presentation[: example.presentation.rindex("~") + 1]
    demanded = sd_jwt.KeyBinding("https://verifier.example.org", "1234567890")
    reason = example.refused(without, key_binding=demanded)
    assert reason is (Reason.KEY_BINDING_MISSING if example.key_binding else Reason.HOLDER_KEY)


def test_a_vector_is_refused_after_its_expiry(example: Example) -> None:
    expires_at = example.document["expected"]["payload"].get("exp")
    if expires_at is None:
        assert example.verify(key_binding=None, now=4_000_000_000)
    else:
        assert example.verify(key_binding=None, now=expires_at + 59)
        assert example.refused(key_binding=None, now=expires_at + 60) is Reason.EXPIRED


def test_a_bound_vector_is_refused_for_another_nonce(bound: Example) -> None:
    demanded = sd_jwt.KeyBinding(bound.document["aud"], "1234567891")
    assert bound.refused(key_binding=demanded) is Reason.KEY_BINDING_NONCE


def test_a_bound_vector_is_refused_for_another_audience(bound: Example) -> None:
    demanded = sd_jwt.KeyBinding(bound.document["aud"] + "/", bound.document["nonce"])
    assert bound.refused(key_binding=demanded) is Reason.KEY_BINDING_AUDIENCE


@pytest.mark.parametrize("away_s", [-361, 361])
def test_a_bound_vector_is_refused_outside_its_window(bound: Example, away_s: int) -> None:
    issued_at = bound.document["expected"]["key_binding"]["payload"]["iat"]
    assert bound.verify(now=issued_at + away_s + (1 if away_s < 0 else -1))
    assert bound.refused(now=issued_at + away_s) is Reason.KEY_BINDING_TIME


def test_a_bound_vector_with_another_key_binding_signature_is_refused(bound: Example) -> None:
    body, proof = bound.presentation.rsplit("~", 1)
    assert bound.refused(f"{body}~{flipped(proof, 2)}") is Reason.KEY_BINDING_SIGNATURE


def test_a_bound_vector_that_shows_less_than_was_bound_is_refused(bound: Example) -> None:
    # The last disclosure is one no other refers to, so that only the sd_hash can tell.
    parts = bound.presentation.split("~")
    assert bound.refused("~".join([*parts[:-2], parts[-1]])) is Reason.KEY_BINDING_HASH


def test_openid4vp_example_with_its_own_keys_is_refused_when_it_discloses_a_protected_claim(
    vector: Callable[[str], bytes],
) -> None:
    example = Example(json.loads(vector("openid4vp/sd_jwt_vc_presentation.json")))
    text = disclosure("vct", "urn:other")
    payload = {**example.document["expected"]["payload"], "_sd": [digest(text)]}
    del payload["vct"]
    key = ECKey.import_key(example.document["issuer_jwk"]).private_key
    assert key is not None
    jwt = sign({"alg": "ES256", "typ": "dc+sd-jwt"}, payload, key)
    assert example.verify(f"{jwt}~{text}~", key_binding=None)["vct"] == "urn:other"
    reason = example.refused(f"{jwt}~{text}~", key_binding=None, undisclosable=frozenset({"vct"}))
    assert reason is Reason.DISCLOSURE_FORBIDDEN


def test_rfc9901_a3_claims_have_the_shape_of_our_table(vector: Callable[[str], bytes]) -> None:
    example = Example(json.loads(vector("sd_jwt/rfc9901_a3.json")))
    day = datetime.fromtimestamp(example.now).date()  # noqa: DTZ006 - any day will do
    where = schema.places({path: path for path in schema.element_paths()})
    assert schema.disclosed(example.verify(), where, mission_code="", today=day) == {"nationalities": ["DE"]}
