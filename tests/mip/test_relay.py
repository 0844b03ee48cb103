"""QR-CPM over real WebSockets: the meeting at the relay, and what can go wrong there."""

from collections.abc import Iterator
from typing import Any

import pytest

from idp.credentials.verdict import CredentialRejected
from idp.mip.backend import BackendUnavailable
from idp.mip.daemon import Daemon
from idp.mip.errors import AppGaveUp, MessageRefused
from idp.mip.messages import Preparation
from idp.mip.relay import Meetings, is_at
from tests.mip import asking, stand_in
from tests.mip.test_messages import VP
from tests.servers import free_port


class Speaker:
    """The daemon's profiles and verdicts, and an assertion of its own."""

    def __init__(self, daemon: Daemon) -> None:
        self.profile = daemon.profile
        self.verify = daemon.verify

    def assertion(self, nonce: str) -> str:
        return f"it is us: {nonce}"


@pytest.fixture
def relay() -> Iterator[stand_in.Relay]:
    with stand_in.relay() as running:
        running.present = lambda profile: {
            **VP,
            "nonce": profile["profile"]["nonce"],
            "authType": ["pin", "face"],
        }
        yield running


def meet(relay: stand_in.Relay, daemon: Daemon, *, timeout_s: float = 10, **changes: Any) -> Any:
    question = asking.asked(asking.registry(), **changes)
    return Meetings(relay.url, timeout_s).meet(
        Speaker(daemon), question, Preparation(relay.trxcode, relay.url)
    )


def last(relay: stand_in.Relay) -> stand_in.Message:
    return relay.all_heard()[-1]


def test_a_meeting_goes_from_joining_to_the_end(relay: stand_in.Relay, daemon: Daemon) -> None:
    assert meet(relay, daemon).claims["name"] == "홍길동"
    assert [told["msg"] for told in relay.all_heard()] == ["join", "verify_verifier", "profile", "finish"]
    assert {told["trxcode"] for told in relay.heard} == {relay.trxcode}
    join, verify, profile, _ = relay.heard
    assert (join["type"], join["version"]) == ("mip", "1.1.0")
    assert verify["didAssertion"]
    assert stand_in.unpack(profile["profile"])["profile"]["svcCode"] == "mep.1"


def test_who_we_are_is_said_over_the_relays_nonce(relay: stand_in.Relay, daemon: Daemon) -> None:
    import base64  # noqa: PLC0415

    relay.turns["wait_verify"] = {"msg": "wait_verify", "trxcode": relay.trxcode, "nonce": "abc123"}
    meet(relay, daemon)
    told = relay.heard[1]["didAssertion"]
    assert base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)) == b"it is us: abc123"


def test_a_secure_question_is_answered_with_pin_and_face(relay: stand_in.Relay, daemon: Daemon) -> None:
    assert meet(relay, daemon, secure=True).authentication == ("pin", "face")
    relay.present = lambda profile: {**VP, "nonce": profile["profile"]["nonce"], "authType": ["pin"]}
    with pytest.raises(MessageRefused) as refused:
        meet(relay, daemon, secure=True)
    assert refused.value.code == 10112
    assert (last(relay)["msg"], last(relay)["errcode"]) == ("error", 2005)


def test_a_presentation_of_another_profile_is_refused(relay: stand_in.Relay, daemon: Daemon) -> None:
    relay.present = lambda profile: {**VP, "nonce": "0" * 64}
    with pytest.raises(MessageRefused) as refused:
        meet(relay, daemon)
    assert refused.value.code == 10111
    assert (last(relay)["msg"], last(relay)["errcode"]) == ("error", 2004)


def test_a_presentation_that_is_not_valid_is_refused_without_a_word_why(
    relay: stand_in.Relay, daemon: Daemon, operator: stand_in.Daemon
) -> None:
    operator.verdict = False
    with pytest.raises(CredentialRejected):
        meet(relay, daemon)
    assert (last(relay)["msg"], last(relay)["errcode"]) == ("error", 9999)


def test_a_daemon_that_is_down_is_unavailable(
    relay: stand_in.Relay, daemon: Daemon, operator: stand_in.Daemon
) -> None:
    operator.instead["/mip/vp"] = (500, b"")
    with pytest.raises(BackendUnavailable):
        meet(relay, daemon)
    assert last(relay)["msg"] == "error"


