"""A fault at one place: some of the fault matrix, and every table that refuses a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from idp.store import StoreUnavailable
from idp.store.redis import RedisStore
from tests.crowd import Unexpected
from tests.faults import clocks, matrix
from tests.faults.crowd import OutOfPatience
from tests.faults.ledger import reconcile
from tests.faults.matrix import Journey
from tests.faults.signing import CLIENT_ID
from tests.rig import Rig

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]
# What a sign-in and everything after it writes: tables, and rows of the audit by their name.
TABLES = (
    *(
        "consumed",
        "signed_in",
        "session_portal",
        "consent",
        "receipt",
        "grant",
        "refresh_token",
        "audit_event",
    ),
)
EVENTS = (
    *("login.started", "presentation.accepted", "consent.given", "login.finished", "code.redeemed"),
    *("token.refreshed", "token.revoked"),
)


@pytest.fixture(scope="module")
def house(redis_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, str]]:
    with matrix.rig(tmp_path_factory.mktemp("matrix")) as running:
        yield running


@pytest.fixture(scope="module")
def journey(house: tuple[Rig, str]) -> Journey:
    rig, _ = house
    found, _ = matrix.journeys(rig, matrix.Insisting(rig), [])
    found.walk()
    return found


@contextmanager
def refusing(database: str, table: str, when: str = "true") -> Iterator[None]:
    """The table takes no new row for which this holds."""
    url = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    raising = "BEGIN RAISE EXCEPTION 'refused'; END"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${raising}$$")
        connection.execute(
            f'CREATE TRIGGER refuse BEFORE INSERT ON "{table}" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()'
        )
        try:
            yield
        finally:
            connection.execute("DROP FUNCTION refuse() CASCADE")


@pytest.mark.parametrize(
    ("table", "when"),
    [*((table, "true") for table in TABLES), *(("audit_event", f"NEW.name = '{name}'") for name in EVENTS)],
)
def test_where_one_row_cannot_be_written_nothing_is_half_done(
    house: tuple[Rig, str], journey: Journey, table: str, when: str
) -> None:
    """FA-14. It is told as 503, the books agree, and it works again as soon as the table does."""
    rig, database = house
    rig.clock.offset_s = 0
    with refusing(database, table, when), pytest.raises((OutOfPatience, Unexpected)):
        journey.walk()
    assert journey.line.undocumented == []
    rig.clock.offset_s = 0
    journey.walk()
    assert reconcile(journey.entries, database, client_ids={"matrix", CLIENT_ID}).wrong == []


def test_wherever_it_breaks_nothing_is_given_away(house: tuple[Rig, str], journey: Journey) -> None:
    """One fault in ten of R16."""
    rig, database = house
    result = matrix.measure(rig, database, "", one_in=10, book=journey.entries)
    assert result.missed == [], result.markdown()


def test_whatever_time_it_is_what_was_used_stays_used(house: tuple[Rig, str], journey: Journey) -> None:
    """R15 in short."""
    rig, database = house
    size = clocks.Size(rounds=1, sign_ins=2)
    result = clocks.measure(rig, database, size, "", book=journey.entries)
    assert result.missed == [], result.markdown()


def test_a_client_that_reads_in_a_buffer_it_has_closed_is_a_store_that_is_away(
    house: tuple[Rig, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py does so now and then when the server is killed: it answered 500."""
    store = house[0].house.store
    assert isinstance(store, RedisStore)

    def read(*_: object, **__: object) -> None:
        raise ValueError("I/O operation on closed file.")

    monkeypatch.setattr(store._client(), "execute_command", read)
    with pytest.raises(StoreUnavailable):
        store.ping()
