"""What leaves the process, whatever a span holds."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode

from shared.telemetry.tracing.redaction import GEN_AI_ATTRIBUTES, MAMBA_ATTRIBUTES, redact

WORDS = "the words of somebody"


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def spoken(scope: str, name: str = "chat gpt-4o") -> ReadableSpan:
    """A span that says more than it should, as it was made."""
    kept, provider = Kept(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with provider.get_tracer(scope).start_as_current_span(name) as span:
        for attribute in MAMBA_ATTRIBUTES | GEN_AI_ATTRIBUTES:
            span.set_attribute(attribute, WORDS)
        span.set_attribute("gen_ai.tool.definitions", "listed-nowhere")
        span.set_attribute("gen_ai.response.finish_reasons", ["stop", WORDS])
        span.add_event("words", {"said": WORDS})
        span.record_exception(ValueError(WORDS))
        span.set_status(Status(StatusCode.ERROR, WORDS))
    return kept.spans[0]


@pytest.mark.parametrize("scope", ["mamba", "pydantic-ai"])
def test_words_stay(scope: str) -> None:
    cleaned = redact(spoken(scope))

    assert WORDS not in cleaned.to_json()
    assert cleaned.attributes == {"error.type": "ValueError"}
    assert [event.name for event in cleaned.events] == ["exception"]
    assert cleaned.events[0].attributes == {"exception.type": "ValueError"}
    assert cleaned.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("scope", ["mamba", "pydantic-ai"])
def test_who_and_when_stays_as_it_is(scope: str) -> None:
    span = spoken(scope)
    cleaned = redact(span)

    assert cleaned.name == "chat gpt-4o"
    for kept in ("context", "parent", "start_time", "end_time", "kind", "links", "resource"):
        assert getattr(cleaned, kept) == getattr(span, kept)


def test_a_name_is_a_verb_and_a_word() -> None:
    assert redact(spoken("pydantic-ai", f"execute_tool {WORDS}")).name == "execute_tool"
    assert (
        redact(spoken("mamba", "GET /chat/{chat_id}/stream")).name == "GET /chat/{chat_id}/stream"
    )


def test_the_spans_of_an_agents_own_code_are_its_own() -> None:
    span = spoken("my.agent")

    assert redact(span) is span
