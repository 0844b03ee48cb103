"""Figures of sign-ins for the console, when a wallet was tried, and indexes for what the console looks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
KIND = "expand"

SECONDS = sa.BigInteger()
PARTIAL = (
    ("logout_notice_given_up", "logout_notice", "client_id", "due_at IS NULL AND delivered_at IS NULL"),
    ("signed_in_live", "signed_in", "started_at", "ended_at IS NULL"),
)
WHOLE = (
    ("ix_session_portal_sid", "session_portal", ["sid"]),
    ("session_portal_of_portal", "session_portal", ["client_id", "session_id"]),
)


def upgrade() -> None:
    op.create_table(
        "sign_in_figures",
        sa.Column("client_id", sa.String(255), primary_key=True),
        sa.Column("hour", SECONDS, primary_key=True, autoincrement=False, index=True),
        sa.Column("outcome", sa.String(64), primary_key=True),
        sa.Column("reason", sa.String(64), primary_key=True),
        sa.Column("within_s", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("n", sa.Integer(), nullable=False),
    )
    op.create_table(
        "sign_in_figures_mark",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("counted_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", SECONDS, nullable=False),
        sa.Column("writers", sa.JSON(), nullable=False),
        sa.Column("counted_at", SECONDS, nullable=False),
    )
    op.add_column("wallet_profile", sa.Column("tested_at", SECONDS))
    for name, table, column, where in PARTIAL:
        rows = sa.text(where)
        op.create_index(name, table, [column], postgresql_where=rows, sqlite_where=rows)
    for name, table, columns in WHOLE:
        op.create_index(name, table, columns)


def downgrade() -> None:
    for name, table, *_ in (*PARTIAL, *WHOLE):
        op.drop_index(name, table)
    with op.batch_alter_table("wallet_profile") as wallet_profile:
        wallet_profile.drop_column("tested_at")
    for table in ("sign_in_figures_mark", "sign_in_figures"):
        op.drop_table(table)
