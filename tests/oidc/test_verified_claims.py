"""`verified_claims`: what was asked for and is true, and nothing else (OpenID Identity Assurance 1.0)."""

from typing import Any

import pytest

from idp.errors import AuthorizationError
from idp.oidc import verified_claims
from idp.oidc.expected_values import ExpectedValues
from tests.oidc.verified_claims_shape import problems

NOW = 1_795_000_000  # 2026-11-18T11:06:40Z
EXPECTED = ExpectedValues(b"p" * 32)
CHECKS = [
    {"check_method": "vcrypt", "organization": "공관", "time": "2026-11-18T11:00:00Z"},
    {"check_method": "data", "organization": "공관", "time": "2026-11-18T10:00:00Z"},
]
RECORD = {
    "type": "kr-overseas-national",
    "created_at": "2026-10-19T00:00:00Z",
    "date_of_expiry": "2027-10-19",
    "source": {"name": "공관", "country_code": "US"},
}
EVIDENCE = [{"type": "electronic_record", "check_details": CHECKS, "record": RECORD}]
FULL = verified_claims.verification(
    {"time": "2026-11-18T11:00:00Z", "evidence": EVIDENCE},
    acr="https://id.example/acr/secure",
    transaction="t-1",
)
CLAIMS = {
    "name": "홍길동",
    "family_name": "HONG",
    "given_name": "GILDONG",
    "birthdate": "1985-03-14",
    "address": {"formatted": "LA"},
}
DISCOVERY = verified_claims.metadata(["kr-overseas-national"])
TRUSTED = {"verification": {"trust_framework": "kr_mobile_id"}, "claims": {"name": "홍길동"}}


def request(asked: Any) -> Any:
    """The answer to what a portal asks for in UserInfo, of the right shape and with nothing unannounced."""
    kept = verified_claims.read(asked, "userinfo", EXPECTED)
    said = verified_claims.answer(kept, FULL, CLAIMS, expected=EXPECTED, now=NOW)
    assert said is None or problems(said, DISCOVERY) == []
    return said


def answer(verification: Any, claims: Any) -> Any:
    return request({"verification": verification, "claims": claims})


def evidence(*asked: Any) -> Any:
    """The evidence in the answer to a request for a name; None when nothing is said."""
    said = answer({"trust_framework": None, "evidence": list(asked)}, {"name": None})
    return None if said is None else said["verification"]["evidence"]


def electronic_record(**members: Any) -> dict[str, Any]:
    return {"type": {"value": "electronic_record"}, **members}


# -- claims ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, {}, {"essential": False}, {"essential": True}, {"other": 1}])
def test_a_claim_asked_for_in_any_of_the_usual_ways_is_given(asked: Any) -> None:
    assert answer({"trust_framework": None}, {"name": asked}) == TRUSTED


@pytest.mark.parametrize("asked", [None, {"essential": True}, {"value": "x"}, {"values": ["x"]}])
def test_an_unknown_claim_is_left_out_and_the_rest_is_given(asked: Any) -> None:
    assert (
        answer({"trust_framework": None}, {"name": None, "shoe_size": asked, "ünï$,.%1/": asked}) == TRUSTED
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"name": {"value": "김"}},
        {"name": {"values": ["김", "이"]}},
        {"name": {"value": "김", "essential": True}},
        {"birthdate": {"max_age": 86_400}},
    ],
)
def test_a_claim_that_does_not_fit_is_left_out_and_what_is_left_is_said(claims: Any) -> None:
    empty = {"verification": {"trust_framework": "kr_mobile_id"}, "claims": {}}
    assert answer({"trust_framework": None}, claims) == empty
    if "name" not in claims:
        assert answer({"trust_framework": None}, {"name": None, **claims}) == TRUSTED


@pytest.mark.parametrize(
    "asked",
    [
        {"value": "홍길동"},
        {"values": ["홍길동", "김"]},
        {"value": "\u1112\u1169\u11bc\u1100\u1175\u11af\u1103\u1169\u11bc"},
        {"max_age": 1},
    ],
)
def test_a_value_that_fits_is_given(asked: Any) -> None:
    assert answer({"trust_framework": None}, {"name": asked}) == TRUSTED


def test_a_date_may_be_limited_in_age() -> None:
    # 1985-03-14, of which the last second counts (section 5.5.2).
    age_s = NOW - 479_692_799
    assert answer({}, {"birthdate": {"max_age": age_s}})["claims"] == {"birthdate": "1985-03-14"}
    assert answer({}, {"birthdate": {"max_age": age_s - 1}})["claims"] == {}


