"""`python -m tests.bench.plenty URL`: fill a PostgreSQL database with portals, audit rows and grants, made by itself.

Two years of sign-ins, eight rows each, at portals of which few are large and most small; some are refused, some
administrators act. Ids, addresses and references are random, as they are. Only for databases that nobody needs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, text

from idp import schema
from idp.admin.audit import Month

PORTALS = 10_000
PER_SIGN_IN = 8
MONTHS = 24

_PORTALS = """
INSERT INTO portal (client_id, enabled, registration, updated_at)
SELECT 'portal-' || lpad(n::text, 5, '0'), true,
       json_build_object('client_id', 'portal-' || lpad(n::text, 5, '0')), 0
FROM generate_series(0, :portals - 1) AS n
"""

# Of a month: what was redeemed longer ago has been swept.
_GRANTS = """
INSERT INTO "grant" (code_digest, client_id, subject_id, session_id, offline, redeemed_at, expires_at)
SELECT encode(sha256(('grant' || n)::bytea), 'hex'),
       'portal-' || lpad(floor(power(random(), 3) * :portals)::int::text, 5, '0'),
       substr(encode(sha256(('subject' || floor(random() * 2000000))::bytea), 'hex'), 1, 43),
       substr(encode(sha256(('session' || n / 2)::bytea), 'hex'), 1, 43),
       random() < 0.2, began, began + 31 * 86400
FROM (SELECT n, :now - 1 - floor(random() * 30 * 86400)::bigint AS began
      FROM generate_series(0, :grants - 1) AS n) AS redeemed
"""

# One sign-in is eight rows, some seconds apart; one in 25 ends with a refused presentation in place of the last four.
_SIGN_INS = """
INSERT INTO audit_event
  (at, name, client_id, subject_id, login_id, correlation_id, ip, reason, actor, detail)
SELECT began + step * 4, CASE WHEN refused AND step > 3 THEN 'presentation.rejected' ELSE
         (ARRAY['request.pushed', 'login.started', 'presentation.accepted', 'consent.given',
                'login.finished', 'code.redeemed', 'userinfo.read', 'session.ended'])[step + 1] END,
       client_id, CASE WHEN step > 2 THEN subject_id END, login_id,
       substr(md5(login_id || step / 2), 1, 16), ip,
       CASE WHEN refused AND step > 3 THEN (ARRAY['status_revoked', 'expired', 'issuer_untrusted', 'not_encrypted'])
              [1 + floor(power(random(), 4) * 4)::int]
            WHEN step = 7 THEN 'holder' END,
       CASE WHEN step = 7 AND random() < 0.001 THEN 'command line: operator-' || floor(random() * 5)::int END,
       CASE WHEN step = 4 AND NOT refused THEN
         '{"via": "qr", "acr": "general", "claims": ["name", "birthdate", "phone_number"]}'::json END
FROM (
  SELECT :since + floor(n::numeric * (:until - :since - 40) / :sign_ins)::bigint AS began,
         'portal-' || lpad(floor(power(random(), 3) * :portals)::int::text, 5, '0') AS client_id,
         translate(encode(sha256(('subject' || floor(random() * 2000000))::bytea), 'base64'), '+/=', '-_')
           AS subject_id,
         translate(encode(sha256((random()::text || n)::bytea), 'base64'), '+/=', '-_') AS login_id,
         '203.0.113.' || floor(random() * 255)::int AS ip,
         random() < 0.04 AS refused
  FROM generate_series(0, :sign_ins - 1) AS n
  OFFSET 0
) AS sign_in, generate_series(0, 7) AS step
ORDER BY 1
"""


def fill(url: str, rows: int, portals: int = PORTALS, now: int | None = None, grants: int = 0) -> None:
    """Make the tables, the portals, about so many rows in the months up to now, and grants that have not expired."""
    schema.upgrade(url)
    now = int(time.time()) if now is None else now
    months = _months(now)
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SET synchronous_commit = off"))
            for month in months:
                _partition(connection, month)
            connection.execute(text(_PORTALS), {"portals": portals})
            if grants:
                connection.execute(text(_GRANTS), {"portals": portals, "grants": grants, "now": now})
            with _without_indexes(connection):
                for number, month in enumerate(months):
                    sign_ins = rows // PER_SIGN_IN // len(months)
                    until = min(month.until, now - 60)
                    values = {"since": month.since, "until": until, "sign_ins": sign_ins, "portals": portals}
                    connection.execute(text(_SIGN_INS), values)
                    print(f"{number + 1} of {len(months)} months", file=sys.stderr, flush=True)
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            # All that PostgreSQL would do on its own by and by, so that nothing of it is measured.
            for table in ("audit_event", "portal", '"grant"'):
                connection.execute(text(f"VACUUM ANALYZE {table}"))
            connection.execute(text("CHECKPOINT"))
    finally:
        engine.dispose()


def _months(now: int) -> list[Month]:
    months = [Month.of(now)]
    while len(months) < MONTHS:
        months.append(Month.of(months[-1].since - 1))
    return sorted(months)


def _partition(connection: Connection, month: Month) -> None:
    there = connection.scalar(text("SELECT to_regclass(:name)"), {"name": month.partition})
    if there is None:
        connection.execute(
            text(
                f"CREATE TABLE {month.partition} PARTITION OF audit_event"
                f" FOR VALUES FROM ({month.since}) TO ({month.until})"
            )
        )


@contextmanager
def _without_indexes(connection: Connection) -> Iterator[None]:
    """Indexes are quicker made at the end, all at once."""
    found = connection.execute(
        text(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'audit_event'"
            " AND indexname <> 'audit_event_pkey'"
        )
    ).all()
    for name, _ in found:
        connection.execute(text(f"DROP INDEX {name}"))
    yield
    for name, definition in found:
        connection.execute(text(definition.replace(" ON ONLY ", " ON ")))
        print(name, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plenty", description=__doc__)
    parser.add_argument("url", help="postgresql+psycopg://…, an empty database")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--portals", type=int, default=PORTALS)
    parser.add_argument("--grants", type=int, default=0)
    asked = parser.parse_args()
    fill(asked.url, asked.rows, asked.portals, grants=asked.grants)


if __name__ == "__main__":
    main()
