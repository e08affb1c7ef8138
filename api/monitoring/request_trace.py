"""Records a span for each request, and a child span for the event stream that it may open.

The request's span ends when the response starts, as `mamba_http_request_duration_seconds` does. A
trace therefore has its root while the run is still in progress, even if this process is killed
later. The child span covers the time that the client stays connected.

Import this module only if tracing is on.
"""

from collections.abc import Iterable
from http import HTTPMethod

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.exchange import PROBE_ROUTES, Exchange, is_event_stream
from api.http.request_id import request_id_of
from shared.telemetry.tracing.tracer import RecordedSpan, Tracer

_METHODS = frozenset(HTTPMethod)


class TracingMiddleware:
    """Traces requests. Wrap the request log with it, so that log lines contain the span's ids."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBE_ROUTES:
            await self._app(scope, receive, send)
            return
        exchange = _TracedExchange(scope, receive, send, self._tracer)
        try:
            with self._tracer.within(exchange.span):
                await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            exchange.span.fail(type(error).__qualname__)
            raise
        finally:
            exchange.on_response_end()


class _TracedExchange(Exchange):
    def __init__(self, scope: Scope, receive: Receive, send: Send, tracer: Tracer) -> None:
        super().__init__(scope, receive, send)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        self._tracer = tracer
        self._span_method = "HTTP" if method == "_OTHER" else method
        attributes = {
            "http.request.method": method,
            "mamba.request.id": request_id_of(scope),
            "network.protocol.version": scope.get("http_version"),
            "url.scheme": scope.get("scheme"),
        }
        self.span = tracer.start(self._span_method, "server", attributes, _parent(scope))
        self._stream_span: RecordedSpan | None = None

    def on_response_start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._set_route()
        self.span.set({"http.response.status_code": status})
        if status >= 500:
            self.span.fail(str(status))
        if is_event_stream(headers):
            parent = trace.set_span_in_context(trace.get_current_span())
            self._stream_span = self._tracer.start("stream", "internal", {}, parent)
            self.span.end()

    def on_response_end(self) -> None:
        self._set_route()
        self.span.end()
        if self._stream_span is not None and self._stream_span.recorded:
            attributes = {
                "mamba.stream.outcome": self.outcome,
                "mamba.stream.bytes": self.sent_bytes,
            }
            self._stream_span.set(attributes)
            self._stream_span.end()

    def _set_route(self) -> None:
        # A span that has ended cannot be changed.
        if self.span.recorded and (route := self.route):
            self.span.rename(f"{self._span_method} {route}")
            self.span.set({"http.route": route})


def _parent(scope: Scope) -> Context:
    """Return the span named by the request's trace headers, without baggage or other context."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    span = trace.get_current_span(propagate.extract(headers, Context()))
    return trace.set_span_in_context(span, Context())
