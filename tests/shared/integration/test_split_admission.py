"""Admission in steps: wherever the process dies or a server is away, nothing accepted is lost."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import Argument, Redis
from shared.redis.cluster_client import ClusterClient
from shared.runs.admission import Admitted, Occupied
from shared.runs.chat_index import ChatIndex
from shared.runs.split_admission import SplitAdmission
from shared.runs.store import RunStore
from shared.settings import LimitSettings
from shared.streams.event_stream import RedisEventStream
from shared.streams.run_state import RunState
from tests.support.fakes.runs import job_of, new_run
from tests.support.redis_cluster import SharedCluster

TTL = 600
CHAT = "chat-1"
OWNER = "owner-1"


class Away(RunStore):
    """Runs of which some calls do not come through."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, live_ttl=TTL)
        self.lost: set[str] = set()

    async def request_cancel(self, run_id: str) -> None:
        self._check("request_cancel")
        await super().request_cancel(run_id)

    async def delete(self, run_id: str) -> None:
        self._check("delete")
        await super().delete(run_id)

    def _check(self, call: str) -> None:
        if call in self.lost:
            raise RedisConnectionError(call)


class Dying:
    """The queue's node, whose replies are lost after so many calls."""

    def __init__(self, redis: Redis, calls: int) -> None:
        self._redis = redis
        self._left = calls

    async def execute_command(self, *args: Argument) -> Any:
        reply = await self._redis.execute_command(*args)
        self._left -= 1
        if self._left < 0:
            raise RedisConnectionError("lost")
        return reply


class Door:
    def __init__(self, queue: Redis, logs: ClusterClient) -> None:
        self.redis = queue
        self.logs = logs
        self.queue = JobQueue(queue)
        self.chats = ChatIndex(queue)
        self.runs = Away(logs)
        self.stream = RedisEventStream(logs, live_ttl=TTL, retention=TTL, cluster=logs)

    async def admit(
        self, name: str, *, queue: Any = None, supersede: bool = False, live_runs: int = 0
    ) -> object:
        run = new_run(name, owner=OWNER, chat_id=CHAT)
        admission = SplitAdmission(queue or self.redis, self.runs, live_ttl=TTL)
        limits = LimitSettings(live_runs=live_runs)
        return await admission.admit(run, job_of(run), limits, supersede=supersede)


@pytest.fixture
async def door(redis: Redis, clusters: SharedCluster) -> AsyncGenerator[Door]:
    async with clusters.emptied() as cluster, aclosing(cluster.client()) as client:
        yield Door(redis, client)


async def test_a_run_is_on_the_cluster_and_all_else_with_the_queue(door: Door) -> None:
    await door.admit("run-1")

    names: list[bytes] = await door.redis.execute_command("KEYS", "*")
    assert keys.job("run-1").encode() in names
    assert not [name for name in names if name.startswith(b"mamba:run:")]
    run = await door.runs.get("run-1")
    assert run is not None
    assert run.state is RunState.QUEUED


@pytest.mark.parametrize("calls", [0, 1], ids=["asked", "let in"])
async def test_a_reply_that_is_lost_for_good_leaves_a_run_that_can_be_taken_over(
    door: Door, calls: int
) -> None:
    with pytest.raises(RedisConnectionError):
        await door.admit("run-1", queue=Dying(door.redis, calls))

    queued = await door.queue.queued("run-1")
    assert queued == (calls == 1)
    if queued:
        assert (await door.stream.take_over("run-1")).attempt == 1
    assert await door.admit("run-1") == Admitted("run-1", None, None)


async def test_who_dies_before_a_run_is_let_in_leaves_its_chat_free(door: Door) -> None:
    await door.runs.create(new_run("run-1", owner=OWNER, chat_id=CHAT))

    assert await door.admit("run-2") == Admitted("run-2", None, None)
    assert await door.chats.newest_run(OWNER, CHAT) == "run-2"


async def test_a_stop_that_was_not_recorded_is_recorded_by_whoever_begins_with_the_next(
    door: Door,
) -> None:
    await door.admit("run-1")
    door.runs.lost = {"request_cancel"}

    assert await door.admit("run-2", supersede=True) == Admitted("run-2", "run-1", None)

    assert (await door.stream.take_over("run-2")).supersedes == "run-1"


async def test_a_refusal_stands_though_the_run_cannot_be_taken_back(door: Door) -> None:
    await door.admit("run-1")
    await door.runs.create(new_run("run-2", owner=OWNER, chat_id=CHAT))
    door.runs.lost = {"delete"}

    assert await door.admit("run-2") == Occupied("run-1")


async def test_a_retried_call_is_let_in_though_its_job_has_ended_by_then(door: Door) -> None:
    await door.admit("run-1")
    await door.queue.remove("run-1")

    assert await door.admit("run-1") == Admitted("run-1", None, None)

    assert not await door.queue.queued("run-1")


async def test_runs_whose_jobs_are_gone_are_not_counted_for_ever(door: Door) -> None:
    for number in range(20):
        await door.admit(f"run-{number}", supersede=True)
        await door.queue.remove(f"run-{number}")

    await door.admit("last", supersede=True)

    live: list[bytes] = await door.redis.execute_command("ZRANGE", keys.live_runs(OWNER), 0, -1)
    assert live == [b"last"]


async def test_a_run_that_has_just_ended_makes_room_before_its_job_is_gone(door: Door) -> None:
    await door.admit("run-1", live_runs=1)
    await door.logs.execute_command("HSET", keys.run("run-1"), "state", "succeeded")

    assert await door.admit("run-2", live_runs=1) == Admitted("run-2", None, None)


async def test_the_wait_for_a_worker_is_told_from_the_admission_on(door: Door) -> None:
    await door.admit("run-1")
    let_in = int(await door.logs.execute_command("HGET", keys.run("run-1"), "let_in_at"))
    await door.logs.execute_command("HSET", keys.run("run-1"), "let_in_at", let_in - 5000)

    assert 5 <= (await door.stream.take_over("run-1")).waited < 60
