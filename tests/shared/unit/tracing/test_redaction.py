"""Redaction of spans before their export."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode

from shared.telemetry.tracing.redaction import GEN_AI_ATTRIBUTES, MAMBA_ATTRIBUTES, redact

USER_CONTENT = "text of a user"


class RecordingExporter(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def recorded_span(scope: str, name: str = "chat gpt-4o") -> ReadableSpan:
    """Return a span with user content in every attribute."""
    exporter, provider = RecordingExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer(scope).start_as_current_span(name) as span:
        for attribute in MAMBA_ATTRIBUTES | GEN_AI_ATTRIBUTES:
            span.set_attribute(attribute, USER_CONTENT)
        span.set_attribute("gen_ai.tool.definitions", "listed-nowhere")
        span.set_attribute("gen_ai.response.finish_reasons", ["stop", USER_CONTENT])
        span.add_event("content", {"text": USER_CONTENT})
        span.record_exception(ValueError(USER_CONTENT))
        span.set_status(Status(StatusCode.ERROR, USER_CONTENT))
    return exporter.spans[0]


@pytest.mark.parametrize("scope", ["mamba", "pydantic-ai"])
def test_redact_removes_user_content(scope: str) -> None:
    redacted = redact(recorded_span(scope))

    assert USER_CONTENT not in redacted.to_json()
    assert redacted.attributes == {"error.type": "ValueError"}
    assert [event.name for event in redacted.events] == ["exception"]
    assert redacted.events[0].attributes == {"exception.type": "ValueError"}
    assert redacted.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("scope", ["mamba", "pydantic-ai"])
def test_redact_keeps_name_ids_and_times(scope: str) -> None:
    span = recorded_span(scope)
    redacted = redact(span)

    assert redacted.name == "chat gpt-4o"
    for field in ("context", "parent", "start_time", "end_time", "kind", "links", "resource"):
        assert getattr(redacted, field) == getattr(span, field)


def test_span_name_loses_a_target_that_is_no_identifier() -> None:
    assert (
        redact(recorded_span("pydantic-ai", f"execute_tool {USER_CONTENT}")).name == "execute_tool"
    )
    assert (
        redact(recorded_span("mamba", "GET /chat/{chat_id}/stream")).name
        == "GET /chat/{chat_id}/stream"
    )


def test_redact_ignores_spans_of_other_scopes() -> None:
    span = recorded_span("my.agent")

    assert redact(span) is span