def test_a_claim_is_given_in_the_language_asked_for_and_under_an_announced_name() -> None:
    said = answer({}, {"name#KO": None, "name#en-US": None, "name#ja": None})
    assert said["claims"] == {"name#ko-Hang-KR": "홍길동", "name#en": "HONG GILDONG"}


def test_nothing_is_said_when_the_holder_agreed_to_nothing_of_it() -> None:
    asked = {"verification": {"time": None, "evidence": None}, "claims": {"gender": None, "name#en": None}}
    kept = verified_claims.read(asked, "userinfo", EXPECTED)
    released = {"name": "홍길동"}
    assert verified_claims.answer(kept, FULL, released, expected=EXPECTED, now=NOW) is None


@pytest.mark.parametrize("claims", [None, {"name": {"value": "김"}}, {"shoe_size": None}])
def test_the_evidence_goes_with_a_claim_and_never_alone(claims: Any) -> None:
    said = answer({"trust_framework": None, "time": None, "evidence": None}, claims)
    assert said == {
        "verification": {"trust_framework": "kr_mobile_id", "time": "2026-11-18T11:00:00Z"},
        "claims": {},
    }


def test_null_for_claims_is_never_a_request_for_all_of_them() -> None:
    assert answer({"trust_framework": None}, None)["claims"] == {}


# -- verification ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verification",
    [
        {"trust_framework": {"value": "eidas"}},
        {"trust_framework": {"values": ["eidas", "de_aml"]}},
        {"trust_framework": {"value": "eidas", "essential": False}},
        {"trust_framework": None, "assurance_level": {"value": "general"}},
        {"trust_framework": None, "time": {"max_age": 60}},
        {"trust_framework": None, "verification_process": {"value": "t-2"}},
        {"trust_framework": None, "assurance_process": {"policy": {"value": "gpg45"}}},
        {"trust_framework": None, "evidence": [{"type": {"value": "document"}}]},
        {"trust_framework": None, "evidence": [{"type": {"value": "utility_bill"}}]},
    ],
)
def test_a_condition_that_does_not_hold_leaves_everything_out(verification: Any) -> None:
    assert answer(verification, {"name": None}) is None


@pytest.mark.parametrize(
    "verification",
    [
        {"trust_framework": {"value": "kr_mobile_id"}},
        {"trust_framework": {"values": ["eidas", "kr_mobile_id"]}},
        {"trust_framework": {"essential": True}},
        {"trust_framework": {"max_age": 5}},
        {"trust_framework": None, "assurance_process": None},
        {"trust_framework": None, "assurance_process": {"policy": None, "procedure": {"essential": True}}},
        {"trust_framework": None, "assurance_process": {"assurance_details": [{"assurance_type": {"value": "x"}}]}},
        {"trust_framework": None, "unheard_of": {"value": "x"}},
        {},
    ],
)  # fmt: skip
def test_what_is_not_there_is_left_out_and_the_trust_framework_is_always_said(verification: Any) -> None:
    given = answer(verification, {"name": None})
    assert {name: value for name, value in given["verification"].items() if value} == TRUSTED["verification"]
    assert given["claims"] == TRUSTED["claims"]


@pytest.mark.parametrize(("max_age", "fits"), [(400, True), (399, False), (399.5, False), (10**12, True)])
def test_the_age_of_the_verification_counts_up_to_the_request(max_age: float, fits: bool) -> None:
    given = answer({"trust_framework": None, "time": {"max_age": max_age}}, {"name": None})
    assert (given is not None) is fits


def test_a_verification_that_came_after_the_request_has_no_age() -> None:
    kept = verified_claims.read(
        {"verification": {"time": {"max_age": 0}}, "claims": {"name": None}}, "userinfo", EXPECTED
    )
    assert verified_claims.answer(kept, FULL, CLAIMS, expected=EXPECTED, now=NOW - 3600)


def test_only_the_members_of_the_verification_that_were_asked_for_are_given() -> None:
    given = answer(
        {
            "trust_framework": {"value": "kr_mobile_id"},
            "assurance_level": None,
            "time": {"max_age": 864_000_000},
            "policy": None,
            "evidence": [electronic_record(record={"type": None})],
        },
        {"name": None},
    )
    assert given["verification"] == {
        "trust_framework": "kr_mobile_id",
        "assurance_level": "secure",
        "time": "2026-11-18T11:00:00Z",
        "evidence": [{"type": "electronic_record", "record": {"type": "kr-overseas-national"}}],
    }


