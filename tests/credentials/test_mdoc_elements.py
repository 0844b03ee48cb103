"""From an mdoc to our elements, and whether it still holds."""

import secrets
from collections.abc import Mapping
from typing import Any

import cbor2
import pytest

from idp.credentials import Reason
from tests.credentials.issuing import (
    ABSENT,
    NOW,
    STATUS_URI,
    Authority,
    credential_type,
    der,
    p256,
    registry,
)
from tests.credentials.issuing_mdoc import (
    ISO,
    KR,
    PHOTO_ID,
    World,
    full_date,
    issue,
    mdoc_format,
    status_cwt,
    tdate,
)
from tests.credentials.mdocs import accept, changed_value, refuse


@pytest.fixture
def world() -> World:
    """One mission that is trusted with mdocs, and its status host, new for each test."""
    return World()


# From mdoc to our elements


@pytest.mark.parametrize(
    "value", [full_date("1984-02-29"), tdate("1984-02-29T23:59:59Z"), "1984-02-29"], ids=repr
)
def test_a_day_may_be_written_in_each_of_its_ways(world: World, value: Any) -> None:
    issued = issue(world.authority, elements=changed_value(ISO, "birth_date", value))
    assert accept(world, issued.present()).claims["birthdate"] == "1984-02-29"


@pytest.mark.parametrize("value", ["KR", ["KR"], ["KR", "US"]], ids=repr)
def test_a_nationality_may_be_one_text_or_a_list(world: World, value: Any) -> None:
    issued = issue(world.authority, elements=changed_value(ISO, "nationality", value))
    nationalities = value if isinstance(value, list) else [value]
    assert accept(world, issued.present()).claims["nationalities"] == nationalities


