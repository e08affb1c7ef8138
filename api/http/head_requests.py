"""Responds to HEAD as to GET, without the body (RFC 9110, 9.3.2)."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Passes HEAD on as GET, and ends the response after its headers.

    The application then sees a disconnected client, so that streams end too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        return (self._send_head if is_head else self._app)(scope, receive, send)

    async def _send_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        inner = {**scope, "method": "GET"}
        started = False

        async def receive_until_start() -> Message:
            return {"type": "http.disconnect"} if started else await receive()

        async def send_headers(message: Message) -> None:
            nonlocal started
            if started:
                return
            started = True
            if "route" in inner:  # for the request log, the metrics and the trace
                scope["route"] = inner["route"]
            await send(message)
            await send({"type": "http.response.body", "body": b""})

        await self._app(inner, receive_until_start, send_headers)
