"""Pauses are stored until they are ended, and workers start no run of a paused queue."""

from collections.abc import Sequence

import pytest

from shared.queue.announced_waits import LikelyWait
from shared.queue.job_queue import JobQueue
from shared.queue.operator_actions import OperatorActions
from shared.queue.pauses import Pauses
from shared.queue.queue_depth import read_depths
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.settings import WhenBusy
from tests.support.system.queue_simulation import QueueSimulation

OPERATOR = "cli:web-1:ann"


async def pause_processing(redis: Redis) -> None:
    await Pauses(redis).begin("processing", "main", operator=OPERATOR)


async def wakeup_tokens(redis: Redis) -> int:
    return await redis.execute_command("LLEN", keys.wakeup(keys.QUEUE))


async def test_pause_is_stored_with_its_time_and_operator(redis: Redis) -> None:
    pauses = Pauses(redis)
    before = await redis_time_ms(redis)

    assert await pauses.begin("intake", "research", operator="an operator")
    assert await pauses.begin("processing", None, operator=OPERATOR)
    assert not await pauses.begin("processing", None, operator="another one")

    found = await pauses.read()
    assert [(pause.what, pause.queue, pause.operator) for pause in found] == [
        ("intake", "research", "an operator"),
        ("processing", None, OPERATOR),
    ]
    assert all(before <= pause.at <= before + 60_000 for pause in found)
    assert [str(pause) for pause in found] == [
        "the intake of the queue research",
        "the processing of all queues",
    ]


async def test_ended_pause_is_removed_once(redis: Redis) -> None:
    pauses = Pauses(redis)
    await pauses.begin("intake", "main", operator=OPERATOR)

    assert not await pauses.end("intake", None, operator=OPERATOR)
    assert await pauses.end("intake", "main", operator=OPERATOR)
    assert not await pauses.end("intake", "main", operator=OPERATOR)

    assert await pauses.read() == ()


async def test_reading_the_pauses_keeps_them(redis: Redis) -> None:
    pauses = Pauses(redis)
    await pauses.begin("intake", None, operator=OPERATOR)
    await redis.execute_command("PEXPIRE", keys.PAUSES, 10_000)

    await pauses.read()

    assert await redis.execute_command("PTTL", keys.PAUSES) > 86_400_000


async def test_paused_processing_is_a_list_that_keda_can_read(redis: Redis) -> None:
    pauses = Pauses(redis)
    markers = [keys.PROCESSING_PAUSED, keys.processing_paused(keys.queue("research"))]
    for queue in (None, "research"):
        await pauses.begin("intake", queue, operator=OPERATOR)
    assert await lengths(redis, markers) == [0, 0]

    for queue in (None, None, "research"):
        await pauses.begin("processing", queue, operator=OPERATOR)
    assert await lengths(redis, markers) == [1, 1]
    await redis.execute_command("PEXPIRE", markers[1], 10_000)
    await pauses.read()
    assert await redis.execute_command("PTTL", markers[1]) > 86_400_000

    await pauses.end("processing", None, operator=OPERATOR)
    assert await lengths(redis, markers) == [0, 1]
    await pauses.end("processing", "research", operator=OPERATOR)
    assert await lengths(redis, markers) == [0, 0]


async def lengths(redis: Redis, lists: Sequence[str]) -> list[int]:
    return [await redis.execute_command("LLEN", name) for name in lists]


async def test_held_runs_are_those_that_keda_leaves_out(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 1)
    await simulation.claim()
    for _ in range(2):
        await simulation.add("a", 1)
    await simulation.add("a", 1, priority="background")

    [depth] = (await read_depths(redis, [keys.MAIN_QUEUE])).values()
    due = [keys.due_times(keys.QUEUE), keys.background_due_times(keys.QUEUE)]
    counts = [await redis.execute_command("ZCARD", name) for name in due]

    assert (depth.waiting, depth.unstarted) == (3, 3)
    assert counts == [2, 1]


async def test_pauses_of_a_newer_version_are_ignored(redis: Redis) -> None:
    pauses = Pauses(redis)
    await pauses.begin("intake", None, operator=OPERATOR)
    unknown = ("something", "1 ann", "intake mamba:queues:x", "soon")
    await redis.execute_command("HSET", keys.PAUSES, *unknown)

    assert [pause.queue for pause in await pauses.read()] == [None]


async def test_each_change_is_recorded_with_its_operator(redis: Redis) -> None:
    pauses = Pauses(redis)
    await pauses.begin("intake", "main", operator="ann")
    await pauses.begin("intake", "main", operator="eve")
    await pauses.end("intake", "main", operator="bob")

    taken = await OperatorActions(redis).take()

    assert [(action.event, action.operator) for action in taken] == [
        ("queue.paused", "ann"),
        ("queue.resumed", "bob"),
    ]
    assert taken[0].fields == {"what": "intake", "queue": "main"}


