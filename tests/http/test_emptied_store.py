"""Redis is emptied, or forgets what it had acknowledged (decision D11): what was used before is not accepted again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from tests import servers
from tests.at_once import MANY, at_once, statuses
from tests.harmless import as_json, harmless, page
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig, callback_parameters, started

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]
GRANTS = ["authorization_code", "refresh_token"]
Records = dict[bytes, tuple[int, bytes]]


@pytest.fixture(scope="module")
def memory(redis_program: object) -> Iterator[redis.Redis]:
    """A Redis of our own: others' would not like to be emptied."""
    with servers.redis() as port, redis.Redis(port=port) as client:
        yield client


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, postgresql_url: str, memory: redis.Redis) -> Iterator[Rig]:
    port = memory.connection_pool.connection_kwargs["port"]
    with (
        servers.new_database(postgresql_url) as database,
        started(
            tmp_path_factory.mktemp("house"),
            {"database.url": database, "store.url": f"redis://127.0.0.1:{port}/0"},
        ) as running,
    ):
        yield running


@pytest.fixture
def portal(rig: Rig) -> Portal:
    """A portal that may refresh, in a browser that is signed in, by somebody who asked not to be asked again."""
    made = rig.variant("g4k", "lasting", grant_types=GRANTS)
    made.agree_for_good()
    return made


@pytest.fixture
def bank(rig: Rig) -> Portal:
    made = rig.variant("bank", "lasting-bank", grant_types=GRANTS)
    made.prover = Prover()
    return made


def picture(memory: redis.Redis) -> Records:
    """Everything that Redis knows now."""
    return {key: (memory.pttl(key), memory.dump(key)) for key in memory.scan_iter("*")}  # type: ignore[misc]


def fail_over(memory: redis.Redis, before: Records) -> None:
    """Another server takes over that had not heard of what was written since `before`."""
    memory.flushall()
    for key, (ttl_ms, value) in before.items():
        memory.restore(key, max(ttl_ms, 0), value, replace=True)


