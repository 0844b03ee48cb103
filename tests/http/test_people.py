"""Names of every kind pass untouched, and a person stays the same person (pairwise `sub`)."""

import unicodedata
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.presenting import Answer, public_jwk, stranger
from tests.rig import Portal, Rig, callback_parameters, started

NUMBERS = count(1)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A deployment that may not read 연계정보: a person is found by the certificate's own number alone."""
    with started(tmp_path_factory.mktemp("house"), {"holder.with_ci": False}) as running:
        yield running


def signed_in(portal: Portal, change: Callable[[Answer], Any], persona: str = "hong") -> dict[str, Any]:
    """UserInfo after a sign-in with an altered, well signed credential."""
    begun = portal.begin()
    answer = Answer(portal.rig, portal.link(portal.page(begun)), persona)
    change(answer)
    response = answer.send()
    assert response.status_code == 200, response.text
    agreed = portal.agree(portal.browser.get(response.json()["redirect_uri"]))
    code = callback_parameters(agreed)["code"]
    token = portal.token(code, begun.verifier).json()["access_token"]
    return dict(portal.userinfo(token).json())


def number() -> str:
    return f"LAX-2026-가{next(NUMBERS):04}"


@pytest.mark.parametrize(
    "name",
    [
        "강",
        "가" * 17,
        "MARIA-FERNANDA D'ANGELO SEO-YEON ALEXANDRA JOSEPHINE KI HYEO",
        unicodedata.normalize("NFD", "홍길동"),
        "ㅎㅗㅇ",
        "𠮷野家",
        "홍 길-동'",
        "ㅤ홍",
        "👩‍👧",
        '&lt;b&gt; &amp; "x"',
    ],
)
def test_a_name_is_passed_on_as_it_is(rig: Rig, name: str) -> None:
    mine = number()

    def change(answer: Answer) -> None:
        answer.hide("name", name)
        answer.hide("overseas_registration_number", mine)

    assert signed_in(rig.portal("gov24"), change)["name"] == name


def with_number(value: str, **also: Any) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.hide("overseas_registration_number", value)
        for name, claim in also.items():
            answer.hide(name, claim)

    return change


def test_the_same_number_written_in_another_unicode_form_is_the_same_person(rig: Rig) -> None:
    mine = number()
    first = signed_in(rig.portal("gov24"), with_number(unicodedata.normalize("NFC", mine)))
    second = signed_in(rig.portal("gov24"), with_number(unicodedata.normalize("NFD", mine)))
    assert first["sub"] == second["sub"]


def test_a_person_survives_another_name_another_key_and_another_mission(rig: Rig) -> None:
    mine = number()
    first = signed_in(rig.portal("gov24"), with_number(mine))
    renamed = signed_in(rig.portal("gov24"), with_number(mine, name="김새이름", birthdate="1985-03-14"))

    def another_key(answer: Answer) -> None:
        with_number(mine)(answer)
        answer.holder_key = stranger()
        answer.issuer_payload["cnf"] = {"jwk": public_jwk(answer.holder_key)}

    reissued = signed_in(rig.portal("gov24"), another_key)
    elsewhere = signed_in(rig.portal("gov24"), with_number(mine), "kim")
    assert {first["sub"], renamed["sub"], reissued["sub"], elsewhere["sub"]} == {first["sub"]}


def test_two_numbers_are_two_people(rig: Rig) -> None:
    first = signed_in(rig.portal("gov24"), with_number(number()))
    second = signed_in(rig.portal("gov24"), with_number(number()))
    assert first["sub"] != second["sub"]


def test_decoys_recursive_disclosures_and_nothing_hidden_at_all_are_accepted(rig: Rig) -> None:
    assert len(Answer(rig, _link(rig)).issuer_payload["_sd"]) > 10  # decoys are among them
    mine = number()

    def all_in_the_open(answer: Answer) -> None:
        answer.disclosures = []
        del answer.issuer_payload["_sd"]
        answer.issuer_payload.update(name="홍길동", birthdate="1985-03-14", overseas_registration_number=mine)

    assert signed_in(rig.portal("gov24"), all_in_the_open)["name"] == "홍길동"


def _link(rig: Rig) -> str:
    portal = rig.portal("gov24")
    return portal.link(portal.page(portal.begin()))
