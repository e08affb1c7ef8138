"""Recorded spans. Imported only when tracing is on."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.telemetry.tracing.spans import Attributes, Carrier, Kind, Span

#: The instrumentation scope of Mamba's spans.
SCOPE = "mamba"

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
#: The format between Mamba's processes, independent of OTEL_PROPAGATORS.
_W3C = TraceContextTextMapPropagator()
#: The id of the next span instead of a random one.
_given_id: ContextVar[int | None] = ContextVar("given_id", default=None)


class SpanIds(RandomIdGenerator):
    """Generates random ids, except for spans that another process started."""

    def generate_span_id(self) -> int:
        return _given_id.get() or super().generate_span_id()


class RecordedSpan(Span):
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def carrier(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return carrier

    @property
    def recorded(self) -> bool:
        return self._span.is_recording()

    @property
    def id(self) -> str:
        return f"{self._span.get_span_context().span_id:016x}"

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(_without_none(attributes))

    def link(self, carrier: Carrier) -> None:
        found = _span_context(carrier)
        if found.is_valid and found.trace_id != self._span.get_span_context().trace_id:
            self._span.add_link(found)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        if self._span.is_recording():
            self._span.end()


class Tracer:
    """The tracer of a process. `close` sends the remaining spans."""

    def __init__(self, provider: TracerProvider, close: Callable[[], None]) -> None:
        self.provider = provider
        self.close = close
        self._tracer = provider.get_tracer(SCOPE)

    @contextmanager
    def span(
        self, name: str, kind: Kind, attributes: Attributes, parent: Carrier | None
    ) -> Generator[RecordedSpan]:
        context = None if parent is None else context_of(parent)
        started = self.start(name, kind, attributes, context)
        with self.within(started):
            try:
                yield started
            except Exception as error:
                started.fail(type(error).__qualname__)
                raise
            finally:
                started.end()

    def start(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        context: Context | None,
        *,
        began_at: int | None = None,
        span_id: str | None = None,
    ) -> RecordedSpan:
        """Start a span that the caller ends.

        `began_at` (Unix nanoseconds) and `span_id` re-create a span that another process started.
        """
        token = _given_id.set(int(span_id, 16) if span_id else None)
        try:
            return RecordedSpan(
                self._tracer.start_span(
                    name,
                    context,
                    kind=_KINDS[kind],
                    attributes=_without_none(attributes),
                    start_time=began_at,
                )
            )
        finally:
            _given_id.reset(token)

    @contextmanager
    def within(self, span: RecordedSpan) -> Generator[None]:
        """Make the span current. Exceptions are not recorded; they may hold user content."""
        with trace.use_span(
            span._span,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (same module)
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield

    def current(self) -> Span:
        return RecordedSpan(trace.get_current_span())

    def ids(self) -> dict[str, str]:
        now = trace.get_current_span().get_span_context()
        if not now.is_valid:
            return {}
        return {"trace_id": f"{now.trace_id:032x}", "span_id": f"{now.span_id:016x}"}


def context_of(carrier: Carrier) -> Context:
    """Return a context that contains only this parent."""
    return _W3C.extract(carrier, Context())


def _span_context(carrier: Carrier) -> SpanContext:
    return trace.get_current_span(context_of(carrier)).get_span_context()


def _without_none(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}
