"""The owners with the most waiting runs, in bounded time however many there are."""

from shared.monitoring.owner_list import OwnerList, OwnerRanking
from shared.queue.job import GenerateTitle
from shared.queue.job_queue import JobQueue
from shared.queue.waiting_owners import read_owners
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.stores import Stores
from tests.support.monitoring.monitors import open_monitor
from tests.support.system.queue_simulation import QueueSimulation


def open_list(redis: Redis) -> OwnerList:
    return OwnerList(Stores(redis, redis, live_ttl=60, retention=60), open_monitor(redis))


async def counts(redis: Redis, limit: int = 10) -> list[tuple[str, int, int]]:
    ranking = await open_list(redis).read(limit)
    return [(owner.owner, owner.waiting, owner.running) for owner in ranking.owners]


async def test_empty_deployment_has_no_owners(redis: Redis) -> None:
    assert await open_list(redis).read(10) == OwnerRanking()


async def test_owners_are_ranked_by_waiting_then_running_runs(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=3)
    for owner in ("busy", "busy", "few"):
        await simulation.add(owner, 1)
    await simulation.claim()
    for owner in ("many", "many", "few"):
        await simulation.add(owner, 1, weight=2.5)

    ranking = await open_list(redis).read(10)

    assert await counts(redis) == [("many", 2, 0), ("few", 1, 1), ("busy", 0, 2)]
    assert ranking.waiting_owners == 2
    assert [(owner.queue, owner.weight) for owner in ranking.owners] == [
        ("main", 2.5),
        ("main", 2.5),
        ("main", 1),
    ]
    assert all(0 <= owner.oldest_wait_ms < 60_000 for owner in ranking.owners)
    assert ranking.owners[2].oldest_wait_ms == 0


async def test_limit_keeps_the_owners_with_the_most_waiting_runs(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for owner in "abbcccdddd":
        await simulation.add(owner, 1)

    ranking = await open_list(redis).read(2)

    assert [(owner.owner, owner.waiting) for owner in ranking.owners] == [("d", 4), ("c", 3)]
    assert ranking.waiting_owners == 4


async def test_claimed_ended_and_removed_runs_no_longer_count(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    jobs = [await simulation.add("a", 1) for _ in range(3)]
    await simulation.claim()
    await JobQueue(redis).remove(jobs[1])

    assert await counts(redis) == [("a", 1, 1)]
    await simulation.run_to_the_end()

    assert await counts(redis) == []
    assert not await redis.execute_command("EXISTS", keys.waiting_owners(keys.QUEUE))


async def test_run_that_was_handed_over_no_longer_counts_as_running(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 2)
    await simulation.add("a", 2)
    await simulation.claim()

    await simulation.hand_over(after=1)

    assert await counts(redis) == [("a", 1, 0)]


async def test_owner_whose_jobs_have_expired_is_removed(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 1)
    [owner] = await redis.execute_command("ZRANGE", keys.waiting_owners(keys.QUEUE), 0, -1)
    await redis.execute_command("DEL", keys.owner_jobs(owner.decode()))

    first, second = [await read_owners(redis, "main", 10) for _ in range(2)]

    assert (first.owners, second.owners, second.waiting) == ([], [], 0)


async def test_titles_are_left_out(redis: Redis) -> None:
    job = GenerateTitle(title_id="t", request_id="r", excerpt="Hi", model="m", max_length=50)
    await JobQueue(redis).enqueue_title(job, "a", seconds=60)

    assert await counts(redis) == []
