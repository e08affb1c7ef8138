"""Starts requests that arrive together one after another.

Otherwise, the event loop runs the first part of all of them before it sends the first call to
Redis, because uvloop writes at the end of an iteration. During a burst, workers would be idle until
the API has read the last request.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send


class StaggeredStartMiddleware:
    """Starts at most one request in each iteration of the event loop, in the order of arrival."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: deque[asyncio.Future[None]] = deque()
        #: Whether a request has started in this iteration.
        self._has_started = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._has_started and scope["type"] == "http":
            start = asyncio.get_running_loop().create_future()
            self._waiting.append(start)
            return self._start_later(start, scope, receive, send)
        self._begin_iteration()
        return self._app(scope, receive, send)

    async def _start_later(
        self, start: asyncio.Future[None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        await start
        await self._app(scope, receive, send)

    def _begin_iteration(self) -> None:
        if not self._has_started:
            self._has_started = True
            asyncio.get_running_loop().call_soon(self._start_next)

    def _start_next(self) -> None:
        self._has_started = False
        while self._waiting:
            start = self._waiting.popleft()
            if not start.done():  # its request has not been cancelled
                start.set_result(None)
                self._begin_iteration()
                return
