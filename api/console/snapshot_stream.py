"""Streams the system snapshot and the owners to a console as server-sent events."""

import asyncio
import time

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.draining import Draining
from api.http.exchange import wait_for_disconnect
from shared.monitoring.owner_list import OwnerList
from shared.monitoring.snapshot import SystemMonitor, SystemOverview
from shared.waiting import wait_briefly

_INTERVAL_SECONDS = 2.0
#: Samples in each event after the first. Repeating some of them lets a slow reader skip an event.
_SAMPLES = 6
#: The page then reconnects, which authenticates the operator again.
_MAX_SECONDS = 600.0
_HEADERS = {
    "cache-control": "no-store",
    "content-type": "text/event-stream",
    "x-accel-buffering": "no",
}
#: The samples already contain what the processes count.
_EXCLUDED = {"workers": {"__all__": {"counters"}}, "apis": {"__all__": {"counters"}}}


def to_json(overview: SystemOverview) -> bytes:
    return overview.model_dump_json(exclude=_EXCLUDED).encode()


class SnapshotStream(Response):
    """Sends an `owners` and an `overview` event every 2 seconds.

    The first overview has the samples of the whole hour, the others only the newest samples. The
    stream ends after 10 minutes, and when the process drains.
    """

    def __init__(self, monitor: SystemMonitor, owners: OwnerList, draining: Draining) -> None:
        super().__init__(None, 200, headers=_HEADERS)
        del self.headers["content-length"]
        self._monitor = monitor
        self._owners = owners
        self._draining = draining
        self._stopped = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        listening = asyncio.create_task(self._listen_for_disconnect(receive))
        try:
            with self._draining.on_start(self._stopped.set):
                await self._stream(send)
        finally:
            listening.cancel()

    async def _stream(self, send: Send) -> None:
        deadline = time.monotonic() + _MAX_SECONDS
        overview = await self._monitor.overview()
        while not self._ended(deadline):
            ranking = (await self._owners.latest()).model_dump_json().encode()
            events = b"event: owners\ndata: %b\n\nevent: overview\ndata: %b\n\n"
            body = events % (ranking, to_json(overview))
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await wait_briefly(self._stopped, _INTERVAL_SECONDS)
            overview = await self._monitor.overview(samples=_SAMPLES)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _ended(self, deadline: float) -> bool:
        return self._stopped.is_set() or self._draining.started or time.monotonic() >= deadline

    async def _listen_for_disconnect(self, receive: Receive) -> None:
        await wait_for_disconnect(receive)
        self._stopped.set()
