"""Queue positions are sent to waiting clients, with one request for all of them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import cast

from api.streaming.queue_position import QueuePositionTracker, QueuePositionWatch
from shared.queue.announced_waits import LikelyWait
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run
from tests.support.fakes.runs import new_run
from tests.support.wait import until

INTERVAL = 0.01


class FakeQueue(QueuePositions):
    """Reports positions in the order of `order`, and records each request."""

    def __init__(self, *order: Run) -> None:
        super().__init__(cast("Redis", None))
        self.order = [run.id for run in order]
        self.requests: list[Sequence[str]] = []
        self.wait: LikelyWait | None = None
        self.announced: list[Mapping[str, LikelyWait]] = []

    async def read(
        self, run_ids: Sequence[str], *, queue: str = keys.MAIN_QUEUE
    ) -> list[QueuePosition | None]:
        assert queue == keys.MAIN_QUEUE
        self.requests.append(run_ids)
        return [self._position(run_id) for run_id in run_ids]

    def _position(self, run_id: str) -> QueuePosition | None:
        if run_id not in self.order:
            return None
        return QueuePosition(self.order.index(run_id) + 1, len(self.order), likely_wait=self.wait)

    async def record_announced(self, waits: Mapping[str, LikelyWait]) -> None:
        if waits:
            self.announced.append(waits)


async def notified(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()
    event.clear()


async def test_position_is_sent_once_and_again_when_it_changes() -> None:
    first, second = new_run(), new_run()
    queue, event = FakeQueue(first, second), asyncio.Event()
    async with QueuePositionTracker(queue, seconds=INTERVAL) as tracker:
        watch = QueuePositionWatch(tracker, second)
        with watch.notifying(event.set):
            assert watch.take_update() is None
            await notified(event)
            initial = watch.take_update()
            assert watch.take_update() is None
            queue.order.remove(first.id)
            await notified(event)
            changed = watch.take_update()

    assert initial is not None
    assert changed is not None
    part = json.loads(initial.removeprefix(b"data: "))
    assert part["data"] == {"position": 2, "waiting": 2}
    assert json.loads(changed.removeprefix(b"data: "))["data"] == {"position": 1, "waiting": 1}


async def test_one_request_serves_a_thousand_clients() -> None:
    run = new_run()
    queue, events = FakeQueue(run), [asyncio.Event() for _ in range(1000)]
    async with QueuePositionTracker(queue, seconds=INTERVAL) as tracker:
        with ExitStack() as stack:
            for event in events:
                stack.enter_context(QueuePositionWatch(tracker, run).notifying(event.set))
            await asyncio.gather(*map(notified, events))

    assert {len(run_ids) for run_ids in queue.requests} == {1000}


async def test_run_that_starts_within_an_interval_is_not_requested() -> None:
    quick, slow = new_run(), new_run()
    queue, event = FakeQueue(quick, slow), asyncio.Event()
    async with QueuePositionTracker(queue, seconds=INTERVAL) as tracker:
        started, waiting = QueuePositionWatch(tracker, quick), QueuePositionWatch(tracker, slow)
        with started.notifying(event.set), waiting.notifying(event.set):
            started.stop()
            await notified(event)

        async def idle() -> bool:
            return not tracker._active.is_set()  # pyright: ignore[reportPrivateUsage]

        await until(idle)
        assert started.take_update() is None

    assert {run_id for run_ids in queue.requests for run_id in run_ids} == {slow.id}


async def test_first_expected_wait_of_a_run_is_recorded() -> None:
    run = new_run()
    queue, event = FakeQueue(run), asyncio.Event()
    async with QueuePositionTracker(queue, seconds=INTERVAL) as tracker:
        watch = QueuePositionWatch(tracker, run)
        with watch.notifying(event.set):
            for queue.wait in (None, LikelyWait(0, 7), LikelyWait(0, 3)):
                await notified(event)
                watch.take_update()

    assert queue.announced == [{run.id: LikelyWait(0, 7)}]
