"""`verified_claims`: what was asked for and is true, and nothing else (OpenID Identity Assurance 1.0)."""

from typing import Any

import pytest

from idp.oidc import verified_claims

NOW = 1_795_000_000
EVIDENCE = {
    "time": "2026-11-18T00:00:00Z",
    "evidence": [
        {
            "type": "electronic_record",
            "check_details": [
                {"check_method": "vcrypt", "organization": "공관", "time": "2026-11-18T00:00:00Z"}
            ],
            "record": {"type": "kr-overseas-national", "source": {"name": "공관", "country_code": "US"}},
        }
    ],
}
FULL = verified_claims.verification(EVIDENCE, acr="https://id.example/acr/secure", transaction="t-1")
CLAIMS = {"name": "홍길동", "birthdate": "1985-03-14", "address": {"formatted": "LA"}}


def answer(verification: Any, claims: Any) -> Any:
    return verified_claims.answer({"verification": verification, "claims": claims}, FULL, CLAIMS, now=NOW)


@pytest.mark.parametrize("asked", [None, {}, {"essential": False}, {"essential": True}])
def test_a_claim_asked_for_in_any_of_the_usual_ways_is_given(asked: Any) -> None:
    assert answer({"trust_framework": None}, {"name": asked}) == {
        "verification": {"trust_framework": "kr_mobile_id"},
        "claims": {"name": "홍길동"},
    }


def test_an_unknown_claim_is_left_out_and_the_rest_is_given() -> None:
    given = answer({"trust_framework": None}, {"name": None, "shoe_size": None, "ünï$": {"essential": True}})
    assert given["claims"] == {"name": "홍길동"}


@pytest.mark.parametrize(
    "claims", [{"shoe_size": None}, {"name": {"value": "김"}}, {"name": {"values": ["김", "이"]}}]
)
def test_nothing_is_said_when_no_claim_is_left(claims: Any) -> None:
    assert answer({"trust_framework": None}, claims) is None


def test_a_value_that_fits_is_given() -> None:
    assert answer({"trust_framework": None}, {"name": {"values": ["홍길동", "김"]}})["claims"] == {
        "name": "홍길동"
    }


@pytest.mark.parametrize(
    "verification",
    [
        {"trust_framework": {"value": "eidas"}},
        {"trust_framework": {"values": ["eidas", "de_aml"]}},
        {"trust_framework": None, "assurance_level": {"value": "general"}},
        {"trust_framework": None, "time": {"max_age": 60}},
        {"trust_framework": None, "evidence": [{"type": {"value": "document"}}]},
        {
            "trust_framework": None,
            "evidence": [{"type": None, "record": {"type": {"value": "birth_certificate"}}}],
        },
    ],
)
def test_a_condition_that_does_not_hold_leaves_everything_out(verification: Any) -> None:
    assert answer(verification, {"name": None}) is None


def test_only_the_members_of_the_verification_that_were_asked_for_are_given() -> None:
    given = answer(
        {
            "trust_framework": {"value": "kr_mobile_id"},
            "assurance_level": None,
            "time": {"max_age": 864_000_000},
            "policy": None,
            "evidence": [{"type": {"value": "electronic_record"}, "record": {"type": None}}],
        },
        {"name": None},
    )
    assert given["verification"] == {
        "trust_framework": "kr_mobile_id",
        "assurance_level": "secure",
        "time": "2026-11-18T00:00:00Z",
        "evidence": [{"type": "electronic_record", "record": {"type": "kr-overseas-national"}}],
    }


def test_the_trust_framework_is_always_said() -> None:
    assert answer({}, {"name": None})["verification"] == {"trust_framework": "kr_mobile_id"}


def test_of_several_requests_those_that_hold_are_answered() -> None:
    asked = [
        {"verification": {"trust_framework": {"value": "eidas"}}, "claims": {"name": None}},
        {"verification": {"trust_framework": None}, "claims": {"birthdate": None}},
    ]
    given = verified_claims.answer(asked, FULL, CLAIMS, now=NOW)
    assert given["claims"] == {"birthdate": "1985-03-14"}
    asked[0]["verification"] = {"trust_framework": None}
    both = verified_claims.answer(asked, FULL, CLAIMS, now=NOW)
    assert [entry["claims"] for entry in both] == [{"name": "홍길동"}, {"birthdate": "1985-03-14"}]


def test_nothing_is_said_when_nothing_was_asked() -> None:
    assert verified_claims.answer(None, FULL, CLAIMS, now=NOW) is None
