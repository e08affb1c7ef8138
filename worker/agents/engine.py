"""The engine: one attempt at an answer, by any agent.

It goes on from what the log already shows, writes what the model and the tools do as the run's
events, and holds the run to its agent's limits over all attempts.
"""

from collections.abc import Callable
from typing import Any

from pydantic_ai import (
    Agent,
    DeferredToolRequests,
    DeferredToolResults,
    FunctionToolset,
    RunContext,
    ToolDenied,
    UsageLimits,
)
from pydantic_ai.capabilities import HandleDeferredToolCalls
from pydantic_ai.messages import FinishReason as ModelFinishReason
from pydantic_ai.models import Model
from pydantic_ai.toolsets import AbstractToolset

from shared.queue.job_queue import RunChat
from shared.settings import LimitSettings
from shared.streams.events import FinishReason
from shared.streams.transcript import Transcript
from worker.agents.definition import AgentDefinition, AgentRun, AnyAgent
from worker.agents.files import with_files
from worker.agents.history import history_of
from worker.agents.resume import beginning, rejoin
from worker.jobs.usage import UsageMeter
from worker.models.registry import ModelRegistry
from worker.models.stream_timeouts import StreamTimeouts, with_timeouts
from worker.output.event_mapper import EventMapper
from worker.output.writer import RunWriter
from worker.tools.client import ClientToolset
from worker.tools.display import display_tools

_FINISH_REASONS: dict[ModelFinishReason, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_call": "tool-calls",
    "error": "error",
}

#: What the model is told where nobody can be asked.
CANNOT_ASK = (
    "This call was denied: it needs the user's approval, and the user's app cannot ask for it."
)


class AgentEngine:
    """An agent that is ready to answer."""

    def __init__(
        self,
        definition: AgentDefinition,
        agent: AnyAgent,
        models: ModelRegistry,
        *,
        max_steps: Callable[[], int],
        pace: Callable[[str], StreamTimeouts],
        file_bytes: Callable[[], int] = lambda: LimitSettings().file_bytes,
    ) -> None:
        self.definition = definition
        self.agent = agent
        self._models = models
        self._max_steps = max_steps
        #: By the name of the model.
        self._pace = pace
        #: Of a file that stands at an address.
        self._file_bytes = file_bytes

    async def answer(
        self, job: RunChat, transcript: Transcript, writer: RunWriter, meter: UsageMeter
    ) -> FinishReason:
        """Write the answer, or what is missing of it, and say why it ended."""
        translator = EventMapper(transcript, writer.write, asks=job.approvals)
        history = await with_files(history_of(job.messages), self._file_bytes())
        start = beginning(history, transcript)
        split = start.split
        limits, pace = self._limits(), self._pace(self.definition.model or job.model)
        reason: ModelFinishReason | None = None
        if start.complete:
            return "tool-calls" if start.pending else "stop"
        async with self.agent.iter(
            start.prompt,
            message_history=start.history,
            output_type=self._output_type(),
            deferred_tool_results=start.approved,
            deps=AgentRun(job.run_id, job.chat_id, job.request_id),
            model=self._model(job),
            toolsets=self._request_tools(job),
            capabilities=None if job.approvals else [HandleDeferredToolCalls(_deny)],
            usage_limits=limits,
            usage=await meter.begin(transcript, limits),
        ) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    if split:
                        rejoin(run.ctx.state.message_history, node.request)
                        split = False
                    translator.start_step()
                    async with with_timeouts(node.stream(run.ctx), pace) as events:
                        async for event in events:
                            translator.on_model_event(event)
                            await writer.room()
                    translator.end_response()
                elif Agent.is_call_tools_node(node):
                    await meter.record(run.usage)
                    reason = node.model_response.finish_reason
                    if start.prompt and not node.model_response.parts:
                        break  # there was nothing left to say
                    translator.name_calls(node.model_response)
                    async with node.stream(run.ctx) as tool_events:
                        async for event in tool_events:
                            translator.on_tool_event(event)
                    translator.end_step()
        translator.end_step()
        if run.result is not None and isinstance(run.result.output, DeferredToolRequests):
            return "tool-calls"
        return _FINISH_REASONS.get(reason, "other") if reason else "stop"

    def _limits(self) -> UsageLimits:
        limits, steps = self.definition.limits, self._max_steps()
        return UsageLimits(
            request_limit=min(steps, limits.steps or steps),
            total_tokens_limit=limits.tokens,
            cost_limit=limits.cost,
        )

    def _model(self, job: RunChat) -> Model | None:
        """The definition's model, the one that the agent was built with, or the request's."""
        if self.definition.model is None and self.agent.model is not None:
            return None
        return self._models.get(self.definition.model or job.model)

    def _output_type(self) -> list[type[Any]] | None:
        """A text, or calls for the client. An agent that checks its texts cannot have others."""
        checked: object = getattr(self.agent, "_output_validators", None)
        return None if checked else [str, DeferredToolRequests]

    def _request_tools(self, job: RunChat) -> list[AbstractToolset[AgentRun]] | None:
        """Those that the request enables, and those that it brings."""
        toolsets: list[AbstractToolset[AgentRun]] = []
        if self.definition.display_tools and job.tools:
            toolsets.append(FunctionToolset(display_tools(job.tools)))
        if job.client_tools:
            toolsets.append(ClientToolset(job.client_tools))
        return toolsets or None


def _deny(_: RunContext[AgentRun], requests: DeferredToolRequests) -> DeferredToolResults | None:
    denied = {call.tool_call_id: ToolDenied(CANNOT_ASK) for call in requests.approvals}
    return DeferredToolResults(approvals={**denied}) if denied else None
