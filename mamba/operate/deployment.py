"""The running house as an operator's commands see it: Redis, and what stands there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from mamba.cli_errors import CommandFailed
from shared.agents.catalog import AgentCatalog
from shared.processes.snapshot import SystemMonitor
from shared.processes.workers import WorkerRegistry
from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import REDIS_AWAY, AuthenticationError, Redis, RedisError, connect
from shared.redis.subscriber import Subscriber
from shared.runs.control import RunControl
from shared.runs.failed_runs import FailedRuns
from shared.runs.live_runs import LiveRuns
from shared.runs.store import RunStore
from shared.runs.stores import Stores, open_stores, open_subscriptions
from shared.settings import Settings, load_settings
from shared.streams.event_stream import RedisEventStream
from shared.streams.follow import Follower
from shared.telemetry import logs

_T = TypeVar("_T")

#: A Redis that says nothing for so long is away.
ANSWER_SECONDS = 5.0
#: By which Redis lists an operator's connections.
_NAME = "mamba-operator"
_MAX_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Deployment:
    settings: Settings
    stores: Stores

    @property
    def redis(self) -> Redis:
        """The queue's node."""
        return self.stores.queue

    @property
    def queue(self) -> JobQueue:
        return JobQueue(self.redis)

    @property
    def workers(self) -> WorkerRegistry:
        return WorkerRegistry(self.redis)

    @property
    def runs(self) -> RunStore:
        return self.stores.runs

    @property
    def live_runs(self) -> LiveRuns:
        return self.stores.live_runs

    @property
    def stream(self) -> RedisEventStream:
        return self.stores.stream

    def observatory(self) -> SystemMonitor:
        """One to keep: it shares its looks."""
        return SystemMonitor(self.stores, self.queues)

    @asynccontextmanager
    async def orders(self) -> AsyncGenerator[RunControl]:
        """What can be ordered here. Raises a Refusal for what cannot."""
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(Subscriber(self.settings.redis.url, name=_NAME))
            subscriber = await open_subscriptions(
                self.settings, self.stores, own, stack, name=_NAME
            )
            most = self.settings.limits.follower_bytes
            yield RunControl(
                runs=self.runs,
                queue=self.queue,
                stream=self.stream,
                follower=Follower(self.stream, subscriber, max_bytes=most),
                workers=self.workers,
                failed_runs=FailedRuns(self.redis, retention=self.settings.run.retention_seconds),
            )

    async def queues(self) -> list[str]:
        """Their names: the main one first, then those of the agents and models."""
        catalogue = AgentCatalog(self.redis, live_ttl=self.settings.run.live_ttl_seconds)
        named = await catalogue.queues(self.settings)
        return [keys.MAIN_QUEUE, *sorted(named - {keys.MAIN_QUEUE})]


def with_deployment(work: Callable[[Deployment], Awaitable[_T]]) -> _T:
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
async def opened(settings: Settings) -> AsyncGenerator[Deployment]:
    async with unasked(settings) as house:
        own, streams = settings.redis.url, settings.redis.streams_url
        await _greet("redis.url", own, house.redis.execute_command("PING"))
        if streams:
            await _greet("redis.streams_url", streams, house.stores.each_log_node("PING"))
        try:
            yield house
        except (*REDIS_AWAY, RedisError, TimeoutError) as error:
            places = " or ".join(address(url) for url in (own, streams) if url)
            raise _unanswered(places, error) from None


async def _greet(setting: str, url: str, greeting: Awaitable[object]) -> None:
    place = f"{address(url)} ({setting})"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await greeting
    except AuthenticationError as error:
        raise CommandFailed(f"{place} lets nobody in like that: {error}") from None
    except (*REDIS_AWAY, RedisError, TimeoutError) as error:
        raise _unanswered(place, error) from None


def _unanswered(place: str, error: Exception) -> CommandFailed:
    why = str(error) or f"not a word for {ANSWER_SECONDS:.0f} s"
    return CommandFailed(f"No Redis answers at {place}: {why}")


@asynccontextmanager
async def unasked(settings: Settings) -> AsyncGenerator[Deployment]:
    """The house, whether its Redis answers or not."""
    logs.configure(settings.logging.model_copy(update={"level": "WARNING"}))
    try:
        queue = connect(settings.redis.url, name=_NAME, max_connections=_MAX_CONNECTIONS)
    except ValueError as error:
        raise CommandFailed(f"redis.url is wrong: {error}") from None
    async with AsyncExitStack() as stack:
        stack.push_async_callback(queue.aclose)
        yield Deployment(settings, _stores(settings, queue, stack))


def _stores(settings: Settings, queue: Redis, stack: AsyncExitStack) -> Stores:
    try:
        return open_stores(settings, queue, stack, name=_NAME, max_connections=_MAX_CONNECTIONS)
    except ValueError as error:
        raise CommandFailed(f"redis.streams_url is wrong: {error}") from None


def address(url: str) -> str:
    """Where Redis is, without who logs in there."""
    place = urlsplit(url)
    return place.netloc.rpartition("@")[2] or place.path