async def test_waiting_runs_of_a_paused_queue_do_not_start(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    await simulation.add("a", 1)
    await pause_processing(redis)
    await simulation.add("b", 1)

    assert await simulation.claim() == 0
    assert await wakeup_tokens(redis) == 0
    await Pauses(redis).end("processing", "main", operator=OPERATOR)

    assert await wakeup_tokens(redis) == 1
    assert await simulation.claim() == 2


async def test_end_of_the_pause_of_all_queues_wakes_workers(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    await simulation.add("a", 1)
    await Pauses(redis).begin("processing", None, operator=OPERATOR)

    assert await simulation.claim() == 0
    await Pauses(redis).end("processing", None, operator=OPERATOR)

    assert await wakeup_tokens(redis) == 1


async def test_started_run_of_a_paused_queue_continues(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    started = await simulation.add("a", 1)
    await simulation.claim()
    await simulation.add("b", 1)
    await pause_processing(redis)
    await redis.execute_command("ZADD", keys.QUEUE, await redis_time_ms(redis) - 1, started)
    simulation.slots = 3

    await simulation.claim()

    assert simulation.claimed == [started, started]


async def test_requeued_run_of_a_paused_queue_starts(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    await simulation.add("a", 1)
    requeued = await simulation.add("a", 1)
    await pause_processing(redis)

    await JobQueue(redis).requeue(requeued)
    await simulation.claim()

    assert simulation.claimed == [requeued]


@pytest.mark.parametrize("when_busy", ["supersede", "queue"])
async def test_deferred_run_of_a_paused_queue_does_not_start(
    redis: Redis, when_busy: WhenBusy
) -> None:
    """It becomes due by its time if the API process that stops the earlier run dies."""
    simulation = QueueSimulation(redis, slots=1)
    earlier = await simulation.add("a", 1, chat="chat")
    await simulation.claim()
    deferred = await simulation.add("a", 1, chat="chat", when_busy=when_busy)
    await pause_processing(redis)
    await redis.execute_command("ZREM", keys.QUEUE, earlier)
    await redis.execute_command("ZADD", keys.QUEUE, await redis_time_ms(redis) - 1, deferred)
    simulation.slots = 2

    assert await simulation.claim() == 0
    assert await wakeup_tokens(redis) == 0
    await Pauses(redis).end("processing", "main", operator=OPERATOR)
    await simulation.claim()

    assert simulation.claimed == [earlier, deferred]


async def test_many_deferred_runs_of_a_paused_queue_do_not_start(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=150)
    deferred = await add_deferred(simulation, 110)
    await pause_processing(redis)

    assert await simulation.claim() == 0
    assert await simulation.claim() == 0
    await Pauses(redis).end("processing", "main", operator=OPERATOR)
    await simulation.claim()

    assert simulation.claimed == deferred


async def test_many_deferred_runs_start_in_fair_order(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    [first, *_] = await add_deferred(simulation, 110)

    assert await simulation.claim() == 0
    assert await wakeup_tokens(redis) == 1
    await simulation.claim()

    assert simulation.claimed == [first]


async def add_deferred(simulation: QueueSimulation, count: int) -> list[str]:
    """Add deferred runs of different owners that have become due."""
    redis, deferred = simulation.redis, list[str]()
    for number in range(count):
        owner, chat = f"owner-{number}", f"chat-{number}"
        earlier = await simulation.add(owner, 1, chat=chat)
        deferred.append(await simulation.add(owner, 1, chat=chat, when_busy="supersede"))
        await redis.execute_command("ZREM", keys.QUEUE, earlier)
    due = await redis_time_ms(redis) - count
    scores = [value for number, job_id in enumerate(deferred) for value in (due + number, job_id)]
    await redis.execute_command("ZADD", keys.QUEUE, *scores)
    await redis.execute_command("DEL", keys.wakeup(keys.QUEUE))
    return deferred


async def test_position_in_a_paused_queue_has_no_expected_wait(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 2)
    await simulation.add("a", 2)
    await simulation.claim()
    await simulation.end_next()
    await simulation.claim()
    waiting = await simulation.add("a", 2)

    positions = QueuePositions(redis)
    [before] = await positions.read([waiting])
    await positions.record_announced({waiting: LikelyWait(0, 4)})
    await pause_processing(redis)
    [after] = await positions.read([waiting])

    assert before is not None
    assert before.likely_wait is not None
    assert after == QueuePosition(1, 1, paused=True)
    assert not await redis.execute_command("HEXISTS", keys.fair_job(waiting), "announced")
