"""`python -m tests.bench.sweeping`: what forgetting expired grants costs, and whether their table stays as it is.

On a PostgreSQL of its own, hour after hour: so many grants are written, those of the hour before expire and are swept
as the worker does it, and the table is vacuumed as autovacuum would. Prints a table.
"""

from __future__ import annotations

import argparse
import time

from sqlalchemy import text

from idp import schema
from idp.bare import bare_app
from idp.models import db, sweep
from tests import servers
from tests.bench import processes
from tests.bench.audit import settings_of

HOURS = 5
HOUR_S = 3600
_GRANTS = """
INSERT INTO "grant" (code_digest, client_id, subject_id, session_id, redeemed_at, expires_at)
SELECT translate(encode(sha256((random()::text || n)::bytea), 'base64'), '+/=', '-_'), 'portal-' || n % 100,
       left(md5(random()::text || n), 43), left(md5(n || random()::text), 43), :now, :now + :lives_s - 1
FROM generate_series(1, :grants) AS n
"""


def size_mib() -> float:
    found = db.session.scalar(text("""SELECT pg_total_relation_size('"grant"')"""))
    db.session.rollback()
    return float(found or 0) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sweeping", description=__doc__)
    parser.add_argument("--grants", type=int, default=1_000_000, help="how many are written in an hour")
    asked = parser.parse_args()
    with servers.postgresql() as server, servers.new_database(server) as url:
        settings = settings_of(url)
        schema.upgrade(settings.database_url)
        with bare_app(settings).app_context():
            print(f"{asked.grants:,} grants an hour. {processes.machine()}.\n")
            print("| hour | write s | sweep s | swept | swept per s | table MiB |\n|---|---|---|---|---|---|")
            for hour in range(HOURS):
                now = hour * HOUR_S
                began = time.perf_counter()
                given = {"now": now, "lives_s": HOUR_S, "grants": asked.grants}
                db.session.execute(text(_GRANTS), given)
                db.session.commit()
                wrote = time.perf_counter()
                n_swept = sweep(now)
                swept_s = time.perf_counter() - wrote
                with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text('VACUUM ANALYZE "grant"'))
                print(
                    f"| {hour + 1} | {wrote - began:.1f} | {swept_s:.1f} | {n_swept:,} "
                    f"| {n_swept / swept_s:,.0f} | {size_mib():.0f} |",
                    flush=True,
                )
            db.session.remove()
            db.engine.dispose()


if __name__ == "__main__":
    main()
