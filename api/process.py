"""The composition root of the API process."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, FastAPI, Request

from api.auth.stream_tokens import StreamTokens
from api.catalog.agent_directory import AgentDirectory
from api.catalog.model_list import ModelList
from api.chat.chat_eraser import ChatEraser
from api.chat.chat_service import ChatService
from api.chat.continuation import ContinuationResolver
from api.chat.title_service import TitleService
from api.http.draining import Draining
from api.monitoring.component_checks import ComponentChecks
from api.monitoring.request_metrics import count_stream_clients
from api.monitoring.system_gauges import SystemGauges
from api.streaming.chat_feed import ChatFeeds
from api.streaming.message_reader import MessageReader
from api.streaming.orphan_reaper import OrphanReaper
from api.streaming.queue_position import QueuePositionTracker
from api.streaming.relay import RelayFactory
from api.streaming.run_lookup import RunLookup
from api.streaming.stream_slots import StreamSlots
from shared.agents.agent_file import AgentFile
from shared.agents.catalog import AgentCatalog
from shared.chat.titles import TitleStore
from shared.limits.rate_limit import RunRate
from shared.monitoring.metrics_history import MetricsHistory
from shared.monitoring.owner_list import OwnerList
from shared.monitoring.queue_control import QueueControl
from shared.monitoring.sampler import MetricsSampler
from shared.monitoring.snapshot import SystemMonitor
from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.garbage_collection import tune_garbage_collection
from shared.processes.open_files import raise_open_file_limit
from shared.processes.registry import ProcessHeartbeat, ProcessIdentity, ProcessRecord
from shared.processes.vanished import VanishedWorkers
from shared.processes.workers import WorkerRegistry
from shared.providers.names import default_model_name
from shared.queue.job_queue import JobQueue
from shared.queue.operator_actions import OperatorActions
from shared.queue.pauses import Pauses
from shared.queue.queue_positions import QueuePositions
from shared.queue.shares.weights import WeightUpdater
from shared.redis.bounded_client import BoundedClient
from shared.redis.client import Redis, connect
from shared.redis.failover import watch_failovers
from shared.redis.subscriber import Subscriber, Subscriptions
from shared.runs.control import RunControl
from shared.runs.finalize import RunFinalizer
from shared.runs.run_list import RunList
from shared.runs.stores import Stores, open_stores, open_subscriptions
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from shared.settings.reload import Reload
from shared.streams.follow import FollowerFactory
from shared.telemetry.metrics import MODEL_LABELS, set_process_info

_NAME = "mamba-api"


@dataclass(frozen=True, slots=True)
class Process:
    """The objects that routes use. One per process."""

    live: LiveSettings
    stores: Stores
    agents: AgentDirectory
    models: ModelList
    chats: ChatService
    eraser: ChatEraser
    lookup: RunLookup
    messages: MessageReader
    runs: RunList
    relays: RelayFactory
    feeds: ChatFeeds
    stream_slots: StreamSlots
    stream_tokens: StreamTokens
    run_control: RunControl
    titles: TitleService
    draining: Draining
    checks: ComponentChecks
    monitor: SystemMonitor
    owners: OwnerList
    queues: QueueControl
    gauges: SystemGauges

    @property
    def settings(self) -> Settings:
        """The settings now in force."""
        return self.live.now


@asynccontextmanager
async def open_process(
    live: LiveSettings, agent_file: AgentFile, load: Callable[[], Settings] | None = None
) -> AsyncGenerator[Process]:
    """Open the process's connections and background tasks.

    With `load`, the settings are reloaded when their sources change.
    """
    set_process_info()
    raise_open_file_limit()
    async with AsyncExitStack() as stack:
        process = await _compose(live, agent_file, stack)
        if load is not None:
            await stack.enter_async_context(Reload(live, load=load))
        stack.enter_context(process.draining.on_signal())
        tune_garbage_collection()
        yield process


async def _compose(live: LiveSettings, agent_file: AgentFile, stack: AsyncExitStack) -> Process:
    settings = live.now
    MODEL_LABELS.add(default_model_name(settings))
    url, max_connections = settings.redis.url, settings.redis.max_connections
    client = connect(url, name=_NAME, max_connections=max_connections)
    redis = BoundedClient(client, max_calls=max_connections)
    stack.push_async_callback(redis.aclose)
    await watch_failovers((url, settings.redis.streams_url), stack, name=_NAME)
    subscriber = await stack.enter_async_context(Subscriber(url, name=_NAME))
    stores = open_stores(
        settings, redis, stack, name=_NAME, max_connections=max_connections, bounded=True
    )
    subscriptions = await open_subscriptions(settings, stores, subscriber, stack, name=_NAME)
    followers = _followers(live, stores, subscriptions)
    queue = JobQueue(redis)
    catalog = AgentCatalog(redis, live_ttl=settings.run.live_ttl_seconds)
    agents = AgentDirectory(catalog, agent_file)
    finalizer = RunFinalizer(stores.stream, stores.ended_runs, queue)
    run_control = _run_control(stores, queue, followers, finalizer)
    reaper = OrphanReaper(stores.runs, queue, stores.stream, finalizer)
    lookup = RunLookup(stores.runs, stores.chats, stores.stream)
    draining = Draining(delay_seconds=settings.server.shutdown_delay_seconds)
    await stack.enter_async_context(WeightUpdater(redis, live))
    positions = await stack.enter_async_context(QueuePositionTracker(QueuePositions(redis)))
    monitor = _system_monitor(stores, live, agents)
    checks = ComponentChecks(stores, live, monitor)
    await _register_process(redis, monitor, stack)
    return Process(
        live=live,
        stores=stores,
        agents=agents,
        models=ModelList(live, redis),
        chats=_chat_service(live, stores, queue, agents, reaper, run_control),
        eraser=ChatEraser(stores.chats, stores.runs, queue, run_control),
        lookup=lookup,
        messages=MessageReader(stores.runs, stores.chats, followers),
        runs=RunList(redis, stores.runs, stores.ended_runs),
        relays=RelayFactory(followers, draining, live, lookup, reaper, positions),
        feeds=ChatFeeds(stores.runs, stores.chats, subscriber, draining, live),
        stream_slots=StreamSlots(live),
        stream_tokens=StreamTokens(redis, live),
        run_control=run_control,
        titles=TitleService(redis, queue, TitleStore(redis), subscriber, live),
        draining=draining,
        checks=checks,
        monitor=monitor,
        owners=OwnerList(stores, monitor),
        queues=QueueControl(Pauses(redis), monitor),
        gauges=SystemGauges(stores, monitor, checks, live),
    )


def _run_control(
    stores: Stores, queue: JobQueue, followers: FollowerFactory, finalizer: RunFinalizer
) -> RunControl:
    return RunControl(
        runs=stores.runs,
        queue=queue,
        stream=stores.stream,
        followers=followers,
        workers=WorkerRegistry(stores.queue_redis),
        finalizer=finalizer,
    )


def _chat_service(
    live: LiveSettings,
    stores: Stores,
    queue: JobQueue,
    agents: AgentDirectory,
    reaper: OrphanReaper,
    run_control: RunControl,
) -> ChatService:
    return ChatService(
        agents=agents,
        runs=stores.runs,
        admission=stores.admission,
        queue=queue,
        continuations=ContinuationResolver(
            stores.runs, stores.chats, stores.stream, RunRate(stores.queue_redis, live)
        ),
        reaper=reaper,
        run_control=run_control,
        live=live,
    )


def _followers(live: LiveSettings, stores: Stores, subscriptions: Subscriptions) -> FollowerFactory:
    followers = FollowerFactory(
        stores.stream, subscriptions, max_bytes=live.now.limits.follower_bytes
    )

    def resize(settings: Settings) -> None:
        followers.max_bytes = settings.limits.follower_bytes

    live.on_change(resize)
    return followers


def _system_monitor(stores: Stores, live: LiveSettings, agents: AgentDirectory) -> SystemMonitor:
    async def queues() -> set[str]:
        return await agents.queues() | {*live.now.models.queues.values()}

    return SystemMonitor(stores, queues, lambda: live.now.webhooks)


async def _register_process(redis: Redis, monitor: SystemMonitor, stack: AsyncExitStack) -> None:
    """Add this process to the process registry, and let it compete to take metrics samples."""
    identity = ProcessIdentity()

    def describe(process: ProcessRecord) -> ApiRecord:
        return ApiRecord(**dict(process), clients=count_stream_clients())

    await stack.enter_async_context(ProcessHeartbeat(ApiRegistry(redis), identity, describe))
    sampler = MetricsSampler(
        MetricsHistory(redis), monitor, VanishedWorkers(redis), OperatorActions(redis), identity.id
    )
    await stack.enter_async_context(sampler)


def process_of(request: Request) -> Process:
    return cast("FastAPI", request.app).state.process


async def _current_process(request: Request) -> Process:
    return process_of(request)


CurrentProcess = Annotated[Process, Depends(_current_process)]
