"""R8: many sign-ins, for long, with lifetimes so short that everything made at the beginning is gone by the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes
from tests.faults.changes import PUBLISH_S
from tests.faults.house import DATABASE, House
from tests.faults.kills import books
from tests.faults.result import Result, quantile

SLOPE, DRIFT, ERRORS = 1.0, 10.0, 0.01
_HOUR_S = 3600.0


@dataclass(frozen=True)
class Size:
    """A sample each `every_s`; the first `warm` of them, a share, do not count. A signing key every `rotate_s`."""

    seconds: float = 7200.0
    every_s: float = 10.0
    warm: float = 0.3
    rotate_s: float = 600.0
    at_once: int = 4
    seed: int = 8


@dataclass(frozen=True)
class Sample:
    """at: seconds. rss_mb: of all processes that serve. files: that they have open."""

    at: float
    rss_mb: float
    files: int
    connections: int
    keys: int


def measure(house: House, size: Size, command: str) -> Result:
    result = Result("R8", "soak", command, "")
    crowd = house.crowd("soak")

    def watch() -> list[Sample]:
        samples = []
        began = rotated = time.monotonic()
        while time.monotonic() - began < size.seconds:
            time.sleep(size.every_s)
            samples.append(_sample(house, time.monotonic() - began))
            if time.monotonic() - rotated > size.rotate_s:
                rotated = time.monotonic()
                house.command("keys", "rotate", "RS256")
        return samples

    samples = crowd.beside(watch, size.at_once, size.seed)
    settled = samples[int(len(samples) * size.warm) :]
    sign_ins = crowd.ledger.sign_ins
    took = [one.took_s for one in sign_ins]
    third = len(took) // 3
    first, last = quantile(took[third : 2 * third], 0.99), quantile(took[2 * third :], 0.99)
    result.n = f"{len(sign_ins):,} sign-ins in {size.seconds:g} s, keys rotated every {size.rotate_s:g} s"
    slope = _slope([(one.at, one.rss_mb) for one in settled])
    share = 100 * slope * _HOUR_S / settled[0].rss_mb
    result.at_most("memory of the nodes, growth after warming up", SLOPE, share, "% an hour")
    for what, values in (
        ("open files", [one.files for one in settled]),
        ("connections to PostgreSQL", [one.connections for one in settled]),
        ("keys in Redis", [one.keys for one in settled]),
    ):
        result.say(what, f"{values[0]} after warming up, {values[-1]} at the end, {max(values)} at most")
    result.say(
        "memory of the nodes",
        f"{settled[0].rss_mb:.0f} MB after warming up, {settled[-1].rss_mb:.0f} MB at the end",
    )
    result.at_most(
        "p99 of a sign-in, last third against the one before", DRIFT, 100 * (last / first - 1), "%"
    )
    failed = sum(not one.finished for one in sign_ins)
    result.at_most("sign-ins that failed", ERRORS, 100 * failed / max(len(sign_ins), 1), "%")
    result.zero("sign-ins begun anew", sum(len(one.entries) > 1 for one in sign_ins))
    books(result, house)
    return result


def _sample(house: House, at: float) -> Sample:
    pids = [pid for node in house.nodes for pid in [node.pid, *node.children()]]
    with house.postgres.connect() as connection, house.redis.client() as client:
        counted = connection.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}'"
        ).fetchone()
        assert counted is not None
        return Sample(
            at,
            sum(processes.memory(pid).pss for pid in pids),
            sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
            int(str(counted[0])),
            int(client.dbsize()),
        )


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line that fits best, a second."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    square = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / square if square else 0.0


SETTINGS = {
    "lifetimes.key_publish_s": str(PUBLISH_S),
    "lifetimes.key_retire_s": "60",
    "lifetimes.session_idle_s": "75",
    "lifetimes.access_token_ttl_s": "25",
    "lifetimes.id_token_ttl_s": "25",
    "lifetimes.qr_offered_s": "30",
    "lifetimes.login_ttl_s": "60",
    "lifetimes.login_max_s": "150",
}
"""A twelfth of what they are, where they may be so short."""
