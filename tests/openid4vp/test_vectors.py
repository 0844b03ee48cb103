"""OpenID4VP 1.0's own examples: encrypted response (8.3), session data (appendix B), DCQL (6 and 7)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey

from idp.credentials import session_transcript
from idp.errors import PresentationError
from idp.openid4vp import dcql
from idp.openid4vp.response import decrypt
from idp.seal import unb64

Vector = Callable[[str], bytes]

QUERIES = (
    "simple",
    "simple_mdoc",
    "multi_credentials",
    "credentials_alternatives",
    "complex_mdoc",
    "claims_alternatives",
    "value_matching_simple",
)


def read(vector: Vector, name: str) -> Any:
    return json.loads(vector(f"openid4vp/{name}.json"))


def test_the_encrypted_response_of_section_8_3_decrypts(vector: Vector) -> None:
    case = read(vector, "encrypted_response")
    key = ECKey.import_key(case["private_jwk"])
    assert decrypt(case["response"], key, kid="ac").payload == case["expected"]["payload"]


@pytest.mark.parametrize("part", range(5))
def test_the_encrypted_response_is_refused_when_a_part_changes(vector: Vector, part: int) -> None:
    case = read(vector, "encrypted_response")
    parts = case["response"].split(".")
    parts[part] = parts[part][:-2] + ("AA" if parts[part][-2:] != "AA" else "BA") if parts[part] else "AAAA"
    with pytest.raises(PresentationError) as refused:
        decrypt(".".join(parts), ECKey.import_key(case["private_jwk"]), kid="ac")
    assert refused.value.reason == "not_readable"


def test_the_encrypted_response_is_refused_for_another_kid_and_by_another_key(vector: Vector) -> None:
    case = read(vector, "encrypted_response")
    with pytest.raises(PresentationError) as other_question:
        decrypt(case["response"], ECKey.import_key(case["private_jwk"]), kid="another")
    assert other_question.value.reason == "not_this_login"
    with pytest.raises(PresentationError) as other_key:
        decrypt(case["response"], ECKey.generate_key("P-256"), kid="ac")
    assert other_key.value.reason == "not_readable"


def test_session_transcripts_are_byte_equal_to_appendix_b(vector: Vector) -> None:
    case = read(vector, "session_transcript")
    expected = case["expected"]
    thumbprint = unb64(ECKey.import_key(case["encryption_jwk"]).thumbprint())
    assert thumbprint.hex() == expected["jwk_thumbprint_hex"]
    redirect = session_transcript.for_direct_post(key_thumbprint=thumbprint, **case["redirect"])
    assert redirect.hex() == expected["redirect"]["session_transcript_hex"]
    dc_api = session_transcript.for_dc_api(key_thumbprint=thumbprint, **case["dc_api"])
    assert dc_api.hex() == expected["dc_api"]["session_transcript_hex"]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_of_the_specification_is_well_formed(vector: Vector, name: str) -> None:
    dcql.check(read(vector, f"dcql/{name}")["query"])


def test_the_trusted_authorities_of_the_specification_are_well_formed(vector: Vector) -> None:
    case = read(vector, "dcql/trusted_authorities")
    asked = read(vector, "dcql/simple")["query"]
    asked["credentials"][0]["trusted_authorities"] = case["trusted_authorities"]
    dcql.check(asked)
    asked["credentials"][0]["trusted_authorities"] = [{"type": "vibes", "values": ["good"]}]
    with pytest.raises(dcql.QueryError):
        dcql.check(asked)


@pytest.mark.parametrize("name", QUERIES)
def test_which_credentials_satisfy_a_query_of_the_specification(vector: Vector, name: str) -> None:
    case = read(vector, f"dcql/{name}")
    for answered in case["expected"]["satisfied_by"]:
        assert dcql.credentials_satisfied(case["query"], answered), answered
    for answered in case["expected"]["not_satisfied_by"]:
        assert not dcql.credentials_satisfied(case["query"], answered), answered


@pytest.mark.parametrize("name", QUERIES)
def test_which_claims_satisfy_a_query_of_the_specification(vector: Vector, name: str) -> None:
    case = read(vector, f"dcql/{name}")
    for identifier, expected in case["expected"].get("claims", {}).items():
        asked = next(entry for entry in case["query"]["credentials"] if entry["id"] == identifier)
        for claims in expected.get("satisfied_by", ()):
            assert dcql.claims_satisfied(asked, claims), claims
        for claims in expected.get("not_satisfied_by", ()):
            assert not dcql.claims_satisfied(asked, claims), claims


def test_claims_path_pointers_select_what_section_7_says(vector: Vector) -> None:
    case = read(vector, "dcql/claims_path_pointer")
    for source in case["expected"].values():
        for entry in source:
            if "selected" in entry:
                assert dcql.select(case["credential"], entry["path"]) == entry["selected"]
            else:
                with pytest.raises(dcql.NothingSelected, match=entry["error"]):
                    dcql.select(case["credential"], entry["path"])


@pytest.mark.parametrize(
    "change",
    [
        {"credentials": []},
        {"credentials": "x"},
        {"credentials": [{"id": "a b", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}}]},
        {"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {}}]},
        {"credentials": [{"id": "a", "format": "jwt_vc_json", "meta": {"vct_values": ["v"]}}]},
        {"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}}] * 2},
        {"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}, "claims": []}]},
        {
            "credentials": [
                {"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}, "claim_sets": [["c"]]}
            ]
        },
        {
            "credentials": [
                {
                    "id": "a",
                    "format": "dc+sd-jwt",
                    "meta": {"vct_values": ["v"]},
                    "claims": [{"path": [True]}],
                }
            ]
        },
        {
            "credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}}],
            "credential_sets": [{"options": [["b"]]}],
        },
    ],
)
def test_a_query_that_the_specification_does_not_allow_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(dcql.QueryError):
        dcql.check(change)
