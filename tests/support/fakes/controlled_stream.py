"""An in-memory stream whose appends can be delayed or fail."""

import asyncio

from shared.streams.event_stream import Append, Verdict
from tests.support.fakes.memory_stream import MemoryEventStream
from tests.support.wait import until


class ControlledStream(MemoryEventStream):
    def __init__(self) -> None:
        super().__init__()
        #: The appends of each call, including failed calls.
        self.calls: list[tuple[Append, ...]] = []
        #: Appends wait until this event is set.
        self.open = asyncio.Event()
        self.open.set()
        #: Errors that the next calls raise before they write anything.
        self.unreachable: list[Exception] = []
        #: Errors that the next calls raise after they wrote.
        self.lost_replies: list[Exception] = []

    async def append(self, *appends: Append) -> list[Verdict]:
        self.calls.append(appends)
        await self.open.wait()
        if self.unreachable:
            raise self.unreachable.pop(0)
        verdicts = await super().append(*appends)
        if self.lost_replies:
            raise self.lost_replies.pop(0)
        return verdicts

    async def called(self, times: int) -> None:
        """Wait until this many calls have begun."""

        async def probe() -> bool:
            return len(self.calls) >= times

        await until(probe)