@pytest.mark.parametrize(
    ("picture", "kind"),
    [(b"\xff\xd8\xff\xe0", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp")],
)
def test_a_portrait_becomes_a_data_url_of_its_kind(world: World, picture: bytes, kind: str) -> None:
    issued = issue(world.authority, elements=changed_value(ISO, "portrait", picture))
    assert accept(world, issued.present()).claims["picture"].startswith(f"data:image/{kind};base64,")


def test_a_photo_of_some_hundred_kilobytes_fits(world: World) -> None:
    picture = b"\xff\xd8\xff" + secrets.token_bytes(290_000)
    issued = issue(world.authority, elements=changed_value(ISO, "portrait", picture))
    assert len(accept(world, issued.present()).claims["picture"]) > 380_000


@pytest.mark.parametrize(
    ("name_space", "name", "value"),
    [
        (ISO, "portrait", b""),
        (ISO, "portrait", b"<svg/>"),
        (ISO, "portrait", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),  # JPEG 2000
        (ISO, "portrait", b"RIFF\x00\x00\x00\x00AVI "),
        (ISO, "portrait", b"\xff\xd8\xff" + bytes(300_000)),
        (ISO, "portrait", None),
        (ISO, "birth_date", full_date("2026-11-24")),
        (ISO, "birth_date", full_date("2026-02-30")),
        (ISO, "birth_date", b"1984-02-29"),
        (ISO, "birth_date", 19840229),
        (ISO, "birth_date", [1984, 2, 29]),
        (ISO, "age_over_19", 1),
        (ISO, "age_over_19", "true"),
        (ISO, "age_over_19", None),
        (ISO, "sex", True),
        (ISO, "sex", 3),
        (ISO, "sex", 1.0),
        (ISO, "sex", "1"),
        (ISO, "nationality", b"KR"),
        (ISO, "nationality", ["kr"]),
        (ISO, "nationality", {"KR": 1}),
        (ISO, "family_name", b"\xff\xd8\xff\xe0"),
        (ISO, "family_name", full_date("1984-02-29")),
        (ISO, "family_name", ""),
        (ISO, "family_name", "x" * 201),
        (ISO, "family_name", "<b>"),
        (KR, "name_ko", ["홍길동"]),
        (KR, "name_ko", 1.5),
        (KR, "user_authentication", "pin"),
        (KR, "user_authentication", [b"pin"]),
        (KR, "user_authentication", {"pin": 1}),
        (PHOTO_ID, "travel_document_number", 12345678),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_element_of_another_shape_is_refused(world: World, name_space: str, name: str, value: Any) -> None:
    issued = issue(world.authority, elements=changed_value(name_space, name, value))
    reason = refuse(world, issued.present())
    bad_day = value == full_date("2026-02-30")
    assert reason is (Reason.MALFORMED if bad_day else Reason.CLAIM_INVALID)


def test_an_undefined_or_simple_value_is_no_element(world: World) -> None:
    for value in (cbor2.undefined, cbor2.CBORSimpleValue(32), float("nan")):
        issued = issue(world.authority, elements=changed_value(ISO, "sex", value))
        assert refuse(world, issued.present()) is Reason.CLAIM_INVALID


def test_the_mission_that_signed_is_the_one_that_is_named(world: World) -> None:
    issued = issue(world.authority, elements=changed_value(KR, "mission_code", "AKL"))
    assert refuse(world, issued.present()) is Reason.MISSION_MISMATCH


def test_a_type_that_does_not_say_how_it_is_unlocked_says_nothing(world: World) -> None:
    trust = world.registry(authentication=None)
    assert accept(world, issue(world.authority).present(), trust=trust).authentication == ()


# Status


def test_the_status_list_is_asked_for_as_cwt(world: World) -> None:
    accept(world, issue(world.authority).present())
    assert world.host.asked_as == ["application/statuslist+cwt"]


@pytest.mark.parametrize(
    ("idx", "reason"),
    [
        (1, Reason.STATUS_REVOKED),
        (2, Reason.STATUS_SUSPENDED),
        (3, Reason.STATUS_INVALID),
        (4, Reason.STATUS_INVALID),
    ],
)
def test_an_mdoc_that_does_not_hold_any_more_is_refused(world: World, idx: int, reason: Reason) -> None:
    issued = issue(world.authority, mso={"status": {"status_list": {"idx": idx, "uri": STATUS_URI}}})
    assert refuse(world, issued.present()) is reason


def test_a_status_that_cannot_be_asked_is_unknown(world: World) -> None:
    world.host.served.clear()
    assert refuse(world, issue(world.authority).present()) is Reason.STATUS_UNKNOWN


def test_a_status_list_under_another_authority_is_unknown(world: World) -> None:
    world.host.served[STATUS_URI] = status_cwt(Authority("LAX"))
    assert refuse(world, issue(world.authority).present()) is Reason.STATUS_UNKNOWN


def test_a_type_that_requires_a_status_is_refused_without_one(world: World) -> None:
    assert refuse(world, issue(world.authority, mso={"status": ABSENT}).present()) is Reason.STATUS_MISSING


def test_a_type_that_requires_no_status_is_accepted_without_one(world: World) -> None:
    kind = credential_type(formats={"mso_mdoc": mdoc_format()}, status_required=False)
    trust = registry(world.mission, types=[kind])
    issued = issue(world.authority, mso={"status": ABSENT})
    assert accept(world, issued.present(), trust=trust).status is None
    broken = issue(world.authority, mso={"status": None}).present()
    assert refuse(world, broken, trust=trust) is Reason.STATUS_INVALID


REFERENCE: Mapping[str, Any] = {"idx": 0, "uri": STATUS_URI}
IDENTIFIERS: Mapping[str, Any] = {"id": b"1", "uri": "https://status.example/identifiers"}


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        {},
        "x",
        {"status_list": None},
        {"status_list": {}},
        {"status_list": {**REFERENCE, "idx": -1}},
        {"status_list": {**REFERENCE, "idx": True}},
        {"status_list": {**REFERENCE, "idx": "0"}},
        {"status_list": {**REFERENCE, "idx": 0.0}},
        {"status_list": {**REFERENCE, "uri": "ftp://status.example"}},
        {"status_list": {**REFERENCE, "uri": "https://" + "x" * 2048}},
        {"status_list": {**REFERENCE, "uri": b"https://status.example"}},
        {"identifier_list": IDENTIFIERS},
        {"status_list": REFERENCE, "identifier_list": IDENTIFIERS},
        {"status_list": REFERENCE, "future": {}},
    ],
    ids=repr,
)
def test_a_status_that_we_cannot_check_is_refused(world: World, status: Any) -> None:
    assert refuse(world, issue(world.authority, mso={"status": status}).present()) is Reason.STATUS_INVALID
    assert world.host.asked == []


def test_a_status_list_may_name_its_authority_when_it_is_the_missions(world: World) -> None:
    for named, reason in (
        (der(world.authority.ca), None),
        (der(Authority("LAX").ca), Reason.STATUS_INVALID),
        (der(world.authority.status_signer), Reason.STATUS_INVALID),
        (b"", Reason.STATUS_INVALID),
        (None, Reason.STATUS_INVALID),
    ):
        issued = issue(world.authority, mso={"status": {"status_list": {**REFERENCE, "certificate": named}}})
        presentation = issued.present()
        assert (refuse(world, presentation) if reason else accept(world, presentation) and None) is reason


def test_nobody_is_asked_about_a_credential_that_is_refused_anyway(world: World) -> None:
    issued = issue(world.authority)
    refuse(world, issued.present(key=p256()))
    refuse(world, issue(world.authority, elements=changed_value(ISO, "sex", 3)).present())
    refuse(world, issue(world.authority, validity={"validUntil": tdate(NOW - 100)}).present())
    assert world.host.asked == []
