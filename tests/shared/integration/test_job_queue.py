import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool

from shared.chat.messages import FilePart, Message, TextPart, ToolPart
from shared.queue.job_queue import (
    RUN_CHAT,
    JobQueue,
    QueueDepth,
    QueuePosition,
    RunChat,
    dump_job,
    load_job,
)
from shared.redis import keys
from shared.redis.client import Redis, open_pool
from shared.redis.subscriber import Subscriber
from shared.runs.admission import Admission
from shared.settings import LimitSettings
from tests.support.fakes.recorder import Recorder
from tests.support.fakes.runs import job_of, new_run
from tests.support.processes import Valkey

OWNER = "owner-1"
CHAT = "chat-1"
LIVE_TTL = 600


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    return JobQueue(redis)


async def admit(redis: Redis, name: str, *, chat_id: str = CHAT) -> None:
    run = new_run(name, owner=OWNER, chat_id=chat_id)
    await Admission(redis, live_ttl=LIVE_TTL).admit(run, job_of(run), LimitSettings())


# Reading a job


async def test_arq_reads_the_job(valkey: Valkey, redis: Redis) -> None:
    sent = RunChat(
        run_id="run-1",
        chat_id=CHAT,
        message_id="msg-1",
        request_id="request-1",
        agent="chat",
        model="gpt-4o",
        tools=("generateForm",),
        messages=(
            Message(
                role="user",
                parts=(
                    TextPart(text="ü \U0001f600 \x00 \n"),
                    FilePart(media_type="image/png", url="data:image/png;base64,AA=="),
                ),
            ),
            Message(
                role="assistant",
                parts=(
                    ToolPart(tool_call_id="1", tool_name="t", input={"a": [1, None]}, output=None),
                ),
            ),
        ),
    )
    await Admission(redis, live_ttl=LIVE_TTL).admit(new_run("run-1"), sent, LimitSettings())

    pool = open_pool(valkey.url, name="arq", max_connections=2)
    [found] = await arq_on(pool).queued_jobs(queue_name=keys.QUEUE)
    await pool.disconnect()

    assert (found.job_id, found.function, found.kwargs) == ("run-1", RUN_CHAT, {})
    assert found.job_try is None
    assert abs((datetime.now(UTC) - found.enqueue_time).total_seconds()) < 10
    [args] = cast("list[object]", found.args)
    assert RunChat.model_validate(args) == sent


def arq_on(pool: BlockingConnectionPool) -> ArqRedis:
    return ArqRedis(pool, job_serializer=dump_job, job_deserializer=load_job)


async def test_a_job_is_never_pickled(redis: Redis) -> None:
    await admit(redis, "run-1")

    payload = cast("bytes", await redis.execute_command("GET", keys.job("run-1")))

    assert payload.startswith(b"{")
    assert load_job(payload)["f"] == RUN_CHAT


def test_a_job_of_a_newer_sender_is_read_without_what_is_unknown() -> None:
    sent = job_of(new_run("run-1"))
    fields = sent.model_dump(mode="json") | {"temperature": 1}

    assert RunChat.model_validate(fields) == sent


# A job's life


async def test_the_worker_that_has_a_run_is_known(redis: Redis, queue: JobQueue) -> None:
    assert await queue.leased_by("run-1") is None

    await redis.execute_command("SET", keys.lease("run-1"), "worker-1", "PX", 10_000)

    assert await queue.leased_by("run-1") == "worker-1"


async def test_a_job_that_was_removed_is_gone(redis: Redis, queue: JobQueue) -> None:
    await admit(redis, "run-1")
    await admit(redis, "run-2", chat_id="chat-2")
    await redis.execute_command("SET", keys.tries("run-1"), 2, "PX", 10_000)

    await queue.remove("run-1")
    await queue.remove("run-1")

    assert not await queue.queued("run-1")
    assert await redis.execute_command("EXISTS", keys.job("run-1"), keys.tries("run-1")) == 0
    assert await queue.queued("run-2")
    assert await redis.execute_command("EXISTS", keys.job("run-2")) == 1


@pytest.mark.parametrize(
    "command", [("ZREM", keys.QUEUE, "run-1"), ("ZADD", keys.QUEUE, 9e15, "run-1")]
)
async def test_a_job_that_left_its_queue_or_waits_for_another_time_is_made_due(
    redis: Redis, queue: JobQueue, command: tuple[str | float, ...]
) -> None:
    await admit(redis, "run-1")
    await redis.execute_command(*command)
    await redis.execute_command("DEL", keys.wake(keys.QUEUE))
    assert (await queue.depth()).waiting == 0

    assert await queue.requeue("run-1") == "due"

    assert (await queue.depth()).waiting == 1
    assert await redis.execute_command("LLEN", keys.wake(keys.QUEUE)) == 1


