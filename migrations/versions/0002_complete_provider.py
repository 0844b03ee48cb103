"""Refresh tokens, sessions and whom they are told to, leases, invitations, logos."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
KIND = "expand"

SECONDS = sa.BigInteger()
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("portal", sa.Column("registration_token_digest", sa.String(64)))
    op.add_column(
        "grant", sa.Column("offline", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.create_table(
        "refresh_token",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column(
            "code_digest",
            sa.String(64),
            sa.ForeignKey("grant.code_digest", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("authorization", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("issued_at", SECONDS, nullable=False),
        sa.Column("expires_at", SECONDS, nullable=False, index=True),
        sa.Column("used_at", SECONDS),
    )
    _sessions()
    op.create_table(
        "lease",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("until", SECONDS, nullable=False),
        sa.Column("done_at", SECONDS),
    )
    op.create_table(
        "key_fetch",
        sa.Column(
            "kid", sa.String(43), sa.ForeignKey("signing_key.kid", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("client_id", sa.String(255), primary_key=True),
        sa.Column("at", SECONDS, nullable=False),
    )
    op.create_table(
        "initial_access_token",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("note", sa.String(255), nullable=False),
        sa.Column("profile", sa.String(16), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_at", SECONDS, nullable=False),
        sa.Column("created_by", sa.String(255)),
        sa.Column("expires_at", SECONDS, nullable=False, index=True),
    )
    op.create_table(
        "portal_logo",
        sa.Column(
            "client_id",
            sa.String(255),
            sa.ForeignKey("portal.client_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )


def _sessions() -> None:
    op.create_table(
        "signed_in",
        sa.Column("id", sa.String(43), primary_key=True),
        sa.Column("subject_id", sa.String(43), nullable=False, index=True),
        sa.Column("started_at", SECONDS, nullable=False),
        sa.Column("ends_at", SECONDS, nullable=False),
        sa.Column("checked_at", SECONDS, nullable=False, index=True),
        sa.Column("ended_at", SECONDS),
        sa.Column("reason", sa.String(32)),
    )
    op.create_table(
        "session_portal",
        sa.Column(
            "session_id",
            sa.String(43),
            sa.ForeignKey("signed_in.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("client_id", sa.String(255), primary_key=True),
        sa.Column("sid", sa.String(64), nullable=False),
        sa.Column("since", SECONDS, nullable=False),
    )
    op.create_table(
        "logout_notice",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("client_id", sa.String(255), nullable=False, index=True),
        sa.Column("subject_id", sa.String(43), nullable=False),
        sa.Column("sid", sa.String(64), nullable=False),
        sa.Column("created_at", SECONDS, nullable=False),
        sa.Column("due_at", SECONDS, index=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", SECONDS),
        sa.Column("delivered_at", SECONDS),
        sa.Column("last_problem", sa.String(64)),
    )


def downgrade() -> None:
    for table in (
        "portal_logo",
        "initial_access_token",
        "key_fetch",
        "lease",
        "logout_notice",
        "session_portal",
        "signed_in",
        "refresh_token",
    ):
        op.drop_table(table)
    op.drop_column("grant", "offline")
    op.drop_column("portal", "registration_token_digest")
