"""The running house as an operator's commands see it: Redis, and what stands there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from mamba.readable import CommandFailed
from shared import keys
from shared.agent_catalogue import AgentCatalogue
from shared.jobs import JobQueue
from shared.live_runs import LiveRuns
from shared.overview import Observatory
from shared.redis import REDIS_AWAY, Redis, RedisError, connect
from shared.runs import RunStore
from shared.settings import Settings, load_settings
from shared.stream import RedisEventStream
from shared.workers import Workers

_T = TypeVar("_T")

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class House:
    settings: Settings
    redis: Redis

    @property
    def queue(self) -> JobQueue:
        return JobQueue(self.redis)

    @property
    def workers(self) -> Workers:
        return Workers(self.redis)

    @property
    def runs(self) -> RunStore:
        return RunStore(self.redis, live_ttl=self.settings.run.live_ttl_seconds)

    @property
    def live_runs(self) -> LiveRuns:
        return LiveRuns(self.redis, live_ttl=self.settings.run.live_ttl_seconds)

    @property
    def stream(self) -> RedisEventStream:
        run = self.settings.run
        return RedisEventStream(
            self.redis, live_ttl=run.live_ttl_seconds, retention=run.retention_seconds
        )

    def observatory(self) -> Observatory:
        """One to keep: it shares its looks."""
        run = self.settings.run
        return Observatory(
            self.redis,
            self.queues,
            live_ttl=run.live_ttl_seconds,
            retention=run.retention_seconds,
        )

    async def queues(self) -> list[str]:
        """Their names: the main one first, then those of the agents and models."""
        catalogue = AgentCatalogue(self.redis, live_ttl=self.settings.run.live_ttl_seconds)
        named = await catalogue.queues(self.settings)
        return [keys.MAIN_QUEUE, *sorted(named - {keys.MAIN_QUEUE})]


def in_house(work: Callable[[House], Awaitable[_T]]) -> _T:
    """Do something in the house that the settings name.

    Raises:
        CommandFailed: if its Redis does not answer.
        SettingsError: if the settings are wrong.
    """

    async def enter() -> _T:
        async with opened(load_settings()) as house:
            return await work(house)

    return asyncio.run(enter())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[House]:
    async with unasked(settings) as house:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await house.redis.execute_command("PING")
            yield house
        except (*REDIS_AWAY, RedisError, TimeoutError) as error:
            raise CommandFailed(f"No Redis answers at {address(settings)}: {error}") from None


@asynccontextmanager
async def unasked(settings: Settings) -> AsyncGenerator[House]:
    """The house, whether its Redis answers or not."""
    try:
        redis = connect(settings.redis.url, name="mamba-operator", max_connections=4)
    except ValueError as error:
        raise CommandFailed(f"redis.url is wrong: {error}") from None
    try:
        yield House(settings, redis)
    finally:
        await redis.aclose()


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float) -> bool:
    """Wait for what other processes do; whether they did it in time."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110  (nothing here can ring)
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True


def address(settings: Settings) -> str:
    """Where Redis is, without who logs in there."""
    place = urlsplit(settings.redis.url)
    return f"{place.hostname}:{place.port or 6379}" if place.hostname else place.path
