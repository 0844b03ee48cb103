"""Where a transaction stands and what it may hear: every pair of the table, and everything outside it."""

import itertools

import pytest

from idp.mip import errors
from idp.mip.errors import MessageRefused
from idp.mip.states import TABLE, Status, Step, after

# status: the steps that are in order, and where they lead.
IN_ORDER = {
    "0001": {"310": "0002", "320": "0001", "900": "0005"},
    "0002": {"310": "0002", "320": "0002", "400": "0003", "900": "0005"},
    "0003": {"320": "0003", "900": "0005", "valid": "0004", "not taken": "0002"},
    "0004": {"900": "0004", "laid beside the login": "0006", "not taken": "0002"},
    "0005": {"310": "0002", "320": "0005", "900": "0005"},
    "0006": {"900": "0006"},
}
PAIRS = list(itertools.product(Status, Step))


def test_the_six_states_are_the_protocols() -> None:
    assert [status.value for status in Status] == ["0001", "0002", "0003", "0004", "0005", "0006"]


def test_the_table_says_what_stands_here_and_no_more() -> None:
    assert {(status, step): led for status, steps in IN_ORDER.items() for step, led in steps.items()} == {
        (status.value, step.value): led.value for (status, step), led in TABLE.items()
    }


@pytest.mark.parametrize(("status", "step"), PAIRS)
def test_a_step_in_order_leads_on_and_one_out_of_order_is_10201(status: Status, step: Step) -> None:
    led = IN_ORDER[status].get(step)
    if led is not None:
        assert after(status, step) == led
        return
    with pytest.raises(MessageRefused) as refused:
        after(status, step)
    assert refused.value.code == errors.SEQUENCE


def test_a_presentation_is_in_order_after_its_profile_alone() -> None:
    assert {status for status, step in TABLE if step is Step.M400} == {Status.PROFILE}


def test_nothing_leads_away_from_an_answer_that_was_taken() -> None:
    assert {led for (status, _), led in TABLE.items() if status is Status.CHECKED} == {Status.CHECKED}
