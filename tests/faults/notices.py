"""R13: many sessions end at once, a portal in ten is dead, and the worker is killed while it tells the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import create_engine, text

from tests.faults.house import DATABASE, House
from tests.faults.kills import books
from tests.faults.result import Result, quantile
from tests.faults.told import N_DEAD, N_PORTALS
from tests.waiting import eventually

TOLD_S, TOLD_AFTER_KILL_S = 5.0, 30.0


@dataclass(frozen=True)
class Size:
    """sessions: half of them end in peace, half while the worker is killed. portals: of the ten, the first is dead."""

    sessions: int = 1000
    portals: int = N_PORTALS
    at_once: int = 6
    seed: int = 13


@dataclass(frozen=True)
class Trouble:
    """What happens while they are told, and how late the last of the living may hear of it."""

    what: str
    limit_s: float
    fault: Callable[[], object] | None


def measure(house: House, size: Size, command: str) -> Result:
    result = Result("R13", "back-channel logout", command, "")
    troubles = (
        Trouble("in peace", TOLD_S, None),
        Trouble("the worker killed in the middle", TOLD_AFTER_KILL_S, house.worker.kill),
    )
    n = sum(_end_many(house, size, result, trouble) for trouble in troubles)
    result.n = f"{n} sessions at {size.portals} portals, {N_DEAD} of them dead"
    books(result, house)
    return result


def _end_many(house: House, size: Size, result: Result, trouble: Trouble) -> int:
    """Half of the sessions, begun and ended; how many those were."""
    crowd = house.crowd(f"told-{len(house.crowds)}", clients=house.ears.clients()[: size.portals])
    crowd.run(size.at_once, lambda: len(crowd.ledger.sign_ins) >= size.sessions // 2, size.seed)
    began = int(time.time())
    _end_all(house, size.portals, trouble.fault)
    notices, told = _living(house, began), house.ears.told
    eventually(lambda: notices.keys() <= told.keys(), 2 * TOLD_AFTER_KILL_S)
    late_s = [told[sid][0] - created_at for sid, created_at in notices.items()]
    twice = sum(len(told[sid]) > 1 for sid in notices)
    result.must(
        f"{trouble.what}: notices to the living that arrived",
        len(late_s),
        str(len(notices)),
        met=bool(notices),
    )
    result.at_most(f"{trouble.what}: the latest", trouble.limit_s, max(late_s, default=0.0), "s")
    result.say(f"{trouble.what}: median; told twice", f"{quantile(late_s, 0.5):.1f} s; {twice}")
    return len(crowd.ledger.sign_ins)


def _end_all(house: House, n_portals: int, fault: Callable[[], object] | None) -> None:
    """An administrator ends every session at every portal, all at the same time."""
    threads = [
        threading.Thread(target=house.command, args=("sessions", "end", "--portal", client.client_id))
        for client in house.ears.clients()[:n_portals]
    ]
    for thread in threads:
        thread.start()
    if fault is not None:
        eventually(lambda: _waiting(house) > 0, 60)
        fault()
    for thread in threads:
        thread.join()


def _waiting(house: House) -> int:
    return len(_rows(house, "SELECT sid, created_at FROM logout_notice WHERE due_at IS NOT NULL"))


def _living(house: House, since: int) -> dict[str, int]:
    """The notices of these last sessions to portals that live: when each was written, by `sid`."""
    dead = ", ".join(f"'{client.client_id}'" for client in house.ears.clients()[:N_DEAD])
    where = f"created_at >= {since} AND client_id NOT IN ({dead})"
    return _rows(house, f"SELECT sid, created_at FROM logout_notice WHERE {where}")


def _rows(house: House, sql: str) -> dict[str, int]:
    engine = create_engine(house.postgres.url(DATABASE))
    try:
        with engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(text(sql))}
    finally:
        engine.dispose()
