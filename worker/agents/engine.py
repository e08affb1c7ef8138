"""The agent engine: runs one attempt of a run with any agent.

It continues from the events that the run's stream already holds, writes the output of the model and
the tools as further events, and enforces the agent's limits over all attempts of the run.
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

from shared.queue.job import RunChat
from shared.settings import LimitSettings
from shared.streams.events import FinishReason
from shared.streams.transcript import Transcript
from worker.agents.definition import AgentDefinition, AgentRun, AnyAgent
from worker.agents.files import download_files
from worker.agents.history import model_messages
from worker.agents.resume import merge_split_step, resume_point
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

#: The denial that the model receives if the client cannot request the user's approval.
APPROVAL_UNAVAILABLE = (
    "This call was denied: it requires the user's approval, and the user's app cannot request it."
)


class AgentEngine:
    """Runs one agent."""

    def __init__(
        self,
        definition: AgentDefinition,
        agent: AnyAgent,
        models: ModelRegistry,
        *,
        max_steps: Callable[[], int],
        timeouts: Callable[[str], StreamTimeouts],
        max_file_bytes: Callable[[], int] = lambda: LimitSettings().file_bytes,
    ) -> None:
        """`timeouts` takes a model's name. `max_file_bytes` limits files referenced by URL."""
        self.definition = definition
        self.agent = agent
        self._models = models
        self._max_steps = max_steps
        self._timeouts = timeouts
        self._max_file_bytes = max_file_bytes

    async def run(
        self, job: RunChat, transcript: Transcript, writer: RunWriter, meter: UsageMeter
    ) -> FinishReason:
        """Write the rest of the answer to the run's stream, and return why it finished."""
        mapper = EventMapper(transcript, writer.write, asks=job.approvals)
        history = await download_files(model_messages(job.messages), self._max_file_bytes())
        start = resume_point(history, transcript)
        if start.complete:
            return "tool-calls" if start.awaits_client else "stop"
        split = start.split
        limits = self._limits()
        timeouts = self._timeouts(self.definition.model or job.model)
        reason: ModelFinishReason | None = None
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
                        merge_split_step(run.ctx.state.message_history, node.request)
                        split = False
                    mapper.start_step()
                    async with with_timeouts(node.stream(run.ctx), timeouts) as events:
                        async for event in events:
                            mapper.on_model_event(event)
                            await writer.room()
                    mapper.end_response()
                elif Agent.is_call_tools_node(node):
                    await meter.record(run.usage)
                    reason = node.model_response.finish_reason
                    if start.prompt and not node.model_response.parts:
                        break  # the model had nothing left to add to the interrupted text
                    mapper.name_calls(node.model_response)
                    async with node.stream(run.ctx) as tool_events:
                        async for event in tool_events:
                            mapper.on_tool_event(event)
                    mapper.end_step()
        mapper.end_step()
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
        """The definition's or the request's model. None selects the model that the agent has."""
        if self.definition.model is None and self.agent.model is not None:
            return None
        return self._models.get(self.definition.model or job.model)

    def _output_type(self) -> list[type[Any]] | None:
        """Text or client tool calls. pydantic-ai allows no override for agents with validators."""
        validators: object = getattr(self.agent, "_output_validators", None)
        return None if validators else [str, DeferredToolRequests]

    def _request_tools(self, job: RunChat) -> list[AbstractToolset[AgentRun]] | None:
        """The display tools that the request enables, and the client tools that it defines."""
        toolsets: list[AbstractToolset[AgentRun]] = []
        if self.definition.display_tools and job.tools:
            toolsets.append(FunctionToolset(display_tools(job.tools)))
        if job.client_tools:
            toolsets.append(ClientToolset(job.client_tools))
        return toolsets or None


def _deny(_: RunContext[AgentRun], requests: DeferredToolRequests) -> DeferredToolResults | None:
    denied = {call.tool_call_id: ToolDenied(APPROVAL_UNAVAILABLE) for call in requests.approvals}
    return DeferredToolResults(approvals={**denied}) if denied else None
