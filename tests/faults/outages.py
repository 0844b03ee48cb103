"""R7: what the house stands on is away, slow or full for a while. Nobody gets in who should not; it recovers alone."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.crowd import Crowd
from tests.faults.house import DATABASE, House
from tests.faults.kills import books
from tests.faults.machines import Machine
from tests.faults.result import PERCENT, Result, quantile
from tests.waiting import eventually

CLEAN_S, CLEAN = 1.0, 99.0
RECOVERED_S = 5.0


@dataclass(frozen=True)
class Size:
    """outage_s: of each, but Redis is down for `redis_s`. only: of the outages those whose names begin like this."""

    outage_s: float = 10.0
    redis_s: float = 300.0
    only: tuple[str, ...] = ("",)
    at_once: int = 6
    seed: int = 7


def measure(house: House, size: Size, command: str) -> Result:
    """Each outage in turn, with people before, during and after it. The house must be `wired`."""
    result = Result("R7", "what the house stands on is away", command, "")
    crowds = []
    n_outages = 0
    for what, outage, length_s in outages(house, size):
        if not what.startswith(size.only):
            continue
        crowd = house.crowd("outage-" + "".join(c for c in what if c.isalnum()))
        crowds.append(crowd)
        n_outages += 1
        recovered_s = _suffer(house, crowd, outage, length_s, size)
        _say(result, what, crowd, recovered_s, length_s)
    result.notes.append(
        "Per cent: of the requests, those that were answered, or told within a second to come later."
    )
    books(result, house)
    result.n = f"{n_outages} outages, {sum(len(crowd.ledger.sign_ins) for crowd in crowds)} sign-ins"
    return result


Outage = Callable[[], AbstractContextManager[None]]


def outages(house: House, size: Size) -> list[tuple[str, Outage, float]]:
    """What happens, as a context that lasts as long as it does."""
    chance = random.Random(size.seed)
    wire_db, wire_store = house.to_database, house.to_store

    @contextmanager
    def redis_stopped() -> Iterator[None]:
        house.redis.stop()
        yield
        house.redis.start()

    @contextmanager
    def redis_hangs() -> Iterator[None]:
        house.redis.send(signal.SIGSTOP)
        yield
        house.redis.send(signal.SIGCONT)

    @contextmanager
    def redis_full() -> Iterator[None]:
        with house.redis.client() as client:
            client.config_set("maxmemory", "1")
            yield
            client.config_set("maxmemory", "0")

    @contextmanager
    def redis_is_a_replica() -> Iterator[None]:
        with house.redis.client() as client:
            client.replicaof("127.0.0.1", "1")
            yield
            client.replicaof("NO", "ONE")

    @contextmanager
    def redis_sleeps() -> Iterator[None]:
        """Half a second, again and again."""
        over = threading.Event()

        def doze() -> None:
            with house.redis.client() as client:
                while not over.wait(0.5):
                    client.execute_command("DEBUG", "SLEEP", "0.5")

        thread = threading.Thread(target=doze)
        thread.start()
        yield
        over.set()
        thread.join()

    @contextmanager
    def postgres_stopped() -> Iterator[None]:
        house.postgres.stop(signal.SIGQUIT)
        yield
        house.postgres.start()

    @contextmanager
    def postgres_read_only() -> Iterator[None]:
        with house.postgres.connect() as connection:
            connection.execute(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on")
            connection.execute(_END_ALL)
            yield
            connection.execute(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = off")
            connection.execute(_END_ALL)

    @contextmanager
    def healed() -> Iterator[None]:
        try:
            yield
        finally:
            wire_db.heal()
            wire_store.heal()

    @contextmanager
    def commits_cut(when: str) -> Iterator[None]:
        wire_db.snip_commits(when, lambda: chance.random() < 0.1)
        with healed():
            yield

    @contextmanager
    def far_away() -> Iterator[None]:
        wire_db.delay_s = wire_store.delay_s = 0.02
        with healed():
            yield

    @contextmanager
    def torn() -> Iterator[None]:
        """Every connection is reset, again and again."""
        over = threading.Event()

        def tear() -> None:
            while not over.wait(0.7):
                wire_db.cut()
                wire_store.cut()

        thread = threading.Thread(target=tear)
        thread.start()
        yield
        over.set()
        thread.join()

    @contextmanager
    def database_silent() -> Iterator[None]:
        wire_db.silence()
        with healed():
            yield
        wire_db.cut()

    @contextmanager
    def hosts_hang() -> Iterator[None]:
        house.guests.send(signal.SIGSTOP)
        yield
        house.guests.send(signal.SIGCONT)

    @contextmanager
    def node_hangs() -> Iterator[None]:
        pids = house.nodes[0].children()
        house.nodes[0].send(signal.SIGSTOP)
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        yield
        house.nodes[0].send(signal.SIGCONT)
        for pid in pids:
            _signal(pid, signal.SIGCONT)

    @contextmanager
    def disk_full() -> Iterator[None]:
        """As PostgreSQL says it (53100), to every new row."""
        raising = "BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END"
        with house.postgres.connect(DATABASE) as connection:
            connection.execute(
                f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $${raising}$$"
            )
            for (table,) in connection.execute(_TABLES).fetchall():
                when = f'BEFORE INSERT ON "{table}" FOR EACH ROW EXECUTE FUNCTION full_disk()'
                connection.execute(f"CREATE TRIGGER full_disk {when}")
            yield
            connection.execute("DROP FUNCTION full_disk() CASCADE")

    @contextmanager
    def key_file_rubbish() -> Iterator[None]:
        """The key that signs requests to wallets, and a node that is started anew reads it."""
        file = house.prepared.request_signer_key
        good = file.read_bytes()
        file.write_bytes(os.urandom(200))
        house.nodes[0].kill()
        yield
        file.write_bytes(good)

    @contextmanager
    def log_full() -> Iterator[None]:
        """One node can write nothing into its log."""
        node = house.nodes[0]
        node.stop()
        spare = Machine("node-0", node.command, Path("/dev/full"), node.environment)
        spare.start()
        yield
        spare.stop()
        node.start()

    short = size.outage_s
    on_a_disk = [("no block is left on PostgreSQL's disk", house.postgres.full, short)]
    return [
        ("Redis is down", redis_stopped, size.redis_s),
        ("Redis hangs", redis_hangs, short),
        ("Redis is full", redis_full, short),
        ("Redis takes no writes", redis_is_a_replica, short),
        ("Redis sleeps half of the time", redis_sleeps, short),
        ("PostgreSQL is down", postgres_stopped, short),
        ("PostgreSQL takes no writes", postgres_read_only, short),
        ("one COMMIT in ten is cut before it arrives", lambda: commits_cut("before"), short),
        ("one COMMIT in ten loses its answer", lambda: commits_cut("after"), short),
        ("PostgreSQL and Redis are 20 ms further away", far_away, short),
        ("every connection is reset every 0.7 s", torn, short),
        ("status lists and portals' keys cannot be fetched", hosts_hang, short),
        ("one node hangs", node_hangs, short),
        ("PostgreSQL can write no new row", disk_full, short),
        *(on_a_disk if house.postgres.disk is not None else []),
        ("a key file is rubbish, and a node is started anew", key_file_rubbish, short),
        ("a node's log cannot be written", log_full, short),
    ]


_TABLES = (
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
    "AND relnamespace = 'public'::regnamespace"
)
_END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    f"WHERE datname = '{DATABASE}' AND pid <> pg_backend_pid()"
)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _suffer(house: House, crowd: Crowd, outage: Outage, length_s: float, size: Size) -> float:
    """People through one outage; how long after it everything was ready again."""

    def suffer() -> float:
        time.sleep(1)
        with outage():
            time.sleep(length_s)
        ended = time.monotonic()
        eventually(house.ready, 60)
        recovered_s = time.monotonic() - ended
        time.sleep(1)
        return recovered_s

    return crowd.beside(suffer, size.at_once, size.seed)


def _say(result: Result, what: str, crowd: Crowd, recovered_s: float, length_s: float) -> None:
    ledger = crowd.ledger
    slow = sum(took_s > CLEAN_S for took_s in ledger.refusal_s)
    n_answers = sum(ledger.answers.values())
    share = PERCENT * (1 - (slow + ledger.answers["none"] + sum(ledger.bad.values())) / max(n_answers, 1))
    finished = sum(one.finished for one in ledger.sign_ins)
    said = [
        f"{share:.2f} % of {n_answers}",
        f"{finished} of {len(ledger.sign_ins)} sign-ins finished",
        f"{len(ledger.refusal_s)} × 503, p99 {quantile(ledger.refusal_s, 0.99):.2f} s",
        f"ready {recovered_s:.1f} s later",
    ]
    met = share >= CLEAN and recovered_s <= RECOVERED_S
    result.say(f"{what}, {length_s:g} s", "; ".join(said), "≥ 99 %, ready ≤ 5 s", met)
