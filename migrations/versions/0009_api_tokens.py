"""Tokens of the admin API, by their SHA-256."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KIND = "expand"

SECONDS = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("organisation_id", sa.String(64), sa.ForeignKey("organisation.id")),
        sa.Column("created_at", SECONDS, nullable=False),
        sa.Column("created_by", sa.String(255)),
        sa.Column("expires_at", SECONDS, nullable=False),
        sa.Column("last_used_at", SECONDS),
        sa.Column("revoked_at", SECONDS),
    )


def downgrade() -> None:
    op.drop_table("api_token")
