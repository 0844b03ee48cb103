"""What portals may plan by, and the calendar that says it (RFC 5545)."""

from itertools import pairwise

import pytest

from idp.admin.key_calendar import REMEMBERED_S, KeyDates, calendar, moments
from idp.clock import utc
from idp.keys import Listed, state
from idp.views.feeds import Happening, icalendar

DAY = 86_400
NOW = 1_800_000_000


def key(kid: str = "k1", alg: str = "ES256", **times: int | None) -> Listed:
    given = {"published_at": NOW - DAY, "active_at": NOW, "retiring_at": None, "gone_at": None, **times}
    row = Listed(kid, alg, "active", **given)  # type: ignore[arg-type]
    return Listed(kid, alg, state(row, NOW), **given)  # type: ignore[arg-type]


def planned(*keys: Listed, rotate_days: int = 90) -> list[KeyDates]:
    return calendar(list(keys), now=NOW, rotate_s=rotate_days * DAY, publish_s=DAY, retire_s=2 * DAY)


def steps(one: KeyDates) -> dict[str, tuple[int, bool]]:
    return {step.what: (step.at, step.planned) for step in one.steps}


def test_the_next_key_takes_over_when_the_old_one_is_due() -> None:
    now, following = planned(key())
    due = NOW + 90 * DAY
    assert steps(now) == {
        "published": (NOW - DAY, False),
        "active": (NOW, False),
        "retiring": (due, True),
        "gone": (due + 2 * DAY, True),
    }
    assert (following.kid, following.state) == (None, "planned")
    assert steps(following) == {"published": (due - DAY, True), "active": (due, True)}


def test_a_key_that_is_overdue_is_replaced_as_soon_as_may_be() -> None:
    old = key(published_at=NOW - 200 * DAY, active_at=NOW - 199 * DAY)
    _, following = planned(old)
    assert steps(following) == {"published": (NOW, True), "active": (NOW + DAY, True)}


def test_where_keys_are_changed_by_hand_nothing_is_planned() -> None:
    [only] = planned(key(), rotate_days=0)
    assert steps(only).keys() == {"published", "active"}


def test_a_rotation_under_way_is_certain() -> None:
    old = key("old", active_at=NOW - DAY, retiring_at=NOW + DAY, gone_at=NOW + 3 * DAY)
    new = key("new", published_at=NOW, active_at=NOW + DAY)
    shown = planned(old, new)
    assert [(one.kid, one.state) for one in shown] == [("old", "active"), ("new", "published")]
    assert not any(step.planned for step in shown[0].steps)


def test_what_is_long_gone_is_not_shown() -> None:
    gone = {"active_at": 1, "retiring_at": 2}
    assert planned(key(gone_at=NOW - REMEMBERED_S - 1, **gone)) == []
    assert [one.state for one in planned(key(gone_at=NOW - 1, **gone))] == ["gone"]


def test_moments_come_in_their_order() -> None:
    told = [step.at for _, step in moments(planned(key(), key("k2", "RS256", active_at=NOW - 5 * DAY)))]
    assert told == sorted(told)


def written(*happenings: Happening) -> str:
    return icalendar("열쇠", happenings, host="id.example", now=NOW)


def unfolded(text: str) -> list[str]:
    return text.replace("\r\n ", "").removesuffix("\r\n").split("\r\n")


LONG = Happening(
    "k-active", NOW, "키가 바뀝니다, 두 번; 세 번 \\", "첫 줄은 아주 깁니다. " * 12 + "\n둘째 줄"
)


def test_lines_end_and_are_folded_as_the_specification_says() -> None:
    text = written(LONG)
    assert text.endswith("END:VCALENDAR\r\n")
    assert "\n" not in text.replace("\r\n", "")
    lines = text.encode("utf-8").split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert all(line.decode("utf-8") is not None for line in lines)  # none ends within a character
    assert any(line.startswith(b" ") for line in lines)


def test_a_text_comes_back_as_it_was() -> None:
    told = dict(line.split(":", 1) for line in unfolded(written(LONG)))
    assert told["SUMMARY"] == "키가 바뀝니다\\, 두 번\\; 세 번 \\\\"
    assert told["DESCRIPTION"].endswith("\\n둘째 줄")


@pytest.mark.parametrize("sure", [True, False])
def test_an_event_has_what_it_must_have(sure: bool) -> None:
    lines = unfolded(written(Happening("k-active", NOW, "Signs", "Text", until=NOW + 60, sure=sure)))
    stamp = utc(NOW).strftime("%Y%m%dT%H%M%SZ")
    for line in ("UID:k-active@id.example", f"DTSTAMP:{stamp}", f"DTSTART:{stamp}", "VERSION:2.0"):
        assert lines.count(line) == 1
    assert f"STATUS:{'CONFIRMED' if sure else 'TENTATIVE'}" in lines
    assert [line for line in lines if line.startswith("PRODID:")]
    assert [name for name, after in pairwise(lines) if (name, after) == ("END:VEVENT", "END:VCALENDAR")]
