"""What docs/audit.md gives an auditor is enough to check the log without our code."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text

from idp.admin.audit.sealing import COLUMNS, EVENTS
from idp.models import AuditCheckpoint, db
from tests.audit.keeping import Kept
from tests.test_docs import blocks, in_code


@pytest.mark.parametrize("sizes", [(1,), (5,), (4, 9)])
def test_the_tool_on_the_page_computes_our_roots(log: Kept, sizes: tuple[int, ...]) -> None:
    log.sealed(*sizes)
    tool: dict[str, Any] = {}
    exec(blocks("docs/audit.md", "python")[0], tool)
    query = blocks("docs/audit.md", "sql")[0]
    for size, root in db.session.execute(select(AuditCheckpoint.size, AuditCheckpoint.root)).all():
        rows = db.session.execute(
            text(
                query.replace("1000", str(size)).replace("e.*", ", ".join(f"e.{name}" for name in COLUMNS))
            ).columns(*EVENTS.columns)
        )
        entries = [tool["entry"](dict(zip(COLUMNS, row, strict=True))) for row in rows]
        assert tool["root"](entries) == bytes(root)


def test_the_page_names_every_column_of_an_entry() -> None:
    assert set(COLUMNS) <= in_code("docs/audit.md")
