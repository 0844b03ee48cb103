"""From the operator's items to elements of the house."""

from typing import Any

import pytest

from idp.credentials.verdict import CredentialRejected, Reason
from idp.mip import items
from tests.mip import asking
from tests.mip.asking import NOW
from tests.mip.stand_in import HONG

PNG = b"\x89PNG\r\n\x1a\n...."


def mission_of(shown: dict[str, str], *missions: dict[str, Any]) -> str:
    trust = asking.registry(*missions)
    known = trust.types[asking.TYPE_ID]
    return items.mission(shown, known, known.formats["mip"], trust, NOW).code


def claims_of(**changes: str) -> dict[str, Any]:
    trust = asking.registry()
    known = trust.types[asking.TYPE_ID]
    return items.claims({**HONG, **changes}, known.formats["mip"], trust.missions["LAX"], NOW)


def refusal(**changes: str) -> tuple[Reason, str]:
    with pytest.raises(CredentialRejected) as rejected:
        claims_of(**changes)
    return rejected.value.reason, rejected.value.detail


def test_every_item_stands_where_the_house_has_it() -> None:
    assert claims_of() == {
        "name": "홍길동",
        "family_name": "HONG",
        "given_name": "GILDONG",
        "birthdate": "1985-03-14",
        "age_equal_or_over": {"14": True, "19": True},
        "sex": 1,
        "nationalities": ["KR"],
        "address": {"formatted": "3243 Wilshire Blvd, Los Angeles, CA 90010, USA"},
        "issuing_mission": {"name_ko": "주로스앤젤레스 대한민국 총영사관"},
        "overseas_registration_number": "LAX-2024-0000017",
        "passport": {
            "number": "M000A0001",
            "type": "PM",
            "issuing_country": "KOR",
            "issuing_authority": "MINISTRY OF FOREIGN AFFAIRS",
            "issue_date": "2023-05-16",
            "expiry_date": "2033-05-16",
        },
        "picture": "data:image/jpeg;base64,/9j/4AAQSkZJRg==",
        "kr_ci": "A" * 88,
    }


def test_the_resident_registration_number_goes_nowhere() -> None:
    assert HONG["ihidnum"]
    assert HONG["ihidnum"] not in repr(claims_of())


@pytest.mark.parametrize("text", ["19850314", "1985-03-14", "1985.03.14", "1985. 03. 14", " 19850314 "])
def test_a_day_is_read_however_it_is_written(text: str) -> None:
    assert claims_of(birth=text)["birthdate"] == "1985-03-14"


@pytest.mark.parametrize(("born", "adult"), [("20071128", True), ("20071129", False), ("20240101", False)])
def test_an_age_is_counted_by_the_day_in_seoul(born: str, adult: bool) -> None:
    assert claims_of(birth=born)["age_equal_or_over"]["19"] is adult


@pytest.mark.parametrize("text", ["850314", "19850230", "yesterday", "１９８５０３１４", "29991231"])
def test_what_is_no_day_of_birth_is_refused_without_repeating_it(text: str) -> None:
    reason, detail = refusal(birth=text)
    assert reason is Reason.CLAIM_INVALID
    assert text not in detail


@pytest.mark.parametrize(
    ("text", "sex"), [("M", 1), ("남", 1), ("남자", 1), ("f", 2), ("여", 2), ("여성", 2)]
)
def test_a_sex_is_read_in_both_languages(text: str, sex: int) -> None:
    assert claims_of(sex=text)["sex"] == sex


def test_a_sex_that_is_none_is_refused() -> None:
    assert refusal(sex="?") == (Reason.CLAIM_INVALID, "sex")


@pytest.mark.parametrize(
    ("text", "found"),
    [("대한민국", ["KR"]), ("REPUBLIC OF KOREA", ["KR"]), ("KOR, USA", ["KR", "USA"]), ("fr", ["FR"])],
)
def test_nationalities_are_a_list(text: str, found: list[str]) -> None:
    assert claims_of(nationality=text)["nationalities"] == found


def test_a_portrait_in_hex_becomes_a_picture() -> None:
    assert claims_of(dlphotoimage=PNG.hex())["picture"].startswith("data:image/png;base64,iVBORw0KGgo")


def test_a_portrait_that_a_page_cannot_show_counts_as_not_shown() -> None:
    assert "picture" not in claims_of(dlphotoimage=b"\x00\x00\x00\x0cjP  ".hex())


@pytest.mark.parametrize("text", ["xyz", "f" * 600_002])
def test_a_portrait_that_is_none_is_refused(text: str) -> None:
    assert refusal(dlphotoimage=text) == (Reason.CLAIM_INVALID, "picture")


def test_an_empty_item_is_not_shown() -> None:
    assert "address" not in claims_of(address="  ")


@pytest.mark.parametrize("text", ["홍<b>길동", "a\u202eb", "x" * 201])
def test_an_item_of_another_shape_is_refused(text: str) -> None:
    assert refusal(name=text)[0] is Reason.CLAIM_INVALID


# -- who issued ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "주로스앤젤레스 대한민국 총영사관",
        "주로스앤젤레스총영사관",
        "주로스앤젤레스 총영사관",
        " 주 로스앤젤레스 총영사관",
    ],
)
def test_a_mission_is_found_by_its_name(name: str) -> None:
    assert mission_of({"emblnm": name}) == "LAX"


@pytest.mark.parametrize("shown", [{}, {"emblnm": ""}, {"emblnm": "주화성 대한민국 대사관"}])
def test_a_mission_that_is_not_in_the_registry_issues_nothing(shown: dict[str, str]) -> None:
    with pytest.raises(CredentialRejected) as rejected:
        mission_of(shown)
    assert rejected.value.reason is Reason.ISSUER_UNTRUSTED


def test_two_missions_of_one_name_are_none() -> None:
    twin = asking.mission("LA2", "주로스앤젤레스총영사관")
    with pytest.raises(CredentialRejected) as rejected:
        mission_of({"emblnm": "주로스앤젤레스총영사관"}, asking.LAX, twin)
    assert rejected.value.reason is Reason.ISSUER_UNTRUSTED


def test_a_mission_that_is_not_open_yet_issues_nothing() -> None:
    with pytest.raises(CredentialRejected) as rejected:
        mission_of({"emblnm": "주가상 대한민국 대사관"})
    assert rejected.value.reason is Reason.ISSUER_NOT_ACTIVE
