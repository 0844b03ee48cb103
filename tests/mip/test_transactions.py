"""A transaction in the Store: its name, its steps, who comes first, and what is kept of it."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from idp import seal
from idp.credentials.verdict import CredentialRejected, VerifiedCredential
from idp.errors import PresentationError
from idp.login import Ask
from idp.mip import messages, transactions
from idp.mip.backend import Asked, BackendUnavailable
from idp.mip.daemon import Daemon
from idp.mip.errors import MessageRefused
from idp.mip.states import Status
from idp.mip.transactions import Transactions
from idp.settings import Settings, load
from idp.store import Store, open_store
from tests.mip import asking, stand_in
from tests.mip.test_messages import VP
from tests.waiting import eventually


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield made
    made.close()


class Clock:
    def __init__(self) -> None:
        self.now = asking.NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "any.pem"
    file.touch()
    return load(
        None,
        {},
        {
            "mode": "sandbox",
            "issuer": "https://sinwon.example",
            "secrets.key_encryption_key": "11" * 32,
            "secrets.pepper": "22" * 32,
            "wallet.certificate_file": str(file),
            "wallet.private_key_file": str(file),
            "mip.relay": "wss://relay.example:9090/proxyServer",
        },
    )


@pytest.fixture
def drawer(store: Store, daemon: Daemon, settings: Settings, clock: Clock) -> Transactions:
    return Transactions(store, daemon, settings, clock)


@pytest.fixture
def ask() -> Ask:
    return question()


def question() -> Ask:
    ask_id = f"{seal.random_token(16)}.0a1b2c3d"
    return Ask(id=ask_id, via="qr", nonce="n", sealed_key="k", created_at=0, wallet="mobile-id")


def asked(**changes: Any) -> Asked:
    return asking.asked(asking.registry(), **changes)


def shown(nonce: str, ways: tuple[str, ...] = ("pin",)) -> messages.UnverifiedVp:
    return messages.read_vp({**VP, "nonce": nonce, "authType": list(ways)})


def nonce_in(profile: str) -> str:
    return str(stand_in.unpack(profile)["profile"]["nonce"])


def submit(drawer: Transactions, ask: Ask, **changes: Any) -> VerifiedCredential:
    nonce = nonce_in(drawer.profile(ask, asked(**changes)))
    return drawer.submit(ask, asked(**changes), shown(nonce, ("pin", "face")))


def code_of(call: Any) -> int:
    with pytest.raises(MessageRefused) as refused:
        call()
    return refused.value.code


# -- its name --------------------------------------------------------------------------------------------------------


def test_a_trxcode_is_the_questions_id_in_forty_digits(ask: Ask) -> None:
    name = transactions.trxcode(ask.id)
    assert len(name) == 40
    assert set(name) <= set("0123456789ABCDEF")
    assert transactions.ask_id(name) == ask.id


@pytest.mark.parametrize(
    "name", ["", "A" * 39, "A" * 41, "a" * 40, "G" * 40, "20211102162732145432176790", "０" * 40]
)
def test_a_trxcode_that_is_none_of_ours_names_nothing(name: str) -> None:
    with pytest.raises(PresentationError) as error:
        transactions.ask_id(name)
    assert error.value.reason == "login_unknown"


def test_the_code_and_the_link_say_where_to_go(drawer: Transactions, ask: Ask) -> None:
    code = stand_in.unpack(drawer.code(ask))
    assert (code["cmd"], code["ifType"], code["host"]) == ("200", "QR-MPM", "https://sinwon.example")
    assert code["trxcode"] == transactions.trxcode(ask.id)
    link = drawer.link(ask, "mobileid://verify")
    data = link.partition("&data=")[2].partition("&")[0]
    assert link == f"mobileid://verify?data_type=byte&mode=direct&data={data}&clientScheme="
    assert stand_in.unpack(data)["ifType"] == "App2App"
    assert drawer.link(ask, "https://app.example/verify?a=b").startswith(
        "https://app.example/verify?a=b&data_type"
    )


# -- its steps -------------------------------------------------------------------------------------------------------


def test_a_transaction_goes_from_the_request_to_the_answer(drawer: Transactions, ask: Ask) -> None:
    assert drawer.status(ask) is Status.REQUESTED
    profile = drawer.profile(ask, asked())
    assert drawer.status(ask) is Status.PROFILE
    assert drawer.submit(ask, asked(), shown(nonce_in(profile))).claims["name"] == "홍길동"
    assert drawer.status(ask) is Status.VERIFIED
    drawer.laid(ask)
    assert drawer.status(ask) is Status.CHECKED


def test_a_profile_that_is_asked_for_again_is_the_same(drawer: Transactions, ask: Ask) -> None:
    assert drawer.profile(ask, asked()) == drawer.profile(ask, asked())


def test_a_profile_for_another_service_is_another(drawer: Transactions, ask: Ask) -> None:
    assert drawer.profile(ask, asked()) != drawer.profile(ask, asked(secure=True))


def test_after_a_presentation_that_failed_the_profile_is_another(
    drawer: Transactions, ask: Ask, operator: stand_in.Daemon
) -> None:
    operator.verdict = False
    first = drawer.profile(ask, asked())
    with pytest.raises(CredentialRejected):
        drawer.submit(ask, asked(), shown(nonce_in(first)))
    assert drawer.status(ask) is Status.PROFILE
    operator.verdict = True
    second = drawer.profile(ask, asked())
    assert second != first
    assert drawer.submit(ask, asked(), shown(nonce_in(second))).claims


def test_a_presentation_before_any_profile_is_out_of_order(drawer: Transactions, ask: Ask) -> None:
    assert code_of(lambda: drawer.submit(ask, asked(), shown("n" * 64))) == 10201


def test_a_presentation_for_another_profile_is_10111(drawer: Transactions, ask: Ask) -> None:
    drawer.profile(ask, asked())
    other = nonce_in(drawer.profile(question(), asked()))
    assert code_of(lambda: drawer.submit(ask, asked(), shown(other))) == 10111
    assert drawer.status(ask) is Status.PROFILE


@pytest.mark.parametrize("ways", [("pin",), ("face",), ("bio",), ("pin", "bio")])
def test_a_secure_service_is_answered_with_pin_and_face(
    drawer: Transactions, ask: Ask, ways: tuple[str, ...]
) -> None:
    nonce = nonce_in(drawer.profile(ask, asked(secure=True)))
    assert code_of(lambda: drawer.submit(ask, asked(secure=True), shown(nonce, ways))) == 10112
    assert drawer.submit(ask, asked(secure=True), shown(nonce, ("pin", "face"))).authentication == (
        "pin",
        "face",
    )


def test_a_presentation_for_a_question_that_has_changed_is_out_of_order(
    drawer: Transactions, ask: Ask
) -> None:
    nonce = nonce_in(drawer.profile(ask, asked()))
    assert code_of(lambda: drawer.submit(ask, asked(secure=True), shown(nonce, ("pin", "face")))) == 10201


def test_a_presentation_after_the_answer_is_out_of_order(drawer: Transactions, ask: Ask) -> None:
    nonce = nonce_in(drawer.profile(ask, asked()))
    drawer.submit(ask, asked(), shown(nonce))
    assert code_of(lambda: drawer.submit(ask, asked(), shown(nonce))) == 10201
    drawer.laid(ask)
    assert code_of(lambda: drawer.submit(ask, asked(), shown(nonce))) == 10201
    assert code_of(lambda: drawer.profile(ask, asked())) == 10201
    assert code_of(lambda: drawer.picture_asked(ask)) == 10201


def test_what_the_login_did_not_take_can_be_shown_again(drawer: Transactions, ask: Ask) -> None:
    submit(drawer, ask)
    drawer.not_taken(ask)
    assert submit(drawer, ask).claims


def test_while_the_daemon_is_down_nothing_is_lost(
    drawer: Transactions, ask: Ask, operator: stand_in.Daemon
) -> None:
    nonce = nonce_in(drawer.profile(ask, asked()))
    operator.instead["/mip/vp"] = (503, b"")
    with pytest.raises(BackendUnavailable):
        drawer.submit(ask, asked(), shown(nonce))
    assert drawer.status(ask) is Status.PROFILE
    operator.instead.clear()
    assert drawer.submit(ask, asked(), shown(nonce)).claims


def test_an_app_that_gave_up_may_begin_again(drawer: Transactions, ask: Ask) -> None:
    first = drawer.profile(ask, asked())
    assert drawer.failed(ask)
    assert drawer.status(ask) is Status.FAILED
    assert code_of(lambda: drawer.submit(ask, asked(), shown(nonce_in(first)))) == 10201
    assert drawer.profile(ask, asked()) != first
    assert drawer.status(ask) is Status.PROFILE


def test_giving_up_after_the_answer_changes_nothing(drawer: Transactions, ask: Ask) -> None:
    submit(drawer, ask)
    assert not drawer.failed(ask)
    drawer.laid(ask)
    assert not drawer.failed(ask)
    assert drawer.status(ask) is Status.CHECKED


def test_giving_up_at_once_is_kept(drawer: Transactions, ask: Ask) -> None:
    assert drawer.failed(ask)
    assert drawer.failed(ask)
    assert drawer.status(ask) is Status.FAILED


# -- who comes first -------------------------------------------------------------------------------------------------


def at_once(*calls: Any) -> list[Any]:
    """What each call gave or raised, all of them begun together."""
    found: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(place: int, call: Any) -> None:
        gate.wait()
        try:
            found[place] = call()
        except Exception as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_many_who_ask_at_once_all_get_the_same_profile(drawer: Transactions, ask: Ask) -> None:
    assert len(set(at_once(*[lambda: drawer.profile(ask, asked())] * 6))) == 1


def test_of_many_presentations_at_once_one_is_verified(
    drawer: Transactions, ask: Ask, operator: stand_in.Daemon
) -> None:
    nonce = nonce_in(drawer.profile(ask, asked()))
    found = at_once(*[lambda: drawer.submit(ask, asked(), shown(nonce))] * 6)
    assert sum(isinstance(item, VerifiedCredential) for item in found) == 1
    assert sorted(item.code for item in found if isinstance(item, MessageRefused)) == [10201] * 5
    assert [path for path, _ in operator.asked].count("/mip/vp") == 1


def test_cancelling_while_it_is_verified_wins(
    drawer: Transactions, ask: Ask, operator: stand_in.Daemon
) -> None:
    nonce = nonce_in(drawer.profile(ask, asked()))
    operator.wait.clear()
    found: list[int] = []
    waiting = threading.Thread(
        target=lambda: found.append(code_of(lambda: drawer.submit(ask, asked(), shown(nonce))))
    )
    waiting.start()
    eventually(lambda: drawer.status(ask) is Status.VERIFYING)
    assert drawer.failed(ask)
    operator.wait.set()
    waiting.join()
    assert found == [10201]
    assert drawer.status(ask) is Status.FAILED


def test_a_verification_that_nobody_finishes_is_given_up(
    drawer: Transactions, ask: Ask, store: Store, clock: Clock
) -> None:
    nonce = nonce_in(drawer.profile(ask, asked()))
    key = f"mip:{ask.id}"
    known = store.get(key)
    assert known is not None
    store.put(key, {**known, "status": "0003", "since": clock.now}, 600)
    assert code_of(lambda: drawer.submit(ask, asked(), shown(nonce))) == 10201
    clock.now += 600
    assert drawer.submit(ask, asked(), shown(nonce)).claims


def test_a_record_of_another_shape_is_over(drawer: Transactions, ask: Ask, store: Store) -> None:
    store.put(f"mip:{ask.id}", {"status": "0009"}, 600)
    assert code_of(lambda: drawer.profile(ask, asked())) == 10202


# -- what is kept ----------------------------------------------------------------------------------------------------


def test_nothing_of_the_holder_is_kept(drawer: Transactions, ask: Ask, store: Store) -> None:
    submit(drawer, ask)
    kept = json.dumps(store.get(f"mip:{ask.id}"), ensure_ascii=False)
    assert "nonce" in kept
    for value in (*stand_in.HONG.values(), VP["data"], VP["did"]):
        assert len(str(value)) < 4 or str(value) not in kept


# -- QR-CPM ----------------------------------------------------------------------------------------------------------


def preparation(**changes: Any) -> messages.Preparation:
    return messages.Preparation(**{"trxcode": "2026" * 5, "host": "wss://relay.example:9090", **changes})


def test_an_app_is_met_at_the_relay_that_is_set(drawer: Transactions, ask: Ask) -> None:
    assert drawer.meet(ask, asked(), preparation()).claims["name"] == "홍길동"
    drawer.laid(ask)
    assert drawer.status(ask) is Status.CHECKED


@pytest.mark.parametrize(
    "host",
    [
        "wss://elsewhere.example:9090",
        "wss://relay.example",
        "ws://relay.example:9090",
        "https://relay.example:9090",
        "wss://relay.example:9090@evil.example",
        "wss://relay.example:x",
        "relay.example:9090",
        "",
    ],
)
def test_a_code_that_names_another_relay_is_refused(
    drawer: Transactions, ask: Ask, operator: stand_in.Daemon, host: str
) -> None:
    assert code_of(lambda: drawer.meet(ask, asked(), preparation(host=host))) == 10100
    assert operator.asked == []


def test_after_a_meeting_that_failed_there_may_be_another(
    drawer: Transactions, ask: Ask, operator: stand_in.Daemon
) -> None:
    operator.met = {"trxStsCode": "0001", "vpVerifyResult": "N"}
    assert code_of(lambda: drawer.meet(ask, asked(), preparation())) == 10202
    operator.met = {"trxStsCode": "0004", "vpVerifyResult": "Y"}
    assert drawer.meet(ask, asked(), preparation()).claims


def test_where_no_relay_is_set_nobody_is_met(
    store: Store, daemon: Daemon, clock: Clock, settings: Settings, ask: Ask
) -> None:
    without: Any = SimpleNamespace(
        mip=SimpleNamespace(relay="", daemon_timeout_s=1, relay_timeout_s=1), lifetimes=settings.lifetimes
    )
    drawer = Transactions(store, daemon, without, clock)
    assert code_of(lambda: drawer.meet(ask, asked(), preparation())) == 10100
