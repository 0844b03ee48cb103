"""What lately happened at one portal, as its engineer may know it: rows of the audit without the holder.

Neither the subject, nor the sign-in, nor the address of a browser is read here: whoever looks for a mistake of a
portal's needs none of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, or_, select

from idp.models import AuditEvent, db

PAGE = 50
_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")  # what a database takes for a row's id


@dataclass(frozen=True)
class Seen:
    """One row: `detail` has `check`, `expected` and `received` of a mismatch (`errors.Mismatch`)."""

    id: int
    at: int
    name: str
    reason: str | None
    correlation_id: str | None
    detail: dict[str, Any]

    @property
    def place(self) -> str:
        """Where the next page begins."""
        return f"{self.at}-{self.id}"


def of(
    client_id: str,
    *,
    names: Collection[str],
    correlation_id: str | None = None,
    before: str | None = None,
    since: int = 0,
    limit: int = PAGE,
) -> list[Seen]:
    """Rows of this portal with one of these names, the newest first; `before` is the `place` of an earlier row."""
    row = AuditEvent
    query = select(row.id, row.at, row.name, row.reason, row.correlation_id, row.detail).where(
        row.client_id == client_id, row.name.in_(names), row.at >= since
    )
    if correlation_id is not None:
        query = query.where(row.correlation_id == correlation_id)
    if before is not None and (place := _place(before)) is not None:
        at, row_id = place
        query = query.where(or_(row.at < at, and_(row.at == at, row.id < row_id)))
    found = db.session.execute(query.order_by(row.at.desc(), row.id.desc()).limit(limit))
    return [Seen(one.id, one.at, one.name, one.reason, one.correlation_id, one.detail or {}) for one in found]


def _place(text: str) -> tuple[int, int] | None:
    found = _PLACE.fullmatch(text)
    return (int(found[1]), int(found[2])) if found is not None else None
