"""The trace id that an attempt leaves in its run, in case it is lost."""

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.store import RunStore
from tests.support.fakes.runs import new_run


async def test_swap_trace_returns_the_trace_of_the_last_attempt(redis: Redis) -> None:
    runs, run = RunStore(redis, live_ttl=60), new_run()
    await runs.create(run)

    assert await runs.swap_trace(run.id, "first") is None
    assert await runs.swap_trace(run.id, "second") == "first"
    assert await runs.swap_trace(run.id, "") == "second"
    assert await runs.swap_trace(run.id, "third") is None
    assert 0 < await redis.execute_command("PTTL", keys.run(run.id)) <= 60_000


async def test_swap_trace_does_not_recreate_an_expired_run(redis: Redis) -> None:
    runs = RunStore(redis, live_ttl=60)

    assert await runs.swap_trace("gone", "first") is None
    assert not await redis.execute_command("EXISTS", keys.run("gone"))
