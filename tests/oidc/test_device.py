"""Device codes in their drawer: how a user code is read, who may guess, and what the Store knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from idp import seal
from idp.errors import LoginError
from idp.login import AuthorizationRequest
from idp.oidc.device import Devices
from idp.oidc.session_end import SessionEnds
from idp.oidc.user_code import ALPHABET, normal, spelled
from idp.portals import DEVICE_CODE, REFRESH_TOKEN
from tests.at_counter import Counter, Phone
from tests.rig import Rig, started


@pytest.fixture
def devices(rig: Rig) -> Iterator[Devices]:
    with rig.app.app_context():
        yield rig.house.devices
    rig.clock.offset_s = 0


@pytest.fixture
def codes(devices: Devices) -> dict[str, Any]:
    return devices.issue(AuthorizationRequest(client_id="gov24", scopes=("openid",)))


def stored(rig: Rig, codes: dict[str, Any]) -> dict[str, Any]:
    found = rig.house.store.get(f"device:{seal.digest(codes['device_code'])}")
    assert found is not None
    return found


# -- a user code -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "BCDF–GHJK", "ＢＣＤＦ－ＧＨＪＫ", "(BCDF) GHJK."]
)
def test_case_spaces_punctuation_and_width_do_not_count(typed: str) -> None:
    assert normal(typed) == "BCDFGHJK"
    assert spelled("BCDFGHJK") == "BCDF-GHJK"


@pytest.mark.parametrize(
    "typed", ["", "BCDFGHJ", "BCDFGHJKL", "ACDFGHJK", "1CDFGHJK", "가나다라마바사아", "B" * 10_000]
)
def test_what_cannot_be_a_user_code_is_none(typed: str) -> None:
    assert normal(typed) is None


def test_user_codes_have_no_vowels_no_digits_and_enough_of_everything_else() -> None:
    assert not set("AEIOUY0123456789") & set(ALPHABET)
    assert len(ALPHABET) == len(set(ALPHABET)) == 20


# -- what is kept ------------------------------------------------------------------------------------------------


def test_the_store_keeps_the_public_half_alone(rig: Rig, codes: dict[str, Any]) -> None:
    kept = stored(rig, codes)
    assert kept["key"] == seal.browser_key(codes["device_code"])
    assert codes["device_code"] not in json.dumps(kept)
    assert codes["user_code"] not in json.dumps(kept)
    assert codes["user_code"].replace("-", "") not in json.dumps(kept)


def test_what_a_holder_agreed_to_opens_with_the_device_code_alone(rig: Rig) -> None:
    desk = Counter(rig)
    codes = desk.codes()
    Phone(rig).approve(codes)
    kept = stored(rig, codes)
    assert "홍길동" not in json.dumps(kept, ensure_ascii=False)
    assert "홍길동" in seal.open_with_browser(codes["device_code"], kept["sealed"], "device").decode()
    with pytest.raises(seal.CannotOpen):
        seal.open_with_browser(seal.browser_secret(), kept["sealed"], "device")


def test_a_redeemed_code_leaves_the_store(rig: Rig) -> None:
    desk = Counter(rig)
    codes = desk.codes()
    Phone(rig).approve(codes)
    assert desk.poll(codes).status_code == 200
    assert rig.house.store.get(f"device:{seal.digest(codes['device_code'])}") is None


def test_a_record_of_another_version_counts_as_unknown(
    rig: Rig, devices: Devices, codes: dict[str, Any]
) -> None:
    rig.house.store.put(f"device:{seal.digest(codes['device_code'])}", {"shape": "of tomorrow"}, 60)
    with pytest.raises(LoginError, match="device_unknown"):
        devices.look(codes["user_code"], address="192.0.2.1")


# -- who claims --------------------------------------------------------------------------------------------------


def test_a_claim_that_the_store_forgot_is_known_to_the_row(
    rig: Rig, devices: Devices, codes: dict[str, Any]
) -> None:
    mine, other = seal.browser_secret(), seal.browser_secret()
    before = stored(rig, codes)
    _, found = devices.look(codes["user_code"], address="192.0.2.2")
    devices.claim(found, mine)
    rig.house.store.put(f"device:{seal.digest(codes['device_code'])}", before, 60)  # a failover
    for _ in range(2):  # a second click is no better than the first
        with pytest.raises(LoginError, match="device_used"):
            devices.claim(found, other)
    devices.claim(found, mine)


def test_a_refusal_does_not_undo_an_approval(rig: Rig) -> None:
    desk = Counter(rig)
    codes = desk.codes()
    Phone(rig).approve(codes)
    with rig.app.app_context():
        rig.house.devices.refuse(seal.digest(codes["device_code"]), "holder")
    assert desk.poll(codes).status_code == 200


# -- who guesses -------------------------------------------------------------------------------------------------


def test_who_guesses_is_stopped_for_a_while_and_others_are_not(
    rig: Rig, devices: Devices, codes: dict[str, Any]
) -> None:
    for _ in range(30):
        with pytest.raises(LoginError, match="device_unknown"):
            devices.look("BCDF-GHJK", address="198.51.100.7")
    with pytest.raises(LoginError, match="too_many"):
        devices.look(codes["user_code"], address="198.51.100.7")
    assert devices.look(codes["user_code"], address="198.51.100.8")
    rig.clock.forward(601)
    with pytest.raises(LoginError, match="device_expired"):  # no longer stopped, only too late
        devices.look(codes["user_code"], address="198.51.100.7")


def test_one_code_is_not_looked_at_for_ever(devices: Devices, codes: dict[str, Any]) -> None:
    for number in range(40):
        devices.look(codes["user_code"], address=f"2001:db8:{number:x}::/64")
    with pytest.raises(LoginError, match="too_many"):
        devices.look(codes["user_code"], address="2001:db8:ffff::/64")


def test_who_asks_for_codes_under_a_public_clients_name_is_stopped(tmp_path: Path) -> None:
    with started(tmp_path, {"holder.logins_per_minute_per_ip": 3}) as rig:
        kiosk = Counter(rig, "kiosk", token_endpoint_auth_method="none", client_secret_sha256=None)
        answers = [kiosk.ask() for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["error"] == "temporarily_unavailable"
        desk = Counter(rig)
        assert [desk.ask().status_code for _ in range(4)] == [200] * 4


# -- afterwards --------------------------------------------------------------------------------------------------


def test_what_a_counter_bought_ends_when_its_session_has_been_idle(rig: Rig, devices: Devices) -> None:
    desk = Counter(rig, "lasting", grant_types=[DEVICE_CODE, REFRESH_TOKEN])
    codes = desk.codes()
    Phone(rig).approve(codes)
    refresh_token = desk.poll(codes).json()["refresh_token"]
    rig.clock.forward(rig.house.settings.lifetimes.session_idle_s - 10)
    refreshed = desk.refresh(refresh_token)
    assert refreshed.status_code == 200
    rig.clock.forward(20)
    SessionEnds(rig.house.sessions, rig.clock).dead()
    assert desk.refresh(refreshed.json()["refresh_token"]).json()["error"] == "invalid_grant"
