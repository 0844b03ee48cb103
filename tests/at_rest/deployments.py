"""Deployments in which many sign in, and everything that they keep while they run."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import create_engine, make_url, text

from idp import backup
from idp.settings import Settings
from tests import servers
from tests.at_rest.people import PORTAL, SECRET, bearer_values, sign_in, values_of
from tests.at_rest.searching import Search, bearer_needles, needles, searchable
from tests.deployed import Deployment, deployed
from tests.servers import free_port
from tests.waiting import eventually


@dataclass(frozen=True)
class Numbers:
    """How many sign in, and how many stop on the way."""

    finished: int
    unfinished: int


@dataclass(frozen=True)
class Kept:
    """What a deployment has at rest while it runs, and what must not be there."""

    settings: Settings
    people: Search
    bearer: Search
    places: tuple[Path, ...]
    live_records: int
    log: Path
    settle: Callable[[], None]
    """Makes the servers write down what they still hold in memory."""
    pid: int
    """Of the provider; those of its workers are its children."""


def kept(
    deployment: Deployment,
    numbers: Numbers,
    places: tuple[Path, ...],
    live_records: Callable[[], int],
    settle: Callable[[], None],
) -> Kept:
    holders = sign_in(deployment, numbers.finished, numbers.unfinished)
    missions = {mission["code"]: mission for mission in deployment.prepared.trust()["mission"]}
    people = searchable(values_of(holder.persona, missions) for holder in holders)
    bearer = searchable([*map(bearer_values, holders), {"client secret": SECRET}])
    assert len(people) > 10 * len(holders)
    assert len(bearer) > 3 * len(holders)
    settle()
    take_out(deployment.settings, deployment.log.parent)
    return Kept(
        settings=deployment.settings,
        people=Search(needles(people)),
        bearer=Search(bearer_needles(bearer)),
        places=places,
        live_records=live_records(),
        log=deployment.log,
        settle=settle,
        pid=deployment.pid,
    )


def take_out(settings: Settings, into: Path) -> None:
    """What leaves a deployment on purpose: a backup, and the metrics that somebody reads."""
    with urllib.request.urlopen(f"http://{settings.server.monitor_bind}/metrics", timeout=20) as answer:
        (into / "metrics.txt").write_bytes(answer.read())
    url = make_url(settings.database_url)
    if settings.uses_sqlite:
        assert url.database is not None
        backup.make(Path(url.database), into / "backup")
        return
    plain = re.sub(r"\+psycopg", "", url.render_as_string(hide_password=False))
    command = [servers.postgresql_binaries() / "pg_dump", "--file", into / "backup.sql", plain]
    subprocess.run(command, check=True, capture_output=True)


ALWAYS = {"holder.with_ci": True}


def monitor() -> str:
    return f"127.0.0.1:{free_port()}"


@contextmanager
def on_sqlite(directory: Path, numbers: Numbers) -> Iterator[Kept]:
    """The embedded defaults: one process, both databases in files."""
    with deployed(
        directory, {**ALWAYS, "server.threads": 8, "server.monitor_bind": monitor()}, [PORTAL]
    ) as running:
        engine = create_engine(running.settings.store_url)

        def live_records() -> int:
            with engine.connect() as connection:
                return int(connection.execute(text("SELECT count(*) FROM ephemeral")).scalar_one())

        try:
            yield kept(running, numbers, (directory / "provider",), live_records, lambda: None)
        finally:
            engine.dispose()


@contextmanager
def on_postgresql_and_redis(directory: Path, numbers: Numbers) -> Iterator[Kept]:
    """Servers of their own that keep all they can: PostgreSQL uncompressed, Redis with RDB and AOF."""
    store = directory / "redis"
    store.mkdir()
    options = ("--appendonly", "yes", "--save", "1 1", "--rdbcompression", "no", "--dir", str(store))
    with ExitStack() as stack:
        port = stack.enter_context(servers.redis(*options))
        server_url = stack.enter_context(servers.postgresql())
        database_url = stack.enter_context(servers.new_database(server_url))
        remembering = stack.enter_context(closing(redis.Redis(port=port)))
        engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
        stack.callback(engine.dispose)

        def saved() -> bool:
            try:
                return bool(remembering.save())
            except redis.ResponseError:  # it is saving by itself just now
                return False

        def settle() -> None:
            with engine.connect() as connection:
                connection.execute(text("CHECKPOINT"))
            eventually(saved, 60)

        overrides = {
            **ALWAYS,
            "database.url": database_url,
            "store.url": f"redis://127.0.0.1:{port}/0",
            "server.monitor_bind": monitor(),
        }
        running = stack.enter_context(deployed(directory, overrides, [PORTAL]))
        with engine.connect() as connection:
            # A compressed value could not be searched.
            columns = connection.execute(
                text(
                    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
                    " AND data_type IN ('json', 'text', 'character varying')"
                )
            ).all()
            for table, column in columns:
                connection.execute(text(f'ALTER TABLE "{table}" ALTER "{column}" SET STORAGE EXTERNAL'))
            data = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        places = (directory / "provider", data, store)
        yield kept(running, numbers, places, remembering.dbsize, settle)


DEPLOYMENTS = {"sqlite": on_sqlite, "postgresql_and_redis": on_postgresql_and_redis}


def said(found: dict[Path, set[Any]]) -> list[str]:
    """Which value, in which form, in which file: never the value itself."""
    return sorted(
        f"{file.name}: {needle.what}, {needle.form}"
        for file, hits in found.items()
        for needle in list(hits)[:9]
    )
