"""Traces for an OpenTelemetry collector: where the time of a request went, step by step.

Off, and nothing of it imported, unless `tracing.endpoint` is set. Spans are made by hand, and `ATTRIBUTES` is all that
may stand in one: a value that does not keep its rule is left out. No library is instrumented, since they record
addresses whole, and ours carry codes; no exception is recorded, since its text may quote a value.

A caller's `traceparent` becomes a link of the request's span: two traces can be laid side by side, but nobody outside
decides which of ours are kept. Ours is sent to nobody.

A process starts its own tracing, after the fork: the exporter has a thread.

Specs: OpenTelemetry, OTLP over HTTP; W3C Trace Context. The extra `otel` brings the libraries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import event
from sqlalchemy.engine import Engine

from idp import __version__
from idp.settings import Settings

if TYPE_CHECKING:
    from opentelemetry import trace as otel
    from opentelemetry.trace import Tracer

Kind = Literal["server", "client", "internal"]

_TIMEOUT_S = 3.0
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


ATTRIBUTES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "correlation_id": ("sinwon.correlation_id", _matches("[0-9a-f]{16}")),
    "method": ("http.request.method", _matches("GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS")),
    "route": ("http.route", _matches("/[A-Za-z0-9_<>:./-]{0,200}")),
    "status": ("http.response.status_code", lambda value: isinstance(value, int) and 100 <= value <= 599),
    "portal": ("sinwon.portal", _matches("[!-~]{1,255}")),
    "event": ("sinwon.event", _matches(r"[a-z_]+\.[a-z_]+")),
    "outcome": ("sinwon.outcome", _matches("ok|refused|failed")),
    "reason": ("sinwon.reason", _matches("[a-z0-9][a-z0-9_ -]{0,63}")),
    "protocol": ("sinwon.protocol", _matches("[a-z0-9_]{1,16}")),
    "operation": ("db.operation.name", _matches("[A-Za-z]{1,16}")),
    "system": ("db.system.name", _matches("[a-z]{1,16}")),
}
"""What may be said of a span: by what name a collector knows it, and what a value must be. `route` is the house's
template of it; `portal` a registered id; the rest are words and numbers of ours."""


class Span:
    """Something that takes time. This one is told to nobody."""

    def say(self, **attributes: object) -> None:
        """Attributes by the names of ATTRIBUTES; None is nothing."""


class _Told(Span):
    def __init__(self, span: otel.Span) -> None:
        self._span = span

    def say(self, **attributes: object) -> None:
        for name, value in attributes.items():
            known, is_fit = ATTRIBUTES[name]
            if is_fit(value):
                self._span.set_attribute(known, value)  # type: ignore[arg-type]


_OFF = Span()
_tracer: Tracer | None = None


@contextmanager
def span(name: str, *, kind: Kind = "internal", caller: str | None = None, **said: object) -> Iterator[Span]:
    """A step, within the one that is under way. `name` is of ours, as all in `said`; `caller`: a `traceparent`."""
    tracer = _tracer
    if tracer is None:
        yield _OFF
        return
    from opentelemetry import trace as otel  # noqa: PLC0415

    with tracer.start_as_current_span(
        name,
        kind=otel.SpanKind[kind.upper()],
        links=_links(caller),
        record_exception=False,
        set_status_on_exception=False,
    ) as begun:
        told = _Told(begun)
        told.say(**said)
        yield told


def within(name: str, *, system: str, operation: str) -> AbstractContextManager[Span]:
    """The same where something is under way, and nothing where not: for what happens all the time."""
    if not _is_under_way():
        return nullcontext(_OFF)
    return span(name, kind="client", system=system, operation=operation)


def current() -> Span:
    """What is under way."""
    if not _is_under_way():
        return _OFF
    from opentelemetry import trace as otel  # noqa: PLC0415

    return _Told(otel.get_current_span())


def _is_under_way() -> bool:
    if _tracer is None:
        return False
    from opentelemetry import trace as otel  # noqa: PLC0415

    return otel.get_current_span().is_recording()


def _links(caller: str | None) -> list[otel.Link]:
    found = _TRACEPARENT.fullmatch(caller or "")
    if found is None:
        return []
    from opentelemetry import trace as otel  # noqa: PLC0415

    context = otel.SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True)
    return [otel.Link(context)] if context.is_valid else []


def start(settings: Settings) -> Callable[[], None]:
    """Begin to tell the collector of the settings, if there is one; returns what sends the rest and ends it."""
    global _tracer  # noqa: PLW0603 - one for the process
    if not settings.tracing.endpoint:
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased  # noqa: PLC0415

    provider = TracerProvider(
        # Named one by one: what the library finds out by itself includes the command line.
        resource=Resource({"service.name": "sinwon", "service.version": __version__}),
        sampler=TraceIdRatioBased(settings.tracing.ratio),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=settings.tracing.endpoint, timeout=_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = _tracer = provider.get_tracer("sinwon")
    if not event.contains(Engine, "before_cursor_execute", _query_begins):
        event.listen(Engine, "before_cursor_execute", _query_begins)
        event.listen(Engine, "after_cursor_execute", _query_ends)
        event.listen(Engine, "handle_error", _query_failed)

    def stop() -> None:
        global _tracer  # noqa: PLW0603
        if _tracer is tracer:
            _tracer = None
        provider.shutdown()

    return stop


# Queries: what kind of statement, and how long; never the statement, which may name a value.


def _query_begins(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    step = within("query", system=connection.dialect.name, operation=statement.split(None, 1)[0])
    step.__enter__()
    connection.info.setdefault("sinwon_spans", []).append(step)


def _query_ends(connection: Any, *_: Any) -> None:
    if steps := connection.info.get("sinwon_spans"):
        steps.pop().__exit__(None, None, None)


def _query_failed(context: Any) -> None:
    if context.connection is not None:
        _query_ends(context.connection)
