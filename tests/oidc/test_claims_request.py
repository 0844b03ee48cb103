"""The `claims` parameter (OpenID Connect Core 1.0, section 5.5): read, kept and answered."""

import json
from typing import Any

import pytest

from idp.errors import AuthorizationError
from idp.oidc import claims_request, verified_claims
from idp.oidc.expected_values import MAX_VALUES, ExpectedValues

PEPPER = b"p" * 32
EXPECTED = ExpectedValues(PEPPER)
NOW = 1_795_000_000
HONG = {
    "name": "홍길동",
    "family_name": "HONG",
    "given_name": "GILDONG",
    "birthdate": "1985-03-14",
    "age_over_19": True,
    "nationalities": ["KR"],
    "address": {"formatted": "LA"},
    "picture": "data:image/png;base64,AA==",
}
VERIFICATION = {"trust_framework": "kr_mobile_id"}


def read(document: Any) -> dict[str, Any]:
    return claims_request.read(json.dumps(document, ensure_ascii=False), EXPECTED)


def answer(
    document: Any,
    place: claims_request.Place = "userinfo",
    *,
    scopes: tuple[str, ...] = (),
    locales: tuple[str, ...] = (),
    released: dict[str, Any] = HONG,
) -> dict[str, Any]:
    return claims_request.answer(
        place,
        read(document),
        scopes=scopes,
        locales=locales,
        released=released,
        verification=VERIFICATION,
        expected=EXPECTED,
        now=NOW,
    )


# -- what is kept ----------------------------------------------------------------------------------------


def test_only_what_is_acted_on_is_kept() -> None:
    asked = {
        "id_token": {
            "name": {"essential": True, "purpose": "to greet you"},
            "auth_time": {"essential": True},
            "shoe_size": {"value": "Hong Gildong"},
            "picture": None,
            "acr": {"essential": True, "values": ["a"]},
            "sub": {"value": "s"},
        },
        "userinfo": {"name#KO": None, "acr": {"value": "x"}, "sub": {"value": "Hong"}, "picture": {}},
        "somewhere": {"name": None},
    }
    assert read(asked) == {
        "id_token": {"name": None, "acr": {"essential": True, "values": ["a"]}, "sub": {"value": "s"}},
        "userinfo": {"name#ko-Hang-KR": None, "picture": None},
    }


@pytest.mark.parametrize("place", [None, {}])
def test_a_place_may_be_empty(place: Any) -> None:
    assert read({"userinfo": place}) == {"userinfo": {}}
    assert read({}) == {}


@pytest.mark.parametrize(
    "asked",
    [
        {"name": {"value": "홍길동"}},
        {"name": {"values": ["홍길동", "김영희"]}},
        {"verified_claims": {"verification": {}, "claims": {"name": {"value": "홍길동"}}}},
        {
            "verified_claims": {
                "verification": {"verification_process": {"value": "홍길동"}},
                "claims": {"name": None},
            }
        },
        {"verified_claims": {"verification": {"홍길동": {"value": "홍길동"}}, "claims": {"홍길동": None}}},
        {"홍길동": {"value": "홍길동"}},
    ],
)
def test_nothing_of_what_a_portal_expects_of_a_person_can_be_read_at_rest(asked: dict[str, Any]) -> None:
    for place in ("id_token", "userinfo"):
        kept = json.dumps(read({place: asked}), ensure_ascii=False)
        assert "홍길동" not in kept
        assert "홍길동" not in json.loads(kept)


def test_what_is_expected_cannot_be_guessed_or_compared_without_the_pepper() -> None:
    first, second = (read({"userinfo": {"birthdate": {"value": "1985-03-14"}}}) for _ in range(2))
    assert first != second
    stranger = ExpectedValues(b"q" * 32)
    constraint = first["userinfo"]["birthdate"]
    assert EXPECTED.meets("1985-03-14", constraint, now=NOW)
    assert not stranger.meets("1985-03-14", constraint, now=NOW)


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"userinfo": []}, "claims.userinfo "),
        ({"id_token": "name"}, "claims.id_token "),
        ({"userinfo": {"name": "x"}}, "claims.userinfo "),
        ({"userinfo": {"name": True}}, "claims.userinfo "),
        ({"userinfo": {"unknown": []}}, "claims.userinfo "),
        ({"userinfo": {"name": {"essential": "yes"}}}, "essential"),
        ({"userinfo": {"name": {"essential": 1}}}, "essential"),
        ({"userinfo": {"name": {"values": "Hong"}}}, "values"),
        ({"userinfo": {"name": {"values": []}}}, "values"),
        ({"userinfo": {"name": {"values": ["x"] * (MAX_VALUES + 1)}}}, "values"),
        ({"userinfo": {"name": {"purpose": "ab"}}}, "purpose"),
        ({"userinfo": {"name": {"purpose": "a" * 301}}}, "purpose"),
        ({"userinfo": {"name": {"purpose": 7}}}, "purpose"),
        ({"id_token": {"acr": {"values": 7}}}, "claims.id_token "),
        ({"id_token": {f"name#ko-{n}": None for n in range(3000)}}, "JSON"),
    ],
)
def test_a_malformed_request_is_refused_and_its_place_is_named(asked: Any, where: str) -> None:
    with pytest.raises(AuthorizationError) as refused:
        read(asked)
    assert refused.value.error == "invalid_request"
    assert where in refused.value.description
    assert refused.value.description.isascii()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"x"', '{"userinfo":{},"userinfo":{}}', "NaN"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(AuthorizationError) as refused:
        claims_request.read(text, EXPECTED)
    assert (refused.value.error, refused.value.description) == (
        "invalid_request",
        "claims is not a JSON object",
    )


