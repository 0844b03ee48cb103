"""The table of error codes, both ways."""

import pytest

from idp.credentials.verdict import Reason
from idp.mip import errors
from idp.mip.errors import APP, VERIFIER, AppGaveUp, MessageRefused, app_error, code_for
from idp.views.messages import MESSAGES

SAID_BY_THE_APP = [
    20001,
    20002,
    *list(range(20100, 20105)),
    20201,
    20202,
    *list(range(20300, 20308)),
    20401,
    20402,
    20403,
    20501,
    20901,
    90001,
    90002,
    99999,
]
SAID_BY_A_VERIFIER = [
    10001,
    10002,
    10003,
    *list(range(10100, 10114)),
    10201,
    10202,
    19001,
    19002,
    19003,
    99999,
]


def test_every_code_of_the_specification_is_known() -> None:
    assert sorted(APP) == sorted(SAID_BY_THE_APP)
    assert sorted(VERIFIER) == sorted(SAID_BY_A_VERIFIER)


@pytest.mark.parametrize("code", SAID_BY_THE_APP)
def test_a_holder_has_words_for_every_error_of_the_app(code: int) -> None:
    assert app_error(code).problem in MESSAGES


def test_cancelling_is_the_holders_decision() -> None:
    assert app_error(20901).problem == "wallet_refused"
    assert [code for code in APP if app_error(code).problem == "wallet_refused"] == [20901]


def test_a_code_that_nobody_knows_is_an_unknown_error() -> None:
    assert app_error(31337) == APP[99999]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("login_unknown", 10104),
        ("login_expired", 10202),
        ("already_answered", 10201),
        ("status_unknown", 99999),
        ("unavailable", 99999),
    ],
)
def test_what_became_of_the_login_is_told(reason: str, code: int) -> None:
    assert code_for(reason) == code


@pytest.mark.parametrize("reason", sorted(set(Reason) - {"status_unknown"}))
def test_which_check_of_a_credential_failed_is_not_told(reason: str) -> None:
    assert code_for(reason) == errors.INVALID_DATA


def test_a_refusal_has_the_specifications_text() -> None:
    assert str(MessageRefused(10111)) == "10111 mismatching nonce"


def test_a_holder_who_closes_the_relay_has_cancelled() -> None:
    assert AppGaveUp(9001).code == 20901
    assert AppGaveUp(20901).code == 20901
