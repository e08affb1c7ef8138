"""Agent definitions, and what they receive when a worker builds and runs them."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_ai import Agent

from shared.agent_name import AgentName
from shared.agents.agent_card import AgentLimits, AgentRetries
from shared.errors import SettingsError
from shared.redis.keys import MAIN_QUEUE
from shared.settings.live_settings import LiveSettings
from worker.models.registry import ModelRegistry

_T = TypeVar("_T")


class AgentContext:
    """The settings, models and shared resources that agent builders use."""

    def __init__(self, live: LiveSettings, models: ModelRegistry, stack: AsyncExitStack) -> None:
        self.live = live
        self.models = models
        self._stack = stack
        self._shared: dict[str, object] = {}

    async def open(self, resource: AbstractAsyncContextManager[_T]) -> _T:
        """Enter an async context manager that stays open until the worker stops."""
        return await self._stack.enter_async_context(resource)

    async def share(self, name: str, factory: Callable[[], AbstractAsyncContextManager[_T]]) -> _T:
        """Return the resource with this name. The first call creates and enters it."""
        if name not in self._shared:
            self._shared[name] = await self.open(factory())
        return cast("_T", self._shared[name])


AnyAgent = Agent[Any, Any]
AgentBuilder = Callable[[AgentContext], AnyAgent | Awaitable[AnyAgent]]


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    """A named agent: how to build it, and its limits, retries and queue."""

    name: str
    build: AgentBuilder
    description: str = ""
    model: str | None = None
    limits: AgentLimits = field(default_factory=AgentLimits)
    retries: AgentRetries = field(default_factory=AgentRetries)
    queue: str = MAIN_QUEUE
    #: Whether the agent also receives the display tools that a request names in `tools`.
    display_tools: bool = False
    #: The Python object, entry point or file entry that defines the agent, for log messages.
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
) -> Callable[[AgentBuilder], AgentDefinition]:
    """Turn a function that builds a pydantic-ai agent into an agent that requests can name.

    Each worker calls the function once, when it starts. The function may be async. The worker finds
    definitions in its own modules and in the modules of the entry-point group `mamba.agents`.

    Raises:
        SettingsError: if the name or the queue contains anything but lowercase letters, digits,
            `_` and `-`.
    """
    for value in (name, queue):
        _validate_name(value)

    def define(build: AgentBuilder) -> AgentDefinition:
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


_name: TypeAdapter[str] = TypeAdapter(AgentName)


def _validate_name(name: str) -> None:
    try:
        _name.validate_python(name)
    except ValidationError:
        raise SettingsError(
            f"The agent or queue name {name!r} is invalid. Use at most 64 lowercase letters, "
            "digits, `_` and `-`, and start with a letter."
        ) from None
