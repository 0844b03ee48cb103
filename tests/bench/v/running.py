"""The servers that everybody shares, and everybody started beside each other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests import servers
from tests.bench.plenty import fill
from tests.bench.v import candidates, rounds
from tests.bench.v import profile as profiles
from tests.bench.v.candidates import Candidate, Place
from tests.bench.v.profile import Profile
from tests.bench.v.rounds import Measured, Size
from tests.bench.v.tally import Unit


@dataclass(frozen=True)
class Run:
    """unit_us: one signature check, before everything."""

    size: Size
    unit_us: float
    measured: list[Measured]
    grown: Grown | None = None
    profile: Profile | None = None


@dataclass(frozen=True)
class Plenty:
    """What is put into the tables, beside what was there."""

    portals: int = 10_000
    grants: int = 1_000_000
    audit_rows: int = 10_000_000

    @classmethod
    def quick(cls) -> Plenty:
        return cls(100, 1_000, 10_000)


@dataclass(frozen=True)
class Grown:
    """Ours, without and with that much in its tables."""

    plenty: Plenty
    empty: Measured
    full: Measured

    def ratio(self, operation: str) -> float:
        return self.full.costs[operation].v / self.empty.costs[operation].v


def measure(size: Size, installed: Path | None, say: Callable[[str], None], only: str | None = None) -> Run:
    """Everybody, in turns; the peers where there is a directory for them. only: who, by the beginning of a name."""
    unit = Unit()
    with place() as there, ExitStack() as stack:
        say("starting")
        everybody = list(_started(there, installed, stack, only))
        unit_us = 1e6 * unit.measure_s()
        measured = rounds.measure(everybody, there, unit, size, say)
    with place() as there:
        say("a profile")
        return Run(size, unit_us, measured, profile=profiles.measure(there, size.sign_ins))


def with_growth(run: Run, plenty: Plenty, say: Callable[[str], None]) -> Run:
    """The same run, and ours twice, in turns: with empty tables and with full ones."""
    unit = Unit()
    with (
        place() as there,
        candidates.sinwon(there, "Sinwon, empty") as (one, _),
        candidates.sinwon(there, "Sinwon, full", store=1) as (other, database),
    ):
        say(f"{plenty.portals:,} portals, {plenty.grants:,} grants, {plenty.audit_rows:,} audit rows")
        fill(database, plenty.audit_rows, plenty.portals, grants=plenty.grants)
        empty, full = rounds.measure([one, other], there, unit, run.size, say)
    return replace(run, grown=Grown(plenty, empty, full))


def _started(place: Place, installed: Path | None, stack: ExitStack, only: str | None) -> Iterator[Candidate]:
    def wanted(name: str) -> bool:
        return only is None or name.startswith(only)

    if wanted("sinwon"):
        ours, _ = stack.enter_context(candidates.sinwon(place))
        yield ours
    if installed is not None and wanted("oidc-provider"):
        yield stack.enter_context(candidates.oidc_provider(place, installed))
    if installed is not None and wanted("authlib"):
        yield stack.enter_context(candidates.authlib(place))
    if wanted("floor"):
        yield stack.enter_context(candidates.floor(place, "bare WSGI", "bare"))
        name = "Flask, one Redis round trip, ES256"
        yield stack.enter_context(candidates.floor(place, name, "signing"))


@contextmanager
def place() -> Iterator[Place]:
    """One PostgreSQL that syncs every commit, and one Redis."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sinwon-bench-")))
        database_server, postgresql = stack.enter_context(servers.postgresql_process(durable=True))
        store_port, redis = stack.enter_context(servers.redis_process())
        yield Place(database_server, postgresql, store_port, redis, directory)
