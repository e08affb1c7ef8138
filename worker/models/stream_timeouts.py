"""Timeouts for a model's stream: for the first token, and for silence after it.

Only the model's output counts, not an endpoint's keep-alive comments. The time that the consumer
spends between two events does not count.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from shared.errors import FirstTokenTimeout, SilenceTimeout
from shared.providers.names import (
    OPENAI,
    ModelName,
    fallback_chain,
    parse_model_name,
    provider_of,
)
from shared.settings import Settings
from shared.settings.sections.models import EndpointSettings

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """Limits in seconds for the wait for the first event, and between two events."""

    first_token: float
    silence: float


def timeouts_of(settings: Settings, model: str) -> StreamTimeouts:
    """Return the timeouts for a model, given as `provider/model` or as a bare name.

    The first-token timeouts of a model and its fallbacks add up, because they run in sequence.
    """
    chain = [
        _provider(settings, name)
        for name in fallback_chain(settings, parse_model_name(settings, model))
    ]
    return StreamTimeouts(
        sum(provider.first_token_timeout_seconds for provider in chain),
        max(provider.timeout_seconds for provider in chain),
    )


@asynccontextmanager
async def with_timeouts(
    stream: AbstractAsyncContextManager[AsyncIterable[_T]], timeouts: StreamTimeouts
) -> AsyncGenerator["TimedEvents[_T]"]:
    """Open a model's stream, and cancel it if an event does not arrive in time.

    Raises:
        FirstTokenTimeout: if opening the stream and the first event take too long.
        SilenceTimeout: if a later event takes too long.
    """
    deadline = _Deadline(asyncio.timeout(timeouts.first_token), timeouts.silence)
    try:
        async with deadline.timeout, stream as events:
            yield TimedEvents(aiter(events), deadline)
    except TimeoutError:
        if deadline.timeout.expired():
            raise (SilenceTimeout if deadline.first_event_seen else FirstTokenTimeout) from None
        raise


@dataclass(slots=True)
class _Deadline:
    timeout: asyncio.Timeout
    silence: float
    first_event_seen: bool = False

    def start(self) -> None:
        if self.first_event_seen and not self.timeout.expired():
            self.timeout.reschedule(asyncio.get_running_loop().time() + self.silence)

    def stop(self) -> None:
        self.first_event_seen = True
        if not self.timeout.expired():
            self.timeout.reschedule(None)


@dataclass(slots=True)
class TimedEvents(Generic[_T]):
    """Applies the deadline only while it waits for an event."""

    events: AsyncIterator[_T]
    deadline: _Deadline

    def extend(self) -> None:
        """Restart the silence timeout, because the model has sent something."""
        self.deadline.start()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        self.deadline.start()
        try:
            event = await anext(self.events)
        except StopAsyncIteration:
            self.deadline.stop()
            raise
        self.deadline.stop()
        return event


def _provider(settings: Settings, name: ModelName) -> EndpointSettings:
    # `provider_of` takes 30 µs for OpenAI, because it converts the section.
    return (
        settings.openai
        if name.provider == OPENAI
        else provider_of(settings, name.provider).settings
    )
