"""Administrators and organisations; versions of registrations, changes that wait, the use of client secrets.

A portal that is already registered gets its first version: that it was there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
KIND = "expand"

SECONDS = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "organisation",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("updated_at", SECONDS, nullable=False),
    )
    op.create_table(
        "administrator",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("organisation_id", sa.String(64), sa.ForeignKey("organisation.id"), index=True),
        sa.Column("sub", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", SECONDS, nullable=False),
        sa.Column("created_by", sa.String(255)),
        sa.Column("disabled_at", SECONDS),
        sa.Column("last_seen_at", SECONDS),
    )
    op.create_table(
        "invitation",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("organisation_id", sa.String(64), sa.ForeignKey("organisation.id")),
        sa.Column("created_at", SECONDS, nullable=False),
        sa.Column("created_by", sa.String(255)),
        sa.Column("expires_at", SECONDS, nullable=False, index=True),
        sa.Column("used_at", SECONDS),
    )
    versions = op.create_table(
        "portal_version",
        sa.Column("client_id", sa.String(255), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("before", sa.JSON(none_as_null=True)),
        sa.Column("after", sa.JSON(none_as_null=True)),
        sa.Column("actor", sa.String(255)),
        sa.Column("approved_by", sa.String(255)),
        sa.Column("reason", sa.String(255)),
        sa.Column("at", SECONDS, nullable=False),
    )
    op.create_table(
        "portal_proposal",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("client_id", sa.String(255), nullable=False, index=True),
        sa.Column("organisation_id", sa.String(64), sa.ForeignKey("organisation.id")),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("proposed_by", sa.String(255), nullable=False),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("at", SECONDS, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("decided_by", sa.String(255)),
        sa.Column("decided_at", SECONDS),
        sa.Column("decision", sa.String(255)),
    )
    op.create_table(
        "portal_secret",
        sa.Column(
            "client_id",
            sa.String(255),
            sa.ForeignKey("portal.client_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("created_at", SECONDS),
        sa.Column("last_used_at", SECONDS),
    )
    with op.batch_alter_table("portal") as portal:
        portal.add_column(sa.Column("organisation_id", sa.String(64)))
        portal.create_foreign_key("portal_organisation_id_fkey", "organisation", ["organisation_id"], ["id"])
        portal.create_index("ix_portal_organisation_id", ["organisation_id"])
    _first_versions(versions)


def _first_versions(versions: sa.Table) -> None:
    portals = sa.table(
        "portal",
        sa.column("client_id", sa.String),
        sa.column("registration", sa.JSON),
        sa.column("updated_at", SECONDS),
    )
    op.get_bind().execute(
        sa.insert(versions).from_select(
            ["client_id", "version", "after", "reason", "at"],
            sa.select(
                portals.c.client_id,
                sa.literal(1),
                portals.c.registration,
                sa.literal("there before changes were kept"),
                portals.c.updated_at,
            ),
        )
    )


def downgrade() -> None:
    with op.batch_alter_table("portal") as portal:
        portal.drop_index("ix_portal_organisation_id")
        portal.drop_constraint("portal_organisation_id_fkey", type_="foreignkey")
        portal.drop_column("organisation_id")
    for table in (
        "portal_secret",
        "portal_proposal",
        "portal_version",
        "invitation",
        "administrator",
        "organisation",
    ):
        op.drop_table(table)
