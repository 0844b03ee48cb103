"""The audit under test: what writes it, seals it and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select, text

from idp.admin import audit
from idp.bare import bare_app
from idp.events import Event, Origin, origin, record_alone
from idp.key_encryption import KeyEncryption
from idp.keys import Keys
from idp.models import AuditEvent, db
from idp.settings import load
from tests import tables

KEK = bytes.fromhex("11" * 31 + "aa")
ISSUER = "https://idp.example"
SOME_FILE = Path(__file__)
NOON = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())


def at(year: int, month: int, day: int = 1) -> int:
    """The first second of a day."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


@dataclass
class Kept:
    """An audit. `now` is what the clock says."""

    app: Flask
    clock: Clock
    keys: Keys
    signer: audit.LogSigner
    sealing: audit.Sealing

    def write(self, n: int = 1, **fields: Any) -> list[int]:
        """Write so many events, a second apart; their ids."""
        first = self.last_id()
        for number in range(n):
            given = {
                "event": Event.LOGIN_STARTED,
                "at": self.clock() - n + number,
                "client_id": "gov24",
                "login_id": f"login-{number}",
                "detail": {"number": number, "문자": "가나다", "list": ["b", "a"], "none": None},
                **fields,
            }
            record_alone(given.pop("event"), **given)
        return self.ids(after=first)

    def seal(self) -> int:
        return self.sealing.seal()

    def sealed(self, *sizes: int) -> list[int]:
        """Write and seal so many events, batch after batch; all their ids."""
        first = self.last_id()
        for size in sizes:
            self.write(size)
            self.seal()
        return self.ids(after=first)

    def found(self, kept: str | None = None, **verifying: Any) -> list[str]:
        """What a check finds, a little later than now."""
        verifier = audit.LogVerifier(KeyEncryption(KEK), **verifying)
        return [finding.text for finding in audit.Check(verifier, self.clock() + 120, kept).findings()]

    def change(self, statement: str, **values: Any) -> None:
        """Something that only somebody with the database in hand can do."""
        db.session.rollback()
        changed = db.session.execute(text(statement), values)
        db.session.commit()
        assert getattr(changed, "rowcount", 1) != 0, "nothing was changed"

    def ids(self, after: int = 0) -> list[int]:
        db.session.rollback()
        return list(
            db.session.scalars(select(AuditEvent.id).where(AuditEvent.id > after).order_by(AuditEvent.id))
        )

    def last_id(self) -> int:
        return max(self.ids(), default=0)


@contextmanager
def kept(url: str) -> Iterator[Kept]:
    settings = load(
        None,
        {},
        overrides={
            "mode": "sandbox",
            "issuer": ISSUER,
            "database.url": url,
            "secrets.key_encryption_key": KEK.hex(),
            "secrets.pepper": "22" * 31 + "bb",
            "wallet.certificate_file": str(SOME_FILE),
            "wallet.private_key_file": str(SOME_FILE),
        },
    )
    tables.make(settings.database_url)
    app = bare_app(settings)
    clock = Clock()
    keys = Keys(KeyEncryption(KEK), clock, publish_s=60, retire_s=60, algs=("ES256",))
    signer = audit.LogSigner(keys, KeyEncryption(KEK), ISSUER)
    before = origin.set(Origin())
    with app.app_context():
        keys.ensure()
        try:
            yield Kept(app, clock, keys, signer, audit.Sealing(signer, clock))
        finally:
            db.session.remove()
            db.engine.dispose()
            origin.reset(before)
