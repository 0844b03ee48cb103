"""A type of credential says how it looks in each of its formats.

Only documents change: `format`, `vct`, `authentication_claim` and `issuer_ekus` of a type become the one entry of its
`formats`. The elements that the SD-JWT VC of the overseas certificate shows were the code's own table; they are data
now. A document written by hand in between is left as it is.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
KIND = "contract"

_ELEMENTS = [
    "name", "family_name", "given_name", "birthdate", "age_equal_or_over.14", "age_equal_or_over.19", "sex",
    "nationalities", "address.formatted", "issuing_mission.code", "issuing_mission.name_ko",
    "issuing_mission.name_en", "overseas_registration_number", "passport.number", "passport.type",
    "passport.issuing_country", "passport.issuing_authority", "passport.issue_date", "passport.expiry_date",
    "picture", "kr_ci",
]  # fmt: skip

_types = sa.table("credential_type", sa.column("id", sa.String), sa.column("document", sa.JSON))


def upgrade() -> None:
    _rewrite(_with_formats)


def downgrade() -> None:
    _rewrite(_with_one_format)


def _rewrite(change: Any) -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(_types.c.id, _types.c.document)).all():
        changed = change(dict(row.document))
        if changed != row.document:
            connection.execute(sa.update(_types).where(_types.c.id == row.id).values(document=changed))


def _with_formats(document: dict[str, Any]) -> dict[str, Any]:
    if "format" not in document:
        return document
    looks = {
        "names": document.pop("vct"),
        "elements": _ELEMENTS,
        "authentication": [document.pop("authentication_claim", "user_authentication")],
        "issuer_ekus": document.pop("issuer_ekus", []),
    }
    formats = {document.pop("format"): looks}
    return {**document, "formats": formats}


def _with_one_format(document: dict[str, Any]) -> dict[str, Any]:
    """What an earlier release reads. It knows SD-JWT VC only: other formats are lost, and a type without it stays."""
    looks = document.get("formats", {}).get("dc+sd-jwt")
    if looks is None:
        return document
    del document["formats"]
    return {
        **document,
        "format": "dc+sd-jwt",
        "vct": looks["names"],
        "authentication_claim": (looks.get("authentication") or ["user_authentication"])[0],
        "issuer_ekus": looks.get("issuer_ekus", []),
    }
