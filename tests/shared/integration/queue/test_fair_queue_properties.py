"""Properties of the fair order, on the real scripts: any owners, weights, durations and slots."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.redis import keys
from shared.redis.client import Redis
from shared.settings import Priority
from tests.support.system.queue_simulation import QueueSimulation

#: Each example is a simulation of hundreds of script calls.
simulated = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
slots = st.integers(1, 8)
#: Seconds. The real time of a script call also counts, so it must be short beside them.
durations = st.floats(1, 60)
weights = st.sampled_from([0.5, 1.0, 2.0, 4.0])
priorities: st.SearchStrategy[Priority] = st.sampled_from(["interactive", "background"])


async def _simulation(redis: Redis, count: int) -> QueueSimulation:
    await redis.execute_command("FLUSHALL")
    return QueueSimulation(redis, slots=count)


@simulated
@given(
    slots,
    st.lists(st.tuples(st.sampled_from("abc"), durations, st.booleans(), priorities), max_size=60),
)
async def test_no_slot_is_free_while_a_job_waits(
    redis: Redis, count: int, arrivals: list[tuple[str, float, bool, Priority]]
) -> None:
    simulation = await _simulation(redis, count)
    for owner, seconds, ends, priority in arrivals:
        await simulation.add(owner, seconds, priority=priority)
        if ends:
            await simulation.end_next()
        await simulation.claim()
        assert simulation.busy == count or await simulation.waiting() == 0

    await simulation.run_to_the_end()

    assert len(simulation.claimed) == len(arrivals)
    due_times = keys.due_times(keys.QUEUE), keys.background_due_times(keys.QUEUE)
    assert not await redis.execute_command("EXISTS", keys.QUEUE, *due_times)


@simulated
@given(slots, st.dictionaries(st.sampled_from("abcd"), st.tuples(durations, weights), min_size=2))
async def test_backlogged_owners_get_work_in_proportion_to_weight(
    redis: Redis, count: int, owners: dict[str, tuple[float, float]]
) -> None:
    simulation = await _simulation(redis, count)
    longest = max(seconds for seconds, _ in owners.values())
    added = {
        owner: min(80, int(12 * count * longest / seconds) + 1)
        for owner, (seconds, _) in owners.items()
    }
    for owner, (seconds, weight) in owners.items():
        for _ in range(added[owner]):
            await simulation.add(owner, seconds, weight=weight)

    await simulation.claim()
    while all(simulation.claims_of(owner) < jobs for owner, jobs in added.items()):
        await simulation.end_next()
        await simulation.claim()

    service = [simulation.work[owner] / weight for owner, (_, weight) in owners.items()]
    lightest = min(weight for _, weight in owners.values())
    assert max(service) - min(service) <= 2 * (count + 1) * longest / lightest


@simulated
@given(
    slots,
    st.dictionaries(st.sampled_from("abc"), st.tuples(durations, weights, weights), min_size=2),
    st.floats(0.2, 0.8),
)
async def test_changed_weights_are_honored_by_waiting_runs(
    redis: Redis, count: int, owners: dict[str, tuple[float, float, float]], part: float
) -> None:
    simulation = await _simulation(redis, count)
    longest = max(seconds for seconds, _, _ in owners.values())
    added = {
        owner: min(80, int(12 * count * longest / seconds) + 1)
        for owner, (seconds, _, _) in owners.items()
    }
    for owner, (seconds, weight, _) in owners.items():
        for _ in range(added[owner]):
            await simulation.add(owner, seconds, weight=weight)

    await simulation.claim()
    while all(simulation.claims_of(owner) < part * jobs for owner, jobs in added.items()):
        await simulation.end_next()
        await simulation.claim()
    before = dict(simulation.work)
    await simulation.set_weights({owner: new for owner, (_, _, new) in owners.items()})
    while all(simulation.claims_of(owner) < jobs for owner, jobs in added.items()):
        await simulation.end_next()
        await simulation.claim()

    service = [
        (simulation.work[owner] - before.get(owner, 0)) / new
        for owner, (_, _, new) in owners.items()
    ]
    lightest = min(new for _, _, new in owners.values())
    assert max(service) - min(service) <= 3 * (count + 1) * longest / lightest


@simulated
@given(slots, st.lists(st.tuples(st.sampled_from("ab"), durations), max_size=60))
async def test_jobs_of_one_owner_start_in_order_of_arrival(
    redis: Redis, count: int, arrivals: list[tuple[str, float]]
) -> None:
    simulation = await _simulation(redis, count)
    for owner, seconds in arrivals:
        await simulation.add(owner, seconds)
        await simulation.end_next()

    await simulation.run_to_the_end()

    for owner in "ab":
        started = [name for name in simulation.claimed if simulation.owner_of(name) == owner]
        assert started == sorted(started, key=lambda name: int(name.split("-")[1]))


@simulated
@given(slots, st.sampled_from([0.05, 0.1, 0.5, 0.9]), durations, durations, st.sampled_from([1, 3]))
async def test_each_class_gets_at_least_its_share(
    redis: Redis, count: int, share: float, interactive: float, background: float, owners: int
) -> None:
    simulation = await _simulation(redis, count)
    simulation.background_share = share
    longest = max(interactive, background)
    classes: dict[Priority, float] = {"interactive": interactive, "background": background}
    for priority, seconds in classes.items():
        for number in range(min(150, int(12 * count * longest / seconds) + 1)):
            owner = f"{priority}-{number % owners}"
            await simulation.add(owner, seconds, priority=priority)

    await simulation.claim()
    while await simulation.both_classes_wait():
        await simulation.end_next()
        await simulation.claim()

    work = {False: 0.0, True: 0.0}
    for owner, seconds in simulation.work.items():
        work[owner.startswith("background")] += seconds
    total, slack = sum(work.values()), (count + 2) * longest
    assert work[True] >= share * total - slack
    assert work[False] >= (1 - share) * total - slack


@simulated
@given(
    slots,
    st.lists(
        st.sampled_from(
            ["add", "add background", "old add", "claim", "old claim", "end", "old end"]
        )
    ),
)
async def test_no_job_is_lost_beside_processes_of_older_versions(
    redis: Redis, count: int, steps: list[str]
) -> None:
    simulation = await _simulation(redis, count)
    for number, step in enumerate(steps):
        owner = "abc"[number % 3]
        match step:
            case "add":
                await simulation.add(owner, 1)
            case "add background":
                await simulation.add(owner, 1, priority="background")
            case "old add":
                await simulation.add_as_older_version(owner, 1)
            case "claim":
                await simulation.claim()
            case "old claim":
                await simulation.claim_as_older_version()
            case "end":
                await simulation.end_next()
            case _:
                await simulation.end_next_as_older_version()

    await simulation.run_to_the_end()

    assert sorted(simulation.claimed) == sorted(simulation.added_at)
    assert await simulation.waiting() == 0
