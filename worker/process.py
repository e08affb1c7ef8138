"""The composition root of the worker process."""

import asyncio
import signal
from collections.abc import Generator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import cast

import pydantic_ai
import structlog
import uvloop
from arq.connections import ArqRedis

from shared.agents.catalog import AgentCatalog
from shared.backoff import Backoff
from shared.chat.titles import TitleStore
from shared.monitoring.metrics_history import MetricsHistory
from shared.monitoring.sampler import MetricsSampler
from shared.monitoring.snapshot import SystemMonitor
from shared.processes.garbage_collection import tune_garbage_collection
from shared.processes.open_files import raise_open_file_limit
from shared.processes.registry import ProcessHeartbeat, ProcessIdentity
from shared.processes.vanished import VanishedWorkers
from shared.processes.workers import WorkerRegistry
from shared.providers.names import DEMO_HINT, default_model_name
from shared.queue.job import GENERATE_TITLE, RUN_CHAT, dump_job, load_job
from shared.queue.operator_actions import OperatorActions
from shared.redis import keys
from shared.redis.bounded_client import BoundedClient
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError, open_pool
from shared.redis.failover import (
    MIN_REPLICAS_FIX,
    accepts_unreplicated_writes,
    watch_failovers,
)
from shared.redis.subscriber import Subscriber
from shared.runs.finalize import RunFinalizer
from shared.runs.stores import Stores, open_stores
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from shared.settings.reload import Reload
from shared.telemetry import logs
from shared.telemetry.metrics import MODEL_LABELS, set_process_info
from shared.telemetry.tracing import active, tracing
from shared.waiting import wait_briefly
from shared.webhooks.store import WebhookStore
from worker.agents.budget import Budgets
from worker.agents.catalog_publisher import AgentCatalogPublisher
from worker.agents.registry import AgentRegistry
from worker.exit_deadline import ExitDeadline
from worker.jobs.attempt import RunServices
from worker.jobs.attempt_runner import AttemptRunner
from worker.jobs.generate_title import TitleRunner
from worker.jobs.retry_policy import RetryPolicy, max_retries_of
from worker.jobs.run_chat import ChatRunner
from worker.jobs.running_runs import Interrupt, RunningRuns
from worker.models.health_probe import HealthProbe
from worker.models.registry import ModelRegistry
from worker.output.writer import GroupCommitter
from worker.process_record import worker_record
from worker.queue.command_listener import CommandListener
from worker.queue.lease_worker import LeaseWorker
from worker.telemetry.metrics import DRAINING, RUNNING, SLOTS
from worker.telemetry.metrics_port import serve_metrics
from worker.webhooks.delivery import WebhookDelivery

log = structlog.stdlib.get_logger()


