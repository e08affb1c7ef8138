"""Sends streams after their route has returned, so that a waiting client keeps few objects alive.

The frames, exit stacks, and request objects of the router need more memory than the stream itself.
"""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_RESPONSES = "mamba.detached_responses"
_CALLBACKS = "mamba.end_callbacks"


class DetachedResponse(Response):
    """A response that is sent after its route has returned. Subclasses implement `stream`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _RESPONSES in scope:
            scope[_RESPONSES].append(self)
        else:
            await self.stream(scope, receive, send)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        raise NotImplementedError

    async def send_start(self, send: Send) -> None:
        """Send the status and the headers, which are then no longer needed."""
        headers = [*self.raw_headers]
        self.raw_headers.clear()
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})


def on_end(scope: Scope, callback: Callable[[], None]) -> None:
    """Call `callback` when the response has been sent, or when there is none."""
    scope[_CALLBACKS].append(callback)


class DetachedResponseMiddleware:
    """Sends detached responses. It must be the innermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        callbacks: list[Callable[[], None]] = []
        try:
            response = await self._call_route(scope, receive, send, callbacks)
            if response is not None:
                await response.stream(scope, receive, send)
        finally:
            for callback in callbacks:
                callback()

    async def _call_route(
        self, scope: Scope, receive: Receive, send: Send, callbacks: list[Callable[[], None]]
    ) -> DetachedResponse | None:
        """Call the route, and return its response if it is still to be sent."""
        original = {**scope}
        responses: list[DetachedResponse] = []
        scope.update({_RESPONSES: responses, _CALLBACKS: callbacks})
        await self._app(scope, receive, send)
        if "route" in scope:  # for the request log, the metrics and the trace
            original["route"] = scope["route"]
        scope.clear()
        scope.update(original)
        return responses[0] if responses else None
