import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool

from shared import keys
from shared.jobs import RUN_CHAT, JobQueue, RunChat, dump_job, load_job
from shared.messages import FilePart, Message, TextPart, ToolPart
from shared.redis import Redis, open_pool
from shared.subscriber import Subscriber
from tests.fakes.recorder import Recorder
from tests.processes import Valkey

OWNER = "owner-1"
CHAT = "chat-1"
LIVE_TTL = 600


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    return JobQueue(redis, live_ttl=LIVE_TTL)


def job(run_id: str, *, chat_id: str = CHAT, text: str = "Hello") -> RunChat:
    return RunChat(
        run_id=run_id,
        chat_id=chat_id,
        message_id=f"msg-{run_id}",
        request_id="request-1",
        agent="chat",
        model="gpt-4o",
        messages=(Message(role="user", parts=(TextPart(text=text),)),),
    )


async def waiting(redis: Redis) -> list[bytes]:
    return await redis.execute_command("ZRANGE", keys.QUEUE, 0, -1)


async def tokens(redis: Redis) -> int:
    return await redis.execute_command("LLEN", keys.wake(keys.QUEUE))


async def everything(redis: Redis) -> dict[bytes, bytes]:
    names: list[bytes] = sorted(await redis.execute_command("KEYS", "*"))
    return {name: await redis.execute_command("DUMP", name) for name in names}


# Accepting a run


async def test_an_accepted_run_is_the_chats_newest_and_queued(
    redis: Redis, queue: JobQueue
) -> None:
    assert await queue.latest(OWNER, CHAT) is None

    assert await queue.enqueue(job("run-1"), owner=OWNER, after=None)

    assert await queue.latest(OWNER, CHAT) == "run-1"
    assert await queue.queued("run-1")
    assert await waiting(redis) == [b"run-1"]
    assert await tokens(redis) == 1


async def test_a_run_follows_the_one_it_was_meant_to_follow(queue: JobQueue) -> None:
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)

    assert await queue.enqueue(job("run-2"), owner=OWNER, after="run-1")

    assert await queue.latest(OWNER, CHAT) == "run-2"


@pytest.mark.parametrize("after", [None, "run-0", "run-10", ""])
async def test_a_run_that_came_too_late_changes_nothing(
    redis: Redis, queue: JobQueue, after: str | None
) -> None:
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)
    before = await everything(redis)

    assert not await queue.enqueue(job("run-2"), owner=OWNER, after=after)

    assert await everything(redis) == before
    assert not await queue.queued("run-2")


async def test_a_run_after_one_that_is_forgotten_is_refused(queue: JobQueue) -> None:
    assert not await queue.enqueue(job("run-2"), owner=OWNER, after="run-1")


async def test_of_two_at_once_one_wins_and_the_other_leaves_no_trace(
    redis: Redis, queue: JobQueue
) -> None:
    for turn in range(20):
        newest = await queue.latest(OWNER, CHAT)
        rivals = [f"run-{turn}-{name}" for name in "ab"]
        accepted = await asyncio.gather(
            *(queue.enqueue(job(run_id), owner=OWNER, after=newest) for run_id in rivals)
        )
        winner, loser = rivals if accepted[0] else reversed(rivals)

        assert sorted(accepted) == [False, True]
        assert await queue.latest(OWNER, CHAT) == winner
        assert await queue.queued(winner)
        assert not await queue.queued(loser)
        assert await redis.execute_command("EXISTS", keys.job(loser)) == 0
    assert await tokens(redis) == 20


async def test_the_same_run_again_after_a_lost_reply_changes_nothing(
    redis: Redis, queue: JobQueue
) -> None:
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)
    before = await everything(redis)

    assert await queue.enqueue(job("run-1"), owner=OWNER, after=None)

    assert await everything(redis) == before


async def test_chats_of_different_owners_do_not_meet(queue: JobQueue) -> None:
    await queue.enqueue(job("run-1"), owner="anna", after=None)

    assert await queue.enqueue(job("run-2"), owner="bert", after=None)

    assert await queue.latest("anna", CHAT) == "run-1"
    assert await queue.latest("bert", CHAT) == "run-2"


