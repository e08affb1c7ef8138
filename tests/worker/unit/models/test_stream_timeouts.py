"""Timeouts of a model's stream, which do not limit the stream's consumer."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.errors import FirstTokenTimeout, SilenceTimeout
from shared.settings import OpenAISettings, ProviderSettings, RunSettings, Settings
from worker.jobs.retry_policy import max_retries_of
from worker.models.stream_timeouts import StreamTimeouts, timeouts_of, with_timeouts

NEVER = asyncio.Event
BRIEF = 0.02
LONG = 60.0


class ScriptedModel:
    """A stream of the given pieces. It waits for events among them."""

    def __init__(self, *pieces: str | asyncio.Event, opens: bool = True) -> None:
        self._pieces = pieces
        self._opens = opens
        self.closed = False

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[str]]:
        try:
            if not self._opens:
                await NEVER().wait()
            yield self._events()
        finally:
            self.closed = True

    async def _events(self) -> AsyncIterator[str]:
        for piece in self._pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                yield piece


async def read(model: ScriptedModel, timeouts: StreamTimeouts) -> list[str]:
    async with with_timeouts(model.stream(), timeouts) as events:
        return [event async for event in events]


async def test_events_in_time_pass_through() -> None:
    assert await read(ScriptedModel("a", "b"), StreamTimeouts(LONG, LONG)) == ["a", "b"]


@pytest.mark.parametrize(
    "model", [ScriptedModel(opens=False), ScriptedModel(NEVER())], ids=["opening", "opened"]
)
async def test_missing_first_token_times_out(model: ScriptedModel) -> None:
    with pytest.raises(FirstTokenTimeout):
        await read(model, StreamTimeouts(first_token=BRIEF, silence=LONG))

    assert model.closed


async def test_silence_after_first_token_times_out() -> None:
    model = ScriptedModel("a", NEVER())

    with pytest.raises(SilenceTimeout):
        await read(model, StreamTimeouts(first_token=LONG, silence=BRIEF))

    assert model.closed


async def test_slow_consumer_causes_no_timeout() -> None:
    received: list[str] = []
    async with with_timeouts(
        ScriptedModel("a", "b").stream(), StreamTimeouts(LONG, BRIEF)
    ) as events:
        async for event in events:
            await asyncio.sleep(3 * BRIEF)
            received.append(event)
        await asyncio.sleep(3 * BRIEF)

    assert received == ["a", "b"]


async def test_unrelated_timeout_error_passes_through() -> None:
    with pytest.raises(TimeoutError, match="a socket"):
        async with with_timeouts(ScriptedModel("a").stream(), StreamTimeouts(LONG, LONG)):
            raise TimeoutError("a socket")


async def test_cancellation_is_not_swallowed() -> None:
    waiting = asyncio.create_task(read(ScriptedModel("a", NEVER()), StreamTimeouts(LONG, LONG)))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_cancellation_at_the_deadline_is_not_swallowed() -> None:
    """The caller and the timeout both cancel the task. The caller's cancellation wins."""
    waiting: asyncio.Task[list[str]] | None = None

    async def model() -> AsyncIterator[str]:
        yield "a"
        try:
            await NEVER().wait()
        except asyncio.CancelledError:
            assert waiting is not None
            waiting.cancel()
            raise

    @asynccontextmanager
    async def stream() -> AsyncGenerator[AsyncIterator[str]]:
        yield model()

    async def listen() -> list[str]:
        async with with_timeouts(stream(), StreamTimeouts(LONG, BRIEF)) as events:
            return [event async for event in events]

    waiting = asyncio.create_task(listen())
    with pytest.raises(asyncio.CancelledError):
        await waiting


SETTINGS = Settings(
    openai=OpenAISettings(first_token_timeout_seconds=1, timeout_seconds=2),
    providers={
        "local": ProviderSettings(
            base_url="http://localhost/v1",
            first_token_timeout_seconds=3,
            timeout_seconds=4,
            max_retries=0,
        )
    },
    run=RunSettings(max_retries=5),
)


@pytest.mark.parametrize(
    ("model", "timeouts", "retries"),
    [
        ("gpt", StreamTimeouts(1, 2), 5),
        ("openai/gpt", StreamTimeouts(1, 2), 5),
        ("local/llama", StreamTimeouts(3, 4), 0),
        ("local", StreamTimeouts(1, 2), 5),
        ("meta/llama", StreamTimeouts(1, 2), 5),
    ],
)
def test_timeouts_and_retries_are_per_provider(
    model: str, timeouts: StreamTimeouts, retries: int
) -> None:
    assert timeouts_of(SETTINGS, model) == timeouts
    assert max_retries_of(SETTINGS, model) == retries
