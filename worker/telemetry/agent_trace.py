"""pydantic-ai's own spans, of agents, model calls and tools, without a word of the conversation.

What they hold is narrowed once more on its way out (`shared/telemetry/tracing/redaction.py`); here
nothing is made that would be dropped there. Imported only where tracing is on.
"""

from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings

from shared.telemetry.tracing.tracer import Tracer


class _Wordless(InstrumentationSettings):
    """Even without its content a conversation's shape would be written out, with each request."""

    def messages_to_otel_messages(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def handle_messages(self, *_: Any, **__: Any) -> None:
        pass

    def system_instructions_attributes(self, *_: Any, **__: Any) -> dict[str, str]:
        return {}


def trace_agents(tracer: Tracer) -> None:
    """Trace all agents of this process that are not told otherwise."""
    settings = _Wordless(
        tracer_provider=tracer.provider,
        meter_provider=NoOpMeterProvider(),
        include_content=False,
        include_binary_content=False,
        include_model_request_parameters=False,
    )
    Agent.instrument_all(settings)
