"""What became of the trust registry and by whom; the chains it was used on; where a session's credential stands.

What is in the registry already gets its first version: that it was there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
KIND = "expand"

SECONDS = sa.BigInteger()
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    changes = op.create_table(
        "trust_change",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("entry", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True)),
        sa.Column("after", sa.JSON(none_as_null=True)),
        sa.Column("actor", sa.String(255)),
        sa.Column("reason", sa.String(255)),
        sa.Column("at", SECONDS, nullable=False),
        sa.UniqueConstraint("kind", "entry", "version", name="trust_change_version"),
    )
    op.create_table(
        "seen_chain",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("credential_type", sa.String(64), primary_key=True),
        sa.Column("format", sa.String(16), primary_key=True),
        sa.Column("mission", sa.String(32), nullable=False),
        sa.Column("chain", sa.JSON(), nullable=False),
        sa.Column("first_seen_at", SECONDS, nullable=False),
        sa.Column("last_seen_at", SECONDS, nullable=False, index=True),
        sa.Column("day", SECONDS, nullable=False),
        sa.Column("n_that_day", sa.Integer(), nullable=False),
    )
    op.add_column("signed_in", sa.Column("sealed_standing", sa.String()))
    _first_versions(changes)


def _first_versions(changes: sa.Table) -> None:
    connection = op.get_bind()
    for kind, label in (("credential_type", "id"), ("mission", "code")):
        entries = sa.table(
            kind,
            sa.column(label, sa.String),
            sa.column("document", sa.JSON),
            sa.column("updated_at", SECONDS),
        )
        for row in connection.execute(sa.select(entries)).mappings().all():
            connection.execute(
                sa.insert(changes).values(
                    kind=kind,
                    entry=row[label],
                    version=1,
                    after=row["document"],
                    reason="there before changes were kept",
                    at=row["updated_at"],
                )
            )


def downgrade() -> None:
    op.drop_column("signed_in", "sealed_standing")
    op.drop_table("seen_chain")
    op.drop_table("trust_change")
