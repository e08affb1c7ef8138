"""What an agent is, before a worker has built it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelResponse, ToolCallPart

from shared.agents.card import AgentLimits, AgentName, AgentRetries
from shared.errors import SettingsError
from shared.redis.keys import MAIN_QUEUE
from shared.settings.live_settings import LiveSettings
from worker.models.registry import ModelRegistry

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AgentRun:
    """The run that a tool works for: the `deps` of each agent's run."""

    run_id: str
    chat_id: str
    request_id: str


class AgentContext:
    """What the worker has for the agents it builds."""

    def __init__(self, live: LiveSettings, models: ModelRegistry, stack: AsyncExitStack) -> None:
        self.live = live
        self.models = models
        self._stack = stack
        self._shared: dict[str, object] = {}

    async def open(self, resource: AbstractAsyncContextManager[_T]) -> _T:
        """Enter a resource of the agent: it stays open until the worker ends."""
        return await self._stack.enter_async_context(resource)

    async def share(self, name: str, make: Callable[[], AbstractAsyncContextManager[_T]]) -> _T:
        """Enter a resource once, for all agents that ask for it by this name."""
        if name not in self._shared:
            self._shared[name] = await self.open(make())
        return cast("_T", self._shared[name])


AnyAgent = Agent[Any, Any]
Build = Callable[[AgentContext], AnyAgent | Awaitable[AnyAgent]]


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    name: str
    build: Build
    description: str = ""
    model: str | None = None
    limits: AgentLimits = field(default_factory=AgentLimits)
    retries: AgentRetries = field(default_factory=AgentRetries)
    queue: str = MAIN_QUEUE
    #: Whether a request's `tools` are given to it beside its own.
    display_tools: bool = False
    #: Where it was found, for messages.
    origin: str = ""


def register_agent(
    name: str,
    *,
    description: str,
    model: str | None = None,
    limits: AgentLimits | None = None,
    retries: AgentRetries | None = None,
    queue: str = MAIN_QUEUE,
    display_tools: bool = False,
) -> Callable[[Build], AgentDefinition]:
    """Make a function that builds a pydantic-ai agent into an agent that requests can name.

    The function is called once in each worker, at its start, and may be async. The worker finds
    the definition in the modules that it loads: its own, and those of the entry points
    `mamba.agents`.

    Raises:
        SettingsError: if the name or the queue's is not of small letters, digits, `_` and `-`.
    """
    for given in (name, queue):
        _check(given)

    def define(build: Build) -> AgentDefinition:
        return AgentDefinition(
            name,
            build,
            description,
            model,
            limits or AgentLimits(),
            retries or AgentRetries(),
            queue,
            display_tools,
            origin=f"{build.__module__}.{getattr(build, '__qualname__', '')}",
        )

    return define


def call_key(context: RunContext[AgentRun]) -> str:
    """An idempotency key of a tool call: the same in every attempt of the run.

    A worker may die between a call's effect and its record; the call is then made again, with the
    same key. Some models use an id again in a later step, so its occurrences are counted.
    """
    calls = (
        part.tool_call_id
        for message in context.messages
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ToolCallPart)
    )
    count = sum(call_id == context.tool_call_id for call_id in calls)
    return f"{context.deps.run_id}:{context.tool_call_id}:{count}"


_name: TypeAdapter[str] = TypeAdapter(AgentName)


def _check(name: str) -> None:
    try:
        _name.validate_python(name)
    except ValidationError:
        raise SettingsError(
            f"{name!r} cannot name an agent or a queue: small letters, digits, `_` and `-`, "
            "a letter first, 64 at most."
        ) from None
