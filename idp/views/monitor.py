"""Metrics for Prometheus, where there is a listener for them (`server.monitor_bind`).

Counted is what the audit counts, once it is committed, and each answer's time. A metric's labels hold names of ours:
of events, reasons, endpoints and registered portals; never a value from a request.

Source: Prometheus text format 0.0.4 and OpenMetrics 1.0, by prometheus_client.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.exc import SQLAlchemyError

from idp import __version__
from idp.admin.condition import readiness
from idp.admin.measures import endings, measures
from idp.events import Event, Happened, listen
from idp.models import db
from idp.views.event_words import OTHERS, reason_of
from idp.wiring import House

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"  # its library reads it when it is imported
_MAX_PORTALS = 2_000
_ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SIGN_IN_S = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
_NO_ENDPOINT = "(none)"


class Metrics:
    """What one process counts, and with the other processes of its server shows."""

    def __init__(self, house: House, n_waiting: Callable[[], int] = lambda: 0) -> None:
        own = CollectorRegistry()
        self._events = Counter(
            "sinwon_events",
            "Events of the audit, once committed.",
            ("event", "portal", "reason"),
            registry=own,
        )
        self._sign_in_s = Histogram(
            "sinwon_sign_in_seconds",
            "Finished sign-ins, from the portal's request to the way back.",
            buckets=_SIGN_IN_S,
            registry=own,
        )
        self._answer_s = Histogram(
            "sinwon_http_request_seconds",
            "Answers, by the house's name of the endpoint.",
            ("endpoint", "method", "status"),
            buckets=_ANSWER_S,
            registry=own,
        )
        self._waiting = Gauge(
            "sinwon_waiting_pages",
            "Sign-in pages that hold an event stream.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._n_waiting = n_waiting
        self._portals: set[str] = set()
        self._shown = own
        if _MULTIPROCESS in os.environ:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown)  # type: ignore[no-untyped-call]
        self._shown.register(_OfTheHouse(house))
        self.close = listen(self._hear)

    def install(self, app: Flask) -> None:
        """Time every answer of this application, and show all at `/metrics`."""
        app.add_url_rule("/metrics", "metrics", self._answer)
        app.before_request(self._begin)
        app.after_request(self._end)

    def _answer(self) -> Response:
        self._waiting.set(self._n_waiting())
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(self._shown), content_type=content_type)

    def _hear(self, happened: Happened) -> None:
        self._events.labels(happened.event.value, self._portal(happened.client_id), reason_of(happened)).inc()
        if happened.event == Event.LOGIN_FINISHED and happened.took_s is not None:
            self._sign_in_s.observe(happened.took_s)

    def _portal(self, client_id: str | None) -> str:
        """Anybody who may register portals could otherwise make series without end."""
        if client_id is None:
            return ""
        if client_id not in self._portals:
            if len(self._portals) >= _MAX_PORTALS:
                return OTHERS
            self._portals.add(client_id)
        return client_id

    def _begin(self) -> None:
        g.began = time.perf_counter()

    def _end(self, response: Response) -> Response:
        if "began" in g:  # not where a body was refused before anything was asked
            endpoint = request.endpoint or _NO_ENDPOINT
            took_s = time.perf_counter() - g.began
            # A method may be any word of the outside; what has an endpoint has one that we know.
            method = request.method if request.endpoint else ""
            self._answer_s.labels(endpoint, method, response.status_code).observe(took_s)
        return response

    def answered(self, endpoint: str, method: str, took_s: float) -> None:
        """An answer, 200, that was given without the application."""
        self._answer_s.labels(endpoint, method, 200).observe(took_s)


class _OfTheHouse:
    """Read at each visit: what stands in the tables, whichever process is asked. Needs the application context."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[Metric]:
        yield _gauge("sinwon_build_info", "The release.", {(__version__,): 1}, ("version",))
        house = self._house
        parts = readiness(house.store, house.keys, house.trust).parts
        yield _gauge(
            "sinwon_part_up",
            "Whether a part that sign-ins need answers.",
            {(name,): works for name, works in parts.items()},
            ("part",),
        )
        try:
            yield from self._of_the_tables(house.clock())
        except SQLAlchemyError:
            db.session.rollback()  # sinwon_part_up says so

    def _of_the_tables(self, now: int) -> Iterator[Metric]:
        found = measures(now)
        queues = {("logout-notices",): found.logout_notices, ("audit-seal",): found.unsealed}
        yield _gauge(
            "sinwon_queue_length",
            "What waits for the worker.",
            {name: queue.n for name, queue in queues.items()},
            ("queue",),
        )
        yield _gauge(
            "sinwon_queue_oldest_seconds",
            "How long the first in it has waited.",
            {name: queue.oldest_s for name, queue in queues.items()},
            ("queue",),
        )
        yield _gauge(
            "sinwon_logout_notices_given_up",
            "Logout notices no portal took, kept for replay.",
            {(): found.notices_given_up},
        )
        yield _gauge(
            "sinwon_task_done_timestamp_seconds",
            "When a job of the worker was done last.",
            {(name,): at for name, at in found.jobs.items() if at is not None},
            ("task",),  # Prometheus has a job of its own
        )
        yield _gauge(
            "sinwon_table_bytes",
            "Size with indexes; on SQLite the whole file.",
            {(name,): size for name, size in found.tables.items()},
            ("table",),
        )
        yield _gauge(
            "sinwon_expiry_timestamp_seconds",
            "When a certificate ends.",
            {
                (ending.what, ending.role, ending.of, ending.sha256[:16]): ending.at
                for ending in endings(self._house.trust.snapshot(), self._house.signer.chain, now)
            },
            ("what", "role", "mission", "sha256"),
        )


def _gauge(
    name: str, help_text: str, values: dict[tuple[str, ...], float | bool], labels: tuple[str, ...] = ()
) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for of, value in values.items():
        family.add_metric(of, float(value))
    return family
