"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
KIND = "expand"

SECONDS = sa.BigInteger()
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "portal",
        sa.Column("client_id", sa.String(255), primary_key=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("registration", sa.JSON(), nullable=False),
        sa.Column("updated_at", SECONDS, nullable=False),
    )
    op.create_table(
        "subject",
        sa.Column("id", sa.String(43), primary_key=True),
        sa.Column("created_at", SECONDS, nullable=False),
    )
    op.create_table(
        "subject_key",
        sa.Column("digest", sa.String(43), primary_key=True),
        sa.Column("subject_id", sa.String(43), sa.ForeignKey("subject.id"), nullable=False, index=True),
        sa.Column("created_at", SECONDS, nullable=False),
    )
    op.create_table(
        "consent",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("subject_id", sa.String(43), sa.ForeignKey("subject.id"), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("claims", sa.JSON(), nullable=False),
        sa.Column("offered", sa.JSON(), nullable=False),
        sa.Column("given_at", SECONDS, nullable=False),
        sa.Column("withdrawn_at", SECONDS),
    )
    op.create_index("consent_by_subject", "consent", ["subject_id", "client_id"])
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String(43), primary_key=True),
        sa.Column("alg", sa.String(16), nullable=False),
        sa.Column("public_jwk", sa.JSON(), nullable=False),
        sa.Column("sealed_private_jwk", sa.String(), nullable=False),
        sa.Column("published_at", SECONDS, nullable=False),
        sa.Column("active_at", SECONDS, nullable=False),
        sa.Column("retiring_at", SECONDS),
        sa.Column("gone_at", SECONDS),
    )
    op.create_table(
        "grant",
        sa.Column("code_digest", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("subject_id", sa.String(43), nullable=False, index=True),
        sa.Column("session_id", sa.String(43), nullable=False, index=True),
        sa.Column("redeemed_at", SECONDS, nullable=False),
        sa.Column("expires_at", SECONDS, nullable=False, index=True),
        sa.Column("revoked_at", SECONDS),
    )
    op.create_table(
        "consumed",
        sa.Column("kind", sa.String(24), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("expires_at", SECONDS, nullable=False, index=True),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("at", SECONDS, nullable=False, index=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(255)),
        sa.Column("client_id", sa.String(255)),
        sa.Column("subject_id", sa.String(43), index=True),
        sa.Column("login_id", sa.String(43), index=True),
        sa.Column("correlation_id", sa.String(32), index=True),
        sa.Column("ip", sa.String(45)),
        sa.Column("reason", sa.String(64)),
        sa.Column("detail", sa.JSON()),
    )
    op.create_table(
        "credential_type",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("updated_at", SECONDS, nullable=False),
    )
    op.create_table(
        "mission",
        sa.Column("code", sa.String(32), primary_key=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("updated_at", SECONDS, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "mission",
        "credential_type",
        "audit_event",
        "consumed",
        "grant",
        "signing_key",
        "consent",
        "subject_key",
        "subject",
        "portal",
    ):
        op.drop_table(table)
