import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool

from shared.chat.messages import FilePart, Message, TextPart, ToolPart
from shared.queue.commands import StopJob
from shared.queue.job import RUN_CHAT, RunChat, dump_job, load_job
from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import Redis, open_pool
from shared.redis.subscriber import Subscriber
from shared.runs.admission import Admission
from shared.runs.chat_index import ChatIndex
from shared.settings import LimitSettings
from tests.support.fakes.jobs import lease_job, main_depth, put_job
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


# Encoding


async def test_arq_reads_a_queued_run(valkey: Valkey, redis: Redis) -> None:
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


async def test_payload_is_json(redis: Redis) -> None:
    await admit(redis, "run-1")

    payload = cast("bytes", await redis.execute_command("GET", keys.job("run-1")))

    assert payload.startswith(b"{")
    assert load_job(payload)["f"] == RUN_CHAT


def test_unknown_job_fields_are_ignored() -> None:
    sent = job_of(new_run("run-1"))
    fields = sent.model_dump(mode="json") | {"temperature": 1}

    assert RunChat.model_validate(fields) == sent


# Leases, removal, requeueing, commands


async def test_leased_by_returns_the_holder_of_the_job(redis: Redis, queue: JobQueue) -> None:
    assert await queue.leased_by("run-1") is None

    await lease_job(redis, "run-1")

    assert await queue.leased_by("run-1") == "worker-1"


async def test_removed_job_leaves_no_keys(redis: Redis, queue: JobQueue) -> None:
    await admit(redis, "run-1")
    await admit(redis, "run-2", chat_id="chat-2")

    await queue.remove("run-1")
    await queue.remove("run-1")

    assert not await queue.queued("run-1")
    assert await redis.execute_command("EXISTS", keys.job("run-1")) == 0
    assert await queue.queued("run-2")
    assert await redis.execute_command("EXISTS", keys.job("run-2")) == 1


@pytest.mark.parametrize(
    "command", [("ZREM", keys.QUEUE, "run-1"), ("ZADD", keys.QUEUE, 9e15, "run-1")]
)
async def test_requeue_makes_a_missing_or_deferred_job_due(
    redis: Redis, queue: JobQueue, command: tuple[str | float, ...]
) -> None:
    await admit(redis, "run-1")
    await redis.execute_command(*command)
    await redis.execute_command("DEL", keys.wakeup(keys.QUEUE))
    assert (await main_depth(redis)).waiting == 0

    assert await queue.requeue("run-1") == "due"

    assert (await main_depth(redis)).waiting == 1
    assert await redis.execute_command("LLEN", keys.wakeup(keys.QUEUE)) == 1


async def test_requeue_refuses_held_and_expired_jobs(redis: Redis, queue: JobQueue) -> None:
    await admit(redis, "run-1")
    await lease_job(redis, "run-1")

    assert await queue.requeue("run-1") == "held"
    assert await queue.requeue("run-2") == "gone"
    assert not await queue.queued("run-2")


async def test_removing_a_job_keeps_the_chat_index(redis: Redis, queue: JobQueue) -> None:
    await admit(redis, "run-1")

    await queue.remove("run-1")

    assert await ChatIndex(redis).newest_run(OWNER, CHAT) == "run-1"


async def test_command_reaches_only_its_worker(
    valkey: Valkey, redis: Redis, queue: JobQueue
) -> None:
    target, other = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test") as subscriber:
        subscriber.add(keys.worker_commands("worker-1"), target)
        subscriber.add(keys.worker_commands("worker-2"), other)
        await asyncio.gather(target.has_gaps(1), other.has_gaps(1))

        await queue.send_command("worker-1", StopJob("run-1"))

        assert await target.all_before(redis, keys.worker_commands("worker-1")) == [b"stop run-1"]
        assert await other.all_before(redis, keys.worker_commands("worker-2")) == []


async def test_command_for_a_missing_worker_is_ignored(queue: JobQueue) -> None:
    await queue.send_command("worker-1", StopJob("run-1"))


# Releasing deferred jobs


async def test_released_job_is_due_and_wakes_one_worker(redis: Redis, queue: JobQueue) -> None:
    await put_job(redis, "job", due=60_000)

    await queue.make_due("job")
    await queue.make_due("job")

    assert (await main_depth(redis)).waiting == 1
    assert await redis.execute_command("LLEN", keys.wakeup(keys.QUEUE)) == 1


async def test_deferred_job_is_due_at_its_new_time(redis: Redis, queue: JobQueue) -> None:
    await put_job(redis, "job", due=60_000)
    before = float(await redis.execute_command("ZSCORE", keys.QUEUE, "job"))

    await queue.defer("job", seconds=120)

    due = float(await redis.execute_command("ZSCORE", keys.QUEUE, "job"))
    assert before + 50_000 < due <= before + 120_000
    assert not await redis.execute_command("EXISTS", keys.wakeup(keys.QUEUE))


async def test_due_job_is_not_deferred(redis: Redis, queue: JobQueue) -> None:
    await put_job(redis, "job", due=0)

    await queue.defer("job", seconds=60)

    assert (await main_depth(redis)).waiting == 1


async def test_leased_job_is_not_deferred(redis: Redis, queue: JobQueue) -> None:
    await put_job(redis, "job", due=60_000)
    await lease_job(redis, "job")
    before = await redis.execute_command("ZSCORE", keys.QUEUE, "job")

    await queue.defer("job", seconds=1)
    await queue.defer("missing", seconds=1)

    assert await redis.execute_command("ZRANGE", keys.QUEUE, 0, -1) == [b"job"]
    assert await redis.execute_command("ZSCORE", keys.QUEUE, "job") == before


async def test_leased_job_is_not_released(redis: Redis, queue: JobQueue) -> None:
    await put_job(redis, "job", due=60_000)
    await lease_job(redis, "job")

    await queue.make_due("job")

    assert (await main_depth(redis)).running == 1


async def test_releasing_a_missing_job_does_nothing(queue: JobQueue) -> None:
    await queue.make_due("job")

    assert not await queue.queued("job")