@pytest.mark.parametrize("at", ["wait_verify", "wait_profile", "vp"])
@pytest.mark.parametrize(
    ("turn", "code"),
    [
        ({"msg": "finish"}, 10201),
        ({"msg": None}, 10201),
        ("not json", 10001),
        ("[]", 10001),
        ('{"msg":"vp","msg":"vp"}', 10001),
    ],
)
def test_something_else_at_this_point_ends_the_meeting(
    relay: stand_in.Relay, daemon: Daemon, at: str, turn: Any, code: int
) -> None:
    relay.turns[at] = {"trxcode": relay.trxcode, **turn} if isinstance(turn, dict) else turn
    with pytest.raises(MessageRefused) as refused:
        meet(relay, daemon)
    assert refused.value.code == code


@pytest.mark.parametrize("at", ["wait_verify", "wait_profile", "vp"])
def test_a_message_of_another_transaction_ends_the_meeting(
    relay: stand_in.Relay, daemon: Daemon, at: str
) -> None:
    relay.turns[at] = {"msg": at, "trxcode": "somebody-elses", "nonce": "abc"}
    with pytest.raises(MessageRefused) as refused:
        meet(relay, daemon)
    assert refused.value.code == 10104


@pytest.mark.parametrize("nonce", [None, "", 7, "n" * 513])
def test_a_nonce_that_is_none_is_not_signed(relay: stand_in.Relay, daemon: Daemon, nonce: Any) -> None:
    relay.turns["wait_verify"] = {"msg": "wait_verify", "trxcode": relay.trxcode, "nonce": nonce}
    with pytest.raises(MessageRefused) as refused:
        meet(relay, daemon)
    assert refused.value.code == 10002
    assert [told["msg"] for told in relay.all_heard()[:2]] != ["join", "verify_verifier"]


@pytest.mark.parametrize("vp", [None, "x", {}, {**VP, "presentType": 2}])
def test_a_presentation_of_another_shape_is_refused(relay: stand_in.Relay, daemon: Daemon, vp: Any) -> None:
    relay.present = lambda profile: vp
    with pytest.raises(MessageRefused):
        meet(relay, daemon)


@pytest.mark.parametrize("at", ["wait_verify", "wait_profile", "vp"])
@pytest.mark.parametrize(("code", "heard"), [(9001, 20901), (20901, 20901), (2003, 2003), (None, 99999)])
def test_an_app_that_gives_up_is_heard(
    relay: stand_in.Relay, daemon: Daemon, at: str, code: int | None, heard: int
) -> None:
    relay.turns[at] = {"msg": "error", "trxcode": relay.trxcode, "errcode": code, "errmsg": "x"}
    with pytest.raises(AppGaveUp) as gave_up:
        meet(relay, daemon)
    assert gave_up.value.code == heard


@pytest.mark.parametrize("at", ["wait_verify", "wait_profile", "vp"])
def test_an_app_that_does_not_come_is_waited_for_no_longer_than_is_set(
    relay: stand_in.Relay, daemon: Daemon, at: str
) -> None:
    relay.turns[at] = None
    with pytest.raises(MessageRefused) as refused:
        meet(relay, daemon, timeout_s=0.4)
    assert refused.value.code == 10202


def test_a_relay_that_is_down_is_unavailable(daemon: Daemon) -> None:
    nowhere = stand_in.Relay(f"ws://127.0.0.1:{free_port()}/proxyServer")
    with pytest.raises(BackendUnavailable):
        meet(nowhere, daemon)


def test_a_message_over_the_limit_is_not_read(relay: stand_in.Relay, daemon: Daemon) -> None:
    relay.turns["vp"] = {"msg": "vp", "trxcode": relay.trxcode, "pad": "x" * 1_100_000}
    with pytest.raises(BackendUnavailable):
        meet(relay, daemon)


@pytest.mark.parametrize(
    ("host", "there"),
    [
        ("wss://relay.example:9090", True),
        ("wss://relay.example:9090/proxyServer", True),
        ("wss://RELAY.example:9090", True),
        ("wss://relay.example", False),
        ("ws://relay.example:9090", False),
        ("wss://relay.example.evil:9090", False),
        ("wss://relay.example:99999", False),
        ("", False),
    ],
)
def test_a_code_is_met_at_its_own_relay_alone(host: str, there: bool) -> None:
    assert is_at(Preparation("t", host), "wss://relay.example:9090/proxyServer") is there
    assert not is_at(Preparation("t", host), "")
