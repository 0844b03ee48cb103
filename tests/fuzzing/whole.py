"""A whole run: every species at one provider, and what must be true of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text

from idp.demo import personas
from tests import servers
from tests.credentials.mutants import running as in_process
from tests.credentials.mutants.__main__ import ALL as FORMATS
from tests.crowd import Holder, client_of
from tests.fuzzing import raw
from tests.fuzzing.answers import Answers
from tests.fuzzing.documents import Documents
from tests.fuzzing.forms import Forms
from tests.fuzzing.running import Species, Tally, run
from tests.fuzzing.target import PROVING, Served, Target, served
from tests.fuzzing.tokens import Assertions, Proofs, RequestObjects
from tests.topology.front import HOST, nginx

SPECIES: Mapping[str, Callable[[Target], Species]] = {
    "assertions": Assertions,
    "request_objects": RequestObjects,
    "proofs": Proofs,
    "answers": Answers,
    "forms": Forms,
    "documents": Documents,
}
ALL = (*SPECIES, "raw", "credentials")
SHARES = {"raw": 0.5, "answers": 1.5, "credentials": 3.0}
"""Of an equal part each; raw bytes wait for answers that do not come."""

UNLIMITED = {
    "registration.per_minute_per_ip": 100_000,
    "holder.logins_per_minute_per_ip": 100_000,
    "holder.codes_per_hour_per_network": 100_000,
    "server.threads": 16,
}
"""A limit that refuses everything after the thirtieth request would hide what is behind it."""


@dataclass
class Whole:
    """What a whole run came to."""

    tallies: list[Tally] = field(default_factory=list)
    in_process: list[in_process.Tally] = field(default_factory=list)
    visits: int = 0
    ended_workers: int = 0
    smuggled: int = 0
    honest: str = ""
    grown_kib: int = 0

    @property
    def count(self) -> int:
        return sum(tally.count for tally in (*self.tallies, *self.in_process))

    @property
    def failures(self) -> list[tuple[str, str, str]]:
        """Everything that must be nothing."""
        found = [failure for tally in (*self.tallies, *self.in_process) for failure in tally.failures]
        for number, what in (
            (self.visits, "connections to the address that mutants name"),
            (self.ended_workers, "workers ended"),
            (self.smuggled, "hidden requests began a sign-in"),
        ):
            if number:
                found.append(("whole run", f"{number} {what}", ""))
        if self.honest:
            found.append(("whole run", f"the honest holder: {self.honest}", ""))
        return found


@dataclass(frozen=True)
class Stage:
    """A provider with nginx in front of it."""

    served: Served
    doors: Sequence[raw.Door]

    def smuggled(self) -> int:
        """Sign-ins at the portal that nobody but a hidden request begins one at."""
        engine = create_engine(self.served.deployment.settings.database_url)
        query = "SELECT count(*) FROM audit_event WHERE name = 'login.started' AND client_id = :client"
        try:
            with engine.connect() as connection:
                return int(connection.execute(text(query), {"client": PROVING}).scalar_one())
        finally:
            engine.dispose()


@contextmanager
def stage(directory: Path, *, on_servers: bool) -> Iterator[Stage]:
    """On the embedded defaults, or on PostgreSQL and Redis with two workers."""
    with ExitStack() as stack:
        overrides: dict[str, object] = dict(UNLIMITED)
        if on_servers:
            server_url = stack.enter_context(servers.postgresql())
            database = stack.enter_context(servers.new_database(server_url))
            port = stack.enter_context(servers.redis("--maxmemory-policy", "noeviction"))
            store = f"redis://127.0.0.1:{port}/0"
            overrides |= {"database.url": database, "store.url": store, "server.workers": 2}
        running = stack.enter_context(served(directory, overrides, int(time.time())))
        front = stack.enter_context(nginx(servers.nginx_binary(), directory / "nginx", [running.port] * 2))
        doors = [raw.Door("past the proxy", running.port, "localhost")]
        doors += [raw.Door("through nginx", front.port, HOST, front.tls)]
        yield Stage(running, doors)


def whole(
    at: Stage,
    count: int,
    seed: int,
    only: Sequence[str] = ALL,
    *,
    threads: int = 2,
    said: Callable[[str], None] = lambda _: None,
) -> Whole:
    """So many mutants, shared out among the species."""
    target, found = at.served.target, Whole()
    workers, resident = at.served.workers(), at.served.resident_kib()
    shares = {name: SHARES.get(name, 1.0) for name in only}
    for name, share in shares.items():
        part = round(count * share / sum(shares.values()))
        if name == "raw":
            for door in at.doors:
                found.tallies.append(raw.run(door, part // len(at.doors), seed))
        elif name == "credentials":
            for kind in FORMATS:
                found.in_process.append(in_process.run(kind(), part // len(FORMATS), seed))
        else:
            make = SPECIES[name]
            found.tallies.append(
                run(lambda make=make: make(target), target.line, part, seed, threads=threads)  # type: ignore[misc]
            )
        said(f"{name}: {found.count} in all, {len(found.failures)} failures")
    found.visits = len(target.elsewhere.visits)
    found.ended_workers = len(set(workers) - set(at.served.workers()))
    # What was answered to whoever sent it is counted there; the rest went to somebody else, or to nobody.
    found.smuggled = at.smuggled() - sum(
        tally.passed for tally in found.tallies if tally.name.startswith("raw")
    )
    found.grown_kib = at.served.resident_kib() - resident
    found.honest = _honest(target)
    return found


def _honest(target: Target) -> str:
    """Why a holder beside all this could not sign in, "" where they could."""
    try:
        Holder(target.place, client_of(target.prepared), personas.invented(3)).go()
    except Exception as error:
        return repr(error)
    return ""
