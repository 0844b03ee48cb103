"""The operator's daemon, and ours in front of it."""

from collections.abc import Iterator

import pytest

from idp.fetch import GuardedClient
from idp.mip.daemon import MAX_ANSWER_BYTES, Daemon
from tests.mip import asking, stand_in

ISSUER = "https://sinwon.example"


@pytest.fixture(scope="package")
def running() -> Iterator[stand_in.Daemon]:
    with stand_in.daemon() as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def operator(running: stand_in.Daemon) -> stand_in.Daemon:
    running.forget()
    return running


def client(origin: str, timeout_s: float = 5) -> GuardedClient:
    return GuardedClient((origin,), True, timeout_s, MAX_ANSWER_BYTES, elsewhere=False)


def in_front_of(origin: str, *, timeout_s: float = 5) -> Daemon:
    """Our backend for a daemon at this origin."""
    trust = asking.registry()
    return Daemon(
        origin=origin,
        issuer=ISSUER,
        client=client(origin, timeout_s),
        patient_client=client(origin),
        trust=lambda: trust,
        clock=lambda: asking.NOW,
    )


@pytest.fixture(scope="package")
def daemon(running: stand_in.Daemon) -> Iterator[Daemon]:
    made = in_front_of(running.origin)
    yield made
    made.close()
