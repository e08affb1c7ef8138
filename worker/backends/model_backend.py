"""The interface of a model backend."""

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from worker.backends.response import ModelResponse, StreamChunk
from worker.models.profiles.model_profile import ModelProfile

#: A message in OpenAI's format: `role`, `content`, and further fields of the role.
Message = dict[str, Any]
#: A tool in OpenAI's format: `type`, `function: {name, description, parameters}`.
Tool = dict[str, Any]


@runtime_checkable
class ModelBackend(Protocol):
    """One model, called from Python. Its methods raise ModelBackendError or a subclass."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def profile(self) -> ModelProfile: ...

    async def complete(
        self,
        messages: list[Message],
        *,
        tools: list[Tool] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> ModelResponse: ...

    def stream(
        self,
        messages: list[Message],
        *,
        tools: list[Tool] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[StreamChunk]: ...

    async def health_check(self) -> bool: ...

    async def close(self) -> None: ...
