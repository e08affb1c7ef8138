"""A child process that is started again after it was ended on purpose."""

from collections.abc import Awaitable, Callable
from signal import Signals

from mamba.dev.output import print_out
from mamba.supervisor.children import Child, ChildEnded


class ReplaceableChild:
    def __init__(self, child: Child, start: Callable[[], Awaitable[Child]]) -> None:
        self._child = child
        self._start = start
        self._replacing = False

    @property
    def pid(self) -> int:
        return self._child.pid

    def replace(self, number: Signals) -> None:
        """Signal the process, and start another one when it has ended."""
        if not self._replacing:
            self._replacing = True
            self._child.signal(number)

    async def must_live(self) -> None:
        """Raises ChildEnded if the process ends for another reason."""
        while True:
            try:
                await self._child.must_live()
            except ChildEnded as ended:
                if not self._replacing:
                    raise
                print_out(f"mamba dev: {ended.reason}; starting another")
            self._child = await self._start()
            self._replacing = False
