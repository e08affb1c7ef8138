"""Marks the spans of failed model calls, which pydantic-ai leaves unmarked if a stream fails."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext

from shared.telemetry import tracing
from worker.models.run_failures import failure_of


class TracedModel(WrapperModel):
    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        span = tracing.current()
        try:
            async with super().request_stream(
                messages, model_settings, model_request_parameters, run_context
            ) as response:
                yield response
        except Exception as error:
            span.fail(failure_of(error).code)
            raise


def traced(model: Model) -> Model:
    """Return the model with marked spans if tracing is on."""
    return TracedModel(model) if tracing.active() else model
