"""Each process of the deployment that can be lost, and what mends it.

Who brings a process back is what does so in a real deployment: systemd or Kubernetes starts a node and the worker
again, gunicorn and nginx their own processes, Sentinel finds another primary, and Patroni, or a person, promotes
PostgreSQL's standby.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.topology.house import Topology
from tests.topology.load import Ledger, Load
from tests.waiting import eventually

WITHIN_S = 40


@dataclass(frozen=True)
class Loss:
    """lose: returns what mends it. unnoticed: whether not even a sign-in that was under way may fail."""

    name: str
    lose: Callable[[Topology], Callable[[], None]]
    unnoticed: bool = False


def suffer(house: Topology, load: Load, loss: Loss, afterwards: int = 3) -> Ledger:
    """Lose it, let sign-ins go on without it, mend it, let them go on with it; every sign-in meanwhile.

    afterwards: how many must finish each time.
    """
    ledger = load.fresh()
    mend = loss.lose(house)
    load.go_on(ledger.finished + afterwards, WITHIN_S)
    mend()
    load.go_on(ledger.finished + afterwards, WITHIN_S)
    return ledger


def _master_of_node(number: int) -> Callable[[Topology], Callable[[], None]]:
    def lose(house: Topology) -> Callable[[], None]:
        node = house.nodes[number]
        node.kill()
        return node.start

    return lose


def _process_of_node(number: int) -> Callable[[Topology], Callable[[], None]]:
    def lose(house: Topology) -> Callable[[], None]:
        house.nodes[number].kill_a_child()
        return _nothing

    return lose


def _worker(house: Topology) -> Callable[[], None]:
    house.worker.kill()
    return house.worker.start


def _process_of_nginx(house: Topology) -> Callable[[], None]:
    house.kill_a_process_of_nginx()
    return _nothing


def _redis_primary(house: Topology) -> Callable[[], None]:
    lost = house.redis.lose_primary()
    return lambda: house.redis.bring_back(lost)


def _sentinel(house: Topology) -> Callable[[], None]:
    sentinel = house.redis.sentinels[0]
    sentinel.kill()
    return sentinel.start


def _postgresql_primary(house: Topology) -> Callable[[], None]:
    house.postgresql.primary.kill()
    house.postgresql.promote()
    return house.postgresql.add_standby


def _postgresql_standby(house: Topology) -> Callable[[], None]:
    house.postgresql.standby.kill()
    house.postgresql.let_standby_go()
    return house.postgresql.add_standby


def _nothing() -> None:
    """Its parent has started another already."""


LOSSES = (
    Loss("a node's process", _process_of_node(0)),
    Loss("a node", _master_of_node(0)),
    Loss("the Redis primary", _redis_primary),
    Loss("the PostgreSQL primary", _postgresql_primary),
)
ALL_LOSSES = (
    *LOSSES,
    Loss("a process of the other node", _process_of_node(1)),
    Loss("the other node", _master_of_node(1)),
    Loss("the worker", _worker, unnoticed=True),
    Loss("a process of nginx", _process_of_nginx),
    Loss("a Sentinel", _sentinel, unnoticed=True),
    Loss("the PostgreSQL standby", _postgresql_standby, unnoticed=True),
)


def nodes_are_ready(house: Topology) -> None:
    """Fail where a node does not say, soon, that it can serve."""
    for number in range(len(house.nodes)):
        eventually(lambda number=number: house.ready(number), WITHIN_S)  # type: ignore[misc]
