"""Health and metrics have a listener of their own; what they say is true, and names nobody."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, create_engine, delete, insert, text

from idp import schema
from idp.models import SchemaStep
from tests import servers
from tests.deployed import Deployment, deployed
from tests.servers import free_port
from tests.waiting import eventually


@dataclass(frozen=True)
class Watched:
    deployment: Deployment
    monitor: str

    @property
    def outside(self) -> str:
        return self.deployment.settings.issuer

    def ask(self, path: str) -> httpx2.Response:
        return httpx2.get(self.monitor + path, trust_env=False)

    def metrics(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Samples by name, then by their labels in order."""
        samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(self.ask("/metrics").text):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return samples

    def refused(self) -> float:
        """How many authorization requests named a portal that there is not."""
        label = (("event", "request.refused"), ("portal", ""), ("reason", "unknown_portal"))
        return self.metrics().get("sinwon_events_total", {}).get(label, 0)


@pytest.fixture(scope="module", params=["one process", pytest.param("two", marks=pytest.mark.postgresql)])
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    port = free_port()
    overrides: dict[str, Any] = {"server.monitor_bind": f"127.0.0.1:{port}"}
    with ExitStack() as stack:
        if request.param == "two":
            url = request.getfixturevalue("postgresql_url")
            database = stack.enter_context(servers.new_database(url))
            overrides |= {"database.url": database, "store.url": database, "server.workers": 2}
        running = stack.enter_context(deployed(tmp_path_factory.mktemp("watched"), overrides, []))
        yield Watched(running, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_monitoring_comes_in_by_its_own_listener_only(watched: Watched, path: str) -> None:
    assert watched.ask(path).status_code == 200
    assert httpx2.get(watched.outside + path, trust_env=False).status_code == 404
    forged = {"Host": watched.monitor.removeprefix("http://"), "X-Forwarded-Host": "127.0.0.1:9090"}
    assert httpx2.get(watched.outside + path, headers=forged, trust_env=False).status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/authorize", "/token", "/.well-known/openid-configuration", "/console"]
)
def test_nothing_else_does(watched: Watched, path: str) -> None:
    assert watched.ask(path).status_code == 404


def test_ready_names_the_parts(watched: Watched) -> None:
    parts = {"database": True, "store": True, "keys": True, "trust": True, "schema": True}
    assert watched.ask("/readyz").json() == {"status": "ok", "parts": parts}


def test_a_database_of_an_older_release_is_not_ready_and_one_that_a_newer_only_added_to_is(
    watched: Watched,
) -> None:
    engine = create_engine(watched.deployment.settings.database_url)
    try:
        with _at_revision(engine, schema.revisions()[-2]):
            answer = watched.ask("/readyz")
            assert (answer.status_code, answer.json()["parts"]["schema"]) == (503, False)
            assert watched.metrics()["sinwon_part_up"][(("part", "schema"),)] == 0
        for kind, status in (("expand", 200), ("contract", 503)):
            with _at_revision(engine, "9999", kind):
                assert watched.ask("/readyz").status_code == status
    finally:
        engine.dispose()


def test_what_is_in_the_audit_is_counted_once(watched: Watched) -> None:
    before = watched.refused()
    for _ in range(5):
        httpx2.get(f"{watched.outside}/authorize?client_id=<nobody>", trust_env=False)
    assert watched.refused() == before + 5  # whichever process had each of them
    assert "nobody" not in watched.ask("/metrics").text


def test_each_answer_is_timed_under_a_name_of_ours(watched: Watched) -> None:
    httpx2.get(f"{watched.outside}/no/such/page?name=HONG", trust_env=False)
    httpx2.request("BREW", f"{watched.outside}/token", trust_env=False)
    timed = watched.metrics()["sinwon_http_request_seconds_count"]
    assert (("endpoint", "(none)"), ("method", ""), ("status", "404")) in timed
    shown = watched.ask("/metrics").text
    assert "HONG" not in shown
    assert "BREW" not in shown


def test_queues_jobs_sizes_and_endings_are_told(watched: Watched) -> None:
    found = watched.metrics()
    assert (("queue", "audit-seal"),) in found["sinwon_queue_length"]
    assert found["sinwon_logout_notices_given_up"] == {(): 0}
    assert sum(found["sinwon_table_bytes"].values()) > 0
    endings = found["sinwon_expiry_timestamp_seconds"]
    assert any(("role", "own") in labels and at > 1.7e9 for labels, at in endings.items())
    assert found["sinwon_waiting_pages"] == {(): 0}


@contextmanager
def _at_revision(engine: Engine, revision: str, kind: str = "expand") -> Iterator[None]:
    """As if the database had been left, or upgraded, by another release."""
    with engine.begin() as connection:
        is_newer = revision not in schema.revisions()
        if is_newer:
            connection.execute(insert(SchemaStep).values(revision=revision, kind=kind, at=1))
        was = connection.scalar(text("SELECT version_num FROM alembic_version"))
        connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": was})
            if is_newer:
                connection.execute(delete(SchemaStep).where(SchemaStep.revision == revision))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.postgresql
@pytest.mark.parametrize("watched", ["two"], indirect=True)
def test_the_worker_has_a_listener_too(watched: Watched, tmp_path: Path) -> None:
    port = free_port()
    bind = {"IDP_WORKER__MONITOR_BIND": f"127.0.0.1:{port}"}
    with watched.deployment.command("worker", tmp_path / "worker.log", bind) as worker:
        eventually(lambda: _listens(port), 30)
        its_own = Watched(watched.deployment, f"http://127.0.0.1:{port}")
        assert its_own.ask("/healthz").json() == {"status": "ok"}
        assert its_own.ask("/token").status_code == 404
        task = (("task", "audit-seal"),)
        eventually(lambda: task in its_own.metrics().get("sinwon_task_done_timestamp_seconds", {}), 30)
        worker.terminate()
        assert worker.wait(20) == 0