async def test_no_owner_can_name_a_chat_into_anothers(queue: JobQueue) -> None:
    await queue.enqueue(job("run-1", chat_id="b:c"), owner="a", after=None)

    assert await queue.latest("a:b", "c") is None
    assert await queue.latest("", "a:b:c") is None


async def test_tokens_are_capped(
    redis: Redis, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.jobs._WAKE_CAP", 3)

    for number in range(5):
        run = job(f"run-{number}", chat_id=f"chat-{number}")
        await queue.enqueue(run, owner=OWNER, after=None)

    assert await tokens(redis) == 3
    assert len(await waiting(redis)) == 5


async def test_every_key_lives_as_long_as_a_run_may_wait(redis: Redis, queue: JobQueue) -> None:
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)

    names: list[bytes] = await redis.execute_command("KEYS", "*")
    assert len(names) == 4
    for name in names:
        left: int = await redis.execute_command("PTTL", name)
        assert LIVE_TTL * 1000 - 30_000 < left <= LIVE_TTL * 1000


async def test_the_queue_is_ordered_by_the_servers_clock(redis: Redis, queue: JobQueue) -> None:
    seconds, micros = await redis.execute_command("TIME")
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)
    await queue.enqueue(job("run-2", chat_id="chat-2"), owner=OWNER, after=None)

    score = float(await redis.execute_command("ZSCORE", keys.QUEUE, "run-1"))

    assert await waiting(redis) == [b"run-1", b"run-2"]
    assert 0 <= score - (int(seconds) * 1000 + int(micros) // 1000) < 10_000


async def test_a_server_that_has_forgotten_the_script_is_told_it_again(
    redis: Redis, queue: JobQueue
) -> None:
    await redis.execute_command("SCRIPT", "FLUSH")

    assert await queue.enqueue(job("run-1"), owner=OWNER, after=None)


# Reading a job


async def test_arq_reads_the_job(valkey: Valkey, queue: JobQueue) -> None:
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
    await queue.enqueue(sent, owner=OWNER, after=None)

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


async def test_a_job_is_never_pickled(redis: Redis, queue: JobQueue) -> None:
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)

    payload = cast("bytes", await redis.execute_command("GET", keys.job("run-1")))

    assert payload.startswith(b"{")
    assert load_job(payload)["f"] == RUN_CHAT


def test_a_job_of_a_newer_sender_is_read_without_what_is_unknown() -> None:
    fields = job("run-1").model_dump(mode="json") | {"temperature": 1}

    assert RunChat.model_validate(fields) == job("run-1")


# A job's life


async def test_the_worker_that_has_a_run_is_known(redis: Redis, queue: JobQueue) -> None:
    assert await queue.leased_by("run-1") is None

    await redis.execute_command("SET", keys.lease("run-1"), "worker-1", "PX", 10_000)

    assert await queue.leased_by("run-1") == "worker-1"


async def test_a_job_that_was_removed_is_gone(redis: Redis, queue: JobQueue) -> None:
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)
    await queue.enqueue(job("run-2", chat_id="chat-2"), owner=OWNER, after=None)
    await redis.execute_command("SET", keys.tries("run-1"), 2, "PX", 10_000)

    await queue.remove("run-1")
    await queue.remove("run-1")

    assert not await queue.queued("run-1")
    assert await redis.execute_command("EXISTS", keys.job("run-1"), keys.tries("run-1")) == 0
    assert await queue.queued("run-2")
    assert await redis.execute_command("EXISTS", keys.job("run-2")) == 1


async def test_removing_a_job_leaves_the_chats_newest_run(queue: JobQueue) -> None:
    await queue.enqueue(job("run-1"), owner=OWNER, after=None)

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

        await queue.tell("worker-1", "stop run-1")

        assert await one.all_before(redis, keys.worker("worker-1")) == [b"stop run-1"]
        assert await other.all_before(redis, keys.worker("worker-2")) == []


async def test_an_order_for_a_worker_that_is_gone_is_no_mistake(queue: JobQueue) -> None:
    await queue.tell("worker-1", "stop run-1")
