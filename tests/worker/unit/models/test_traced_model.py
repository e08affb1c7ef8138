"""The span of a failed model call."""

from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel

from shared.telemetry import tracing
from shared.telemetry.tracing.tracer import Tracer
from worker.models.traced_model import TracedModel, traced


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", Tracer(provider, lambda: None))
    monkeypatch.setattr(
        Agent,
        "_instrument_default",
        InstrumentationSettings(tracer_provider=provider, include_content=False),
    )
    return exporter


async def answer(*texts: str) -> None:
    """Run an agent whose model fails after these texts."""

    async def stream(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[str]:
        for text in texts:
            yield text
        raise ModelHTTPError(503, "m", {"message": "secret"})

    agent = Agent(traced(FunctionModel(stream_function=stream)))
    async with agent.iter("Hi") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as events:
                    async for _ in events:
                        pass


@pytest.mark.parametrize("texts", [(), ("Hello", " there")])
async def test_failed_call_has_error_status_and_type(
    texts: tuple[str, ...], exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(ModelHTTPError):
        await answer(*texts)
    [span] = [span for span in exporter.get_finished_spans() if span.name.startswith("chat ")]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "model_unavailable"
    assert "secret" not in span.to_json()


def test_models_are_not_wrapped_without_tracing() -> None:
    assert not isinstance(traced(TestModel()), TracedModel)
