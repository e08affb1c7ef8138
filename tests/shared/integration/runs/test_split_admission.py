"""Admission with split storage: crashes and outages between its steps lose no admitted run."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import Argument, Redis
from shared.redis.cluster_client import ClusterClient
from shared.redis.memory import StreamMemory
from shared.runs.admission import Admitted, Occupied
from shared.runs.chat_index import ChatIndex
from shared.runs.split_admission import SplitAdmission
from shared.runs.store import RunStore
from shared.settings import LimitSettings, WhenBusy
from shared.streams.event_stream import RedisEventStream
from shared.streams.run_state import RunState
from tests.support.fakes.runs import job_of, new_run
from tests.support.redis_cluster import SharedCluster

TTL = 600
CHAT = "chat-1"
OWNER = "owner-1"


class FlakyRunStore(RunStore):
    """A run store whose calls named in `failing` raise a connection error."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, live_ttl=TTL)
        self.failing: set[str] = set()

    async def request_stop(self, run_id: str) -> None:
        self._check("request_stop")
        await super().request_stop(run_id)

    async def delete(self, run_id: str) -> None:
        self._check("delete")
        await super().delete(run_id)

    def _check(self, call: str) -> None:
        if call in self.failing:
            raise RedisConnectionError(call)


class LossyRedis:
    """The queue's server, whose replies are lost after `calls` calls."""

    def __init__(self, redis: Redis, calls: int) -> None:
        self._redis = redis
        self._remaining = calls

    async def execute_command(self, *args: Argument) -> Any:
        reply = await self._redis.execute_command(*args)
        self._remaining -= 1
        if self._remaining < 0:
            raise RedisConnectionError("lost")
        return reply


async def no_nodes(*_: Argument) -> dict[str, object]:
    return {}


class SplitAdmissionHarness:
    def __init__(self, queue: Redis, logs: ClusterClient) -> None:
        self.redis = queue
        self.logs = logs
        self.queue = JobQueue(queue)
        self.chats = ChatIndex(queue)
        self.runs = FlakyRunStore(logs)
        self.stream = RedisEventStream(logs, live_ttl=TTL, retention=TTL, cluster=logs)

    async def admit(
        self, name: str, *, queue: Any = None, supersede: bool = False, live_runs: int = 0
    ) -> object:
        run = new_run(name, owner=OWNER, chat_id=CHAT)
        admission = SplitAdmission(
            queue or self.redis, self.runs, StreamMemory(no_nodes), live_ttl=TTL
        )
        limits = LimitSettings(live_runs=live_runs)
        when_busy: WhenBusy = "supersede" if supersede else "reject"
        return await admission.admit(run, job_of(run), limits, when_busy=when_busy)


@pytest.fixture
async def harness(redis: Redis, clusters: SharedCluster) -> AsyncGenerator[SplitAdmissionHarness]:
    async with clusters.emptied() as cluster, aclosing(cluster.client()) as client:
        yield SplitAdmissionHarness(redis, client)


async def test_run_is_stored_on_the_cluster_and_its_job_with_the_queue(
    harness: SplitAdmissionHarness,
) -> None:
    await harness.admit("run-1")

    names: list[bytes] = await harness.redis.execute_command("KEYS", "*")
    assert keys.job("run-1").encode() in names
    assert not [name for name in names if name.startswith(b"mamba:run:")]
    run = await harness.runs.get("run-1")
    assert run is not None
    assert run.state is RunState.QUEUED


@pytest.mark.parametrize("calls", [0, 1], ids=["before admission", "after admission"])
async def test_lost_reply_leaves_a_run_that_can_be_taken_over(
    harness: SplitAdmissionHarness, calls: int
) -> None:
    with pytest.raises(RedisConnectionError):
        await harness.admit("run-1", queue=LossyRedis(harness.redis, calls))

    queued = await harness.queue.queued("run-1")
    assert queued == (calls == 1)
    if queued:
        assert (await harness.stream.take_over("run-1")).attempt == 1
    assert await harness.admit("run-1") == Admitted("run-1", (), None)


async def test_crash_before_admission_leaves_the_chat_free(harness: SplitAdmissionHarness) -> None:
    await harness.runs.create(new_run("run-1", owner=OWNER, chat_id=CHAT))

    assert await harness.admit("run-2") == Admitted("run-2", (), None)
    assert await harness.chats.newest_run(OWNER, CHAT) == "run-2"


async def test_takeover_reports_a_superseded_run_whose_stop_was_lost(
    harness: SplitAdmissionHarness,
) -> None:
    await harness.admit("run-1")
    harness.runs.failing = {"request_stop"}

    assert await harness.admit("run-2", supersede=True) == Admitted("run-2", ("run-1",), None)

    assert (await harness.stream.take_over("run-2")).supersedes == "run-1"


async def test_refusal_is_returned_when_the_run_cannot_be_deleted(
    harness: SplitAdmissionHarness,
) -> None:
    await harness.admit("run-1")
    await harness.runs.create(new_run("run-2", owner=OWNER, chat_id=CHAT))
    harness.runs.failing = {"delete"}

    assert await harness.admit("run-2") == Occupied("run-1")


async def test_repeated_admission_succeeds_after_the_job_ended(
    harness: SplitAdmissionHarness,
) -> None:
    await harness.admit("run-1")
    await harness.queue.remove("run-1")

    assert await harness.admit("run-1") == Admitted("run-1", (), None)

    assert not await harness.queue.queued("run-1")


async def test_runs_without_a_job_do_not_count_as_live(harness: SplitAdmissionHarness) -> None:
    for number in range(20):
        await harness.admit(f"run-{number}", supersede=True)
        await harness.queue.remove(f"run-{number}")

    await harness.admit("last", supersede=True)

    live: list[bytes] = await harness.redis.execute_command("ZRANGE", keys.live_runs(OWNER), 0, -1)
    assert live == [b"last"]


async def test_ended_run_frees_its_slot_before_its_job_is_removed(
    harness: SplitAdmissionHarness,
) -> None:
    await harness.admit("run-1", live_runs=1)
    await harness.logs.execute_command("HSET", keys.run("run-1"), "state", "succeeded")

    assert await harness.admit("run-2", live_runs=1) == Admitted("run-2", (), None)


async def test_takeover_measures_the_wait_since_admission(harness: SplitAdmissionHarness) -> None:
    await harness.admit("run-1")
    admitted_at = int(await harness.logs.execute_command("HGET", keys.run("run-1"), "admitted_at"))
    await harness.logs.execute_command("HSET", keys.run("run-1"), "admitted_at", admitted_at - 5000)

    assert 5 <= (await harness.stream.take_over("run-1")).waited < 60
