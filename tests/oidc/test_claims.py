"""Claims by name and by language (OpenID Connect Core 1.0, sections 5.2 and 5.5)."""

from typing import Any

import pytest

from idp import claims

HONG = {"name": "홍길동", "family_name": "HONG", "given_name": "GILDONG", "birthdate": "1985-03-14"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("name", "name"),
        ("name#ko-Hang-KR", "name#ko-Hang-KR"),
        ("name#KO-hang-kr", "name#ko-Hang-KR"),
        ("name#ko", "name#ko-Hang-KR"),
        ("name#ko-KR", "name#ko-Hang-KR"),
        ("name#en", "name#en"),
        ("name#EN", "name#en"),
        ("name#en-US", "name#en"),
        ("given_name#en", "given_name#en"),
        ("name#ko-Latn", None),
        ("name#ja", None),
        ("name#", None),
        ("name#*", None),
        ("name#en#en", None),
        ("birthdate#en", None),
        ("#en", None),
        ("shoe_size", None),
        ("shoe_size#en", None),
        ("", None),
    ],
)
def test_a_name_is_found_whatever_the_case_and_the_length_of_its_tag(asked: str, said: str | None) -> None:
    assert claims.canonical_name(asked) == said


def test_every_tagged_claim_is_made_of_claims_of_the_table_and_of_its_own() -> None:
    for name, form in claims.LANGUAGES.items():
        assert name == f"{form.claim}#{form.tag}"
        assert form.claim in form.sources
        assert set(form.sources) <= set(claims.CLAIMS)


def test_the_locales_are_spelled_as_they_are_registered() -> None:
    for tag in claims.CLAIMS_LOCALES:
        language, *rest = tag.split("-")
        assert language.islower()
        assert all(part == (part.title() if len(part) == 4 else part.upper()) for part in rest)


@pytest.mark.parametrize(
    ("released", "asked", "said"),
    [
        (HONG, ["name#ko-Hang-KR"], {"name#ko-Hang-KR": "홍길동"}),
        (HONG, ["name#en"], {"name#en": "HONG GILDONG"}),
        (HONG, ["name#en-GB", "name"], {"name#en": "HONG GILDONG", "name": "홍길동"}),
        (HONG, ["family_name#en", "given_name#en"], {"family_name#en": "HONG", "given_name#en": "GILDONG"}),
        (HONG, ["birthdate", "birthdate#en", "name#ja"], {"birthdate": "1985-03-14"}),
        ({"name": "홍길동"}, ["name#en", "name#ko"], {"name#ko-Hang-KR": "홍길동"}),
        ({"family_name": "HONG", "given_name": "GILDONG"}, ["name#en", "name"], {}),
        ({}, ["name", "name#en", "name#ko"], {}),
    ],
)
def test_a_tagged_claim_is_said_where_what_it_is_made_of_is_released(
    released: dict[str, Any], asked: list[str], said: dict[str, Any]
) -> None:
    assert claims.localized(released, asked) == said


@pytest.mark.parametrize(
    ("locales", "said"),
    [
        ((), {"name": "홍길동"}),
        (("en",), {"name": "HONG GILDONG"}),
        (("en-US", "en"), {"name": "HONG GILDONG"}),
        (("ko",), {"name": "홍길동"}),
        (("se",), {"name": "홍길동"}),
        (("en", "ko-KR"), {"name": "홍길동", "name#ko-Hang-KR": "홍길동", "name#en": "HONG GILDONG"}),
        (("ja", "en"), {"name": "홍길동", "name#en": "HONG GILDONG"}),
    ],
)
def test_one_language_is_said_without_a_tag_and_several_with_theirs(
    locales: tuple[str, ...], said: dict[str, Any]
) -> None:
    assert claims.localized(HONG, ["name"], locales) == said


def test_a_language_that_the_holder_did_not_agree_to_is_not_said() -> None:
    assert claims.localized({"name": "홍길동", "given_name": "GILDONG"}, ["name"], ["en"]) == {
        "name": "홍길동"
    }


def test_what_has_no_language_is_the_same_in_all() -> None:
    assert claims.localized(HONG, ["birthdate"], ["en"]) == {"birthdate": "1985-03-14"}


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"userinfo": {"name#ko": None}}, ("name",)),
        ({"userinfo": {"name#en": None}}, ("name", "family_name", "given_name")),
        ({"id_token": {"verified_claims": {"claims": {"family_name#en": None}}}}, ("family_name",)),
        ({"userinfo": {"name#ja": None, "shoe_size": None}}, ()),
        ({"userinfo": None, "id_token": {"acr": None}}, ()),
    ],
)
def test_the_holder_is_asked_for_what_a_tagged_claim_is_made_of(
    request_: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert claims.requested_names((), request_) == names


def test_a_photo_is_for_userinfo_alone() -> None:
    assert not claims.can_be_in("picture", "id_token")
    assert claims.can_be_in("picture", "userinfo")
    assert claims.can_be_in("name#en", "id_token")