@contextmanager
def emptied_again_and_again(memory: redis.Redis) -> Iterator[None]:
    """Redis is emptied all the while."""
    over = threading.Event()

    def empty() -> None:
        while not over.wait(0.005):
            memory.flushall()

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(params=["emptied", "failed over"])
def loss(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def losing(memory: redis.Redis, loss: str) -> Iterator[None]:
    """What is done inside is what Redis forgets."""
    before = picture(memory)
    yield
    if loss == "emptied":
        memory.flushall()
    else:
        fail_over(memory, before)


# -- what was used before ----------------------------------------------------------------------------------------


def test_a_code_is_not_redeemed_again(rig: Rig, portal: Portal, memory: redis.Redis, loss: str) -> None:
    code, begun = portal.code()
    with losing(memory, loss):
        tokens = portal.token(code, begun.verifier).json()
    with harmless(rig, ("code.replayed", "same_client")):
        as_json(portal.token(code, begun.verifier), 400, "invalid_grant")
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_a_refresh_token_is_not_used_again(rig: Rig, portal: Portal, memory: redis.Redis, loss: str) -> None:
    code, begun = portal.code()
    first = portal.token(code, begun.verifier).json()
    with losing(memory, loss):
        second = portal.refresh(first["refresh_token"]).json()
    # What was not used before is good still: it is in no Store.
    third = portal.refresh(second["refresh_token"]).json()
    assert portal.userinfo(third["access_token"]).json()["name"] == "홍길동"
    with harmless(rig, ("token.replayed", "refresh_token")):
        as_json(portal.refresh(first["refresh_token"]), 400, "invalid_grant")
    for tokens in (first, second, third):
        assert portal.userinfo(tokens["access_token"]).status_code == 401


def test_a_pushed_request_is_not_opened_again(
    rig: Rig, portal: Portal, memory: redis.Redis, loss: str
) -> None:
    request_uri = portal.push().json()["request_uri"]
    with losing(memory, loss):
        assert "code" in callback_parameters(portal.open_pushed(request_uri))
    code = "SINWON-R005" if loss == "emptied" else "SINWON-R006"
    page(portal.open_pushed(request_uri), 400, code)


def test_a_login_by_a_used_pushed_request_ends_without_a_code(
    rig: Rig, memory: redis.Redis, portal: Portal
) -> None:
    request_uri = portal.push().json()["request_uri"]
    other = rig.portal("g4k")
    other.client_id, other.registration = portal.client_id, portal.registration
    opened = other.open_pushed(request_uri)
    address = other.show(other.link(other.page(Begun(opened, None, None, "")))).redirect_uri
    with losing(memory, "failed over"):
        assert "code" in callback_parameters(portal.open_pushed(request_uri))
    assert callback_parameters(other.browser.get(address))["error"] == "invalid_request_uri"


def test_a_finished_login_makes_no_second_code(rig: Rig, portal: Portal, memory: redis.Redis) -> None:
    begun = portal.begin(prompt="login")
    address = portal.show(portal.link(portal.page(begun))).redirect_uri
    with losing(memory, "failed over"):
        assert "code" in callback_parameters(portal.browser.get(address))
    again = portal.browser.get(address)
    assert page(again, 410, "SINWON-L002")
    assert f'href="{portal.redirect_uri}?error=access_denied' in again.text


def test_a_client_assertion_is_not_believed_again(
    rig: Rig, portal: Portal, memory: redis.Redis, loss: str
) -> None:
    assertion = portal.assertion()
    with losing(memory, loss):
        assert portal.push(client_assertion=assertion).status_code == 201
    with harmless(rig, ("client.refused", "assertion_replayed")):
        as_json(portal.push(client_assertion=assertion), 401, "invalid_client")


def test_a_dpop_proof_is_not_believed_again(rig: Rig, bank: Portal, memory: redis.Redis) -> None:
    code, begun = bank.code()
    proof = bank.proof("/token")
    tokens = bank.token(code, begun.verifier, dpop=[proof]).json()
    shown = bank.proof("/userinfo", "GET", access_token=tokens["access_token"])
    assert bank.userinfo(tokens["access_token"], dpop=[shown]).status_code == 200
    memory.flushall()
    as_json(bank.refresh(tokens["refresh_token"], dpop=[proof]), 400, "use_dpop_nonce")
    fresh = bank.refresh(tokens["refresh_token"]).json()
    assert bank.userinfo(fresh["access_token"]).status_code == 200
    assert bank.userinfo(tokens["access_token"], dpop=[shown]).status_code == 401


def test_a_token_that_was_given_back_stays_dead(rig: Rig, portal: Portal, memory: redis.Redis) -> None:
    code, begun = portal.code()
    tokens = portal.token(code, begun.verifier).json()
    with losing(memory, "failed over"):
        assert portal.post("/revoke", token=tokens["access_token"]).status_code == 200
    assert portal.userinfo(tokens["access_token"]).status_code == 401


def test_after_signing_out_nothing_comes_back_to_life(rig: Rig, portal: Portal, memory: redis.Redis) -> None:
    code, begun = portal.code()
    tokens = portal.token(code, begun.verifier).json()
    waiting, waits = portal.code()
    with losing(memory, "failed over"):
        left = portal.browser.get(f"{rig.issuer}/logout", params={"id_token_hint": tokens["id_token"]})
        assert left.status_code == 200
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    as_json(portal.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    as_json(portal.token(waiting, waits.verifier), 400, "invalid_grant")


# -- fifty at once, and Redis is emptied in the middle -----------------------------------------------------------


def test_a_code_is_redeemed_at_most_once_while_redis_is_emptied(
    rig: Rig, portal: Portal, memory: redis.Redis
) -> None:
    code, begun = portal.code()
    with emptied_again_and_again(memory):
        responses = at_once(*[lambda: portal.token(code, begun.verifier)] * MANY)
    assert statuses(responses)[200] <= 1
    assert set(statuses(responses)) <= {200, 400}


def test_a_refresh_token_is_used_once_while_redis_is_emptied(
    rig: Rig, portal: Portal, memory: redis.Redis
) -> None:
    portal.browser = rig.browser()
    token = portal.sign_in()["refresh_token"]
    with emptied_again_and_again(memory):
        responses = at_once(*[lambda: portal.refresh(token)] * MANY)
    assert statuses(responses) == {200: 1, 400: MANY - 1}
    (winner,) = [response.json() for response in responses if response.status_code == 200]
    as_json(portal.refresh(winner["refresh_token"]), 400, "invalid_grant")


def test_a_pushed_request_is_used_at_most_once_while_redis_is_emptied(
    rig: Rig, portal: Portal, memory: redis.Redis
) -> None:
    request_uri = portal.push().json()["request_uri"]
    with emptied_again_and_again(memory):
        responses = at_once(*[lambda: portal.open_pushed(request_uri)] * MANY)
    assert max(statuses(responses)) < 500
    assert sum("code=" in response.headers.get("Location", "") for response in responses) <= 1


def test_a_client_assertion_is_believed_once_while_redis_is_emptied(
    rig: Rig, portal: Portal, memory: redis.Redis
) -> None:
    assertion = portal.assertion()
    with emptied_again_and_again(memory):
        responses = at_once(*[lambda: portal.push(client_assertion=assertion)] * MANY)
    assert statuses(responses) == {201: 1, 401: MANY - 1}


def test_a_dpop_proof_is_believed_at_most_once_while_redis_is_emptied(
    rig: Rig, bank: Portal, memory: redis.Redis
) -> None:
    tokens = bank.sign_in()
    proof = bank.proof("/token")
    with emptied_again_and_again(memory):
        responses = at_once(*[lambda: bank.refresh(tokens["refresh_token"], dpop=[proof])] * MANY)
    assert statuses(responses)[200] <= 1
    assert set(statuses(responses)) <= {200, 400, 503}  # 503: no key for nonces could be kept
