"""The places of runs that wait for a worker, told to the clients that wait with them.

A client is told where its run stands in the queue by a transient part, beside the log and not in
it. One look a second serves the whole process, however many wait. Who has not waited for a whole
look is told nothing: a run that is picked up at once never speaks of a queue.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress

from shared.background_task import BackgroundTask
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.run import Run
from shared.streams.events import Data

_LOOK_SECONDS = 1.0


class QueuePositionTracker(BackgroundTask):
    """One a process. It asks Redis nothing while nobody waits."""

    def __init__(self, positions: QueuePositions, *, seconds: float = _LOOK_SECONDS) -> None:
        self._positions = positions
        self._seconds = seconds
        self._new: set[QueuedRun] = set()
        self._known: set[QueuedRun] = set()
        self._somebody = asyncio.Event()

    def add(self, waiting: "QueuedRun") -> None:
        self._new.add(waiting)
        self._somebody.set()

    def remove(self, waiting: "QueuedRun") -> None:
        self._new.discard(waiting)
        self._known.discard(waiting)

    async def _run(self) -> None:
        while True:
            await self._somebody.wait()
            await asyncio.sleep(self._seconds)
            if self._known:
                with suppress(*REDIS_UNAVAILABLE, RedisError):
                    await self._look(tuple(self._known))
            self._known |= self._new
            self._new.clear()
            if not self._known:
                self._somebody.clear()

    async def _look(self, clients: Iterable["QueuedRun"]) -> None:
        queues: dict[str, list[QueuedRun]] = defaultdict(list)
        for waiting in clients:
            queues[waiting.run.queue].append(waiting)
        for queue, those in queues.items():
            places = await self._positions.read([one.run.id for one in those], queue=queue)
            for waiting, place in zip(those, places, strict=True):
                waiting.tell(place)


class QueuedRun:
    """One client's wait with a queued run."""

    def __init__(self, places: QueuePositionTracker, run: Run) -> None:
        self.run = run
        self._places = places
        self._place: QueuePosition | None = None
        self._told: QueuePosition | None = None
        self._ring: Callable[[], None] | None = None

    @contextmanager
    def until_left(self, ring: Callable[[], None]) -> Generator[None]:
        """Wait, and ring when there is news; until `leave`, or the end of the context."""
        self._ring = ring
        self._places.add(self)
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """The run has begun: its place is no matter any more."""
        self._place = None
        self._ring = None
        self._places.remove(self)

    def tell(self, place: QueuePosition | None) -> None:
        self._place = place
        if self._ring is not None and self._changed:
            self._ring()

    def news(self) -> bytes | None:
        """The part that says where the run stands, if the client has not heard so yet."""
        if not self._changed or self._place is None:
            return None
        self._told = self._place
        part = Data(type="data-queue", data=self._place._asdict(), transient=True)
        return b"data: %b\n\n" % part.encode()

    @property
    def _changed(self) -> bool:
        return self._place is not None and self._place != self._told
