"""The metrics history: one process at a time adds samples of the counters of all processes."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared.monitoring.metrics_history import SAMPLES_KEPT, CounterBaseline, MetricsHistory, Sample
from shared.monitoring.sampler import make_sample
from shared.monitoring.snapshot import SystemSnapshot
from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.counters import Counters
from shared.processes.workers import WorkerRecord, WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.telemetry.metrics import DURATION_BUCKETS
from tests.support.fakes.workers import record
from tests.support.monitoring.monitors import open_sampler
from tests.support.wait import until


def worker(worker_id: str, *, up_ms: int = 0, **counted: int) -> WorkerRecord:
    counters = Counters.model_validate(counted)
    return record(worker_id).model_copy(update={"counters": counters, "up_ms": up_ms})


def api(api_id: str, *, clients: int = 0, **counted: int) -> ApiRecord:
    counters = Counters.model_validate(counted)
    return ApiRecord(id=api_id, host="h", pid=1, started_at=0, clients=clients, counters=counters)


def buckets(**counts: int) -> tuple[int, ...]:
    """Return bucket counts. `at_3=2` sets the bucket below the third bound to 2."""
    result = [0] * (len(DURATION_BUCKETS) + 1)
    for name, count in counts.items():
        result[int(name.removeprefix("at_")) - 1] = count
    return tuple(result)


async def put_baseline(redis: Redis, *, seconds: float, **counters: Counters) -> int:
    """Store each process's counters as of a sample that many seconds ago. Return its time."""
    baseline = CounterBaseline(
        at=await redis_time_ms(redis) - int(seconds * 1000), counters=counters
    )
    text = baseline.model_dump_json()
    await redis.execute_command("SET", keys.SAMPLE_COUNTERS, text, "PX", 60_000)
    return baseline.at


def counts(found: Sample, since: int, *names: str) -> list[int]:
    """Return how many events these rates of a sample stand for."""
    return [round(getattr(found, name) * (found.at - since) / 1000) for name in names]


async def sample(redis: Redis) -> Sample:
    """Take leadership, add a sample and return it."""
    await redis.execute_command("DEL", keys.SAMPLE_LEADER)
    assert await MetricsHistory(redis).try_become_leader("sampler") == 0
    await open_sampler(redis).sample()
    return (await MetricsHistory(redis).last_hour(await redis_time_ms(redis)))[-1]


async def test_first_sample_has_no_rates(redis: Redis) -> None:
    await WorkerRegistry(redis).renew(worker("w", succeeded=1000))

    first = await sample(redis)

    assert (first.workers, first.slots, first.succeeded) == (1, 4, 0)


async def test_rates_include_the_counters_of_all_processes(redis: Redis) -> None:
    before = {"a": Counters(succeeded=10, failed=1, tokens=500), "p": Counters(accepted=7)}
    since = await put_baseline(redis, seconds=10, **before)
    await WorkerRegistry(redis).renew(worker("a", succeeded=30, failed=3, tokens=1500))
    await WorkerRegistry(redis).renew(worker("b", succeeded=10, cancelled=10))
    await ApiRegistry(redis).renew(api("p", accepted=37, clients=3))
    await ApiRegistry(redis).renew(api("q", accepted=10, clients=2))

    found = await sample(redis)

    names = ("succeeded", "failed", "cancelled", "tokens", "accepted")
    assert counts(found, since, *names) == [30, 2, 10, 1000, 40]
    assert (found.workers, found.slots, found.clients) == (2, 8, 5)


async def test_percentiles_cover_the_time_since_the_last_sample(redis: Redis) -> None:
    known = buckets(at_1=100, at_10=7)
    await put_baseline(redis, seconds=5, w=Counters(wait=known, first_token=known))
    updated = worker("w").model_copy(
        update={"counters": Counters(wait=buckets(at_1=100, at_10=17), first_token=known)}
    )
    await WorkerRegistry(redis).renew(updated)

    found = await sample(redis)

    lower, upper = DURATION_BUCKETS[8] * 1000, DURATION_BUCKETS[9] * 1000
    assert found.wait_p50_ms == pytest.approx((lower + upper) / 2)
    assert found.wait_p95_ms == pytest.approx(lower + 0.95 * (upper - lower))
    assert found.first_token_p50_ms is None


