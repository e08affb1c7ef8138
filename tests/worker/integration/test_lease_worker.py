"""Workers on a real queue: prompt, each job with one of them, and none lost when one dies."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from arq.connections import ArqRedis
from arq.worker import RetryJob, func

from shared.queue.job import RUN_CHAT, dump_job, load_job
from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, open_pool
from shared.runs.admission import Admission
from shared.settings import LimitSettings
from tests.support.fakes.runs import job_of, new_run
from tests.support.processes import Valkey, start_all, stop_all
from tests.support.wait import until
from worker.queue.lease_worker import LeaseWorker

#: Seconds. Polls are too rare to matter but where a test asks for them.
LEASE = 0.6
POLL = 10.0
PROMPT = 2.0

Work = Callable[[str], Awaitable[None]]


async def nothing() -> None: ...


class Tapped(LeaseWorker):
    """Waits, or fails, where a test says so."""

    dead = False
    after_claim: Callable[[], Awaitable[None]] = staticmethod(nothing)
    before_release: Callable[[], Awaitable[None]] = staticmethod(nothing)

    async def _claim(self, count: int) -> list[str]:
        claimed = await super()._claim(count)
        await self.after_claim()
        return claimed

    async def _release(self, job_id: str, *, finish: bool) -> None:
        await self.before_release()
        if not self.dead:
            await super()._release(job_id, finish=finish)


class Hand:
    """A worker, what it has begun, and whom it told what."""

    def __init__(self, name: str, arq: ArqRedis, work: Work, **options: Any) -> None:
        self.name = name
        self.arq = arq
        self.begun: list[str] = []
        self.lost: list[str] = []
        self.dropped: list[str] = []
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.work = work
        settings = {"concurrency": 20, "lease_seconds": LEASE, "poll_seconds": POLL, **options}
        self.worker = Tapped(
            [func(cast("Any", self._run), name=RUN_CHAT)],
            worker_id=name,
            redis=arq,
            on_lost=self._on_lost,
            on_dropped=self._on_dropped,
            **cast("Any", settings),
        )

    async def _run(self, _: dict[str, Any], args: dict[str, Any]) -> None:
        self.begun.append(args["run_id"])
        await self.work(args["run_id"])

    def _on_lost(self, job_id: str) -> None:
        if (task := self.worker.job_tasks.get(job_id)) is not None:
            self.lost.append(job_id)
            task.cancel()

    async def _on_dropped(self, job_id: str) -> None:
        self.dropped.append(job_id)

    def begin(self, *, drain_seconds: float = 0) -> None:
        serving = self.worker.run_until(self.stop, drain_seconds=drain_seconds)
        self.task = asyncio.create_task(serving)

    async def leave(self) -> None:
        self.stop.set()
        if self.task is not None and not self.task.cancelled():
            await self.task

    async def die(self) -> None:
        """End without a word to Redis, as a process that is killed."""

        self.worker.dead = True
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        tasks = list(self.worker.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Hall:
    """A queue, and the workers around it."""

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

    def hire(self, name: str, work: Work, *, drain_seconds: float = 0, **options: Any) -> Hand:
        hand = Hand(name, self.connect(name), work, **options)
        self._stack.push_async_callback(hand.leave)
        hand.begin(drain_seconds=drain_seconds)
        return hand

    async def enqueue(self, *names: str, queue: str = keys.MAIN_QUEUE) -> None:
        for name in names:
            run = new_run(name, chat_id=f"chat-{name}").model_copy(update={"queue": queue})
            await self._admission.admit(run, job_of(run), LimitSettings())

    async def holder(self, name: str) -> str | None:
        return await self._queue.leased_by(name)

    async def idle(self, count: int) -> None:
        """Until so many workers wait for a token."""

        async def waiting() -> bool:
            clients: list[dict[str, str]] = await self.redis.execute_command("CLIENT LIST")
            return [client["cmd"] for client in clients].count("blpop") >= count

        await until(waiting)

    async def clean(self) -> bool:
        """Nothing is queued, leased or kept of any job."""
        if await self.redis.execute_command("ZCARD", keys.QUEUE):
            return False
        left: list[bytes] = await self.redis.execute_command("KEYS", "arq:*")
        return not left


@asynccontextmanager
async def open_hall(url: str, redis: Redis) -> AsyncGenerator[Hall]:
    async with AsyncExitStack() as stack:
        yield Hall(url, redis, stack)


@pytest.fixture
async def hall(valkey: Valkey, redis: Redis) -> AsyncGenerator[Hall]:
    async with open_hall(valkey.url, redis) as hall:
        yield hall


async def at_once(_: str) -> None: ...


async def for_ever(_: str) -> None:
    await asyncio.Event().wait()


def until_set(gate: asyncio.Event) -> Work:
    async def work(_: str) -> None:
        await gate.wait()

    return work


async def until_true(holds: Callable[[], bool], *, seconds: float = 10.0) -> None:
    async def probe() -> bool:
        return holds()

    await until(probe, seconds=seconds)


async def test_an_idle_worker_is_woken_by_the_job(hall: Hall) -> None:
    hand = hall.hire("a", at_once)
    await hall.idle(1)

    begun = time.monotonic()
    for number in range(20):
        await hall.enqueue(f"job-{number}")
        await until_true(lambda: len(hand.begun) == number + 1)  # noqa: B023
        await until(hall.clean)

    assert time.monotonic() - begun < PROMPT


async def test_what_was_queued_before_a_worker_came_is_taken_at_once(hall: Hall) -> None:
    await hall.enqueue("job")
    hand = hall.hire("a", at_once)

    await until_true(lambda: hand.begun == ["job"], seconds=PROMPT)


async def test_a_job_whose_token_is_lost_is_found_by_the_poll(hall: Hall) -> None:
    hand = hall.hire("a", at_once, poll_seconds=0.1, concurrency=1)
    gate = asyncio.Event()
    hand.work = until_set(gate)
    await hall.enqueue("first")
    await until_true(lambda: bool(hand.begun))
    await hall.enqueue("job")
    await hall.redis.execute_command("DEL", keys.wakeup(keys.QUEUE))

    gate.set()

    await until_true(lambda: hand.begun == ["first", "job"])


async def test_150_jobs_in_progress_do_not_stand_before_a_new_one(hall: Hall) -> None:
    busy = hall.hire("busy", for_ever, concurrency=150)
    names = [f"job-{number}" for number in range(150)]
    await hall.enqueue(*names)
    await until_true(lambda: len(busy.begun) == 150)
    free = hall.hire("free", at_once)
    await hall.idle(1)

    await hall.enqueue("new")

    await until_true(lambda: free.begun == ["new"], seconds=PROMPT)
    assert sorted(busy.begun) == sorted(names)


async def test_a_burst_spreads_over_the_workers(hall: Hall) -> None:
    hands = [hall.hire(name, for_ever, concurrency=8) for name in "abcd"]
    await hall.idle(4)

    await hall.enqueue(*(f"job-{number}" for number in range(32)))

    await until_true(lambda: [len(hand.begun) for hand in hands] == [8] * 4)


async def test_each_of_many_jobs_runs_once(hall: Hall) -> None:
    hands = [hall.hire(name, at_once, concurrency=10) for name in "abcd"]
    names = [f"job-{number}" for number in range(400)]

    await hall.enqueue(*names)

    await until(hall.clean)
    assert sorted(name for hand in hands for name in hand.begun) == sorted(names)


async def test_no_more_jobs_run_at_once_than_asked_for(hall: Hall) -> None:
    running, most = 0, 0

    async def counted(_: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await hall.redis.execute_command("PING")
        running -= 1

    hand = hall.hire("a", counted, concurrency=3)
    await hall.enqueue(*(f"job-{number}" for number in range(50)))

    await until(hall.clean)
    assert most == 3
    assert len(hand.begun) == 50


async def test_a_lease_is_renewed_for_as_long_as_the_job_runs(hall: Hall) -> None:
    gate = asyncio.Event()
    hand = hall.hire("a", until_set(gate))
    other = hall.hire("b", at_once, poll_seconds=0.05)
    await hall.enqueue("job")
    await until_true(lambda: len(hand.begun + other.begun) == 1)
    if other.begun:  # it was taken by the one that ends at once
        await until(hall.clean)
        await hall.redis.execute_command("FLUSHALL")
        await other.leave()
        await hall.enqueue("job")
        await until_true(lambda: bool(hand.begun))
    over = time.monotonic() + 3 * LEASE

    await until_true(lambda: time.monotonic() > over)

    assert await hall.holder("job") == "a"
    assert hand.begun == ["job"]
    gate.set()
    await until(hall.clean)


async def test_a_dead_workers_job_runs_elsewhere_after_its_lease(hall: Hall) -> None:
    dead = hall.hire("dead", for_ever)
    await hall.enqueue("job")
    await until_true(lambda: dead.begun == ["job"])
    heir = hall.hire("heir", at_once, poll_seconds=0.05)

    await dead.die()
    died = time.monotonic()

    await until_true(lambda: heir.begun == ["job"])
    assert time.monotonic() - died < LEASE + 1
    await until(hall.clean)


async def take_away(hall: Hall, name: str, holder: str) -> None:
    """What another worker does that finds the lease run out."""
    await hall.redis.execute_command("SET", keys.lease(name), holder, "PX", 60_000)


async def test_whoever_loses_a_lease_is_told_and_leaves_the_job_alone(hall: Hall) -> None:
    hand = hall.hire("a", for_ever)
    await hall.enqueue("job")
    await until_true(lambda: hand.begun == ["job"])

    await take_away(hall, "job", "b")

    await until_true(lambda: hand.lost == ["job"] and not hand.worker.job_counter)
    assert await hall.holder("job") == "b"
    assert await hall.redis.execute_command("ZSCORE", keys.QUEUE, "job") is not None
    assert await hall.redis.execute_command("EXISTS", keys.job("job")) == 1


async def test_whoever_ends_a_job_after_its_lease_went_does_not_take_it_off(hall: Hall) -> None:
    gate = asyncio.Event()
    hand = hall.hire("a", until_set(gate), lease_seconds=30)
    await hall.enqueue("job")
    await until_true(lambda: hand.begun == ["job"])
    await take_away(hall, "job", "b")

    gate.set()

    await until_true(lambda: not hand.worker.job_counter)
    assert await hall.holder("job") == "b"
    assert await hall.redis.execute_command("ZSCORE", keys.QUEUE, "job") is not None


async def test_a_job_taken_off_the_queue_is_lost_to_its_worker(hall: Hall) -> None:
    hand = hall.hire("a", for_ever)
    await hall.enqueue("job")
    await until_true(lambda: hand.begun == ["job"])

    await JobQueue(hall.redis).remove("job")

    await until_true(lambda: hand.lost == ["job"])
    await until(hall.clean)


async def test_a_worker_that_slept_over_its_leases_does_not_run_a_job_twice(hall: Hall) -> None:
    gate = asyncio.Event()
    hand = hall.hire("a", until_set(gate), poll_seconds=0.05)
    await hall.enqueue("job")
    await until_true(lambda: hand.begun == ["job"])

    time.sleep(2 * LEASE)  # noqa: ASYNC251  (the whole process stands still, as a suspended one)
    over = time.monotonic() + 2 * LEASE
    await until_true(lambda: time.monotonic() > over)

    assert hand.begun == ["job"]
    assert not hand.lost
    gate.set()
    await until(hall.clean)


async def test_a_job_that_asks_to_be_run_again_is_run_again_at_once(hall: Hall) -> None:
    async def moody(_: str) -> None:
        if len(hand.begun) < 3:
            raise RetryJob

    hand = hall.hire("a", moody)
    await hall.enqueue("job")

    await until_true(lambda: hand.begun == ["job"] * 3, seconds=PROMPT)
    await until(hall.clean)


async def test_a_job_that_raises_does_not_end_its_worker(hall: Hall) -> None:
    async def broken(name: str) -> None:
        if name == "broken":
            raise ValueError("no")

    hand = hall.hire("a", broken)
    await hall.enqueue("broken", "whole")

    await until_true(lambda: sorted(hand.begun) == ["broken", "whole"])
    await until(hall.clean)


async def test_a_job_whose_end_was_not_written_is_run_again(hall: Hall) -> None:
    hand = hall.hire("a", at_once, poll_seconds=0.05)
    failures = [ConnectionError("away")]

    async def once_away() -> None:
        if failures:
            raise failures.pop()

    hand.worker.before_release = once_away
    await hall.enqueue("job")

    await until_true(lambda: hand.begun == ["job", "job"])
    await until(hall.clean)


async def test_an_expired_job_is_dropped(hall: Hall) -> None:
    await hall.enqueue("job")
    await hall.redis.execute_command("DEL", keys.job("job"))
    hand = hall.hire("a", at_once)

    await until_true(lambda: hand.dropped == ["job"])
    await until(hall.clean)
    assert not hand.begun


@pytest.mark.parametrize("payload", [b"\x80\x04N.", b"{", b"[]", b'{"f":"nothing"}'])
async def test_a_job_that_cannot_be_read_is_dropped(hall: Hall, payload: bytes) -> None:
    await hall.enqueue("job")
    await hall.redis.execute_command("SET", keys.job("job"), payload, "PX", 60_000)
    hand = hall.hire("a", at_once)

    await until_true(lambda: hand.dropped == ["job"])
    await until(hall.clean)


async def test_arqs_own_jobs_run_too(hall: Hall) -> None:
    producer = hall.connect("producer")
    hand = hall.hire("a", at_once, poll_seconds=0.05)

    await producer.enqueue_job(RUN_CHAT, {"run_id": "job"}, _job_id="job")
    await producer.enqueue_job(RUN_CHAT, {"run_id": "later"}, _job_id="later", _defer_by=0.3)

    await until_true(lambda: hand.begun == ["job", "later"])
    await until(hall.clean)


async def test_a_draining_worker_takes_nothing_and_lets_jobs_end(hall: Hall) -> None:
    gate = asyncio.Event()
    hand = hall.hire("a", until_set(gate), drain_seconds=10)
    await hall.enqueue("job")
    await until_true(lambda: hand.begun == ["job"])

    hand.stop.set()
    await until_true(lambda: not hand.worker.allow_pick_jobs)
    await hall.enqueue("new")
    other = hall.hire("b", at_once)

    await until_true(lambda: other.begun == ["new"], seconds=PROMPT)
    assert hand.task
    assert not hand.task.done()
    gate.set()
    await hand.task
    assert hand.begun == ["job"]
    assert await hall.clean()


async def test_what_does_not_end_in_time_is_handed_over_at_once(hall: Hall) -> None:
    hand = hall.hire("a", for_ever, drain_seconds=0.1, lease_seconds=60)
    await hall.enqueue("one", "two")
    await until_true(lambda: len(hand.begun) == 2)
    heir = hall.hire("b", at_once)
    await hall.idle(1)
    begun = time.monotonic()

    await hand.leave()

    await until_true(lambda: sorted(heir.begun) == ["one", "two"])
    assert time.monotonic() - begun < PROMPT
    await until(hall.clean)


async def test_a_token_that_a_draining_worker_eats_is_passed_on(hall: Hall) -> None:
    gate = asyncio.Event()
    leaving = hall.hire("a", until_set(gate), drain_seconds=10)
    await hall.enqueue("job")
    await until_true(lambda: leaving.begun == ["job"])
    await hall.idle(1)
    other = hall.hire("b", at_once)
    await hall.idle(2)

    # The one that leaves has waited longest for a token: the next is its own.
    leaving.stop.set()
    await until_true(lambda: not leaving.worker.allow_pick_jobs)
    await hall.enqueue("new")

    await until_true(lambda: other.begun == ["new"], seconds=PROMPT)
    gate.set()
    await leaving.leave()


async def test_what_was_claimed_while_the_stop_came_is_handed_over(hall: Hall) -> None:
    claimed, go_on = asyncio.Event(), asyncio.Event()
    hand = Hand("a", hall.connect("a"), for_ever, lease_seconds=60)

    async def slowly() -> None:
        claimed.set()
        await go_on.wait()

    hand.worker.after_claim = slowly
    await hall.enqueue("job")
    hand.begin()
    await claimed.wait()

    hand.stop.set()
    await until_true(lambda: not hand.worker.allow_pick_jobs)
    go_on.set()
    await hand.leave()

    assert await hall.holder("job") is None
    heir = hall.hire("b", at_once)
    await until_true(lambda: heir.begun == ["job"], seconds=PROMPT)


async def test_a_worker_says_that_it_lives_and_takes_it_back(hall: Hall) -> None:
    hand = hall.hire("a", at_once)
    await hall.idle(1)

    ttl = await hall.redis.execute_command("PTTL", keys.worker("a"))
    assert 0 < ttl < 10_000
    await hand.leave()
    assert await hall.redis.execute_command("EXISTS", keys.worker("a")) == 0


async def test_every_key_of_a_running_job_has_a_ttl(hall: Hall) -> None:
    hand = hall.hire("a", for_ever)
    await hall.enqueue("job", "other")
    await until_true(lambda: len(hand.begun) == 2)

    names: list[bytes] = await hall.redis.execute_command("KEYS", "*")
    ttls = {name: await hall.redis.execute_command("PTTL", name) for name in names}
    assert len(ttls) >= 7
    assert all(ttl > 0 for ttl in ttls.values()), ttls


async def test_a_redis_that_restarts_loses_no_job(tmp_path: Path) -> None:
    valkey = Valkey(data=tmp_path)
    await start_all(valkey)
    redis = valkey.client()
    gate = asyncio.Event()
    async with open_hall(valkey.url, redis) as hall:
        hand = hall.hire("a", until_set(gate), poll_seconds=0.05, concurrency=2)
        await hall.enqueue("one", "two", "three")
        await until_true(lambda: len(hand.begun) == 2)

        await valkey.kill()
        await until_true(lambda: not hand.lost)
        valkey.start()
        await valkey.ready()
        gate.set()

        async def clean() -> bool:
            with suppress(*REDIS_UNAVAILABLE):
                return await hall.clean()
            return False

        await until(clean)
        assert {"one", "two", "three"} == set(hand.begun)
        assert hand.task
        assert not hand.task.done()
    await redis.aclose()
    await stop_all(valkey)


async def test_a_redis_that_is_away_at_a_stop_does_not_keep_the_worker() -> None:
    valkey = Valkey()
    await start_all(valkey)
    redis = valkey.client()
    async with open_hall(valkey.url, redis) as hall:
        hand = hall.hire("a", for_ever, poll_seconds=0.05)
        await hall.enqueue("job")
        await until_true(lambda: hand.begun == ["job"])
        await valkey.kill()

        async with asyncio.timeout(10):
            await hand.leave()
    await redis.aclose()
    await stop_all(valkey)


async def test_a_server_that_refuses_writes_does_not_end_a_worker(hall: Hall, redis: Redis) -> None:
    hand = hall.hire("a", at_once, poll_seconds=0.05)
    await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        await until(lambda: refused_writes(redis))
    finally:
        await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 0)

    await hall.enqueue("one")

    await until_true(lambda: "one" in hand.begun)


async def refused_writes(redis: Redis) -> bool:
    errors: dict[str, object] = await redis.execute_command("INFO", "errorstats")
    return "errorstat_NOREPLICAS" in errors


BOTH = [keys.QUEUE, keys.queue("slow")]


async def test_a_worker_serves_its_queues_and_no_other(hall: Hall) -> None:
    main = hall.hire("main", at_once)
    slow = hall.hire("slow", at_once, queues=lambda: [keys.queue("slow")])
    await hall.idle(2)

    async with asyncio.timeout(PROMPT):
        await hall.enqueue("one", queue="slow")
        await hall.enqueue("two")
        await until_true(lambda: slow.begun == ["one"] and main.begun == ["two"])


async def test_a_long_queue_does_not_keep_a_short_one_waiting(hall: Hall) -> None:
    await hall.enqueue(*(f"main-{number}" for number in range(20)))
    await hall.enqueue("slow-1", "slow-2", queue="slow")
    gate = asyncio.Event()

    hand = hall.hire("worker", until_set(gate), queues=lambda: BOTH, concurrency=4)
    await until_true(lambda: len(hand.begun) == 4)
    assert {"slow-1", "slow-2"} <= set(hand.begun)

    gate.set()
    await until(hall.clean)
    assert len(hand.begun) == len(set(hand.begun)) == 22


async def test_one_place_at_a_time_goes_round_the_queues(hall: Hall) -> None:
    await hall.enqueue(*(f"main-{number}" for number in range(6)))
    await hall.enqueue("slow-1", "slow-2", queue="slow")

    hand = hall.hire("worker", at_once, queues=lambda: BOTH, concurrency=1)
    await until(hall.clean)

    assert {"slow-1", "slow-2"} <= set(hand.begun[:5])


async def test_the_leases_of_all_queues_are_renewed(hall: Hall) -> None:
    hand = hall.hire("worker", for_ever, queues=lambda: BOTH)
    other = hall.hire("other", for_ever, queues=lambda: BOTH, poll_seconds=0.05)
    await hall.enqueue("one")
    await hall.enqueue("two", queue="slow")
    await until_true(lambda: len(hand.begun + other.begun) == 2)

    renewed = time.monotonic() + 2 * LEASE
    await until_true(lambda: time.monotonic() > renewed)

    assert sorted(hand.begun + other.begun) == ["one", "two"]
    assert not hand.lost + other.lost


async def test_a_job_that_is_put_back_stays_in_its_queue(hall: Hall) -> None:
    first = hall.hire("first", for_ever, queues=lambda: BOTH)
    await hall.enqueue("job", queue="slow")
    await until_true(lambda: first.begun == ["job"])

    second = hall.hire("second", at_once, queues=lambda: [keys.queue("slow")])
    await first.leave()

    await until_true(lambda: second.begun == ["job"])
    await until(hall.clean)
    assert not await hall.redis.execute_command("ZCARD", keys.queue("slow"))
