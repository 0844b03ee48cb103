"""More sign-ins than can be served: new ones are told to come later, at once, and those under way go on."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

import pytest

from idp.errors import Busy
from idp.views.frame import WAITED_S
from idp.views.shedding import BEGINNINGS, FOR_MONITORING, WARY_S, Shedding
from tests.rig import Rig, started

BUSY_S = 0.1
BEGINNING, STEP = "portal.authorize", "portal.resume"


class Process:
    """One process, and a clock that is moved by hand."""

    def __init__(self, busy_s: float = BUSY_S) -> None:
        self.now = 1000.0
        self.shedding = Shedding(busy_s, lambda: self.now)

    def serves(
        self, endpoint: str | None, waited_s: float | None, after_s: float = 0.0, *, let_in: bool = False
    ) -> bool:
        self.now += after_s
        try:
            self.shedding.check(endpoint, waited_s, let_in=let_in)
        except Busy:
            return False
        return True


@pytest.fixture
def busy() -> Process:
    """Somebody has been waiting for a while."""
    process = Process()
    for _ in range(5):
        assert process.serves(STEP, 0.3, after_s=0.25)
    return process


@pytest.mark.parametrize("endpoint", sorted(BEGINNINGS))
def test_a_sign_in_is_not_begun_while_a_queue_stands(busy: Process, endpoint: str) -> None:
    assert not busy.serves(endpoint, BUSY_S + 0.01)
    assert busy.serves(endpoint, BUSY_S)


def test_a_burst_passes() -> None:
    process = Process()
    assert all(process.serves(BEGINNING, 0.8, after_s=0.01) for _ in range(50))


def test_who_is_served_at_once_now_and_then_shows_that_no_queue_stands() -> None:
    process = Process()
    for _ in range(20):
        assert process.serves(BEGINNING, 0.5, after_s=0.4)
        assert process.serves(STEP, 0.0, after_s=0.4)


@pytest.mark.parametrize("waited_s", [0.2, 4.0])
def test_a_slow_machine_is_not_a_queue(waited_s: float) -> None:
    """Every request waits for the processor, and none for another: one visitor, whose browser asks in turn."""
    process = Process()
    assert all(process.serves(BEGINNING, waited_s, after_s=waited_s + 0.01) for _ in range(20))


def test_an_idle_process_has_no_queue() -> None:
    process = Process()
    assert process.serves(BEGINNING, BUSY_S + 0.01, after_s=3600)
    assert process.serves(BEGINNING, BUSY_S + 0.01, after_s=0.01)


def test_who_has_begun_comes_first_unless_it_is_far_too_late(busy: Process) -> None:
    assert busy.serves(STEP, 4.9)
    assert not busy.serves(STEP, 5.1)


def test_a_queue_is_believed_at_once_for_a_while(busy: Process) -> None:
    assert busy.serves(STEP, 0.0, after_s=WARY_S - 1)
    assert not busy.serves(BEGINNING, BUSY_S + 0.01)
    assert busy.serves(STEP, 0.0, after_s=WARY_S + 1)
    assert busy.serves(BEGINNING, BUSY_S + 0.01)


def test_a_wary_process_is_not_afraid_of_a_slow_machine(busy: Process) -> None:
    assert busy.serves(STEP, 0.0, after_s=1.0)
    assert all(busy.serves(BEGINNING, 0.3, after_s=0.31) for _ in range(20))


@pytest.mark.parametrize("endpoint", sorted(FOR_MONITORING))
def test_whoever_watches_is_always_answered(busy: Process, endpoint: str) -> None:
    assert busy.serves(endpoint, 60.0)


def test_a_newcomer_is_turned_away_while_anybody_waits_and_let_in_as_soon_as_nobody_does(
    busy: Process,
) -> None:
    assert all(busy.shedding.turns_away(path, 1) for path in BEGINNINGS.values())
    assert not busy.shedding.turns_away("/token", 1)
    assert not busy.shedding.turns_away("/authorize", 0)
    assert busy.serves(STEP, BUSY_S, after_s=0.01)
    assert not busy.shedding.turns_away("/authorize", 1)
    assert busy.shedding.is_wary


def test_a_newcomer_is_let_in_where_nothing_is_known_of_a_queue_any_more(busy: Process) -> None:
    busy.now += 0.4
    assert busy.shedding.turns_away("/authorize", 1)
    busy.now += 0.2
    assert not busy.shedding.turns_away("/authorize", 1)


def test_who_was_let_in_has_begun(busy: Process) -> None:
    assert not busy.serves(BEGINNING, 0.3)
    assert busy.serves(BEGINNING, 0.3, let_in=True)
    assert not busy.serves(BEGINNING, 5.1, let_in=True)


def test_who_was_turned_away_is_told_so(busy: Process) -> None:
    assert not busy.serves(BEGINNING, None)


def test_newcomers_are_not_looked_at_when_it_is_over(busy: Process) -> None:
    assert busy.serves(STEP, 0.0, after_s=WARY_S - 1)
    assert busy.shedding.is_wary
    busy.now += 1.1
    assert not busy.shedding.is_wary


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_at_three_times_the_capacity_nine_tenths_of_it_are_used_and_no_queue_grows(steps: int) -> None:
    """50 requests a second can be served, and beginnings come for 150, each with so many steps that follow it."""
    process, service_s, length_s = Process(), 0.02, 60.0
    began, per_s = process.now, 150 / (steps + 1)
    coming = [(began + number / per_s, BEGINNING) for number in range(int(per_s * length_s))]
    waiting: list[tuple[float, str, bool]] = []
    told_after_s: list[tuple[float, float]] = []
    took_s: list[float] = []
    served = 0
    while coming:
        while coming and coming[0][0] <= process.now:
            at, endpoint = heappop(coming)
            looked_at = endpoint == BEGINNING and process.shedding.is_wary
            if looked_at and process.shedding.turns_away("/authorize", len(waiting)):
                continue
            waiting.append((at, endpoint, looked_at))
        if not waiting:
            process.now = coming[0][0] if coming else process.now
            continue
        at, endpoint, let_in = waiting.pop(0)
        if process.serves(endpoint, process.now - at, let_in=let_in):
            served += 1
            process.now += service_s
            took_s.append(process.now - at)
            for step in range(1, steps + 1 if endpoint == BEGINNING else 1):
                heappush(coming, (process.now + 0.1 * step, STEP))
        else:
            told_after_s.append((process.now - began, process.now - at))
    assert served > 0.9 * length_s / service_s
    assert all(at_s < 10 for at_s, _ in told_after_s)  # in turn, who had come before anything was known
    assert max(took_s[len(took_s) // 2 :]) < 1.0


def test_it_can_be_switched_off() -> None:
    process = Process(busy_s=0.0)
    assert all(process.serves(BEGINNING, 60.0, after_s=1.0) for _ in range(10))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        yield running


def test_a_request_that_is_handed_on_is_looked_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not answered in front of the application would be taken there for a queue of its own."""
    looked = []
    shedding = rig.app.extensions["sinwon_shedding"]
    monkeypatch.setattr(shedding, "check", lambda endpoint, _waited_s, **_more: looked.append(endpoint))
    refused = rig.app.test_client().get("/userinfo", headers={"Authorization": "Bearer nobody"})
    assert refused.status_code == 401
    assert looked == ["portal.userinfo"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/authorize"), ("POST", "/par"), ("POST", "/token"), ("GET", "/login/x")]
)
def test_it_is_told_when_to_come_again_and_nothing_is_written(rig: Rig, method: str, path: str) -> None:
    before = rig.last_event()
    answer = rig.app.test_client().open(path, method=method, environ_base={WAITED_S: 5.1})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert rig.last_event() == before


def test_the_endpoints_are_those_of_the_house(rig: Rig) -> None:
    assert rig.app.view_functions.keys() >= BEGINNINGS.keys() | FOR_MONITORING - {"metrics"}
    paths = {rule.endpoint: rule.rule for rule in rig.app.url_map.iter_rules()}
    assert BEGINNINGS.items() <= paths.items()
