"""Access to a running deployment through its Redis, for the operator's commands."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from mamba.cli_errors import CommandFailed
from mamba.operate.operator_name import current_operator
from mamba.operate.redis_problems import (
    REDIS_ERRORS,
    RESPONSE_SECONDS,
    RedisFailed,
    problem_of,
)
from shared.agents.agent_file import AgentFile
from shared.agents.catalog import AgentCatalog
from shared.errors import SettingsError
from shared.monitoring.snapshot import SystemMonitor
from shared.processes.workers import WorkerRegistry
from shared.queue.job_queue import JobQueue
from shared.queue.operator_actions import ActionEvent, OperatorAction, OperatorActions
from shared.redis.client import Redis, connect, redis_time_ms
from shared.redis.subscriber import Subscriber
from shared.runs.control import RunControl
from shared.runs.finalize import RunFinalizer
from shared.runs.run_list import RunList
from shared.runs.stores import Stores, open_stores, open_subscriptions
from shared.settings import Settings, load_settings
from shared.streams.follow import FollowerFactory
from shared.telemetry import logs

_T = TypeVar("_T")

#: Client name of these connections in Redis.
_CLIENT_NAME = "mamba-operator"
_MAX_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Deployment:
    settings: Settings
    stores: Stores

    @property
    def redis(self) -> Redis:
        """The Redis that holds the queue."""
        return self.stores.queue_redis

    @property
    def queue(self) -> JobQueue:
        return JobQueue(self.redis)

    @property
    def workers(self) -> WorkerRegistry:
        return WorkerRegistry(self.redis)

    @property
    def run_list(self) -> RunList:
        return RunList(self.redis, self.stores.runs, self.stores.ended_runs)

    async def redis_time_ms(self) -> int:
        """Return the clock of Redis in Unix milliseconds."""
        return await redis_time_ms(self.redis)

    async def record(self, event: ActionEvent, **fields: str | None) -> None:
        """Store an action of this terminal's operator. A process of the deployment logs it."""
        action = OperatorAction(event=event, operator=current_operator(), fields=fields)
        await OperatorActions(self.redis).record(action)

    def system_monitor(self) -> SystemMonitor:
        """Return a new monitor. Keep it: it caches its snapshots."""
        return SystemMonitor(self.stores, self.configured_queues, lambda: self.settings.webhooks)

    @asynccontextmanager
    async def run_control(self) -> AsyncGenerator[RunControl]:
        async with AsyncExitStack() as stack:
            queue_subscriber = await stack.enter_async_context(
                Subscriber(self.settings.redis.url, name=_CLIENT_NAME)
            )
            stream_subscriber = await open_subscriptions(
                self.settings, self.stores, queue_subscriber, stack, name=_CLIENT_NAME
            )
            stream, max_bytes = self.stores.stream, self.settings.limits.follower_bytes
            yield RunControl(
                runs=self.stores.runs,
                queue=self.queue,
                stream=stream,
                followers=FollowerFactory(stream, stream_subscriber, max_bytes=max_bytes),
                workers=self.workers,
                finalizer=RunFinalizer(stream, self.stores.ended_runs, self.queue),
            )

    async def configured_queues(self) -> set[str]:
        """Return the queues of agents, models and settings."""
        catalog = AgentCatalog(self.redis, live_ttl=self.settings.run.live_ttl_seconds)
        return await catalog.queues(self.settings) | _queues_of_agent_file(self.settings)


def _queues_of_agent_file(settings: Settings) -> set[str]:
    """Return the queues of this machine's agent file. The API reports an invalid file."""
    with suppress(SettingsError):
        return {agent.queue for agent in AgentFile(settings.agents).read()}
    return set()


def run_on_deployment(command: Callable[[Deployment], Awaitable[_T]]) -> _T:
    """Run a command on the deployment that the settings describe.

    Raises:
        CommandFailed: if Redis cannot serve the command.
        SettingsError: if the settings are invalid.
    """

    async def run() -> _T:
        async with open_deployment(load_settings()) as deployment:
            return await command(deployment)

    return asyncio.run(run())


@asynccontextmanager
async def open_deployment(settings: Settings) -> AsyncGenerator[Deployment]:
    """Connect, and check that Redis responds.

    Raises:
        CommandFailed: if Redis cannot serve the command, now or later.
    """
    async with open_unchecked(settings) as deployment:
        queue_url, streams_url = settings.redis.url, settings.redis.streams_url
        ping = deployment.redis.execute_command("PING")
        await _check_connection("redis.url", queue_url, ping)
        if streams_url:
            ping = deployment.stores.each_stream_node("PING")
            await _check_connection("redis.streams_url", streams_url, ping)
        try:
            yield deployment
        except REDIS_ERRORS as error:
            addresses = " or ".join(address(url) for url in (queue_url, streams_url) if url)
            setting = "redis.url or redis.streams_url" if streams_url else "redis.url"
            raise RedisFailed(addresses, problem_of(error, setting)) from None


async def _check_connection(setting: str, url: str, ping: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            await ping
    except REDIS_ERRORS as error:
        raise RedisFailed(f"{address(url)} ({setting})", problem_of(error, setting)) from None


@asynccontextmanager
async def open_unchecked(settings: Settings) -> AsyncGenerator[Deployment]:
    """Open a deployment without checking that Redis responds."""
    logs.configure("WARNING", settings.logging.format)
    try:
        redis = connect(settings.redis.url, name=_CLIENT_NAME, max_connections=_MAX_CONNECTIONS)
    except ValueError as error:
        raise CommandFailed(f"redis.url is invalid: {error}") from None
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        yield Deployment(settings, _open_stores(settings, redis, stack))


def _open_stores(settings: Settings, redis: Redis, stack: AsyncExitStack) -> Stores:
    try:
        return open_stores(
            settings, redis, stack, name=_CLIENT_NAME, max_connections=_MAX_CONNECTIONS
        )
    except ValueError as error:
        raise CommandFailed(f"redis.streams_url is invalid: {error}") from None


def address(url: str) -> str:
    """Return the host and port, or the path, of a Redis URL, without its credentials."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
