"""The queue positions of runs, sent to the clients that wait for a worker or for their chat.

Each position is a transient part that is not stored in the stream. One request per second and queue
serves all waiting clients of a process. A client that has waited for less than one interval
receives no position, so a run that starts immediately shows no position.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self

from api.streaming.sse import encode_data
from shared.background_task import BackgroundTask
from shared.queue.announced_waits import LikelyWait
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.run import Run
from shared.streams.events import Data

_INTERVAL_SECONDS = 1.0


class QueuePositionTracker(BackgroundTask):
    """Reads queue positions while clients wait. Use one per process."""

    def __init__(self, positions: QueuePositions, *, seconds: float = _INTERVAL_SECONDS) -> None:
        self._positions = positions
        self._seconds = seconds
        self._added: set[QueuePositionWatch] = set()
        self._tracked: set[QueuePositionWatch] = set()
        self._active = asyncio.Event()

    def add(self, watch: "QueuePositionWatch") -> None:
        """Start to report the position of a run, after one full interval."""
        self._added.add(watch)
        self._active.set()

    def remove(self, watch: "QueuePositionWatch") -> None:
        """Stop reporting the position of a run."""
        self._added.discard(watch)
        self._tracked.discard(watch)

    async def _run(self) -> None:
        while True:
            await self._active.wait()
            await asyncio.sleep(self._seconds)
            if self._tracked:
                with suppress(*REDIS_UNAVAILABLE, RedisError):
                    await self._read_positions(tuple(self._tracked))
            self._tracked |= self._added
            self._added.clear()
            if not self._tracked:
                self._active.clear()

    async def _read_positions(self, tracked: Iterable["QueuePositionWatch"]) -> None:
        by_queue: dict[str, list[QueuePositionWatch]] = defaultdict(list)
        for watch in tracked:
            by_queue[watch.queue].append(watch)
        for queue, watches in by_queue.items():
            run_ids = [watch.run_id for watch in watches]
            positions = await self._positions.read(run_ids, queue=queue)
            announced: dict[str, LikelyWait] = {}
            for watch, position in zip(watches, positions, strict=True):
                if position and position.likely_wait and not watch.has_announced:
                    announced[watch.run_id] = position.likely_wait
                watch.set_position(position)
            await self._positions.record_announced(announced)


class QueuePositionWatch:
    """The queue position of a run, for one client that waits for it."""

    def __init__(self, tracker: QueuePositionTracker, run: Run) -> None:
        self.run_id, self.queue = run.id, run.queue
        self._tracker = tracker
        self._position: QueuePosition | None = None
        self._sent: QueuePosition | None = None
        self._notify: Callable[[], None] | None = None

    def notifying(self, notify: Callable[[], None]) -> Self:
        """Call `notify` when the position changes, within the context and until `stop`."""
        self._notify = notify
        return self

    def __enter__(self) -> None:
        self._tracker.add(self)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Discard the position and stop watching: the run has started."""
        self._position = None
        self._notify = None
        self._tracker.remove(self)

    def set_position(self, position: QueuePosition | None) -> None:
        """Store a position that was read; None if the run does not wait in its queue."""
        self._position = position
        if self._notify is not None and self._changed:
            self._notify()

    def take_update(self) -> bytes | None:
        """Return the position as a server-sent event if it has changed since the last call."""
        if not self._changed or self._position is None:
            return None
        self._sent = position = self._position
        data: dict[str, int | str | tuple[int, int]] = {
            "position": position.position,
            "waiting": position.waiting,
        }
        if (wait := position.likely_wait) is not None:
            data["etaSeconds"] = wait.shortest, wait.longest
        if position.behind_chat:
            data["behind"] = "chat"
        if position.paused:
            data["paused"] = True
        part = Data(type="data-queue", data=data, transient=True)
        return encode_data(part.encode())

    @property
    def has_announced(self) -> bool:
        """Whether the current position has an expected wait."""
        return self._position is not None and self._position.likely_wait is not None

    @property
    def _changed(self) -> bool:
        return self._position is not None and self._position != self._sent
