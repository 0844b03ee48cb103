"""`python -m tests.bench.audit`: what searching, counting, sealing and checking the audit cost at millions of rows.

Prints the tables of `docs/audit.md`. Starts a PostgreSQL of its own and fills it (`tests.bench.plenty`), or takes the
one at `--url`, filled before.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, func, select, text

from idp.admin import audit
from idp.admin.audit import Filter, Month
from idp.bare import bare_app
from idp.key_encryption import KeyEncryption
from idp.keys import Keys
from idp.models import AuditEvent, AuditSeal, db
from idp.settings import Settings, load
from tests import servers
from tests.bench import plenty, processes

KEK = bytes(range(32))
SEARCHES = 40
SEAL_S = 60.0


@dataclass(frozen=True)
class Line:
    """One kind of search: how many were made, and how long they took."""

    what: str
    found: int
    ms: list[float]
    queries: float

    def __str__(self) -> str:
        ordered = sorted(self.ms)
        p99 = ordered[round((len(ordered) - 1) * 0.99)]
        return f"| {self.what} | {self.found} | {statistics.median(ordered):.1f} | {p99:.1f} | {self.queries:.0f} |"


class Queries:
    """Counts what the database is asked."""

    def __init__(self) -> None:
        self.n = 0
        event.listen(db.engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self.n += 1


def settings_of(url: str) -> Settings:
    here = str(Path(__file__))
    return load(
        None,
        {},
        overrides={
            "mode": "sandbox",
            "issuer": "https://idp.example",
            "database.url": url,
            "secrets.key_encryption_key": KEK.hex(),
            "secrets.pepper": "22" * 31 + "bb",
            "wallet.certificate_file": here,
            "wallet.private_key_file": here,
        },
    )


def filters(random_rows: list[dict[str, Any]], now: int) -> Iterator[tuple[str, Callable[[int], Filter]]]:
    """What is searched for; each takes the number of the try."""

    def of(number: int, name: str, among: Callable[[dict[str, Any]], bool] = bool) -> Any:
        having = [row[name] for row in random_rows if row[name] is not None and among(row)]
        return having[number % len(having)]

    day = 86_400
    yield "everything, the newest", lambda _: Filter()
    yield "the largest portal", lambda _: Filter(client_id="portal-00000")
    yield "a portal", lambda n: Filter(client_id=of(n, "client_id"))
    yield "one of the smallest portals", lambda n: Filter(client_id=f"portal-{9_999 - n:05}")
    yield "a portal that does not exist", lambda n: Filter(client_id=f"nobody-{n}")
    yield "a frequent event", lambda _: Filter(name="login.started")
    yield "an event that never was", lambda _: Filter(name="code.replayed")
    yield "a reason", lambda n: Filter(reason=("status_revoked", "issuer_untrusted", "not_encrypted")[n % 3])
    yield "an actor", lambda n: Filter(actor=f"command line: operator-{n % 5}")
    yield "a correlation id", lambda n: Filter(correlation_id=of(n, "correlation_id"))
    yield "a sign-in", lambda n: Filter(login_id=of(n, "login_id"))
    yield "a person", lambda n: Filter(subject_id=of(n, "subject_id"))
    yield "a day of long ago", lambda n: Filter(since=now - (400 + n) * day, until=now - (399 + n) * day)
    yield (
        "a portal's refusals of a reason",
        lambda n: Filter(client_id=of(n, "client_id"), name="presentation.rejected", reason="not_encrypted"),
    )
    yield (
        "the largest portal, an event that never was",
        lambda _: Filter(client_id="portal-00000", name="code.replayed"),
    )
    yield (
        "an organisation with 20 portals",
        lambda n: Filter(
            client_ids=frozenset(f"portal-{(n * 97 + at * 431) % 10_000:05}" for at in range(20))
        ),
    )
    yield (
        "the same, a reason",
        lambda n: Filter(
            client_ids=frozenset(f"portal-{(n * 97 + at * 431) % 10_000:05}" for at in range(20)),
            reason="issuer_untrusted",
        ),
    )


def searches(queries: Queries, now: int) -> Iterator[Line]:
    rows = _random_rows()
    for what, make in filters(rows, now):
        ms, found, before = [], 0, queries.n
        for number in range(SEARCHES):
            asked = make(number)
            began = time.perf_counter()
            page = audit.search(asked, now=now)
            ms.append(1000 * (time.perf_counter() - began))
            found = len(page.events)
        yield Line(what, found, ms, (queries.n - before) / SEARCHES)
    deep = now - 300 * 86_400
    ms, before = [], queries.n
    for number in range(SEARCHES):
        ms.append(
            _ms(lambda at=deep - number: audit.search(Filter(name="login.started"), f"{at}.1", now=now))
        )
    yield Line("a frequent event, the page that is 300 days back", 50, ms, (queries.n - before) / SEARCHES)


def _random_rows() -> list[dict[str, Any]]:
    table = AuditEvent.__table__
    last = db.session.scalar(select(func.max(table.c.id))) or 0
    first = db.session.scalar(select(func.min(table.c.id))) or 0
    chosen = [random.randint(first, last) for _ in range(400)]
    rows = db.session.execute(select(table).where(table.c.id.in_(chosen))).mappings().all()
    db.session.rollback()
    return [dict(row) for row in rows]


def _ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


def counting(now: int) -> Iterator[str]:
    month = Month.of(now - 40 * 86_400)
    uncounted = _ms(lambda: audit.report(month, now=now))
    began = time.perf_counter()
    n_days = audit.count_days(now, 731)
    took_s = time.perf_counter() - began
    counted = [_ms(lambda: audit.report(month, now=now)) for _ in range(5)]
    this = [_ms(lambda: audit.report(Month.of(now), now=now)) for _ in range(5)]
    yield f"| a month that is not counted yet | {uncounted:,.0f} |"
    yield f"| counting {n_days:,} days, once | {1000 * took_s:,.0f} ({1000 * took_s / max(n_days, 1):.0f} a day) |"
    yield f"| a month that is counted | {statistics.median(counted):,.0f} |"
    yield f"| this month, today not counted | {statistics.median(this):,.0f} |"


def sealing(now: int, seal_s: float) -> Iterator[str]:
    keys = Keys(KeyEncryption(KEK), lambda: now, 60, 60, algs=("ES256",))
    keys.ensure()
    log = audit.Sealing(audit.LogSigner(keys, KeyEncryption(KEK), "https://idp.example"), lambda: now)
    cpu, began = time.process_time(), time.perf_counter()
    n_sealed = log.seal(seal_s)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    total = db.session.scalar(select(func.count()).select_from(AuditSeal))
    yield f"| sealing | {n_sealed:,} | {n_sealed / took_s:,.0f} | {1e6 * cpu_s / max(n_sealed, 1):.0f} |"
    db.session.rollback()
    check = audit.Check(audit.LogVerifier(KeyEncryption(KEK)), 0)
    cpu, began = time.process_time(), time.perf_counter()
    # What is not sealed yet is reported as that; nothing else may be.
    wrong = [finding.text for finding in check.findings() if "not sealed" not in finding.text]
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    if wrong or check.size != total:
        raise SystemExit(f"the log does not hold: {wrong[:3]}")
    rate = check.n_rows / took_s
    what = f"checking, {check.n_checkpoints:,} checkpoints"
    yield f"| {what} | {check.n_rows:,} | {rate:,.0f} | {1e6 * cpu_s / max(check.n_rows, 1):.0f} |"


def sizes() -> Iterator[str]:
    rows = db.session.execute(
        text(
            "SELECT coalesce(parent.relname, part.relname) AS name,"
            " sum(pg_table_size(part.oid))::bigint, sum(pg_indexes_size(part.oid))::bigint"
            " FROM pg_class part LEFT JOIN pg_inherits ON inhrelid = part.oid"
            " LEFT JOIN pg_class parent ON parent.oid = inhparent"
            " WHERE part.relkind = 'r' AND coalesce(parent.relname, part.relname) LIKE 'audit%'"
            " GROUP BY 1 ORDER BY 2 DESC"
        )
    ).all()
    for name, table, indexes in rows:
        if table + indexes > 1_000_000:
            yield f"| `{name}` | {table / 1e6:,.0f} | {indexes / 1e6:,.0f} |"


@contextmanager
def database(url: str | None, rows: int) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with servers.postgresql() as server, servers.new_database(server) as made:
        plenty.fill(made, rows)
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.audit", description=__doc__)
    parser.add_argument("--url", help="a database that tests.bench.plenty has filled")
    parser.add_argument("--rows", type=int, default=1_000_000, help="without --url: how many to make")
    parser.add_argument("--seal-s", type=float, default=SEAL_S, help="for how long to seal")
    asked = parser.parse_args()
    now = int(time.time())
    with database(asked.url, asked.rows) as url, bare_app(settings_of(url)).app_context():
        queries = Queries()
        n_rows = db.session.scalar(select(func.count()).select_from(AuditEvent))
        n_portals = db.session.scalar(text("SELECT count(*) FROM portal"))
        version = db.session.scalar(text("SHOW server_version"))
        db.session.rollback()
        print(f"{n_rows:,} rows, {n_portals:,} portals, PostgreSQL {version}. {processes.machine()}.")
        print(f"Load of the machine before the run: {processes.load():.1f}.\n")
        say("searches")
        print("| search | events on the page | p50 ms | p99 ms | queries |\n|---|---|---|---|---|")
        for line in searches(queries, now):
            print(line, flush=True)
        say("figures of a month")
        print("\n| figures of a month | ms |\n|---|---|")
        for row in counting(now):
            print(row, flush=True)
        say("sealing and checking")
        print("\n| | rows | rows a second | CPU µs a row |\n|---|---|---|---|")
        for row in sealing(now, asked.seal_s):
            print(row, flush=True)
        print("\n| table | MB | indexes MB |\n|---|---|---|")
        for row in sizes():
            print(row, flush=True)
        db.session.remove()
        db.engine.dispose()


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
