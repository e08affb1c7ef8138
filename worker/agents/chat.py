"""The ChatAgent: a model, the display tools that the request enables, and no opinions."""

from collections.abc import Callable

from pydantic_ai import Agent, FunctionToolset, UsageLimits
from pydantic_ai.messages import FinishReason as ModelFinishReason

from shared.events import FinishReason
from shared.jobs import RunChat
from shared.transcript import Transcript
from worker.history import history_of
from worker.models import Models
from worker.pace import Pace, paced
from worker.resume import beginning
from worker.tools.display import display_tools
from worker.translate import Translator
from worker.writer import RunWriter

_FINISH_REASONS: dict[ModelFinishReason, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_call": "tool-calls",
    "error": "error",
}


class ChatAgent:
    def __init__(self, models: Models, *, max_steps: int, pace: Callable[[str], Pace]) -> None:
        self._models = models
        #: By the name of the model.
        self._pace = pace
        self._agent = Agent(name="chat")
        self._limits = UsageLimits(request_limit=max_steps)

    async def answer(self, job: RunChat, transcript: Transcript, writer: RunWriter) -> FinishReason:
        """Write the answer, or what is missing of it, and say why it ended."""
        translator = Translator(transcript, writer.write)
        start = beginning(history_of(job.messages), transcript)
        reason: ModelFinishReason | None = None
        if start.complete:
            return "stop"
        async with self._agent.iter(
            start.prompt,
            message_history=start.history,
            deferred_tool_results=start.pending,
            model=self._models.get(job.model),
            toolsets=[FunctionToolset(display_tools(job.tools))] if job.tools else None,
            usage_limits=self._limits,
        ) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    translator.start_step()
                    async with paced(node.stream(run.ctx), self._pace(job.model)) as events:
                        async for event in events:
                            translator.on_model_event(event)
                            await writer.room()
                    translator.end_response()
                elif Agent.is_call_tools_node(node):
                    reason = node.model_response.finish_reason
                    if start.prompt and not node.model_response.parts:
                        break  # there was nothing left to say
                    async with node.stream(run.ctx) as tool_events:
                        async for event in tool_events:
                            translator.on_tool_event(event)
                    translator.end_step()
        translator.end_step()
        return _FINISH_REASONS.get(reason, "other") if reason else "stop"
