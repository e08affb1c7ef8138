"""An OTLP collector that receives spans as protobuf over HTTP and can be made to fail."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, cast

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.wait import until

CollectorBehavior = Literal["accept", "refuse", "hang"]


@dataclass(frozen=True)
class ReceivedSpan:
    """A span that the collector received."""

    service: str
    scope: str
    name: str
    #: `server`, `producer`, …
    kind: str
    trace_id: str
    id: str
    #: Empty for the root span.
    parent: str
    attributes: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]]
    #: Ids of the linked traces.
    links: Sequence[str]
    failed: bool
    #: Unix time in nanoseconds.
    ended_at: int


class Collector:
    """A context manager. With `environment`, a process sends its spans here within 50 ms."""

    def __init__(self, behavior: CollectorBehavior = "accept") -> None:
        self.behavior = behavior
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    @property
    def spans(self) -> list[ReceivedSpan]:
        return [span for body in list(self.bodies) for span in _spans(body)]

    async def find(
        self, matches: Callable[[ReceivedSpan], object], *, count: int = 1
    ) -> list[ReceivedSpan]:
        """Wait for at least `count` matching spans and return them."""

        async def probe() -> list[ReceivedSpan]:
            found = [span for span in self.spans if matches(span)]
            return found if len(found) >= count else []

        return await until(probe)

    async def trace_of_run(self, run_id: str, *names: str) -> list[ReceivedSpan]:
        """The trace of a run, once it has a span for each of these names (which may repeat)."""
        [enqueued] = await self.find(
            lambda s: s.kind == "producer" and s.attributes["messaging.message.id"] == run_id
        )

        async def probe() -> list[ReceivedSpan]:
            trace = [span for span in self.spans if span.trace_id == enqueued.trace_id]
            return trace if Counter(names) <= Counter(span.name for span in trace) else []

        return await until(probe)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                if collector.behavior == "hang":
                    collector._closing.wait()
                    return
                if collector.behavior == "accept" and self.path == "/v1/traces":
                    collector.bodies.append(body)
                self.send_response(200 if collector.behavior == "accept" else 401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object, **__: object) -> None:
                pass

        return Handler


def _spans(body: bytes) -> list[ReceivedSpan]:
    kinds = ("unspecified", "internal", "server", "client", "producer", "consumer")
    request = ExportTraceServiceRequest.FromString(body)
    return [
        ReceivedSpan(
            service=cast("str", _dict(resource.resource.attributes)["service.name"]),
            scope=scope.scope.name,
            name=span.name,
            kind=kinds[span.kind],
            trace_id=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            attributes=_dict(span.attributes),
            events=[(event.name, _dict(event.attributes)) for event in span.events],
            links=[link.trace_id.hex() for link in span.links],
            failed=span.status.code == 2,
            ended_at=span.end_time_unix_nano,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _dict(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
