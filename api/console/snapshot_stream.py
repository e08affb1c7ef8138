"""The house over and over, as server-sent events, for as long as an operator looks at it."""

import asyncio
import time

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.draining import Draining
from shared.processes.snapshot import SystemMonitor, SystemOverview

_SECONDS = 2.0
#: So many samples go out again each time: none is missed by a reader that is a little late.
_SAMPLES = 6
#: Who looks longer proves anew who they are.
_LONGEST_SECONDS = 600.0
_HEADERS = {
    "cache-control": "no-store",
    "content-type": "text/event-stream",
    "x-accel-buffering": "no",
}
#: What processes have counted is in the samples.
_TOTALS = {"workers": {"__all__": {"totals"}}, "apis": {"__all__": {"totals"}}}


def as_json(overview: SystemOverview) -> bytes:
    return overview.model_dump_json(exclude=_TOTALS).encode()


class SnapshotStream(Response):
    """An `overview` event every 2 seconds: the first with the whole hour, then the newest samples.

    It ends in good order after 10 minutes, and when the process drains: the page comes back.
    """

    def __init__(self, monitor: SystemMonitor, draining: Draining) -> None:
        super().__init__(None, 200, headers=_HEADERS)
        del self.headers["content-length"]
        self._observatory = monitor
        self._draining = draining
        self._bell = asyncio.Event()
        self._over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        watching = asyncio.create_task(self._watch(receive))
        try:
            with self._draining.on_start(self._end):
                await self._tell(send)
        finally:
            watching.cancel()

    async def _tell(self, send: Send) -> None:
        until = time.monotonic() + _LONGEST_SECONDS
        overview = await self._observatory.overview()
        while not self._over and not self._draining.started and time.monotonic() < until:
            event = b"event: overview\ndata: %b\n\n" % as_json(overview)
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await self._pause()
            overview = await self._observatory.overview(samples=_SAMPLES)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._bell.wait()
        except TimeoutError:
            pass

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._end()

    def _end(self) -> None:
        self._over = True
        self._bell.set()
