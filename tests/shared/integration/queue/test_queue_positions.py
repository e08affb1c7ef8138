from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis.client import Redis
from tests.support.fakes.jobs import put_job


async def test_positions_follow_due_times_of_waiting_jobs(redis: Redis) -> None:
    for name, due in {"second": -10_000, "first": -60_000, "leased": 3000, "later": 60_000}.items():
        await put_job(redis, name, due=due)

    positions = await QueuePositions(redis).read(["first", "second", "leased", "later", "gone"])

    assert positions == [QueuePosition(1, 2), QueuePosition(2, 2), None, None, None]


async def test_2500_positions_are_read(redis: Redis) -> None:
    names = [f"job-{number:04}" for number in range(2500)]
    for number, name in enumerate(names):
        await put_job(redis, name, due=number - 10_000)

    expected = [QueuePosition(position, 2500) for position in range(1, 2501)]
    assert await QueuePositions(redis).read(names) == expected


async def test_no_jobs_have_no_positions(redis: Redis) -> None:
    assert await QueuePositions(redis).read([]) == []
