"""What needs more than a table: a server as it is deployed, and a database that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx2
from sqlalchemy import text

from idp.models import db
from tests.deployed import deployed
from tests.rig import Rig
from tests.security.judging import Court


def test_an_address_of_more_than_16_kilobytes_is_refused_cleanly(tmp_path: Path) -> None:
    """AZ-86, at the server that serves it; who comes after is served."""
    with deployed(tmp_path, {}, []) as running, httpx2.Client(trust_env=False, timeout=20) as browser:
        query = urlencode({"client_id": "gov24", "state": "s" * 17_000})
        refused = browser.get(f"{running.settings.issuer}/authorize?{query}")
        assert refused.status_code in {400, 414}
        assert "Location" not in refused.headers
        assert "sss" not in refused.text
        assert not {"gunicorn", "Python"} & set(refused.headers.get("Server", "").replace("/", " ").split())
        assert browser.get(f"{running.settings.issuer}/healthz").status_code == 200
        assert "Traceback" not in running.log.read_text("utf-8")


@contextmanager
def without(rig: Rig, table: str) -> Iterator[None]:
    """The database has lost a table meanwhile: whatever needs it fails."""
    _execute(rig, f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        yield
    finally:
        _execute(rig, f"ALTER TABLE {table}_away RENAME TO {table}")


def _execute(rig: Rig, statement: str) -> None:
    with rig.app.app_context():
        db.session.execute(text(statement))
        db.session.commit()


def test_a_revocation_that_cannot_be_written_is_not_said_to_be_done(court: Court) -> None:
    """RV-04: the client is told to come again, and the token lives until it does."""
    portal = court.portal()
    token = portal.sign_in("invented-60")["access_token"]
    for table in ("consumed", "audit_event"):
        with without(court.rig, table):
            failed = portal.post("/revoke", token=token)
        assert failed.status_code == 503, failed.text
        assert failed.json()["error"] == "temporarily_unavailable"
        assert failed.headers["Retry-After"] == "5"
        assert portal.userinfo(token).status_code == 200
    assert portal.post("/revoke", token=token).status_code == 200
    assert portal.userinfo(token).status_code == 401
