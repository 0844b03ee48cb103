"""Receipts: what holders were told with each sign-in; and which signing keys are not believed any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KIND = "expand"

SECONDS = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "receipt_terms",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("used_at", SECONDS, nullable=False, index=True),
    )
    op.create_table(
        "receipt",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("subject_id", sa.String(43), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("login_id", sa.String(43), nullable=False, unique=True),
        sa.Column("at", SECONDS, nullable=False, index=True),
        sa.Column("auth_time", SECONDS, nullable=False),
        sa.Column("acr", sa.String(255), nullable=False),
        sa.Column("terms", sa.String(64), sa.ForeignKey("receipt_terms.digest"), nullable=False),
        sa.Column("consent_id", sa.BigInteger()),
        sa.Column("revoked_at", SECONDS),
    )
    op.create_index("receipt_by_subject", "receipt", ["subject_id", "at", "id"])
    op.add_column("signing_key", sa.Column("removed_at", SECONDS))


def downgrade() -> None:
    with op.batch_alter_table("signing_key") as signing_key:
        signing_key.drop_column("removed_at")
    op.drop_table("receipt")
    op.drop_table("receipt_terms")
