"""The agent engine: runs one attempt of a run with any agent.

It continues from the events that the run's stream already holds, writes the output of the model and
the tools as further events, and enforces the agent's limits over all attempts of the run.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic_ai import (
    Agent,
    CallToolsNode,
    DeferredToolRequests,
    DeferredToolResults,
    FunctionToolset,
    ModelRequestNode,
    RunContext,
    ToolDenied,
    UsageLimits,
)
from pydantic_ai.capabilities import (
    AbstractCapability,
    AgentCapability,
    HandleDeferredToolCalls,
    Instrumentation,
)
from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
)
from pydantic_ai.messages import FinishReason as ModelFinishReason
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRun as AgentIteration
from pydantic_ai.toolsets import AbstractToolset
from pydantic_ai.usage import RunUsage

from shared.queue.job import RunChat
from shared.streams.events import FinishReason
from shared.streams.transcript import Transcript
from worker.agents.call_settings import requested_settings
from worker.agents.definition import AgentDefinition, AnyAgent
from worker.agents.files import download_files
from worker.agents.history import model_messages
from worker.agents.resume import ResumePoint, merge_continued_step, merge_split_step, resume_point
from worker.agents.usage import UsageMeter
from worker.models.registry import ModelRegistry, streams_unchanged
from worker.models.stream_timeouts import StreamTimeouts, TimedEvents, with_timeouts
from worker.output.event_mapper import EventMapper
from worker.output.writer import RunWriter
from worker.tools.client import ClientToolset
from worker.tools.context import AgentRun
from worker.tools.display import display_tools

#: Implementations of `wrap_model_request` that never replace the response. `Hooks` and wrappers are
#: not listed, because they can replace it.
_KEEP_RESPONSES = (AbstractCapability.wrap_model_request, Instrumentation.wrap_model_request)
_FINISH_REASONS: dict[ModelFinishReason, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    # Some servers report `tool_calls` without sending any. Real pending calls end the run with
    # `DeferredToolRequests`.
    "tool_call": "stop",
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
        max_file_bytes: Callable[[], int],
    ) -> None:
        """`timeouts` takes a model's name. `max_file_bytes` limits files referenced by URL."""
        self.definition = definition
        self.agent = agent
        self._models = models
        self._max_steps = max_steps
        self._timeouts = timeouts
        self._max_file_bytes = max_file_bytes

    async def run(
        self,
        job: RunChat,
        transcript: Transcript,
        writer: RunWriter,
        meter: UsageMeter,
        *,
        on_prepared: Callable[[], None],
    ) -> FinishReason:
        """Write the rest of the answer to the run's stream, and return why it finished.

        Calls `on_prepared` before each model request.
        """
        mapper = EventMapper(transcript, writer.write, request_approvals=job.approvals)
        history = await download_files(model_messages(job.messages), self._max_file_bytes())
        start = resume_point(history, transcript)
        if start.complete:
            return "tool-calls" if start.awaits_client else "stop"
        timeouts = self._timeouts(self.definition.model or job.model)
        steps = _StepWriter(
            start,
            mapper,
            writer,
            meter,
            timeouts,
            answered_by=self._answered_by(job),
            on_prepared=on_prepared,
        )
        limits = self._limits()
        usage = await meter.begin(transcript, limits)
        model = self._model(job)
        history = [*await self._system_prompts(job, start, model), *start.history]
        async with self._iterate(job, start, history, model, limits, usage) as iteration:
            await steps.write(iteration)
        mapper.end_step()
        result = iteration.result
        if result is not None and isinstance(result.output, DeferredToolRequests):
            return "tool-calls"
        return steps.finish_reason

    async def _system_prompts(
        self, job: RunChat, start: ResumePoint, model: Model | None
    ) -> list[ModelMessage]:
        """Return the agent's system prompts, which pydantic-ai leaves out if there is a history."""
        if not start.history:
            return []
        parts = await self.agent.system_prompt_parts(
            deps=_deps(job), model=model, message_history=start.history
        )
        # pydantic-ai would evaluate dynamic prompts of the history again.
        evaluated = [replace(part, dynamic_ref=None) for part in parts]
        return [ModelRequest(parts=evaluated)] if evaluated else []

    def _iterate(
        self,
        job: RunChat,
        start: ResumePoint,
        history: list[ModelMessage],
        model: Model | None,
        limits: UsageLimits,
        usage: RunUsage,
    ) -> AbstractAsyncContextManager[AgentIteration[Any, Any]]:
        return self.agent.iter(
            start.prompt,
            message_history=history,
            output_type=self._output_type(),
            deferred_tool_results=start.approved,
            deps=_deps(job),
            model=model,
            model_settings=requested_settings(job.settings),
            toolsets=self._request_tools(job),
            capabilities=self._capabilities(job),
            usage_limits=limits,
            usage=usage,
        )

    def _limits(self) -> UsageLimits:
        limits, steps = self.definition.limits, self._max_steps()
        return UsageLimits(
            request_limit=min(steps, limits.steps or steps),
            total_tokens_limit=limits.tokens,
            cost_limit=limits.cost,
        )

    def _model(self, job: RunChat) -> Model | None:
        """Return the definition's or the request's model. None selects the agent's own model."""
        if self.definition.model is None and self.agent.model is not None:
            return None
        return self._models.get(self.definition.model or job.model)

    def _answered_by(self, job: RunChat) -> Callable[[ModelResponse], str]:
        """Return a function that names the model of a response."""
        return partial(self._models.answered_by, self.definition.model or job.model)

    def _output_type(self) -> list[type[Any]] | None:
        """Text, client tool calls, or nothing: some models end with reasoning only.

        pydantic-ai allows no override for agents with validators.
        """
        validators: object = getattr(self.agent, "_output_validators", None)
        return None if validators else [str, DeferredToolRequests, type(None)]

    def _capabilities(self, job: RunChat) -> list[AgentCapability[AgentRun]] | None:
        """Deny calls that require an approval if the client cannot request it.

        Capabilities take time in each run, so agents that define no tools have none.
        """
        if job.approvals or not any(map(_may_have_tools, self.agent.toolsets)):
            return None
        return [HandleDeferredToolCalls(_deny)]

    def _request_tools(self, job: RunChat) -> list[AbstractToolset[AgentRun]] | None:
        """Return the display tools and the client tools that the request enables."""
        toolsets: list[AbstractToolset[AgentRun]] = []
        if self.definition.display_tools and job.tools:
            toolsets.append(FunctionToolset(display_tools(job.tools)))
        if job.client_tools:
            toolsets.append(ClientToolset(job.client_tools))
        return toolsets or None


