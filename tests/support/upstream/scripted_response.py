"""Sends a scripted response, with the failure that the script defines."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import StreamingResponse

from tests.support.upstream.completion import Completion
from tests.support.upstream.connection import reset
from tests.support.upstream.quirks import Quirk, Quirks
from tests.support.upstream.response_steps import Hold, Pause, Piece, ResponseSteps, Step, is_text
from tests.support.upstream.script import ScriptedFailure
from tests.support.upstream.server_state import RequestRecord

#: How many chunks without a delay go out in one write.
BATCH = 64


@dataclass(frozen=True)
class ScriptedResponse:
    request: Request
    received: RequestRecord
    steps: ResponseSteps
    failure: ScriptedFailure
    quirks: Sequence[Quirk] = ()

    def response(self) -> StreamingResponse:
        if self.received.body.get("stream"):
            return StreamingResponse(self._with_outcome(), media_type="text/event-stream")
        return StreamingResponse(self._with_outcome(), media_type="application/json")

    async def _with_outcome(self) -> AsyncIterator[bytes]:
        try:
            quirks = Quirks(self.quirks) if self.quirks else None
            async for chunk in self._chunks():
                yield quirks.rewrite(chunk) if quirks else chunk
            self.received.outcome = "finished"
        finally:
            if self.received.outcome == "open":
                self.received.outcome = "client-closed"

    async def _chunks(self) -> AsyncIterator[bytes]:
        completion = Completion(self.received.body)
        streamed = bool(self.received.body.get("stream"))
        cut = self._cut_steps()
        if streamed:
            yield completion.opening(self.steps)
        async for pieces in _batches((cut or self.steps).steps):
            if streamed:
                yield completion.pieces(pieces)
            self.received.sent += sum(map(is_text, pieces))
        if cut:
            while self.failure.comments:
                yield b": processing\n\n"
                await asyncio.sleep(0.02)
            await self._break_off()
        yield completion.closing(self.steps) if streamed else completion.whole(self.steps)

    def _cut_steps(self) -> ResponseSteps | None:
        for texts in (self.failure.cut_after, self.failure.silence_after):
            if texts is not None:
                return self.steps.until(texts)
        return None

    async def _break_off(self) -> None:
        if self.failure.cut_after is not None:
            self.received.outcome = "cut"
            await reset(self.request)
        await asyncio.Event().wait()


async def _batches(steps: Iterable[Step]) -> AsyncIterator[list[Piece]]:
    """Yields the pieces of each write when they are due."""
    batch: list[Piece] = []
    due = asyncio.get_running_loop().time()
    for step in steps:
        if isinstance(step, Piece) and not step.delay and len(batch) < BATCH:
            batch.append(step)
            continue
        if batch:
            yield batch
        due = await _wait(step, due)
        batch = [step] if isinstance(step, Piece) else []
    if batch:
        yield batch


async def _wait(step: Step, due: float) -> float:
    """Wait before `step` and return its due time.

    A delay starts when the previous step was due, not when it was sent.
    """
    loop = asyncio.get_running_loop()
    match step:
        case Piece():
            due = due + step.delay if step.delay else loop.time()
            await asyncio.sleep(max(0.0, due - loop.time()))
            return due
        case Pause():
            await asyncio.sleep(step.seconds)
        case Hold():
            await step.released.wait()
    return loop.time()
