"""Sets up OpenTelemetry's SDK. Imported only when tracing is on."""

import logging
import os
import threading

from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import ProxyTracerProvider

from shared.telemetry.tracing.export import RedactingExporter, SdkLogHandler
from shared.telemetry.tracing.tracer import SpanIds, Tracer
from shared.telemetry.tracing.variables import TracingPlan
from shared.version import installed_version

#: Maximum time that the process waits at its end to send the last spans.
FLUSH_SECONDS = 3.0


def open_tracer(plan: TracingPlan, service: str) -> Tracer:
    _drop_empty_variables()
    sdk_log = SdkLogHandler.install(logging.getLogger("opentelemetry"))
    provider = TracerProvider(
        resource=_resource(service),
        shutdown_on_exit=False,
        id_generator=SpanIds(),
        meter_provider=NoOpMeterProvider(),
    )
    for name in plan.exporters:
        exporter = RedactingExporter(_exporter(name, plan), sdk_log)
        processor = BatchSpanProcessor(exporter, meter_provider=NoOpMeterProvider())
        provider.add_span_processor(processor)
    if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        trace.set_tracer_provider(provider)  # so that the tools of agents can create spans
    return Tracer(provider, lambda: _close(provider))


def _exporter(name: str, plan: TracingPlan) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(plan.endpoint)


def _resource(service: str) -> Resource:
    """Return the resource. Values from the variables take precedence."""
    named = Resource.create()
    if str(named.attributes[SERVICE_NAME]).startswith("unknown_service"):
        named = named.merge(Resource({SERVICE_NAME: service}))
    return Resource({SERVICE_VERSION: installed_version()}).merge(named)


def _drop_empty_variables() -> None:
    """Remove empty variables. By the standard they are unset, but parts of the SDK read them."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        if not os.environ[name].strip():
            del os.environ[name]


def _close(provider: TracerProvider) -> None:
    """Send the remaining spans for a bounded time, and abandon the thread after it."""
    closing = threading.Thread(target=provider.shutdown, name="tracing-close", daemon=True)
    closing.start()
    closing.join(FLUSH_SECONDS)
