"""The audit is sealed, searched and kept for a time: its table by month on PostgreSQL, its log beside it.

The rows are copied into the new table, ids and all. On PostgreSQL the old table is locked meanwhile: whoever wants
to write an audit row, which is every sign-in, waits. A million rows took 16 s on a busy machine.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
KIND = "stop"

SECONDS = sa.BigInteger()
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COLUMNS = "id, at, name, actor, client_id, subject_id, login_id, correlation_id, ip, reason, detail"
MONTHS_AHEAD = 3
MONTHS_BACK = 120  # what claims to be older goes to the partition for everything else
EARLIER_INDEXES = {f"ix_audit_event_{column}": (column,) for column in ("at", "subject_id", "login_id")} | {
    "ix_audit_event_correlation_id": ("correlation_id",)
}
INDEXES = {
    "audit_event_at": ("at", "id"),
    "audit_event_name": ("name", "at", "id"),
}
# Only of rows in which the first column is known, or the reason where it is among them.
PARTIAL_INDEXES = {
    "audit_event_portal": ("client_id", "at", "id"),
    "audit_event_reason": ("reason", "at", "id"),
    "audit_event_portal_reason": ("client_id", "reason", "at", "id"),
    "audit_event_actor": ("actor", "at", "id"),
    "audit_event_subject": ("subject_id",),
    "audit_event_login": ("login_id",),
    "audit_event_correlation": ("correlation_id",),
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _lay_aside()
        op.execute(
            f"CREATE TABLE audit_event ({_postgresql_columns()}, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)"
        )
        _partitions()
        _copy_back()
    else:
        _remake_on_sqlite(sqlite_autoincrement=True)
    for name, columns in INDEXES.items():
        op.create_index(name, "audit_event", list(columns))
    for name, columns in PARTIAL_INDEXES.items():
        known = sa.text(f"{'reason' if 'reason' in columns else columns[0]} IS NOT NULL")
        op.create_index(name, "audit_event", list(columns), postgresql_where=known, sqlite_where=known)
    _make_log()


def downgrade() -> None:
    for table in (
        "audit_counted_day",
        "audit_count",
        "audit_log",
        "audit_cut",
        "audit_key",
        "audit_checkpoint",
        "audit_seal",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        _lay_aside()
        op.execute(f"CREATE TABLE audit_event ({_postgresql_columns()}, PRIMARY KEY (id))")
        _copy_back()
    else:
        _remake_on_sqlite(sqlite_autoincrement=False)
    for name, columns in EARLIER_INDEXES.items():
        op.create_index(name, "audit_event", list(columns))


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


def _postgresql_columns() -> str:
    return """
        id BIGINT NOT NULL DEFAULT nextval('audit_event_id_seq'),
        at BIGINT NOT NULL,
        name VARCHAR(64) NOT NULL,
        actor VARCHAR(255),
        client_id VARCHAR(255),
        subject_id VARCHAR(43),
        login_id VARCHAR(43),
        correlation_id VARCHAR(32),
        ip VARCHAR(45),
        reason VARCHAR(64),
        detail JSON
    """


def _lay_aside() -> None:
    """Give the table another name, and its indexes, which would be in the new one's way; its sequence outlives it."""
    op.execute("LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE")
    op.execute("ALTER SEQUENCE audit_event_id_seq OWNED BY NONE")
    op.execute("ALTER TABLE audit_event RENAME TO audit_event_before")
    connection = op.get_bind()
    for (index,) in connection.execute(
        sa.text(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'audit_event_before'::regclass"
        )
    ).all():
        op.execute(f"ALTER INDEX {index} RENAME TO before_{index}")


def _copy_back() -> None:
    op.execute(f"INSERT INTO audit_event ({COLUMNS}) SELECT {COLUMNS} FROM audit_event_before")  # noqa: S608
    op.execute("ALTER SEQUENCE audit_event_id_seq OWNED BY audit_event.id")
    op.execute("DROP TABLE audit_event_before")


def _partitions() -> None:
    """A partition for each month that has rows, for this one and those to come, and one for everything else."""
    now = int(time.time())
    this = _month_number(now)
    connection = op.get_bind()
    found = connection.execute(
        sa.text(
            "SELECT DISTINCT extract(year FROM day)::int * 12 + extract(month FROM day)::int - 1"
            " FROM (SELECT to_timestamp(at) AT TIME ZONE 'UTC' AS day FROM audit_event_before"
            " WHERE at BETWEEN 0 AND :now) AS days"
        ),
        {"now": now},
    ).scalars()
    months = {month for month in found if month >= this - MONTHS_BACK}
    for month in sorted(months | set(range(this, this + MONTHS_AHEAD + 1))):
        name = f"audit_event_{month // 12}_{month % 12 + 1:02}"
        since, until = _first_second(month), _first_second(month + 1)
        op.execute(f"CREATE TABLE {name} PARTITION OF audit_event FOR VALUES FROM ({since}) TO ({until})")
    op.execute("CREATE TABLE audit_event_other PARTITION OF audit_event DEFAULT")


def _month_number(at: int) -> int:
    day = datetime.fromtimestamp(at, UTC)
    return day.year * 12 + day.month - 1


def _first_second(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


# -- SQLite -------------------------------------------------------------------------------------------------------


def _remake_on_sqlite(*, sqlite_autoincrement: bool) -> None:
    """With AUTOINCREMENT an id is not used again when the newest row was deleted."""
    op.create_table(
        "audit_event_new",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("at", SECONDS, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(255)),
        sa.Column("client_id", sa.String(255)),
        sa.Column("subject_id", sa.String(43)),
        sa.Column("login_id", sa.String(43)),
        sa.Column("correlation_id", sa.String(32)),
        sa.Column("ip", sa.String(45)),
        sa.Column("reason", sa.String(64)),
        sa.Column("detail", sa.JSON()),
        sqlite_autoincrement=sqlite_autoincrement,
    )
    op.execute(f"INSERT INTO audit_event_new ({COLUMNS}) SELECT {COLUMNS} FROM audit_event")  # noqa: S608
    op.drop_table("audit_event")
    op.rename_table("audit_event_new", "audit_event")


# -- the log ------------------------------------------------------------------------------------------------------


def _make_log() -> None:
    op.create_table(
        "audit_seal",
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False, unique=True),
        sa.Column("at", SECONDS, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at", SECONDS, nullable=False),
        sa.Column("until", SECONDS, nullable=False, index=True),
        sa.Column("signed", sa.String(), nullable=False),
    )
    op.create_table(
        "audit_key",
        sa.Column("kid", sa.String(43), primary_key=True),
        sa.Column("public_jwk", sa.JSON(), nullable=False),
        sa.Column("vouched", sa.String(43), nullable=False),
    )
    op.create_table(
        "audit_cut",
        sa.Column("size", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("before", SECONDS, nullable=False),
        sa.Column("at", SECONDS, nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.String(), nullable=False),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("settled_id", sa.BigInteger(), nullable=False),
        sa.Column("noted_id", sa.BigInteger(), nullable=False),
        sa.Column("noted_xid", sa.BigInteger()),
    )
    op.create_table(
        "audit_count",
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("part", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("of", sa.String(255), primary_key=True),
        sa.Column("n", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "audit_counted_day",
        sa.Column("day", SECONDS, primary_key=True, autoincrement=False),
    )
