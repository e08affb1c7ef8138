"""A memory stream whose appends can be held on their way, or fail on it."""

import asyncio

from shared.streams.event_stream import Append
from tests.support.fakes.memory_stream import MemoryEventStream
from tests.support.wait import until


class GatedStream(MemoryEventStream):
    def __init__(self) -> None:
        super().__init__()
        #: What each call carried, also where it failed.
        self.calls: list[tuple[Append, ...]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        #: What the next calls raise: before anything is written, or after (the reply is lost).
        self.unreachable: list[Exception] = []
        self.lost_replies: list[Exception] = []

    async def append(self, *appends: Append) -> list[bool | Exception]:
        self.calls.append(appends)
        await self.gate.wait()
        if self.unreachable:
            raise self.unreachable.pop(0)
        verdicts = await super().append(*appends)
        if self.lost_replies:
            raise self.lost_replies.pop(0)
        return verdicts

    async def called(self, times: int) -> None:
        """Wait until so many calls have begun."""

        async def probe() -> bool:
            return len(self.calls) >= times

        await until(probe)
