"""pydantic-ai's spans of agents, model calls and tools, without the conversation's content.

`shared/telemetry/tracing/redaction.py` filters the attributes again on export; this module avoids
creating what would be dropped there. Imported only if tracing is on.
"""

from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings

from shared.telemetry.tracing.tracer import Tracer


class _ContentFreeSettings(InstrumentationSettings):
    """Skips message attributes.

    Even with `include_content=False`, pydantic-ai writes each message's structure to every span.
    """

    def messages_to_otel_messages(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def handle_messages(self, *_: Any, **__: Any) -> None:
        pass

    def system_instructions_attributes(self, *_: Any, **__: Any) -> dict[str, str]:
        return {}


def trace_agents(tracer: Tracer) -> None:
    """Instrument all agents of this process."""
    settings = _ContentFreeSettings(
        tracer_provider=tracer.provider,
        meter_provider=NoOpMeterProvider(),
        include_content=False,
        include_binary_content=False,
        include_model_request_parameters=False,
    )
    Agent.instrument_all(settings)