async def test_a_job_that_a_worker_holds_or_that_is_gone_is_not_made_due(
    redis: Redis, queue: JobQueue
) -> None:
    await admit(redis, "run-1")
    await redis.execute_command("SET", keys.lease("run-1"), "worker-1", "PX", 10_000)

    assert await queue.requeue("run-1") == "held"
    assert await queue.requeue("run-2") == "gone"
    assert not await queue.queued("run-2")


async def test_removing_a_job_leaves_the_chats_newest_run(redis: Redis, queue: JobQueue) -> None:
    await admit(redis, "run-1")

    await queue.remove("run-1")

    assert await queue.latest(OWNER, CHAT) == "run-1"


async def test_an_order_reaches_the_worker_it_is_for(
    valkey: Valkey, redis: Redis, queue: JobQueue
) -> None:
    one, other = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test") as subscriber:
        subscriber.add(keys.worker("worker-1"), one)
        subscriber.add(keys.worker("worker-2"), other)
        await asyncio.gather(one.has_gaps(1), other.has_gaps(1))

        await queue.send_command("worker-1", "stop run-1")

        assert await one.all_before(redis, keys.worker("worker-1")) == [b"stop run-1"]
        assert await other.all_before(redis, keys.worker("worker-2")) == []


async def test_an_order_for_a_worker_that_is_gone_is_no_mistake(queue: JobQueue) -> None:
    await queue.send_command("worker-1", "stop run-1")


# How much stands in the queue


async def test_an_empty_queue_has_no_depth(queue: JobQueue) -> None:
    assert await queue.depth() == QueueDepth(0, 0, 0, 0)


async def test_waiting_running_and_deferred_jobs_are_counted_apart(
    redis: Redis, queue: JobQueue
) -> None:
    await put(redis, "oldest", due=-5000)
    await put(redis, "old", due=-2000)
    for name in ("running-1", "running-2", "running-3"):
        await put(redis, name, due=3000)
        await redis.execute_command("SET", keys.lease(name), "worker-1", "PX", 10_000)
    await put(redis, "later", due=60_000)

    waiting, running, deferred, oldest_wait_ms = await queue.depth()

    assert (waiting, running, deferred) == (2, 3, 1)
    assert 5000 <= oldest_wait_ms < 60_000


async def test_a_job_whose_worker_died_waits_again(redis: Redis, queue: JobQueue) -> None:
    await put(redis, "job", due=-1)
    await redis.execute_command("SET", keys.lease("job"), "worker-1", "PX", 10_000)

    assert (await queue.depth()).waiting == 1


async def test_of_very_many_running_jobs_the_last_are_looked_at(
    redis: Redis, queue: JobQueue
) -> None:
    for number in range(1500):
        await put(redis, f"job-{number:04}", due=60_000)
        await redis.execute_command("SET", keys.lease(f"job-{number:04}"), "w", "PX", 60_000)
    await put(redis, "later", due=90_000)

    assert await queue.depth() == QueueDepth(0, 1500, 1, 0)


# Places


async def test_those_that_wait_have_places_in_the_order_they_are_due(
    redis: Redis, queue: JobQueue
) -> None:
    for name, due in {"second": -10, "first": -20, "leased": 3000, "later": 60_000}.items():
        await put(redis, name, due=due)

    places = await queue.positions(["first", "second", "leased", "later", "gone"])

    assert places == [QueuePosition(1, 2), QueuePosition(2, 2), None, None, None]


async def test_the_places_of_very_many_are_found(redis: Redis, queue: JobQueue) -> None:
    names = [f"job-{number:04}" for number in range(2500)]
    for number, name in enumerate(names):
        await put(redis, name, due=number - 10_000)

    assert await queue.positions(names) == [QueuePosition(n + 1, 2500) for n in range(2500)]


async def test_nobody_asks_for_no_place(queue: JobQueue) -> None:
    assert await queue.positions([]) == []


# A job that waits for another run to end


async def test_a_released_job_is_due_and_wakes_a_worker(redis: Redis, queue: JobQueue) -> None:
    await put(redis, "job", due=60_000)

    await queue.release("job")
    await queue.release("job")

    assert (await queue.depth()).waiting == 1
    assert await redis.execute_command("LLEN", keys.wake(keys.QUEUE)) == 1


async def test_a_job_that_a_worker_has_is_not_released(redis: Redis, queue: JobQueue) -> None:
    await put(redis, "job", due=60_000)
    await redis.execute_command("SET", keys.lease("job"), "worker-1", "PX", 10_000)

    await queue.release("job")

    assert (await queue.depth()).running == 1


async def test_a_job_that_is_gone_does_not_come_back(queue: JobQueue) -> None:
    await queue.release("job")

    assert not await queue.queued("job")


async def put(redis: Redis, name: str, *, due: int) -> None:
    """A job in the queue, due in so many milliseconds."""
    seconds, micros = await redis.execute_command("TIME")
    now = int(seconds) * 1000 + int(micros) // 1000
    await redis.execute_command("ZADD", keys.QUEUE, now + due, name)
    await redis.execute_command("PEXPIRE", keys.QUEUE, LIVE_TTL * 1000)