# -- evidence ----------------------------------------------------------------------------------------------


def test_evidence_asked_for_by_its_type_alone_is_its_type_alone() -> None:
    assert evidence(electronic_record()) == [{"type": "electronic_record"}]


@pytest.mark.parametrize("whole", [None, {}, {"essential": True}])
def test_an_element_asked_for_as_such_is_given_whole(whole: Any) -> None:
    asked = electronic_record(record=whole, check_details=None)
    assert evidence(asked) == EVIDENCE
    source = electronic_record(record={"source": whole})
    assert evidence(source) == [
        {"type": "electronic_record", "record": {"type": RECORD["type"], "source": RECORD["source"]}}
    ]


def test_what_an_element_needs_is_given_with_what_is_asked_of_it() -> None:
    asked = electronic_record(record={"date_of_expiry": None}, check_details=[{"time": None}])
    assert evidence(asked) == [
        {
            "type": "electronic_record",
            "check_details": [
                {"check_method": check["check_method"], "time": check["time"]} for check in CHECKS
            ],
            "record": {"type": "kr-overseas-national", "date_of_expiry": "2027-10-19"},
        }
    ]


@pytest.mark.parametrize(
    ("asked", "methods"),
    [
        ([{"check_method": None}], ["vcrypt", "data"]),
        ([{"check_method": {"value": "vcrypt"}}], ["vcrypt"]),
        ([{"check_method": {"value": "data"}}, {"check_method": {"value": "vpip"}}], ["data"]),
        ([{"check_method": {"values": ["data", "vcrypt"]}}], ["vcrypt", "data"]),
        ([{"check_method": None, "time": {"max_age": 1000}}], ["vcrypt"]),
    ],
)
def test_checks_are_filtered_by_alternatives(asked: list[Any], methods: list[str]) -> None:
    given = evidence(electronic_record(check_details=asked))
    assert [check["check_method"] for check in given[0]["check_details"]] == methods


@pytest.mark.parametrize(
    "asked",
    [
        electronic_record(check_details=[{"check_method": {"value": "vpip"}}]),
        electronic_record(check_details=[{"check_method": None, "check_id": {"value": "7"}}]),
        electronic_record(check_details=[{"check_method": None, "organization": {"value": "대사관"}}]),
        electronic_record(record={"type": {"value": "birth_certificate"}}),
        electronic_record(record={"type": None, "source": {"country_code": {"value": "KR"}}}),
        electronic_record(record={"type": None, "source": {"region": {"value": "CA"}}}),
        electronic_record(record={"type": None, "created_at": {"max_age": 86_400}}),
    ],
)
def test_a_condition_on_the_evidence_that_does_not_hold_leaves_everything_out(asked: Any) -> None:
    assert evidence(asked) is None
    assert evidence(asked, electronic_record()) == [{"type": "electronic_record"}]
    assert evidence({"type": {"value": "document"}, "document_details": {"type": None}}, asked) is None


@pytest.mark.parametrize(
    "asked",
    [
        electronic_record(record={"type": {"value": "kr-overseas-national"}}),
        electronic_record(record={"type": None, "date_of_expiry": {"max_age": 0}}),
        electronic_record(record={"type": None, "source": {"country_code": {"values": ["KR", "US"]}}}),
        electronic_record(record={"type": None, "derived_claims": {"name": {"value": "x"}}}),
        electronic_record(attachments=None, shoe_size={"value": "x"}),
    ],
)
def test_evidence_that_fits_is_given(asked: Any) -> None:
    assert evidence(asked)[0]["type"] == "electronic_record"


# -- several -----------------------------------------------------------------------------------------------


def test_of_several_requests_those_that_hold_are_answered() -> None:
    asked: list[dict[str, Any]] = [
        {"verification": {"trust_framework": {"value": "eidas"}}, "claims": {"name": None}},
        {"verification": {"trust_framework": None}, "claims": {"birthdate": None}},
    ]
    assert request(asked)["claims"] == {"birthdate": "1985-03-14"}
    asked[0]["verification"] = {"trust_framework": None}
    assert [entry["claims"] for entry in request(asked)] == [{"name": "홍길동"}, {"birthdate": "1985-03-14"}]


def test_nothing_is_said_when_nothing_was_asked() -> None:
    assert verified_claims.answer(None, FULL, CLAIMS, expected=EXPECTED, now=NOW) is None