def serve(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT, then drain and return.

    Raises:
        BackgroundTaskFailed: if it has shut down because a background task failed.
    """
    logs.configure(settings.logging.level, settings.logging.format)
    pydantic_ai.BANNER_ENABLED = False  # each run would look for a terminal to show it
    with tracing("mamba-worker"), ExitDeadline() as exit_deadline:
        _trace_agents()
        uvloop.run(_serve(settings, exit_deadline))


def _trace_agents() -> None:
    if (tracer := active()) is not None:
        from worker.telemetry.agent_trace import trace_agents  # noqa: PLC0415

        trace_agents(tracer)


async def _serve(settings: Settings, exit_deadline: ExitDeadline) -> None:
    identity = ProcessIdentity()
    stop = asyncio.Event()
    set_process_info()
    raise_open_file_limit()
    with _on_signal(stop):
        async with AsyncExitStack() as stack:
            live = LiveSettings(settings)
            live.on_change(lambda new: logs.configure(new.logging.level, new.logging.format))
            await stack.enter_async_context(Reload(live))
            worker, stores = await _compose(live, identity.id, stack, stop)
            await _wait_for_redis(stores, stop)
            await _warn_of_unreplicated_writes(stores)
            _register_gauges(worker)
            stack.enter_context(serve_metrics(settings.worker))
            tune_garbage_collection()
            registry = WorkerRegistry(stores.queue_redis)
            async with (
                ProcessHeartbeat(registry, identity, partial(worker_record, worker)) as heartbeat,
                _metrics_sampler(stores, live, identity.id),
            ):
                await heartbeat.wait_for_first_renewal()
                _log_start(settings, identity.id)
                await worker.run_until(
                    stop,
                    drain_seconds=settings.worker.drain_seconds,
                    on_drain=exit_deadline.start,
                )


def _log_start(settings: Settings, worker_id: str) -> None:
    demo = settings.openai.demo
    log.info("worker.started", message="Worker started", worker_id=worker_id, demo=demo)
    if demo:
        log.warning(
            "worker.demo_model",
            message="The worker uses the demo model",
            hint=DEMO_HINT,
        )


async def _compose(
    live: LiveSettings, worker_id: str, stack: AsyncExitStack, stop: asyncio.Event
) -> tuple[LeaseWorker, Stores]:
    settings = live.now
    MODEL_LABELS.add(default_model_name(settings))
    name = f"mamba-worker:{worker_id}"
    max_connections = settings.redis.max_connections
    pool = open_pool(settings.redis.url, name=name, max_connections=max_connections)
    arq = ArqRedis(pool, job_serializer=dump_job, job_deserializer=load_job)
    stack.push_async_callback(arq.aclose, close_connection_pool=True)
    redis = BoundedClient(cast("Redis", arq), max_calls=max_connections)
    models = ModelRegistry(live)
    stack.push_async_callback(models.close)
    urls = (settings.redis.url, settings.redis.streams_url)
    await watch_failovers(urls, stack, name=name)
    subscriber = await stack.enter_async_context(Subscriber(settings.redis.url, name=name))
    stores = open_stores(
        settings, redis, stack, name=name, max_connections=max_connections, bounded=True
    )
    running = RunningRuns()
    agents = await stack.enter_async_context(AgentRegistry(live, models))
    catalog = AgentCatalog(redis, live_ttl=settings.run.live_ttl_seconds)
    await stack.enter_async_context(AgentCatalogPublisher(agents, catalog))
    budgets = Budgets(stores.usage_ledger, live)
    services = await _run_services(stores, budgets, worker_id, stack)
    chats = _chat_runner(live, services, running, agents)
    titles = TitleRunner(TitleStore(redis), models, running, budgets, live)
    await stack.enter_async_context(HealthProbe(redis, live, worker_id))
    await stack.enter_async_context(
        WebhookDelivery(WebhookStore(redis), stores.runs, stores.stream, live)
    )
    listener = await stack.enter_async_context(CommandListener(stores.runs, running, stop.set))
    subscriber.add(keys.worker_commands(worker_id), listener)
    worker = LeaseWorker(
        {RUN_CHAT: chats.__call__, GENERATE_TITLE: titles.__call__},
        worker_id=worker_id,
        redis=arq,
        settings=settings.worker,
        on_lease_lost=lambda run_id: running.cancel(run_id, Interrupt.TAKEN_OVER),
        on_dropped=chats.drop,
        queues=agents.queues,
        background_share=lambda: live.now.queue.background_share,
        wait_for_starts=running.wait_for_starts,
    )
    return worker, stores


async def _run_services(
    stores: Stores, budgets: Budgets, worker_id: str, stack: AsyncExitStack
) -> RunServices:
    return RunServices(
        stores.runs,
        stores.chats,
        stores.stream,
        await stack.enter_async_context(GroupCommitter(stores.stream)),
        RunFinalizer(stores.stream, stores.ended_runs),
        worker_id,
        budgets,
    )


def _chat_runner(
    live: LiveSettings, services: RunServices, running: RunningRuns, agents: AgentRegistry
) -> ChatRunner:
    retries = RetryPolicy(lambda model: max_retries_of(live.now, model))
    attempts = AttemptRunner(services, lambda: live.now.run, retries)
    return ChatRunner(services, attempts, running, agents, lambda: live.now.run)


def _metrics_sampler(stores: Stores, live: LiveSettings, worker_id: str) -> MetricsSampler:
    catalog = AgentCatalog(stores.queue_redis, live_ttl=stores.live_ttl)

    async def queues() -> set[str]:
        return await catalog.queues(live.now)

    return MetricsSampler(
        MetricsHistory(stores.queue_redis),
        SystemMonitor(stores, queues),
        VanishedWorkers(stores.queue_redis),
        OperatorActions(stores.queue_redis),
        worker_id,
    )


async def _wait_for_redis(stores: Stores, stop: asyncio.Event) -> None:
    backoff = Backoff(0.1, 5)
    while not stop.is_set():
        try:
            await stores.queue_redis.execute_command("PING")
            await stores.each_stream_node("PING")
        except (*REDIS_UNAVAILABLE, RedisError) as error:
            delay = backoff.failed()
            if backoff.should_log():
                log.warning(
                    "worker.redis_unavailable", message="Waiting for Redis", error=str(error)
                )
            await wait_briefly(stop, delay)
        else:
            return


async def _warn_of_unreplicated_writes(stores: Stores) -> None:
    """Warn if a primary would accept writes that a failover discards. Best effort."""
    command = ("INFO", "replication")
    with suppress(*REDIS_UNAVAILABLE, RedisError):
        replies: dict[str, object] = {"": await stores.queue_redis.execute_command(*command)}
        if stores.split:
            replies |= await stores.each_stream_node(*command)
        infos = [cast("Mapping[str, object]", r) for r in replies.values() if isinstance(r, dict)]
        if any(map(accepts_unreplicated_writes, infos)):
            log.warning(
                "redis.min_replicas_unset",
                message="Redis accepts writes that no replica receives; a failover can lose them",
                hint=MIN_REPLICAS_FIX,
            )


def _register_gauges(worker: LeaseWorker) -> None:
    SLOTS.set(worker.max_jobs)
    RUNNING.set_function(lambda: worker.job_counter)
    DRAINING.set_function(lambda: not worker.allow_pick_jobs)


@contextmanager
def _on_signal(stop: asyncio.Event) -> Generator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
