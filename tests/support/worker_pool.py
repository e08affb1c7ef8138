"""Lease workers on a real queue, for tests."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from arq.connections import ArqRedis

from shared.queue.job import RUN_CHAT, dump_job, load_job
from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import Redis, open_pool
from shared.runs.admission import Admission
from shared.runs.ended_runs import EndedRunParameters
from shared.settings import LimitSettings, WorkerSettings
from tests.support.fakes.runs import job_of, new_run
from tests.support.wait import until
from worker.queue.claimed_job import ClaimedJob, JobOutcome
from worker.queue.lease_worker import LeaseWorker

#: Seconds. A lease outlasts the pauses of a busy machine. An idle worker blocks for 3 seconds at
#: most, whatever its poll interval, so a job that starts promptly has woken its worker.
LEASE = 1.5
POLL = 10.0
PROMPT = 2.0

Work = Callable[[str], Awaitable[None]]


async def do_nothing() -> None: ...


class HookedLeaseWorker(LeaseWorker):
    """Calls a test's hooks after each claim and before each release."""

    crashed = False
    after_claim: Callable[[], Awaitable[None]] = staticmethod(do_nothing)
    before_release: Callable[[], Awaitable[None]] = staticmethod(do_nothing)

    async def _claim(self, count: int, *, wait: bool) -> list[ClaimedJob]:
        claimed = await super()._claim(count, wait=wait)
        await self.after_claim()
        return claimed

    async def _release(self, job_id: str, outcome: JobOutcome) -> None:
        await self.before_release()
        if not self.crashed:
            await super()._release(job_id, outcome)


class PoolWorker:
    """A worker, and the jobs that it has started, lost and dropped."""

    def __init__(self, name: str, arq: ArqRedis, work: Work, **options: Any) -> None:
        self.name = name
        self.arq = arq
        self.started: list[str] = []
        self.lost: list[str] = []
        self.dropped: list[str] = []
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.work = work
        #: What each job returns.
        self.ended: EndedRunParameters | None = None
        queues = options.pop("queues", lambda: (keys.MAIN_QUEUE,))
        settings: dict[str, Any] = {
            "concurrency": 20,
            "lease_seconds": LEASE,
            "poll_seconds": POLL,
            **options,
        }
        self.lease_worker = HookedLeaseWorker(
            {RUN_CHAT: self._run},
            worker_id=name,
            redis=arq,
            on_lease_lost=self._on_lost,
            on_dropped=self._on_dropped,
            settings=WorkerSettings(**settings),
            queues=queues,
            background_share=lambda: 0.1,
            wait_for_starts=do_nothing,
        )

    async def _run(self, _: dict[str, Any], args: dict[str, Any]) -> EndedRunParameters | None:
        self.started.append(args["run_id"])
        await self.work(args["run_id"])
        return self.ended

    def _on_lost(self, job_id: str) -> None:
        if (task := self.lease_worker.tasks.get(job_id)) is not None:
            self.lost.append(job_id)
            task.cancel()

    async def _on_dropped(self, job_id: str) -> None:
        self.dropped.append(job_id)

    def hold_claims(self) -> tuple[asyncio.Event, asyncio.Event]:
        """Hold each claim until the second event is set. The first one is set after a claim."""
        claimed, proceed = asyncio.Event(), asyncio.Event()

        async def wait_to_proceed() -> None:
            claimed.set()
            await proceed.wait()

        self.lease_worker.after_claim = wait_to_proceed
        return claimed, proceed

    def start(self, *, drain_seconds: float = 0) -> None:
        serving = self.lease_worker.run_until(self.stop, drain_seconds=drain_seconds)
        self.task = asyncio.create_task(serving)

    async def shut_down(self) -> None:
        self.stop.set()
        if self.task is not None and not self.task.cancelled():
            await self.task

    async def crash(self) -> None:
        """Stop without releasing leases, as a killed process does."""
        self.lease_worker.crashed = True
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        tasks = list(self.lease_worker.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class WorkerPool:
    """The workers of a test, and their queues."""

    def __init__(self, url: str, redis: Redis, stack: AsyncExitStack) -> None:
        self.redis = redis
        self._url = url
        self._stack = stack
        self._queue = JobQueue(redis)
        self._admission = Admission(redis, live_ttl=600)

    def connect(self, name: str) -> ArqRedis:
        pool = open_pool(self._url, name=name, max_connections=32)
        arq = ArqRedis(
            pool,
            default_queue_name=keys.QUEUE,
            job_serializer=dump_job,
            job_deserializer=load_job,
        )
        self._stack.push_async_callback(arq.aclose, close_connection_pool=True)
        return arq

    def start_worker(
        self, name: str, work: Work, *, drain_seconds: float = 0, **options: Any
    ) -> PoolWorker:
        worker = PoolWorker(name, self.connect(name), work, **options)
        self._stack.push_async_callback(worker.shut_down)
        worker.start(drain_seconds=drain_seconds)
        return worker

    async def enqueue(self, *names: str, queue: str = keys.MAIN_QUEUE) -> None:
        for name in names:
            run = new_run(name, chat_id=f"chat-{name}").model_copy(update={"queue": queue})
            await self._admission.admit(run, job_of(run), LimitSettings())

    async def leased_by(self, name: str) -> str | None:
        return await self._queue.leased_by(name)

    async def wait_for_idle(self, count: int) -> None:
        """Wait until this many workers wait for a wakeup token."""

        async def waiting() -> bool:
            clients: list[dict[str, str]] = await self.redis.execute_command("CLIENT LIST")
            return [client["cmd"] for client in clients].count("blpop") >= count

        await until(waiting)

    async def is_empty(self) -> bool:
        """Whether no job is queued or leased, and no key of a job is left."""
        if await self.redis.execute_command("ZCARD", keys.QUEUE):
            return False
        job_keys: list[bytes] = await self.redis.execute_command("KEYS", "arq:*")
        return not job_keys


@asynccontextmanager
async def open_worker_pool(url: str, redis: Redis) -> AsyncGenerator[WorkerPool]:
    async with AsyncExitStack() as stack:
        yield WorkerPool(url, redis, stack)


async def succeed(_: str) -> None: ...


async def run_forever(_: str) -> None:
    await asyncio.Event().wait()


def wait_for(finish: asyncio.Event) -> Work:
    async def work(_: str) -> None:
        await finish.wait()

    return work


async def until_true(holds: Callable[[], bool], *, seconds: float = 30.0) -> None:
    async def probe() -> bool:
        return holds()

    await until(probe, seconds=seconds)
