"""Commands to the queues of a running deployment: pause and resume their intake or processing.

Used by the console and by the `mamba` CLI.
"""

from shared.errors import NotFound
from shared.monitoring.snapshot import SystemMonitor
from shared.queue.pauses import Pausable, Pauses, describe


class QueueControl:
    """Begins and ends pauses of one queue, or of all. Each result is a sentence for the operator.

    A command that changes nothing is not an error, so that it can be repeated.
    """

    def __init__(self, pauses: Pauses, monitor: SystemMonitor) -> None:
        self._pauses = pauses
        self._monitor = monitor

    async def pause(self, what: Pausable, queue: str | None, *, operator: str) -> str:
        """Begin a pause.

        Raises:
            NotFound: if there is no such queue.
        """
        await self._check_exists(queue)
        begun = await self._pauses.begin(what, queue, operator=operator)
        return _sentence(what, queue, "is paused." if begun else "was already paused.")

    async def resume(self, what: Pausable, queue: str | None, *, operator: str) -> str:
        """End a pause.

        Raises:
            NotFound: if there is no such queue.
        """
        await self._check_exists(queue)
        ended = await self._pauses.end(what, queue, operator=operator)
        result = _sentence(what, queue, "has resumed." if ended else "was not paused.")
        remaining = [str(pause) for pause in await self._pauses.read() if pause.what == what]
        return f"{result} Still paused: {', '.join(remaining)}." if remaining else result

    async def _check_exists(self, queue: str | None) -> None:
        if queue is None or queue in (names := await self._monitor.queue_names()):
            return
        raise NotFound(f"There is no queue {queue!r}. The queues are: {', '.join(names)}.")


def _sentence(what: Pausable, queue: str | None, end: str) -> str:
    subject = describe(what, queue)
    return f"{subject[0].upper()}{subject[1:]} {end}"
