"""What a waiting client is told of its place, and how rarely Redis is asked for it."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import cast

from api.streaming.queue_position import QueuedRun, QueuePositionTracker
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run
from tests.support.fakes.runs import new_run
from tests.support.wait import until

LOOK = 0.01


class Queue(QueuePositions):
    """Runs stand in it in the order of `order`; it counts how often it is asked."""

    def __init__(self, *order: Run) -> None:
        super().__init__(cast("Redis", None))
        self.order = [run.id for run in order]
        self.asked: list[Sequence[str]] = []

    async def read(
        self, run_ids: Sequence[str], *, queue: str = keys.MAIN_QUEUE
    ) -> list[QueuePosition | None]:
        assert queue == keys.MAIN_QUEUE
        self.asked.append(run_ids)
        return [self._place(run_id) for run_id in run_ids]

    def _place(self, run_id: str) -> QueuePosition | None:
        if run_id not in self.order:
            return None
        return QueuePosition(self.order.index(run_id) + 1, len(self.order))


async def rung(bell: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await bell.wait()
    bell.clear()


async def test_a_client_is_told_its_place_once_and_again_when_it_changes() -> None:
    first, second = new_run(), new_run()
    queue, bell = Queue(first, second), asyncio.Event()
    async with QueuePositionTracker(queue, seconds=LOOK) as places:
        waiting = QueuedRun(places, second)
        with waiting.until_left(bell.set):
            assert waiting.news() is None
            await rung(bell)
            told = waiting.news()
            assert waiting.news() is None
            queue.order.remove(first.id)
            await rung(bell)
            again = waiting.news()

    assert told is not None
    assert again is not None
    part = json.loads(told.removeprefix(b"data: "))
    assert part["data"] == {"position": 2, "waiting": 2}
    assert json.loads(again.removeprefix(b"data: "))["data"] == {"position": 1, "waiting": 1}


async def test_one_look_serves_a_thousand_clients() -> None:
    run = new_run()
    queue, bells = Queue(run), [asyncio.Event() for _ in range(1000)]
    async with QueuePositionTracker(queue, seconds=LOOK) as places:
        with ExitStack() as stack:
            for bell in bells:
                stack.enter_context(QueuedRun(places, run).until_left(bell.set))
            await asyncio.gather(*map(rung, bells))

    assert {len(asked) for asked in queue.asked} == {1000}


async def test_a_run_that_begins_before_it_was_looked_for_is_not_asked_for() -> None:
    quick, slow = new_run(), new_run()
    queue, bell = Queue(quick, slow), asyncio.Event()
    async with QueuePositionTracker(queue, seconds=LOOK) as places:
        hurried, patient = QueuedRun(places, quick), QueuedRun(places, slow)
        with hurried.until_left(bell.set), patient.until_left(bell.set):
            hurried.leave()
            await rung(bell)

        async def at_rest() -> bool:
            return not places._somebody.is_set()  # pyright: ignore[reportPrivateUsage]

        await until(at_rest)
        assert hurried.news() is None

    assert {run_id for asked in queue.asked for run_id in asked} == {slow.id}