def test_what_would_rest_as_a_heap_of_digests_is_refused() -> None:
    claims = ("name", "family_name", "given_name", "birthdate", "gender", "name#ko", "name#en", "address")
    asked = {
        place: {name: {"values": [1] * MAX_VALUES} for name in claims} for place in claims_request.PLACES
    }
    with pytest.raises(AuthorizationError, match="asks for too much"):
        read(asked)
    assert read({"userinfo": {"name": {"values": [1] * MAX_VALUES}}})


@pytest.mark.parametrize("length", [3, 300])
def test_a_purpose_in_the_request_is_accepted_and_not_kept(length: int) -> None:
    assert read({"userinfo": {"name": {"purpose": "<" * length}}}) == {"userinfo": {"name": None}}


# -- what is answered ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"name": None}, {"name": "홍길동"}),
        ({"name": {}}, {"name": "홍길동"}),
        ({"name": {"essential": True}}, {"name": "홍길동"}),
        ({"name": {"essential": False}}, {"name": "홍길동"}),
        ({"name": {"other": 1}}, {"name": "홍길동"}),
        ({"name": {"value": "홍길동"}}, {"name": "홍길동"}),
        ({"name": {"value": "\u1112\u1169\u11bc\u1100\u1175\u11af\u1103\u1169\u11bc"}}, {"name": "홍길동"}),
        ({"name": {"values": ["김영희", "홍길동"]}}, {"name": "홍길동"}),
        ({"name": {"value": "김영희"}}, {}),
        ({"name": {"value": "김영희", "essential": True}}, {}),
        ({"name": {"values": ["김영희", None, 7]}}, {}),
        ({"age_over_19": {"value": True}}, {"age_over_19": True}),
        ({"age_over_19": {"value": 1}}, {}),
        ({"nationalities": {"value": ["KR"]}}, {"nationalities": ["KR"]}),
        ({"nationalities": {"value": "KR"}}, {}),
        ({"address": {"value": {"formatted": "LA"}}}, {"address": {"formatted": "LA"}}),
        ({"gender": {"essential": True}, "shoe_size": {"essential": True}}, {}),
        ({"name#en": {"value": "HONG GILDONG"}}, {"name#en": "HONG GILDONG"}),
        ({"name#en": {"value": "GILDONG HONG"}}, {}),
    ],
)
@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_a_claim_is_said_where_it_is_asked_for_and_fits(
    place: claims_request.Place, claim: dict[str, Any], said: dict[str, Any]
) -> None:
    other: claims_request.Place = "userinfo" if place == "id_token" else "id_token"
    assert answer({place: claim}, place) == said
    assert answer({place: claim}, other) == {}


def test_a_tagged_name_does_not_bring_along_what_it_is_made_of() -> None:
    assert answer({"userinfo": {"name#en": None}}) == {"name#en": "HONG GILDONG"}


def test_the_claims_of_a_scope_are_for_userinfo() -> None:
    profile = answer({}, scopes=("openid", "profile"))
    assert profile == {name: HONG[name] for name in profile}
    assert {"name", "family_name", "birthdate"} <= profile.keys()
    assert answer({}, "id_token", scopes=("openid", "profile")) == {}


def test_a_constraint_holds_also_for_a_claim_that_a_scope_asks_for() -> None:
    said = answer({"userinfo": {"name": {"value": "김영희"}}}, scopes=("profile",))
    assert "name" not in said
    assert "birthdate" in said


def test_the_preferred_languages_are_those_of_both_kinds_of_claims() -> None:
    verified = {"verification": {}, "claims": {"name": {"value": "HONG GILDONG"}}}
    said = answer({"userinfo": {"name": None, "verified_claims": verified}}, locales=("en",))
    assert said == {
        "name": "HONG GILDONG",
        "verified_claims": {"verification": VERIFICATION, "claims": {"name": "HONG GILDONG"}},
    }


def test_a_claim_that_does_not_fit_is_not_said_in_another_language_either() -> None:
    assert answer({"userinfo": {"name": {"value": "김영희"}}}, locales=("ko", "en")) == {}


def test_a_photo_is_said_at_userinfo_alone() -> None:
    verified = {"verified_claims": {"verification": {}, "claims": {"picture": None, "name": None}}}
    asked = {"id_token": {"picture": None, **verified}, "userinfo": {"picture": None, **verified}}
    in_id_token = answer(asked, "id_token")
    assert in_id_token.keys() == {"verified_claims"}
    assert in_id_token["verified_claims"]["claims"] == {"name": "홍길동"}
    at_userinfo = answer(asked)
    assert at_userinfo["picture"] == at_userinfo["verified_claims"]["claims"]["picture"] == HONG["picture"]


def test_what_is_asked_for_as_verified_is_not_also_said_plainly() -> None:
    said = answer({"userinfo": {"verified_claims": {"verification": {}, "claims": {"name": None}}}})
    assert said.keys() == {"verified_claims"}


def test_the_youngest_verification_that_is_asked_for_anywhere_is_the_one_that_counts() -> None:
    def entry(**time: Any) -> dict[str, Any]:
        return {"verification": {"time": time or None}, "claims": {"name": None}}

    asked = {
        "id_token": {"verified_claims": entry(max_age=900)},
        "userinfo": {"verified_claims": [entry(), entry(max_age=600), entry(max_age=700)]},
    }
    assert claims_request.wanted_age_s(read(asked)) == 600
    assert claims_request.wanted_age_s(read({"userinfo": {"name": None}})) is None
    assert verified_claims.wanted_age_s(None) is None
