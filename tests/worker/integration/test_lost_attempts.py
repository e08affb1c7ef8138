"""What attempts store in the hash of their run, and the data that a lost attempt leaves there."""

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.store import RunStore
from shared.streams.event_stream import RedisEventStream
from tests.support.fakes.runs import new_run


async def accepted_run(redis: Redis) -> tuple[RunStore, RedisEventStream, str]:
    runs, run = RunStore(redis, live_ttl=60), new_run()
    await runs.create(run)
    return runs, RedisEventStream(redis, live_ttl=60, retention=60), run.id


async def test_swap_trace_returns_the_trace_of_the_last_attempt(redis: Redis) -> None:
    runs, stream, run_id = await accepted_run(redis)

    await stream.take_over(run_id)
    assert await runs.swap_trace(run_id, 1, "first") is None
    await stream.take_over(run_id)
    assert await runs.swap_trace(run_id, 2, "second") == "first"
    assert await runs.swap_trace(run_id, 2, "") == "second"
    await stream.take_over(run_id)
    assert await runs.swap_trace(run_id, 3, "third") is None
    assert 0 < await redis.execute_command("PTTL", keys.run(run_id)) <= 60_000


async def test_swap_trace_does_not_recreate_an_expired_run(redis: Redis) -> None:
    runs = RunStore(redis, live_ttl=60)

    assert await runs.swap_trace("gone", 1, "first") is None
    assert not await redis.execute_command("EXISTS", keys.run("gone"))


async def test_attempt_that_lost_its_run_stores_nothing(redis: Redis) -> None:
    runs, stream, run_id = await accepted_run(redis)
    await stream.take_over(run_id)
    await stream.take_over(run_id)
    await runs.swap_trace(run_id, 2, "second")
    await runs.record_upstream(run_id, 2, "429")

    assert await runs.swap_trace(run_id, 1, "") is None
    await runs.record_upstream(run_id, 1, "500")

    fields = await runs.fields(run_id)
    assert (fields["trace"], fields["upstream"]) == ("second", "429")
