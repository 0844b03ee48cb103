"""A span for each request, named by the house's template of its address, with what the audit says of it."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask, Response, g, request

from idp import tracing
from idp.events import Happened, listen
from idp.views.event_words import reason_of


class Traces:
    """Tells the collector of every request of one application. Installed where `tracing.endpoint` is set."""

    def __init__(self) -> None:
        self.close = listen(self._hear)

    def install(self, app: Flask) -> None:
        """After the frame, which gives a request its correlation id."""
        app.before_request(self._begin)
        app.after_request(self._end)
        app.teardown_request(self._close)

    def _begin(self) -> None:
        # A method and a path that nobody serves may be any words of the outside.
        rule = request.url_rule.rule if request.url_rule is not None else None
        g.trace = ExitStack()
        g.trace_span = g.trace.enter_context(
            tracing.span(
                f"{request.method} {rule}" if rule else "unknown",
                kind="server",
                caller=request.headers.get("traceparent"),
                correlation_id=g.correlation_id,
                route=rule,
                method=request.method if rule else None,
            )
        )

    def _end(self, response: Response) -> Response:
        if "trace_span" in g:  # not where a request was refused before it was looked at
            g.trace_span.say(status=response.status_code)
        return response

    def _close(self, _error: BaseException | None) -> None:
        if "trace" in g:
            g.trace.close()

    def _hear(self, happened: Happened) -> None:
        """Events come once they are committed, in the thread of the request that wrote them."""
        tracing.current().say(
            event=happened.event.value, portal=happened.client_id, reason=reason_of(happened) or None
        )
