"""OpenTelemetry's SDK, put together as the variables say. Imported only where tracing is on."""

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

#: How long the end of the process waits for the last spans to be sent.
FLUSH_SECONDS = 3.0


def open_tracer(plan: TracingPlan, service: str) -> Tracer:
    _drop_empty_variables()
    told = SdkLogHandler.install(logging.getLogger("opentelemetry"))
    provider = TracerProvider(
        resource=_resource(service),
        shutdown_on_exit=False,
        id_generator=SpanIds(),
        meter_provider=NoOpMeterProvider(),
    )
    for name in plan.exporters:
        exporter = RedactingExporter(_exporter(name, plan), told)
        processor = BatchSpanProcessor(exporter, meter_provider=NoOpMeterProvider())
        provider.add_span_processor(processor)
    if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        trace.set_tracer_provider(provider)  # the tools of agents may make spans of their own
    return Tracer(provider, lambda: _close(provider))


def _exporter(name: str, plan: TracingPlan) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(plan.endpoint)


def _resource(service: str) -> Resource:
    """What the variables say of the process goes before what is said here."""
    named = Resource.create()
    if str(named.attributes[SERVICE_NAME]).startswith("unknown_service"):
        named = named.merge(Resource({SERVICE_NAME: service}))
    return Resource({SERVICE_VERSION: installed_version()}).merge(named)


def _drop_empty_variables() -> None:
    """The standard takes an empty variable for none; not all of the SDK does."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        if not os.environ[name].strip():
            del os.environ[name]


def _close(provider: TracerProvider) -> None:
    """Send what is left. A collector that does not answer is given up, with its thread."""
    closing = threading.Thread(target=provider.shutdown, name="tracing-close", daemon=True)
    closing.start()
    closing.join(FLUSH_SECONDS)
