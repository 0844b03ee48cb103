"""When a client secret was used last, to the hour: whether an old one may go.

Once an hour for each secret the row is written by this process; whatever else comes in that hour costs a look into a
set. To the hour, so that it is no record of sign-ins.
"""

from __future__ import annotations

import threading

from sqlalchemy import or_, update

from idp.models import PortalSecret, writing
from idp.portals import versions

HOUR_S = 3600


class SecretUse:
    """Notes the use of client secrets. Threads share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hour = 0
        self._noted: set[tuple[str, str]] = set()

    def note(self, client_id: str, digest: str, *, now: int) -> None:
        """That the secret with this SHA-256 has just proven this portal."""
        if self._is_new((client_id, digest), now - now % HOUR_S):
            self._write(client_id, digest, now - now % HOUR_S)

    def _is_new(self, used: tuple[str, str], hour: int) -> bool:
        with self._lock:
            if hour != self._hour:
                self._hour, self._noted = hour, set()
            if used in self._noted:
                return False
            self._noted.add(used)
            return True

    @staticmethod
    def _write(client_id: str, digest: str, hour: int) -> None:
        with writing() as session:
            # The portal's row first: whoever changes its secrets holds it, and a row of one that is gone is not made.
            row = versions.row(session, client_id, lock=True)
            if row is None or digest not in row.registration.get("client_secret_sha256", ()):
                return
            mine = (PortalSecret.client_id == client_id, PortalSecret.digest == digest)
            if session.get(PortalSecret, (client_id, digest), populate_existing=True) is None:
                session.add(PortalSecret(client_id=client_id, digest=digest, last_used_at=hour))
                return
            session.execute(
                update(PortalSecret)
                .where(*mine, or_(PortalSecret.last_used_at.is_(None), PortalSecret.last_used_at < hour))
                .values(last_used_at=hour)
                .execution_options(synchronize_session=False)
            )
