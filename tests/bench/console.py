"""`python -m tests.bench.console`: what each page of the console costs with 10,000 portals and millions of audit rows.

Prints a table. A PostgreSQL of its own is filled (`tests.bench.plenty`), or the one at `--url` is taken, filled
before; the provider, an owner and a member of an organisation are real ones of `tests.rig`. Pages are asked for one
at a time, and the time is a browser's, from the request to the whole answer.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import event, text

from idp.admin import audit, figures, organisations
from idp.admin.people import Role
from idp.models import db
from tests.at_console import Admin
from tests.bench import processes
from tests.bench.audit import database
from tests.rig import Rig, started

ROUNDS = 20
_COUNTED_DAYS = 31  # as the worker would have counted every day; the pages that are measured show this month
PAGES = (
    "/console",
    "/console/portals",
    "/console/portals?q=portal-09",
    "/console/portals?q=nowhere",
    "/console/portals/portal?id=portal-00007",
    "/console/portals/portal-00007/events",
    "/console/portals/portal-00007/report",
    "/console/portals/portal-00007/preview",
    "/console/portals/portal-00007/try",
    "/console/organisations",
    "/console/people",
    "/console/audit",
    "/console/audit?client_id=portal-00007",
    "/console/audit?name=presentation.rejected&reason=expired",
    "/console/audit/report",
    "/console/trust",
    "/console/keys",
    "/console/wallets",
    "/console/sessions",
)
# As many registrations as there are portals, each as long as a real one; a tenth belong to one organisation.
_REGISTER = """
UPDATE portal SET
  registration = ((SELECT registration::jsonb FROM portal WHERE client_id = 'gov24')
    || jsonb_build_object('client_id', client_id,
         'name', jsonb_build_object('ko', '포털 ' || right(client_id, 5), 'en', 'Portal ' || right(client_id, 5)),
         'redirect_uris', jsonb_build_array('https://' || client_id || '.example/callback')))::json,
  organisation_id = CASE WHEN client_id LIKE '%7' THEN 'mois' END
WHERE client_id LIKE 'portal-%'
"""


def prepare(rig: Rig) -> None:
    """Fill in what `plenty` leaves out, and count what the first screen shows."""
    names = {"ko": "기관", "en": "Organisation"}
    with rig.app.app_context():
        organisations.apply({"organisation": [{"id": "mois", "name": names}]}, now=rig.clock())
        with db.engine.begin() as connection:
            connection.execute(text(_REGISTER))
        counting = figures.Counting(rig.clock)
        while counting.count(60):
            continue
        audit.count_days(rig.clock(), _COUNTED_DAYS)
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))


def lines(rig: Rig, who: str, admin: Admin) -> Iterator[str]:
    """A row of the table for each page."""
    asked: list[str] = []
    with rig.app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    for path in PAGES:
        took_ms, statuses = [], set()
        for _ in range(ROUNDS):
            asked.clear()
            began = time.perf_counter()
            statuses.add(admin.get(path).status_code)
            took_ms.append(1000 * (time.perf_counter() - began))
        took_ms.sort()
        status = ", ".join(str(status) for status in sorted(statuses))
        yield (
            f"| {who} | `{path}` | {status} | {statistics.median(took_ms):.0f} | {took_ms[-2]:.0f} "
            f"| {took_ms[-1]:.0f} | {len(asked)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__)
    parser.add_argument("--url", help="a database that tests.bench.plenty has filled")
    parser.add_argument("--rows", type=int, default=1_000_000, help="without --url: how many to make")
    given = parser.parse_args()
    with (
        database(given.url, given.rows) as url,
        tempfile.TemporaryDirectory() as directory,
        started(Path(directory), {"database.url": url}) as rig,
    ):
        say("counting")
        prepare(rig)
        owner = Admin(rig, "invented-1").join(Role.OWNER)
        member = Admin(rig, "invented-2").join(Role.MEMBER, "of mois", "mois")
        with rig.app.app_context():
            n_rows = db.session.scalar(text("SELECT count(*) FROM audit_event"))
            n_portals = db.session.scalar(text("SELECT count(*) FROM portal"))
            db.session.rollback()
        print(f"{n_rows:,} audit rows, {n_portals:,} portals. {processes.machine()}.")
        print(f"Load of the machine before the run: {processes.load():.1f}.\n")
        print("| who | page | status | p50 ms | p95 ms | worst ms | queries |\n|---|---|---|---|---|---|---|")
        for who, admin in (("owner", owner), ("member", member)):
            for line in lines(rig, who, admin):
                print(line, flush=True)


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