async def test_counters_of_a_restarted_process_start_at_zero(redis: Redis) -> None:
    before = {"host-1-aaaaaa": Counters(succeeded=1000)}
    since = await put_baseline(redis, seconds=5, **before)
    await WorkerRegistry(redis).renew(worker("host-1-bbbbbb", succeeded=10))

    assert counts(await sample(redis), since, "succeeded") == [10]


async def test_process_missing_in_the_baseline_adds_no_rates(redis: Redis) -> None:
    await put_baseline(redis, seconds=5, other=Counters())
    await WorkerRegistry(redis).renew(worker("w", up_ms=3_600_000, succeeded=100_000))

    assert (await sample(redis)).succeeded == 0
    await WorkerRegistry(redis).renew(worker("w", up_ms=3_605_000, succeeded=100_010))
    assert (await sample(redis)).succeeded > 0


async def test_final_counters_of_a_stopped_process_are_included(redis: Redis) -> None:
    since = await put_baseline(redis, seconds=5, w=Counters(succeeded=10))
    await WorkerRegistry(redis).renew(worker("w", succeeded=10))
    await WorkerRegistry(redis).deregister(worker("w", succeeded=20))

    found = await sample(redis)
    assert (found.workers, counts(found, since, "succeeded")) == (0, [10])
    assert (await sample(redis)).succeeded == 0


async def test_only_one_process_becomes_leader(redis: Redis) -> None:
    waits = await asyncio.gather(
        *(MetricsHistory(redis).try_become_leader(str(n)) for n in range(20))
    )

    assert waits.count(0) == 1
    assert all(0 < seconds <= 5 for seconds in waits if seconds)


async def test_process_that_lost_leadership_adds_no_sample(redis: Redis) -> None:
    samples = MetricsHistory(redis)
    await samples.try_become_leader("quick")

    late = make_sample(SystemSnapshot(), None, {})

    assert not await samples.add(late, CounterBaseline(at=0, counters={}), "late")
    assert await samples.last_baseline() is None
    assert await samples.last_hour(0) == ()


async def test_many_processes_add_one_sample_per_interval(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        for number in range(8):
            await stack.enter_async_context(open_sampler(redis, str(number)))
        samples = MetricsHistory(redis)

        async def has_sample() -> bool:
            return len(await samples.last_hour(await redis_time_ms(redis))) >= 1

        await until(has_sample)
        assert len(await samples.last_hour(await redis_time_ms(redis))) == 1
        assert await redis.execute_command("PTTL", keys.SAMPLES) > 3_000_000


async def test_samples_are_capped_and_read_incrementally(redis: Redis) -> None:
    text = (await sample(redis)).model_dump_json()
    await redis.execute_command(
        "EVAL",
        "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'sample', ARGV[2]) end",
        *(1, keys.SAMPLES, 2000, text),
    )
    samples = MetricsHistory(redis)
    await sample(redis)

    hour = await samples.last_hour(await redis_time_ms(redis))
    await sample(redis)
    later = await samples.last_hour(await redis_time_ms(redis))

    assert await redis.execute_command("XLEN", keys.SAMPLES) == SAMPLES_KEPT
    assert len(hour) == len(later) == SAMPLES_KEPT
    assert later[:-1] == hour[1:]


async def test_samples_of_newer_versions_are_ignored(redis: Redis) -> None:
    await redis.execute_command("XADD", keys.SAMPLES, "*", "sample", '{"v": 2}')
    await redis.execute_command("XADD", keys.SAMPLES, "*", "other", "x")

    known = await sample(redis)

    assert await MetricsHistory(redis).last_hour(known.at) == (known,)
