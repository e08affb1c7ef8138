"""The API process: what it holds, put together once in its lifespan."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, FastAPI, Request

from api.catalog.agent_directory import AgentDirectory
from api.catalog.model_list import ModelList
from api.chat.run_service import RunService
from api.chat.title_service import TitleService
from api.http.draining import Draining
from api.monitoring.component_checks import ComponentChecks
from api.monitoring.request_metrics import count_stream_clients
from api.monitoring.system_gauges import SystemGauges
from api.monitoring.tracing import trace_run
from api.streaming.queue_position import QueuedRun, QueuePositionTracker
from api.streaming.sse import RelayResponse
from api.streaming.stream_format import UI_MESSAGE, StreamFormat
from shared.agents.agent_file import AgentFile
from shared.agents.catalog import AgentCatalog
from shared.chat.titles import TitleStore
from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.garbage_collection import tune_garbage_collection
from shared.processes.metrics_history import MetricsHistory
from shared.processes.registry import ProcessHeartbeat, ProcessIdentity, ProcessRecord
from shared.processes.sampler import MetricsSampler
from shared.processes.snapshot import SystemMonitor
from shared.processes.workers import WorkerRegistry
from shared.queue.job_queue import JobQueue
from shared.queue.queue_positions import QueuePositions
from shared.redis.client import Redis, connect
from shared.redis.subscriber import Subscriber
from shared.runs.control import RunControl
from shared.runs.failed_runs import FailedRuns
from shared.runs.finalize import RunFinalizer
from shared.runs.run import Run, RunState
from shared.runs.stores import Stores, open_stores, open_subscriptions
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from shared.settings.reload import Reload
from shared.streams.event_stream import START, Cursor
from shared.streams.follow import Follower
from shared.telemetry.metrics import MODEL_LABELS, set_process_info


@dataclass(frozen=True, slots=True)
class Process:
    live: LiveSettings
    stores: Stores
    follower: Follower
    agents: AgentDirectory
    runs: RunService
    orders: RunControl
    titles: TitleService
    models: ModelList
    places: QueuePositionTracker
    draining: Draining
    checks: ComponentChecks
    observatory: SystemMonitor
    cluster: SystemGauges

    @property
    def settings(self) -> Settings:
        return self.live.now

    async def relay(
        self, run: Run, wire: StreamFormat, after: Cursor = START, *, rebuild: bool = False
    ) -> RelayResponse:
        """Follow a run from a cursor on, to one client, on the wire it asked for.

        A client that holds nothing of the message has it rebuilt, where earlier runs began it.
        """
        trace_run(run)
        known = not run.continues or not (rebuild or wire.view)
        waits = run.state is RunState.QUEUED and wire is UI_MESSAGE
        return RelayResponse(
            self.follower,
            self.draining,
            run_id=run.id,
            chat_id=run.chat_id,
            after=after,
            wire=wire,
            heartbeat_seconds=self.settings.server.heartbeat_seconds,
            settle=self.runs.settle,
            earlier=() if known else await self.runs.earlier(run),
            rebuild=rebuild,
            waiting=QueuedRun(self.places, run) if waits else None,
        )


@asynccontextmanager
async def open_process(
    live: LiveSettings, load: Callable[[], Settings] | None = None
) -> AsyncGenerator[Process]:
    """What the process holds; with `load` its settings are read anew when they change."""
    set_process_info()
    async with AsyncExitStack() as stack:
        process = await _compose(live, stack)
        if load is not None:
            await stack.enter_async_context(Reload(live, load=load))
        stack.enter_context(process.draining.on_signal())
        tune_garbage_collection()
        yield process


async def _compose(live: LiveSettings, stack: AsyncExitStack) -> Process:
    settings = live.now
    MODEL_LABELS.add(settings.openai.default_model)
    url, name = settings.redis.url, "mamba-api"
    redis = connect(url, name=name, max_connections=settings.redis.max_connections)
    stack.push_async_callback(redis.aclose)
    subscriber = await stack.enter_async_context(Subscriber(url, name=name))
    most = settings.redis.max_connections
    stores = open_stores(settings, redis, stack, name=name, max_connections=most)
    logs = await open_subscriptions(settings, stores, subscriber, stack, name=name)
    stream = stores.stream
    follower = Follower(stream, logs, max_bytes=settings.limits.follower_bytes)

    def resize(changed: Settings) -> None:
        follower.max_bytes = changed.limits.follower_bytes

    live.on_change(resize)
    queue = JobQueue(redis)
    catalogue = AgentCatalog(redis, live_ttl=settings.run.live_ttl_seconds)
    agents = AgentDirectory(catalogue, AgentFile(settings.agents))
    failed_runs = FailedRuns(redis, retention=settings.run.retention_seconds)
    finalizer = RunFinalizer(stream, failed_runs, queue)
    orders = RunControl(
        runs=stores.runs,
        queue=queue,
        stream=stream,
        follower=follower,
        workers=WorkerRegistry(redis),
        finalizer=finalizer,
    )
    runs = RunService(
        agents=agents,
        runs=stores.runs,
        admission=stores.admission,
        chats=stores.chats,
        queue=queue,
        stream=stream,
        finalizer=finalizer,
        orders=orders,
        live=live,
    )
    draining = Draining(delay_seconds=settings.server.shutdown_delay_seconds)
    checks = ComponentChecks(stores, live, agents)
    observatory = _observatory(stores, live, agents)
    await _appear(redis, observatory, stack)
    return Process(
        live,
        stores,
        follower,
        agents=agents,
        runs=runs,
        orders=orders,
        titles=TitleService(redis, queue, TitleStore(redis), subscriber, live),
        models=ModelList(live, redis),
        places=await stack.enter_async_context(QueuePositionTracker(QueuePositions(redis))),
        draining=draining,
        checks=checks,
        observatory=observatory,
        cluster=SystemGauges(stores, observatory, checks, live),
    )


def _observatory(stores: Stores, live: LiveSettings, agents: AgentDirectory) -> SystemMonitor:
    async def queues() -> set[str]:
        return await agents.queues() | {*live.now.models.queues.values()}

    return SystemMonitor(stores, queues)


async def _appear(redis: Redis, observatory: SystemMonitor, stack: AsyncExitStack) -> None:
    """Be seen by whoever looks at the house, and take part in making its samples."""
    identity = ProcessIdentity()

    def describe(process: ProcessRecord) -> ApiRecord:
        return ApiRecord(**dict(process), clients=count_stream_clients())

    await stack.enter_async_context(ProcessHeartbeat(ApiRegistry(redis), identity, describe))
    await stack.enter_async_context(MetricsSampler(MetricsHistory(redis), observatory, identity.id))


def _process_of(request: Request) -> Process:
    return cast("FastAPI", request.app).state.process


CurrentProcess = Annotated[Process, Depends(_process_of)]
