"""The consular counter against a small provider: tickets, polling, the photograph, and that nothing stays."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest

from idp.demo import check
from idp.demo.counter import RESULT_LIFE_S, Counter, State, Ticket
from idp.demo.device_flow import DeviceClient, NotYet
from idp.demo.relying import Provider, SignInFailed
from tests.waiting import eventually

from .conftest import Guests


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Officer:
    """A counter of the test's own, its time in the test's hand, with one desk."""

    counter: Counter
    clock: Clock
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.counter.open_desk(None)

    def call(self) -> Ticket:
        return self.counter.call(self.key, "passport", "en")

    def ticket(self, ticket: Ticket) -> Ticket:
        return self.counter.look(self.key).tickets[ticket.id]

    def state(self, ticket: Ticket) -> State:
        """Where it stands, after every answer that is due by now."""
        return self.ticket(ticket).state

    def decided(self, ticket: Ticket, state: State) -> Ticket:
        def is_decided() -> bool:
            self.clock.now += 1
            return self.state(ticket) is state

        eventually(is_decided)
        return self.ticket(ticket)


@pytest.fixture
def client(guests: Guests) -> Iterator[DeviceClient]:
    provider = Provider(guests.prepared.issuer)
    yield DeviceClient(guests.provider.portals["counter"], guests.prepared, provider)
    provider.http.close()


@pytest.fixture
def officer(client: DeviceClient) -> Iterator[Officer]:
    clock = Clock()
    counter = Counter(client, clock)
    yield Officer(counter, clock)
    counter.close()


def test_a_visitor_who_agreed_is_shown_with_the_photograph(guests: Guests, officer: Officer) -> None:
    guests.provider.misbehave(device_answers=["authorization_pending", "agreed"])
    shown = officer.decided(officer.call(), State.CONFIRMED).shown
    assert shown is not None
    assert set(shown.verified()["claims"]) == {"name", "picture", "kr_overseas_registration_number"}


def test_the_counter_asks_for_the_photograph_in_userinfo_only(guests: Guests, officer: Officer) -> None:
    officer.call()
    asked = list(guests.provider.devices.values())[-1]["query"]["claims"]
    in_id_token, in_userinfo = asked.split('"userinfo"')
    assert "picture" not in in_id_token
    assert "picture" in in_userinfo


@pytest.mark.parametrize(
    ("answer", "state", "problem"),
    [
        ("access_denied", State.DENIED, "access_denied"),
        ("expired_token", State.EXPIRED, "expired_token"),
        ("invalid_grant", State.FAILED, "invalid_grant"),
    ],
)
def test_a_refusal_ends_the_ticket(
    guests: Guests, officer: Officer, answer: str, state: State, problem: str
) -> None:
    guests.provider.misbehave(device_answers=[answer])
    assert officer.decided(officer.call(), state).problem == problem


def test_two_visitors_are_told_apart(guests: Guests, officer: Officer) -> None:
    first = officer.call()
    guests.provider.misbehave(device_answers=["access_denied"])
    second = officer.call()
    assert (first.number, second.number) == (1, 2)
    officer.decided(second, State.DENIED)
    assert officer.state(first) is State.WAITING


@pytest.mark.parametrize("state", [State.FINISHED, State.MISMATCH])
def test_a_visitor_who_is_done_leaves_nothing_behind(guests: Guests, officer: Officer, state: State) -> None:
    guests.provider.misbehave(device_answers=["agreed"])
    ticket = officer.decided(officer.call(), State.CONFIRMED)
    officer.counter.close_ticket(officer.key, ticket.id, state)
    assert officer.ticket(ticket).shown is None
    assert officer.state(ticket) is state


def test_what_was_shown_is_deleted_when_nobody_does_it(guests: Guests, officer: Officer) -> None:
    guests.provider.misbehave(device_answers=["agreed"])
    ticket = officer.decided(officer.call(), State.CONFIRMED)
    officer.clock.now = ticket.until - 1
    assert officer.ticket(ticket).shown is not None
    officer.clock.now = ticket.decided_at + RESULT_LIFE_S
    assert officer.ticket(ticket).shown is None
    assert officer.state(ticket) is State.CLEARED


def test_a_code_that_nobody_used_runs_out(officer: Officer) -> None:
    ticket = officer.call()
    officer.clock.now = ticket.until - 0.5
    assert officer.state(ticket) is State.WAITING
    officer.clock.now = ticket.until
    assert officer.state(ticket) is State.EXPIRED


def test_a_ticket_is_finished_only_after_a_comparison(officer: Officer) -> None:
    ticket = officer.call()
    officer.counter.close_ticket(officer.key, ticket.id, State.FINISHED)
    assert officer.state(ticket) is State.WAITING


def test_another_desk_sees_nothing(officer: Officer) -> None:
    ticket = officer.call()
    other = officer.counter.open_desk("a key somebody made up")
    assert other != "a key somebody made up"
    assert ticket.id not in officer.counter.look(other).tickets
    officer.counter.clear(other, ticket.id)
    assert officer.state(ticket) is State.WAITING


def test_a_cleared_ticket_is_forgotten(officer: Officer) -> None:
    ticket = officer.call()
    officer.counter.clear(officer.key, ticket.id)
    assert officer.counter.look(officer.key).tickets == {}


@pytest.mark.parametrize(
    ("answer", "interval_s"), [("authorization_pending", 5), ("slow_down", 10)], ids=["pending", "slow-down"]
)
def test_the_pace_is_the_providers(
    guests: Guests, client: DeviceClient, answer: str, interval_s: int
) -> None:
    guests.provider.misbehave(device_answers=[answer])
    with pytest.raises(NotYet) as not_yet:
        client.poll(client.begin("ko"), 5)
    assert not_yet.value.interval_s == interval_s


def test_a_provider_that_does_not_answer_is_asked_half_as_often(
    guests: Guests, client: DeviceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = client.begin("ko")
    metadata = {**client.provider.metadata(), "token_endpoint": "http://127.0.0.1:9/token"}
    monkeypatch.setattr(client.provider, "metadata", lambda: metadata)
    with pytest.raises(NotYet) as not_yet:
        client.poll(code, 5)
    assert not_yet.value.interval_s == 10


@pytest.mark.parametrize("changes", [{"aud": "bank"}, {"nonce": "from nowhere"}, {"at_hash": None}])
def test_a_token_that_is_wrong_is_not_shown(
    guests: Guests, client: DeviceClient, changes: dict[str, str | None]
) -> None:
    guests.provider.misbehave(id_token=changes, device_answers=["agreed"])
    with pytest.raises(SignInFailed) as failure:
        client.poll(client.begin("ko"), 5)
    assert failure.value.code == "bad_id_token"


def test_the_officers_screen_from_call_to_deletion(guests: Guests) -> None:
    guests.provider.misbehave(device_answers=["agreed"])
    with check.Browser("en") as desk:
        page = desk.open(f"{guests.prepared.portals_url}/counter/", "counter")
        page = desk.submit(page, "call", "calling a visitor")
        assert check.required(page, "user-code", "ticket").text == "WDJB-MJHT"
        assert check.required(page, "qr", "ticket").attributes["data-link"].endswith("?user_code=WDJB-MJHT")
        eventually(lambda: desk.open(page.url, "ticket").find("person") is not None)
        page = desk.open(page.url, "ticket")
        photo = next(item for item in check.required(page, "person", "ticket").below() if item.tag == "img")
        assert photo.attributes["src"].startswith("data:image/png;base64,")
        page = desk.submit(page, "decide", "finishing", action="finish")
        assert page.find("person") is None
        assert "deleted" in check.required(page, "outcome", "ticket").text
        page = desk.submit(page, "clear", "clearing", action="clear")
        assert page.find("call") is not None
        assert "Nobody is waiting" in page.root.text


def test_a_ticket_in_another_browser_is_not_there(guests: Guests) -> None:
    with check.Browser() as desk, check.Browser() as other:
        page = desk.open(f"{guests.prepared.portals_url}/counter/", "counter")
        page = desk.submit(page, "call", "calling a visitor")
        assert page.find("user-code") is not None
        assert other.open(page.url, "ticket").find("user-code") is None


@pytest.mark.parametrize("form", [{}, {"matter": "anything"}])
def test_a_matter_that_the_counter_does_not_know_is_refused(guests: Guests, form: dict[str, str]) -> None:
    url = f"{guests.prepared.portals_url}/counter/tickets"
    assert httpx2.post(url, data=form, trust_env=False).status_code == 400


def test_the_screen_runs_its_own_script_and_no_other(guests: Guests) -> None:
    page = httpx2.get(f"{guests.prepared.portals_url}/counter/", trust_env=False)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
