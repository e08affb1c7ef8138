"""A request's spans: one until its response starts, and one for the stream that it may be.

The request's span ends where its duration is measured (`mamba_http_request_duration_seconds`): of a
stream, at its first byte. So a trace has its root while the answer is still being made, and loses
it to no process that is killed meanwhile. How long the client stayed is a span below it.

The route's template is told, not the path: a chat's id holds its user's words. Imported only where
tracing is on.
"""

from http import HTTPMethod

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.request_id import request_id_of
from api.http.request_log import PROBES, is_stream, route_of
from shared.telemetry.tracing.tracer import RecordedSpan, Tracer

_METHODS = frozenset(HTTPMethod)


class TracingMiddleware:
    """Outside of the request log: its lines have the span's ids."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
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
            exchange.end()


class _TracedExchange:
    """One request and its response, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, tracer: Tracer) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        self._scope = scope
        self._receive = receive
        self._send = send
        self._tracer = tracer
        self._method = "HTTP" if method == "_OTHER" else method
        attributes = {
            "http.request.method": method,
            "mamba.request.id": request_id_of(scope),
            "network.protocol.version": scope.get("http_version"),
            "url.scheme": scope.get("scheme"),
        }
        self.span = tracer.start(self._method, "server", attributes, _parent(scope))
        self._stream: RecordedSpan | None = None
        self._sent_bytes = 0
        self._ended = False
        self._client_gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._client_gone = self._client_gone or not self._ended
        return message

    async def send(self, message: Message) -> None:
        # Before it goes out: a client that has its whole answer finds the spans ended.
        if message["type"] == "http.response.start":
            self._begin(message)
        else:
            self._sent_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._ended = True
                self.end()
        await self._send(message)

    def _begin(self, response: Message) -> None:
        status: int = response["status"]
        self._name()
        self.span.set({"http.response.status_code": status})
        if status >= 500:
            self.span.fail(str(status))
        if is_stream(response["headers"]):
            below = trace.set_span_in_context(trace.get_current_span())
            self._stream = self._tracer.start("stream", "internal", {}, below)
            self.span.end()

    def end(self) -> None:
        self._name()
        self.span.end()
        if self._stream is not None and self._stream.recorded:
            outcome = "complete" if self._ended else "client_gone" if self._client_gone else "cut"
            told = {"mamba.stream.outcome": outcome, "mamba.stream.bytes": self._sent_bytes}
            self._stream.set(told)
            self._stream.end()

    def _name(self) -> None:
        # It has ended where a stream goes on, or the whole response was sent.
        if self.span.recorded and (route := route_of(self._scope)):
            self.span.rename(f"{self._method} {route}")
            self.span.set({"http.route": route})


def _parent(scope: Scope) -> Context:
    """Where the request says that it belongs to. Of what else it carries nothing is taken over."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    said = trace.get_current_span(propagate.extract(headers, Context()))
    return trace.set_span_in_context(said, Context())
