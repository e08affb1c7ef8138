"""Limits on admission: request rate, live runs of an owner, and queue depth."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from shared.errors import QueueFull, RateLimited, StorageFull, TooManyRequests, TooManyRuns
from shared.rate_limit_status import RateLimitStatus
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.redis.cluster_client import ClusterClient
from shared.runs.admission import Admitted
from shared.runs.run import Run
from shared.streams.event_stream import Append, Closure
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.admission_harness import (
    CHAT,
    OWNER,
    AdmissionHarness,
    HarnessLimits,
    admitted,
)
from tests.support.wait import until

# Rate limit


async def test_rate_limit_applies_after_the_burst(harness: AdmissionHarness) -> None:
    limits: HarnessLimits = {"requests_per_minute": 1, "burst": 3}

    outcomes = [await harness.admit(f"run-{number}", **limits) for number in range(3)]
    before = await harness.dump()
    with pytest.raises(RateLimited) as error:
        await harness.admit("run-3", **limits)

    statuses = [outcome.rate_limit_status for outcome in outcomes if isinstance(outcome, Admitted)]
    assert [status.remaining for status in statuses if status] == [2, 1, 0]
    assert 50 <= error.value.retry_after <= 60
    assert error.value.rate_limit is not None
    assert error.value.rate_limit[:4] == ("runs", 3, 0, 180)
    assert await harness.dump() == before


async def test_request_succeeds_after_retry_after(harness: AdmissionHarness) -> None:
    limits: HarnessLimits = {"requests_per_minute": 60, "burst": 1}
    await harness.admit("run-0", **limits)
    with pytest.raises(RateLimited) as error:
        await harness.admit("run-1", **limits)

    async def is_admitted() -> bool:
        try:
            return bool(await harness.admit("run-1", **limits))
        except RateLimited:
            return False

    assert error.value.retry_after == 1
    assert await until(is_admitted)


async def test_rate_limit_is_separate_for_each_owner(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", owner="anna", requests_per_minute=1, burst=1)

    assert await harness.admit("run-2", owner="bert", requests_per_minute=1, burst=1)


async def test_raised_rate_limit_applies_immediately(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", requests_per_minute=1, burst=1)
    with pytest.raises(RateLimited):
        await harness.admit("run-2", requests_per_minute=1, burst=1)

    assert await harness.admit("run-2", requests_per_minute=1, burst=2)
    assert await harness.admit("run-3", requests_per_minute=0)


async def test_lowered_burst_does_not_increase_retry_after(harness: AdmissionHarness) -> None:
    for number in range(50):
        await harness.admit(f"run-{number}", requests_per_minute=60, burst=50)

    with pytest.raises(RateLimited) as error:
        await harness.admit("late", requests_per_minute=60, burst=2)

    assert error.value.retry_after == 1


async def test_occupied_chat_does_not_consume_the_rate_limit(harness: AdmissionHarness) -> None:
    limits: HarnessLimits = {"requests_per_minute": 1, "burst": 2}
    await harness.admit("run-1", chat=CHAT, **limits)
    for number in range(5):
        await harness.admit(f"again-{number}", chat=CHAT, **limits)

    assert await harness.admit("run-2", **limits)


# Live runs


async def test_live_run_limit_refuses_another_run_of_the_owner(harness: AdmissionHarness) -> None:
    for name in ("run-1", "run-2"):
        await harness.admit(name, live_runs=2)
    await harness.stream.take_over("run-1")
    before = await harness.dump()

    with pytest.raises(TooManyRuns) as error:
        await harness.admit("run-3", live_runs=2)

    assert error.value.rate_limit == RateLimitStatus("live-runs", 2, 0)
    assert 1 <= error.value.retry_after <= 30
    assert await harness.dump() == before
    assert await harness.admit("run-3", owner="bert", live_runs=2)


async def test_ended_run_frees_its_live_run_slot(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", live_runs=1)

    await harness.end("run-1")

    assert await harness.admit("run-2", live_runs=1) == admitted("run-2")
    assert await harness.live_runs() == [b"run-2"]


@pytest.mark.parametrize("outcome", ["ended", "expired"])
async def test_ended_or_expired_runs_do_not_count_as_live(
    harness: AdmissionHarness, outcome: str
) -> None:
    for name in ("run-1", "run-2"):
        await harness.admit(name, live_runs=2)
    if outcome == "ended":
        await harness.logs.execute_command("HSET", keys.run("run-1"), "state", "failed")
    else:
        await harness.logs.execute_command("DEL", keys.run("run-1"))

    assert await harness.admit("run-3", live_runs=2) == admitted("run-3")

    assert await harness.live_runs() == [b"run-2", b"run-3"]


async def test_runs_admitted_without_a_limit_count_as_live(harness: AdmissionHarness) -> None:
    for number in range(5):
        await harness.admit(f"run-{number}")

    with pytest.raises(TooManyRuns):
        await harness.admit("late", live_runs=5)


async def test_run_older_than_the_live_ttl_is_not_counted(harness: AdmissionHarness) -> None:
    await harness.admit("run-1")
    await harness.redis.execute_command("ZADD", keys.live_runs(OWNER), 1, "run-0")

    await harness.admit("run-2")

    assert await harness.live_runs() == [b"run-1", b"run-2"]


# Queue depth


async def test_full_queue_refuses_runs_of_every_owner(harness: AdmissionHarness) -> None:
    for name in ("run-1", "run-2"):
        await harness.admit(name, owner=name, queue_depth=2)
    before = await harness.dump()

    with pytest.raises(QueueFull) as error:
        await harness.admit("run-3", owner="carl", queue_depth=2)

    assert 1 <= error.value.retry_after <= 30
    assert await harness.dump() == before


async def test_full_queue_retry_after_is_the_age_of_the_oldest_job(
    harness: AdmissionHarness,
) -> None:
    await harness.admit("run-1")
    await harness.redis.execute_command("ZINCRBY", keys.due_times(keys.QUEUE), -15_000, "run-1")

    with pytest.raises(QueueFull) as error:
        await harness.admit("run-2", queue_depth=1)

    assert 15 <= error.value.retry_after < 30


async def test_leased_runs_do_not_count_as_queue_depth(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", queue_depth=1)
    leased_until = await redis_time_ms(harness.redis) + 30_000
    await harness.redis.execute_command("ZADD", keys.QUEUE, leased_until, "run-1")

    assert await harness.admit("run-2", queue_depth=1) == admitted("run-2")


async def test_queue_depth_zero_means_unlimited(harness: AdmissionHarness) -> None:
    for number in range(20):
        assert await harness.admit(f"run-{number}", queue_depth=0)


# Concurrent requests


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"requests_per_minute": 1, "burst": 7}, RateLimited),
        ({"live_runs": 7}, TooManyRuns),
        ({"queue_depth": 7}, QueueFull),
    ],
    ids=["rate", "live runs", "depth"],
)
async def test_concurrent_admissions_never_exceed_a_limit(
    harness: AdmissionHarness, limits: HarnessLimits, error: type[TooManyRequests]
) -> None:
    outcomes: Sequence[Any] = await asyncio.gather(
        *(harness.admit(f"run-{number}", **limits) for number in range(50)), return_exceptions=True
    )

    admitted_ids = [outcome.run_id for outcome in outcomes if isinstance(outcome, Admitted)]
    assert len(admitted_ids) == 7
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [error] * 43
    assert sorted(await harness.queued_jobs()) == sorted(name.encode() for name in admitted_ids)
    runs: list[Run | None] = [await harness.runs.get(f"run-{number}") for number in range(50)]
    assert sorted(run.id for run in runs if run) == sorted(admitted_ids)


# Memory of Redis


@asynccontextmanager
async def maxmemory(harness: AdmissionHarness, used_share: float) -> AsyncGenerator[None]:
    """Set the memory limit of the servers of runs and queue so that this share of it is used."""
    servers = {id(redis): redis for redis in (harness.redis, harness.logs)}.values()
    await harness.redis.execute_command("DEL", keys.MEMORY_CHECKED)
    for redis in servers:
        await set_limit(redis, used_share)
    try:
        yield
    finally:
        for redis in servers:
            await set_limit(redis, None)


async def set_limit(redis: Redis, used_share: float | None) -> None:
    nodes = redis.each if isinstance(redis, ClusterClient) else None
    found = await nodes("INFO", "memory") if nodes else {}
    used = max([info["used_memory"] for info in cast("Any", found).values()], default=0)
    if nodes is None:
        used = (await redis.execute_command("INFO", "memory"))["used_memory"]
    limit = int(used / used_share) if used_share else 0
    command = ("CONFIG", "SET", "maxmemory", limit)
    await (nodes(*command) if nodes else redis.execute_command(*command))


async def test_no_run_is_admitted_while_redis_is_nearly_full(harness: AdmissionHarness) -> None:
    await harness.admit("live", chat=CHAT)
    takeover = await harness.stream.take_over("live")
    async with maxmemory(harness, used_share=0.95):
        before = await harness.dump()
        with pytest.raises(StorageFull):
            await harness.admit("refused")
        assert await harness.dump() == before
        await harness.runs.request_stop("live")
        closure = Closure(RunState.CANCELLED)
        append = Append("live", takeover.attempt, 1, [DONE], closure)
        assert await harness.append_last(append)

    assert (await harness.runs.states(["live"])) == {"live": RunState.CANCELLED}


async def test_run_is_admitted_below_the_memory_limit(harness: AdmissionHarness) -> None:
    async with maxmemory(harness, used_share=0.5):
        assert isinstance(await harness.admit("one"), Admitted)
    async with maxmemory(harness, used_share=0.95):
        assert isinstance(await harness.admit("two", redis_memory=0), Admitted)