class _StepWriter:
    """Writes the steps of an agent to the run's stream, and counts their usage."""

    def __init__(
        self,
        start: ResumePoint,
        mapper: EventMapper,
        writer: RunWriter,
        meter: UsageMeter,
        timeouts: StreamTimeouts,
        *,
        answered_by: Callable[[ModelResponse], str],
        on_prepared: Callable[[], None],
    ) -> None:
        self._continues_text = start.prompt is not None
        self._split = start.split
        self._mapper = mapper
        self._writer = writer
        self._meter = meter
        self._timeouts = timeouts
        self._answered_by = answered_by
        self._on_prepared = on_prepared
        self._reason: ModelFinishReason | None = None

    @property
    def finish_reason(self) -> FinishReason:
        """The finish reason of the last model response."""
        return _FINISH_REASONS.get(self._reason, "other") if self._reason else "stop"

    async def write(self, iteration: AgentIteration[Any, Any]) -> None:
        has_results = False
        async for node in iteration:
            if Agent.is_model_request_node(node):
                if has_results:
                    # The next model request starts when the results are stored. If another worker
                    # has taken over the run meanwhile, the stream refuses them.
                    await self._writer.drain()
                await self._write_response(node, iteration)
            elif Agent.is_call_tools_node(node):
                answered_by = self._answered_by(node.model_response)
                self._meter.record(iteration.usage, answered_by)
                await self._meter.count()
                self._reason = node.model_response.finish_reason
                if self._continues_text and not node.model_response.parts:
                    break  # the model had nothing left to add to the interrupted text
                await self._write_tool_results(node, iteration)
                has_results = True

    async def _write_response(
        self, node: ModelRequestNode[Any, Any], iteration: AgentIteration[Any, Any]
    ) -> None:
        history = iteration.ctx.state.message_history
        if self._split:
            merge_split_step(history, node.request)
            self._split = False
        merge_continued_step(history)
        await self._meter.start_request([*history, node.request], iteration.ctx.deps.model)
        self._mapper.start_step()
        self._on_prepared()
        waiting: TimedEvents[AgentStreamEvent] | None = None
        has_chat_events = False

        def prepare_write() -> bool:
            """Restart the silence timeout, and return whether text may be written."""
            if waiting is not None:
                waiting.extend()
            return has_chat_events and self._writer.has_capacity

        with ExitStack() as offer:
            if self._allows_shortcut(iteration):
                offer.enter_context(self._mapper.new_shortcut(prepare_write).offer())
            async with with_timeouts(node.stream(iteration.ctx), self._timeouts) as waiting:
                has_chat_events = streams_unchanged(_model_of(node))
                async for event in waiting:
                    self._mapper.on_model_event(event)
                    await self._writer.wait_for_capacity()
                    if self._meter.estimates:
                        await self._meter.observe(event)
        self._mapper.end_response()

    def _allows_shortcut(self, iteration: AgentIteration[Any, Any]) -> bool:
        """Return whether text may take the shortcut around pydantic-ai.

        Returns False if a budget counts each event, or if a capability could change events or
        replace the response during the stream.
        """
        root = iteration.ctx.deps.root_capability
        if self._meter.estimates or root.has_wrap_run_event_stream or root.has_on_event:
            return False
        capabilities: list[AbstractCapability[Any]] = []
        root.apply(capabilities.append)
        return all(type(each).wrap_model_request in _KEEP_RESPONSES for each in capabilities)

    async def _write_tool_results(
        self, node: CallToolsNode[Any, Any], iteration: AgentIteration[Any, Any]
    ) -> None:
        self._mapper.add_sources(node.model_response)
        self._mapper.restore_call_ids(node.model_response)
        async with node.stream(iteration.ctx) as events:
            async for event in events:
                self._mapper.on_tool_event(event)
                if isinstance(event, FunctionToolCallEvent):
                    # The tool starts when its call is stored. A later attempt then makes the same
                    # call, with the same idempotency key, instead of calling the model again.
                    await self._writer.drain()
        self._mapper.end_step()


def _model_of(node: ModelRequestNode[Any, Any]) -> Model | None:
    """Return the model of a request whose stream is open, with the wrappers of capabilities."""
    return getattr(node, "_serving_model", None)


def _may_have_tools(toolset: AbstractToolset[Any]) -> bool:
    return not isinstance(toolset, FunctionToolset) or bool(toolset.tools)


def _deps(job: RunChat) -> AgentRun:
    return AgentRun(job.run_id, job.chat_id, job.request_id)


def _deny(_: RunContext[AgentRun], requests: DeferredToolRequests) -> DeferredToolResults | None:
    denied = {call.tool_call_id: ToolDenied(APPROVAL_UNAVAILABLE) for call in requests.approvals}
    return DeferredToolResults(approvals={**denied}) if denied else None
