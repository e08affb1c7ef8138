"""How long a model may take to begin its answer, and how long it may fall silent in it.

What counts are the model's events: an endpoint's keep-alive comments are none. What the reader of
the events does between them is not the model's time.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from shared.errors import FirstTokenTimeout, SilenceTimeout
from shared.providers.names import ModelName, fallback_chain, model_name, providers_of
from shared.settings import ProviderSettings, Settings

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """Seconds until the first token, and between two."""

    first_token: float
    silence: float


def timeouts_of(settings: Settings, model: str) -> StreamTimeouts:
    """The pace that the settings ask of a `provider/model`, or of a bare name.

    With fall-backs each model has its own time to begin, one after the other.
    """
    chain = [
        _provider(settings, name) for name in fallback_chain(settings, model_name(settings, model))
    ]
    return StreamTimeouts(
        sum(provider.first_token_timeout_seconds for provider in chain),
        max(provider.timeout_seconds for provider in chain),
    )


def max_retries_of(settings: Settings, model: str) -> int:
    """How many failures of this model a run survives."""
    own = _provider(settings, model_name(settings, model)).max_retries
    return settings.run.max_retries if own is None else own


@asynccontextmanager
async def with_timeouts(
    stream: AbstractAsyncContextManager[AsyncIterable[_T]], pace: StreamTimeouts
) -> AsyncGenerator[AsyncIterator[_T]]:
    """Open a model's stream, and give it up when it does not keep the pace.

    Raises:
        FirstTokenTimeout: if the first event does not come in time; opening the stream counts.
        SilenceTimeout: if a later one does not.
    """
    clock = _Clock(asyncio.timeout(pace.first_token), pace.silence)
    try:
        async with clock.limit, stream as events:
            yield _Paced(aiter(events), clock)
    except TimeoutError:
        if clock.limit.expired():
            raise (SilenceTimeout if clock.begun else FirstTokenTimeout) from None
        raise


@dataclass(slots=True)
class _Clock:
    limit: asyncio.Timeout
    silence: float
    #: The first event has come.
    begun: bool = False

    def start(self) -> None:
        if self.begun and not self.limit.expired():
            self.limit.reschedule(asyncio.get_running_loop().time() + self.silence)

    def stop(self) -> None:
        self.begun = True
        if not self.limit.expired():
            self.limit.reschedule(None)


@dataclass(slots=True)
class _Paced(Generic[_T]):
    """Runs the clock while an event is awaited, and only then."""

    events: AsyncIterator[_T]
    clock: _Clock

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        self.clock.start()
        try:
            event = await anext(self.events)
        except StopAsyncIteration:
            self.clock.stop()
            raise
        self.clock.stop()
        return event


def _provider(settings: Settings, name: ModelName) -> ProviderSettings:
    return providers_of(settings)[name.provider].settings