# -- what is malformed -------------------------------------------------------------------------------------


def asking(**changes: Any) -> dict[str, Any]:
    return {"verification": {"trust_framework": None}, "claims": {"name": None}, **changes}


MALFORMED = {
    "string": "x",
    "empty": {},
    "empty_array": [],
    "null": None,
    "array_of_strings": ["x"],
    "too_many": [asking()] * (verified_claims.MAX_ENTRIES + 1),
    "no_verification": {"claims": {"name": None}},
    "verification_null": asking(verification=None),
    "verification_array": asking(verification=[]),
    "no_claims": {"verification": {"trust_framework": None}},
    "claims_empty": asking(claims={}),
    "claims_array": asking(claims=["name"]),
    "claim_string": asking(claims={"name": "홍길동"}),
    "claim_array": asking(claims={"name": []}),
    "unknown_claim_string": asking(claims={"shoe_size": "x"}),
    "claim_essential": asking(claims={"name": {"essential": "true"}}),
    "claim_values": asking(claims={"name": {"values": "홍길동"}}),
    "claim_purpose": asking(claims={"name": {"purpose": "no"}}),
    "trust_framework_string": asking(verification={"trust_framework": "kr_mobile_id"}),
    "trust_framework_values": asking(verification={"trust_framework": {"values": 5}}),
    "trust_framework_no_value": asking(verification={"trust_framework": {"values": []}}),
    "trust_framework_number": asking(verification={"trust_framework": {"value": 5}}),
    "trust_framework_null": asking(verification={"trust_framework": {"values": ["x", None]}}),
    "time_string": asking(verification={"time": "2026"}),
    "max_age_string": asking(verification={"time": {"max_age": "60"}}),
    "max_age_true": asking(verification={"time": {"max_age": True}}),
    "max_age_negative": asking(verification={"time": {"max_age": -1}}),
    "assurance_process_array": asking(verification={"assurance_process": []}),
    "evidence_object": asking(verification={"evidence": {}}),
    "evidence_empty": asking(verification={"evidence": []}),
    "evidence_string": asking(verification={"evidence": ["document"]}),
    "evidence_without_type": asking(verification={"evidence": [{"record": None}]}),
    "evidence_type_null": asking(verification={"evidence": [{"type": None}]}),
    "evidence_type_string": asking(verification={"evidence": [{"type": "electronic_record"}]}),
    "evidence_type_values": asking(verification={"evidence": [{"type": {"values": ["electronic_record"]}}]}),
    "evidence_type_number": asking(verification={"evidence": [{"type": {"value": 1}}]}),
    "checks_object": asking(verification={"evidence": [electronic_record(check_details={})]}),
    "checks_empty": asking(verification={"evidence": [electronic_record(check_details=[])]}),
    "checks_strings": asking(verification={"evidence": [electronic_record(check_details=["data"])]}),
    "check_string": asking(verification={"evidence": [electronic_record(check_details=[{"time": 1}])]}),
    "record_array": asking(verification={"evidence": [electronic_record(record=[])]}),
    "source_string": asking(verification={"evidence": [electronic_record(record={"source": "x"})]}),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_a_malformed_request_is_refused_and_nothing_of_it_is_repeated(kind: str, place: str) -> None:
    with pytest.raises(AuthorizationError) as refused:
        verified_claims.read(MALFORMED[kind], place, EXPECTED)
    assert refused.value.error == "invalid_request"
    assert refused.value.description.startswith(f"claims.{place}.verified_claims")
    assert "shoe_size" not in refused.value.description
    assert refused.value.description.isascii()


# -- discovery ---------------------------------------------------------------------------------------------


def test_discovery_announces_what_an_answer_can_hold() -> None:
    said = answer({"assurance_level": None, "time": None, "evidence": None}, dict.fromkeys(CLAIMS))
    assert problems(said, DISCOVERY) == []
    for member in ("trust_frameworks_supported", "evidence_supported", "electronic_records_supported"):
        assert problems(said, {**DISCOVERY, member: []}), member
    assert {check["check_method"] for check in CHECKS} == set(DISCOVERY["documents_check_methods_supported"])


def test_without_a_credential_type_no_evidence_is_announced() -> None:
    announced = verified_claims.metadata([])
    assert announced.keys() == {"trust_frameworks_supported", "claims_in_verified_claims_supported"}
    assert all(announced.values())
