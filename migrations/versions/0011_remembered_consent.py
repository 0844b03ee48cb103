"""Whether a holder asked for a consent to be remembered, and the session that it was given in.

Nobody was asked about the consents there are, so none of them is remembered: their holders see the page once more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KIND = "expand"


def upgrade() -> None:
    op.add_column(
        "consent", sa.Column("remembered", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.add_column("consent", sa.Column("session_id", sa.String(43)))


def downgrade() -> None:
    with op.batch_alter_table("consent") as consent:
        consent.drop_column("session_id")
        consent.drop_column("remembered")
