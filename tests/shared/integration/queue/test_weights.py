"""Weights that change while runs wait or run."""

import pytest

from shared.queue.job import GenerateTitle
from shared.queue.job_queue import JobQueue
from shared.queue.shares.weights import WeightUpdater, apply_weights
from shared.queue.waiting_owners import read_owners
from shared.redis import keys
from shared.redis.client import Redis
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from tests.support.system.queue_simulation import QueueSimulation
from tests.support.wait import until


async def stored(redis: Redis, owner: str, field: str) -> float:
    key = keys.fair_owner(keys.QUEUE, owner)
    return float(await redis.execute_command("HGET", key, field))


def with_weights(weights: dict[str, float]) -> Settings:
    return Settings.model_validate({"queue": {"weights": weights}})


@pytest.mark.parametrize("weight", [0.5, 3])
async def test_changed_weight_applies_to_waiting_runs(redis: Redis, weight: float) -> None:
    simulation = QueueSimulation(redis, slots=4)
    for _ in range(500):
        await simulation.add("changed", 2)
        await simulation.add("other", 2)
    await simulation.run_until(50)
    before = dict(simulation.work)

    await simulation.set_weights({"changed": weight})
    await simulation.run_until(250)

    changed, other = (simulation.work[owner] - before[owner] for owner in ("changed", "other"))
    assert 0.9 * weight < changed / other < 1.1 * weight


async def test_increased_weight_shortens_the_wait_for_earlier_runs(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for _ in range(50):
        await simulation.add("light", 60, weight=0.1)
        await simulation.add("other", 60)
    await simulation.run_until(480)
    assert simulation.claims_of("light") == 1

    await simulation.set_weights({"light": 10})
    await simulation.run_until(660)

    assert simulation.claims_of("light") >= 3


async def test_weight_of_a_new_run_applies_to_earlier_ones(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for _ in range(20):
        await simulation.add("premium", 2)
        await simulation.add("standard", 2)

    await simulation.add("premium", 2, weight=4)
    await simulation.run_until(30)

    assert simulation.claims_of("premium") >= 3 * simulation.claims_of("standard")


async def test_changed_weight_is_stored_with_runs_before_a_new_run(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    jobs = [await simulation.add("owner", 2), await simulation.add("owner", 2, weight=4)]

    await simulation.set_weights({"owner": 4})

    found = [await redis.execute_command("HGET", keys.fair_job(job), "weight") for job in jobs]
    assert [float(weight) for weight in found] == [4, 4]


async def test_run_that_ends_after_a_change_counts_with_the_new_weight(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("owner", 40)
    await simulation.claim()

    await simulation.set_weights({"owner": 4})
    await simulation.end_next()

    assert 9.5 <= await stored(redis, "owner", "finish") <= 11


async def test_changed_weight_applies_to_deferred_runs(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("owner", 1, chat="chat")
    await simulation.claim()
    await simulation.add("owner", 1, chat="chat")

    await simulation.set_weights({"owner": 2})
    await simulation.end_next()
    await simulation.claim()

    assert await stored(redis, "owner", "weight") == 2
    assert (await read_owners(redis, keys.MAIN_QUEUE, 10)).owners[0].weight == 2


async def test_weight_remains_after_the_state_of_the_owner_expired(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("owner", 1)
    await simulation.set_weights({"owner": 2})

    await redis.execute_command("DEL", keys.fair_owner(keys.QUEUE, "owner"))

    assert (await read_owners(redis, keys.MAIN_QUEUE, 10)).owners[0].weight == 2


@pytest.mark.parametrize(("weight", "start"), [(4, 100), (2, 200), (1, 400)])
async def test_new_run_changes_the_weight_after_the_state_expired(
    redis: Redis, weight: float, start: float
) -> None:
    simulation = QueueSimulation(redis, slots=1)
    waiting = await simulation.add("owner", 60, weight=4)
    await redis.execute_command("ZADD", keys.QUEUE, 100, waiting)
    await redis.execute_command("HSET", keys.virtual_clock(keys.QUEUE), "now", 0)

    await redis.execute_command("DEL", keys.fair_owner(keys.QUEUE, "owner"))
    await simulation.add("owner", 60, weight=weight)

    assert await redis.execute_command("ZSCORE", keys.QUEUE, waiting) == start


async def test_plan_of_the_newest_waiting_run_applies(redis: Redis) -> None:
    weights = {"free": 1.0, "pro": 4.0}
    simulation = QueueSimulation(redis, slots=1)
    for plan in ("free", "free", "pro"):
        name = await simulation.add("owner", 1, weight=weights[plan])
        await redis.execute_command("HSET", keys.fair_job(name), "plan", plan)
    await simulation.claim()

    await apply_weights(redis, lambda _, plan: weights[plan or ""])

    assert await stored(redis, "owner", "weight") == 4


async def test_reduced_weight_delays_waiting_runs_by_an_hour_at_most(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("owner", 60, weight=100)
    await simulation.claim()
    waiting = await simulation.add("owner", 60, weight=100)
    await redis.execute_command("ZADD", keys.QUEUE, 100, waiting)

    await simulation.set_weights({"owner": 0.1})

    assert 3600 <= await redis.execute_command("ZSCORE", keys.QUEUE, waiting) <= 3601


async def test_titles_keep_their_weight(redis: Redis) -> None:
    title = GenerateTitle(
        title_id="title", request_id="r", owner="owner", model="m", max_length=80, excerpt="Hi"
    )
    await JobQueue(redis).enqueue_title(title, "owner", seconds=60)

    await QueueSimulation(redis, slots=1).set_weights({"owner": 2})

    assert await redis.execute_command("HGET", keys.fair_job("title"), "weight") == b"1"


async def test_updater_applies_weights_at_the_start_and_after_a_change(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("owner", 1)
    live = LiveSettings(with_weights({"owner": 2}))

    async def weight_is(expected: float) -> bool:
        [owner] = (await read_owners(redis, keys.MAIN_QUEUE, 10)).owners
        return owner.weight == expected

    async with WeightUpdater(redis, live):
        await until(lambda: weight_is(2))
        live.replace(with_weights({}))
        await until(lambda: weight_is(1))
